//! A request's body: its type, its encoding, its size, its time.

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::Semaphore;
use tokio_util::io::StreamReader;

use super::Ingest;
use crate::problem::Problem;

/// Encodings that are taken, as `Accept-Encoding` writes them.
const ENCODINGS: &str = "gzip, zstd, br";

/// Largest window of a zstd body, as a power of two: 8 MiB, which RFC 9659 has for the web.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// What is made room for at first, in bytes: a body with one reaction fits.
const FIRST_BYTES: usize = 16 * 1024;

/// What a route takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    /// Whether NDJSON is taken, too.
    pub(super) lines: bool,
    /// Largest body over the wire, in bytes.
    pub(super) bytes_max: usize,
    /// Largest body after decompression, in bytes.
    pub(super) inflated_bytes_max: usize,
}

/// Reads a body to its end, within the limits.
pub(super) async fn read(
    taken: Taken,
    config: &Ingest,
    decoders: &Semaphore,
    headers: &HeaderMap,
    body: Body,
) -> Result<Bytes, Problem> {
    if !is_taken(headers, taken.lines) {
        let types = "application/json";
        let lines = "application/json` or `application/x-ndjson";
        return Err(Problem::unsupported_media_type(if taken.lines { lines } else { types }));
    }
    let encoding = Encoding::of(headers)?;
    // Said at once, before the client sends it.
    if content_length(headers).is_some_and(|length| length > taken.bytes_max as u64) {
        return Err(Problem::too_large(taken.bytes_max));
    }
    let reading = async {
        match encoding {
            Encoding::Identity => plain(body, taken.bytes_max).await,
            encoding => {
                let _decoder =
                    decoders.acquire().await.map_err(|error| Problem::bad_request(error.to_string()))?;
                // Boxed: else every request would be as large as a decoder, which is some KB.
                Box::pin(inflated(encoding, body, taken)).await
            }
        }
    };
    let timeout = || Problem::body_timeout(config.body_timeout);
    tokio::time::timeout(config.body_timeout, reading).await.map_err(|_| timeout())?
}

async fn plain(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    match Limited::new(body, bytes_max).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Problem::too_large(bytes_max)),
        Err(error) => Err(Problem::bad_request(format!("the body broke off: {error}"))),
    }
}

async fn inflated(encoding: Encoding, body: Body, taken: Taken) -> Result<Bytes, Problem> {
    let limited = Limited::new(body, taken.bytes_max).into_data_stream();
    let source = StreamReader::new(limited.map_err(std::io::Error::other));
    match encoding {
        Encoding::Gzip => {
            // A gzip file may have several members.
            let mut decoder = GzipDecoder::new(source);
            decoder.multiple_members(true);
            drain(decoder, taken).await
        }
        Encoding::Zstd => {
            let mut decoder =
                ZstdDecoder::with_params(source, &[DParameter::window_log_max(ZSTD_WINDOW_LOG_MAX)]);
            decoder.multiple_members(true);
            drain(decoder, taken).await
        }
        Encoding::Brotli | Encoding::Identity => drain(BrotliDecoder::new(source), taken).await,
    }
}

async fn drain(decoder: impl AsyncRead, taken: Taken) -> Result<Bytes, Problem> {
    let mut decoder = std::pin::pin!(decoder);
    let mut whole = Vec::new();
    loop {
        if whole.len() == whole.capacity() {
            // Twice as much each time, and in the end one byte more than may be: it tells that there is more.
            let more =
                whole.len().max(FIRST_BYTES).min(taken.inflated_bytes_max.saturating_add(1) - whole.len());
            whole.reserve_exact(more);
        }
        match decoder.read_buf(&mut whole).await {
            Ok(0) => return Ok(whole.into()),
            Ok(_) if whole.len() > taken.inflated_bytes_max => {
                return Err(Problem::too_large_inflated(taken.inflated_bytes_max));
            }
            Ok(_) => {}
            Err(error) if is_length_limit(&error) => return Err(Problem::too_large(taken.bytes_max)),
            Err(error) => {
                return Err(Problem::malformed_json(format!(
                    "the body is not what its encoding says: {error}"
                )));
            }
        }
    }
}

fn is_length_limit(error: &std::io::Error) -> bool {
    let mut cause = error.get_ref().map(|cause| cause as &(dyn std::error::Error + 'static));
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
    Brotli,
}

impl Encoding {
    /// The encoding that the headers name.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut lines = headers.get_all(header::CONTENT_ENCODING).iter();
        let Some(line) = lines.next() else { return Ok(Self::Identity) };
        let name = line.to_str().unwrap_or_default().trim();
        match name.to_ascii_lowercase().as_str() {
            _ if lines.next().is_some() => Err(Problem::unsupported_encoding(ENCODINGS)),
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            "br" => Ok(Self::Brotli),
            _ => Err(Problem::unsupported_encoding(ENCODINGS)),
        }
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// JSON, or what a browser calls it where it may not say so: `text/plain` needs no preflight, and is what beacons send.
fn is_taken(headers: &HeaderMap, lines: bool) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" | "text/plain" => true,
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => lines,
        other => {
            other.strip_prefix("application/").is_some_and(|kind| kind.ends_with("+json") && kind.len() > 5)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::ReadBuf;

    use super::*;

    /// A decoder that fills whatever it is given, and counts.
    struct Zeros<'a> {
        left: usize,
        given: &'a mut usize,
    }

    impl AsyncRead for Zeros<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<std::io::Result<()>> {
            let count = buffer.remaining().min(self.left);
            buffer.initialize_unfilled_to(count).fill(0);
            buffer.advance(count);
            self.left -= count;
            *self.given += count;
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn no_more_is_decompressed_than_may_be_and_no_more_is_held() {
        for inflated_bytes_max in [1, FIRST_BYTES, 100_000, 1024 * 1024] {
            let taken = Taken { lines: true, bytes_max: 1, inflated_bytes_max };
            let mut given = 0;
            let bomb = Zeros { left: usize::MAX, given: &mut given };
            assert_eq!(drain(bomb, taken).await.expect_err("refused").kind().name, "too-large");
            assert!(given <= inflated_bytes_max + 1, "{given} of {inflated_bytes_max}");
            let mut given = 0;
            let full = Zeros { left: inflated_bytes_max, given: &mut given };
            let whole = drain(full, taken).await.expect("a body");
            assert_eq!(whole.len(), inflated_bytes_max);
            let held = whole.try_into_mut().expect("the only one").capacity();
            assert!(held <= inflated_bytes_max + 1, "{held} of {inflated_bytes_max}");
        }
    }
}
