//! A moment record goes out as it came in, and is written as a row.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ovation_gateway::fuzzing::moment(bytes);
});
