//! The records that a module gives back, written as the engine reads them.

use fluvio_smartmodule::dataplane::core::Encoder;
use fluvio_smartmodule::dataplane::smartmodule::SmartModuleTransformRuntimeError;

use crate::tags::PACK_KEY;
use crate::{RecordRef, varint};

/// An encoded `SmartModuleOutput` in the making: a count, the records, and whether there was an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    bytes: Vec<u8>,
    count: u32,
}

const COUNT_BYTES: usize = 4;

impl Default for Output {
    fn default() -> Self {
        Self { bytes: vec![0; COUNT_BYTES], count: 0 }
    }
}

impl Output {
    /// How many records were written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether no record was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Passes a record on as it came.
    pub fn pass(&mut self, record: &RecordRef<'_>) {
        self.bytes.extend_from_slice(record.raw);
        self.count += 1;
    }

    /// Writes a record with another key or value in the place of `record`.
    pub fn replace(&mut self, record: &RecordRef<'_>, key: Option<&[u8]>, value: &[u8]) {
        self.push(record.offset_delta, record.timestamp_delta, key, value);
    }

    /// Writes a record.
    pub fn push(&mut self, offset_delta: i64, timestamp_delta: i64, key: Option<&[u8]>, value: &[u8]) {
        // Attributes, key tag and headers take a byte each.
        let key_size = key.map_or(0, |key| varint::size(key.len() as i64) + key.len());
        let length = 3
            + varint::size(timestamp_delta)
            + varint::size(offset_delta)
            + key_size
            + varint::size(value.len() as i64)
            + value.len();
        let out = &mut self.bytes;
        varint::write(out, length as i64);
        out.push(0);
        varint::write(out, timestamp_delta);
        varint::write(out, offset_delta);
        match key {
            Some(key) => {
                out.push(1);
                varint::write(out, key.len() as i64);
                out.extend_from_slice(key);
            }
            None => out.push(0),
        }
        varint::write(out, value.len() as i64);
        out.extend_from_slice(value);
        varint::write(out, 0);
        self.count += 1;
    }

    /// All these records as the value of one. The engine takes each record that one module hands to the next apart and writes it
    /// anew, byte by byte, which costs more than what most modules do with it.
    #[must_use]
    pub fn packed(mut self) -> Self {
        self.write_count();
        let mut pack = Self::default();
        pack.push(0, 0, Some(PACK_KEY.as_bytes()), &self.bytes);
        pack
    }

    fn write_count(&mut self) {
        self.bytes[..COUNT_BYTES].copy_from_slice(&(self.count as i32).to_be_bytes());
    }

    /// The finished bytes.
    #[must_use]
    pub fn finish(mut self, error: Option<&SmartModuleTransformRuntimeError>, version: i16) -> Vec<u8> {
        self.write_count();
        match error {
            None => self.bytes.push(0),
            Some(error) => {
                self.bytes.push(1);
                // Encoding into memory cannot fail; a cut error would only lose its text.
                let _ = error.encode(&mut self.bytes, version);
            }
        }
        self.bytes
    }
}
