use ovation_client::Record;

use crate::partition::Partition;
use crate::{Feed, PartitionReport, Place, Subject, Unchecked};

/// Source records that are replayed at a time.
const PORTION_RECORDS: usize = 1000;

/// Which outlet.
#[derive(Clone, Copy)]
enum Which {
    Results,
    Letters,
}

/// Audits one partition: replays `source` from the epoch's first offset, and compares with what `sink` and `letters` hold. Where an
/// outlet ends before what has to be there, it is waited for as long as the feed goes on giving more.
///
/// `seen` is told how many source records were replayed.
///
/// # Errors
///
/// [`Unchecked`] if a feed fails, or the stage cannot be run.
pub async fn check(
    subject: &Subject,
    place: Place,
    mut source: impl Feed,
    sink: impl Feed,
    letters: impl Feed,
    seen: &mut dyn FnMut(u64),
) -> Result<PartitionReport, Unchecked> {
    let mut audit = Audit { partition: Partition::new(subject, place)?, sink, letters };
    let mut replayed = 0;
    while let Some(records) = source.next().await? {
        for portion in records.chunks(PORTION_RECORDS) {
            audit.partition.source(portion)?;
            audit.catch_up(false).await?;
            replayed += portion.len() as u64;
            seen(replayed);
        }
    }
    audit.partition.source_ended()?;
    audit.catch_up(true).await?;
    audit.rest().await?;
    Ok(audit.partition.report())
}

struct Audit<S, L> {
    partition: Partition,
    sink: S,
    letters: L,
}

impl<S: Feed, L: Feed> Audit<S, L> {
    /// Reads the outlets as far as the replay has come. Waits for what they lack only at the end, or if too much waits.
    async fn catch_up(&mut self, to_the_end: bool) -> Result<(), Unchecked> {
        loop {
            self.partition.settle();
            let lacking = if self.partition.letters.wants() {
                Which::Letters
            } else if self.partition.results.wants() {
                Which::Results
            } else {
                return Ok(());
            };
            if let Some(records) = self.next(lacking).await? {
                self.take(lacking, records)?;
                continue;
            }
            // Dead letters that are late must not keep the results from being read.
            if matches!(lacking, Which::Letters)
                && self.partition.results.wants()
                && let Some(records) = self.next(Which::Results).await?
            {
                self.take(Which::Results, records)?;
                continue;
            }
            if !to_the_end && !self.partition.is_full() {
                return Ok(());
            }
            let more = match lacking {
                Which::Results => self.sink.more().await?,
                Which::Letters => self.letters.more().await?,
            };
            if !more {
                self.stored_all(lacking);
            }
        }
    }

    /// Reads what is stored beyond what the replay made.
    async fn rest(&mut self) -> Result<(), Unchecked> {
        for which in [Which::Letters, Which::Results] {
            while let Some(records) = self.next(which).await? {
                self.take(which, records)?;
                self.partition.settle();
            }
            self.stored_all(which);
        }
        Ok(())
    }

    fn stored_all(&mut self, which: Which) {
        match which {
            Which::Results => self.partition.results.stored_all(),
            Which::Letters => self.partition.letters.stored_all(),
        }
    }

    async fn next(&mut self, which: Which) -> Result<Option<Vec<Record>>, Unchecked> {
        match which {
            Which::Results => self.sink.next().await,
            Which::Letters => self.letters.next().await,
        }
    }

    fn take(&mut self, which: Which, records: Vec<Record>) -> Result<(), Unchecked> {
        for record in &records {
            match which {
                Which::Results => self.partition.result(record)?,
                Which::Letters => self.partition.letter(record)?,
            }
        }
        Ok(())
    }
}
