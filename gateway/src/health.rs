//! Health: is the process there, is each of its parts ready, and how is it doing in numbers?

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde::Serialize;
use utoipa::ToSchema;

use crate::pipeline::StageStatus;
use crate::{App, metrics, wire};

/// One part's answer to "ready?".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
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
    /// Adds the process's own numbers to `/metrics`. Called for each request: must not block.
    pub metrics: Arc<dyn Fn(&mut Registry) + Send + Sync>,
    /// Where the stages of an engine in this process stand; none if there is no engine. Called for each request: must not
    /// block.
    pub stages: Arc<dyn Fn() -> Option<Vec<StageStatus>> + Send + Sync>,
}

impl Default for Hooks {
    fn default() -> Self {
        Self { readiness: Arc::new(Vec::new), metrics: Arc::new(|_| {}), stages: Arc::new(|| None) }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Hooks").finish_non_exhaustive()
    }
}

/// Whether the process answers.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operation",
    responses(
        (status = 200, description = "It does.", body = wire::Alive),
        (status = "default", description = "A problem.", body = wire::Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn healthz() -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(wire::Alive { status: "ok".to_owned() })).into_response()
}

/// Whether each part is ready. Names each part either way.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operation",
    responses(
        (status = 200, description = "All are.", body = Readiness),
        (status = 503, description = "At least one is not.", body = Readiness),
        (status = "default", description = "A problem.", body = wire::Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn readyz(State(app): State<Arc<App>>) -> Response {
    let mut parts = app.parts();
    parts.extend((app.hooks.readiness)());
    readiness(parts)
}

impl App {
    /// The gateway's own parts.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let ready = self.store.is_ready();
        let detail = || format!("no connection to {}", self.config.cluster.endpoint());
        let detail = if ready { String::new() } else { detail() };
        let producer = Part { name: "producer".into(), ready, detail };
        vec![producer, self.standing.part(), self.rooms.part(), self.moments.part()]
    }
}

/// `GET /metrics`.
pub(crate) async fn get_metrics(State(app): State<Arc<App>>) -> Response {
    exposition(metrics::exposition(&app))
}

/// The routes of this file for a process without a gateway.
pub(crate) fn router(hooks: Hooks) -> Router {
    let ready = hooks.clone();
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(async move || readiness((ready.readiness)())))
        .route(
            "/metrics",
            get(async move || {
                let mut registry = Registry::default();
                register(&mut registry, &(hooks.readiness)());
                (hooks.metrics)(&mut registry);
                exposition(metrics::text(&registry))
            }),
        )
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartLabel {
    part: String,
}

/// Adds which part is ready to an exposition.
pub(crate) fn register(registry: &mut Registry, parts: &[Part]) {
    let ready = Family::<PartLabel, Gauge>::default();
    for part in parts {
        ready.get_or_create(&PartLabel { part: part.name.clone() }).set(i64::from(part.ready));
    }
    registry.register("ovation_part_ready", "1 for a part of the process that does its work", ready);
}

fn exposition(text: String) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")], text).into_response()
}

/// Which part is ready.
#[derive(Serialize, ToSchema)]
struct Readiness {
    /// Whether all are.
    ready: bool,
    /// Each part.
    parts: Vec<Part>,
}

fn readiness(parts: Vec<Part>) -> Response {
    let ready = parts.iter().all(|part| part.ready);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = Json(Readiness { ready, parts });
    (status, [(header::CACHE_CONTROL, "no-store")], body).into_response()
}
