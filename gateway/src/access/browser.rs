//! What browsers need and what they must not do: origins, CORS, and host names that point here from elsewhere.

use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::Access;
use super::origin::{Host, Origin};
use crate::problem::Problem;

/// How long a browser remembers what it may send.
const CORS_MAX_AGE: Duration = Duration::from_secs(3_600);

/// Headers that a page may send.
const ALLOWED_HEADERS: [HeaderName; 4] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("x-request-id"),
];

/// Headers of an answer that a page may read.
const EXPOSED_HEADERS: [HeaderName; 4] = [
    header::RETRY_AFTER,
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    HeaderName::from_static("x-request-id"),
];

/// Tells browsers which pages may use the gateway. No cookies: a token is sent on purpose or not at all.
pub(crate) fn cors_layer(access: &Arc<Access>) -> CorsLayer {
    let access = Arc::clone(access);
    let allowed = move |origin: &HeaderValue, parts: &Parts| {
        access.allows_origin(origin, host_of(&parts.headers, &parts.uri).as_ref())
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allowed))
        .allow_methods([Method::GET, Method::POST, Method::OPTIONS])
        .allow_headers(ALLOWED_HEADERS)
        .expose_headers(EXPOSED_HEADERS)
        .max_age(CORS_MAX_AGE)
}

impl Access {
    /// Which pages may frame a room's: the gateway's own, and those of origins that may use it.
    pub(crate) fn frame_ancestors(&self) -> String {
        if self.origins.iter().any(super::OriginPattern::is_any) {
            return "*".to_owned();
        }
        let others = self.origins.iter().map(super::OriginPattern::source);
        std::iter::once("'self'".to_owned()).chain(others).collect::<Vec<_>>().join(" ")
    }

    /// Refuses what comes from a page that is not allowed. CORS alone would only keep its answer from the page, and a post
    /// or a WebSocket has its effect before that.
    pub(crate) fn check_page(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
        let origin = headers.get(header::ORIGIN);
        if origin.is_none() && !self.own_names_only {
            return Ok(());
        }
        let host = host_of(headers, uri);
        if self.own_names_only && !self.answers_to(headers, host.as_ref()) {
            return Err(Problem::misdirected_request());
        }
        match origin {
            Some(origin) if !self.allows_origin(origin, host.as_ref()) => {
                Err(Problem::origin_not_allowed(origin.to_str().unwrap_or("null")))
            }
            _ => Ok(()),
        }
    }

    /// Whether a page of this origin may use the gateway.
    fn allows_origin(&self, origin: &HeaderValue, host: Option<&Host>) -> bool {
        if self.origins.iter().any(super::OriginPattern::is_any) {
            return true;
        }
        let Some(origin) = origin.to_str().ok().and_then(Origin::parse) else { return false };
        host.is_some_and(|host| origin.is_of(host))
            || self.origins.iter().any(|pattern| pattern.matches(&origin))
            || (self.origins.is_empty() && self.loopback && origin.is_own_machine())
    }

    /// Whether the gateway, open and on this machine only, answers to this name. Another one may have been made to point
    /// here by a page that wants to use the gateway as if it were its own (DNS rebinding).
    fn answers_to(&self, headers: &HeaderMap, host: Option<&Host>) -> bool {
        match host {
            Some(host) => host.is_own() || self.origins.iter().any(|pattern| pattern.names_host(&host.name)),
            // Every browser sends one.
            None => !headers.contains_key(header::HOST),
        }
    }
}

/// The host that a request is for: of HTTP/2 in its address, of HTTP/1.1 in a header.
fn host_of(headers: &HeaderMap, uri: &Uri) -> Option<Host> {
    match uri.authority() {
        Some(authority) => Host::parse(authority.as_str()),
        None => Host::parse(headers.get(header::HOST)?.to_str().ok()?),
    }
}
