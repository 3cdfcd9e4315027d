//! Every message that the author of a topology can get, as it is shown. Where one has to change, look at the new text and take it
//! over with `INSTA_UPDATE=always cargo test -p ovation-topology --test all messages`.

use std::borrow::Cow;

use ovation_topology::{Modules, Topology};

const WORDS: &str = "\
name: words
topics:
  lines:       { partitions: 2, retention: { time: 7d, size: 512MiB } }
  counts:      { partitions: 2, fence: true }
  refused:     { partitions: 2, fence: true }
  moments:     { partitions: 2, fence: true }
  refused-moments: { partitions: 2, fence: true }
  checkpoints: { partitions: 2 }
smartmodules:
  clean: { builtin: ovation-validate }
  count: { builtin: ovation-word-count }
  burst: { builtin: ovation-window, stateful: true }
stages:
  words:
    source: lines
    transforms:
      - uses: clean
        with: { case: keep }
      - uses: count
        window:
          tumbling: { size: 10s }
          grace: 2s
          emit: { every: 250ms }
    sink: counts
    dead-letter: refused
    checkpoints: checkpoints
  moments:
    source: counts
    transforms: [{ uses: burst }]
    sink: moments
    dead-letter: refused-moments
    checkpoints: checkpoints
table-formats:
  table: { columns: [{ key: room, primary: true }] }
tests:
  two-words:
    stage: words
    inputs:
      - { at: 1s, key: a, value: two words }
      - { tick: 13s }
    results: []
";

/// Builtins that are there.
struct Some3;

impl Modules for Some3 {
    fn wasm(&self, builtin: &str) -> Option<Cow<'_, [u8]>> {
        self.names().iter().any(|name| name == builtin).then_some(Cow::Borrowed(b"\0asm"))
    }

    fn names(&self) -> Vec<String> {
        ["ovation-validate", "ovation-window", "ovation-word-count"].map(str::to_owned).to_vec()
    }
}

/// What is said of the topology with some of its text replaced.
fn said(changes: &[(&str, &str)]) -> String {
    let mut text = WORDS.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from:?} is not there");
        text = text.replacen(from, to, 1);
    }
    told(&text)
}

fn told(text: &str) -> String {
    match Topology::check("words.yaml", text, &Some3) {
        Err(error) => error.render(false, 100),
        Ok(checked) => match checked.warnings {
            Some(warnings) => warnings.render(false, 100),
            None => "no mistakes".to_owned(),
        },
    }
}

/// All of these, one below the other.
fn snapshot(name: &str, cases: &[&[(&str, &str)]]) {
    let all: Vec<String> = cases
        .iter()
        .map(|changes| {
            let heads = changes.iter().map(|(from, to)| format!("{from:?} => {to:?}"));
            format!("## {}\n\n{}\n", heads.collect::<Vec<_>>().join(", "), said(changes))
        })
        .collect();
    insta::assert_snapshot!(name, all.join("\n"));
}

#[test]
fn the_topology_itself_has_no_mistakes() {
    assert_eq!(said(&[]), "no mistakes");
}

#[test]
fn structure() {
    snapshot(
        "structure",
        &[
            &[("retention:", "retentoin:")],
            &[("    sink: counts\n", "")],
            &[("    sink: counts\n", "    sink: counts\n    sink: refused\n")],
            &[("partitions: 2", "partitions: two")],
            &[("partitions: 2", "partitions: [2]")],
            &[("partitions: 2", "partitions: -2")],
            &[("fence: true", "fence: yes please")],
            &[("topics:\n", "topics: 3\nrest:\n")],
            &[("    transforms: [{ uses: burst }]", "    transforms: burst")],
            &[("with: { case: keep }", "with: { case: [keep] }")],
            &[("  words:\n    source: lines", "  words: 3\n  other:\n    source: lines")],
            &[("name: words", "name: [words]")],
            &[("name: words", "name:")],
            &[("    dead-letter: refused", "    dead-letter:")],
        ],
    );
}

#[test]
fn broken_yaml() {
    let all: Vec<String> = [
        "",
        "name: [",
        "a: b: c",
        "*a",
        "- a\n- b\n",
        "\t- x",
        "name: x\ntopics: {}\nstages: {}\n",
        "name: x\ntopics: { a: { partitions: ${N} } }\n",
    ]
    .iter()
    .map(|text| format!("## {text:?}\n\n{}\n", told(text)))
    .collect();
    insta::assert_snapshot!("broken-yaml", all.join("\n"));
}

#[test]
fn values() {
    let long = format!("case: {}", "x".repeat(30_001));
    let long_name = format!("  {}: ", "x".repeat(201));
    snapshot(
        "values",
        &[
            &[("partitions: 2", "partitions: 0")],
            &[("partitions: 2", "partitions: 2000")],
            &[("time: 7d", "time: 7 days")],
            &[("time: 7d", "time: 10ms")],
            &[("time: 7d", "time: 400d")],
            &[("512MiB", "512mib")],
            &[("  lines: ", "  Lines: ")],
            &[("  table: ", "  -table: ")],
            &[("case: keep", "ovation.stage: keep")],
            &[("columns: [{ key: room, primary: true }]", "columns: []")],
            &[("columns: [{ key: room, primary: true }]", "columns: [{ primary: true }]")],
            &[("columns: [{ key: room, primary: true }]", "columns: [{ key: window.start }]")],
            &[("case: keep", "case: \"${OVATION_TEST_NOT_SET}\"")],
            &[("case: keep", "case: \"${OVATION_TEST\"")],
            &[("case: keep", "case: \"${1}\"")],
            &[("partitions: 2", "partitions: \"${OVATION_TEST_NOT_SET:-two}\"")],
        ],
    );
    // Too long to be shown.
    assert!(
        said(&[("case: keep", &long)])
            .contains("the parameter \"case\" has 30001 bytes; expected at most 30000")
    );
    assert!(said(&[("  table: ", &long_name)]).contains("cannot be the name of a table format"));
}

#[test]
fn modules() {
    snapshot(
        "modules",
        &[
            &[("{ builtin: ovation-validate }", "{ }")],
            &[("{ builtin: ovation-validate }", "{ builtin: a, path: b }")],
            &[("builtin: ovation-validate", "builtin: ovation-validat")],
            &[("builtin: ovation-validate", "builtin: something")],
            &[("{ builtin: ovation-validate }", "{ builtin: ovation-validate, name: ovation-fence }")],
            &[
                ("{ builtin: ovation-validate }", "{ builtin: ovation-validate, name: same }"),
                ("{ builtin: ovation-word-count }", "{ builtin: ovation-word-count, name: same }"),
            ],
            &[("builtin: ovation-validate", "path: nowhere.wasm")],
            &[("builtin: ovation-validate", "path: Cargo.toml")],
            &[("uses: clean", "uses: cleen")],
            &[("      - uses: clean\n        with: { case: keep }\n", "")],
        ],
    );
}

#[test]
fn flow() {
    snapshot(
        "flow",
        &[
            &[("source: lines", "source: linse")],
            &[("sink: counts", "sink: count")],
            &[("sink: counts", "sink: lines")],
            &[("counts:      { partitions: 2, fence: true }", "counts:      { partitions: 2 }")],
            &[("refused:     { partitions: 2, fence: true }", "refused:     { partitions: 2 }")],
            &[("counts:      { partitions: 2", "counts:      { partitions: 3")],
            &[("checkpoints: { partitions: 2 }", "checkpoints: { partitions: 1 }")],
            &[("dead-letter: refused", "dead-letter: counts")],
            &[("sink: moments", "sink: counts")],
            &[("source: lines", "source: moments")],
            &[("source: lines", "source: checkpoints")],
            &[("    checkpoints: checkpoints\n", "")],
            &[
                ("    dead-letter: refused-moments\n", ""),
                ("  refused-moments: { partitions: 2, fence: true }\n", ""),
            ],
            &[("    transforms: [{ uses: burst }]", "    transforms: []")],
            &[("[{ uses: burst }]", "[{ uses: burst }, { uses: clean }]")],
            &[("[{ uses: burst }]", "[{ uses: count, window: { tumbling: { size: 10s } } }]")],
            &[("  checkpoints: {", "  spare: { partitions: 1 }\n  checkpoints: {")],
        ],
    );
}

#[test]
fn windows() {
    let window = "        window:
          tumbling: { size: 10s }
          grace: 2s
          emit: { every: 250ms }
";
    let with = |yaml: &'static str| format!("        {yaml}\n");
    let cases = [
        "window: { grace: 2s }",
        "window: { tumbling: { size: 1s }, session: { gap: 1s } }",
        "window: { tumbling: { size: 10 } }",
        "window: { tumbling: { size: 0s } }",
        "window: { tumbling: {} }",
        "window: { hopping: { size: 1s, advance: 2s } }",
        "window: { hopping: { size: 1h, advance: 7ms } }",
        "window: { tumbling: { size: 1s }, emit: never }",
        "window: { tumbling: { size: 1s }, emit: 1s }",
        "window: { tumbling: { size: 1s }, emit: [close] }",
        "window: { tumbling: { size: 1s }, emit: { every: 1ms } }",
        "window: { tumbling: { size: 1s }, name: Rush }",
        "window: { tumbling: { size: 1s }, grace: 8d }",
        "windows: []",
        "windows: [{ tumbling: { size: 1s } }, { tumbling: { size: 1s } }]",
        "window: { tumbling: { size: 1s } }\n        windows: []",
        "watermark: { idleness: 1s }",
        "window: { tumbling: { size: 1s } }\n        watermark: { idleness: x }",
        "window: { tumbling: { size: 1s } }\n        with: { dedup.horizon-ms: 700000000 }",
    ];
    let written: Vec<String> = cases.map(with).to_vec();
    let changes: Vec<[(&str, &str); 1]> = written.iter().map(|yaml| [(window, yaml.as_str())]).collect();
    let all: Vec<String> =
        changes.iter().map(|change| format!("## {}\n\n{}\n", change[0].1.trim(), said(change))).collect();
    insta::assert_snapshot!("windows", all.join("\n"));
    let early = said(&[("        with: { case: keep }\n", "        window: { tumbling: { size: 1s } }\n")]);
    assert!(early.contains("only the last transform of a stage can have a window"), "{early}");
}

#[test]
fn tests() {
    snapshot(
        "tests",
        &[
            &[("stage: words", "stage: wrods")],
            &[("    results: []\n", "")],
            &[("    inputs:\n      - { at: 1s, key: a, value: two words }\n      - { tick: 13s }\n", "")],
            &[("at: 1s", "at: soon")],
            &[("{ tick: 13s }", "{ tick: 13s, key: a }")],
            &[("{ tick: 13s }", "{ at: 13s }")],
            &[("results: []", "results: [{ value: { start: \"@10x\" } }]")],
            &[("results: []", "results: [{ value: { a: 1, a: 2 } }]")],
            &[("results: []", "results: [{ vlaue: 3 }]")],
            &[("results: []", "results: none")],
            &[("results: []", "no-output-from: [momets]")],
            &[("results: []", "downstream: { momnts: { results: [] } }")],
            &[("  two-words:", "  two words:")],
        ],
    );
}

#[test]
fn everything_at_once() {
    insta::assert_snapshot!(
        "everything-at-once",
        said(&[
            ("partitions: 2", "partitions: two"),
            ("counts:      { partitions: 2, fence: true }", "counts:      { partitions: 2 }"),
            ("ovation-word-count", "ovation-word-cuont"),
            ("source: lines", "sourc: lines"),
            ("uses: count", "uses: cuont"),
            ("size: 10s", "size: ten seconds"),
            ("{ key: room, primary: true }", "{ key: room, primery: true }"),
            ("stage: words", "stage: wrods"),
        ])
    );
}
