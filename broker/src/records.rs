//! Records as they lie in a batch: walked without copying, and every length checked. Fluvio's own decoder
//! allocates what a length says before it looks whether the bytes are there.

use bytes::{BufMut, BytesMut};
use fluvio_protocol::record::{Record, RecordHeader};

/// What is wrong with records.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("malformed record at byte {at}")]
pub(crate) struct BadRecord {
    at: usize,
}

/// One record, borrowed from its batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordView<'a> {
    pub(crate) timestamp_delta: i64,
    pub(crate) offset_delta: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: &'a [u8],
}

impl RecordView<'_> {
    /// An owned copy, for the SmartModule engine.
    pub(crate) fn to_record(self) -> Record {
        let mut preamble = RecordHeader::default();
        preamble.set_offset_delta(self.offset_delta);
        preamble.set_timestamp_delta(self.timestamp_delta);
        Record {
            preamble,
            key: self.key.map(|key| key.to_vec().into()),
            value: self.value.to_vec().into(),
            headers: 0,
        }
    }
}

/// Reads all of `bytes` (a count, then that many records).
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<RecordView<'_>>, BadRecord> {
    let mut views = Vec::new();
    let count = walk(bytes, |view| views.push(view))?;
    debug_assert_eq!(count, views.len());
    Ok(views)
}

/// Checks all of `bytes` and counts the records.
pub(crate) fn count(bytes: &[u8]) -> Result<usize, BadRecord> {
    walk(bytes, |_| ())
}

fn walk<'a>(bytes: &'a [u8], mut visit: impl FnMut(RecordView<'a>)) -> Result<usize, BadRecord> {
    let mut reader = Reader { bytes, at: 0 };
    let count = i32::from_be_bytes(reader.take(4)?.try_into().map_err(|_| BadRecord { at: 0 })?);
    let count = usize::try_from(count).map_err(|_| BadRecord { at: 0 })?;
    for _ in 0..count {
        visit(reader.record()?);
    }
    if reader.at != bytes.len() {
        return Err(BadRecord { at: reader.at });
    }
    Ok(count)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], BadRecord> {
        let end = self.at.checked_add(len).ok_or(BadRecord { at: self.at })?;
        let slice = self.bytes.get(self.at..end).ok_or(BadRecord { at: self.at })?;
        self.at = end;
        Ok(slice)
    }

    fn byte(&mut self) -> Result<u8, BadRecord> {
        Ok(self.take(1)?[0])
    }

    fn varint(&mut self) -> Result<i64, BadRecord> {
        let mut value: u64 = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(BadRecord { at: self.at })
    }

    fn data(&mut self) -> Result<&'a [u8], BadRecord> {
        let at = self.at;
        let len = usize::try_from(self.varint()?).map_err(|_| BadRecord { at })?;
        self.take(len)
    }

    fn record(&mut self) -> Result<RecordView<'a>, BadRecord> {
        let start = self.at;
        let len = usize::try_from(self.varint()?).map_err(|_| BadRecord { at: start })?;
        let end = self.at.checked_add(len).ok_or(BadRecord { at: start })?;
        self.byte()?; // attributes
        let timestamp_delta = self.varint()?;
        let offset_delta = self.varint()?;
        let key = match self.byte()? {
            0 => None,
            1 => Some(self.data()?),
            _ => return Err(BadRecord { at: start }),
        };
        let value = self.data()?;
        self.varint()?; // headers: always a zero
        if self.at != end {
            return Err(BadRecord { at: start });
        }
        Ok(RecordView { timestamp_delta, offset_delta, key, value })
    }
}

/// Encodes records as a batch holds them. Fluvio's encoder goes byte by byte.
pub(crate) fn encode(records: &[Record]) -> BytesMut {
    let size: usize = records
        .iter()
        .map(|record| record.value.len() + record.key.as_ref().map_or(0, |key| key.len()) + 24)
        .sum();
    let mut out = BytesMut::with_capacity(size + 4);
    out.put_i32(records.len() as i32);
    let mut head = Vec::with_capacity(32);
    for record in records {
        head.clear();
        head.push(0);
        put_varint(&mut head, record.preamble.get_timestamp_delta());
        put_varint(&mut head, record.preamble.offset_delta());
        let key = record.key.as_deref();
        head.push(u8::from(key.is_some()));
        let key_len = key.map(|key| varint(key.len() as i64));
        let value_len = varint(record.value.len() as i64);
        let key_size = key.map_or(0, |key| key.len()) + key_len.as_ref().map_or(0, |(_, len)| *len);
        let size = head.len() + key_size + value_len.1 + record.value.len() + 1;
        put_varint(&mut out, size as i64);
        out.put_slice(&head);
        if let (Some(key), Some((bytes, len))) = (key, key_len) {
            out.put_slice(&bytes[..len]);
            out.put_slice(key);
        }
        out.put_slice(&value_len.0[..value_len.1]);
        out.put_slice(&record.value);
        out.put_u8(0); // headers
    }
    out
}

/// Encodes spans of an existing batch again, with fresh offset deltas from zero.
pub(crate) fn encode_views(views: &[RecordView<'_>]) -> BytesMut {
    let records: Vec<Record> = views
        .iter()
        .enumerate()
        .map(|(index, view)| {
            let mut record = view.to_record();
            record.preamble.set_offset_delta(index as i64);
            record
        })
        .collect();
    encode(&records)
}

fn varint(value: i64) -> ([u8; 10], usize) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    let mut out = [0; 10];
    let mut len = 0;
    loop {
        let byte = (rest & 0x7f) as u8;
        rest >>= 7;
        out[len] = if rest == 0 { byte } else { byte | 0x80 };
        len += 1;
        if rest == 0 {
            return (out, len);
        }
    }
}

fn put_varint(out: &mut impl BufMut, value: i64) {
    let (bytes, len) = varint(value);
    out.put_slice(&bytes[..len]);
}

#[cfg(test)]
mod tests {
    use fluvio_protocol::Encoder;

    use super::*;

    fn sample() -> Vec<Record> {
        let mut second = Record::new_key_value("key", vec![7; 300]);
        second.preamble.set_offset_delta(1);
        second.preamble.set_timestamp_delta(70_000);
        vec![Record::new("one"), second, Record::new_key_value("", "")]
    }

    #[test]
    fn our_encoding_is_fluvios() {
        let mut theirs = Vec::new();
        sample().encode(&mut theirs, 0).unwrap();
        assert_eq!(&encode(&sample())[..], &theirs[..]);
    }

    #[test]
    fn views_show_what_was_encoded() {
        let bytes = encode(&sample());
        let views = parse(&bytes).unwrap();
        assert_eq!(views[1].key, Some(&b"key"[..]));
        assert_eq!(views[1].value, &[7; 300]);
        assert_eq!((views[1].timestamp_delta, views[1].offset_delta), (70_000, 1));
        assert_eq!(views[2].key, Some(&b""[..]));
        let back: Vec<Record> = views.iter().map(|view| view.to_record()).collect();
        assert_eq!(encode(&back), bytes);
    }

    #[test]
    fn no_prefix_and_no_flipped_byte_panics() {
        let bytes = encode(&sample());
        for len in 0..bytes.len() {
            assert!(count(&bytes[..len]).is_err(), "{len}");
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.to_vec();
                bad[at] ^= 1 << bit;
                let _ = count(&bad);
            }
        }
    }

    #[test]
    fn huge_lengths_are_refused_without_allocating() {
        let mut bytes = vec![0x7f, 0xff, 0xff, 0xff];
        assert!(parse(&bytes).is_err());
        put_varint(&mut bytes, i64::MAX);
        assert!(parse(&bytes).is_err());
        assert!(parse(&[0xff, 0xff, 0xff, 0xff]).is_err());
    }
}
