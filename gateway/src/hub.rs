//! The hub: what this gateway knows of every room, kept up to date from the aggregate topic.
//!
//! It holds nothing that the topic does not have: any number of gateways serve the same rooms.

pub(crate) mod follow;
pub(crate) mod fuzzing;
pub(crate) mod order;
mod room;
mod update;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::broadcast;

use self::room::{Bounds, Room};
pub(crate) use self::update::Update;
use crate::config::Config;
use crate::cursor::{Cursor, Place};

/// Rooms in the answer of [`Hub::rooms`]: a page's worth.
const ROOMS_LISTED_MAX: usize = 100;

/// `room_totals` of a room that has had no reaction.
const NO_TOTALS: &str = r#"{"reactions":0,"late":0,"duplicates":0,"rejected":0}"#;

/// All rooms. Cheap to share; every call is short and never waits for I/O.
#[derive(Debug)]
pub(crate) struct Hub {
    rooms_max: usize,
    bounds: Bounds,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rooms: HashMap<Box<str>, Room>,
    /// The last place applied in each partition.
    applied: Cursor,
    /// Up to here, rooms that are not in `rooms` may have had updates.
    forgotten: Cursor,
    /// Counts changes; orders rooms by idleness without asking a clock.
    clock: u64,
}

impl State {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}

/// What a client gets when it comes.
pub(crate) struct Watch {
    /// To be sent first: a snapshot, or the updates that the client missed.
    pub(crate) first: Vec<Utf8Bytes>,
    /// Every update after `first`.
    pub(crate) updates: broadcast::Receiver<Arc<Update>>,
    /// Counts the client as watching until it is dropped.
    _seat: Seat,
}

/// One client's place in a room.
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
                queue_max: config.feed_queue_max.max(1),
            },
            state: Mutex::default(),
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
        state.applied.advance(partition, place);
    }

    /// Forgets all of `partition`: its log was made anew. Clients of its rooms are sent to a new snapshot.
    pub(crate) fn reset(&self, partition: u32) {
        let state = &mut *self.lock();
        state.applied.remove(partition);
        state.forgotten.remove(partition);
        for room in state.rooms.values_mut() {
            if room.last().is_some_and(|last| last.partition == partition) {
                room.reset();
            }
        }
    }

    /// Takes the next update of its partition. Those of one partition come in order, each once.
    pub(crate) fn apply(&self, update: Update) {
        let update = Arc::new(update);
        let mut state = self.lock();
        if !state.applied.advance(update.partition, update.place) {
            return;
        }
        if !state.rooms.contains_key(&update.room) {
            self.make_space(&mut state);
            let room = Room::new(state.forgotten.clone());
            state.rooms.insert(update.room.clone(), room);
        }
        let now = state.tick();
        if let Some(room) = state.rooms.get_mut(&update.room) {
            room.touched = now;
            room.apply(update, self.bounds);
        }
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

    /// Begins a client's watch of `room`, after `cursor` if it has one that is recent.
    pub(crate) fn watch(self: &Arc<Self>, name: &str, cursor: Option<&Cursor>) -> Watch {
        let mut guard = self.lock();
        let state = &mut *guard;
        if !state.rooms.contains_key(name) {
            self.make_space(state);
        }
        let now = state.tick();
        let applied = state.applied.clone();
        let room = state.rooms.entry(name.into()).or_insert_with(|| Room::new(state.forgotten.clone()));
        room.touched = now;
        let updates = room.enter(self.bounds);
        // A cursor that is ahead of this hub may also come from before the topic was made anew: a snapshot is right in
        // both cases.
        let known = |cursor: &&Cursor| cursor.places().all(|(at, place)| Some(place) <= applied.place(at));
        let first = match cursor.filter(known).and_then(|cursor| room.since(cursor)) {
            Some(missed) => missed.iter().map(|update| update.message.clone()).collect(),
            None => vec![snapshot(name, Some(room), &applied).into()],
        };
        Watch { first, updates, _seat: Seat { hub: Arc::clone(self), room: name.into() } }
    }

    /// The snapshot message of a room. A room that nobody reacted in is empty, not unknown.
    pub(crate) fn snapshot(&self, name: &str) -> String {
        let state = self.lock();
        snapshot(name, state.rooms.get(name), &state.applied)
    }

    /// Rooms with reactions, of those that are `covered`, last active first, as a JSON array.
    pub(crate) fn rooms(&self, covered: impl Fn(&str) -> bool) -> String {
        let state = self.lock();
        let mut rooms: Vec<_> = state.rooms.iter().filter(|(_, room)| room.last().is_some()).collect();
        rooms.sort_unstable_by_key(|(_, room)| std::cmp::Reverse(room.touched));
        let listed = rooms.into_iter().filter(|(name, _)| covered(name)).take(ROOMS_LISTED_MAX);
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

/// `{"type":"snapshot",…}`. The windows are the records as they stand in the topic.
fn snapshot(name: &str, room: Option<&Room>, applied: &Cursor) -> String {
    let totals = room.and_then(Room::last).map_or(NO_TOTALS, |last| last.room_totals());
    let watching = room.map_or(0, Room::watching);
    let mut json = format!(
        r#"{{"type":"snapshot","cursor":"{}","room":{},"room_totals":{totals},"watching":{watching},"windows":["#,
        applied.encode(),
        quoted(name),
    );
    for (index, update) in room.into_iter().flat_map(Room::windows).enumerate() {
        if index > 0 {
            json.push(',');
        }
        json.push_str(update.record());
    }
    json.push_str("]}");
    json
}

/// `text` as a JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::update::tests::record;
    use super::*;

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

    /// The list of active rooms, with one.
    pub(crate) fn active(room: &str) -> String {
        let hub = hub(10);
        hub.begin(0, Place::new(1, 0));
        apply(&hub, room, 1, 0, 1, false);
        format!(r#"{{"rooms":{}}}"#, hub.rooms(|_| true))
    }

    /// What a client of a room with one window gets first, and an update.
    pub(crate) async fn messages(room: &str) -> (String, String) {
        let hub = hub(10);
        hub.begin(0, Place::new(1, 0));
        apply(&hub, room, 1, 0, 1, false);
        let mut watch = hub.watch(room, None);
        apply(&hub, room, 2, 0, 2, false);
        let update = watch.updates.recv().await.expect("an update");
        (watch.first[0].to_string(), update.message.to_string())
    }

    #[tokio::test]
    async fn a_client_gets_a_snapshot_and_then_each_update_once() {
        let hub = hub(10);
        hub.begin(0, Place::new(1, 0));
        apply(&hub, "a", 1, 0, 1, true);
        apply(&hub, "a", 2, 10_000, 2, false);
        let mut watch = hub.watch("a", None);
        let snapshot = json(&watch.first[0]);
        assert_eq!(snapshot["windows"].as_array().map(Vec::len), Some(2));
        assert_eq!(snapshot["room_totals"]["reactions"], 2);
        assert_eq!(snapshot["watching"], 1);
        apply(&hub, "b", 3, 10_000, 1, false);
        apply(&hub, "a", 4, 10_000, 3, false);
        apply(&hub, "a", 4, 10_000, 3, false);
        let update = watch.updates.recv().await.expect("an update");
        assert_eq!(update.place, Place::new(1, 4));
        assert!(watch.updates.try_recv().is_err());
        drop(watch);
        assert_eq!(json(&hub.snapshot("a"))["watching"], 0);
    }

    #[tokio::test]
    async fn a_client_with_a_recent_cursor_gets_what_it_missed() {
        let hub = hub(10);
        hub.begin(0, Place::new(1, 0));
        let snapshot = json(&hub.watch("a", None).first[0]);
        let cursor = Cursor::decode(snapshot["cursor"].as_str().expect("text")).expect("a cursor");
        for seq in 1..=3 {
            apply(&hub, "a", seq, 0, seq, false);
        }
        let watch = hub.watch("a", Some(&cursor));
        let types: Vec<_> = watch.first.iter().map(|message| json(message)["type"].clone()).collect();
        assert_eq!(types, ["update", "update", "update"]);
        apply(&hub, "a", 4, 0, 4, false);
        assert_eq!(
            json(&hub.watch("a", Some(&cursor)).first[0])["type"],
            "snapshot",
            "one is not kept any more"
        );
        let recent = Cursor::at(0, Place::new(1, 3));
        assert_eq!(json(&hub.watch("a", Some(&recent)).first[0])["type"], "update");
    }

    #[tokio::test]
    async fn a_client_that_fell_behind_finds_the_state_as_it_is_finals_included() {
        let hub = hub(10);
        let mut slow = hub.watch("a", None);
        for window in 0..200 {
            apply(&hub, "a", 2 * window + 1, window as i64 * 10_000, 1, false);
            apply(&hub, "a", 2 * window + 2, window as i64 * 10_000, 2, true);
        }
        let lagged = slow.updates.recv().await;
        assert!(
            matches!(lagged, Err(broadcast::error::RecvError::Lagged(count)) if count > 300),
            "{lagged:?}"
        );
        let snapshot = json(&hub.watch("a", None).first[0]);
        let finals = snapshot["windows"].as_array().expect("a list");
        assert_eq!(finals.len(), 60);
        assert!(finals.iter().all(|record| record["final"] == true));
        assert_eq!(finals[59]["seq"], 400);
    }

    #[tokio::test]
    async fn rooms_are_bounded_and_a_forgotten_one_is_not_resumed() {
        let hub = hub(2);
        hub.begin(0, Place::new(1, 0));
        apply(&hub, "a", 1, 0, 1, false);
        apply(&hub, "b", 2, 0, 1, false);
        let watch = hub.watch("a", None);
        apply(&hub, "c", 3, 0, 1, false);
        let rooms = json(&hub.rooms(|_| true));
        let names: Vec<_> =
            rooms.as_array().expect("a list").iter().map(|room| room["room"].clone()).collect();
        assert_eq!(names, ["c", "a"], "the room that is watched stays");
        assert_eq!(json(&hub.rooms(|room| room == "a")).as_array().map(Vec::len), Some(1));
        drop(watch);
        let cursor = Cursor::at(0, Place::new(1, 1));
        assert_eq!(json(&hub.watch("b", Some(&cursor)).first[0])["type"], "snapshot");
    }

    #[test]
    fn a_room_without_reactions_is_empty_not_unknown() {
        let snapshot = json(&hub(2).snapshot("nobody"));
        assert_eq!(snapshot["room"], "nobody");
        assert_eq!(snapshot["windows"], serde_json::json!([]));
        assert_eq!(snapshot["room_totals"]["reactions"], 0);
    }
}
