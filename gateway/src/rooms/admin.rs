//! Admin calls: rooms' settings are looked at and changed. For the admin address, not for the public one.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::record::{Own, Wish, WishError};
use super::{RoomSettings, Settings};
use crate::ingest;
use crate::problem::Problem;
use crate::room::Room;

/// Largest body, in bytes: 256 emoji take a tenth of it.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Arrays and objects within each other in a body: an object with a list.
const JSON_DEPTH_MAX: usize = 2;

/// Rooms in one answer; the next ones are asked for with `?after=`.
const ROOMS_LISTED_MAX: usize = 1_000;

/// Says who calls, if the caller may: as the admin of a room, or of all where none is given. Must not block.
pub(crate) type MayAdmin = Arc<dyn Fn(&HeaderMap, Option<&Room>) -> Result<String, Problem> + Send + Sync>;

/// What the handlers share.
#[derive(Clone)]
struct Admin {
    settings: Arc<RoomSettings>,
    may: MayAdmin,
}

/// The routes below `/admin/rooms`.
pub(crate) fn router(settings: Arc<RoomSettings>, may: MayAdmin) -> Router {
    Router::new()
        .route("/admin/rooms", get(list))
        .route("/admin/rooms/{room}", get(show).put(put).delete(delete))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Admin { settings, may })
}

/// Where a list goes on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    /// The last room of the page before.
    #[serde(default)]
    after: String,
}

/// `GET /admin/rooms`: all rooms with settings of their own, by name.
async fn list(
    State(admin): State<Admin>,
    headers: HeaderMap,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct List {
        rooms: Vec<Settings>,
        /// What `after` has to be for the next page.
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    }

    (admin.may)(&headers, None)?;
    let Query(page) = page.map_err(|error| Problem::bad_request(error.body_text()))?;
    let mut names = admin.settings.own_rooms(&page.after, ROOMS_LISTED_MAX + 1);
    let more = names.len() > ROOMS_LISTED_MAX;
    names.truncate(ROOMS_LISTED_MAX);
    let next = names.last().filter(|_| more).cloned();
    let rooms = names.iter().map(|name| admin.settings.settings_of(name)).collect();
    Ok(answer(&List { rooms, next }))
}

/// `GET /admin/rooms/{room}`.
async fn show(State(admin): State<Admin>, headers: HeaderMap, room: Room) -> Result<Response, Problem> {
    (admin.may)(&headers, Some(&room))?;
    Ok(answer(&admin.settings.settings_of(room.as_str())))
}

/// `PUT /admin/rooms/{room}`: the room's own settings are these, instead of those that it had.
async fn put(
    State(admin): State<Admin>,
    headers: HeaderMap,
    room: Room,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let by = (admin.may)(&headers, Some(&room))?;
    let body = body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(BODY_BYTES_MAX),
        _ => Problem::bad_request(error.body_text()),
    })?;
    let wish: Wish = ingest::read_json(&body, JSON_DEPTH_MAX)?;
    let own = wish.own(&by).map_err(|error| match error {
        WishError::Empty => {
            Problem::malformed("say `open`, `emoji` or both; DELETE takes a room's settings away")
        }
        WishError::Emoji(detail) => Problem::bad_emoji_list(detail),
    })?;
    let settings = admin.settings.change(&room, &own).await?;
    let listed = settings.emoji.as_ref().map(Vec::len);
    tracing::info!(by, room = room.as_str(), open = settings.open, emoji = listed, "room settings changed");
    Ok(answer(&settings))
}

/// `DELETE /admin/rooms/{room}`: the room is as the file says.
async fn delete(State(admin): State<Admin>, headers: HeaderMap, room: Room) -> Result<Response, Problem> {
    let by = (admin.may)(&headers, Some(&room))?;
    let settings = admin.settings.change(&room, &Own::none(&by)).await?;
    tracing::info!(by, room = room.as_str(), "room settings taken away");
    Ok(answer(&settings))
}

fn answer(body: &impl Serialize) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}
