//! Headers are read for what their senders may say, and for nothing else.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ovation_gateway::fuzzing::headers(bytes);
});
