//! Begins a new epoch of a stage: what to do where old state cannot be gone on with, or shall not be.

use std::collections::BTreeMap;

use ovation_client::{Cluster, Error as ClientError, bounds};

use crate::checkpoint::Choice;
use crate::control::Piece;
use crate::failure::Failure;
use crate::outlet::Outlet;
use crate::plan::{TaskPlan, plan};
use crate::restore::{last_of, look_back, place_of};
use crate::spec::Topology;

/// Which source records a new epoch begins with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ResetFrom {
    /// The oldest that is there: everything is counted again.
    #[default]
    Beginning,
    /// The next one to come: what is there is left out.
    Now,
}

/// What a reset finds, and does, in one source partition of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionReset {
    /// Name of the stage.
    pub stage: String,
    /// Partition of its source.
    pub partition: u32,
    /// The epoch that ends.
    pub epoch: u64,
    /// Number of its last stored result; 0 for none.
    pub seq: u64,
    /// Source offset of the checkpoint that it would go on from; none if there is none that can be used.
    pub checkpoint: Option<i64>,
    /// The epoch that begins.
    pub next_epoch: u64,
    /// Source offset that it begins with.
    pub offset: i64,
    /// The source's high watermark.
    pub high_watermark: i64,
    config: String,
    checkpoints: String,
}

/// Why an epoch cannot be ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResetError {
    /// The topology has no such stage.
    #[error("failed to reset stage {0:?}: the topology has {1}")]
    NoStage(String, String),
    /// Without a checkpoint topic there is no place to write an epoch down.
    #[error(
        "failed to reset stage {0:?}: it has no topic for checkpoints, which hold the epoch; give it one"
    )]
    NoCheckpoints(String),
    /// The cluster cannot be read.
    #[error(transparent)]
    Cluster(#[from] ClientError),
    /// A start was not stored. What was begun before it stays begun; doing it again is safe.
    #[error("{0}")]
    NotStored(String),
}

/// Says what a reset would do, for one stage or for all; changes nothing.
///
/// # Errors
///
/// A [`ResetError`].
pub async fn plan_reset(
    cluster: &Cluster,
    topology: &Topology,
    stage: Option<&str>,
    from: ResetFrom,
) -> Result<Vec<PartitionReset>, ResetError> {
    if let Some(name) = stage
        && !topology.stages.iter().any(|stage| stage.name == name)
    {
        let names: Vec<_> = topology.stages.iter().map(|stage| stage.name.as_str()).collect();
        return Err(ResetError::NoStage(name.to_owned(), names.join(", ")));
    }
    let mut resets = Vec::new();
    // No module is run: their names on the cluster do not matter.
    for task in plan(topology, &BTreeMap::new()) {
        if stage.is_none_or(|name| name == task.stage) {
            resets.push(examine(cluster, task, from).await?);
        }
    }
    Ok(resets)
}

async fn examine(cluster: &Cluster, task: TaskPlan, from: ResetFrom) -> Result<PartitionReset, ResetError> {
    let Some(checkpoints) = task.checkpoints.clone() else {
        return Err(ResetError::NoCheckpoints(task.stage));
    };
    let stored = place_of(last_of(cluster, &task.sink, task.partition).await?.as_ref());
    let stored_reject = match &task.dead_letter {
        Some(topic) => place_of(last_of(cluster, topic, task.partition).await?.as_ref()),
        None => Default::default(),
    };
    let source = bounds(cluster, &task.source, task.partition).await?;
    // Whatever the outlets hold, and whoever wrote it: the new epoch is behind all of it.
    let found = look_back(cluster, &task, stored, stored_reject).await?;
    let checkpoint = match found.choice {
        Choice::Restore(checkpoint) => Some(checkpoint.offset),
        Choice::Foreign(_) | Choice::None => None,
    };
    Ok(PartitionReset {
        epoch: found.epoch,
        seq: if stored.epoch == found.epoch { stored.seq } else { 0 },
        checkpoint,
        next_epoch: found.epoch + 1,
        offset: match from {
            ResetFrom::Beginning => source.start,
            ResetFrom::Now => source.end,
        },
        high_watermark: source.end,
        stage: task.stage,
        partition: task.partition,
        config: task.config,
        checkpoints,
    })
}

/// Does what [`plan_reset`] said: writes the start of each new epoch into the checkpoint topic. Engines that run notice within
/// a few seconds; what was stored stays, and readers take the newer epoch.
///
/// # Errors
///
/// A [`ResetError`].
pub async fn reset(cluster: &Cluster, resets: &[PartitionReset]) -> Result<(), ResetError> {
    for reset in resets {
        let outlet = Outlet::open(cluster, &reset.checkpoints, reset.partition);
        let PartitionReset { stage, partition, config, next_epoch, offset, .. } = reset;
        let start = Piece::start(stage, *partition, config, *next_epoch, *offset);
        let stored = async {
            outlet.ready().await?;
            outlet.append(vec![start.record()]).await
        };
        stored.await.map_err(|failure: Failure| ResetError::NotStored(failure.to_string()))?;
    }
    Ok(())
}
