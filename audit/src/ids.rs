use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use ovation_windowing::DedupSettings;

/// Ids that are remembered beyond what the stage itself remembers, to tell how many came again after it had forgotten them: about
/// 200 MB.
const IDS_MAX: usize = 4_000_000;

/// Which ids were seen, and when: the audit's own books of duplicates.
#[derive(Debug)]
pub(crate) struct Ids {
    settings: DedupSettings,
    /// By hash of room and id: stream time at which it was counted, and how many had been counted before it.
    seen: HashMap<u64, (i64, u64)>,
    /// Oldest first.
    order: VecDeque<(u64, u64)>,
    counted: u64,
    /// Ids that came again after the stage had to forget them.
    pub(crate) recurred: u64,
}

impl Ids {
    pub(crate) fn new(settings: DedupSettings) -> Self {
        Self { settings, seen: HashMap::new(), order: VecDeque::new(), counted: 0, recurred: 0 }
    }

    /// Whether a reaction is a duplicate at stream time `now`: its id was counted within the horizon, and fewer others since
    /// than are remembered.
    pub(crate) fn is_duplicate(&mut self, room: &str, id: &str, now: i64) -> bool {
        let mut hasher = DefaultHasher::new();
        (room, id).hash(&mut hasher);
        let hash = hasher.finish();
        if let Some((then, number)) = self.seen.get(&hash) {
            let others = self.counted - number;
            if now.saturating_sub(*then) <= self.settings.horizon_ms && others <= self.settings.ids_max as u64
            {
                return true;
            }
            self.recurred += 1;
        }
        self.seen.insert(hash, (now, self.counted));
        self.order.push_back((hash, self.counted));
        self.counted += 1;
        while self.order.len() > IDS_MAX.max(self.settings.ids_max) {
            let Some((hash, number)) = self.order.pop_front() else { break };
            if self.seen.get(&hash).is_some_and(|(_, newest)| *newest == number) {
                self.seen.remove(&hash);
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ovation_windowing::Dedup;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_books_agree_with_the_stage(
            steps in prop::collection::vec((0i64..40, 0u8..12), 1..300), ids_max in 1usize..8, horizon_ms in 0i64..200,
        ) {
            let settings = DedupSettings { horizon_ms, ids_max };
            let (mut books, mut stage, mut stream_time) = (Ids::new(settings), Dedup::default(), 0);
            for (later, id) in steps {
                let (now, id) = (stream_time + later, id.to_string());
                let fresh = stage.insert(settings, now, Dedup::hash("lobby", &id));
                prop_assert_eq!(books.is_duplicate("lobby", &id, now), !fresh);
                // As in the stage, the time of a duplicate does not become stream time.
                if fresh {
                    stream_time = now;
                }
            }
        }
    }
}
