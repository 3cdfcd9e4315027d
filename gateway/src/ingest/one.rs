//! One reaction in a request.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{AppendHeaders, IntoResponse as _, Response};
use ovation_reaction::{Draft, Reason};

use super::body::{self, Taken};
use super::{json, key};
use crate::App;
use crate::access::{Action, Caller};
use crate::metrics::Way;
use crate::problem::{Kind, Problem};
use crate::room::Room;
use crate::wire::{self, Reaction, ReactionAccepted};

/// Send one reaction.
///
/// The answer comes when the broker has acknowledged it. Sent again under the same `id`, or `Idempotency-Key`, within the
/// dedup horizon it counts once.
#[utoipa::path(
    post,
    operation_id = "react",
    path = "/v1/rooms/{room}/reactions",
    tag = "reactions",
    params(Room, ("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, description = "The reaction's id, where the body has none.")),
    request_body(content((Reaction = "application/json"), (Reaction = "text/plain"))),
    responses(
        (status = 200, description = "The broker has it.", body = ReactionAccepted),
        (status = "default", description = "A problem.", body = wire::Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn post(
    State(app): State<Arc<App>>,
    caller: Caller,
    room: Room,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.may(Action::React, &room)?;
    let config = &app.config.ingest;
    let taken =
        Taken { lines: false, bytes_max: config.body_bytes_max, inflated_bytes_max: config.body_bytes_max };
    let key = key::key_in(&headers)?;
    let body = body::read(taken, config, &app.decoders, &headers, body).await?;
    let admitted = json::read(&body, config.json_depth_max).and_then(|draft: Draft<'_>| match &draft.room {
        Some(other) if other != room.as_str() => {
            let detail = "the body names another room than the path; leave `room` out";
            Err(Problem::of(Kind::of(Reason::BadRoom), detail))
        }
        _ => app.admit(caller.sender(), Draft { room: Some(room.as_str().into()), ..draft }, key),
    });
    let headers = admitted.as_ref().ok().and_then(|admitted| app.buckets.headers(&admitted.left));
    let taken = app.take(Way::One, admitted.map(|admitted| admitted.reaction)).await?;
    Ok((headers.map(AppendHeaders), Json(ReactionAccepted::from(taken))).into_response())
}
