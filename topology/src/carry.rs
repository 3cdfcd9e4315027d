//! Carries what a chain returns to where it belongs, or stands by while another engine does.

use std::collections::VecDeque;
use std::time::Instant;

use ovation_client::{ChainRecord, ChainStream};
use tokio::time::MissedTickBehavior;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, info};

use crate::control::Piece;
use crate::failure::Failure;
use crate::fence::{Delivery, Place};
use crate::lookout::{Lookout, heard_of};
use crate::outlet::{Errand, Outlet, superseded};
use crate::restore::{Restored, last_stored};
use crate::router::{Router, Start, Tally};
use crate::standby::{OutletKind, Standby, TAKEOVER};
use crate::status::{Cause, TaskRole, Times};
use crate::task::Task;
use crate::tick::{Ticker, now_ms};

/// What is held is stored before the chain's answer is through if it is more than this, as an answer may have 64 MiB; a standby
/// reads no further while it holds more.
const PENDING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One run of a task, from its checkpoint on.
pub(crate) struct Carrier<'a> {
    task: &'a Task,
    epoch: u64,
    router: Router,
    ticker: Ticker,
    /// What is left of the chain's last answer.
    inbox: VecDeque<ChainRecord>,
    /// When the chain answered last.
    answered: Instant,
    /// Answers that were not reported yet.
    answers: u64,
    /// Numbers of the last result and dead letter of the answer before.
    told: (u64, u64),
    /// End of the source when this run began: past it the task is live.
    live_from: i64,
    /// None while this task is the active one. A task begins as what it was before; the first time it is active, because it
    /// may well be alone, and if it is not, the fence says so.
    standby: Option<Standby>,
    lookout: AbortOnDropHandle<u64>,
}

impl<'a> Carrier<'a> {
    pub(crate) fn new(task: &'a Task, restored: &Restored) -> Self {
        let start = Start {
            epoch: restored.epoch,
            offset: restored.checkpoint.offset,
            seq: restored.checkpoint.seq,
            reject_seq: restored.checkpoint.reject_seq,
            stored: restored.stored,
            stored_reject: restored.stored_reject,
        };
        let producer = task.source.as_ref().map(Outlet::producer);
        let mut ticker = Ticker::new(producer, task.plan.every, task.plan.idleness);
        if restored.is_caught_up() {
            ticker.probe();
        }
        let lookout = Lookout {
            cluster: task.cluster.clone(),
            plan: task.plan.clone(),
            epoch: restored.epoch,
            next: restored.checkpoints_end,
            status: task.status.clone(),
        };
        let was_standby = task.status.borrow().role == TaskRole::Standby;
        Self {
            task,
            epoch: restored.epoch,
            router: Router::new(&task.plan.stage, start),
            ticker,
            inbox: VecDeque::new(),
            answered: Instant::now(),
            answers: 0,
            told: (start.seq, start.reject_seq),
            live_from: restored.high_watermark,
            standby: was_standby.then(|| Standby::open(&task.cluster, &task.plan)),
            lookout: AbortOnDropHandle::new(tokio::spawn(lookout.run())),
        }
    }

    /// Until something fails or the engine ends.
    pub(crate) async fn run(mut self, mut stream: ChainStream) -> Result<(), Failure> {
        let mut beat = tokio::time::interval(self.ticker.interval());
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_beat = Instant::now();
        loop {
            tokio::select! {
                records = stream.next(), if self.inbox.is_empty() => {
                    self.inbox = records?.into();
                    self.work().await?;
                }
                offset = self.ticker.acknowledged() => {
                    heard_of(&self.task.status, offset + 1);
                    self.tick();
                }
                stored = next_stored(&mut self.standby) => {
                    if let Some((outlet, place)) = stored {
                        self.confirm(outlet, place)?;
                        self.work().await?;
                    }
                }
                _ = beat.tick() => {
                    let pause = last_beat.elapsed();
                    last_beat = Instant::now();
                    self.beat(pause >= TAKEOVER).await?;
                }
                ended = &mut self.lookout => {
                    let what = ended.map_or_else(|fault| fault.to_string(), |epoch| format!("epoch {epoch} has begun"));
                    return Err(Failure::Restart(Cause::Epoch, what));
                }
                () = self.task.shutdown.cancelled() => {
                    info!(stage = self.task.plan.stage, partition = self.task.plan.partition, "the task ends");
                    return Ok(());
                }
            }
        }
    }

    /// Takes what the chain has returned, as far as there is room for it.
    async fn work(&mut self) -> Result<(), Failure> {
        while !(self.standby.is_some() && self.is_full()) {
            let Some(record) = self.inbox.pop_front() else { break };
            if self.router.take(record)? {
                self.answered = Instant::now();
                self.answers += 1;
                self.tell();
            }
            // Once for all that came together: whoever catches up stores large batches, and the last checkpoint alone.
            if self.inbox.is_empty() || self.is_full() {
                self.settle().await?;
            }
        }
        self.tick();
        Ok(())
    }

    /// Says what an answer brought, for whoever follows a record from its offset to the numbers of its results.
    fn tell(&mut self) {
        let (seq, reject_seq) = (self.router.results.seen, self.router.rejects.seen);
        let (before, rejects_before) = std::mem::replace(&mut self.told, (seq, reject_seq));
        let Some(progress) = &self.router.progress else { return };
        debug!(
            topic = self.task.plan.source,
            offset = progress.first,
            next = progress.next,
            seq = (seq > before).then_some(before + 1),
            last_seq = (seq > before).then_some(seq),
            rejects = reject_seq.saturating_sub(rejects_before),
            watermark = progress.watermark,
            "chain answered"
        );
    }

    fn is_full(&self) -> bool {
        self.router.held_bytes() > PENDING_BYTES_MAX
    }

    /// Stores everything that has come so far, or holds it back.
    async fn settle(&mut self) -> Result<(), Failure> {
        let mut checkpoint = None;
        if self.task.dead_letter.is_none() {
            // Without a topic for them there is nothing to store, and nothing to wait for.
            self.router.rejects.confirm(self.router.rejects.seen);
            self.router.rejects.tally.bytes = 0;
        }
        if self.standby.is_none() {
            let delivery = self.store().await;
            self.count_stored();
            match delivery? {
                Delivery::Stored => checkpoint = self.store_checkpoints().await?,
                Delivery::Overtaken => self.stand_by(),
            }
        }
        // A standby drops them: the other engine stores the same ones.
        self.router.checkpoints.clear();
        self.hold();
        self.report(checkpoint);
        Ok(())
    }

    /// Stores results and dead letters.
    async fn store(&mut self) -> Result<Delivery, Failure> {
        let task = self.task;
        let trouble = |error: &str| task.status.send_modify(|status| status.error = Some(error.to_owned()));
        let has_results = !self.router.results.pending.is_empty();
        let results = Errand { task, epoch: self.epoch, numbering: &mut self.router.results };
        if task.sink.deliver(results, trouble).await? == Delivery::Overtaken {
            return Ok(Delivery::Overtaken);
        }
        let Some(outlet) = &task.dead_letter else { return Ok(Delivery::Stored) };
        loop {
            let letters = Errand { task, epoch: self.epoch, numbering: &mut self.router.rejects };
            match outlet.deliver(letters, trouble).await? {
                Delivery::Stored => return Ok(Delivery::Stored),
                // Of two engines that are at it, one wins each number. The results decide where there are some, or each
                // could win one outlet and lose the other.
                Delivery::Overtaken if has_results => {}
                Delivery::Overtaken => return Ok(Delivery::Overtaken),
            }
        }
    }

    /// Adds to the status what was stored since it was last asked.
    fn count_stored(&mut self) {
        let results = std::mem::take(&mut self.router.results.tally);
        let rejects = std::mem::take(&mut self.router.rejects.tally);
        let times = std::mem::take(&mut self.router.results.times);
        self.router.rejects.times = Times::default();
        self.task.status.send_modify(|status| {
            status.results += results.records;
            status.produce_times.merge(&times);
            status.result_bytes += results.bytes;
            status.rejects += rejects.records;
            status.reject_bytes += rejects.bytes;
        });
    }

    /// Stores pieces of checkpoints; answers the offset of the last one. They claim that what came before them is stored,
    /// and by now it is.
    ///
    /// A process that is paused here and woken later stores them late, behind newer ones: the newest is the one with the
    /// largest offset, wherever it stands, and one of an older epoch is not looked at.
    async fn store_checkpoints(&mut self) -> Result<Option<i64>, Failure> {
        let pieces = std::mem::take(&mut self.router.checkpoints);
        let (Some(outlet), Some(last)) = (&self.task.checkpoints, pieces.last()) else { return Ok(None) };
        let offset = serde_json::from_slice::<Piece>(&last.value).ok().map(|piece| piece.offset);
        let pair = |piece: ChainRecord| (piece.key.map(|key| key.to_vec()), piece.value.to_vec());
        outlet.append(pieces.into_iter().map(pair).collect()).await?;
        Ok(offset)
    }

    /// Ticks, if this task is the one who does.
    fn tick(&mut self) {
        if self.standby.is_none() {
            self.ticker.beat(self.router.progress.as_ref());
        }
    }

    /// What is to be done now and then. `was_paused`: nothing was seen for so long that nothing can be said of others.
    async fn beat(&mut self, was_paused: bool) -> Result<(), Failure> {
        self.tick();
        if self.ticker.is_stalled() {
            return Err(Failure::Restart(
                Cause::Chain,
                "failed to hear from the chain: a tick was not answered".to_owned(),
            ));
        }
        let now = Instant::now();
        let Some(standby) = &mut self.standby else { return Ok(()) };
        if was_paused {
            standby.patience.moved(now);
        }
        if standby.patience.is_over(self.router.progress.as_ref(), self.answered, now) {
            self.take_over().await?;
        }
        Ok(())
    }

    /// Somebody else writes: from now on this task holds back what it has.
    fn stand_by(&mut self) {
        let task = self.task;
        info!(
            stage = task.plan.stage,
            partition = task.plan.partition,
            "another engine is active: standing by"
        );
        self.standby = Some(Standby::open(&task.cluster, &task.plan));
        task.status.send_modify(|status| status.role = TaskRole::Standby);
    }

    /// Becomes active, unless a last look at the log shows that the other engine is alive after all.
    ///
    /// It may come alive right behind that look: then both send the same numbers, the fence takes each from one of them,
    /// and the other one stands by.
    async fn take_over(&mut self) -> Result<(), Failure> {
        let task = self.task;
        let outlets = [
            Some((OutletKind::Sink, task.sink.topic())),
            task.dead_letter.as_ref().map(|outlet| (OutletKind::DeadLetter, outlet.topic())),
        ];
        let mut has_moved = false;
        for (kind, topic) in outlets.into_iter().flatten() {
            match last_stored(&task.cluster, &task.plan, topic, self.epoch).await {
                Ok(place) => has_moved |= self.confirm(kind, place)?,
                Err(stop @ Failure::Stop(_)) => return Err(stop),
                // A broker that is away is away for the other engine as well.
                Err(Failure::Restart(..)) => has_moved = true,
            }
        }
        if has_moved {
            if let Some(standby) = &mut self.standby {
                standby.patience.moved(Instant::now());
            }
            return self.work().await;
        }
        info!(
            stage = task.plan.stage,
            partition = task.plan.partition,
            "the other engine is silent: taking over"
        );
        self.standby = None;
        task.status.send_modify(|status| status.role = TaskRole::Active);
        self.settle().await?;
        self.work().await
    }

    /// Takes note of what an outlet holds; whether that is news.
    fn confirm(&mut self, kind: OutletKind, place: Place) -> Result<bool, Failure> {
        let (numbering, outlet) = match kind {
            OutletKind::Sink => (&mut self.router.results, Some(&self.task.sink)),
            OutletKind::DeadLetter => (&mut self.router.rejects, self.task.dead_letter.as_ref()),
        };
        if place.epoch > self.epoch {
            let topic = outlet.map_or("", |outlet| outlet.topic());
            return Err(superseded(topic, place, self.epoch));
        }
        if place.epoch < self.epoch || place.seq <= numbering.stored {
            return Ok(false);
        }
        numbering.confirm(place.seq);
        // Another engine has stored it, and counts it.
        numbering.tally = Tally::default();
        if let Some(standby) = &mut self.standby {
            standby.patience.moved(Instant::now());
        }
        self.hold();
        self.task.status.send_modify(|status| {
            status.seq = self.router.results.stored;
            status.reject_seq = self.router.rejects.stored;
        });
        Ok(true)
    }

    /// Tells a standby's patience whether anything is held back.
    fn hold(&mut self) {
        let is_holding = !(self.router.results.pending.is_empty() && self.router.rejects.pending.is_empty());
        if let Some(standby) = &mut self.standby {
            standby.patience.hold(is_holding, Instant::now());
        }
    }

    fn report(&mut self, checkpoint: Option<i64>) {
        let (router, answers) = (&self.router, std::mem::take(&mut self.answers));
        self.task.status.send_modify(|status| {
            status.error = None;
            status.answers += answers;
            status.records += u64::try_from(router.next() - status.offset).unwrap_or(0);
            status.offset = router.next();
            status.high_watermark = status.high_watermark.max(router.next());
            status.seq = router.results.stored;
            status.reject_seq = router.rejects.stored;
            if checkpoint.is_some() {
                status.checkpoint = checkpoint;
                status.checkpoints += 1;
                status.checkpoint_at = Some(now_ms());
            }
            if let Some(progress) = &router.progress {
                // An answer alone does not say that the chain is through with what was there: that takes several where the
                // log is long.
                status.ready |= router.next() >= self.live_from;
                status.watermark = progress.watermark;
                status.open = progress.open;
                status.dirty = progress.dirty;
                status.backlog = progress.backlog;
                status.kept = progress.state;
            }
        });
    }
}

/// The next number that a standby sees; waits for ever where there is no standby.
async fn next_stored(standby: &mut Option<Standby>) -> Option<(OutletKind, Place)> {
    match standby {
        Some(standby) => standby.next().await,
        None => std::future::pending().await,
    }
}
