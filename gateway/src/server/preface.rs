//! HTTP/1 or HTTP/2? The first bytes tell.

use super::wire::FIRST_BYTES;

/// What a client that speaks HTTP/2 sends first. No HTTP/1 request begins like this.
const PREFACE: &[u8; FIRST_BYTES] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// The bytes so far may become either.
    Unknown,
}

/// What a connection speaks that begins with `bytes`.
pub(crate) fn protocol(bytes: &[u8]) -> Protocol {
    if bytes.starts_with(PREFACE) {
        Protocol::Http2
    } else if PREFACE.starts_with(bytes) {
        Protocol::Unknown
    } else {
        Protocol::Http1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_and_not_sooner() {
        for length in 0..PREFACE.len() {
            assert_eq!(protocol(&PREFACE[..length]), Protocol::Unknown);
        }
        assert_eq!(protocol(PREFACE), Protocol::Http2);
        assert_eq!(protocol(&[&PREFACE[..], b"more"].concat()), Protocol::Http2);
        for bytes in [&b"G"[..], b"PO", b"PRI * HTTP/1.1\r\n", b"\x16\x03\x01"] {
            assert_eq!(protocol(bytes), Protocol::Http1);
        }
    }
}
