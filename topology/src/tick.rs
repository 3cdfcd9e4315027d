//! Ticks: records on the source that only move stream time, for as long as a stage waits for it to move.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ovation_client::{ProduceError, Producer, Stored};
use tokio::task::JoinHandle;
use tracing::debug;

use crate::control::{Progress, TICK_KEY, Tick};

/// A tick that the chain has not answered after this long: the stream has died without a word.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

/// Appends ticks to one source partition. At most one is on its way, from here to the chain's answer, so a stage that lags is
/// not given more of them.
pub(crate) struct Ticker {
    producer: Producer,
    every: Duration,
    sending: Option<JoinHandle<Result<Stored, ProduceError>>>,
    /// Offset of the last tick, and since when it has been waited for.
    unanswered: Option<(i64, Instant)>,
}

impl Ticker {
    pub(crate) fn new(producer: Producer, every: Duration) -> Self {
        Self { producer, every, sending: None, unanswered: None }
    }

    /// Sends a tick if one is called for. Never waits; answers the offset of the last tick once it is known.
    pub(crate) async fn beat(&mut self, progress: Option<&Progress>) -> Option<i64> {
        if let Some(sending) = self.sending.take_if(|sending| sending.is_finished()) {
            match sending.await {
                Ok(Ok(stored)) => self.unanswered = Some((stored.offset, Instant::now())),
                Ok(Err(error)) => debug!(%error, "a tick was not acknowledged"),
                Err(error) => debug!(%error, "a tick was given up"),
            }
        }
        let answered = progress.and_then(|progress| progress.next).unwrap_or(0);
        let offset = self.unanswered.map(|(offset, _)| offset);
        self.unanswered = self.unanswered.filter(|(offset, _)| *offset >= answered);
        let now = now_ms();
        let is_due = progress.is_some_and(|progress| is_due(progress, now, self.every));
        if self.sending.is_none() && self.unanswered.is_none() && is_due {
            self.send(now);
        }
        offset
    }

    /// Sends a tick whatever the progress: a chain that has nothing to read says nothing (docs/fluvio.md 9), and compiling it takes a
    /// broker seconds, so only an answer shows that it works.
    pub(crate) fn probe(&mut self) {
        self.send(now_ms());
    }

    fn send(&mut self, now: i64) {
        let producer = self.producer.clone();
        let value = serde_json::to_vec(&Tick { tick: now }).unwrap_or_default();
        self.sending =
            Some(tokio::spawn(async move { producer.send(Some(TICK_KEY.as_bytes().to_vec()), value).await }));
    }

    /// Whether the chain has left a tick unanswered for too long.
    pub(crate) fn is_stalled(&self) -> bool {
        self.unanswered.is_some_and(|(_, since)| since.elapsed() > ANSWER_DEADLINE)
    }
}

/// A tick is called for while something waits for stream time, and stream time lags the clock by at least half the interval:
/// records that arrive move it just as well.
fn is_due(progress: &Progress, now_ms: i64, every: Duration) -> bool {
    let waits = progress.dirty || progress.open > 0;
    let half = i64::try_from(every.as_millis() / 2).unwrap_or(i64::MAX);
    waits && progress.stream_time.is_none_or(|time| now_ms.saturating_sub(time) >= half)
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(dirty: bool, open: u64, stream_time: Option<i64>) -> Progress {
        Progress {
            first: Some(0),
            next: Some(1),
            watermark: None,
            stream_time,
            dirty,
            open,
            seq: 0,
            reject_seq: 0,
        }
    }

    #[test]
    fn an_idle_stage_is_not_ticked() {
        assert!(!is_due(&progress(false, 0, Some(0)), 1_000_000, Duration::from_millis(100)));
    }

    #[test]
    fn an_open_window_is_ticked_once_stream_time_lags() {
        let every = Duration::from_millis(100);
        assert!(is_due(&progress(false, 1, Some(1_000)), 1_050, every));
        assert!(is_due(&progress(true, 0, Some(1_000)), 1_050, every));
        assert!(!is_due(&progress(true, 1, Some(1_000)), 1_049, every));
        assert!(!is_due(&progress(true, 1, Some(2_000)), 1_000, every), "records from a faster clock");
    }
}
