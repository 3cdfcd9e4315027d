use std::time::Duration;

use ovation_client::Cluster;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::modules::{ModuleError, Modules, resolve};
use crate::plan::plan;
use crate::spec::Topology;
use crate::status::{TaskState, TaskStatus};
use crate::task::Task;

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
    /// A [`ModuleError`], if a SmartModule's bytes, and with them its name on the cluster, cannot be had.
    pub fn start(
        cluster: Cluster,
        topology: &Topology,
        modules: &dyn Modules,
        shutdown: CancellationToken,
    ) -> Result<Self, ModuleError> {
        let resolved = resolve(topology, modules)?;
        let mut statuses = Vec::new();
        let mut tasks = JoinSet::new();
        for plan in plan(topology, &resolved) {
            let (report, status) = watch::channel(TaskStatus::new(&plan.stage, plan.partition));
            statuses.push(status);
            tasks.spawn(Task::new(cluster.clone(), plan, report, shutdown.clone()).supervise());
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

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.status()).finish()
    }
}
