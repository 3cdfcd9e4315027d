//! The audit of logs that are right, and of some that are not. One program, as each takes as long to build as all its tests.

mod honest;
mod support;
mod tampered;
