//! The stage: finals in, moments out.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use ovation_processor::{Emit, Params, SourceRecord, Stage, StageProgress, StageState, reason};
use ovation_reaction::WindowUpdate;
use serde::{Deserialize, Serialize};

use crate::detector::Settings;
use crate::room::{News, Room};

/// Rooms and definitions that one partition remembers; the one that was silent longest gives way, and begins anew.
const ROOMS_MAX: usize = 10_000;
/// Moments that a final lets end at most because their rooms fell silent; more wait for the next final.
const ENDS_PER_FINAL_MAX: usize = 8;
/// Past windows, and windows of a moment: what a checkpoint holds of each room.
const BASELINE_MAX: usize = 360;
/// A day.
const TIME_MS_MAX: i64 = 86_400_000;

/// Moments of one source partition.
#[derive(Debug)]
pub struct Moments {
    settings: Settings,
    /// The only definition that it looks at.
    window: Option<String>,
    /// Topic that moments are replayed from.
    events: String,
    state: State,
    /// Rooms by the time when their moment ends for want of reactions.
    silent: BTreeSet<(i64, Key)>,
    /// Rooms by the end of their last window.
    oldest: BTreeSet<(i64, Key)>,
}

/// Room and definition.
type Key = (String, String);

#[derive(Debug, Default)]
struct State {
    stream_time: Option<i64>,
    rooms: BTreeMap<Key, Room>,
}

#[derive(Serialize)]
struct Saved<'a> {
    stream_time: Option<i64>,
    rooms: Vec<(&'a Key, &'a Room)>,
}

#[derive(Deserialize)]
struct Restored {
    stream_time: Option<i64>,
    rooms: Vec<(Key, Room)>,
}

/// What is read of every result.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "final")]
    last: bool,
    #[serde(default)]
    retracted: bool,
    #[serde(borrow)]
    window: HeadWindow<'a>,
}

#[derive(Deserialize)]
struct HeadWindow<'a> {
    #[serde(borrow)]
    name: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    kind: std::borrow::Cow<'a, str>,
}

impl Stage for Moments {
    fn open(params: &Params) -> Result<Self, String> {
        let usual = Settings::default();
        let settings = Settings {
            baseline: within(params, "baseline", usual.baseline, 3..=BASELINE_MAX, "windows")?,
            warm_up: within(params, "warm-up", usual.warm_up, 1..=BASELINE_MAX, "windows")?,
            threshold: within(params, "threshold", usual.threshold, 1.0..=1_000.0, "deviations")?,
            lift: within(params, "lift", usual.lift, 1.0..=1_000_000.0, "times the usual")?,
            taps_min: within(params, "min-taps", usual.taps_min, 1..=u64::MAX, "taps")?,
            cool_down_ms: within(
                params,
                "cool-down-ms",
                usual.cool_down_ms,
                0..=TIME_MS_MAX,
                "milliseconds",
            )?,
            longest_ms: within(params, "longest-ms", usual.longest_ms, 1..=TIME_MS_MAX, "milliseconds")?,
        };
        if settings.warm_up > settings.baseline {
            let Settings { warm_up, baseline, .. } = settings;
            return Err(format!(
                "\"warm-up\" is {warm_up} windows; expected at most \"baseline\", {baseline}"
            ));
        }
        Ok(Self {
            settings,
            window: params.get("window").map(str::to_owned),
            events: params.get("events").unwrap_or("emoji-events").to_owned(),
            state: State::default(),
            silent: BTreeSet::new(),
            oldest: BTreeSet::new(),
        })
    }

    fn record(&mut self, record: &SourceRecord<'_>, emit: &mut Emit<'_>) {
        if record.is_tick() {
            return;
        }
        if record.is_reject() {
            emit.forward_reject(record);
        } else if let Err(error) = self.result(record.value, emit) {
            emit.dead_letter(reason::MALFORMED, &format!("not a window's result: {error}"), record.value);
        }
    }

    /// Its source takes no ticks: what waits, waits for a final.
    fn progress(&self) -> StageProgress {
        StageProgress {
            stream_time: self.state.stream_time,
            watermark: self.state.stream_time,
            state: StageState { keys: self.state.rooms.len(), ..StageState::default() },
            ..StageProgress::default()
        }
    }

    fn stream_time(&self) -> Option<i64> {
        self.state.stream_time
    }

    fn save(&self) -> Result<String, String> {
        let State { stream_time, rooms } = &self.state;
        serde_json::to_string(&Saved { stream_time: *stream_time, rooms: rooms.iter().collect() })
            .map_err(|error| error.to_string())
    }

    fn restore(&mut self, state: &str) -> Result<(), String> {
        let Restored { stream_time, rooms } =
            serde_json::from_str(state).map_err(|error| error.to_string())?;
        (self.silent, self.oldest) = (BTreeSet::new(), BTreeSet::new());
        self.state = State { stream_time, rooms: rooms.into_iter().collect() };
        for (key, room) in &self.state.rooms {
            self.oldest.insert((room.end, key.clone()));
            if let Some(moment) = &room.moment {
                self.silent.insert((moment.silent_at(), key.clone()));
            }
        }
        Ok(())
    }
}

impl Moments {
    fn result(&mut self, value: &[u8], emit: &mut Emit<'_>) -> serde_json::Result<()> {
        let head: Head<'_> = serde_json::from_slice(value)?;
        let is_meant = match &self.window {
            Some(name) => head.window.name == *name,
            None => head.window.kind == "tumbling",
        };
        if !head.last || head.retracted || !is_meant {
            return Ok(());
        }
        let update: WindowUpdate<'_> = serde_json::from_slice(value)?;
        self.take(&update, emit);
        Ok(())
    }

    fn take(&mut self, update: &WindowUpdate<'_>, emit: &mut Emit<'_>) {
        let key: Key = (update.room.clone().into_owned(), update.window.name.clone().into_owned());
        let now = self.state.stream_time.map_or(update.window.end, |now| now.max(update.window.end));
        self.state.stream_time = Some(now);
        self.end_silent(now, emit);
        let known = self.state.rooms.get(&key);
        if known.is_some_and(|room| !room.takes(update)) {
            return;
        }
        match known {
            None => self.make_space(emit),
            Some(room) if room.was_silent(update) => self.end(&key, emit),
            Some(_) => {}
        }
        let room = self.state.rooms.entry(key.clone()).or_default();
        self.oldest.remove(&(room.end, key.clone()));
        if let Some(moment) = &room.moment {
            self.silent.remove(&(moment.silent_at(), key.clone()));
        }
        let news = room.window(&self.settings, update);
        self.oldest.insert((room.end, key.clone()));
        match news {
            News::Nothing => {}
            News::Moment => {
                tell(room, &key, &self.events, false, emit);
                if let Some(moment) = &room.moment {
                    self.silent.insert((moment.silent_at(), key));
                }
            }
            News::Over => {
                tell(room, &key, &self.events, true, emit);
                room.moment = None;
            }
        }
    }

    /// Ends moments of rooms in which nobody has reacted since, in the order in which they fell silent.
    fn end_silent(&mut self, now: i64, emit: &mut Emit<'_>) {
        for _ in 0..ENDS_PER_FINAL_MAX {
            let Some((_, key)) = self.silent.first().filter(|(at, _)| *at <= now).cloned() else { return };
            self.end(&key, emit);
        }
    }

    /// Ends a room's moment because nobody has reacted since.
    fn end(&mut self, key: &Key, emit: &mut Emit<'_>) {
        let Some(room) = self.state.rooms.get_mut(key) else { return };
        let Some(moment) = &room.moment else { return };
        self.silent.remove(&(moment.silent_at(), key.clone()));
        room.fall_silent(&self.settings);
        tell(room, key, &self.events, true, emit);
        room.moment = None;
    }

    /// Forgets the room that was silent longest, until one more has space.
    fn make_space(&mut self, emit: &mut Emit<'_>) {
        while self.state.rooms.len() >= ROOMS_MAX {
            let Some((_, key)) = self.oldest.pop_first() else { return };
            self.end(&key, emit);
            self.state.rooms.remove(&key);
        }
    }
}

fn tell(room: &mut Room, (name, window): &Key, events: &str, last: bool, emit: &mut Emit<'_>) {
    if room.moment.is_none() {
        return;
    }
    emit.result(name, |numbers| {
        let moment = room.record(name, window, events, last, numbers);
        moment.and_then(|moment| serde_json::to_vec(&moment).ok()).unwrap_or_default()
    });
}

/// A number within bounds.
fn within<T: FromStr + PartialOrd + std::fmt::Display>(
    params: &Params,
    name: &str,
    default: T,
    bounds: std::ops::RangeInclusive<T>,
    unit: &str,
) -> Result<T, String> {
    let (least, most) = (bounds.start(), bounds.end());
    let expected = format!("{unit}, {least} to {most}");
    let value = params.parse(name, default, &expected).map_err(|error| error.to_string())?;
    if bounds.contains(&value) {
        Ok(value)
    } else {
        Err(format!("parameter {name:?} is {value}; expected {expected}"))
    }
}
