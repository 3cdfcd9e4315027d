use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::record::{Batch, RawRecords, Record as FluvioRecord, RecordData, RecordKey};
use fluvio_spu_schema::Isolation;
use fluvio_spu_schema::produce::{DefaultPartitionRequest, DefaultProduceRequest, DefaultTopicRequest};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::{debug, info};

use crate::cluster::Cluster;
use crate::directory::leader_exchange;
use crate::error::{Error, ProduceError};
use crate::exchange::Exchange;
use crate::in_flight::Room;
use crate::producer::{MAX_RECORD_BYTES, ProducerOptions};

/// A key, or none, and a value.
pub(crate) type Pair = (Option<Vec<u8>>, Vec<u8>);

/// How often others have their turn before a batch goes, at most.
const TURNS_MAX: usize = 8;

/// How many turns in a row may bring nothing: in the first one runs who is ready, and in the second whom the network has made
/// ready meanwhile.
const QUIET_TURNS: usize = 2;

/// The way to one partition: a queue, a connection, and one request on its way at a time.
pub(crate) struct Lane {
    pub(crate) partition: u32,
    pub(crate) queue: mpsc::Sender<Job>,
    pub(crate) state: watch::Receiver<LaneState>,
}

/// Whether a lane can send.
#[derive(Debug, Clone)]
pub(crate) enum LaneState {
    /// No connection, and why.
    Away(Arc<str>),
    Ready,
}

/// Records that were handed over together, and who waits for their acknowledgement.
pub(crate) struct Job {
    records: Vec<Pair>,
    bytes: usize,
    /// Sent as a batch of its own.
    whole: bool,
    /// Milliseconds since 1970 when they were handed over: their timestamp.
    time: i64,
    answer: oneshot::Sender<Result<i64, ProduceError>>,
    room: Room,
}

impl Job {
    pub(crate) fn new(
        records: Vec<Pair>,
        bytes: usize,
        whole: bool,
        room: Room,
    ) -> (Self, oneshot::Receiver<Result<i64, ProduceError>>) {
        let (answer, wait) = oneshot::channel();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let job = Self {
            records,
            bytes,
            whole,
            time: i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            answer,
            room,
        };
        (job, wait)
    }
}

/// Waits between attempts: 50 ms, doubling to 2 s.
pub(crate) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: Self::FIRST }
    }
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(50);
    const LAST: Duration = Duration::from_secs(2);

    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(Self::LAST);
    }

    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}

impl Lane {
    pub(crate) fn open(cluster: Cluster, topic: Arc<str>, partition: u32, options: &ProducerOptions) -> Self {
        // A job holds at least one record, and records are counted when they are let in: the queue is never full.
        let (queue, jobs) = mpsc::channel(options.in_flight.max(1));
        let (report, state) = watch::channel(LaneState::Away(Arc::from("not connected yet")));
        let worker = Worker {
            cluster,
            topic,
            partition,
            linger: options.linger,
            batch_size: options.batch_size,
            deadline: options.deadline,
            jobs,
            held: VecDeque::new(),
            report,
        };
        tokio::spawn(worker.run());
        Self { partition, queue, state }
    }
}

struct Worker {
    cluster: Cluster,
    topic: Arc<str>,
    partition: u32,
    linger: Duration,
    batch_size: usize,
    deadline: Duration,
    jobs: mpsc::Receiver<Job>,
    /// Jobs that come before those in the queue: what did not fit into the last batch, and what was not sent when the
    /// connection was lost. No more than were let in.
    held: VecDeque<Job>,
    report: watch::Sender<LaneState>,
}

impl Worker {
    async fn run(mut self) {
        let mut backoff = Backoff::default();
        while let Some(link) = self.connect(&mut backoff).await {
            backoff.reset();
            self.report.send_replace(LaneState::Ready);
            let Some(reason) = self.serve(link).await else { return };
            // It counts as ready until a new connection could not be made: what comes meanwhile waits for that.
            info!(topic = %self.topic, partition = self.partition, reason = %reason, "producer lost its connection");
        }
    }

    /// Connects to the partition's leader, trying until it works. What was not sent over the last connection, and what comes
    /// now, waits for the first attempt, so that a connection that is cut costs nobody an error; once that has failed,
    /// whatever is queued is refused at once. `None` when the producer was dropped.
    async fn connect(&mut self, backoff: &mut Backoff) -> Option<Exchange> {
        let (cluster, topic, partition) = (self.cluster.clone(), self.topic.clone(), self.partition);
        let mut has_failed = false;
        loop {
            // After a failure it is not tried again at once.
            let pause = has_failed.then(|| backoff.wait());
            let attempt = async {
                if let Some(pause) = pause {
                    pause.await;
                }
                leader_exchange(&cluster, &topic, partition).await
            };
            tokio::pin!(attempt);
            let error = loop {
                tokio::select! {
                    connected = &mut attempt => match connected {
                        Ok(link) => return Some(link),
                        Err(error) => break error,
                    },
                    job = self.jobs.recv() => match job? {
                        job if has_failed => self.refuse(job),
                        job => self.held.push_back(job),
                    },
                }
            };
            has_failed = true;
            debug!(topic = %topic, partition, %error, "producer cannot connect");
            self.report.send_replace(LaneState::Away(Arc::from(error.to_string())));
            while let Some(held) = self.held.pop_front() {
                self.refuse(held);
            }
        }
    }

    /// Sends batches until the connection breaks; answers why, or `None` when the producer was dropped.
    async fn serve(&mut self, mut link: Exchange) -> Option<Arc<str>> {
        let closed = || Some(Arc::from("the connection was closed"));
        loop {
            let first = match self.held.pop_front() {
                Some(held) => held,
                // What comes when the connection is gone waits for the next one.
                None => tokio::select! {
                    biased;
                    () = link.over() => return closed(),
                    job = self.jobs.recv() => job?,
                },
            };
            if link.is_over() {
                self.held.push_front(first);
                return closed();
            }
            let batch = self.gather(first).await;
            if batch.is_empty() {
                continue;
            }
            if let Err(reason) = self.deliver(&mut link, batch).await {
                return Some(reason);
            }
        }
    }

    /// Adds what waits already, or arrives within the linger, to the first job, up to the size of a batch.
    ///
    /// Before it goes, others that are ready to run have their turn, for as long as that brings more: on an idle machine
    /// this is over at once, and on a busy one a request holds many records where it would hold one.
    async fn gather(&mut self, first: Job) -> Vec<Job> {
        let until = Instant::now() + self.linger;
        let mut bytes = first.bytes;
        let alone = first.whole;
        let mut batch = vec![first];
        let (mut turns, mut quiet, mut had) = (0, 0, 1);
        while !alone && bytes < self.batch_size {
            let next = match self.held.pop_front().or_else(|| self.jobs.try_recv().ok()) {
                Some(job) => job,
                None if turns < TURNS_MAX && (had < batch.len() || quiet < QUIET_TURNS) => {
                    quiet = if had < batch.len() { 1 } else { quiet + 1 };
                    (turns, had) = (turns + 1, batch.len());
                    tokio::task::yield_now().await;
                    continue;
                }
                None if self.linger.is_zero() => break,
                None => match tokio::time::timeout_at(until, self.jobs.recv()).await {
                    Ok(Some(job)) => job,
                    _ => break,
                },
            };
            if next.whole || bytes + next.bytes > self.batch_size {
                self.held.push_front(next);
                break;
            }
            bytes += next.bytes;
            batch.push(next);
        }
        // Whoever gave up waiting is not sent any more.
        batch.retain(|job| !job.answer.is_closed());
        batch
    }

    /// One request with one batch; answers everybody. An error means that the connection is of no more use.
    async fn deliver(&self, link: &mut Exchange, jobs: Vec<Job>) -> Result<(), Arc<str>> {
        let records = jobs.iter().map(|job| job.records.len()).sum::<usize>();
        let (batch, answers) = pack(jobs);
        let outcome = match batch {
            Ok(batch) => self.request(link, batch).await,
            Err(reason) => Outcome::Refused(ProduceError::Refused(reason)),
        };
        match outcome {
            Outcome::Stored(base) => {
                debug!(topic = %self.topic, partition = self.partition, offset = base, records, "produced");
                for answer in answers {
                    let place = base + answer.place;
                    answer.give(Ok(place));
                }
                Ok(())
            }
            Outcome::Refused(error) => {
                answer_all(answers, &error);
                Ok(())
            }
            Outcome::Broken(error, reason) => {
                answer_all(answers, &error);
                Err(reason)
            }
        }
    }

    async fn request(&self, link: &mut Exchange, batch: Batch<RawRecords>) -> Outcome {
        let mut partition = DefaultPartitionRequest { partition_index: self.partition, ..Default::default() };
        partition.records.batches.push(batch);
        let topic = DefaultTopicRequest {
            name: self.topic.to_string(),
            partitions: vec![partition],
            ..Default::default()
        };
        let request = DefaultProduceRequest {
            isolation: Isolation::ReadCommitted,
            timeout: self.deadline,
            topics: vec![topic],
            ..Default::default()
        };
        let answer = match link.ask("produce", self.deadline, request).await {
            Ok(answer) => answer,
            Err(error @ Error::Deadline { .. }) => {
                let late = ProduceError::Deadline { topic: self.topic.to_string(), deadline: self.deadline };
                return Outcome::Broken(late, Arc::from(error.to_string()));
            }
            Err(error) => return self.away(error.to_string()),
        };
        let Some(stored) = answer.find_partition_response(&self.topic, self.partition) else {
            return self.away("the broker's answer lacks the partition".to_owned());
        };
        match &stored.error_code {
            ErrorCode::None => Outcome::Stored(stored.base_offset),
            code @ (ErrorCode::NotLeaderForPartition
            | ErrorCode::PartitionNotLeader
            | ErrorCode::PartitionPendingInitialization
            | ErrorCode::TopicNotFound
            | ErrorCode::SpuOffline
            | ErrorCode::SpuNotFound) => self.away(code.to_string()),
            ErrorCode::MessageTooLarge => Outcome::Refused(ProduceError::TooLarge {
                topic: self.topic.to_string(),
                size: self.batch_size,
                limit: MAX_RECORD_BYTES,
            }),
            code => Outcome::Refused(ProduceError::Refused(code.to_string())),
        }
    }

    fn away(&self, reason: String) -> Outcome {
        let reason: Arc<str> = Arc::from(reason);
        Outcome::Broken(self.unavailable(&reason), reason)
    }

    fn refuse(&self, job: Job) {
        let reason = match &*self.report.borrow() {
            LaneState::Away(reason) => reason.clone(),
            LaneState::Ready => Arc::from("the connection was closed"),
        };
        Answer { to: job.answer, place: 0, room: job.room }.give(Err(self.unavailable(&reason)));
    }

    fn unavailable(&self, reason: &str) -> ProduceError {
        ProduceError::Unavailable { topic: self.topic.to_string(), reason: reason.to_owned() }
    }
}

/// What became of a request.
enum Outcome {
    /// Offset of the batch's first record.
    Stored(i64),
    /// The broker took nothing, and the connection is fine.
    Refused(ProduceError),
    /// The connection, or the leader, is gone, and why.
    Broken(ProduceError, Arc<str>),
}

/// Who waits for a job's acknowledgement.
struct Answer {
    to: oneshot::Sender<Result<i64, ProduceError>>,
    /// Place of the job's first record in the batch.
    place: i64,
    /// Taken until the job is answered.
    room: Room,
}

impl Answer {
    /// The room first: whoever is answered may send as much again at once.
    fn give(self, outcome: Result<i64, ProduceError>) {
        drop(self.room);
        let _ = self.to.send(outcome);
    }
}

fn answer_all(answers: Vec<Answer>, error: &ProduceError) {
    for answer in answers {
        answer.give(Err(error.clone()));
    }
}

/// Makes one batch of the jobs' records.
fn pack(jobs: Vec<Job>) -> (Result<Batch<RawRecords>, String>, Vec<Answer>) {
    let first_time = jobs.iter().map(|job| job.time).min().unwrap_or_default();
    let last_time = jobs.iter().map(|job| job.time).max().unwrap_or_default();
    let mut answers = Vec::with_capacity(jobs.len());
    let mut records = Vec::with_capacity(jobs.len());
    for job in jobs {
        answers.push(Answer { to: job.answer, place: records.len() as i64, room: job.room });
        for (key, value) in job.records {
            let key = key.map_or(RecordKey::NULL, RecordKey::from);
            let mut record = FluvioRecord::new_key_value(key, RecordData::from(value));
            record.get_mut_header().set_timestamp_delta(job.time - first_time);
            records.push(record);
        }
    }
    let mut batch = Batch::from(records);
    batch.header.first_timestamp = first_time;
    batch.header.max_time_stamp = last_time;
    (Batch::<RawRecords>::try_from(batch).map_err(|error| error.to_string()), answers)
}
