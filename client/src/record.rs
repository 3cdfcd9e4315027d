use bytes::Bytes;

/// A stored record, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Partition number, from 0.
    pub partition: u32,
    /// Place in the partition, from 0.
    pub offset: i64,
    /// Milliseconds since 1970, as the producer stamped it; -1 when there is none.
    pub timestamp: i64,
    /// The key's bytes, if it has one.
    pub key: Option<Bytes>,
    /// The value's bytes.
    pub value: Bytes,
}
