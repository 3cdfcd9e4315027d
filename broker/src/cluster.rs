//! Topics, SmartModules and table formats as clients administer them, and the cluster of one as they see it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use fluvio_controlplane_metadata::spu::{IngressPort, SpuSpec, SpuStatus, SpuType};
use fluvio_protocol::link::ErrorCode;
use fluvio_sc_schema::objects::Metadata as Object;
use fluvio_sc_schema::partition::{PartitionResolution, PartitionSpec, PartitionStatus, ReplicaStatus};
use fluvio_sc_schema::shared::validate_resource_name;
use fluvio_sc_schema::smartmodule::{SmartModulePackageKey, SmartModuleSpec};
use fluvio_sc_schema::tableformat::TableFormatSpec;
use fluvio_sc_schema::topic::{ReplicaSpec, TopicResolution, TopicSpec, TopicStatus, UpdateTopicAction};
use fluvio_sc_schema::{AdminSpec, Status};

use crate::codec;
use crate::config::Limits;
use crate::metadata::{Metadata, Snapshot};
use crate::offsets::ConsumerOffsets;
use crate::partitions::Partitions;

/// The one SPU. Fluvio's local clusters number theirs like this, too.
const SPU_ID: i32 = 5001;
const SPU_NAME: &str = "custom-spu-5001";
/// Longest name of a SmartModule or table format.
const NAME_BYTES_MAX: usize = 255;

pub(crate) struct Cluster {
    metadata: Arc<Metadata>,
    partitions: Arc<Partitions>,
    offsets: Arc<ConsumerOffsets>,
    limits: Limits,
    /// Where clients reach the data port.
    host: String,
    port: u16,
}

/// Why a change was refused.
type Refusal = (ErrorCode, String);

impl Cluster {
    pub(crate) fn new(
        metadata: Arc<Metadata>,
        partitions: Arc<Partitions>,
        offsets: Arc<ConsumerOffsets>,
        limits: Limits,
        (host, port): (String, u16),
    ) -> Cluster {
        Cluster { metadata, partitions, offsets, limits, host, port }
    }

    pub(crate) fn metadata(&self) -> &Arc<Metadata> {
        &self.metadata
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.metadata.snapshot()
    }

    pub(crate) async fn create_topic(&self, name: String, spec: TopicSpec, dry_run: bool) -> Status {
        let _change = self.metadata.begin().await;
        let now = self.snapshot();
        if let Err(refusal) = self.check_topic(&now, &name, &spec) {
            return refused(name, refusal);
        }
        if dry_run {
            return Status::new_ok(name);
        }
        let mut next = (*now).clone();
        next.topics.insert(name.clone(), spec.clone());
        let (partitions, topic) = (self.partitions.clone(), name.clone());
        let opened = blocking(move || {
            partitions.discard_topic(&topic)?;
            partitions.open_topic(&topic, &spec)
        })
        .await;
        let result = match opened {
            Ok(opened) => self.metadata.commit(next).await.map(|_| opened),
            Err(error) => Err(error),
        };
        match result {
            Ok(opened) => {
                for partition in opened {
                    tokio::spawn(partition.warm_up());
                }
                tracing::debug!(topic = name, "topic created");
                Status::new_ok(name)
            }
            Err(error) => {
                self.partitions.retire_topic(&name).await;
                refused(name, (ErrorCode::TopicNotProvisioned, error.to_string()))
            }
        }
    }

    fn check_topic(&self, now: &Snapshot, name: &str, spec: &TopicSpec) -> Result<(), Refusal> {
        if name.is_empty() {
            return Err((ErrorCode::TopicInvalidName, "the topic has no name".to_owned()));
        }
        if let Err(error) = validate_resource_name(name) {
            return Err((ErrorCode::TopicInvalidName, format!("invalid topic name '{name}': {error}")));
        }
        if now.topics.contains_key(name) {
            return Err((ErrorCode::TopicAlreadyExists, format!("topic '{name}' already exists")));
        }
        if let Some(error) = spec.validate_config() {
            return Err((ErrorCode::TopicInvalidConfiguration, error));
        }
        if let Some(deduplication) = spec.get_deduplication() {
            let uses = &deduplication.filter.transform.uses;
            if now.smart_module(uses).is_none() {
                let text = format!("the deduplication's SmartModule '{uses}' does not exist");
                return Err((ErrorCode::DeduplicationSmartModuleNotLoaded, text));
            }
        }
        check_replicas(spec.replicas()).map_err(|text| (ErrorCode::TopicError, text))?;
        self.check_partitions(spec.partitions())
    }

    fn check_partitions(&self, more: u32) -> Result<(), Refusal> {
        let open = self.partitions.count();
        let max = self.limits.partitions_max as usize;
        if open.saturating_add(more as usize) > max {
            let text = format!("the broker keeps at most {max} partitions and has {open}");
            return Err((ErrorCode::TopicInvalidConfiguration, text));
        }
        Ok(())
    }

    pub(crate) async fn delete_topic(&self, name: String, force: bool) -> Status {
        let _change = self.metadata.begin().await;
        let mut next = (*self.snapshot()).clone();
        let Some(spec) = next.topics.remove(&name) else {
            return refused(name, (ErrorCode::TopicNotFound, "not found".to_owned()));
        };
        if spec.is_system() {
            // Not even by force: clients wait for it.
            tracing::debug!(topic = name, force, "refused to delete a system topic");
            let code = ErrorCode::SystemSpecDeletionAttempt { kind: "topic".to_owned(), name: name.clone() };
            return refused(name, (code, "the broker needs this topic".to_owned()));
        }
        if let Err(error) = self.metadata.commit(next).await {
            return refused(name, (ErrorCode::TopicError, error.to_string()));
        }
        self.partitions.retire_topic(&name).await;
        let (partitions, topic) = (self.partitions.clone(), name.clone());
        if let Err(error) = blocking(move || partitions.discard_topic(&topic)).await {
            tracing::warn!(topic = name, error = %error, "removing a deleted topic's records failed");
        }
        if let Err(error) = self.offsets.delete_topic(name.clone()).await {
            tracing::warn!(topic = name, error = %error, "removing a deleted topic's consumer offsets failed");
        }
        Status::new_ok(name)
    }

    pub(crate) async fn update_topic(&self, name: String, action: UpdateTopicAction) -> Status {
        let UpdateTopicAction::AddPartition(add) = action else {
            let text = "the embedded broker has no mirrors".to_owned();
            return refused(name, (ErrorCode::MirrorInvalidType, text));
        };
        let _change = self.metadata.begin().await;
        let mut next = (*self.snapshot()).clone();
        let Some(spec) = next.topics.get_mut(&name) else {
            return refused(name, (ErrorCode::TopicNotFound, "not found".to_owned()));
        };
        if spec.is_system() {
            let code = ErrorCode::SystemSpecUpdatingAttempt { kind: "topic".to_owned(), name: name.clone() };
            return refused(name, (code, "the broker needs this topic".to_owned()));
        }
        let ReplicaSpec::Computed(mut replicas) = spec.replicas().clone() else {
            let text = "partitions are added to computed topics only".to_owned();
            return refused(name, (ErrorCode::TopicInvalidReplicaType, text));
        };
        if let Err(refusal) = self.check_partitions(add.count) {
            return refused(name, refusal);
        }
        replicas.partitions += add.count;
        spec.set_replicas(ReplicaSpec::Computed(replicas));
        let (partitions, topic, spec) = (self.partitions.clone(), name.clone(), spec.clone());
        let result = match blocking(move || partitions.open_topic(&topic, &spec)).await {
            Ok(_) => self.metadata.commit(next).await,
            Err(error) => Err(error),
        };
        match result {
            Ok(_) => Status::new_ok(name),
            Err(error) => refused(name, (ErrorCode::TopicError, error.to_string())),
        }
    }

    /// Creates a SmartModule; one of the same name is replaced, as in Fluvio.
    pub(crate) async fn create_smart_module(
        &self,
        name: String,
        spec: SmartModuleSpec,
        dry_run: bool,
    ) -> Status {
        let name = match &spec.meta {
            Some(meta) if !meta.package.is_valid() => {
                return refused(
                    name,
                    (ErrorCode::SmartModuleError, "invalid SmartModule package".to_owned()),
                );
            }
            Some(meta) => meta.store_id(),
            None => name,
        };
        if let Err(text) = check_name(&name) {
            return refused(name, (ErrorCode::SmartModuleError, text));
        }
        let (payload, max) = (spec.wasm.payload.clone(), self.limits.decompressed_bytes_max);
        if let Err(error) = blocking(move || codec::gunzip(&payload, max).map(|_| ())).await {
            let text = format!("'{name}' is not gzipped WASM: {error}");
            let code = ErrorCode::SmartModuleInvalid { error: text.clone(), name: Some(name.clone()) };
            return refused(name, (code, text));
        }
        if dry_run {
            return Status::new_ok(name);
        }
        let _change = self.metadata.begin().await;
        let mut next = (*self.snapshot()).clone();
        if !next.smart_modules.contains_key(&name) && next.smart_modules.len() >= self.limits.objects_max {
            let text = format!("the broker keeps at most {} SmartModules", self.limits.objects_max);
            return refused(name, (ErrorCode::SmartModuleError, text));
        }
        let stored = match self.metadata.store_smart_module(spec).await {
            Ok(module) => {
                next.smart_modules.insert(name.clone(), module);
                self.metadata.commit(next).await
            }
            Err(error) => Err(error),
        };
        match stored {
            Ok(_) => Status::new_ok(name),
            Err(error) => refused(name, (ErrorCode::SmartModuleError, error.to_string())),
        }
    }

    pub(crate) async fn delete_smart_module(&self, name: String) -> Status {
        let _change = self.metadata.begin().await;
        let mut next = (*self.snapshot()).clone();
        let id = SmartModulePackageKey::from_qualified_name(&name).map_or(name.clone(), |key| key.store_id());
        if next.smart_modules.remove(&id).or_else(|| next.smart_modules.remove(&name)).is_none() {
            return refused(name.clone(), (ErrorCode::SmartModuleNotFound { name }, "not found".to_owned()));
        }
        match self.metadata.commit(next).await {
            Ok(_) => Status::new_ok(name),
            Err(error) => refused(name, (ErrorCode::SmartModuleError, error.to_string())),
        }
    }

    pub(crate) async fn create_table_format(
        &self,
        name: String,
        spec: TableFormatSpec,
        dry_run: bool,
    ) -> Status {
        if let Err(text) = check_name(&name) {
            return refused(name, (ErrorCode::TableFormatError, text));
        }
        let _change = self.metadata.begin().await;
        let mut next = (*self.snapshot()).clone();
        if next.table_formats.contains_key(&name) {
            let text = format!("table format '{name}' already exists");
            return refused(name, (ErrorCode::TableFormatAlreadyExists, text));
        }
        if next.table_formats.len() >= self.limits.objects_max {
            let text = format!("the broker keeps at most {} table formats", self.limits.objects_max);
            return refused(name, (ErrorCode::TableFormatError, text));
        }
        if dry_run {
            return Status::new_ok(name);
        }
        next.table_formats.insert(name.clone(), spec);
        match self.metadata.commit(next).await {
            Ok(_) => Status::new_ok(name),
            Err(error) => refused(name, (ErrorCode::TableFormatError, error.to_string())),
        }
    }

    pub(crate) async fn delete_table_format(&self, name: String) -> Status {
        let _change = self.metadata.begin().await;
        let mut next = (*self.snapshot()).clone();
        if next.table_formats.remove(&name).is_none() {
            return refused(name, (ErrorCode::TableFormatNotFound, "not found".to_owned()));
        }
        match self.metadata.commit(next).await {
            Ok(_) => Status::new_ok(name),
            Err(error) => refused(name, (ErrorCode::TableFormatError, error.to_string())),
        }
    }

    pub(crate) fn topics(&self, now: &Snapshot) -> Vec<Object<TopicSpec>> {
        now.topics
            .iter()
            .map(|(name, spec)| {
                let replica_map = (0..spec.partitions()).map(|index| (index, vec![SPU_ID])).collect();
                let status = TopicStatus {
                    resolution: TopicResolution::Provisioned,
                    replica_map,
                    mirror_map: BTreeMap::new(),
                    reason: String::new(),
                };
                Object { name: name.clone(), spec: spec.clone(), status }
            })
            .collect()
    }

    /// All partitions; with their sizes, if wanted. Watches are not told of sizes: they change with every record.
    pub(crate) fn partitions(&self, now: &Snapshot, sizes: bool) -> Vec<Object<PartitionSpec>> {
        let mut objects = Vec::new();
        for (topic, spec) in &now.topics {
            for index in 0..spec.partitions() {
                let open = self.partitions.get(topic, index).filter(|_| sizes);
                let end = open.as_ref().map_or(-1, |partition| partition.end());
                let status = PartitionStatus {
                    resolution: PartitionResolution::Online,
                    leader: ReplicaStatus::new(SPU_ID, end, end),
                    size: open
                        .as_ref()
                        .map_or(PartitionStatus::SIZE_NOT_SUPPORTED, |it| it.log.size() as i64),
                    base_offset: open.as_ref().map_or(0, |partition| partition.log.start()),
                    ..PartitionStatus::default()
                };
                let name = format!("{topic}-{index}");
                objects.push(Object {
                    name,
                    spec: PartitionSpec::from_replicas(vec![SPU_ID], spec, None),
                    status,
                });
            }
        }
        objects
    }

    pub(crate) fn spus(&self) -> Vec<Object<SpuSpec>> {
        let spec = SpuSpec {
            id: SPU_ID,
            spu_type: SpuType::Custom,
            public_endpoint: IngressPort::from_port_host(self.port, self.host.clone()),
            ..SpuSpec::default()
        };
        let mut status = SpuStatus::default();
        status.set_online();
        vec![Object { name: SPU_NAME.to_owned(), spec, status }]
    }

    /// SmartModules of these names, or all; without their WASM, if a summary will do.
    pub(crate) fn smart_modules(
        &self,
        now: &Snapshot,
        names: &[String],
        summary: bool,
    ) -> Vec<Object<SmartModuleSpec>> {
        let keys: Vec<_> =
            names.iter().filter_map(|name| SmartModulePackageKey::from_qualified_name(name).ok()).collect();
        now.smart_modules
            .iter()
            .filter(|(name, module)| {
                let package = module.spec.meta.as_ref().map(|meta| &meta.package);
                names.is_empty() || names.contains(name) || keys.iter().any(|key| key.is_match(name, package))
            })
            .map(|(name, module)| {
                let spec = module.spec.clone();
                let spec = if summary { spec.summary() } else { spec };
                Object { name: name.clone(), spec, status: Default::default() }
            })
            .collect()
    }

    pub(crate) fn table_formats(&self, now: &Snapshot) -> Vec<Object<TableFormatSpec>> {
        now.table_formats
            .iter()
            .map(|(name, spec)| Object { name: name.clone(), spec: spec.clone(), status: Default::default() })
            .collect()
    }
}

fn check_replicas(replicas: &ReplicaSpec) -> Result<(), String> {
    if replicas.partitions() == 0 {
        return Err("a topic has at least one partition".to_owned());
    }
    match replicas {
        ReplicaSpec::Computed(param) if param.replication_factor == 1 => Ok(()),
        ReplicaSpec::Computed(param) => {
            Err(format!("replication factor {} on a cluster of one SPU", param.replication_factor))
        }
        ReplicaSpec::Assigned(maps) => {
            let good = |(index, map): (usize, &fluvio_sc_schema::topic::PartitionMap)| {
                map.id as usize == index && map.replicas == [SPU_ID]
            };
            if maps.maps().iter().enumerate().all(good) {
                Ok(())
            } else {
                Err(format!("partitions are numbered from 0 and assigned to SPU {SPU_ID}, the only one"))
            }
        }
        ReplicaSpec::Mirror(_) => Err("the embedded broker has no mirrors".to_owned()),
    }
}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(format!("'{}' is no name", name.escape_debug()));
    }
    Ok(())
}

fn refused(name: String, (code, text): Refusal) -> Status {
    Status::new(name, code, Some(text))
}

async fn blocking<T: Send + 'static>(run: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(run).await.map_err(io::Error::other)?
}
