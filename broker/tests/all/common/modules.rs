//! Small SmartModules, written by hand: input is `base offset (8), length (4), records, time (8)`; output is records
//! and an absent error.

use fluvio::{
    SmartModuleContextData, SmartModuleExtraParams, SmartModuleInvocation, SmartModuleInvocationWasm,
};
use fluvio_smartmodule::dataplane::smartmodule::Lookback;

const HEAD: &str = r#"
    (import "env" "copy_records" (func $out (param i32 i32)))
    (memory (export "memory") 400)
    (func (export "alloc") (param i32) (result i32) (i32.const 131072))
"#;

/// Lets everything pass.
const PASS: &str = r#"
    (i32.store8 (i32.sub (i32.add (local.get $at) (local.get $len)) (i32.const 8)) (i32.const 0))
    (call $out (i32.add (local.get $at) (i32.const 12)) (i32.sub (local.get $len) (i32.const 19)))
"#;

/// Lets nothing pass.
const DROP: &str = r#"
    (i64.store (i32.const 0) (i64.const 0))
    (call $out (i32.const 0) (i32.const 5))
"#;

fn module(export: &str, body: &str, rest: &str) -> Vec<u8> {
    let text = format!(
        r#"(module {HEAD} {rest}
            (func (export "{export}") (param $at i32) (param $len i32) (param i32) (result i32)
                {body}
                (i32.const 0)))"#
    );
    wat::parse_str(text).unwrap()
}

pub fn pass_all() -> Vec<u8> {
    module("filter", PASS, "")
}

pub fn drop_all() -> Vec<u8> {
    module("filter", DROP, "")
}

/// Passes batches from offset 200 on (as the chain is told it).
pub fn pass_from_200() -> Vec<u8> {
    let body = format!(
        r#"(if (i32.ge_u
                (i32.add (i32.mul (i32.load8_u (i32.add (local.get $at) (i32.const 6))) (i32.const 256))
                         (i32.load8_u (i32.add (local.get $at) (i32.const 7))))
                (i32.const 200))
            (then {PASS}) (else {DROP}))"#
    );
    module("filter", &body, "")
}

/// Answers every batch with the number of all records so far (four bytes, least first) and `padding` bytes: a module with
/// state that knows nothing of batches that come twice, or from before the start.
pub fn running_total(padding: usize) -> Vec<u8> {
    let value = 4 + padding;
    let mut record = vec![0, 0, 0, 0];
    put_varint(&mut record, value);
    let place = record.len();
    record.resize(place + value, b'.');
    record.push(0);
    let mut output = vec![0, 0, 0, 1];
    put_varint(&mut output, record.len());
    let place = output.len() + place;
    output.extend(record);
    // No error.
    output.push(0);
    let escaped: String = output.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let rest = format!(r#"(global $total (mut i32) (i32.const 0)) (data (i32.const 0) "{escaped}")"#);
    let body = format!(
        r#"(global.set $total (i32.add (global.get $total) (i32.or
            (i32.shl (i32.load8_u (i32.add (local.get $at) (i32.const 14))) (i32.const 8))
            (i32.load8_u (i32.add (local.get $at) (i32.const 15))))))
        (i32.store (i32.const {place}) (global.get $total))
        (call $out (i32.const 0) (i32.const {}))"#,
        output.len()
    );
    module("array_map", &body, &rest)
}

/// What [`running_total`] has written.
pub fn total(value: &[u8]) -> u32 {
    u32::from_le_bytes(value[..4].try_into().unwrap())
}

/// Lets a batch pass if its first key, a number of four bytes (least first), is larger than all before it, and drops the
/// batch if not: deduplication as one would write it.
pub fn only_larger() -> Vec<u8> {
    let rest = r#"
        (global $last (mut i32) (i32.const 0))
        (func $behind (param $at i32) (result i32)
            (loop $more
                (if (i32.ge_u (i32.load8_u (local.get $at)) (i32.const 128))
                    (then (local.set $at (i32.add (local.get $at) (i32.const 1))) (br $more))))
            (i32.add (local.get $at) (i32.const 1)))"#;
    // Length, attributes, two deltas, whether there is a key, its length.
    let body = format!(
        r#"(local $key i32)
        (local.set $key (call $behind (i32.add (local.get $at) (i32.const 16))))
        (local.set $key (call $behind (call $behind (i32.add (local.get $key) (i32.const 1)))))
        (local.set $key (call $behind (i32.add (local.get $key) (i32.const 1))))
        (if (i32.gt_u (i32.load (local.get $key)) (global.get $last))
            (then (global.set $last (i32.load (local.get $key))) {PASS})
            (else {DROP}))"#
    );
    module("filter", &body, rest)
}

/// Zigzag, seven bits a byte, least first.
fn put_varint(out: &mut Vec<u8>, number: usize) {
    let mut rest = number << 1;
    while rest >= 128 {
        out.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    out.push(rest as u8);
}

/// Says no to every batch.
pub fn refuse_all() -> Vec<u8> {
    // No records; an error: hint "no thanks", offset 0, a filter, no key, empty value.
    let data = r#"(data (i32.const 0) "\00\00\00\00\01\00\09no thanks\00\00\00\00\00\00\00\00\00\00\00")"#;
    module("filter", "(call $out (i32.const 0) (i32.const 27))", data)
}

/// Answers every batch with one record of 600 bytes that begins with the number of the call, as a digit from '1'.
pub fn count_calls() -> Vec<u8> {
    // Count 1; record: length 607, attributes, deltas, no key, value length 600, value, headers.
    let data = format!(
        r#"(global $calls (mut i32) (i32.const 48))
           (data (i32.const 0) "\00\00\00\01\be\09\00\00\00\00\b0\09{}\00\00")"#,
        ".".repeat(600)
    );
    let body = r#"
        (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (i32.store8 (i32.const 12) (global.get $calls))
        (call $out (i32.const 0) (i32.const 614))"#;
    module("array_map", body, &data)
}

/// Answers every batch with two bytes: how many records it has been shown by look-back.
pub fn count_look_back() -> Vec<u8> {
    let rest = r#"
        (global $seen (mut i32) (i32.const 0))
        (data (i32.const 0) "\00\00\00\01\10\00\00\00\00\04..\00\00")
        (func (export "look_back") (param $at i32) (param i32 i32) (result i32)
            (global.set $seen (i32.or
                (i32.shl (i32.load8_u (i32.add (local.get $at) (i32.const 14))) (i32.const 8))
                (i32.load8_u (i32.add (local.get $at) (i32.const 15)))))
            (i32.const 0))"#;
    let body = r#"
        (i32.store8 (i32.const 10) (i32.shr_u (global.get $seen) (i32.const 8)))
        (i32.store8 (i32.const 11) (global.get $seen))
        (call $out (i32.const 0) (i32.const 14))"#;
    module("array_map", body, rest)
}

/// Drops the first record of every batch of several.
pub fn behead() -> Vec<u8> {
    let body = format!(
        r#"(local $second i32)
        (if (i32.eq (i32.load8_u (i32.add (local.get $at) (i32.const 15))) (i32.const 1))
            (then {PASS})
            (else
                (local.set $second (i32.add (i32.add (local.get $at) (i32.const 17))
                    (i32.shr_u (i32.load8_u (i32.add (local.get $at) (i32.const 16))) (i32.const 1))))
                (i32.store8 (i32.sub (i32.add (local.get $at) (local.get $len)) (i32.const 8)) (i32.const 0))
                (i32.store8 (i32.sub (local.get $second) (i32.const 4)) (i32.const 0))
                (i32.store8 (i32.sub (local.get $second) (i32.const 3)) (i32.const 0))
                (i32.store8 (i32.sub (local.get $second) (i32.const 2)) (i32.const 0))
                (i32.store8 (i32.sub (local.get $second) (i32.const 1))
                    (i32.sub (i32.load8_u (i32.add (local.get $at) (i32.const 15))) (i32.const 1)))
                (call $out (i32.sub (local.get $second) (i32.const 4))
                    (i32.sub (i32.add (i32.add (local.get $at) (local.get $len)) (i32.const 3)) (local.get $second)))))"#
    );
    module("filter", &body, "")
}

/// Ends in a trap.
pub fn trap() -> Vec<u8> {
    module("filter", "unreachable", "")
}

pub fn ad_hoc(wasm: &[u8]) -> SmartModuleInvocation {
    SmartModuleInvocation {
        wasm: SmartModuleInvocationWasm::adhoc_from_bytes(wasm).unwrap(),
        kind: fluvio::SmartModuleKind::Generic(SmartModuleContextData::None),
        params: SmartModuleExtraParams::default(),
        name: Some("test".to_owned()),
    }
}

pub fn looking_back(wasm: &[u8], look_back: Lookback) -> SmartModuleInvocation {
    let mut invocation = ad_hoc(wasm);
    invocation.params.set_lookback(Some(look_back));
    invocation
}
