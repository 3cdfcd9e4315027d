//! The hub: what this gateway knows of every room, kept up to date from the aggregate topic.
//!
//! It holds nothing that the topic does not have: any number of gateways serve the same rooms.

pub(crate) mod fuzzing;
pub(crate) mod moment;
mod room;
mod shown;
mod update;

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use ovation_client::Record;
use tokio::sync::watch;

use self::moment::Moment;
pub(crate) use self::room::Mark;
pub(crate) use self::room::latest;
use self::room::{After, Bounds, Room};
use self::shown::{Shown, quoted};
use self::update::NO_TOTALS;
pub(crate) use self::update::Update;
#[cfg(test)]
pub(crate) use self::update::tests::record;
use crate::config::Config;
use crate::cursor::{Cursor, Place};
use crate::follow::Taker;
use crate::form::{Fields, Form};
use crate::ingest::now_ms;
use crate::rooms::RoomSettings;

/// Rooms in the answer of [`Hub::rooms`]: a page's worth.
const ROOMS_LISTED_MAX: usize = 100;

/// Updates of all rooms that are kept for those who follow many: some seconds of a busy gateway.
const LOG_UPDATES_MAX: usize = 4_096;

/// Updates that a reader gets at once one by one; of more it gets those that have not been superseded.
const BURST_UPDATES_MAX: usize = 32;

/// A client that resumes gets the moments again that ended so recently: whether it has them does not show in its cursor.
const MOMENTS_AGAIN_MS: i64 = 10 * 60 * 1_000;

/// Moments of all rooms that a client gets again: more than a page shows.
const MOMENTS_AGAIN_MAX: usize = 64;

/// All rooms. Cheap to share; every call is short and never waits for I/O.
#[derive(Debug)]
pub(crate) struct Hub {
    rooms_max: usize,
    bounds: Bounds,
    /// What each room takes: snapshots tell of it.
    settings: Arc<RoomSettings>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rooms: HashMap<Box<str>, Room>,
    /// The last place applied in each partition.
    applied: Arc<Cursor>,
    /// Up to here, rooms that are not in `rooms` may have had updates.
    forgotten: Cursor,
    /// Counts changes; orders rooms by idleness without asking a clock.
    clock: u64,
    /// Last updates of all rooms, in the order in which they went out.
    log: VecDeque<Arc<Update>>,
    /// For each partition, the last place that `log` does not have any more (or never had).
    log_horizon: Cursor,
    /// The same in the hub's time.
    log_horizon_tick: u64,
    /// Whoever was here before this time knows another log.
    begun: u64,
    /// Tells the clock's time at each update.
    changed: watch::Sender<u64>,
}

impl State {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}

/// What a client wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taste {
    /// How it takes its messages.
    pub(crate) form: Form,
    /// Only finals.
    pub(crate) finals_only: bool,
}

impl Taste {
    /// Whether an update is for this taste.
    pub(crate) fn takes(self, update: &Update) -> bool {
        !self.finals_only || update.is_final
    }
}

/// What comes next for a reader.
#[derive(Debug)]
pub(crate) enum Next {
    /// These updates, in order, and how many were left out because others supersede them.
    Updates { updates: Vec<Arc<Update>>, skipped: u64, mark: Mark },
    /// Some of what it has not read is not known here any more, so many updates at least.
    Unknown { skipped: u64 },
}

/// What a client that comes with a cursor gets.
#[derive(Debug)]
pub(crate) enum Resumed {
    /// These updates, in order, and where it is then.
    Updates(Vec<Arc<Update>>, Mark),
    /// The hub does not know all that came after the cursor.
    Older,
    /// The cursor is ahead of this hub. It may also come from before the topic was made anew.
    Ahead,
}

/// One client's place in a room.
#[derive(Debug)]
pub(crate) struct Seat {
    hub: Arc<Hub>,
    room: Box<str>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(room) = self.hub.lock().rooms.get_mut(&self.room) {
            room.leave();
        }
    }
}

impl Hub {
    /// An empty hub with the bounds of `config`.
    pub(crate) fn new(config: &Config, settings: Arc<RoomSettings>) -> Arc<Self> {
        Arc::new(Self {
            settings,
            rooms_max: config.rooms_max,
            bounds: Bounds {
                finals_max: config.finals_per_room,
                open_max: config.open_windows_per_room_max,
                recent_max: config.resume_updates_per_room.max(1),
            },
            state: Mutex::new(State {
                rooms: HashMap::new(),
                applied: Arc::default(),
                forgotten: Cursor::default(),
                clock: 0,
                log: VecDeque::new(),
                log_horizon: Cursor::default(),
                log_horizon_tick: 0,
                begun: 0,
                changed: watch::Sender::new(0),
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change leaves the state whole, so a panic elsewhere is no reason to stop.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that updates of `partition` up to `place` were before this hub's time.
    pub(crate) fn begin(&self, partition: u32, place: Place) {
        let state = &mut *self.lock();
        state.forgotten.advance(partition, place);
        state.log_horizon.advance(partition, place);
        Arc::make_mut(&mut state.applied).advance(partition, place);
        // Rooms that somebody came to before, or that a moment told of.
        for room in state.rooms.values_mut() {
            room.begin(partition, place);
        }
    }

    /// Forgets all of `partition`: its log was made anew. Clients of its rooms are sent to a new snapshot.
    pub(crate) fn reset(&self, partition: u32) {
        let state = &mut *self.lock();
        let now = state.tick();
        Arc::make_mut(&mut state.applied).remove(partition);
        state.forgotten.remove(partition);
        state.log_horizon.remove(partition);
        state.log.clear();
        state.begun = now;
        for room in state.rooms.values_mut() {
            if room.last().is_some_and(|last| last.partition == partition) {
                room.reset(now);
            }
        }
        state.changed.send_replace(now);
    }

    /// Takes the next update of its partition. Those of one partition come in order, each once.
    pub(crate) fn apply(&self, mut update: Update) {
        let state = &mut *self.lock();
        let (partition, place) = (update.partition, update.place);
        if state.applied.place(partition).is_some_and(|known| known >= place) {
            return;
        }
        Arc::make_mut(&mut state.applied).advance(partition, place);
        self.make_room(state, &update.room);
        let now = state.tick();
        let Some(room) = state.rooms.get_mut(&update.room) else { return };
        room.touched = now;
        (update.tick, update.number, update.watching) = (now, room.number() + 1, room.watching());
        update.set_read(Arc::clone(&state.applied));
        self.tell(state, Arc::new(update));
    }

    /// Takes a moment, if it is news. It goes out to all who follow its room, after what has been taken until now.
    pub(crate) fn apply_moment(&self, moment: Moment) {
        let state = &mut *self.lock();
        self.make_room(state, &moment.room);
        let now = state.tick();
        let Some(room) = state.rooms.get(&moment.room).filter(|room| room.is_news(&moment)) else { return };
        // The stage of moments writes to the partition that it reads.
        let partition = room.last().map_or(moment.partition, |last| last.partition);
        let number = room.number() + 1;
        let mut update = Update::of_moment(Arc::new(moment), partition, Arc::clone(&state.applied));
        (update.tick, update.number) = (now, number);
        self.tell(state, Arc::new(update));
    }

    /// Forgets moments of `partition` of their topic: its log was made anew.
    pub(crate) fn forget_moments(&self, partition: u32) {
        for room in self.lock().rooms.values_mut() {
            room.forget_moments(partition);
        }
    }

    /// Makes the room, if it is new.
    fn make_room(&self, state: &mut State, name: &str) {
        if state.rooms.contains_key(name) {
            return;
        }
        self.make_space(state);
        let mut room = Room::new(state.forgotten.clone());
        room.touched = state.clock;
        state.rooms.insert(name.into(), room);
    }

    /// Keeps an update in its room and in the log, and tells everybody.
    fn tell(&self, state: &mut State, update: Arc<Update>) {
        let Some(room) = state.rooms.get_mut(&update.room) else { return };
        room.apply(Arc::clone(&update), self.bounds);
        if state.log.len() >= LOG_UPDATES_MAX
            && let Some(oldest) = state.log.pop_front()
        {
            if oldest.moment().is_none() {
                state.log_horizon.advance(oldest.partition, oldest.place);
            }
            state.log_horizon_tick = oldest.tick;
            oldest.forget_read();
        }
        let now = update.tick;
        state.log.push_back(update);
        state.changed.send_replace(now);
    }

    /// Forgets the rooms that were idle longest, until one more has space. Rooms with clients stay: clients are
    /// bounded too.
    fn make_space(&self, state: &mut State) {
        while state.rooms.len() >= self.rooms_max {
            let idle = state.rooms.iter().filter(|(_, room)| room.watching() == 0);
            let Some(oldest) = idle.min_by_key(|(_, room)| room.touched).map(|(name, _)| name.clone()) else {
                return;
            };
            if let Some(last) = state.rooms.remove(&oldest).and_then(|room| room.last().cloned()) {
                state.forgotten.advance(last.partition, last.place);
            }
        }
    }

    /// A client comes to a room: it counts as watching until the seat is dropped. Also what tells it of each update.
    pub(crate) fn enter(self: &Arc<Self>, name: &str) -> (Seat, watch::Receiver<u64>) {
        let state = &mut *self.lock();
        self.make_room(state, name);
        let now = state.tick();
        let room = state.rooms.entry(name.into()).or_insert_with(|| Room::new(state.forgotten.clone()));
        room.touched = now;
        let changed = room.enter();
        (Seat { hub: Arc::clone(self), room: name.into() }, changed)
    }

    /// What tells of each update in any room.
    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.lock().changed.subscribe()
    }

    /// What has been read of every partition.
    pub(crate) fn applied(&self) -> Arc<Cursor> {
        Arc::clone(&self.lock().applied)
    }

    /// Rooms that are known.
    pub(crate) fn rooms_known(&self) -> usize {
        self.lock().rooms.len()
    }

    /// Clients that watch a room now.
    pub(crate) fn watching(&self, name: &str) -> usize {
        self.lock().rooms.get(name).map_or(0, Room::watching)
    }

    /// In which partition a room lives, if it had an update in the hub's time.
    pub(crate) fn partition_of(&self, name: &str) -> Option<u32> {
        self.lock().rooms.get(name)?.last().map(|last| last.partition)
    }

    /// Where a reader of a room is that begins now.
    pub(crate) fn mark(&self, name: &str) -> Mark {
        self.lock().rooms.get(name).map(Room::mark).unwrap_or_default()
    }

    /// Where a reader of many rooms is that begins now, and its cursor.
    pub(crate) fn mark_of_all(&self) -> (Mark, Arc<Cursor>) {
        let state = self.lock();
        (Mark { tick: state.clock, number: 0 }, Arc::clone(&state.applied))
    }

    /// What a client of a room gets that comes with a cursor.
    pub(crate) fn resume(&self, name: &str, cursor: &Cursor) -> Resumed {
        let State { rooms, applied, .. } = &mut *self.lock();
        if is_ahead(cursor, applied) {
            return Resumed::Ahead;
        }
        let Some(room) = rooms.get_mut(name) else { return Resumed::Older };
        match room.since(cursor) {
            After::Updates(mut updates) => {
                updates.extend(room.moments_again(applied, now_ms() - MOMENTS_AGAIN_MS));
                Resumed::Updates(updates, room.mark())
            }
            After::Unknown => Resumed::Older,
        }
    }

    /// What a client of many rooms gets that comes with a cursor.
    pub(crate) fn resume_all(&self, cursor: &Cursor, covers: impl Fn(&str) -> bool) -> Resumed {
        let state = &mut *self.lock();
        if is_ahead(cursor, &state.applied) {
            return Resumed::Ahead;
        }
        let mut horizon = state.log_horizon.places();
        if !horizon.all(|(at, place)| cursor.place(at).is_some_and(|known| known >= place)) {
            return Resumed::Older;
        }
        let is_new = |update: &&Arc<Update>| {
            update.moment().is_none()
                && cursor.place(update.partition).is_none_or(|known| update.place > known)
                && covers(&update.room)
        };
        let mut updates: Vec<_> = state.log.iter().filter(is_new).map(Arc::clone).collect();
        let from = now_ms() - MOMENTS_AGAIN_MS;
        let covered = state.rooms.iter_mut().filter(|(name, _)| covers(name));
        let mut again: Vec<_> =
            covered.flat_map(|(_, room)| room.moments_again(&state.applied, from)).collect();
        again.sort_by_key(|update| update.moment().map(|moment| moment.end));
        updates.extend(again.drain(again.len().saturating_sub(MOMENTS_AGAIN_MAX)..));
        Resumed::Updates(updates, Mark { tick: state.clock, number: 0 })
    }

    /// Every update of a room after a mark, if they are still known one by one.
    pub(crate) fn every(&self, name: &str, mark: Mark) -> Option<(Vec<Arc<Update>>, Mark)> {
        let state = self.lock();
        let room = state.rooms.get(name)?;
        match room.after(mark.tick) {
            After::Updates(updates) => Some((updates, room.mark())),
            After::Unknown => None,
        }
    }

    /// What comes next for a reader of a room. With `latest` what has been superseded is left out, else only if there is too
    /// much of it.
    pub(crate) fn next(&self, name: &str, mark: Mark, is_slow: bool) -> Next {
        let state = self.lock();
        let Some(room) = state.rooms.get(name) else { return Next::Unknown { skipped: 0 } };
        let now = room.mark();
        if now == mark {
            return Next::Updates { updates: Vec::new(), skipped: 0, mark };
        }
        let behind = now.number - mark.number;
        let is_slow = is_slow || behind > BURST_UPDATES_MAX as u64;
        match if is_slow { room.latest(mark.tick) } else { room.after(mark.tick) } {
            After::Updates(updates) => {
                Next::Updates { skipped: behind.saturating_sub(updates.len() as u64), updates, mark: now }
            }
            After::Unknown => Next::Unknown { skipped: behind },
        }
    }

    /// The same for a reader of many rooms.
    pub(crate) fn next_of_all(&self, mark: Mark, is_slow: bool, covers: impl Fn(&str) -> bool) -> Next {
        let state = self.lock();
        if mark.tick < state.begun || mark.tick < state.log_horizon_tick {
            return Next::Unknown { skipped: 0 };
        }
        let newest = state.log.iter().rev().take_while(|update| update.tick > mark.tick);
        let mut updates: Vec<_> = newest.filter(|update| covers(&update.room)).map(Arc::clone).collect();
        updates.reverse();
        let behind = updates.len();
        if is_slow || behind > BURST_UPDATES_MAX {
            updates = latest(updates);
        }
        let skipped = behind - updates.len();
        Next::Updates { updates, skipped: skipped as u64, mark: Mark { tick: state.clock, number: 0 } }
    }

    /// The snapshot message of a room, as it is now, to this taste, and where its reader is then.
    pub(crate) fn snapshot(&self, name: &str, taste: Taste, resumed: Option<bool>) -> (Bytes, Mark) {
        let takes = self.settings.shown(name);
        let (text, cursor, mark) = {
            let state = self.lock();
            let room = state.rooms.get(name);
            let mark = room.map(Room::mark).unwrap_or_default();
            // Who could not resume gets one of its own.
            if resumed.is_none()
                && let Some(bytes) = room.and_then(|room| room.snapshot(taste, &takes))
            {
                return (bytes, mark);
            }
            let cursor = state.applied.encode();
            let shown = Shown { until: u64::MAX, fields: taste.form.fields, finals_only: taste.finals_only };
            (shown.snapshot(name, room, &cursor, &takes, resumed), cursor, mark)
        };
        let bytes = taste.form.write(&text, Some(&cursor));
        if resumed.is_none()
            && let Some(room) = self.lock().rooms.get_mut(name)
        {
            room.keep_snapshot(taste, takes, mark.tick, bytes.clone());
        }
        (bytes, mark)
    }

    /// The snapshot message of a room for a reader of many, who gets all that came after `mark` anyway: windows that have
    /// changed since are left out.
    pub(crate) fn snapshot_at(
        &self,
        name: &str,
        taste: Taste,
        mark: Mark,
        cursor: &str,
        resumed: Option<bool>,
    ) -> Bytes {
        let shown = Shown { until: mark.tick, fields: taste.form.fields, finals_only: taste.finals_only };
        let takes = self.settings.shown(name);
        let text = shown.snapshot(name, self.lock().rooms.get(name), cursor, &takes, resumed);
        taste.form.write(&text, Some(cursor))
    }

    /// The snapshot object of a room, as text. A room that nobody reacted in is empty, not unknown.
    pub(crate) fn object(&self, name: &str) -> String {
        let takes = self.settings.shown(name);
        let state = self.lock();
        let shown = Shown { until: u64::MAX, fields: Fields::ALL, finals_only: false };
        shown.snapshot(name, state.rooms.get(name), &state.applied.encode(), &takes, None)
    }

    /// Names of rooms with reactions, last active first.
    pub(crate) fn active(&self, covers: impl Fn(&str) -> bool) -> Vec<Box<str>> {
        let state = self.lock();
        active(&state).into_iter().map(|(name, _)| name).filter(|name| covers(name)).map(Box::from).collect()
    }

    /// Rooms with reactions, of those that are `covered`, last active first, as a JSON array.
    pub(crate) fn rooms(&self, covered: impl Fn(&str) -> bool) -> String {
        let state = self.lock();
        let listed = active(&state).into_iter().filter(|(name, _)| covered(name)).take(ROOMS_LISTED_MAX);
        let mut json = String::from("[");
        for (index, (name, room)) in listed.enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let totals = room.last().map_or(NO_TOTALS, |last| last.room_totals());
            let _ = write!(
                json,
                r#"{comma}{{"room":{},"room_totals":{totals},"watching":{},"open_windows":{}}}"#,
                quoted(name),
                room.watching(),
                room.open_windows(),
            );
        }
        json.push(']');
        json
    }
}

fn is_ahead(cursor: &Cursor, applied: &Cursor) -> bool {
    cursor.places().any(|(at, place)| Some(place) > applied.place(at))
}

fn active(state: &State) -> Vec<(&str, &Room)> {
    let rooms = state.rooms.iter().filter(|(_, room)| room.last().is_some());
    let mut rooms: Vec<_> = rooms.map(|(name, room)| (&**name, room)).collect();
    rooms.sort_unstable_by_key(|(_, room)| std::cmp::Reverse(room.touched));
    rooms
}

/// Takes the aggregate topic.
impl Taker for Hub {
    type Item = Update;

    fn read(&self, record: &Record) -> Result<(Place, Update), String> {
        Update::read(record.partition, &record.value).map(|update| (update.place, update))
    }

    fn begin(&self, partition: u32, before: Place) {
        Hub::begin(self, partition, before);
    }

    fn take(&self, update: Update) {
        update.trace();
        self.apply(update);
    }

    fn reset(&self, partition: u32) {
        Hub::reset(self, partition);
    }
}

#[cfg(test)]
pub(crate) mod tests;
