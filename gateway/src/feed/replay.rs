//! Replay: what a client missed that the hub does not know any more, from the aggregate topic.

use std::sync::Arc;

use ovation_client::{Scan, bounds};

use super::choice::{Rooms, Scope};
use crate::App;
use crate::cursor::{Cursor, Place};
use crate::hub::{Update, latest};

/// Updates that a client gets from the topic at most. It is windows that ended while it was away, and the open ones.
const REPLAY_UPDATES_MAX: usize = 4_000;

/// Records read for one client at most: where it has missed more it gets a snapshot.
const REPLAY_RECORDS_MAX: i64 = 200_000;

/// Records before the place where a cursor should stand that are looked at first: holes and repeats move it.
const MARGIN_RECORDS: i64 = 64;

/// What the topic has after a cursor.
pub(super) struct Replayed {
    /// In the order in which they are to go out: without those that others supersede.
    pub(super) updates: Vec<Arc<Update>>,
    /// Where a reader is then.
    pub(super) reached: Cursor,
}

/// Reads what came after a cursor. None if it is not there any more, or is too much, or cannot be read now.
pub(super) async fn read(app: &App, scope: &Scope, cursor: &Cursor) -> Option<Replayed> {
    let reading = read_all(app, scope, cursor);
    tokio::time::timeout(app.config.replay_timeout, reading).await.ok()?
}

async fn read_all(app: &App, scope: &Scope, cursor: &Cursor) -> Option<Replayed> {
    let mut replayed = Replayed { updates: Vec::new(), reached: cursor.clone() };
    // What the hub has read is all that has to be read here: the rest it has itself.
    let applied = app.hub.applied();
    let only = match &scope.rooms {
        Rooms::One(room) => app.hub.partition_of(room),
        Rooms::Named(_) | Rooms::Covered => None,
    };
    for (partition, goal) in applied.places() {
        if only.is_some_and(|only| only != partition) {
            continue;
        }
        let from = cursor.place(partition).unwrap_or(Place::new(0, 0));
        if from >= goal {
            continue;
        }
        for mut update in read_partition(app, scope, partition, from, goal).await? {
            // Nobody else has it yet.
            if let Some(update) = Arc::get_mut(&mut update) {
                update.watching = app.hub.watching(&update.room);
            }
            // Whoever is interrupted here goes on here.
            replayed.reached.advance(partition, update.place);
            update.set_read(Arc::new(replayed.reached.clone()));
            replayed.updates.push(update);
        }
        replayed.reached.advance(partition, goal);
    }
    (replayed.updates.len() <= REPLAY_UPDATES_MAX).then_some(replayed)
}

/// Updates of a partition after `from` up to `goal`, in order.
async fn read_partition(
    app: &App,
    scope: &Scope,
    partition: u32,
    from: Place,
    goal: Place,
) -> Option<Vec<Arc<Update>>> {
    let (cluster, topic) = (&app.config.cluster, &app.config.aggregates_topic);
    let held = bounds(cluster, topic, partition).await.ok()?;
    let mut back =
        i64::try_from(goal.seq.saturating_sub(from.seq)).unwrap_or(i64::MAX).saturating_add(MARGIN_RECORDS);
    if goal.epoch != from.epoch {
        back = REPLAY_RECORDS_MAX;
    }
    loop {
        let start = held.end.saturating_sub(back).max(held.start);
        let range = start..held.end;
        if range.end - range.start > REPLAY_RECORDS_MAX {
            return None;
        }
        let mut scan = Scan::new(cluster, topic, partition, range, false);
        let mut first: Option<Place> = None;
        let mut updates: Vec<Arc<Update>> = Vec::new();
        let mut last = from;
        while let Some(records) = scan.next().await.ok()? {
            for record in records {
                let Some(update) = Update::read_record(partition, &record.value) else { continue };
                let place = update.place;
                first.get_or_insert(place);
                if place > from && place <= goal && scope.covers(&update.room) {
                    updates.push(Arc::new(update));
                }
                last = last.max(place);
            }
            if start > held.start && first.is_some_and(|first| first > from.after()) {
                break;
            }
            if updates.len() > 2 * REPLAY_UPDATES_MAX {
                updates = in_order(updates);
                if updates.len() > REPLAY_UPDATES_MAX {
                    return None;
                }
            }
        }
        match first {
            // It began after the cursor: what is between may be further back, or gone.
            Some(first) if first > from.after() && !opens(first, from) => {
                if start == held.start {
                    return None;
                }
                back = back.saturating_mul(4);
            }
            Some(_) if last >= goal => return Some(in_order(updates)),
            // The hub has read more than the topic has: it was made anew.
            Some(_) | None => return None,
        }
    }
}

/// Whether nothing can have been before: the log begins with an epoch that is newer.
fn opens(first: Place, from: Place) -> bool {
    first.seq == 1 && first.epoch >= from.epoch
}

/// In order of their numbers, each once, without those that others supersede.
fn in_order(mut updates: Vec<Arc<Update>>) -> Vec<Arc<Update>> {
    updates.sort_by_key(|update| update.place);
    updates.dedup_by_key(|update| update.place);
    latest(updates)
}
