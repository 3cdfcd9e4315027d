//! Bounds on connections.

use std::time::Duration;

/// How many connections there may be, and how long each may take for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// Open HTTP connections. When all places are taken, connections that are idle make room; else new ones wait, the
    /// first of them accepted, the others in the listen queue. A connection that became a feed counts in `clients_max`
    /// instead. Both together stay below the process's file limit.
    pub max: usize,
    /// Open connections of one address (IPv6: of one /64), feeds included; more are closed at once. A university or a
    /// mobile network behind one address has hundreds of viewers. Proxies and exempt networks have no such limit.
    pub per_address_max: usize,

    /// Connections that may keep buffers, of about 12 KB each, for a moment after a request; what is more gives them up
    /// at once. It bounds what a burst of requests over idle connections takes, which the system does not get back, as
    /// the allocator holds on to what lies between things that stay.
    pub buffered_max: usize,

    /// Time for the first byte of a connection, and for each request's head from its first byte to its last one.
    pub header_timeout: Duration,
    /// Longest time between two requests: browsers keep theirs for about a minute or two.
    pub idle_timeout: Duration,
    /// How long bytes of an answer may wait for a client that does not read; each KiB that it takes buys one more second.
    pub write_timeout: Duration,

    /// Bytes of answers that the kernel takes for a client beyond what is on the network (Linux). The kernel's own bound
    /// is 4 MiB: so much of its memory a client that does not read would hold, and `write_timeout` would never see it.
    pub unsent_bytes_max: u32,

    /// Largest request head, in bytes.
    pub header_bytes_max: usize,
    /// Most header lines in a request over HTTP/1; over HTTP/2 their size alone counts.
    pub headers_max: usize,

    /// HTTP/2: requests under way at a time on one connection.
    pub streams_max: u32,
    /// HTTP/2: requests that a client has reset and the server has not looked at yet; a client with more is cut.
    pub resets_max: usize,
    /// HTTP/2: bytes of one request's body that may be on their way or unread. A single reaction takes about 150.
    pub stream_window_bytes: u32,
    /// HTTP/2: the same for all requests of a connection together.
    pub connection_window_bytes: u32,
    /// HTTP/2: bytes of one answer that may wait in memory beyond the piece at hand.
    pub stream_send_bytes_max: usize,
    /// HTTP/2: largest frame, in bytes; the protocol allows no less than 16,384.
    pub frame_bytes_max: u32,
    /// HTTP/2: how often a client is pinged, so that one that is gone is noticed.
    pub ping_interval: Duration,
    /// HTTP/2: time for the answer to a ping.
    pub ping_timeout: Duration,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            max: 20_000,
            per_address_max: 1_024,
            buffered_max: 512,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(10),
            unsent_bytes_max: 16 * 1024,
            header_bytes_max: 16 * 1024,
            headers_max: 64,
            streams_max: 100,
            resets_max: 20,
            stream_window_bytes: 64 * 1024,
            connection_window_bytes: 256 * 1024,
            stream_send_bytes_max: 64 * 1024,
            frame_bytes_max: 16 * 1024,
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(10),
        }
    }
}
