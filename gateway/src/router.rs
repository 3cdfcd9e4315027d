//! Routes.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::access::{Action, Caller, check_origin, cors_layer};
use crate::problem::Problem;
use crate::room::Room;
use crate::{App, feed, health, ingest, page};

/// All routes of the gateway.
pub(crate) fn router(app: Arc<App>) -> Router {
    let access = Arc::clone(&app.access);
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
        .layer(cors_layer(&access))
        // Around CORS: what comes from a page that may not is refused before anything else is done.
        .layer(middleware::from_fn_with_state(access, check_origin))
}

/// `GET /v1/rooms/{room}`: the snapshot object.
async fn snapshot(State(app): State<Arc<App>>, caller: Caller, room: Room) -> Result<Response, Problem> {
    caller.may(Action::Watch, &room)?;
    Ok(json(app.hub.snapshot(room.as_str())))
}

/// `GET /v1/rooms`: active rooms, the last active first, of those that the caller may watch.
async fn rooms(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, Problem> {
    caller.grant.allows(Action::Watch)?;
    let rooms = app.hub.rooms(|room| caller.grant.covers(room));
    Ok(json(format!(r#"{{"rooms":{rooms}}}"#)))
}

fn json(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body).into_response()
}

#[cfg(test)]
mod tests;
