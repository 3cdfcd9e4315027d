//! Frames of a WebSocket client come out whole or are refused, however they are cut, and hold no more than they may.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ovation_gateway::fuzzing::frames(bytes);
});
