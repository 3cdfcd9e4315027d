//! Whether a record is what a test expects.

use ovation_client::ChainRecord;
use serde_json::Value;

use super::case::{ExpectedRecord, ExpectedValue};
use super::time::resolve;

/// A record that a stage gave.
#[derive(Debug, Clone, PartialEq)]
pub struct ActualRecord {
    /// Its key, if it has one.
    pub key: Option<String>,
    /// Its value as text; bytes that are no UTF-8 are replaced.
    pub text: String,
    /// The same as JSON, where it is some and not just a text.
    pub json: Option<Value>,
}

impl ActualRecord {
    pub(super) fn new(record: &ChainRecord) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let json = serde_json::from_slice(&record.value).ok();
        Self {
            key: record.key.as_deref().map(text),
            text: text(&record.value),
            json: json.filter(|value: &Value| !value.is_string()),
        }
    }

    /// A field of its value.
    pub(super) fn field(&self, name: &str) -> Option<&Value> {
        self.json.as_ref()?.get(name)
    }
}

/// Whether the record is what is expected.
pub(super) fn matches(expected: &ExpectedRecord, actual: &ActualRecord) -> bool {
    if expected.key.is_some() && expected.key != actual.key {
        return false;
    }
    match &expected.value {
        None => true,
        Some(ExpectedValue::Text(text)) => *text == actual.text,
        Some(ExpectedValue::Json(value)) => {
            actual.json.as_ref().is_some_and(|json| equal(&resolve(value), json))
        }
        Some(ExpectedValue::Fields(fields)) => {
            let object = actual.json.as_ref().is_some_and(Value::is_object);
            let field = |(name, value): &(String, Value)| {
                actual.field(name).is_some_and(|field| equal(&resolve(value), field))
            };
            object && fields.iter().all(field)
        }
    }
}

/// Deep equality; `1` and `1.0` are one number.
pub(super) fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || (a.is_f64() || b.is_f64()) && a.as_f64() == b.as_f64()
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            let same =
                |(name, value): (&String, &Value)| b.get(name).is_some_and(|other| equal(value, other));
            a.len() == b.len() && a.iter().all(same)
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use serde_json::json;

    fn actual(text: &str) -> ActualRecord {
        ActualRecord::new(&ChainRecord {
            key: Some(Bytes::from_static(b"lobby")),
            value: Bytes::copy_from_slice(text.as_bytes()),
        })
    }

    fn expected(value: ExpectedValue) -> ExpectedRecord {
        ExpectedRecord { key: None, value: Some(value) }
    }

    fn fields(value: &Value) -> ExpectedRecord {
        let fields = value.as_object().expect("an object").clone();
        expected(ExpectedValue::Fields(fields.into_iter().collect()))
    }

    #[test]
    fn given_fields_are_equal_deeply_and_others_do_not_matter() {
        let record =
            actual(r#"{"total":3,"end":1735689610000,"window":{"name":"10s","size":10},"score":0.5}"#);
        for same in [
            json!({}),
            json!({"total": 3}),
            json!({"total": 3.0}),
            json!({"end": "@10s"}),
            json!({"window": {"size": 10, "name": "10s"}, "score": 0.5}),
        ] {
            assert!(matches(&fields(&same), &record), "{same}");
        }
        for other in [
            json!({"total": 4}),
            json!({"total": "3"}),
            json!({"missing": null}),
            json!({"window": {"name": "10s"}}),
            json!({"end": "@11s"}),
        ] {
            assert!(!matches(&fields(&other), &record), "{other}");
        }
        assert!(!matches(&fields(&json!({})), &actual("not an object")));
    }

    #[test]
    fn a_text_is_the_raw_text_and_json_is_the_whole_value() {
        let text = |text: &str| expected(ExpectedValue::Text(text.to_owned()));
        assert!(matches(&text("{ }"), &actual("{ }")));
        assert!(!matches(&text("{}"), &actual("{ }")));
        let json = |value: Value| expected(ExpectedValue::Json(value));
        assert!(matches(&json(json!([1, "@0s"])), &actual("[1, 1735689600000]")));
        assert!(!matches(&json(json!([1])), &actual("[1, 2]")));
        assert!(!matches(&json(json!("a")), &actual("a")));
    }

    #[test]
    fn a_key_is_compared_where_it_is_given() {
        let key = |key: &str| ExpectedRecord { key: Some(key.to_owned()), value: None };
        assert!(matches(&key("lobby"), &actual("")));
        assert!(!matches(&key("other"), &actual("")));
        let letter = ActualRecord { key: None, ..actual("") };
        assert!(!matches(&key("lobby"), &letter));
    }
}
