//! The emoji that a room takes.

use ovation_reaction::{SkinTones, canonical};
use serde::{Serialize, Serializer};

/// Some emoji, in the order in which they were listed. An emoji without a skin tone stands for its toned forms too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Emoji {
    listed: Box<[&'static str]>,
    /// Places in `listed`, sorted by what stands there.
    sorted: Box<[u16]>,
}

impl Emoji {
    /// Reads a list of at most `max`; an emoji that is there twice, in whatever form, counts once.
    pub(super) fn read<S: AsRef<str>>(texts: &[S], max: usize) -> Result<Self, String> {
        if texts.is_empty() {
            return Err("the list of emoji is empty; to take none, say open = false".to_owned());
        }
        if texts.len() > max {
            return Err(format!("there are {} emoji; at most {max} are taken", texts.len()));
        }
        let known = |text: &S| {
            let text = text.as_ref();
            let shown: String = text.chars().take(20).collect();
            canonical(text, SkinTones::Keep)
                .ok_or_else(|| format!("{shown:?} is not one emoji that Unicode recommends (RGI)"))
        };
        texts.iter().map(known).collect::<Result<Vec<_>, _>>().map(Self::of)
    }

    /// What is known of a list that was judged elsewhere, by a gateway with another Unicode perhaps.
    pub(super) fn known_of<S: AsRef<str>>(texts: &[S], max: usize) -> Self {
        Self::of(
            texts.iter().take(max).filter_map(|text| canonical(text.as_ref(), SkinTones::Keep)).collect(),
        )
    }

    fn of(mut listed: Vec<&'static str>) -> Self {
        let mut seen = std::collections::HashSet::new();
        listed.retain(|emoji| seen.insert(*emoji));
        // There are fewer emoji than a `u16` can count.
        listed.truncate(usize::from(u16::MAX));
        let mut sorted: Vec<u16> = (0..).take(listed.len()).collect();
        sorted.sort_unstable_by_key(|place| listed[usize::from(*place)]);
        Self { listed: listed.into(), sorted: sorted.into() }
    }

    /// Whether an emoji, in its canonical form, is taken.
    pub(super) fn takes(&self, emoji: &str) -> bool {
        self.lists(emoji) || canonical(emoji, SkinTones::Fold).is_some_and(|bare| self.lists(bare))
    }

    fn lists(&self, emoji: &str) -> bool {
        self.sorted.binary_search_by_key(&emoji, |place| self.listed[usize::from(*place)]).is_ok()
    }

    /// All, as they were listed.
    pub(super) fn listed(&self) -> &[&'static str] {
        &self.listed
    }
}

impl Serialize for Emoji {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.listed.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_one_emoji_are_one_and_a_bare_hand_has_every_tone() {
        let emoji = Emoji::read(&["👍", "❤", "🔥", "❤️", "👋🏽"], 10).expect("emoji");
        assert_eq!(emoji.listed(), ["👍", "❤️", "🔥", "👋🏽"]);
        for (text, taken) in [
            ("👍", true),
            ("👍🏽", true),
            ("👍🏿", true),
            ("❤️", true),
            ("🔥", true),
            ("👋🏽", true),
            ("👋", false),
            ("👋🏿", false),
            ("👎", false),
            ("x", false),
        ] {
            assert_eq!(emoji.takes(text), taken, "{text}");
        }
    }

    #[test]
    fn what_is_no_list_of_emoji_is_refused() {
        for (texts, part) in [
            (&[][..], "open = false"),
            (&["🔥", "fire"], "\"fire\""),
            (&["🔥🔥"], "RGI"),
            (&["🔥", "👏", "👍"], "at most 2"),
        ] {
            let error = Emoji::read(texts, 2).expect_err("refused");
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(Emoji::known_of(&["🔥", "from-the-future", "👏", "👍"], 3).listed(), ["🔥", "👏"]);
    }
}
