//! Windows over record time, as a pure state machine.
//!
//! A [`Windows`] is fed records in offset order and gives back numbered-to-be updates. Everything it
//! does is a function of its checkpoint and of what it was fed: it has no clock, no randomness, and
//! no order that depends on a hash. Time moves only by record times and ticks.
//!
//! What is counted is left to an [`Aggregate`]: reactions in one SmartModule, words in another.
#![forbid(unsafe_code)]

mod aggregate;
mod aligned;
mod dedup;
mod distinct;
mod keys;
mod panes;
mod series;
mod sessions;
mod settings;
mod windows;

pub use aggregate::Aggregate;
pub use dedup::{Dedup, DedupSettings};
pub use distinct::Distinct;
pub use settings::{Emission, SettingsError, Shape, WindowSettings};
pub use windows::{DUE_BYTES_PER_RECORD, KEYS_MAX, Missed, StateSize, Totals, Update, Verdict, Windows};
