//! One batch of records, as Fluvio encodes it.

use std::borrow::Cow;
use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use fluvio_compression::Compression;
use fluvio_protocol::Encoder;
use fluvio_protocol::record::{BATCH_FILE_HEADER_SIZE, BATCH_HEADER_SIZE, BATCH_PREAMBLE_SIZE};
use fluvio_protocol::record::{Batch as WireBatch, BatchHeader, RawRecords, Record};

use crate::codec;
use crate::records::{self, BadRecord};

// Where the fields lie: base offset, length of what follows it, leader epoch, magic, CRC, attributes, last
// offset delta, first and largest time, producer id, epoch and sequence, then the records.
const AT_LENGTH: usize = 8;
const AT_ATTRIBUTES: usize = 21;
const AT_LAST_DELTA: usize = 23;
const AT_FIRST_TIME: usize = 27;
const AT_MAX_TIME: usize = 35;
const COMPRESSION_MASK: i16 = 0x07;
const HAS_SCHEMA: i16 = 0x10;
const SCHEMA_BYTES: usize = 4;

/// Why bytes are no batch.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadBatch {
    #[error("the batch is cut short")]
    Short,
    #[error("the batch has a wrong length")]
    Length,
    #[error("the batch has an unknown compression")]
    Compression,
    #[error("the batch cannot be decompressed: {0}")]
    Decompress(io::Error),
    #[error(transparent)]
    Record(#[from] BadRecord),
    #[error("the batch announces {announced} records and holds {held}")]
    Count { announced: i64, held: usize },
}

/// A whole batch. Its header has been checked; see [`Batch::validate`] for its records.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    bytes: Bytes,
}

impl Batch {
    /// Splits the first batch off `source`.
    pub(crate) fn split_from(source: &mut Bytes) -> Result<Batch, BadBatch> {
        if source.len() < BATCH_FILE_HEADER_SIZE {
            return Err(BadBatch::Short);
        }
        let length = i32::from_be_bytes(array(source, AT_LENGTH));
        let length = usize::try_from(length).map_err(|_| BadBatch::Length)?;
        let attributes = i16::from_be_bytes(array(source, AT_ATTRIBUTES));
        let schema = if attributes & HAS_SCHEMA != 0 { SCHEMA_BYTES } else { 0 };
        if length < BATCH_HEADER_SIZE + schema {
            return Err(BadBatch::Length);
        }
        if source.len() - BATCH_PREAMBLE_SIZE < length {
            return Err(BadBatch::Short);
        }
        let batch = Batch { bytes: source.split_to(BATCH_PREAMBLE_SIZE + length) };
        if Compression::try_from((attributes & COMPRESSION_MASK) as i8).is_err() {
            return Err(BadBatch::Compression);
        }
        Ok(batch)
    }

    /// Splits a record set into its batches.
    pub(crate) fn split_all(mut source: Bytes) -> Result<Vec<Batch>, BadBatch> {
        let mut batches = Vec::new();
        while !source.is_empty() {
            batches.push(Batch::split_from(&mut source)?);
        }
        Ok(batches)
    }

    /// A new batch of `records`, with the times and the compression of `like`. `last_delta` is the distance from
    /// the batch's first offset to its last: more than the records make, where offsets are left out.
    pub(crate) fn build(
        like: &Batch,
        base_offset: i64,
        last_delta: i32,
        plain: &[u8],
    ) -> Result<Batch, BadBatch> {
        let compression = like.compression();
        let packed = compression
            .compress(plain)
            .map_err(|error| BadBatch::Decompress(io::Error::other(error.to_string())))?;
        let mut header = BatchHeader {
            last_offset_delta: last_delta,
            first_timestamp: like.first_timestamp(),
            max_time_stamp: like.max_timestamp(),
            ..BatchHeader::default()
        };
        header.set_compression(compression);
        Batch::encode(header, base_offset, packed)
    }

    fn encode(header: BatchHeader, base_offset: i64, packed: Bytes) -> Result<Batch, BadBatch> {
        let mut wire = WireBatch::<RawRecords>::default();
        wire.base_offset = base_offset;
        wire.header = header;
        *wire.mut_records() = RawRecords(packed);
        let mut out = BytesMut::with_capacity(wire.write_size(0));
        wire.encode(&mut out, 0).map_err(BadBatch::Decompress)?;
        Ok(Batch { bytes: out.freeze() })
    }

    /// A batch without records, in the place of offsets `base..next`.
    pub(crate) fn empty(base: i64, next: i64) -> Result<Batch, BadBatch> {
        let last_delta = i32::try_from(next - base - 1).map_err(|_| BadBatch::Length)?;
        Batch::encode(
            BatchHeader { last_offset_delta: last_delta, ..BatchHeader::default() },
            base,
            Bytes::from_static(&[0; 4]),
        )
    }

    /// A new batch of owned records.
    pub(crate) fn of(
        like: &Batch,
        base_offset: i64,
        last_delta: i32,
        records: &[Record],
    ) -> Result<Batch, BadBatch> {
        Batch::build(like, base_offset, last_delta, &records::encode(records))
    }

    /// Checks every record, also inside compressed batches: what passes cannot harm a consumer's decoder.
    pub(crate) fn validate(&self, decompressed_max: usize) -> Result<usize, BadBatch> {
        let held = records::count(&self.plain_records(decompressed_max)?)?;
        let announced = i64::from(self.last_delta()) + 1;
        if held == 0 || announced != held as i64 {
            return Err(BadBatch::Count { announced, held });
        }
        Ok(held)
    }

    /// The records, decompressed.
    pub(crate) fn plain_records(&self, max: usize) -> Result<Cow<'_, [u8]>, BadBatch> {
        let schema = if self.attributes() & HAS_SCHEMA != 0 { SCHEMA_BYTES } else { 0 };
        let packed = &self.bytes[BATCH_FILE_HEADER_SIZE + schema..];
        codec::decompress(self.compression(), packed, max).map_err(BadBatch::Decompress)
    }

    /// Writes the batch with another base offset. The batch's own CRC does not cover it.
    pub(crate) fn write_at(&self, base_offset: i64, out: &mut impl BufMut) {
        out.put_i64(base_offset);
        out.put_slice(&self.bytes[AT_LENGTH..]);
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn base_offset(&self) -> i64 {
        i64::from_be_bytes(array(&self.bytes, 0))
    }

    /// Distance from the first offset to the last.
    pub(crate) fn last_delta(&self) -> i32 {
        i32::from_be_bytes(array(&self.bytes, AT_LAST_DELTA))
    }

    /// The first offset after this batch.
    pub(crate) fn next_offset(&self) -> i64 {
        self.base_offset() + i64::from(self.last_delta()) + 1
    }

    pub(crate) fn first_timestamp(&self) -> i64 {
        i64::from_be_bytes(array(&self.bytes, AT_FIRST_TIME))
    }

    pub(crate) fn max_timestamp(&self) -> i64 {
        i64::from_be_bytes(array(&self.bytes, AT_MAX_TIME))
    }

    pub(crate) fn compression(&self) -> Compression {
        Compression::try_from((self.attributes() & COMPRESSION_MASK) as i8).unwrap_or_default()
    }

    fn attributes(&self) -> i16 {
        i16::from_be_bytes(array(&self.bytes, AT_ATTRIBUTES))
    }
}

/// The bytes at a place that the caller has checked to be there.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A batch of `values`, at offset 0, made by Fluvio's own encoder.
    pub(crate) fn sample(values: &[&str]) -> Batch {
        let mut wire: WireBatch = WireBatch::default();
        wire.add_records(&mut values.iter().map(|value| Record::new(*value)).collect());
        wire.header.first_timestamp = 1_000;
        wire.header.max_time_stamp = 2_000;
        let mut out = BytesMut::new();
        wire.encode(&mut out, 0).unwrap();
        Batch::split_from(&mut out.freeze()).unwrap()
    }

    #[test]
    fn fluvios_batch_is_understood() {
        let batch = sample(&["a", "b", "c"]);
        assert_eq!((batch.base_offset(), batch.last_delta(), batch.next_offset()), (0, 2, 3));
        assert_eq!((batch.first_timestamp(), batch.max_timestamp()), (1_000, 2_000));
        assert_eq!(batch.validate(1000).unwrap(), 3);
        let plain = batch.plain_records(1000).unwrap();
        let again = Batch::build(&batch, 0, 2, &plain).unwrap();
        assert_eq!(again.bytes(), batch.bytes());
    }

    #[test]
    fn damaged_headers_are_refused() {
        let good = sample(&["a", "b", "c"]).bytes().clone();
        for len in 0..good.len() {
            assert!(Batch::split_from(&mut good.slice(..len)).is_err());
        }
        for (at, value) in [(AT_LENGTH, -1_i32), (AT_LENGTH, i32::MAX), (AT_LENGTH, 44), (AT_LAST_DELTA, 7)] {
            let mut bad = good.to_vec();
            bad[at..at + 4].copy_from_slice(&value.to_be_bytes());
            let result = Batch::split_from(&mut Bytes::from(bad)).and_then(|batch| batch.validate(1000));
            assert!(result.is_err(), "{at} {value}");
        }
    }
}
