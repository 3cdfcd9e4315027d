//! Results: a window's running or last counts, as they stand in the aggregate topic.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Sentiment;

/// Emoji in [`WindowUpdate::top`] at most.
pub const TOP_MAX: usize = 5;

/// Taps by canonical emoji, in the order of the emoji's bytes: the same everywhere.
pub type Counts<'a> = BTreeMap<Cow<'a, str>, u64>;

/// One record of the aggregate topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WindowUpdate<'a> {
    /// Stage that made it.
    pub stage: Cow<'a, str>,
    /// Epoch of the stage: counts resets.
    pub epoch: u64,
    /// 1, 2, 3, … per stage, epoch and source partition.
    pub seq: u64,
    /// The room.
    pub room: Cow<'a, str>,
    /// Which window.
    pub window: WindowRef<'a>,
    /// 1, 2, 3, … per window; the highest is the truth.
    pub revision: u64,
    /// Whether this is the window's last result.
    #[serde(rename = "final")]
    pub last: bool,
    /// The window has become part of a session that starts earlier: this is its last result, and it holds nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retracted: bool,
    /// Taps in the window.
    pub total: u64,
    /// Taps by emoji.
    pub counts: Counts<'a>,
    /// The emoji with most taps, most first: at most [`TOP_MAX`].
    #[serde(default)]
    pub top: Vec<Cow<'a, str>>,
    /// Taps per second over the time that the window has lasted so far.
    #[serde(default)]
    pub rate: f64,
    /// Distinct reactors, an estimate with a standard error of 2.3 %; none where no reaction names one.
    pub users: Option<u64>,
    /// Mood.
    pub sentiment: Option<Sentiment>,
    /// The room's cumulative counters since the epoch.
    pub room_totals: RoomTotals,
    /// The source record that gave rise to it.
    pub source: UpdateSource,
}

/// Names one window of a room: by definition and start, because a session's end grows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WindowRef<'a> {
    /// Name of the definition.
    pub name: Cow<'a, str>,
    /// `tumbling`, `hopping` or `session`.
    pub kind: Cow<'a, str>,
    /// Start, ms since 1970.
    pub start: i64,
    /// End (exclusive), ms since 1970.
    pub end: i64,
}

/// Cumulative counters of a room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomTotals {
    /// Taps that count in at least one window.
    pub reactions: u64,
    /// Taps, for each window that had closed before they came.
    pub late: u64,
    /// Taps of reactions whose id was known.
    pub duplicates: u64,
    /// Events refused with a reason.
    pub rejected: u64,
}

/// A place in the source topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateSource {
    /// Partition.
    pub partition: u32,
    /// Offset.
    pub offset: i64,
}
