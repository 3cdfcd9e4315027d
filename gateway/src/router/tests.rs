//! Every answer that needs no broker, through the router.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use axum::response::Response;
use ovation_client::Cluster;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::*;
use crate::config::Config;
use crate::health::{Hooks, Part};

/// A router whose broker is not there: port 1 refuses.
fn router_without_broker() -> Router {
    let mut config = Config::new(Cluster::new("127.0.0.1:1"));
    config.ingest.body_bytes_max = 1_000;
    let engine = || vec![Part { name: "engine".into(), ready: true, detail: "2 tasks".into() }];
    let metrics = |registry: &mut Registry| {
        let tasks = Gauge::<i64>::default();
        tasks.set(2);
        registry.register("ovation_tasks", "Tasks", tasks);
    };
    let hooks = Hooks { readiness: Arc::new(engine), metrics: Arc::new(metrics), ..Hooks::default() };
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
    assert_problem(react("a", Some("text/html"), r#"{"emoji":"🔥"}"#).await, 415, "unsupported-media-type")
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
async fn history_is_refused_before_the_broker_is_asked_and_unavailable_without_it() {
    let csv = |query: &str, accept: &str| {
        let request = Request::get(format!("/v1/rooms/a/history{query}")).header(header::ACCEPT, accept);
        answer(request.body(Body::empty()).expect("a request"))
    };
    assert_problem(csv("?from=x", "text/csv").await, 422, "bad-range").await;
    assert_problem(csv("?step=x", "application/json").await, 422, "bad-step").await;
    assert_problem(csv("?to=1&to=2", "text/csv").await, 400, "bad-request").await;
    assert_problem(csv("", "text/html").await, 406, "not-acceptable").await;
    let response = csv("", "text/csv").await;
    assert!(response.headers().contains_key(header::RETRY_AFTER));
    let problem = assert_problem(response, 503, "history-unavailable").await;
    assert!(
        !problem["detail"].to_string().contains("127.0.0.1"),
        "where the broker is, is nobody's business"
    );
}

#[tokio::test]
async fn histories_are_read_as_many_at_a_time_as_may_be() {
    let config = Config::new(Cluster::new("127.0.0.1:1"));
    let app = App::new(config, Hooks::default(), CancellationToken::new());
    let places = u32::try_from(app.config.history.requests_max).expect("a few");
    let held = app.histories.try_acquire_many(places).expect("all of them");
    let request = || Request::get("/v1/rooms/a/history").body(Body::empty()).expect("a request");
    let router = router(Arc::clone(&app));
    let full = router.clone().oneshot(request()).await.expect("infallible");
    assert!(full.headers().contains_key(header::RETRY_AFTER));
    assert_problem(full, 503, "too-many-histories").await;
    drop(held);
    let tried = router.oneshot(request()).await.expect("infallible");
    assert_problem(tried, 503, "history-unavailable").await;
    assert_eq!(app.histories.available_permits(), places as usize, "what failed holds no place");
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
        [
            ("producer".into(), false.into()),
            ("hub".into(), false.into()),
            ("rooms".into(), true.into()),
            ("moments".into(), false.into()),
            ("engine".into(), true.into())
        ]
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
async fn a_rooms_page_may_be_framed_by_those_who_may_use_the_gateway() {
    let policy = async |origins: &[&str], path: &str| {
        let mut config = Config::new(Cluster::new("127.0.0.1:1"));
        config.access.origins = origins.iter().map(|text| text.parse().expect("an origin")).collect();
        let router = router(App::new(config, Hooks::default(), CancellationToken::new()));
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let response = router.oneshot(request).await.expect("infallible");
        let policies = response.headers().get_all(header::CONTENT_SECURITY_POLICY);
        let policies: Vec<_> = policies.iter().map(|policy| policy.to_str().expect("text")).collect();
        let [policy] = policies[..] else { panic!("one policy: {policies:?}") };
        assert!(policy.starts_with("default-src 'none'"));
        let (_, ancestors) = policy.split_once("frame-ancestors ").expect("said");
        ancestors.to_owned()
    };
    let origins = ["https://live.example", "https://*.example.com:*"];
    for path in ["/r/lobby", "/s/lobby"] {
        assert_eq!(policy(&[], path).await, "'self'");
        assert_eq!(policy(&origins, path).await, "'self' https://live.example https://*.example.com:*");
        assert_eq!(policy(&["https://live.example", "*"], path).await, "*");
    }
    for path in ["/", "/docs"] {
        assert_eq!(policy(&["*"], path).await, "'self'", "{path} is nobody's frame");
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
        ("/ovation-reactions.js", "text/javascript; charset=utf-8"),
        ("/ovation-picker.js", "text/javascript; charset=utf-8"),
    ] {
        let response = get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let headers = response.headers();
        assert_eq!(headers[header::CONTENT_TYPE], kind);
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert_eq!(headers["cross-origin-resource-policy"], "cross-origin");
    }
    assert!(!get("/assets/docs.js").await.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
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
    let text = text(answer).await;
    assert!(text.contains("\novation_tasks 2\n") && text.ends_with("# EOF\n"), "{text}");
    assert!(text.contains("ovation_feed_clients 0"), "{text}");
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
    let numbers = text(ask("/metrics").await).await;
    assert!(numbers.contains("\novation_part_ready{part=\"engine\"} 0\n# EOF\n"), "{numbers}");
    assert_eq!(ask("/v1/rooms").await.status(), StatusCode::NOT_FOUND);
}

/// What the gateway did with a body for many reactions.
async fn react_many(kind: &str, encoding: Option<&str>, body: impl Into<Body>) -> Response {
    let mut request = Request::post("/v1/reactions").header(header::CONTENT_TYPE, kind);
    if let Some(encoding) = encoding {
        request = request.header(header::CONTENT_ENCODING, encoding);
    }
    answer(request.body(body.into()).expect("a request")).await
}

#[tokio::test]
async fn a_bad_item_never_sinks_its_neighbours() {
    let lines = "{\"room\":\"a\",\"emoji\":\"no\"}\n{broken\n{\"emoji\":\"🔥\"}\n{\"room\":\"a\",\"emoji\":\"🔥\",\"id\":\"mine\"}\n";
    let response = react_many("application/x-ndjson", None, lines).await;
    assert!(response.headers().contains_key(header::RETRY_AFTER));
    // The last one is good, and the broker is away: nothing was stored, for a reason that passes.
    let problem = assert_problem(response, 503, "broker-unavailable").await;
    let rejected = problem["rejected"].as_array().expect("a list");
    let names: Vec<_> = rejected.iter().map(|item| item["type"].as_str().expect("text")).collect();
    let names: Vec<_> = names.iter().filter_map(|name| name.strip_prefix("urn:ovation:problem:")).collect();
    assert_eq!(names, ["unknown-emoji", "malformed-json", "malformed", "broker-unavailable"]);
    let places: Vec<_> = rejected.iter().map(|item| item["index"].as_u64().expect("a number")).collect();
    assert_eq!(places, [0, 1, 2, 3]);
    assert_eq!((&rejected[3]["id"], &rejected[3]["status"]), (&"mine".into(), &503.into()));

    let response = react_many("application/json", None, r#"[{"room":"a","emoji":"no"},7]"#).await;
    assert_eq!(response.status(), StatusCode::OK);
    let answer = json(response).await;
    assert_eq!((&answer["accepted"], &answer["duplicates"]), (&0.into(), &0.into()));
    assert_eq!(answer["rejected"].as_array().expect("a list").len(), 2);
    let response = react_many("text/plain;charset=UTF-8", None, "[]").await;
    assert_eq!(json(response).await, serde_json::json!({"accepted":0,"duplicates":0,"rejected":[]}));
}

#[tokio::test]
async fn a_batch_is_bounded_as_a_whole() {
    assert_problem(react_many("application/json", None, "[1").await, 400, "malformed-json").await;
    assert_problem(react_many("application/json", None, "").await, 400, "malformed-json").await;
    assert_problem(
        react_many("application/json", None, format!("[{}7]", "7,".repeat(1_000))).await,
        413,
        "too-many-items",
    )
    .await;
    assert_problem(react_many("application/json", None, "7".repeat(300_000)).await, 413, "too-large").await;
    assert_problem(react_many("text/csv", None, "[]").await, 415, "unsupported-media-type").await;
    let response = react_many("application/json", Some("deflate"), "[]").await;
    assert_eq!(response.headers()[header::ACCEPT_ENCODING], "gzip, zstd, br");
    assert_problem(response, 415, "unsupported-encoding").await;
    assert_problem(react_many("application/json", Some("gzip, br"), "[]").await, 415, "unsupported-encoding")
        .await;
    for encoding in ["gzip", "zstd", "br"] {
        assert_problem(
            react_many("application/json", Some(encoding), "no such thing").await,
            400,
            "malformed-json",
        )
        .await;
    }
}

#[tokio::test]
async fn compressed_batches_are_read_and_bombs_are_not() {
    use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZstdEncoder};
    use tokio::io::AsyncWriteExt as _;

    async fn pack(encoding: &str, plain: &[u8]) -> Vec<u8> {
        macro_rules! with {
            ($encoder:ident) => {{
                let mut encoder = $encoder::new(Vec::new());
                encoder.write_all(plain).await.expect("packs");
                encoder.shutdown().await.expect("packs");
                encoder.into_inner()
            }};
        }
        match encoding {
            "gzip" => with!(GzipEncoder),
            "zstd" => with!(ZstdEncoder),
            _ => with!(BrotliEncoder),
        }
    }

    for encoding in ["gzip", "zstd", "br"] {
        let batch = pack(encoding, br#"[{"room":"a","emoji":"no"}]"#).await;
        let answer = json(react_many("application/json", Some(encoding), batch).await).await;
        assert_eq!(answer["rejected"][0]["type"], "urn:ovation:problem:unknown-emoji", "{encoding}");
        // 64 MiB of spaces are a few kilobytes.
        let bomb = pack(encoding, &vec![b' '; 64 << 20]).await;
        assert!(bomb.len() < 256 * 1024);
        let problem =
            assert_problem(react_many("application/json", Some(encoding), bomb).await, 413, "too-large")
                .await;
        assert!(
            problem["detail"].as_str().is_some_and(|detail| detail.contains("after decompression")),
            "{encoding}"
        );
    }
}

#[tokio::test]
async fn answers_are_json_and_carry_the_id_of_the_request() {
    let ask = |accept: &'static str| {
        Request::get("/v1/rooms").header(header::ACCEPT, accept).header("x-request-id", "edge-7")
    };
    let response = answer(ask("text/html").body(Body::empty()).expect("a request")).await;
    assert_eq!(response.headers()["x-request-id"], "edge-7");
    assert_problem(response, 406, "not-acceptable").await;
    let response = answer(ask("*/*").body(Body::empty()).expect("a request")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(get("/nothing").await.headers().contains_key("x-request-id"));
    // Pages are for browsers.
    let page = Request::get("/").header(header::ACCEPT, "text/html").body(Body::empty()).expect("a request");
    assert_eq!(answer(page).await.status(), StatusCode::OK);
}

/// The committed document, for reading and for generators.
const OPENAPI: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");

#[tokio::test]
async fn the_committed_openapi_document_is_the_one_that_is_served() {
    let app = App::new(Config::new(Cluster::new("127.0.0.1:1")), Hooks::default(), CancellationToken::new());
    let request = Request::get("/openapi.json").body(Body::empty()).expect("a request");
    let response = router(app).oneshot(request).await.expect("infallible");
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    let served = text(response).await + "\n";
    assert!(!served.contains(": null"), "members that are not there are left out");
    if std::env::var_os("OVATION_UPDATE").is_some_and(|value| value == "1") {
        std::fs::write(OPENAPI, &served).expect("the file can be written");
    }
    let committed = std::fs::read_to_string(OPENAPI).unwrap_or_default();
    assert!(committed == served, "docs/openapi.json is another one; run the test with OVATION_UPDATE=1");
}

#[tokio::test]
async fn limits_in_the_document_are_those_in_force() {
    let mut config = Config::new(Cluster::new("127.0.0.1:1"));
    config.ingest.rules.limits.count_max = 7;
    let router = router(App::new(config, Hooks::default(), CancellationToken::new()));
    let request = Request::get("/openapi.json").body(Body::empty()).expect("a request");
    let document = json(router.oneshot(request).await.expect("infallible")).await;
    assert_eq!(document["components"]["schemas"]["Reaction"]["properties"]["count"]["maximum"], 7);
    let limits = document["x-limits"].as_array().expect("a list");
    assert!(limits.iter().any(|limit| limit["name"] == "count-max" && limit["value"] == 7));
}

#[tokio::test]
async fn the_document_says_where_a_token_is_needed() {
    let secret = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(secret.path(), "0123456789abcdef0123456789abcdef").expect("the file can be written");
    let mut config = Config::new(Cluster::new("127.0.0.1:1"));
    config.access.keys = Some(crate::KeysFile::read(secret.path()).expect("a key"));
    let router = router(App::new(config, Hooks::default(), CancellationToken::new()));
    let request = Request::get("/openapi.json").body(Body::empty()).expect("a request");
    let document = json(router.oneshot(request).await.expect("infallible")).await;
    assert_eq!(document["security"], serde_json::json!([{ "token": [] }]));
    let of = |path: &str, method: &str| document["paths"][path][method]["security"].clone();
    assert_eq!(of("/healthz", "get"), serde_json::json!([]));
    assert_eq!(of("/v1/rooms/{room}/feed", "get"), serde_json::json!([{}, { "token": [] }]));
    assert_eq!(of("/v1/reactions", "post"), serde_json::Value::Null);
}

#[test]
fn every_kind_of_problem_is_documented() {
    let docs = include_str!("../../../docs/ingest.md");
    for kind in crate::problem::ALL {
        let row = format!("| {} | `{}` | {}. {} |", kind.status, kind.name, kind.title, kind.about);
        assert!(docs.lines().any(|line| line == row), "docs/ingest.md lacks: {row}");
    }
}

#[tokio::test]
async fn operators_have_an_address_of_their_own() {
    let mut config = Config::new(Cluster::new("127.0.0.1:1"));
    config.operator_routes = false;
    let app = App::new(config, Hooks::default(), CancellationToken::new());
    let ask = async |router: Router, path: &str| {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        router.oneshot(request).await.expect("infallible")
    };
    for path in ["/metrics", "/admin/rooms"] {
        assert_problem(ask(router(Arc::clone(&app)), path).await, 404, "not-found").await;
    }
    let operators = operator::router(&app);
    assert_eq!(ask(operators.clone(), "/metrics").await.status(), StatusCode::OK);
    assert_eq!(ask(operators.clone(), "/healthz").await.status(), StatusCode::OK);
    // Without keys nobody is an admin, also not on this machine.
    assert_problem(ask(operators.clone(), "/admin/rooms").await, 403, "forbidden").await;
    assert_problem(ask(operators, "/v1/rooms").await, 404, "not-found").await;
}

#[tokio::test]
async fn a_body_may_not_name_another_room() {
    assert_problem(react("a", JSON, r#"{"emoji":"🔥","room":"b"}"#).await, 422, "bad-room").await;
    assert_problem(react("a", JSON, r#"{"emoji":"🔥","room":"a"}"#).await, 503, "broker-unavailable").await;
}
