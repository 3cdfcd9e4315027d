use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// Where a task stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskStatus {
    /// Name of the stage.
    pub stage: String,
    /// Partition of its source.
    pub partition: u32,
    /// What it is doing.
    pub state: TaskState,
    /// Whether it stores what the chain returns, or stands by while another engine does.
    pub role: TaskRole,
    /// What went wrong last; gone when something has worked again.
    pub error: Option<String>,
    /// How often it was restarted since the engine started.
    pub restarts: u64,
    /// The failures behind them, by what failed. A start after a decision that was waited for has none.
    pub restarts_by: Restarts,
    /// Whether it has caught up with what the source held when its stream was opened.
    pub ready: bool,
    /// Counts resets, from 1; 0 before the first start.
    pub epoch: u64,
    /// Next source offset.
    pub offset: i64,
    /// The source's high watermark, as far as the task has heard.
    pub high_watermark: i64,
    /// Number of the last result that is stored.
    pub seq: u64,
    /// Number of the last dead letter that is stored.
    pub reject_seq: u64,
    /// Stream time less grace, ms since 1970.
    pub watermark: Option<i64>,
    /// Windows that are not final.
    pub open: u64,
    /// Whether a change waits for stream time to move.
    pub dirty: bool,
    /// Results that wait only for another record.
    pub backlog: u64,
    /// How much the chain keeps.
    pub kept: StateSize,
    /// Source offset of the last checkpoint that this task has stored, or began with.
    pub checkpoint: Option<i64>,
    /// When the last checkpoint was stored that this task has stored itself, ms since 1970.
    pub checkpoint_at: Option<i64>,
    /// Source records that the chain has taken since the engine started; those that a restart replays count again.
    pub records: u64,
    /// Calls that the chain has answered since the engine started.
    pub answers: u64,
    /// Results that this task has stored since the engine started.
    pub results: u64,
    /// Bytes of them, keys left out.
    pub result_bytes: u64,
    /// Dead letters that this task has stored since the engine started, or dropped where the stage has no topic for them.
    pub rejects: u64,
    /// Bytes of the stored ones.
    pub reject_bytes: u64,
    /// Checkpoints that this task has stored since the engine started.
    pub checkpoints: u64,
    /// How long its batches of results took to be stored.
    pub produce_times: Times,
}

/// Why a task had to start again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The broker was away, or did not take something.
    Broker,
    /// The chain's answer could not be used, or did not come.
    Chain,
    /// Another epoch has begun.
    Epoch,
    /// A mistake in the engine itself.
    Fault,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Broker, Self::Chain, Self::Epoch, Self::Fault];
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Cause::Broker => "broker",
            Cause::Chain => "chain",
            Cause::Epoch => "epoch",
            Cause::Fault => "fault",
        })
    }
}

/// How often a task failed, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restarts([u64; Cause::ALL.len()]);

impl Restarts {
    pub(crate) fn count(&mut self, cause: Cause) {
        self.0[cause as usize] += 1;
    }

    /// How often for this cause.
    pub fn of(&self, cause: Cause) -> u64 {
        self.0[cause as usize]
    }
}

/// How many times took how long: what a histogram is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// By the bounds, and those that were longer.
    counts: [u64; Times::BOUNDS + 1],
    /// All together, in microseconds.
    sum_us: u64,
}

impl Times {
    /// How many bounds there are, each twice the one before: up to 4 s.
    const BOUNDS: usize = 14;
    /// The first, in microseconds.
    const FIRST_US: u64 = 500;

    pub(crate) fn add(&mut self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = (0..Self::BOUNDS).find(|place| us <= Self::FIRST_US << place).unwrap_or(Self::BOUNDS);
        self.counts[place] += 1;
        self.sum_us = self.sum_us.saturating_add(us);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }

    /// Each bound in seconds, the last one infinite, with how many lie between it and the one before.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let bounds = (0..Self::BOUNDS).map(|place| (Self::FIRST_US << place) as f64 / 1e6);
        bounds.chain([f64::INFINITY]).zip(self.counts)
    }

    /// All together, in seconds.
    pub fn sum_seconds(&self) -> f64 {
        self.sum_us as f64 / 1e6
    }
}

/// How much a chain keeps between records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct StateSize {
    /// Keys with totals.
    pub keys: u64,
    /// Slices of windows that are not final.
    pub windows: u64,
    /// Ids in the dedup horizon.
    pub ids: u64,
    /// Memory that the module has taken, in bytes.
    pub bytes: u64,
}

/// What a task does with what its chain returns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TaskRole {
    /// Stores it.
    #[default]
    Active,
    /// Holds it back while another engine stores the same, and takes over when that one falls silent.
    Standby,
}

/// What a task is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskState {
    /// Finds out where to go on, and opens its stream.
    Starting,
    /// Carries results.
    Running,
    /// Failed, and waits for its next start.
    Waiting,
    /// Cannot go on without somebody's decision; the error says which.
    Stopped,
    /// Ended, because the engine was told to.
    Finished,
}

impl TaskStatus {
    /// A task that has not started yet.
    pub fn new(stage: &str, partition: u32) -> Self {
        Self {
            stage: stage.to_owned(),
            partition,
            state: TaskState::Starting,
            role: TaskRole::Active,
            error: None,
            restarts: 0,
            restarts_by: Restarts::default(),
            ready: false,
            epoch: 0,
            offset: 0,
            high_watermark: 0,
            seq: 0,
            reject_seq: 0,
            watermark: None,
            open: 0,
            dirty: false,
            backlog: 0,
            kept: StateSize::default(),
            checkpoint: None,
            checkpoint_at: None,
            records: 0,
            answers: 0,
            results: 0,
            result_bytes: 0,
            rejects: 0,
            reject_bytes: 0,
            checkpoints: 0,
            produce_times: Times::default(),
        }
    }

    /// A task begins in the place of one that has ended. What was counted since the engine started goes on.
    pub(crate) fn begin_again(&mut self) {
        self.state = TaskState::Starting;
        self.ready = false;
        self.error = None;
    }

    /// Source records that are known and not processed yet.
    pub fn lag(&self) -> i64 {
        (self.high_watermark - self.offset).max(0)
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            TaskState::Starting => "starting",
            TaskState::Running => "running",
            TaskState::Waiting => "waiting",
            TaskState::Stopped => "stopped",
            TaskState::Finished => "finished",
        })
    }
}

impl fmt::Display for TaskRole {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            TaskRole::Active => "active",
            TaskRole::Standby => "standby",
        })
    }
}
