//! A single-node broker that speaks the Fluvio wire protocol.
//!
//! It is for one machine: development, tests, a small event. Any Fluvio client talks to it, and SmartModules
//! run in Fluvio's own engine. There is no replication, no authentication and no TLS.
//!
//! Invariants:
//! - a stored batch is never served in part, and offsets grow by exactly the records that are stored;
//! - what deduplication has seen and what the log holds change together, under one lock per partition;
//! - an acknowledged record has been handed to the operating system (and is on disk, if so configured);
//! - whatever a client sends costs at most that client its connection.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may panic"))]

mod batch;
mod broker;
mod chain;
mod cluster;
mod codec;
mod config;
mod connection;
mod control;
mod data;
mod error;
mod fence;
mod folder;
mod frame;
mod log;
mod metadata;
mod metrics;
mod offsets;
mod partition;
mod partitions;
mod produce;
mod records;
mod segment;
mod stream;
mod versions;
mod watch;

pub use broker::Broker;
pub use config::{Config, FAIL_WRITE_KEY, Limits, Quirks};
pub use error::Error;
pub use metrics::Numbers;
