//! A reaction is checked: what is wrong with it is said at once, and what is right becomes a canonical event.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ovation_reaction::{Draft, Origin, Reason, judge};
use serde_json::Number;
use uuid::Uuid;

use super::Ingest;
use crate::problem::Problem;

/// A reaction that may be stored.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Its id: the client's own, or a new one.
    pub(crate) id: String,
    /// Whether the client named it, and so may send it again.
    pub(crate) is_named: bool,
    /// Its room.
    pub(crate) room: String,
    /// The emoji in its canonical form.
    pub(crate) emoji: &'static str,
    /// Taps.
    pub(crate) count: u64,
    /// Who reacted.
    pub(crate) user: Option<String>,
    /// Whether it has nothing of its own but an emoji and a count.
    pub(crate) is_plain: bool,
    /// The canonical event.
    pub(crate) event: Vec<u8>,
}

/// Checks a reaction. Its room has to be filled in; `key` is the id of the request, where it has one.
///
/// The judge is the one that `validate` runs in the broker, for every producer.
pub(crate) fn check(config: &Ingest, mut draft: Draft<'_>, key: Option<&str>) -> Result<Checked, Problem> {
    let now = now_ms();
    let is_plain = draft.id.is_none() && key.is_none() && draft.user.is_none() && draft.ts.is_none();
    let is_named = match (&draft.id, key) {
        (Some(id), Some(key)) if id != key => {
            let detail = "`id` and `Idempotency-Key` differ; give one of them, or the same twice";
            return Err(Problem::of(crate::problem::Kind::of(Reason::BadId), detail));
        }
        (None, Some(key)) => {
            draft.id = Some(Cow::Owned(key.to_owned()));
            true
        }
        (id, _) => id.is_some(),
    };
    if !is_named {
        draft.id = Some(Cow::Owned(Uuid::now_v7().to_string()));
    }
    if draft.ts.is_none() {
        draft.ts = Some(Number::from(now));
    }
    let skew_ms = i64::try_from(config.skew.as_millis()).unwrap_or(i64::MAX);
    // The key of the record will be the room.
    let room = draft.room.clone().unwrap_or_default();
    let origin = Origin { key: Some(room.as_bytes()), timestamp: Some(now), partition: 0, offset: 0 };
    // Tones are kept here whatever the stage does with them: the event is the record of what was sent.
    let rules = ovation_reaction::Rules {
        skin_tones: ovation_reaction::SkinTones::Keep,
        future_ms: skew_ms.min(config.rules.future_ms),
        ..config.rules
    };
    let reaction = judge(draft, &origin, &rules).map_err(Problem::rejected)?;
    if reaction.ts < now.saturating_sub(skew_ms) {
        return Err(Problem::past(format!(
            "ts lies more than {skew_ms} ms before the gateway's clock; leave it out to have it stamped"
        )));
    }
    let event = reaction.to_event();
    if event.len() > rules.limits.event_bytes_max {
        return Err(Problem::too_large(rules.limits.event_bytes_max));
    }
    Ok(Checked {
        id: reaction.id.into_owned(),
        is_named,
        room: reaction.room.into_owned(),
        emoji: reaction.emoji,
        count: reaction.count,
        user: reaction.user.map(Cow::into_owned),
        is_plain,
        event,
    })
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::json;

    fn checked(body: &str) -> Result<serde_json::Value, Problem> {
        let mut draft: Draft<'_> = json::read(body.as_bytes(), 8)?;
        draft.room = Some("final-2026".into());
        let checked = check(&Ingest::default(), draft, None)?;
        Ok(serde_json::from_slice(&checked.event).expect("JSON"))
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
            (r#"{"emoji":"🔥","x":[[[[[[[[]]]]]]]]}"#, 400, "too-deep"),
            ("[]", 422, "malformed"),
            (r#"[null,"id",null,"🔥",null,null,null]"#, 422, "malformed"),
            ("7", 422, "malformed"),
            ("{}", 422, "malformed"),
            (r#"{"emoji":7}"#, 422, "malformed"),
            (r#"{"emoji":"🔥","emoji":"🔥"}"#, 422, "malformed"),
            (r#"{"tick":1795426840600}"#, 422, "malformed"),
            (r#"{"emoji":"fire"}"#, 422, "unknown-emoji"),
            (r#"{"emoji":"🔥🔥"}"#, 422, "unknown-emoji"),
            (&huge, 422, "unknown-emoji"),
            (r#"{"emoji":"🔥","count":0}"#, 422, "bad-count"),
            (r#"{"emoji":"🔥","count":101}"#, 422, "bad-count"),
            (r#"{"emoji":"🔥","count":1.5}"#, 422, "bad-count"),
            (r#"{"emoji":"🔥","count":9223372036854775808}"#, 422, "bad-count"),
            (r#"{"emoji":"🔥","count":18446744073709551616}"#, 422, "bad-count"),
            (r#"{"emoji":"🔥","id":""}"#, 422, "bad-id"),
            (r#"{"emoji":"🔥","user":"\u0001"}"#, 422, "bad-user"),
            (r#"{"emoji":"🔥","ts":-1}"#, 422, "bad-time"),
            (r#"{"emoji":"🔥","ts":253402300800000}"#, 422, "bad-time"),
            (r#"{"emoji":"🔥","ts":253402300799999}"#, 422, "future"),
            (r#"{"emoji":"🔥","ts":0}"#, 422, "past"),
            (&old, 422, "past"),
            (&early, 422, "future"),
        ] {
            let problem = checked(body).expect_err(body);
            assert_eq!((problem.kind().status, problem.kind().name), (status, name), "{body}");
        }
    }

    #[test]
    fn the_key_of_the_request_is_the_id_unless_the_body_says_another() {
        let of = |body: &str, key| {
            let draft = Draft { room: Some("a".into()), ..json::read(body.as_bytes(), 8).expect("JSON") };
            check(&Ingest::default(), draft, key)
        };
        let named = of(r#"{"emoji":"🔥"}"#, Some("k1")).expect("a reaction");
        assert!(named.id == "k1" && named.is_named && !named.is_plain);
        let same = of(r#"{"emoji":"🔥","id":"k1"}"#, Some("k1")).expect("a reaction");
        assert_eq!(same.id, "k1");
        assert_eq!(of(r#"{"emoji":"🔥","id":"k2"}"#, Some("k1")).expect_err("differ").kind().name, "bad-id");
        let plain = of(r#"{"emoji":"🔥","count":3}"#, None).expect("a reaction");
        assert!(plain.is_plain && !plain.is_named);
        assert!(!of(r#"{"emoji":"🔥","user":"u"}"#, None).expect("a reaction").is_plain);
    }

    #[test]
    fn limits_are_those_of_the_topology() {
        let mut config = Ingest::default();
        config.rules.limits.count_max = 5;
        let draft = |count: u64| Draft {
            room: Some("a".into()),
            emoji: Some("🔥".into()),
            count: Some(count.into()),
            ..Draft::default()
        };
        assert!(check(&config, draft(5), None).is_ok());
        let problem = check(&config, draft(6), None).expect_err("too many");
        assert!(problem.detail().contains("from 1 to 5"), "{}", problem.detail());
    }
}
