//! Settings of a room come back from their record as they were.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ovation_gateway::fuzzing::settings(bytes);
});
