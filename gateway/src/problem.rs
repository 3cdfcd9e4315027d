//! Problems: every error answer is RFC 9457 `application/problem+json` with a stable `type`.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ovation_client::ProduceError;
use serde::Serialize;

use crate::fair::{Kind, Limited};
use crate::rooms::Refusal;

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
    /// Seconds after which it may be tried again.
    retry_after: Option<u32>,
    /// Further headers, boxed because most have none.
    headers: Option<Box<HeaderMap>>,
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
            headers: None,
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
            headers: None,
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

    /// More reactions than is fair.
    #[cfg_attr(not(test), expect(dead_code, reason = "ingest and feed will answer it"))]
    pub(crate) fn rate_limited(limited: &Limited) -> Self {
        let which = match limited.which {
            Kind::User => "this user",
            Kind::Address => "this address",
            Kind::Room => "this room",
        };
        let (rate, cost) = (limited.rate, limited.cost);
        let detail = if limited.is_too_much_at_once() {
            format!(
                "{cost} reactions at once are more than the {} that {which} may ever send; send fewer at a time",
                rate.burst()
            )
        } else {
            format!(
                "{which} has sent what it may ({rate}); {} of {cost} reactions could be taken now",
                limited.remaining
            )
        };
        let mut headers = HeaderMap::new();
        limited.write_headers(&mut headers);
        Self {
            headers: Some(Box::new(headers)),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", "Too many reactions", detail)
        }
        .retry_after(limited.retry_after)
    }

    /// The room does not take this reaction.
    #[cfg_attr(not(test), expect(dead_code, reason = "ingest and feed will answer it"))]
    pub(crate) fn room_refuses(refusal: &Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::Closed => {
                Self::new(StatusCode::CONFLICT, "reactions-closed", "Reactions are closed", detail)
            }
            Refusal::NotAllowed { .. } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "emoji-not-allowed",
                "The room does not take this emoji",
                detail,
            ),
            Refusal::Unread => Self::rooms_unread(),
        }
    }

    /// The rooms' settings have not been read yet.
    pub(crate) fn rooms_unread() -> Self {
        let detail = "this gateway has not read the rooms' settings yet; try again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "rooms-unread", "The gateway is starting", detail)
            .retry_after(Duration::from_secs(RETRY_AFTER_SECS))
    }

    /// Rooms can be set in the file alone.
    pub(crate) fn rooms_fixed() -> Self {
        let detail = "rooms are set by the gateway's --rooms file alone, because there is no topic for their settings; add             one such as `emoji-rooms` to the topology, with one partition and no fence, and apply it";
        Self::new(StatusCode::NOT_IMPLEMENTED, "rooms-fixed", "Rooms cannot be set here", detail)
    }

    /// As many rooms have settings of their own as may.
    pub(crate) fn too_many_rooms(limit: usize) -> Self {
        let detail = format!("{limit} rooms have settings of their own; take some away with DELETE first");
        Self::new(StatusCode::CONFLICT, "too-many-rooms", "Too many rooms with settings", detail)
    }

    /// The settings of a room may not have been stored.
    pub(crate) fn rooms_unwritten(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "rooms-unwritten",
            "The settings may not be stored",
            detail,
        )
        .retry_after(Duration::from_secs(RETRY_AFTER_SECS))
    }

    /// Says when to try again: in whole seconds, rounded up, and one at least.
    fn retry_after(mut self, time: Duration) -> Self {
        let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
        self.retry_after = Some(u32::try_from(seconds.max(1)).unwrap_or(u32::MAX));
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
            /// For the feed, whose answers have no headers.
            #[serde(skip_serializing_if = "Option::is_none")]
            retry_after: Option<u32>,
        }

        let end = self.detail.char_indices().nth(DETAIL_CHARS_MAX).map_or(self.detail.len(), |(end, _)| end);
        let body = Body {
            r#type: format!("{TYPE_PREFIX}{}", self.name),
            title: &self.title,
            status: self.status.as_u16(),
            detail: &self.detail[..end],
            id: self.id.as_deref(),
            retry_after: self.retry_after,
        };
        // Strings and a number always serialise.
        serde_json::to_string(&body).unwrap_or_default()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.to_json()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(further) = self.headers {
            headers.extend(*further);
        }
        if self.status == StatusCode::UPGRADE_REQUIRED {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        response
    }
}
