//! Every kind of problem that the gateway answers, in one table: for the answers, the OpenAPI document and the metrics.

use ovation_reaction::Reason;

/// A kind of problem.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Stable name, the last part of `type`.
    pub(crate) name: &'static str,
    /// HTTP status.
    pub(crate) status: u16,
    /// The same for every occurrence.
    pub(crate) title: &'static str,
    /// What it means, for the documentation.
    pub(crate) about: &'static str,
}

macro_rules! kinds {
    ($($constant:ident: $name:literal $status:literal $title:literal $about:literal,)*) => {
        $(pub(crate) const $constant: &Kind =
            &Kind { name: $name, status: $status, title: $title, about: $about };)*
        /// Every kind, in the order of their statuses.
        pub(crate) const ALL: &[&Kind] = &[$($constant),*];
    };
}

kinds! {
    BAD_REQUEST: "bad-request" 400 "The request cannot be read"
        "A path, query, header or message that is not what its place calls for.",
    MALFORMED_JSON: "malformed-json" 400 "The body is not valid JSON"
        "Also bytes that are no UTF-8, lone surrogates, and a body that its `Content-Encoding` does not fit.",
    TOO_DEEP: "too-deep" 400 "The JSON is nested too deeply"
        "Arrays and objects within each other beyond the limit.",
    NO_HANDSHAKE: "websocket-expected" 400 "The feed is a WebSocket"
        "The feed was asked for without a WebSocket handshake; 426 where the connection could be upgraded.",
    UNAUTHORIZED: "unauthorized" 401 "A token is needed"
        "There is no token, or it is malformed, expired, or not signed by a known key.",
    FORBIDDEN: "forbidden" 403 "The token does not allow this"
        "The token is good, and does not cover this room or action.",
    WRONG_USER: "wrong-user" 403 "The token is another user's"
        "`user` is not the user that the token names.",
    ORIGIN_NOT_ALLOWED: "origin-not-allowed" 403 "Pages of this origin may not do this"
        "The browser's page comes from an origin that the gateway does not list.",
    NOT_FOUND: "not-found" 404 "Not found"
        "There is nothing at this path.",
    METHOD_NOT_ALLOWED: "method-not-allowed" 405 "Method not allowed"
        "The path is there, and takes the methods in `Allow`.",
    NOT_ACCEPTABLE: "not-acceptable" 406 "Answers are JSON"
        "The `Accept` header excludes JSON.",
    BODY_TIMEOUT: "body-timeout" 408 "The body took too long"
        "The body did not arrive in time.",
    REACTIONS_CLOSED: "reactions-closed" 409 "Reactions are closed"
        "The room takes no reactions at the moment.",
    ROOMS_FULL: "rooms-full" 409 "Too many rooms with settings"
        "As many rooms have settings of their own as the gateway keeps; only on the admin address.",
    TOO_LARGE: "too-large" 413 "Too large"
        "The body, before or after decompression, a message or an event is larger than its limit.",
    TOO_MANY_ITEMS: "too-many-items" 413 "Too many reactions in one request"
        "The batch holds more items than one request may.",
    UNSUPPORTED_MEDIA_TYPE: "unsupported-media-type" 415 "The body is of no type that is taken here"
        "`Content-Type` is none of those that the route takes.",
    UNSUPPORTED_ENCODING: "unsupported-encoding" 415 "The body's encoding is not supported"
        "`Content-Encoding` is none of gzip, zstd, br and identity, or several of them.",
    MISDIRECTED: "misdirected-request" 421 "The request is for another host"
        "`Host` names another machine: a page elsewhere may be trying to reach this one.",
    MALFORMED: "malformed" 422 "Malformed"
        "JSON, but no reaction: a field is missing or of the wrong type.",
    UNKNOWN_EMOJI: "unknown-emoji" 422 "Unknown emoji"
        "Not one emoji of Unicode's list (RGI, any presentation).",
    EMOJI_NOT_ALLOWED: "emoji-not-allowed" 422 "This room does not take this emoji"
        "The room has a list of emoji, and this is none of them.",
    BAD_COUNT: "bad-count" 422 "Bad count"
        "`count` is no whole number within its limit.",
    BAD_ROOM: "bad-room" 422 "Bad room"
        "The room's name is empty, too long, or has a character that is not allowed.",
    BAD_ID: "bad-id" 422 "Bad id"
        "`id`, or `Idempotency-Key`, is empty, too long, or has a control character; or the two differ.",
    BAD_USER: "bad-user" 422 "Bad user"
        "`user` is empty, too long, or has a control character.",
    BAD_TIME: "bad-time" 422 "Bad time"
        "`ts` is no time in ms between 1970 and 9999.",
    NO_TIME: "no-time" 422 "No time"
        "There is neither `ts` nor a time of the record; only for producers other than the gateway.",
    FUTURE: "future" 422 "Future"
        "`ts` lies too far after the gateway's clock.",
    PAST: "past" 422 "Past"
        "`ts` lies too far before the gateway's clock.",
    KEY_MISMATCH: "key-mismatch" 422 "Key mismatch"
        "The record's key is not its room; only for producers other than the gateway.",
    LATE: "late" 422 "Late"
        "The window that it belongs to had closed; only in the dead-letter topic.",
    TOO_MANY_ROOMS: "too-many-rooms" 422 "Too many rooms"
        "One partition has as many rooms as it keeps totals for; only in the dead-letter topic.",
    BAD_EMOJI_LIST: "bad-emoji-list" 422 "Bad list of emoji"
        "A room's list names something that is no emoji, or too many; only on the admin address.",
    BAD_RANGE: "bad-range" 422 "Bad range"
        "`from` or `to` of a history is no time, or they are no range, or one that is too long.",
    BAD_STEP: "bad-step" 422 "Bad step"
        "`step` of a history is no length of time, or one that is too long.",
    REF_TOO_LONG: "ref-too-long" 422 "`ref` is too long"
        "`ref` of a feed message is longer than its limit.",
    UNKNOWN_MESSAGE: "unknown-message" 422 "Unknown message"
        "`type` of a feed message is none that the gateway knows.",
    UPGRADE_REQUIRED: "websocket-expected" 426 "The feed is a WebSocket"
        "See 400: this connection could be upgraded.",
    RATE_LIMITED: "rate-limited" 429 "Too many reactions"
        "The user, the address or the room has used up its share; `Retry-After` tells when to go on.",
    ROOMS_FIXED: "rooms-fixed" 501 "Rooms cannot be set here"
        "There is no topic for rooms' settings; only on the admin address.",
    BUSY: "busy" 503 "Too many reactions are on their way"
        "The queue to the broker is full. Nothing was stored.",
    BROKER_UNAVAILABLE: "broker-unavailable" 503 "The broker is away"
        "No acknowledgement came. Send it again under the same id, and it counts once.",
    BROKER_DEADLINE: "broker-deadline" 503 "The broker took too long"
        "It may have been stored. Send it again under the same id, and it counts once.",
    BROKER_REFUSED: "broker-refused" 503 "The broker did not take the reaction"
        "The broker is reachable, and said no.",
    ROOMS_UNREAD: "rooms-unread" 503 "The gateway is starting"
        "It has not read yet what the rooms take. Nothing was stored.",
    ROOMS_UNWRITTEN: "rooms-unwritten" 503 "The settings may not be stored"
        "Send them again; only on the admin address.",
    TOO_MANY_CLIENTS: "too-many-clients" 503 "Too many clients"
        "The gateway has as many feed clients as it takes.",
    TOO_MANY_HISTORIES: "too-many-histories" 503 "Too many histories are being read"
        "The gateway reads as many histories at a time as it may.",
    HISTORY_UNAVAILABLE: "history-unavailable" 503 "The history cannot be read"
        "The topic that holds it cannot be read, or not in time.",
}

impl Kind {
    /// The kind of a reason, which is named alike in dead letters.
    pub(crate) fn of(reason: Reason) -> &'static Self {
        match reason {
            Reason::Malformed => MALFORMED,
            Reason::TooLarge => TOO_LARGE,
            Reason::UnknownEmoji => UNKNOWN_EMOJI,
            Reason::BadCount => BAD_COUNT,
            Reason::BadRoom => BAD_ROOM,
            Reason::BadId => BAD_ID,
            Reason::BadUser => BAD_USER,
            Reason::BadTime => BAD_TIME,
            Reason::NoTime => NO_TIME,
            Reason::Future => FUTURE,
            Reason::KeyMismatch => KEY_MISMATCH,
            Reason::Late => LATE,
            Reason::TooManyRooms => TOO_MANY_ROOMS,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_reason_has_its_own_name_in_both_places() {
        for reason in Reason::ALL {
            assert_eq!(Kind::of(reason).name, reason.code().replace('_', "-"));
        }
    }

    #[test]
    fn names_are_told_apart_and_in_order() {
        let names: HashSet<_> = ALL.iter().map(|kind| (kind.name, kind.status)).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(ALL.is_sorted_by_key(|kind| kind.status));
    }
}
