//! An aggregate record goes out as it came in.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ovation_gateway::fuzzing::update(bytes);
});
