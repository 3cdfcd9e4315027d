//! What a window of reactions holds.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use ovation_processor::{Aggregate, Distinct};
use ovation_reaction::TOP_MAX;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Taps of one reaction.
#[derive(Debug, Clone, Copy)]
pub struct Tap<'a> {
    /// Canonical emoji.
    pub emoji: &'a str,
    /// How many taps.
    pub count: u64,
    /// Who tapped, where that is known.
    pub user: Option<&'a [u8]>,
}

/// Taps by emoji. Bounded by Unicode's list: validation lets no other emoji in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taps {
    /// Taps in all.
    pub total: u64,
    /// Taps by canonical emoji.
    pub counts: Counts,
    /// Who tapped.
    #[serde(default, skip_serializing_if = "Distinct::is_empty")]
    pub users: Distinct,
}

impl Taps {
    /// The emoji with most taps, most first; of two with as many the one whose bytes come first.
    #[must_use]
    pub fn top(&self) -> Vec<&str> {
        let mut emoji: Vec<(&str, u64)> = self.counts.iter().collect();
        // Stable, and the counts are in order.
        emoji.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        emoji.into_iter().take(TOP_MAX).map(|(emoji, _)| emoji).collect()
    }

    fn count(&mut self, emoji: &str, count: u64) {
        self.total += count;
        self.counts.add(emoji, count);
    }
}

/// Taps by emoji, in the order of the emoji's bytes. Most emoji have eight bytes at most, and are told apart by one comparison of
/// numbers: this is done for every record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(Vec<Count>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Count {
    head: u64,
    emoji: Box<str>,
    taps: u64,
}

/// The first eight bytes, which are in order as numbers where they are as text.
fn head(emoji: &str) -> u64 {
    let bytes = emoji.as_bytes();
    match (bytes.first_chunk::<8>(), bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(eight), ..) => u64::from_be_bytes(*eight),
        (None, Some(first), Some(last)) => {
            // Of the last four those that are not among the first ones too.
            let rest = u64::from(u32::from_be_bytes(*last)) << (8 * (8 - bytes.len()));
            u64::from(u32::from_be_bytes(*first)) << 32 | rest & u64::from(u32::MAX)
        }
        _ => bytes.iter().zip([56, 48, 40]).fold(0, |head, (byte, shift)| head | u64::from(*byte) << shift),
    }
}

impl Counts {
    /// Each emoji with its taps.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|count| (&*count.emoji, count.taps))
    }

    fn add(&mut self, emoji: &str, taps: u64) {
        let head = head(emoji);
        let order = |count: &Count| {
            let is_whole = emoji.len() <= 8 && count.emoji.len() == emoji.len();
            count
                .head
                .cmp(&head)
                .then_with(|| if is_whole { Ordering::Equal } else { (*count.emoji).cmp(emoji) })
        };
        match self.0.binary_search_by(order) {
            Ok(at) => self.0[at].taps += taps,
            Err(at) => self.0.insert(at, Count { head, emoji: emoji.into(), taps }),
        }
    }
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut counts = Self::default();
        for (emoji, taps) in BTreeMap::<String, u64>::deserialize(deserializer)? {
            counts.add(&emoji, taps);
        }
        Ok(counts)
    }
}

impl Aggregate for Taps {
    type Item<'a> = Tap<'a>;

    fn add(&mut self, tap: &Tap<'_>) {
        self.count(tap.emoji, tap.count);
        if let Some(user) = tap.user {
            self.users.add(user);
        }
    }

    fn merge(&mut self, other: &Self) {
        for (emoji, count) in other.counts.iter() {
            self.count(emoji, count);
        }
        self.users.merge(&other.users);
    }

    fn weight(tap: &Tap<'_>) -> u64 {
        tap.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taps(taps: &[(&str, u64, Option<&str>)]) -> Taps {
        let mut all = Taps::default();
        for (emoji, count, user) in taps {
            all.add(&Tap { emoji, count: *count, user: user.map(str::as_bytes) });
        }
        all
    }

    #[test]
    fn the_top_is_in_order_of_taps_and_cut() {
        let all = taps(&[
            ("👏", 2, None),
            ("🔥", 9, None),
            ("😂", 2, None),
            ("🎉", 1, None),
            ("😢", 1, None),
            ("👍", 1, None),
        ]);
        assert_eq!(all.top(), ["🔥", "👏", "😂", "🎉", "👍"]);
        assert!(Taps::default().top().is_empty());
    }

    #[test]
    fn people_are_counted_once_and_anonymous_taps_not_at_all() {
        let mut one = taps(&[("🔥", 9, Some("a")), ("👏", 1, Some("a")), ("👏", 1, None)]);
        assert_eq!((one.total, one.users.estimate()), (11, 1));
        one.merge(&taps(&[("🔥", 1, Some("b")), ("🔥", 1, Some("a"))]));
        assert_eq!((one.total, one.users.estimate()), (13, 2));
        assert!(taps(&[("🔥", 1, None)]).users.is_empty());
    }

    #[test]
    fn counts_are_in_the_order_of_bytes() {
        let emoji = ["", "a", "a\0", "ab", "👍", "👍🏽", "👍🏿", "👨‍👩‍👧", "👨‍👩‍👧‍👦", "❤", "❤\u{fe0f}"];
        let (mut counts, mut expected) = (Counts::default(), BTreeMap::new());
        for round in 0..2 {
            for (place, emoji) in
                emoji.iter().enumerate().map(|(place, _)| (place, emoji[place * 7 % emoji.len()]))
            {
                let taps = 1 + round + place as u64;
                counts.add(emoji, taps);
                *expected.entry(emoji).or_default() += taps;
            }
        }
        assert!(counts.iter().eq(expected.iter().map(|(emoji, taps)| (*emoji, *taps))));
        let text = serde_json::to_string(&counts).expect("text");
        assert_eq!(text, serde_json::to_string(&expected).expect("text"));
        assert_eq!(serde_json::from_str::<Counts>(&text).expect("its own text"), counts);
    }

    #[test]
    fn a_state_from_before_people_were_counted_still_reads() {
        let old: Taps = serde_json::from_str(r#"{"total":3,"counts":{"🔥":3}}"#).expect("a state");
        assert_eq!(old, taps(&[("🔥", 3, None)]));
    }
}
