//! WebSocket frames (RFC 6455, 5.2), as a server sends them.

use bytes::{BufMut as _, Bytes, BytesMut};

/// Longest payload of a control frame.
const CONTROL_BYTES_MAX: usize = 125;

const FINAL: u8 = 0x80;
const PACKED: u8 = 0x40;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// A whole message.
pub(crate) fn data_frame(is_text: bool, is_packed: bool, payload: &[u8]) -> Bytes {
    let kind = if is_text { TEXT } else { BINARY };
    frame(kind | if is_packed { PACKED } else { 0 }, payload)
}

/// A ping.
pub(crate) fn ping_frame() -> Bytes {
    Bytes::from_static(&[FINAL | PING, 0])
}

/// The answer to a ping: it brings back the ping's payload.
pub(crate) fn pong_frame(payload: &[u8]) -> Bytes {
    frame(PONG, &payload[..payload.len().min(CONTROL_BYTES_MAX)])
}

/// The end, and why. Without a code it has neither.
pub(crate) fn close_frame(code: Option<u16>, reason: &str) -> Bytes {
    let Some(code) = code else { return frame(CLOSE, &[]) };
    let mut payload = code.to_be_bytes().to_vec();
    let mut end = reason.len().min(CONTROL_BYTES_MAX - payload.len());
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    frame(CLOSE, &payload)
}

fn frame(kind: u8, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(payload.len() + 10);
    frame.put_u8(FINAL | kind);
    match payload.len() {
        length @ 0..126 => frame.put_u8(length as u8),
        length @ 126..0x1_0000 => {
            frame.put_u8(126);
            frame.put_u16(length as u16);
        }
        length => {
            frame.put_u8(127);
            frame.put_u64(length as u64);
        }
    }
    frame.put_slice(payload);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_has_three_forms() {
        let head = |length| data_frame(false, false, &vec![7; length])[..10.min(length + 2)].to_vec();
        assert_eq!(head(0), [0x82, 0]);
        assert_eq!(head(125)[..3], [0x82, 125, 7]);
        assert_eq!(head(126)[..5], [0x82, 126, 0, 126, 7]);
        assert_eq!(head(65_535)[..5], [0x82, 126, 255, 255, 7]);
        assert_eq!(head(65_536)[..10], [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        assert_eq!(close_frame(None, "not said")[..], [0x88, 0]);
        assert_eq!(close_frame(Some(1012), "go")[..], [0x88, 4, 0x03, 0xf4, b'g', b'o']);
        let long = close_frame(Some(1000), &"é".repeat(100));
        assert_eq!(long[1], 124);
        assert!(std::str::from_utf8(&long[4..]).is_ok());
    }
}
