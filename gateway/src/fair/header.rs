//! The header fields `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers), as structured fields.

use std::fmt::Write as _;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};

use super::{Kind, Rate};

/// What is left.
pub(super) const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// What there is in all.
pub(super) const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// `"user";q=100;w=5, "room";q=40000;w=2`: as many at once as `q`, and as many again after `w` seconds.
pub(super) fn policy(rates: impl Iterator<Item = (Kind, Rate)>) -> HeaderValue {
    let mut text = String::new();
    for (kind, rate) in rates {
        let separator = if text.is_empty() { "" } else { ", " };
        let (quota, window) = (rate.burst(), seconds(rate.time_of(rate.burst().get())));
        // Writing into a string does not fail.
        let _ = write!(text, "{separator}\"{}\";q={quota};w={window}", kind.name());
    }
    value(text)
}

/// `"user";r=42;t=3`: so many more now; the bucket is full again, or holds what was asked for, after `t` seconds.
pub(super) fn limit(kind: Kind, remaining: u32, time: Duration) -> HeaderValue {
    value(format!("\"{}\";r={remaining};t={}", kind.name(), seconds(time)))
}

/// Whole seconds, rounded up: after them it is true.
pub(crate) fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

fn value(text: String) -> HeaderValue {
    // Quotes, digits and names: always a value.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
