//! A body is read whole or refused, however it is encoded and cut, and its limits hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ovation_gateway::fuzzing::body(bytes);
});
