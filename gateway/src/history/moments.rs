//! The moments of a room, as the moment topic has them: the latest revision of each.
//!
//! Moments are few, so the end of the room's partition is read at once, and the answer is made of that.

mod found;
pub(crate) mod fuzzing;
mod query;
mod write;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query as UrlQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use tokio::time::timeout;

use self::found::Found;
use self::query::{Params, Query};
use super::log::{ANSWER_BYTES, Trouble};
use super::{problem, respond};
use crate::access::{Action, Caller};
use crate::ingest::now_ms;
use crate::problem::Problem;
use crate::room::Room;
use crate::{App, wire};

/// The route, as the router has it.
pub(crate) const ROUTE: &str = "/v1/rooms/{room}/moments";

/// What a room's moments were.
///
/// The moments that begin in a range of time, oldest first, each in its latest revision. Where there is no topic with moments there are
/// none. An answer that reaches its limit ends with `next`, the query that goes on.
#[utoipa::path(
    get,
    operation_id = "moments",
    path = "/v1/rooms/{room}/moments",
    tag = "rooms",
    params(
        Room,
        ("from" = Option<String>, Query, nullable = false, example = "2026-07-19T20:00:00Z",
            pattern = r"^([0-9]+|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[-+][0-9]{2}:[0-9]{2}))$",
            description = "First start of a moment that is wanted, in ms since 1970 or as RFC 3339; an hour before `to` if it is left out."),
        ("to" = Option<String>, Query, nullable = false, example = "1784494800000",
            pattern = r"^([0-9]+|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[-+][0-9]{2}:[0-9]{2}))$",
            description = "First start that is not wanted any more; now if it is left out."),
        ("limit" = Option<u32>, Query, nullable = false, minimum = 1, maximum = 1_000,
            description = "Most moments in the answer."),
        ("after" = Option<String>, Query, nullable = false, min_length = 1, pattern = "^[A-Za-z0-9_-]+$",
            description = "Where an earlier answer ended: from its `next`, with the rest of that query."),
        ("format" = Option<String>, Query, nullable = false, pattern = "^(json|csv)$",
            description = "`json` or `csv`; what `Accept` prefers if it is left out."),
    ),
    responses(
        (status = 200, description = "CSV has a row for each moment.",
            content((wire::Moments = "application/json"), (String = "text/csv"))),
        (status = "default", description = "A problem.", body = wire::Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    caller: Caller,
    room: Room,
    headers: HeaderMap,
    params: Result<UrlQuery<Params>, QueryRejection>,
) -> Result<Response, Problem> {
    caller.may(Action::Watch, &room)?;
    let UrlQuery(params) = params.map_err(|error| Problem::bad_request(error.body_text()))?;
    let config = &app.config.history;
    let query = Query::read(params, &headers, now_ms(), config)?;
    let _place = app.histories.try_acquire().map_err(|_| Problem::too_many_histories())?;
    let reading = timeout(config.deadline, read(&app, room.as_str(), &query));
    let found = match reading.await {
        Ok(Ok(found)) => found,
        Ok(Err(trouble)) => return Err(problem(&trouble)),
        Err(_) => return Err(Problem::history_unavailable("the topic was not read in time")),
    };
    let (moments, last) = found.into_answer(query.limit);
    let next = last.map(|last| query.next(&last));
    let body = write::answer(room.as_str(), &query, &moments, next.as_deref());
    Ok(respond(query.format, &format!("{}-moments", room.as_str()), Body::from(body)))
}

/// Reads the end of the partition that the room is in.
async fn read(app: &App, room: &str, query: &Query) -> Result<Found, Trouble> {
    let mut found = Found::new(query);
    let cluster = &app.config.cluster;
    let Some(topic) = &app.config.moments_topic else { return Ok(found) };
    // A topic that is not there has no moments.
    let partitions = cluster.partitions(topic).await?.filter(|partitions| *partitions > 0);
    let Some(partitions) = partitions else { return Ok(found) };
    let partition = ovation_client::partition_of_key(room.as_bytes(), partitions);
    let held = ovation_client::bounds(cluster, topic, partition).await?;
    let start = held.end.saturating_sub(i64::from(app.config.history.moments_records_max)).max(held.start);
    // The fence refuses whole batches, but offsets may have holes all the same (docs/fluvio.md 23).
    let scan = ovation_client::Scan::new(cluster, topic, partition, start..held.end, false);
    let mut scan = scan.answers_of(ANSWER_BYTES);
    while let Some(records) = scan.next().await? {
        for record in records {
            found.take(room, &record);
        }
    }
    Ok(found)
}

#[cfg(test)]
pub(crate) mod tests;
