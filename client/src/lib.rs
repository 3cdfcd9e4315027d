//! The one client path to a Fluvio-speaking broker.
#![forbid(unsafe_code)]
