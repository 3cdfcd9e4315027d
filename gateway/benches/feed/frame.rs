//! WebSocket, as much as both ends of the bench need of it (RFC 6455).

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

/// The key of every upgrade, and the answer to it: the RFC's own example, since nothing here guards against caches.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Longest head of an upgrade or its answer.
const HEAD_BYTES_MAX: usize = 4 * 1024;

/// Bytes of a payload that tell what it is: `{"type":"u`. A ping has no more either.
const PREFIX_BYTES: usize = 10;

/// Longest frame head of a server: it masks nothing.
const FRAME_HEAD_BYTES_MAX: usize = 10;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An update.
    Update,
    /// Another message: a snapshot, or that something was skipped.
    Other,
    /// A ping with these bytes.
    Ping([u8; PREFIX_BYTES], usize),
    /// The end.
    Close,
    /// What the bench has no use for: pieces, binary, reserved bits, a mask.
    Unknown,
}

/// A frame that has come whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) payload_bytes: u64,
}

/// Finds the frames in a stream of bytes, however it is cut, without keeping them.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    /// The frame's head, and the first bytes of its payload.
    head: [u8; FRAME_HEAD_BYTES_MAX + PREFIX_BYTES],
    filled: usize,
    /// Bytes of the payload that are still to come.
    left: u64,
}

impl Scanner {
    /// Takes the next bytes; calls `found` for each frame that ends in them.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut found: impl FnMut(Frame)) {
        while !bytes.is_empty() {
            let needed = self.needed();
            if self.filled < needed {
                let taken = bytes.len().min(needed - self.filled);
                self.head[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
                self.filled += taken;
                bytes = &bytes[taken..];
                // More may be needed, now that more is known.
                if self.filled < self.needed() {
                    continue;
                }
                self.left = self.payload_bytes() - self.prefix().len() as u64;
            }
            let skipped = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= skipped as u64;
            bytes = &bytes[skipped..];
            if self.left == 0 {
                found(Frame { kind: self.kind(), payload_bytes: self.payload_bytes() });
                self.filled = 0;
            }
        }
    }

    /// Whether no frame has begun that is not whole.
    pub(crate) fn is_between(&self) -> bool {
        self.filled == 0
    }

    /// Bytes of the frame's head, as far as is known.
    fn head_bytes(&self) -> usize {
        match (self.filled, self.head[1] & 0x7f) {
            (0 | 1, _) => 2,
            (_, 126) => 4,
            (_, 127) => 10,
            _ => 2,
        }
    }

    /// Bytes to be kept, as far as is known.
    fn needed(&self) -> usize {
        let head = self.head_bytes();
        match self.filled {
            filled if filled < head || filled < 2 => head,
            _ => head + usize::try_from(self.payload_bytes()).unwrap_or(usize::MAX).min(PREFIX_BYTES),
        }
    }

    fn payload_bytes(&self) -> u64 {
        match self.head_bytes() {
            4 => u64::from(u16::from_be_bytes([self.head[2], self.head[3]])),
            10 => self.head[2..10].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
            _ => u64::from(self.head[1] & 0x7f),
        }
    }

    fn prefix(&self) -> &[u8] {
        &self.head[self.head_bytes()..self.filled]
    }

    fn kind(&self) -> Kind {
        let prefix = self.prefix();
        match self.head[0] {
            _ if self.head[1] & 0x80 != 0 => Kind::Unknown,
            0x81 if prefix == br#"{"type":"u"# => Kind::Update,
            0x81 => Kind::Other,
            0x88 => Kind::Close,
            0x89 if self.payload_bytes() <= PREFIX_BYTES as u64 => {
                let mut bytes = [0; PREFIX_BYTES];
                bytes[..prefix.len()].copy_from_slice(prefix);
                Kind::Ping(bytes, prefix.len())
            }
            _ => Kind::Unknown,
        }
    }
}

/// A server's text frame.
pub(crate) fn text(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match payload.len() {
        short @ 0..=125 => frame.push(short as u8),
        middle @ 126..=0xffff => {
            frame.push(126);
            frame.extend_from_slice(&(middle as u16).to_be_bytes());
        }
        long => {
            frame.push(127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

/// A client's answer to a ping. Its mask is 0: there is no proxy here to be confused.
pub(crate) fn pong(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x8a, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}

/// A client's upgrade request.
pub(crate) fn upgrade(address: SocketAddr, path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n\r\n"
    )
}

/// Whether a server's answer, as far as it has come, opens a WebSocket, and what came behind it. None: more is to come.
pub(crate) fn opened(answer: &[u8]) -> Option<&[u8]> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    assert!(end.is_some() || answer.len() < HEAD_BYTES_MAX, "an answer without an end");
    let (head, rest) = answer.split_at(end? + 4);
    let head = String::from_utf8_lossy(head);
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT), "no WebSocket: {head}");
    Some(rest)
}

/// A client's side of an upgrade, blocking; what came behind the answer.
pub(crate) fn open(stream: &mut TcpStream, address: SocketAddr, path: &str) -> io::Result<Vec<u8>> {
    stream.write_all(upgrade(address, path).as_bytes())?;
    let (mut answer, mut buffer) = (Vec::new(), [0; HEAD_BYTES_MAX]);
    loop {
        let count = stream.read(&mut buffer)?;
        assert!(count > 0, "closed: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&buffer[..count]);
        if let Some(rest) = opened(&answer) {
            return Ok(rest.to_vec());
        }
    }
}

/// A server's side of an upgrade, blocking.
pub(crate) fn accept(stream: &mut TcpStream) -> io::Result<()> {
    let (mut request, mut buffer) = (Vec::new(), [0; HEAD_BYTES_MAX]);
    while !request.ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut buffer)?;
        assert!(count > 0 && request.len() < HEAD_BYTES_MAX, "no upgrade");
        request.extend_from_slice(&buffer[..count]);
    }
    stream.write_all(
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-accept: {ACCEPT}\r\n\r\n"
        )
        .as_bytes(),
    )
}
