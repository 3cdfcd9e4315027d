//! A result, as far as history looks at it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use ovation_client::Record;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cursor::Place;

/// Longest name of a window definition that is looked at, in bytes.
pub(super) const WINDOW_NAME_BYTES_MAX: usize = 64;

/// What is read of every record.
#[derive(Deserialize)]
struct Head<'a> {
    epoch: u64,
    seq: u64,
    #[serde(borrow)]
    room: Cow<'a, str>,
    #[serde(borrow)]
    window: WindowOf<'a>,
    r#final: bool,
    #[serde(default)]
    retracted: bool,
}

/// Which window.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct WindowOf<'a> {
    /// Name of the definition.
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    /// `tumbling`, `hopping` or `session`.
    #[serde(borrow)]
    pub(super) kind: Cow<'a, str>,
    /// Start, ms since 1970.
    pub(super) start: i64,
    /// End (exclusive), ms since 1970.
    pub(super) end: i64,
}

/// What an answer says of a final.
#[derive(Debug, Deserialize)]
pub(super) struct Final<'a> {
    #[serde(borrow)]
    pub(super) window: WindowOf<'a>,
    /// Taps.
    pub(super) total: u64,
    /// Taps by emoji.
    #[serde(borrow)]
    pub(super) counts: BTreeMap<Cow<'a, str>, u64>,
    /// Mood, where somebody has judged it.
    #[serde(default, deserialize_with = "sentiment")]
    pub(super) sentiment: Option<Mood>,
}

/// The mood of a window, as it is added up.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(super) struct Mood {
    /// From -1 to 1; none if too few taps tell.
    pub(super) score: Option<f64>,
    /// Taps that tell.
    pub(super) n: u64,
}

/// A mood that can be read; a window counts without it all the same.
fn sentiment<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Mood>, D::Error> {
    let value = Option::<&RawValue>::deserialize(value)?;
    let mood: Option<Mood> = value.and_then(|value| serde_json::from_str(value.get()).ok());
    Ok(mood.filter(|mood| mood.score.is_none_or(f64::is_finite)))
}

/// A window, named: a session's end grows, so start and name tell windows apart.
pub(super) type WindowKey = (Box<str>, i64);

/// One result of the partition, whatever room it is of.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) offset: i64,
    pub(super) place: Place,
    /// Name of the window definition.
    pub(super) name: Box<str>,
    /// Whether its windows all have one length.
    pub(super) is_aligned: bool,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) is_final: bool,
    pub(super) retracted: bool,
    /// The record's value, if it is of the room that is asked for.
    pub(super) value: Option<Bytes>,
}

impl Found {
    /// Reads a record; none if it is no result.
    pub(super) fn read(record: &Record, room: &str) -> Option<Self> {
        // Text first: what is skipped over would not be looked at, and goes out as it is.
        let text = std::str::from_utf8(&record.value).ok()?;
        let head: Head<'_> = serde_json::from_str(text).ok()?;
        if head.window.name.len() > WINDOW_NAME_BYTES_MAX || head.window.end < head.window.start {
            return None;
        }
        Some(Self {
            offset: record.offset,
            place: Place::new(head.epoch, head.seq),
            is_aligned: matches!(&*head.window.kind, "tumbling" | "hopping"),
            name: head.window.name.into(),
            start: head.window.start,
            end: head.window.end,
            is_final: head.r#final,
            retracted: head.retracted,
            value: (head.room == room).then(|| record.value.clone()),
        })
    }

    /// The stream time that it proves to have been reached: a window ends before its final, and begins before it has an update.
    pub(super) fn stream_time(&self) -> i64 {
        if self.is_final && !self.retracted { self.end } else { self.start }
    }

    /// Which window it is of.
    pub(super) fn key(&self) -> WindowKey {
        (self.name.clone(), self.start)
    }
}

impl<'a> Final<'a> {
    /// Reads a record's value.
    pub(super) fn read(value: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(value).ok()
    }
}
