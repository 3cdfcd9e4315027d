//! Tests that are written in a topology.

mod case;

pub use case::{Expectation, ExpectedRecord, ExpectedValue, Outlet, TestCase, TestInput, TestValue};

/// Inputs of one test at most.
pub(crate) const TEST_INPUTS_MAX: usize = 10_000;
