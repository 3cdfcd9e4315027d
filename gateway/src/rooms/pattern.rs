//! Which rooms a rule is about: a name in which `*` stands for anything.

use ovation_reaction::ROOM_BYTES_MAX;

use crate::glob;

/// Longest pattern: the longest name with a `*` around each character.
const PATTERN_BYTES_MAX: usize = 2 * ROOM_BYTES_MAX + 1;

/// `final-*`, `*`, `lobby`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Box<str>);

impl Pattern {
    /// Checks a pattern.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~*".contains(&byte);
        if text.is_empty() || text.len() > PATTERN_BYTES_MAX || !text.bytes().all(known) {
            return Err(format!(
                "{text:?} matches no room; expected letters, digits, '-', '_', '.' or '~', and '*' for any of them, at most \
                 {PATTERN_BYTES_MAX} characters"
            ));
        }
        Ok(Self(text.into()))
    }

    /// The pattern as it was written.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the room is meant.
    pub(super) fn matches(&self, room: &str) -> bool {
        glob::matches(&self.0, room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, room: &str) -> bool {
        Pattern::read(pattern).expect("a pattern").matches(room)
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, room, expected) in [
            ("lobby", "lobby", true),
            ("lobby", "lobby2", false),
            ("lobby", "lobb", false),
            ("*", "x", true),
            ("final-*", "final-2026", true),
            ("final-*", "final-", true),
            ("final-*", "semifinal-1", false),
            ("*-2026", "final-2026", true),
            ("*-2026", "final-2026-2026", true),
            ("*-2026", "final-2026-b", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "abbcbc", true),
            ("a*b*c", "acb", false),
            ("**", "x", true),
        ] {
            assert_eq!(matches(pattern, room), expected, "{pattern} {room}");
        }
        let hostile = "a*".repeat(64);
        assert!(!matches(&hostile, &format!("{}b", "a".repeat(63))), "and it does not take for ever");
    }

    #[test]
    fn what_can_match_nothing_is_refused() {
        for text in ["", "a b", "a/b", "[a]", "é", &"a".repeat(130)] {
            assert!(Pattern::read(text).is_err(), "{text:?}");
        }
    }
}
