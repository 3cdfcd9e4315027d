//! What a window accumulates.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The content of one window: starts empty, takes items, and survives a checkpoint.
///
/// Its serialised form must be deterministic (ordered maps, no hash order), because a checkpoint and
/// a replay have to give the same bytes.
pub trait Aggregate: Default + Serialize + DeserializeOwned {
    /// What one record adds.
    type Item<'a>;

    /// Adds one record's item.
    fn add(&mut self, item: &Self::Item<'_>);

    /// How much one item weighs in the totals of its key, e.g. taps in a reaction.
    fn weight(item: &Self::Item<'_>) -> u64;
}
