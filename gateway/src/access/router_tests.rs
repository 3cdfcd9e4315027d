//! Who may, through the router.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, Method, Request, StatusCode, header};
use axum::response::Response;
use ovation_client::Cluster;
use serde_json::json;
use tower::ServiceExt as _;

use super::*;
use crate::config::Config;
use crate::health::Hooks;
use crate::{App, router};

const SECRET: &str = "correct-horse-battery-staple-and-more";

/// A router whose broker is not there: what may react is answered 503.
fn router_with(access: AccessConfig) -> Router {
    let config = Config { access, ..Config::new(Cluster::new("127.0.0.1:1")) };
    router::router(App::new(config, Hooks::default(), CancellationToken::new()))
}

fn with_keys() -> AccessConfig {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), SECRET).expect("writes");
    AccessConfig { keys: Some(KeysFile::read(file.path()).expect("keys")), ..AccessConfig::default() }
}

fn on_loopback() -> AccessConfig {
    AccessConfig { loopback: true, ..AccessConfig::default() }
}

fn origins(list: &[&str]) -> Vec<OriginPattern> {
    list.iter().map(|text| text.parse().expect("an origin")).collect()
}

fn bearer(claims: serde_json::Value) -> String {
    let mut all = json!({"exp": now_ms() / 1_000 + 600});
    if let (Some(all), serde_json::Value::Object(claims)) = (all.as_object_mut(), claims) {
        all.extend(claims);
    }
    let key = SigningKey::secret_for_tests(SECRET.as_bytes());
    format!("Bearer {}", key.sign(&json!({"alg": "HS256"}), &all).expect("a token"))
}

type Headers<'a> = &'a [(HeaderName, &'a str)];

async fn ask(
    access: &AccessConfig,
    method: Method,
    path: &str,
    headers: Headers<'_>,
    body: &str,
) -> Response {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).expect("a request");
    router_with(access.clone()).oneshot(request).await.expect("infallible")
}

async fn get(access: &AccessConfig, path: &str, headers: Headers<'_>) -> Response {
    ask(access, Method::GET, path, headers, "").await
}

async fn react(access: &AccessConfig, room: &str, token: Option<&str>, body: &str) -> Response {
    let mut headers = vec![(header::CONTENT_TYPE, "application/json")];
    headers.extend(token.map(|token| (header::AUTHORIZATION, token)));
    ask(access, Method::POST, &format!("/v1/rooms/{room}/reactions"), &headers, body).await
}

async fn problem(response: Response) -> (u16, String, String) {
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    let problem: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    let text = |member: &str| problem[member].as_str().unwrap_or_default().to_owned();
    assert_eq!(problem["status"], status);
    (status, text("type").trim_start_matches("urn:ovation:problem:").to_owned(), text("detail"))
}

const TAP: &str = r#"{"emoji":"🔥"}"#;

#[tokio::test]
async fn without_a_token_the_answer_is_401_and_says_how() {
    let keys = with_keys();
    for path in ["/v1/rooms", "/v1/rooms/a"] {
        let response = get(&keys, path, &[]).await;
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer", "{path}");
        let (status, name, detail) = problem(response).await;
        assert_eq!((status, name.as_str()), (401, "unauthorized"), "{path}");
        assert!(detail.contains("Authorization: Bearer"), "{detail}");
    }
    let response = react(&keys, "a", Some("Bearer nonsense"), TAP).await;
    let challenge = response.headers()[header::WWW_AUTHENTICATE].to_str().expect("text").to_owned();
    assert!(challenge.starts_with(r#"Bearer error="invalid_token""#), "{challenge}");
    assert_eq!(problem(response).await.1, "unauthorized");
    let over = bearer(json!({"exp": now_ms() / 1_000 - 31, "rooms": ["*"], "allow": ["react"]}));
    let (status, _, detail) = problem(react(&keys, "a", Some(&over), TAP).await).await;
    assert_eq!((status, detail.as_str()), (401, "the token has expired"));
    // Who asks for health has no token.
    assert_eq!(get(&keys, "/healthz", &[]).await.status(), StatusCode::OK);
    assert_eq!(get(&keys, "/r/a", &[]).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_token_is_for_its_rooms_actions_and_user() {
    let keys = with_keys();
    let token = bearer(json!({"sub": "u1", "rooms": ["final-*"], "allow": ["react"]}));
    let name = async |room: &str, body: &str| {
        let (status, name, _) = problem(react(&keys, room, Some(&token), body).await).await;
        (status, name)
    };
    // As far as the broker, which is not there.
    assert_eq!(name("final-1", TAP).await, (503, "broker-unavailable".into()));
    assert_eq!(name("final-1", r#"{"emoji":"🔥","user":"u1"}"#).await, (503, "broker-unavailable".into()));
    assert_eq!(name("final-1", r#"{"emoji":"🔥","user":"u2"}"#).await, (403, "wrong-user".into()));
    assert_eq!(name("lobby", TAP).await, (403, "forbidden".into()));
    let response = get(&keys, "/v1/rooms/final-1", &[(header::AUTHORIZATION, &token)]).await;
    assert_eq!(response.headers()[header::WWW_AUTHENTICATE], r#"Bearer error="insufficient_scope""#);
    let (status, name, detail) = problem(response).await;
    assert_eq!((status, name.as_str()), (403, "forbidden"));
    assert!(detail.contains("to watch") && detail.contains("names react"), "{detail}");
    let watch = bearer(json!({"rooms": ["final-*"], "allow": ["watch"]}));
    for path in ["/v1/rooms", "/v1/rooms/final-1"] {
        assert_eq!(
            get(&keys, path, &[(header::AUTHORIZATION, &watch)]).await.status(),
            StatusCode::OK,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_page_from_elsewhere_is_refused_and_has_no_effect() {
    let one = AccessConfig { origins: origins(&["https://a.example"]), ..AccessConfig::default() };
    let status = async |access: &AccessConfig, origin: &str| {
        let headers = [
            (header::ORIGIN, origin),
            (header::HOST, "live.example"),
            (header::CONTENT_TYPE, "application/json"),
        ];
        problem(ask(access, Method::POST, "/v1/rooms/a/reactions", &headers, TAP).await).await.0
    };
    assert_eq!(status(&one, "https://a.example").await, 503);
    assert_eq!(status(&one, "https://live.example").await, 503, "its own page");
    for origin in ["https://b.example", "http://a.example", "null", "http://localhost:3000", "nonsense"] {
        assert_eq!(status(&one, origin).await, 403, "{origin}");
    }
    let response = get(&one, "/v1/rooms", &[(header::ORIGIN, "https://b.example")]).await;
    assert!(!response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
    let (_, name, detail) = problem(response).await;
    assert_eq!(name, "origin-not-allowed");
    assert!(detail.contains("--origins https://b.example"), "{detail}");
    let every = AccessConfig { origins: origins(&["*"]), ..AccessConfig::default() };
    assert_eq!(status(&every, "null").await, 503);
    // Nothing is said, and others can reach it: its own pages only.
    assert_eq!(status(&AccessConfig::default(), "http://localhost:3000").await, 403);
}

#[tokio::test]
async fn a_feed_is_refused_to_a_page_from_elsewhere_before_anything_else() {
    let headers = [
        (header::ORIGIN, "https://evil.example"),
        (header::HOST, "127.0.0.1:8080"),
        (header::UPGRADE, "websocket"),
        (header::CONNECTION, "upgrade"),
    ];
    let (status, name, _) = problem(get(&on_loopback(), "/v1/rooms/a/feed", &headers).await).await;
    assert_eq!((status, name.as_str()), (403, "origin-not-allowed"));
}

#[tokio::test]
async fn on_this_machine_pages_of_this_machine_may_until_origins_are_named() {
    let allowed = async |access: &AccessConfig, origin: &str| {
        let headers = [(header::ORIGIN, origin), (header::HOST, "127.0.0.1:8080")];
        let response = get(access, "/v1/rooms", &headers).await;
        let allowed = response.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN).cloned();
        (response.status() == StatusCode::OK)
            .then(|| allowed.expect("CORS").to_str().expect("text").to_owned())
    };
    for origin in
        ["http://localhost:5173", "http://127.0.0.1:3000", "http://[::1]:3000", "http://127.0.0.1:8080"]
    {
        assert_eq!(allowed(&on_loopback(), origin).await.as_deref(), Some(origin));
    }
    for origin in ["https://evil.example", "http://192.0.2.1", "null"] {
        assert_eq!(allowed(&on_loopback(), origin).await, None, "{origin}");
    }
    let named = AccessConfig { origins: origins(&["https://a.example"]), ..on_loopback() };
    assert_eq!(allowed(&named, "http://localhost:5173").await, None);
    assert!(allowed(&named, "https://a.example").await.is_some());
}

#[tokio::test]
async fn a_preflight_says_what_a_page_may_send() {
    let access = AccessConfig { origins: origins(&["https://*.example.com"]), ..with_keys() };
    let preflight = async |origin: &str| {
        let headers = [
            (header::ORIGIN, origin),
            (header::ACCESS_CONTROL_REQUEST_METHOD, "POST"),
            (header::ACCESS_CONTROL_REQUEST_HEADERS, "authorization,content-type"),
        ];
        ask(&access, Method::OPTIONS, "/v1/rooms/a/reactions", &headers, "").await
    };
    let response = preflight("https://a.example.com").await;
    assert_eq!(response.status(), StatusCode::OK);
    let said = |name: HeaderName| response.headers()[name].to_str().expect("text").to_owned();
    assert_eq!(said(header::ACCESS_CONTROL_ALLOW_ORIGIN), "https://a.example.com");
    assert_eq!(said(header::ACCESS_CONTROL_ALLOW_METHODS), "GET,POST,OPTIONS");
    assert_eq!(
        said(header::ACCESS_CONTROL_ALLOW_HEADERS),
        "authorization,content-type,idempotency-key,x-request-id"
    );
    assert_eq!(said(header::ACCESS_CONTROL_MAX_AGE), "3600");
    assert!(said(header::VARY).contains("origin"));
    assert!(!response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
    assert_eq!(problem(preflight("https://example.com").await).await.0, 403);
    // A page may read why it was refused.
    let response = get(&access, "/v1/rooms", &[(header::ORIGIN, "https://a.example.com")]).await;
    assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.example.com");
    let exposed =
        response.headers()[header::ACCESS_CONTROL_EXPOSE_HEADERS].to_str().expect("text").to_owned();
    assert_eq!(exposed, "retry-after,ratelimit,ratelimit-policy,x-request-id");
    assert_eq!(problem(response).await.1, "unauthorized");
}

#[tokio::test]
async fn an_open_gateway_on_this_machine_answers_to_no_other_name() {
    let status = async |access: &AccessConfig, host: &str| {
        // As a page does it that made its own name point here: the origin is the host.
        let origin = format!("http://{host}");
        let headers = [(header::HOST, host), (header::ORIGIN, origin.as_str())];
        get(access, "/v1/rooms", &headers).await.status().as_u16()
    };
    for host in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "192.0.2.1"] {
        assert_eq!(status(&on_loopback(), host).await, 200, "{host}");
    }
    for host in ["evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example:8080"] {
        assert_eq!(status(&on_loopback(), host).await, 421, "{host}");
    }
    let (_, name, detail) =
        problem(get(&on_loopback(), "/v1/rooms", &[(header::HOST, "evil.example")]).await).await;
    assert_eq!(name, "misdirected-request");
    assert!(detail.contains("--origins") && detail.contains("--open"), "{detail}");
    assert_eq!(get(&on_loopback(), "/v1/rooms", &[(header::HOST, "a b")]).await.status(), 421);
    let named = AccessConfig { origins: origins(&["https://live.example"]), ..on_loopback() };
    assert_eq!(status(&named, "live.example").await, 200);
    assert_eq!(status(&AccessConfig { open: true, ..on_loopback() }, "live.example").await, 200);
    // With keys a name gives nothing.
    assert_eq!(status(&AccessConfig { loopback: true, ..with_keys() }, "live.example").await, 401);
}
