//! What has to hold for a connection's first bytes.

use super::preface::{Protocol, protocol};
use super::wire::FIRST_BYTES;

/// The first bytes of a connection, as they come in.
pub fn preface(bytes: &[u8]) -> bool {
    let mut told = Protocol::Unknown;
    for length in 0..=bytes.len().min(2 * FIRST_BYTES) {
        let now = protocol(&bytes[..length]);
        assert!(told == Protocol::Unknown || told == now, "the bytes that follow change nothing");
        assert!(now != Protocol::Unknown || length < FIRST_BYTES, "and it is told in time");
        told = now;
    }
    assert_eq!(told == Protocol::Http2, bytes.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    told == Protocol::Http2
}
