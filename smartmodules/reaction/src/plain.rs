//! Events in plain JSON, read without a JSON parser: in the broker this is done for every record.

/// An event whose JSON is plain: an object with the fields of a reaction, each at most once; strings without escapes, whole
/// numbers, and no space but one behind a colon or a comma. Anything else, however valid, is for the JSON parser. Texts are the bytes that
/// stand there: whether they are UTF-8 is for those to see who take them for text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Plain<'a> {
    /// Names this reaction for retries.
    pub id: Option<&'a [u8]>,
    /// The room.
    pub room: Option<&'a [u8]>,
    /// The emoji.
    pub emoji: Option<&'a [u8]>,
    /// Taps.
    pub count: Option<u64>,
    /// Who reacted.
    pub user: Option<&'a [u8]>,
    /// When, ms since 1970.
    pub ts: Option<u64>,
    /// How far this is from the canonical form.
    pub form: Form,
    /// A bit for each text that is known to be printable ASCII.
    printable: u32,
}

/// How far an event is from its canonical form: that of `Reaction`, as gateways write it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// It is in it.
    Canonical,
    /// It lacks its count alone, which belongs at this byte.
    Countless(usize),
    /// It has to be written anew.
    #[default]
    Free,
}

/// The fields, in the order of the canonical form.
const ID: u32 = 0;
const ROOM: u32 = 1;
const EMOJI: u32 = 2;
const COUNT: u32 = 3;
const USER: u32 = 4;
const TS: u32 = 5;

impl<'a> Plain<'a> {
    /// Reads plain JSON; none if the bytes are anything else. Only the form is judged, no value.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        Self::in_order(bytes).or_else(|| Self::in_any_order(bytes))
    }

    /// Reads what comes in the order and without the spaces of the canonical form, with or without count and user: straight on, since that is
    /// what nearly all events are.
    fn in_order(bytes: &'a [u8]) -> Option<Self> {
        const ID_BEGINS: u64 = name(r#"{"id":""#);
        const ROOM_BEGINS: u64 = name(r#"","room""#);
        const EMOJI_BEGINS: u64 = name(r#"","emoji"#);
        const COUNT_BEGINS: u64 = name(r#","count""#);
        const USER_BEGINS: u64 = name(r#","user":"#);
        const TS_BEGINS: u64 = name(r#","ts":"#);

        let mut printable = 0;
        if word(bytes, 0) & u64::MAX >> 8 != ID_BEGINS {
            return None;
        }
        let (id, end) = text(bytes, 7, ID, &mut printable)?;
        if word(bytes, end) != ROOM_BEGINS || bytes.get(end + 8..end + 10)? != br#":""# {
            return None;
        }
        let (room, end) = text(bytes, end + 10, ROOM, &mut printable)?;
        if word(bytes, end) != EMOJI_BEGINS || bytes.get(end + 8..end + 11)? != br#"":""# {
            return None;
        }
        let (emoji, end) = text(bytes, end + 11, EMOJI, &mut printable)?;
        let mut at = end + 1;
        let form = Form::Countless(at);
        let mut count = None;
        if word(bytes, at) == COUNT_BEGINS && bytes.get(at + 8) == Some(&b':') {
            at += 9;
            count = Some(number(bytes, &mut at)?);
        }
        let mut user = None;
        if word(bytes, at) == USER_BEGINS && bytes.get(at + 8) == Some(&b'"') {
            let (text, end) = text(bytes, at + 9, USER, &mut printable)?;
            user = Some(text);
            at = end + 1;
        }
        if word(bytes, at) & u64::MAX >> 16 != TS_BEGINS {
            return None;
        }
        at += 6;
        let ts = Some(number(bytes, &mut at)?);
        if bytes.get(at..) != Some(b"}") {
            return None;
        }
        let form = if count.is_some() { Form::Canonical } else { form };
        Some(Self { id: Some(id), room: Some(room), emoji: Some(emoji), count, user, ts, form, printable })
    }

    fn in_any_order(bytes: &'a [u8]) -> Option<Self> {
        if bytes.first() != Some(&b'{') {
            return None;
        }
        let mut plain = Self::default();
        // `seen` has a bit for each field that came.
        let (mut at, mut seen) = (1, 0_u32);
        loop {
            let (field, name) = field(word(bytes, at))?;
            at += name;
            if seen >> field & 1 == 1 {
                return None;
            }
            seen |= 1 << field;
            space(bytes, &mut at);
            match field {
                COUNT => plain.count = Some(number(bytes, &mut at)?),
                TS => plain.ts = Some(number(bytes, &mut at)?),
                _ => {
                    if bytes.get(at) != Some(&b'"') {
                        return None;
                    }
                    let (text, end) = text(bytes, at + 1, field, &mut plain.printable)?;
                    at = end + 1;
                    match field {
                        ID => plain.id = Some(text),
                        ROOM => plain.room = Some(text),
                        USER => plain.user = Some(text),
                        _ => plain.emoji = Some(text),
                    }
                }
            }
            let next = *bytes.get(at)?;
            at += 1;
            match next {
                b',' => space(bytes, &mut at),
                b'}' if at == bytes.len() => return Some(plain),
                _ => return None,
            }
        }
    }

    /// Whether id, room and user, as far as they are there, are known to hold printable ASCII alone.
    pub(crate) fn has_printable_names(&self) -> bool {
        let names = 1 << ID | 1 << ROOM | u32::from(self.user.is_some()) << USER;
        self.printable & names == names
    }
}

/// Each byte of a word.
const ONES: u64 = u64::MAX / 0xff;
/// The highest bit of each byte.
const HIGH: u64 = ONES << 7;

/// The eight bytes from here on, the first one lowest; zeros behind the end.
#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(<[u8]>::first_chunk) {
        Some(eight) => u64::from_le_bytes(*eight),
        None => last_word(bytes.get(at..).unwrap_or_default()),
    }
}

#[cold]
#[inline(never)]
fn last_word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Up to eight bytes of text as such a word.
const fn name(text: &str) -> u64 {
    let (bytes, mut at, mut word) = (text.as_bytes(), text.len(), 0);
    while at > 0 {
        at -= 1;
        word = word << 8 | bytes[at] as u64;
    }
    word
}

/// Which field begins here, and the bytes of its name with quotes and colon.
#[inline(always)]
fn field(word: u64) -> Option<(u32, usize)> {
    const NAME_ID: u64 = name(r#""id":"#);
    const NAME_TS: u64 = name(r#""ts":"#);
    const NAME_ROOM: u64 = name(r#""room":"#);
    const NAME_USER: u64 = name(r#""user":"#);
    const NAME_EMOJI: u64 = name(r#""emoji":"#);
    const NAME_COUNT: u64 = name(r#""count":"#);
    match word {
        NAME_EMOJI => return Some((EMOJI, 8)),
        NAME_COUNT => return Some((COUNT, 8)),
        _ => {}
    }
    match word & u64::MAX >> 8 {
        NAME_ROOM => return Some((ROOM, 7)),
        NAME_USER => return Some((USER, 7)),
        _ => {}
    }
    match word & u64::MAX >> 24 {
        NAME_ID => Some((ID, 5)),
        NAME_TS => Some((TS, 5)),
        _ => None,
    }
}

/// Steps over a space, if there is one.
fn space(bytes: &[u8], at: &mut usize) {
    *at += usize::from(bytes.get(*at) == Some(&b' '));
}

/// The text from here to the next quote, and where that is; marks the field in `printable` where the text is known to be printable ASCII. (A call
/// costs more than this: the engine of the broker counts fuel at each.)
#[inline(always)]
fn text<'a>(bytes: &'a [u8], from: usize, field: u32, printable: &mut u32) -> Option<(&'a [u8], usize)> {
    let (length, is_printable) = ordinary(bytes, from);
    *printable |= u32::from(is_printable) << field;
    let end = from + length;
    (bytes.get(end) == Some(&b'"')).then(|| (&bytes[from..end], end))
}

/// How many bytes from here on stand before the first quote, backslash or control character, or before the end; and whether all of them
/// are known to be printable ASCII.
#[inline(always)]
fn ordinary(bytes: &[u8], from: usize) -> (usize, bool) {
    // Most texts end in the first word or the second: those are looked at without a loop around them.
    let (found, others) = signs(word(bytes, from));
    if found != 0 {
        let before = found.trailing_zeros() / 8;
        return (before as usize, others & ((1 << (8 * before)) - 1) == 0);
    }
    long(bytes, from, others)
}

#[inline(never)]
fn long(bytes: &[u8], from: usize, mut others: u64) -> (usize, bool) {
    let mut at = from + 8;
    loop {
        let (found, other) = signs(word(bytes, at));
        if found != 0 {
            let before = found.trailing_zeros() / 8;
            others |= other & ((1 << (8 * before)) - 1);
            return (at + before as usize - from, others == 0);
        }
        others |= other;
        at += 8;
    }
}

/// Marks, by the highest bits of bytes, the first quote, backslash or control character (and perhaps bytes above it), and every byte
/// that is not ASCII or is a delete.
#[inline(always)]
fn signs(word: u64) -> (u64, u64) {
    // What each line finds sets the highest bit of its byte; a carry can only set bits above the first.
    let (quotes, slashes) = (word ^ (ONES * b'"' as u64), word ^ (ONES * b'\\' as u64));
    let found =
        (quotes.wrapping_sub(ONES) | slashes.wrapping_sub(ONES) | word.wrapping_sub(ONES * b' ' as u64))
            & !word
            & HIGH;
    // From the one below delete on, which adding one makes the first of the upper half.
    (found, (word | word.wrapping_add(ONES)) & HIGH)
}

/// A whole number, as JSON writes it.
#[inline(always)]
fn number(bytes: &[u8], at: &mut usize) -> Option<u64> {
    /// As many digits as always fit.
    const DIGITS_MAX: usize = 18;
    let (from, mut value) = (*at, 0);
    if let Some(eight) = eight_digits(word(bytes, from)) {
        value = eight;
        *at += 8;
        // Four more, as a time in ms has.
        if let Some(four) = bytes.get(*at..).and_then(<[u8]>::first_chunk).and_then(four_digits) {
            value = value * 10_000 + four;
            *at += 4;
        }
    }
    while let Some(digit) = bytes.get(*at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        if *at - from == DIGITS_MAX {
            return None;
        }
        value = value * 10 + u64::from(digit);
        *at += 1;
    }
    let digits = *at - from;
    (digits > 0 && (digits == 1 || bytes[from] != b'0')).then_some(value)
}

/// The number that these digits write, if all eight are digits.
#[inline(always)]
fn eight_digits(word: u64) -> Option<u64> {
    const UPPER: u64 = ONES * 0xf0;
    // Six more carries whatever is above nine into the upper half of its byte.
    if word & UPPER != ONES * 0x30 || word.wrapping_add(ONES * 6) & UPPER != ONES * 0x30 {
        return None;
    }
    // The tens and ones of pairs, then of fours, then of all eight.
    let digits = word & (ONES * 0xf);
    let pairs = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours * 10_000 + (fours >> 32)) & 0xffff_ffff)
}

/// The number that these digits write, if all four are digits.
#[inline(always)]
fn four_digits(digits: &[u8; 4]) -> Option<u64> {
    /// Four zeros in front.
    const ZEROS: u64 = (ONES * 0x30) >> 32;
    eight_digits(u64::from(u32::from_le_bytes(*digits)) << 32 | ZEROS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"{"id":"a","room":"r","emoji":"🔥","count":3,"user":"u","ts":17}"#;

    fn form(text: &str) -> Option<Form> {
        Plain::read(text.as_bytes()).map(|plain| plain.form)
    }

    #[test]
    fn the_canonical_form_is_told_from_others() {
        let plain = Plain {
            id: Some(b"a"),
            room: Some(b"r"),
            emoji: Some("🔥".as_bytes()),
            count: Some(3),
            user: Some(b"u"),
            ts: Some(17),
            form: Form::Canonical,
            printable: 1 << ID | 1 << ROOM | 1 << USER,
        };
        assert_eq!(Plain::read(WHOLE.as_bytes()), Some(plain));
        let anonymous = WHOLE.replace(r#","user":"u""#, "");
        let printable = 1 << ID | 1 << ROOM;
        assert_eq!(Plain::read(anonymous.as_bytes()), Some(Plain { user: None, printable, ..plain }));
        let countless = WHOLE.replace(r#","count":3"#, "");
        let at = countless.find(r#","user""#).expect("a user");
        assert_eq!(
            Plain::read(countless.as_bytes()),
            Some(Plain { count: None, form: Form::Countless(at), ..plain })
        );
        for free in [
            WHOLE.replace(":", ": "),
            WHOLE.replace(",", ", "),
            WHOLE.replace(r#""id":"a","#, ""),
            WHOLE.replace(r#","ts":17"#, ""),
            r#"{"room":"r","id":"a","emoji":"🔥","count":3,"user":"u","ts":17}"#.to_owned(),
            r#"{"id":"a","room":"r","emoji":"🔥","user":"u","count":3,"ts":17}"#.to_owned(),
            r#"{"id":"a","room":"r","emoji":"🔥","ts":17,"count":3}"#.to_owned(),
        ] {
            assert_eq!(form(&free), Some(Form::Free), "{free}");
        }
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_parser() {
        for (from, to) in [
            ("{", "{ "),
            (r#""a""#, r#""a\u0020""#),
            (r#""a""#, r#""a"#),
            (r#""a""#, "\"a\u{1}\""),
            (r#""a""#, "7"),
            ("3", "03"),
            ("3", "3.0"),
            ("3", "-3"),
            ("3", "1e3"),
            ("3", ""),
            ("3", r#""3""#),
            ("17", "1234567890123456789"),
            (":", ":  "),
            (",", " ,"),
            ("}", "} "),
            ("}", ",}"),
            ("}", ",\"x\":1}"),
            ("}", ",\"ts\":17}"),
            ("\"ts\"", "\"us\""),
            (r#""user":"u""#, r#""user":null"#),
            ("🔥", "\n"),
        ] {
            assert_eq!(Plain::read(WHOLE.replace(from, to).as_bytes()), None, "{from} {to}");
        }
        for end in 0..WHOLE.len() {
            assert_eq!(Plain::read(&WHOLE.as_bytes()[..end]), None);
        }
    }

    #[test]
    fn the_end_of_a_string_is_found_wherever_it_lies() {
        for end in [b'"', b'\\', 0x1f, 0] {
            for before in 0..20 {
                for after in 0..20 {
                    for filler in [b'a', b' ', 0x7f, b'!', b'#', b'[', b']', 0xff, 0x80, 0xa2] {
                        let mut bytes = vec![filler; before + 1 + after];
                        bytes[before] = end;
                        let is_printable = before == 0 || filler < 0x7f;
                        assert_eq!(ordinary(&bytes, 0), (before, is_printable), "{bytes:?}");
                        assert_eq!(ordinary(&bytes, before.min(3)).0, before - before.min(3), "{bytes:?}");
                        bytes[before] = filler;
                        assert_eq!(ordinary(&bytes, 0), (bytes.len(), filler < 0x7f), "{bytes:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn text_that_is_not_printable_ascii_is_told_wherever_it_stands() {
        for length in 1..20 {
            for place in 0..length {
                for odd in [0x7f, 0x80, 0xc2, 0xff] {
                    let mut bytes = vec![b'~'; length];
                    assert!(ordinary(&bytes, 0).1);
                    bytes[place] = odd;
                    assert_eq!(ordinary(&bytes, 0), (length, false), "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn numbers_are_read_as_they_are_written() {
        let read = |text: &str| {
            let mut at = 0;
            number(text.as_bytes(), &mut at).map(|number| (number, at))
        };
        let mut number = 7_u64;
        for _ in 0..2_000 {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            for digits in 1..=18 {
                let number = number % 10_u64.pow(digits);
                let text = number.to_string();
                assert_eq!(read(&text), Some((number, text.len())));
                assert_eq!(read(&format!("{text},\"x\":1}}")), Some((number, text.len())));
            }
        }
        for (text, expected) in [
            ("00000000", None),
            ("01234567", None),
            ("1234567a", Some((1_234_567, 7))),
            ("1234567/", Some((1_234_567, 7))),
            ("1234567:", Some((1_234_567, 7))),
            ("1234567\u{7f}", Some((1_234_567, 7))),
            ("999999999999999999", Some((999_999_999_999_999_999, 18))),
            ("1000000000000000000", None),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn text_with_other_bytes_is_not_called_printable() {
        for odd in [&b"\xff"[..], b"\xc2", "\u{80}".as_bytes(), "é".as_bytes(), b"\x7f"] {
            let bytes = [br#"{"id":""#, odd, br#"","room":"r"}"#].concat();
            let plain = Plain::read(&bytes).expect("plain");
            assert_eq!(plain.id, Some(odd));
            assert!(!plain.has_printable_names(), "{odd:x?}");
        }
        assert!(Plain::read(r#"{"id":"é\u{80}","room":"r"}"#.as_bytes()).is_none(), "an escape");
    }
}
