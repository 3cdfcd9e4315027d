use std::ops::Range;

use crate::batches::{Batches, Opening, end_of, records_from};
use crate::cluster::Cluster;
use crate::error::Error;
use crate::follow::MAX_BYTES;
use crate::record::Record;

/// Reads a range of one partition from end to end, a batch at a time: however long the log, no more than a few answers of the
/// broker are in memory.
pub struct Scan {
    cluster: Cluster,
    topic: String,
    partition: u32,
    /// What is left to be read.
    left: Range<i64>,
    contiguous: bool,
    /// Bytes that the broker puts into one answer at most.
    max_bytes: i32,
    batches: Option<Batches>,
    /// Where a fetch cut a batch (docs/fluvio.md 1). It is read again from there, and once is enough, because then the batch stands
    /// first and fits.
    cut_at: Option<i64>,
    /// Where offsets were missing, to tell a gap that stays from one that a new fetch fills.
    gap_at: Option<i64>,
}

impl Scan {
    /// Over `range` of a partition, which has to be stored already; see [`bounds`](crate::bounds). With `contiguous` every
    /// offset has to be there. Without, offsets may have holes, as those of fenced topics (docs/fluvio.md 23).
    pub fn new(cluster: &Cluster, topic: &str, partition: u32, range: Range<i64>, contiguous: bool) -> Self {
        Self {
            cluster: cluster.clone(),
            topic: topic.to_owned(),
            partition,
            left: range,
            contiguous,
            max_bytes: MAX_BYTES,
            batches: None,
            cut_at: None,
            gap_at: None,
        }
    }

    /// The same with answers of the broker of at most this many bytes, instead of 32 MiB: what a reader is bounded by that wants
    /// little, or shares its memory with many. A batch that is larger may come cut, and without `contiguous` unnoticed
    /// (docs/fluvio.md 1).
    #[must_use]
    pub fn answers_of(self, max_bytes: i32) -> Self {
        Self { max_bytes, ..self }
    }

    /// Records of the next batch, in order; `None` at the end of the range.
    ///
    /// # Errors
    ///
    /// Those of [`bounds`](crate::bounds), and [`Error::Interrupted`], also where offsets are missing.
    pub async fn next(&mut self) -> Result<Option<Vec<Record>>, Error> {
        while self.left.start < self.left.end {
            let records = self.fetch().await?;
            if !records.is_empty() {
                return Ok(Some(records));
            }
        }
        Ok(None)
    }

    async fn fetch(&mut self) -> Result<Vec<Record>, Error> {
        let next = self.left.start;
        let mut batches = match self.batches.take() {
            Some(batches) => batches,
            None => self.open().await?,
        };
        let deadline = self.cluster.deadline_to_answer();
        let batch = match tokio::time::timeout(deadline, batches.next()).await {
            Ok(batch) => batch?,
            Err(_) => {
                let (topic, partition) = (&self.topic, self.partition);
                return Err(Error::Deadline {
                    what: format!("read partition {partition} of topic {topic} from offset {next}"),
                    endpoint: self.cluster.endpoint().to_owned(),
                    deadline,
                });
            }
        };
        if self.contiguous && batch.base_offset > next {
            if self.gap_at == Some(next) {
                return Err(missing(&batches, next, batch.base_offset));
            }
            self.gap_at = Some(next);
            return Ok(Vec::new());
        }
        let decoded_end = batch.base_offset + i64::try_from(batch.records().len()).unwrap_or(i64::MAX);
        let end = end_of(&batch);
        let wanted = self.left.clone();
        let records: Vec<Record> =
            records_from(batch, self.partition, next).filter(|record| record.offset < wanted.end).collect();
        if decoded_end >= end {
            self.left.start = next.max(end);
            self.batches = Some(batches);
        } else if self.cut_at != Some(decoded_end) {
            self.cut_at = Some(decoded_end);
            self.left.start = next.max(decoded_end);
        } else if self.contiguous {
            return Err(missing(&batches, decoded_end, end));
        } else {
            self.left.start = next.max(end);
            self.batches = Some(batches);
        }
        Ok(records)
    }

    async fn open(&self) -> Result<Batches, Error> {
        let opening = Opening {
            topic: &self.topic,
            partition: self.partition,
            offset: self.left.start,
            max_bytes: self.max_bytes,
            modules: Vec::new(),
        };
        Batches::open(&self.cluster, opening).await
    }
}

fn missing(batches: &Batches, from: i64, to: i64) -> Error {
    batches.interrupted(format!("offsets {from} to {} are missing", to - 1))
}
