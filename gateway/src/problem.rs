//! Problems: every error answer is RFC 9457 `application/problem+json` with a stable `type`.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ovation_client::ProduceError;
use serde::Serialize;

use crate::access::{Challenge, Denied};

/// What stands before a problem's name in `type`.
const TYPE_PREFIX: &str = "urn:ovation:problem:";

/// Longest `detail`, in characters: it may quote what the client sent.
const DETAIL_CHARS_MAX: usize = 300;

/// Seconds in `Retry-After` when the broker is away: its connection is tried anew about every second.
const RETRY_AFTER_SECS: u64 = 2;

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    /// Stable name, the last part of `type`.
    name: Cow<'static, str>,
    title: Cow<'static, str>,
    detail: String,
    /// Id of the reaction, where the client may send it again under the same id.
    id: Option<String>,
    retry_after: Option<Duration>,
    /// What `WWW-Authenticate` says.
    challenge: Option<Challenge>,
}

impl Problem {
    fn new(status: StatusCode, name: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            name: name.into(),
            title: title.into(),
            detail: detail.into(),
            id: None,
            retry_after: None,
            challenge: None,
        }
    }

    /// The body is no JSON.
    pub(crate) fn malformed_json(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed-json", "The body is not valid JSON", detail)
    }

    /// The request cannot be read.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "The request cannot be read", detail)
    }

    /// The body did not arrive in time.
    pub(crate) fn body_timeout(limit: Duration) -> Self {
        let detail = format!("the body did not arrive within {} s", limit.as_secs_f32());
        Self::new(StatusCode::REQUEST_TIMEOUT, "body-timeout", "The body took too long", detail)
    }

    /// The body, or a message, is too large.
    pub(crate) fn too_large(limit: usize) -> Self {
        let detail = format!("at most {limit} bytes are taken");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large", detail)
    }

    /// The body is not declared as JSON.
    pub(crate) fn unsupported_media_type() -> Self {
        let detail = "send the body with `Content-Type: application/json`";
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "The body is not JSON",
            detail,
        )
    }

    /// The value is JSON, but no reaction. `code` is the stable reason code, such as `unknown_emoji`.
    pub(crate) fn rejected(code: &str, detail: impl Into<String>) -> Self {
        let mut title = code.replace('_', " ");
        if let Some(first) = title.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            name: code.replace('_', "-").into(),
            title: title.into(),
            detail: detail.into(),
            id: None,
            retry_after: None,
            challenge: None,
        }
    }

    /// No such path.
    pub(crate) fn not_found() -> Self {
        let detail = "there is nothing at this path";
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
    }

    /// The path is there, but not for this method.
    pub(crate) fn method_not_allowed() -> Self {
        let detail = "see the Allow header for the methods of this path";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
    }

    /// The feed was asked for without a WebSocket handshake. `status` is what the handshake's reader says.
    pub(crate) fn no_websocket(status: StatusCode, detail: impl Into<String>) -> Self {
        Self::new(status, "websocket-expected", "The feed is a WebSocket", detail)
    }

    /// All places for feed clients are taken.
    pub(crate) fn too_many_clients() -> Self {
        let detail = "this gateway has as many feed clients as it takes; try another one, or later";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-clients", "Too many clients", detail)
            .retry_after(Duration::from_secs(5))
    }

    /// The broker did not take the reaction `id`.
    pub(crate) fn produce(error: &ProduceError, id: &str) -> Self {
        let unavailable = |name, title, detail: &str| {
            Self::new(StatusCode::SERVICE_UNAVAILABLE, name, title, detail)
                .retry_after(Duration::from_secs(RETRY_AFTER_SECS))
        };
        let problem = match error {
            ProduceError::Full { .. } => unavailable(
                "busy",
                "Too many reactions are on their way",
                "the reaction was not taken; send it again",
            ),
            ProduceError::Deadline { .. } => unavailable(
                "broker-deadline",
                "The broker took too long",
                "the reaction may have been stored; send it again with the `id` of this answer",
            ),
            ProduceError::TooLarge { limit, .. } => Self::too_large(*limit),
            ProduceError::Refused(..) => unavailable(
                "broker-refused",
                "The broker did not take the reaction",
                "the broker is reachable but refused the reaction; send it again later",
            ),
            _ => unavailable(
                "broker-unavailable",
                "The broker is away",
                "the reaction was not acknowledged; send it again with the `id` of this answer",
            ),
        };
        Self { id: Some(id.into()), ..problem }
    }

    fn retry_after(mut self, time: Duration) -> Self {
        self.retry_after = Some(time);
        self
    }

    /// Its status code.
    #[cfg(test)]
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The problem as a JSON object.
    pub(crate) fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Body<'a> {
            r#type: String,
            title: &'a str,
            status: u16,
            #[serde(skip_serializing_if = "str::is_empty")]
            detail: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            id: Option<&'a str>,
        }

        let end = self.detail.char_indices().nth(DETAIL_CHARS_MAX).map_or(self.detail.len(), |(end, _)| end);
        let body = Body {
            r#type: format!("{TYPE_PREFIX}{}", self.name),
            title: &self.title,
            status: self.status.as_u16(),
            detail: &self.detail[..end],
            id: self.id.as_deref(),
        };
        // Strings and a number always serialise.
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// The page that sends the request is not one of those that may.
    pub(crate) fn origin_not_allowed(origin: &str) -> Self {
        let detail = format!(
            "pages of {origin} may not use this gateway; name those that may with --origins, such as --origins {origin}"
        );
        Self::new(StatusCode::FORBIDDEN, "origin-not-allowed", "The page may not use this gateway", detail)
    }

    /// The request is for another host.
    pub(crate) fn misdirected_request() -> Self {
        let detail = "this gateway is open to its own machine only, and answers to localhost and addresses; name other hosts \
            with --origins, give it --keys, or open it with --open";
        Self::new(
            StatusCode::MISDIRECTED_REQUEST,
            "misdirected-request",
            "Not a name of this gateway",
            detail,
        )
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let (status, name, title) = match &denied {
            Denied::OtherUser => (StatusCode::FORBIDDEN, "wrong-user", "The token is for another user"),
            denied if denied.is_unauthorized() => {
                (StatusCode::UNAUTHORIZED, "unauthorized", "A good token is needed")
            }
            _ => (StatusCode::FORBIDDEN, "forbidden", "The token does not cover this"),
        };
        Self { challenge: denied.challenge(), ..Self::new(status, name, title, denied.to_string()) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.to_json()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(time) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(time.as_secs().max(1)));
        }
        if let Some(challenge) = self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge.header()));
        }
        if self.status == StatusCode::UPGRADE_REQUIRED {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        response
    }
}
