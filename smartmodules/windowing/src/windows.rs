//! The windows of a task: assignment, stream time, emission, finals, checkpoint.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::dedup::DedupState;
use crate::{Aggregate, Dedup, DedupSettings, SettingsError, WindowSettings};

/// Most keys (rooms) that one task keeps totals for. A key past it is refused, never evicted: an evicted
/// key would lose the cumulative totals that prove its windows.
pub const KEYS_MAX: usize = 100_000;

/// Cumulative counters of one key since the epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Weight (taps) counted in windows, or late in one definition only.
    pub accepted: u64,
    /// Weight (taps) that came after its window had closed, per definition.
    pub late: u64,
    /// Weight (taps) of records whose id was known.
    pub duplicates: u64,
    /// Records refused with a reason.
    pub rejected: u64,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is in the windows it belongs to; `late_for` names the definitions that had closed theirs.
    Accepted {
        /// Indices of the definitions for which it came too late.
        late_for: Vec<usize>,
    },
    /// It came too late for every definition.
    Late,
    /// Its id was seen within the horizon.
    Duplicate,
    /// The task has [`KEYS_MAX`] keys already.
    TooManyKeys,
}

/// One window's running or last result, borrowed from the state.
#[derive(Debug)]
pub struct Update<'a, A> {
    /// Key (room).
    pub key: &'a str,
    /// The definition.
    pub window: &'a WindowSettings,
    /// Start of the window, ms.
    pub start_ms: i64,
    /// End of the window (exclusive), ms.
    pub end_ms: i64,
    /// 1 for the first update of this window, and so on.
    pub revision: u64,
    /// Whether this is the window's last result.
    pub last: bool,
    /// What the window holds.
    pub aggregate: &'a A,
    /// The key's totals at this point.
    pub totals: Totals,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(bound = "")]
struct Open<A: Aggregate> {
    aggregate: A,
    revision: u64,
    /// Stream time of the last update; none before the first.
    emitted_at: Option<i64>,
    dirty: bool,
}

/// A window's place: start, then index of its definition. Ordered so that a key's windows are in order of time.
type Place = (i64, usize);

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(bound = "")]
struct KeyState<A: Aggregate> {
    totals: Totals,
    #[serde(with = "places")]
    open: BTreeMap<Place, Open<A>>,
}

/// The windows of one task over one source partition.
#[derive(Debug)]
pub struct Windows<A: Aggregate> {
    settings: Vec<WindowSettings>,
    dedup_settings: DedupSettings,
    stream_time: Option<i64>,
    keys: BTreeMap<String, KeyState<A>>,
    dedup: Dedup,
    /// Open windows by the stream time that closes them.
    closing: BTreeSet<(i64, String, Place)>,
    /// Dirty windows by the stream time that lets them emit.
    due: BTreeSet<(i64, String, Place)>,
}

#[derive(Serialize)]
#[serde(bound = "")]
struct StateRef<'a, A: Aggregate> {
    stream_time: Option<i64>,
    keys: &'a BTreeMap<String, KeyState<A>>,
    dedup: DedupState,
}

#[derive(Deserialize)]
#[serde(bound = "")]
struct State<A: Aggregate> {
    stream_time: Option<i64>,
    keys: BTreeMap<String, KeyState<A>>,
    dedup: DedupState,
}

impl<A: Aggregate> Windows<A> {
    /// Empty windows.
    ///
    /// # Errors
    /// If a definition cannot work.
    pub fn new(settings: Vec<WindowSettings>, dedup_settings: DedupSettings) -> Result<Self, SettingsError> {
        WindowSettings::check(&settings)?;
        Ok(Self {
            settings,
            dedup_settings,
            stream_time: None,
            keys: BTreeMap::new(),
            dedup: Dedup::default(),
            closing: BTreeSet::new(),
            due: BTreeSet::new(),
        })
    }

    /// The definitions.
    #[must_use]
    pub fn settings(&self) -> &[WindowSettings] {
        &self.settings
    }

    /// Largest record or tick time seen, ms.
    #[must_use]
    pub fn stream_time(&self) -> Option<i64> {
        self.stream_time
    }

    /// Stream time less the largest grace: no record below it can be counted in any definition.
    #[must_use]
    pub fn watermark(&self) -> Option<i64> {
        let grace_ms = self.settings.iter().map(|window| window.grace_ms).max().unwrap_or(0);
        self.stream_time.map(|time| time.saturating_sub(grace_ms))
    }

    /// Whether a change waits for stream time to move before it is emitted.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        !self.due.is_empty()
    }

    /// How many windows are not final yet.
    #[must_use]
    pub fn open(&self) -> usize {
        self.closing.len()
    }

    /// Totals of a key, if it is known.
    #[must_use]
    pub fn totals(&self, key: &str) -> Option<Totals> {
        self.keys.get(key).map(|state| state.totals)
    }

    /// Feeds one record: its key, its time, its id (none: never a duplicate) and what it adds.
    ///
    /// Stream time moves first, so finals and due updates of other windows come before this record's own.
    pub fn observe(
        &mut self,
        key: &str,
        time_ms: i64,
        id: Option<&str>,
        item: &A::Item<'_>,
        emit: &mut impl FnMut(Update<'_, A>),
    ) -> Verdict {
        if !self.keys.contains_key(key) && self.keys.len() >= KEYS_MAX {
            return Verdict::TooManyKeys;
        }
        let weight = A::weight(item);
        let now = self.stream_time.map_or(time_ms, |now| now.max(time_ms));
        if let Some(id) = id
            && !self.dedup.insert(self.dedup_settings, now, Dedup::hash(key, id))
        {
            self.key_state(key).totals.duplicates += weight;
            return Verdict::Duplicate;
        }
        self.advance(time_ms, emit);

        let late_for: Vec<usize> = (0..self.settings.len())
            .filter(|&index| {
                let window = &self.settings[index];
                window.closes_at(window.start_of(time_ms)) <= now
            })
            .collect();
        let late_for_all = late_for.len() == self.settings.len();
        let totals = &mut self.key_state(key).totals;
        totals.late += weight * late_for.len() as u64;
        if late_for_all {
            return Verdict::Late;
        }
        totals.accepted += weight;
        for index in 0..self.settings.len() {
            if !late_for.contains(&index) {
                self.add(key, (self.settings[index].start_of(time_ms), index), item, now, emit);
            }
        }
        Verdict::Accepted { late_for }
    }

    /// Counts a record of this key as refused; the empty key stands for records whose key is unknown.
    pub fn reject(&mut self, key: &str) {
        if self.keys.contains_key(key) || self.keys.len() < KEYS_MAX {
            self.key_state(key).totals.rejected += 1;
        }
    }

    /// Moves stream time, which closes windows and lets due updates out. A time in the past does nothing.
    pub fn advance(&mut self, time_ms: i64, emit: &mut impl FnMut(Update<'_, A>)) {
        if self.stream_time.is_some_and(|now| now >= time_ms) {
            return;
        }
        self.stream_time = Some(time_ms);
        while self.closing.first().is_some_and(|(at, _, _)| *at <= time_ms) {
            let Some((_, key, place)) = self.closing.pop_first() else { break };
            self.close(&key, place, emit);
        }
        while self.due.first().is_some_and(|(at, _, _)| *at <= time_ms) {
            let Some((_, key, place)) = self.due.pop_first() else { break };
            self.emit_update(&key, place, time_ms, emit);
        }
    }

    /// The whole state as JSON: what [`Windows::restore`] takes.
    ///
    /// # Errors
    /// If the aggregate does not serialise.
    pub fn save(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&StateRef {
            stream_time: self.stream_time,
            keys: &self.keys,
            dedup: self.dedup.save(),
        })
    }

    /// Replaces the state by a saved one of the same definitions.
    ///
    /// # Errors
    /// If the text is not a state, or names a definition that is not there.
    pub fn restore(&mut self, state: &str) -> Result<(), String> {
        let state: State<A> = serde_json::from_str(state).map_err(|error| error.to_string())?;
        self.closing.clear();
        self.due.clear();
        for (key, key_state) in &state.keys {
            for (&place, open) in &key_state.open {
                let window =
                    self.settings.get(place.1).ok_or("the state names an unknown window definition")?;
                self.closing.insert((window.closes_at(place.0), key.clone(), place));
                if open.dirty {
                    self.due.insert((due_at(window, open.emitted_at), key.clone(), place));
                }
            }
        }
        self.dedup = Dedup::restore(&state.dedup).ok_or("the dedup horizon is damaged")?;
        self.stream_time = state.stream_time;
        self.keys = state.keys;
        Ok(())
    }

    fn key_state(&mut self, key: &str) -> &mut KeyState<A> {
        // Two look-ups for a known key beat an allocation of the key for each record.
        if !self.keys.contains_key(key) {
            self.keys.insert(key.to_owned(), KeyState { totals: Totals::default(), open: BTreeMap::new() });
        }
        self.keys.get_mut(key).expect("inserted above")
    }

    fn add(
        &mut self,
        key: &str,
        place: Place,
        item: &A::Item<'_>,
        now: i64,
        emit: &mut impl FnMut(Update<'_, A>),
    ) {
        let settings = &self.settings[place.1];
        let closes_at = settings.closes_at(place.0);
        let state = self.keys.get_mut(key).expect("the caller made the key");
        let open = state.open.entry(place).or_insert_with(|| {
            self.closing.insert((closes_at, key.to_owned(), place));
            Open { aggregate: A::default(), revision: 0, emitted_at: None, dirty: false }
        });
        open.aggregate.add(item);
        if open.dirty {
            return;
        }
        open.dirty = true;
        let due = due_at(settings, open.emitted_at);
        if due <= now {
            self.emit_update(key, place, now, emit);
        } else {
            self.due.insert((due, key.to_owned(), place));
        }
    }

    fn emit_update(&mut self, key: &str, place: Place, now: i64, emit: &mut impl FnMut(Update<'_, A>)) {
        let window = &self.settings[place.1];
        let Some(state) = self.keys.get_mut(key) else { return };
        let Some(open) = state.open.get_mut(&place) else { return };
        open.dirty = false;
        open.emitted_at = Some(now);
        open.revision += 1;
        emit(Update {
            key,
            window,
            start_ms: place.0,
            end_ms: place.0 + window.size_ms,
            revision: open.revision,
            last: false,
            aggregate: &open.aggregate,
            totals: state.totals,
        });
    }

    fn close(&mut self, key: &str, place: Place, emit: &mut impl FnMut(Update<'_, A>)) {
        let window = &self.settings[place.1];
        let Some(state) = self.keys.get_mut(key) else { return };
        let Some(open) = state.open.remove(&place) else { return };
        if open.dirty {
            self.due.remove(&(due_at(window, open.emitted_at), key.to_owned(), place));
        }
        emit(Update {
            key,
            window,
            start_ms: place.0,
            end_ms: place.0 + window.size_ms,
            revision: open.revision + 1,
            last: true,
            aggregate: &open.aggregate,
            totals: state.totals,
        });
    }
}

/// Stream time at which a dirty window may emit: at once if it never did.
fn due_at(window: &WindowSettings, emitted_at: Option<i64>) -> i64 {
    emitted_at.map_or(i64::MIN, |at| at.saturating_add(window.every_ms))
}

/// JSON has no tuple keys: open windows are a list of (place, window).
mod places {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Aggregate, Open, Place};

    pub(super) fn serialize<A: Aggregate, S: Serializer>(
        open: &BTreeMap<Place, Open<A>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(open)
    }

    pub(super) fn deserialize<'de, A: Aggregate, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Place, Open<A>>, D::Error> {
        Vec::<(Place, Open<A>)>::deserialize(deserializer).map(|list| list.into_iter().collect())
    }
}
