//! The canonical form of a reaction, read without a JSON parser: in the broker this is done for every record.

/// A reaction as `Reaction` serialises, and as gateways write it: these keys, in this order, without spaces and escapes.
/// Anything else, however valid, is for the JSON parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written<'a> {
    /// Names this reaction for retries.
    pub id: &'a str,
    /// The room.
    pub room: &'a str,
    /// The emoji.
    pub emoji: &'a str,
    /// Taps.
    pub count: u64,
    /// Who reacted.
    pub user: Option<&'a str>,
    /// When, ms since 1970.
    pub ts: u64,
}

impl<'a> Written<'a> {
    /// Reads the canonical form; none if the text is anything else. Only the form is judged, no value.
    #[must_use]
    pub fn read(text: &'a str) -> Option<Self> {
        let mut rest = text;
        let id = string(&mut rest, r#"{"id":""#)?;
        let room = string(&mut rest, r#","room":""#)?;
        let emoji = string(&mut rest, r#","emoji":""#)?;
        let count = number(&mut rest, r#","count":"#)?;
        let user = if rest.starts_with(r#","u"#) { Some(string(&mut rest, r#","user":""#)?) } else { None };
        let ts = number(&mut rest, r#","ts":"#)?;
        (rest == "}").then_some(Self { id, room, emoji, count, user, ts })
    }
}

/// A string after these bytes, up to its quote.
fn string<'a>(rest: &mut &'a str, before: &str) -> Option<&'a str> {
    let from = rest.strip_prefix(before)?;
    let end = from.bytes().position(|byte| byte == b'"' || byte == b'\\' || byte < b' ')?;
    let (found, after) = from.split_at_checked(end)?;
    *rest = after.strip_prefix('"')?;
    Some(found)
}

/// A whole number after these bytes, as JSON writes it.
fn number(rest: &mut &str, before: &str) -> Option<u64> {
    /// As many digits as always fit.
    const DIGITS_MAX: usize = 18;
    let from = rest.strip_prefix(before)?;
    let digits = from.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 || digits > DIGITS_MAX || (digits > 1 && from.starts_with('0')) {
        return None;
    }
    let (found, after) = from.split_at_checked(digits)?;
    *rest = after;
    Some(found.bytes().fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_form_is_read() {
        let whole = r#"{"id":"a","room":"r","emoji":"🔥","count":3,"user":"u","ts":17}"#;
        let written = Written { id: "a", room: "r", emoji: "🔥", count: 3, user: Some("u"), ts: 17 };
        assert_eq!(Written::read(whole), Some(written));
        assert_eq!(
            Written::read(&whole.replace(r#","user":"u""#, "")),
            Some(Written { user: None, ..written })
        );
        for (from, to) in [
            ("{", "{ "),
            (r#""a""#, r#""a\u0020""#),
            (r#""a""#, r#""a"#),
            ("3", "03"),
            ("3", "3.0"),
            ("3", "-3"),
            ("3", "1e3"),
            ("3", ""),
            ("17", "1234567890123456789"),
            ("}", "} "),
            ("}", ",\"x\":1}"),
            ("\"ts\"", "\"us\""),
            (r#""user":"u""#, r#""user":null"#),
            ("🔥", "\n"),
        ] {
            assert_eq!(Written::read(&whole.replace(from, to)), None, "{from} {to}");
        }
        for end in 0..whole.len() {
            assert_eq!(whole.get(..end).and_then(Written::read), None);
        }
    }
}
