use std::time::Duration;

use ovation_client::Cluster;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::error;

use crate::modules::{ModuleError, Modules, resolve};
use crate::partitions::Partitions;
use crate::plan::plan;
use crate::spec::Topology;
use crate::status::{TaskState, TaskStatus};
use crate::task::Task;

/// How an [`Engine`] works.
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// The source partitions that this engine works on, of every stage; all if nothing is said. Several engines can share them
    /// out; those that have the same ones stand by for each other.
    pub partitions: Option<Partitions>,
}

/// Why an engine cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A SmartModule's bytes, and with them its name on the cluster, cannot be had.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// It was asked for a partition that no stage has.
    #[error("failed to use partition {partition}: the sources of the stages have {count}, numbered from 0")]
    NoPartition {
        /// What was asked for.
        partition: u32,
        /// The most partitions that a source has.
        count: u32,
    },
}

/// Runs a topology's stages: a task for each stage and source partition.
pub struct Engine {
    statuses: Vec<watch::Receiver<TaskStatus>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Engine {
    /// Starts every task in the background and returns at once. The cluster has to hold what the topology needs already,
    /// see [`apply`](crate::apply); `modules` are the same as there. The engine ends when `shutdown` is cancelled.
    ///
    /// Needs a running tokio runtime.
    ///
    /// # Errors
    ///
    /// An [`EngineError`].
    pub fn start(
        cluster: Cluster,
        topology: &Topology,
        modules: &dyn Modules,
        options: &EngineOptions,
        shutdown: CancellationToken,
    ) -> Result<Self, EngineError> {
        let resolved = resolve(topology, modules)?;
        let mut plans = plan(topology, &resolved);
        if let Some(partitions) = &options.partitions {
            let count = plans.iter().map(|plan| plan.partition + 1).max().unwrap_or(0);
            if let Some(partition) = partitions.beyond(count) {
                return Err(EngineError::NoPartition { partition, count });
            }
            plans.retain(|plan| partitions.contains(plan.partition));
        }
        let mut statuses = Vec::new();
        let mut tasks = JoinSet::new();
        for plan in plans {
            let (report, status) = watch::channel(TaskStatus::new(&plan.stage, plan.partition));
            statuses.push(status);
            let (cluster, stop) = (cluster.clone(), shutdown.clone());
            tasks.spawn(async move {
                let make =
                    || Task::new(cluster.clone(), plan.clone(), report.clone(), stop.clone()).supervise();
                restart_crashed(make, &report, &stop, CRASH_PAUSE).await;
            });
        }
        Ok(Self { statuses, tasks: Mutex::new(tasks) })
    }

    /// Where every task stands, by stage and partition.
    pub fn status(&self) -> Vec<TaskStatus> {
        self.statuses.iter().map(|status| status.borrow().clone()).collect()
    }

    /// Whether every task runs and has caught up with what its source held when it started.
    pub fn ready(&self) -> bool {
        self.statuses.iter().all(|status| {
            let status = status.borrow();
            status.ready && status.state == TaskState::Running
        })
    }

    /// Waits until [`ready`](Engine::ready), or until a task has stopped, or for `deadline`; answers whether it is ready.
    pub async fn wait_ready(&self, deadline: Duration) -> bool {
        let waiting = async {
            for status in &self.statuses {
                let mut status = status.clone();
                let settled = |status: &TaskStatus| {
                    status.ready || matches!(status.state, TaskState::Stopped | TaskState::Finished)
                };
                let _ = status.wait_for(settled).await;
            }
        };
        let _ = tokio::time::timeout(deadline, waiting).await;
        self.ready()
    }

    /// Waits until every task has ended: after `shutdown` was cancelled, the batches that are on their way are finished
    /// first, for 5 s at most.
    pub async fn join(&self) {
        let mut tasks = self.tasks.lock().await;
        while let Some(ended) = tasks.join_next().await {
            if let Err(fault) = ended {
                error!(%fault, "a task of the engine has crashed");
            }
        }
    }
}

/// Before a task that has crashed is made anew; a fault that comes back at once must not keep a core busy.
const CRASH_PAUSE: Duration = Duration::from_secs(1);

/// Runs a task, and makes it anew if it panics: a fault in one partition stays there, shows in its status, and costs a
/// restart from the checkpoint.
async fn restart_crashed<F>(
    make: impl Fn() -> F,
    report: &watch::Sender<TaskStatus>,
    shutdown: &CancellationToken,
    pause: Duration,
) where
    F: Future<Output = ()> + Send + 'static,
{
    while let Err(fault) = AbortOnDropHandle::new(tokio::spawn(make())).await {
        error!(%fault, "a task has crashed");
        report.send_modify(|status| {
            status.state = TaskState::Waiting;
            status.ready = false;
            status.error = Some(format!("the task has crashed: {fault}"));
            status.restarts += 1;
        });
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.status()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_crashed_task_is_made_anew_and_says_so() {
        static STARTS: AtomicU32 = AtomicU32::new(0);
        let (report, status) = watch::channel(TaskStatus::new("words", 0));
        let make = || async { assert!(STARTS.fetch_add(1, Ordering::SeqCst) > 1, "crashes twice") };
        restart_crashed(make, &report, &CancellationToken::new(), Duration::ZERO).await;
        assert_eq!(STARTS.load(Ordering::SeqCst), 3);
        assert_eq!(status.borrow().restarts, 2);
        assert!(status.borrow().error.as_deref().is_some_and(|error| error.contains("crashed")));
    }
}
