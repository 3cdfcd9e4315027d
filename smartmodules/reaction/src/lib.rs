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
mod reason;
mod rules;
mod update;
mod written;

pub use canon::{SkinTones, canonical};
pub use dead_letter::{DeadLetter, Late, Source, TaggedReject};
pub use event::{Draft, Event, Origin, Reaction, judge, parse, room_is_valid};
pub use limits::{
    COUNT_CEILING, COUNT_MAX, EVENT_BYTES_MAX, FUTURE_MS_DEFAULT, ID_BYTES_MAX, Limits, ROOM_BYTES_MAX,
    TIME_MS_MAX, USER_BYTES_MAX,
};
pub use reason::{Reason, Reject};
pub use rules::Rules;
pub use update::{Counts, RoomTotals, UpdateSource, WindowRef, WindowUpdate};
pub use written::Written;
