//! What a SmartModule under the processor contract is made of, so that its own code is its logic.
//!
//! Fluvio's macros hand a module one decoded record at a time. A module here is given the whole batch
//! instead ([`Batch`], borrowed from the bytes that came in) and writes records straight into the bytes that go
//! out ([`Output`]): no allocation per record, and an answer for every batch, even a silent one.
//!
//! - [`Transform`]: a module as a function over batches. Everything in it is tested natively.
//! - [`Contract`]: a transform that carries the processor contract around a [`Stage`]: numbering, progress,
//!   repeated batches, checkpoints, tags.
//! - [`Slot`] and `exports` (on wasm32): the thin shell, the only place with unsafe code.
#![deny(unsafe_code)]

mod batch;
mod contract;
mod dead_letter;
mod emit;
mod numbered;
mod output;
mod params;
pub mod reason;
mod source;
mod tags;
mod transform;
mod varint;

#[cfg(target_arch = "wasm32")]
pub mod exports;

pub use batch::{Batch, DecodeError, RecordRef};
pub use contract::{CHECKPOINT_PIECE_BYTES_MAX, Contract, Stage, StageProgress, StageState};
pub use dead_letter::tagged_reject;
pub use emit::{Emit, Numbering};
pub use output::Output;
pub use params::{ParamError, Params};
pub use source::SourceRecord;
pub use tags::{CHECKPOINT_KEY, CONTROL, PACK_KEY, PROGRESS_KEY, REJECT_KEY, RESYNC_KEY, SKIP_KEY, TICK_KEY};
pub use transform::{Failure, Slot, Transform};
