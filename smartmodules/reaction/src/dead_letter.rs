//! Dead letters: what is written of an event that did not count.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A refused event on its way from the module that refused it to the one that numbers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaggedReject<'a> {
    /// [`crate::Reason::code`].
    pub reason: Cow<'a, str>,
    /// A sentence for a person.
    pub detail: Cow<'a, str>,
    /// The room, where it could be made out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<Cow<'a, str>>,
    /// What it came too late for, if that is the reason.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub late: Option<Late<'a>>,
    /// The event as received; base64 if [`TaggedReject::event_encoding`] says so.
    pub event: Cow<'a, str>,
    /// `base64` where the event is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_encoding: Option<Cow<'a, str>>,
}

impl<'a> TaggedReject<'a> {
    /// Wraps an event as it was received.
    #[must_use]
    pub fn new(reason: &'a str, detail: &'a str, room: Option<&'a str>, event: &'a [u8]) -> Self {
        let (event, event_encoding) = match std::str::from_utf8(event) {
            Ok(text) => (Cow::Borrowed(text), None),
            Err(_) => (Cow::Owned(base64(event)), Some(Cow::Borrowed("base64"))),
        };
        Self {
            reason: Cow::Borrowed(reason),
            detail: Cow::Borrowed(detail),
            room: room.map(Cow::Borrowed),
            late: None,
            event,
            event_encoding,
        }
    }
}

/// Windows that had closed before an event came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Late<'a> {
    /// Name of the definition.
    pub window: Cow<'a, str>,
    /// How many of its windows hold the event's time and had closed.
    pub windows_missed: u64,
}

impl<'a> Late<'a> {
    /// Too late for so many windows of a definition.
    #[must_use]
    pub fn new(window: &'a str, windows_missed: u64) -> Self {
        Self { window: window.into(), windows_missed }
    }
}

/// Where a refused event stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source<'a> {
    /// Source topic.
    #[serde(borrow)]
    pub topic: Cow<'a, str>,
    /// Source partition.
    pub partition: u32,
    /// Source offset.
    pub offset: i64,
}

/// A record of the dead-letter topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter<'a> {
    /// What was refused, and why.
    #[serde(flatten, borrow)]
    pub reject: TaggedReject<'a>,
    /// Stage that numbered it.
    #[serde(borrow)]
    pub stage: Cow<'a, str>,
    /// Epoch of the stage.
    pub epoch: u64,
    /// 1, 2, 3, … per stage, epoch and source partition.
    pub seq: u64,
    /// Where the event stands.
    #[serde(borrow)]
    pub source: Source<'a>,
}

/// Standard base64 with padding. Twelve lines here spare the SmartModules a dependency.
fn base64(bytes: &[u8]) -> String {
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
    fn bytes_that_are_no_text_are_marked() {
        let reject = TaggedReject::new("malformed", "", None, &[0xff]);
        assert_eq!((reject.event.as_ref(), reject.event_encoding.as_deref()), ("/w==", Some("base64")));
    }
}
