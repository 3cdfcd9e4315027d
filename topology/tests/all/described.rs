//! What `describe` says, in each format.

use std::borrow::Cow;

use ovation_topology::{Counter, Description, Topology, describe};
use serde_json::json;

const TOPOLOGY: &str = "\
name: words
topics:
  lines:       { partitions: 2, retention: { time: 7d, size: 512MiB } }
  long-lines:  { partitions: 2, fence: true }
  counts:      { partitions: 2, fence: true }
  refused:     { partitions: 2, fence: true }
  checkpoints: { partitions: 2 }
smartmodules:
  long:  { builtin: ovation-long }
  count: { builtin: ovation-count }
  room:  { builtin: ovation-room, name: my-room }
stages:
  long:
    source: lines
    transforms: [{ uses: long, with: { min-length: 5 } }]
    sink: long-lines
    checkpoints: checkpoints
  count:
    source: long-lines
    transforms:
      - uses: count
        windows:
          - { tumbling: { size: 10s }, grace: 2s, emit: { every: 250ms } }
          - { name: minute, hopping: { size: 1m, advance: 10s }, emit: close }
          - { session: { gap: 90s } }
        watermark: { idleness: 3s }
    sink: counts
    dead-letter: refused
    checkpoints: checkpoints
table-formats:
  table: { columns: [{ key: key }] }
tests:
  one: { stage: long, inputs: [{ value: a }], results: [] }
";

fn module(name: &str) -> Option<Cow<'static, [u8]>> {
    // A different hash for each.
    Some(Cow::Owned([b"\0asm".as_slice(), name.as_bytes()].concat()))
}

fn described() -> Description {
    let topology = Topology::parse("words.yaml", TOPOLOGY).expect("a good topology");
    describe(&topology, &module).expect("every module is there")
}

fn live() -> Description {
    let counter = |name: &str, title: &str, value, shown: &str| Counter {
        name: name.to_owned(),
        title: title.to_owned(),
        value,
        shown: shown.to_owned(),
    };
    let mut description = described();
    description.stages[1].live = Some(vec![
        counter("state", "state", json!("running"), "running, active, 2 of 2 tasks ready"),
        counter("source_records_per_second", "records in", json!(12.5), "12.5/s"),
        counter("watermark_lag_seconds", "watermark lag", json!(null), "none"),
    ]);
    description
}

#[test]
fn text() {
    insta::assert_snapshot!("text", described().text());
    insta::assert_snapshot!("text-live", live().text());
}

#[test]
fn mermaid() {
    insta::assert_snapshot!("mermaid", described().mermaid());
    insta::assert_snapshot!("mermaid-live", live().mermaid());
}

#[test]
fn dot() {
    insta::assert_snapshot!("dot", described().dot());
    insta::assert_snapshot!("dot-live", live().dot());
}

#[test]
fn json_format() {
    insta::assert_snapshot!("json", serde_json::to_string_pretty(&described()).expect("JSON"));
    let live = serde_json::to_value(live()).expect("JSON");
    assert_eq!(live["stages"][1]["live"][1], json!({"name": "source_records_per_second", "value": 12.5}));
    assert_eq!(live["stages"][0].get("live"), None);
}
