//! Health: is the process there, is each of its parts ready, and how is it doing in numbers?

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use crate::App;

/// One part's answer to "ready?".
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// A short stable name, such as `engine`.
    pub name: String,
    /// Whether it does its work now.
    pub ready: bool,
    /// A sentence for the operator; may be empty.
    pub detail: String,
}

/// What the process around the gateway adds to it.
#[derive(Clone)]
pub struct Hooks {
    /// Parts outside the gateway that `/readyz` names too. Called for each request: must not block.
    pub readiness: Arc<dyn Fn() -> Vec<Part> + Send + Sync>,
    /// What `/metrics` answers, as OpenMetrics text. Called for each request: must not block.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

impl Default for Hooks {
    fn default() -> Self {
        // An empty exposition is one line.
        Self { readiness: Arc::new(Vec::new), metrics: Arc::new(|| "# EOF\n".to_owned()) }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Hooks").finish_non_exhaustive()
    }
}

/// `GET /healthz`: the process answers.
pub(crate) async fn healthz() -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(serde_json::json!({ "status": "ok" }))).into_response()
}

/// `GET /readyz`: 200 when each part is ready, else 503; names each part either way.
pub(crate) async fn readyz(State(app): State<Arc<App>>) -> Response {
    let producer = app.producer.is_ready();
    let mut parts = vec![
        Part {
            name: "producer".into(),
            ready: producer,
            detail: if producer {
                String::new()
            } else {
                format!("no connection to {}", app.config.cluster.endpoint())
            },
        },
        app.standing.part(),
        app.rooms.part(),
    ];
    parts.extend((app.hooks.readiness)());
    readiness(&parts)
}

/// `GET /metrics`.
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Response {
    exposition(&app.hooks)
}

/// The routes of this file for a process without a gateway.
pub(crate) fn router(hooks: Hooks) -> Router {
    let ready = hooks.clone();
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(async move || readiness(&(ready.readiness)())))
        .route("/metrics", get(async move || exposition(&hooks)))
}

fn exposition(hooks: &Hooks) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")], (hooks.metrics)()).into_response()
}

fn readiness(parts: &[Part]) -> Response {
    let ready = parts.iter().all(|part| part.ready);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = Json(serde_json::json!({ "ready": ready, "parts": parts }));
    (status, [(header::CACHE_CONTROL, "no-store")], body).into_response()
}
