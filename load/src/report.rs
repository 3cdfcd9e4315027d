//! What a run came to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::measure::{HistogramError, Times};

/// Version of the file's shape.
pub(crate) const FORMAT: u32 = 1;

/// What a run came to, as `--json` writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this shape.
    pub format: u32,
    /// Name of the run: its rooms begin with it.
    pub run: String,
    /// What was asked for.
    pub asked: Asked,
    /// Parts that it is made of.
    pub parts: Vec<u32>,
    /// Version of the program.
    pub version: String,
    /// When the first tap was due, ms since 1970.
    pub began_ms: u64,
    /// From the first tap to the last answer.
    pub seconds: f64,
    /// Numbers.
    pub counts: Numbers,
    /// From a tap's due time to its acknowledgement, by way in (`single`, `batch`, `socket`); to its appearance on a `screen`; from
    /// a watcher's request to its first message (`join`); how late the crowd itself was (`lag`).
    pub times: BTreeMap<String, Times>,
    /// Refusals and failures, by status and problem.
    pub refusals: BTreeMap<String, u64>,
    /// Bad clients, by what they did and what became of it.
    pub bad_clients: BTreeMap<String, u64>,
    /// Second by second.
    pub series: Vec<Point>,
    /// Room by room: does what was acknowledged stand in the finals?
    pub rooms: Vec<RoomReport>,
    /// What was found wrong. Empty: every promise was kept.
    pub broken: Vec<String>,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Scenario.
    pub scenario: String,
    /// Taps a second, on average.
    pub rate: f64,
    /// Watchers.
    pub watchers: usize,
    /// Rooms.
    pub rooms: usize,
    /// Seconds.
    pub duration_seconds: f64,
    /// Shares of single requests, batches and sockets.
    pub mix: [f64; 3],
    /// Share of watchers that took events.
    pub events_share: f64,
    /// Seed.
    pub seed: u64,
    /// Processes.
    pub parts: u32,
}

/// Numbers of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// Reactions that were due.
    pub reactions: u64,
    /// Taps that they stand for.
    pub taps: u64,
    /// Reactions that were acknowledged.
    pub acked_reactions: u64,
    /// Taps of those.
    pub acked_taps: u64,
    /// Taps that were refused.
    pub refused_taps: u64,
    /// Taps of which nobody knows.
    pub unknown_taps: u64,
    /// Taps that were not sent, because too much was on its way.
    pub unsent_taps: u64,
    /// Most watchers at a time.
    pub watching_max: u64,
    /// Updates that watchers got.
    pub deliveries: u64,
    /// Bytes of what watchers got.
    pub delivered_bytes: u64,
    /// Moments that watchers got.
    pub moments: u64,
    /// Results that watchers were told to have missed.
    pub skipped: u64,
    /// Results that a watcher missed without being told.
    pub gaps: u64,
    /// Finals that a watcher missed.
    pub gaps_final: u64,
    /// Results that a watcher got twice.
    pub repeats: u64,
    /// Connections that broke and were made anew.
    pub reconnects: u64,
    /// Tries to watch that failed.
    pub failed_joins: u64,
    /// Taps that a screen should have shown, and did not within 15 s.
    pub unseen: u64,
}

/// One second.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Since the first tap was due.
    pub second: u64,
    /// Taps that were due.
    pub taps: u64,
    /// Taps that were acknowledged.
    pub acked_taps: u64,
    /// Updates that watchers got.
    pub deliveries: u64,
    /// Watchers.
    pub watching: u64,
    /// Median and 99th percentile from a tap to its acknowledgement by all ways, in ms.
    pub acked_ms: Option<[f64; 2]>,
    /// The same to the screen.
    pub screen_ms: Option<[f64; 2]>,
    /// How late the crowd itself was.
    pub lag_ms: Option<[f64; 2]>,
    /// Resident memory of the process under load, in bytes.
    pub memory_bytes: Option<u64>,
    /// Processor seconds that it took in this second.
    pub processor: Option<f64>,
}

/// A room's cumulative counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Taps that count in a window.
    pub reactions: u64,
    /// Taps that came too late.
    pub late: u64,
    /// Taps under ids that were known.
    pub duplicates: u64,
    /// Events that were refused in the broker.
    pub rejected: u64,
}

/// What a room has to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomReport {
    /// The room.
    pub room: String,
    /// Taps that were acknowledged to it.
    pub acked: u64,
    /// Taps of which nobody knows.
    pub unknown: u64,
    /// Its counters at the end.
    pub totals: Totals,
    /// Taps by tumbling window definition, added up over the finals in its history.
    pub history: BTreeMap<String, u64>,
    /// The same as the watchers saw them; without watchers none.
    pub watched: BTreeMap<String, u64>,
}

impl RoomReport {
    /// Why what was acknowledged is not what is counted.
    pub(crate) fn faults(&self) -> Vec<String> {
        let Self { room, acked, unknown, totals, history, .. } = self;
        let mut faults = Vec::new();
        // A record that was written twice counts once, and beside that as a duplicate.
        let counted = totals.reactions + totals.late;
        if counted < *acked || counted > acked + unknown {
            faults.push(format!(
                "{room}: {acked} taps were acknowledged ({unknown} unknown), but {counted} are counted (late ones included)"
            ));
        }
        for (window, sum) in history {
            if *sum > totals.reactions || *sum + totals.late < totals.reactions {
                faults.push(format!(
                    "{room}: the finals of window {window} hold {sum} taps, the room's counters {} and {} late",
                    totals.reactions, totals.late
                ));
            }
        }
        if history.is_empty() && totals.reactions > 0 {
            faults.push(format!("{room}: {} taps are counted, but no window is final", totals.reactions));
        }
        faults
    }
}

/// Reports that do not belong together.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// Of another version.
    #[error("the report is of format {0}, and this program reads {FORMAT}: use the program that wrote it")]
    Format(u32),
    /// Of another run.
    #[error("the reports are of runs {0} and {1}; give all parts of one run the same --run")]
    Run(String, String),
    /// The same part again.
    #[error("part {0} is there twice")]
    Twice(u32),
    /// No report at all.
    #[error("there is nothing to merge")]
    Nothing,
    /// A histogram is damaged.
    #[error(transparent)]
    Histogram(#[from] HistogramError),
}

impl Report {
    /// One report of the parts of a run.
    ///
    /// # Errors
    ///
    /// [`MergeError`] for reports of different runs, or a part that is there twice.
    pub fn merge(reports: Vec<Self>) -> Result<Self, MergeError> {
        if let Some(other) = reports.iter().find(|report| report.format != FORMAT) {
            return Err(MergeError::Format(other.format));
        }
        let mut reports = reports.into_iter();
        let mut whole = reports.next().ok_or(MergeError::Nothing)?;
        for report in reports {
            whole.add(report)?;
        }
        whole.judge();
        Ok(whole)
    }

    fn add(&mut self, other: Self) -> Result<(), MergeError> {
        if self.run != other.run {
            return Err(MergeError::Run(self.run.clone(), other.run));
        }
        if let Some(part) = other.parts.iter().find(|part| self.parts.contains(part)) {
            return Err(MergeError::Twice(*part));
        }
        self.parts.extend(other.parts);
        self.parts.sort_unstable();
        let apart_ms = other.began_ms.abs_diff(self.began_ms);
        self.began_ms = self.began_ms.min(other.began_ms);
        self.seconds = self.seconds.max(other.seconds) + apart_ms as f64 / 1_000.0;
        self.counts.add(&other.counts);
        for (kind, times) in other.times {
            let both = self.times.get(&kind).map_or(Ok(times.clone()), |own| own.merged(&times))?;
            self.times.insert(kind, both);
        }
        for (table, more) in
            [(&mut self.refusals, other.refusals), (&mut self.bad_clients, other.bad_clients)]
        {
            for (what, count) in more {
                *table.entry(what).or_default() += count;
            }
        }
        for point in other.series {
            match self.series.iter_mut().find(|own| own.second == point.second) {
                Some(own) => own.add(&point),
                None => self.series.push(point),
            }
        }
        self.series.sort_by_key(|point| point.second);
        for room in other.rooms {
            match self.rooms.iter_mut().find(|own| own.room == room.room) {
                Some(own) => own.add(room),
                None => self.rooms.push(room),
            }
        }
        self.broken.extend(other.broken);
        Ok(())
    }

    /// Whether all parts are there, so that the rooms can be judged.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.parts.len() == self.asked.parts as usize
    }

    /// Finds what is wrong.
    pub(crate) fn judge(&mut self) {
        let mut broken = Vec::new();
        let Numbers { gaps, gaps_final, repeats, unseen, .. } = self.counts;
        for (count, what) in [
            (gaps, "results were missed by a watcher that was not told"),
            (gaps_final, "finals were missed by a watcher"),
            (repeats, "results came twice to a watcher"),
            (unseen, "taps were acknowledged, and on no screen within 15 s"),
        ] {
            if count > 0 {
                broken.push(format!("{count} {what}"));
            }
        }
        if self.is_whole() {
            broken.extend(self.rooms.iter().flat_map(RoomReport::faults));
        }
        self.broken = broken;
    }
}

impl Numbers {
    fn add(&mut self, other: &Self) {
        for (own, more) in [
            (&mut self.reactions, other.reactions),
            (&mut self.taps, other.taps),
            (&mut self.acked_reactions, other.acked_reactions),
            (&mut self.acked_taps, other.acked_taps),
            (&mut self.refused_taps, other.refused_taps),
            (&mut self.unknown_taps, other.unknown_taps),
            (&mut self.unsent_taps, other.unsent_taps),
            (&mut self.watching_max, other.watching_max),
            (&mut self.deliveries, other.deliveries),
            (&mut self.delivered_bytes, other.delivered_bytes),
            (&mut self.moments, other.moments),
            (&mut self.skipped, other.skipped),
            (&mut self.gaps, other.gaps),
            (&mut self.gaps_final, other.gaps_final),
            (&mut self.repeats, other.repeats),
            (&mut self.reconnects, other.reconnects),
            (&mut self.failed_joins, other.failed_joins),
            (&mut self.unseen, other.unseen),
        ] {
            *own += more;
        }
    }
}

/// The worse of two.
fn worse(one: Option<[f64; 2]>, two: Option<[f64; 2]>) -> Option<[f64; 2]> {
    match (one, two) {
        (Some(one), Some(two)) => Some([one[0].max(two[0]), one[1].max(two[1])]),
        (one, two) => one.or(two),
    }
}

impl Point {
    /// Another process's same second. Percentiles of a second cannot be added up: the worse ones stay.
    fn add(&mut self, other: &Self) {
        self.taps += other.taps;
        self.acked_taps += other.acked_taps;
        self.deliveries += other.deliveries;
        self.watching += other.watching;
        self.acked_ms = worse(self.acked_ms, other.acked_ms);
        self.screen_ms = worse(self.screen_ms, other.screen_ms);
        self.lag_ms = worse(self.lag_ms, other.lag_ms);
        self.memory_bytes = self.memory_bytes.max(other.memory_bytes);
        self.processor = match (self.processor, other.processor) {
            (Some(one), Some(two)) => Some(one.max(two)),
            (one, two) => one.or(two),
        };
    }
}

impl RoomReport {
    /// The same room as another process saw it, which may have looked earlier.
    fn add(&mut self, other: Self) {
        self.acked += other.acked;
        self.unknown += other.unknown;
        let counted = |totals: &Totals| totals.reactions + totals.late;
        if counted(&other.totals) > counted(&self.totals) {
            self.totals = other.totals;
        }
        for (own, others) in [(&mut self.history, other.history), (&mut self.watched, other.watched)] {
            for (window, sum) in others {
                let own = own.entry(window).or_default();
                *own = sum.max(*own);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Meter;

    fn part(number: u32, acked: u64, reactions: u64) -> Report {
        let totals = Totals { reactions, ..Totals::default() };
        Report {
            format: FORMAT,
            run: "r".to_owned(),
            asked: Asked {
                scenario: "steady".to_owned(),
                rate: 10.0,
                watchers: 2,
                rooms: 1,
                duration_seconds: 1.0,
                mix: [1.0, 0.0, 0.0],
                events_share: 0.0,
                seed: 1,
                parts: 2,
            },
            parts: vec![number],
            version: "0".to_owned(),
            began_ms: 5,
            seconds: 1.0,
            counts: Numbers { acked_taps: acked, ..Numbers::default() },
            times: BTreeMap::from([("single".to_owned(), Meter::new().times())]),
            refusals: BTreeMap::new(),
            bad_clients: BTreeMap::new(),
            series: vec![Point { taps: acked, ..Point::default() }],
            rooms: vec![RoomReport {
                room: "a".to_owned(),
                acked,
                unknown: 0,
                totals,
                history: BTreeMap::from([("10s".to_owned(), reactions)]),
                watched: BTreeMap::new(),
            }],
            broken: Vec::new(),
        }
    }

    #[test]
    fn rooms_are_judged_when_all_parts_are_there() {
        // The first part looked before the second one had sent everything.
        let whole = Report::merge(vec![part(1, 30, 70), part(2, 50, 80)]).expect("one run");
        assert!(whole.is_whole() && whole.broken.is_empty(), "{:?}", whole.broken);
        assert_eq!((whole.counts.acked_taps, whole.series[0].taps), (80, 80));
        let lost = Report::merge(vec![part(1, 30, 70), part(2, 50, 79)]).expect("one run");
        assert_eq!(lost.broken.len(), 1, "{:?}", lost.broken);
        assert!(lost.broken[0].contains("80 taps were acknowledged"));
        assert!(matches!(Report::merge(vec![part(1, 1, 1), part(1, 1, 1)]), Err(MergeError::Twice(1))));
        let other = Report { run: "s".to_owned(), ..part(2, 1, 1) };
        assert!(matches!(Report::merge(vec![part(1, 1, 1), other]), Err(MergeError::Run(..))));
    }

    #[test]
    fn a_tap_too_much_or_too_few_is_found() {
        let good = part(1, 10, 10).rooms.remove(0);
        assert_eq!(good.faults(), Vec::<String>::new());
        let unknown = RoomReport { acked: 8, unknown: 2, ..good.clone() };
        assert_eq!(unknown.faults(), Vec::<String>::new());
        for acked in [9, 11] {
            assert_eq!(RoomReport { acked, ..good.clone() }.faults().len(), 1, "{acked}");
        }
        let late = Totals { reactions: 9, late: 1, ..Totals::default() };
        let window = |sum| BTreeMap::from([("10s".to_owned(), sum)]);
        assert!(RoomReport { totals: late, history: window(9), ..good.clone() }.faults().is_empty());
        assert_eq!(RoomReport { totals: late, history: window(7), ..good.clone() }.faults().len(), 1);
        assert_eq!(RoomReport { history: BTreeMap::new(), ..good }.faults().len(), 1);
    }
}
