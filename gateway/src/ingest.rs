//! Ingest: reactions are checked, stored, and answered when the broker has acknowledged them.

mod admit;
mod body;
mod check;
mod combine;
mod config;
mod json;
mod key;
pub(crate) mod many;
pub(crate) mod one;
mod recent;
mod store;

use ovation_client::Stored;
use serde::Serialize;
use utoipa::ToSchema;

pub(crate) use self::admit::{Admitted, Sender};
pub(crate) use self::check::{Checked, check, now_ms};
pub use self::config::Ingest;
pub(crate) use self::json::read as read_json;
pub(crate) use self::many::BatchReject;
pub(crate) use self::store::{Store, Taken};

/// The answer to a reaction that is stored.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
pub(crate) struct ReactionAccepted {
    /// Its id: the client's own, or a new one. Sent again under this id within the dedup horizon it counts once.
    id: String,
    /// Partition of the events topic, from 0.
    partition: u32,
    /// Offset of its record.
    #[cfg_attr(test, ts(type = "number"))]
    offset: i64,
    /// True if it had been stored before: it counts once. A gateway that does not know it says nothing, and it counts once
    /// all the same.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
}

impl From<Taken> for ReactionAccepted {
    fn from(taken: Taken) -> Self {
        let Stored { partition, offset } = taken.place;
        Self { id: taken.id.to_string(), partition, offset, duplicate: taken.is_duplicate }
    }
}

/// A reaction as a client sends it.
#[derive(Debug, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
#[schema(as = Reaction)]
#[expect(dead_code, reason = "describes what `Draft` reads")]
pub(crate) struct ReactionBody {
    /// One emoji of Unicode's list, in any presentation.
    #[schema(example = "🔥")]
    emoji: String,
    /// Taps; 1 if it is left out. At most `count-max` of the topology, 100 by default.
    #[schema(minimum = 1, maximum = 100)]
    count: Option<u32>,
    /// Who reacted, at most 64 bytes without control characters. A token's user, where there is one.
    #[schema(min_length = 1, max_length = 64)]
    user: Option<String>,
    /// Names the reaction, so that it can be sent again: at most 64 bytes without control characters.
    #[schema(min_length = 1, max_length = 64)]
    id: Option<String>,
    /// When, in ms since 1970; within 5 s of the gateway's clock, which stamps the reaction otherwise.
    #[cfg_attr(test, ts(type = "number"))]
    ts: Option<u64>,
}

/// A reaction in a batch: one with its room.
#[derive(Debug, ToSchema)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[schema(as = BatchItem)]
#[expect(dead_code, reason = "describes what `Draft` reads")]
pub(crate) struct BatchItem {
    /// Its room: 1 to 64 letters, digits, `-`, `_`, `.` or `~`, beginning with a letter or digit.
    #[schema(
        example = "final-2026",
        min_length = 1,
        max_length = 64,
        pattern = "^[A-Za-z0-9][A-Za-z0-9._~-]*$"
    )]
    room: String,
    #[cfg_attr(test, ts(flatten))]
    #[schema(inline)]
    #[serde(flatten)]
    reaction: ReactionBody,
}
