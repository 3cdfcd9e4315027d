//! Begins a new epoch of a stage: what to do where old state cannot be gone on with, or shall not be.

use std::collections::BTreeMap;

use ovation_client::{Cluster, Error as ClientError, bounds};

use crate::checkpoint::Choice;
use crate::control::Piece;
use crate::failure::Failure;
use crate::outlet::Outlet;
use crate::plan::{TaskPlan, plan};
use crate::restore::{last_of, look_back, place_of};
use crate::seek::offset_at;
use crate::spec::Topology;

/// Which source records a new epoch begins with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ResetFrom {
    /// The oldest that is there: everything is counted again.
    #[default]
    Beginning,
    /// The next one to come: what is there is left out.
    Now,
    /// The one at this offset of each partition, or the nearest that is there.
    Offset(i64),
    /// The first one that is not older than this time, ms since 1970.
    Time(i64),
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
    /// The oldest source offset that is there.
    pub source_start: i64,
    /// The source's high watermark.
    pub high_watermark: i64,
    /// The sink, where the old epoch's results stay and the new one's come behind them.
    pub sink: String,
    /// How many results of all epochs its partition holds.
    pub sink_records: i64,
    config: String,
    checkpoints: String,
}

impl PartitionReset {
    /// Source records that the new epoch has to process at first.
    pub fn to_process(&self) -> i64 {
        self.high_watermark - self.offset
    }

    /// How many of them the old epoch's checkpoint counts already. What it has processed since is not known here, and comes
    /// on top.
    pub fn again(&self) -> i64 {
        self.checkpoint.map_or(0, |checkpoint| (checkpoint.min(self.high_watermark) - self.offset).max(0))
    }

    /// Source records behind the old epoch's checkpoint that the new one leaves out.
    pub fn left_out(&self) -> i64 {
        self.checkpoint.map_or(0, |checkpoint| (self.offset - checkpoint.max(self.source_start)).max(0))
    }
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
    let sink = bounds(cluster, &task.sink, task.partition).await?;
    let offset = match from {
        ResetFrom::Beginning => source.start,
        ResetFrom::Now => source.end,
        ResetFrom::Offset(offset) => offset.clamp(source.start, source.end),
        ResetFrom::Time(time) => {
            offset_at(cluster, &task.source, task.partition, source.clone(), time).await?
        }
    };
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
        offset,
        source_start: source.start,
        high_watermark: source.end,
        sink: task.sink,
        sink_records: sink.end - sink.start,
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
