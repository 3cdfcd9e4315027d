//! The windows of a task: stream time, counting, emission, finals, checkpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::dedup::DedupState;
use crate::keys::Keys;
use crate::series::{Part, Series};
use crate::{Aggregate, Dedup, DedupSettings, SettingsError, WindowSettings};

/// Most keys (rooms) that one task keeps totals for. A key past it is refused, never evicted: an evicted
/// key would lose the cumulative totals that prove its windows.
pub const KEYS_MAX: usize = 100_000;

/// Bytes of due results after which a record or tick lets the rest wait for the next one. What is due at one time can be far
/// more than one answer of a module may hold; bounded by the record and not by the call, it comes in the same order whatever
/// the batches.
pub const DUE_BYTES_PER_RECORD: usize = 8 * 1024;

/// Up to this many results that wait are counted.
const BACKLOG_COUNTED_MAX: usize = 10_000;

/// Cumulative counters of one key since the epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Weight (taps) counted in at least one window.
    pub accepted: u64,
    /// Weight (taps) times the windows that had closed before it came, over all definitions.
    pub late: u64,
    /// Weight (taps) of records whose id was known.
    pub duplicates: u64,
    /// Records refused with a reason.
    pub rejected: u64,
}

/// Windows of one definition that a record came too late for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// Index of the definition.
    pub definition: usize,
    /// How many of its windows hold the record's time and had closed.
    pub windows: u64,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is in the windows it belongs to, but for those that it missed.
    Counted {
        /// What it came too late for; empty for most.
        missed: Vec<Missed>,
    },
    /// Its id was seen within the horizon.
    Duplicate,
    /// The task has [`KEYS_MAX`] keys already.
    TooManyKeys,
    /// The key is not UTF-8.
    KeyIsNoText,
}

/// One window's running or last result, borrowed from the state.
#[derive(Debug)]
pub struct Update<'a, A> {
    /// Key (room).
    pub key: &'a str,
    /// The definition.
    pub window: &'a WindowSettings,
    /// Start of the window, ms. Key, definition and start name a window.
    pub start_ms: i64,
    /// End of the window (exclusive), ms. A session's end grows.
    pub end_ms: i64,
    /// Up to which time the window has lasted at this point, ms: its end, or the largest time seen if that is before.
    pub lasted_until_ms: i64,
    /// 1 for the first update of this window, and so on.
    pub revision: u64,
    /// Whether this is the window's last result.
    pub last: bool,
    /// Whether the window has become part of a session that starts earlier: then this is its last result, and empty.
    pub retracted: bool,
    /// What the window holds.
    pub aggregate: &'a A,
    /// The key's totals at this point.
    pub totals: Totals,
}

/// How much a task keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct StateSize {
    /// Keys with totals.
    pub keys: usize,
    /// Panes and sessions of windows that are not final.
    pub windows: usize,
    /// Ids in the dedup horizon.
    pub ids: usize,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
struct KeyState<A: Aggregate> {
    totals: Totals,
    /// By definition; none while it has no open window.
    series: Vec<Option<Series<A>>>,
    /// Where each series stands in the two orders. Made anew of the series.
    #[serde(skip)]
    places: Vec<Place>,
}

impl<A: Aggregate> Default for KeyState<A> {
    fn default() -> Self {
        Self { totals: Totals::default(), series: Vec::new(), places: Vec::new() }
    }
}

/// A time, and the key and definition that something is to be done for then.
type Entry = (i64, Arc<str>, usize);

/// What is to be done when.
#[derive(Debug, Default)]
struct Agenda {
    /// Each series with open windows, by the stream time that closes the next one.
    closing: BTreeSet<Entry>,
    /// Each series that has changed, by the time that lets it emit.
    due: BTreeSet<Entry>,
    /// The times of their first entries, which are asked for with every record.
    next: Place,
    /// Panes and sessions in all.
    parts: usize,
}

/// The windows of one task over one source partition.
#[derive(Debug)]
pub struct Windows<A: Aggregate> {
    settings: Vec<WindowSettings>,
    dedup_settings: DedupSettings,
    idleness_ms: i64,
    stream_time: Option<i64>,
    /// Largest record or tick time: what updates are paced by. Ticks move it at once, stream time only after quiet.
    clock: i64,
    /// Time of the first tick since a record was counted.
    quiet_since: Option<i64>,
    keys: Keys<KeyState<A>>,
    dedup: Dedup,
    agenda: Agenda,
}

#[derive(Serialize)]
#[serde(bound = "")]
struct StateRef<'a, A: Aggregate> {
    stream_time: Option<i64>,
    clock: i64,
    quiet_since: Option<i64>,
    keys: BTreeMap<&'a str, &'a KeyState<A>>,
    dedup: DedupState,
}

#[derive(Deserialize)]
#[serde(bound = "")]
struct State<A: Aggregate> {
    stream_time: Option<i64>,
    clock: i64,
    quiet_since: Option<i64>,
    keys: BTreeMap<String, KeyState<A>>,
    dedup: DedupState,
}

impl<A: Aggregate> Windows<A> {
    /// Empty windows. Ticks move stream time once no record was counted for `idleness_ms`, by the ticks' own times: a source
    /// whose records lag behind the clock is not made late by ticks while it talks.
    ///
    /// # Errors
    /// If a definition cannot work.
    pub fn new(
        settings: Vec<WindowSettings>,
        dedup_settings: DedupSettings,
        idleness_ms: i64,
    ) -> Result<Self, SettingsError> {
        WindowSettings::check(&settings)?;
        Ok(Self {
            settings,
            dedup_settings,
            idleness_ms: idleness_ms.clamp(0, WindowSettings::TIME_MS_MAX),
            stream_time: None,
            clock: i64::MIN,
            quiet_since: None,
            keys: Keys::default(),
            dedup: Dedup::default(),
            agenda: Agenda::default(),
        })
    }

    /// The definitions.
    #[must_use]
    pub fn settings(&self) -> &[WindowSettings] {
        &self.settings
    }

    /// Largest time seen, of a record that was no duplicate or of a tick after quiet, ms.
    #[must_use]
    pub fn stream_time(&self) -> Option<i64> {
        self.stream_time
    }

    /// Stream time less the largest grace: no record below it can be counted in any definition, but for windows that end
    /// after it.
    #[must_use]
    pub fn watermark(&self) -> Option<i64> {
        let grace_ms = self.settings.iter().map(|window| window.grace_ms).max().unwrap_or(0);
        self.stream_time.map(|time| time.saturating_sub(grace_ms))
    }

    /// Whether a change waits for time to move before it is emitted.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        !self.agenda.due.is_empty()
    }

    /// Keys and definitions with windows that are not final yet.
    #[must_use]
    pub fn open(&self) -> usize {
        self.agenda.closing.len()
    }

    /// How many series have results that could be emitted now, and wait only for another record or tick; counted up to
    /// 10,000.
    #[must_use]
    pub fn backlog(&self) -> usize {
        let ready = |entries: &BTreeSet<Entry>, now: i64| {
            entries.iter().take_while(|entry| entry.0 <= now).take(BACKLOG_COUNTED_MAX).count()
        };
        let closing = self.stream_time.map_or(0, |now| ready(&self.agenda.closing, now));
        (closing + ready(&self.agenda.due, self.clock)).min(BACKLOG_COUNTED_MAX)
    }

    /// How much is kept.
    #[must_use]
    pub fn size(&self) -> StateSize {
        StateSize { keys: self.keys.len(), windows: self.agenda.parts, ids: self.dedup.len() }
    }

    /// Totals of a key, if it is known.
    #[must_use]
    pub fn totals(&self, key: &str) -> Option<Totals> {
        self.keys.find(key.as_bytes()).map(|place| self.keys[place].totals)
    }

    /// Feeds one record: its key, its time, its id (any bytes; none: never a duplicate) and what it adds. `emit` answers the bytes
    /// that it made of a result.
    ///
    /// Stream time moves first, so finals come before the record is counted, and updates after. A duplicate moves no time.
    pub fn observe(
        &mut self,
        key: &[u8],
        time_ms: i64,
        id: Option<&[u8]>,
        item: &A::Item<'_>,
        emit: &mut impl FnMut(Update<'_, A>) -> usize,
    ) -> Verdict {
        let place = match self.keys.find(key) {
            Some(place) => place,
            None => {
                let Ok(key) = std::str::from_utf8(key) else { return Verdict::KeyIsNoText };
                let Some(place) = self.make_known(key) else { return Verdict::TooManyKeys };
                place
            }
        };
        let now = self.stream_time.map_or(time_ms, |now| now.max(time_ms));
        if let Some(id) = id
            && !self.dedup.insert(self.dedup_settings, now, Dedup::hash(key, id))
        {
            self.keys[place].totals.duplicates += A::weight(item);
            return Verdict::Duplicate;
        }
        self.stream_time = Some(now);
        self.clock = self.clock.max(time_ms);
        let mut bytes = 0;
        self.close_due(now, &mut bytes, emit);
        let missed = self.count(place, time_ms, item, now, emit);
        self.update_due(now, &mut bytes, emit);
        Verdict::Counted { missed }
    }

    /// Counts a record of this key as refused; the empty key stands for records whose key is unknown.
    pub fn reject(&mut self, key: &str) {
        if let Some(place) = self.make_known(key) {
            self.keys[place].totals.rejected += 1;
        }
    }

    /// Takes a tick: the clock was at `time_ms`. Lets due updates out, what waits, and after quiet the finals. A time in the
    /// past moves nothing, and 0 stands for no time at all.
    pub fn tick(&mut self, time_ms: i64, emit: &mut impl FnMut(Update<'_, A>) -> usize) {
        if time_ms > 0 {
            self.clock = self.clock.max(time_ms);
            let quiet_since = *self.quiet_since.get_or_insert(time_ms);
            if time_ms.saturating_sub(quiet_since) >= self.idleness_ms {
                self.stream_time = Some(self.stream_time.map_or(time_ms, |now| now.max(time_ms)));
            }
        }
        let Some(now) = self.stream_time else { return };
        let mut bytes = 0;
        self.close_due(now, &mut bytes, emit);
        self.update_due(now, &mut bytes, emit);
    }

    /// The whole state: a line of JSON, and behind it the hashes of ids. It is what [`Windows::restore`] takes.
    ///
    /// # Errors
    /// If the aggregate does not serialise.
    pub fn save(&self) -> Result<String, serde_json::Error> {
        let (dedup, hashes) = self.dedup.save();
        let mut state = serde_json::to_string(&StateRef {
            stream_time: self.stream_time,
            clock: self.clock,
            quiet_since: self.quiet_since,
            keys: self.keys.iter().collect(),
            dedup,
        })?;
        state.reserve_exact(1 + hashes.len());
        state.push('\n');
        state.push_str(&hashes);
        Ok(state)
    }

    /// Replaces the state by a saved one of the same definitions.
    ///
    /// # Errors
    /// If the text is not a state of these definitions.
    pub fn restore(&mut self, state: &str) -> Result<(), String> {
        // Older modules wrote no second line.
        let (state, hashes) = state.split_once('\n').unwrap_or((state, ""));
        let restored: State<A> = serde_json::from_str(state).map_err(|error| error.to_string())?;
        let dedup = Dedup::restore(&restored.dedup, hashes).ok_or("the dedup horizon is damaged")?;
        let (mut agenda, mut keys) = (Agenda::default(), Keys::default());
        for (key, state) in restored.keys {
            if state.series.len() > self.settings.len() {
                return Err("the state has more window definitions than the stage".to_owned());
            }
            let place = keys.add(key.into());
            keys[place] = state;
            let (key, state) = keys.at_mut(place);
            state.places.resize(state.series.len(), Place::default());
            for (definition, settings) in self.settings.iter().enumerate().take(state.series.len()) {
                agenda.parts += state.series[definition].as_ref().map_or(0, Series::parts);
                state.settle(key, definition, settings, &mut agenda);
            }
        }
        (self.agenda, self.keys, self.dedup) = (agenda, keys, dedup);
        (self.stream_time, self.clock, self.quiet_since) =
            (restored.stream_time, restored.clock, restored.quiet_since);
        Ok(())
    }

    /// Where the key is kept, after it was made known if there was room.
    fn make_known(&mut self, key: &str) -> Option<usize> {
        if let Some(place) = self.keys.find(key.as_bytes()) {
            return Some(place);
        }
        (self.keys.len() < KEYS_MAX).then(|| self.keys.add(key.into()))
    }

    /// Adds a record to the windows of every definition.
    fn count(
        &mut self,
        place: usize,
        time_ms: i64,
        item: &A::Item<'_>,
        now: i64,
        emit: &mut impl FnMut(Update<'_, A>) -> usize,
    ) -> Vec<Missed> {
        let weight = A::weight(item);
        let (mut missed, mut counted) = (Vec::new(), false);
        let (key, state) = self.keys.at_mut(place);
        let missing = self.settings.len() - state.series.len();
        if missing > 0 {
            // Without room to grow: there are many keys, and the definitions stay.
            state.series.reserve_exact(missing);
            state.series.resize_with(self.settings.len(), || None);
            state.places.reserve_exact(missing);
            state.places.resize(self.settings.len(), Place::default());
        }
        for (definition, settings) in self.settings.iter().enumerate() {
            // What waits for its turn is complete: this record must not get into it.
            while state.places[definition].closing.is_some_and(|at| at <= now) {
                state.close(key, definition, settings, self.clock, &mut self.agenda, emit);
            }
            let (totals, clock) = (state.totals, self.clock);
            let mut retract = |part: Part<'_, A>| {
                emit(part.named(key, settings, clock, totals));
            };
            let series = state.series[definition].get_or_insert_with(|| Series::new(settings));
            let added = series.add(settings, time_ms, item, now, &mut retract);
            if added.missed > 0 {
                state.totals.late += weight * added.missed;
                missed.push(Missed { definition, windows: added.missed });
            }
            counted |= added.counted;
            self.agenda.parts = self.agenda.parts.saturating_add_signed(added.parts as isize);
            if added.moved {
                if series.is_empty() {
                    state.series[definition] = None;
                }
                state.settle(key, definition, settings, &mut self.agenda);
            }
        }
        if counted {
            state.totals.accepted += weight;
            self.quiet_since = None;
        }
        missed
    }

    /// Finals, in the order of the times that close them.
    fn close_due(&mut self, now: i64, bytes: &mut usize, emit: &mut impl FnMut(Update<'_, A>) -> usize) {
        while *bytes < DUE_BYTES_PER_RECORD && self.agenda.has_closing(now) {
            let Some((_, key, definition)) = self.agenda.closing.first().cloned() else { return };
            let Some(place) = self.keys.find(key.as_bytes()) else { return };
            let (settings, (key, state)) = (&self.settings[definition], self.keys.at_mut(place));
            *bytes += state.close(key, definition, settings, self.clock, &mut self.agenda, emit);
        }
    }

    /// Updates, in the order of the times that let them out; not while a final waits, which goes first.
    fn update_due(&mut self, now: i64, bytes: &mut usize, emit: &mut impl FnMut(Update<'_, A>) -> usize) {
        while *bytes < DUE_BYTES_PER_RECORD && !self.agenda.has_closing(now) {
            if !self.agenda.has_due(self.clock) {
                return;
            }
            let Some((_, key, definition)) = self.agenda.due.first() else { return };
            let (Some(place), definition) = (self.keys.find(key.as_bytes()), *definition) else { return };
            let (settings, (key, state)) = (&self.settings[definition], self.keys.at_mut(place));
            if let Some(series) = &mut state.series[definition] {
                let (totals, clock) = (state.totals, self.clock);
                let mut send = |part: Part<'_, A>| *bytes += emit(part.named(key, settings, clock, totals));
                series.update(settings, self.clock, &mut send);
            }
            state.settle(key, definition, settings, &mut self.agenda);
        }
    }
}

impl<A: Aggregate> KeyState<A> {
    /// Emits the final of a series' next window; answers its bytes.
    fn close(
        &mut self,
        key: &Arc<str>,
        definition: usize,
        settings: &WindowSettings,
        clock: i64,
        agenda: &mut Agenda,
        emit: &mut impl FnMut(Update<'_, A>) -> usize,
    ) -> usize {
        let totals = self.totals;
        let mut bytes = 0;
        if let Some(series) = &mut self.series[definition] {
            let mut send = |part: Part<'_, A>| bytes += emit(part.named(key, settings, clock, totals));
            agenda.parts = agenda.parts.saturating_sub(series.close_next(settings, &mut send).parts);
            if series.is_empty() {
                self.series[definition] = None;
            }
        }
        self.settle(key, definition, settings, agenda);
        bytes
    }

    /// Puts the two orders right after a series has changed.
    fn settle(&mut self, key: &Arc<str>, definition: usize, settings: &WindowSettings, agenda: &mut Agenda) {
        let after = Place::of(self.series[definition].as_ref(), settings);
        let before = std::mem::replace(&mut self.places[definition], after);
        agenda.moved(key, definition, before, after);
    }
}

/// Where a series stands in the two orders.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Place {
    closing: Option<i64>,
    due: Option<i64>,
}

impl Place {
    fn of<A: Aggregate>(series: Option<&Series<A>>, settings: &WindowSettings) -> Self {
        series.map_or_else(Self::default, |series| Self {
            closing: series.closes_at(settings),
            due: series.due_at(settings),
        })
    }
}

impl Agenda {
    fn has_closing(&self, now: i64) -> bool {
        self.next.closing.is_some_and(|at| at <= now)
    }

    fn has_due(&self, clock: i64) -> bool {
        self.next.due.is_some_and(|at| at <= clock)
    }

    /// Puts a series where it stands now.
    fn moved(&mut self, key: &Arc<str>, definition: usize, before: Place, after: Place) {
        for (entries, before, after) in
            [(&mut self.closing, before.closing, after.closing), (&mut self.due, before.due, after.due)]
        {
            if before == after {
                continue;
            }
            if let Some(at) = before {
                entries.remove(&(at, Arc::clone(key), definition));
            }
            if let Some(at) = after {
                entries.insert((at, Arc::clone(key), definition));
            }
        }
        let first = |entries: &BTreeSet<Entry>| entries.first().map(|entry| entry.0);
        self.next = Place { closing: first(&self.closing), due: first(&self.due) };
    }
}

impl<'a, A> Part<'a, A> {
    fn named(self, key: &'a str, window: &'a WindowSettings, clock: i64, totals: Totals) -> Update<'a, A> {
        let Part { start_ms, end_ms, revision, last, retracted, aggregate } = self;
        let lasted_until_ms = clock.clamp(start_ms, end_ms);
        Update {
            key,
            window,
            start_ms,
            end_ms,
            lasted_until_ms,
            revision,
            last,
            retracted,
            aggregate,
            totals,
        }
    }
}
