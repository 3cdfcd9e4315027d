//! Where the stages of an engine stand, as the process around the gateway tells it.

#[cfg(test)]
use serde::Deserialize;
use serde::Serialize;
#[cfg(test)]
use ts_rs::TS;
use utoipa::ToSchema;

/// A stage of the engine in this process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
pub struct StageStatus {
    /// Its name.
    pub stage: String,
    /// Topic that it reads.
    pub source: String,
    /// Topic that it writes its results to.
    pub sink: String,
    /// Its tasks.
    pub partitions: Vec<TaskStatus>,
}

/// A task: a stage's work on one partition of its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[cfg_attr(test, derive(Deserialize, TS))]
pub struct TaskStatus {
    /// The partition.
    pub partition: u32,
    /// `starting`, `running`, `waiting`, `stopped` or `finished`.
    pub state: String,
    /// `active`, or `standby` while another engine stores the same results.
    pub role: String,
    /// What went wrong last; null if all is well.
    pub error: Option<String>,
    /// Next offset of the source.
    pub offset: i64,
    /// Records of the source that are known and not processed yet.
    pub lag: i64,
    /// Stream time less grace, ms since 1970; null before the first record.
    pub watermark: Option<i64>,
    /// When its last checkpoint was stored, ms since 1970; null before the first one.
    pub checkpoint_at: Option<i64>,
}
