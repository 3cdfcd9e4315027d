//! The partition that a room's results are in, and where in it they are.

use std::collections::HashMap;
use std::ops::Range;

use ovation_client::{Cluster, Error, Record, Scan};

use super::config::History;
use super::passed::{Passed, ms};
use super::query::Query;
use super::result::{Found, WindowKey};

/// Bytes of the broker's answers while a place is searched, of which one batch is looked at: as much as the engine puts into one.
const PROBE_BYTES: i32 = 256 * 1024;

/// The same while results are read: far more than any batch has, so that none is cut (docs/fluvio.md 1).
pub(super) const ANSWER_BYTES: i32 = 4 * 1024 * 1024;

/// Why the log cannot be read for an answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The broker, or the way to it.
    #[error(transparent)]
    Client(#[from] Error),
    /// Too many epochs.
    #[error(
        "the log has results of more than {0} epochs of the stage; older ones go with the topic's retention"
    )]
    Epochs(usize),
    /// Too many windows of which an older epoch told, too.
    #[error(
        "the range spans a reset of the stage, after which there are more than {0} windows; ask for a shorter one"
    )]
    Renewed(usize),
}

/// One partition of the aggregate topic, as one room looks at it.
#[derive(Debug, Clone)]
pub(super) struct Log {
    pub(super) cluster: Cluster,
    pub(super) topic: String,
    pub(super) partition: u32,
    pub(super) room: String,
}

/// The results of one epoch: where they are, of those that may be wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) epoch: u64,
    pub(super) offsets: Range<i64>,
}

/// Windows of which a newer epoch tells, with the newest that does.
pub(super) type Renewed = HashMap<WindowKey, u64>;

impl Log {
    /// The partition that holds the room: the one that its reactions are in.
    pub(super) async fn of(cluster: &Cluster, topic: &str, room: &str) -> Result<Self, Trouble> {
        let found = cluster.partitions(topic).await?.filter(|partitions| *partitions > 0);
        let partitions = found.ok_or_else(|| Error::NoTopic(topic.to_owned()))?;
        let partition = ovation_client::partition_of_key(room.as_bytes(), partitions);
        Ok(Self { cluster: cluster.clone(), topic: topic.to_owned(), partition, room: room.to_owned() })
    }

    /// The results in some of the log.
    pub(super) fn scan(&self, offsets: Range<i64>) -> Scan {
        // The fence refuses whole batches, but offsets may have holes all the same (docs/fluvio.md 23).
        Scan::new(&self.cluster, &self.topic, self.partition, offsets, false).answers_of(ANSWER_BYTES)
    }

    /// What the records are, of those that are results.
    pub(super) fn read(&self, records: &[Record]) -> Vec<Found> {
        records.iter().filter_map(|record| Found::read(record, &self.room)).collect()
    }

    /// Where the wanted results are, epoch by epoch, oldest first. What lies before each begin is not wanted.
    pub(super) async fn segments(&self, query: &Query, config: &History) -> Result<Vec<Segment>, Trouble> {
        let held = ovation_client::bounds(&self.cluster, &self.topic, self.partition).await?;
        let after = query.after.as_ref().and_then(|cursor| cursor.place(self.partition));
        let mut segments = Vec::new();
        for segment in self.epochs(held, config).await? {
            let is_before = |found: &Found| match after {
                Some(place) => found.place <= place,
                // A window that must be final by `from`, and was not yet when what stands before it was stored: all of that began
                // before `from`. (Records' own timestamps may be missing: docs/fluvio.md 37.)
                None => found.end.saturating_add(ms(config.grace_max)) <= query.from,
            };
            let Range { start, end } = segment.offsets;
            if after.is_some_and(|place| segment.epoch < place.epoch) {
                continue;
            }
            let behind = match after.is_some_and(|place| segment.epoch > place.epoch) {
                true => start,
                false => self.behind(start..end, is_before).await?,
            };
            if behind < end {
                let begin = behind.saturating_sub(i64::from(config.disorder_max)).max(start);
                segments.push(Segment { offsets: begin..end, ..segment });
            }
        }
        Ok(segments)
    }

    /// Where each epoch's results are. The fence takes no older epoch after a newer one.
    async fn epochs(&self, held: Range<i64>, config: &History) -> Result<Vec<Segment>, Trouble> {
        let mut epochs = Vec::new();
        let mut start = held.start;
        while start < held.end {
            let Some(first) = self.first_of(start..held.end).await? else { break };
            if epochs.len() >= config.epochs_max {
                return Err(Trouble::Epochs(config.epochs_max));
            }
            let epoch = first.place.epoch;
            let end = self.behind(start..held.end, |found| found.place.epoch <= epoch).await?;
            // The first result is such a one, so this gets on.
            let end = end.max(first.offset + 1);
            epochs.push(Segment { epoch, offsets: start..end });
            start = end;
        }
        Ok(epochs)
    }

    /// The first result of some of the log.
    async fn first_of(&self, offsets: Range<i64>) -> Result<Option<Found>, Error> {
        let mut scan = self.scan(offsets).answers_of(PROBE_BYTES);
        while let Some(records) = scan.next().await? {
            if let Some(first) = self.read(&records).into_iter().next() {
                return Ok(Some(first));
            }
        }
        Ok(None)
    }

    /// An offset in front of which everything `is_before`, by halving: right wherever such a result says it of all before itself, and as
    /// near to the last such result as they stand in order.
    async fn behind(&self, offsets: Range<i64>, is_before: impl Fn(&Found) -> bool) -> Result<i64, Error> {
        let mut search = Search::new(offsets.clone());
        while let Some(offset) = search.next() {
            let mut scan = self.scan(offset..offsets.end).answers_of(PROBE_BYTES);
            let found = self.read(&scan.next().await?.unwrap_or_default());
            let last_before = found.iter().rfind(|found| is_before(found)).map(|found| found.offset);
            let is_all = found.last().is_some_and(&is_before);
            search.take(offset, last_before, is_all);
        }
        Ok(search.left.start)
    }

    /// Windows of which newer epochs tell as well, so that what an older one says of them is void.
    pub(super) async fn renewed(
        &self,
        newer: &[Segment],
        query: &Query,
        config: &History,
    ) -> Result<Renewed, Trouble> {
        let mut renewed = Renewed::new();
        for segment in newer {
            let (mut scan, mut passed) = (self.scan(segment.offsets.clone()), Passed::new(query.to, config));
            while let Some(records) = scan.next().await? {
                for found in self.read(&records) {
                    passed.take(&found);
                    if found.value.is_some() && (query.from..query.to).contains(&found.start) {
                        let epoch = renewed.entry(found.key()).or_default();
                        *epoch = (*epoch).max(found.place.epoch);
                    }
                }
                if renewed.len() > config.renewed_max {
                    return Err(Trouble::Renewed(config.renewed_max));
                }
                if passed.is_over(query.window.as_deref()) {
                    break;
                }
            }
        }
        Ok(renewed)
    }
}

/// Halves a range. No I/O.
#[derive(Debug)]
struct Search {
    left: Range<i64>,
    /// The end is looked at first: mostly all of an old epoch lies before, and all of a new one behind.
    is_begun: bool,
}

impl Search {
    fn new(left: Range<i64>) -> Self {
        Self { left, is_begun: false }
    }

    /// Where to look next. Each look leaves half of the range at most, but for the first.
    fn next(&mut self) -> Option<i64> {
        let Range { start, end } = self.left;
        let is_first = !std::mem::replace(&mut self.is_begun, true);
        (start < end).then(|| if is_first { end - 1 } else { start + (end - start) / 2 })
    }

    /// Takes what stands in the batch at `offset`: the last result that is before, if there is one, and whether all are up to
    /// the batch's end.
    fn take(&mut self, offset: i64, last_before: Option<i64>, is_all: bool) {
        let Range { start, end } = self.left;
        let begin = last_before.map_or(start, |last| (last + 1).clamp(start, end));
        self.left = match last_before {
            None => start..offset,
            Some(_) if is_all => begin..end,
            // The first that is not stands in this batch, too.
            Some(_) => begin..begin,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Searches a log of batches of `size`, one bool a record.
    fn search(first: i64, before: &[bool], size: usize) -> (i64, u32) {
        let end = first + i64::try_from(before.len()).expect("a few");
        let mut search = Search::new(first..end);
        let mut looks = 0;
        while let Some(offset) = search.next() {
            let at = usize::try_from(offset - first).expect("in the log");
            let batch = &before[at..before.len().min((at / size + 1) * size)];
            let last = batch.iter().rposition(|is_before| *is_before);
            let last = last.map(|last| offset + i64::try_from(last).expect("a few"));
            search.take(offset, last, batch.last() == Some(&true));
            looks += 1;
        }
        (search.left.start, looks)
    }

    proptest! {
        #[test]
        fn in_order_the_place_is_exact_and_soon_found(
            first in 0..1_000_i64, before in 0..300_usize, behind in 0..300_usize, size in 1..20_usize,
        ) {
            let log: Vec<bool> = (0..before + behind).map(|number| number < before).collect();
            let (found, looks) = search(first, &log, size);
            prop_assert_eq!(found, first + i64::try_from(before).expect("a few"));
            prop_assert!(looks <= 12, "{} looks", looks);
        }

        #[test]
        fn in_disorder_it_is_never_behind_the_last_one(
            log in prop::collection::vec(any::<bool>(), 0..300), size in 1..20_usize,
        ) {
            let (found, _) = search(0, &log, size);
            let last = log.iter().rposition(|is_before| *is_before).map_or(0, |last| last + 1);
            prop_assert!(found <= i64::try_from(last).expect("a few"));
        }
    }
}
