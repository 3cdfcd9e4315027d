//! The SmartModules of this project as WASM bytes, built from `smartmodules/` when this crate is.
#![forbid(unsafe_code)]

/// Judges events: canonical reaction, tick, or tagged reject.
pub const VALIDATE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ovation_validate.wasm"));
/// Counts reactions in windows.
pub const WINDOW: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ovation_window.wasm"));
/// Finds bursts in the finals of a stage that counts reactions.
pub const MOMENTS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ovation_moments.wasm"));
/// Compare-and-append for a sink.
pub const FENCE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ovation_fence.wasm"));
/// Counts words in windows: the second topology of the tests.
pub const WORD_COUNT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ovation_word_count.wasm"));
/// Numbers what the transforms of a stage without state let through.
pub const NUMBER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ovation_number.wasm"));
/// Passes the records of some rooms, for people who read a topic by hand.
pub const ROOM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ovation_room.wasm"));

/// The SmartModules of `examples/smartmodules`, for tests: no builtins, as people bring theirs as files.
#[doc(hidden)]
pub mod examples {
    /// Keeps lines with a long word, under its first letter.
    pub const LONG_WORDS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/long_words.wasm"));
    /// Running totals by key.
    pub const RUNNING_TOTAL: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/running_total.wasm"));
}

/// Every name that [`builtin`] knows.
pub const BUILTINS: &[&str] = &[
    "ovation-validate",
    "ovation-window",
    "ovation-moments",
    "ovation-fence",
    "ovation-word-count",
    "ovation-number",
    "ovation-room",
];

/// The module of a name that `topology.yaml` gives as `builtin`.
#[must_use]
pub fn builtin(name: &str) -> Option<&'static [u8]> {
    match name {
        "ovation-validate" => Some(VALIDATE),
        "ovation-window" => Some(WINDOW),
        "ovation-moments" => Some(MOMENTS),
        "ovation-fence" => Some(FENCE),
        "ovation-word-count" => Some(WORD_COUNT),
        "ovation-number" => Some(NUMBER),
        "ovation-room" => Some(ROOM),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_module_of_its_own() {
        let modules: Vec<_> = BUILTINS.iter().map(|name| builtin(name)).collect();
        assert!(modules.iter().flatten().all(|wasm| wasm.starts_with(b"\0asm")));
        for (index, module) in modules.iter().enumerate() {
            assert!(module.is_some() && !modules[..index].contains(module), "{}", BUILTINS[index]);
        }
        assert_eq!(builtin("ovation-"), None);
    }
}
