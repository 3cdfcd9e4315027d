//! The gateway, from outside. What measures memory is a program of its own: `idle`. One program, as each takes as long to build as all its tests.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod feed;
mod moments;
mod mutations;
mod serve;
mod stage;
