use std::time::Duration;

/// Why something could not be read from, or asked of, a broker.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection, or no Fluvio at the other end of it.
    #[error("failed to reach a Fluvio cluster at {endpoint}: {reason}")]
    Unreachable {
        /// HOST:PORT that was tried: the cluster's own, or that of a partition's leader.
        endpoint: String,
        /// What the operating system, or the protocol, said.
        reason: String,
    },
    /// The broker took a request and did not answer in time.
    #[error("failed to {what} at {endpoint}: no answer within {deadline:?}")]
    Deadline {
        /// What was asked for.
        what: String,
        /// HOST:PORT that was asked.
        endpoint: String,
        /// How long the answer was waited for.
        deadline: Duration,
    },
    /// The cluster knows no such topic.
    #[error("failed to find topic {0} on the cluster")]
    NoTopic(String),
    /// The topic has no such partition, or the partition has no leader at the moment.
    #[error("failed to find a leader for partition {partition} of topic {topic}")]
    NoPartition {
        /// Topic name.
        topic: String,
        /// Partition number, from 0.
        partition: u32,
    },
    /// The broker answered with an error.
    #[error("failed to {what}: {reason}")]
    Refused {
        /// What was asked for.
        what: String,
        /// The broker's own words.
        reason: String,
    },
    /// An open stream broke off. A follower reports it and goes on by itself.
    #[error("failed to keep reading partition {partition} of topic {topic}: {reason}")]
    Interrupted {
        /// Topic name.
        topic: String,
        /// Partition number, from 0.
        partition: u32,
        /// What ended the stream.
        reason: String,
    },
    /// Retention took records that were still to be read. A follower goes on at `resumed`.
    #[error(
        "failed to read offsets {from} to {last} of partition {partition} of topic {topic}: retention has removed them",
        last = resumed - 1
    )]
    Lost {
        /// Topic name.
        topic: String,
        /// Partition number, from 0.
        partition: u32,
        /// First offset that is gone.
        from: i64,
        /// First offset that is still there.
        resumed: i64,
    },
    /// The offset lies beyond everything that the broker has: it lost its data, or is another broker.
    #[error(
        "failed to read offset {offset} of partition {partition} of topic {topic}: the log ends at {high_watermark}"
    )]
    Beyond {
        /// Topic name.
        topic: String,
        /// Partition number, from 0.
        partition: u32,
        /// Offset that was asked for.
        offset: i64,
        /// Offset that the broker will give to its next record.
        high_watermark: i64,
    },
}

/// Why a record was not acknowledged.
///
/// Only [`Refused`](ProduceError::Refused), [`Full`](ProduceError::Full) and [`TooLarge`](ProduceError::TooLarge) say
/// that nothing was stored; after the others the records may, or may not, be in the log.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ProduceError {
    /// The broker is away; a new connection is being made in the background.
    #[error("failed to produce to topic {topic}: the broker is away ({reason})")]
    Unavailable {
        /// Topic name.
        topic: String,
        /// What the last attempt to connect, or the broken connection, said.
        reason: String,
    },
    /// No acknowledgement in time.
    #[error("failed to produce to topic {topic}: no acknowledgement within {deadline:?}")]
    Deadline {
        /// Topic name.
        topic: String,
        /// How long it was waited for.
        deadline: Duration,
    },
    /// Too much is on its way already; nothing was sent.
    #[error("failed to produce to topic {topic}: {limit} are on their way already")]
    Full {
        /// Topic name.
        topic: String,
        /// The bound that was hit, with its unit.
        limit: String,
    },
    /// The record or batch is over the bound; nothing was sent, or the broker took nothing of it.
    #[error("failed to produce to topic {topic}: {size} bytes are more than the {limit} allowed")]
    TooLarge {
        /// Topic name.
        topic: String,
        /// Size of key and value, in bytes.
        size: usize,
        /// The bound, in bytes.
        limit: usize,
    },
    /// The broker said no (a fence, for example), in its own words. Nothing was stored.
    #[error("failed to produce: {0}")]
    Refused(String),
}
