//! What operators are told, through the routers.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use ovation_client::Cluster;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::*;
use crate::{App, Config, Hooks, operator, router};

/// A stage with one task.
pub(crate) fn stage() -> StageStatus {
    let task = TaskStatus {
        partition: 0,
        state: "running".into(),
        role: "active".into(),
        error: None,
        offset: 1_234,
        lag: 4,
        watermark: Some(1_795_426_840_000),
        checkpoint_at: None,
    };
    StageStatus {
        stage: "reactions".into(),
        source: "emoji-events".into(),
        sink: "emoji-aggregates".into(),
        partitions: vec![task],
    }
}

fn app(operator_routes: bool) -> Arc<App> {
    let config = Config { operator_routes, ..Config::new(Cluster::new("127.0.0.1:1")) };
    let hooks = Hooks { stages: Arc::new(|| Some(vec![stage()])), ..Hooks::default() };
    App::new(config, hooks, CancellationToken::new())
}

async fn ask(router: Router) -> (StatusCode, Value) {
    let request = Request::get(ROUTE).body(Body::empty()).expect("a request");
    let response = router.oneshot(request).await.expect("infallible");
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    (status, serde_json::from_slice(&body).expect("JSON"))
}

/// The answer of a gateway with an engine, without a broker.
pub(crate) fn told() -> String {
    answer(&crate::fuzzing::APP).replace(r#""stages":null"#, &format!(r#""stages":[{}]"#, stage_json()))
}

fn stage_json() -> String {
    serde_json::to_string(&stage()).expect("JSON")
}

#[tokio::test]
async fn without_keys_it_is_told_where_only_operators_can_ask() {
    let (status, told) = ask(router::router(app(true))).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(told["ingest"], serde_json::json!({"reactions_per_s": 0.0, "taps_per_s": 0.0}));
    assert_eq!(told["stages"], serde_json::json!([stage()]));
    assert_eq!(told["rejects"], Value::Null, "no topic was found");
    let open = app(false);
    let (status, problem) = ask(router::router(Arc::clone(&open))).await;
    assert_eq!((status, &problem["type"]), (StatusCode::FORBIDDEN, &"urn:ovation:problem:forbidden".into()));
    assert_eq!(ask(operator::router(&open)).await.0, StatusCode::OK);
}
