//! A module run natively, as the broker runs it: for its tests.

use ovation_shell::{Batch, CONTROL, Failure, Output, Transform};
use serde_json::Value;

/// A record that a module answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Offset of the source record that it stands in for.
    pub offset: i64,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value.
    pub value: Vec<u8>,
}

impl Answered {
    /// What kind of control record it is, e.g. `progress`; none for a result.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        match self.key.as_deref() {
            Some([CONTROL, tag @ ..]) => std::str::from_utf8(tag).ok(),
            _ => None,
        }
    }

    /// Its value, read as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.value).unwrap_or_default()
    }
}

/// One call of a module: records from `first_offset` on, each with its key (none if it is empty) and value, all of one Fluvio
/// timestamp in ms (none where it is 0).
///
/// # Errors
/// What the module refuses the batch with.
pub fn call<T: Transform, V: AsRef<[u8]>>(
    module: &mut T,
    first_offset: i64,
    timestamp: i64,
    records: &[(&str, V)],
) -> Result<Vec<Answered>, Failure> {
    let mut input = Output::default();
    for (delta, (key, value)) in records.iter().enumerate() {
        let key = (!key.is_empty()).then_some(key.as_bytes());
        input.push(delta as i64, 0, key, value.as_ref());
    }
    let failure = |error: ovation_shell::DecodeError| Failure(error.to_string());
    let (input, mut output) = (input.finish(None, 0), Output::default());
    module.transform(&Batch::from_records(first_offset, timestamp, &input).map_err(failure)?, &mut output)?;
    let output = output.finish(None, 0);
    let answer = Batch::from_records(first_offset, timestamp, &output).map_err(failure)?;
    let answered = answer.records().map(|record| {
        let record = record.map_err(failure)?;
        Ok(Answered {
            offset: answer.offset_of(&record),
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.to_vec(),
        })
    });
    answered.collect()
}
