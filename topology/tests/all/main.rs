//! The engine and its files, from outside. One program, as each takes as long to build as all its tests.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod described;
mod messages;
mod mutations;
mod reload;
mod reset;
mod spec;
mod stages;
mod standby;
mod support;
mod testing;
mod testing_host;
mod testing_modules;
mod trouble;
mod word_count;
