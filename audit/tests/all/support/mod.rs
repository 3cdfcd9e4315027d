//! A stage as the broker runs it, natively, with its topics as vectors.

use std::collections::BTreeMap;

use bytes::Bytes;
use ovation_audit::{Feed, PartitionReport, Place, Subject, Unchecked, check};
use ovation_client::Record;
use ovation_shell::{Batch, Contract, Output, Params, Transform};
use ovation_topology::Topology;
use ovation_validate::Validate;
use ovation_window::Window;
use serde_json::json;

/// Times in these tests count from here: a multiple of every window's advance.
pub(crate) const T0: i64 = 1_795_426_840_000;

const TOPOLOGY: &str = "
name: reactions
topics:
  events: { partitions: 1 }
  sums: { partitions: 1, fence: true }
  letters: { partitions: 1, fence: true }
  checkpoints: { partitions: 1 }
smartmodules:
  validate: { builtin: ovation-validate }
  window: { builtin: ovation-window }
stages:
  reactions:
    source: events
    transforms:
      - uses: validate
        with: { skin-tones: fold }
      - uses: window
        with: { dedup.horizon-ms: '3000', dedup.ids: '20' }
        windows:
          - { name: tumbling, tumbling: { size: 1s }, grace: 500ms, emit: { every: 100ms } }
          - { name: hopping, hopping: { size: 3s, advance: 1s }, grace: 500ms, emit: { every: 200ms } }
          - { name: session, session: { gap: 700ms }, grace: 400ms, emit: update }
          - { name: quiet, tumbling: { size: 2s }, grace: 0s, emit: close }
        watermark: { idleness: 300ms }
    sink: sums
    dead-letter: letters
    checkpoints: checkpoints
";

pub(crate) fn topology() -> Topology {
    Topology::parse("topology.yaml", TOPOLOGY).expect("a good topology")
}

pub(crate) fn subject() -> Subject {
    let topology = topology();
    Subject::of(&topology, &topology.stages[0]).expect("it can be audited")
}

/// A raw event: key, value, and the record's own time (none: -1).
#[derive(Debug, Clone)]
pub(crate) struct Raw {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Vec<u8>,
    pub(crate) time: i64,
}

pub(crate) fn tap(room: &str, emoji: &str, count: u64, at_ms: i64, id: Option<&str>) -> Raw {
    let mut event = json!({"room": room, "emoji": emoji, "count": count, "ts": T0 + at_ms});
    if let Some(id) = id {
        event["id"] = json!(id);
    }
    Raw { key: Some(room.into()), value: event.to_string().into(), time: T0 + at_ms }
}

pub(crate) fn tick(at_ms: i64) -> Raw {
    let value = json!({"tick": T0 + at_ms}).to_string().into();
    Raw { key: Some(b"\x01tick".to_vec()), value, time: T0 + at_ms }
}

pub(crate) fn garbage(room: &str, value: &[u8], at_ms: i64) -> Raw {
    Raw { key: Some(room.into()), value: value.into(), time: T0 + at_ms }
}

/// What stands in the topics.
#[derive(Debug, Clone, Default)]
pub(crate) struct Topics {
    pub(crate) source: Vec<Record>,
    pub(crate) sink: Vec<Record>,
    pub(crate) letters: Vec<Record>,
}

impl Topics {
    /// Appends the events and runs the stage over them from their first offset on, in batches of these sizes.
    pub(crate) fn run(&mut self, epoch: u64, events: &[Raw], sizes: &[usize]) {
        let start = self.source.len() as i64;
        for (offset, event) in (start..).zip(events) {
            self.source.push(Record {
                partition: 0,
                offset,
                timestamp: event.time,
                key: event.key.clone().map(Bytes::from),
                value: event.value.clone().into(),
            });
        }
        let topology = topology();
        let [validate, window] = &topology.stages[0].transforms[..] else { panic!("two modules") };
        let params = |with: BTreeMap<String, String>| {
            let own = [
                ("stage", "reactions".to_owned()),
                ("epoch", epoch.to_string()),
                ("source", "events".to_owned()),
                ("partition", "0".to_owned()),
                ("start", start.to_string()),
            ];
            with.into_iter()
                .chain(own.map(|(name, value)| (format!("ovation.{name}"), value)))
                .collect::<Params>()
        };
        let mut validate = Validate::open(&params(validate.parameters())).expect("opens");
        let mut window = Contract::<Window>::open(&params(window.parameters())).expect("opens");
        let mut rest = &self.source[start as usize..];
        let mut sizes = sizes.iter().copied().cycle();
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(sizes.next().unwrap_or(7).clamp(1, rest.len()));
            let (sink, letters) = (&mut self.sink, &mut self.letters);
            call(&mut validate, &mut window, batch, |reject, key, value| {
                let topic = if reject { &mut *letters } else { &mut *sink };
                let offset = topic.len() as i64;
                topic.push(Record { partition: 0, offset, timestamp: T0, key, value });
            });
            rest = later;
        }
    }

    /// The place of a whole log of one epoch.
    pub(crate) fn place(&self) -> Place {
        let all = |records: &[Record]| 0..records.last().map_or(0, |last| last.offset + 1);
        Place {
            partition: 0,
            epoch: 1,
            source: all(&self.source),
            sink: all(&self.sink),
            letters: all(&self.letters),
        }
    }

    pub(crate) fn audit(&self) -> PartitionReport {
        self.audit_at(self.place(), Later::default())
    }

    /// Audits a part; `later` comes only when it is waited for.
    pub(crate) fn audit_at(&self, place: Place, later: Later) -> PartitionReport {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let within = |records: &[Record], range: &std::ops::Range<i64>| {
            records.iter().filter(|record| range.contains(&record.offset)).cloned().collect::<Vec<_>>()
        };
        let source = VecFeed::new(within(&self.source, &place.source), Vec::new());
        let sink = VecFeed::new(within(&self.sink, &place.sink), later.sink);
        let letters = VecFeed::new(within(&self.letters, &place.letters), later.letters);
        runtime
            .block_on(check(&subject(), place, source, sink, letters, &mut |_| {}))
            .expect("it can be checked")
    }
}

/// What is stored while the audit runs.
#[derive(Debug, Default)]
pub(crate) struct Later {
    pub(crate) sink: Vec<Record>,
    pub(crate) letters: Vec<Record>,
}

fn call(
    validate: &mut Validate,
    window: &mut Contract<Window>,
    records: &[Record],
    mut store: impl FnMut(bool, Option<Bytes>, Bytes),
) {
    const BASE_TIME: i64 = T0 - 100_000;
    let first = records[0].offset;
    let mut input = Output::default();
    for record in records {
        let time = if record.timestamp > 0 { record.timestamp - BASE_TIME } else { -BASE_TIME };
        input.push(record.offset - first, time, record.key.as_deref(), &record.value);
    }
    let (mut judged, mut answer) = (Output::default(), Output::default());
    let input = input.finish(None, 0);
    validate
        .transform(&Batch::from_records(first, BASE_TIME, &input).expect("a batch"), &mut judged)
        .expect("answers");
    let judged = judged.finish(None, 0);
    window
        .transform(&Batch::from_records(first, BASE_TIME, &judged).expect("a batch"), &mut answer)
        .expect("answers");
    let answer = answer.finish(None, 0);
    for record in Batch::from_records(first, BASE_TIME, &answer).expect("a batch").records() {
        let record = record.expect("a record");
        let value = Bytes::copy_from_slice(record.value);
        match record.key {
            Some(b"\x01reject") => store(true, None, value),
            Some([1, ..]) => {}
            key => store(false, key.map(Bytes::copy_from_slice), value),
        }
    }
}

/// Records in portions, and what comes later.
struct VecFeed {
    now: Vec<Record>,
    later: Vec<Record>,
}

const PORTION: usize = 13;

impl VecFeed {
    fn new(mut now: Vec<Record>, mut later: Vec<Record>) -> Self {
        now.reverse();
        later.reverse();
        Self { now, later }
    }
}

impl Feed for VecFeed {
    async fn next(&mut self) -> Result<Option<Vec<Record>>, Unchecked> {
        let rest = self.now.len().saturating_sub(PORTION);
        let mut portion = self.now.split_off(rest);
        portion.reverse();
        Ok((!portion.is_empty()).then_some(portion))
    }

    async fn more(&mut self) -> Result<bool, Unchecked> {
        let one = self.later.pop();
        let some = one.is_some();
        self.now.extend(one);
        Ok(some)
    }
}
