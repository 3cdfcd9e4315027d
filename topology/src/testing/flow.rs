//! Records on one line, as YAML that a topology can hold.

use serde_json::Value;

use super::case::{ExpectedRecord, ExpectedValue};
use super::compare::ActualRecord;
use super::time::{resolve, shown};
use crate::quantity::parse_duration;

/// Words that are no text in one version of YAML or another.
const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];

/// Which part of a record is shown.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape<'a> {
    /// Its key, and all of its value.
    Whole,
    /// What this expectation names.
    Named(&'a ExpectedRecord),
}

/// What is expected, as `{ key: lobby, value: { total: 1 } }`.
pub(super) fn expected(record: &ExpectedRecord) -> String {
    let value = record.value.as_ref().map(|value| match value {
        ExpectedValue::Text(text) => scalar(text),
        ExpectedValue::Json(value) => flow(&resolve(value)),
        ExpectedValue::Fields(fields) => {
            object(fields.iter().map(|(name, value)| (name.as_str(), flow(&resolve(value)))))
        }
    });
    line(record.key.as_deref(), value)
}

/// What came, in the same form.
pub(super) fn actual(record: &ActualRecord, shape: Shape<'_>) -> String {
    let whole = || record.json.as_ref().map_or_else(|| scalar(&record.text), flow);
    match shape {
        Shape::Whole => line(record.key.as_deref(), Some(whole())),
        Shape::Named(expected) => {
            let value = expected.value.as_ref().map(|value| match value {
                ExpectedValue::Text(_) => scalar(&record.text),
                ExpectedValue::Json(_) => whole(),
                ExpectedValue::Fields(_) if !record.json.as_ref().is_some_and(Value::is_object) => whole(),
                ExpectedValue::Fields(fields) => object(
                    fields.iter().filter_map(|(name, _)| Some((name.as_str(), flow(record.field(name)?)))),
                ),
            });
            line(expected.key.as_ref().and(record.key.as_deref()), value)
        }
    }
}

fn line(key: Option<&str>, value: Option<String>) -> String {
    object([key.map(|key| ("key", scalar(key))), value.map(|value| ("value", value))].into_iter().flatten())
}

fn object<'a>(fields: impl Iterator<Item = (&'a str, String)>) -> String {
    let fields: Vec<String> = fields.map(|(name, value)| format!("{}: {value}", scalar(name))).collect();
    if fields.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", fields.join(", ")) }
}

fn flow(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(_) => value.to_string(),
        Value::Number(number) => match number.as_i64().and_then(shown) {
            Some(time) => format!("{time:?}"),
            None => number.to_string(),
        },
        Value::String(text) => scalar(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => object(fields.iter().map(|(name, value)| (name.as_str(), flow(value)))),
    }
}

/// A text, in quotes where YAML might take it for something else.
fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { Value::from(text).to_string() }
}

fn is_plain(text: &str) -> bool {
    let harmless = |letter: char| match letter {
        '_' | '-' | '/' | '.' => true,
        letter if letter.is_ascii() => letter.is_ascii_alphanumeric(),
        letter => !letter.is_control() && !letter.is_whitespace() && letter != '\u{feff}',
    };
    let begins = text.chars().next().is_some_and(|first| !first.is_ascii() || first.is_ascii_alphabetic());
    let is_word = WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    // `10s` is a text, where `10` and `1e3` are numbers.
    (begins || parse_duration(text).is_some()) && !is_word && text.chars().all(harmless)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn values_are_yaml_in_flow_style() {
        let value =
            json!({"a": [1, 2.5, null, true], "b": {"end": 1_735_689_610_000i64}, "c": {}, "d": "x y"});
        assert_eq!(flow(&value), r#"{ a: [1, 2.5, null, true], b: { end: "@10s" }, c: {}, d: "x y" }"#);
    }

    #[test]
    fn texts_are_quoted_where_they_could_be_something_else() {
        for plain in ["lobby", "10s", "🔥", "❤\u{fe0f}", "unknown_name", "a.b/c-d", "é"] {
            assert_eq!(scalar(plain), plain);
        }
        for quoted in [
            "", "10", "1e3", "0x1F", "true", "No", "~", "-", "a: b", "a #b", "[", "@1s", "a,b", " a", "10 s",
            "a\nb", "\u{85}",
        ] {
            assert!(scalar(quoted).starts_with('"'), "{quoted:?}");
        }
    }

    proptest! {
        #[test]
        fn a_yaml_reader_reads_what_was_written(text in any::<String>(), number in any::<f64>(), whole in any::<i64>()) {
            // The texts that stand for times are times for the reader as well.
            prop_assume!(!text.starts_with('@'));
            let value = json!({"text": text, text.as_str(): [number, {"whole": whole}]});
            let read: Value = serde_saphyr::from_str(&flow(&value)).expect("YAML");
            let read = resolve(&read);
            prop_assert!(super::super::compare::equal(&read, &value), "{} became {}", value, read);
        }
    }
}
