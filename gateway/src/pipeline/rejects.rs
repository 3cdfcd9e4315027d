//! What did not count: the dead-letter topic, by reason since the gateway began to read it, and the last letters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ovation_client::Record;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cursor::Place;
use crate::follow::Taker;
use crate::ingest::now_ms;

/// Letters that are kept, and shown.
const LETTERS_MAX: usize = 50;

/// Letters read from the end of each partition at first: as many as are kept.
pub(crate) const LETTERS_TAIL: u32 = LETTERS_MAX as u32;

/// Largest letter that is kept as it stands, in bytes.
pub(super) const LETTER_BYTES_MAX: usize = 8 * 1024;

/// What is kept of each text of a larger one, in bytes: escaped they take twice that, and there are two long ones.
const CUT_TEXT_BYTES: usize = 1_500;

/// Members of a letter that are kept where that is not enough: what somebody else wrote to the topic may have others.
const MEMBERS: [&str; 8] = ["reason", "detail", "room", "event", "stage", "epoch", "seq", "source"];

/// Reasons that are told apart; more than there are. Further ones are [`OTHER`].
const REASONS_MAX: usize = 64;
const REASON_BYTES_MAX: usize = 64;
const OTHER: &str = "other";

/// A letter, read.
#[derive(Debug)]
pub(crate) struct Letter {
    partition: u32,
    /// Its record's time in ms since 1970, if it has one: those of a fenced topic of a cluster have none (docs/fluvio.md 37).
    stored_at: Option<i64>,
    reason: Box<str>,
    json: Box<str>,
}

/// A letter that is kept.
#[derive(Debug)]
struct Kept {
    /// When it was stored, as far as that is known, and which one it was to come.
    order: (i64, u64),
    json: Box<str>,
}

#[derive(Debug)]
struct State {
    /// Since when letters are counted, ms since 1970.
    since: i64,
    total: u64,
    by_reason: BTreeMap<Box<str>, u64>,
    /// Oldest first.
    last: Vec<Kept>,
    /// Letters that came, counted or not.
    came: u64,
    /// Partitions that have been read to their end: what comes from there is new.
    caught_up: BTreeSet<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: String,
}

/// What did not count.
#[derive(Debug)]
pub(crate) struct Rejects(Mutex<State>);

impl Rejects {
    pub(crate) fn new(since: i64) -> Self {
        Self(Mutex::new(State {
            since,
            total: 0,
            by_reason: BTreeMap::new(),
            last: Vec::new(),
            came: 0,
            caught_up: BTreeSet::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change leaves it whole, so a panic elsewhere is no reason to stop.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what came, by reason, to an exposition.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let counts = Family::<ReasonLabel, Counter>::default();
        for (reason, count) in &self.state().by_reason {
            counts.get_or_create(&ReasonLabel { reason: reason.to_string() }).inc_by(*count);
        }
        let help = "Dead letters of the first stage that came since this gateway began to read them";
        registry.register("ovation_rejects", help, counts);
    }

    /// `{"since":…,"total":…,"by_reason":{…},"last":[…]}`, the newest letter first.
    pub(crate) fn json(&self) -> String {
        let state = self.state();
        let last: Vec<&str> = state.last.iter().rev().map(|kept| &*kept.json).collect();
        // Texts and numbers always serialise.
        let by_reason = serde_json::to_string(&state.by_reason).unwrap_or_default();
        let (since, total, last) = (state.since, state.total, last.join(","));
        format!(r#"{{"since":{since},"total":{total},"by_reason":{by_reason},"last":[{last}]}}"#)
    }
}

impl Taker for Rejects {
    type Item = Letter;

    fn read(&self, record: &Record) -> Result<(Place, Letter), String> {
        Letter::read(record)
    }

    fn begin(&self, _partition: u32, _before: Place) {}

    fn take(&self, letter: Letter) {
        let state = &mut *self.state();
        state.came += 1;
        let is_new = state.caught_up.contains(&letter.partition);
        if is_new {
            state.total += 1;
            let is_known = state.by_reason.contains_key(&letter.reason);
            let reason =
                if is_known || state.by_reason.len() < REASONS_MAX { letter.reason } else { OTHER.into() };
            *state.by_reason.entry(reason).or_default() += 1;
        }
        let at = letter.stored_at.unwrap_or_else(|| if is_new { now_ms() } else { 0 });
        let order = (at, state.came);
        let place = state.last.partition_point(|kept| kept.order < order);
        state.last.insert(place, Kept { order, json: letter.json });
        if state.last.len() > LETTERS_MAX {
            state.last.remove(0);
        }
    }

    fn caught_up(&self, partition: u32) {
        let mut state = self.state();
        state.since = now_ms();
        state.caught_up.insert(partition);
    }

    fn reset(&self, partition: u32) {
        self.state().caught_up.remove(&partition);
    }
}

impl Letter {
    fn read(record: &Record) -> Result<(Place, Self), String> {
        #[derive(Deserialize)]
        struct Head {
            epoch: u64,
            seq: u64,
            reason: String,
        }

        let text = std::str::from_utf8(&record.value).map_err(|error| error.to_string())?.trim();
        let Head { epoch, seq, reason } = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let letter = Self {
            partition: record.partition,
            stored_at: (record.timestamp > 0).then_some(record.timestamp),
            reason: if reason.len() > REASON_BYTES_MAX { OTHER.into() } else { reason.into() },
            json: if text.len() > LETTER_BYTES_MAX { cut(text)? } else { text.to_owned() }.into(),
        };
        Ok((Place::new(epoch, seq), letter))
    }
}

/// What is kept of a letter that is too large: its texts in part, and `"cut":true`.
fn cut(text: &str) -> Result<String, String> {
    let mut letter: Map<String, Value> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    for value in letter.values_mut() {
        if let Value::String(text) = value {
            let end = (0..=CUT_TEXT_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
            text.truncate(end.unwrap_or(0));
        }
    }
    letter.insert("cut".to_owned(), Value::Bool(true));
    let mut cut = serde_json::to_string(&letter).map_err(|error| error.to_string())?;
    if cut.len() > LETTER_BYTES_MAX {
        letter.retain(|name, _| name == "cut" || MEMBERS.contains(&name.as_str()));
        cut = serde_json::to_string(&letter).map_err(|error| error.to_string())?;
    }
    if cut.len() > LETTER_BYTES_MAX {
        Err(format!("it is larger than {LETTER_BYTES_MAX} bytes"))
    } else {
        Ok(cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(seq: u64, reason: &str, event: &str) -> String {
        let event = Value::from(event);
        format!(
            r#"{{"reason":"{reason}","detail":"","room":"lobby","event":{event},"stage":"reactions","epoch":1,"seq":{seq},"source":{{"topic":"emoji-events","partition":0,"offset":{seq}}}}}"#
        )
    }

    fn take(rejects: &Rejects, partition: u32, timestamp: i64, value: &str) {
        let value = value.as_bytes().to_vec().into();
        let record = Record { partition, offset: 0, timestamp, key: None, value };
        rejects.take(Letter::read(&record).expect("a letter").1);
    }

    fn json(rejects: &Rejects) -> Value {
        serde_json::from_str(&rejects.json()).expect("JSON")
    }

    #[test]
    fn what_was_there_is_shown_and_what_comes_is_counted() {
        let rejects = Rejects::new(7);
        assert_eq!(json(&rejects), serde_json::json!({"since": 7, "total": 0, "by_reason": {}, "last": []}));
        take(&rejects, 0, 200, &letter(1, "late", "b"));
        take(&rejects, 1, 100, &letter(1, "late", "a"));
        rejects.caught_up(0);
        rejects.caught_up(1);
        take(&rejects, 0, -1, &letter(2, "future", "c"));
        take(&rejects, 1, -1, &letter(2, "late", "d"));
        let told = json(&rejects);
        assert_eq!(told["total"], 2);
        assert_eq!(told["by_reason"], serde_json::json!({"future": 1, "late": 1}));
        let events: Vec<_> =
            told["last"].as_array().expect("a list").iter().map(|letter| &letter["event"]).collect();
        assert_eq!(events, ["d", "c", "b", "a"], "the newest first");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let rejects = Rejects::new(0);
        rejects.caught_up(0);
        for seq in 1..=200 {
            take(&rejects, 0, -1, &letter(seq, &format!("reason-{seq}"), "x"));
        }
        let told = json(&rejects);
        assert_eq!(told["last"].as_array().map(Vec::len), Some(LETTERS_MAX));
        assert_eq!(told["last"][0]["seq"], 200);
        assert_eq!(told["by_reason"].as_object().map(Map::len), Some(REASONS_MAX + 1));
        assert_eq!(told["by_reason"][OTHER], 200 - REASONS_MAX);
    }

    #[test]
    fn a_letter_that_is_too_large_is_cut_and_says_so() {
        let rejects = Rejects::new(0);
        let long = "\"é".repeat(10_000);
        take(&rejects, 0, 1, &letter(1, "too_large", &long));
        let told = &json(&rejects)["last"][0];
        assert_eq!((&told["cut"], &told["reason"]), (&true.into(), &"too_large".into()));
        let event = told["event"].as_str().expect("text");
        assert!(long.starts_with(event) && event.len() > CUT_TEXT_BYTES - 4, "{}", event.len());
        assert!(told.to_string().len() <= LETTER_BYTES_MAX);
        let more = letter(3, "late", "x")
            .replace("\"stage\"", &format!("\"more\":[{}0],\"stage\"", "0,".repeat(9_000)));
        take(&rejects, 0, 3, &more);
        assert_eq!(json(&rejects)["last"][0].get("more"), None);
        let small = letter(2, "late", "x");
        take(&rejects, 0, 2, &small);
        assert!(rejects.json().contains(&small), "as it stands");
    }

    #[test]
    fn what_is_no_letter_is_refused() {
        let many =
            format!(r#"{{"epoch":1,"seq":1,"reason":"late","source":[{}0]}}"#, "0,".repeat(LETTER_BYTES_MAX));
        for bad in ["", "{}", "[]", r#"{"epoch":1,"seq":1}"#, &many] {
            let value = bad.as_bytes().to_vec().into();
            let record = Record { partition: 0, offset: 0, timestamp: 0, key: None, value };
            assert!(Letter::read(&record).is_err(), "{bad}");
        }
    }
}
