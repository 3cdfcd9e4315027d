//! The batch that a module is called with, borrowed from the bytes the SPU copied in.

use crate::tags::PACK_KEY;
use crate::varint;

/// Bytes that are not what the SmartModule engine sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the batch is not encoded as Fluvio does it ({0})")]
pub struct DecodeError(&'static str);

/// One call's input: records in offset order.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Offset that the records' deltas count from.
    pub base_offset: i64,
    /// Time that the records' deltas count from, ms since 1970; 0 or less where the engine does not say.
    pub base_timestamp: i64,
    count: usize,
    records: &'a [u8],
}

/// One record of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// Offset less the batch's base offset.
    pub offset_delta: i64,
    /// Timestamp less the batch's base timestamp, ms.
    pub timestamp_delta: i64,
    /// Key, if the record has one.
    pub key: Option<&'a [u8]>,
    /// Value.
    pub value: &'a [u8],
    /// The whole record as it is encoded, to pass it on untouched.
    pub raw: &'a [u8],
}

impl<'a> Batch<'a> {
    /// First engine version that appends the batch's base timestamp.
    const TIMESTAMP_VERSION: i16 = 22;

    /// Reads a `SmartModuleInput` as the engine encodes it: base offset, length and bytes of the records, fields
    /// that are no longer used, and (from version 22 on) the base timestamp as the last eight bytes.
    ///
    /// # Errors
    /// If the lengths do not fit the bytes.
    pub fn decode(input: &'a [u8], version: i16) -> Result<Self, DecodeError> {
        let base_offset = read_i64(input, 0).ok_or(DecodeError("base offset"))?;
        let length = read_i32(input, 8).and_then(|length| usize::try_from(length).ok());
        let length = length.ok_or(DecodeError("length"))?;
        let rest = input.get(12..).ok_or(DecodeError("length"))?;
        let raw = rest.get(..length).ok_or(DecodeError("records"))?;
        let base_timestamp = if version >= Self::TIMESTAMP_VERSION && rest.len() >= length + 8 {
            read_i64(input, input.len() - 8).ok_or(DecodeError("timestamp"))?
        } else {
            0
        };
        Self::from_records(base_offset, base_timestamp, raw)
    }

    /// A batch over records as they stand in a Fluvio batch: a count, then each record with its length.
    ///
    /// # Errors
    /// If there is no count.
    pub fn from_records(base_offset: i64, base_timestamp: i64, raw: &'a [u8]) -> Result<Self, DecodeError> {
        if raw.is_empty() {
            return Ok(Self { base_offset, base_timestamp, count: 0, records: raw });
        }
        let count = read_i32(raw, 0).and_then(|count| usize::try_from(count).ok());
        let count = count.ok_or(DecodeError("count"))?;
        Ok(Self { base_offset, base_timestamp, count, records: &raw[4..] })
    }

    /// The batch that an earlier module packed into the one record of this, see [`crate::Output::packed`].
    ///
    /// # Errors
    /// If there is another number of records, or one that is no pack.
    pub fn unpacked(&self) -> Result<Self, DecodeError> {
        let mut records = self.records();
        match (records.next(), records.next()) {
            (Some(Ok(RecordRef { key, value, .. })), None) if key == Some(PACK_KEY.as_bytes()) => {
                Self::from_records(self.base_offset, self.base_timestamp, value)
            }
            _ => Err(DecodeError("pack")),
        }
    }

    /// How many records there should be.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The records in order; ends after the first one that cannot be read.
    pub fn records(&self) -> impl Iterator<Item = Result<RecordRef<'a>, DecodeError>> + use<'a> {
        let (bytes, mut left, mut at) = (self.records, self.count, 0);
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let record = RecordRef::read(bytes, &mut at);
            if record.is_none() {
                left = 0;
            }
            Some(record.ok_or(DecodeError("record")))
        })
    }

    /// Offset of a record of this batch.
    #[must_use]
    pub fn offset_of(&self, record: &RecordRef<'_>) -> i64 {
        self.base_offset.saturating_add(record.offset_delta)
    }

    /// Timestamp of a record of this batch, ms; none where its producer did not say.
    #[must_use]
    pub fn timestamp_of(&self, record: &RecordRef<'_>) -> Option<i64> {
        let time = self.base_timestamp.saturating_add(record.timestamp_delta);
        (self.base_timestamp > 0 && time > 0).then_some(time)
    }
}

impl<'a> RecordRef<'a> {
    #[inline(always)]
    fn read(bytes: &'a [u8], at: &mut usize) -> Option<Self> {
        let from = *at;
        let length = usize::try_from(varint::read(bytes, at)?).ok()?;
        let end = at.checked_add(length).filter(|end| *end <= bytes.len())?;
        let body = &bytes[*at..end];
        // The first byte holds attributes, which nobody sets.
        let mut inner = 1;
        let timestamp_delta = varint::read(body, &mut inner)?;
        let offset_delta = varint::read(body, &mut inner)?;
        let has_key = *body.get(inner)? != 0;
        inner += 1;
        let key = if has_key { Some(read_bytes(body, &mut inner)?) } else { None };
        let value = read_bytes(body, &mut inner)?;
        *at = end;
        Some(Self { offset_delta, timestamp_delta, key, value, raw: &bytes[from..end] })
    }
}

#[inline(always)]
fn read_bytes<'a>(bytes: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let length = usize::try_from(varint::read(bytes, at)?).ok()?;
    let end = at.checked_add(length)?;
    let slice = bytes.get(*at..end)?;
    *at = end;
    Some(slice)
}

fn read_i32(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn read_i64(bytes: &[u8], at: usize) -> Option<i64> {
    Some(i64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
