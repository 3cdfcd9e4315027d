//! YAML as a tree in which everything has its place, so that one look finds all mistakes and not only the first.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Error as YamlError, Location, Spanned};

/// Mappings and lists in one another, at most. No topology needs ten.
const DEPTH_MAX: usize = 64;
/// Values in a file, at most.
const NODES_MAX: usize = 250_000;

/// A value with its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Location,
    pub(crate) kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    /// In the order of the file; a key may stand there twice.
    Map(Vec<(Key, Node)>),
}

/// A mapping's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) place: Location,
}

/// Text, a number or a truth value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scalar {
    /// As it is written.
    pub(crate) text: String,
    /// What YAML takes it for.
    pub(crate) value: Value,
}

/// What YAML takes a scalar for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    Text,
    Bool(bool),
    Int(i64),
    Unsigned(u64),
    Float(f64),
}

impl Node {
    /// Reads one document.
    pub(crate) fn read(text: &str) -> Result<Self, YamlError> {
        let options = serde_saphyr::options! {
            with_snippet: false,
            // `no` and `on` are text.
            strict_booleans: true,
            // Found again where the tree is looked at, all of them.
            duplicate_keys: DuplicateKeyPolicy::PassThrough,
            budget: serde_saphyr::budget! { max_depth: DEPTH_MAX, max_nodes: NODES_MAX },
            alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: NODES_MAX },
        };
        let raw: Spanned<Raw> = serde_saphyr::from_str_with_options(text, options)?;
        Ok(Self::of(raw, text))
    }

    fn of(raw: Spanned<Raw>, text: &str) -> Self {
        let place = raw.referenced;
        let kind = match raw.value {
            Raw::Null => Kind::Null,
            Raw::Text(text) => Kind::Scalar(Scalar { text, value: Value::Text }),
            Raw::Plain(value) => Kind::Scalar(Scalar { text: written(&raw.defined, text, value), value }),
            Raw::List(items) => Kind::List(items.into_iter().map(|item| Self::of(item, text)).collect()),
            Raw::Map(entries) => Kind::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| {
                        (Key { text: key.value, place: key.referenced }, Self::of(value, text))
                    })
                    .collect(),
            ),
        };
        Self { place, kind }
    }

    /// What it is, for a message.
    pub(crate) fn what(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "nothing",
            Kind::Scalar(Scalar { value: Value::Text, .. }) => "a text",
            Kind::Scalar(Scalar { value: Value::Bool(_), .. }) => "a truth value",
            Kind::Scalar(_) => "a number",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }

    /// The bytes of the file from its first to its last, brackets included.
    pub(crate) fn bytes(&self, text: &str) -> Range<usize> {
        let own = bytes_of(&self.place);
        let last = match &self.kind {
            Kind::Null | Kind::Scalar(_) => own.end,
            Kind::List(items) => items.iter().map(|item| item.bytes(text).end).max().unwrap_or(own.end),
            Kind::Map(entries) => {
                entries.iter().map(|(_, value)| value.bytes(text).end).max().unwrap_or(own.end)
            }
        };
        let end = last.max(own.end);
        let closing = match text.as_bytes().get(own.start) {
            Some(b'[') if matches!(self.kind, Kind::List(_)) => b']',
            Some(b'{') if matches!(self.kind, Kind::Map(_)) => b'}',
            _ => return own.start..end,
        };
        // Behind the last value come blanks, commas and comments, and then what closes it.
        let mut is_comment = false;
        for (index, byte) in text.bytes().enumerate().skip(end) {
            match byte {
                b'\n' => is_comment = false,
                b'#' => is_comment = true,
                byte if byte == closing && !is_comment => return own.start..index + 1,
                _ => {}
            }
        }
        own.start..end
    }

    /// The value as JSON; keys that stand there twice count once.
    pub(crate) fn json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.kind {
            Kind::Null => Json::Null,
            Kind::Scalar(scalar) => match scalar.value {
                Value::Text => Json::from(scalar.text.as_str()),
                Value::Bool(value) => Json::from(value),
                Value::Int(value) => Json::from(value),
                Value::Unsigned(value) => Json::from(value),
                Value::Float(value) => Json::from(value),
            },
            Kind::List(items) => Json::Array(items.iter().map(Node::json).collect()),
            Kind::Map(entries) => {
                Json::Object(entries.iter().map(|(key, value)| (key.text.clone(), value.json())).collect())
            }
        }
    }
}

/// Where a place is in the file's bytes.
pub(crate) fn bytes_of(place: &Location) -> Range<usize> {
    let number = |value: Option<u64>| value.and_then(|value| usize::try_from(value).ok()).unwrap_or(0);
    let span = place.span();
    let start = number(span.byte_offset());
    start..start + number(span.byte_len())
}

/// A number or truth value as it stands in the file, `1.10` and not `1.1`.
fn written(place: &Location, text: &str, value: Value) -> String {
    let found = text.get(bytes_of(place)).map(str::trim);
    match found.filter(|found| !found.is_empty() && !found.starts_with('*')) {
        Some(found) => found.to_owned(),
        None => match value {
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Unsigned(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            Value::Text => String::new(),
        },
    }
}

/// A value as the parser hands it over.
enum Raw {
    Null,
    Text(String),
    Plain(Value),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Plain(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Plain(Value::Int(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Plain(Value::Unsigned(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Plain(Value::Float(value)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Node {
        let Kind::Map(mut entries) = Node::read(text).expect("reads").kind else { panic!("a mapping") };
        entries.swap_remove(0).1
    }

    #[test]
    fn a_values_bytes_go_from_its_first_to_its_last() {
        for (text, expected) in [
            ("a: [x, { b: 1 } ] # ]\n", "[x, { b: 1 } ]"),
            ("a: [\n  x, # ]\n  y,\n]\nz: 1\n", "[\n  x, # ]\n  y,\n]"),
            ("a: []\n", "[]"),
            ("a:\n  - x: 1\n    y: { z: 'q' }\nb: 2\n", "- x: 1\n    y: { z: 'q' }"),
        ] {
            let found = list(text).bytes(text);
            // A block list begins with its first hyphen.
            assert_eq!(text[found].trim_end(), expected, "{text:?}");
        }
    }

    #[test]
    fn numbers_stay_as_they_are_written() {
        let Kind::List(items) = list("a: [1.10, 0x10, -3, true, 'x', ~]").kind else { panic!("a list") };
        let texts: Vec<_> = items
            .iter()
            .map(|item| match &item.kind {
                Kind::Scalar(scalar) => scalar.text.as_str(),
                _ => "",
            })
            .collect();
        assert_eq!(texts, ["1.10", "0x10", "-3", "true", "x", ""]);
    }

    #[test]
    fn deep_and_wide_files_are_refused_and_not_followed() {
        assert!(Node::read(&"[".repeat(100_000)).is_err());
        let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for (name, of) in ["b", "c", "d", "e", "f", "g", "h"].iter().zip(["a", "b", "c", "d", "e", "f", "g"])
        {
            bomb.push_str(&format!("{name}: &{name} [{}]\n", vec![format!("*{of}"); 9].join(",")));
        }
        assert!(Node::read(&bomb).is_err());
    }
}
