//! Tests that are written in the topology.

use std::time::Duration;

use super::Check;
use crate::document::{Document, ExpectedDoc, InputDoc, RecordDoc, TestDoc};
use crate::quantity::parse_duration;
use crate::read::{Any, At, Entries, did_you_mean};
use crate::testing::{
    Expectation, ExpectedRecord, ExpectedValue, Outlet, TEST_INPUTS_MAX, TestCase, TestInput, TestValue,
};
use crate::yaml::{Kind, Value};

impl Check<'_> {
    pub(super) fn tests(&mut self, document: &Document) -> Vec<TestCase> {
        let stages: Vec<&str> = document.stages.0.iter().flat_map(Entries::names).collect();
        let mut tests = Vec::new();
        for (name, test) in document.tests.iter().flat_map(|tests| &tests.0) {
            self.name(name, "a test");
            if let Some(test) = test
                && let Some(case) = self.test(name, &test.value, &stages)
            {
                tests.push(case);
            }
        }
        tests
    }

    fn test(&mut self, name: &At<String>, document: &TestDoc, stages: &[&str]) -> Option<TestCase> {
        let stage = match (&document.stage, stages) {
            (Some(stage), _) => {
                self.known_stage(stage, stages);
                stage.value.clone()
            }
            (None, [first, ..]) => (*first).to_owned(),
            // A topology without stages is told of already.
            (None, []) => return None,
        };
        let mut inputs = Vec::new();
        let mut now = Duration::ZERO;
        if let Some(documents) = &document.inputs.0 {
            if documents.value.len() > TEST_INPUTS_MAX {
                let message = format!(
                    "test {:?} has {} inputs; expected at most {TEST_INPUTS_MAX}",
                    name.value,
                    documents.value.len()
                );
                self.problem(documents.place, message, None);
            }
            inputs.extend(documents.value.iter().filter_map(|input| self.input(input, &mut now)));
        }
        let mut expectations = Vec::new();
        self.expect(&stage, document.results.as_ref(), document.dead_letters.as_ref(), &mut expectations);
        for (stage, outcome) in document.downstream.iter().flat_map(|stages| &stages.0) {
            self.known_stage(stage, stages);
            if let Some(outcome) = outcome {
                let (results, dead_letters) = (outcome.results.as_ref(), outcome.dead_letters.as_ref());
                self.expect(&stage.value, results, dead_letters, &mut expectations);
            }
        }
        let mut silent = Vec::new();
        for stage in document.no_output_from.iter().chain(&document.no_output_from_snake).flatten() {
            self.known_stage(stage, stages);
            silent.push(stage.value.clone());
        }
        if expectations.is_empty() && silent.is_empty() {
            let message = format!("test {:?} expects nothing", name.value);
            let help = "add `results`, `dead-letters`, `downstream` or `no-output-from`; `results: []` and `--update` \
                        write down what comes"
                .to_owned();
            self.problem(name.place, message, Some(help));
        }
        Some(TestCase {
            name: name.value.clone(),
            line: name.place.line(),
            stage,
            inputs,
            expectations,
            silent,
        })
    }

    fn known_stage(&mut self, name: &At<String>, stages: &[&str]) {
        if !stages.contains(&name.value.as_str()) {
            let help = did_you_mean(&name.value, stages.iter().copied());
            self.problem(name.place, format!("there is no stage {:?} under `stages`", name.value), help);
        }
    }

    fn input(&mut self, input: &At<InputDoc>, now: &mut Duration) -> Option<TestInput> {
        let InputDoc { at, key, value, tick } = &input.value;
        if let Some(tick) = tick {
            if let Some(place) = [at.as_ref().map(|at| at.place), key.as_ref().map(|key| key.place)]
                .into_iter()
                .chain([value.as_ref().map(|value| value.node.place)])
                .flatten()
                .next()
            {
                self.problem(place, "a tick has neither time, key nor value beside it".to_owned(), None);
            }
            *now = self.duration(tick, Duration::ZERO)?;
            return Some(TestInput::Tick { at: *now });
        }
        if let Some(at) = at {
            *now = self.duration(at, Duration::ZERO)?;
        }
        let Some(value) = value else {
            let message = "an input is a record with a `value`, or a `tick`".to_owned();
            self.problem(input.place, message, None);
            return None;
        };
        let value = match text(value) {
            Some(text) => TestValue::Text(text.to_owned()),
            None => TestValue::Json(self.json(value)),
        };
        Some(TestInput::Record { at: *now, key: key.as_ref().map(|key| key.value.clone()), value })
    }

    fn expect(
        &mut self,
        stage: &str,
        results: Option<&ExpectedDoc>,
        dead_letters: Option<&ExpectedDoc>,
        expectations: &mut Vec<Expectation>,
    ) {
        for (outlet, document) in [(Outlet::Results, results), (Outlet::DeadLetters, dead_letters)] {
            let Some(document) = document else { continue };
            let records = document.records.iter().map(|record| self.expected(record)).collect();
            expectations.push(Expectation {
                stage: stage.to_owned(),
                outlet,
                records,
                line: document.node.place.line(),
                span: document.node.bytes(self.reader.text),
                column: document.node.place.column(),
            });
        }
    }

    fn expected(&mut self, record: &RecordDoc) -> ExpectedRecord {
        let value = record.value.as_ref().map(|value| match (&value.node.kind, text(value)) {
            (_, Some(text)) => ExpectedValue::Text(text.to_owned()),
            (Kind::Map(_), None) => {
                let json = self.json(value);
                let Kind::Map(entries) = &value.node.kind else { return ExpectedValue::Json(json) };
                let field = |name: &str| Some((name.to_owned(), json.get(name)?.clone()));
                ExpectedValue::Fields(entries.iter().filter_map(|(key, _)| field(&key.text)).collect())
            }
            _ => ExpectedValue::Json(self.json(value)),
        });
        ExpectedRecord { key: record.key.as_ref().map(|key| key.value.clone()), value }
    }

    /// The value as JSON, after its keys and times were looked at.
    fn json(&mut self, value: &Any) -> serde_json::Value {
        self.check_value(&value.node);
        value.node.json()
    }

    fn check_value(&mut self, node: &crate::yaml::Node) {
        match &node.kind {
            Kind::Scalar(scalar) if scalar.value == Value::Text => {
                // Something like an address is text, not a time that was written badly.
                if let Some(time) = scalar.text.strip_prefix('@')
                    && time.starts_with(|first: char| first.is_ascii_digit())
                    && parse_duration(time).is_none()
                {
                    let message =
                        format!("{:?} is no time since the test's start, such as \"@10s\"", scalar.text);
                    self.problem(node.place, message, None);
                }
            }
            Kind::List(items) => items.iter().for_each(|item| self.check_value(item)),
            Kind::Map(entries) => {
                for (index, (key, value)) in entries.iter().enumerate() {
                    if entries[..index].iter().any(|(other, _)| other.text == key.text) {
                        self.problem(key.place, format!("the key {:?} appears twice", key.text), None);
                    }
                    self.check_value(value);
                }
            }
            Kind::Null | Kind::Scalar(_) => {}
        }
    }
}

/// The text, if it is one.
fn text(value: &Any) -> Option<&str> {
    match &value.node.kind {
        Kind::Scalar(scalar) if scalar.value == Value::Text => Some(&scalar.text),
        _ => None,
    }
}
