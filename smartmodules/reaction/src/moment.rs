//! Moments: when a room's crowd did far more than it had before.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::Counts;

/// One record of the moment topic: a burst of reactions as far as it is known. Of two for one `id` the higher revision is the
/// truth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moment<'a> {
    /// Stage that made it.
    pub stage: Cow<'a, str>,
    /// Epoch of the stage: counts resets.
    pub epoch: u64,
    /// 1, 2, 3, … per stage, epoch and source partition.
    pub seq: u64,
    /// The room.
    pub room: Cow<'a, str>,
    /// Names it: room, window definition and start.
    pub id: Cow<'a, str>,
    /// Definition of the windows that it was seen in.
    pub window: Cow<'a, str>,
    /// 1, 2, 3, … per moment.
    pub revision: u64,
    /// Whether it is over.
    #[serde(rename = "final")]
    pub last: bool,
    /// Start of its first window, ms since 1970.
    pub start: i64,
    /// End of its last window so far (exclusive), ms since 1970.
    pub end: i64,
    /// Taps from start to end.
    pub total: u64,
    /// Its largest window.
    pub peak: Peak,
    /// What was usual before.
    pub baseline: Baseline,
    /// How many times the usual the peak was: the peak's rate by the baseline's, or by one tap a window if that was less.
    pub lift: f64,
    /// How far the peak stands above the usual, in robust standard deviations of square-rooted counts.
    pub score: f64,
    /// The emoji with most taps.
    pub leading: Cow<'a, str>,
    /// Taps of the emoji with most.
    pub counts: Counts<'a>,
    /// How the mood moved.
    pub sentiment: SentimentShift,
    /// Where to read the reactions again.
    pub replay: Replay<'a>,
    /// The result that gave rise to this record.
    pub source: crate::UpdateSource,
}

/// The largest window of a moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peak {
    /// Its start, ms since 1970.
    pub start: i64,
    /// Its taps.
    pub total: u64,
    /// Taps per second.
    pub rate: f64,
    /// Distinct reactors, an estimate; none where no reaction names one.
    pub users: Option<u64>,
}

/// What a room's crowd did before a moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Taps per second: the median of the windows before.
    pub rate: f64,
}

/// Scores before and during a moment, as in [`crate::Sentiment`]; none where too few taps have a known emoji.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SentimentShift {
    /// Of the windows before.
    pub before: Option<f64>,
    /// Of its own.
    pub during: Option<f64>,
    /// The difference.
    pub shift: Option<f64>,
}

/// A place in the topic of reactions from which on all reactions of a moment stand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replay<'a> {
    /// The topic.
    pub topic: Cow<'a, str>,
    /// Partition.
    pub partition: u32,
    /// Offset.
    pub offset: i64,
}
