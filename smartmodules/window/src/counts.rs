//! What a window of reactions holds.

use std::collections::BTreeMap;

use ovation_processor::Aggregate;
use serde::{Deserialize, Serialize};

/// Taps of one reaction.
#[derive(Debug, Clone, Copy)]
pub struct Tap<'a> {
    /// Canonical emoji.
    pub emoji: &'a str,
    /// How many taps.
    pub count: u64,
}

/// Taps by emoji. Bounded by Unicode's list: validation lets no other emoji in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taps {
    /// Taps in all.
    pub total: u64,
    /// Taps by canonical emoji.
    pub counts: BTreeMap<String, u64>,
}

impl Aggregate for Taps {
    type Item<'a> = Tap<'a>;

    fn add(&mut self, tap: &Tap<'_>) {
        self.total += tap.count;
        match self.counts.get_mut(tap.emoji) {
            Some(count) => *count += tap.count,
            None => {
                self.counts.insert(tap.emoji.to_owned(), tap.count);
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        for (emoji, count) in &other.counts {
            self.add(&Tap { emoji, count: *count });
        }
    }

    fn weight(tap: &Tap<'_>) -> u64 {
        tap.count
    }
}
