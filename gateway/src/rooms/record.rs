//! A room's own settings as a record: the value in the topic, what an admin sends, and what he is shown.

use serde::{Deserialize, Serialize};

use super::emoji::Emoji;
use crate::ingest::now_ms;

/// Emoji in one room's own settings at most: more than fit on a screen. Longer lists belong into the file.
const OWN_EMOJI_MAX: usize = 256;
/// Longest name of who changed the settings, in bytes.
const BY_BYTES_MAX: usize = 128;

/// Which emoji a room takes, where its own settings say so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    /// All, whatever the file says.
    All,
    /// These.
    Only(Emoji),
}

/// The word for [`Choice::All`].
const ALL: &str = "all";

impl Serialize for Choice {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str(ALL),
            Self::Only(emoji) => emoji.serialize(serializer),
        }
    }
}

/// A choice as it is sent.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a list of emoji, or \"all\"")]
enum ChoiceDoc {
    Word(String),
    List(Vec<String>),
}

/// A room's own settings. What they leave open is as the file's rule says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Own {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) open: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) emoji: Option<Choice>,
    /// Who set them.
    pub(super) by: Box<str>,
    /// When, in milliseconds since 1970.
    pub(super) at: i64,
}

/// What an admin sends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    open: Option<bool>,
    emoji: Option<ChoiceDoc>,
}

/// Why a wish cannot be granted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum WishError {
    /// It says nothing.
    Empty,
    /// The emoji are none, or too many.
    Emoji(String),
}

impl Wish {
    /// The settings that an admin wishes for.
    pub(super) fn own(self, by: &str) -> Result<Own, WishError> {
        if self.open.is_none() && self.emoji.is_none() {
            return Err(WishError::Empty);
        }
        let emoji = match self.emoji {
            None => None,
            Some(ChoiceDoc::Word(word)) if word == ALL => Some(Choice::All),
            Some(ChoiceDoc::Word(_)) => {
                return Err(WishError::Emoji("emoji is a list of emoji, or \"all\"".to_owned()));
            }
            Some(ChoiceDoc::List(list)) => {
                Some(Choice::Only(Emoji::read(&list, OWN_EMOJI_MAX).map_err(WishError::Emoji)?))
            }
        };
        Ok(Own { open: self.open, emoji, ..Own::none(by) })
    }
}

impl Own {
    /// Says nothing: the room is as the file says again.
    pub(super) fn none(by: &str) -> Self {
        let end = (0..=BY_BYTES_MAX.min(by.len())).rev().find(|end| by.is_char_boundary(*end));
        Self { open: None, emoji: None, by: by[..end.unwrap_or(0)].into(), at: now_ms() }
    }

    /// Whether it says nothing.
    pub(super) fn is_none(&self) -> bool {
        self.open.is_none() && self.emoji.is_none()
    }

    /// The record's value.
    pub(super) fn to_value(&self) -> Vec<u8> {
        // Flags, texts and a number always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a record's value. Emoji that are not known here are left out: a newer gateway may have judged them.
    pub(super) fn read(value: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Value {
            open: Option<bool>,
            emoji: Option<ChoiceDoc>,
            #[serde(default)]
            by: String,
            #[serde(default)]
            at: i64,
        }

        let Value { open, emoji, by, at } =
            serde_json::from_slice(value).map_err(|error| error.to_string())?;
        let emoji = match emoji {
            None => None,
            Some(ChoiceDoc::Word(word)) if word == ALL => Some(Choice::All),
            Some(ChoiceDoc::Word(word)) => return Err(format!("emoji is {word:?}")),
            Some(ChoiceDoc::List(list)) => Some(Choice::Only(Emoji::known_of(&list, OWN_EMOJI_MAX))),
        };
        Ok(Self { open, emoji, at, ..Self::none(&by) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(json: &str) -> Result<Own, WishError> {
        serde_json::from_str::<Wish>(json).expect("a wish").own("ann")
    }

    #[test]
    fn settings_survive_the_topic() {
        for json in [
            r#"{"open":false}"#,
            r#"{"emoji":["❤","🔥"]}"#,
            r#"{"open":true,"emoji":"all"}"#,
            r#"{"open":true,"emoji":null}"#,
        ] {
            let own = wish(json).expect("settings");
            assert_eq!(Own::read(&own.to_value()), Ok(own.clone()), "{json}");
            assert_eq!((&*own.by, own.is_none()), ("ann", false));
        }
        let none = Own::none("ann");
        assert_eq!(Own::read(&none.to_value()), Ok(none));
        assert!(Own::read(b"{}").is_ok_and(|own| own.is_none()));
        let long = serde_json::from_str::<Wish>(r#"{"open":true}"#).expect("a wish").own(&"é".repeat(100));
        assert_eq!(long.expect("settings").by.len(), 128);
    }

    #[test]
    fn wishes_are_strict_and_records_are_not() {
        assert!(serde_json::from_str::<Wish>(r#"{"opne":true}"#).is_err());
        assert!(serde_json::from_str::<Wish>(r#"{"emoji":7}"#).is_err());
        assert_eq!(wish("{}"), Err(WishError::Empty));
        for json in [r#"{"emoji":"none"}"#, r#"{"emoji":[]}"#, r#"{"emoji":["fire"]}"#] {
            assert!(matches!(wish(json), Err(WishError::Emoji(_))), "{json}");
        }
        let many = format!(r#"{{"emoji":[{}"🔥"]}}"#, "\"👏\",".repeat(256));
        assert!(matches!(wish(&many), Err(WishError::Emoji(_))));
        let newer = br#"{"open":false,"emoji":["\ud83d\udd25","new"],"color":"red"}"#;
        let own = Own::read(newer).expect("readable");
        assert_eq!(own.emoji, Some(Choice::Only(Emoji::known_of(&["🔥"], 1))));
        assert!(Own::read(b"no").is_err() && Own::read(br#"{"emoji":"some"}"#).is_err());
    }
}
