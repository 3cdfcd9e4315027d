//! One room's windows of one definition, and the moment that goes on in it.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use ovation_processor::Numbering;
use ovation_reaction::{
    Baseline, Moment, Mood, Peak, Replay, SCORED_TAPS_MIN, SentimentShift, UpdateSource, WindowUpdate,
};
use serde::{Deserialize, Serialize};

use crate::detector::{Series, Settings, Step, Usual};

/// Emoji that a moment names at most.
const EMOJI_MAX: usize = 5;

/// What is known of a room.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Room {
    /// Epoch of the finals; those of an older one are late.
    epoch: u64,
    /// Start and end of the last final, ms.
    start: i64,
    pub(crate) end: i64,
    series: Series,
    before: Faded,
    /// Ends of windows, and the source place of their finals: only what a moment that begins soon may be replayed from.
    places: VecDeque<(i64, i64)>,
    pub(crate) moment: Option<Going>,
}

/// Mood of the windows outside moments; what is as far back as the past counts a third. Kept to three digits, so that a
/// checkpoint gives the same numbers back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Faded {
    /// Taps whose emoji has a score.
    known: f64,
    /// Their scores, in thousandths.
    sum: f64,
}

impl Faded {
    /// Lets the past count less, and the mood of a window in.
    fn add(&mut self, settings: &Settings, mood: Mood) {
        let left = 1.0 - 1.0 / settings.baseline as f64;
        self.known = thousandths(self.known * left + mood.known as f64);
        self.sum = thousandths(self.sum * left + mood.sum as f64);
    }

    fn score(&self) -> Option<f64> {
        (self.known >= SCORED_TAPS_MIN as f64).then(|| thousandths(self.sum / self.known / 1_000.0))
    }
}

/// The moment that goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Going {
    start: i64,
    pub(crate) end: i64,
    revision: u64,
    total: u64,
    counts: BTreeMap<String, u64>,
    mood: Mood,
    usual: Usual,
    before: Option<f64>,
    peak_start: i64,
    peak_total: u64,
    peak_users: Option<u64>,
    replay: i64,
    /// Length of a window, ms.
    size: i64,
}

/// What a final changes for readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    Nothing,
    /// The moment has begun, or goes on.
    Moment,
    /// The moment is over.
    Over,
}

impl Going {
    /// By then nothing more can come of it: a window without reactions has passed.
    pub(crate) fn silent_at(&self) -> i64 {
        self.end + 2 * self.size
    }
}

impl Room {
    /// Takes a final. The moment that goes on ends first where windows are missing before it: then `silence` is called, and the
    /// final comes again.
    pub(crate) fn takes(&self, update: &WindowUpdate<'_>) -> bool {
        let window = &update.window;
        let follows = self.epoch == 0 || (update.epoch, window.start) > (self.epoch, self.start);
        follows && window.end > window.start
    }

    /// Whether windows are missing between the moment and this final.
    pub(crate) fn was_silent(&self, update: &WindowUpdate<'_>) -> bool {
        let broke = update.epoch != self.epoch || update.window.start > self.end;
        self.moment.is_some() && broke
    }

    /// Ends the moment because nobody has reacted since.
    pub(crate) fn fall_silent(&mut self, settings: &Settings) {
        self.series.fall_silent(settings, self.end);
    }

    /// Takes the next final that it [`takes`](Room::takes).
    pub(crate) fn window(&mut self, settings: &Settings, update: &WindowUpdate<'_>) -> News {
        let (start, end) = (update.window.start, update.window.end);
        if update.epoch != self.epoch {
            *self = Self { epoch: update.epoch, ..Self::default() };
        } else {
            let missing = (start - self.end) / (end - start);
            self.series.silence(settings, u64::try_from(missing).unwrap_or(0));
        }
        (self.start, self.end) = (start, end);
        let mood = Mood::of(update.counts.iter().map(|(emoji, taps)| (emoji.as_ref(), *taps)));
        let step = self.series.window(settings, start, end, update.total);
        let news = match step {
            Step::Usual => News::Nothing,
            Step::Begins(usual) => {
                self.moment = Some(self.begin(usual, update));
                self.grow(update, mood);
                News::Moment
            }
            Step::GoesOn => {
                self.grow(update, mood);
                News::Moment
            }
            Step::Stays => {
                self.grow(update, mood);
                News::Over
            }
            Step::Ends => News::Over,
        };
        if matches!(step, Step::Usual | Step::Ends) {
            self.before.add(settings, mood);
        }
        self.places.push_back((end, update.source.offset));
        // Of a moment that begins with the next window.
        while self.places.get(1).is_some_and(|(known, _)| *known <= start) {
            self.places.pop_front();
        }
        news
    }

    fn begin(&self, usual: Usual, update: &WindowUpdate<'_>) -> Going {
        let (start, size) = (update.window.start, update.window.end - update.window.start);
        // All that stood before the final of a window that ended a whole window earlier was before the moment.
        let early = self.places.iter().rev().find(|(end, _)| *end <= start - size);
        Going {
            start,
            end: start,
            revision: 0,
            total: 0,
            counts: BTreeMap::new(),
            mood: Mood::default(),
            usual,
            before: self.before.score(),
            peak_start: start,
            peak_total: 0,
            peak_users: None,
            replay: early.or(self.places.front()).map_or(0, |(_, offset)| *offset),
            size,
        }
    }

    fn grow(&mut self, update: &WindowUpdate<'_>, mood: Mood) {
        let Some(going) = &mut self.moment else { return };
        going.end = update.window.end;
        going.total = going.total.saturating_add(update.total);
        going.mood.add(&mood);
        for (emoji, taps) in &update.counts {
            match going.counts.get_mut(emoji.as_ref()) {
                Some(known) => *known = known.saturating_add(*taps),
                None => {
                    going.counts.insert(emoji.as_ref().to_owned(), *taps);
                }
            }
        }
        if update.total > going.peak_total {
            (going.peak_start, going.peak_total) = (update.window.start, update.total);
            going.peak_users = update.users;
        }
    }

    /// The record of the moment that goes on, and of the last one when it is over.
    pub(crate) fn record<'a>(
        &'a mut self,
        room: &'a str,
        window: &'a str,
        events: &'a str,
        last: bool,
        numbers: &Numbering<'a>,
    ) -> Option<Moment<'a>> {
        let going = self.moment.as_mut()?;
        going.revision += 1;
        let per_second = |taps: f64| tenths(taps * 1_000.0 / going.size as f64);
        let mut counts: Vec<(&str, u64)> =
            going.counts.iter().map(|(emoji, taps)| (emoji.as_str(), *taps)).collect();
        counts.sort_by_key(|(_, taps)| std::cmp::Reverse(*taps));
        counts.truncate(EMOJI_MAX);
        let during = going.mood.score();
        let shift = going.before.zip(during).map(|(before, during)| thousandths(during - before));
        Some(Moment {
            stage: numbers.stage.into(),
            epoch: numbers.epoch,
            seq: numbers.seq,
            room: room.into(),
            id: format!("{room}:{window}:{}", going.start).into(),
            window: window.into(),
            revision: going.revision,
            last,
            start: going.start,
            end: going.end,
            total: going.total,
            peak: Peak {
                start: going.peak_start,
                total: going.peak_total,
                rate: per_second(going.peak_total as f64),
                users: going.peak_users,
            },
            baseline: Baseline { rate: per_second(going.usual.median) },
            lift: tenths(going.usual.lift(going.peak_total)),
            score: tenths(going.usual.score(going.peak_total)),
            leading: counts.first().map_or("", |(emoji, _)| *emoji).into(),
            counts: counts.into_iter().map(|(emoji, taps)| (Cow::Borrowed(emoji), taps)).collect(),
            sentiment: SentimentShift { before: going.before, during, shift },
            replay: Replay { topic: events.into(), partition: numbers.partition, offset: going.replay },
            source: UpdateSource { partition: numbers.partition, offset: numbers.offset },
        })
    }
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn thousandths(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0 + 0.0
}
