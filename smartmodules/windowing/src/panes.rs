//! The panes of one key's aligned windows: slices of time that no window's edge cuts, each record kept in one of them.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::Aggregate;

/// Up to this many panes are merged one by one; more go by way of merges that are kept.
const DIRECT_MAX: usize = 8;

/// Panes by index: the pane's start divided by its length.
///
/// A window of `n` panes is put together from about `2 log n` merges, which are kept until a record changes one of their
/// panes: a window that follows another one costs the few merges at its edges, however short the advance.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "", transparent)]
pub(crate) struct Panes<A: Aggregate> {
    panes: BTreeMap<i64, A>,
    /// Merges of 2, 4, 8, … neighbours; the entry `i` of level `l` holds the panes from `i << l` on. Can be made anew.
    #[serde(skip)]
    merges: Vec<BTreeMap<i64, A>>,
}

impl<A: Aggregate> Default for Panes<A> {
    fn default() -> Self {
        Self { panes: BTreeMap::new(), merges: Vec::new() }
    }
}

/// What a range of panes holds: one of them as it is, or several put together.
pub(crate) enum Held<'a, A> {
    One(&'a A),
    Merged(A),
}

impl<A> AsRef<A> for Held<'_, A> {
    fn as_ref(&self) -> &A {
        match self {
            Self::One(pane) => pane,
            Self::Merged(merged) => merged,
        }
    }
}

impl<A: Aggregate> Panes<A> {
    /// Adds to a pane; `true` if it is a new one.
    pub(crate) fn add(&mut self, index: i64, item: &A::Item<'_>) -> bool {
        for (level, merges) in (1..).zip(&mut self.merges) {
            merges.remove(&(index >> level));
        }
        let before = self.panes.len();
        self.panes.entry(index).or_default().add(item);
        self.panes.len() > before
    }

    pub(crate) fn len(&self) -> usize {
        self.panes.len()
    }

    pub(crate) fn first(&self) -> Option<i64> {
        self.panes.first_key_value().map(|(index, _)| *index)
    }

    /// Whether one of these panes holds something.
    pub(crate) fn any(&self, range: Range<i64>) -> bool {
        self.panes.range(range).next().is_some()
    }

    /// Drops the panes below this one.
    pub(crate) fn drop_below(&mut self, index: i64) {
        while self.panes.first_key_value().is_some_and(|(first, _)| *first < index) {
            self.panes.pop_first();
        }
        for (level, merges) in (1..).zip(&mut self.merges) {
            while merges.first_key_value().is_some_and(|(first, _)| first << level < index) {
                merges.pop_first();
            }
        }
    }

    /// What these panes hold together; none if there is nothing.
    pub(crate) fn held(&mut self, range: Range<i64>) -> Option<Held<'_, A>> {
        let count = self.panes.range(range.clone()).take(DIRECT_MAX + 1).count();
        if count == 0 {
            return None;
        }
        if count == 1 {
            return self.panes.range(range).next().map(|(_, pane)| Held::One(pane));
        }
        let mut merged = A::default();
        if count <= DIRECT_MAX {
            for (_, pane) in self.panes.range(range) {
                merged.merge(pane);
            }
            return Some(Held::Merged(merged));
        }
        let mut at = range.start;
        while at < range.end {
            let level = at.trailing_zeros().min((range.end - at).ilog2());
            if let Some(node) = self.node(level, at >> level) {
                merged.merge(node);
            }
            at += 1 << level;
        }
        Some(Held::Merged(merged))
    }

    /// The `1 << level` panes from `index << level` on, put together.
    fn node(&mut self, level: u32, index: i64) -> Option<&A> {
        if level == 0 {
            return self.panes.get(&index);
        }
        let place = level as usize - 1;
        if self.merges.len() <= place {
            self.merges.resize_with(place + 1, BTreeMap::new);
        }
        if !self.merges[place].contains_key(&index) {
            if !self.any(index << level..(index + 1) << level) {
                return None;
            }
            let mut merged = A::default();
            for half in [2 * index, 2 * index + 1] {
                if let Some(node) = self.node(level - 1, half) {
                    merged.merge(node);
                }
            }
            self.merges[place].insert(index, merged);
        }
        self.merges[place].get(&index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
    struct Bag(BTreeMap<u8, u64>);

    impl Aggregate for Bag {
        type Item<'a> = u8;
        fn add(&mut self, item: &u8) {
            *self.0.entry(*item).or_default() += 1;
        }
        fn merge(&mut self, other: &Self) {
            for (item, count) in &other.0 {
                *self.0.entry(*item).or_default() += count;
            }
        }
        fn weight(_: &u8) -> u64 {
            1
        }
    }

    proptest! {
        #[test]
        fn any_range_holds_what_was_added_to_it(
            steps in prop::collection::vec((-60i64..60, any::<u8>(), -60i64..60, 0i64..80, any::<bool>()), 1..200),
        ) {
            let mut panes = Panes::<Bag>::default();
            let mut all: Vec<(i64, u8)> = Vec::new();
            let mut floor = -60;
            for (index, item, start, length, drops) in steps {
                if index >= floor {
                    panes.add(index, &item);
                    all.push((index, item));
                }
                if drops && start % 16 == 0 {
                    floor = floor.max(start - 30);
                    panes.drop_below(floor);
                    all.retain(|(index, _)| *index >= floor);
                }
                let range = start.max(floor)..start.max(floor) + length;
                let mut expected = Bag::default();
                for (_, item) in all.iter().filter(|(index, _)| range.contains(index)) {
                    expected.add(item);
                }
                let held = panes.held(range.clone()).map(|held| held.as_ref().clone());
                prop_assert_eq!(panes.any(range), held.is_some());
                prop_assert_eq!(held.unwrap_or_default(), expected);
            }
        }
    }
}
