//! Follow: one reader for each partition of the aggregate topic, which feeds the hub in order.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use ovation_client::{Cluster, Error, FollowOptions, From, Record};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::order::{Offer, Order};
use super::{Hub, Update};
use crate::config::Config;
use crate::cursor::Place;
use crate::health::Part;

/// Pauses between tries to reach the broker: short at first, since it mostly starts with the gateway.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// How often a partition is read again for a missing result before the hub goes on without it. The stage fills a hole
/// by itself when it restarts, and results are cumulative, so what is lost for good is a revision.
const REREADS_MAX: u32 = 3;

/// How far the hub is with reading its topic.
#[derive(Debug, Default)]
pub(crate) struct Standing(watch::Sender<State>);

#[derive(Debug, Default)]
struct State {
    partitions: Option<u32>,
    caught_up: BTreeSet<u32>,
    trouble: Option<String>,
}

impl State {
    /// Whether the end of each partition has been read.
    fn is_ready(&self) -> bool {
        self.partitions.is_some_and(|partitions| self.caught_up.len() >= partitions as usize)
    }
}

impl Standing {
    fn found(&self, partitions: u32) {
        self.0.send_modify(|state| {
            state.partitions = Some(partitions);
            state.trouble = None;
        });
    }

    fn caught_up(&self, partition: u32) {
        self.0.send_modify(|state| {
            state.caught_up.insert(partition);
            state.trouble = None;
        });
    }

    fn trouble(&self, trouble: String) {
        self.0.send_modify(|state| state.trouble = Some(trouble));
    }

    /// Waits until the end of each partition has been read.
    pub(crate) async fn ready(&self) {
        // The sender is here, so this ends by what it waits for alone.
        let _ = self.0.subscribe().wait_for(State::is_ready).await;
    }

    /// The hub's line in `/readyz`.
    pub(crate) fn part(&self) -> Part {
        let state = self.0.borrow();
        let detail = match (&state.trouble, state.partitions) {
            (Some(trouble), _) => trouble.clone(),
            (None, Some(partitions)) => format!("{} of {partitions} partitions read", state.caught_up.len()),
            (None, None) => "looking for the aggregate topic".into(),
        };
        Part { name: "hub".into(), ready: state.is_ready(), detail }
    }
}

/// All readers.
pub(crate) struct Follower {
    readers: tokio::task::JoinHandle<()>,
    end: CancellationToken,
}

impl Follower {
    /// Starts to follow the aggregate topic; looks for it until it is there.
    pub(crate) fn start(config: &Config, hub: Arc<Hub>, standing: Arc<Standing>) -> Self {
        let end = CancellationToken::new();
        let (config, ended) = (config.clone(), end.clone());
        let readers = tokio::spawn(async move {
            ended.run_until_cancelled(follow(config, hub, standing)).await;
        });
        Self { readers, end }
    }

    /// Ends all readers.
    pub(crate) async fn stop(self) {
        self.end.cancel();
        if let Err(error) = self.readers.await {
            tracing::error!(%error, "failed to follow the aggregate topic");
        }
    }
}

async fn follow(config: Config, hub: Arc<Hub>, standing: Arc<Standing>) {
    let topic = &config.aggregates_topic;
    let mut patience = Patience::default();
    let partitions = loop {
        match config.cluster.partitions(topic).await {
            Ok(Some(partitions)) => break partitions,
            Ok(None) => patience.wait(&standing, &Error::NoTopic(topic.clone())).await,
            Err(error) => patience.wait(&standing, &error).await,
        }
    };
    standing.found(partitions);
    let mut readers = JoinSet::new();
    for partition in 0..partitions {
        let reader = Reader {
            cluster: config.cluster.clone(),
            topic: topic.clone(),
            partition,
            hub: Arc::clone(&hub),
            standing: Arc::clone(&standing),
            order: Order::new(config.early_results_max),
            resume: 0,
            gap_wait: config.gap_wait,
            rereads: 0,
        };
        readers.spawn(reader.run(config.tail_records));
    }
    while let Some(ended) = readers.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "failed to follow a partition of the aggregate topic");
            standing.trouble("a reader of the aggregate topic has ended".into());
        }
    }
}

/// Growing pauses between tries.
struct Patience(Duration);

impl Default for Patience {
    fn default() -> Self {
        Self(RETRY_MIN)
    }
}

impl Patience {
    /// Waits before the next try; what went wrong is in `standing` until then.
    async fn wait(&mut self, standing: &Standing, error: &Error) {
        tracing::debug!(%error, "the aggregate topic cannot be read yet");
        standing.trouble(error.to_string());
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(RETRY_MAX);
    }
}

/// How reading goes on after a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// From the last good place.
    ReadAgain,
    /// From the end of the log, as at the start.
    StartOver,
}

/// Reads one partition.
struct Reader {
    cluster: Cluster,
    topic: String,
    partition: u32,
    hub: Arc<Hub>,
    standing: Arc<Standing>,
    /// Results with their offsets.
    order: Order<(i64, Update)>,
    /// Offset after the last result that went to the hub: from here on, a missing one may be found.
    resume: i64,
    gap_wait: Duration,
    /// How often the partition was read again for the result that is missing now.
    rereads: u32,
}

impl Reader {
    async fn run(mut self, tail_records: u32) {
        loop {
            self.read_tail(tail_records).await;
            self.standing.caught_up(self.partition);
            while self.read_on().await == Next::ReadAgain {}
            tracing::warn!(
                topic = self.topic,
                partition = self.partition,
                "the partition was made anew, starting over"
            );
            self.hub.reset(self.partition);
            self.order.restart();
            self.rereads = 0;
        }
    }

    /// Reads the end of the partition: what the hub knows when it says that it is ready.
    async fn read_tail(&mut self, records: u32) {
        let mut patience = Patience::default();
        let (tail, range) = loop {
            match self.fetch_tail(records).await {
                Ok(read) => break read,
                Err(error) => patience.wait(&self.standing, &error).await,
            }
        };
        self.resume = tail.first().map_or(range.end, |first| first.offset);
        let tail: Vec<_> = tail.iter().filter_map(|record| self.read(record)).collect();
        // The log may hold them out of order, so the first is not always the smallest.
        let start = match tail.iter().map(|(_, update)| update.place).min() {
            Some(smallest) => Some(smallest),
            // Nothing was ever stored: the first number to come is known.
            None if range.end == 0 => Some(Place::new(0, 1)),
            None => None,
        };
        if let Some(start) = start {
            self.order.start_at(start);
            self.hub.begin(self.partition, start.before());
        }
        for (offset, update) in tail {
            self.offer(offset, update);
        }
    }

    async fn fetch_tail(&self, records: u32) -> Result<(Vec<Record>, Range<i64>), Error> {
        let range = ovation_client::bounds(&self.cluster, &self.topic, self.partition).await?;
        let tail = ovation_client::read_tail(&self.cluster, &self.topic, self.partition, records).await?;
        Ok((tail, range))
    }

    /// Follows the partition, until it has to be read again from the last good place.
    async fn read_on(&mut self) -> Next {
        // The fence refuses whole batches, but a topic may have been written without it: offsets have holes (docs/fluvio.md
        // 23), numbers have not.
        let options = FollowOptions { contiguous: false, ..FollowOptions::default() };
        let from = From::Offset(self.resume);
        let mut records = std::pin::pin!(ovation_client::follow(
            self.cluster.clone(),
            &self.topic,
            self.partition,
            from,
            options
        ));
        let mut gap: Option<(Place, Instant)> = None;
        loop {
            gap = match (self.order.missing(), gap) {
                (None, _) => {
                    self.rereads = 0;
                    None
                }
                (Some(missing), Some((known, until))) if missing == known => Some((known, until)),
                (Some(missing), _) => {
                    Some((missing, Instant::now() + self.gap_wait * 2u32.pow(self.rereads)))
                }
            };
            let until = gap.map_or_else(Instant::now, |(_, until)| until);
            let record = tokio::select! {
                record = records.next() => record,
                () = tokio::time::sleep_until(until), if gap.is_some() => {
                    self.miss();
                    return Next::ReadAgain;
                }
            };
            match record {
                Some(Ok(record)) => {
                    let Some((offset, update)) = self.read(&record) else { continue };
                    if !self.offer(offset, update) {
                        self.miss();
                        return Next::ReadAgain;
                    }
                }
                // The log ends before the place where it was read to: it is another log.
                Some(Err(Error::Beyond { .. })) => return Next::StartOver,
                // The follower goes on by itself.
                Some(Err(error)) => tracing::warn!(%error, "the aggregate topic was interrupted"),
                None => return Next::ReadAgain,
            }
        }
    }

    fn read(&self, record: &Record) -> Option<(i64, Update)> {
        match Update::read(record.partition, &record.value) {
            Ok(update) => Some((record.offset, update)),
            Err(reason) => {
                let (topic, partition, offset) = (&self.topic, record.partition, record.offset);
                tracing::warn!(topic, partition, offset, "failed to read aggregate record: {reason}");
                None
            }
        }
    }

    /// Gives a result to the hub when its turn has come. False if there is no room to keep it until then.
    fn offer(&mut self, offset: i64, update: Update) -> bool {
        match self.order.offer(update.place, (offset, update)) {
            Offer::Ready(ready) => {
                self.deliver(ready);
                true
            }
            Offer::Repeat | Offer::Waiting => true,
            Offer::Full => false,
        }
    }

    /// A result has been missing for too long: the partition is read again, or, after a few times, the hub goes on.
    fn miss(&mut self) {
        let Some(missing) = self.order.missing() else { return };
        let (topic, partition) = (&self.topic, self.partition);
        if self.rereads < REREADS_MAX {
            self.rereads += 1;
            tracing::warn!(
                topic,
                partition,
                seq = missing.seq,
                offset = self.resume,
                "a result is missing, reading again"
            );
        } else {
            tracing::error!(topic, partition, seq = missing.seq, "a result is missing, going on without it");
            self.rereads = 0;
            let ready = self.order.give_up();
            self.deliver(ready);
        }
    }

    fn deliver(&mut self, ready: Vec<(i64, Update)>) {
        for (offset, update) in ready {
            self.resume = offset + 1;
            self.hub.apply(update);
        }
    }
}
