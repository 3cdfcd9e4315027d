//! Which strings are one emoji (UTS #51), and how that emoji is written.

use std::cell::Cell;
use std::str::FromStr;

use emojis::SkinTone;

/// U+FE0F asks for the emoji picture. Whether it is there makes no second emoji.
const EMOJI_PRESENTATION: char = '\u{fe0f}';

/// What becomes of skin tones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SkinTones {
    /// 👍🏽 and 👍 are two emoji.
    #[default]
    Keep,
    /// 👍🏽 counts as 👍.
    Fold,
}

impl FromStr for SkinTones {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "keep" => Ok(Self::Keep),
            "fold" => Ok(Self::Fold),
            _ => Err(()),
        }
    }
}

/// The fully-qualified form of `text` if it is one RGI emoji in any of its forms: with and without U+FE0F where Unicode
/// has it, and with one too many. ZWJ sequences, flags and keycaps are one emoji each; components (a skin tone, a
/// regional indicator) are none.
#[must_use]
pub fn canonical(text: &str, skin_tones: SkinTones) -> Option<&'static str> {
    let emoji = emojis::get(text).or_else(|| emojis::get(&without_presentation(text)?))?;
    // The list also knows "1" with U+FE0F as the keycap; only U+FE0F itself may differ.
    if text != emoji.as_str() && !bare(text).eq(bare(emoji.as_str())) {
        return None;
    }
    let folded = match skin_tones {
        SkinTones::Keep => None,
        SkinTones::Fold => emoji.with_skin_tone(SkinTone::Default),
    };
    Some(folded.unwrap_or(emoji).as_str())
}

/// [`canonical`] for the few emoji that a crowd uses at a time, which are not looked up in Unicode's list for every reaction.
#[derive(Debug)]
pub(crate) struct Memo {
    skin_tones: SkinTones,
    /// By a hash of the text: the last one that was found, its bytes, and its canonical form.
    slots: [Cell<(u64, usize, &'static str)>; Self::SLOTS],
}

impl Memo {
    const SLOTS: usize = 256;

    pub(crate) fn new(skin_tones: SkinTones) -> Self {
        Self { skin_tones, slots: [const { Cell::new((0, 0, "")) }; Self::SLOTS] }
    }

    pub(crate) fn canonical(&self, text: &[u8]) -> Option<&'static str> {
        let Some(number) = number(text) else {
            return canonical(std::str::from_utf8(text).ok()?, self.skin_tones);
        };
        let place = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - Self::SLOTS.ilog2());
        let slot = &self.slots[place as usize];
        let (known, length, emoji) = slot.get();
        if known == number && length == text.len() {
            return Some(emoji);
        }
        let emoji = canonical(std::str::from_utf8(text).ok()?, self.skin_tones)?;
        slot.set((number, text.len(), emoji));
        Some(emoji)
    }
}

/// Four to eight bytes as a number, which with their length tells them from all others; most emoji have as many.
fn number(text: &[u8]) -> Option<u64> {
    if text.len() > 8 {
        return None;
    }
    let (first, last) = (text.first_chunk::<4>()?, text.last_chunk::<4>()?);
    Some(u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32)
}

fn bare(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|&c| c != EMOJI_PRESENTATION)
}

fn without_presentation(text: &str) -> Option<String> {
    /// Longest emoji of the list is 35 bytes; whatever is far longer needs no look.
    const BYTES_MAX: usize = 128;
    (text.len() <= BYTES_MAX && text.contains(EMOJI_PRESENTATION)).then(|| bare(text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(text: &str) -> Option<&'static str> {
        canonical(text, SkinTones::Keep)
    }

    #[test]
    fn presentation_makes_no_second_emoji() {
        assert_eq!(keep("❤"), keep("❤\u{fe0f}"));
        assert_eq!(keep("❤"), Some("❤\u{fe0f}"));
        assert_eq!(keep("🔥\u{fe0f}"), Some("🔥"));
        assert_eq!(keep("👁\u{200d}🗨\u{fe0f}"), keep("👁\u{fe0f}\u{200d}🗨"));
    }

    #[test]
    fn sequences_are_one_emoji() {
        for text in [
            "🏳\u{fe0f}\u{200d}🌈",
            "🇩🇪",
            "1\u{fe0f}\u{20e3}",
            "👨\u{200d}👩\u{200d}👧",
            "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
        ] {
            assert_eq!(keep(text), Some(text));
        }
        assert_eq!(keep("1\u{20e3}"), Some("1\u{fe0f}\u{20e3}"));
    }

    #[test]
    fn components_text_and_strings_are_none() {
        for text in [
            "",
            "a",
            "1",
            "1\u{fe0f}",
            "🏽",
            "🇩",
            "❤\u{fe0e}",
            "🔥🔥",
            " 🔥",
            "\u{fe0f}",
            "\u{200d}",
            "👨\u{200d}🔥",
        ] {
            assert_eq!(keep(text), None, "{text:?}");
        }
    }

    #[test]
    fn skin_tones_are_kept_or_folded() {
        assert_eq!(keep("👍🏽"), Some("👍🏽"));
        assert_eq!(canonical("👍🏽", SkinTones::Fold), Some("👍"));
        assert_eq!(
            canonical("👩🏽\u{200d}❤\u{200d}👨🏿", SkinTones::Fold),
            Some("👩\u{200d}❤\u{fe0f}\u{200d}👨")
        );
        assert_eq!(canonical("🔥", SkinTones::Fold), Some("🔥"));
    }

    #[test]
    fn what_was_looked_up_lately_is_the_same() {
        for skin_tones in [SkinTones::Keep, SkinTones::Fold] {
            let memo = Memo::new(skin_tones);
            let odd = ["", "a", "\0", "\0🔥", "🔥\0", "🔥🔥", "1\u{fe0f}", "\u{fe0f}"];
            for round in 0..2 {
                for text in emojis::iter().map(|emoji| emoji.as_str()).chain(odd) {
                    let bare: String = bare(text).collect();
                    for text in [text, &bare, text] {
                        assert_eq!(
                            memo.canonical(text.as_bytes()),
                            canonical(text, skin_tones),
                            "{round} {text:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn every_listed_emoji_is_its_own_canonical_form_and_loses_nothing_without_presentation() {
        for emoji in emojis::iter() {
            let text = emoji.as_str();
            assert_eq!(keep(text), Some(text));
            let bare: String = bare(text).collect();
            assert_eq!(keep(&bare), Some(text), "{text:?}");
        }
    }
}
