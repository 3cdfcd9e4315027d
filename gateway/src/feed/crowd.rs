//! Crowds: all clients of a room, to whom an update is handed at once.
//!
//! A client's task would have to be woken for each update, and that costs more than the write. So the clients of a room are in
//! a few shards, and each shard has one task that writes to the sockets of all its clients, the same bytes. A client that is not
//! ready for that (its socket is full, it has yet to get its snapshot) is passed over, and its own task sends what it missed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::line::{Handed, Line};
use super::metrics::FeedMetrics;
use crate::hub::{Hub, Mark, Taste, Update};

/// Sockets that are written to on the runtime's own threads. For more it takes a thread that does nothing else: the runtime's
/// have others to serve, and going back to them between the writes costs more than they win.
const INLINE_WRITES: usize = 32;

/// Sockets written to before those who come and go have their turn.
const TURN_WRITES: usize = 64;

/// The crowds of all rooms that are watched.
pub(crate) struct Crowds {
    hub: Arc<Hub>,
    rooms: Mutex<HashMap<Box<str>, Crowd>>,
    shards: usize,
    /// Threads that write at a time.
    writers: Arc<Semaphore>,
    metrics: Arc<FeedMetrics>,
}

/// The clients of a room.
struct Crowd {
    shards: Vec<Arc<Shard>>,
    members: usize,
    /// Ends the shards' tasks.
    _end: DropGuard,
}

/// Some clients of a room.
#[derive(Default)]
struct Shard {
    groups: Mutex<Vec<Group>>,
}

/// Clients that take their messages in the same form.
struct Group {
    taste: Taste,
    lines: Vec<Option<Arc<Line>>>,
    free: Vec<usize>,
}

/// A client's place in a crowd, given back when dropped.
pub(super) struct Member {
    crowds: Arc<Crowds>,
    room: Box<str>,
    shard: Arc<Shard>,
    group: usize,
    place: usize,
}

impl Crowds {
    pub(crate) fn new(hub: Arc<Hub>, metrics: Arc<FeedMetrics>) -> Arc<Self> {
        // The other half is for reactions, and for the system's part of each write.
        let shards = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
        let writers = Arc::new(Semaphore::new(shards));
        Arc::new(Self { hub, rooms: Mutex::default(), shards, writers, metrics })
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<Box<str>, Crowd>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a client. From now on it is handed updates, once its own task says that it has all before.
    pub(super) fn join(
        self: &Arc<Self>,
        room: &str,
        taste: Taste,
        line: &Arc<Line>,
        changed: &watch::Receiver<u64>,
    ) -> Member {
        let mut rooms = self.rooms();
        let crowd = rooms.entry(room.into()).or_insert_with(|| self.gather(room, changed));
        let shard = Arc::clone(&crowd.shards[crowd.members % crowd.shards.len()]);
        crowd.members += 1;
        drop(rooms);
        let (group, place) = shard.add(taste, line);
        Member { crowds: Arc::clone(self), room: room.into(), shard, group, place }
    }

    /// A crowd that has nobody yet.
    fn gather(&self, room: &str, changed: &watch::Receiver<u64>) -> Crowd {
        let end = CancellationToken::new();
        let shards = std::iter::repeat_with(Arc::<Shard>::default).take(self.shards).collect::<Vec<_>>();
        for shard in &shards {
            let pass = Passes {
                shard: Arc::clone(shard),
                hub: Arc::clone(&self.hub),
                room: room.into(),
                mark: self.hub.mark(room),
                writers: Arc::clone(&self.writers),
                metrics: Arc::clone(&self.metrics),
            };
            let (changed, end) = (changed.clone(), end.clone());
            tokio::spawn(async move { end.run_until_cancelled(pass.run(changed)).await });
        }
        Crowd { shards, members: 0, _end: end.drop_guard() }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.shard.remove(self.group, self.place);
        let mut rooms = self.crowds.rooms();
        if let Some(crowd) = rooms.get_mut(&self.room) {
            crowd.members -= 1;
            if crowd.members == 0 {
                rooms.remove(&self.room);
            }
        }
    }
}

impl Shard {
    fn groups(&self) -> MutexGuard<'_, Vec<Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, taste: Taste, line: &Arc<Line>) -> (usize, usize) {
        let mut groups = self.groups();
        let group = groups.iter().position(|group| group.taste == taste).unwrap_or_else(|| {
            groups.push(Group { taste, lines: Vec::new(), free: Vec::new() });
            groups.len() - 1
        });
        let Group { lines, free, .. } = &mut groups[group];
        // Places are not moved, as a pass may be under way.
        let place = free.pop().unwrap_or_else(|| {
            lines.push(None);
            lines.len() - 1
        });
        lines[place] = Some(Arc::clone(line));
        (group, place)
    }

    fn remove(&self, group: usize, place: usize) {
        let mut groups = self.groups();
        groups[group].lines[place] = None;
        groups[group].free.push(place);
    }

    /// The groups' tastes.
    fn tastes(&self) -> Vec<Taste> {
        self.groups().iter().map(|group| group.taste).collect()
    }

    /// How many places there are, in all groups.
    fn places(&self) -> usize {
        self.groups().iter().map(|group| group.lines.len()).sum()
    }

    /// Hands updates to all clients, to each in its form; how many went out.
    fn hand_all(&self, updates: &[Arc<Update>], from: Mark, to: Mark) -> usize {
        let mut pushed = 0;
        // A group that comes meanwhile has clients that look for themselves what there is.
        for (group, taste) in self.tastes().into_iter().enumerate() {
            let wanted = updates.iter().filter(|update| taste.takes(update));
            let frames: Vec<Bytes> = wanted.map(|update| update.bytes(taste.form)).collect();
            let handed = Handed { frames: &frames, from, to };
            let mut place = 0;
            while let Some(took) = self.hand(group, place, &handed) {
                pushed += took * frames.len();
                place += TURN_WRITES;
            }
        }
        pushed
    }

    /// Hands updates to some clients of a group, and says how many took them; none if there are no more.
    fn hand(&self, group: usize, from: usize, handed: &Handed<'_>) -> Option<usize> {
        let groups = self.groups();
        let lines = &groups[group].lines;
        let turn = lines.get(from..).filter(|rest| !rest.is_empty())?.iter().take(TURN_WRITES).flatten();
        Some(turn.map(|line| usize::from(line.push(handed))).sum())
    }
}

/// The task of a shard.
struct Passes {
    shard: Arc<Shard>,
    hub: Arc<Hub>,
    room: Box<str>,
    /// Up to here everything has been handed over.
    mark: Mark,
    writers: Arc<Semaphore>,
    metrics: Arc<FeedMetrics>,
}

impl Passes {
    async fn run(mut self, mut changed: watch::Receiver<u64>) {
        changed.mark_changed();
        // It ends when nobody watches.
        while changed.changed().await.is_ok() {
            self.pass().await;
        }
    }

    /// Hands what is new to all clients.
    async fn pass(&mut self) {
        let from = self.mark;
        let (updates, to) = match self.hub.every(&self.room, from) {
            Some((updates, to)) => (updates, to),
            // Everybody has to look for himself what he missed.
            None => (Vec::new(), self.hub.mark(&self.room)),
        };
        if to == from {
            return;
        }
        self.mark = to;
        // A mark that no client has sends it to look.
        let from = if updates.is_empty() { Mark { tick: u64::MAX, number: u64::MAX } } else { from };
        let traced = tracing::enabled!(tracing::Level::DEBUG).then(|| numbers(&updates)).flatten();
        let shard = Arc::clone(&self.shard);
        let pushed = if shard.places() <= INLINE_WRITES {
            shard.hand_all(&updates, from, to)
        } else {
            // The semaphore is never closed, and a task without panics and without an end of the runtime gives its result.
            let _place = self.writers.acquire().await;
            tokio::task::spawn_blocking(move || shard.hand_all(&updates, from, to)).await.unwrap_or_default()
        };
        self.metrics.pushed(pushed);
        if let Some((partition, seq, last_seq)) = traced {
            let room = &*self.room;
            tracing::debug!(room, partition, seq, last_seq, delivered = pushed, "crowd gets");
        }
    }
}

/// Partition, first and last number of the results among updates of a room.
fn numbers(updates: &[Arc<Update>]) -> Option<(u32, u64, u64)> {
    let results = || updates.iter().filter(|update| update.moment().is_none());
    let (first, last) = (results().next()?, results().next_back()?);
    Some((last.partition, first.place.seq, last.place.seq))
}
