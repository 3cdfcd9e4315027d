//! The host that runs a topology's tests does what Fluvio's own SmartModule engine does, byte for byte.

use std::collections::BTreeMap;

use crate::testing_modules;
use fluvio_protocol::Encoder;
use fluvio_protocol::record::Record;
use fluvio_smartengine::{SmartEngine, SmartModuleChainBuilder, SmartModuleChainInstance, SmartModuleConfig};
use fluvio_smartmodule::SMARTMODULE_TIMESTAMPS_VERSION as VERSION;
use fluvio_smartmodule::dataplane::smartmodule::{SmartModuleInput, SmartModuleOutput};
use ovation_topology::testing::{Chain, Host};

const T0: i64 = 1_795_426_840_000;

struct Both {
    ours: Chain,
    fluvios: SmartModuleChainInstance,
}

fn params(extra: &[(&str, &str)]) -> BTreeMap<String, String> {
    let windows = r#"[{"name":"1s","shape":{"tumbling":{"size_ms":1000}},"grace_ms":200,"emit":{"update":{"every_ms":100}}},
        {"name":"rush","shape":{"session":{"gap_ms":45}},"grace_ms":50,"emit":{"update":{"every_ms":20}}}]"#;
    let params = [
        ("ovation.stage", "reactions"),
        ("ovation.source", "emoji-events"),
        ("ovation.config", "c0ffee"),
        ("ovation.start", "0"),
        ("ovation.checkpoint.records", "50"),
        ("ovation.windows", windows),
    ];
    params.iter().chain(extra).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The same chain in both hosts, or what each of them says against it.
fn open(modules: &[&[u8]], params: &BTreeMap<String, String>) -> Result<Both, (String, String)> {
    let names: Vec<String> = (0..modules.len()).map(|number| number.to_string()).collect();
    let host = Host::compile(names.iter().map(String::as_str).zip(modules.iter().copied()));
    let ours = host.open(names.iter().map(|name| (name.as_str(), params)));
    let mut builder = SmartModuleChainBuilder::default();
    for wasm in modules {
        let mut config = SmartModuleConfig::builder();
        for (name, value) in params {
            config.param(name, value);
        }
        let config = config.smartmodule_names(vec!["test".to_owned()]).build().unwrap();
        builder.add_smart_module(config, wasm.to_vec());
    }
    match (ours, builder.initialize(&SmartEngine::new())) {
        (Ok(ours), Ok(fluvios)) => Ok(Both { ours, fluvios }),
        (Err(ours), Err(fluvios)) => Err((ours.message, format!("{fluvios:#}"))),
        (ours, fluvios) => panic!("one opens and the other does not: {ours:?}, {fluvios:?}"),
    }
}

fn encoded(output: &SmartModuleOutput) -> Vec<u8> {
    let mut bytes = Vec::new();
    output.encode(&mut bytes, VERSION).unwrap();
    bytes
}

fn input(base_offset: i64, records: &[(&str, String)]) -> SmartModuleInput {
    let records = records.iter().zip(0i64..).map(|((key, value), delta)| {
        let mut record = Record::new_key_value(*key, value.as_str());
        record.preamble.set_offset_delta(delta);
        record.preamble.set_timestamp_delta(delta * 7);
        record
    });
    let mut input = SmartModuleInput::try_from_records(records.collect(), VERSION).unwrap();
    input.set_base_offset(base_offset);
    input.set_base_timestamp(T0 + base_offset * 7);
    input
}

impl Both {
    /// What both answer; `None` where both fail.
    fn process(&mut self, base_offset: i64, records: &[(&str, String)]) -> Option<SmartModuleOutput> {
        let ours = self.ours.process(input(base_offset, records));
        let fluvios = self.fluvios.process(input(base_offset, records));
        match (ours, fluvios) {
            (Ok(ours), Ok(fluvios)) => {
                assert_eq!(encoded(&ours), encoded(&fluvios), "at {base_offset}");
                Some(ours)
            }
            (Err(_), Err(_)) => None,
            (ours, fluvios) => panic!("one answers and the other does not: {ours:?}, {fluvios:?}"),
        }
    }
}

/// Reactions and what is none: repeats, unknown emoji, ticks, other people's keys.
fn records() -> Vec<(&'static str, String)> {
    let emoji = ["🔥", "❤", "👍🏽", "nope"];
    (0..400)
        .map(|n: i64| {
            let ts = T0 + n * 7 - (n % 5) * 90;
            match n % 11 {
                0 => ("\u{1}tick", format!(r#"{{"tick":{ts}}}"#)),
                1 => ("lobby", "{".to_owned()),
                _ => {
                    let (id, emoji) = (n % 350, emoji[usize::try_from(n % 4).unwrap()]);
                    ("lobby", format!(r#"{{"id":"{id}","room":"lobby","emoji":"{emoji}","ts":{ts}}}"#))
                }
            }
        })
        .collect()
}

#[test]
fn the_shipped_chain_answers_the_same() {
    let mut both = open(&[ovation_wasm::VALIDATE, ovation_wasm::WINDOW], &params(&[])).unwrap();
    let records = records();
    let (mut at, mut size, mut tags) = (0, 1, BTreeMap::<String, usize>::new());
    while at < records.len() {
        let end = (at + size).min(records.len());
        let output = both.process(at as i64, &records[at..end]).unwrap();
        for record in output.successes {
            let key = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
            *tags.entry(key).or_default() += 1;
        }
        (at, size) = (end, size * 7 % 61 + 1);
    }
    // The comparison was about something.
    for key in ["lobby", "\u{1}progress", "\u{1}reject", "\u{1}checkpoint"] {
        assert!(tags[key] > 5, "{tags:?}");
    }
}

#[test]
fn the_word_count_answers_the_same_also_to_an_empty_batch() {
    let mut both = open(&[ovation_wasm::WORD_COUNT], &params(&[])).unwrap();
    assert_eq!(both.process(0, &[]).unwrap().successes.len(), 1);
    let lines: Vec<(&str, String)> = (0..300).map(|n| ("key", format!("one two {}", n % 7))).collect();
    for (number, batch) in lines.chunks(70).enumerate() {
        both.process(number as i64 * 70, batch).unwrap();
    }
}

#[test]
fn a_fence_refuses_a_batch_in_the_same_words() {
    let mut both = open(&[ovation_wasm::FENCE], &params(&[])).unwrap();
    let numbered =
        |seq: u64| ("lobby", format!(r#"{{"stage":"s","epoch":1,"seq":{seq},"source":{{"partition":0}}}}"#));
    assert!(both.process(0, &[numbered(1), numbered(2)]).unwrap().error.is_none());
    assert!(both.process(2, &[numbered(9)]).unwrap().error.is_some());
}

#[test]
fn parameters_are_refused_in_the_modules_words() {
    let purple = params(&[("skin-tones", "purple")]);
    let (ours, fluvios) = open(&[ovation_wasm::VALIDATE], &purple).err().unwrap();
    assert!(
        ours.contains(r#"parameter "skin-tones" has the value "purple"; expected keep or fold"#),
        "{ours}"
    );
    assert!(fluvios.contains(&ours), "{fluvios}");
}

#[test]
fn what_is_no_smartmodule_opens_in_neither() {
    let modules = [
        "(module)",
        "(module (import \"env\" \"copy_records\" (func (param i32 i32))) (memory (export \"memory\") 1))",
        "(module (import \"env\" \"copy_records\" (func (param i32 i32))) (import \"env\" \"other\" (func)))",
    ];
    for text in modules {
        let wasm = wat::parse_str(text).unwrap();
        let (ours, _) = open(&[&wasm], &params(&[])).err().unwrap();
        assert!(ours.starts_with("not a SmartModule: "), "{text}: {ours}");
    }
    let (ours, _) = open(&[b"\0asm but no more"], &params(&[])).err().unwrap();
    assert!(ours.starts_with("not a WebAssembly module: "), "{ours}");
}

#[test]
fn small_modules_answer_the_same_under_each_name_that_a_module_may_have() {
    let record = |value: &str| testing_modules::record(Some("key"), value);
    for name in ["filter", "map", "filter_map", "array_map"] {
        let wasm = testing_modules::fixed(name, &[record("one"), record("two")]);
        let mut both = open(&[&wasm, &wasm], &params(&[])).unwrap();
        assert_eq!(both.process(5, &records()[..3]).unwrap().successes.len(), 2, "{name}");
    }
}

#[test]
fn a_trap_is_an_error_in_both() {
    let mut both = open(&[&testing_modules::trapping()], &params(&[])).unwrap();
    assert!(both.process(0, &records()[..1]).is_none());
}
