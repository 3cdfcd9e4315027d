//! The topology engine: spec, plan, apply, run.
#![forbid(unsafe_code)]
