//! Builds the SmartModules to WASM and embeds the bytes.
#![forbid(unsafe_code)]
