use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use ovation_client::Cluster;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument as _, debug_span, error, info};

use crate::modules::{ModuleError, Modules, resolve};
use crate::partitions::Partitions;
use crate::plan::{TaskPlan, plan};
use crate::reload::{Reloaded, StagePlan, by_stage};
use crate::spec::Topology;
use crate::status::{Cause, TaskState, TaskStatus};
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
    cluster: Cluster,
    options: EngineOptions,
    shutdown: CancellationToken,
    /// What runs, in the order of the topology.
    stages: Mutex<Vec<RunningStage>>,
    /// Of every task, by stage and partition. Apart from the stages, so that nobody who asks waits for a reload.
    statuses: RwLock<Statuses>,
}

type Statuses = Vec<watch::Receiver<TaskStatus>>;

/// A stage whose tasks run.
struct RunningStage {
    plan: StagePlan,
    /// Ends this stage alone.
    stop: CancellationToken,
    /// Of its tasks, in the order of the plan.
    reports: Vec<watch::Sender<TaskStatus>>,
    tasks: JoinSet<()>,
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
        let wanted = stage_plans(topology, modules, options)?;
        let start = |plan| RunningStage::start(&cluster, plan, Vec::new(), &shutdown);
        let stages: Vec<_> = wanted.into_iter().map(start).collect();
        let statuses = RwLock::new(statuses_of(&stages));
        Ok(Self { cluster, options: options.clone(), shutdown, stages: Mutex::new(stages), statuses })
    }

    /// Goes over to another topology, or to other bytes of its modules. Stages for which nothing has changed go on
    /// untouched. The others finish the batch that is on its way, for 5 s at most, and go on from their last checkpoint with
    /// the new chain; where the checkpoint was made with other settings that results depend on, the stage stops and says so.
    /// The cluster has to hold what the topology needs already, see [`apply`](crate::apply).
    ///
    /// If the answer is not waited for, the stages that were to change are ended, and the next reload starts them.
    ///
    /// # Errors
    ///
    /// An [`EngineError`]; then everything runs as before.
    pub async fn reload(&self, topology: &Topology, modules: &dyn Modules) -> Result<Reloaded, EngineError> {
        let wanted = stage_plans(topology, modules, &self.options)?;
        let mut stages = self.stages.lock().await;
        let reloaded = Reloaded::compare(stages.iter().map(|stage| &stage.plan), &wanted);
        let is_kept = |stage: &mut RunningStage| reloaded.kept.contains(&stage.plan.stage);
        let mut ended: Vec<_> = stages.extract_if(.., |stage| !is_kept(stage)).collect();
        for stage in &ended {
            stage.stop.cancel();
        }
        for stage in &mut ended {
            stage.join().await;
        }
        for plan in wanted {
            if reloaded.kept.contains(&plan.stage) {
                continue;
            }
            let before = ended.iter_mut().find(|stage| stage.plan.stage == plan.stage);
            let reports = before.map(RunningStage::take_reports).unwrap_or_default();
            stages.push(RunningStage::start(&self.cluster, plan, reports, &self.shutdown));
        }
        let place = |name: &str| topology.stages.iter().position(|stage| stage.name == name);
        stages.sort_by_key(|stage| place(&stage.plan.stage));
        *self.statuses.write().unwrap_or_else(PoisonError::into_inner) = statuses_of(&stages);
        info!(?reloaded, topology = topology.name, "the engine has gone over to another topology");
        Ok(reloaded)
    }

    /// Where every task stands, by stage and partition.
    pub fn status(&self) -> Vec<TaskStatus> {
        self.statuses().iter().map(|status| status.borrow().clone()).collect()
    }

    /// Whether every task runs and has caught up with what its source held when it started.
    pub fn ready(&self) -> bool {
        self.statuses().iter().all(|status| {
            let status = status.borrow();
            status.ready && status.state == TaskState::Running
        })
    }

    /// Waits until [`ready`](Engine::ready), or until a task has stopped, or for `deadline`; answers whether it is ready.
    pub async fn wait_ready(&self, deadline: Duration) -> bool {
        let waiting = async {
            for mut status in self.statuses() {
                let settled = |status: &TaskStatus| match status.state {
                    TaskState::Stopped => true,
                    // A reload ends a task as well, and starts it again.
                    TaskState::Finished => self.shutdown.is_cancelled(),
                    _ => status.ready,
                };
                let _ = status.wait_for(settled).await;
            }
        };
        let _ = tokio::time::timeout(deadline, waiting).await;
        self.ready()
    }

    /// Waits until `shutdown` was cancelled and every task has ended: the batches that are on their way are finished first,
    /// for 5 s at most.
    pub async fn join(&self) {
        // Before that nothing ends, and a reload must not find the stages taken.
        self.shutdown.cancelled().await;
        for stage in self.stages.lock().await.iter_mut() {
            stage.join().await;
        }
    }

    fn statuses(&self) -> Statuses {
        self.statuses.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The tasks that this engine is to run.
fn stage_plans(
    topology: &Topology,
    modules: &dyn Modules,
    options: &EngineOptions,
) -> Result<Vec<StagePlan>, EngineError> {
    let resolved = resolve(topology, modules)?;
    let mut plans = plan(topology, &resolved);
    if let Some(partitions) = &options.partitions {
        let count = plans.iter().map(|plan| plan.partition + 1).max().unwrap_or(0);
        if let Some(partition) = partitions.beyond(count) {
            return Err(EngineError::NoPartition { partition, count });
        }
        plans.retain(|plan| partitions.contains(plan.partition));
    }
    Ok(by_stage(plans))
}

fn statuses_of(stages: &[RunningStage]) -> Statuses {
    stages.iter().flat_map(|stage| &stage.reports).map(watch::Sender::subscribe).collect()
}

impl RunningStage {
    /// Starts a stage's tasks. `reports` are those of the tasks that ran before in its place: their counters go on.
    fn start(
        cluster: &Cluster,
        plan: StagePlan,
        reports: Vec<watch::Sender<TaskStatus>>,
        shutdown: &CancellationToken,
    ) -> Self {
        let stop = shutdown.child_token();
        let mut stage = Self { plan, stop, reports: Vec::new(), tasks: JoinSet::new() };
        for task in stage.plan.tasks.clone() {
            let before = reports.iter().find(|report| report.borrow().partition == task.partition);
            let report = match before {
                Some(report) => {
                    report.send_modify(TaskStatus::begin_again);
                    report.clone()
                }
                None => watch::channel(TaskStatus::new(&task.stage, task.partition)).0,
            };
            stage.reports.push(report.clone());
            stage.spawn(cluster.clone(), task, report);
        }
        stage
    }

    fn spawn(&mut self, cluster: Cluster, plan: TaskPlan, report: watch::Sender<TaskStatus>) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let make = || {
                let span = debug_span!("task", stage = plan.stage, partition = plan.partition);
                let task = Task::new(cluster.clone(), plan.clone(), report.clone(), stop.clone());
                task.supervise().instrument(span)
            };
            restart_crashed(make, &report, &stop, CRASH_PAUSE).await;
        });
    }

    fn take_reports(&mut self) -> Vec<watch::Sender<TaskStatus>> {
        std::mem::take(&mut self.reports)
    }

    /// Waits until every task has ended.
    async fn join(&mut self) {
        while let Some(ended) = self.tasks.join_next().await {
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
            status.restarts_by.count(Cause::Fault);
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
