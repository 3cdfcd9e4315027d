//! A test as it is written in a topology.

use std::ops::Range;
use std::time::Duration;

use serde_json::Value;

/// A test of a stage, and of the stages downstream of it.
#[derive(Debug, Clone, PartialEq)]
pub struct TestCase {
    /// Name, unique in the topology.
    pub name: String,
    /// Line of the file that it begins in, from 1.
    pub line: u64,
    /// Stage that is given the inputs.
    pub stage: String,
    /// What the stage is given, in order.
    pub inputs: Vec<TestInput>,
    /// What has to come.
    pub expectations: Vec<Expectation>,
    /// Stages that must give neither results nor dead letters.
    pub silent: Vec<String>,
}

/// What a stage is given.
#[derive(Debug, Clone, PartialEq)]
pub enum TestInput {
    /// A record of its source.
    Record {
        /// Time of the record, since [`TEST_EPOCH_MS`](super::TEST_EPOCH_MS).
        at: Duration,
        /// Key, if it has one.
        key: Option<String>,
        /// Value.
        value: TestValue,
    },
    /// A record that only moves stream time.
    Tick {
        /// Where stream time moves to, since [`TEST_EPOCH_MS`](super::TEST_EPOCH_MS).
        at: Duration,
    },
}

/// The value of an input.
#[derive(Debug, Clone, PartialEq)]
pub enum TestValue {
    /// Goes in as it is.
    Text(String),
    /// Goes in as JSON; a text `@10s` in it is a time, see [`TEST_EPOCH_MS`](super::TEST_EPOCH_MS).
    Json(Value),
}

/// What a stage gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlet {
    /// Records for its sink.
    Results,
    /// Records for its dead-letter topic.
    DeadLetters,
}

/// All that an outlet of a stage has to give, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// The stage.
    pub stage: String,
    /// Which of its outlets.
    pub outlet: Outlet,
    /// The records.
    pub records: Vec<ExpectedRecord>,
    /// Line of the file that the list begins in, from 1.
    pub line: u64,
    /// Bytes of the list in the file, from its first one to the end of its last value.
    pub span: Range<usize>,
    /// Column that the list begins in, from 1, in characters.
    pub column: u64,
}

/// What is said of a record that has to come.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpectedRecord {
    /// Its key; not looked at where none is given.
    pub key: Option<String>,
    /// Its value; not looked at where none is given.
    pub value: Option<ExpectedValue>,
}

/// What is said of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum ExpectedValue {
    /// It is this text.
    Text(String),
    /// It is an object that has these fields, each with this value, in the order of the file. Others are not looked at.
    Fields(Vec<(String, Value)>),
    /// It is this, in JSON.
    Json(Value),
}
