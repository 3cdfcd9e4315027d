//! The same task as one writes it by hand in Rust, without a broker, modules, numbers, checkpoints, moods or a count of people: what
//! the chain is measured by.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use ovation_shell::Batch;
use serde::Deserialize;

use crate::data::Records;

const WINDOW_MS: i64 = 10_000;
const GRACE_MS: i64 = 2_000;
const HORIZON_MS: i64 = 60_000;
/// As many as the chain remembers.
const IDS_MAX: usize = 100_000;

#[derive(Deserialize)]
struct Reaction<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    room: Cow<'a, str>,
    #[serde(borrow)]
    emoji: Cow<'a, str>,
    #[serde(default = "one")]
    count: u64,
    ts: i64,
}

fn one() -> u64 {
    1
}

type Counts = HashMap<String, u64>;

#[derive(Default)]
pub(crate) struct ByHand {
    now: i64,
    /// Counts by window and room.
    open: HashMap<i64, HashMap<String, Counts>>,
    ids: HashSet<String>,
    order: VecDeque<(i64, String)>,
    finals: Vec<(i64, String, Counts)>,
}

impl ByHand {
    #[inline(never)]
    pub(crate) fn take(&mut self, records: &Records) {
        let batch = Batch::from_records(records.base_offset, records.base_timestamp, &records.bytes);
        for record in batch.expect("own bytes").records() {
            let record = record.expect("own bytes");
            match serde_json::from_slice(record.value) {
                Ok(reaction) => self.count(&reaction),
                Err(error) => panic!("own bytes: {error}"),
            }
        }
    }

    fn count(&mut self, reaction: &Reaction<'_>) {
        self.now = self.now.max(reaction.ts);
        if !self.is_new(&reaction.id) {
            return;
        }
        let start = reaction.ts - reaction.ts.rem_euclid(WINDOW_MS);
        self.close();
        if start + WINDOW_MS + GRACE_MS <= self.now {
            return;
        }
        let rooms = self.open.entry(start).or_default();
        let counts = match rooms.get_mut(&*reaction.room) {
            Some(counts) => counts,
            None => rooms.entry(reaction.room.to_string()).or_default(),
        };
        match counts.get_mut(&*reaction.emoji) {
            Some(count) => *count += reaction.count,
            None => {
                counts.insert(reaction.emoji.to_string(), reaction.count);
            }
        }
    }

    fn is_new(&mut self, id: &str) -> bool {
        if self.ids.contains(id) {
            return false;
        }
        while self.order.front().is_some_and(|(at, _)| self.now - at > HORIZON_MS)
            || self.order.len() >= IDS_MAX
        {
            if let Some((_, old)) = self.order.pop_front() {
                self.ids.remove(&old);
            }
        }
        self.ids.insert(id.to_owned());
        self.order.push_back((self.now, id.to_owned()));
        true
    }

    fn close(&mut self) {
        let closed = |start: &i64| start + WINDOW_MS + GRACE_MS <= self.now;
        let Some(start) = self.open.keys().copied().find(closed) else { return };
        for (room, counts) in self.open.remove(&start).unwrap_or_default() {
            self.finals.push((start, room, counts));
        }
    }

    /// Taps in windows, open or not.
    pub(crate) fn total(&self) -> u64 {
        let open = self.open.values().flat_map(HashMap::values);
        open.chain(self.finals.iter().map(|(_, _, counts)| counts)).flat_map(HashMap::values).sum()
    }
}
