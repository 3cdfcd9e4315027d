//! Health: is the process there, and is each of its parts ready?

use std::fmt;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
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
}

impl Default for Hooks {
    fn default() -> Self {
        Self { readiness: Arc::new(Vec::new) }
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
    ];
    parts.extend((app.hooks.readiness)());
    let ready = parts.iter().all(|part| part.ready);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = Json(serde_json::json!({ "ready": ready, "parts": parts }));
    (status, [(header::CACHE_CONTROL, "no-store")], body).into_response()
}
