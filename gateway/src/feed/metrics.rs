//! What is counted of feeds.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::end::End;

/// Counts of all feeds.
#[derive(Debug, Default)]
pub(crate) struct FeedMetrics {
    /// Updates that crowds handed over, one for each client.
    pushed: AtomicU64,
    /// Updates that clients read by themselves: what they missed, or had not come for.
    read: AtomicU64,
    /// Updates that clients were too slow for.
    skipped: AtomicU64,
    ends: Family<EndLabel, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabel {
    why: &'static str,
}

impl FeedMetrics {
    /// A crowd handed over updates.
    pub(super) fn pushed(&self, updates: usize) {
        self.pushed.fetch_add(updates as u64, Ordering::Relaxed);
    }

    /// A client has read updates, and missed some.
    pub(super) fn read(&self, updates: usize, skipped: u64) {
        self.read.fetch_add(updates as u64, Ordering::Relaxed);
        self.skipped.fetch_add(skipped, Ordering::Relaxed);
    }

    /// A feed ended.
    pub(super) fn ended(&self, end: End) {
        self.ends.get_or_create(&EndLabel { why: end.name() }).inc();
    }

    /// Adds the counts to an exposition.
    pub(crate) fn register(&self, registry: &mut Registry) {
        for (name, help, count) in [
            ("ovation_feed_updates_pushed", "Updates handed to clients as they came", &self.pushed),
            ("ovation_feed_updates_read", "Updates sent to clients that were behind", &self.read),
            (
                "ovation_feed_updates_skipped",
                "Updates left out for clients that were too slow",
                &self.skipped,
            ),
        ] {
            let counter = Counter::<u64>::default();
            counter.inc_by(count.load(Ordering::Relaxed));
            registry.register(name, help, counter);
        }
        registry.register("ovation_feeds_ended", "WebSocket feeds that ended, and why", self.ends.clone());
    }
}
