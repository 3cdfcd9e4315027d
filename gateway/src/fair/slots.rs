//! Where buckets are kept: a table of a fixed number of them. governor's own tables have no bound.

use std::sync::{Mutex, PoisonError};

use governor::nanos::Nanos;
use governor::state::StateStore;

/// Buckets of one set, which share a lock: enough that sets fill up evenly, few enough to look at all of them.
const SET_SLOTS: usize = 16;

/// One bucket.
#[derive(Debug, Clone, Copy)]
struct Slot {
    key: u64,
    /// When the bucket is full again; all that a token bucket needs to remember.
    full_at: Nanos,
}

/// Buckets by the hash of what they are for. A key has its place in one set. When the set is full, the bucket in it that is
/// full first makes place: if it is full already nothing is lost by that, since a new one begins full.
#[derive(Debug)]
pub(super) struct Slots {
    sets: Box<[Mutex<Vec<Slot>>]>,
}

impl Slots {
    /// A table for at most `max` buckets, in whole sets, and for one set at least.
    pub(super) fn new(max: usize) -> Self {
        let sets = (max / SET_SLOTS).max(1);
        Self { sets: std::iter::repeat_with(Mutex::default).take(sets).collect() }
    }

    fn set(&self, key: u64) -> &Mutex<Vec<Slot>> {
        // The hash as a fraction of the table.
        let place = (u128::from(key) * self.sets.len() as u128) >> u64::BITS;
        &self.sets[usize::try_from(place).unwrap_or_default()]
    }

    /// Buckets in the table.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.sets.iter().map(|set| set.lock().expect("not poisoned").len()).sum()
    }
}

impl StateStore for Slots {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, judge: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        // A slot is changed by one assignment, so a panic elsewhere leaves the set whole.
        let mut set = self.set(*key).lock().unwrap_or_else(PoisonError::into_inner);
        let found = set.iter().position(|slot| slot.key == *key);
        let (answer, full_at) = judge(found.map(|place| set[place].full_at))?;
        let slot = Slot { key: *key, full_at };
        match found {
            Some(place) => set[place] = slot,
            None if set.len() < SET_SLOTS => set.push(slot),
            None => {
                if let Some(first) = set.iter_mut().min_by_key(|slot| slot.full_at) {
                    *first = slot;
                }
            }
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes when a bucket is full; returns what the table knew.
    fn put(slots: &Slots, key: u64, full_at: u64) -> Option<u64> {
        let judge = |known: Option<Nanos>| Ok::<_, ()>((known.map(Nanos::as_u64), Nanos::new(full_at)));
        slots.measure_and_replace(&key, judge).expect("accepted")
    }

    fn known(slots: &Slots, key: u64) -> Option<u64> {
        slots.measure_and_replace(&key, Err::<((), Nanos), _>).expect_err("refused").map(Nanos::as_u64)
    }

    #[test]
    fn the_one_that_is_full_first_makes_place() {
        let slots = Slots::new(1);
        for key in 0..16 {
            assert_eq!(put(&slots, key, 100 + (key * 7) % 16), None);
        }
        assert_eq!(put(&slots, 7, 90), Some(100 + (7 * 7) % 16));
        assert_eq!(put(&slots, 99, 300), None);
        assert_eq!((known(&slots, 7), known(&slots, 99), slots.len()), (None, Some(300), 16));
        assert_eq!((0..16).filter(|key| known(&slots, *key).is_some()).count(), 15);
    }

    #[test]
    fn a_refusal_changes_nothing() {
        let slots = Slots::new(16);
        put(&slots, 1, 5);
        assert_eq!((known(&slots, 1), known(&slots, 2), slots.len()), (Some(5), None, 1));
    }

    #[test]
    fn the_table_has_its_bound_whatever_comes() {
        let slots = Slots::new(1_000);
        for key in 0..100_000u64 {
            put(&slots, key.wrapping_mul(0x9e37_79b9_7f4a_7c15), key);
        }
        assert_eq!(slots.len(), 992, "the whole sets in 1,000");
    }
}
