//! Results and dead letters with their numbers, whatever the value is.

use ovation_shell::Numbering;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const NUMBERS: Numbering<'_> =
    Numbering { stage: "s\"1", epoch: 2, seq: 30, topic: "source", partition: 4, offset: 500 };
const OWN: &str = r#""stage":"s\"1","epoch":2,"seq":30,"source":{"partition":4,"offset":500}"#;

fn result(value: &str) -> String {
    String::from_utf8(NUMBERS.result(value.as_bytes())).expect("text")
}

#[test]
fn an_object_keeps_its_members_and_their_order() {
    assert_eq!(
        result(r#"{"z":1.50,"a":{"c":1, "b":2}}"#),
        format!(r#"{{"z":1.50,"a":{{"c":1, "b":2}},{OWN}}}"#)
    );
    assert_eq!(result(" {} "), format!("{{{OWN}}}"));
}

#[test]
fn numbers_of_another_stage_are_replaced_where_they_stand() {
    let other = r#"{"seq":9,"a":1,"source":{"partition":0,"offset":1,"more":[]},"stage":null,"b":2}"#;
    let own = r#"{"seq":30,"a":1,"source":{"partition":4,"offset":500},"stage":"s\"1","b":2,"epoch":2}"#;
    assert_eq!(result(other), own);
}

#[test]
fn a_number_that_is_named_twice_or_in_other_letters_is_there_once() {
    let twice = r#"{"seq":1,"seq":2,"s\u0065q":3,"\u0073tage":"x","a":1}"#;
    assert_eq!(
        result(twice),
        r#"{"seq":30,"stage":"s\"1","a":1,"epoch":2,"source":{"partition":4,"offset":500}}"#
    );
}

#[test]
fn what_is_no_object_becomes_a_value() {
    for (value, member) in [
        ("", r#""value":"""#),
        ("plain \"text\"", r#""value":"plain \"text\"""#),
        (" 12.50 ", r#""value":12.50"#),
        ("[1, {}]", r#""value":[1, {}]"#),
        ("null", r#""value":null"#),
        (r#"{"cut":"#, r#""value":"{\"cut\":""#),
        ("{} {}", r#""value":"{} {}""#),
    ] {
        assert_eq!(result(value), format!("{{{OWN},{member}}}"));
    }
    let bytes = String::from_utf8(NUMBERS.result(&[0xff, 0xfe, 0])).expect("text");
    assert_eq!(bytes, format!(r#"{{{OWN},"value":"//4A","encoding":"base64"}}"#));
}

fn any_json() -> impl Strategy<Value = Value> {
    let names =
        prop_oneof![Just("seq".to_owned()), Just("source".to_owned()), ".{0,6}".prop_map(String::from)];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names.clone(), inner, 0..6)
                .prop_map(|members| Value::from(Map::from_iter(members))),
        ]
    })
}

proptest! {
    #[test]
    fn every_json_value_is_numbered_and_kept(value in any_json()) {
        let numbered: Value = serde_json::from_slice(&NUMBERS.result(value.to_string().as_bytes())).expect("JSON");
        let source = json!({"partition": 4, "offset": 500});
        let mut expected = match value {
            Value::Object(members) => members,
            other => Map::from_iter([("value".to_owned(), other)]),
        };
        for (name, number) in [("stage", json!("s\"1")), ("epoch", json!(2)), ("seq", json!(30)), ("source", source)] {
            expected.insert(name.to_owned(), number);
        }
        prop_assert_eq!(numbered, Value::from(expected));
    }

    #[test]
    fn every_value_of_any_bytes_gives_an_object_with_its_numbers(value in prop::collection::vec(any::<u8>(), 0..40)) {
        let numbered: Value = serde_json::from_slice(&NUMBERS.result(&value)).expect("JSON");
        prop_assert_eq!((&numbered["epoch"], &numbered["seq"]), (&json!(2), &json!(30)));
    }
}
