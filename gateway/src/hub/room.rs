//! A room as the hub knows it: open windows, last finals, the last updates, and who watches.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::broadcast;

use super::update::{Update, WindowKey};
use crate::cursor::Cursor;

/// How much a room may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Final windows kept for snapshots.
    pub(super) finals_max: usize,
    /// Windows open at a time; beyond, the oldest is forgotten.
    pub(super) open_max: usize,
    /// Updates kept for clients that resume.
    pub(super) recent_max: usize,
    /// Updates that wait for a slow client before it skips.
    pub(super) queue_max: usize,
}

/// State of one room.
#[derive(Debug)]
pub(super) struct Room {
    /// Latest revision of each open window.
    open: BTreeMap<WindowKey, Arc<Update>>,
    /// Last finals.
    finals: BTreeMap<WindowKey, Arc<Update>>,
    /// Last updates, in the order in which they went out.
    recent: VecDeque<Arc<Update>>,
    /// For each partition, the last place that `recent` does not have any more (or never had).
    horizon: Cursor,
    /// The newest update: room totals, and in which partition the room lives.
    last: Option<Arc<Update>>,
    /// To the room's clients; there while there are any.
    sender: Option<broadcast::Sender<Arc<Update>>>,
    /// Clients that watch.
    watching: usize,
    /// The hub's clock at the last update or visit; orders rooms by idleness.
    pub(super) touched: u64,
}

impl Room {
    /// A room that is new to the hub. Updates up to `horizon` are not known here.
    pub(super) fn new(horizon: Cursor) -> Self {
        Self {
            open: BTreeMap::new(),
            finals: BTreeMap::new(),
            recent: VecDeque::new(),
            horizon,
            last: None,
            sender: None,
            watching: 0,
            touched: 0,
        }
    }

    /// Takes an update: keeps it and sends it to all who watch.
    pub(super) fn apply(&mut self, update: Arc<Update>, bounds: Bounds) {
        self.keep(&update, bounds);
        if self.recent.len() >= bounds.recent_max
            && let Some(oldest) = self.recent.pop_front()
        {
            self.horizon.advance(oldest.partition, oldest.place);
        }
        self.recent.push_back(Arc::clone(&update));
        self.last = Some(Arc::clone(&update));
        if let Some(sender) = &self.sender {
            // An error says that nobody listens any more; the last one to leave takes the sender away.
            let _ = sender.send(update);
        }
    }

    fn keep(&mut self, update: &Arc<Update>, bounds: Bounds) {
        let key = &update.window;
        let known = self.finals.get(key).or_else(|| self.open.get(key));
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
        self.finals.remove(key);
        if update.retracted {
            return;
        }
        let (windows, most) = if update.is_final {
            (&mut self.finals, bounds.finals_max)
        } else {
            (&mut self.open, bounds.open_max)
        };
        windows.insert(key.clone(), Arc::clone(update));
        while windows.len() > most {
            windows.pop_first();
        }
    }

    /// The updates after `cursor`, if all of them are still known here.
    pub(super) fn since(&self, cursor: &Cursor) -> Option<Vec<Arc<Update>>> {
        let behind = |(partition, horizon)| cursor.place(partition).is_some_and(|place| place < horizon);
        if self.horizon.places().any(behind) {
            return None;
        }
        let mut missed = Vec::new();
        for update in &self.recent {
            // A cursor without this room's partition says nothing about this room.
            if update.place > cursor.place(update.partition)? {
                missed.push(Arc::clone(update));
            }
        }
        Some(missed)
    }

    /// Final and open windows, oldest first, finals before open ones.
    pub(super) fn windows(&self) -> impl Iterator<Item = &Arc<Update>> {
        self.finals.values().chain(self.open.values())
    }

    /// The newest update of the room.
    pub(super) fn last(&self) -> Option<&Arc<Update>> {
        self.last.as_ref()
    }

    /// Windows open now.
    pub(super) fn open_windows(&self) -> usize {
        self.open.len()
    }

    /// Clients that watch now.
    pub(super) fn watching(&self) -> usize {
        self.watching
    }

    /// A client comes: it gets every update from now on.
    pub(super) fn enter(&mut self, bounds: Bounds) -> broadcast::Receiver<Arc<Update>> {
        self.watching += 1;
        match &self.sender {
            Some(sender) => sender.subscribe(),
            None => {
                let (sender, receiver) = broadcast::channel(bounds.queue_max);
                self.sender = Some(sender);
                receiver
            }
        }
    }

    /// Forgets everything but who watches. Their receivers end, and they come back for a new snapshot.
    pub(super) fn reset(&mut self) {
        *self = Self { watching: self.watching, touched: self.touched, ..Self::new(Cursor::default()) };
    }

    /// A client that came with [`Room::enter`] leaves.
    pub(super) fn leave(&mut self) {
        self.watching = self.watching.saturating_sub(1);
        if self.watching == 0 {
            // The queue is the largest thing in an idle room.
            self.sender = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::update::tests::record;
    use super::*;
    use crate::cursor::Place;

    const BOUNDS: Bounds = Bounds { finals_max: 3, open_max: 2, recent_max: 4, queue_max: 4 };

    fn update(place: (u64, u64), start: i64, revision: u64, is_final: bool) -> Arc<Update> {
        Arc::new(
            Update::read(0, record("r", place, start, revision, is_final).as_bytes()).expect("a good record"),
        )
    }

    fn shown(room: &Room) -> Vec<(i64, u64, bool)> {
        room.windows().map(|update| (update.window.start, update.revision, update.is_final)).collect()
    }

    #[test]
    fn a_window_is_shown_by_its_latest_revision_and_its_final_stays() {
        let mut room = Room::new(Cursor::default());
        room.apply(update((1, 1), 0, 1, false), BOUNDS);
        room.apply(update((1, 2), 0, 2, false), BOUNDS);
        room.apply(update((1, 3), 10_000, 1, false), BOUNDS);
        assert_eq!(shown(&room), [(0, 2, false), (10_000, 1, false)]);
        room.apply(update((1, 4), 0, 3, true), BOUNDS);
        room.apply(update((1, 5), 0, 2, false), BOUNDS);
        assert_eq!(shown(&room), [(0, 3, true), (10_000, 1, false)]);
    }

    #[test]
    fn finals_and_open_windows_are_bounded_oldest_go_first() {
        let mut room = Room::new(Cursor::default());
        for window in 0..10 {
            room.apply(update((1, 2 * window + 1), window as i64 * 10_000, 1, true), BOUNDS);
            room.apply(update((1, 2 * window + 2), 1_000_000 + window as i64 * 10_000, 1, false), BOUNDS);
        }
        let starts: Vec<i64> = room.windows().map(|update| update.window.start).collect();
        assert_eq!(starts, [70_000, 80_000, 90_000, 1_080_000, 1_090_000]);
    }

    #[test]
    fn a_new_epoch_clears_what_the_old_one_left_open() {
        let mut room = Room::new(Cursor::default());
        room.apply(update((1, 1), 0, 9, true), BOUNDS);
        room.apply(update((1, 2), 10_000, 9, false), BOUNDS);
        room.apply(update((2, 1), 0, 1, false), BOUNDS);
        assert_eq!(shown(&room), [(0, 1, false)]);
    }

    #[test]
    fn a_recent_cursor_resumes_and_an_old_one_does_not() {
        let mut room = Room::new(Cursor::at(0, Place::new(1, 2)));
        for seq in 3..=8 {
            room.apply(update((1, seq), 0, seq, false), BOUNDS);
        }
        let missed = |seq| {
            let missed = room.since(&Cursor::at(0, Place::new(1, seq)))?;
            Some(missed.iter().map(|update| update.place.seq).collect::<Vec<_>>())
        };
        assert_eq!(missed(8), Some(vec![]));
        assert_eq!(missed(6), Some(vec![7, 8]));
        assert_eq!(missed(4), Some(vec![5, 6, 7, 8]));
        assert_eq!(missed(3), None, "the update with seq 4 is not kept any more");
        assert!(room.since(&Cursor::default()).is_none(), "a cursor that does not know the partition");
    }
}
