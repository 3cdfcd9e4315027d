//! No token is good that the key has not signed, and none allows more than it says.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ovation_gateway::fuzzing::token(bytes);
});
