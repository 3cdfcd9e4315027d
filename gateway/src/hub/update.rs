//! An update: one record of the aggregate topic, and the feed message made of it.

use std::borrow::Cow;
use std::ops::Range;

use axum::extract::ws::Utf8Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cursor::{Cursor, Place};

/// Longest window name that is looked at, in bytes; names come from `topology.yaml` and are a few letters.
const WINDOW_NAME_BYTES_MAX: usize = 64;

/// What the hub reads of an aggregate record. The rest passes through untouched.
#[derive(Deserialize)]
struct Aggregate<'a> {
    epoch: u64,
    seq: u64,
    #[serde(borrow)]
    room: Cow<'a, str>,
    #[serde(borrow)]
    window: AggregateWindow<'a>,
    revision: u64,
    r#final: bool,
    #[serde(default)]
    retracted: bool,
    #[serde(borrow)]
    room_totals: &'a RawValue,
}

#[derive(Deserialize)]
struct AggregateWindow<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    start: i64,
}

/// Which window an update is about: a session's end grows, so start and name tell windows apart. The first is the oldest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WindowKey {
    /// Start of the window, in ms since 1970.
    pub(super) start: i64,
    /// Name of the window definition, such as `10s`.
    pub(super) name: Box<str>,
}

/// One result, ready to be sent: serialised once, shared by all clients of its room.
#[derive(Debug)]
pub(crate) struct Update {
    /// Partition of the aggregate topic.
    pub(crate) partition: u32,
    /// Its number among the results of the partition.
    pub(crate) place: Place,
    /// The room it is about.
    pub(crate) room: Box<str>,
    /// The whole feed message: `{"type":"update","cursor":…,"update":…}`.
    pub(crate) message: Utf8Bytes,
    /// Last result of its window.
    pub(crate) is_final: bool,
    /// Where in `message` the record stands.
    record: Range<usize>,
    pub(super) window: WindowKey,
    pub(super) revision: u64,
    /// The window was swallowed by another one.
    pub(super) retracted: bool,
    /// Where in `message` the record's `room_totals` stand.
    totals: Range<usize>,
}

impl Update {
    /// Reads a record's value. The error is the end of "failed to read aggregate record: …".
    pub(super) fn read(partition: u32, value: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(value).map_err(|error| error.to_string())?.trim();
        let aggregate: Aggregate<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if !ovation_reaction::room_is_valid(&aggregate.room) {
            return Err("its room has no valid name".into());
        }
        if aggregate.window.name.len() > WINDOW_NAME_BYTES_MAX {
            return Err(format!("its window name is longer than {WINDOW_NAME_BYTES_MAX} bytes"));
        }
        let place = Place::new(aggregate.epoch, aggregate.seq);
        let cursor = Cursor::at(partition, place).encode();
        let message = format!(r#"{{"type":"update","cursor":"{cursor}","update":{text}}}"#);
        let record = message.len() - 1 - text.len()..message.len() - 1;
        // `room_totals` borrows from `text`, so the distance between the two says where it stands.
        let totals_start =
            record.start + (aggregate.room_totals.get().as_ptr() as usize - text.as_ptr() as usize);
        let totals = totals_start..totals_start + aggregate.room_totals.get().len();
        Ok(Self {
            partition,
            place,
            room: aggregate.room.into(),
            is_final: aggregate.r#final,
            window: WindowKey { start: aggregate.window.start, name: aggregate.window.name.into() },
            revision: aggregate.revision,
            retracted: aggregate.retracted,
            message: message.into(),
            record,
            totals,
        })
    }

    /// The record as it stands in the topic.
    pub(crate) fn record(&self) -> &str {
        &self.message[self.record.clone()]
    }

    /// The record's `room_totals`.
    pub(crate) fn room_totals(&self) -> &str {
        &self.message[self.totals.clone()]
    }

    /// Whether this result replaces `other` of the same window.
    pub(super) fn supersedes(&self, other: &Self) -> bool {
        (self.place.epoch, self.revision) >= (other.place.epoch, other.revision)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An aggregate record for tests, as the window SmartModule writes it.
    pub(crate) fn record(
        room: &str,
        place: (u64, u64),
        window_start: i64,
        revision: u64,
        is_final: bool,
    ) -> String {
        format!(
            r#"{{"stage":"reactions","epoch":{},"seq":{},"room":"{room}","window":{{"name":"10s","kind":"tumbling","start":{window_start},"end":{}}},"revision":{revision},"final":{is_final},"total":{revision},"counts":{{"🔥":{revision}}},"users":null,"sentiment":null,"room_totals":{{"reactions":{revision},"late":0,"duplicates":0,"rejected":0}},"source":{{"partition":0,"offset":7}}}}"#,
            place.0,
            place.1,
            window_start + 10_000,
        )
    }

    #[test]
    fn the_record_goes_out_as_it_came_in() {
        let value = record("final-2026", (1, 42), 0, 3, false);
        let update = Update::read(2, format!(" {value}\n").as_bytes()).expect("a good record");
        assert_eq!(update.record(), value);
        assert_eq!(update.room_totals(), r#"{"reactions":3,"late":0,"duplicates":0,"rejected":0}"#);
        assert_eq!((&*update.room, update.place, update.partition), ("final-2026", Place::new(1, 42), 2));
        let message: serde_json::Value = serde_json::from_str(&update.message).expect("JSON");
        assert_eq!(message["type"], "update");
        assert_eq!(message["update"]["counts"]["🔥"], 3);
        let cursor = Cursor::decode(message["cursor"].as_str().expect("text")).expect("a cursor");
        assert_eq!(cursor, Cursor::at(2, Place::new(1, 42)));
    }

    #[test]
    fn what_is_no_aggregate_record_is_refused() {
        let good = record("a", (1, 1), 0, 1, false);
        for bad in ["", "{}", "[]", "\u{1}", &good.replace(":1,", ":-1,"), &good.replace("\"a\"", "\"\"")] {
            assert!(Update::read(0, bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Update::read(0, b"\xff\xfe").is_err());
    }
}
