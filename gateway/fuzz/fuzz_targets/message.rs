//! A feed message is answered, and says the same as a request would.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ovation_gateway::fuzzing::message(bytes);
});
