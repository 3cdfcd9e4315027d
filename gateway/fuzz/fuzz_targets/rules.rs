//! A file of room rules gives rules or a reason, and rules are for the rooms that they match.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ovation_gateway::fuzzing::rules(bytes);
});
