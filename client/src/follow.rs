use std::collections::VecDeque;

use futures_util::Stream;
use futures_util::stream;
use tracing::{debug, info};

use crate::batches::{Batches, Opening, end_of, is_short, records_from};
use crate::cluster::Cluster;
use crate::error::Error;
use crate::lane::Backoff;
use crate::record::Record;
use crate::tail::bounds;

/// What one answer of the broker may hold. A fetch that cuts a batch loses the rest of it (docs/fluvio.md 1), so it is
/// many times larger than any batch.
pub(crate) const MAX_BYTES: i32 = 32 * 1024 * 1024;

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// At the oldest record that is there.
    Beginning,
    /// At this offset.
    Offset(i64),
    /// This many records before the end; `Tail(0)` gives only what is yet to come.
    Tail(u32),
}

/// How [`follow`] reads.
#[derive(Debug, Clone)]
pub struct FollowOptions {
    /// Check that offsets have no gap, and read again from the missing one if they have (docs/fluvio.md 1). To be switched off
    /// for fenced topics, whose offsets may have holes (23) and whose readers check `seq`.
    pub contiguous: bool,
    /// Bytes that the broker puts into one answer at most.
    pub max_bytes: i32,
}

impl Default for FollowOptions {
    /// Contiguous, 32 MiB.
    fn default() -> Self {
        Self { contiguous: true, max_bytes: MAX_BYTES }
    }
}

/// Reads a partition for ever, on a connection of its own.
///
/// An `Err` says that something went wrong, not that the stream ends: it reconnects by itself with backoff and goes on
/// with the next offset. After [`Error::Lost`] it goes on with the oldest record that is left. It never ends; drop it.
pub fn follow(
    cluster: Cluster,
    topic: &str,
    partition: u32,
    from: From,
    options: FollowOptions,
) -> impl Stream<Item = Result<Record, Error>> + Send + Unpin + use<> {
    let follower = Follower {
        cluster,
        topic: topic.to_owned(),
        partition,
        place: Place::Asked(from),
        options,
        batches: None,
        ready: VecDeque::new(),
        short_at: None,
        backoff: Backoff::default(),
        failed: false,
    };
    Box::pin(stream::unfold(follower, async |mut follower: Follower| {
        let item = follower.next().await;
        Some((item, follower))
    }))
}

enum Place {
    /// Not resolved yet.
    Asked(From),
    /// Offset of the next record.
    Next(i64),
}

struct Follower {
    cluster: Cluster,
    topic: String,
    partition: u32,
    place: Place,
    options: FollowOptions,
    batches: Option<Batches>,
    ready: VecDeque<Record>,
    /// Where a gap was seen, to tell one that stays from one that a new fetch fills.
    short_at: Option<i64>,
    backoff: Backoff,
    /// The last thing returned was an error: wait before the next attempt.
    failed: bool,
}

impl Follower {
    async fn next(&mut self) -> Result<Record, Error> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                self.place = Place::Next(record.offset + 1);
                return Ok(record);
            }
            if self.failed {
                self.backoff.wait().await;
                self.failed = false;
            }
            if let Err(error) = self.fetch().await {
                self.batches = None;
                // What was lost is gone, and the rest is there to be read at once.
                self.failed = !matches!(error, Error::Lost { .. });
                debug!(topic = %self.topic, partition = self.partition, %error, "follower was interrupted");
                return Err(error);
            }
        }
    }

    /// Gets the next batch, from a new stream if there is none.
    async fn fetch(&mut self) -> Result<(), Error> {
        let (mut batches, next) = match (self.batches.take(), &self.place) {
            (Some(batches), Place::Next(next)) => (batches, *next),
            _ => self.open().await?,
        };
        let batch = batches.next().await?;
        self.backoff.reset();
        let missing = if batch.base_offset > next { Some(next) } else { None };
        let cut = is_short(&batch).then(|| batch.base_offset + batch.records().len() as i64);
        let end = end_of(&batch);
        if let Some(missing) = missing
            && self.options.contiguous
            && self.short_at != Some(missing)
        {
            return self.reopen_at(missing);
        }
        if missing.is_some() && self.options.contiguous {
            return Err(
                batches.interrupted(format!("offsets {next} to {} are missing", batch.base_offset - 1))
            );
        }
        self.ready.extend(records_from(batch, self.partition, next));
        match cut {
            Some(cut) if self.short_at != Some(cut) => return self.reopen_at(cut.max(next)),
            Some(_) => self.place = Place::Next(end.max(next)),
            None => {}
        }
        self.batches = Some(batches);
        Ok(())
    }

    /// Drops the stream, so that the next one begins with what is missing.
    fn reopen_at(&mut self, offset: i64) -> Result<(), Error> {
        info!(topic = %self.topic, partition = self.partition, offset, "reading again what a fetch left out");
        self.short_at = Some(offset);
        self.batches = None;
        if self.ready.is_empty() {
            self.place = Place::Next(offset);
        }
        Ok(())
    }

    async fn open(&mut self) -> Result<(Batches, i64), Error> {
        let held = bounds(&self.cluster, &self.topic, self.partition).await?;
        let next = match self.place {
            Place::Asked(From::Beginning) => held.start,
            Place::Asked(From::Tail(count)) => held.start.max(held.end - i64::from(count)),
            Place::Asked(From::Offset(offset)) | Place::Next(offset) => offset,
        };
        self.place = Place::Next(next);
        if next < held.start {
            self.place = Place::Next(held.start);
            return Err(Error::Lost {
                topic: self.topic.clone(),
                partition: self.partition,
                from: next,
                resumed: held.start,
            });
        }
        if next > held.end {
            return Err(Error::Beyond {
                topic: self.topic.clone(),
                partition: self.partition,
                offset: next,
                high_watermark: held.end,
            });
        }
        let opening = Opening {
            topic: &self.topic,
            partition: self.partition,
            offset: next,
            max_bytes: self.options.max_bytes,
            modules: Vec::new(),
        };
        let batches = Batches::open(&self.cluster, opening).await?;
        Ok((batches, next))
    }
}
