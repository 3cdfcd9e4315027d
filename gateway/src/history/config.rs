//! Bounds on history.

use std::time::Duration;

/// How much of the past may be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// Longest range from `from` to `to`.
    pub range_max: Duration,
    /// Range that is answered where `from` is left out.
    pub range_default: Duration,
    /// Records in an answer: about 6 MB of JSON. What is left begins at the answer's `next`.
    pub windows_max: u32,
    /// Moments in an answer: about 1 MB of JSON. What is left begins at the answer's `next`.
    pub moments_max: u32,
    /// Records from the end of a partition of the moment topic, of all its rooms and all revisions, that a request for moments reads:
    /// 15 MB. Moments before them are not found.
    pub moments_records_max: u32,
    /// Records of the topic that a request reads before it ends with `next`: a few seconds of reading.
    pub records_max: u64,
    /// Time that a request reads the topic before it ends with `next`.
    pub deadline: Duration,
    /// Requests that read at a time; more are answered 503. Each holds a few of the broker's answers of up to 4 MiB.
    pub requests_max: usize,
    /// Longest grace that windows are reckoned to have: how much is read before `from`, and behind `to`, for what came late.
    pub grace_max: Duration,
    /// How far behind `to` is read at least for windows of definitions that have not shown up yet.
    pub settle: Duration,
    /// Records of all rooms in front of the place that was searched, which are read for those that stand in disorder.
    pub disorder_max: u32,
    /// Results kept while an earlier one of the partition is missing.
    pub early_results_max: usize,
    /// Windows of newer epochs known by name while an older epoch is answered: about 100 bytes each.
    pub renewed_max: usize,
    /// Epochs in the log of a partition.
    pub epochs_max: usize,
}

impl Default for History {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Self {
            range_max: minutes(31 * 24 * 60),
            range_default: minutes(60),
            windows_max: 10_000,
            moments_max: 1_000,
            moments_records_max: 20_000,
            records_max: 1_000_000,
            deadline: Duration::from_secs(20),
            requests_max: 4,
            grace_max: minutes(10),
            settle: minutes(60),
            disorder_max: 1_000,
            early_results_max: 1_000,
            renewed_max: 100_000,
            epochs_max: 64,
        }
    }
}
