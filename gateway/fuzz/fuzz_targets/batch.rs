//! Items of a batch are the same as an array and as lines, and what is admitted is what the broker takes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ovation_gateway::fuzzing::batch(bytes);
});
