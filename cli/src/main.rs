//! The binary `ovation`.
#![forbid(unsafe_code)]

fn main() {}
