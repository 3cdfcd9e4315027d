//! The first bytes tell the protocol once.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ovation_gateway::fuzzing::preface(bytes);
});
