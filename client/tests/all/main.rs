//! The client against brokers that are there, and some that are not. One program, as each takes as long to build as all its tests.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod broker;
mod unreachable;
