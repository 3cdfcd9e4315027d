//! What became of a test, and how a person reads it.

use std::fmt::Write;
use std::time::Duration;

use super::align::{Aligned, align};
use super::case::{Expectation, ExpectedRecord, ExpectedValue, Outlet};
use super::compare::{ActualRecord, matches};
use super::flow::{self, Shape};

/// Lines of one difference that are shown at most.
const DIFF_LINES_MAX: usize = 200;

/// What became of a test.
#[derive(Debug, Clone, PartialEq)]
pub struct TestReport {
    /// Its name.
    pub name: String,
    /// Line of the file that it begins in, from 1.
    pub line: u64,
    /// How long it took, without compiling the SmartModules.
    pub duration: Duration,
    /// How it ended.
    pub outcome: TestOutcome,
}

/// How a test ended.
#[derive(Debug, Clone, PartialEq)]
pub enum TestOutcome {
    /// Everything came as expected.
    Passed,
    /// With all that was not as expected.
    Failed(Vec<Mismatch>),
}

/// Something that was not as expected.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Mismatch {
    /// An outlet gave other records.
    Records {
        /// What was expected.
        expectation: Expectation,
        /// All that came.
        actual: Vec<ActualRecord>,
    },
    /// A stage that must give nothing gave something.
    NotSilent {
        /// Name of the stage.
        stage: String,
        /// What it gave.
        outlet: Outlet,
        /// All that came.
        actual: Vec<ActualRecord>,
    },
    /// The test is about a stage that it cannot run.
    NotRun {
        /// Name of the stage.
        stage: String,
        /// Why not.
        message: String,
    },
    /// A stage's records depend on what they must not depend on.
    Unstable {
        /// Name of the stage.
        stage: String,
        /// What differs.
        outlet: Outlet,
        /// What makes the difference.
        disturbance: Disturbance,
        /// What came with one record a batch and no restart.
        calm: Vec<ActualRecord>,
        /// What came instead.
        disturbed: Vec<ActualRecord>,
    },
    /// A stage's chain returned what would make the engine start it again.
    Contract {
        /// Name of the stage.
        stage: String,
        /// What it returned.
        message: String,
    },
    /// A stage's chain did not answer.
    Failed {
        /// Name of the stage.
        stage: String,
        /// When and why.
        message: String,
    },
}

/// What must not make a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disturbance {
    /// All inputs came in one batch.
    OneBatch,
    /// A checkpoint was made after each input.
    Checkpoints,
    /// The stage was started again with its checkpoint at this offset.
    Restart {
        /// Offset of the first input that came after it.
        offset: i64,
    },
}

impl TestReport {
    /// Whether everything came as expected.
    pub fn passed(&self) -> bool {
        self.outcome == TestOutcome::Passed
    }

    /// What was not as expected.
    pub fn mismatches(&self) -> &[Mismatch] {
        match &self.outcome {
            TestOutcome::Passed => &[],
            TestOutcome::Failed(mismatches) => mismatches,
        }
    }
}

/// What was not as expected, for a person: a sentence, and the records line by line. A record that did not
/// come as expected begins with `-`, and one that came instead with `+`. `file` is where the test stands.
pub fn render(mismatch: &Mismatch, file: &str) -> String {
    let mut text = String::new();
    match mismatch {
        Mismatch::Records { expectation, actual } => {
            let Expectation { stage, outlet, records, line, .. } = expectation;
            let (expected, came) = (records.len(), actual.len());
            let _ = writeln!(text, "{outlet} of {stage}: {expected} expected, {came} came ({file}:{line})");
            lines(&mut text, difference(records, actual));
        }
        Mismatch::NotSilent { stage, outlet, actual } => {
            let _ = writeln!(text, "{} of {stage}: none expected, {} came", outlet, actual.len());
            lines(&mut text, difference(&[], actual));
        }
        Mismatch::NotRun { stage, message } => {
            let _ = writeln!(text, "stage {stage} was not run: {message}");
        }
        Mismatch::Unstable { stage, outlet, disturbance, calm, disturbed } => {
            let _ = match disturbance {
                Disturbance::OneBatch => writeln!(
                    text,
                    "{outlet} of {stage} depend on where batches are cut: - with one record a batch, + with all in one batch"
                ),
                Disturbance::Checkpoints => writeln!(
                    text,
                    "{outlet} of {stage} depend on when checkpoints are made: - with few, + with one after each input"
                ),
                Disturbance::Restart { offset } => writeln!(
                    text,
                    "state of {stage} is not restored whole, its {outlet} differ: - without a restart, + after one at offset \
                     {offset}"
                ),
            };
            let step = |step| match step {
                Aligned::Same(place, _) => (' ', flow::actual(&calm[place], Shape::Whole)),
                Aligned::Left(place) => ('-', flow::actual(&calm[place], Shape::Whole)),
                Aligned::Right(place) => ('+', flow::actual(&disturbed[place], Shape::Whole)),
            };
            let steps = align(calm, disturbed, |one, other| one == other);
            lines(&mut text, steps.into_iter().map(step).collect());
        }
        Mismatch::Contract { stage, message } => {
            let _ = writeln!(text, "stage {stage} would be started again for ever: {message}");
        }
        Mismatch::Failed { stage, message } => {
            let _ = writeln!(text, "stage {stage} failed: {message}");
        }
    }
    text
}

impl std::fmt::Display for Outlet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Results => "results",
            Self::DeadLetters => "dead letters",
        })
    }
}

fn lines(text: &mut String, difference: Vec<(char, String)>) {
    let left = difference.len().saturating_sub(DIFF_LINES_MAX);
    for (sign, record) in difference.into_iter().take(DIFF_LINES_MAX) {
        let _ = writeln!(text, "  {sign} {record}");
    }
    if left > 0 {
        let _ = writeln!(text, "  … and {left} more lines");
    }
}

/// Expected and actual records in order: `-` for one that did not come, `+` for one that came instead.
fn difference(expected: &[ExpectedRecord], actual: &[ActualRecord]) -> Vec<(char, String)> {
    let named = named_in(expected);
    let stray = named.as_ref().map_or(Shape::Whole, Shape::Named);
    let mut shown = Vec::new();
    let (mut lefts, mut rights) = (Vec::new(), Vec::new());
    // What came instead of something is shown with the same fields.
    let flush = |lefts: &mut Vec<usize>, rights: &mut Vec<usize>, shown: &mut Vec<(char, String)>| {
        shown.extend(lefts.iter().map(|place| ('-', flow::expected(&expected[*place]))));
        for (number, place) in rights.iter().enumerate() {
            let shape = lefts.get(number).map_or(stray, |left| Shape::Named(&expected[*left]));
            shown.push(('+', flow::actual(&actual[*place], shape)));
        }
        lefts.clear();
        rights.clear();
    };
    for step in align(expected, actual, matches) {
        match step {
            Aligned::Left(place) => lefts.push(place),
            Aligned::Right(place) => rights.push(place),
            Aligned::Same(place, _) => {
                flush(&mut lefts, &mut rights, &mut shown);
                shown.push((' ', flow::expected(&expected[place])));
            }
        }
    }
    flush(&mut lefts, &mut rights, &mut shown);
    shown
}

/// An expectation that names all that any of these names: how a record is shown that none of them is about. `None` where they
/// name no fields.
fn named_in(expected: &[ExpectedRecord]) -> Option<ExpectedRecord> {
    let mut fields: Vec<(String, serde_json::Value)> = Vec::new();
    for record in expected {
        let Some(ExpectedValue::Fields(more)) = &record.value else { continue };
        for field in more {
            if !fields.iter().any(|(name, _)| *name == field.0) {
                fields.push(field.clone());
            }
        }
    }
    let key = expected.iter().find_map(|record| record.key.clone());
    (!fields.is_empty()).then_some(ExpectedRecord { key, value: Some(ExpectedValue::Fields(fields)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn expected(key: Option<&str>, value: Value) -> ExpectedRecord {
        let fields = value.as_object().expect("an object").clone();
        ExpectedRecord {
            key: key.map(str::to_owned),
            value: Some(ExpectedValue::Fields(fields.into_iter().collect())),
        }
    }

    fn actual(value: Value) -> ActualRecord {
        ActualRecord { key: Some("lobby".to_owned()), text: value.to_string(), json: Some(value) }
    }

    fn records(expected: Vec<ExpectedRecord>, actual: Vec<ActualRecord>) -> String {
        let expectation = Expectation {
            stage: "counts".to_owned(),
            outlet: Outlet::Results,
            records: expected,
            line: 103,
            span: 0..0,
            column: 1,
        };
        render(&Mismatch::Records { expectation, actual }, "topology.yaml")
    }

    #[test]
    fn a_difference_shows_the_fields_that_the_expectation_names() {
        let text = records(
            vec![expected(Some("lobby"), json!({"total": 1})), expected(None, json!({"end": "@10s"}))],
            vec![
                actual(json!({"total": 1, "end": 1_735_689_610_000i64})),
                actual(json!({"total": 2, "end": 1_735_689_611_000i64})),
                actual(json!({"total": 3, "other": 1})),
            ],
        );
        assert_eq!(
            text,
            r#"results of counts: 2 expected, 3 came (topology.yaml:103)
    { key: lobby, value: { total: 1 } }
  - { value: { end: "@10s" } }
  + { value: { end: "@11s" } }
  + { key: lobby, value: { total: 3 } }
"#
        );
    }

    #[test]
    fn where_nothing_is_expected_everything_is_shown() {
        let text = records(vec![], vec![actual(json!({"total": 1, "end": 1_735_689_600_000i64}))]);
        assert!(text.ends_with("  + { key: lobby, value: { end: \"@0s\", total: 1 } }\n"), "{text}");
    }

    #[test]
    fn a_long_difference_is_cut() {
        let many = (0..500).map(|total| actual(json!({"total": total}))).collect();
        let text = records(vec![], many);
        assert_eq!(text.lines().count(), DIFF_LINES_MAX + 2);
        assert!(text.ends_with("  … and 300 more lines\n"), "{text}");
    }
}
