//! From a tree to the document's types, with every mistake on the way and not only the first.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_saphyr::Location;

use crate::problem::Problem;
use crate::yaml::{Kind, Node, Scalar, Value};

/// A value with the place that it was written at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) place: Location,
}

/// Where `${NAME}` finds its values.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Collects what is wrong.
pub(crate) struct Reader<'a> {
    pub(crate) file: &'a str,
    pub(crate) text: &'a str,
    pub(crate) environment: Environment<'a>,
    pub(crate) problems: Vec<Problem>,
}

/// Something that can be read from a tree. `None` where it cannot; then a problem was told.
pub(crate) trait Read: Sized {
    /// Whether a key with nothing behind it is one of these. Else it counts as absent, as where all below it is commented out.
    const IS_NOTHING_TOO: bool = false;

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self>;
}

impl Reader<'_> {
    pub(crate) fn problem(&mut self, place: Location, message: String, help: Option<String>) {
        self.problems.push(Problem::new(self.file, Some(place), message, help));
    }

    pub(crate) fn unexpected(&mut self, node: &Node, expected: &str) {
        self.problem(node.place, format!("expected {expected}, found {}", node.what()), None);
    }

    /// A mapping's entries; each key counts once, and a second one is a problem.
    pub(crate) fn entries<'n>(
        &mut self,
        node: &'n Node,
        expected: &str,
    ) -> Option<Vec<(At<String>, &'n Node)>> {
        let Kind::Map(entries) = &node.kind else {
            self.unexpected(node, expected);
            return None;
        };
        let mut found: Vec<(At<String>, &Node)> = Vec::new();
        for (key, value) in entries {
            if found.iter().any(|(other, _)| other.value == key.text) {
                self.problem(key.place, format!("the key {:?} appears twice", key.text), None);
                continue;
            }
            found.push((At { value: key.text.clone(), place: key.place }, value));
        }
        Some(found)
    }

    /// A mapping with keys that are known.
    pub(crate) fn fields<'n>(&mut self, node: &'n Node, expected: &str) -> Option<Fields<'n>> {
        let entries = self.entries(node, expected)?;
        Some(Fields { place: node.place, entries, known: Vec::new() })
    }

    /// The scalar with what `${…}` in it stands for. `None` if that cannot be had.
    fn scalar<'n>(&mut self, node: &'n Node, expected: &str) -> Option<Cow<'n, Scalar>> {
        let Kind::Scalar(scalar) = &node.kind else {
            self.unexpected(node, expected);
            return None;
        };
        if scalar.value != Value::Text || !scalar.text.contains("${") {
            return Some(Cow::Borrowed(scalar));
        }
        match substitute(&scalar.text, self.environment) {
            // What comes from outside is text to YAML; whoever expects a number reads one.
            Ok(text) => Some(Cow::Owned(Scalar { text, value: Value::Text })),
            Err((message, help)) => {
                self.problem(node.place, message, Some(help));
                None
            }
        }
    }
}

/// A mapping's entries while they are read.
pub(crate) struct Fields<'n> {
    place: Location,
    entries: Vec<(At<String>, &'n Node)>,
    known: Vec<&'static str>,
}

impl Fields<'_> {
    /// A key that may be absent.
    pub(crate) fn optional<T: Read>(&mut self, key: &'static str, reader: &mut Reader<'_>) -> Option<T> {
        self.known.push(key);
        let (_, node) = self.entries.iter().find(|(found, _)| found.value == key)?;
        if matches!(node.kind, Kind::Null) && !T::IS_NOTHING_TOO {
            return None;
        }
        T::read(node, reader)
    }

    /// A key that has to be there.
    pub(crate) fn required<T: Read>(&mut self, key: &'static str, reader: &mut Reader<'_>) -> Option<T> {
        match self.entries.iter().find(|(found, _)| found.value == key) {
            None => reader.problem(self.place, format!("the key {key:?} is missing"), None),
            Some((found, node)) if matches!(node.kind, Kind::Null) && !T::IS_NOTHING_TOO => {
                reader.problem(found.place, format!("the key {key:?} has no value"), None);
            }
            Some(_) => {}
        }
        self.optional(key, reader)
    }

    /// Names the keys that nothing was read for.
    pub(crate) fn finish(self, reader: &mut Reader<'_>) {
        for (key, _) in &self.entries {
            if !self.known.contains(&key.value.as_str()) {
                let message = format!("unknown key {:?}; expected {}", key.value, one_of(&self.known));
                let help = did_you_mean(&key.value, self.known.iter().copied());
                reader.problem(key.place, message, help);
            }
        }
    }
}

/// "a", "a or b", "one of a, b, c".
fn one_of(names: &[&str]) -> String {
    match names {
        [] => "nothing here".to_owned(),
        [one] => format!("`{one}`"),
        [one, other] => format!("`{one}` or `{other}`"),
        more => format!("one of `{}`", more.join("`, `")),
    }
}

/// The known name that was most likely meant.
pub(crate) fn did_you_mean<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|name| (strsim::damerau_levenshtein(written, name), name))
        .filter(|(distance, name)| *distance <= (name.len().max(written.len()) / 3).max(1))
        .min()
        .map(|(_, name)| format!("did you mean `{name}`?"))
}

/// `${NAME}` and `${NAME:-default}` become what the environment says, `$${` becomes `${`. The error is a message and its help.
fn substitute(text: &str, environment: Environment<'_>) -> Result<String, (String, String)> {
    let help = || "write `${NAME}` or `${NAME:-default}`; `$${` stands for `${` itself".to_owned();
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let inner = &rest[at + 2..];
        let Some(end) = inner.find('}') else {
            return Err((format!("`{}` has no end", &rest[at..]), help()));
        };
        let (name, default) = match inner[..end].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&inner[..end], None),
        };
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty()
            || !name.bytes().all(fits)
            || name.starts_with(|first: char| first.is_ascii_digit())
        {
            return Err((format!("{name:?} cannot be the name of an environment variable"), help()));
        }
        // As in a shell, one that is empty is as good as none where there is a default.
        match (environment(name).filter(|value| default.is_none() || !value.is_empty()), default) {
            (Some(value), _) => out.push_str(&value),
            (None, Some(default)) => out.push_str(default),
            (None, None) => {
                let message = format!("the environment variable {name} is not set");
                return Err((message, format!("set it, or give a default: `${{{name}:-default}}`")));
            }
        }
        rest = &inner[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

impl<T: Read> Read for At<T> {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        T::read(node, reader).map(|value| At { value, place: node.place })
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Kind::List(items) = &node.kind else {
            reader.unexpected(node, "a list");
            return None;
        };
        Some(items.iter().filter_map(|item| T::read(item, reader)).collect())
    }
}

impl Read for String {
    /// Text, or what looks like a number to YAML where a name or the like is meant.
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        reader.scalar(node, "a text").map(|scalar| scalar.text.clone())
    }
}

impl Read for bool {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        const EXPECTED: &str = "true or false";
        let scalar = reader.scalar(node, EXPECTED)?;
        match (scalar.value, scalar.text.as_str()) {
            (Value::Bool(value), _) => Some(value),
            // From the environment.
            (Value::Text, "true") if matches!(scalar, Cow::Owned(_)) => Some(true),
            (Value::Text, "false") if matches!(scalar, Cow::Owned(_)) => Some(false),
            _ => {
                reader.unexpected(node, EXPECTED);
                None
            }
        }
    }
}

/// A whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number(pub(crate) u32);

impl Read for Number {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        const EXPECTED: &str = "a whole number";
        let scalar = reader.scalar(node, EXPECTED)?;
        let number = match scalar.value {
            Value::Int(value) => u32::try_from(value).ok(),
            Value::Unsigned(value) => u32::try_from(value).ok(),
            Value::Text if matches!(scalar, Cow::Owned(_)) => scalar.text.trim().parse().ok(),
            _ => None,
        };
        if number.is_none() {
            let found =
                if scalar.value == Value::Text { format!("{:?}", scalar.text) } else { scalar.text.clone() };
            reader.problem(node.place, format!("expected {EXPECTED}, found {found}"), None);
        }
        number.map(Number)
    }
}

impl JsonSchema for Number {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": r"\$\{.+\}" },
            ]
        })
    }
}

/// A mapping from names to things, in the order of the file. A thing is `None` where it could not be read; its name is known
/// nevertheless.
#[derive(Debug)]
pub(crate) struct Entries<T>(pub(crate) Vec<(At<String>, Option<T>)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Entries<T> {
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.value.as_str())
    }
}

impl<T: Read> Read for Entries<T> {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let entries = reader.entries(node, "a mapping from names to their settings")?;
        Some(Self(entries.into_iter().map(|(name, node)| (name, T::read(node, reader))).collect()))
    }
}

impl<T: JsonSchema> JsonSchema for Entries<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Entries_of_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        schemars::json_schema!({ "type": "object", "additionalProperties": value })
    }
}

/// A parameter's value: text, a number or a truth value, all of which reach a SmartModule as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plain(pub(crate) String);

impl Read for Plain {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        reader.scalar(node, "text, a number, true or false").map(|scalar| Plain(scalar.text.clone()))
    }
}

impl JsonSchema for Plain {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Plain".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// Any value, with its bytes in the file.
#[derive(Debug, Clone)]
pub(crate) struct Any {
    pub(crate) node: Node,
}

impl Read for Any {
    const IS_NOTHING_TOO: bool = true;

    fn read(node: &Node, _: &mut Reader<'_>) -> Option<Self> {
        Some(Self { node: node.clone() })
    }
}

impl JsonSchema for Any {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Any".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> Result<String, String> {
        let environment = |name: &str| match name {
            "ROOM" => Some("final".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        substitute(text, &environment).map_err(|(message, _)| message)
    }

    #[test]
    fn variables_stand_for_what_the_environment_says() {
        assert_eq!(with("a ${ROOM} b ${ROOM}"), Ok("a final b final".to_owned()));
        assert_eq!(with("${NONE:-x}${ROOM:-x}${EMPTY:-x}${EMPTY}"), Ok("xfinalx".to_owned()));
        assert_eq!(with("${NONE:-}"), Ok(String::new()));
        assert_eq!(with("$${ROOM} costs $5"), Ok("${ROOM} costs $5".to_owned()));
        assert_eq!(with("${NONE}"), Err("the environment variable NONE is not set".to_owned()));
        assert_eq!(with("${NONE"), Err("`${NONE` has no end".to_owned()));
        for bad in ["${}", "${1A}", "${A B}", "${A:B}"] {
            assert!(with(bad).is_err(), "{bad}");
        }
    }
}
