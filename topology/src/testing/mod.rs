//! Runs the tests that a topology brings: its real SmartModules, with no broker.
//!
//! Inputs come in as records of the source of the stage under test, and what its chain returns is compared with what the test
//! expects; results go on to the stages downstream. Every stage is run in several ways, because its results may depend
//! neither on where batches are cut nor on restarts.

mod align;
mod case;
mod chain;
mod check;
mod compare;
mod flow;
mod host;
mod report;
mod run;
mod sort;
mod stage;
mod time;
mod update;

pub use case::{Expectation, ExpectedRecord, ExpectedValue, Outlet, TestCase, TestInput, TestValue};
pub use chain::{CallFailure, Chain};
pub use check::{ChainProblem, check_chains};
pub use compare::ActualRecord;
pub use host::{Host, OpenFailure};
pub use report::{Disturbance, Mismatch, TestOutcome, TestReport, render};
pub use run::{TEST_INPUTS_MAX, TestRunner};
pub use stage::OUTPUT_BYTES_MAX;
pub use time::TEST_EPOCH_MS;
pub use update::update;
