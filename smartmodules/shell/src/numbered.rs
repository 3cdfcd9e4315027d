//! JSON objects that carry their numbers: results as readers, router and fence need them, and dead letters.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Numbering;
use crate::dead_letter::base64;

/// The members that are set, in the order in which they come where they are new.
const NUMBERS: [&str; 4] = ["stage", "epoch", "seq", "source"];

impl Numbering<'_> {
    /// A value as a result. A JSON object keeps its members and their order; `stage`, `epoch`, `seq` and `source` are replaced
    /// where they are there (a result of another stage has its own), and else come last. Anything else becomes the member
    /// `value` of an object: JSON as it is, other text as a string, and bytes that are no text as base64, with
    /// `"encoding":"base64"`.
    #[must_use]
    pub fn result(&self, value: &[u8]) -> Vec<u8> {
        let source = Source { topic: None, partition: self.partition, offset: self.offset };
        self.object(value, &source).unwrap_or_else(|| self.wrapped(value, &source))
    }

    /// A tagged reject, which is an object, as a dead letter.
    pub(crate) fn letter(&self, tagged: &[u8]) -> Vec<u8> {
        let source = Source { topic: Some(self.topic), partition: self.partition, offset: self.offset };
        self.object(tagged, &source).unwrap_or_default()
    }

    fn object(&self, value: &[u8], source: &Source<'_>) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(value.len() + NUMBERED_BYTES);
        let mut json = serde_json::Deserializer::from_slice(value);
        Members { numbers: self, source, out: &mut out }.deserialize(&mut json).ok()?;
        json.end().ok()?;
        Some(out)
    }

    fn wrapped(&self, value: &[u8], source: &Source<'_>) -> Vec<u8> {
        let mut out = Vec::with_capacity(value.len() + NUMBERED_BYTES);
        out.push(b'{');
        for number in 0..NUMBERS.len() {
            self.member(number, source, &mut out);
        }
        match (serde_json::from_slice::<&RawValue>(value), std::str::from_utf8(value)) {
            (Ok(json), _) => member(&mut out, "value", json),
            (_, Ok(text)) => member(&mut out, "value", text),
            (_, Err(_)) => {
                member(&mut out, "value", base64(value).as_str());
                member(&mut out, "encoding", "base64");
            }
        }
        out.push(b'}');
        out
    }

    fn member(&self, number: usize, source: &Source<'_>, out: &mut Vec<u8>) {
        let name = NUMBERS[number];
        match number {
            0 => member(out, name, self.stage),
            1 => member(out, name, &self.epoch),
            2 => member(out, name, &self.seq),
            _ => member(out, name, source),
        }
    }
}

/// About what the numbers take.
const NUMBERED_BYTES: usize = 128;

/// Writes a member of an object that was begun.
fn member<T: Serialize + ?Sized>(out: &mut Vec<u8>, name: &str, value: &T) {
    // Nothing but the brace that begins it: this is the first one.
    if out.len() > 1 {
        out.push(b',');
    }
    // Writing text and numbers into memory cannot fail.
    let _ = serde_json::to_writer(&mut *out, name);
    out.push(b':');
    let _ = serde_json::to_writer(&mut *out, value);
}

#[derive(Serialize)]
struct Source<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    partition: u32,
    offset: i64,
}

/// Copies an object's members, and sets the numbers.
struct Members<'a> {
    numbers: &'a Numbering<'a>,
    source: &'a Source<'a>,
    out: &'a mut Vec<u8>,
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let Self { numbers, source, out } = self;
        let mut set = [false; NUMBERS.len()];
        out.push(b'{');
        while let Some(Name(name)) = map.next_key()? {
            let value: &RawValue = map.next_value()?;
            match NUMBERS.iter().position(|number| *number == name) {
                // An object that says a name twice gets its number once: readers refuse it twice.
                Some(number) if std::mem::replace(&mut set[number], true) => {}
                Some(number) => numbers.member(number, source, out),
                None => member(out, &name, value),
            }
        }
        for number in (0..NUMBERS.len()).filter(|number| !set[*number]) {
            numbers.member(number, source, out);
        }
        out.push(b'}');
        Ok(())
    }
}
