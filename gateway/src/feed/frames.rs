//! What a client sends: bytes in, messages out (RFC 6455, 5; RFC 7692).

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use crate::form::unpack;

/// Longest payload of a control frame.
const CONTROL_BYTES_MAX: u64 = 125;

/// What a client says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// A text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
    /// It wants to know whether somebody is there.
    Ping(Vec<u8>),
    /// Somebody is there.
    Pong,
    /// It goes; the code, if it gives one.
    Close(Option<u16>),
}

/// Why a client is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// It breaks the protocol.
    Protocol,
    /// Its text is none.
    NotText,
    /// Its message is too large.
    TooLarge,
}

impl Broken {
    /// The close code and the reason.
    pub(crate) fn code(self) -> (u16, &'static str) {
        match self {
            Self::Protocol => (1002, "protocol error"),
            Self::NotText => (1007, "text is not UTF-8"),
            Self::TooLarge => (1009, "message too large"),
        }
    }
}

/// Puts frames together. It holds nothing while nothing is under way.
#[derive(Debug)]
pub(crate) struct Frames {
    buffer: Vec<u8>,
    message: Option<Message>,
    bytes_max: usize,
    may_be_packed: bool,
}

/// A message under way.
#[derive(Debug)]
struct Message {
    is_text: bool,
    is_packed: bool,
    bytes: Vec<u8>,
    /// No more than it may have bytes.
    fragments: usize,
}

impl Frames {
    /// For messages of at most `bytes_max` bytes, also when they are decompressed. `read` was sent already.
    pub(crate) fn new(bytes_max: usize, may_be_packed: bool, read: Vec<u8>) -> Self {
        Self { buffer: read, message: None, bytes_max, may_be_packed }
    }

    /// Takes bytes that were read.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message or control frame, if it is there as a whole.
    pub(crate) fn next(&mut self) -> Result<Option<Said>, Broken> {
        loop {
            let Some((header, payload)) = self.frame()? else { return Ok(None) };
            match header.opcode {
                OpCode::Control(control) => return said(control, payload).map(Some),
                OpCode::Data(data) => {
                    if let Some(whole) = self.data(&header, data, payload)? {
                        return Ok(Some(whole));
                    }
                }
            }
        }
    }

    /// Takes the next frame out of the buffer.
    fn frame(&mut self) -> Result<Option<(FrameHeader, Vec<u8>)>, Broken> {
        let mut cursor = Cursor::new(&self.buffer);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| Broken::Protocol)?;
        let Some((header, length)) = parsed else { return Ok(None) };
        let is_control = matches!(header.opcode, OpCode::Control(_));
        if header.rsv2
            || header.rsv3
            || (header.rsv1 && (is_control || !self.may_be_packed))
            || matches!(
                header.opcode,
                OpCode::Control(Control::Reserved(_)) | OpCode::Data(Data::Reserved(_))
            )
            || (is_control && (!header.is_final || length > CONTROL_BYTES_MAX))
        {
            return Err(Broken::Protocol);
        }
        let Some(mask) = header.mask else { return Err(Broken::Protocol) };
        let so_far = self.message.as_ref().filter(|_| !is_control).map_or(0, |message| message.bytes.len());
        let start = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > self.bytes_max.saturating_sub(so_far).max(CONTROL_BYTES_MAX as usize) {
            return Err(Broken::TooLarge);
        }
        let end = start.saturating_add(length);
        let Some(masked) = self.buffer.get(start..end) else { return Ok(None) };
        let payload: Vec<u8> =
            masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        self.buffer.drain(..end);
        if self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
        Ok(Some((header, payload)))
    }

    fn data(&mut self, header: &FrameHeader, data: Data, payload: Vec<u8>) -> Result<Option<Said>, Broken> {
        let mut message = match (data, self.message.take()) {
            (Data::Continue, Some(_)) if header.rsv1 => return Err(Broken::Protocol),
            (Data::Continue, Some(mut message)) => {
                message.bytes.extend_from_slice(&payload);
                message.fragments += 1;
                message
            }
            (Data::Text | Data::Binary, None) => {
                Message { is_text: data == Data::Text, is_packed: header.rsv1, bytes: payload, fragments: 1 }
            }
            _ => return Err(Broken::Protocol),
        };
        if message.bytes.len() > self.bytes_max || message.fragments > self.bytes_max.max(1) {
            return Err(Broken::TooLarge);
        }
        if !header.is_final {
            self.message = Some(message);
            return Ok(None);
        }
        if message.is_packed {
            message.bytes = unpack(&message.bytes, self.bytes_max).ok_or(Broken::TooLarge)?;
        }
        match message.is_text {
            true => match String::from_utf8(message.bytes) {
                Ok(text) => Ok(Some(Said::Text(text))),
                Err(_) => Err(Broken::NotText),
            },
            false => Ok(Some(Said::Binary(message.bytes))),
        }
    }
}

fn said(control: Control, payload: Vec<u8>) -> Result<Said, Broken> {
    match control {
        Control::Ping => Ok(Said::Ping(payload)),
        Control::Pong => Ok(Said::Pong),
        Control::Close => match payload.split_first_chunk::<2>() {
            None if payload.is_empty() => Ok(Said::Close(None)),
            None => Err(Broken::Protocol),
            Some((code, reason)) => {
                let code = u16::from_be_bytes(*code);
                if !CloseCode::from(code).is_allowed() {
                    Err(Broken::Protocol)
                } else if std::str::from_utf8(reason).is_err() {
                    Err(Broken::NotText)
                } else {
                    Ok(Said::Close(Some(code)))
                }
            }
        },
        Control::Reserved(_) => Err(Broken::Protocol),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::form::data_frame;

    /// A frame as a client sends it: with a mask.
    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let plain = data_frame(true, false, payload);
        let mut frame = plain[..plain.len() - payload.len()].to_vec();
        (frame[0], frame[1]) = (first, frame[1] | 0x80);
        let mask = [3, 141, 59, 26];
        frame.extend_from_slice(&mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    fn heard(bytes: &[u8], may_be_packed: bool) -> (Vec<Said>, Option<Broken>) {
        let mut frames = Frames::new(1_000, may_be_packed, Vec::new());
        frames.push(bytes);
        let mut all = Vec::new();
        loop {
            match frames.next() {
                Ok(Some(said)) => all.push(said),
                Ok(None) => return (all, None),
                Err(broken) => return (all, Some(broken)),
            }
        }
    }

    #[test]
    fn messages_come_whole_or_in_pieces_with_control_frames_between() {
        let text = masked(0x81, "ja 🔥".as_bytes());
        assert_eq!(heard(&text, false), (vec![Said::Text("ja 🔥".into())], None));
        let pieces =
            [masked(0x02, b"one"), masked(0x89, b"?"), masked(0x00, b" two"), masked(0x80, b" three")]
                .concat();
        let expected = vec![Said::Ping(b"?".to_vec()), Said::Binary(b"one two three".to_vec())];
        assert_eq!(heard(&pieces, false), (expected, None));
        let close = masked(0x88, &[3, 232, b'b', b'y', b'e']);
        assert_eq!(heard(&close, false), (vec![Said::Close(Some(1000))], None));
        assert_eq!(heard(&masked(0x8a, b""), false), (vec![Said::Pong], None));
    }

    #[test]
    fn what_breaks_the_protocol_is_told() {
        let mut unmasked = masked(0x81, b"");
        unmasked[1] &= 0x7f;
        for (what, bytes) in [
            ("no mask", unmasked),
            ("reserved bit", masked(0xa1, b"x")),
            ("compressed unasked", masked(0xc1, b"x")),
            ("reserved opcode", masked(0x83, b"x")),
            ("reserved control opcode", masked(0x8b, b"x")),
            ("control frame in pieces", masked(0x09, b"x")),
            ("long control frame", masked(0x89, &[0; 126])),
            ("nothing to continue", masked(0x80, b"x")),
            ("message within a message", [masked(0x01, b"x"), masked(0x81, b"y")].concat()),
            ("half a code", masked(0x88, &[3])),
            ("code that is none", masked(0x88, &[3, 237])),
        ] {
            assert_eq!(heard(&bytes, false), (vec![], Some(Broken::Protocol)), "{what}");
        }
        assert_eq!(heard(&masked(0x81, &[0xff]), false), (vec![], Some(Broken::NotText)));
        assert_eq!(heard(&masked(0x81, &[b'a'; 1_001]), false), (vec![], Some(Broken::TooLarge)));
        let two = [masked(0x01, &[b'a'; 600]), masked(0x80, &[b'a'; 600])].concat();
        assert_eq!(heard(&two, false), (vec![], Some(Broken::TooLarge)));
    }

    #[test]
    fn a_compressed_message_is_as_large_as_it_becomes() {
        let packed = |length: usize| {
            let form = crate::form::Form {
                reach: crate::form::Reach::Partition,
                codec: crate::form::Codec::Json,
                fields: crate::form::Fields::ALL,
                carrier: crate::form::Carrier::WebSocket,
                packed: true,
            };
            let frame = form.write(&"a".repeat(length), None);
            let payload = &frame[if frame[1] < 126 { 2 } else { 4 }..];
            masked(0xc1, payload)
        };
        assert_eq!(heard(&packed(1_000), true), (vec![Said::Text("a".repeat(1_000))], None));
        assert_eq!(heard(&packed(1_001), true), (vec![], Some(Broken::TooLarge)));
        assert_eq!(heard(&packed(1_000), false), (vec![], Some(Broken::Protocol)));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_bytes_come(
            parts in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..300)), 0..6),
            cut in 1..40_usize,
        ) {
            let bytes: Vec<u8> = parts
                .iter()
                .flat_map(|(is_text, payload)| masked(if *is_text { 0x81 } else { 0x82 }, payload))
                .collect();
            let whole = heard(&bytes, false);
            let mut frames = Frames::new(1_000, false, Vec::new());
            let mut all = (Vec::new(), None);
            'bytes: for piece in bytes.chunks(cut) {
                frames.push(piece);
                loop {
                    match frames.next() {
                        Ok(Some(said)) => all.0.push(said),
                        Ok(None) => break,
                        Err(broken) => {
                            all.1 = Some(broken);
                            break 'bytes;
                        }
                    }
                }
            }
            prop_assert_eq!(all, whole);
        }

        #[test]
        fn anything_may_come(bytes in proptest::collection::vec(any::<u8>(), 0..400), packed: bool) {
            heard(&bytes, packed);
        }
    }
}
