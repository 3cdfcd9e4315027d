//! What goes over the wire, as types: the TypeScript ones (`web/ovation-api.d.ts`) are made of these, and the tests here show
//! that what the gateway really sends reads into them and comes out the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;

/// A reaction as a client sends it to its room.
#[derive(Debug, Serialize, Deserialize, TS)]
#[ts(optional_fields)]
struct Reaction {
    /// Its room: needed in a batch, and nowhere else.
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<String>,
    /// One emoji of Unicode's list.
    emoji: String,
    /// Taps, from 1 to 100; 1 if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
    /// Who reacted.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// Names the reaction, so that it can be sent again and counts once.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// When, in ms since 1970; the gateway stamps it otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<i64>,
}

/// The answer to a reaction that is stored.
#[derive(Debug, Serialize, Deserialize, TS)]
#[ts(optional_fields)]
struct ReactionAccepted {
    /// Its id: the client's own, or a new one.
    id: String,
    /// Partition of the events topic.
    partition: u32,
    /// Offset of its record.
    offset: i64,
    /// True if it had been stored before, as far as the gateway knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate: Option<bool>,
}

/// What became of a batch.
#[derive(Debug, Serialize, Deserialize, TS)]
struct BatchAnswer {
    /// Reactions that the broker has acknowledged.
    accepted: u64,
    /// Reactions that had been stored before.
    duplicates: u64,
    /// The others, by their place.
    rejected: Vec<BatchReject>,
}

/// Why an item of a batch was not stored.
#[derive(Debug, Serialize, Deserialize, TS)]
#[ts(optional_fields)]
struct BatchReject {
    /// Place in the batch, from 0.
    index: u64,
    /// Type of the problem.
    r#type: String,
    /// The status that the item would have alone. 429 and from 500 on: send it again later.
    status: u16,
    /// The same for every problem of this type.
    title: String,
    /// What exactly, for a person.
    detail: String,
    /// Send the reaction again under this id, and it counts once.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Seconds to wait before the next try.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

/// An error answer (RFC 9457).
#[derive(Debug, Serialize, Deserialize, TS)]
#[ts(optional_fields)]
struct Problem {
    /// Stable: `urn:ovation:problem:` and a name.
    r#type: String,
    /// The same for every problem of this type.
    title: String,
    /// The status of the answer.
    status: u16,
    /// What exactly, for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Send the reaction again under this id, and it counts once.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Seconds to wait before the next try.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    /// Each item of a batch of which nothing was stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected: Option<Vec<BatchReject>>,
}

/// A room as it is now.
#[derive(Debug, Serialize, Deserialize, TS)]
struct Snapshot {
    /// Where the feed goes on: `?after=CURSOR`.
    cursor: String,
    /// The room.
    room: String,
    /// Its counters.
    room_totals: RoomTotals,
    /// Clients of this gateway that follow the room.
    watching: u64,
    /// The open windows, and the last finals.
    windows: Vec<WindowUpdate>,
}

/// A window's counts, as they stand in the aggregate topic.
#[derive(Debug, Serialize, Deserialize, TS)]
struct WindowUpdate {
    /// Stage that made it.
    stage: String,
    /// Epoch of the stage: counts resets.
    epoch: u64,
    /// 1, 2, 3, … per stage, epoch and source partition.
    seq: u64,
    /// The room.
    room: String,
    /// Which window.
    window: WindowRef,
    /// 1, 2, 3, … per window; the highest is the truth.
    revision: u64,
    /// Whether this is the window's last result.
    r#final: bool,
    /// The window has become part of a session that starts earlier: this is its last result, and it holds nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(optional, as = "Option<bool>")]
    retracted: bool,
    /// Taps in the window.
    total: u64,
    /// Taps by emoji.
    #[ts(type = "Record<string, number>")]
    counts: BTreeMap<String, u64>,
    /// Distinct reactors, an estimate; null where nobody estimates.
    users: Option<u64>,
    /// Mood; null where nobody judges it.
    #[ts(type = "unknown")]
    sentiment: Option<Value>,
    /// The room's counters since the epoch.
    room_totals: RoomTotals,
    /// The source record that gave rise to it.
    source: UpdateSource,
}

/// Names one window of a room: by `name` and `start`, because a session's end grows.
#[derive(Debug, Serialize, Deserialize, TS)]
struct WindowRef {
    /// Name of the definition.
    name: String,
    /// What kind of window.
    #[ts(type = r#""tumbling" | "hopping" | "session""#)]
    kind: String,
    /// Start, ms since 1970.
    start: i64,
    /// End (exclusive), ms since 1970.
    end: i64,
}

/// Cumulative counters of a room.
#[derive(Debug, Serialize, Deserialize, TS)]
struct RoomTotals {
    /// Taps that count in at least one window.
    reactions: u64,
    /// Taps, for each window that had closed before they came.
    late: u64,
    /// Taps of reactions whose id was known.
    duplicates: u64,
    /// Events refused with a reason.
    rejected: u64,
}

/// A place in the source topic.
#[derive(Debug, Serialize, Deserialize, TS)]
struct UpdateSource {
    /// Partition.
    partition: u32,
    /// Offset.
    offset: i64,
}

/// What the feed sends.
#[derive(Debug, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "lowercase")]
enum FeedMessage {
    /// The room as it is: at the beginning, and after `skipped`.
    Snapshot(Snapshot),
    /// A window's new counts.
    Update {
        /// Where the feed goes on after this one.
        cursor: String,
        /// The record as it stands in the topic.
        update: WindowUpdate,
    },
    /// The client was too slow for some updates.
    Skipped {
        /// How many.
        count: u64,
    },
    /// A reaction is stored.
    Ack {
        /// The client's own, from its message.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        r#ref: Option<String>,
        /// The reaction's id.
        id: String,
    },
    /// A message was not taken.
    Error {
        /// The client's own, from its message.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        r#ref: Option<String>,
        /// Why.
        problem: Problem,
    },
}

/// What the feed takes.
#[derive(Debug, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "lowercase")]
enum ClientMessage {
    /// A reaction to the feed's room.
    React(React),
    /// The token, where it was not sent with the handshake.
    Auth {
        /// The token.
        token: String,
    },
}

/// A reaction on the feed's socket.
#[derive(Debug, Serialize, Deserialize, TS)]
#[ts(optional_fields)]
struct React {
    /// Comes back with the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    r#ref: Option<String>,
    /// One emoji of Unicode's list.
    emoji: String,
    /// Taps, from 1 to 100; 1 if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
    /// Who reacted.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// Names the reaction, so that it can be sent again and counts once.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

mod tests;
