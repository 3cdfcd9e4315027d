//! State of one room: its windows, its last updates, and who watches.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;

use super::Taste;
use super::moment::Moment;
use super::update::{Update, WindowKey};
use crate::cursor::{Cursor, Place};

/// Updates that keep the bytes that were made of them: those that clients are mostly just about to get.
const WARM_UPDATES: usize = 8;

/// How long a snapshot serves all who come. Until then it may name a few clients less than there are.
const SNAPSHOT_AGE_MAX: Duration = Duration::from_millis(500);

/// Moments that a room keeps: those of an evening.
const MOMENTS_MAX: usize = 16;

/// Forms of a snapshot that are kept.
const SNAPSHOT_TASTES_MAX: usize = 4;

/// How much a room may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Final windows kept for snapshots.
    pub(super) finals_max: usize,
    /// Windows open at a time; beyond, the oldest is forgotten.
    pub(super) open_max: usize,
    /// Updates kept for clients that resume.
    pub(super) recent_max: usize,
}

/// Where a reader of the room is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The hub's clock at the last update that it has.
    pub(crate) tick: u64,
    /// Updates of the room until then.
    pub(crate) number: u64,
}

/// Updates that come after a place.
#[derive(Debug)]
pub(super) enum After {
    /// These, in the order in which they went out.
    Updates(Vec<Arc<Update>>),
    /// Some of them are not known here any more.
    Unknown,
}

/// State of one room.
#[derive(Debug)]
pub(super) struct Room {
    /// Latest revision of each open window.
    open: BTreeMap<WindowKey, Arc<Update>>,
    /// Last results of the windows that ended last; of those that were swallowed, too.
    ended: BTreeMap<WindowKey, Arc<Update>>,
    /// Latest revision of each of the last moments, oldest first.
    moments: Vec<Arc<Update>>,
    /// The same for those who resume, and what had been read when they were made.
    again: Option<(Arc<Cursor>, Vec<Arc<Update>>)>,
    /// Last updates, in the order in which they went out.
    recent: VecDeque<Arc<Update>>,
    /// For each partition, the last place that `recent` does not have any more (or never had).
    horizon: Cursor,
    /// The same in the hub's time.
    horizon_tick: u64,
    /// For each partition, the last place of a window that `open` and `ended` do not have any more (or never had).
    windows_horizon: Cursor,
    /// The same in the hub's time.
    windows_horizon_tick: u64,
    /// Whoever was here before this time knows another log.
    begun: u64,
    /// The newest result: room totals, and in which partition the room lives.
    last: Option<Arc<Update>>,
    /// Updates so far.
    number: u64,
    /// The hub's clock at the newest of them.
    tick: u64,
    /// Tells the clock's time at each update; there while there are clients.
    changed: Option<watch::Sender<u64>>,
    /// Clients that watch.
    watching: usize,
    /// The hub's clock at the last update or visit; orders rooms by idleness.
    pub(super) touched: u64,
    snapshots: Vec<Snapshot>,
}

/// A snapshot for all who come.
#[derive(Debug)]
struct Snapshot {
    taste: Taste,
    /// What it says that the room takes.
    takes: String,
    made: Instant,
    bytes: Bytes,
}

impl Room {
    /// A room that is new to the hub. Updates up to `horizon` are not known here.
    pub(super) fn new(horizon: Cursor) -> Self {
        Self {
            open: BTreeMap::new(),
            ended: BTreeMap::new(),
            moments: Vec::new(),
            again: None,
            recent: VecDeque::new(),
            windows_horizon: horizon.clone(),
            windows_horizon_tick: 0,
            horizon,
            horizon_tick: 0,
            begun: 0,
            last: None,
            number: 0,
            tick: 0,
            changed: None,
            watching: 0,
            touched: 0,
            snapshots: Vec::new(),
        }
    }

    /// Updates so far.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Updates of `partition` up to `place` were before the hub's time.
    pub(super) fn begin(&mut self, partition: u32, place: Place) {
        self.horizon.advance(partition, place);
        self.windows_horizon.advance(partition, place);
    }

    /// Takes an update: keeps it and tells all who watch.
    pub(super) fn apply(&mut self, update: Arc<Update>, bounds: Bounds) {
        if let Some(moment) = update.moment() {
            self.keep_moment(moment, &update);
        } else if let Some(key) = update.window() {
            self.keep(key, &update, bounds);
            self.last = Some(Arc::clone(&update));
        }
        while self.recent.len() >= bounds.recent_max {
            let Some(oldest) = self.recent.pop_front() else { break };
            if oldest.window().is_some() {
                self.horizon.advance(oldest.partition, oldest.place);
            }
            self.horizon_tick = oldest.tick;
        }
        if let Some(cooled) = self.recent.len().checked_sub(WARM_UPDATES).and_then(|at| self.recent.get(at)) {
            cooled.forget_bytes();
        }
        self.recent.push_back(Arc::clone(&update));
        (self.number, self.tick) = (update.number, update.tick);
        self.snapshots = Vec::new();
        if let Some(changed) = &self.changed {
            changed.send_replace(self.tick);
        }
    }

    fn keep(&mut self, key: &WindowKey, update: &Arc<Update>, bounds: Bounds) {
        let known = self.ended.get(key).or_else(|| self.open.get(key));
        if known.is_some_and(|known| !update.supersedes(known)) {
            return;
        }
        // Windows of an epoch that was reset are not heard of again: they would stay open for ever.
        if self
            .last
            .as_ref()
            .is_some_and(|last| last.partition == update.partition && last.place.epoch < update.place.epoch)
        {
            self.open.clear();
        }
        self.open.remove(key);
        self.ended.remove(key);
        let (windows, most) = if update.is_last() {
            (&mut self.ended, bounds.finals_max)
        } else {
            (&mut self.open, bounds.open_max)
        };
        windows.insert(key.clone(), Arc::clone(update));
        while windows.len() > most {
            let Some((_, gone)) = windows.pop_first() else { break };
            self.windows_horizon.advance(gone.partition, gone.place);
            self.windows_horizon_tick = self.windows_horizon_tick.max(gone.tick);
        }
    }

    fn keep_moment(&mut self, moment: &Moment, update: &Arc<Update>) {
        self.again = None;
        self.moments.retain(|known| known.moment().is_some_and(|known| known.id != moment.id));
        let is_older = |known: &Arc<Update>| known.moment().is_some_and(|known| known.key() < moment.key());
        let place = self.moments.partition_point(is_older);
        self.moments.insert(place, Arc::clone(update));
        while self.moments.len() > MOMENTS_MAX {
            let gone = self.moments.remove(0);
            self.windows_horizon_tick = self.windows_horizon_tick.max(gone.tick);
        }
    }

    /// Whether a moment says more than what is known of it.
    pub(super) fn is_news(&self, moment: &Moment) -> bool {
        let mut known = self.moments.iter().filter_map(|update| update.moment());
        known.all(|known| known.id != moment.id || moment.supersedes(known))
    }

    /// The last moments that were told until a time, oldest first.
    pub(super) fn moments_until(&self, tick: u64) -> impl Iterator<Item = &Arc<Moment>> {
        let told = self.moments.iter().filter(move |update| update.tick <= tick);
        told.filter_map(|update| update.moment())
    }

    /// The moments that ended from `from` on, for one who resumes when `applied` has been read: with that cursor, so that who is
    /// interrupted by them goes on there.
    pub(super) fn moments_again(&mut self, applied: &Arc<Cursor>, from: i64) -> Vec<Arc<Update>> {
        if self.moments.is_empty() {
            return Vec::new();
        }
        let partition = self.last.as_ref().map(|last| last.partition);
        let made = self.again.take().filter(|(known, _)| Arc::ptr_eq(known, applied));
        let (_, again) = self.again.insert(made.unwrap_or_else(|| {
            let again = self.moments.iter().filter_map(|update| {
                let (moment, partition) = (update.moment()?, partition.unwrap_or(update.partition));
                Some(Arc::new(Update::of_moment(Arc::clone(moment), partition, Arc::clone(applied))))
            });
            (Arc::clone(applied), again.collect())
        }));
        let ended = |update: &&Arc<Update>| update.moment().is_some_and(|moment| moment.end >= from);
        again.iter().filter(ended).map(Arc::clone).collect()
    }

    /// Forgets moments of a partition of their topic.
    pub(super) fn forget_moments(&mut self, partition: u32) {
        self.again = None;
        self.moments.retain(|update| update.moment().is_some_and(|moment| moment.partition != partition));
        self.snapshots = Vec::new();
    }

    /// The updates after a cursor: all of them if they are recent; else the finals and the latest of each open window, which is
    /// all that a reader has to know. Moments are told apart, as a cursor says nothing of them.
    pub(super) fn since(&self, cursor: &Cursor) -> After {
        let reaches = |horizon: &Cursor| {
            horizon.places().all(|(at, place)| cursor.place(at).is_none_or(|known| known >= place))
        };
        let Some(partition) = self.last.as_ref().map(|last| last.partition) else {
            return if reaches(&self.horizon) { After::Updates(Vec::new()) } else { After::Unknown };
        };
        // A cursor without this room's partition says nothing about this room.
        let Some(from) = cursor.place(partition) else { return After::Unknown };
        if reaches(&self.horizon) {
            return After::Updates(
                self.recent.iter().filter(|update| update.place > from).map(Arc::clone).collect(),
            );
        }
        if !reaches(&self.windows_horizon) {
            return After::Unknown;
        }
        let mut updates: Vec<_> = self.windows_ended_or_open().filter(|update| update.place > from).collect();
        updates.sort_unstable_by_key(|update| update.place);
        After::Updates(updates.into_iter().map(Arc::clone).collect())
    }

    /// Every update after a time.
    pub(super) fn after(&self, tick: u64) -> After {
        if tick < self.begun || tick < self.horizon_tick {
            return After::Unknown;
        }
        let newest = self.recent.iter().rev().take_while(|update| update.tick > tick);
        let mut updates: Vec<_> = newest.map(Arc::clone).collect();
        updates.reverse();
        After::Updates(updates)
    }

    /// What of the updates after a time has not been superseded: finals, moments, and the latest of each open window.
    pub(super) fn latest(&self, tick: u64) -> After {
        if let After::Updates(updates) = self.after(tick) {
            return After::Updates(latest(updates));
        }
        if tick < self.begun || tick < self.windows_horizon_tick {
            return After::Unknown;
        }
        let all = self.windows_ended_or_open().chain(&self.moments);
        let mut updates: Vec<_> = all.filter(|update| update.tick > tick).collect();
        updates.sort_unstable_by_key(|update| update.tick);
        After::Updates(updates.into_iter().map(Arc::clone).collect())
    }

    fn windows_ended_or_open(&self) -> impl Iterator<Item = &Arc<Update>> {
        self.ended.values().chain(self.open.values())
    }

    /// Final and open windows, oldest first, finals before open ones.
    pub(super) fn windows(&self) -> impl Iterator<Item = &Arc<Update>> {
        self.windows_ended_or_open().filter(|update| !update.retracted)
    }

    /// The newest result of the room.
    pub(super) fn last(&self) -> Option<&Arc<Update>> {
        self.last.as_ref()
    }

    /// The newest result of the room until a time, as far as it is known.
    pub(super) fn last_until(&self, tick: u64) -> Option<&Arc<Update>> {
        let mut results = self.recent.iter().rev().filter(|update| update.window().is_some());
        results.find(|update| update.tick <= tick).or(self.last.as_ref())
    }

    /// Where a reader is that has read all.
    pub(super) fn mark(&self) -> Mark {
        Mark { tick: self.tick, number: self.number }
    }

    /// Windows open now.
    pub(super) fn open_windows(&self) -> usize {
        self.open.len()
    }

    /// Clients that watch now.
    pub(super) fn watching(&self) -> usize {
        self.watching
    }

    /// A client comes. What it gets changes with each update, and ends never.
    pub(super) fn enter(&mut self) -> watch::Receiver<u64> {
        self.watching += 1;
        match &self.changed {
            Some(changed) => changed.subscribe(),
            None => {
                let (changed, receiver) = watch::channel(self.mark().tick);
                self.changed = Some(changed);
                receiver
            }
        }
    }

    /// A client that came with [`Room::enter`] leaves.
    pub(super) fn leave(&mut self) {
        self.watching = self.watching.saturating_sub(1);
        if self.watching == 0 {
            self.changed = None;
            self.snapshots = Vec::new();
        }
    }

    /// Forgets everything but who watches: they are told to come for a new snapshot.
    pub(super) fn reset(&mut self, now: u64) {
        let changed = self.changed.take();
        if let Some(changed) = &changed {
            changed.send_replace(now);
        }
        *self = Self {
            watching: self.watching,
            touched: self.touched,
            number: self.number,
            // They are of another topic.
            moments: std::mem::take(&mut self.moments),
            begun: now,
            tick: now,
            changed,
            ..Self::new(Cursor::default())
        };
    }

    /// A snapshot to this taste, if one was made just now, and the room takes the same.
    pub(super) fn snapshot(&self, taste: Taste, takes: &str) -> Option<Bytes> {
        let mut fresh = self.snapshots.iter().filter(|snapshot| snapshot.made.elapsed() < SNAPSHOT_AGE_MAX);
        let found = fresh.find(|snapshot| snapshot.taste == taste && snapshot.takes == takes);
        found.map(|snapshot| snapshot.bytes.clone())
    }

    /// Keeps a snapshot that was made at `tick`, unless the room has gone on.
    pub(super) fn keep_snapshot(&mut self, taste: Taste, takes: String, tick: u64, bytes: Bytes) {
        if self.mark().tick != tick || self.watching == 0 {
            return;
        }
        self.snapshots
            .retain(|snapshot| snapshot.taste != taste && snapshot.made.elapsed() < SNAPSHOT_AGE_MAX);
        if self.snapshots.len() < SNAPSHOT_TASTES_MAX {
            self.snapshots.push(Snapshot { taste, takes, made: Instant::now(), bytes });
        }
    }
}

/// Leaves out what others in the list supersede. Last results stay, and moments.
pub(crate) fn latest(updates: Vec<Arc<Update>>) -> Vec<Arc<Update>> {
    let mut seen = HashSet::new();
    let mut kept: Vec<_> = updates
        .iter()
        .rev()
        .filter(|update| {
            let is_news = update.window().is_none_or(|window| seen.insert((&update.room, window)));
            is_news || update.is_last()
        })
        .map(Arc::clone)
        .collect();
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::super::update::tests::record;
    use super::*;
    use crate::cursor::Place;

    const BOUNDS: Bounds = Bounds { finals_max: 3, open_max: 2, recent_max: 4 };

    fn apply(room: &mut Room, place: (u64, u64), start: i64, revision: u64, is_final: bool) {
        let value = record("r", place, start, revision, is_final);
        let mut update = Update::read(0, value.as_bytes()).expect("a good record");
        (update.number, update.tick) = (room.number() + 1, room.mark().tick + 10);
        room.apply(Arc::new(update), BOUNDS);
    }

    fn start(update: &Arc<Update>) -> i64 {
        update.window().expect("a window").start
    }

    fn shown(room: &Room) -> Vec<(i64, u64, bool)> {
        room.windows().map(|update| (start(update), update.revision(), update.is_final)).collect()
    }

    fn seqs(after: After) -> Option<Vec<u64>> {
        match after {
            After::Updates(updates) => Some(updates.iter().map(|update| update.place.seq).collect()),
            After::Unknown => None,
        }
    }

    #[test]
    fn a_window_is_shown_by_its_latest_revision_and_its_final_stays() {
        let mut room = Room::new(Cursor::default());
        apply(&mut room, (1, 1), 0, 1, false);
        apply(&mut room, (1, 2), 0, 2, false);
        apply(&mut room, (1, 3), 10_000, 1, false);
        assert_eq!(shown(&room), [(0, 2, false), (10_000, 1, false)]);
        apply(&mut room, (1, 4), 0, 3, true);
        apply(&mut room, (1, 5), 0, 2, false);
        assert_eq!(shown(&room), [(0, 3, true), (10_000, 1, false)]);
    }

    #[test]
    fn finals_and_open_windows_are_bounded_oldest_go_first() {
        let mut room = Room::new(Cursor::default());
        for window in 0..10 {
            apply(&mut room, (1, 2 * window + 1), window as i64 * 10_000, 1, true);
            apply(&mut room, (1, 2 * window + 2), 1_000_000 + window as i64 * 10_000, 1, false);
        }
        let starts: Vec<i64> = room.windows().map(start).collect();
        assert_eq!(starts, [70_000, 80_000, 90_000, 1_080_000, 1_090_000]);
    }

    #[test]
    fn a_new_epoch_clears_what_the_old_one_left_open() {
        let mut room = Room::new(Cursor::default());
        apply(&mut room, (1, 1), 0, 9, true);
        apply(&mut room, (1, 2), 10_000, 9, false);
        apply(&mut room, (2, 1), 0, 1, false);
        assert_eq!(shown(&room), [(0, 1, false)]);
    }

    #[test]
    fn a_recent_cursor_gets_all_an_older_one_the_latest_and_one_that_is_too_old_nothing() {
        let mut room = Room::new(Cursor::at(0, Place::new(1, 2)));
        for seq in 3..=8 {
            apply(&mut room, (1, seq), 0, seq, false);
        }
        let since = |room: &Room, seq| seqs(room.since(&Cursor::at(0, Place::new(1, seq))));
        assert_eq!(since(&room, 8), Some(vec![]));
        assert_eq!(since(&room, 6), Some(vec![7, 8]));
        assert_eq!(since(&room, 4), Some(vec![5, 6, 7, 8]));
        assert_eq!(since(&room, 3), Some(vec![8]), "the update with seq 4 is not kept, and superseded");
        assert_eq!(since(&room, 1), None, "from before the hub's time");
        assert_eq!(seqs(room.since(&Cursor::default())), None, "a cursor that does not know the partition");
        for window in 1..=4 {
            apply(&mut room, (1, 8 + window), window as i64 * 10_000, 1, true);
        }
        assert_eq!(since(&room, 7), None, "a final is not kept any more");
    }

    #[test]
    fn who_is_behind_gets_finals_and_the_latest_of_each_window() {
        let mut room = Room::new(Cursor::default());
        apply(&mut room, (1, 1), 0, 1, false);
        let mark = room.mark();
        apply(&mut room, (1, 2), 0, 2, false);
        apply(&mut room, (1, 3), 10_000, 1, false);
        apply(&mut room, (1, 4), 0, 3, true);
        assert_eq!(seqs(room.after(mark.tick)), Some(vec![2, 3, 4]));
        assert_eq!(seqs(room.latest(mark.tick)), Some(vec![3, 4]));
        apply(&mut room, (1, 5), 10_000, 2, false);
        apply(&mut room, (1, 6), 10_000, 3, false);
        assert_eq!(seqs(room.after(mark.tick)), None, "not kept any more");
        assert_eq!(seqs(room.latest(mark.tick)), Some(vec![4, 6]), "but its windows are");
        assert_eq!(room.mark().number - mark.number, 5);
        for window in 2..=4 {
            apply(&mut room, (1, 6 + window), window as i64 * 10_000, 1, true);
        }
        assert_eq!(seqs(room.latest(mark.tick)), None, "a final is not kept any more");
        room.reset(1_000);
        assert_eq!(seqs(room.latest(900)), None, "another log");
        assert_eq!(seqs(room.latest(room.mark().tick)), Some(vec![]));
    }
}
