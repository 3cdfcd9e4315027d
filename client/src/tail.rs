use std::collections::VecDeque;
use std::ops::Range;

use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::record::ReplicaKey;
use fluvio_spu_schema::server::fetch_offset::FetchOffsetsRequest;

use crate::batches::{Batches, Opening, end_of, records_from};
use crate::cluster::Cluster;
use crate::directory::leader_link;
use crate::error::Error;
use crate::follow::MAX_BYTES;
use crate::record::Record;

/// The offsets that a partition holds: from the oldest record that retention left to the high watermark, the offset
/// of the next record.
///
/// # Errors
///
/// [`Error::Unreachable`], [`Error::Deadline`], [`Error::NoTopic`], [`Error::NoPartition`] or [`Error::Refused`].
pub async fn bounds(cluster: &Cluster, topic: &str, partition: u32) -> Result<Range<i64>, Error> {
    let link = leader_link(cluster, topic, partition).await?;
    let what = format!("fetch the offsets of partition {partition} of topic {topic}");
    let request = FetchOffsetsRequest::new(topic.to_owned(), partition);
    let answer = link.ask(&what, cluster.deadline_to_answer(), request).await?;
    match answer.find_partition(&ReplicaKey::new(topic, partition)) {
        Some(found) if found.error_code == ErrorCode::None => {
            Ok(found.start_offset..found.last_stable_offset)
        }
        Some(found) => Err(Error::Refused { what, reason: found.error_code.to_string() }),
        None => Err(Error::Refused { what, reason: "the answer lacks the partition".to_owned() }),
    }
}

/// The last `count` records that are stored, in order; fewer if there are fewer.
///
/// Reads to the high watermark as it was at the call, holes or not: on a fenced topic of a real cluster offsets may
/// have holes (docs/fluvio.md 23), and then fewer than `count` come back, but the last stored record is always among them.
///
/// # Errors
///
/// Those of [`bounds`], and [`Error::Interrupted`].
pub async fn read_tail(
    cluster: &Cluster,
    topic: &str,
    partition: u32,
    count: u32,
) -> Result<Vec<Record>, Error> {
    let held = bounds(cluster, topic, partition).await?;
    let first = held.start.max(held.end - i64::from(count));
    let records = read_to(cluster, topic, partition, first..held.end, count).await?;
    Ok(records.into())
}

/// The records that are stored from `offset` on, in order: up to the high watermark as it was at the call, and the
/// last `limit` of them if there are more.
///
/// # Errors
///
/// Those of [`bounds`], and [`Error::Interrupted`].
pub async fn read_from(
    cluster: &Cluster,
    topic: &str,
    partition: u32,
    offset: i64,
    limit: u32,
) -> Result<Vec<Record>, Error> {
    let held = bounds(cluster, topic, partition).await?;
    let first = held.start.max(offset);
    let records = read_to(cluster, topic, partition, first..held.end, limit).await?;
    Ok(records.into())
}

async fn read_to(
    cluster: &Cluster,
    topic: &str,
    partition: u32,
    wanted: Range<i64>,
    limit: u32,
) -> Result<VecDeque<Record>, Error> {
    let mut records = VecDeque::new();
    let deadline = cluster.deadline_to_answer();
    let mut next = wanted.start;
    // A fetch that cut a batch skips its rest (docs/fluvio.md 1): it is read again from there, and once is enough, because
    // then the batch stands first and fits.
    let mut cut_at = None;
    while next < wanted.end {
        let opening = Opening { topic, partition, offset: next, max_bytes: MAX_BYTES, modules: Vec::new() };
        let mut batches = Batches::open(cluster, opening).await?;
        while next < wanted.end {
            let batch = match tokio::time::timeout(deadline, batches.next()).await {
                Ok(batch) => batch?,
                Err(_) => {
                    return Err(Error::Deadline {
                        what: format!("read partition {partition} of topic {topic} from offset {next}"),
                        endpoint: cluster.endpoint().to_owned(),
                        deadline,
                    });
                }
            };
            let decoded_end = batch.base_offset + i64::try_from(batch.records().len()).unwrap_or(i64::MAX);
            let end = end_of(&batch);
            for record in records_from(batch, partition, next) {
                if record.offset < wanted.end {
                    records.push_back(record);
                    if records.len() > limit as usize {
                        records.pop_front();
                    }
                }
            }
            if decoded_end < end && cut_at != Some(decoded_end) {
                cut_at = Some(decoded_end);
                next = next.max(decoded_end);
                break;
            }
            next = next.max(end);
        }
    }
    Ok(records)
}
