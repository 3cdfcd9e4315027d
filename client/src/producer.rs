use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;

use crate::cluster::Cluster;
use crate::directory;
use crate::error::{Error, ProduceError};
use crate::in_flight::{Bound, InFlight};
use crate::lane::{Backoff, Job, Lane, LaneState, Pair};
use crate::partitioner::partition_of_key;

/// The largest record (key and value together) that is sent, in bytes. Well below the 1 MiB that consumers ask for
/// by default, so that a record can never be what a fetch cuts (docs/fluvio.md 1).
pub const MAX_RECORD_BYTES: usize = 900 * 1024;

/// Bytes of records that one producer holds for the broker at most, however many records that are.
const IN_FLIGHT_BYTES: usize = 64 * 1024 * 1024;

/// How a [`Producer`] works.
#[derive(Debug, Clone)]
pub struct ProducerOptions {
    /// Write to this partition only; otherwise the key's hash chooses, and records without a key take turns.
    pub partition: Option<u32>,
    /// Wait this long for more records before a request is sent. Zero is right nearly always: records that arrive while
    /// a request is on its way share the next one.
    pub linger: Duration,
    /// A batch is sent when it holds about this many bytes. Small batches keep fetches whole (docs/fluvio.md 1).
    pub batch_size: usize,
    /// Time from the call to the acknowledgement, waiting included.
    pub deadline: Duration,
    /// Records that may be on their way at once; the next one is told [`ProduceError::Full`].
    pub in_flight: usize,
}

impl Default for ProducerOptions {
    /// Any partition, no linger, batches of 128 KiB, 5 s, 10,000 records on their way.
    fn default() -> Self {
        Self {
            partition: None,
            linger: Duration::ZERO,
            batch_size: 128 * 1024,
            deadline: Duration::from_secs(5),
            in_flight: 10_000,
        }
    }
}

/// Where an acknowledged record is.
///
/// On a topic with deduplication the offset is only a guess (docs/fluvio.md 17).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Partition number, from 0.
    pub partition: u32,
    /// Offset of the record.
    pub offset: i64,
}

/// Writes to one topic, and survives a lost broker: connections are made anew in the background, and meanwhile every
/// send fails at once. Cheap to clone; the last clone that is dropped closes the connections.
///
/// Requests are sent by this crate itself, over the published protocol types, not by `fluvio::TopicProducer`: that one
/// hangs and spins when its SPU goes away (docs/fluvio.md 27), reports no error from `flush` (13), and cannot promise that
/// what belongs together arrives as one batch. There is one lane per partition, with its own connection and one request
/// on its way at a time, so records of a partition are stored in the order in which they were sent, and nothing is ever
/// retried behind the caller's back.
#[derive(Clone)]
pub struct Producer {
    shared: Arc<Shared>,
}

struct Shared {
    topic: Arc<str>,
    options: ProducerOptions,
    lanes: OnceLock<Vec<Lane>>,
    /// Why there are no lanes yet.
    search: watch::Receiver<Arc<str>>,
    in_flight: Arc<InFlight>,
    next_keyless: AtomicU32,
    /// Ends the search for the topic when the last clone goes.
    _alive: watch::Sender<()>,
}

impl Producer {
    /// Starts to connect in the background and returns at once. The topic's partitions are counted once, when it is
    /// found; until then, and until the connections stand, sends are answered [`ProduceError::Unavailable`].
    ///
    /// Needs a running tokio runtime.
    pub fn open(cluster: Cluster, topic: &str, options: ProducerOptions) -> Self {
        let (report, search) = watch::channel(Arc::from("not connected yet"));
        let (alive, gone) = watch::channel(());
        let shared = Arc::new(Shared {
            topic: Arc::from(topic),
            lanes: OnceLock::new(),
            search,
            in_flight: InFlight::new(options.in_flight, IN_FLIGHT_BYTES),
            next_keyless: AtomicU32::new(0),
            options,
            _alive: alive,
        });
        tokio::spawn(search_lanes(cluster, Arc::downgrade(&shared), shared.topic.clone(), report, gone));
        Self { shared }
    }

    /// Sends one record and waits for its acknowledgement. Concurrent calls share batches.
    ///
    /// # Errors
    ///
    /// Any [`ProduceError`]; which of them mean that nothing was stored is said there.
    pub async fn send(&self, key: Option<Vec<u8>>, value: Vec<u8>) -> Result<Stored, ProduceError> {
        let lane = self.lane(key.as_deref())?;
        let offset = self.submit(lane, vec![(key, value)], false).await?;
        Ok(Stored { partition: lane.partition, offset })
    }

    /// Sends records that need not stay together, and waits until each is answered, in the order in which they are given.
    /// What goes to one partition shares batches and stays in order there.
    ///
    /// A piece of them may be refused and another stored: each answer is one of [`send`](Producer::send).
    pub async fn send_all(&self, records: Vec<Pair>) -> Vec<Result<Stored, ProduceError>> {
        let mut answers: Vec<Option<Result<Stored, ProduceError>>> = vec![None; records.len()];
        // For each lane, the piece that is being filled: places in `records`, and what is to be sent.
        let mut open: HashMap<u32, Piece> = HashMap::new();
        let mut pieces = Vec::new();
        for (place, record) in records.into_iter().enumerate() {
            let partition = match self.lane(record.0.as_deref()) {
                Ok(lane) => lane.partition,
                Err(error) => {
                    set(&mut answers, place, Err(error));
                    continue;
                }
            };
            let piece = open.entry(partition).or_default();
            let bytes = pair_bytes(&record);
            if !piece.places.is_empty() && piece.bytes + bytes > self.shared.options.batch_size {
                pieces.push((partition, std::mem::take(piece)));
            }
            piece.bytes += bytes;
            piece.places.push(place);
            piece.records.push(record);
        }
        pieces.extend(open);
        let sent = pieces.into_iter().map(async |(partition, piece)| {
            let outcome = match self.lane_of(partition) {
                Some(lane) => self.submit(lane, piece.records, false).await,
                None => Err(self.unavailable("the topic has no such partition")),
            };
            (partition, piece.places, outcome)
        });
        for (partition, places, outcome) in futures_util::future::join_all(sent).await {
            for (place, after) in places.into_iter().zip(0..) {
                let stored = outcome.clone().map(|base| Stored { partition, offset: base + after });
                set(&mut answers, place, stored);
            }
        }
        let lost = || Err(self.unavailable("the producer has ended"));
        answers.into_iter().map(|answer| answer.unwrap_or_else(lost)).collect()
    }

    /// Sends records in order as one batch in a request of its own, and waits for its acknowledgement. All of them are
    /// stored, or none, and nothing else is on its way to the partition meanwhile: what a fenced topic needs.
    ///
    /// Answers where the first of them is; nothing if there are none. Together they may hold [`MAX_RECORD_BYTES`]. The partition is the one of the options, or the first key's.
    ///
    /// # Errors
    ///
    /// Any [`ProduceError`]; which of them mean that nothing was stored is said there.
    pub async fn send_batch(&self, records: Vec<Pair>) -> Result<Option<Stored>, ProduceError> {
        let Some((key, _)) = records.first() else {
            return Ok(None);
        };
        let lane = self.lane(key.as_deref())?;
        let offset = self.submit(lane, records, true).await?;
        Ok(Some(Stored { partition: lane.partition, offset }))
    }

    /// Whether a send would be tried now: every partition this producer writes to has a connection.
    pub fn is_ready(&self) -> bool {
        let lanes = self.shared.lanes.get();
        lanes.is_some_and(|lanes| lanes.iter().all(|lane| matches!(&*lane.state.borrow(), LaneState::Ready)))
    }

    /// Waits until [`is_ready`](Producer::is_ready), at most for `deadline`.
    ///
    /// # Errors
    ///
    /// [`ProduceError::Unavailable`] with the reason of the last attempt.
    pub async fn ready(&self, deadline: Duration) -> Result<(), ProduceError> {
        let waiting = async {
            // The sender of `search` goes away when the lanes are there.
            let mut search = self.shared.search.clone();
            while search.changed().await.is_ok() {}
            for lane in self.shared.lanes.get().into_iter().flatten() {
                let mut state = lane.state.clone();
                let _ = state.wait_for(|state| matches!(state, LaneState::Ready)).await;
            }
        };
        let _ = tokio::time::timeout(deadline, waiting).await;
        if self.is_ready() {
            return Ok(());
        }
        let waiting_lane = self.shared.lanes.get().into_iter().flatten();
        let reason = waiting_lane
            .filter_map(|lane| match &*lane.state.borrow() {
                LaneState::Ready => None,
                LaneState::Away(reason) => Some(reason.clone()),
            })
            .next();
        Err(self.unavailable(&reason.unwrap_or_else(|| self.shared.search.borrow().clone())))
    }

    fn lane(&self, key: Option<&[u8]>) -> Result<&Lane, ProduceError> {
        let Some(lanes) = self.shared.lanes.get() else {
            return Err(self.unavailable(&self.shared.search.borrow()));
        };
        let count = u32::try_from(lanes.len()).unwrap_or(u32::MAX).max(1);
        let index = match key {
            _ if count == 1 => 0,
            Some(key) => partition_of_key(key, count),
            None => self.shared.next_keyless.fetch_add(1, Ordering::Relaxed) % count,
        };
        let lane = lanes.get(index as usize);
        lane.ok_or_else(|| self.unavailable("the topic has no partitions"))
    }

    fn lane_of(&self, partition: u32) -> Option<&Lane> {
        self.shared.lanes.get()?.iter().find(|lane| lane.partition == partition)
    }

    async fn submit(&self, lane: &Lane, records: Vec<Pair>, whole: bool) -> Result<i64, ProduceError> {
        let bytes: usize = records.iter().map(pair_bytes).sum();
        if bytes > MAX_RECORD_BYTES {
            return Err(ProduceError::TooLarge {
                topic: self.shared.topic.to_string(),
                size: bytes,
                limit: MAX_RECORD_BYTES,
            });
        }
        if let LaneState::Away(reason) = &*lane.state.borrow() {
            return Err(self.unavailable(reason));
        }
        // A batch larger than the whole bound counts as the whole bound, or it could never be sent.
        let count = records.len().min(self.shared.options.in_flight);
        let room = InFlight::enter(&self.shared.in_flight, count, bytes).map_err(|bound| self.full(bound))?;
        let (job, answer) = Job::new(records, bytes, whole, room);
        if lane.queue.try_send(job).is_err() {
            // The queue has a place for every record that is let in: only a lane that ended refuses.
            return Err(self.unavailable("the producer has ended"));
        }
        let deadline = self.shared.options.deadline;
        match tokio::time::timeout(deadline, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(self.unavailable("the producer has ended")),
            Err(_) => Err(ProduceError::Deadline { topic: self.shared.topic.to_string(), deadline }),
        }
    }

    fn full(&self, bound: Bound) -> ProduceError {
        let limit = match bound {
            Bound::Records => format!("{} records", self.shared.options.in_flight),
            Bound::Bytes => format!("{IN_FLIGHT_BYTES} bytes"),
        };
        ProduceError::Full { topic: self.shared.topic.to_string(), limit }
    }

    fn unavailable(&self, reason: &str) -> ProduceError {
        ProduceError::Unavailable { topic: self.shared.topic.to_string(), reason: reason.to_owned() }
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Producer")
            .field("topic", &self.shared.topic)
            .field("ready", &self.is_ready())
            .finish_non_exhaustive()
    }
}

/// Records of one partition that go together, and where they stood in the whole.
#[derive(Default)]
struct Piece {
    places: Vec<usize>,
    records: Vec<Pair>,
    bytes: usize,
}

fn set<T>(answers: &mut [Option<T>], place: usize, answer: T) {
    if let Some(slot) = answers.get_mut(place) {
        *slot = Some(answer);
    }
}

pub(crate) fn pair_bytes((key, value): &Pair) -> usize {
    key.as_ref().map_or(0, Vec::len) + value.len()
}

/// Looks for the topic until it is found, then opens the lanes.
async fn search_lanes(
    cluster: Cluster,
    producer: std::sync::Weak<Shared>,
    topic: Arc<str>,
    report: watch::Sender<Arc<str>>,
    mut gone: watch::Receiver<()>,
) {
    let mut backoff = Backoff::default();
    let partitions = loop {
        let found = tokio::select! {
            found = directory::look_up(&cluster, &topic) => found,
            _ = gone.changed() => return,
        };
        match found {
            Ok(entry) if entry.partitions > 0 => break entry.partitions,
            Ok(_) => drop(report.send_replace(Arc::from("the topic has no partitions yet"))),
            Err(error) => drop(report.send_replace(Arc::from(error.to_string()))),
        }
        tokio::select! {
            () = backoff.wait() => {}
            _ = gone.changed() => return,
        }
    };
    let Some(shared) = producer.upgrade() else { return };
    let wanted = match shared.options.partition {
        Some(partition) if partition >= partitions => {
            let missing = Error::NoPartition { topic: topic.to_string(), partition };
            report.send_replace(Arc::from(missing.to_string()));
            partition..partition + 1
        }
        Some(partition) => partition..partition + 1,
        None => 0..partitions,
    };
    let lanes = wanted
        .map(|partition| Lane::open(cluster.clone(), topic.clone(), partition, &shared.options))
        .collect();
    // Set once, here: this task runs once per producer.
    let _ = shared.lanes.set(lanes);
}
