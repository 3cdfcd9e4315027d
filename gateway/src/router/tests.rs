//! Every answer that needs no broker, through the router.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use axum::response::Response;
use ovation_client::Cluster;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::*;
use crate::config::Config;
use crate::health::{Hooks, Part};

/// A router whose broker is not there: port 1 refuses.
fn router_without_broker() -> Router {
    let mut config = Config::new(Cluster::new("127.0.0.1:1"));
    config.body_limit = 1_000;
    let engine = || vec![Part { name: "engine".into(), ready: true, detail: "2 tasks".into() }];
    let metrics = || "ovation_tasks 2\n# EOF\n".to_owned();
    let hooks = Hooks { readiness: Arc::new(engine), metrics: Arc::new(metrics) };
    router(App::new(config, hooks, CancellationToken::new()))
}

async fn answer(request: Request<Body>) -> Response {
    router_without_broker().oneshot(request).await.expect("infallible")
}

async fn get(path: &str) -> Response {
    answer(Request::get(path).body(Body::empty()).expect("a request")).await
}

async fn react(room: &str, kind: Option<&str>, body: impl Into<Body>) -> Response {
    let mut request = Request::post(format!("/v1/rooms/{room}/reactions"));
    if let Some(kind) = kind {
        request = request.header(header::CONTENT_TYPE, kind);
    }
    answer(request.body(body.into()).expect("a request")).await
}

async fn text(response: Response) -> String {
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    String::from_utf8(body.to_vec()).expect("UTF-8")
}

async fn json(response: Response) -> serde_json::Value {
    serde_json::from_str(&text(response).await).expect("JSON")
}

/// Asserts that the answer is a problem, of this status and name in both places.
async fn assert_problem(response: Response, status: u16, name: &str) -> serde_json::Value {
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json", "{name}");
    assert_eq!(response.status(), status, "{name}");
    let problem = json(response).await;
    assert_eq!(problem["type"], format!("urn:ovation:problem:{name}"));
    assert_eq!(problem["status"], status);
    assert!(problem["title"].is_string());
    problem
}

const JSON: Option<&str> = Some("application/json");

#[tokio::test]
async fn bad_input_is_a_problem_that_says_what() {
    assert_problem(react("a", JSON, "{").await, 400, "malformed-json").await;
    assert_problem(react("a", JSON, vec![0xff, 0xfe]).await, 400, "malformed-json").await;
    assert_problem(react("a", JSON, "[1]").await, 422, "malformed").await;
    assert_problem(react("a", JSON, r#"{"emoji":"no"}"#).await, 422, "unknown-emoji").await;
    assert_problem(react("a", JSON, r#"{"emoji":"🔥","count":0}"#).await, 422, "bad-count").await;
    assert_problem(react("a", JSON, "x".repeat(1_001)).await, 413, "too-large").await;
    assert_problem(react("a", None, r#"{"emoji":"🔥"}"#).await, 415, "unsupported-media-type").await;
    assert_problem(react("a", Some("text/plain"), r#"{"emoji":"🔥"}"#).await, 415, "unsupported-media-type")
        .await;
    assert_problem(react("%20", JSON, r#"{"emoji":"🔥"}"#).await, 422, "bad-room").await;
    assert_problem(react("%ff", JSON, r#"{"emoji":"🔥"}"#).await, 400, "bad-request").await;
    assert_problem(react(&"r".repeat(65), JSON, r#"{"emoji":"🔥"}"#).await, 422, "bad-room").await;
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    assert_problem(get("/nothing").await, 404, "not-found").await;
    assert_problem(get("/v1/rooms/a/b/c").await, 404, "not-found").await;
    let delete = Request::builder().method(Method::DELETE).uri("/v1/rooms/a/reactions");
    let response = answer(delete.body(Body::empty()).expect("a request")).await;
    assert_eq!(response.headers()[header::ALLOW], "POST");
    assert_problem(response, 405, "method-not-allowed").await;
    assert_problem(get("/v1/rooms/a/feed").await, 400, "websocket-expected").await;
}

#[tokio::test]
async fn broker_away_is_503_with_retry_after_and_the_id_to_retry_with() {
    let response = react("a", JSON, r#"{"emoji":"🔥","id":"mine"}"#).await;
    let seconds = response.headers()[header::RETRY_AFTER].to_str().expect("text").parse::<u64>();
    assert!(seconds.is_ok_and(|seconds| seconds > 0));
    let problem = assert_problem(response, 503, "broker-unavailable").await;
    assert_eq!(problem["id"], "mine");
}

#[tokio::test]
async fn readiness_names_each_part() {
    let response = get("/readyz").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let ready = json(response).await;
    assert_eq!(ready["ready"], false);
    let parts: Vec<_> = ready["parts"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|part| (part["name"].clone(), part["ready"].clone()))
        .collect();
    assert_eq!(
        parts,
        [("producer".into(), false.into()), ("hub".into(), false.into()), ("engine".into(), true.into())]
    );
    assert_eq!(get("/healthz").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_quiet_room_has_an_empty_snapshot() {
    let snapshot = json(get("/v1/rooms/quiet").await).await;
    assert_eq!(
        (&snapshot["type"], &snapshot["room"], &snapshot["watching"]),
        (&"snapshot".into(), &"quiet".into(), &0.into())
    );
    assert_eq!(json(get("/v1/rooms").await).await, serde_json::json!({ "rooms": [] }));
}

#[tokio::test]
async fn pages_load_nothing_from_elsewhere() {
    for path in ["/", "/r/lobby"] {
        let response = get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().expect("text").to_owned();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let page = text(response).await;
        assert!(!page.contains("<style") && !page.contains("style=") && !page.contains("//"), "{path}");
        for link in page.split(['"', '\'']).filter(|link| link.starts_with("/assets/")) {
            assert_eq!(get(link).await.status(), StatusCode::OK, "{link}");
        }
    }
}

#[tokio::test]
async fn the_docs_load_nothing_from_elsewhere() {
    let page = text(get("/docs").await).await;
    assert!(!page.contains("<style") && !page.contains("style=") && !page.contains("<script>"));
    let links = page.split(['"', '\'']).filter(|link| link.starts_with('/'));
    for link in links.filter(|link| *link != "/openapi.json" && !link.starts_with("//")) {
        assert_eq!(get(link).await.status(), StatusCode::OK, "{link}");
    }
    for attribute in ["src=\"", "href=\""] {
        for link in page.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(link.starts_with(['/', '#']), "{link}");
        }
    }
}

#[tokio::test]
async fn pages_of_any_origin_may_load_the_client_and_its_types() {
    for (path, kind) in [
        ("/ovation.js", "text/javascript; charset=utf-8"),
        ("/ovation.d.ts", "application/typescript; charset=utf-8"),
        ("/ovation-api.d.ts", "application/typescript; charset=utf-8"),
    ] {
        let response = get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let headers = response.headers();
        assert_eq!(headers[header::CONTENT_TYPE], kind);
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert_eq!(headers["cross-origin-resource-policy"], "cross-origin");
    }
    assert!(!get("/assets/room.js").await.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
}

#[tokio::test]
async fn the_front_page_leads_to_a_room() {
    let response = get("/?room=final-2026").await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(response.headers()[header::LOCATION], "/r/final-2026");
    assert_problem(get("/?room=a%2Fb").await, 422, "bad-room").await;
    assert_problem(get("/r/-").await, 422, "bad-room").await;
}

#[tokio::test]
async fn metrics_are_what_the_process_says() {
    let answer = get("/metrics").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(
        answer.headers()[header::CONTENT_TYPE]
            .to_str()
            .expect("text")
            .starts_with("application/openmetrics-text")
    );
    assert_eq!(text(answer).await, "ovation_tasks 2\n# EOF\n");
}

#[tokio::test]
async fn a_process_without_a_gateway_tells_of_its_health_too() {
    let waits = || vec![Part { name: "engine".into(), ready: false, detail: "starting".into() }];
    let router = health::router(Hooks { readiness: Arc::new(waits), ..Hooks::default() });
    let ask = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        router.clone().oneshot(request).await.expect("infallible")
    };
    assert_eq!(ask("/healthz").await.status(), StatusCode::OK);
    let answer = ask("/readyz").await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(json(answer).await["parts"][0]["detail"], "starting");
    assert_eq!(text(ask("/metrics").await).await, "# EOF\n");
    assert_eq!(ask("/v1/rooms").await.status(), StatusCode::NOT_FOUND);
}
