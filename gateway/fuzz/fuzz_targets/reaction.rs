//! A reaction that is admitted is what the broker takes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ovation_gateway::fuzzing::reaction(bytes);
});
