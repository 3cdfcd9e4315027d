//! Follow: one reader for each partition of a topic whose records are numbered. They come in order, each once, whatever the log
//! holds.

pub(crate) mod order;
pub(crate) mod patience;
pub(crate) mod standing;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use ovation_client::{Cluster, Error, FollowOptions, From, Record};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::order::{Offer, Order};
use self::patience::Patience;
use self::standing::Standing;
use crate::cursor::Place;
use crate::ingest::now_ms;

/// How often a partition is read again for a missing record before it goes on without it. The stage fills a hole by itself when
/// it restarts, and results are cumulative, so what is lost for good is a revision.
const REREADS_MAX: u32 = 3;

/// Between two looks for a topic that the gateway can do without.
const ABSENT_PAUSE: Duration = Duration::from_secs(5);

/// Whoever wants the records. Every call is short and never waits for I/O.
pub(crate) trait Taker: Send + Sync + 'static {
    /// A record, read.
    type Item: Send + Sync;

    /// Reads a record: its number, and what it says. The error is the end of "failed to read … record: …".
    fn read(&self, record: &Record) -> Result<(Place, Self::Item), String>;

    /// Says that records of `partition` up to `before` will not come.
    fn begin(&self, partition: u32, before: Place);

    /// Takes the next record of its partition.
    fn take(&self, item: Self::Item);

    /// Says that the end of `partition` has been read: what comes from now on is new.
    fn caught_up(&self, _partition: u32) {}

    /// Says that the log of `partition` was made anew.
    fn reset(&self, partition: u32);
}

/// What is followed, and how.
#[derive(Debug, Clone)]
pub(crate) struct Following {
    pub(crate) cluster: Cluster,
    /// The topic; nothing is followed without it.
    pub(crate) topic: Option<String>,
    /// Records read from the end of each partition first.
    pub(crate) tail_records: u32,
    /// Records kept while an earlier one of their partition is missing.
    pub(crate) early_max: usize,
    /// How long a missing record may take before its partition is read again; doubled at each further try.
    pub(crate) gap_wait: Duration,
}

/// All readers of a topic.
pub(crate) struct Follower {
    readers: tokio::task::JoinHandle<()>,
    end: CancellationToken,
    standing: Arc<Standing>,
}

impl Follower {
    /// Starts to follow the topic; looks for it until it is there.
    pub(crate) fn start<T: Taker>(following: Following, taker: Arc<T>, standing: Arc<Standing>) -> Self {
        let (end, known) = (CancellationToken::new(), Arc::clone(&standing));
        let ended = end.clone();
        let readers = tokio::spawn(async move {
            if let Some(topic) = following.topic.clone() {
                ended.run_until_cancelled(follow(following, topic, taker, known)).await;
            }
        });
        Self { readers, end, standing }
    }

    /// Ends all readers.
    pub(crate) async fn stop(self) {
        self.end.cancel();
        if let Err(error) = self.readers.await {
            tracing::error!(%error, "failed to follow the {} topic", self.standing.topic());
        }
    }
}

async fn follow<T: Taker>(following: Following, topic: String, taker: Arc<T>, standing: Arc<Standing>) {
    let partitions = find(&following.cluster, &topic, &standing).await;
    standing.found(partitions);
    let mut readers = JoinSet::new();
    for partition in 0..partitions {
        let reader = Reader {
            cluster: following.cluster.clone(),
            topic: topic.clone(),
            partition,
            taker: Arc::clone(&taker),
            standing: Arc::clone(&standing),
            order: Order::new(following.early_max),
            resume: 0,
            gap_wait: following.gap_wait,
            rereads: 0,
        };
        readers.spawn(reader.run(following.tail_records));
    }
    while let Some(ended) = readers.join_next().await {
        if let Err(error) = ended {
            let name = standing.topic();
            tracing::error!(%error, "failed to follow a partition of the {name} topic");
            standing.trouble(format!("a reader of the {name} topic has ended"));
        }
    }
}

/// Returns when the topic is there: its partitions.
async fn find(cluster: &Cluster, topic: &str, standing: &Standing) -> u32 {
    let mut patience = Patience::default();
    loop {
        match cluster.partitions(topic).await {
            Ok(Some(partitions)) => return partitions,
            Ok(None) if !standing.is_needed() => {
                if standing.absent() {
                    let name = standing.topic();
                    tracing::info!(topic, "there is no {name} topic; it is looked for now and then");
                }
                tokio::time::sleep(ABSENT_PAUSE).await;
            }
            Ok(None) => wait(&mut patience, standing, &Error::NoTopic(topic.to_owned())).await,
            Err(error) => wait(&mut patience, standing, &error).await,
        }
    }
}

/// Waits before the next try; what went wrong is in `standing` until then.
async fn wait(patience: &mut Patience, standing: &Standing, error: &Error) {
    tracing::debug!(%error, "the {} topic cannot be read yet", standing.topic());
    standing.trouble(error.to_string());
    patience.wait().await;
}

/// How old a record is by its own time, in ms since 1970. Those of a fenced topic of a cluster have none (docs/fluvio.md 37).
fn age(time: i64) -> Option<Duration> {
    (time > 0).then(|| Duration::from_millis(u64::try_from(now_ms() - time).unwrap_or(0)))
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
struct Reader<T: Taker> {
    cluster: Cluster,
    topic: String,
    partition: u32,
    taker: Arc<T>,
    standing: Arc<Standing>,
    /// Records with their offsets.
    order: Order<(i64, T::Item)>,
    /// Offset after the last record that was taken: from here on, a missing one may be found.
    resume: i64,
    gap_wait: Duration,
    /// How often the partition was read again for the record that is missing now.
    rereads: u32,
}

impl<T: Taker> Reader<T> {
    async fn run(mut self, tail_records: u32) {
        loop {
            self.read_tail(tail_records).await;
            self.taker.caught_up(self.partition);
            self.standing.caught_up(self.partition);
            while self.read_on().await == Next::ReadAgain {}
            tracing::warn!(
                topic = self.topic,
                partition = self.partition,
                "the partition was made anew, starting over"
            );
            self.taker.reset(self.partition);
            self.order.restart();
            self.rereads = 0;
        }
    }

    /// Reads the end of the partition: what is known when the gateway says that it is ready.
    async fn read_tail(&mut self, records: u32) {
        let mut patience = Patience::default();
        let (tail, range) = loop {
            match self.fetch_tail(records).await {
                Ok(read) => break read,
                Err(error) => wait(&mut patience, &self.standing, &error).await,
            }
        };
        self.resume = tail.first().map_or(range.end, |first| first.offset);
        let tail: Vec<_> = tail.iter().filter_map(|record| self.read(record)).collect();
        // The log may hold them out of order, so the first is not always the smallest.
        let start = match tail.iter().map(|(_, place, _)| *place).min() {
            Some(smallest) => Some(smallest),
            // Nothing was ever stored: the first number to come is known.
            None if range.end == 0 => Some(Place::new(0, 1)),
            None => None,
        };
        if let Some(start) = start {
            self.order.start_at(start);
            self.taker.begin(self.partition, start.before());
        }
        for read in tail {
            self.offer(read);
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
                    self.standing.came(age(record.timestamp));
                    let Some(read) = self.read(&record) else { continue };
                    if !self.offer(read) {
                        self.miss();
                        return Next::ReadAgain;
                    }
                }
                // The log ends before the place where it was read to: it is another log.
                Some(Err(Error::Beyond { .. })) => return Next::StartOver,
                // The follower goes on by itself.
                Some(Err(error)) => {
                    self.standing.interrupted();
                    tracing::warn!(%error, "the {} topic was interrupted", self.standing.topic());
                }
                None => return Next::ReadAgain,
            }
        }
    }

    fn read(&self, record: &Record) -> Option<(i64, Place, T::Item)> {
        match self.taker.read(record) {
            Ok((place, item)) => Some((record.offset, place, item)),
            Err(reason) => {
                let (topic, partition, offset) = (&self.topic, record.partition, record.offset);
                let name = self.standing.topic();
                tracing::warn!(topic, partition, offset, "failed to read {name} record: {reason}");
                None
            }
        }
    }

    /// Gives a record on when its turn has come. False if there is no room to keep it until then.
    fn offer(&mut self, (offset, place, item): (i64, Place, T::Item)) -> bool {
        match self.order.offer(place, (offset, item)) {
            Offer::Ready(ready) => {
                self.deliver(ready);
                true
            }
            Offer::Repeat | Offer::Waiting => true,
            Offer::Full => false,
        }
    }

    /// A record has been missing for too long: the partition is read again, or, after a few times, it goes on without it.
    fn miss(&mut self) {
        let Some(missing) = self.order.missing() else { return };
        self.standing.gap();
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

    fn deliver(&mut self, ready: Vec<(i64, T::Item)>) {
        for (offset, item) in ready {
            self.resume = offset + 1;
            self.taker.take(item);
        }
    }
}
