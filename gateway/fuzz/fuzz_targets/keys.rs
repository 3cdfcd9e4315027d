//! A file of keys gives keys or a reason, and a public key never as a secret.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ovation_gateway::fuzzing::keys(bytes);
});
