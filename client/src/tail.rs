use std::collections::VecDeque;
use std::ops::Range;

use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::record::ReplicaKey;
use fluvio_spu_schema::server::fetch_offset::FetchOffsetsRequest;

use crate::cluster::Cluster;
use crate::directory::leader_link;
use crate::error::Error;
use crate::record::Record;
use crate::scan::Scan;

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
    let mut scan = Scan::new(cluster, topic, partition, wanted, false);
    let mut records = VecDeque::new();
    while let Some(batch) = scan.next().await? {
        for record in batch {
            records.push_back(record);
            if records.len() > limit as usize {
                records.pop_front();
            }
        }
    }
    Ok(records)
}
