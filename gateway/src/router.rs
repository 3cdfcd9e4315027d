//! Routes.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::problem::Problem;
use crate::room::Room;
use crate::{App, feed, health, ingest, page};

/// All routes of the gateway.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/v1/rooms", get(rooms))
        .route("/v1/rooms/{room}", get(snapshot))
        .route("/v1/rooms/{room}/reactions", post(ingest::post))
        .route("/v1/rooms/{room}/feed", get(feed::get))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .merge(page::router())
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .with_state(app)
}

/// `GET /v1/rooms/{room}`: the snapshot object.
async fn snapshot(State(app): State<Arc<App>>, room: Room) -> Response {
    json(app.hub.snapshot(room.as_str()))
}

/// `GET /v1/rooms`: active rooms, the last active first.
async fn rooms(State(app): State<Arc<App>>) -> Response {
    json(format!(r#"{{"rooms":{}}}"#, app.hub.rooms()))
}

fn json(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body).into_response()
}

#[cfg(test)]
mod tests;
