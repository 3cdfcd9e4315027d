//! Forms: the ways in which one message goes out, each made once for all clients that take it.

mod fields;
mod frame;
mod pack;

use std::borrow::Cow;

use bytes::Bytes;

pub(crate) use self::fields::{Fields, UnknownField};
pub(crate) use self::frame::{close_frame, data_frame, ping_frame, pong_frame};
pub(crate) use self::pack::{GZIP_BEGIN, unpack};
use self::pack::{PACK_TAIL, pack};

/// Messages below it are not compressed: nothing is won.
const PACK_BYTES_MIN: usize = 160;

/// How a client takes its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    /// What an update's cursor covers.
    pub(crate) reach: Reach,
    /// The text, or its binary equivalent.
    pub(crate) codec: Codec,
    /// What it wants of a window.
    pub(crate) fields: Fields,
    /// What it comes in.
    pub(crate) carrier: Carrier,
    /// Compressed, without memory of earlier messages, so that all clients share the bytes.
    pub(crate) packed: bool,
}

/// What the cursor of an update covers: what a client has read when it has read the update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The update's own partition, which is all that a client of one room needs.
    Partition,
    /// Every partition.
    Topic,
}

/// How a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// JSON text.
    Json,
    /// MessagePack, of the same shape.
    MessagePack,
}

/// What a message comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// A WebSocket frame.
    WebSocket,
    /// A server-sent event.
    Event,
}

impl Form {
    /// The bytes of a message, which is a JSON object. `cursor` names the place after it, where it has one.
    pub(crate) fn write(self, message: &str, cursor: Option<&str>) -> Bytes {
        match self.carrier {
            Carrier::WebSocket => match self.codec {
                Codec::Json => self.frame(true, message.as_bytes()),
                Codec::MessagePack => self.frame(false, &message_pack(message)),
            },
            Carrier::Event => {
                // A record that somebody wrote over several lines: an event's data ends with the line, and between the parts of
                // JSON a space is the same.
                let message = &*match message.contains(['\n', '\r']) {
                    true => Cow::Owned(message.replace(['\n', '\r'], " ")),
                    false => Cow::Borrowed(message),
                };
                let event = match cursor {
                    Some(cursor) => format!("id: {cursor}\ndata: {message}\n\n"),
                    None => format!("data: {message}\n\n"),
                };
                self.event(&event)
            }
        }
    }

    /// A message as a frame.
    pub(crate) fn frame(self, is_text: bool, payload: &[u8]) -> Bytes {
        if self.packed && payload.len() >= PACK_BYTES_MIN {
            data_frame(is_text, true, &pack(payload))
        } else {
            data_frame(is_text, false, payload)
        }
    }

    /// A piece of an event stream, as it stands in the answer's body.
    pub(crate) fn event(self, text: &str) -> Bytes {
        if !self.packed {
            return Bytes::copy_from_slice(text.as_bytes());
        }
        // Every piece is part of the same stream, so none can be left plain.
        let mut packed = pack(text.as_bytes());
        packed.extend_from_slice(PACK_TAIL);
        packed.into()
    }
}

/// A JSON text as MessagePack.
fn message_pack(json: &str) -> Vec<u8> {
    // What is written here is JSON that was read or made here before.
    let value: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    rmp_serde::to_vec(&value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    const MESSAGE: &str = r#"{"type":"update","cursor":"e30","update":{"room":"a","counts":{"🔥":3}}}"#;

    fn form(codec: Codec, carrier: Carrier, packed: bool) -> Form {
        Form { reach: Reach::Partition, codec, fields: Fields::ALL, carrier, packed }
    }

    #[test]
    fn a_short_message_is_a_plain_text_frame() {
        let frame = form(Codec::Json, Carrier::WebSocket, true).write(MESSAGE, None);
        assert_eq!(frame[0], 0x81, "a whole text, not compressed");
        assert_eq!(&frame[2..], MESSAGE.as_bytes());
    }

    #[test]
    fn a_long_message_is_compressed_alone() {
        let long = MESSAGE.replace("\"a\"", &format!("{:?}", "a".repeat(500)));
        let form = form(Codec::Json, Carrier::WebSocket, true);
        let frame = form.write(&long, None);
        assert_eq!(frame[0], 0xc1, "a whole text, compressed");
        assert!(frame.len() < long.len() / 2);
        let payload = &frame[if frame[1] < 126 { 2 } else { 4 }..];
        assert_eq!(unpack(payload, long.len()).as_deref(), Some(long.as_bytes()));
        assert_eq!(form.write(&long, None), frame, "it needs nothing that came before");
    }

    #[test]
    fn message_pack_has_the_same_shape() {
        let frame = form(Codec::MessagePack, Carrier::WebSocket, false).write(MESSAGE, None);
        assert_eq!(frame[0], 0x82, "a whole binary");
        let value: serde_json::Value = rmp_serde::from_slice(&frame[2..]).expect("MessagePack");
        assert_eq!(value, serde_json::from_str::<serde_json::Value>(MESSAGE).expect("JSON"));
    }

    #[test]
    fn events_bear_the_cursor_and_pieces_make_one_gzip_stream() {
        let plain = form(Codec::Json, Carrier::Event, false);
        assert_eq!(plain.write(MESSAGE, Some("e30")), format!("id: e30\ndata: {MESSAGE}\n\n"));
        assert_eq!(plain.write(MESSAGE, None), format!("data: {MESSAGE}\n\n"));
        assert_eq!(plain.write("{\r\n\"a\":\n1}", None), "data: {  \"a\": 1}\n\n");
        let packed = form(Codec::Json, Carrier::Event, true);
        let mut body = GZIP_BEGIN.to_vec();
        for cursor in [Some("e30"), None] {
            body.extend_from_slice(&packed.write(MESSAGE, cursor));
        }
        let mut text = vec![0; 4_000];
        let mut decoder = flate2::read::GzDecoder::new(&body[..]);
        let mut filled = 0;
        // The stream has no end, so reading on fails at last.
        while let Ok(count @ 1..) = decoder.read(&mut text[filled..]) {
            filled += count;
        }
        let both = format!("id: e30\ndata: {MESSAGE}\n\ndata: {MESSAGE}\n\n");
        assert_eq!(std::str::from_utf8(&text[..filled]).ok(), Some(&*both));
    }
}
