use std::collections::BTreeMap;
use std::io::Read;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::bufread::{GzDecoder, GzEncoder};
use ovation_client::fluvio::metadata::smartmodule::{SmartModuleSpec, SmartModuleWasm};
use ovation_client::fluvio::metadata::topic::{
    Bounds, CleanupPolicy, Deduplication, Filter, SegmentBasedPolicy, TopicSpec, TopicStorageConfig,
    Transform as DeduplicationTransform,
};
use ovation_client::{Admin, Cluster, Error as ClientError, bounds};
use tracing::{debug, info, warn};

use crate::modules::{FENCE, ModuleError, Modules, Resolved, resolve, resolve_fence};
use crate::spec::{Topic, Topology};

/// From the creation of a topic until all its partitions are served: a real cluster may take a minute (docs/fluvio.md 33).
const SERVED_DEADLINE: Duration = Duration::from_secs(90);
/// It is said that it takes longer than this.
const SERVED_SOON: Duration = Duration::from_secs(5);
/// Between two looks at the partitions.
const SERVED_INTERVAL: Duration = Duration::from_millis(100);
/// Records that a fence reads back when it is loaded: the last one is what it needs, and more is what Fluvio does not do
/// right (docs/fluvio.md 21).
const FENCE_LOOK_BACK: u64 = 2;
/// Bounds of a segment's size, where the topology bounds the partition's. A segment is the unit of retention, so it has
/// to be a part of the partition.
const SEGMENT_BYTES_MIN: u64 = 1 << 20;
const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// What [`apply`] found and made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Topics that are new.
    pub topics_created: Vec<String>,
    /// Topics that were there.
    pub topics_kept: Vec<String>,
    /// SmartModules that are new, or were replaced, by their names on the cluster.
    pub modules_created: Vec<String>,
    /// SmartModules that were there, by their names on the cluster.
    pub modules_kept: Vec<String>,
}

/// Why a cluster cannot be made to look like a topology. Nothing that was there has been changed or deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// A SmartModule's bytes cannot be had.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// The cluster cannot be reached, or said no.
    #[error(transparent)]
    Cluster(#[from] ClientError),
    /// A topic is there with another number of partitions.
    #[error(
        "failed to use topic {topic:?}: it has {has} partitions, the topology says {wants}; \
         change the topology, or give the topic another name"
    )]
    Partitions {
        /// Topic.
        topic: String,
        /// What is there.
        has: u32,
        /// What the topology says.
        wants: u32,
    },
    /// A topic is there without the fence, or with another deduplication. It cannot be changed later (docs/fluvio.md 25).
    #[error(
        "failed to use topic {topic:?}: it has to be fenced and is there {found}; a topic's deduplication cannot be \
         changed, so delete the topic or give it another name"
    )]
    NotFenced {
        /// Topic.
        topic: String,
        /// What is there instead.
        found: String,
    },
    /// A partition does not come up.
    #[error("failed to see partition {partition} of topic {topic:?} served within {waited:?}: {reason}")]
    Unserved {
        /// Topic.
        topic: String,
        /// The first partition that does not answer.
        partition: u32,
        /// How long it was waited for.
        waited: Duration,
        /// Its last answer.
        reason: ClientError,
    },
}

/// Makes the cluster hold what the topology needs: SmartModules first, then topics, and waits until every partition is
/// served. What is there and fits is kept, so it can be done again at any time, and by several processes at once.
///
/// # Errors
///
/// An [`ApplyError`]; see there.
pub async fn apply(
    cluster: &Cluster,
    topology: &Topology,
    modules: &dyn Modules,
) -> Result<Applied, ApplyError> {
    let resolved = resolve(topology, modules)?;
    let fence = match topology.topics.iter().any(|topic| topic.fence) {
        true => Some(resolve_fence(modules)?),
        false => None,
    };
    let admin = Admin::new(cluster);
    let mut applied = Applied::default();
    // Two names of a topology may stand for the same bytes.
    let unique: BTreeMap<&str, &Resolved> =
        resolved.values().chain(&fence).map(|module| (module.cluster_name.as_str(), module)).collect();
    for module in unique.into_values() {
        let created = ensure_module(&admin, module).await?;
        let list = if created { &mut applied.modules_created } else { &mut applied.modules_kept };
        list.push(module.cluster_name.clone());
    }
    for topic in &topology.topics {
        let created = ensure_topic(&admin, topic).await?;
        let list = if created { &mut applied.topics_created } else { &mut applied.topics_kept };
        list.push(topic.name.clone());
    }
    for topic in &topology.topics {
        wait_served(cluster, topic).await?;
    }
    info!(?applied, topology = topology.name, "the cluster holds what the topology needs");
    Ok(applied)
}

/// Creates the SmartModule unless it is there; `true` if it did.
async fn ensure_module(admin: &Admin, module: &Resolved) -> Result<bool, ApplyError> {
    let name = &module.cluster_name;
    let there = admin.list::<SmartModuleSpec>(Some(name)).await?;
    if let Some(found) = there.into_iter().find(|found| &found.name == name) {
        // Every other name carries the hash of the bytes. A cluster that keeps the bytes to itself is believed.
        let payload = found.spec.wasm.payload;
        if name != FENCE || payload.is_empty() || gunzip(&payload) == module.wasm {
            return Ok(false);
        }
        info!(module = name, "replacing the fence by another version of it");
    }
    let spec = SmartModuleSpec {
        wasm: SmartModuleWasm::from_compressed_gzip(gzip(&module.wasm)),
        ..Default::default()
    };
    admin.create(name, spec).await?;
    Ok(true)
}

/// Creates the topic unless it is there and fits; `true` if it did.
async fn ensure_topic(admin: &Admin, topic: &Topic) -> Result<bool, ApplyError> {
    if let Some(found) = find_topic(admin, topic).await? {
        return fits(topic, &found).map(|()| false);
    }
    match admin.create(&topic.name, topic_spec(topic)).await {
        Ok(()) => Ok(true),
        // Another process may have been quicker, with the same topology or with another one.
        Err(error) => match find_topic(admin, topic).await? {
            Some(found) => {
                debug!(topic = topic.name, %error, "somebody else created the topic");
                fits(topic, &found).map(|()| false)
            }
            None => Err(error.into()),
        },
    }
}

async fn find_topic(admin: &Admin, topic: &Topic) -> Result<Option<TopicSpec>, ApplyError> {
    let there = admin.list::<TopicSpec>(Some(&topic.name)).await?;
    Ok(there.into_iter().find(|found| found.name == topic.name).map(|found| found.spec))
}

fn fits(topic: &Topic, found: &TopicSpec) -> Result<(), ApplyError> {
    if found.partitions() != topic.partitions {
        return Err(ApplyError::Partitions {
            topic: topic.name.clone(),
            has: found.partitions(),
            wants: topic.partitions,
        });
    }
    let uses = found.get_deduplication().map(|deduplication| deduplication.filter.transform.uses.as_str());
    if topic.fence && uses != Some(FENCE) {
        let found = match uses {
            None => "without one".to_owned(),
            Some(other) => format!("with the deduplication {other:?}"),
        };
        return Err(ApplyError::NotFenced { topic: topic.name.clone(), found });
    }
    Ok(())
}

fn topic_spec(topic: &Topic) -> TopicSpec {
    let mut spec = TopicSpec::new_computed(topic.partitions, 1, None);
    if let Some(time) = topic.retention.time {
        let time_in_seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        spec.set_cleanup_policy(CleanupPolicy::Segment(SegmentBasedPolicy { time_in_seconds }));
    }
    if let Some(size) = topic.retention.size {
        let segment = (size / 4).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX).min(size);
        spec.set_storage(TopicStorageConfig {
            segment_size: u32::try_from(segment).ok(),
            max_partition_size: Some(size),
        });
    }
    if topic.fence {
        spec.set_deduplication(Some(Deduplication {
            bounds: Bounds { count: FENCE_LOOK_BACK, age: None },
            filter: Filter {
                transform: DeduplicationTransform { uses: FENCE.to_owned(), with: BTreeMap::new() },
            },
        }));
    }
    spec
}

/// Waits until every partition answers. What the cluster says of a partition's state is not asked: a real one may call it
/// offline for good while its leader serves it (docs/fluvio.md 33).
async fn wait_served(cluster: &Cluster, topic: &Topic) -> Result<(), ApplyError> {
    let since = Instant::now();
    let mut has_said = false;
    let mut partition = 0;
    while partition < topic.partitions {
        let Err(reason) = bounds(cluster, &topic.name, partition).await else {
            partition += 1;
            continue;
        };
        if since.elapsed() > SERVED_DEADLINE {
            let (topic, waited) = (topic.name.clone(), SERVED_DEADLINE);
            return Err(ApplyError::Unserved { topic, partition, waited, reason });
        }
        if since.elapsed() > SERVED_SOON && !has_said {
            has_said = true;
            warn!(topic = topic.name, partition, %reason, "waiting until the cluster serves the topic");
        }
        tokio::time::sleep(SERVED_INTERVAL).await;
    }
    Ok(())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut zipped = Vec::with_capacity(bytes.len() / 2);
    GzEncoder::new(bytes, Compression::default())
        .read_to_end(&mut zipped)
        .expect("memory can be read and written");
    zipped
}

/// Unpacked bytes; nothing where they are not gzip.
fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match GzDecoder::new(bytes).read_to_end(&mut plain) {
        Ok(_) => plain,
        Err(_) => Vec::new(),
    }
}
