//! What a topology may say, and what its author is told when it does not.

use std::path::Path;
use std::time::Duration;

use ovation_topology::{Emit, ModuleSource, Topology, WindowKind};
use serde_json::Value;

const WORDS: &str = "\
name: words
topics:
  lines:       { partitions: 2, retention: { time: 7d, size: 512MiB } }
  counts:      { partitions: 2, fence: true }
  refused:     { partitions: 2, fence: true }
  checkpoints: { partitions: 2 }
smartmodules:
  count: { builtin: word-count }
  clean: { path: ./clean.wasm }
stages:
  words:
    source: lines
    transforms:
      - uses: clean
        with: { case: keep, limit: 3, strict: true }
      - uses: count
        window:
          tumbling: { size: 10s }
          grace: 2s
          emit: { every: 250ms }
    sink: counts
    dead-letter: refused
    checkpoints: checkpoints
";

fn complaint(from: &str, to: &str) -> String {
    assert!(WORDS.contains(from), "{from:?}");
    let text = WORDS.replacen(from, to, 1);
    Topology::parse("topo/words.yaml", &text).expect_err(to).to_string()
}

#[test]
fn a_topology_says_what_it_means() {
    let topology = Topology::parse("topo/words.yaml", WORDS).unwrap();
    assert_eq!(topology.name, "words");
    let lines = topology.topic("lines").unwrap();
    assert_eq!(lines.partitions, 2);
    assert_eq!(lines.retention.time, Some(Duration::from_secs(604_800)));
    assert_eq!(lines.retention.size, Some(512 << 20));
    assert!(!lines.fence && topology.topic("counts").unwrap().fence);
    let clean = topology.smartmodule("clean").unwrap();
    assert_eq!(clean.source, ModuleSource::Path("topo/./clean.wasm".into()));
    let [stage] = topology.stages.as_slice() else { panic!("one stage") };
    assert!(stage.is_stateful());
    assert_eq!(stage.every(), Some(Duration::from_millis(250)));
    let with: Vec<_> =
        stage.transforms[0].with.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(with, [("case", "keep"), ("limit", "3"), ("strict", "true")]);
    let [window] = stage.transforms[1].windows.as_slice() else { panic!("one window") };
    assert_eq!(window.name, "10s");
    assert_eq!(window.kind, WindowKind::Tumbling { size: Duration::from_secs(10) });
    assert_eq!(window.grace, Duration::from_secs(2));
}

#[test]
fn an_unknown_key_is_an_error_with_a_guess() {
    let text = WORDS.replace("retention:", "retentoin:");
    let error = Topology::parse("words.yaml", &text).unwrap_err();
    let [problem] = error.problems() else { panic!("one problem") };
    assert_eq!((problem.line, problem.column), (3, 33));
    assert_eq!(
        problem.to_string(),
        "words.yaml:3:33: unknown key \"retentoin\"; expected one of `partitions`, `retention`, `fence`, `external`"
    );
    assert_eq!(problem.help.as_deref(), Some("did you mean `retention`?"));
}

#[test]
fn each_mistake_is_named_with_its_place() {
    let cases = [
        (
            "source: lines",
            "source: nothing",
            "words.yaml:12:13: there is no topic \"nothing\" under `topics`",
        ),
        (
            "uses: clean",
            "uses: cleen",
            "words.yaml:14:15: there is no SmartModule \"cleen\" under `smartmodules`",
        ),
        (
            "counts:      { partitions: 2, fence: true }",
            "counts:      { partitions: 2 }",
            "words.yaml:21:11: stage \"words\" numbers what it writes, so its sink \"counts\" has to be fenced",
        ),
        (
            "counts:      { partitions: 2, fence: true }",
            "counts:      { partitions: 3, fence: true }",
            "words.yaml:21:11: the sink \"counts\" has 3 partitions and the source \"lines\" has 2; expected the same \
             number, because partition n of the source is written to partition n of the sink",
        ),
        (
            "dead-letter: refused",
            "dead-letter: counts",
            "words.yaml:22:18: topic \"counts\" cannot be the dead-letter topic of stage \"words\": it is the sink of \
             stage \"words\" already",
        ),
        (
            "sink: counts",
            "sink: lines",
            "words.yaml:21:11: stage \"words\" writes to its own source \"lines\"",
        ),
        (
            "    checkpoints: checkpoints\n",
            "",
            "words.yaml:11:3: stage \"words\" needs a topic for `checkpoints`",
        ),
        (
            "size: 10s",
            "size: 10",
            "words.yaml:18:29: \"10\" is not a duration such as 100ms, 10s, 5m, 2h or 7d",
        ),
        ("size: 10s", "size: 0s", "words.yaml:18:29: 0s is too short; expected at least 1ms"),
        ("size: 10s", "size: 400d", "words.yaml:18:29: 400d is too long; expected at most 366d"),
        ("every: 250ms", "every: 0ms", "words.yaml:20:26: 0ms is too short; expected at least 10ms"),
        ("512MiB", "512mib", "words.yaml:3:62: \"512mib\" is not a size such as 64KiB, 512MiB or 10GiB"),
        (
            "lines:       { partitions: 2",
            "lines:       { partitions: 0",
            "a topic has 1 to 1024 partitions, not 0",
        ),
        ("lines:       { partitions: 2", "lines:       { partitions: two", "words.yaml:3:30: "),
        (
            "{ builtin: word-count }",
            "{ }",
            "words.yaml:8:3: SmartModule \"count\" needs either `builtin` or `path`",
        ),
        ("case: keep", "ovation.stage: keep", "the parameter \"ovation.stage\" is set by the engine itself"),
        ("  lines: ", "  Lines: ", "\"Lines\" cannot be the name of a topic"),
        ("    sink: counts\n", "", "words.yaml:12:5: the key \"sink\" is missing"),
        ("sink: counts", "sink: counts\n    sink: refused", "the key \"sink\" appears twice"),
        ("stages:\n", "stages: [\n", "words.yaml:"),
    ];
    for (from, to, expected) in cases {
        let said = complaint(from, to);
        assert!(said.contains(expected), "{to:?} gave:\n{said}\nwithout:\n{expected}");
    }
}

/// The topology with another way to say which windows there are.
fn with_windows(yaml: &str) -> String {
    let window = WORDS.split_once("        window:\n").unwrap();
    let after = window.1.split_once("    sink:").unwrap().1;
    format!("{}{yaml}    sink:{after}", window.0)
}

#[test]
fn a_stage_counts_in_windows_of_several_shapes() {
    let text = with_windows(
        "        windows:
          - { tumbling: { size: 10s }, emit: { every: 50ms } }
          - { hopping: { size: 1m, advance: 10s }, grace: 2s, emit: close }
          - { name: rush, session: { gap: 30s }, emit: update }
        watermark: { idleness: 3s }
",
    );
    let topology = Topology::parse("words.yaml", &text).unwrap();
    let transform = &topology.stages[0].transforms[1];
    let secs = Duration::from_secs;
    let said: Vec<_> =
        transform.windows.iter().map(|window| (window.name.as_str(), window.kind, window.emit)).collect();
    let update = |ms| Emit::Update { every: Duration::from_millis(ms) };
    assert_eq!(
        said,
        [
            ("10s", WindowKind::Tumbling { size: secs(10) }, update(50)),
            ("1m-every-10s", WindowKind::Hopping { size: secs(60), advance: secs(10) }, Emit::Close),
            ("rush", WindowKind::Session { gap: secs(30) }, update(100)),
        ]
    );
    assert_eq!((transform.idleness, topology.stages[0].every()), (secs(3), Some(Duration::from_millis(50))));
    let parameters = transform.parameters();
    assert_eq!(parameters["ovation.idleness-ms"], "3000");
    assert!(
        parameters["ovation.windows"].contains(
            r#"{"emit":"close","grace_ms":2000,"name":"1m-every-10s","shape":{"hopping":{"advance_ms":10000,"size_ms":60000}}}"#
        ),
        "{parameters:?}"
    );
}

#[test]
fn windows_that_cannot_work_are_told_apart() {
    let cases = [
        ("window: { grace: 2s }", "a window is one of `tumbling`, `hopping` and `session`"),
        (
            "window: { tumbling: { size: 1s }, session: { gap: 1s } }",
            "a window is one of `tumbling`, `hopping`",
        ),
        ("window: { hopping: { size: 1s, advance: 2s } }", "leaves time that no window holds"),
        ("window: { hopping: { size: 1h, advance: 7ms } }", "would be kept in 3600000 slices of time"),
        ("window: { hopping: { size: 1s } }", "the key \"advance\" is missing"),
        ("window: { tumbling: { size: 1s }, emit: never }", "\"never\" is no way to emit"),
        ("window: { tumbling: { size: 1s }, emit: { each: 1s } }", "unknown key \"each\""),
        ("windows: []", "a stage has 1 to 16 windows, not 0"),
        (
            "windows: [{ tumbling: { size: 1s } }, { tumbling: { size: 1s } }]",
            "two windows of this stage are named \"1s\"",
        ),
        ("window: { tumbling: { size: 1s } }\n        windows: []", "either `window` or `windows`"),
        ("watermark: { idleness: 1s }", "a `watermark` needs a `window` beside it"),
        ("window: { tumbling: { size: 1s } }\n        watermark: { idleness: x }", "\"x\" is not a duration"),
    ];
    for (windows, expected) in cases {
        let error =
            Topology::parse("words.yaml", &with_windows(&format!("        {windows}\n"))).unwrap_err();
        let said = error.to_string();
        assert!(said.contains(expected), "{windows:?} gave:\n{said}\nwithout:\n{expected}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = WORDS.replace("source: lines", "source: linse").replace("size: 10s", "size: soon");
    let error = Topology::parse("words.yaml", &text).unwrap_err();
    assert_eq!(error.problems().len(), 2);
    assert!(error.to_string().starts_with("failed to use the topology: 2 problems\n  words.yaml:12:13: "));
}

#[test]
fn two_stages_cannot_share_a_sink_but_may_share_checkpoints() {
    let second = WORDS.split_once("stages:\n").unwrap().1.replace("  words:", "  again:");
    let error = Topology::parse("words.yaml", &format!("{WORDS}{second}")).unwrap_err();
    let said: Vec<String> = error.problems().iter().map(|problem| problem.message.clone()).collect();
    assert_eq!(
        said,
        [
            "topic \"counts\" cannot be the sink of stage \"again\": it is the sink of stage \"words\" already",
            "topic \"refused\" cannot be the dead-letter topic of stage \"again\": it is the dead-letter topic of stage \
             \"words\" already",
        ]
    );
}

#[test]
fn nonsense_is_refused_without_a_panic() {
    for text in [
        "",
        "\u{0}",
        "- a\n- b",
        "name: [",
        "name: x\ntopics: 3\nstages: {}",
        "*a",
        "name: x\ntopics: {}\nstages: {}",
    ] {
        assert!(Topology::parse("words.yaml", text).is_err(), "{text:?}");
    }
}

/// Paths of the schema where `value` does not fit it, in the small part of JSON Schema that is used here.
fn misfits(root: &Value, schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/")) {
        return misfits(root, &root["$defs"][name], value, path, found);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let fits = |choice: &Value| {
            let mut found = Vec::new();
            misfits(root, choice, value, path, &mut found);
            found.is_empty()
        };
        if !choices.iter().any(fits) {
            found.push(format!("{path}: none of the choices"));
        }
        return;
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) if kinds.contains(&"number") => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !kinds.is_empty() && !kinds.contains(&kind) {
        found.push(format!("{path}: a {kind}, not {kinds:?}"));
    }
    for item in value.as_array().into_iter().flatten().filter(|_| schema["items"].is_object()) {
        misfits(root, &schema["items"], item, &format!("{path}[]"), found);
    }
    for (key, inner) in value.as_object().into_iter().flatten() {
        let path = format!("{path}/{key}");
        match (&schema["properties"][key], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => found.push(format!("{path}: unknown")),
            (Value::Null, Value::Null) => {}
            (Value::Null, other) => misfits(root, other, inner, &path, found),
            (known, _) => misfits(root, known, inner, &path, found),
        }
    }
    for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.is_object() && value.get(key).is_none() {
            found.push(format!("{path}: {key} is missing"));
        }
    }
}

#[test]
fn the_shipped_schema_is_the_one_of_the_types_and_the_shipped_topologies_fit_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let shipped = std::fs::read_to_string(root.join("docs/topology.schema.json")).unwrap();
    let schema = Topology::schema();
    let now = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
    assert!(shipped == now, "write it again: ovation topology schema > docs/topology.schema.json");
    let text = std::fs::read_to_string(root.join("topology.yaml")).unwrap();
    assert!(text.starts_with("# yaml-language-server: $schema=docs/topology.schema.json\n"));
    for text in [text.as_str(), WORDS] {
        let value: Value = serde_saphyr::from_str(text).unwrap();
        let mut found = Vec::new();
        misfits(&schema, &schema, &value, "", &mut found);
        assert!(found.is_empty(), "{found:?}");
    }
    for (from, to) in
        [("source: lines", "sourc: lines"), ("grace: 2s", "grace: [2s]"), ("    sink: counts\n", "")]
    {
        let value: Value = serde_saphyr::from_str(&WORDS.replacen(from, to, 1)).unwrap();
        let mut found = Vec::new();
        misfits(&schema, &schema, &value, "", &mut found);
        assert!(!found.is_empty(), "{to:?} fits");
    }
}

#[test]
fn the_environment_fills_in_what_the_file_leaves_open() {
    let text = WORDS
        .replacen("partitions: 2", "partitions: \"${OVATION_TEST_NOT_SET:-2}\"", 1)
        .replace("fence: true", "fence: \"${OVATION_TEST_NOT_SET:-true}\"")
        .replace("case: keep", "case: \"${OVATION_TEST_NOT_SET:-fold}\", home: \"${CARGO_MANIFEST_DIR}\"")
        .replace("size: 10s", "size: \"${OVATION_TEST_NOT_SET:-1}m\"");
    let topology = Topology::parse("words.yaml", &text).unwrap();
    assert_eq!(topology.topic("lines").unwrap().partitions, 2);
    let transforms = &topology.stages[0].transforms;
    assert_eq!(transforms[0].with["case"], "fold");
    // Cargo sets it for tests.
    assert_eq!(transforms[0].with["home"], env!("CARGO_MANIFEST_DIR"));
    assert_eq!(transforms[1].windows[0].kind, WindowKind::Tumbling { size: Duration::from_secs(60) });
}
