//! The hub: what this gateway knows of every room, kept up to date from the aggregate topic.
//!
//! It holds nothing that the topic does not have: any number of gateways serve the same rooms.

pub(crate) mod follow;
pub(crate) mod fuzzing;
pub(crate) mod order;
mod room;
mod update;

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

pub(crate) use self::room::Mark;
pub(crate) use self::room::latest;
use self::room::{After, Bounds, Room};
pub(crate) use self::update::Update;
#[cfg(test)]
pub(crate) use self::update::tests::record;
use crate::config::Config;
use crate::cursor::{Cursor, Place};
use crate::form::{Fields, Form};

/// Rooms in the answer of [`Hub::rooms`]: a page's worth.
const ROOMS_LISTED_MAX: usize = 100;

/// Updates of all rooms that are kept for those who follow many: some seconds of a busy gateway.
const LOG_UPDATES_MAX: usize = 4_096;

/// Updates that a reader gets at once one by one; of more it gets those that have not been superseded.
const BURST_UPDATES_MAX: usize = 32;

/// `room_totals` of a room that has had no reaction.
const NO_TOTALS: &str = r#"{"reactions":0,"late":0,"duplicates":0,"rejected":0}"#;

/// All rooms. Cheap to share; every call is short and never waits for I/O.
#[derive(Debug)]
pub(crate) struct Hub {
    rooms_max: usize,
    bounds: Bounds,
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
    pub(crate) fn new(config: &Config) -> Arc<Self> {
        Arc::new(Self {
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
        if !state.rooms.contains_key(&update.room) {
            self.make_space(state);
            let room = Room::new(state.forgotten.clone());
            state.rooms.insert(update.room.clone(), room);
        }
        let now = state.tick();
        let Some(room) = state.rooms.get_mut(&update.room) else { return };
        room.touched = now;
        (update.tick, update.number) = (now, room.number() + 1);
        update.set_read(Arc::clone(&state.applied));
        let update = Arc::new(update);
        room.apply(Arc::clone(&update), self.bounds);
        if state.log.len() >= LOG_UPDATES_MAX
            && let Some(oldest) = state.log.pop_front()
        {
            state.log_horizon.advance(oldest.partition, oldest.place);
            state.log_horizon_tick = oldest.tick;
            oldest.forget_read();
        }
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
        if !state.rooms.contains_key(name) {
            self.make_space(state);
        }
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
        let state = self.lock();
        if is_ahead(cursor, &state.applied) {
            return Resumed::Ahead;
        }
        match state.rooms.get(name).map(|room| (room.since(cursor), room.mark())) {
            Some((After::Updates(updates), mark)) => Resumed::Updates(updates, mark),
            Some((After::Unknown, _)) | None => Resumed::Older,
        }
    }

    /// What a client of many rooms gets that comes with a cursor.
    pub(crate) fn resume_all(&self, cursor: &Cursor, covers: impl Fn(&str) -> bool) -> Resumed {
        let state = self.lock();
        if is_ahead(cursor, &state.applied) {
            return Resumed::Ahead;
        }
        let mut horizon = state.log_horizon.places();
        if !horizon.all(|(at, place)| cursor.place(at).is_some_and(|known| known >= place)) {
            return Resumed::Older;
        }
        let is_new = |update: &&Arc<Update>| {
            cursor.place(update.partition).is_none_or(|known| update.place > known) && covers(&update.room)
        };
        let updates = state.log.iter().filter(is_new).map(Arc::clone).collect();
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
        let (text, cursor, mark) = {
            let state = self.lock();
            let room = state.rooms.get(name);
            let mark = room.map(Room::mark).unwrap_or_default();
            // Who could not resume gets one of its own.
            if resumed.is_none()
                && let Some(bytes) = room.and_then(|room| room.snapshot(taste))
            {
                return (bytes, mark);
            }
            let cursor = state.applied.encode();
            let shown = Shown { until: u64::MAX, fields: taste.form.fields, finals_only: taste.finals_only };
            (shown.snapshot(name, room, &cursor, resumed), cursor, mark)
        };
        let bytes = taste.form.write(&text, Some(&cursor));
        if resumed.is_none()
            && let Some(room) = self.lock().rooms.get_mut(name)
        {
            room.keep_snapshot(taste, mark.tick, bytes.clone());
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
        let text = shown.snapshot(name, self.lock().rooms.get(name), cursor, resumed);
        taste.form.write(&text, Some(cursor))
    }

    /// The snapshot object of a room, as text. A room that nobody reacted in is empty, not unknown.
    pub(crate) fn object(&self, name: &str) -> String {
        let state = self.lock();
        let shown = Shown { until: u64::MAX, fields: Fields::ALL, finals_only: false };
        shown.snapshot(name, state.rooms.get(name), &state.applied.encode(), None)
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

/// What a snapshot shows.
struct Shown {
    /// Windows that have changed after this time are left out.
    until: u64,
    fields: Fields,
    finals_only: bool,
}

impl Shown {
    /// `{"type":"snapshot",…}`. The windows are the records as they stand in the topic.
    fn snapshot(&self, name: &str, room: Option<&Room>, cursor: &str, resumed: Option<bool>) -> String {
        let totals =
            room.and_then(|room| room.last_until(self.until)).map_or(NO_TOTALS, |last| last.room_totals());
        let watching = room.map_or(0, Room::watching);
        let mut json = format!(
            r#"{{"type":"snapshot","cursor":"{cursor}","room":{},"room_totals":{totals},"watching":{watching},"#,
            quoted(name),
        );
        if let Some(resumed) = resumed {
            let _ = write!(json, r#""resumed":{resumed},"#);
        }
        json.push_str(r#""windows":["#);
        let windows = room.into_iter().flat_map(Room::windows);
        let shown =
            windows.filter(|update| update.tick <= self.until && (!self.finals_only || update.is_final));
        for (index, update) in shown.enumerate() {
            if index > 0 {
                json.push(',');
            }
            match self.fields == Fields::ALL {
                true => json.push_str(update.record()),
                false => json.push_str(&self.fields.of(update.record())),
            }
        }
        json.push_str("]}");
        json
    }
}

/// `text` as a JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::update::tests::{TEXT, message, record};
    use super::*;
    use crate::form::Reach;

    const ALL: Taste = Taste { form: TEXT, finals_only: false };

    fn hub(rooms_max: usize) -> Arc<Hub> {
        let mut config = Config::new(ovation_client::Cluster::new("127.0.0.1:1"));
        config.rooms_max = rooms_max;
        config.resume_updates_per_room = 3;
        Hub::new(&config)
    }

    fn apply(hub: &Hub, room: &str, seq: u64, start: i64, revision: u64, is_final: bool) {
        let value = record(room, (1, seq), start, revision, is_final);
        hub.apply(Update::read(0, value.as_bytes()).expect("a good record"));
    }

    fn json(text: &str) -> serde_json::Value {
        serde_json::from_str(text).expect("JSON")
    }

    fn seqs(updates: &[Arc<Update>]) -> Vec<u64> {
        updates.iter().map(|update| update.place.seq).collect()
    }

    /// Numbers of what a client with a cursor gets.
    fn resumed(hub: &Hub, room: &str, seq: u64) -> Option<Vec<u64>> {
        match hub.resume(room, &Cursor::at(0, Place::new(1, seq))) {
            Resumed::Updates(updates, mark) => {
                assert_eq!(mark, hub.mark(room));
                Some(seqs(&updates))
            }
            Resumed::Older | Resumed::Ahead => None,
        }
    }

    /// The list of active rooms, with one.
    pub(crate) fn active(room: &str) -> String {
        let hub = hub(10);
        hub.begin(0, Place::new(1, 0));
        apply(&hub, room, 1, 0, 1, false);
        format!(r#"{{"rooms":{}}}"#, hub.rooms(|_| true))
    }

    /// What a client of a room with one window gets first, what one gets that could not resume, and an update.
    pub(crate) fn messages(room: &str) -> [String; 3] {
        let hub = hub(10);
        hub.begin(0, Place::new(1, 0));
        apply(&hub, room, 1, 0, 1, false);
        let (first, mark) = hub.snapshot(room, ALL, None);
        let (anew, _) = hub.snapshot(room, ALL, Some(false));
        apply(&hub, room, 2, 0, 2, false);
        let Next::Updates { updates, .. } = hub.next(room, mark, false) else { panic!("an update") };
        [first, anew, updates[0].bytes(TEXT)].map(|event| message(&event).to_string())
    }

    #[test]
    fn a_client_gets_a_snapshot_and_then_each_update_once() {
        let hub = hub(10);
        hub.begin(0, Place::new(1, 0));
        apply(&hub, "a", 1, 0, 1, true);
        apply(&hub, "a", 2, 10_000, 2, false);
        let (seat, mut changed) = hub.enter("a");
        let (snapshot, mark) = hub.snapshot("a", ALL, None);
        let snapshot = message(&snapshot);
        assert_eq!(snapshot["windows"].as_array().map(Vec::len), Some(2));
        assert_eq!(snapshot["room_totals"]["reactions"], 2);
        assert_eq!(snapshot["watching"], 1);
        assert_eq!(snapshot.get("resumed"), None);
        apply(&hub, "b", 3, 10_000, 1, false);
        assert_eq!(changed.has_changed().ok(), Some(false), "another room");
        apply(&hub, "a", 4, 10_000, 3, false);
        apply(&hub, "a", 4, 10_000, 3, false);
        assert!(changed.has_changed().is_ok_and(|changed| changed));
        changed.mark_unchanged();
        let Next::Updates { updates, skipped, mark } = hub.next("a", mark, false) else { panic!("known") };
        assert_eq!((seqs(&updates), skipped), (vec![4], 0));
        let Next::Updates { updates, .. } = hub.next("a", mark, false) else { panic!("known") };
        assert!(updates.is_empty());
        drop(seat);
        assert_eq!(json(&hub.object("a"))["watching"], 0);
    }

    #[test]
    fn a_snapshot_is_made_once_for_all_who_come_and_anew_for_an_update() {
        let hub = hub(10);
        let _seat = hub.enter("a");
        apply(&hub, "a", 1, 0, 1, false);
        let (one, mark) = hub.snapshot("a", ALL, None);
        let (other, same) = hub.snapshot("a", ALL, None);
        assert_eq!((one.as_ptr(), mark), (other.as_ptr(), same));
        let finals = Taste { finals_only: true, ..ALL };
        assert_eq!(message(&hub.snapshot("a", finals, None).0)["windows"], json("[]"));
        assert_eq!(message(&hub.snapshot("a", ALL, Some(false)).0)["resumed"], false);
        apply(&hub, "a", 2, 0, 2, true);
        let (later, _) = hub.snapshot("a", ALL, None);
        assert_eq!(message(&later)["windows"][0]["revision"], 2);
        assert_eq!(message(&hub.snapshot("a", finals, None).0)["windows"][0]["revision"], 2);
    }

    #[test]
    fn a_client_with_a_cursor_gets_what_it_missed_and_nothing_that_it_may_have_missed() {
        let hub = hub(10);
        hub.begin(0, Place::new(1, 0));
        let _seat = hub.enter("a");
        let cursor = message(&hub.snapshot("a", ALL, None).0)["cursor"].as_str().map(str::to_owned);
        let cursor = Cursor::decode(&cursor.expect("text")).expect("a cursor");
        assert_eq!(cursor, Cursor::at(0, Place::new(1, 0)));
        for seq in 1..=3 {
            apply(&hub, "a", seq, 0, seq, false);
        }
        assert_eq!(resumed(&hub, "a", 0), Some(vec![1, 2, 3]));
        apply(&hub, "a", 4, 0, 4, false);
        assert_eq!(resumed(&hub, "a", 0), Some(vec![4]), "the others are superseded");
        assert_eq!(resumed(&hub, "a", 3), Some(vec![4]));
        assert!(matches!(hub.resume("a", &Cursor::at(0, Place::new(1, 5))), Resumed::Ahead));
        assert!(matches!(hub.resume("a", &Cursor::default()), Resumed::Older));
    }

    #[test]
    fn a_reader_that_is_behind_skips_what_is_superseded_and_no_final() {
        let hub = hub(10);
        let _seat = hub.enter("a");
        let mark = hub.mark("a");
        for window in 0..50 {
            apply(&hub, "a", 2 * window + 1, window as i64 * 10_000, 1, false);
            apply(&hub, "a", 2 * window + 2, window as i64 * 10_000, 2, true);
        }
        apply(&hub, "a", 101, 1_000_000, 1, false);
        let Next::Updates { updates, skipped, mark: now } = hub.next("a", mark, true) else {
            panic!("known")
        };
        assert_eq!(updates.len() as u64 + skipped, 101);
        assert_eq!(updates.iter().filter(|update| update.is_final).count(), 50);
        assert_eq!((updates.len(), now), (51, hub.mark("a")));
        for window in 50..70 {
            apply(&hub, "a", 2 * window + 2, window as i64 * 10_000, 2, true);
        }
        assert!(matches!(hub.next("a", mark, true), Next::Unknown { skipped: 121 }), "a final is gone");
    }

    #[test]
    fn a_reader_of_many_rooms_gets_each_update_of_them_once() {
        let hub = hub(10);
        hub.begin(0, Place::new(1, 0));
        hub.begin(1, Place::new(1, 0));
        apply(&hub, "a", 1, 0, 1, true);
        apply(&hub, "b", 2, 0, 1, false);
        let (mark, cursor) = hub.mark_of_all();
        apply(&hub, "b", 3, 0, 2, false);
        // Its snapshots come one after the other, and tell of the same time.
        let many = Taste { form: Form { reach: Reach::Topic, ..TEXT }, finals_only: false };
        let snapshot = |room: &str| message(&hub.snapshot_at(room, many, mark, &cursor.encode(), None));
        assert_eq!(snapshot("a")["windows"].as_array().map(Vec::len), Some(1));
        assert_eq!(snapshot("b")["windows"], json("[]"), "the update comes");
        apply(&hub, "c", 4, 0, 1, false);
        let other = record("b", (1, 1), 0, 3, false);
        hub.apply(Update::read(1, other.as_bytes()).expect("a good record"));
        let covers = |room: &str| room != "c";
        let Next::Updates { updates, skipped, .. } = hub.next_of_all(mark, false, covers) else {
            panic!("known")
        };
        assert_eq!((seqs(&updates), skipped), (vec![3, 1], 0));
        let Next::Updates { updates: fewer, skipped, .. } = hub.next_of_all(mark, true, covers) else {
            panic!("known")
        };
        assert_eq!((seqs(&fewer), skipped), (vec![1], 1));
        let read = message(&updates[0].bytes(many.form))["cursor"].as_str().map(str::to_owned);
        let read = Cursor::decode(&read.expect("text")).expect("a cursor");
        let Resumed::Updates(rest, _) = hub.resume_all(&read, covers) else { panic!("known") };
        assert_eq!(seqs(&rest), [1], "its cursor covers both partitions");
        assert!(matches!(hub.resume_all(&Cursor::at(0, Place::new(1, 3)), covers), Resumed::Older));
    }

    #[test]
    fn rooms_are_bounded_and_a_forgotten_one_is_not_resumed() {
        let hub = hub(2);
        hub.begin(0, Place::new(1, 0));
        apply(&hub, "a", 1, 0, 1, false);
        apply(&hub, "b", 2, 0, 1, false);
        let seat = hub.enter("a");
        apply(&hub, "c", 3, 0, 1, false);
        let rooms = json(&hub.rooms(|_| true));
        let names: Vec<_> =
            rooms.as_array().expect("a list").iter().map(|room| room["room"].clone()).collect();
        assert_eq!(names, ["c", "a"], "the room that is watched stays");
        assert_eq!(json(&hub.rooms(|room| room == "a")).as_array().map(Vec::len), Some(1));
        drop(seat);
        let _seat = hub.enter("b");
        assert_eq!(resumed(&hub, "b", 1), None);
        assert_eq!(resumed(&hub, "b", 2), Some(vec![]), "it had read all that was forgotten");
    }

    #[test]
    fn a_log_that_was_made_anew_sends_its_readers_to_a_snapshot() {
        let hub = hub(10);
        let (_seat, changed) = hub.enter("a");
        apply(&hub, "a", 7, 0, 1, false);
        let (mark, (of_all, _)) = (hub.mark("a"), hub.mark_of_all());
        hub.reset(0);
        assert!(changed.has_changed().is_ok_and(|changed| changed));
        assert!(matches!(hub.next("a", mark, false), Next::Unknown { .. }));
        assert!(matches!(hub.next_of_all(of_all, false, |_| true), Next::Unknown { .. }));
        apply(&hub, "a", 1, 0, 1, false);
        let (snapshot, mark) = hub.snapshot("a", ALL, None);
        assert_eq!(message(&snapshot)["windows"][0]["seq"], 1);
        assert!(matches!(hub.next("a", mark, false), Next::Updates { updates, .. } if updates.is_empty()));
    }

    #[test]
    fn a_room_without_reactions_is_empty_not_unknown() {
        let snapshot = json(&hub(2).object("nobody"));
        assert_eq!(snapshot["room"], "nobody");
        assert_eq!(snapshot["windows"], serde_json::json!([]));
        assert_eq!(snapshot["room_totals"]["reactions"], 0);
    }
}
