//! Refused records on their way from the module that refused them to the one that numbers them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// What a dead letter says of an event, before it has numbers.
#[derive(Debug, Serialize, Deserialize)]
struct Tagged<'a> {
    #[serde(borrow)]
    reason: Cow<'a, str>,
    #[serde(borrow)]
    detail: Cow<'a, str>,
    /// The event as received; base64 if `event_encoding` says so.
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    event_encoding: Option<Cow<'a, str>>,
}

/// The value of a record with the key [`crate::REJECT_KEY`]: why an event was refused, and its bytes.
#[must_use]
pub fn tagged_reject(reason: &str, detail: &str, event: &[u8]) -> Vec<u8> {
    let (event, event_encoding) = match std::str::from_utf8(event) {
        Ok(text) => (Cow::Borrowed(text), None),
        Err(_) => (Cow::Owned(base64(event)), Some(Cow::Borrowed("base64"))),
    };
    let tagged = Tagged { reason: reason.into(), detail: detail.into(), event, event_encoding };
    // Text in memory cannot fail to be written.
    serde_json::to_vec(&tagged).unwrap_or_default()
}

/// Whether a value is such a one; it may say more.
pub(crate) fn is_tagged_reject(value: &[u8]) -> bool {
    serde_json::from_slice::<Tagged<'_>>(value).is_ok()
}

/// Standard base64 with padding. Twelve lines here spare the SmartModules a dependency.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0u32, |word, &byte| word << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let index = (word >> (18 - 6 * digit)) & 0x3f;
            out.push(if digit <= chunk.len() { char::from(DIGITS[index as usize]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads_like_everybody() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xff, 0xfe, 0x00]), "//4A");
    }

    #[test]
    fn what_is_written_is_recognised_and_bytes_that_are_no_text_are_marked() {
        let value = tagged_reject("malformed", "a \"quoted\" word", &[0xff]);
        let text =
            r#"{"reason":"malformed","detail":"a \"quoted\" word","event":"/w==","event_encoding":"base64"}"#;
        assert_eq!(String::from_utf8_lossy(&value), text);
        assert!(is_tagged_reject(&value));
        for other in ["", "{}", r#"{"reason":"late"}"#, r#"{"reason":1,"detail":"","event":""}"#, "[]"] {
            assert!(!is_tagged_reject(other.as_bytes()), "{other}");
        }
    }
}
