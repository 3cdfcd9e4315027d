//! The SmartModules of this project as WASM bytes, built from `smartmodules/` when this crate is.
#![forbid(unsafe_code)]

/// Judges events: canonical reaction, tick, or tagged reject.
pub const VALIDATE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ovation_validate.wasm"));
/// Counts reactions in windows.
pub const WINDOW: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ovation_window.wasm"));
/// Compare-and-append for a sink.
pub const FENCE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ovation_fence.wasm"));
/// Counts words in windows: the second topology of the tests.
pub const WORD_COUNT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ovation_word_count.wasm"));

/// Names of the modules that a topology may use.
pub const BUILTINS: &[&str] = &["ovation-validate", "ovation-window", "ovation-fence", "ovation-word-count"];

/// The module of a name that `topology.yaml` gives as `builtin`.
#[must_use]
pub fn builtin(name: &str) -> Option<&'static [u8]> {
    match name {
        "ovation-validate" => Some(VALIDATE),
        "ovation-window" => Some(WINDOW),
        "ovation-fence" => Some(FENCE),
        "ovation-word-count" => Some(WORD_COUNT),
        _ => None,
    }
}
