//! Requests and responses on the wire: a length (i32, big-endian), a header, a body. Every length is checked
//! before anything is allocated for it; Fluvio's own codec trusts them.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use fluvio_protocol::api::{RequestHeader, ResponseMessage};
use fluvio_protocol::{Decoder, Encoder, Version};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Key, version, correlation and the length of the client's name.
const HEADER_BYTES_MIN: usize = 10;
/// The buffer for a request grows by at most so much ahead of what has arrived.
const READ_AHEAD_BYTES: usize = 64 << 10;

/// Why a client's bytes are no request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadRequest {
    #[error("a request of {length} bytes, {max} are allowed")]
    Length { length: i32, max: u32 },
    #[error("unknown request key {0}")]
    Key(u16),
    #[error("request {key} has version {version}, which is not spoken here")]
    Version { key: u16, version: i16 },
    #[error("the request stopped in the middle")]
    Stalled,
    #[error("the request cannot be decoded: {0}")]
    Malformed(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A request as it came.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) header: RequestHeader,
    pub(crate) body: Bytes,
}

impl Request {
    /// Decodes the body with one of Fluvio's decoders.
    pub(crate) fn decode<T: Decoder>(&self) -> Result<T, BadRequest> {
        decode(&mut self.body.clone(), self.header.api_version())
    }

    /// The response to this request, as a frame.
    pub(crate) fn respond<P: Encoder + Default>(&self, response: P) -> Result<Bytes, BadRequest> {
        respond(&self.header, response)
    }
}

/// Reads one request. `max` gives the largest length for a request key, or none for a key that is unknown.
/// Returns None when the client has closed between requests.
pub(crate) async fn read_request(
    reader: &mut (impl AsyncRead + Unpin),
    max: impl Fn(u16) -> Option<u32>,
    stall: Duration,
) -> Result<Option<Request>, BadRequest> {
    let mut head = BytesMut::with_capacity(16);
    // Waiting for a request may take forever, the rest of it may not.
    if reader.read_buf(&mut (&mut head).limit(1)).await? == 0 {
        return Ok(None);
    }
    fill(reader, &mut head, 4 + HEADER_BYTES_MIN, stall).await?;
    let length = head.get_i32();
    let key = u16::from_be_bytes([head[0], head[1]]);
    let max = max(key).ok_or(BadRequest::Key(key))?;
    let size = usize::try_from(length).unwrap_or(0);
    if size < HEADER_BYTES_MIN || size > max as usize {
        return Err(BadRequest::Length { length, max });
    }
    fill(reader, &mut head, size, stall).await?;
    let mut body = head.freeze();
    let header = decode(&mut body, 0)?;
    Ok(Some(Request { header, body }))
}

async fn fill(
    reader: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    size: usize,
    stall: Duration,
) -> Result<(), BadRequest> {
    while buffer.len() < size {
        let missing = size - buffer.len();
        buffer.reserve(missing.min(READ_AHEAD_BYTES.max(buffer.len())));
        let mut limited = (&mut *buffer).limit(missing);
        let read = tokio::time::timeout(stall, reader.read_buf(&mut limited)).await;
        if read.map_err(|_| BadRequest::Stalled)?? == 0 {
            return Err(BadRequest::Stalled);
        }
    }
    Ok(())
}

/// Runs one of Fluvio's decoders. They panic on some input that is too short.
pub(crate) fn decode<T: Decoder>(source: &mut Bytes, version: Version) -> Result<T, BadRequest> {
    guarded(|| T::decode_from(source, version).map_err(|error| BadRequest::Malformed(error.to_string())))
}

/// Runs code that decodes what a client sent.
pub(crate) fn guarded<T>(run: impl FnOnce() -> Result<T, BadRequest>) -> Result<T, BadRequest> {
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err(BadRequest::Malformed("the decoder panicked".to_owned())))
}

/// A response as a frame.
pub(crate) fn respond<P: Encoder + Default>(
    header: &RequestHeader,
    response: P,
) -> Result<Bytes, BadRequest> {
    let message = ResponseMessage::from_header(header, response);
    let version = header.api_version();
    let size = message.write_size(version);
    let mut out = BytesMut::with_capacity(4 + size);
    out.put_i32(0);
    message.encode(&mut out, version)?;
    let length = i32::try_from(out.len() - 4).map_err(io::Error::other)?;
    out[..4].copy_from_slice(&length.to_be_bytes());
    Ok(out.freeze())
}

/// Batches in a response, already encoded: Fluvio's own type would take them apart and together again.
#[derive(Debug, Default)]
pub(crate) struct RecordBytes(pub(crate) Bytes);

impl Encoder for RecordBytes {
    fn write_size(&self, _version: Version) -> usize {
        4 + self.0.len()
    }

    fn encode<T: BufMut>(&self, dest: &mut T, _version: Version) -> Result<(), io::Error> {
        dest.put_i32(i32::try_from(self.0.len()).map_err(io::Error::other)?);
        dest.put_slice(&self.0);
        Ok(())
    }
}

impl Decoder for RecordBytes {
    fn decode<T: Buf>(&mut self, src: &mut T, version: Version) -> Result<(), io::Error> {
        let mut length: u32 = 0;
        length.decode(src, version)?;
        if src.remaining() < length as usize {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.0 = src.copy_to_bytes(length as usize);
        Ok(())
    }
}

/// Takes fields off a request body, each length checked.
pub(crate) struct Fields<'a>(pub(crate) &'a mut Bytes);

impl Fields<'_> {
    pub(crate) fn bytes(&mut self, length: usize) -> Result<Bytes, BadRequest> {
        if self.0.len() < length {
            return Err(BadRequest::Malformed("a field is cut short".to_owned()));
        }
        Ok(self.0.split_to(length))
    }

    pub(crate) fn bool(&mut self) -> Result<bool, BadRequest> {
        Ok(self.bytes(1)?.get_u8() != 0)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, BadRequest> {
        Ok(self.bytes(2)?.get_i16())
    }

    pub(crate) fn i32(&mut self) -> Result<i32, BadRequest> {
        Ok(self.bytes(4)?.get_i32())
    }

    pub(crate) fn u32(&mut self) -> Result<u32, BadRequest> {
        Ok(self.bytes(4)?.get_u32())
    }

    /// A count of things that follow; negative ones are Kafka's null.
    pub(crate) fn count(&mut self) -> Result<usize, BadRequest> {
        Ok(usize::try_from(self.i32()?).unwrap_or(0))
    }

    pub(crate) fn string(&mut self) -> Result<String, BadRequest> {
        let length = usize::try_from(self.i16()?).unwrap_or(0);
        let bytes = self.bytes(length)?;
        String::from_utf8(bytes.to_vec()).map_err(|error| BadRequest::Malformed(error.to_string()))
    }

    /// Bytes after their own length.
    pub(crate) fn block(&mut self) -> Result<Bytes, BadRequest> {
        let length = self.i32()?;
        let length =
            usize::try_from(length).map_err(|_| BadRequest::Malformed(format!("length {length}")))?;
        self.bytes(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> Result<Option<Request>, BadRequest> {
        let max = |key| (key == 18).then_some(1000);
        read_request(&mut &bytes[..], max, Duration::from_secs(5)).await
    }

    fn frame(length: i32, key: u16) -> Vec<u8> {
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend(key.to_be_bytes());
        bytes.extend([0, 2, 0, 0, 0, 9, 0, 1, b'x', b'y', b'z']);
        bytes
    }

    #[tokio::test]
    async fn a_request_is_split_from_its_header() {
        let request = read(&frame(13, 18)).await.unwrap().unwrap();
        assert_eq!((request.header.correlation_id(), request.header.client_id().as_str()), (9, "x"));
        assert_eq!(&request.body[..], b"yz");
        assert!(read(b"").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn lengths_and_keys_are_checked() {
        for length in [-1, 0, 9, 1001, i32::MAX, i32::MIN] {
            assert!(matches!(read(&frame(length, 18)).await, Err(BadRequest::Length { .. })), "{length}");
        }
        assert!(matches!(read(&frame(13, 19)).await, Err(BadRequest::Key(19))));
        assert!(matches!(read(&frame(14, 18)).await, Err(BadRequest::Stalled)));
        assert!(matches!(read(&frame(13, 18)[..7]).await, Err(BadRequest::Stalled)));
    }

    #[tokio::test]
    async fn a_request_that_stops_in_the_middle_is_given_up() {
        let (mut client, mut server) = tokio::io::duplex(64);
        tokio::io::AsyncWriteExt::write_all(&mut client, &frame(500, 18)).await.unwrap();
        let result = read_request(&mut server, |_| Some(1000), Duration::from_millis(50)).await;
        assert!(matches!(result, Err(BadRequest::Stalled)));
    }
}
