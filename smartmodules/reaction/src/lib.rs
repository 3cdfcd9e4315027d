//! The vocabulary of reactions: what an event on the source topic says, what is refused and why, which emoji are one,
//! and how results and dead letters are written.
//!
//! The gateway and the `validate` SmartModule run the same [`parse`], so an early answer and the broker's verdict
//! cannot differ.
#![forbid(unsafe_code)]

mod canon;
mod dead_letter;
mod event;
mod limits;
mod moment;
mod plain;
mod reason;
mod rules;
mod sentiment;
mod update;

pub use canon::{SkinTones, canonical};
pub use dead_letter::{DeadLetter, Late, Source, TaggedReject};
pub use event::{
    Brief, Draft, Event, Judge, Origin, Parsed, Reaction, judge, parse, parse_with_form, room_is_valid,
};
pub use limits::{
    COUNT_CEILING, COUNT_MAX, EVENT_BYTES_MAX, FUTURE_MS_DEFAULT, ID_BYTES_MAX, Limits, ROOM_BYTES_MAX,
    TIME_MS_MAX, USER_BYTES_MAX,
};
pub use moment::{Baseline, Moment, Peak, Replay, SentimentShift};
pub use plain::{Form, Plain};
pub use reason::{Reason, Reject};
pub use rules::Rules;
pub use sentiment::{Mood, SCORED_TAPS_MIN, Sentiment};
pub use update::{Counts, RoomTotals, TOP_MAX, UpdateSource, WindowRef, WindowUpdate};
