//! `ovation topology test`: runs the tests that a topology brings, with no broker.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ovation_topology::testing::{
    ActualRecord, Expectation, Mismatch, TestCase, TestReport, TestRunner, render, update,
};
use ovation_topology::{Checked, Modules, Topology};
use quick_junit::{NonSuccessKind, Report, TestCaseStatus, TestSuite};

use crate::failure::Failure;
use crate::modules::Builtin;
use crate::say;
use crate::topology::{FileArgs, not_opened};

/// Which tests, and what is made of them.
#[derive(Debug, clap::Args)]
pub(crate) struct TestArgs {
    #[command(flatten)]
    file: FileArgs,

    /// Run only the tests whose name contains this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,

    /// Say which tests there are, and run none.
    #[arg(long)]
    list: bool,

    /// Write what came into the topology file, as what is expected from now on.
    #[arg(long, conflicts_with = "list")]
    update: bool,

    /// Write a report for a CI system as well, in JUnit's format.
    #[arg(long, value_name = "FILE", conflicts_with = "list")]
    junit: Option<PathBuf>,
}

/// `ovation topology test`.
pub(crate) fn test(args: &TestArgs) -> Result<(), Failure> {
    let checked = crate::topology::check(args.file.path())?;
    run(args, &checked, &Builtin, &mut |line| say::line(line))
}

fn run(
    args: &TestArgs,
    checked: &Checked,
    modules: &dyn Modules,
    say: &mut dyn FnMut(String),
) -> Result<(), Failure> {
    let since = Instant::now();
    let (file, topology) = (args.file.path().display().to_string(), &checked.topology);
    if topology.tests.is_empty() {
        say(format!("there are no tests in {file}; they stand under `tests`"));
        return Ok(());
    }
    let chosen = chosen(args, &topology.tests, &file)?;
    if args.list {
        chosen.iter().for_each(|test| say(format!("{} ({file}:{})", test.name, test.line)));
        return Ok(());
    }
    let runner = TestRunner::new(topology, modules).map_err(|problems| not_opened(checked, problems))?;
    let mut reports = Vec::with_capacity(chosen.len());
    for test in chosen {
        let report = runner.run(test);
        say_one(&report, &file, say);
        reports.push(report);
    }
    if let Some(junit) = &args.junit {
        write_junit(junit, &junit_report(&topology.name, &file, &reports, since.elapsed()))?;
    }
    let updated = if args.update { write_update(args, checked, &reports, say)? } else { 0 };
    let failed = reports.iter().filter(|report| !report.passed()).count() - updated;
    let passed = reports.len() - failed - updated;
    let updated = if args.update { format!("{updated} updated, ") } else { String::new() };
    say(format!("{passed} passed, {updated}{failed} failed in {}", took(since.elapsed())));
    if failed == 0 { Ok(()) } else { Err(Failure::Difference) }
}

fn chosen<'a>(args: &TestArgs, tests: &'a [TestCase], file: &str) -> Result<Vec<&'a TestCase>, Failure> {
    let Some(filter) = &args.filter else { return Ok(tests.iter().collect()) };
    let chosen: Vec<&TestCase> = tests.iter().filter(|test| test.name.contains(filter)).collect();
    if chosen.is_empty() {
        // A run of no tests would look like one that passed.
        return Err(Failure::Invalid(format!(
            "failed to choose a test: none of the {} in {file} has {filter:?} in its name; see them with --list",
            tests.len()
        )));
    }
    Ok(chosen)
}

/// A line, and under it what was not as expected.
fn say_one(report: &TestReport, file: &str, say: &mut dyn FnMut(String)) {
    let TestReport { name, line, duration, .. } = report;
    let took = took(*duration);
    if report.passed() {
        return say(format!("{}      {name} ({took})", say::coloured(say::GREEN, "ok")));
    }
    say(format!("{}  {name} ({file}:{line}, {took})", say::coloured(say::RED, "FAILED")));
    for mismatch in report.mismatches() {
        for line in render(mismatch, file).lines() {
            let colour = match line.trim_start().as_bytes() {
                [b'-', b' ', ..] => say::RED,
                [b'+', b' ', ..] => say::GREEN,
                _ => say::PLAIN,
            };
            say(format!("  {}", say::coloured(colour, line)));
        }
    }
}

fn took(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

/// Writes what came into the file, for the tests that nothing else is wrong with; answers how many they are.
fn write_update(
    args: &TestArgs,
    checked: &Checked,
    reports: &[TestReport],
    say: &mut dyn FnMut(String),
) -> Result<usize, Failure> {
    let (path, file) = (args.file.path(), args.file.path().display().to_string());
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
    let text = update(checked.text(), &lists);
    let failed =
        |why: String| Failure::Invalid(format!("failed to update {file}: {why}; nothing was changed"));
    Topology::parse(&file, &text).map_err(|error| failed(format!("it could not be read again: {error}")))?;
    let now = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    if now != checked.text() {
        return Err(failed("it was changed while the tests ran".to_owned()));
    }
    std::fs::write(path, text).map_err(|error| failed(error.to_string()))?;
    for (Expectation { stage, outlet, line, records, .. }, actual) in &lists {
        let (before, now) = (records.len(), actual.len());
        say(format!("updated {outlet} of {stage} ({file}:{line}): {now} expected, {before} before"));
    }
    Ok(updated)
}

fn other_records(mismatch: &Mismatch) -> Option<(&Expectation, Vec<ActualRecord>)> {
    match mismatch {
        Mismatch::Records { expectation, actual } => Some((expectation, actual.clone())),
        _ => None,
    }
}

fn write_junit(path: &Path, report: &Report) -> Result<(), Failure> {
    // Exit code 1 says that a test failed.
    let failed = |why: String| Failure::Invalid(format!("failed to write {}: {why}", path.display()));
    let xml = report.to_string().map_err(|error| failed(error.to_string()))?;
    std::fs::write(path, xml).map_err(|error| failed(error.to_string()))
}

fn junit_report(topology: &str, file: &str, reports: &[TestReport], took: Duration) -> Report {
    let mut suite = TestSuite::new(topology);
    for report in reports {
        let status = if report.passed() {
            TestCaseStatus::success()
        } else {
            let told: Vec<String> =
                report.mismatches().iter().map(|mismatch| render(mismatch, file)).collect();
            let first_lines: Vec<&str> = told.iter().filter_map(|text| text.lines().next()).collect();
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(first_lines.join("; "));
            status.set_type("mismatch");
            status.set_description(told.concat());
            status
        };
        let mut case = quick_junit::TestCase::new(report.name.clone(), status);
        case.set_classname(topology);
        case.set_time(report.duration);
        case.extra.insert("file".into(), file.into());
        case.extra.insert("line".into(), report.line.to_string().into());
        suite.add_test_case(case);
    }
    let mut report = Report::new("ovation topology test");
    report.set_time(took);
    report.add_test_suite(suite);
    report
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use super::*;
    use clap::Parser;

    const TOPOLOGY: &str = r#"name: words
topics:
  lines:  { partitions: 1 }
  counts: { partitions: 1, fence: true }
  saved:  { partitions: 1 }
smartmodules:
  count: { builtin: ovation-word-count }
stages:
  words:
    source: lines
    transforms:
      - uses: count
        window: { tumbling: { size: 1s }, emit: close }
        watermark: { idleness: 0s }
    sink: counts
    checkpoints: saved
tests:
  two-words-are-counted:
    inputs: &lines
      - { at: 0ms, key: a, value: one two }
      - { tick: 1s }
    results: # all of them
      - key: a
        value: { words: { one: 1, two: 1 }, start: "@0s" }
  nothing-is-written-down-yet:
    inputs:
      - { at: 100ms, key: "é", value: three }
      - { tick: 1s }
    results: []
    no-output-from: []
  the-count-is-wrong:
    inputs:
      - { at: 0ms, key: a, value: one }
      - { at: 1s, key: a, value: two }
      - { tick: 2s }
    results:
      - value: { words: { one: 7 } } # seven
      - { key: a, value: { words: { two: 1 }, final: true } }
"#;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: TestArgs,
    }

    /// What the command says and how it ends; and what stands in the file then.
    fn ran(text: &str, options: &[&str]) -> (Result<(), Failure>, String, String) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("words.yaml");
        std::fs::write(&file, text).unwrap();
        let path = file.display().to_string();
        let junit = folder.path().join("junit.xml").display().to_string();
        let options = options.iter().map(|option| option.replace("JUNIT", &junit));
        let line = ["test".to_owned(), path.clone()].into_iter().chain(options);
        let Line { args } = Line::try_parse_from(line).unwrap();
        let mut said = String::new();
        let mut say = |line: String| {
            said.push_str(&line.replace(&path, "words.yaml"));
            said.push('\n');
        };
        let checked = crate::topology::check(&file).unwrap();
        let ended = run(&args, &checked, &Builtin, &mut say);
        if let Ok(xml) = std::fs::read_to_string(junit) {
            said.push_str(&xml.replace(&path, "words.yaml"));
        }
        (ended, said, std::fs::read_to_string(file).unwrap())
    }

    #[test]
    fn failures_are_shown_with_their_place_and_counted() {
        let (ended, said, text) = ran(TOPOLOGY, &[]);
        assert!(matches!(ended, Err(Failure::Difference)), "{said}");
        assert_eq!(text, TOPOLOGY, "nothing is written");
        let of = |what: &str| said.lines().find(|line| line.contains(what)).unwrap_or_default().to_owned();
        assert!(of("two-words").starts_with("ok      two-words-are-counted ("), "{said}");
        assert!(of("the-count").starts_with("FAILED  the-count-is-wrong (words.yaml:31, "), "{said}");
        assert!(said.contains("  results of words: 0 expected, 1 came (words.yaml:29)\n"), "{said}");
        assert!(
            said.contains("    - { value: { words: { one: 7 } } }\n    + { value: { words: { one: 1 } } }\n"),
            "{said}"
        );
        assert!(said.contains("\n1 passed, 2 failed in "), "{said}");
    }

    #[test]
    fn an_updated_file_passes_and_keeps_the_rest() {
        let (ended, said, text) = ran(TOPOLOGY, &["--update"]);
        assert!(ended.is_ok(), "{said}");
        assert!(said.contains("updated results of words (words.yaml:29): 1 expected, 0 before\n"), "{said}");
        assert!(said.contains("\n1 passed, 2 updated, 0 failed in "), "{said}");
        let (before, after): (Vec<&str>, Vec<&str>) = (TOPOLOGY.lines().collect(), text.lines().collect());
        let changed: Vec<&&str> = after.iter().filter(|line| !before.contains(line)).collect();
        let [empty, wrong] = changed.as_slice() else { panic!("{text}") };
        assert!(empty.starts_with("    results: [{ key: é, value: {"), "{empty}");
        assert_eq!(**wrong, "      - { value: { words: { one: 1 } } }");
        assert!(text.contains("    results: # all of them\n"), "{text}");
        let (ended, said, again) = ran(&text, &["--update"]);
        assert!(ended.is_ok() && said.contains("\n3 passed, 0 updated, 0 failed in "), "{said}");
        assert_eq!(again, text, "nothing is left to update");
    }

    #[test]
    fn tests_are_listed_and_chosen_by_their_names() {
        let (ended, said, _) = ran(TOPOLOGY, &["--list", "--filter", "count"]);
        assert!(ended.is_ok());
        assert_eq!(said, "two-words-are-counted (words.yaml:18)\nthe-count-is-wrong (words.yaml:31)\n");
        let (ended, said, _) = ran(TOPOLOGY, &["--filter", "two"]);
        assert!(ended.is_ok() && said.contains("\n1 passed, 0 failed in "), "{said}");
        let (ended, ..) = ran(TOPOLOGY, &["--filter", "nobody"]);
        assert!(matches!(ended, Err(Failure::Invalid(why)) if why.contains("none of the 3")));
    }

    #[test]
    fn a_topology_without_tests_says_so() {
        let without = TOPOLOGY.split("tests:").next().unwrap();
        let (ended, said, _) = ran(without, &[]);
        assert!(ended.is_ok());
        assert_eq!(said, "there are no tests in words.yaml; they stand under `tests`\n");
    }

    #[test]
    fn a_chain_that_does_not_open_is_shown_in_the_file() {
        let text =
            TOPOLOGY.replace("builtin: ovation-word-count", "builtin: ovation-validate, stateful: true");
        let text = text.replace("- uses: count", "- uses: count\n        with: { skin-tones: purple }");
        let (ended, ..) = ran(&text, &[]);
        let Err(Failure::Topology(error)) = ended else { panic!("{ended:?}") };
        let told = error.to_string();
        assert!(told.contains(":12:") && told.contains("expected keep or fold"), "{told}");
    }

    #[test]
    fn ci_systems_get_a_report() {
        let (ended, said, _) = ran(TOPOLOGY, &["--junit", "JUNIT"]);
        assert!(matches!(ended, Err(Failure::Difference)));
        for part in [
            r#"<testsuite name="words" tests="3""#,
            r#"failures="2""#,
            r#"<testcase name="the-count-is-wrong" classname="words""#,
            r#"file="words.yaml" line="31""#,
            r#"message="results of words: 2 expected, 2 came (words.yaml:37)""#,
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}
