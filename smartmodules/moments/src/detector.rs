//! Bursts in a series of counts, by the series' own recent past.
//!
//! Counts are judged on the scale of 2·√(x + ⅜) (Anscombe 1948), where chance alone spreads every count by about 1, be it large
//! or small. What is usual is the median of the windows before, or of the last three if that is more; how far they spread is
//! their median absolute deviation. Half of them may be anything, and none of the two moves far.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Makes a median absolute deviation comparable to a standard deviation.
const MAD_TO_DEVIATION: f64 = 1.4826;
/// What chance alone spreads counts by: less is never taken for the spread.
const SPREAD_MIN: f64 = 1.0;

/// The last windows, which tell whether the room is busier than it was.
const LATELY: usize = 3;
/// A burst is over when less of its height is left.
const FADED: f64 = 0.25;

/// When a count is a burst.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Windows that tell what is usual. After a silence of as many windows the past no longer counts.
    pub baseline: usize,
    /// Windows before which nothing is a burst.
    pub warm_up: usize,
    /// Deviations above the usual with which a burst begins. It goes on above half of it, and while a quarter of its height is
    /// left: a room that is busier afterwards is not the burst.
    pub threshold: f64,
    /// Times the usual that a burst begins with.
    pub lift: f64,
    /// Taps in a window that a burst begins with.
    pub taps_min: u64,
    /// After a burst no other begins for so long, in ms.
    pub cool_down_ms: i64,
    /// What lasts longer than this, in ms, is the new usual.
    pub longest_ms: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            baseline: 12,
            warm_up: 6,
            threshold: 3.5,
            lift: 2.0,
            taps_min: 20,
            cool_down_ms: 30_000,
            longest_ms: 120_000,
        }
    }
}

/// What was usual when a burst began.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Usual {
    /// Median of the counts.
    pub median: f64,
    /// Spread on the scale on which counts are judged, to three digits: a checkpoint gives the same number back.
    spread: f64,
}

impl Usual {
    /// Deviations of a count above the usual.
    #[must_use]
    pub fn score(&self, total: u64) -> f64 {
        (leveled(total as f64) - leveled(self.median)) / self.spread
    }

    /// Whether little is left of a burst with this peak: less than a quarter of what it stood above the usual.
    fn has_faded(&self, total: u64, peak: u64) -> bool {
        total as f64 - self.median < FADED * (peak as f64 - self.median)
    }

    /// A count by the usual one, or by one where that is less.
    #[must_use]
    pub fn lift(&self, total: u64) -> f64 {
        total as f64 / self.median.max(1.0)
    }
}

/// A count on the scale on which chance spreads all alike.
fn leveled(count: f64) -> f64 {
    2.0 * (count + 0.375).sqrt()
}

/// What a window is, to the series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// As usual.
    Usual,
    /// The first of a burst.
    Begins(Usual),
    /// One more of the burst.
    GoesOn,
    /// The burst was over before it.
    Ends,
    /// One more of the burst, which has lasted so long that it is the usual from now on.
    Stays,
}

/// One series: a room's windows of one definition, in order of time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Counts of the last windows outside bursts, oldest first.
    past: VecDeque<u64>,
    burst: Option<Burst>,
    /// No burst begins before.
    quiet_until: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Burst {
    start: i64,
    usual: Usual,
    peak: u64,
    /// Its first counts, as many as the past may hold.
    totals: Vec<u64>,
}

impl Series {
    /// Takes a window without a count: nobody reacted.
    pub fn silence(&mut self, settings: &Settings, windows: u64) {
        if windows >= settings.baseline as u64 {
            self.past.clear();
            return;
        }
        for _ in 0..windows {
            self.remember(settings, 0);
        }
    }

    /// Takes the next window. A silence before it, and the end of a burst by that, have to be told before.
    pub fn window(&mut self, settings: &Settings, start_ms: i64, end_ms: i64, total: u64) -> Step {
        let Some(burst) = &mut self.burst else {
            let begins = (start_ms >= self.quiet_until && total >= settings.taps_min)
                .then(|| self.usual(settings))
                .flatten()
                .filter(|usual| {
                    usual.score(total) >= settings.threshold && usual.lift(total) >= settings.lift
                });
            let Some(usual) = begins else {
                self.remember(settings, total);
                return Step::Usual;
            };
            self.burst = Some(Burst { start: start_ms, usual, peak: total, totals: vec![total] });
            return Step::Begins(usual);
        };
        burst.peak = burst.peak.max(total);
        if burst.usual.score(total) < settings.threshold / 2.0 || burst.usual.has_faded(total, burst.peak) {
            self.end(settings, start_ms);
            self.remember(settings, total);
            return Step::Ends;
        }
        if burst.totals.len() < settings.baseline {
            burst.totals.push(total);
        }
        if end_ms - burst.start < settings.longest_ms {
            return Step::GoesOn;
        }
        let burst = self.end(settings, end_ms);
        for total in burst.into_iter().flat_map(|burst| burst.totals) {
            self.remember(settings, total);
        }
        Step::Stays
    }

    /// Ends the burst that goes on, if there is one: nobody has reacted since `end_ms`.
    pub fn fall_silent(&mut self, settings: &Settings, end_ms: i64) {
        self.end(settings, end_ms);
    }

    fn end(&mut self, settings: &Settings, end_ms: i64) -> Option<Burst> {
        let burst = self.burst.take()?;
        self.quiet_until = end_ms.saturating_add(settings.cool_down_ms);
        Some(burst)
    }

    fn remember(&mut self, settings: &Settings, total: u64) {
        while self.past.len() >= settings.baseline {
            self.past.pop_front();
        }
        self.past.push_back(total);
    }

    /// What is usual; unknown while there were too few windows.
    fn usual(&self, settings: &Settings) -> Option<Usual> {
        if self.past.len() < settings.warm_up.max(1) {
            return None;
        }
        let counts = |skip: usize| self.past.iter().skip(skip).map(|total| *total as f64);
        let long = median(counts(0).collect());
        let apart = counts(0).map(|total| (leveled(total) - leveled(long)).abs()).collect();
        let spread = (MAD_TO_DEVIATION * median(apart) * 1_000.0).round() / 1_000.0;
        // A room that has become busier has not burst.
        let lately = median(counts(self.past.len().saturating_sub(LATELY)).collect());
        Some(Usual { median: long.max(lately), spread: spread.max(SPREAD_MIN) })
    }
}

/// The middle value, or the mean of the two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.len() % 2, values.get(middle)) {
        (_, None) => 0.0,
        (1, Some(value)) => *value,
        (_, Some(value)) => (values[middle - 1] + value) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE_MS: i64 = 10_000;

    /// Feeds counts window by window from `start` on.
    fn feed(series: &mut Series, settings: &Settings, start: i64, totals: &[u64]) -> Vec<Step> {
        let at = |index: usize| (start + index as i64) * SIZE_MS;
        let steps = totals.iter().enumerate();
        steps.map(|(index, total)| series.window(settings, at(index), at(index + 1), *total)).collect()
    }

    fn warm(settings: &Settings) -> Series {
        let mut series = Series::default();
        let steps = feed(&mut series, settings, 0, &[10, 12, 8, 10, 11, 9]);
        assert!(steps.iter().all(|step| *step == Step::Usual));
        series
    }

    #[test]
    fn a_burst_by_hand() {
        let settings = Settings::default();
        let mut series = warm(&settings);
        let usual = series.usual(&settings).expect("six windows");
        // The median of 8 … 12 is 10; on the scale it is 2·√10.375 = 6.442. The deviations from it, in order: 0, 0, 0.307, 0.318,
        // 0.591, 0.654 make a median of 0.31, which is less than chance alone.
        assert_eq!((usual.median, usual.spread), (10.0, 1.0));
        assert!((leveled(usual.median) - 6.442).abs() < 0.001);
        // 2·√100.375 = 20.037.
        assert!((usual.score(100) - 13.595).abs() < 0.001);
        assert_eq!(usual.lift(100), 10.0);
        let steps = feed(&mut series, &settings, 6, &[100, 140, 60, 12, 10]);
        assert_eq!(steps, [Step::Begins(usual), Step::GoesOn, Step::GoesOn, Step::Ends, Step::Usual]);
    }

    #[test]
    fn what_is_large_only_by_chance_is_no_burst() {
        let settings = Settings::default();
        // 24 of 10 are 3.4 deviations, 25 are 3.6.
        assert_eq!(feed(&mut warm(&settings), &settings, 6, &[24]), [Step::Usual]);
        assert!(matches!(feed(&mut warm(&settings), &settings, 6, &[25])[0], Step::Begins(_)));
        // Far above in deviations, and not even twice as much: a large crowd has a large usual.
        let mut series = Series::default();
        feed(&mut series, &settings, 0, &[10_000; 6]);
        assert_eq!(feed(&mut series, &settings, 6, &[19_999]), [Step::Usual]);
        // Few people, however unusual.
        let mut series = Series::default();
        feed(&mut series, &settings, 0, &[0; 6]);
        assert_eq!(feed(&mut series, &settings, 6, &[19]), [Step::Usual]);
    }

    #[test]
    fn a_restless_room_needs_more() {
        let settings = Settings::default();
        let mut series = Series::default();
        feed(&mut series, &settings, 0, &[10, 90, 20, 80, 5, 100, 30, 60]);
        assert_eq!(feed(&mut series, &settings, 8, &[200]), [Step::Usual]);
        assert!(matches!(feed(&mut series, &settings, 9, &[2_000])[0], Step::Begins(_)));
    }

    #[test]
    fn nothing_begins_before_the_room_is_known_or_right_after_a_burst() {
        let settings = Settings::default();
        assert_eq!(feed(&mut Series::default(), &settings, 0, &[10, 10, 10, 10, 10, 500])[5], Step::Usual);
        let mut series = warm(&settings);
        let steps = feed(&mut series, &settings, 6, &[100, 10, 100, 100, 10, 10, 100]);
        assert!(matches!(steps[0], Step::Begins(_)));
        // It was over at 70 s; until 100 s nothing begins.
        assert_eq!(steps[1..4], [Step::Ends, Step::Usual, Step::Usual]);
        assert!(matches!(steps[6], Step::Begins(_)));
    }

    #[test]
    fn what_stays_is_the_new_usual() {
        let settings = Settings { longest_ms: 60_000, ..Settings::default() };
        let mut series = warm(&settings);
        let steps = feed(&mut series, &settings, 6, &[100; 20]);
        assert!(matches!(steps[0], Step::Begins(_)));
        assert!(steps[1..5].iter().all(|step| *step == Step::GoesOn));
        assert_eq!(steps[5], Step::Stays);
        assert!(steps[12..].iter().all(|step| *step == Step::Usual), "{steps:?}");
    }

    #[test]
    fn a_room_that_has_become_busier_has_not_burst() {
        let settings = Settings::default();
        let mut series = warm(&settings);
        // The second time it is as much again, against three windows of it.
        let steps = feed(&mut series, &settings, 6, &[19, 20, 21, 30]);
        assert!(steps.iter().all(|step| *step == Step::Usual), "{steps:?}");
        assert!(matches!(feed(&mut series, &settings, 10, &[80])[0], Step::Begins(_)));
    }

    #[test]
    fn a_burst_is_over_when_a_quarter_of_it_is_left() {
        let settings = Settings::default();
        let steps = feed(&mut warm(&settings), &settings, 6, &[100, 410, 110, 109]);
        assert_eq!(steps[1..], [Step::GoesOn, Step::GoesOn, Step::Ends]);
    }

    #[test]
    fn silence_is_part_of_the_past_and_much_of_it_is_the_end_of_it() {
        let settings = Settings::default();
        let mut series = warm(&settings);
        series.silence(&settings, 8);
        assert_eq!(series.usual(&settings).map(|usual| usual.median), Some(0.0));
        series.silence(&settings, 30);
        assert_eq!(series.usual(&settings), None);
    }

    #[test]
    fn a_burst_may_end_in_silence() {
        let settings = Settings::default();
        let mut series = warm(&settings);
        assert!(matches!(feed(&mut series, &settings, 6, &[100])[0], Step::Begins(_)));
        series.fall_silent(&settings, 70_000);
        assert_eq!(series.quiet_until, 100_000);
        assert_eq!(feed(&mut series, &settings, 9, &[100]), [Step::Usual]);
    }
}
