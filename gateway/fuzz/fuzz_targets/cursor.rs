//! A cursor that is read is one that is written.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ovation_gateway::fuzzing::cursor(bytes);
});
