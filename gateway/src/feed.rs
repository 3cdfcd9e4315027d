//! The feed: updates out, by WebSocket or as server-sent events; reactions in, by WebSocket.
//!
//! - A client's [choice] says what it wants to see, and in which [form](crate::form).
//! - Its [reading](reading) says where it is: no updates are held for a client, only its place among those of the hub.
//! - Its [line] is the way out, and a [crowd] hands an update to all lines of a room at once.

mod choice;
mod client;
mod crowd;
pub(crate) mod echo;
pub(crate) mod end;
mod entrance;
mod events;
mod frames;
pub(crate) mod fuzzing;
mod handshake;
mod line;
pub(crate) mod message;
pub(crate) mod metrics;
mod reading;
mod replay;

use std::sync::Arc;

use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use serde_json::value::RawValue;

use self::choice::{Asked, AskedRooms, Choice, Scope};
pub(crate) use self::choice::{EVERY_MAX, EVERY_MIN, ROOMS_PER_FEED_MAX};
use self::client::{Arrival, Client, Socket};
pub(crate) use self::crowd::Crowds;
use self::entrance::Pass;
use self::frames::Frames;
use self::handshake::{Handshake, Opened};
use self::line::Line;
use crate::access::{Address, Caller};
use crate::form::Carrier;
use crate::ingest::Taken;
use crate::problem::Problem;
use crate::room::Room;
use crate::{App, wire};

/// Routes that answer with events.
pub(crate) const EVENT_ROUTES: [&str; 2] = ["/v1/rooms/{room}/events", "/v1/events"];

/// Follow a room, and react in it: a WebSocket.
///
/// First comes a snapshot, or what came after the cursor; then every update. Messages are JSON objects, one each; in
/// MessagePack where the client asks for the subprotocol `ovation.v1.msgpack`.
#[utoipa::path(
    get,
    operation_id = "feed",
    path = "/v1/rooms/{room}/feed",
    tag = "rooms",
    params(Room, Asked),
    responses(
        (status = 101, description = "The feed begins."),
        (status = "default", description = "A problem.", body = wire::Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    room: Room,
    request: Request,
) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let choice = Choice::of_room(&room, choice::query(&mut parts).await?)?;
    socket(app, choice, &mut parts).await
}

/// Follow several rooms: a WebSocket.
///
/// First comes a snapshot of each room, or what came after the cursor; then every update of all of them. Reactions name their
/// room.
#[utoipa::path(
    get,
    operation_id = "feedOfRooms",
    path = "/v1/feed",
    tag = "rooms",
    params(AskedRooms, Asked),
    responses(
        (status = 101, description = "The feed begins."),
        (status = "default", description = "A problem.", body = wire::Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn get_rooms(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let rooms: AskedRooms = choice::query(&mut parts).await?;
    let choice = Choice::of_rooms(&rooms, choice::query(&mut parts).await?)?;
    socket(app, choice, &mut parts).await
}

/// Follow a room: server-sent events.
///
/// The messages of the WebSocket, each with its cursor as `id`: a browser's `EventSource` resumes with `Last-Event-ID` by itself.
#[utoipa::path(
    get,
    operation_id = "events",
    path = "/v1/rooms/{room}/events",
    tag = "rooms",
    params(
        Room,
        Asked,
        ("Last-Event-ID" = Option<String>, Header, nullable = false, description = "Cursor to resume after.")
    ),
    responses(
        (status = 200, description = "Events without end.", content_type = "text/event-stream", body = String),
        (status = "default", description = "A problem.", body = wire::Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn events(
    State(app): State<Arc<App>>,
    caller: Caller,
    room: Room,
    request: Request,
) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let choice = Choice::of_room(&room, choice::query(&mut parts).await?)?;
    stream(app, choice, caller, &parts.headers).await
}

/// Follow several rooms: server-sent events.
#[utoipa::path(
    get,
    operation_id = "eventsOfRooms",
    path = "/v1/events",
    tag = "rooms",
    params(
        AskedRooms,
        Asked,
        ("Last-Event-ID" = Option<String>, Header, nullable = false, description = "Cursor to resume after.")
    ),
    responses(
        (status = 200, description = "Events without end.", content_type = "text/event-stream", body = String),
        (status = "default", description = "A problem.", body = wire::Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn events_of_rooms(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let rooms: AskedRooms = choice::query(&mut parts).await?;
    let choice = Choice::of_rooms(&rooms, choice::query(&mut parts).await?)?;
    stream(app, choice, caller, &parts.headers).await
}

async fn stream(
    app: Arc<App>,
    choice: Choice,
    caller: Caller,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let place = Arc::clone(&app.seats).try_acquire_owned().map_err(|_| Problem::too_many_clients())?;
    let scope = Scope::new(choice.rooms.clone(), Arc::clone(&caller.grant))?;
    let pass = Pass::new(caller.grant, caller.address);
    let task = app.tasks.token();
    Ok(events::answer(app, choice, scope, pass, headers, place, task).await)
}

async fn socket(
    app: Arc<App>,
    choice: Choice,
    parts: &mut axum::http::request::Parts,
) -> Result<Response, Problem> {
    let handshake = Handshake::from_request_parts(parts, &app).await?;
    let Ok(Address(address)) = Address::from_request_parts(parts, &app).await;
    let place = Arc::clone(&app.seats).try_acquire_owned().map_err(|_| Problem::too_many_clients())?;
    let shown = entrance::shown(&app, &parts.headers);
    let taste = choice.taste(Carrier::WebSocket, handshake.codec(), handshake.is_packed());
    let bytes_max = entrance::message_bytes_max(&app);
    // Held from here on, so that the drain waits also for a feed that is just being upgraded.
    let task = app.tasks.token();
    Ok(handshake.answer(async move |Opened { wire, read }| {
        let cut = app.cut.clone();
        let frames = Frames::new(bytes_max, taste.form.packed, read);
        let mut socket = Socket { line: Arc::new(Line::new(wire)), frames, form: taste.form };
        // Boxed, each part that is soon over, so that a client does not hold the space while it waits.
        let visit = async move {
            let rooms = choice.rooms.clone();
            let allow = |grant| Scope::new(rooms, grant);
            let end = match Box::pin(entrance::admit(&app, &mut socket, shown, allow)).await {
                Ok(scope) => {
                    let pass = Pass::new(Arc::clone(&scope.grant), address);
                    let arrival = Arrival { line: Arc::clone(&socket.line), pass, scope, choice, taste };
                    let mut client = Box::pin(Client::new(Arc::clone(&app), arrival)).await;
                    client.run(&mut socket).await
                }
                Err(end) => end,
            };
            app.feed_metrics.ended(end);
            Box::pin(socket.close(end, app.config.write_timeout)).await;
            drop((place, task));
        };
        cut.run_until_cancelled(Box::pin(visit)).await;
    }))
}

/// A random part of the whole, so that a crowd does not do the same in one instant.
fn chance() -> f64 {
    // Without random numbers all do the same at half the time.
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}

pub(crate) fn ack(reference: Option<&str>, taken: Option<&Taken>) -> String {
    #[derive(Serialize)]
    struct Ack<'a> {
        r#type: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        r#ref: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        duplicate: bool,
    }
    let ack = Ack {
        r#type: "ack",
        r#ref: reference,
        id: taken.map(|taken| &*taken.id),
        duplicate: taken.is_some_and(|taken| taken.is_duplicate),
    };
    // Strings always serialise.
    serde_json::to_string(&ack).unwrap_or_default()
}

pub(crate) fn error(reference: Option<&str>, problem: &Problem) -> String {
    #[derive(Serialize)]
    struct Failure<'a> {
        r#type: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        r#ref: Option<&'a str>,
        problem: Box<RawValue>,
    }
    let problem = RawValue::from_string(problem.to_json()).unwrap_or_default();
    serde_json::to_string(&Failure { r#type: "error", r#ref: reference, problem }).unwrap_or_default()
}
