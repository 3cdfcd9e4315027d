//! Small SmartModules in WebAssembly text.

use fluvio_protocol::Encoder;
use fluvio_protocol::record::Record;
use fluvio_smartmodule::SMARTMODULE_TIMESTAMPS_VERSION as VERSION;
use fluvio_smartmodule::dataplane::smartmodule::SmartModuleOutput;

/// Where a module's input goes: above everything that it says.
const INPUT_AT: usize = 65_536;

pub(crate) fn record(key: Option<&str>, value: &str) -> Record {
    match key {
        Some(key) => Record::new_key_value(key, value),
        None => Record::new(value),
    }
}

/// A result, as the engine wants it.
pub(crate) fn result(stage: &str, seq: u64) -> Record {
    record(Some("key"), &format!(r#"{{"stage":"{stage}","epoch":1,"seq":{seq}}}"#))
}

/// The record at the end of a call.
pub(crate) fn progress(first: i64, next: i64, seq: u64) -> Record {
    let value = format!(
        r#"{{"first":{first},"next":{next},"watermark":null,"stream_time":null,"dirty":false,"open":0,"seq":{seq},"reject_seq":0}}"#
    );
    record(Some("\u{1}progress"), &value)
}

fn module(functions: &str, data: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            (import "env" "copy_records" (func $copy_records (param i32 i32)))
            (memory (export "memory") 64)
            (global $calls (mut i32) (i32.const 0))
            (func (export "alloc") (param i32) (result i32) (i32.const {INPUT_AT}))
            {functions}
            {data})"#
    );
    wat::parse_str(text).unwrap()
}

fn data(at: usize, bytes: &[u8]) -> String {
    let escaped: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
    format!(r#"(data (i32.const {at}) "{escaped}")"#)
}

fn encoded(records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::new();
    SmartModuleOutput::new(records.to_vec()).encode(&mut bytes, VERSION).unwrap();
    bytes
}

/// Answers every call with these records.
pub(crate) fn fixed(export: &str, records: &[Record]) -> Vec<u8> {
    let bytes = encoded(records);
    let function = format!(
        r#"(func (export "{export}") (param i32 i32 i32) (result i32)
            (call $copy_records (i32.const 0) (i32.const {})) (i32.const {}))"#,
        bytes.len(),
        records.len()
    );
    module(&function, &data(0, &bytes))
}

/// Answers the first call with the first list, the second with the second, and so on: whatever the calls are about.
pub(crate) fn by_call(answers: &[Vec<Record>]) -> Vec<u8> {
    let (mut cases, mut segments, mut at) = (String::new(), String::new(), 0);
    for (number, records) in answers.iter().enumerate() {
        let bytes = encoded(records);
        cases.push_str(&format!(
            "(if (i32.eq (global.get $calls) (i32.const {})) (then (call $copy_records (i32.const {at}) (i32.const {}))))\n",
            number + 1,
            bytes.len()
        ));
        segments.push_str(&data(at, &bytes));
        at += bytes.len();
    }
    assert!(at < INPUT_AT);
    let function = format!(
        r#"(func (export "array_map") (param i32 i32 i32) (result i32)
            (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
            {cases} (i32.const 0))"#
    );
    module(&function, &segments)
}

/// Fails at every call.
pub(crate) fn trapping() -> Vec<u8> {
    module(r#"(func (export "array_map") (param i32 i32 i32) (result i32) unreachable)"#, "")
}

/// A checkpoint of the whole state, for a stage that was given the first configuration's hash.
pub(crate) fn checkpoint(stage: &str, config: &str, offset: i64, seq: u64) -> Record {
    let value = format!(
        r#"{{"stage":"{stage}","epoch":1,"partition":0,"config":"{config}","id":{offset},"piece":0,"pieces":1,"offset":{offset},"seq":{seq},"reject_seq":0,"data":"{seq} 0 {offset}\n"}}"#
    );
    record(Some("\u{1}checkpoint"), &value)
}
