//! Which moments are asked for.

use std::ops::Range;

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde::Deserialize;

use super::super::config::History;
use super::super::query::{Format, bad_after, limit, range};
use crate::problem::Problem;

/// Longest `after` that is looked at, in bytes: a time and an id.
const AFTER_BYTES_MAX: usize = 1_024;

/// The query as it stands in the URL.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Params {
    from: Option<String>,
    to: Option<String>,
    limit: Option<String>,
    after: Option<String>,
    format: Option<String>,
}

/// A moment's place in an answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Its start, ms since 1970.
    pub(super) start: i64,
    pub(super) id: String,
}

impl Place {
    /// Opaque to clients: base64url of `[START,ID]`.
    fn encode(&self) -> String {
        // A number and a text always serialise.
        BASE64URL.encode(serde_json::to_vec(&(self.start, &self.id)).unwrap_or_default())
    }

    fn decode(text: &str) -> Option<Self> {
        let json = BASE64URL.decode(Some(text).filter(|text| text.len() <= AFTER_BYTES_MAX)?).ok()?;
        let (start, id) = serde_json::from_slice(&json).ok()?;
        Some(Self { start, id })
    }
}

/// The query, read and within its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    /// Starts that are wanted, ms since 1970.
    pub(super) range: Range<i64>,
    /// Most moments in the answer.
    pub(super) limit: u32,
    /// Where an earlier answer ended.
    pub(super) after: Option<Place>,
    pub(super) format: Format,
}

impl Query {
    /// Reads a query. `now` is ms since 1970.
    pub(super) fn read(
        params: Params,
        headers: &HeaderMap,
        now: i64,
        config: &History,
    ) -> Result<Self, Problem> {
        let format = Format::read(params.format.as_deref(), headers)?;
        let range = range(params.from.as_deref(), params.to.as_deref(), now, config)?;
        let limit = limit(params.limit.as_deref(), config.moments_max)?;
        let after = params.after.map(|text| Place::decode(&text).ok_or_else(bad_after)).transpose()?;
        Ok(Self { range, limit, after, format })
    }

    /// The query that goes on after this one's answer, relative to its URL.
    pub(super) fn next(&self, after: &Place) -> String {
        let Self { range, limit, format, .. } = self;
        let format = if *format == Format::Csv { "&format=csv" } else { "" };
        format!("?from={}&to={}&limit={limit}{format}&after={}", range.start, range.end, after.encode())
    }
}
