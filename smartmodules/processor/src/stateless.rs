//! Modules that hold no state: one record in, exactly one out.

use std::borrow::Cow;

use ovation_shell::{
    Batch, CONTROL, Failure, Output, Params, REJECT_KEY, RecordRef, SKIP_KEY, SourceRecord, Transform,
    reason, tagged_reject,
};

/// A module that answers each record by itself: whatever it keeps may not change an answer, because records come again
/// after a restart, in other batches.
pub trait Stateless: Sized {
    /// Opens the module with its parameters.
    ///
    /// # Errors
    /// A sentence that names the parameter at fault.
    fn open(params: &Params) -> Result<Self, String>;

    /// Judges one record. Control records (ticks, rejects and skips of earlier modules) are never shown to it.
    fn record<'a>(&'a mut self, record: &SourceRecord<'a>) -> Answer<'a>;
}

/// What becomes of a record. It may borrow from the record, or from buffers that the module keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<'a> {
    /// It goes on untouched, without a copy of its parts.
    Pass,
    /// It does not go on, and nobody is told.
    Drop,
    /// It goes on with another value.
    Value(Cow<'a, [u8]>),
    /// It goes on with another key. It stays in its partition.
    Key(Cow<'a, [u8]>),
    /// It goes on with another key and value.
    Record {
        /// Key, if it is to have one.
        key: Option<Cow<'a, [u8]>>,
        /// Value.
        value: Cow<'a, [u8]>,
    },
    /// It becomes a dead letter.
    Reject {
        /// Stable code, e.g. `malformed`; see [`reason`] for common ones.
        reason: Cow<'a, str>,
        /// A sentence for a person.
        detail: Cow<'a, str>,
    },
}

impl<'a> Answer<'a> {
    /// [`Answer::Value`].
    #[must_use]
    pub fn value(value: impl Into<Cow<'a, [u8]>>) -> Self {
        Self::Value(value.into())
    }

    /// [`Answer::Key`].
    #[must_use]
    pub fn key(key: impl Into<Cow<'a, [u8]>>) -> Self {
        Self::Key(key.into())
    }

    /// [`Answer::Reject`].
    #[must_use]
    pub fn reject(reason: impl Into<Cow<'a, str>>, detail: impl Into<Cow<'a, str>>) -> Self {
        Self::Reject { reason: reason.into(), detail: detail.into() }
    }
}

/// A [`Stateless`] module as a transform.
#[derive(Debug)]
pub struct Map<S>(S);

impl<S: Stateless> Transform for Map<S> {
    fn open(params: &Params) -> Result<Self, String> {
        S::open(params).map(Self).map_err(|error| format!("failed to open the transform: {error}"))
    }

    fn transform(&mut self, batch: &Batch<'_>, out: &mut Output) -> Result<(), Failure> {
        for record in batch.records() {
            let record = record.map_err(|error| Failure(error.to_string()))?;
            let source = SourceRecord::of(batch, &record);
            if source.is_control() {
                out.pass(&record);
            } else {
                write(&record, self.0.record(&source), out);
            }
        }
        Ok(())
    }
}

/// Writes exactly one record, whatever the answer: offsets stay contiguous for the module behind.
fn write(record: &RecordRef<'_>, answer: Answer<'_>, out: &mut Output) {
    match answer {
        Answer::Pass => out.pass(record),
        Answer::Drop => out.replace(record, Some(SKIP_KEY.as_bytes()), &[]),
        Answer::Value(value) => out.replace(record, record.key, &value),
        Answer::Key(key) => rekey(record, Some(&key), record.value, out),
        Answer::Record { key, value } => rekey(record, key.as_deref(), &value, out),
        Answer::Reject { reason, detail } => reject(record, &reason, &detail, out),
    }
}

/// A key that begins with U+0001 would make a control record of what is somebody's data.
fn rekey(record: &RecordRef<'_>, key: Option<&[u8]>, value: &[u8], out: &mut Output) {
    if key.and_then(<[u8]>::first) == Some(&CONTROL) {
        reject(record, reason::KEY_MISMATCH, "the new key begins with U+0001, which is reserved", out);
    } else {
        out.replace(record, key, value);
    }
}

fn reject(record: &RecordRef<'_>, reason: &str, detail: &str, out: &mut Output) {
    out.replace(record, Some(REJECT_KEY.as_bytes()), &tagged_reject(reason, detail, record.value));
}
