//! Routes.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::{Action, Caller};
use crate::asset::Asset;
use crate::problem::Problem;
use crate::room::Room;
use crate::{App, api, feed, health, history, ingest, observe, operator, page, pipeline, wire};

/// All routes of the gateway.
pub(crate) fn router(app: Arc<App>) -> Router {
    let (api, document) = OpenApiRouter::with_openapi(api::Document::openapi())
        .routes(routes!(ingest::one::post))
        .routes(routes!(ingest::many::post))
        .routes(routes!(rooms))
        .routes(routes!(snapshot))
        .routes(routes!(history::get))
        .routes(routes!(history::moments::get))
        .routes(routes!(feed::get))
        .routes(routes!(feed::events))
        .routes(routes!(feed::get_rooms))
        .routes(routes!(feed::events_of_rooms))
        .routes(routes!(pipeline::get))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .split_for_parts();
    // Made of constants and numbers alone.
    let document = api::document(document, &app.config).map(|document| format!("{document:#}"));
    let document = Arc::new(Asset::new("application/json", document.unwrap_or_default()));
    let api = if app.config.operator_routes { api.merge(operator::routes(&app)) } else { api };
    api.route("/openapi.json", get(async move |headers: HeaderMap| document.answer(&headers)))
        .merge(page::router(&app.access))
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(from_fn_with_state(Arc::clone(&app), observe::enter))
        .with_state(app)
}

/// A room as it is now.
///
/// What a client of the feed gets first: the open windows and the last finals.
#[utoipa::path(
    get,
    path = "/v1/rooms/{room}",
    tag = "rooms",
    params(Room),
    responses(
        (status = 200, description = "Also of a room that nobody has reacted in yet.", body = wire::Snapshot),
        (status = "default", description = "A problem.", body = wire::Problem, content_type = "application/problem+json"),
    ),
)]
async fn snapshot(State(app): State<Arc<App>>, caller: Caller, room: Room) -> Result<Response, Problem> {
    caller.may(Action::Watch, &room)?;
    Ok(json(app.hub.object(room.as_str())))
}

/// Active rooms, the last active first; of those that the caller may watch.
#[utoipa::path(
    get,
    path = "/v1/rooms",
    tag = "rooms",
    responses(
        (status = 200, description = "At most 100.", body = wire::ActiveRooms),
        (status = "default", description = "A problem.", body = wire::Problem, content_type = "application/problem+json"),
    ),
)]
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
