//! What a file says about rooms: rules, of which the first that matches a room holds for it.

use std::sync::Arc;

use quick_cache::sync::Cache;
use serde::Deserialize;

use super::emoji::Emoji;
use super::pattern::Pattern;

/// Rules in a file at most.
const RULES_MAX: usize = 1_000;
/// Emoji in one rule at most: Unicode recommends fewer than 4,000.
const RULE_EMOJI_MAX: usize = 4_000;
/// Bytes of a file at most. It bounds what all rules together can hold.
const FILE_BYTES_MAX: usize = 1 << 20;
/// Rooms whose rule is remembered, so that a reaction need not look through all of them.
const REMEMBERED_MAX: usize = 10_000;

/// One rule.
#[derive(Debug)]
pub(super) struct Rule {
    /// The rooms that it is about.
    pub(super) pattern: Pattern,
    /// Whether they take reactions.
    pub(super) open: bool,
    /// The emoji that they take, if not all.
    pub(super) emoji: Option<Emoji>,
}

/// Rules for rooms, from a file. None by default: every room is open, for every emoji. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct RoomRules(Option<Arc<Rules>>);

#[derive(Debug)]
struct Rules {
    rules: Vec<Rule>,
    /// Rooms with the place of their rule.
    remembered: Cache<Box<str>, Option<u16>>,
}

/// Why a file holds no room rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RulesError {
    /// It is larger than it may be.
    #[error("the file has {0} bytes; at most {FILE_BYTES_MAX} are read")]
    TooLarge(usize),
    /// It is no TOML, or TOML of another shape. The text shows the place.
    #[error("{0}")]
    Shape(String),
    /// It has more rules than it may have.
    #[error("there are {0} rules; at most {RULES_MAX} are taken")]
    TooMany(usize),
    /// One rule cannot work.
    #[error("rule {number} (match = {pattern:?}): {reason}")]
    Rule {
        /// Its number, from 1.
        number: usize,
        /// Its `match`.
        pattern: String,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileDoc {
    #[serde(default)]
    room: Vec<RuleDoc>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleDoc {
    r#match: String,
    #[serde(default = "open_by_default")]
    open: bool,
    emoji: Option<Vec<String>>,
}

fn open_by_default() -> bool {
    true
}

impl RoomRules {
    /// Reads rules from TOML: a list of tables `[[room]]`, each with `match`, and with `open`, `emoji` or both.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        if text.len() > FILE_BYTES_MAX {
            return Err(RulesError::TooLarge(text.len()));
        }
        let file: FileDoc = toml::from_str(text)
            .map_err(|error| RulesError::Shape(error.to_string().trim_end().to_owned()))?;
        if file.room.len() > RULES_MAX {
            return Err(RulesError::TooMany(file.room.len()));
        }
        let rules: Vec<Rule> = file
            .room
            .into_iter()
            .zip(1..)
            .map(|(rule, number)| Rule::read(rule, number))
            .collect::<Result<_, _>>()?;
        if rules.is_empty() {
            return Ok(Self(None));
        }
        Ok(Self(Some(Arc::new(Rules { rules, remembered: Cache::new(REMEMBERED_MAX) }))))
    }

    /// The rule that holds for a room.
    pub(super) fn find(&self, room: &str) -> Option<&Rule> {
        let Rules { rules, remembered } = self.0.as_deref()?;
        let place = remembered.get(room).unwrap_or_else(|| {
            let found = rules.iter().position(|rule| rule.pattern.matches(room));
            let place = found.and_then(|place| u16::try_from(place).ok());
            remembered.insert(room.into(), place);
            place
        });
        rules.get(usize::from(place?))
    }
}

impl Rule {
    fn read(rule: RuleDoc, number: usize) -> Result<Self, RulesError> {
        let RuleDoc { r#match: pattern, open, emoji } = rule;
        let read = || {
            let emoji = emoji.map(|emoji| Emoji::read(&emoji, RULE_EMOJI_MAX)).transpose()?;
            Ok(Self { pattern: Pattern::read(&pattern)?, open, emoji })
        };
        read().map_err(|reason| RulesError::Rule { number, pattern: pattern.clone(), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        [[room]]
        match = "final-2026"
        emoji = ["🔥", "❤"]

        [[room]]
        match = "final-*"
        open = false

        [[room]]
        match = "*-kids"
        emoji = ["👍"]
    "#;

    #[test]
    fn the_first_rule_that_matches_holds() {
        let rules = RoomRules::parse(FILE).expect("rules");
        let found = |room| rules.find(room).map(|rule| (rule.pattern.as_str(), rule.open));
        for _ in 0..2 {
            assert_eq!(found("final-2026"), Some(("final-2026", true)));
            assert_eq!(found("final-kids"), Some(("final-*", false)));
            assert_eq!(found("party-kids"), Some(("*-kids", true)));
            assert_eq!(found("lobby"), None);
        }
        let hearts = rules.find("final-2026").and_then(|rule| rule.emoji.as_ref()).expect("a list");
        assert_eq!(hearts.listed(), ["🔥", "❤️"]);
        assert!(RoomRules::parse("# nothing").expect("rules").find("lobby").is_none());
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (text, parts) in [
            ("[[room]]\nmatch = \"a\"\nopne = true", &["opne", "line 3", "open"][..]),
            ("[[room]]\nopen = true", &["match"]),
            ("[[rooms]]\nmatch = \"a\"", &["rooms", "line 1"]),
            ("[[room]]\nmatch = \"a\"\nopen = 1", &["line 3", "boolean"]),
            ("[[room]]\nmatch = \"a", &["line 2"]),
            ("[[room]]\nmatch = \"a\"\n[[room]]\nmatch = \"b c\"", &["rule 2", "b c"]),
            ("[[room]]\nmatch = \"a\"\nemoji = [\"fire\"]", &["rule 1", "\"fire\"", "RGI"]),
            ("[[room]]\nmatch = \"a\"\nemoji = []", &["rule 1", "open = false"]),
        ] {
            let error = RoomRules::parse(text).expect_err(text).to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{text}\n{error}");
        }
    }

    #[test]
    fn a_file_has_bounds() {
        let many = "[[room]]\nmatch = \"a\"\n".repeat(1_001);
        assert!(matches!(RoomRules::parse(&many), Err(RulesError::TooMany(1_001))));
        let emoji = format!("[[room]]\nmatch = \"a\"\nemoji = [{}]", "\"🔥\",".repeat(4_001));
        assert!(RoomRules::parse(&emoji).expect_err("refused").to_string().contains("at most 4000"));
        assert!(matches!(RoomRules::parse(&"#".repeat((1 << 20) + 1)), Err(RulesError::TooLarge(_))));
    }
}
