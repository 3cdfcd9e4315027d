//! What one client has read, and what comes next for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::vec::IntoIter;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::choice::{Rooms, Scope};
use super::metrics::FeedMetrics;
use super::replay::{self, Replayed};
use crate::App;
use crate::cursor::Cursor;
use crate::hub::{Hub, Mark, Next, Resumed, Seat, Taste, Update};

/// A client that resumes at a gateway that is not as far as its cursor waits for that so long.
const AHEAD_WAIT: std::time::Duration = std::time::Duration::from_secs(2);

/// How often a client reads the topic to resume: the hub may forget while it does.
const REPLAYS_MAX: u32 = 3;

/// Updates that a client gets at once of those that it missed.
const FIRST_UPDATES: usize = 64;

/// What a client sends to resume: none if it begins anew, an error if it is no cursor.
pub(super) type After = Option<Result<Cursor, ()>>;

/// One client's reading. It holds no updates: only where it is.
pub(super) struct Reading {
    hub: Arc<Hub>,
    scope: Scope,
    taste: Taste,
    /// Whether it is told what it missed: not if it asked for fewer updates itself.
    tells_skips: bool,
    mark: Mark,
    /// Updates that it missed before it came.
    first: VecDeque<Arc<Update>>,
    /// While it holds updates that the topic had and the hub has not.
    replay: Option<OwnedSemaphorePermit>,
    /// Rooms that it has yet to see as they are.
    opening: Option<Opening>,
    metrics: Arc<FeedMetrics>,
    _seats: Vec<Seat>,
}

/// Snapshots of many rooms, all of the same time.
struct Opening {
    rooms: IntoIter<Box<str>>,
    cursor: String,
    resumed: Option<bool>,
}

impl Reading {
    /// Begins to read, after the cursor if there is one. Also what tells of each update.
    pub(super) async fn begin(
        app: &App,
        scope: Scope,
        taste: Taste,
        tells_skips: bool,
        after: After,
    ) -> (Self, watch::Receiver<u64>) {
        let hub = &app.hub;
        let (seats, changed) = match &scope.rooms {
            Rooms::One(room) => {
                let (seat, changed) = hub.enter(room);
                (vec![seat], changed)
            }
            Rooms::Named(rooms) => (rooms.iter().map(|room| hub.enter(room).0).collect(), hub.changed()),
            Rooms::Covered => (Vec::new(), hub.changed()),
        };
        let mut reading = Self {
            hub: Arc::clone(hub),
            scope,
            taste,
            tells_skips,
            mark: Mark::default(),
            first: VecDeque::new(),
            replay: None,
            opening: None,
            metrics: Arc::clone(&app.feed_metrics),
            _seats: seats,
        };
        match after {
            None => reading.open(None),
            Some(Err(())) => reading.open(Some(false)),
            Some(Ok(cursor)) => {
                if !reading.resume(app, cursor).await {
                    reading.open(Some(false));
                }
            }
        }
        (reading, changed)
    }

    /// Goes on after a cursor. False if that is not possible.
    async fn resume(&mut self, app: &App, mut cursor: Cursor) -> bool {
        let mut ahead = Box::pin(tokio::time::sleep(AHEAD_WAIT));
        let mut changed = self.hub.changed();
        let (mut replayed, mut replays) = (Vec::new(), 0);
        loop {
            let resumed = match &self.scope.rooms {
                Rooms::One(room) => self.hub.resume(room, &cursor),
                _ => self.hub.resume_all(&cursor, |room| self.scope.covers(room)),
            };
            match resumed {
                Resumed::Updates(updates, mark) => {
                    self.mark = mark;
                    let taste = self.taste;
                    self.first =
                        replayed.into_iter().chain(updates).filter(|update| taste.takes(update)).collect();
                    return true;
                }
                Resumed::Older if replays < REPLAYS_MAX => {
                    replays += 1;
                    if self.replay.is_none() {
                        let place = Arc::clone(&app.replays).acquire_owned();
                        let place = tokio::time::timeout(app.config.replay_timeout, place).await;
                        self.replay = place.ok().and_then(Result::ok);
                    }
                    if self.replay.is_none() {
                        return false;
                    }
                    match replay::read(app, &self.scope, &cursor).await {
                        Some(Replayed { updates, reached }) if reached != cursor => {
                            replayed.extend(updates);
                            cursor = reached;
                        }
                        _ => return false,
                    }
                }
                Resumed::Older => return false,
                Resumed::Ahead => tokio::select! {
                    () = &mut ahead => return false,
                    // The sender is the hub's.
                    _ = changed.changed() => {}
                },
            }
        }
    }

    /// Shows everything as it is now.
    fn open(&mut self, resumed: Option<bool>) {
        self.first = VecDeque::new();
        self.replay = None;
        let (mark, cursor) = self.hub.mark_of_all();
        let rooms = match &self.scope.rooms {
            Rooms::One(room) => vec![room.clone()],
            Rooms::Named(rooms) => rooms.to_vec(),
            Rooms::Covered => self.hub.active(|room| self.scope.covers(room)),
        };
        self.mark = mark;
        self.opening = Some(Opening { rooms: rooms.into_iter(), cursor: cursor.encode(), resumed });
    }

    /// Where it is.
    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    /// Whether it has yet to see all that there is at its begin.
    pub(super) fn is_opening(&self) -> bool {
        !self.first.is_empty() || self.opening.is_some()
    }

    /// Says that it has been given everything up to `mark`.
    pub(super) fn advance(&mut self, mark: Mark) {
        self.mark = mark;
    }

    /// Goes on by another right.
    pub(super) fn renew(&mut self, scope: Scope) {
        self.scope = scope;
    }

    /// Takes what comes next; nothing, if it has all. For a client that was too slow what has been superseded is left out.
    pub(super) fn next(&mut self, is_slow: bool, bytes: &mut VecDeque<Bytes>) {
        if !self.first.is_empty() {
            let form = self.taste.form;
            let some = self.first.len().min(FIRST_UPDATES);
            self.metrics.read(some, 0);
            bytes.extend(self.first.drain(..some).map(|update| update.bytes(form)));
            if self.first.is_empty() {
                self.first = VecDeque::new();
                self.replay = None;
            }
            return;
        }
        if let Some(snapshot) = self.snapshot() {
            bytes.push_back(snapshot);
            return;
        }
        let is_slow = is_slow || !self.tells_skips;
        let next = match &self.scope.rooms {
            Rooms::One(room) => self.hub.next(room, self.mark, is_slow),
            _ => self.hub.next_of_all(self.mark, is_slow, |room| self.scope.covers(room)),
        };
        match next {
            Next::Updates { updates, skipped, mark } => {
                self.mark = mark;
                self.skip(skipped, bytes);
                let before = bytes.len();
                let wanted = updates.iter().filter(|update| self.taste.takes(update));
                bytes.extend(wanted.map(|update| update.bytes(self.taste.form)));
                let (messages, skipped) = (bytes.len() - before, self.missed(skipped));
                self.metrics.read(messages, skipped);
                if let Some(last) = updates.last() {
                    let (room, partition, last_seq) = (&*last.room, last.partition, last.place.seq);
                    tracing::debug!(room, partition, last_seq, messages, skipped, "client reads");
                }
            }
            Next::Unknown { skipped } => {
                self.metrics.read(0, self.missed(skipped));
                self.skip(skipped, bytes);
                self.open(Some(false));
                bytes.extend(self.snapshot());
            }
        }
    }

    /// The next room as it is, while it begins.
    fn snapshot(&mut self) -> Option<Bytes> {
        let opening = self.opening.as_mut()?;
        let Some(room) = opening.rooms.next() else {
            self.opening = None;
            return None;
        };
        if let Rooms::One(room) = &self.scope.rooms {
            let (bytes, mark) = self.hub.snapshot(room, self.taste, opening.resumed);
            self.mark = mark;
            return Some(bytes);
        }
        Some(self.hub.snapshot_at(&room, self.taste, self.mark, &opening.cursor, opening.resumed))
    }

    /// Of updates that were left out those that it did not leave out by its own wish.
    fn missed(&self, skipped: u64) -> u64 {
        if self.tells_skips && !self.taste.finals_only { skipped } else { 0 }
    }

    fn skip(&self, skipped: u64, bytes: &mut VecDeque<Bytes>) {
        if self.missed(skipped) > 0 {
            let message = format!(r#"{{"type":"skipped","count":{skipped}}}"#);
            bytes.push_back(self.taste.form.write(&message, None));
        }
    }
}
