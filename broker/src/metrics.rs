//! What the broker counts, by topic: a broker has a bounded number of them, and one that is deleted is forgotten.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tokio_util::task::TaskTracker;

use crate::partitions::Partitions;

/// First upper bound of the time that a produce request takes, and how many there are, each twice the one before: up to 1.6 s.
const PRODUCE_LEAST_SECONDS: f64 = 0.000_1;
const PRODUCE_BUCKETS: u16 = 15;
/// The same for one batch in a chain: up to 1.6 s as well.
const CHAIN_LEAST_SECONDS: f64 = 0.000_05;
const CHAIN_BUCKETS: u16 = 16;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Topic {
    topic: String,
}

type OfTopic<M> = Family<Topic, M>;
type TimesOfTopic = Family<Topic, Histogram, fn() -> Histogram>;

/// All counts.
#[derive(Debug)]
pub(crate) struct Metrics {
    produce_times: TimesOfTopic,
    appended_records: OfTopic<Counter>,
    appended_bytes: OfTopic<Counter>,
    fence_refusals: OfTopic<Counter>,
    storage_errors: OfTopic<Counter>,
    streams: OfTopic<Gauge>,
    streamed_records: OfTopic<Counter>,
    streamed_bytes: OfTopic<Counter>,
    chain_times: TimesOfTopic,
    chain_records: OfTopic<Counter>,
    /// Connections that were accepted, on both ports.
    pub(crate) connections_accepted: Counter,
    /// Of these, closed at once because there were too many.
    pub(crate) connections_refused: Counter,
}

/// The counts of one topic. Whoever counts holds them, so that nothing is looked up while records go by.
#[derive(Debug, Clone)]
pub(crate) struct TopicMetrics {
    /// Time from a decoded produce request to its answer.
    produce_times: Histogram,
    appended_records: Counter,
    appended_bytes: Counter,
    /// Produce requests that the deduplication refused.
    pub(crate) fence_refusals: Counter,
    /// Writes and flushes that failed.
    pub(crate) storage_errors: Counter,
    streams: Gauge,
    streamed_records: Counter,
    streamed_bytes: Counter,
    chain_times: Histogram,
    chain_records: Counter,
}

/// A stream that is open, until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenStream(Gauge);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let produce = || Histogram::new(exponential_buckets(PRODUCE_LEAST_SECONDS, 2.0, PRODUCE_BUCKETS));
        let chain = || Histogram::new(exponential_buckets(CHAIN_LEAST_SECONDS, 2.0, CHAIN_BUCKETS));
        Self {
            produce_times: Family::new_with_constructor(produce),
            appended_records: Family::default(),
            appended_bytes: Family::default(),
            fence_refusals: Family::default(),
            storage_errors: Family::default(),
            streams: Family::default(),
            streamed_records: Family::default(),
            streamed_bytes: Family::default(),
            chain_times: Family::new_with_constructor(chain),
            chain_records: Family::default(),
            connections_accepted: Counter::default(),
            connections_refused: Counter::default(),
        }
    }

    /// The counts of a topic, at zero where it is new.
    pub(crate) fn topic(&self, name: &str) -> TopicMetrics {
        let topic = Topic { topic: name.to_owned() };
        TopicMetrics {
            produce_times: self.produce_times.get_or_create_owned(&topic),
            appended_records: self.appended_records.get_or_create_owned(&topic),
            appended_bytes: self.appended_bytes.get_or_create_owned(&topic),
            fence_refusals: self.fence_refusals.get_or_create_owned(&topic),
            storage_errors: self.storage_errors.get_or_create_owned(&topic),
            streams: self.streams.get_or_create_owned(&topic),
            streamed_records: self.streamed_records.get_or_create_owned(&topic),
            streamed_bytes: self.streamed_bytes.get_or_create_owned(&topic),
            chain_times: self.chain_times.get_or_create_owned(&topic),
            chain_records: self.chain_records.get_or_create_owned(&topic),
        }
    }

    /// A topic was deleted.
    pub(crate) fn forget(&self, name: &str) {
        let topic = Topic { topic: name.to_owned() };
        for times in [&self.produce_times, &self.chain_times] {
            times.remove(&topic);
        }
        for counts in [
            &self.appended_records,
            &self.appended_bytes,
            &self.fence_refusals,
            &self.storage_errors,
            &self.streamed_records,
            &self.streamed_bytes,
            &self.chain_records,
        ] {
            counts.remove(&topic);
        }
        self.streams.remove(&topic);
    }

    fn register(&self, registry: &mut Registry) {
        let Self { produce_times, chain_times, .. } = self;
        registry.register_with_unit(
            "ovation_broker_produce_duration",
            "Time from a produce request to its answer, for each partition that it names",
            Unit::Seconds,
            produce_times.clone(),
        );
        registry.register_with_unit(
            "ovation_broker_chain_duration",
            "Time of one batch in a stream's SmartModules",
            Unit::Seconds,
            chain_times.clone(),
        );
        for (name, help, counts) in [
            ("ovation_broker_appended_records", "Records stored", &self.appended_records),
            ("ovation_broker_appended_bytes", "Bytes of the batches stored", &self.appended_bytes),
            (
                "ovation_broker_fence_refusals",
                "Produce requests that the topic's fence refused",
                &self.fence_refusals,
            ),
            (
                "ovation_broker_storage_errors",
                "Writes and flushes of the log that failed",
                &self.storage_errors,
            ),
            ("ovation_broker_streamed_records", "Records made ready for streams", &self.streamed_records),
            ("ovation_broker_streamed_bytes", "Bytes of records sent to streams", &self.streamed_bytes),
            (
                "ovation_broker_chain_records",
                "Records of the topic that streams' SmartModules have taken",
                &self.chain_records,
            ),
        ] {
            registry.register(name, help, counts.clone());
        }
        registry.register("ovation_broker_streams_open", "Streams of consumers", self.streams.clone());
        registry.register(
            "ovation_broker_connections_accepted",
            "Connections since the start, on both ports",
            self.connections_accepted.clone(),
        );
        registry.register(
            "ovation_broker_connections_refused",
            "Of these, closed at once: there were too many",
            self.connections_refused.clone(),
        );
    }
}

impl TopicMetrics {
    /// A produce request was answered.
    pub(crate) fn produced(&self, took: Duration) {
        self.produce_times.observe(took.as_secs_f64());
    }

    /// Records were stored.
    pub(crate) fn appended(&self, records: i64, bytes: usize) {
        self.appended_records.inc_by(u64::try_from(records).unwrap_or(0));
        self.appended_bytes.inc_by(bytes as u64);
    }

    /// A stream begins.
    pub(crate) fn stream(&self) -> OpenStream {
        self.streams.inc();
        OpenStream(self.streams.clone())
    }

    /// Records were made ready for a stream.
    pub(crate) fn streamed(&self, records: usize) {
        self.streamed_records.inc_by(records as u64);
    }

    /// An answer goes to a stream.
    pub(crate) fn sent(&self, bytes: usize) {
        self.streamed_bytes.inc_by(bytes as u64);
    }

    /// A stream's chain has taken one batch.
    pub(crate) fn chained(&self, records: i64, took: Duration) {
        self.chain_records.inc_by(u64::try_from(records).unwrap_or(0));
        self.chain_times.observe(took.as_secs_f64());
    }
}

/// The broker's numbers, for whoever is asked for them. Cheap to clone, and keeps nothing open.
#[derive(Debug, Clone)]
pub struct Numbers {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) partitions: Weak<Partitions>,
    /// Connections that are open.
    pub(crate) connections: TaskTracker,
}

impl Numbers {
    /// Adds everything as it stands.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
        let open = Gauge::<i64>::default();
        open.set(i64::try_from(self.connections.len()).unwrap_or(i64::MAX));
        registry.register("ovation_broker_connections_open", "Connections, on both ports", open);
        let mut held = BTreeMap::<String, (i64, u64)>::new();
        for partition in self.partitions.upgrade().iter().flat_map(|partitions| partitions.all()) {
            let (records, bytes) = held.entry(partition.key.topic.clone()).or_default();
            *records += partition.end() - partition.log.start();
            *bytes += partition.log.size();
        }
        let (records, bytes) = (OfTopic::<Gauge>::default(), OfTopic::<Gauge>::default());
        for (topic, (held_records, held_bytes)) in held {
            let topic = Topic { topic };
            records.get_or_create(&topic).set(held_records);
            bytes.get_or_create(&topic).set(i64::try_from(held_bytes).unwrap_or(i64::MAX));
        }
        registry.register("ovation_broker_topic_records", "Records that the topic holds", records);
        registry.register("ovation_broker_topic_bytes", "Bytes of the topic on disk", bytes);
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    fn text(metrics: &Metrics) -> String {
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn a_topic_is_counted_from_zero_and_forgotten_when_it_is_deleted() {
        let metrics = Metrics::new();
        let lines = metrics.topic("lines");
        lines.appended(3, 120);
        metrics.topic("lines").appended(2, 80);
        lines.chained(4, Duration::from_micros(70));
        let stream = lines.stream();
        let now = text(&metrics);
        for line in [
            r#"ovation_broker_appended_records_total{topic="lines"} 5"#,
            r#"ovation_broker_appended_bytes_total{topic="lines"} 200"#,
            r#"ovation_broker_fence_refusals_total{topic="lines"} 0"#,
            r#"ovation_broker_streams_open{topic="lines"} 1"#,
            r#"ovation_broker_chain_duration_seconds_bucket{le="0.00005",topic="lines"} 0"#,
            r#"ovation_broker_chain_duration_seconds_bucket{le="0.0001",topic="lines"} 1"#,
        ] {
            assert!(now.lines().any(|found| found == line), "{line} in\n{now}");
        }
        drop(stream);
        assert!(text(&metrics).contains(r#"ovation_broker_streams_open{topic="lines"} 0"#));
        metrics.forget("lines");
        assert!(!text(&metrics).contains("lines\""));
    }
}
