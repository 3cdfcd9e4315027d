//! How the accept loop is doing, in numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of connections; shared by all listeners of a gateway.
#[derive(Debug, Default)]
pub(crate) struct ConnectionCounts {
    /// Open now: HTTP connections, without those that became feeds.
    pub(crate) open: AtomicU64,
    /// Of these, parked: nothing under way, no buffers held.
    pub(crate) parked: AtomicU64,
    /// Accepted since the start, refused ones included.
    pub(crate) accepted: AtomicU64,
    /// Closed at once because their address had all its places.
    pub(crate) refused_per_address: AtomicU64,
    /// Closed to make room: idle, or with a head that did not come on.
    pub(crate) closed_under_pressure: AtomicU64,
    /// Cut because the client did not read its answers.
    pub(crate) write_timeouts: AtomicU64,
    /// Cut because a head did not come, or only in part.
    pub(crate) header_timeouts: AtomicU64,
}

impl ConnectionCounts {
    /// Connections that are not parked.
    pub(crate) fn served(&self) -> u64 {
        let parked = self.parked.load(Ordering::Relaxed);
        self.open.load(Ordering::Relaxed).saturating_sub(parked)
    }
}

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Counts itself for as long as it lives.
pub(crate) struct Counted {
    counts: Arc<ConnectionCounts>,
    gauge: fn(&ConnectionCounts) -> &AtomicU64,
}

impl Counted {
    /// One more in `gauge`, until this is dropped.
    pub(crate) fn new(counts: &Arc<ConnectionCounts>, gauge: fn(&ConnectionCounts) -> &AtomicU64) -> Self {
        count(gauge(counts));
        Self { counts: Arc::clone(counts), gauge }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.gauge)(&self.counts).fetch_sub(1, Ordering::Relaxed);
    }
}
