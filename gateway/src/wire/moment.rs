//! Moments, as they go over the wire.

use std::collections::BTreeMap;

#[cfg(test)]
use serde::Deserialize;
use serde::Serialize;
#[cfg(test)]
use ts_rs::TS;
use utoipa::ToSchema;

use super::{TopicPlace, UpdateSource};

/// A burst of a room, as it stands in the moment topic. It comes again with a higher `revision` while it goes on, and once it is over.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
pub(crate) struct Moment {
    /// Stage that made it.
    pub(super) stage: String,
    /// Epoch of the stage: counts resets.
    pub(super) epoch: u64,
    /// 1, 2, 3, … per stage, epoch and source partition.
    pub(super) seq: u64,
    /// The room.
    pub(super) room: String,
    /// The same in all its revisions.
    #[schema(example = "final-2026:10s:1795426840000")]
    pub(super) id: String,
    /// Name of the window definition that it was seen in.
    pub(super) window: String,
    /// 1, 2, 3, …; the highest of an id is the truth.
    pub(super) revision: u64,
    /// Whether it is over.
    pub(super) r#final: bool,
    /// Start of the first window of the burst, ms since 1970.
    pub(super) start: i64,
    /// End of its last window so far, ms since 1970.
    pub(super) end: i64,
    /// Taps from start to end.
    pub(super) total: u64,
    /// Its largest window.
    pub(super) peak: MomentPeak,
    /// What was usual before.
    pub(super) baseline: MomentBaseline,
    /// How many times the usual the peak was: its rate by that of before, or by one tap a window if that was less.
    pub(super) lift: f64,
    /// How far the peak stands above the usual, in robust standard deviations of square-rooted counts.
    pub(super) score: f64,
    /// The emoji with the most taps.
    pub(super) leading: String,
    /// Taps by emoji.
    #[cfg_attr(test, ts(type = "Record<string, number>"))]
    pub(super) counts: BTreeMap<String, u64>,
    /// How the mood changed.
    pub(super) sentiment: MomentSentiment,
    /// From where on all its reactions stand in their topic.
    pub(super) replay: TopicPlace,
    /// The result that gave rise to it.
    pub(super) source: UpdateSource,
}

/// The largest window of a moment.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
pub(crate) struct MomentPeak {
    /// Its start, ms since 1970.
    pub(super) start: i64,
    /// Taps.
    pub(super) total: u64,
    /// Taps a second.
    pub(super) rate: f64,
    /// Distinct reactors, an estimate; null where nobody estimates.
    pub(super) users: Option<u64>,
}

/// What was usual before a moment.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
pub(crate) struct MomentBaseline {
    /// Taps a second: the median of the windows before.
    pub(super) rate: f64,
}

/// How the mood changed with a moment; each is null where too few taps tell.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
pub(crate) struct MomentSentiment {
    /// The score before.
    pub(super) before: Option<f64>,
    /// The score in its windows.
    pub(super) during: Option<f64>,
    /// By how much that is more.
    pub(super) shift: Option<f64>,
}

/// What a room's moments were.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
pub(crate) struct Moments {
    /// The room.
    pub(super) room: String,
    /// First start of a moment that was asked for, ms since 1970.
    pub(super) from: i64,
    /// First start that was not asked for any more.
    pub(super) to: i64,
    /// Oldest first, each in its latest revision.
    pub(super) moments: Vec<Moment>,
    /// The query that goes on after this answer, relative to its URL; null if this is all.
    pub(super) next: Option<String>,
}
