//! What a SmartModule of one's own is written against; a crate that holds one depends on this alone.
//!
//! - [`Stateless`], as [`Map`]: one record in, one out. Passes, drops, rewrites, re-keys or rejects records in front of the
//!   module that ends the stage. Exported as `map`.
//! - [`Windowed`], as [`Contract`]`<`[`WindowStage`]`<…>>`: counts in windows. Exported as `array_map`.
//! - [`Stage`], as [`Contract`]: state of any other kind. Exported as `array_map`.
//!
//! [`native`] runs any of them in a test. docs/smartmodules.md walks through one of each kind.
#![forbid(unsafe_code)]

pub mod native;
mod stateless;
mod windowed;

#[cfg(target_arch = "wasm32")]
pub use ovation_shell::exports;
pub use ovation_shell::{
    Batch, Contract, DecodeError, Emit, Failure, Numbering, Output, ParamError, Params, RecordRef,
    SourceRecord, Stage, StageProgress, StageState, Transform, reason, tagged_reject,
};
pub use ovation_windowing::{
    Aggregate, DedupSettings, Distinct, Emission, KEYS_MAX, Missed, Shape, StateSize, Totals, Update,
    Verdict, WindowSettings, Windows,
};
pub use stateless::{Answer, Map, Stateless};
pub use windowed::{Feed, WindowStage, Windowed};
