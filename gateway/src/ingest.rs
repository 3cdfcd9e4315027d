//! Ingest: a reaction is checked, stored, and answered when the broker has acknowledged it.

use std::borrow::Cow;
use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use ovation_reaction::{EVENT_BYTES_MAX, Event, Origin, Reason, Rules, SkinTones};
use serde::{Deserialize, Serialize};
use serde_json::Number;
use serde_json::error::Category;
use uuid::Uuid;

use crate::App;
use crate::access::{Action, Caller, Denied, Grant};
use crate::config::Config;
use crate::problem::Problem;
use crate::room::Room;

/// A reaction as a client sends it. Values are checked as part of the event, by the rules of every other producer.
#[derive(Debug, Deserialize)]
pub(crate) struct Tap<'a> {
    #[serde(borrow)]
    emoji: Option<Cow<'a, str>>,
    count: Option<Number>,
    #[serde(borrow)]
    user: Option<Cow<'a, str>>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    ts: Option<Number>,
}

impl Tap<'_> {
    /// Makes the grant's user the reaction's own, where the grant is for one.
    pub(crate) fn take_user(&mut self, grant: &Grant) -> Result<(), Denied> {
        if let Some(user) = grant.user() {
            grant.user_of(self.user.as_deref())?;
            self.user = Some(Cow::Owned(user.to_owned()));
        }
        Ok(())
    }
}

/// A reaction that may be stored.
#[derive(Debug)]
pub(crate) struct Checked {
    id: String,
    /// The canonical event.
    event: Vec<u8>,
}

/// The answer to a reaction that is stored.
#[derive(Debug, Serialize)]
pub(crate) struct Accepted {
    /// Its id: the client's own, or a new one.
    pub(crate) id: String,
    partition: u32,
    offset: i64,
}

/// `POST /v1/rooms/{room}/reactions`.
pub(crate) async fn post(
    State(app): State<Arc<App>>,
    caller: Caller,
    room: Room,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Accepted>, Problem> {
    caller.may(Action::React, &room)?;
    if !is_json(&headers) {
        return Err(Problem::unsupported_media_type());
    }
    let (limit, patience) = (app.config.body_limit, app.config.body_timeout);
    let body = match tokio::time::timeout(patience, to_bytes(body, limit)).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) if is_length_limit(&error) => return Err(Problem::too_large(limit)),
        Ok(Err(error)) => return Err(Problem::bad_request(error.to_string())),
        Err(_) => return Err(Problem::body_timeout(patience)),
    };
    let mut tap: Tap<'_> = serde_json::from_slice(&body).map_err(|error| unreadable(&error))?;
    tap.take_user(&caller.grant)?;
    let checked = check(&app.config, &room, &tap)?;
    store(&app, &room, checked).await.map(Json)
}

/// Checks a reaction: what is wrong with it is said at once, and what is right becomes a canonical event.
pub(crate) fn check(config: &Config, room: &Room, tap: &Tap<'_>) -> Result<Checked, Problem> {
    /// The event, before the rules have seen it.
    #[derive(Serialize)]
    struct Draft<'a> {
        id: &'a str,
        room: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        emoji: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        count: Option<&'a Number>,
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<&'a str>,
        ts: &'a Number,
    }

    let now = now_ms();
    let skew_ms = i64::try_from(config.ingest_skew.as_millis()).unwrap_or(i64::MAX);
    let id = tap.id.as_deref().map_or_else(|| Cow::Owned(Uuid::now_v7().to_string()), Cow::Borrowed);
    let stamp = Number::from(now);
    let draft = Draft {
        id: &id,
        room: room.as_str(),
        emoji: tap.emoji.as_deref(),
        count: tap.count.as_ref(),
        user: tap.user.as_deref(),
        ts: tap.ts.as_ref().unwrap_or(&stamp),
    };
    let draft = serde_json::to_vec(&draft).map_err(|error| Problem::malformed_json(error.to_string()))?;
    let origin =
        Origin { key: Some(room.as_str().as_bytes()), timestamp: Some(now), partition: 0, offset: 0 };
    // Tones are kept here whatever the stage does with them: the event is the record of what was sent.
    let rules = Rules { skin_tones: SkinTones::Keep, future_ms: skew_ms };
    let reaction = match ovation_reaction::parse(&draft, &origin, &rules) {
        Ok(Event::Reaction(reaction)) => reaction,
        Ok(Event::Tick(_)) => {
            return Err(Problem::rejected(Reason::Malformed.code(), "the body is no reaction"));
        }
        Err(reject) if reject.reason == Reason::TooLarge => return Err(Problem::too_large(EVENT_BYTES_MAX)),
        Err(reject) => return Err(Problem::rejected(reject.reason.code(), reject.detail)),
    };
    if reaction.ts < now.saturating_sub(skew_ms) {
        let detail = format!(
            "ts lies more than {skew_ms} ms before the gateway's clock; leave it out to have it stamped"
        );
        return Err(Problem::rejected("past", detail));
    }
    let event = serde_json::to_vec(&reaction).map_err(|error| Problem::malformed_json(error.to_string()))?;
    Ok(Checked { id: id.into_owned(), event })
}

/// Stores a reaction; returns when the broker has acknowledged it, or at the deadline.
pub(crate) async fn store(app: &App, room: &Room, checked: Checked) -> Result<Accepted, Problem> {
    let key = room.as_str().as_bytes().to_vec();
    match app.producer.send(Some(key), checked.event).await {
        Ok(stored) => Ok(Accepted { id: checked.id, partition: stored.partition, offset: stored.offset }),
        Err(error) => {
            tracing::debug!(%error, room = room.as_str(), "reaction not stored");
            Err(Problem::produce(&error, &checked.id))
        }
    }
}

/// The problem of a body that cannot be read as a reaction: no JSON at all, or JSON of another shape.
pub(crate) fn unreadable(error: &serde_json::Error) -> Problem {
    match error.classify() {
        Category::Data => Problem::rejected(Reason::Malformed.code(), error.to_string()),
        Category::Syntax | Category::Eof | Category::Io => Problem::malformed_json(error.to_string()),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || (essence.get(..12).is_some_and(|start| start.eq_ignore_ascii_case("application/"))
            && essence.get(essence.len() - 5..).is_some_and(|end| end.eq_ignore_ascii_case("+json")))
}

/// Whether a body was cut by the limit of [`to_bytes`], by the only thing that tells: the text of its cause.
fn is_length_limit(error: &axum::Error) -> bool {
    error.source().is_some_and(|cause| cause.to_string().contains("length limit"))
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, StatusCode};
    use ovation_client::Cluster;

    use super::*;

    fn checked(body: &str) -> Result<serde_json::Value, Problem> {
        let tap: Tap<'_> = serde_json::from_str(body).map_err(|error| unreadable(&error))?;
        let config = Config::new(Cluster::new("127.0.0.1:1"));
        let checked = check(&config, &Room::named("final-2026")?, &tap)?;
        Ok(serde_json::from_slice(&checked.event).expect("JSON"))
    }

    fn problem(body: &str) -> (StatusCode, String) {
        let problem = checked(body).expect_err(body);
        let json: serde_json::Value = serde_json::from_str(&problem.to_json()).expect("JSON");
        (problem.status(), json["type"].as_str().expect("text").to_owned())
    }

    #[test]
    fn a_tap_becomes_the_canonical_event() {
        let event = checked(r#"{"emoji":"❤"}"#).expect("a reaction");
        assert_eq!(
            (&event["emoji"], &event["room"], &event["count"]),
            (&"❤️".into(), &"final-2026".into(), &1.into())
        );
        assert_eq!(event.get("user"), None);
        let id = Uuid::parse_str(event["id"].as_str().expect("text")).expect("a UUID");
        assert_eq!(id.get_version_num(), 7);
        assert!((now_ms() - event["ts"].as_i64().expect("a number")).abs() < 60_000);
        let ts = now_ms() - 1_000;
        let event =
            checked(&format!(r#"{{"emoji":"🔥","count":100,"user":"u1","id":"mine","ts":{ts},"x":[]}}"#))
                .expect("a reaction");
        assert_eq!(
            event,
            serde_json::json!({"id":"mine","room":"final-2026","emoji":"🔥","count":100,"user":"u1","ts":ts})
        );
    }

    #[test]
    fn each_mistake_has_its_problem() {
        let old = format!(r#"{{"emoji":"🔥","ts":{}}}"#, now_ms() - 60_000);
        let early = format!(r#"{{"emoji":"🔥","ts":{}}}"#, now_ms() + 60_000);
        let huge = format!(r#"{{"emoji":"{}"}}"#, "🔥".repeat(2_000));
        for (body, status, name) in [
            ("", 400, "malformed-json"),
            ("{", 400, "malformed-json"),
            (r#"{"emoji":"\ud800"}"#, 400, "malformed-json"),
            ("[]", 422, "malformed"),
            ("{}", 422, "malformed"),
            (r#"{"emoji":7}"#, 422, "malformed"),
            (r#"{"emoji":"fire"}"#, 422, "unknown-emoji"),
            (r#"{"emoji":"🔥🔥"}"#, 422, "unknown-emoji"),
            (r#"{"emoji":"🔥","count":0}"#, 422, "bad-count"),
            (r#"{"emoji":"🔥","count":101}"#, 422, "bad-count"),
            (r#"{"emoji":"🔥","count":1.5}"#, 422, "bad-count"),
            (r#"{"emoji":"🔥","count":18446744073709551616}"#, 422, "bad-count"),
            (r#"{"emoji":"🔥","id":""}"#, 422, "bad-id"),
            (r#"{"emoji":"🔥","user":"\u0001"}"#, 422, "bad-user"),
            (r#"{"emoji":"🔥","ts":-1}"#, 422, "bad-time"),
            (&old, 422, "past"),
            (&early, 422, "future"),
            (&huge, 413, "too-large"),
        ] {
            assert_eq!(
                problem(body),
                (StatusCode::from_u16(status).expect("a status"), format!("urn:ovation:problem:{name}")),
                "{body}"
            );
        }
    }

    #[test]
    fn json_is_told_by_its_content_type() {
        let of = |kind: &'static str| {
            HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))])
        };
        for kind in ["application/json", "Application/JSON; charset=utf-8", "application/vnd.x+json"] {
            assert!(is_json(&of(kind)), "{kind}");
        }
        for kind in ["", "text/plain", "application/x-www-form-urlencoded", "text/json+json", "+json"] {
            assert!(!is_json(&of(kind)), "{kind}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
