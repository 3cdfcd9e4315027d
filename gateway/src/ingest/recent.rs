//! Ids that were stored a short while ago, so that a retry is answered without a record.

use std::time::{Duration, Instant};

use ovation_client::Stored;
use quick_cache::sync::Cache;

/// Ids by room. It only answers early: the windows know duplicates by themselves.
#[derive(Debug)]
pub(crate) struct Recent {
    ids: Cache<Box<str>, (Stored, Instant)>,
    horizon: Duration,
}

impl Recent {
    /// A table of `ids_max` ids that are known for `horizon`.
    pub(crate) fn new(ids_max: usize, horizon: Duration) -> Self {
        Self { ids: Cache::new(ids_max), horizon }
    }

    /// Where the reaction is, if it was stored within the horizon.
    pub(crate) fn find(&self, room: &str, id: &str) -> Option<Stored> {
        let (stored, at) = self.ids.get(key(room, id).as_str())?;
        (at.elapsed() < self.horizon).then_some(stored)
    }

    /// Remembers a reaction that the broker has acknowledged.
    pub(crate) fn add(&self, room: &str, id: &str, stored: Stored) {
        self.ids.insert(key(room, id).into_boxed_str(), (stored, Instant::now()));
    }

    /// Ids in the table.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }
}

/// A room has no space in it.
fn key(room: &str, id: &str) -> String {
    format!("{room} {id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORED: Stored = Stored { partition: 2, offset: 7 };

    #[test]
    fn an_id_is_known_in_its_room_and_within_the_horizon() {
        let recent = Recent::new(10, Duration::from_secs(60));
        recent.add("a", "x", STORED);
        assert_eq!(recent.find("a", "x"), Some(STORED));
        assert_eq!(recent.find("b", "x"), None);
        let short = Recent::new(10, Duration::ZERO);
        short.add("a", "x", STORED);
        assert_eq!(short.find("a", "x"), None);
    }

    #[test]
    fn the_table_is_bounded() {
        let recent = Recent::new(100, Duration::from_secs(60));
        for id in 0..10_000 {
            recent.add("a", &id.to_string(), STORED);
        }
        assert!(recent.len() <= 100, "{}", recent.len());
    }
}
