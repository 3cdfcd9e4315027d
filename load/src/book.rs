//! What is known of a room: what was acknowledged to it, and what each watcher saw of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use crate::measure::{Meter, lock};
use crate::message::Update;

/// Watchers of a room that are asked when a tap was on their screen.
const SCREENS_MAX: usize = 8;
/// Results that a screen remembers the time of.
const SHOWN_MAX: usize = 4_096;
/// Taps that wait to be seen on a screen, in a room.
const SAMPLES_MAX: usize = 65_536;
/// A tap that is not on a screen for so long never was.
const UNSEEN: Duration = Duration::from_secs(15);
/// How long somebody who resumes may take to get what was missed.
const CATCH_UP: Duration = Duration::from_secs(5);
/// Results of a room that are told apart: an hour and more of all that one can have.
const RESULTS_MAX: usize = 1_000_000;

/// A result's place in the order of its room: epoch, number.
type Place = (u64, u64);

/// What is known of a room.
#[derive(Debug, Default)]
pub(crate) struct Book(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Every result that some watcher had, in order.
    results: Results,
    /// The last ones of their windows alone.
    finals: Results,
    acked: u64,
    unknown: u64,
    screens: Vec<Screen>,
    samples: VecDeque<Sample>,
    /// Taps per window definition, of windows that are final.
    windows: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
struct Results(VecDeque<Place>);

impl Results {
    /// Whether it is new.
    fn note(&mut self, place: Place) -> bool {
        match self.0.back() {
            Some(last) if *last < place => self.0.push_back(place),
            None => self.0.push_back(place),
            // Another watcher was faster, and passed over it.
            Some(_) => match self.0.binary_search(&place) {
                Ok(_) => return false,
                Err(at) => self.0.insert(at, place),
            },
        }
        if self.0.len() > RESULTS_MAX {
            self.0.pop_front();
        }
        true
    }

    /// How many there are from one to another; none where the first is forgotten.
    fn between(&self, first: Place, last: Place) -> Option<u64> {
        let begin = self.0.binary_search(&first).ok()?;
        let end = self.0.binary_search(&last).ok()?;
        Some((end - begin) as u64 + 1)
    }
}

/// When a watcher had which results.
#[derive(Debug, Default)]
struct Screen {
    /// Offset in the source, and when it was seen; both rise.
    shown: VecDeque<(i64, Duration)>,
    is_on: bool,
}

/// A tap whose place in the source is known.
#[derive(Debug)]
struct Sample {
    offset: i64,
    due: Duration,
    /// Screens that it was found on.
    found: u32,
}

/// Results that a watcher had without a break.
#[derive(Debug, Clone, Copy, Default)]
struct Stretch {
    first: Option<Place>,
    last: Place,
    count: u64,
}

impl Stretch {
    fn note(&mut self, place: Place) {
        self.first.get_or_insert(place);
        self.last = place;
        self.count += 1;
    }
}

/// What one watcher had.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    last: Place,
    /// Since it came, or since it had caught up when it last resumed.
    results: Stretch,
    /// Until then it catches up.
    caught_up: Duration,
    /// Since it came, or since a snapshot took the place of what it missed.
    finals: Stretch,
    skipped: u64,
    screen: Option<usize>,
    /// Stretches that are over, to be judged when all is known.
    over: Vec<Judged>,
    pub(crate) repeats: u64,
}

#[derive(Debug)]
enum Judged {
    Results(Stretch, u64),
    Finals(Stretch),
}

/// What a watcher missed, and was not told of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Gaps {
    pub(crate) results: u64,
    pub(crate) finals: u64,
}

/// What a room has to show for what was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Books {
    pub(crate) acked: u64,
    pub(crate) unknown: u64,
    pub(crate) windows: BTreeMap<String, u64>,
}

impl Seen {
    /// A result came.
    pub(crate) fn update(&mut self, book: &Book, update: &Update<'_>, now: Duration) {
        let place = (update.epoch, update.seq);
        if place <= self.last {
            self.repeats += 1;
            return;
        }
        self.last = place;
        if now >= self.caught_up {
            self.results.note(place);
        }
        if update.last {
            self.finals.note(place);
        }
        let known = &mut *lock(&book.0);
        known.results.note(place);
        if update.last && known.finals.note(place) && update.window.kind == "tumbling" {
            *known.windows.entry(update.window.name.to_string()).or_default() += update.total;
        }
        if let Some(screen) = self.screen.and_then(|at| known.screens.get_mut(at)) {
            screen.shown.push_back((update.source.offset, now));
            if screen.shown.len() > SHOWN_MAX {
                screen.shown.pop_front();
            }
        }
    }

    /// It was told that results were left out.
    pub(crate) fn skipped(&mut self, count: u64) {
        self.skipped += count;
    }

    /// It has come for the first time, or a snapshot has taken the place of what it missed.
    pub(crate) fn came(&mut self, book: &Book) {
        self.end_results();
        self.over.push(Judged::Finals(std::mem::take(&mut self.finals)));
        self.is_on(book);
    }

    /// It is back. Revisions that were superseded meanwhile may be left out without a word, finals never are.
    pub(crate) fn resumed(&mut self, book: &Book, now: Duration) {
        self.end_results();
        self.caught_up = now + CATCH_UP;
        self.is_on(book);
    }

    fn is_on(&mut self, book: &Book) {
        let known = &mut *lock(&book.0);
        if self.screen.is_none() && known.screens.len() < SCREENS_MAX {
            known.screens.push(Screen::default());
            self.screen = Some(known.screens.len() - 1);
        }
        if let Some(screen) = self.screen.and_then(|at| known.screens.get_mut(at)) {
            screen.is_on = true;
        }
    }

    /// It is gone, for now or for good.
    pub(crate) fn left(&self, book: &Book) {
        let known = &mut *lock(&book.0);
        if let Some(screen) = self.screen.and_then(|at| known.screens.get_mut(at)) {
            screen.is_on = false;
        }
    }

    fn end_results(&mut self) {
        let stretch = std::mem::take(&mut self.results);
        self.over.push(Judged::Results(stretch, std::mem::take(&mut self.skipped)));
    }

    /// What it missed of what others had, between the first and the last that it had itself.
    pub(crate) fn gaps(mut self, book: &Book) -> Gaps {
        self.end_results();
        self.over.push(Judged::Finals(self.finals));
        let known = lock(&book.0);
        let missed = |results: &Results, stretch: Stretch| {
            let there = stretch.first.and_then(|first| results.between(first, stretch.last));
            there.map_or(0, |there| there.saturating_sub(stretch.count))
        };
        let mut gaps = Gaps::default();
        for judged in self.over {
            match judged {
                Judged::Results(stretch, told) => {
                    gaps.results += missed(&known.results, stretch).saturating_sub(told);
                }
                Judged::Finals(stretch) => gaps.finals += missed(&known.finals, stretch),
            }
        }
        gaps
    }
}

impl Book {
    /// Taps were acknowledged.
    pub(crate) fn acked(&self, taps: u64) {
        lock(&self.0).acked += taps;
    }

    /// Nobody knows whether these taps are stored.
    pub(crate) fn unknown(&self, taps: u64) {
        lock(&self.0).unknown += taps;
    }

    /// A tap was stored at this offset.
    pub(crate) fn sample(&self, offset: i64, due: Duration) {
        let known = &mut *lock(&self.0);
        if !known.screens.is_empty() && known.samples.len() < SAMPLES_MAX {
            known.samples.push_back(Sample { offset, due, found: 0 });
        }
    }

    /// Looks for taps on screens; the number of those that are not there although it is long past their time.
    pub(crate) fn look(&self, screen: &Meter, now: Duration) -> u64 {
        let known = &mut *lock(&self.0);
        let screens = &known.screens;
        let mut unseen = 0;
        known.samples.retain_mut(|sample| {
            let mut waits = false;
            for (at, one) in screens.iter().enumerate() {
                let bit = 1 << at;
                if sample.found & bit != 0 {
                    continue;
                }
                let first = one.shown.partition_point(|(offset, _)| *offset < sample.offset);
                if let Some((_, seen)) = one.shown.get(first) {
                    sample.found |= bit;
                    // What came before the tap was due says nothing of it: this screen was not on yet.
                    if *seen >= sample.due {
                        screen.record(*seen - sample.due);
                    }
                } else {
                    waits |= one.is_on;
                }
            }
            if waits && now > sample.due + UNSEEN {
                unseen += 1;
                waits = false;
            }
            waits
        });
        unseen
    }

    /// What it has to show.
    pub(crate) fn books(&self) -> Books {
        let known = lock(&self.0);
        Books { acked: known.acked, unknown: known.unknown, windows: known.windows.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(seq: u64, last: bool, offset: i64) -> String {
        format!(
            r#"{{"epoch":1,"seq":{seq},"window":{{"name":"10s","kind":"tumbling","start":0,"end":10}},"final":{last},"total":5,
                "room_totals":{{"reactions":5,"late":0,"duplicates":0,"rejected":0}},"source":{{"partition":0,"offset":{offset}}}}}"#
        )
    }

    fn see(seen: &mut Seen, book: &Book, seq: u64, last: bool) {
        let text = update(seq, last, seq as i64);
        seen.update(book, &serde_json::from_str(&text).expect("an update"), Duration::from_millis(seq));
    }

    fn watcher(book: &Book) -> Seen {
        let mut seen = Seen::default();
        seen.came(book);
        seen
    }

    #[test]
    fn a_watcher_misses_what_another_one_had() {
        let book = Book::default();
        let (mut whole, mut poor) = (watcher(&book), watcher(&book));
        for seq in 1..=6 {
            see(&mut whole, &book, seq, seq % 3 == 0);
            if ![2, 3].contains(&seq) {
                see(&mut poor, &book, seq, seq % 3 == 0);
            }
        }
        see(&mut poor, &book, 6, true);
        assert_eq!(poor.repeats, 1);
        assert_eq!(whole.gaps(&book), Gaps::default());
        // Its first final is the last one: what came before is told by the results alone.
        assert_eq!(poor.gaps(&book), Gaps { results: 2, finals: 0 });
        assert_eq!(book.books().windows["10s"], 10);
    }

    #[test]
    fn a_final_may_never_be_missed_and_a_revision_if_it_is_told() {
        let book = Book::default();
        let (mut whole, mut told) = (watcher(&book), watcher(&book));
        for seq in 1..=9 {
            see(&mut whole, &book, seq, [1, 5, 9].contains(&seq));
        }
        for seq in [1, 8, 9] {
            see(&mut told, &book, seq, [1, 9].contains(&seq));
        }
        told.skipped(6);
        assert_eq!(told.gaps(&book), Gaps { results: 0, finals: 1 });
    }

    #[test]
    fn who_resumes_may_miss_revisions_but_no_finals() {
        let book = Book::default();
        let (mut whole, mut resumed) = (watcher(&book), watcher(&book));
        for seq in 1..=9 {
            see(&mut whole, &book, seq, [1, 5, 9].contains(&seq));
        }
        see(&mut resumed, &book, 1, true);
        resumed.left(&book);
        resumed.resumed(&book, Duration::ZERO);
        for seq in [5, 9] {
            see(&mut resumed, &book, seq, true);
        }
        for seq in [6_001, 6_002, 6_003] {
            see(&mut whole, &book, seq, false);
        }
        // By then it has caught up.
        for seq in [6_001, 6_003] {
            see(&mut resumed, &book, seq, false);
        }
        assert_eq!(resumed.gaps(&book), Gaps { results: 1, finals: 0 });
        assert_eq!(whole.gaps(&book), Gaps::default());
    }

    #[test]
    fn a_tap_is_on_screen_with_the_first_result_that_holds_it() {
        let book = Book::default();
        let (mut seen, meter) = (watcher(&book), Meter::new());
        book.sample(7, Duration::from_millis(2));
        see(&mut seen, &book, 6, false);
        assert_eq!(book.look(&meter, Duration::ZERO), 0);
        assert_eq!(meter.times().count, 0);
        see(&mut seen, &book, 12, false);
        assert_eq!(book.look(&meter, Duration::ZERO), 0);
        let times = meter.times();
        assert_eq!((times.count, times.max_ms.round()), (1, 10.0));
        book.sample(99, Duration::from_millis(2));
        assert_eq!(book.look(&meter, Duration::from_secs(60)), 1);
        assert_eq!(book.look(&meter, Duration::from_secs(60)), 0);
    }
}
