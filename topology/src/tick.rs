//! Ticks: records on the source that only move time, for as long as a stage waits for it to move.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use ovation_client::{ProduceError, Producer};
use tokio::task::JoinHandle;
use tracing::debug;

use crate::control::{Progress, TICK_KEY, Tick};

/// A tick that the chain has not answered after this long: the stream has died without a word.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);
/// Longest time between two ticks while anything waits: finals are late by about this much, and whoever watches the source
/// (a standby) takes longer silence for the end of the one who ticks.
const PACE_MAX: Duration = Duration::from_millis(250);
const PACE_MIN: Duration = Duration::from_millis(10);
/// Ticks in one batch for results that wait only for another record: each lets about 8 KiB out, so a batch's answer stays
/// around 2 MiB.
const BACKLOG_TICKS_MAX: u64 = 256;
/// Results that a tick is reckoned to let out.
const RESULTS_PER_TICK: u64 = 8;

/// Appends ticks to one source partition. One batch at most is on its way, from here to the chain's answer, so a stage that
/// lags is not given more of them.
pub(crate) struct Ticker {
    /// None for a source that takes no ticks: then there are none.
    producer: Option<Producer>,
    pace: Pace,
    /// The batch that the broker has not acknowledged yet.
    sending: Option<JoinHandle<Result<i64, ProduceError>>>,
    /// Offset of the last tick, and since when the chain's answer to it has been waited for.
    unanswered: Option<(i64, Instant)>,
    sent_at: Option<Instant>,
}

/// How often to tick.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// While updates wait for their time.
    dirty: Duration,
    /// While windows are open and nothing has changed in them: nothing can come of a tick before stream time moves, and that
    /// takes two ticks that span the idleness. Often enough that a final is late by a quarter of a second at most.
    open: Duration,
}

impl Ticker {
    pub(crate) fn new(producer: Option<Producer>, every: Duration, idleness: Duration) -> Self {
        Self { producer, pace: Pace::new(every, idleness), sending: None, unanswered: None, sent_at: None }
    }

    /// How often [`beat`](Ticker::beat) should be called.
    pub(crate) fn interval(&self) -> Duration {
        self.pace.dirty.min(self.pace.open)
    }

    /// Sends what is called for, in the background, once the last batch is answered.
    pub(crate) fn beat(&mut self, progress: Option<&Progress>) {
        let Some(progress) = progress else { return };
        let answered = progress.next.unwrap_or(0);
        self.unanswered = self.unanswered.filter(|(offset, _)| *offset >= answered);
        if self.sending.is_some() || self.unanswered.is_some() {
            return;
        }
        let now = now_ms();
        // Beats come a little early or late: half an interval decides.
        let since = self.sent_at.map(|at| at.elapsed() + self.interval() / 2);
        if let Some(count) = self.pace.due(progress, now, since) {
            self.send(now, count);
        }
    }

    /// Sends a tick that moves nothing, whatever the progress: a chain that has nothing to read says nothing (docs/fluvio.md 9), and
    /// compiling it takes a broker seconds, so only an answer shows that it works.
    pub(crate) fn probe(&mut self) {
        self.send(0, 1);
    }

    /// Waits until the broker has acknowledged what is on its way; answers the offset of the last tick. Waits for ever where
    /// nothing is. Safe to be dropped and called again.
    pub(crate) async fn acknowledged(&mut self) -> i64 {
        loop {
            let Some(sending) = &mut self.sending else { std::future::pending().await };
            let ended = sending.await;
            self.sending = None;
            match ended {
                Ok(Ok(offset)) => {
                    self.unanswered = Some((offset, Instant::now()));
                    return offset;
                }
                // The next beat tries again.
                Ok(Err(error)) => debug!(%error, "a tick was not acknowledged"),
                Err(error) => debug!(%error, "a tick was given up"),
            }
        }
    }

    fn send(&mut self, time: i64, count: u64) {
        let Some(producer) = self.producer.clone() else { return };
        let value = serde_json::to_vec(&Tick { tick: time }).unwrap_or_default();
        self.sent_at = Some(Instant::now());
        self.sending = Some(tokio::spawn(async move {
            // Sent side by side they share a batch.
            let one = || producer.send(Some(TICK_KEY.as_bytes().to_vec()), value.clone());
            let mut last = 0;
            for stored in join_all((0..count).map(|_| one())).await {
                last = stored?.offset.max(last);
            }
            Ok(last)
        }));
    }

    /// Whether the chain has left a tick unanswered for too long.
    pub(crate) fn is_stalled(&self) -> bool {
        self.unanswered.is_some_and(|(_, since)| since.elapsed() > ANSWER_DEADLINE)
    }
}

impl Pace {
    fn new(every: Duration, idleness: Duration) -> Self {
        let dirty = every.clamp(PACE_MIN, PACE_MAX);
        Self { dirty, open: idleness.clamp(dirty, PACE_MAX) }
    }

    /// How many ticks are called for, `since` the last one was sent.
    fn due(&self, progress: &Progress, now_ms: i64, since: Option<Duration>) -> Option<u64> {
        if progress.backlog > 0 {
            return Some((progress.backlog / RESULTS_PER_TICK + 1).min(BACKLOG_TICKS_MAX));
        }
        let pace = match progress {
            Progress { dirty: true, .. } => self.dirty,
            Progress { open: 1.., .. } => self.open,
            _ => return None,
        };
        // Records move time just as well. Only stream time near the clock shows that they do: a source that lags, or runs
        // ahead, lets no update out.
        let half = i64::try_from(pace.as_millis() / 2).unwrap_or(i64::MAX);
        let moves = progress.stream_time.is_some_and(|time| now_ms.saturating_sub(time).abs() < half);
        (!moves && since.is_none_or(|since| since >= pace)).then_some(1)
    }
}

/// The clock, ms since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::StateSize;

    const NOW: i64 = 1_000_000;
    const EVERY: Duration = Duration::from_millis(100);

    fn progress(dirty: bool, open: u64, backlog: u64, stream_time: i64) -> Progress {
        Progress {
            first: Some(0),
            next: Some(1),
            watermark: None,
            stream_time: Some(stream_time),
            dirty,
            open,
            backlog,
            seq: 0,
            reject_seq: 0,
            state: StateSize::default(),
        }
    }

    fn due(progress: &Progress, since_ms: u64) -> Option<u64> {
        Pace::new(EVERY, Duration::from_secs(1)).due(progress, NOW, Some(Duration::from_millis(since_ms)))
    }

    #[test]
    fn an_idle_stage_is_not_ticked() {
        assert_eq!(due(&progress(false, 0, 0, 0), 1_000_000), None);
    }

    #[test]
    fn a_change_is_ticked_as_often_as_updates_may_come() {
        let waits = progress(true, 1, 0, NOW - 100);
        assert_eq!((due(&waits, 99), due(&waits, 100)), (None, Some(1)));
    }

    #[test]
    fn an_open_window_without_a_change_is_ticked_less_often() {
        let open = progress(false, 3, 0, NOW - 5_000);
        assert_eq!((due(&open, 249), due(&open, 250)), (None, Some(1)));
        let slow = Pace::new(Duration::from_secs(60), Duration::ZERO);
        assert_eq!(slow.open, PACE_MAX, "finals do not wait for rare updates");
        assert_eq!(Pace::new(EVERY, Duration::ZERO).open, EVERY, "without idleness every tick counts");
    }

    #[test]
    fn records_that_keep_up_with_the_clock_spare_ticks_and_others_do_not() {
        assert_eq!(due(&progress(true, 1, 0, NOW - 49), 1_000), None);
        assert_eq!(due(&progress(true, 1, 0, NOW - 50), 1_000), Some(1));
        assert_eq!(due(&progress(true, 1, 0, NOW + 4_000), 1_000), Some(1), "from a faster clock");
    }

    #[test]
    fn what_waits_only_for_a_record_gets_some_at_once() {
        assert_eq!(due(&progress(false, 0, 1, NOW), 0), Some(1));
        assert_eq!(due(&progress(true, 9, 80, NOW), 0), Some(11));
        assert_eq!(due(&progress(true, 9, 10_000, NOW), 0), Some(BACKLOG_TICKS_MAX));
    }
}
