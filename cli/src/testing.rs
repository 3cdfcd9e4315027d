//! `ovation topology test`: runs the tests that a topology brings, with no broker.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ovation_topology::testing::{
    ActualRecord, ChainProblem, Expectation, Mismatch, TestCase, TestReport, TestRunner, render, update,
};
use ovation_topology::{Modules, Topology};
use quick_junit::{NonSuccessKind, Report, TestCaseStatus, TestSuite};

use crate::args::TopologyArgs;
use crate::failure::Failure;
use crate::modules::Builtin;
use crate::{parts, say};

/// Which tests, and what is made of them.
#[derive(Debug, clap::Args)]
pub(crate) struct TestArgs {
    #[command(flatten)]
    pub(crate) topology: TopologyArgs,

    /// Run only the tests whose name contains this.
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,

    /// Say which tests there are, and run none.
    #[arg(long)]
    pub(crate) list: bool,

    /// Write what came into the topology file, as what is expected from now on.
    #[arg(long, conflicts_with = "list")]
    pub(crate) update: bool,

    /// Write a report for a CI system as well, in JUnit's format.
    #[arg(long, value_name = "FILE", conflicts_with = "list")]
    pub(crate) junit: Option<PathBuf>,
}

/// What the command is about.
struct Tests<'a> {
    topology: &'a Topology,
    cases: &'a [TestCase],
    /// Name of the file, as it was given.
    file: &'a str,
    /// What stands in it.
    text: &'a str,
}

pub(crate) fn test(args: TestArgs) -> Result<(), Failure> {
    let (topology, text) = parts::topology_and_text(&args.topology.topology)?;
    let file = args.topology.topology.display().to_string();
    let tests = Tests { topology: &topology, cases: cases(&topology), file: &file, text: &text };
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    run(&args, &tests, &Builtin, colour, &mut |line| say::line(line))
}

fn run(
    args: &TestArgs,
    tests: &Tests<'_>,
    modules: &dyn Modules,
    colour: bool,
    say: &mut dyn FnMut(String),
) -> Result<(), Failure> {
    let since = Instant::now();
    let file = tests.file;
    if tests.cases.is_empty() {
        say(format!("there are no tests in {file}; they stand under `tests`"));
        return Ok(());
    }
    let chosen = chosen(args, tests)?;
    if args.list {
        chosen.iter().for_each(|test| say(format!("{} ({file}:{})", test.name, test.line)));
        return Ok(());
    }
    let runner = TestRunner::new(tests.topology, modules).map_err(|problems| not_opened(file, &problems))?;
    let mut reports = Vec::with_capacity(chosen.len());
    for test in chosen {
        let report = runner.run(test);
        say_one(&report, file, colour, say);
        reports.push(report);
    }
    if let Some(junit) = &args.junit {
        let written = junit_report(tests, &reports, since.elapsed()).to_string();
        let written = written
            .map_err(|error| error.to_string())
            .and_then(|xml| std::fs::write(junit, xml).map_err(|error| error.to_string()));
        // Exit code 1 says that a test failed.
        written.map_err(|why| Failure::Invalid(format!("failed to write {}: {why}", junit.display())))?;
    }
    let updated = if args.update { write_update(args, tests, &reports, say)? } else { 0 };
    let failed = reports.iter().filter(|report| !report.passed()).count() - updated;
    let passed = reports.len() - failed - updated;
    let updated = if args.update { format!("{updated} updated, ") } else { String::new() };
    say(format!("{passed} passed, {updated}{failed} failed in {}", took(since.elapsed())));
    if failed == 0 { Ok(()) } else { Err(Failure::Difference) }
}

/// The tests of a topology.
fn cases(topology: &Topology) -> &[TestCase] {
    &topology.tests
}

fn chosen<'a>(args: &TestArgs, tests: &Tests<'a>) -> Result<Vec<&'a TestCase>, Failure> {
    let Some(filter) = &args.filter else { return Ok(tests.cases.iter().collect()) };
    let chosen: Vec<&TestCase> = tests.cases.iter().filter(|test| test.name.contains(filter)).collect();
    if chosen.is_empty() {
        // A run of no tests would look like one that passed.
        let (file, all) = (tests.file, tests.cases.len());
        return Err(Failure::Invalid(format!(
            "failed to choose a test: none of the {all} in {file} has {filter:?} in its name; see them with --list"
        )));
    }
    Ok(chosen)
}

fn not_opened(file: &str, problems: &[ChainProblem]) -> Failure {
    let problems: Vec<String> = problems.iter().map(|problem| format!("\n  {problem}")).collect();
    Failure::Invalid(format!("failed to open the chains of {file}:{}", problems.concat()))
}

/// A line, and under it what was not as expected.
fn say_one(report: &TestReport, file: &str, colour: bool, say: &mut dyn FnMut(String)) {
    let paint =
        |text: &str, code: u8| if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() };
    let TestReport { name, line, duration, .. } = report;
    let took = took(*duration);
    if report.passed() {
        return say(format!("{}      {name} ({took})", paint("ok", 32)));
    }
    say(format!("{}  {name} ({file}:{line}, {took})", paint("FAILED", 31)));
    for mismatch in report.mismatches() {
        render(mismatch, file, colour).lines().for_each(|line| say(format!("  {line}")));
    }
}

fn took(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

/// Writes what came into the file, for the tests that nothing else is wrong with; answers how many they are.
fn write_update(
    args: &TestArgs,
    tests: &Tests<'_>,
    reports: &[TestReport],
    say: &mut dyn FnMut(String),
) -> Result<usize, Failure> {
    let file = tests.file;
    let (mut lists, mut updated) = (Vec::new(), 0);
    for report in reports.iter().filter(|report| !report.passed()) {
        // What a broken stage gives is nothing to expect.
        let Some(more) = report.mismatches().iter().map(other_records).collect::<Option<Vec<_>>>() else {
            say(format!("{} is not updated: more is wrong with it than what it expects", report.name));
            continue;
        };
        lists.extend(more);
        updated += 1;
    }
    if lists.is_empty() {
        return Ok(0);
    }
    let text = update(tests.text, &lists);
    let failed =
        |why: String| Failure::Invalid(format!("failed to update {file}: {why}; nothing was changed"));
    Topology::parse(file, &text).map_err(|error| failed(format!("it could not be read again: {error}")))?;
    std::fs::write(&args.topology.topology, text).map_err(|error| failed(error.to_string()))?;
    for (expectation, actual) in &lists {
        let Expectation { stage, outlet, line, records, .. } = expectation;
        say(format!(
            "updated {outlet} of {stage} ({file}:{line}): {} records, were {}",
            actual.len(),
            records.len()
        ));
    }
    Ok(updated)
}

fn other_records(mismatch: &Mismatch) -> Option<(&Expectation, Vec<ActualRecord>)> {
    match mismatch {
        Mismatch::Records { expectation, actual } => Some((expectation, actual.clone())),
        _ => None,
    }
}

fn junit_report(tests: &Tests<'_>, reports: &[TestReport], took: Duration) -> Report {
    let mut suite = TestSuite::new(tests.topology.name.clone());
    for report in reports {
        let status = if report.passed() {
            TestCaseStatus::success()
        } else {
            let told: Vec<String> =
                report.mismatches().iter().map(|mismatch| render(mismatch, tests.file, false)).collect();
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(
                told.iter().filter_map(|text| text.lines().next()).collect::<Vec<_>>().join("; "),
            );
            status.set_type("mismatch");
            status.set_description(told.concat());
            status
        };
        let mut case = quick_junit::TestCase::new(report.name.clone(), status);
        case.set_classname(tests.topology.name.clone());
        case.set_time(report.duration);
        case.extra.insert("file".into(), tests.file.into());
        case.extra.insert("line".into(), report.line.to_string().into());
        suite.add_test_case(case);
    }
    let mut report = Report::new("ovation topology test");
    report.set_time(took);
    report.add_test_suite(suite);
    report
}
