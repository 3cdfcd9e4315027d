//! Events in plain JSON, read without a JSON parser: in the broker this is done for every record, twice.

/// An event whose JSON is plain: an object with the fields of a reaction, each at most once; strings without escapes, whole
/// numbers, and no space but one behind a colon or a comma. Anything else, however valid, is for the JSON parser.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Plain<'a> {
    /// Names this reaction for retries.
    pub id: Option<&'a str>,
    /// The room.
    pub room: Option<&'a str>,
    /// The emoji.
    pub emoji: Option<&'a str>,
    /// Taps.
    pub count: Option<u64>,
    /// Who reacted.
    pub user: Option<&'a str>,
    /// When, ms since 1970.
    pub ts: Option<u64>,
    /// How far this is from the canonical form.
    pub form: Form,
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
    /// Reads plain JSON; none if the text is anything else. Only the form is judged, no value.
    #[must_use]
    pub fn read(text: &'a str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.first() != Some(&b'{') {
            return None;
        }
        let mut plain = Self::default();
        // `seen` has a bit for each field that came; `tight` as long as the fields come in order and without spaces.
        let (mut at, mut seen, mut tight, mut count_at) = (1, 0_u32, true, 0);
        loop {
            let (field, name) = field(bytes.get(at..)?)?;
            at += name;
            if seen >> field & 1 == 1 {
                return None;
            }
            tight &= seen >> field == 0 && !space(bytes, &mut at);
            seen |= 1 << field;
            match field {
                ID => plain.id = Some(string(text, &mut at)?),
                ROOM => plain.room = Some(string(text, &mut at)?),
                EMOJI => {
                    plain.emoji = Some(string(text, &mut at)?);
                    count_at = at;
                }
                COUNT => plain.count = Some(number(bytes, &mut at)?),
                USER => plain.user = Some(string(text, &mut at)?),
                _ => plain.ts = Some(number(bytes, &mut at)?),
            }
            let next = *bytes.get(at)?;
            at += 1;
            match next {
                b',' => tight &= !space(bytes, &mut at),
                b'}' if at == bytes.len() => break,
                _ => return None,
            }
        }
        const NEEDED: u32 = 1 << ID | 1 << ROOM | 1 << EMOJI | 1 << TS;
        if tight && seen & NEEDED == NEEDED {
            plain.form = if plain.count.is_some() { Form::Canonical } else { Form::Countless(count_at) };
        }
        Some(plain)
    }
}

/// Which field begins here, and the bytes of its name with quotes and colon.
fn field(bytes: &[u8]) -> Option<(u32, usize)> {
    match bytes {
        [b'"', b'i', b'd', b'"', b':', ..] => Some((ID, 5)),
        [b'"', b't', b's', b'"', b':', ..] => Some((TS, 5)),
        [b'"', b'r', b'o', b'o', b'm', b'"', b':', ..] => Some((ROOM, 7)),
        [b'"', b'u', b's', b'e', b'r', b'"', b':', ..] => Some((USER, 7)),
        [b'"', b'e', b'm', b'o', b'j', b'i', b'"', b':', ..] => Some((EMOJI, 8)),
        [b'"', b'c', b'o', b'u', b'n', b't', b'"', b':', ..] => Some((COUNT, 8)),
        _ => None,
    }
}

/// Steps over a space, if there is one.
fn space(bytes: &[u8], at: &mut usize) -> bool {
    let is_space = bytes.get(*at) == Some(&b' ');
    *at += usize::from(is_space);
    is_space
}

/// A string in its quotes. (A call costs more than this: the engine of the broker counts fuel at each.)
#[inline(always)]
fn string<'a>(text: &'a str, at: &mut usize) -> Option<&'a str> {
    if text.as_bytes().get(*at) != Some(&b'"') {
        return None;
    }
    let from = *at + 1;
    let end = from + ordinary(text.as_bytes().get(from..)?);
    if text.as_bytes().get(end) != Some(&b'"') {
        return None;
    }
    *at = end + 1;
    text.get(from..end)
}

/// How many bytes stand before the first quote, backslash or control character.
#[inline(always)]
fn ordinary(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    let is_ordinary = |byte: &u8| *byte != b'"' && *byte != b'\\' && *byte >= b' ';
    let mut before = 0;
    // Eight bytes at a time. What each line finds sets the highest bit of its byte; a carry can only set bits above the first.
    for eight in bytes.chunks_exact(8) {
        let word = u64::from_le_bytes(eight.try_into().unwrap_or_default());
        let (quotes, slashes) = (word ^ (ONES * b'"' as u64), word ^ (ONES * b'\\' as u64));
        let found = quotes.wrapping_sub(ONES) & !quotes
            | slashes.wrapping_sub(ONES) & !slashes
            | word.wrapping_sub(ONES * b' ' as u64) & !word;
        if found & HIGH != 0 {
            return before + (found & HIGH).trailing_zeros() as usize / 8;
        }
        before += eight.len();
    }
    before + bytes[before..].iter().take_while(|byte| is_ordinary(byte)).count()
}

/// A whole number, as JSON writes it.
#[inline(always)]
fn number(bytes: &[u8], at: &mut usize) -> Option<u64> {
    /// As many digits as always fit.
    const DIGITS_MAX: usize = 18;
    let (from, mut value) = (*at, 0);
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

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"{"id":"a","room":"r","emoji":"🔥","count":3,"user":"u","ts":17}"#;

    fn form(text: &str) -> Option<Form> {
        Plain::read(text).map(|plain| plain.form)
    }

    #[test]
    fn the_canonical_form_is_told_from_others() {
        let plain = Plain {
            id: Some("a"),
            room: Some("r"),
            emoji: Some("🔥"),
            count: Some(3),
            user: Some("u"),
            ts: Some(17),
            form: Form::Canonical,
        };
        assert_eq!(Plain::read(WHOLE), Some(plain));
        let anonymous = WHOLE.replace(r#","user":"u""#, "");
        assert_eq!(Plain::read(&anonymous), Some(Plain { user: None, ..plain }));
        let countless = WHOLE.replace(r#","count":3"#, "");
        let at = countless.find(r#","user""#).expect("a user");
        assert_eq!(Plain::read(&countless), Some(Plain { count: None, form: Form::Countless(at), ..plain }));
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
            assert_eq!(Plain::read(&WHOLE.replace(from, to)), None, "{from} {to}");
        }
        for end in 0..WHOLE.len() {
            assert_eq!(WHOLE.get(..end).and_then(Plain::read), None);
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
                        assert_eq!(ordinary(&bytes), before, "{bytes:?}");
                        bytes[before] = filler;
                        assert_eq!(ordinary(&bytes), bytes.len(), "{bytes:?}");
                    }
                }
            }
        }
    }
}
