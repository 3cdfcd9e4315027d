//! Times as histograms, of the whole run and of the last second.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};
use serde::{Deserialize, Serialize};

/// Longest time that is told apart.
const LONGEST: Duration = Duration::from_secs(120);
/// Digits that are kept.
const DIGITS: u8 = 3;

/// Percentiles of a report.
pub(crate) const PERCENTILES: [f64; 6] = [50.0, 90.0, 95.0, 99.0, 99.9, 100.0];

/// A lock whose holder panicked is as good as before: it holds numbers.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes times of one kind.
#[derive(Debug)]
pub(crate) struct Meter(Mutex<Histograms>);

#[derive(Debug)]
struct Histograms {
    whole: Histogram<u64>,
    second: Histogram<u64>,
}

fn histogram() -> Histogram<u64> {
    let longest = LONGEST.as_micros() as u64;
    Histogram::new_with_max(longest, DIGITS).unwrap_or_else(|error| unreachable!("fixed bounds: {error}"))
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Histograms { whole: histogram(), second: histogram() }))
    }

    pub(crate) fn record(&self, time: Duration) {
        self.record_many(time, 1);
    }

    /// Records what took the same time for several.
    pub(crate) fn record_many(&self, time: Duration, count: u64) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let mut histograms = lock(&self.0);
        histograms.whole.saturating_record_n(micros, count);
        histograms.second.saturating_record_n(micros, count);
    }

    /// Median and 99th percentile since the last call, in ms.
    pub(crate) fn second(&self) -> Option<[f64; 2]> {
        let mut histograms = lock(&self.0);
        let second = &mut histograms.second;
        let seen = (!second.is_empty()).then(|| [50.0, 99.0].map(|at| ms(second.value_at_percentile(at))));
        second.clear();
        seen
    }

    /// All so far.
    pub(crate) fn times(&self) -> Times {
        Times::of(&lock(&self.0).whole)
    }
}

fn ms(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

/// Times of one kind, in ms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// How many.
    pub count: u64,
    /// Mean.
    pub mean_ms: f64,
    /// Half of them.
    pub p50_ms: f64,
    /// Nine of ten.
    pub p90_ms: f64,
    /// 95 of a hundred.
    pub p95_ms: f64,
    /// 99 of a hundred.
    pub p99_ms: f64,
    /// 999 of a thousand.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// All of them: an HdrHistogram of µs (V2), in base64.
    pub histogram: String,
}

/// A report's histogram that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "failed to read a histogram: {0}; expected an HdrHistogram (V2) in base64, as `ovation load` writes it"
)]
pub struct HistogramError(String);

impl Times {
    fn of(whole: &Histogram<u64>) -> Self {
        let [p50_ms, p90_ms, p95_ms, p99_ms, p999_ms, max_ms] =
            PERCENTILES.map(|at| ms(whole.value_at_percentile(at)));
        let mut bytes = Vec::new();
        // Writing to memory does not fail.
        let _ = V2Serializer::new().serialize(whole, &mut bytes);
        let mean_ms = whole.mean() / 1_000.0;
        let histogram = STANDARD.encode(bytes);
        Self { count: whole.len(), mean_ms, p50_ms, p90_ms, p95_ms, p99_ms, p999_ms, max_ms, histogram }
    }

    fn read(&self) -> Result<Histogram<u64>, HistogramError> {
        let bytes = STANDARD.decode(&self.histogram).map_err(|error| HistogramError(error.to_string()))?;
        Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|error| HistogramError(error.to_string()))
    }

    /// Times of both.
    pub(crate) fn merged(&self, other: &Self) -> Result<Self, HistogramError> {
        let mut whole = histogram();
        for times in [self, other] {
            whole.add(times.read()?).map_err(|error| HistogramError(error.to_string()))?;
        }
        Ok(Self::of(&whole))
    }

    /// Pairs of a percentile and its time in ms, as far as there are times to tell it.
    pub(crate) fn curve(&self) -> Result<Vec<(f64, f64)>, HistogramError> {
        let whole = self.read()?;
        let points =
            whole.iter_quantiles(4).map(|at| (at.quantile_iterated_to() * 100.0, ms(at.value_iterated_to())));
        Ok(points.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_two_processes_add_up() {
        let [one, two, both] = [(); 3].map(|()| Meter::new());
        for (meter, range) in [(&one, 1..=100), (&two, 901..=1_000)] {
            for time in range.map(Duration::from_millis) {
                meter.record(time);
                both.record(time);
            }
        }
        let merged = one.times().merged(&two.times()).expect("readable");
        assert_eq!(merged, both.times());
        assert_eq!((merged.count, merged.p50_ms.round(), merged.max_ms.round()), (200, 100.0, 1_000.0));
        let broken = Times { histogram: "bm9uZQ==".to_owned(), ..one.times() };
        assert!(broken.merged(&two.times()).is_err());
    }

    #[test]
    fn a_second_is_told_once_and_what_is_too_long_is_the_longest() {
        let meter = Meter::new();
        assert_eq!(meter.second(), None);
        meter.record_many(Duration::from_millis(5), 3);
        meter.record(Duration::from_secs(100_000));
        let [p50, p99] = meter.second().expect("four times");
        assert!((5.0..5.1).contains(&p50) && p99 >= 120_000.0, "{p50} {p99}");
        assert_eq!(meter.second(), None);
        assert_eq!(meter.times().count, 4);
    }
}
