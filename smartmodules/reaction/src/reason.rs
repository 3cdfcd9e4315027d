//! Why something is refused.

use std::fmt;

/// A stable code for a refusal: the same in problem types, dead letters and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Not UTF-8, not JSON, or a field of the wrong type.
    Malformed,
    /// The event is longer than [`crate::EVENT_BYTES_MAX`].
    TooLarge,
    /// Not one emoji of Unicode's list.
    UnknownEmoji,
    /// `count` is not a whole number from 1 to [`crate::COUNT_MAX`].
    BadCount,
    /// The room's name is empty, too long, or has a character that is not allowed.
    BadRoom,
    /// `id` is empty, too long, or has a control character.
    BadId,
    /// `user` is empty, too long, or has a control character.
    BadUser,
    /// `ts` is not a time in ms between 1970 and 9999.
    BadTime,
    /// No `ts`, and the record has no timestamp either.
    NoTime,
    /// The time lies too far after the record's own.
    Future,
    /// The record's key is not the event's room, so it may be in another partition than the room.
    KeyMismatch,
    /// The window that it belongs to had closed.
    Late,
    /// One partition has as many rooms as it can keep totals for.
    TooManyRooms,
}

impl Reason {
    /// Every reason, for documentation and metrics.
    pub const ALL: [Self; 13] = [
        Self::Malformed,
        Self::TooLarge,
        Self::UnknownEmoji,
        Self::BadCount,
        Self::BadRoom,
        Self::BadId,
        Self::BadUser,
        Self::BadTime,
        Self::NoTime,
        Self::Future,
        Self::KeyMismatch,
        Self::Late,
        Self::TooManyRooms,
    ];

    /// The code as it stands in records: lower case, words joined by `_`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::UnknownEmoji => "unknown_emoji",
            Self::BadCount => "bad_count",
            Self::BadRoom => "bad_room",
            Self::BadId => "bad_id",
            Self::BadUser => "bad_user",
            Self::BadTime => "bad_time",
            Self::NoTime => "no_time",
            Self::Future => "future",
            Self::KeyMismatch => "key_mismatch",
            Self::Late => "late",
            Self::TooManyRooms => "too_many_rooms",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

/// A refusal: why, and what exactly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Reject {
    /// The stable code.
    pub reason: Reason,
    /// A sentence for a person, with the limit that was passed.
    pub detail: String,
    /// The room it was meant for, where that could be made out.
    pub room: Option<String>,
}

impl Reject {
    /// A refusal of something whose room is not known.
    #[must_use]
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), room: None }
    }
}
