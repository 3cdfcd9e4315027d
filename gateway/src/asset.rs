//! Files that are served as they stand in the binary: compressed once, and known again by their tag.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::accept;

/// A file, plain and as gzip. All answers share its bytes: clients that do not read would hold a copy each.
#[derive(Debug)]
pub(crate) struct Asset {
    kind: HeaderValue,
    plain: Bytes,
    /// None where it would be no smaller.
    packed: Option<Bytes>,
    tag: HeaderValue,
    caching: HeaderValue,
}

/// Files that change with the binary, and have no version in their names.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");
/// Files that are named after their content.
const KEEP: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

impl Asset {
    /// A file of this `Content-Type`.
    pub(crate) fn new(kind: &'static str, text: impl Into<Bytes>) -> Self {
        let plain = text.into();
        let mut hasher = DefaultHasher::new();
        plain.hash(&mut hasher);
        // Weak: the same text may come in two encodings.
        let tag = format!("W/\"{:016x}\"", hasher.finish());
        Self {
            kind: HeaderValue::from_static(kind),
            packed: packed(&plain).filter(|packed| packed.len() < plain.len()),
            plain,
            // Hexadecimal digits and quotes are always a value.
            tag: HeaderValue::try_from(tag).unwrap_or_else(|_| HeaderValue::from_static("W/\"\"")),
            caching: ASK_AGAIN,
        }
    }

    /// A file whose name tells its content.
    pub(crate) fn named_after_content(kind: &'static str, text: impl Into<Bytes>) -> Self {
        Self { caching: KEEP, ..Self::new(kind, text) }
    }

    /// The answer to a request with these headers: the file, or that the client has it already.
    pub(crate) fn answer(&self, headers: &HeaderMap) -> Response {
        let common = [
            (header::CACHE_CONTROL, self.caching.clone()),
            (header::ETAG, self.tag.clone()),
            (header::VARY, HeaderValue::from_static("accept-encoding")),
        ];
        if self.is_known(headers) {
            return (StatusCode::NOT_MODIFIED, common).into_response();
        }
        let kind = [(header::CONTENT_TYPE, self.kind.clone())];
        match self.packed.as_ref().filter(|_| accept::takes_gzip(headers)) {
            Some(packed) => {
                let encoding = [(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
                (common, kind, encoding, packed.clone()).into_response()
            }
            None => (common, kind, self.plain.clone()).into_response(),
        }
    }

    /// Whether the client says that it has this text.
    fn is_known(&self, headers: &HeaderMap) -> bool {
        let own = self.tag.as_bytes().trim_ascii_start().strip_prefix(b"W/").unwrap_or_default();
        let lines = headers.get_all(header::IF_NONE_MATCH).into_iter();
        let mut tags =
            lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
        tags.any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == own)
    }
}

fn packed(plain: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use axum::body::to_bytes;
    use flate2::read::GzDecoder;

    use super::*;

    const TEXT: &str = "tap tap tap tap tap tap tap tap tap tap tap tap tap tap tap tap tap tap tap tap tap tap tap tap tap tap";

    fn asked(lines: &[(axum::http::HeaderName, &str)]) -> HeaderMap {
        lines.iter().map(|(name, line)| (name.clone(), line.parse().expect("a header"))).collect()
    }

    async fn body(response: Response) -> Vec<u8> {
        to_bytes(response.into_body(), 10_000).await.expect("a body").to_vec()
    }

    #[tokio::test]
    async fn a_file_comes_as_gzip_to_those_that_take_it() {
        let asset = Asset::new("text/plain", TEXT);
        let plain = asset.answer(&HeaderMap::new());
        assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
        assert_eq!(body(plain).await, TEXT.as_bytes());
        let packed = asset.answer(&asked(&[(header::ACCEPT_ENCODING, "br, gzip")]));
        assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
        assert_eq!(packed.headers()[header::VARY], "accept-encoding");
        let packed = body(packed).await;
        let mut text = String::new();
        GzDecoder::new(&packed[..]).read_to_string(&mut text).expect("gzip");
        assert!(text == TEXT && packed.len() < TEXT.len());
        let short = Asset::new("text/plain", "a");
        assert!(
            !short
                .answer(&asked(&[(header::ACCEPT_ENCODING, "gzip")]))
                .headers()
                .contains_key(header::CONTENT_ENCODING)
        );
    }

    #[tokio::test]
    async fn a_file_that_is_known_is_not_sent_again() {
        let asset = Asset::new("text/plain", TEXT);
        let tag = asset.answer(&HeaderMap::new()).headers()[header::ETAG].to_str().expect("text").to_owned();
        let strong = tag.trim_start_matches("W/").to_owned();
        for known in [&tag, &strong, &format!("\"other\", {tag}"), "*"] {
            let answer = asset.answer(&asked(&[(header::IF_NONE_MATCH, known)]));
            assert_eq!((answer.status(), body(answer).await.len()), (StatusCode::NOT_MODIFIED, 0), "{known}");
        }
        let changed = Asset::new("text/plain", "another text");
        let answer = changed.answer(&asked(&[(header::IF_NONE_MATCH, &tag)]));
        assert_eq!(answer.status(), StatusCode::OK);
    }
}
