//! How many reactions and taps come in a second, over the last few seconds.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use crate::{App, wire};

/// Between two looks at the counters.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// Looks that are kept: the rate is that of so many seconds.
const SAMPLES_MAX: usize = 5;

/// The counters at a time.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    reactions: u64,
    taps: u64,
}

/// The last looks at the counters, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<VecDeque<Sample>>);

impl Rates {
    fn take(&self, at: Instant, (reactions, taps): (u64, u64)) {
        // It is whole after each change, so a panic elsewhere is no reason to stop.
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() >= SAMPLES_MAX {
            samples.pop_front();
        }
        samples.push_back(Sample { at, reactions, taps });
    }

    /// What came in a second since the oldest look, if the counters are at `counted` now.
    pub(crate) fn now(&self, counted: (u64, u64)) -> wire::IngestRates {
        self.until(Instant::now(), counted)
    }

    fn until(&self, now: Instant, (reactions, taps): (u64, u64)) -> wire::IngestRates {
        let oldest = self.0.lock().unwrap_or_else(PoisonError::into_inner).front().copied();
        let Some(oldest) = oldest else { return wire::IngestRates { reactions_per_s: 0.0, taps_per_s: 0.0 } };
        // Of less than one interval a single reaction would make a crowd.
        let seconds = (now - oldest.at).max(SAMPLE_INTERVAL).as_secs_f64();
        let rate = |now: u64, then: u64| (now.saturating_sub(then) as f64 / seconds * 10.0).round() / 10.0;
        wire::IngestRates {
            reactions_per_s: rate(reactions, oldest.reactions),
            taps_per_s: rate(taps, oldest.taps),
        }
    }
}

/// Looks at the counters now and then, until the gateway ends.
pub(crate) async fn measure(app: Arc<App>) {
    let mut beat = tokio::time::interval(SAMPLE_INTERVAL);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while app.shutdown.run_until_cancelled(beat.tick()).await.is_some() {
        app.pipeline.rates.take(Instant::now(), app.metrics.accepted());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let (rates, begun) = (Rates::default(), Instant::now());
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        let of = |seconds, counted| {
            let wire::IngestRates { reactions_per_s, taps_per_s } = rates.until(at(seconds), counted);
            (reactions_per_s, taps_per_s)
        };
        assert_eq!(of(0, (100, 300)), (0.0, 0.0), "nothing was seen yet");
        rates.take(at(0), (0, 0));
        assert_eq!(of(0, (7, 9)), (7.0, 9.0));
        for second in 1..=10 {
            rates.take(at(second), (second * 10, second * 30));
        }
        assert_eq!(of(11, (110, 330)), (10.0, 30.0));
        assert_eq!(of(16, (110, 330)), (5.0, 15.0), "it goes down when nothing comes");
    }
}
