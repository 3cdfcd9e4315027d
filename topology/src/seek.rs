//! Finds the place of a time in a partition.

use std::ops::Range;

use ovation_client::{Cluster, Error as ClientError, Record, Scan};

/// The offset in `held` that splits it by time: everything before it is older than `time` (ms since 1970), as far as records
/// were stored roughly in the order of their times. Reads a batch here and there, 64 at most.
pub(crate) async fn offset_at(
    cluster: &Cluster,
    topic: &str,
    partition: u32,
    held: Range<i64>,
    time: i64,
) -> Result<i64, ClientError> {
    let end = held.end;
    let mut bisection = Bisection { left: held, time };
    while let Some(offset) = bisection.next() {
        // A fenced topic may have holes (docs/fluvio.md 23): what comes back begins at the next record that is there.
        let records = Scan::new(cluster, topic, partition, offset..end, false).next().await?;
        bisection.take(offset, &records.unwrap_or_default());
    }
    Ok(bisection.left.start)
}

/// Halves a range until one offset is left. No I/O.
#[derive(Debug)]
struct Bisection {
    /// The offset is one of these, or the end: all before are older, and none from the end on is.
    left: Range<i64>,
    time: i64,
}

impl Bisection {
    /// Where to read next. Each answer leaves half of the range at most, so 64 reads are enough for any log.
    fn next(&self) -> Option<i64> {
        let Range { start, end } = self.left;
        (start < end).then(|| start + (end - start) / 2)
    }

    /// Takes the batch that stands at `offset`, from there on.
    fn take(&mut self, offset: i64, records: &[Record]) {
        let end = self.left.end;
        let first = records.iter().position(|record| !self.is_older(record));
        self.left = match (first, records.last()) {
            (Some(0), _) | (_, None) => self.left.start..offset,
            // Everything in front of it in the batch is older: nothing is left to be asked.
            (Some(number), _) => {
                let found = records[number].offset.min(end);
                found..found
            }
            (None, Some(last)) => (last.offset + 1).min(end)..end,
        };
    }

    /// One without a time is not: better to begin too early.
    fn is_older(&self, record: &Record) -> bool {
        record.timestamp >= 0 && record.timestamp < self.time
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Records in batches of `size`, one for each time, from offset `first` on.
    fn search(first: i64, times: &[i64], size: usize, time: i64) -> (i64, u32) {
        let records: Vec<Record> = times
            .iter()
            .zip(first..)
            .map(|(&timestamp, offset)| Record {
                partition: 0,
                offset,
                timestamp,
                key: None,
                value: Vec::new().into(),
            })
            .collect();
        let end = first + i64::try_from(records.len()).expect("a few");
        let mut bisection = Bisection { left: first..end, time };
        let mut reads = 0;
        while let Some(offset) = bisection.next() {
            let at = usize::try_from(offset - first).expect("in the log");
            bisection.take(offset, &records[at..records.len().min((at / size + 1) * size)]);
            reads += 1;
        }
        (bisection.left.start, reads)
    }

    #[test]
    fn a_time_before_between_and_behind_what_is_there() {
        let times = [100, 200, 200, 300];
        let found = |time| search(70, &times, 2, time).0;
        assert_eq!([0, 100, 101, 200, 201, 300, 301].map(found), [70, 70, 71, 71, 73, 73, 74]);
        assert_eq!(search(70, &[], 2, 100).0, 70, "an empty partition");
    }

    #[test]
    fn records_without_a_time_are_processed_again_rather_than_left_out() {
        assert_eq!(search(0, &[-1, -1, -1], 1, 100).0, 0);
    }

    proptest! {
        #[test]
        fn everything_before_is_older_and_nothing_behind_is(
            first in 0..1_000_i64,
            mut times in prop::collection::vec(0..500_i64, 0..200),
            size in 1..20_usize,
            time in 0..500_i64,
        ) {
            times.sort_unstable();
            let (found, reads) = search(first, &times, size, time);
            let older = times.iter().filter(|&&at| at < time).count();
            prop_assert_eq!(found, first + i64::try_from(older).expect("a few"));
            prop_assert!(reads <= 8, "{} reads of {} records", reads, times.len());
        }

        #[test]
        fn a_log_out_of_order_still_gives_a_place_in_it(
            times in prop::collection::vec(-1..500_i64, 0..200),
            size in 1..20_usize,
            time in 0..500_i64,
        ) {
            let (found, reads) = search(0, &times, size, time);
            prop_assert!((0..=i64::try_from(times.len()).expect("a few")).contains(&found));
            prop_assert!(reads <= 8);
        }
    }
}
