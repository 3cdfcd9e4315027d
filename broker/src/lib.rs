//! A single-node broker that speaks the Fluvio wire protocol.
#![forbid(unsafe_code)]
