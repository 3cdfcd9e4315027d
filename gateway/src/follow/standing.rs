//! How far a gateway is with reading a topic.

use std::collections::BTreeSet;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::watch;

use crate::health::Part;

/// The state, for those who wait for it and for `/readyz`.
#[derive(Debug)]
pub(crate) struct Standing {
    /// The part's name.
    name: &'static str,
    /// What its log and its line call the topic, such as `aggregate`.
    topic: &'static str,
    /// Whether nothing goes without the topic.
    is_needed: bool,
    state: watch::Sender<State>,
    counts: Counts,
}

/// What is counted of a reader.
#[derive(Debug)]
struct Counts {
    /// Records that came after the tail.
    records: Counter,
    /// How old they were when they came, by their own time.
    delays: Histogram,
    /// How often a record was missing.
    gaps: Counter,
    /// How often reading was interrupted.
    interruptions: Counter,
}

/// First upper bound of a record's delay, and how many there are, each twice the one before: up to 16 s.
const DELAY_LEAST_SECONDS: f64 = 0.001;
const DELAY_BUCKETS: u16 = 15;

impl Default for Counts {
    fn default() -> Self {
        Self {
            records: Counter::default(),
            delays: Histogram::new(exponential_buckets(DELAY_LEAST_SECONDS, 2.0, DELAY_BUCKETS)),
            gaps: Counter::default(),
            interruptions: Counter::default(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReaderLabel {
    reader: &'static str,
}

/// The delays of each reader.
#[derive(Debug)]
struct Delays(Vec<(&'static str, Histogram)>);

impl Collector for Delays {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let (name, help) = ("ovation_reader_delay", "Time from a record's own time to here");
        let mut family =
            encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for (reader, delays) in &self.0 {
            delays.encode(family.encode_family(&ReaderLabel { reader })?)?;
        }
        Ok(())
    }
}

/// Adds what the readers have counted to an exposition.
pub(crate) fn register(registry: &mut Registry, readers: &[&Standing]) {
    let [records, gaps, interruptions] = [(); 3].map(|()| Family::<ReaderLabel, Counter>::default());
    for reader in readers {
        let (label, counts) = (ReaderLabel { reader: reader.name }, &reader.counts);
        let of = |family: &Family<ReaderLabel, Counter>, counter: &Counter| {
            family.get_or_create(&label).inc_by(counter.get());
        };
        of(&records, &counts.records);
        of(&gaps, &counts.gaps);
        of(&interruptions, &counts.interruptions);
    }
    registry.register("ovation_reader_records", "Records that came after the start", records);
    let delays = readers.iter().map(|reader| (reader.name, reader.counts.delays.clone()));
    registry.register_collector(Box::new(Delays(delays.collect())));
    registry.register("ovation_reader_gaps", "How often a record was missing", gaps);
    registry.register("ovation_reader_interruptions", "How often reading was interrupted", interruptions);
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    caught_up: BTreeSet<u32>,
    trouble: Option<String>,
}

/// Whether the topic is there.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It is looked for.
    #[default]
    Looking,
    /// By configuration there is none.
    Unset,
    /// The broker has none; it is looked for now and then.
    Absent,
    /// It has so many partitions.
    Found(u32),
}

impl Standing {
    /// Of a topic that the gateway cannot do without.
    pub(crate) fn needed(name: &'static str, topic: &'static str) -> Self {
        Self { name, topic, is_needed: true, state: watch::Sender::default(), counts: Counts::default() }
    }

    /// Of a topic that may be missing, or that the configuration does not name.
    pub(crate) fn optional(name: &'static str, topic: &'static str, is_set: bool) -> Self {
        let phase = if is_set { Phase::Looking } else { Phase::Unset };
        let state = State { phase, ..State::default() };
        Self { is_needed: false, state: watch::Sender::new(state), ..Self::needed(name, topic) }
    }

    /// What the topic is called, such as `aggregate`.
    pub(super) fn topic(&self) -> &'static str {
        self.topic
    }

    pub(super) fn is_needed(&self) -> bool {
        self.is_needed
    }

    pub(super) fn found(&self, partitions: u32) {
        self.state.send_modify(|state| {
            state.phase = Phase::Found(partitions);
            state.trouble = None;
        });
    }

    /// The broker has no such topic. True if that is news.
    pub(super) fn absent(&self) -> bool {
        self.state.send_if_modified(|state| {
            state.trouble = None;
            std::mem::replace(&mut state.phase, Phase::Absent) != Phase::Absent
        })
    }

    pub(super) fn caught_up(&self, partition: u32) {
        self.state.send_modify(|state| {
            state.caught_up.insert(partition);
            state.trouble = None;
        });
    }

    /// A record came, so old by its own time, if it has one.
    pub(super) fn came(&self, age: Option<Duration>) {
        self.counts.records.inc();
        if let Some(age) = age {
            self.counts.delays.observe(age.as_secs_f64());
        }
    }

    /// A record is missing.
    pub(super) fn gap(&self) {
        self.counts.gaps.inc();
    }

    /// Reading was interrupted.
    pub(super) fn interrupted(&self) {
        self.counts.interruptions.inc();
    }

    pub(super) fn trouble(&self, trouble: String) {
        self.state.send_modify(|state| state.trouble = Some(trouble));
    }

    /// Whether the topic is there.
    pub(crate) fn is_found(&self) -> bool {
        matches!(self.state.borrow().phase, Phase::Found(_))
    }

    fn is_ready(&self, state: &State) -> bool {
        match state.phase {
            Phase::Looking => false,
            Phase::Unset => true,
            Phase::Absent => !self.is_needed,
            Phase::Found(partitions) => state.caught_up.len() >= partitions as usize,
        }
    }

    /// Waits until the end of each partition has been read, or nothing is to be read.
    pub(crate) async fn ready(&self) {
        // The sender is here, so this ends by what it waits for alone.
        let _ = self.state.subscribe().wait_for(|state| self.is_ready(state)).await;
    }

    /// The line in `/readyz`.
    pub(crate) fn part(&self) -> Part {
        let state = self.state.borrow();
        let topic = self.topic;
        let detail = match (&state.trouble, state.phase) {
            (Some(trouble), _) => trouble.clone(),
            (None, Phase::Found(partitions)) => {
                format!("{} of {partitions} partitions read", state.caught_up.len())
            }
            (None, Phase::Looking) => format!("looking for the {topic} topic"),
            (None, Phase::Unset | Phase::Absent) => format!("there is no {topic} topic"),
        };
        Part { name: self.name.into(), ready: self.is_ready(&state), detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_may_be_missing_keeps_nobody_waiting_once_that_is_known() {
        let (needed, optional) =
            (Standing::needed("hub", "aggregate"), Standing::optional("moments", "moment", true));
        for standing in [&needed, &optional] {
            assert!(!standing.part().ready);
            assert!(standing.absent() && !standing.absent(), "news once");
        }
        assert!(!needed.part().ready && optional.part().ready);
        optional.found(2);
        optional.caught_up(1);
        assert!(!optional.part().ready && optional.is_found());
        optional.caught_up(0);
        assert_eq!(optional.part().detail, "2 of 2 partitions read");
        assert!(Standing::optional("moments", "moment", false).part().ready);
    }
}
