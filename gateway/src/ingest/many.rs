//! Many reactions in a request: a JSON array, or a line each. A bad one never sinks its neighbours.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{AppendHeaders, IntoResponse as _, Response};
use ovation_reaction::Draft;
use serde::de::{DeserializeSeed, Deserializer as _, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::body::{self, Taken};
use super::{Admitted, Sender, json, key};
use crate::App;
use crate::access::{Action, Caller};
use crate::fair::Left;
use crate::metrics::Way;
use crate::problem::Problem;
use crate::wire::{self, BatchAnswer, BatchReject, Reaction};

impl BatchReject {
    fn new(index: usize, problem: &Problem) -> Self {
        Self {
            index: index as u64,
            r#type: problem.type_name(),
            status: problem.kind().status,
            title: problem.kind().title.to_owned(),
            detail: problem.detail().to_owned(),
            id: problem.id().map(str::to_owned),
            retry_after: problem.retry_after_secs(),
        }
    }
}

/// Send many reactions, also of several rooms.
///
/// A JSON array, or NDJSON with a reaction a line. Each item is judged by itself. If nothing could be stored for a reason
/// that passes (429, 503), the whole answer has that status, and tells of each item in `rejected`. With an
/// `Idempotency-Key` an item without an `id` gets the key, a dot and its place.
#[utoipa::path(
    post,
    operation_id = "reactMany",
    path = "/v1/reactions",
    tag = "reactions",
    params(("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, description = "Makes the ids of items that have none.")),
    request_body(
        content((Vec<Reaction> = "application/json"), (wire::Lines = "application/x-ndjson"), (wire::Lines = "text/plain")),
        description = "Also with `Content-Encoding: gzip`, `zstd` or `br`.",
    ),
    responses(
        (status = 200, description = "What became of each.", body = BatchAnswer),
        (status = "default", description = "A problem.", body = wire::Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn post(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.grant.allows(Action::React)?;
    let config = &app.config.ingest;
    let taken = Taken {
        lines: true,
        bytes_max: config.batch_bytes_max,
        inflated_bytes_max: config.batch_inflated_bytes_max,
    };
    let key = key::key_in(&headers)?;
    let body = body::read(taken, config, &app.decoders, &headers, body).await?;

    let items = items(&body, config.batch_items_max)?;
    let (mut outcomes, mut places, mut reactions) = (Vec::with_capacity(items.len()), Vec::new(), Vec::new());
    let mut tightest = None;
    for (index, item) in items.into_iter().enumerate() {
        match admitted(&app, caller.sender(), item, index, key) {
            Ok(Admitted { reaction, left }) => {
                tightest =
                    Some(tightest.filter(|known: &Left| known.remaining < left.remaining).unwrap_or(left));
                places.push((index, reaction.count));
                reactions.push(reaction);
            }
            Err(problem) => outcomes.push((index, 0, Err(problem))),
        }
    }
    let started = Instant::now();
    let stored = app.store.take_all(reactions).await;
    if stored.iter().any(|outcome| matches!(outcome, Ok(taken) if !taken.is_duplicate)) {
        app.metrics.acknowledged(started.elapsed());
    }
    outcomes.extend(places.into_iter().zip(stored).map(|((index, taps), outcome)| (index, taps, outcome)));
    outcomes.sort_by_key(|(index, ..)| *index);

    let mut answer = BatchAnswer::default();
    let mut passing = None;
    for (index, taps, outcome) in outcomes {
        app.metrics.reaction(Way::Many, taps, &outcome);
        match outcome {
            Ok(taken) if taken.is_duplicate => answer.duplicates += 1,
            Ok(_) => answer.accepted += 1,
            Err(problem) => {
                answer.rejected.push(BatchReject::new(index, &problem));
                if problem.is_passing() {
                    passing.get_or_insert(problem);
                }
            }
        }
    }
    match passing {
        Some(problem) if answer.accepted + answer.duplicates == 0 => {
            Err(problem.with_rejected(answer.rejected))
        }
        _ => {
            let headers = tightest.and_then(|left| app.buckets.headers(&left));
            Ok((headers.map(AppendHeaders), Json(answer)).into_response())
        }
    }
}

/// Admits the item at `index`; `key` is that of the request.
pub(super) fn admitted(
    app: &App,
    sender: Sender<'_>,
    item: &[u8],
    index: usize,
    key: Option<&str>,
) -> Result<Admitted, Problem> {
    let draft: Draft<'_> = json::read(item, app.config.ingest.json_depth_max)?;
    let key = key.filter(|_| draft.id.is_none()).map(|key| format!("{key}.{index}"));
    app.admit(sender, draft, key.as_deref())
}

/// Splits a batch. Of an array only the whole can be wrong here; each item is read by itself.
pub(crate) fn items(body: &[u8], items_max: usize) -> Result<Vec<&[u8]>, Problem> {
    let start = body.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(body.len());
    match body.get(start) {
        None => Err(Problem::malformed_json("the body is empty; send an array, or a line for each reaction")),
        Some(b'[') => array(body, items_max),
        Some(_) => lines(body, items_max),
    }
}

fn lines(body: &[u8], items_max: usize) -> Result<Vec<&[u8]>, Problem> {
    let lines: Vec<&[u8]> = body
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .take(items_max + 1)
        .collect();
    if lines.len() > items_max {
        return Err(Problem::too_many_items(items_max));
    }
    Ok(lines)
}

fn array(body: &[u8], items_max: usize) -> Result<Vec<&[u8]>, Problem> {
    let mut too_many = false;
    let mut reader = serde_json::Deserializer::from_slice(body);
    let split = reader.deserialize_seq(Items { most: items_max, too_many: &mut too_many });
    let split = split.and_then(|items| reader.end().map(|()| items));
    match split {
        _ if too_many => Err(Problem::too_many_items(items_max)),
        Ok(items) => Ok(items.into_iter().map(|item| item.get().as_bytes()).collect()),
        Err(error) => Err(Problem::malformed_json(error.to_string())),
    }
}

/// Reads an array's items without looking into them, and no more of them than may be.
struct Items<'f> {
    most: usize,
    too_many: &'f mut bool,
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of reactions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut split = Vec::new();
        while let Some(item) = items.next_element_seed(Item)? {
            if split.len() == self.most {
                *self.too_many = true;
                return Err(A::Error::custom("too many items"));
            }
            split.push(item);
        }
        Ok(split)
    }
}

struct Item;

impl<'de> DeserializeSeed<'de> for Item {
    type Value = &'de RawValue;

    fn deserialize<D: serde::Deserializer<'de>>(self, item: D) -> Result<Self::Value, D::Error> {
        serde::Deserialize::deserialize(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(body: &str) -> Result<Vec<String>, &'static str> {
        let split = items(body.as_bytes(), 3).map_err(|problem| problem.kind().name)?;
        Ok(split.into_iter().map(|item| String::from_utf8_lossy(item).into_owned()).collect())
    }

    fn texts(items: &[&str]) -> Result<Vec<String>, &'static str> {
        Ok(items.iter().map(|item| (*item).to_owned()).collect())
    }

    #[test]
    fn arrays_and_lines_are_split_without_looking_into_items() {
        assert_eq!(split(r#" [{"a":[1]}, 7 ,"x"] "#), texts(&[r#"{"a":[1]}"#, "7", r#""x""#]));
        assert_eq!(split("{\"a\":1}\r\n\n {broken\n7"), texts(&[r#"{"a":1}"#, "{broken", "7"]));
        assert_eq!(split("[]"), texts(&[]));
        assert_eq!(split(" \n "), Err("malformed-json"));
        assert_eq!(split("[1,2"), Err("malformed-json"));
        assert_eq!(split("[1] 2"), Err("malformed-json"));
        assert_eq!(split("[1,,2]"), Err("malformed-json"));
    }

    #[test]
    fn items_are_bounded() {
        assert_eq!(split("[1,2,3]").map(|items| items.len()), Ok(3));
        assert_eq!(split("[1,2,3,4]"), Err("too-many-items"));
        assert_eq!(split("1\n2\n3\n").map(|items| items.len()), Ok(3));
        assert_eq!(split("1\n2\n3\n4\n"), Err("too-many-items"));
    }
}
