//! What goes over the wire, as types: what ingest answers, and what the OpenAPI document and the TypeScript types
//! (`web/ovation-api.d.ts`) are made of. The tests here show that what the gateway really sends reads into them and comes out the
//! same.
#![cfg_attr(not(test), expect(dead_code, reason = "some messages are written by hand, and described here"))]

mod moment;
mod pipeline;

use std::collections::BTreeMap;

#[cfg(test)]
use serde::Deserialize;
use serde::Serialize;
#[cfg(test)]
use ts_rs::TS;
use utoipa::ToSchema;

pub(crate) use self::moment::{Moment, Moments};
#[cfg(test)]
pub(crate) use self::moment::{MomentBaseline, MomentPeak, MomentSentiment};
#[cfg(test)]
pub(crate) use self::pipeline::{DeadLetter, RejectCounts};
pub(crate) use self::pipeline::{IngestRates, Pipeline};

/// A reaction as a client sends it to its room.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
#[cfg_attr(test, ts(optional_fields))]
pub(crate) struct Reaction {
    /// Its room: needed in a batch; elsewhere it is known, and may be left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        example = "final-2026",
        min_length = 1,
        max_length = 64,
        pattern = "^[A-Za-z0-9][A-Za-z0-9._~-]*$"
    )]
    room: Option<String>,
    /// One emoji of Unicode's list, in any presentation.
    #[schema(example = "🔥", format = "emoji", min_length = 1)]
    emoji: String,
    /// Taps; 1 if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    count: Option<u32>,
    /// Who reacted, without control characters; the token's user, where it names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    user: Option<String>,
    /// Names the reaction, so that it can be sent again and counts once. Without control characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    id: Option<String>,
    /// When, in ms since 1970, near the gateway's clock; the gateway stamps it otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 253_402_300_799_999_i64)]
    ts: Option<i64>,
}

/// A reaction a line, or an array of them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = "{\"room\":\"final-2026\",\"emoji\":\"🔥\"}\n", min_length = 1, pattern = r"\S")]
pub(crate) struct Lines(String);

/// The answer to a reaction that is stored.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
pub(crate) struct ReactionAccepted {
    /// Its id: the client's own, or a new one. Sent again under this id within the dedup horizon it counts once.
    pub(crate) id: String,
    /// Partition of the events topic, from 0.
    pub(crate) partition: u32,
    /// Offset of its record.
    pub(crate) offset: i64,
    /// True if it had been stored before. A gateway that does not know it says nothing, and it counts once all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(test, ts(optional, as = "Option<bool>"))]
    pub(crate) duplicate: bool,
}

/// What became of a batch. The three numbers add up to its items.
#[derive(Debug, Default, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
pub(crate) struct BatchAnswer {
    /// Reactions that the broker has acknowledged.
    pub(crate) accepted: u64,
    /// Reactions that had been stored before; they count once.
    pub(crate) duplicates: u64,
    /// The others, by their place.
    pub(crate) rejected: Vec<BatchReject>,
}

/// Why an item of a batch was not stored.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
#[cfg_attr(test, ts(optional_fields))]
pub(crate) struct BatchReject {
    /// Place in the batch, from 0. Of lines, empty ones do not count.
    pub(crate) index: u64,
    /// Type of the problem.
    #[schema(example = "urn:ovation:problem:unknown-emoji")]
    pub(crate) r#type: String,
    /// The status that the item would have alone. 429 and from 500 on: send it again later.
    #[schema(example = 422)]
    pub(crate) status: u16,
    /// The same for every problem of this type.
    pub(crate) title: String,
    /// What exactly, for a person.
    pub(crate) detail: String,
    /// Send the reaction again under this id, and it counts once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// Seconds to wait before the next try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after: Option<u64>,
}

/// An error answer (RFC 9457), with members of its own.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
#[cfg_attr(test, ts(optional_fields))]
pub(crate) struct Problem {
    /// Stable: `urn:ovation:problem:` and a name.
    #[schema(example = "urn:ovation:problem:unknown-emoji")]
    pub(crate) r#type: String,
    /// The same for every problem of this type.
    pub(crate) title: String,
    /// The status of the answer.
    #[schema(example = 422)]
    pub(crate) status: u16,
    /// What exactly, for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    /// Send the reaction again under this id, and it counts once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// Seconds to wait before the next try, as in `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after: Option<u64>,
    /// Each item of a batch of which nothing was stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rejected: Option<Vec<BatchReject>>,
}

/// A room as it is now.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
pub(crate) struct Snapshot {
    /// Where the feed goes on: `?after=CURSOR`.
    cursor: String,
    /// The room.
    room: String,
    /// Its counters.
    room_totals: RoomTotals,
    /// Clients of this gateway that follow the room.
    watching: u64,
    /// Whether the room takes reactions.
    open: bool,
    /// The only emoji that it takes; null if it takes all.
    emoji: Option<Vec<String>>,
    /// False where a client wanted to resume and could not: what it missed is not there any more, or its cursor is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    resumed: Option<bool>,
    /// The open windows, and the last finals.
    windows: Vec<WindowUpdate>,
    /// The room's last moments, oldest first, each in its latest revision.
    #[schema(max_items = 16)]
    moments: Vec<Moment>,
}

/// Rooms with windows.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
pub(crate) struct ActiveRooms {
    /// The last active first.
    rooms: Vec<ActiveRoom>,
}

/// A room with windows.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
pub(crate) struct ActiveRoom {
    /// The room.
    room: String,
    /// Its counters.
    room_totals: RoomTotals,
    /// Clients of this gateway that follow the room.
    watching: u64,
    /// Windows that are not final.
    open_windows: u64,
}

/// The answer of a process that is there.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alive {
    /// Always `ok`.
    pub(crate) status: String,
}

/// A window's counts, as they stand in the aggregate topic.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
pub(crate) struct WindowUpdate {
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
    #[cfg_attr(test, ts(optional, as = "Option<bool>"))]
    retracted: bool,
    /// Taps in the window.
    total: u64,
    /// Taps by emoji.
    #[cfg_attr(test, ts(type = "Record<string, number>"))]
    counts: BTreeMap<String, u64>,
    /// Distinct reactors, an estimate; null where nobody estimates.
    users: Option<u64>,
    /// Mood; null where nobody judges it.
    sentiment: Option<Sentiment>,
    /// The emoji with the most taps, those with most first.
    #[serde(default)]
    #[schema(max_items = 5)]
    top: Vec<String>,
    /// Taps a second, over the time that the window has lasted so far.
    #[serde(default)]
    rate: f64,
    /// The room's counters since the epoch.
    room_totals: RoomTotals,
    /// The source record that gave rise to it.
    source: UpdateSource,
}

/// The mood of taps: of those whose emoji is in the ranking of emoji by sentiment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
pub(crate) struct Sentiment {
    /// From -1, bad, to 1, good; null where there are too few such taps to tell.
    #[schema(minimum = -1, maximum = 1)]
    pub(crate) score: Option<f64>,
    /// Their share of all taps.
    #[schema(minimum = 0, maximum = 1)]
    pub(crate) coverage: f64,
    /// How many they are.
    pub(crate) n: u64,
}

/// Names one window of a room: by `name` and `start`, because a session's end grows.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
pub(crate) struct WindowRef {
    /// Name of the definition.
    pub(crate) name: String,
    /// What kind of window.
    #[cfg_attr(test, ts(type = r#""tumbling" | "hopping" | "session""#))]
    pub(crate) kind: String,
    /// Start, ms since 1970.
    pub(crate) start: i64,
    /// End (exclusive), ms since 1970.
    pub(crate) end: i64,
}

/// What a room's windows were.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
pub(crate) struct History {
    /// The room.
    room: String,
    /// First start of a window that was asked for, ms since 1970.
    from: i64,
    /// First start that was not asked for any more.
    to: i64,
    /// Length of a step in ms; null where windows come one by one.
    #[schema(minimum = 1)]
    step: Option<i64>,
    /// In the order in which they became final; of one definition oldest first.
    windows: Vec<HistoryWindow>,
    /// The query that goes on after this answer, relative to its URL; null if this is all.
    next: Option<String>,
}

/// A window that is final, or a step.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
#[serde(untagged)]
pub(crate) enum HistoryWindow {
    /// Without `step`: as it stands in the topic.
    Window(WindowUpdate),
    /// With `step`.
    Step(HistoryStep),
}

/// The windows of one definition that begin in one step, added up.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
pub(crate) struct HistoryStep {
    /// The definition, and the step's own start and end: the end is that of the last window, if that is later. Of kinds that are
    /// not added up it is the window.
    pub(crate) window: WindowRef,
    /// Taps.
    pub(crate) total: u64,
    /// Taps by emoji.
    #[cfg_attr(test, ts(type = "Record<string, number>"))]
    pub(crate) counts: BTreeMap<String, u64>,
    /// How many windows it is made of.
    pub(crate) windows: u64,
    /// Distinct reactors cannot be added up: always null.
    pub(crate) users: Option<u64>,
    /// Mood of its windows, each by the taps that tell of it; null where none does.
    pub(crate) sentiment: Option<Sentiment>,
}

/// Cumulative counters of a room.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
pub(crate) struct RoomTotals {
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
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
pub(crate) struct UpdateSource {
    /// Partition.
    partition: u32,
    /// Offset.
    offset: i64,
}

/// A record's place in a topic.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
pub(crate) struct TopicPlace {
    /// The topic.
    topic: String,
    /// Partition.
    partition: u32,
    /// Offset.
    offset: i64,
}

/// What the feed sends.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum FeedMessage {
    /// The room as it is: at the beginning, and where updates were lost on the way to the client.
    Snapshot(Snapshot),
    /// A window's new counts.
    Update {
        /// Where the feed goes on after this one.
        cursor: String,
        /// Clients of this gateway that follow the room.
        watching: u64,
        /// The record as it stands in the topic.
        update: WindowUpdate,
    },
    /// A burst of the room, or more of one. After a resume it may come again.
    Moment {
        /// Where the feed goes on after this one.
        cursor: String,
        /// The record as it stands in the topic.
        moment: Moment,
    },
    /// The client was too slow for some updates, which others have superseded by now. Finals are never left out.
    Skipped {
        /// How many.
        count: u64,
    },
    /// A reaction is stored.
    Ack {
        /// The client's own, from its message.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        r#ref: Option<String>,
        /// The reaction's id; none in the answer to a token.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        id: Option<String>,
        /// True if it had been stored before, as far as the gateway knows.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        #[cfg_attr(test, ts(optional, as = "Option<bool>"))]
        duplicate: bool,
    },
    /// A message was not taken.
    Error {
        /// The client's own, from its message.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        r#ref: Option<String>,
        /// Why.
        problem: Problem,
    },
}

/// What the feed takes.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum ClientMessage {
    /// A reaction to the feed's room.
    React(React),
    /// The token, where it was not sent with the handshake.
    Auth {
        /// The token.
        token: String,
        /// Comes back with the answer; without it there is none.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        r#ref: Option<String>,
    },
}

/// A reaction on the feed's socket.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
#[cfg_attr(test, ts(optional_fields))]
pub(crate) struct React {
    /// Comes back with the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    r#ref: Option<String>,
    /// One emoji of Unicode's list.
    #[schema(example = "🔥", format = "emoji", min_length = 1)]
    emoji: String,
    /// Taps, from 1 to 100; 1 if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    count: Option<u32>,
    /// Who reacted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    user: Option<String>,
    /// Names the reaction, so that it can be sent again and counts once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    id: Option<String>,
}

#[cfg(test)]
mod tests;
