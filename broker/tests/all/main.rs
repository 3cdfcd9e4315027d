//! The broker, by clients of Fluvio and by raw bytes. One program, as each takes as long to build as all its tests.

mod admin;
mod chains;
mod common;
mod durability;
mod fence;
mod hostile;
mod records;
