//! A dead letter is shown as it stands, or cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ovation_gateway::fuzzing::letter(bytes);
});
