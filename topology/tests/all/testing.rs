//! Tests of a topology, run by its real SmartModules.

use std::borrow::Cow;
use std::sync::LazyLock;
use std::time::Duration;

use crate::testing_modules;
use ovation_topology::Topology;
use ovation_topology::testing::{
    Disturbance, Expectation, ExpectedRecord, ExpectedValue, Mismatch, Outlet, TestCase, TestInput,
    TestReport, TestRunner, TestValue, check_chains, render,
};
use serde_json::{Value, json};

const REACTIONS: &str = "
name: reactions
topics:
  emoji-events:      { partitions: 4 }
  emoji-aggregates:  { partitions: 4, fence: true }
  emoji-rejects:     { partitions: 4, fence: true }
  emoji-checkpoints: { partitions: 4 }
smartmodules:
  validate: { builtin: ovation-validate }
  window:   { builtin: ovation-window }
stages:
  reactions:
    source: emoji-events
    transforms:
      - uses: validate
        with: { skin-tones: keep }
      - uses: window
        window: { tumbling: { size: 10s }, grace: 2s, emit: { every: 100ms } }
        watermark: { idleness: 0s }
    sink: emoji-aggregates
    dead-letter: emoji-rejects
    checkpoints: emoji-checkpoints
";

/// Lines are counted in windows, and the counts, as texts, once more.
const WORDS: &str = "
name: words
topics:
  lines:   { partitions: 1 }
  counts:  { partitions: 1, fence: true }
  letters: { partitions: 1, fence: true }
  again:   { partitions: 1, fence: true }
  twice:   { partitions: 1, fence: true }
  saved:   { partitions: 1 }
smartmodules:
  count: { builtin: ovation-word-count }
stages:
  again:
    source: counts
    transforms:
      - uses: count
        window: { tumbling: { size: 10s }, emit: close }
        watermark: { idleness: 0s }
    sink: again
    checkpoints: saved
  words:
    source: lines
    transforms:
      - uses: count
        window: { tumbling: { size: 1s }, emit: close }
        watermark: { idleness: 0s }
    sink: counts
    dead-letter: letters
    checkpoints: saved
  letters:
    source: letters
    transforms:
      - uses: count
        window: { tumbling: { size: 1s }, emit: close }
        watermark: { idleness: 0s }
    sink: twice
    checkpoints: saved
";

/// One stage of one module, which the test brings.
const SMALL: &str = "
name: small
topics:
  lines:  { partitions: 1 }
  counts: { partitions: 1, fence: true }
  saved:  { partitions: 1 }
smartmodules:
  small: { builtin: small, stateful: true }
stages:
  small:
    source: lines
    transforms: [{ uses: small }]
    sink: counts
    checkpoints: saved
";

fn shipped(name: &str) -> Option<Cow<'static, [u8]>> {
    ovation_wasm::builtin(name).map(Cow::Borrowed)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn record(at_ms: u64, key: &str, value: TestValue) -> TestInput {
    TestInput::Record { at: ms(at_ms), key: Some(key.to_owned()), value }
}

fn text(at_ms: u64, key: &str, text: &str) -> TestInput {
    record(at_ms, key, TestValue::Text(text.to_owned()))
}

fn tap(at_ms: u64, emoji: &str, id: &str) -> TestInput {
    let value = json!({"room": "lobby", "emoji": emoji, "id": id, "ts": format!("@{at_ms}ms")});
    record(at_ms, "lobby", TestValue::Json(value))
}

fn tick(at_ms: u64) -> TestInput {
    TestInput::Tick { at: ms(at_ms) }
}

fn fields(value: Value) -> ExpectedRecord {
    let Value::Object(fields) = value else { panic!("an object") };
    ExpectedRecord { key: None, value: Some(ExpectedValue::Fields(fields.into_iter().collect())) }
}

fn from(stage: &str, outlet: Outlet, records: Vec<ExpectedRecord>) -> Expectation {
    Expectation { stage: stage.to_owned(), outlet, records, line: 9, span: 0..0, column: 1 }
}

fn case(stage: &str, inputs: Vec<TestInput>, expectations: Vec<Expectation>) -> TestCase {
    let silent = Vec::new();
    TestCase { name: "it".to_owned(), line: 7, stage: stage.to_owned(), inputs, expectations, silent }
}

// Compiled once for all tests.
static REACTIONS_RUNNER: LazyLock<TestRunner> = LazyLock::new(|| runner(REACTIONS, &shipped));
static WORDS_RUNNER: LazyLock<TestRunner> = LazyLock::new(|| runner(WORDS, &shipped));

fn runner(topology: &str, modules: &dyn ovation_topology::Modules) -> TestRunner {
    let topology = Topology::parse("topology.yaml", topology).unwrap();
    TestRunner::new(&topology, modules).unwrap()
}

fn run(runner: &TestRunner, test: &TestCase) -> TestReport {
    let report = runner.run(test);
    assert_eq!((report.name.as_str(), report.line), ("it", 7));
    report
}

/// The same on [`SMALL`] with this module.
fn run_small(wasm: &[u8], test: &TestCase) -> TestReport {
    let wasm = wasm.to_vec();
    let modules = move |name: &str| (name == "small").then(|| Cow::Owned(wasm.clone()));
    run(&runner(SMALL, &modules), test)
}

/// What a person is told of a test that must fail.
fn told(report: &TestReport) -> String {
    assert!(!report.passed(), "it passed");
    report.mismatches().iter().map(|mismatch| render(mismatch, "topology.yaml")).collect()
}

fn assert_passed(report: &TestReport) {
    assert!(report.passed(), "{}", told(report));
}

fn reactions(expected: Vec<ExpectedRecord>) -> TestCase {
    let inputs = vec![tap(0, "🔥", "a"), tap(50, "❤", "b"), tap(120, "🔥", "c"), tick(13_000)];
    case("reactions", inputs, vec![from("reactions", Outlet::Results, expected)])
}

/// What the taps of `reactions` become.
fn become_three() -> Vec<ExpectedRecord> {
    let window = json!({"name": "10s", "kind": "tumbling", "start": "@0s", "end": "@10s"});
    vec![
        ExpectedRecord { key: Some("lobby".to_owned()), ..fields(json!({"total": 1, "revision": 1})) },
        fields(json!({"total": 3, "counts": {"🔥": 2, "❤️": 1}, "final": false})),
        fields(json!({"total": 3, "final": true, "window": window, "seq": 3})),
    ]
}

#[test]
fn what_comes_as_expected_passes() {
    assert_passed(&run(&REACTIONS_RUNNER, &reactions(become_three())));
}

#[test]
fn a_wrong_count_is_shown_beside_the_right_one() {
    let mut expected = become_three();
    expected[1] = fields(json!({"total": 4}));
    assert_eq!(
        told(&run(&REACTIONS_RUNNER, &reactions(expected))),
        r#"results of reactions: 3 expected, 3 came (topology.yaml:9)
    { key: lobby, value: { revision: 1, total: 1 } }
  - { value: { total: 4 } }
  + { value: { total: 3 } }
    { value: { final: true, seq: 3, total: 3, window: { end: "@10s", kind: tumbling, name: 10s, start: "@0s" } } }
"#
    );
}

#[test]
fn a_wrong_order_a_missing_and_an_unexpected_record_fail() {
    let mut turned = become_three();
    turned.swap(1, 2);
    let turned = told(&run(&REACTIONS_RUNNER, &reactions(turned)));
    assert!(turned.contains("\n  - ") && turned.contains("\n  + "), "{turned}");

    let mut more = become_three();
    more.push(fields(json!({"total": 9})));
    let more = told(&run(&REACTIONS_RUNNER, &reactions(more)));
    assert!(more.starts_with("results of reactions: 4 expected, 3 came"), "{more}");
    assert!(more.ends_with("  - { value: { total: 9 } }\n"), "{more}");

    let mut fewer = become_three();
    fewer.remove(1);
    let fewer = told(&run(&REACTIONS_RUNNER, &reactions(fewer)));
    assert!(fewer.starts_with("results of reactions: 2 expected, 3 came"), "{fewer}");
    assert_eq!(fewer.matches("\n  + ").count(), 1, "{fewer}");
}

#[test]
fn dead_letters_are_numbered_and_all_failures_are_told() {
    let inputs = vec![
        text(0, "lobby", "not json"),
        tap(20_000, "🔥", "a"),
        record(
            20_000,
            "lobby",
            TestValue::Json(json!({"room": "lobby", "emoji": "🔥", "id": "b", "ts": "@1s"})),
        ),
        record(
            20_000,
            "other",
            TestValue::Json(json!({"room": "lobby", "emoji": "🔥", "id": "c", "ts": "@20s"})),
        ),
    ];
    let letters = |last: &str| {
        let reasons = ["malformed", "late", last];
        let letters =
            reasons.iter().zip(1..).map(|(reason, seq)| fields(json!({"reason": reason, "seq": seq})));
        from("reactions", Outlet::DeadLetters, letters.collect())
    };
    let good = case("reactions", inputs, vec![letters("key_mismatch")]);
    assert_passed(&run(&REACTIONS_RUNNER, &good));
    let mut bad = TestCase { expectations: vec![letters("malformed")], ..good };
    bad.expectations.push(from("reactions", Outlet::Results, vec![]));
    let told = told(&run(&REACTIONS_RUNNER, &bad));
    assert!(told.contains("  - { value: { reason: malformed, seq: 3 } }\n"), "{told}");
    assert!(told.contains("  + { value: { reason: key_mismatch, seq: 3 } }\n"), "{told}");
    assert!(told.contains("results of reactions: 0 expected, 1 came"), "{told}");
}

#[test]
fn results_go_on_to_the_stages_downstream_and_ticks_do_not() {
    let counted = |start: &str, words: Value| {
        fields(json!({"key": "a", "final": true, "start": start, "words": words}))
    };
    let inputs = vec![
        text(0, "a", "one two"),
        text(500, "a", "two"),
        tick(1_000),
        text(12_000, "a", "three"),
        tick(13_000),
        tick(60_000),
    ];
    let mut test = case(
        "words",
        inputs,
        vec![
            from(
                "words",
                Outlet::Results,
                vec![counted("@0s", json!({"one": 1, "two": 2})), counted("@12s", json!({"three": 1}))],
            ),
            // The second result, of 13 s, closes the window of the first; no tick closes its own.
            from("again", Outlet::Results, vec![fields(json!({"key": "a", "final": true, "start": "@0s"}))]),
        ],
    );
    test.silent.push("letters".to_owned());
    assert_passed(&run(&WORDS_RUNNER, &test));
    test.silent.push("again".to_owned());
    let told = told(&run(&WORDS_RUNNER, &test));
    assert!(told.starts_with("results of again: none expected, 1 came\n  + { key: a, value: { "), "{told}");
}

#[test]
fn a_stage_that_is_not_run_fails_a_test_about_it() {
    let mut test = case("again", vec![], vec![from("words", Outlet::Results, vec![])]);
    test.silent.push("letters".to_owned());
    let told = told(&run(&WORDS_RUNNER, &test));
    assert_eq!(told.matches("was not run: it is not downstream of again").count(), 2, "{told}");
    let unknown = case("nobody", vec![], vec![]);
    assert!(matches!(run(&WORDS_RUNNER, &unknown).mismatches(), [Mismatch::NotRun { .. }]));
}

#[test]
fn there_is_a_bound_on_inputs() {
    let inputs = vec![tick(0); ovation_topology::testing::TEST_INPUTS_MAX + 1];
    let report = run(&WORDS_RUNNER, &case("words", inputs, vec![]));
    assert!(told(&report).contains("10001 inputs, and 10000 are the most"), "{report:?}");
}

#[test]
fn a_text_is_compared_as_it_is() {
    let line = r#"{"stage":"small","epoch":1,"seq":1}"#;
    let wasm = testing_modules::by_call(&[vec![
        testing_modules::result("small", 1),
        testing_modules::progress(0, 1, 1),
    ]]);
    let expects = |text: &str| {
        let value = Some(ExpectedValue::Text(text.to_owned()));
        let record = ExpectedRecord { key: Some("key".to_owned()), value };
        case("small", vec![text_input()], vec![from("small", Outlet::Results, vec![record])])
    };
    assert_passed(&run_small(&wasm, &expects(line)));
    assert!(!run_small(&wasm, &expects(&format!("{line} "))).passed());
}

fn text_input() -> TestInput {
    text(0, "key", "line")
}

#[test]
fn a_module_that_traps_fails_the_test() {
    let report = run_small(&testing_modules::trapping(), &case("small", vec![text_input()], vec![]));
    let told = told(&report);
    assert!(
        told.starts_with("stage small failed: with input 1: SmartModule 1 of the chain failed: "),
        "{told}"
    );
    assert!(told.contains("unreachable"), "{told}");
}

#[test]
fn results_that_depend_on_batches_are_caught() {
    use crate::testing_modules::{by_call, progress, result};
    // One result a call, right by the numbers: with two inputs in one batch there is one less.
    let wasm =
        by_call(&[vec![result("small", 1), progress(0, 1, 1)], vec![result("small", 2), progress(1, 2, 2)]]);
    let report = run_small(&wasm, &case("small", vec![text_input(), text_input()], vec![]));
    let [Mismatch::Unstable { outlet: Outlet::Results, disturbance, calm, disturbed, .. }] =
        report.mismatches()
    else {
        panic!("{report:?}")
    };
    assert_eq!((*disturbance, calm.len(), disturbed.len()), (Disturbance::OneBatch, 2, 1));
    assert!(told(&report).contains("results of small depend on where batches are cut"));
    // One input cannot be cut.
    assert_passed(&run_small(&wasm, &case("small", vec![text_input()], vec![])));
}

#[test]
fn a_state_that_is_not_restored_is_caught() {
    use crate::testing_modules::{by_call, checkpoint, progress, result};
    // It never reads its checkpoint: the new instance begins with its first answer again.
    let topology = Topology::parse("topology.yaml", SMALL).unwrap();
    let config = ovation_topology::config_hash(&topology, &topology.stages[0]);
    let first = vec![result("small", 1), checkpoint("small", &config, 1, 1), progress(0, 1, 1)];
    let second = vec![result("small", 2), progress(1, 2, 2)];
    let wasm = by_call(&[first, second]);
    let report = run_small(&wasm, &case("small", vec![text_input(), text_input()], vec![]));
    let told = told(&report);
    assert!(told.contains("state of small is not restored whole, its results differ"), "{told}");
}

#[test]
fn what_the_engine_would_refuse_is_told() {
    let wasm = testing_modules::fixed("array_map", &[testing_modules::record(Some("key"), "no numbers")]);
    let told = told(&run_small(&wasm, &case("small", vec![text_input()], vec![])));
    assert!(
        told.contains("started again for ever: the chain returned a result that cannot be read"),
        "{told}"
    );
    // A chain that says nothing lets Fluvio skip records.
    let wasm = testing_modules::fixed("array_map", &[]);
    let told = self::told(&run_small(&wasm, &case("small", vec![text_input()], vec![])));
    assert!(told.contains("ended without progress"), "{told}");
}

#[test]
fn chains_that_do_not_open_are_told_with_their_place() {
    let problems = |text: &str, modules: &dyn ovation_topology::Modules| {
        let topology = Topology::parse("topology.yaml", text).unwrap();
        let problems = check_chains(&topology, modules);
        assert_eq!(TestRunner::new(&topology, modules).err().unwrap_or_default(), problems);
        problems
    };
    assert_eq!(problems(REACTIONS, &shipped), []);
    let purple = problems(&REACTIONS.replace("keep", "purple"), &shipped);
    let [problem] = purple.as_slice() else { panic!("{purple:?}") };
    assert_eq!(
        (problem.stage.as_str(), problem.transform, problem.uses.as_str()),
        ("reactions", 0, "validate")
    );
    assert_eq!(problem.message, r#"parameter "skin-tones" has the value "purple"; expected keep or fold"#);

    // A window, where a module without state stands.
    let no_state = problems(&REACTIONS.replace("ovation-window", "ovation-validate"), &shipped);
    let [problem] = no_state.as_slice() else { panic!("{no_state:?}") };
    assert!(problem.message.starts_with("it does not count in windows, as it exports map"), "{problem:?}");

    let no_transform = wat::parse_str(
        r#"(module (import "env" "copy_records" (func (param i32 i32))) (memory (export "memory") 1)
            (func (export "alloc") (param i32) (result i32) (i32.const 0)))"#,
    )
    .unwrap();
    let small = move |name: &str| (name == "small").then(|| Cow::Owned(no_transform.clone()));
    let found = problems(SMALL, &small);
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].to_string(),
        "stage \"small\", transform 1 (small): not a SmartModule: it exports none of filter, map, filter_map, array_map"
    );
    let unsaid = SMALL.replace(", stateful: true", "");
    let totals = |name: &str| match name {
        "small" => Some(Cow::Borrowed(ovation_wasm::examples::RUNNING_TOTAL)),
        other => shipped(other),
    };
    assert_eq!(problems(SMALL, &totals), []);
    let found = problems(&unsaid, &totals);
    assert_eq!((found.len(), found[0].transform), (1, 0));
    assert!(found[0].message.contains("or `stateful: true` where `smartmodules` names it"), "{found:?}");
    let missing = problems(SMALL, &|_: &str| None::<Cow<'static, [u8]>>);
    assert_eq!(missing[0].message, "failed to find the builtin SmartModule \"small\"");
}
