//! One partition: its log, its deduplication, and the lock that keeps the two in step.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::record::ReplicaKey;
use fluvio_sc_schema::topic::{CompressionAlgorithm, TopicSpec};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio_util::sync::CancellationToken;

use crate::batch::Batch;
use crate::chain::Chains;
use crate::config::{FAIL_WRITE_KEY, Quirks};
use crate::fence::Fence;
use crate::log::{Log, WriteError};
use crate::metrics::TopicMetrics;
use crate::records;

/// How long the quirk [`Quirks::fence_apart`] leaves other producers between the two steps.
const APART: Duration = Duration::from_millis(2);

pub(crate) struct Partition {
    pub(crate) key: ReplicaKey,
    pub(crate) log: Arc<Log>,
    /// What is counted of its topic.
    pub(crate) metrics: TopicMetrics,
    chains: Arc<Chains>,
    compression: CompressionAlgorithm,
    fsync: bool,
    quirks: Quirks,
    /// Deduplication and append are one step: whoever holds this may do both.
    fence: Arc<Mutex<Option<Fence>>>,
    /// The append's own lock. The same people hold it as `fence`, except in the quirk that takes them apart.
    appending: std::sync::Mutex<()>,
    /// How far the log is on disk. Whoever holds it flushes for everybody who waits.
    synced: Mutex<i64>,
    /// The offset up to which records are acknowledged and may be read.
    committed: watch::Sender<i64>,
    /// Set when the topic is deleted.
    gone: CancellationToken,
}

/// Where records were stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored {
    /// Offset of the first; the next free one if deduplication dropped all.
    pub(crate) base: i64,
    /// The offset after the last.
    pub(crate) next: i64,
}

impl Partition {
    pub(crate) fn new(
        key: ReplicaKey,
        spec: &TopicSpec,
        log: Log,
        chains: Arc<Chains>,
        fsync: bool,
        quirks: Quirks,
        metrics: TopicMetrics,
    ) -> Partition {
        let end = log.end();
        Partition {
            key,
            log: Arc::new(log),
            metrics,
            chains,
            compression: spec.get_compression_type().clone(),
            fsync,
            quirks,
            fence: Arc::new(Mutex::new(spec.get_deduplication().map(|dedup| Fence::new(dedup, quirks)))),
            appending: std::sync::Mutex::new(()),
            synced: Mutex::new(end),
            committed: watch::Sender::new(end),
            gone: CancellationToken::new(),
        }
    }

    /// The offset up to which records may be read.
    pub(crate) fn end(&self) -> i64 {
        *self.committed.borrow()
    }

    /// Wakes when records were added.
    pub(crate) fn ends(&self) -> watch::Receiver<i64> {
        self.committed.subscribe()
    }

    /// Fires when the topic is deleted.
    pub(crate) fn gone(&self) -> &CancellationToken {
        &self.gone
    }

    /// Gets the deduplication ready, so that the first producer does not wait for it.
    pub(crate) async fn warm_up(self: Arc<Self>) {
        let mut fence = self.fence.clone().lock_owned().await;
        let partition = self.clone();
        let opened = tokio::task::spawn_blocking(move || {
            fence.as_mut().map_or(Ok(()), |fence| fence.open(&partition.chains, &partition.log).map(|_| ()))
        });
        if let Ok(Err(code)) = opened.await {
            tracing::warn!(partition = %self.key, error = %code, "deduplication is not ready");
        }
    }

    /// Stores batches that have been validated: all of them, or an error and none.
    pub(crate) async fn produce(self: &Arc<Self>, batches: Vec<Batch>) -> Result<Stored, ErrorCode> {
        if !batches.iter().all(|batch| allows(&self.compression, batch)) {
            return Err(ErrorCode::CompressionError);
        }
        let fence = self.fence.clone().lock_owned().await;
        if self.gone.is_cancelled() {
            return Err(ErrorCode::TopicDeleted);
        }
        let partition = self.clone();
        let stored = tokio::task::spawn_blocking(move || partition.store(fence, batches))
            .await
            .map_err(|error| ErrorCode::Other(format!("storing failed: {error}")))??;
        if self.fsync {
            self.sync(stored.next).await?;
        }
        Ok(stored)
    }

    fn store(
        &self,
        mut fence: OwnedMutexGuard<Option<Fence>>,
        batches: Vec<Batch>,
    ) -> Result<Stored, ErrorCode> {
        // Before the fence sees them: what cannot be stored must not be remembered.
        if !self.quirks.fence_before_write && !self.log.fits(&batches) {
            return Err(ErrorCode::MessageTooLarge);
        }
        let judged = match fence.as_mut() {
            Some(fence) => fence.judge(&self.chains, &self.log, &batches).inspect_err(|_| {
                self.metrics.fence_refusals.inc();
            })?,
            None => batches,
        };
        let mut fence = Some(fence);
        if self.quirks.fence_apart {
            fence = None;
            // Longer for one than for the next, so that they overtake each other.
            std::thread::sleep(APART * (judged.len() as u32 + jitter()));
        }
        let _appending = self.appending.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if judged.is_empty() {
            let end = self.log.end();
            return Ok(Stored { base: end, next: end });
        }
        let appended =
            if self.must_fail(&judged) { Err(WriteError::Io(full())) } else { self.log.append(&judged) };
        match appended {
            Ok(base) => {
                let next = self.log.end();
                let bytes = judged.iter().map(|batch| batch.bytes().len()).sum();
                self.metrics.appended(next - base, bytes);
                let (topic, partition, records) = (&self.key.topic, self.key.partition, next - base);
                tracing::debug!(topic, partition, offset = base, records, bytes, "appended");
                if !self.fsync {
                    self.committed.send_replace(next);
                }
                Ok(Stored { base, next })
            }
            Err(error) => {
                if let Some(Some(fence)) = fence.as_deref_mut()
                    && !self.quirks.fence_before_write
                {
                    fence.forget();
                }
                if !matches!(error, WriteError::TooLarge) {
                    self.metrics.storage_errors.inc();
                }
                tracing::warn!(partition = %self.key, error = %error, "append failed");
                Err(self.refusal(&error))
            }
        }
    }

    /// Flushes up to `next`, together with whoever else waits for that.
    async fn sync(self: &Arc<Self>, next: i64) -> Result<(), ErrorCode> {
        let mut synced = self.synced.lock().await;
        if *synced >= next {
            return Ok(());
        }
        let end = self.log.end();
        let log = self.log.clone();
        let flushed = tokio::task::spawn_blocking(move || log.sync()).await;
        match flushed.map_err(std::io::Error::other).and_then(|result| result) {
            Ok(()) => {
                *synced = end;
                self.committed.send_replace(end);
                Ok(())
            }
            Err(error) => {
                self.metrics.storage_errors.inc();
                tracing::error!(partition = %self.key, error = %error, "flush failed");
                Err(ErrorCode::StorageError)
            }
        }
    }

    /// Puts everything on disk, and refuses what comes after.
    pub(crate) async fn close(&self) {
        let _fence = self.fence.lock().await;
        let log = self.log.clone();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || log.sync()).await {
            tracing::error!(partition = %self.key, error = %error, "flush failed");
        }
    }

    /// Ends streams and refuses producers. Returns when nobody writes any more.
    pub(crate) async fn retire(&self) {
        self.gone.cancel();
        let _fence = self.fence.lock().await;
    }

    /// Removes segments that are too old or too many. Blocks.
    pub(crate) fn retain(&self) {
        match self.log.retain(SystemTime::now()) {
            Ok(0) => {}
            Ok(removed) => tracing::debug!(partition = %self.key, segments.removed = removed, "retention"),
            Err(error) => tracing::warn!(partition = %self.key, error = %error, "retention failed"),
        }
    }

    fn must_fail(&self, batches: &[Batch]) -> bool {
        self.quirks.fail_marked_writes
            && batches.iter().any(|batch| {
                let plain = batch.plain_records(self.log.settings().decompressed_bytes_max);
                plain.is_ok_and(|plain| {
                    records::parse(&plain)
                        .is_ok_and(|views| views.iter().any(|view| view.key == Some(FAIL_WRITE_KEY)))
                })
            })
    }

    fn refusal(&self, error: &WriteError) -> ErrorCode {
        match error {
            WriteError::TooLarge => ErrorCode::MessageTooLarge,
            WriteError::Broken => ErrorCode::PartitionShortCircuited,
            WriteError::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                ErrorCode::PartitionFull { replica_key: self.key.clone() }
            }
            WriteError::Io(_) => ErrorCode::StorageError,
        }
    }
}

fn allows(algorithm: &CompressionAlgorithm, batch: &Batch) -> bool {
    use fluvio_compression::Compression;
    match algorithm {
        CompressionAlgorithm::Any => true,
        CompressionAlgorithm::None => batch.compression() == Compression::None,
        CompressionAlgorithm::Gzip => batch.compression() == Compression::Gzip,
        CompressionAlgorithm::Snappy => batch.compression() == Compression::Snappy,
        CompressionAlgorithm::Lz4 => batch.compression() == Compression::Lz4,
        CompressionAlgorithm::Zstd => batch.compression() == Compression::Zstd,
    }
}

fn full() -> std::io::Error {
    std::io::Error::from(std::io::ErrorKind::StorageFull)
}

/// Zero to three, from the clock's last digits.
fn jitter() -> u32 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.subsec_micros() % 4)
}
