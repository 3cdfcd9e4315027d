//! What a window accumulates.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The content of one window: starts empty, takes items, merges with others, and survives a checkpoint.
///
/// Its serialised form must be deterministic (ordered maps, no hash order), because a checkpoint and
/// a replay have to give the same bytes. Merging must be associative and commutative, and merging two aggregates must
/// give what adding all their items to one would: hopping windows are put together from panes, sessions grow together.
pub trait Aggregate: Default + Serialize + DeserializeOwned {
    /// What one record adds.
    type Item<'a>;

    /// Adds one record's item.
    fn add(&mut self, item: &Self::Item<'_>);

    /// Adds all that another aggregate holds.
    fn merge(&mut self, other: &Self);

    /// How much one item weighs in the totals of its key, e.g. taps in a reaction.
    fn weight(item: &Self::Item<'_>) -> u64;
}
