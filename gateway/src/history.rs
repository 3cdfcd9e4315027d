//! History: the final windows of a room, as the aggregate topic has them.
//!
//! Nothing is remembered: each request finds its place in the topic and reads on from there while its answer goes out, so that
//! any gateway answers the same, for as long as the topic's retention keeps it. The answer holds the windows in the order in which they
//! became final; of one definition that is the order of their starts. Repeats and disorder in the log are put right by the results' numbers, and where
//! a newer epoch tells of a window, older ones do not.
//!
//! Every limit ends the answer early, and then it says how to go on.
//!
//! The [moments] of a room are asked for in the same way. They are few, so the end of their topic is read at once.

mod answer;
mod config;
mod log;
pub(crate) mod moments;
mod passed;
mod query;
mod result;
mod step;
#[cfg(test)]
pub(crate) mod tests;
mod write;

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query as UrlQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::try_unfold;

use self::answer::Answer;
pub use self::config::History;
use self::log::{Log, Trouble};
use self::query::{Format, Params, Query};
use crate::access::{Action, Caller};
use crate::ingest::now_ms;
use crate::problem::Problem;
use crate::room::Room;
use crate::{App, wire};

/// The route, as the router has it.
pub(crate) const ROUTE: &str = "/v1/rooms/{room}/history";

/// What a room's windows were.
///
/// The final windows that begin in a range of time, in the order in which they became final: those of one definition oldest first, each
/// once. An answer that reaches a limit ends with `next`, the query that goes on.
#[utoipa::path(
    get,
    operation_id = "history",
    path = "/v1/rooms/{room}/history",
    tag = "rooms",
    params(
        Room,
        ("from" = Option<String>, Query, nullable = false, example = "2026-07-19T20:00:00Z",
            pattern = r"^([0-9]+|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[-+][0-9]{2}:[0-9]{2}))$",
            description = "First start of a window that is wanted, in ms since 1970 or as RFC 3339; an hour before `to` if it is left out."),
        ("to" = Option<String>, Query, nullable = false, example = "1784494800000",
            pattern = r"^([0-9]+|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[-+][0-9]{2}:[0-9]{2}))$",
            description = "First start that is not wanted any more; now if it is left out."),
        ("window" = Option<String>, Query, nullable = false, example = "10s", min_length = 1, max_length = 64,
            description = "Name of the one window definition that is wanted; all if it is left out."),
        ("step" = Option<String>, Query, nullable = false, example = "1m", pattern = "^[0-9]+(ms|s|m|h|d)?$",
            description = "Adds up the tumbling windows that begin in the same step, counted from 1970: a number of ms, or one with a unit. \
                Others overlap, or have no fixed length: they come one by one."),
        ("limit" = Option<u32>, Query, nullable = false, minimum = 1, maximum = 10_000,
            description = "Most records in the answer."),
        ("after" = Option<String>, Query, nullable = false, min_length = 1, pattern = "^[A-Za-z0-9_-]+$",
            description = "Where an earlier answer ended: from its `next`, with the rest of that query."),
        ("format" = Option<String>, Query, nullable = false, pattern = "^(json|csv)$",
            description = "`json` or `csv`; what `Accept` prefers if it is left out."),
    ),
    responses(
        (status = 200, description = "Streamed as it is read. CSV has a row for each emoji of each record.",
            content((wire::History = "application/json"), (String = "text/csv"))),
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
    let place = Arc::clone(&app.histories).try_acquire_owned().map_err(|_| Problem::too_many_histories())?;
    let format = query.format;
    let until = answer::until(config.deadline);
    let begin = async {
        let log = Log::of(&app.config.cluster, &app.config.aggregates_topic, room.as_str()).await?;
        Answer::begin(log, query, config, until, place).await
    };
    let answer = match tokio::time::timeout_at(until, begin).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(trouble)) => return Err(problem(&trouble)),
        Err(_) => return Err(Problem::history_unavailable("the topic was not read in time")),
    };
    // The cut ends it, as it ends the feeds.
    let pieces = try_unfold((answer, app.cut.clone()), async |(mut answer, cut)| {
        let piece = cut.run_until_cancelled(answer.piece()).await;
        let piece = piece.ok_or_else(|| io::Error::other("the gateway ends"))?.map_err(io::Error::other)?;
        Ok::<_, io::Error>(piece.map(|piece| (piece, (answer, cut))))
    });
    Ok(respond(format, room.as_str(), Body::from_stream(pieces)))
}

/// An answer in this format; as CSV it is a file of this name.
fn respond(format: Format, name: &str, body: Body) -> Response {
    let shared = [(header::CACHE_CONTROL, "no-store"), (header::VARY, "accept")];
    match format {
        Format::Json => ([(header::CONTENT_TYPE, "application/json")], shared, body).into_response(),
        Format::Csv => {
            let name = format!("attachment; filename=\"{name}.csv\"");
            let mut response =
                ([(header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present")], shared, body)
                    .into_response();
            // A room's name fits into a header as it is.
            if let Ok(name) = HeaderValue::try_from(name) {
                response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
            }
            response
        }
    }
}

/// Why there is no answer.
fn problem(trouble: &Trouble) -> Problem {
    match trouble {
        Trouble::Renewed(_) => Problem::bad_range(trouble.to_string()),
        Trouble::Epochs(_) => Problem::history_unavailable(trouble.to_string()),
        Trouble::Client(error) => {
            // The broker's addresses are nobody's business.
            tracing::warn!(%error, "failed to read a history");
            Problem::history_unavailable("the broker does not give the aggregate topic at the moment")
        }
    }
}
