//! One stage over one source partition, from a start to its end.

use std::time::{Duration, Instant};

use ovation_client::{ChainStream, Cluster};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::carry::Carrier;
use crate::control::Piece;
use crate::failure::Failure;
use crate::lookout::LOOKOUT_INTERVAL;
use crate::outlet::Outlet;
use crate::plan::TaskPlan;
use crate::restore::{Restored, restore};
use crate::status::{TaskState, TaskStatus};

/// How long a batch on its way may take once the engine is told to end.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);
/// First and longest wait before a failed task starts again.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_LAST: Duration = Duration::from_secs(5);
/// A task that ran for this long begins with the first wait again.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);

pub(crate) struct Task {
    pub(crate) cluster: Cluster,
    pub(crate) plan: TaskPlan,
    pub(crate) status: watch::Sender<TaskStatus>,
    pub(crate) shutdown: CancellationToken,
    /// Where ticks go; none where the source takes none.
    pub(crate) source: Option<Outlet>,
    pub(crate) sink: Outlet,
    pub(crate) dead_letter: Option<Outlet>,
    pub(crate) checkpoints: Option<Outlet>,
}

/// Why a task stands still, and in which epoch that came up while it ran.
struct Stopped {
    error: String,
    epoch: Option<u64>,
}

impl Task {
    pub(crate) fn new(
        cluster: Cluster,
        plan: TaskPlan,
        status: watch::Sender<TaskStatus>,
        shutdown: CancellationToken,
    ) -> Self {
        let outlet = |topic: &str| Outlet::open(&cluster, topic, plan.partition);
        Self {
            source: plan.ticks.then(|| outlet(&plan.source)),
            sink: outlet(&plan.sink),
            dead_letter: plan.dead_letter.as_deref().map(outlet),
            checkpoints: plan.checkpoints.as_deref().map(outlet),
            cluster,
            plan,
            status,
            shutdown,
        }
    }

    /// Runs, and starts again after a failure, until the engine ends. Where somebody has to decide it looks now and then
    /// whether that has been done.
    pub(crate) async fn supervise(self) {
        let mut backoff = BACKOFF_FIRST;
        let mut stopped: Option<Stopped> = None;
        loop {
            let started = Instant::now();
            let ended = tokio::select! {
                ended = self.run(&mut stopped) => ended,
                () = drained(&self.shutdown) => Ok(()),
            };
            let pause = match ended {
                Ok(()) => return self.enter(TaskState::Finished, None),
                Err(Failure::Stop(error)) => {
                    self.stop(error, &mut stopped);
                    LOOKOUT_INTERVAL
                }
                // It could not look; what it was stopped for still holds.
                Err(Failure::Restart(..)) if stopped.is_some() => LOOKOUT_INTERVAL,
                Err(Failure::Restart(cause, error)) => {
                    self.status.send_modify(|status| status.restarts_by.count(cause));
                    let TaskPlan { stage, partition, .. } = &self.plan;
                    warn!(stage, partition, error, "the task starts again");
                    self.enter(TaskState::Waiting, Some(error));
                    if started.elapsed() > HEALTHY_AFTER {
                        backoff = BACKOFF_FIRST;
                    }
                    let pause = backoff;
                    backoff = (backoff * 2).min(BACKOFF_LAST);
                    pause
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.shutdown.cancelled() => {
                    // Whoever asks afterwards is told why nothing was done.
                    if stopped.is_none() {
                        self.enter(TaskState::Finished, None);
                    }
                    return;
                }
            }
            if stopped.is_none() {
                self.status.send_modify(|status| status.restarts += 1);
            }
        }
    }

    /// Notes that somebody has to decide.
    fn stop(&self, error: String, stopped: &mut Option<Stopped>) {
        if stopped.as_ref().is_none_or(|before| before.error != error) {
            let TaskPlan { stage, partition, .. } = &self.plan;
            warn!(stage, partition, error, "the task has stopped");
        }
        let status = self.status.borrow();
        let epoch = match (status.state, &stopped) {
            (TaskState::Running, _) => Some(status.epoch),
            (_, Some(before)) => before.epoch,
            _ => None,
        };
        drop(status);
        *stopped = Some(Stopped { error: error.clone(), epoch });
        self.enter(TaskState::Stopped, Some(error));
    }

    fn enter(&self, state: TaskState, error: Option<String>) {
        self.status.send_modify(|status| {
            status.state = state;
            status.ready = false;
            status.error = error;
        });
    }

    /// From the checkpoint on, until something fails or the engine ends.
    async fn run(&self, stopped: &mut Option<Stopped>) -> Result<(), Failure> {
        if stopped.is_none() {
            self.status.send_modify(|status| status.state = TaskState::Starting);
        }
        let restored = tokio::select! {
            restored = self.start() => restored?,
            () = self.shutdown.cancelled() => return Ok(()),
        };
        if let Some(before) = stopped
            && before.epoch == Some(restored.epoch)
        {
            // What has stopped it while it ran would do so again.
            return Err(Failure::Stop(before.error.clone()));
        }
        let checkpoint = &restored.checkpoint;
        let modules = self.plan.modules(restored.epoch, checkpoint);
        let (source, partition) = (&self.plan.source, self.plan.partition);
        let from = restored.opening(self.plan.ticks);
        let opening = ChainStream::open(&self.cluster, source, partition, from, &modules);
        let stream = tokio::select! {
            stream = opening => stream?,
            () = self.shutdown.cancelled() => return Ok(()),
        };
        if stopped.take().is_some() {
            info!(stage = self.plan.stage, partition, epoch = restored.epoch, "the task goes on");
        }
        self.status.send_modify(|status| {
            status.state = TaskState::Running;
            status.ready = restored.is_mute(self.plan.ticks);
            status.error = None;
            status.epoch = restored.epoch;
            status.offset = checkpoint.offset;
            status.high_watermark = restored.high_watermark;
            status.seq = restored.stored_seq();
            status.reject_seq = restored.stored_reject_seq();
            status.checkpoint = (!restored.is_new).then_some(checkpoint.offset);
        });
        Carrier::new(self, &restored).run(stream).await
    }

    /// Connects, and finds out where to go on.
    async fn start(&self) -> Result<Restored, Failure> {
        let outlets =
            [self.source.as_ref(), Some(&self.sink), self.dead_letter.as_ref(), self.checkpoints.as_ref()];
        for outlet in outlets.into_iter().flatten() {
            outlet.ready().await?;
        }
        let restored = restore(&self.cluster, &self.plan).await?;
        let (Some(outlet), true) = (&self.checkpoints, restored.is_new) else { return Ok(restored) };
        // A start is written down like any checkpoint: whoever changes the settings before the first real one is told so,
        // instead of getting other results under numbers that are taken.
        let TaskPlan { stage, partition, config, .. } = &self.plan;
        let start = Piece::start(stage, *partition, config, restored.epoch, restored.checkpoint.offset);
        outlet.append(vec![start.record()]).await?;
        // Another engine may have begun at the same time, with other settings or behind what retention took meanwhile; or
        // this one stood still before it wrote. The log says which start is the first, and that one counts for all.
        restore(&self.cluster, &self.plan).await
    }
}

/// Some time after the engine is told to end: a batch on its way has had its chance.
async fn drained(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(DRAIN_DEADLINE).await;
}
