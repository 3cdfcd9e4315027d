//! One stage over one source partition, from a start to its end.

use std::time::{Duration, Instant};

use ovation_client::{ChainRecord, ChainStream, Cluster};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::control::{CHECKPOINT_KEY, Piece};
use crate::failure::Failure;
use crate::outlet::Outlet;
use crate::plan::TaskPlan;
use crate::restore::{Restored, restore};
use crate::router::{Router, Start};
use crate::status::{TaskState, TaskStatus};
use crate::tick::Ticker;

/// What is pending is sent before a call's answer is complete if it is more than this: an answer may have 64 MiB.
const PENDING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a batch on its way may take once the engine is told to end.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);
/// First and longest wait before a failed task starts again.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_LAST: Duration = Duration::from_secs(5);
/// A task that ran for this long begins with the first wait again.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);

pub(crate) struct Task {
    cluster: Cluster,
    plan: TaskPlan,
    status: watch::Sender<TaskStatus>,
    shutdown: CancellationToken,
    source: Outlet,
    sink: Outlet,
    dead_letter: Option<Outlet>,
    checkpoints: Option<Outlet>,
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
            source: outlet(&plan.source),
            sink: outlet(&plan.sink),
            dead_letter: plan.dead_letter.as_deref().map(outlet),
            checkpoints: plan.checkpoints.as_deref().map(outlet),
            cluster,
            plan,
            status,
            shutdown,
        }
    }

    /// Runs, and starts again after a failure, until the engine ends or somebody has to decide.
    pub(crate) async fn supervise(self) {
        let mut backoff = BACKOFF_FIRST;
        loop {
            let started = Instant::now();
            let ended = tokio::select! {
                ended = self.run() => ended,
                () = drained(&self.shutdown) => Ok(()),
            };
            match ended {
                Ok(()) => return self.enter(TaskState::Finished, None),
                Err(Failure::Stop(error)) => {
                    warn!(
                        stage = self.plan.stage,
                        partition = self.plan.partition,
                        error,
                        "the task has stopped"
                    );
                    return self.enter(TaskState::Stopped, Some(error));
                }
                Err(Failure::Restart(error)) => {
                    warn!(
                        stage = self.plan.stage,
                        partition = self.plan.partition,
                        error,
                        "the task starts again"
                    );
                    self.enter(TaskState::Waiting, Some(error));
                }
            }
            if started.elapsed() > HEALTHY_AFTER {
                backoff = BACKOFF_FIRST;
            }
            tokio::select! {
                () = tokio::time::sleep(backoff) => {}
                () = self.shutdown.cancelled() => return self.enter(TaskState::Finished, None),
            }
            backoff = (backoff * 2).min(BACKOFF_LAST);
            self.status.send_modify(|status| status.restarts += 1);
        }
    }

    fn enter(&self, state: TaskState, error: Option<String>) {
        self.status.send_modify(|status| {
            status.state = state;
            status.ready = false;
            status.error = error;
        });
    }

    /// From the checkpoint on, until something fails or the engine ends.
    async fn run(&self) -> Result<(), Failure> {
        self.status.send_modify(|status| status.state = TaskState::Starting);
        let restored = tokio::select! {
            restored = self.start() => restored?,
            () = self.shutdown.cancelled() => return Ok(()),
        };
        let checkpoint = &restored.checkpoint;
        let modules = self.plan.modules(restored.epoch, checkpoint);
        let (source, partition) = (&self.plan.source, self.plan.partition);
        let opening = ChainStream::open(&self.cluster, source, partition, checkpoint.offset, &modules);
        let stream = tokio::select! {
            stream = opening => stream?,
            () = self.shutdown.cancelled() => return Ok(()),
        };
        self.status.send_modify(|status| {
            status.state = TaskState::Running;
            status.epoch = restored.epoch;
            status.offset = checkpoint.offset;
            status.high_watermark = restored.high_watermark;
            status.seq = restored.stored.seq;
            status.reject_seq = restored.stored_reject.seq;
            status.checkpoint = (!restored.is_new).then_some(checkpoint.offset);
        });
        self.carry(stream, &restored).await
    }

    /// Connects, and finds out where to go on.
    async fn start(&self) -> Result<Restored, Failure> {
        let outlets =
            [Some(&self.source), Some(&self.sink), self.dead_letter.as_ref(), self.checkpoints.as_ref()];
        for outlet in outlets.into_iter().flatten() {
            outlet.ready().await?;
        }
        let restored = restore(&self.cluster, &self.plan).await?;
        if let Some(outlet) = &self.checkpoints
            && restored.is_new
        {
            // A start is written down like any checkpoint: whoever changes the settings before the first real one is
            // told so, instead of getting other results under numbers that are taken.
            outlet.append(vec![self.beginning(&restored)]).await?;
        }
        Ok(restored)
    }

    fn beginning(&self, restored: &Restored) -> (Option<Vec<u8>>, Vec<u8>) {
        let piece = Piece {
            stage: self.plan.stage.clone(),
            epoch: restored.epoch,
            partition: self.plan.partition,
            config: self.plan.config.clone(),
            id: restored.checkpoint.offset,
            piece: 0,
            pieces: 0,
            offset: restored.checkpoint.offset,
            seq: 0,
            reject_seq: 0,
            data: String::new(),
        };
        (Some(CHECKPOINT_KEY.as_bytes().to_vec()), serde_json::to_vec(&piece).unwrap_or_default())
    }

    /// Carries what the chain returns to where it belongs.
    async fn carry(&self, mut stream: ChainStream, restored: &Restored) -> Result<(), Failure> {
        let start = Start {
            epoch: restored.epoch,
            offset: restored.checkpoint.offset,
            seq: restored.checkpoint.seq,
            reject_seq: restored.checkpoint.reject_seq,
            stored: restored.stored,
            stored_reject: restored.stored_reject,
        };
        let mut router = Router::new(&self.plan.stage, start);
        let mut ticker = Ticker::new(self.source.producer(), self.plan.every);
        let mut beat = tokio::time::interval(self.plan.every);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        if restored.checkpoint.offset >= restored.high_watermark {
            ticker.probe();
        }
        loop {
            tokio::select! {
                records = stream.next() => {
                    for record in records? {
                        let complete = router.take(record)?;
                        if complete || router.pending_bytes > PENDING_BYTES_MAX {
                            self.settle(&mut router, restored.epoch).await?;
                        }
                    }
                }
                _ = beat.tick() => {
                    if let Some(offset) = ticker.beat(router.progress.as_ref()).await {
                        self.heard_of(offset + 1);
                    }
                    if ticker.is_stalled() {
                        return Err(Failure::Restart("failed to hear from the chain: a tick was not answered".to_owned()));
                    }
                },
                () = self.shutdown.cancelled() => {
                    info!(stage = self.plan.stage, partition = self.plan.partition, "the task ends");
                    return Ok(());
                }
            }
        }
    }

    /// Stores everything that has come so far: results and dead letters, and only then the checkpoints, which claim that
    /// what came before them is stored.
    async fn settle(&self, router: &mut Router, epoch: u64) -> Result<(), Failure> {
        let trouble = |error: &str| self.status.send_modify(|status| status.error = Some(error.to_owned()));
        self.sink.deliver(&self.cluster, &self.plan, epoch, &mut router.results, trouble).await?;
        match &self.dead_letter {
            Some(outlet) => {
                outlet.deliver(&self.cluster, &self.plan, epoch, &mut router.rejects, trouble).await?;
            }
            // Without a topic for them there is nothing to store, and nothing to wait for.
            None => router.rejects.confirm(router.rejects.seen),
        }
        let checkpoint = self.store_checkpoints(std::mem::take(&mut router.checkpoints)).await?;
        router.pending_bytes = 0;
        self.status.send_modify(|status| {
            status.error = None;
            status.offset = router.next();
            status.high_watermark = status.high_watermark.max(router.next());
            status.seq = router.results.stored;
            status.reject_seq = router.rejects.stored;
            status.checkpoint = checkpoint.or(status.checkpoint);
            // A first answer comes when the chain is through with what was there (docs/fluvio.md 16).
            status.ready = true;
            if let Some(progress) = &router.progress {
                status.watermark = progress.watermark;
                status.open = progress.open;
                status.dirty = progress.dirty;
            }
        });
        Ok(())
    }

    /// Stores pieces of checkpoints; answers the offset of the last one.
    async fn store_checkpoints(&self, pieces: Vec<ChainRecord>) -> Result<Option<i64>, Failure> {
        let (Some(outlet), Some(last)) = (&self.checkpoints, pieces.last()) else { return Ok(None) };
        let offset = serde_json::from_slice::<Piece>(&last.value).ok().map(|piece| piece.offset);
        let pair = |piece: ChainRecord| (piece.key.map(|key| key.to_vec()), piece.value.to_vec());
        outlet.append(pieces.into_iter().map(pair).collect()).await?;
        Ok(offset)
    }

    fn heard_of(&self, high_watermark: i64) {
        self.status.send_if_modified(|status| {
            let news = high_watermark > status.high_watermark;
            status.high_watermark = status.high_watermark.max(high_watermark);
            news
        });
    }
}

/// Some time after the engine is told to end: a batch on its way has had its chance.
async fn drained(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(DRAIN_DEADLINE).await;
}
