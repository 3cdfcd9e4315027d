//! Looks now and then at what a task is not told by its stream: how far its source is, and whether somebody has begun a new
//! epoch.

use std::time::Duration;

use futures_util::StreamExt;
use ovation_client::{Cluster, Error as ClientError, FollowOptions, From, bounds, follow};
use tokio::sync::watch;
use tracing::debug;

use crate::control::{CHECKPOINT_KEY, PieceHead};
use crate::plan::TaskPlan;
use crate::status::TaskStatus;

/// Between two looks: a reset is noticed, and a lag shown, within about this time.
pub(crate) const LOOKOUT_INTERVAL: Duration = Duration::from_secs(3);

/// One task's lookout. It works beside the task, which is never kept waiting by it.
pub(crate) struct Lookout {
    pub(crate) cluster: Cluster,
    pub(crate) plan: TaskPlan,
    pub(crate) epoch: u64,
    /// Next offset of the checkpoint partition to look at.
    pub(crate) next: i64,
    pub(crate) status: watch::Sender<TaskStatus>,
}

impl Lookout {
    /// Runs until there is a newer epoch, and answers it.
    pub(crate) async fn run(mut self) -> u64 {
        loop {
            tokio::time::sleep(LOOKOUT_INTERVAL).await;
            match self.look().await {
                Ok(Some(epoch)) => return epoch,
                Ok(None) => {}
                // The task itself will notice what matters to it.
                Err(error) => debug!(%error, "a look around failed"),
            }
        }
    }

    async fn look(&mut self) -> Result<Option<u64>, ClientError> {
        let source = bounds(&self.cluster, &self.plan.source, self.plan.partition).await?;
        heard_of(&self.status, source.end);
        let Some(topic) = &self.plan.checkpoints else { return Ok(None) };
        let held = bounds(&self.cluster, topic, self.plan.partition).await?;
        // A broker that has lost records, or a retention that took some.
        self.next = self.next.clamp(held.start.min(held.end), held.end);
        if self.next == held.end {
            return Ok(None);
        }
        // Every record since the last look is read, because the one that counts can stand anywhere among the pieces of
        // checkpoints; never more than one answer of the broker is held.
        let from = From::Offset(self.next);
        let options = FollowOptions::default();
        let mut records = follow(self.cluster.clone(), topic, self.plan.partition, from, options);
        while self.next < held.end {
            let Some(record) = records.next().await else { break };
            let record = record?;
            self.next = record.offset + 1;
            if record.key.as_deref() != Some(CHECKPOINT_KEY.as_bytes()) {
                continue;
            }
            if let Ok(head) = serde_json::from_slice::<PieceHead>(&record.value)
                && head.stage == self.plan.stage
                && head.partition == self.plan.partition
                && head.epoch > self.epoch
            {
                return Ok(Some(head.epoch));
            }
        }
        Ok(None)
    }
}

/// Notes that the source has got this far.
pub(crate) fn heard_of(status: &watch::Sender<TaskStatus>, high_watermark: i64) {
    status.send_if_modified(|status| {
        let news = high_watermark > status.high_watermark;
        status.high_watermark = status.high_watermark.max(high_watermark);
        news
    });
}
