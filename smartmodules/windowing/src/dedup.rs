//! The dedup horizon: which ids were seen lately.

use std::collections::VecDeque;
use std::hash::Hasher;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

/// Bounds of the horizon: an id is forgotten when it is older than `horizon_ms` of stream time, or
/// when `ids_max` younger ones have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DedupSettings {
    /// How long an id is remembered, in ms of stream time.
    pub horizon_ms: i64,
    /// How many ids are remembered at most; fewer than 2³¹ in any case.
    pub ids_max: usize,
}

impl Default for DedupSettings {
    /// One minute and 100,000 ids: covers a client's retries, and keeps a checkpoint near 1 MB at worst.
    fn default() -> Self {
        Self { horizon_ms: 60_000, ids_max: 100_000 }
    }
}

/// The ids seen within the horizon, as 64-bit hashes: 16 bytes an id in the queue, and 9 to 19 in the table, whose order nobody sees.
///
/// Two different ids of one horizon collide with probability `ids_max / 2^64` a record, about 5e-15.
#[derive(Debug, Default)]
pub struct Dedup {
    /// Where in the queue a hash is.
    places: Places,
    /// Oldest first; stream times never decrease, so the queue is in order of both.
    order: VecDeque<(i64, u64)>,
    /// Ids that were forgotten, which is the place of the oldest one that was not. May wrap around.
    forgotten: u32,
}

/// Ids in a checkpoint: runs of equal stream time, so that a time is written once. The hashes stand behind it, see [`Dedup::save`].
#[derive(Serialize, Deserialize)]
pub(crate) struct DedupState {
    runs: Vec<(i64, usize)>,
    /// The hashes, where older modules wrote them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    hashes: String,
}

const HASH_BYTES: usize = size_of::<u64>();
/// Older modules wrote hashes in hex.
const HEX_DIGITS_PER_HASH: usize = 2 * HASH_BYTES;

impl Dedup {
    /// Hash of an id within its key. The keys of the hash are fixed: a checkpoint outlives a build.
    #[must_use]
    pub fn hash(key: impl AsRef<[u8]>, id: impl AsRef<[u8]>) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(0x6f76_6174_696f_6e31, 0x6465_6475_7031_3131);
        hasher.write(key.as_ref());
        hasher.write_u8(0);
        hasher.write(id.as_ref());
        hasher.finish()
    }

    /// Remembers an id at `stream_time`, what stream time will be if its record is counted; false if it was known already.
    ///
    /// A duplicate changes nothing: it moves no stream time, so what only its own time makes too old is still within the horizon.
    pub fn insert(&mut self, settings: DedupSettings, stream_time: i64, hash: u64) -> bool {
        let too_old = |seen_at: i64| stream_time.saturating_sub(seen_at) > settings.horizon_ms;
        if self.places.is_full() {
            self.places.renew(&self.order, self.forgotten);
        }
        let empty = match self.places.find(hash, &self.order, self.forgotten) {
            Ok(at) if !too_old(self.order[at].0) => return false,
            // It is forgotten before it is remembered anew.
            Ok(_) => None,
            Err(empty) => Some(empty),
        };
        while let Some(&(seen_at, _)) = self.order.front() {
            if !too_old(seen_at) && self.order.len() < settings.ids_max {
                break;
            }
            self.order.pop_front();
            self.forgotten = self.forgotten.wrapping_add(1);
        }
        if settings.ids_max > 0 {
            let empty = empty.unwrap_or_else(|| self.places.behind(hash));
            self.places.put(empty, hash, self.next_place());
            self.order.push_back((stream_time, hash));
        }
        true
    }

    fn next_place(&self) -> u32 {
        self.forgotten.wrapping_add(self.order.len() as u32)
    }

    /// How many ids are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether no id is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The ids, and their hashes in base 64: far the most of a checkpoint, so they stand beside the JSON, which would look at each digit.
    pub(crate) fn save(&self) -> (DedupState, String) {
        let mut runs: Vec<(i64, usize)> = Vec::new();
        let mut hashes = Vec::with_capacity(self.order.len() * HASH_BYTES);
        for &(time, hash) in &self.order {
            match runs.last_mut() {
                Some((last, count)) if *last == time => *count += 1,
                _ => runs.push((time, 1)),
            }
            hashes.extend_from_slice(&hash.to_be_bytes());
        }
        (DedupState { runs, hashes: String::new() }, STANDARD_NO_PAD.encode(hashes))
    }

    pub(crate) fn restore(state: &DedupState, hashes: &str) -> Option<Self> {
        let mut hashes = read_hashes(state, hashes)?.into_iter();
        let mut dedup = Self::default();
        for &(time, count) in &state.runs {
            for _ in 0..count {
                dedup.order.push_back((time, hashes.next()?));
            }
        }
        dedup.places.renew(&dedup.order, dedup.forgotten);
        hashes.next().is_none().then_some(dedup)
    }
}

/// What [`Dedup::save`] wrote of hashes, now or before: among the JSON in hex, behind it in hex, or behind it in base 64. The latter
/// two differ in length unless there are none.
fn read_hashes(state: &DedupState, behind: &str) -> Option<Vec<u64>> {
    let hex = if state.hashes.is_empty() { behind } else { &state.hashes };
    let count = state.runs.iter().try_fold(0_usize, |sum, (_, count)| sum.checked_add(*count))?;
    if count.checked_mul(HEX_DIGITS_PER_HASH)? == hex.len() {
        let hash = |digits| u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        return hex.as_bytes().chunks(HEX_DIGITS_PER_HASH).map(hash).collect();
    }
    let bytes = STANDARD_NO_PAD.decode(behind).ok()?;
    let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
    rest.is_empty().then(|| hashes.iter().map(|hash| u64::from_be_bytes(*hash)).collect())
}

/// Places in the queue by hash, in a table that ids which are forgotten are not taken out of: their places tell them, since these stand
/// before the queue. So an insertion waits for memory once. When the table is full it is filled anew from the queue.
///
/// A slot holds as many low bits of a place as tell it from all others of the table, and bits of its hash above them, so that others
/// are passed over without a look at the queue.
#[derive(Debug, Default)]
struct Places {
    /// A power of two of them, or none.
    slots: Vec<u32>,
    taken: usize,
}

impl Places {
    const SLOTS_LEAST: usize = 16;

    /// From here on a look-up would have to pass over many others.
    fn is_full(&self) -> bool {
        self.taken * 8 >= self.slots.len() * 5
    }

    /// Fills the table from the queue, with room for so many that of seven ids put in again three new ones have paid, at least.
    fn renew(&mut self, order: &VecDeque<(i64, u64)>, forgotten: u32) {
        let slots = (order.len() * 16 / 7 + 1).next_power_of_two().max(Self::SLOTS_LEAST);
        self.slots.clear();
        self.slots.resize(slots, 0);
        self.taken = 0;
        let mut place = forgotten;
        for &(_, hash) in order {
            let empty = self.behind(hash);
            self.put(empty, hash, place);
            place = place.wrapping_add(1);
        }
    }

    /// Where in the queue a hash is, or the empty slot that would take it.
    fn find(&self, hash: u64, order: &VecDeque<(i64, u64)>, forgotten: u32) -> Result<usize, usize> {
        let (low, tag) = (self.low(), self.tag(hash));
        let mut at = hash as usize & low as usize;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return Err(at);
            }
            if slot & !low == tag {
                let in_queue = (slot.wrapping_sub(forgotten) & low) as usize;
                if order.get(in_queue).is_some_and(|(_, other)| *other == hash) {
                    return Ok(in_queue);
                }
            }
            at = (at + 1) & low as usize;
        }
    }

    /// The first empty slot from where a hash says; there is one.
    fn behind(&self, hash: u64) -> usize {
        let low = self.low() as usize;
        let mut at = hash as usize & low;
        while self.slots[at] != 0 {
            at = (at + 1) & low;
        }
        at
    }

    fn put(&mut self, empty: usize, hash: u64, place: u32) {
        self.slots[empty] = self.tag(hash) | place & self.low();
        self.taken += 1;
    }

    /// The bits that number slots, and places.
    fn low(&self) -> u32 {
        self.slots.len() as u32 - 1
    }

    /// The bits above, of the half of the hash that says no slot; the lowest of them is set, which is not so in an empty slot.
    fn tag(&self, hash: u64) -> u32 {
        (hash >> 32) as u32 & !self.low() | self.slots.len() as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SMALL: DedupSettings = DedupSettings { horizon_ms: 100, ids_max: 3 };

    #[test]
    fn an_id_is_a_duplicate_within_the_horizon_only() {
        let mut dedup = Dedup::default();
        let id = Dedup::hash("room", "a");
        assert!(dedup.insert(SMALL, 0, id));
        assert!(!dedup.insert(SMALL, 100, id));
        assert!(dedup.insert(SMALL, 101, id));
    }

    #[test]
    fn the_count_bound_forgets_the_oldest() {
        let mut dedup = Dedup::default();
        for id in 0..4 {
            assert!(dedup.insert(SMALL, 0, id));
        }
        assert_eq!(dedup.len(), 3);
        assert!(!dedup.insert(SMALL, 0, 1), "a duplicate must not push out what it repeats");
        assert!(dedup.insert(SMALL, 0, 0), "the oldest was forgotten");
    }

    #[test]
    fn places_may_wrap_around() {
        let mut dedup = Dedup { forgotten: u32::MAX - 40, ..Dedup::default() };
        for id in 0..100 {
            assert!(dedup.insert(SMALL, 0, id));
            assert!(!dedup.insert(SMALL, 0, id));
            assert!(!dedup.insert(SMALL, 0, id.saturating_sub(2)));
        }
        assert_eq!((dedup.len(), dedup.forgotten), (3, 56));
    }

    #[test]
    fn a_duplicate_makes_nothing_forgotten() {
        let mut dedup = Dedup::default();
        let (old, young) = (Dedup::hash("room", "old"), Dedup::hash("room", "young"));
        assert!(dedup.insert(SMALL, 0, old));
        assert!(dedup.insert(SMALL, 90, young));
        assert!(
            !dedup.insert(SMALL, 150, young),
            "it would have moved stream time to 150, but was not counted"
        );
        assert!(!dedup.insert(SMALL, 90, old), "at 90, where stream time stands, this is within the horizon");
        assert!(dedup.insert(SMALL, 101, old));
    }

    #[test]
    fn ids_are_scoped_to_their_key() {
        assert_ne!(Dedup::hash("a", "bc"), Dedup::hash("ab", "c"));
    }

    #[test]
    fn a_checkpoint_restores_the_same_horizon() {
        let mut dedup = Dedup::default();
        for id in [1, u64::MAX, 7] {
            dedup.insert(SMALL, 5, id);
        }
        let (state, hashes) = dedup.save();
        assert_eq!(hashes, "AAAAAAAAAAH//////////wAAAAAAAAAH");
        let hex = "0000000000000001ffffffffffffffff0000000000000007";
        let older = DedupState { runs: state.runs.clone(), hashes: hex.to_owned() };
        for (state, hashes) in [(&state, &*hashes), (&state, hex), (&older, "")] {
            let restored = Dedup::restore(state, hashes).expect("own state restores");
            assert_eq!(restored.order, dedup.order);
            for id in [1, u64::MAX, 7] {
                assert!(restored.places.find(id, &restored.order, restored.forgotten).is_ok());
            }
        }
        for damaged in [&hashes[1..], &hashes[4..], &hex[1..], ""] {
            assert!(Dedup::restore(&state, damaged).is_none(), "{damaged}");
        }
        let shorter = DedupState { hashes: hex[1..].to_owned(), ..older };
        assert!(Dedup::restore(&shorter, "").is_none());
    }

    proptest! {
        #[test]
        fn a_hash_is_that_of_all_bytes_in_a_row(key in prop::collection::vec(any::<u8>(), 0..20), id in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut hasher = SipHasher13::new_with_keys(0x6f76_6174_696f_6e31, 0x6465_6475_7031_3131);
            hasher.write(&[&key[..], &[0], &id[..]].concat());
            prop_assert_eq!(Dedup::hash(&key, &id), hasher.finish());
        }

        #[test]
        fn the_table_finds_what_a_list_finds(
            // Hashes whose slots are the same or lie side by side, also across the end of the table, with and without the same tag.
            steps in prop::collection::vec((0..8_u64, 0..3_u64, 0..4_i64), 1..400), ids_max in 0..40_usize,
            high_shift in prop::sample::select(vec![32, 60]),
        ) {
            let settings = DedupSettings { horizon_ms: 60, ids_max };
            let (mut dedup, mut list, mut now) = (Dedup::default(), VecDeque::<(i64, u64)>::new(), 0);
            for (tag, high, later) in steps {
                now += later;
                let hash = tag.wrapping_sub(4) & 0xffff_ffff | high << high_shift;
                let is_new = !list.iter().any(|(at, other)| *other == hash && now - at <= 60);
                if is_new {
                    list.retain(|(at, _)| now - at <= 60);
                    while list.len() >= ids_max.max(1) {
                        list.pop_front();
                    }
                    if ids_max > 0 {
                        list.push_back((now, hash));
                    }
                }
                prop_assert_eq!(dedup.insert(settings, now, hash), is_new);
                prop_assert_eq!(&dedup.order, &list);
                let Places { slots, taken } = &dedup.places;
                prop_assert_eq!(slots.iter().filter(|slot| **slot != 0).count(), *taken);
                prop_assert!(*taken < slots.len() && slots.len() <= 16 * (ids_max * 3 + 1));
            }
        }
    }
}
