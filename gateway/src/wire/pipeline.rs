//! What operators are told, as it goes over the wire.

use std::collections::BTreeMap;

#[cfg(test)]
use serde::Deserialize;
use serde::Serialize;
#[cfg(test)]
use ts_rs::TS;
use utoipa::ToSchema;

use super::TopicPlace;
use crate::pipeline::StageStatus;

/// How reactions get on, as far as this process knows.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
pub(crate) struct Pipeline {
    /// When it was so, ms since 1970.
    pub(super) time: i64,
    /// What comes in at this gateway.
    pub(super) ingest: IngestRates,
    /// Where the stages stand; null where no engine runs in this process.
    pub(super) stages: Option<Vec<StageStatus>>,
    /// What did not count; null where there is no topic with dead letters.
    pub(super) rejects: Option<RejectCounts>,
}

/// Reactions that were accepted in the last seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
pub(crate) struct IngestRates {
    /// Reactions a second.
    pub(crate) reactions_per_s: f64,
    /// Taps a second.
    pub(crate) taps_per_s: f64,
}

/// Dead letters of all rooms and gateways.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
pub(crate) struct RejectCounts {
    /// Since when they are counted, ms since 1970.
    pub(super) since: i64,
    /// How many came.
    pub(super) total: u64,
    /// The same by reason.
    #[cfg_attr(test, ts(type = "Record<string, number>"))]
    pub(super) by_reason: BTreeMap<String, u64>,
    /// The last ones, also from before, the newest first.
    #[schema(max_items = 50)]
    pub(super) last: Vec<DeadLetter>,
}

/// An event that did not count, as it stands in the dead-letter topic.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
#[cfg_attr(test, ts(optional_fields))]
pub(crate) struct DeadLetter {
    /// Why: stable.
    #[schema(example = "late")]
    pub(super) reason: String,
    /// A sentence for a person.
    pub(super) detail: String,
    /// The room, where it could be made out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) room: Option<String>,
    /// Name of the window definition that it came too late for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) window: Option<String>,
    /// How many of its windows hold the event's time and had closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) windows_missed: Option<u64>,
    /// The event as it was received; base64 if `event_encoding` says so.
    pub(super) event: String,
    /// `base64` where the event is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) event_encoding: Option<String>,
    /// Stage that refused it.
    pub(super) stage: String,
    /// Epoch of the stage.
    pub(super) epoch: u64,
    /// 1, 2, 3, … per stage, epoch and source partition.
    pub(super) seq: u64,
    /// Where the event stands.
    pub(super) source: TopicPlace,
    /// True where the letter was too long, and its texts are there in part.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(test, ts(optional, as = "Option<bool>"))]
    pub(super) cut: bool,
}
