//! Room patterns: a name, with `*` for any part of it.

use ovation_reaction::ROOM_BYTES_MAX;

use crate::glob;

/// A pattern such as `lobby`, `final-*` or `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoomPattern(Box<str>);

impl RoomPattern {
    /// A pattern; none if no room could match it for its length.
    pub(crate) fn new(text: &str) -> Option<Self> {
        (1..=ROOM_BYTES_MAX).contains(&text.len()).then(|| Self(text.into()))
    }

    /// The pattern that every room matches.
    pub(crate) fn any() -> Self {
        Self("*".into())
    }

    /// The pattern as it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `room` matches.
    pub(crate) fn matches(&self, room: &str) -> bool {
        glob::matches(&self.0, room)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, room: &str) -> bool {
        RoomPattern::new(pattern).expect("a pattern").matches(room)
    }

    /// The definition, as slow as it is plain.
    fn matches_plainly(pattern: &[u8], room: &[u8]) -> bool {
        match pattern.split_first() {
            None => room.is_empty(),
            Some((b'*', rest)) => (0..=room.len()).any(|taken| matches_plainly(rest, &room[taken..])),
            Some((byte, rest)) => room.first() == Some(byte) && matches_plainly(rest, &room[1..]),
        }
    }

    #[test]
    fn a_star_stands_for_any_part() {
        for (pattern, room) in [
            ("lobby", "lobby"),
            ("*", "lobby"),
            ("final-*", "final-2026"),
            ("final-*", "final-"),
            ("*-2026", "final-2026"),
            ("a*b*c", "a-b-b-c"),
            ("**", "a"),
        ] {
            assert!(matches(pattern, room), "{pattern} {room}");
        }
        for (pattern, room) in [
            ("lobby", "lobby2"),
            ("lobby", "Lobby"),
            ("final-*", "final"),
            ("a*b", "a-b-c"),
            ("final-*", "x-final-1"),
        ] {
            assert!(!matches(pattern, room), "{pattern} {room}");
        }
    }

    #[test]
    fn a_pattern_has_the_length_of_a_room() {
        assert_eq!(RoomPattern::new(""), None);
        assert_eq!(RoomPattern::new(&"x".repeat(ROOM_BYTES_MAX + 1)), None);
        assert!(RoomPattern::new(&"x".repeat(ROOM_BYTES_MAX)).is_some());
    }

    proptest! {
        #[test]
        fn matching_is_what_the_definition_says(pattern in "[ab*]{1,10}", room in "[ab]{0,12}") {
            prop_assert_eq!(matches(&pattern, &room), matches_plainly(pattern.as_bytes(), room.as_bytes()));
        }
    }
}
