//! The client against brokers that are there, and some that are not. One program, as each takes as long to build as all its tests.

mod broker;
mod unreachable;
