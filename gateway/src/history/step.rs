//! Steps: the windows of one definition that begin in the same stretch of time, as one record.

use std::collections::BTreeMap;

use super::result::Final;
use crate::wire::Sentiment;

/// Definitions whose steps are open at a time: more than one stage has.
const DEFINITIONS_MAX: usize = 64;

/// Emoji in one step: more than Unicode has.
const EMOJI_MAX: usize = 10_000;

/// The only kind whose windows share no reaction, so that they may be added up.
const TUMBLING: &str = "tumbling";

/// Taps of a step, added up.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StepCounts {
    /// Name of the definition.
    pub(super) name: String,
    /// Kind of its windows.
    pub(super) kind: String,
    /// Start of the step, ms since 1970.
    pub(super) start: i64,
    /// Its end (exclusive), or that of its last window if that is later.
    pub(super) end: i64,
    /// Taps.
    pub(super) total: u64,
    /// Taps by emoji.
    pub(super) counts: BTreeMap<String, u64>,
    /// How many windows it is made of.
    pub(super) windows: u64,
    /// Their mood.
    pub(super) moods: Moods,
}

/// Moods, added up by the taps that tell of them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Moods {
    /// Windows that were judged.
    windows: u64,
    /// Taps of these.
    total: u64,
    /// Those of them that tell.
    n: u64,
    /// Of windows with a score: the score times the taps that tell, and these taps.
    weighed: (f64, u64),
}

impl Moods {
    fn add(&mut self, window: &Final<'_>) {
        let Some(mood) = window.sentiment else { return };
        self.windows += 1;
        self.total = self.total.saturating_add(window.total);
        self.n = self.n.saturating_add(mood.n);
        if let Some(score) = mood.score {
            self.weighed.0 += score * mood.n as f64;
            self.weighed.1 = self.weighed.1.saturating_add(mood.n);
        }
    }

    /// The mood of all; none where no window was judged.
    fn sentiment(self) -> Option<Sentiment> {
        let (sum, weight) = self.weighed;
        let share = |of: f64, all: u64| rounded(of / all as f64);
        (self.windows > 0).then(|| Sentiment {
            score: (weight > 0).then(|| share(sum, weight)),
            coverage: if self.total > 0 { share(self.n as f64, self.total) } else { 0.0 },
            n: self.n,
        })
    }
}

/// To three digits, as the stage has them.
fn rounded(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

impl StepCounts {
    /// The mood of its windows.
    pub(super) fn sentiment(&self) -> Option<Sentiment> {
        self.moods.sentiment()
    }

    /// One window by itself.
    fn of(window: &Final<'_>) -> Self {
        let counts =
            window.counts.iter().map(|(emoji, count)| (emoji.clone().into_owned(), *count)).collect();
        let mut moods = Moods::default();
        moods.add(window);
        Self {
            moods,
            name: window.window.name.clone().into_owned(),
            kind: window.window.kind.clone().into_owned(),
            start: window.window.start,
            end: window.window.end,
            total: window.total,
            counts,
            windows: 1,
        }
    }

    fn add(&mut self, window: &Final<'_>) {
        self.end = self.end.max(window.window.end);
        self.total = self.total.saturating_add(window.total);
        for (emoji, count) in &window.counts {
            match self.counts.get_mut(emoji.as_ref()) {
                Some(sum) => *sum = sum.saturating_add(*count),
                None => {
                    self.counts.insert(emoji.clone().into_owned(), *count);
                }
            }
        }
        self.windows += 1;
        self.moods.add(window);
    }
}

/// Adds windows up. Of one definition they come oldest first, so a step is complete when a later one begins.
#[derive(Debug)]
pub(super) struct Steps {
    step_ms: i64,
    /// By definition.
    open: BTreeMap<String, StepCounts>,
}

impl Steps {
    pub(super) fn new(step_ms: i64) -> Self {
        Self { step_ms: step_ms.max(1), open: BTreeMap::new() }
    }

    /// Takes a window; answers what is complete with it. Windows that overlap, or have no fixed length, are not added up: they
    /// are complete by themselves.
    pub(super) fn take(&mut self, window: &Final<'_>) -> Option<StepCounts> {
        if window.window.kind != TUMBLING {
            return Some(StepCounts::of(window));
        }
        let start = window.window.start.div_euclid(self.step_ms).saturating_mul(self.step_ms);
        if let Some(open) = self.open.get_mut(window.window.name.as_ref())
            && open.start == start
            && open.counts.len() + window.counts.len() <= EMOJI_MAX
        {
            open.add(window);
            return None;
        }
        let mut begun = StepCounts::of(window);
        begun.start = start;
        begun.end = start.saturating_add(self.step_ms).max(begun.end);
        let complete = self.open.insert(begun.name.clone(), begun);
        if complete.is_none() && self.open.len() > DEFINITIONS_MAX {
            return self.open.pop_first().map(|(_, step)| step);
        }
        complete
    }

    /// Steps that are open.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether this window would begin another step.
    pub(super) fn begins(&self, window: &Final<'_>) -> bool {
        let start = window.window.start.div_euclid(self.step_ms).saturating_mul(self.step_ms);
        self.open.get(window.window.name.as_ref()).is_none_or(|open| open.start != start)
    }

    /// What is left at the end, oldest first.
    pub(super) fn finish(&mut self) -> Vec<StepCounts> {
        let mut left: Vec<_> = std::mem::take(&mut self.open).into_values().collect();
        left.sort_by(|one, other| (one.start, &one.name).cmp(&(other.start, &other.name)));
        left
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::result::{Mood, WindowOf};
    use super::*;

    fn window(name: &str, kind: &str, start: i64, size: i64, counts: &[(&str, u64)]) -> Final<'static> {
        Final {
            window: WindowOf {
                name: name.to_owned().into(),
                kind: kind.to_owned().into(),
                start,
                end: start + size,
            },
            total: counts.iter().map(|(_, count)| count).sum(),
            counts: counts.iter().map(|(emoji, count)| ((*emoji).to_owned().into(), *count)).collect(),
            sentiment: None,
        }
    }

    #[test]
    fn moods_are_added_up_by_the_taps_that_tell_of_them() {
        let of = |start, total, score, n| Final {
            sentiment: Some(Mood { score, n }),
            ..window("10s", "tumbling", start, 10_000, &[("🔥", total)])
        };
        let plain = window("10s", "tumbling", 30_000, 10_000, &[("🔥", 1_000)]);
        let windows =
            [of(0, 100, Some(0.5), 30), of(10_000, 50, Some(-0.1), 10), of(20_000, 10, None, 8), plain];
        let all = stepped(60_000, &windows);
        let sentiment = all[0].sentiment();
        assert_eq!(sentiment, Some(Sentiment { score: Some(0.35), coverage: 0.3, n: 48 }), "48 of 160");
        assert_eq!(stepped(60_000, &windows[3..])[0].sentiment(), None, "nobody judged it");
        let few = stepped(60_000, &windows[2..3])[0].sentiment();
        assert_eq!(few, Some(Sentiment { score: None, coverage: 0.8, n: 8 }));
    }

    fn stepped(step_ms: i64, windows: &[Final<'_>]) -> Vec<StepCounts> {
        let mut steps = Steps::new(step_ms);
        let mut all: Vec<_> = windows.iter().filter_map(|window| steps.take(window)).collect();
        all.extend(steps.finish());
        all
    }

    #[test]
    fn a_window_longer_than_the_step_says_where_it_really_ends() {
        let all = stepped(10_000, &[window("1m", "tumbling", 60_000, 60_000, &[("🔥", 2)])]);
        assert_eq!((all[0].start, all[0].end, all[0].windows), (60_000, 120_000, 1));
    }

    #[test]
    fn windows_that_overlap_are_never_added_up() {
        let hopping = [0, 10_000].map(|start| window("hop", "hopping", start, 60_000, &[("🔥", 3)]));
        let all = stepped(3_600_000, &hopping);
        assert_eq!(
            all.iter().map(|step| (step.start, step.end, step.total)).collect::<Vec<_>>(),
            [(0, 60_000, 3), (10_000, 70_000, 3)]
        );
        let session = window("visit", "session", 123, 4_567, &[("👏", 1)]);
        assert_eq!(stepped(1_000, &[session])[0].start, 123);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let many: Vec<_> =
            (0..200).map(|number| window(&format!("w{number}"), "tumbling", 0, 10, &[("🔥", 1)])).collect();
        let mut steps = Steps::new(60_000);
        let out: Vec<_> = many.iter().filter_map(|window| steps.take(window)).collect();
        assert_eq!((steps.len(), out.len()), (DEFINITIONS_MAX, 200 - DEFINITIONS_MAX));
    }

    /// Taps, taps by emoji, and windows.
    type Sums = (u64, BTreeMap<String, u64>, u64);

    proptest! {
        /// Against the plain way: put each window into a map by definition and step.
        #[test]
        fn steps_are_the_sums_of_their_windows(
            gaps in prop::collection::vec((0..3_usize, 1..20_i64, prop::collection::btree_map("[🔥👏😂]", 1..100_u64, 0..4)), 0..200),
            step in 1..40_i64,
        ) {
            let (sizes, names) = ([1_000, 2_000, 60_000], ["a", "b", "c"]);
            let mut next = [-20_000_i64, 0, 0];
            let mut model: BTreeMap<(&str, i64), Sums> = BTreeMap::new();
            let step_ms = step * 500;
            let mut windows = Vec::new();
            for (which, gap, counts) in &gaps {
                let (name, size) = (names[*which], sizes[*which]);
                let start = next[*which];
                next[*which] += gap * size;
                let listed: Vec<_> = counts.iter().map(|(emoji, count)| (emoji.as_str(), *count)).collect();
                windows.push(window(name, "tumbling", start, size, &listed));
                let sum = model.entry((name, start.div_euclid(step_ms) * step_ms)).or_default();
                sum.0 += counts.values().sum::<u64>();
                for (emoji, count) in counts {
                    *sum.1.entry(emoji.clone()).or_default() += count;
                }
                sum.2 += 1;
            }
            let all = stepped(step_ms, &windows);
            prop_assert_eq!(all.len(), model.len(), "each step once");
            for one in &all {
                let (total, counts, windows) = &model[&(one.name.as_str(), one.start)];
                prop_assert_eq!((one.total, &one.counts, one.windows), (*total, counts, *windows));
                prop_assert!(one.end >= one.start + step_ms);
            }
            for name in names {
                let starts: Vec<_> = all.iter().filter(|one| one.name == name).map(|one| one.start).collect();
                prop_assert!(starts.is_sorted(), "oldest first: {:?}", starts);
            }
        }
    }
}
