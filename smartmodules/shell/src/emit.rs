//! Where a stage's results and dead letters go, and the numbers that they get.

use serde::Serialize;

use crate::dead_letter::{is_tagged_reject, tagged_reject};
use crate::tags::{CONTROL, REJECT_KEY};
use crate::{Output, SourceRecord, reason};

/// What every numbered record says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbering<'a> {
    /// Stage.
    pub stage: &'a str,
    /// Epoch: counts resets.
    pub epoch: u64,
    /// 1, 2, 3, … per stage, epoch and source partition.
    pub seq: u64,
    /// Source topic.
    pub topic: &'a str,
    /// Source partition.
    pub partition: u32,
    /// Source offset of the record that gave rise to this.
    pub offset: i64,
}

/// What a stage is told of itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identity {
    pub(crate) stage: String,
    pub(crate) epoch: u64,
    pub(crate) topic: String,
    pub(crate) partition: u32,
    pub(crate) config: String,
}

/// How far a stage has come.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counters {
    /// Next source offset; none before the first record of a stream without a start.
    pub(crate) next: Option<i64>,
    pub(crate) seq: u64,
    pub(crate) reject_seq: u64,
}

/// Where a stage's results and rejects go; numbers them.
#[derive(Debug)]
pub struct Emit<'a> {
    pub(crate) out: &'a mut Output,
    pub(crate) identity: &'a Identity,
    pub(crate) counters: &'a mut Counters,
    pub(crate) delta: (i64, i64),
    pub(crate) offset: i64,
    /// Value of the record at hand.
    pub(crate) event: &'a [u8],
}

impl Emit<'_> {
    /// Emits a result under a key; `write` gets its numbers and writes its JSON value. Answers its bytes.
    pub fn result(&mut self, key: &str, write: impl FnOnce(&Numbering<'_>) -> Vec<u8>) -> usize {
        self.keyed(Some(key.as_bytes()), write)
    }

    /// As [`Emit::result`], under any key or none. A key that begins with U+0001 is the engine's: the record at hand becomes a dead
    /// letter instead.
    pub fn keyed(&mut self, key: Option<&[u8]>, write: impl FnOnce(&Numbering<'_>) -> Vec<u8>) -> usize {
        if key.and_then(<[u8]>::first) == Some(&CONTROL) {
            self.dead_letter(reason::KEY_MISMATCH, reason::RESERVED_KEY, self.event);
            return 0;
        }
        self.counters.seq += 1;
        let value = write(&self.numbering(self.counters.seq));
        self.out.push(self.delta.0, self.delta.1, key, &value);
        key.map_or(0, <[u8]>::len) + value.len()
    }

    /// Emits what `value` serialises to as a result, as [`Emit::value`] does. Answers its bytes.
    ///
    /// # Errors
    /// If it does not serialise; then nothing was emitted, and no number used.
    pub fn json<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> serde_json::Result<usize> {
        let value = serde_json::to_vec(value)?;
        Ok(self.value(Some(key.as_bytes()), &value))
    }

    /// Emits a value of any kind as a result that carries its numbers, see [`Numbering::result`]. Answers its bytes.
    pub fn value(&mut self, key: Option<&[u8]>, value: &[u8]) -> usize {
        self.keyed(key, |numbers| numbers.result(value))
    }

    /// Emits a dead letter; `write` gets its numbers and writes its JSON value.
    pub fn reject(&mut self, write: impl FnOnce(&Numbering<'_>) -> Vec<u8>) {
        self.counters.reject_seq += 1;
        let value = write(&self.numbering(self.counters.reject_seq));
        self.out.push(self.delta.0, self.delta.1, Some(REJECT_KEY.as_bytes()), &value);
    }

    /// Emits a dead letter about an event: a stable code, a sentence for a person, and the bytes that were received.
    pub fn dead_letter(&mut self, reason: &str, detail: &str, event: &[u8]) {
        let tagged = tagged_reject(reason, detail, event);
        self.reject(|numbers| numbers.letter(&tagged));
    }

    /// Emits the reject that an earlier module tagged as a dead letter; one that is none becomes a dead letter about that.
    pub fn forward_reject(&mut self, record: &SourceRecord<'_>) {
        if is_tagged_reject(record.value) {
            self.reject(|numbers| numbers.letter(record.value));
        } else {
            self.dead_letter(reason::MALFORMED, "not a reject of an earlier module", record.value);
        }
    }

    /// Source partition and offset of the record at hand.
    #[must_use]
    pub fn place(&self) -> (u32, i64) {
        (self.identity.partition, self.offset)
    }

    fn numbering(&self, seq: u64) -> Numbering<'_> {
        let Identity { stage, epoch, topic, partition, .. } = self.identity;
        Numbering { stage, epoch: *epoch, seq, topic, partition: *partition, offset: self.offset }
    }
}
