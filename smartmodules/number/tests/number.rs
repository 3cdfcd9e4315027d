//! What a stage without state stores, record by record.

use ovation_number::Number;
use ovation_processor::native::{Answered, call};
use ovation_processor::{Contract, Transform};

const T0: i64 = 1_795_426_840_000;

fn open(extra: &[(&str, &str)]) -> Contract<Number> {
    let own = [("ovation.stage", "n"), ("ovation.partition", "3"), ("ovation.source", "raw")];
    let params = own.iter().chain(extra).map(|(name, value)| (*name, *value)).collect();
    Contract::open(&params).expect("opens")
}

fn values(answer: &[Answered], tag: Option<&str>) -> Vec<(Option<String>, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let of_tag = answer.iter().filter(|record| record.tag() == tag);
    of_tag.map(|record| (record.key.as_deref().map(text), text(&record.value))).collect()
}

#[test]
fn values_of_every_kind_become_results_under_the_record_s_key() {
    let records: [(&str, &[u8]); 5] =
        [("a", b"{\"b\":1,\"a\":2}"), ("", b"text"), ("c", b"7"), ("d", &[0xff]), ("e", b"")];
    let answer = call(&mut open(&[]), 10, T0, &records).expect("numbers");
    let numbers = |seq: u64, offset: i64| {
        format!(r#""stage":"n","epoch":1,"seq":{seq},"source":{{"partition":3,"offset":{offset}}}"#)
    };
    let some = |key: &str| Some(key.to_owned());
    let expected = [
        (some("a"), format!(r#"{{"b":1,"a":2,{}}}"#, numbers(1, 10))),
        (None, format!(r#"{{{},"value":"text"}}"#, numbers(2, 11))),
        (some("c"), format!(r#"{{{},"value":7}}"#, numbers(3, 12))),
        (some("d"), format!(r#"{{{},"value":"/w==","encoding":"base64"}}"#, numbers(4, 13))),
        (some("e"), format!(r#"{{{},"value":""}}"#, numbers(5, 14))),
    ];
    assert_eq!(values(&answer, None), expected);
}

#[test]
fn a_reject_keeps_what_it_says_and_gets_numbers() {
    let reject = r#"{"reason":"late","detail":"too late","room":"lobby","event":"/w==","event_encoding":"base64","seq":99}"#;
    let answer =
        call(&mut open(&[]), 5, T0, &[("\u{1}reject", reject), ("\u{1}reject", "no JSON")]).expect("numbers");
    let letters = values(&answer, Some("reject"));
    let source = r#""source":{"topic":"raw","partition":3,"offset":5}"#;
    let first = format!(
        r#"{{"reason":"late","detail":"too late","room":"lobby","event":"/w==","event_encoding":"base64","seq":1,"stage":"n","epoch":1,{source}}}"#
    );
    assert_eq!(letters[0].1, first);
    assert!(
        letters[1].1.starts_with(r#"{"reason":"malformed""#) && letters[1].1.contains(r#""event":"no JSON""#)
    );
    assert_eq!(values(&answer, None).len(), 0);
}

#[test]
fn its_time_is_the_records_and_nothing_waits() {
    let mut number = open(&[("ovation.checkpoint.interval-ms", "1000")]);
    let first =
        call(&mut number, 0, T0, &[("a", "1"), ("\u{1}skip", ""), ("\u{1}tick", "{}")]).expect("numbers");
    let said = first.last().expect("progress").json();
    assert_eq!((said["stream_time"].as_i64(), said["next"].as_i64()), (Some(T0), Some(3)));
    assert_eq!(
        (said["dirty"].as_bool(), said["open"].as_u64(), said["backlog"].as_u64()),
        (Some(false), Some(0), Some(0))
    );
    let later = call(&mut number, 3, T0 + 1_000, &[("a", "2")]).expect("numbers");
    assert_eq!(values(&later, Some("checkpoint")).len(), 1, "a second of record time has passed");
    let earlier = call(&mut number, 4, T0, &[("a", "3")]).expect("numbers");
    assert_eq!(earlier.last().expect("progress").json()["stream_time"].as_i64(), Some(T0 + 1_000));
}
