use std::pin::Pin;
use std::time::Duration;

use fluvio::{ConsumerConfig, Fluvio, Isolation, Offset, SmartModuleInvocation};
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::record::Batch;
use futures_util::{Stream, StreamExt};

use crate::cluster::Cluster;
use crate::error::Error;
use crate::record::Record;

/// A stream of whole batches from one partition, with a Fluvio client of its own. It never reconnects by itself:
/// Fluvio's own reconnecting loses the state of SmartModules and hides errors (FLUVIO.md 3).
pub(crate) struct Batches {
    stream: Pin<Box<dyn Stream<Item = Result<Batch, ErrorCode>> + Send>>,
    /// Lives as long as the stream that reads from its connections.
    _client: Fluvio,
    topic: String,
    partition: u32,
}

/// What to open.
pub(crate) struct Opening<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: u32,
    /// First offset that is wanted; the batch that holds it comes whole.
    pub(crate) offset: i64,
    /// Bytes that the broker puts into one answer at most.
    pub(crate) max_bytes: i32,
    pub(crate) modules: Vec<SmartModuleInvocation>,
    /// Time for the stream to be opened, after the connection is made.
    pub(crate) deadline: Duration,
}

impl Batches {
    pub(crate) async fn open(cluster: &Cluster, opening: Opening<'_>) -> Result<Self, Error> {
        let client = cluster.connect().await?;
        let what = || format!("open a stream of partition {} of topic {}", opening.partition, opening.topic);
        let refused =
            |error: anyhow::Error| Error::Refused { what: what(), reason: error.root_cause().to_string() };
        let config = ConsumerConfig::builder()
            .max_bytes(opening.max_bytes)
            .isolation(Isolation::ReadCommitted)
            .smartmodule(opening.modules.clone())
            .build()
            .map_err(refused)?;
        let offset = Offset::absolute(opening.offset).map_err(|error| refused(error.into()))?;
        let open = async {
            #[expect(
                deprecated,
                reason = "its successor yields records, not batches, and cannot tell a batch that was cut"
            )]
            let consumer = client.partition_consumer(opening.topic, opening.partition).await?;
            consumer.stream_batches_with_config(offset, config).await
        };
        match tokio::time::timeout(opening.deadline, open).await {
            Ok(Ok(stream)) => Ok(Self {
                stream: Box::pin(stream),
                _client: client,
                topic: opening.topic.to_owned(),
                partition: opening.partition,
            }),
            Ok(Err(error)) => Err(refused(error)),
            Err(_) => Err(Error::Deadline {
                what: what(),
                endpoint: cluster.endpoint().to_owned(),
                deadline: opening.deadline,
            }),
        }
    }

    /// The next batch. Safe to be dropped and called again. After an error the stream is of no more use.
    pub(crate) async fn next(&mut self) -> Result<Batch, Error> {
        match self.stream.next().await {
            Some(Ok(batch)) => Ok(batch),
            Some(Err(code)) => Err(self.interrupted(code.to_string())),
            None => Err(self.interrupted("the connection was closed".to_owned())),
        }
    }

    pub(crate) fn interrupted(&self, reason: String) -> Error {
        Error::Interrupted { topic: self.topic.clone(), partition: self.partition, reason }
    }
}

/// Offset after the last one that the batch's header covers, whether or not its records are all there.
pub(crate) fn end_of(batch: &Batch) -> i64 {
    batch.base_offset + i64::try_from(batch.records_len()).unwrap_or(i64::MAX)
}

/// Whether records that the header counts are missing: a fetch was cut (FLUVIO.md 1), or a deduplication dropped
/// part of it (23).
pub(crate) fn is_short(batch: &Batch) -> bool {
    batch.records().len() < batch.records_len()
}

/// The batch's records from `first` on.
pub(crate) fn records_from(batch: Batch, partition: u32, first: i64) -> impl Iterator<Item = Record> {
    batch.into_consumer_records_iter(partition).filter(move |record| record.offset >= first).map(
        move |consumed| Record {
            partition,
            offset: consumed.offset,
            timestamp: consumed.timestamp(),
            key: consumed.record.key.as_ref().map(|key| (**key).clone()),
            value: (*consumed.record.value).clone(),
        },
    )
}
