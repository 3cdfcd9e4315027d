//! All partitions of the broker.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use fluvio_protocol::record::ReplicaKey;
use fluvio_sc_schema::topic::{CleanupPolicy, TopicSpec};
use fluvio_types::defaults::{SPU_PARTITION_MAX_BYTES, STORAGE_RETENTION_SECONDS};

use crate::chain::Chains;
use crate::config::{Limits, Quirks};
use crate::folder::Folder;
use crate::log::{Log, LogSettings};
use crate::metrics::Metrics;
use crate::partition::Partition;

pub(crate) struct Partitions {
    folder: Arc<Folder>,
    chains: Arc<Chains>,
    limits: Limits,
    quirks: Quirks,
    fsync: bool,
    metrics: Arc<Metrics>,
    open: RwLock<HashMap<ReplicaKey, Arc<Partition>>>,
}

impl Partitions {
    pub(crate) fn new(
        folder: Arc<Folder>,
        chains: Arc<Chains>,
        limits: Limits,
        quirks: Quirks,
        fsync: bool,
        metrics: Arc<Metrics>,
    ) -> Partitions {
        Partitions { folder, chains, limits, quirks, fsync, metrics, open: RwLock::new(HashMap::new()) }
    }

    pub(crate) fn get(&self, topic: &str, partition: u32) -> Option<Arc<Partition>> {
        let key = ReplicaKey::new(topic, partition);
        self.open.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Partition>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.open.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Opens those partitions of a topic that are not open yet. Blocks.
    pub(crate) fn open_topic(&self, topic: &str, spec: &TopicSpec) -> io::Result<Vec<Arc<Partition>>> {
        let mut opened = Vec::new();
        for index in 0..spec.partitions() {
            if self.get(topic, index).is_some() {
                continue;
            }
            let (log, cut) = Log::open(&self.folder.partition(topic, index), self.settings(spec))?;
            if cut > 0 {
                tracing::warn!(topic, partition = index, bytes.cut = cut, "cut a torn tail off the log");
            }
            let key = ReplicaKey::new(topic, index);
            let counts = self.metrics.topic(topic);
            let chains = self.chains.clone();
            let partition = Partition::new(key, spec, log, chains, self.fsync, self.quirks, counts);
            opened.push(Arc::new(partition));
        }
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        for partition in &opened {
            open.insert(partition.key.clone(), partition.clone());
        }
        Ok(opened)
    }

    /// Removes what a topic of this name left behind. Blocks.
    pub(crate) fn discard_topic(&self, topic: &str) -> io::Result<()> {
        self.folder.discard_topic(topic)
    }

    /// Closes a topic's partitions and ends their streams.
    pub(crate) async fn retire_topic(&self, topic: &str) {
        let retired: Vec<_> = {
            let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
            open.extract_if(|key, _| key.topic == topic).map(|(_, partition)| partition).collect()
        };
        for partition in retired {
            partition.retire().await;
        }
        self.metrics.forget(topic);
    }

    fn settings(&self, spec: &TopicSpec) -> LogSettings {
        let storage = spec.get_storage();
        let retention = match spec.get_clean_policy() {
            Some(CleanupPolicy::Segment(policy)) => policy.time_in_seconds,
            None => STORAGE_RETENTION_SECONDS,
        };
        LogSettings {
            segment_bytes: storage.and_then(|s| s.segment_size).unwrap_or(self.limits.segment_bytes).into(),
            retention: Duration::from_secs(retention.into()),
            bytes_max: storage.and_then(|s| s.max_partition_size).unwrap_or(SPU_PARTITION_MAX_BYTES),
            decompressed_bytes_max: self.limits.decompressed_bytes_max,
            look_back_records_max: self.limits.look_back_records_max,
        }
    }
}
