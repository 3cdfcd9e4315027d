//! A test from its inputs to its report.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;

use super::case::{Outlet, TestCase, TestInput, TestValue};
use super::check::{ChainProblem, Chains};
use super::compare::matches;
use super::report::{Mismatch, TestOutcome, TestReport};
use super::stage::{SourceRecord, StagePlan, StageRun, Taken};
use super::time::{TEST_EPOCH_MS, resolve};
use crate::control::TICK_KEY;
use crate::modules::Modules;
use crate::spec::Topology;

/// Inputs that a test may have, and records that a stage of it may be given.
pub const TEST_INPUTS_MAX: usize = 10_000;

/// Runs the tests of a topology, whose SmartModules it has compiled.
#[derive(Debug)]
pub struct TestRunner {
    chains: Chains,
}

impl TestRunner {
    /// Compiles the SmartModules, which takes longer than the tests do.
    ///
    /// # Errors
    ///
    /// A [`ChainProblem`] for every stage whose chain does not open, whether or not a test is about it.
    pub fn new(topology: &Topology, modules: &dyn Modules) -> Result<Self, Vec<ChainProblem>> {
        let chains = Chains::compile(topology, modules);
        let problems = chains.problems(topology);
        if problems.is_empty() { Ok(Self { chains }) } else { Err(problems) }
    }

    /// Runs a test.
    pub fn run(&self, test: &TestCase) -> TestReport {
        let since = Instant::now();
        let mismatches = mismatches(&self.chains, test);
        let outcome = match mismatches.is_empty() {
            true => TestOutcome::Passed,
            false => TestOutcome::Failed(mismatches),
        };
        TestReport { name: test.name.clone(), line: test.line, duration: since.elapsed(), outcome }
    }
}

fn mismatches(chains: &Chains, test: &TestCase) -> Vec<Mismatch> {
    let not_run = |stage: &str, message: String| Mismatch::NotRun { stage: stage.to_owned(), message };
    let Some(first) = chains.stage(&test.stage) else {
        return vec![not_run(&test.stage, "the topology has no such stage".to_owned())];
    };
    if test.inputs.len() > TEST_INPUTS_MAX {
        let message =
            format!("the test has {} inputs, and {TEST_INPUTS_MAX} are the most", test.inputs.len());
        return vec![not_run(&test.stage, message)];
    }
    let mut found = Vec::new();
    let runs = run_stages(chains, first, test, &mut found);
    for expectation in &test.expectations {
        let Some(run) = runs.get(expectation.stage.as_str()) else {
            found.push(not_run(&expectation.stage, downstream(&test.stage)));
            continue;
        };
        let actual = run.outlet(expectation.outlet);
        let same = actual.len() == expectation.records.len()
            && expectation.records.iter().zip(&actual).all(|(expected, actual)| matches(expected, actual));
        if !same {
            found.push(Mismatch::Records { expectation: expectation.clone(), actual });
        }
    }
    for stage in &test.silent {
        let Some(run) = runs.get(stage.as_str()) else {
            found.push(not_run(stage, downstream(&test.stage)));
            continue;
        };
        for outlet in [Outlet::Results, Outlet::DeadLetters] {
            let actual = run.outlet(outlet);
            if !actual.is_empty() {
                found.push(Mismatch::NotSilent { stage: stage.clone(), outlet, actual });
            }
        }
    }
    // What a stage does wrong in any case comes last: what the test expects explains it, more often than not.
    found.extend(runs.into_values().flat_map(|run| run.mismatches));
    found
}

/// Why an expectation cannot be judged. To leave it out would make a test pass that checks nothing.
fn downstream(stage: &str) -> String {
    format!("it is not downstream of {stage}, which the test gives its inputs to")
}

/// Runs the stage under test, then every stage downstream of it.
fn run_stages<'a>(
    chains: &'a Chains,
    first: &'a StagePlan,
    test: &TestCase,
    found: &mut Vec<Mismatch>,
) -> BTreeMap<&'a str, StageRun> {
    let mut feeds: BTreeMap<&str, Vec<SourceRecord>> = BTreeMap::new();
    let mut runs = BTreeMap::new();
    for stage in in_order(chains, first, found) {
        let records = match stage.name() == first.name() {
            true => inputs(test),
            false => feeds.remove(stage.name()).unwrap_or_default(),
        };
        if records.len() > TEST_INPUTS_MAX {
            let message =
                format!("it would be given {} records, and {TEST_INPUTS_MAX} are the most", records.len());
            found.push(Mismatch::NotRun { stage: stage.name().to_owned(), message });
            continue;
        }
        let run = stage.run(&chains.host, &records);
        for reader in &chains.stages {
            for (outlet, _) in stage.outlets().filter(|(_, topic)| *topic == reader.source()) {
                feeds.entry(reader.name()).or_default().extend(handed_on(&records, &run.taken, outlet));
            }
        }
        runs.insert(stage.name(), run);
    }
    runs
}

/// The stage and all that are downstream of it, each behind everything that it reads from.
fn in_order<'a>(chains: &'a Chains, first: &'a StagePlan, found: &mut Vec<Mismatch>) -> Vec<&'a StagePlan> {
    let reads =
        |reader: &StagePlan, writer: &StagePlan| writer.outlets().any(|(_, topic)| topic == reader.source());
    let mut reached = BTreeSet::from([first.name()]);
    let mut to_see = vec![first];
    while let Some(writer) = to_see.pop() {
        let readers = chains.stages.iter().filter(|reader| reads(reader, writer));
        to_see.extend(readers.filter(|reader| reached.insert(reader.name())));
    }
    let mut waiting: Vec<&StagePlan> =
        chains.stages.iter().filter(|stage| reached.contains(stage.name())).collect();
    let mut ordered = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let ready = waiting.iter().position(|reader| !waiting.iter().any(|writer| reads(reader, writer)));
        let Some(ready) = ready else {
            found.extend(waiting.iter().map(|stage| Mismatch::NotRun {
                stage: stage.name().to_owned(),
                message: "it reads what it writes, by way of other stages".to_owned(),
            }));
            break;
        };
        ordered.push(waiting.remove(ready));
    }
    ordered
}

/// The inputs of the stage under test.
fn inputs(test: &TestCase) -> Vec<SourceRecord> {
    let time = |at: Duration| TEST_EPOCH_MS.saturating_add(i64::try_from(at.as_millis()).unwrap_or(i64::MAX));
    let record = |input: &TestInput| match input {
        TestInput::Record { at, key, value } => {
            let value = match value {
                TestValue::Text(text) => text.clone(),
                TestValue::Json(value) => resolve(value).to_string(),
            };
            let key = key.as_ref().map(|key| Bytes::copy_from_slice(key.as_bytes()));
            SourceRecord { key, value: Bytes::from(value), timestamp: time(*at) }
        }
        TestInput::Tick { at } => {
            let value = Bytes::from(json!({ "tick": time(*at) }).to_string());
            let key = Some(Bytes::from_static(TICK_KEY.as_bytes()));
            SourceRecord { key, value, timestamp: time(*at) }
        }
    };
    test.inputs.iter().map(record).collect()
}

/// What a stage downstream is given: each record at the time of the one that gave rise to it. No ticks: the engine writes none
/// to a topic that a stage writes to.
fn handed_on<'a>(
    records: &'a [SourceRecord],
    taken: &'a [Taken],
    outlet: Outlet,
) -> impl Iterator<Item = SourceRecord> + use<'a> {
    records.iter().zip(taken).flat_map(move |(from, taken)| {
        taken.of(outlet).iter().map(|record| {
            let (key, value) = (record.key.clone(), record.value.clone());
            SourceRecord { key, value, timestamp: from.timestamp }
        })
    })
}
