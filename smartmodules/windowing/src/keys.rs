//! What is kept by key, and found for every record.

use std::hash::{BuildHasher, Hasher};
use std::ops::{Index, IndexMut};
use std::sync::Arc;

use foldhash::quality::FixedState;
use hashbrown::HashTable;

/// A value for each key, at a place that stays. Nothing is ever removed: the caller bounds how many there are.
///
/// The order of the hashes is seen by nobody; whoever writes all keys down sorts them.
#[derive(Debug)]
pub(crate) struct Keys<T> {
    entries: Vec<(Arc<str>, T)>,
    places: HashTable<u32>,
}

impl<T> Default for Keys<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), places: HashTable::new() }
    }
}

fn hash(key: &[u8]) -> u64 {
    let mut hasher = FixedState::with_seed(0x6f76_6174_696f_6e31).build_hasher();
    hasher.write(key);
    hasher.finish()
}

/// Whether two names are the same; up to 16 bytes by four comparisons of numbers, without a call, which the broker's engine counts.
#[inline(always)]
fn same(one: &[u8], other: &[u8]) -> bool {
    let length = one.len();
    if length != other.len() {
        return false;
    }
    // Numbers at both ends, which overlap unless the name is as long as both.
    match length {
        8..=16 => {
            one.first_chunk::<8>() == other.first_chunk() && one.last_chunk::<8>() == other.last_chunk()
        }
        4..8 => one.first_chunk::<4>() == other.first_chunk() && one.last_chunk::<4>() == other.last_chunk(),
        _ => one == other,
    }
}

impl<T> Keys<T> {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn find(&self, key: &[u8]) -> Option<usize> {
        let is_it = |place: &u32| same(self.entries[*place as usize].0.as_bytes(), key);
        self.places.find(hash(key), is_it).map(|place| *place as usize)
    }

    /// Every key with its value, in the order in which they were added.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.entries.iter().map(|(key, value)| (&**key, value))
    }

    /// The key of a place, and its value to change.
    pub(crate) fn at_mut(&mut self, place: usize) -> (&Arc<str>, &mut T) {
        let (key, value) = &mut self.entries[place];
        (key, value)
    }
}

impl<T: Default> Keys<T> {
    /// Adds a key that is not there yet; answers its place.
    pub(crate) fn add(&mut self, key: Arc<str>) -> usize {
        let (place, entries) = (self.entries.len(), &mut self.entries);
        entries.push((key, T::default()));
        let hash_at = |place: &u32| hash(entries[*place as usize].0.as_bytes());
        self.places.insert_unique(hash_at(&(place as u32)), place as u32, hash_at);
        place
    }
}

impl<T> Index<usize> for Keys<T> {
    type Output = T;

    fn index(&self, place: usize) -> &T {
        &self.entries[place].1
    }
}

impl<T> IndexMut<usize> for Keys<T> {
    fn index_mut(&mut self, place: usize) -> &mut T {
        &mut self.entries[place].1
    }
}
