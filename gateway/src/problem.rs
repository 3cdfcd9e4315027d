//! Problems: every error answer is RFC 9457 `application/problem+json` with a stable `type`.

mod kinds;

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ovation_client::ProduceError;
use ovation_reaction::{Reason, Reject};

pub(crate) use self::kinds::{ALL, Kind};
use crate::access::Denied;
use crate::fair::{self, Limited};
use crate::rooms::Refusal;
use crate::wire::{self, BatchReject};

/// What stands before a problem's name in `type`.
pub(crate) const TYPE_PREFIX: &str = "urn:ovation:problem:";

/// Longest `detail`, in characters: it may quote what the client sent.
const DETAIL_CHARS_MAX: usize = 300;

/// Seconds in `Retry-After` when the broker is away: its connection is tried anew about every second.
const RETRY_AFTER_SECS: u64 = 2;

/// An error answer.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    kind: &'static Kind,
    detail: String,
    /// Id of the reaction, where the client may send it again under the same id.
    id: Option<String>,
    retry_after: Option<Duration>,
    /// What became of each item of a batch of which nothing was stored.
    rejected: Vec<BatchReject>,
    /// Headers that tell more; a second pointer keeps the type small.
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of this kind; `detail` says what exactly.
    pub(crate) fn of(kind: &'static Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            id: None,
            retry_after: None,
            rejected: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// The body is no JSON.
    pub(crate) fn malformed_json(detail: impl Into<String>) -> Self {
        Self::of(kinds::MALFORMED_JSON, detail)
    }

    /// The JSON is nested too deeply.
    pub(crate) fn too_deep(limit: usize) -> Self {
        Self::of(kinds::TOO_DEEP, format!("at most {limit} arrays and objects within each other are taken"))
    }

    /// The request cannot be read.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::of(kinds::BAD_REQUEST, detail)
    }

    /// The body did not arrive in time.
    pub(crate) fn body_timeout(limit: Duration) -> Self {
        Self::of(kinds::BODY_TIMEOUT, format!("the body did not arrive within {} s", limit.as_secs_f32()))
    }

    /// The body, or a message, is too large.
    pub(crate) fn too_large(limit: usize) -> Self {
        Self::of(kinds::TOO_LARGE, format!("at most {limit} bytes are taken"))
    }

    /// The body is too large once it is decompressed.
    pub(crate) fn too_large_inflated(limit: usize) -> Self {
        Self::of(kinds::TOO_LARGE, format!("at most {limit} bytes are taken after decompression"))
    }

    /// A batch has too many items.
    pub(crate) fn too_many_items(limit: usize) -> Self {
        Self::of(kinds::TOO_MANY_ITEMS, format!("at most {limit} reactions are taken in one request"))
    }

    /// The body is of another type than the route takes.
    pub(crate) fn unsupported_media_type(taken: &str) -> Self {
        Self::of(kinds::UNSUPPORTED_MEDIA_TYPE, format!("send the body with `Content-Type: {taken}`"))
    }

    /// The body is encoded in a way that is not known here.
    pub(crate) fn unsupported_encoding(taken: &'static str) -> Self {
        Self::of(kinds::UNSUPPORTED_ENCODING, format!("send the body plain, or in one of {taken}"))
            .header(header::ACCEPT_ENCODING, HeaderValue::from_static(taken))
    }

    /// The client takes no JSON.
    pub(crate) fn not_acceptable() -> Self {
        Self::of(kinds::NOT_ACCEPTABLE, "accept `application/json`, or leave `Accept` out")
    }

    /// The value is JSON, but no reaction.
    pub(crate) fn rejected(reject: Reject) -> Self {
        Self::of(Kind::of(reject.reason), reject.detail)
    }

    /// The value is JSON, but of another shape.
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::of(Kind::of(Reason::Malformed), detail)
    }

    /// The time lies too far back.
    pub(crate) fn past(detail: impl Into<String>) -> Self {
        Self::of(kinds::PAST, detail)
    }

    /// `ref` of a message is too long.
    pub(crate) fn ref_too_long(limit: usize) -> Self {
        Self::of(kinds::REF_TOO_LONG, format!("`ref` takes at most {limit} bytes"))
    }

    /// The feed does not know this type of message.
    pub(crate) fn unknown_message(known: &str) -> Self {
        Self::of(kinds::UNKNOWN_MESSAGE, format!("the feed takes messages of type {known}"))
    }

    /// Without keys nobody is an admin.
    pub(crate) fn admin_needs_keys() -> Self {
        let detail = "admin calls need a token with the action `admin`, and this gateway has no keys to check one with; \
            start it with --keys";
        Self::of(kinds::FORBIDDEN, detail)
    }

    /// Without keys operators are known by the address that they ask.
    pub(crate) fn operators_only() -> Self {
        let detail = "this is for operators: ask on the address that --admin names, or start the gateway with --keys and bring a \
            token with the action `admin`";
        Self::of(kinds::FORBIDDEN, detail)
    }

    /// The page of a browser is not one that may.
    pub(crate) fn origin_not_allowed(origin: &str) -> Self {
        let detail = format!(
            "pages of {origin} may not use this gateway; name those that may with --origins, such as --origins {origin}"
        );
        Self::of(kinds::ORIGIN_NOT_ALLOWED, detail)
    }

    /// The request is for another host.
    pub(crate) fn misdirected_request() -> Self {
        let detail = "this gateway is open to its own machine only, and answers to localhost and addresses; name other hosts \
            with --origins, give it --keys, or open it with --open";
        Self::of(kinds::MISDIRECTED, detail)
    }
    /// More reactions than is fair.
    pub(crate) fn rate_limited(limited: &Limited) -> Self {
        let which = match limited.which {
            fair::Kind::User => "this user",
            fair::Kind::Address => "this address",
            fair::Kind::Room => "this room",
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
        let mut problem = Self::of(kinds::RATE_LIMITED, detail).retry_after(limited.retry_after);
        problem.headers.extend(limited.headers());
        problem
    }

    /// The room does not take this reaction.
    pub(crate) fn room_refuses(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Closed => Self::of(kinds::REACTIONS_CLOSED, refusal.to_string()),
            Refusal::NotAllowed { .. } => Self::of(kinds::EMOJI_NOT_ALLOWED, refusal.to_string()),
            Refusal::Unread => Self::rooms_unread(),
        }
    }

    /// The rooms' settings have not been read yet.
    pub(crate) fn rooms_unread() -> Self {
        let detail = "this gateway has not read the rooms' settings yet; try again";
        Self::of(kinds::ROOMS_UNREAD, detail).retry_after(Duration::from_secs(RETRY_AFTER_SECS))
    }

    /// Rooms can be set in the file alone.
    pub(crate) fn rooms_fixed() -> Self {
        let detail = "rooms are set by the gateway's --rooms file alone, because there is no topic for their settings; add \
            one such as `emoji-rooms` to the topology, with one partition and no fence, and apply it";
        Self::of(kinds::ROOMS_FIXED, detail)
    }

    /// As many rooms have settings of their own as may.
    pub(crate) fn rooms_full(limit: usize) -> Self {
        let detail = format!("{limit} rooms have settings of their own; take some away with DELETE first");
        Self::of(kinds::ROOMS_FULL, detail)
    }

    /// The settings of a room may not have been stored.
    pub(crate) fn rooms_unwritten(detail: impl Into<String>) -> Self {
        Self::of(kinds::ROOMS_UNWRITTEN, detail).retry_after(Duration::from_secs(RETRY_AFTER_SECS))
    }

    /// A room's list of emoji is of no use.
    pub(crate) fn bad_emoji_list(detail: impl Into<String>) -> Self {
        Self::of(kinds::BAD_EMOJI_LIST, detail)
    }

    /// No such path.
    pub(crate) fn not_found() -> Self {
        Self::of(kinds::NOT_FOUND, "there is nothing at this path")
    }

    /// The path is there, but not for this method.
    pub(crate) fn method_not_allowed() -> Self {
        Self::of(kinds::METHOD_NOT_ALLOWED, "see the Allow header for the methods of this path")
    }

    /// The feed was asked for without a WebSocket handshake. `status` is what the handshake's reader says.
    pub(crate) fn no_websocket(status: StatusCode, detail: impl Into<String>) -> Self {
        match status {
            StatusCode::UPGRADE_REQUIRED => Self::of(kinds::UPGRADE_REQUIRED, detail)
                .header(header::UPGRADE, HeaderValue::from_static("websocket")),
            _ => Self::of(kinds::NO_HANDSHAKE, detail),
        }
    }

    /// All places for feed clients are taken.
    pub(crate) fn too_many_clients() -> Self {
        let detail = "this gateway has as many feed clients as it takes; try another one, or later";
        Self::of(kinds::TOO_MANY_CLIENTS, detail).retry_after(Duration::from_secs(5))
    }

    /// A history's times are no range.
    pub(crate) fn bad_range(detail: impl Into<String>) -> Self {
        Self::of(kinds::BAD_RANGE, detail)
    }

    /// A history's step is none.
    pub(crate) fn bad_step(detail: impl Into<String>) -> Self {
        Self::of(kinds::BAD_STEP, detail)
    }

    /// All places to read histories are taken.
    pub(crate) fn too_many_histories() -> Self {
        let detail = "this gateway reads as many histories as it may at a time; try another one, or later";
        Self::of(kinds::TOO_MANY_HISTORIES, detail).retry_after(Duration::from_secs(RETRY_AFTER_SECS))
    }

    /// The topic cannot be read.
    pub(crate) fn history_unavailable(detail: impl Into<String>) -> Self {
        Self::of(kinds::HISTORY_UNAVAILABLE, detail).retry_after(Duration::from_secs(RETRY_AFTER_SECS))
    }

    /// The broker did not take the reaction. With `id` the client may send it again.
    pub(crate) fn produce(error: &ProduceError, id: Option<&str>) -> Self {
        let way_out = match id {
            Some(_) => "send it again with the `id` of this answer, and it counts once",
            // Others' taps are in the same record, so no id is this client's to use.
            None => "sent again it may count twice; give it an `id` to be safe",
        };
        let (kind, detail) = match error {
            ProduceError::TooLarge { limit, .. } => return Self::too_large(*limit),
            ProduceError::Full { .. } => {
                (kinds::BUSY, "the reaction was not taken; send it again".to_owned())
            }
            ProduceError::Deadline { .. } => {
                (kinds::BROKER_DEADLINE, format!("the reaction may have been stored; {way_out}"))
            }
            ProduceError::Refused(..) => {
                let detail = "the broker is reachable but refused the reaction; send it again later";
                (kinds::BROKER_REFUSED, detail.to_owned())
            }
            _ => (kinds::BROKER_UNAVAILABLE, format!("the reaction was not acknowledged; {way_out}")),
        };
        Self { id: id.map(str::to_owned), ..Self::of(kind, detail) }
            .retry_after(Duration::from_secs(RETRY_AFTER_SECS))
    }

    /// The same for a batch of which nothing was stored, with what became of each item.
    pub(crate) fn with_rejected(self, rejected: Vec<BatchReject>) -> Self {
        Self { rejected, id: None, ..self }
    }

    /// Tells the client when to try again.
    pub(crate) fn retry_after(mut self, time: Duration) -> Self {
        self.retry_after = Some(time);
        self
    }

    /// Adds a header to the answer.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Its kind.
    pub(crate) fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// Whether the same request may do better later.
    pub(crate) fn is_passing(&self) -> bool {
        self.retry_after.is_some()
    }

    /// The value of `type`.
    pub(crate) fn type_name(&self) -> String {
        format!("{TYPE_PREFIX}{}", self.kind.name)
    }

    /// What exactly, within its bound.
    pub(crate) fn detail(&self) -> &str {
        let end = self.detail.char_indices().nth(DETAIL_CHARS_MAX).map_or(self.detail.len(), |(end, _)| end);
        &self.detail[..end]
    }

    /// Id to send it again with.
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Seconds to wait, at least one.
    pub(crate) fn retry_after_secs(&self) -> Option<u64> {
        self.retry_after.map(|time| fair::seconds(time).max(1))
    }

    /// The problem as a JSON object.
    pub(crate) fn to_json(&self) -> String {
        let detail = self.detail();
        let body = wire::Problem {
            r#type: self.type_name(),
            title: self.kind.title.to_owned(),
            status: self.kind.status,
            detail: (!detail.is_empty()).then(|| detail.to_owned()),
            id: self.id.clone(),
            retry_after: self.retry_after_secs(),
            rejected: (!self.rejected.is_empty()).then(|| self.rejected.clone()),
        };
        // Strings and numbers always serialise.
        serde_json::to_string(&body).unwrap_or_default()
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let kind = match &denied {
            Denied::OtherUser => kinds::WRONG_USER,
            denied if denied.is_unauthorized() => kinds::UNAUTHORIZED,
            _ => kinds::FORBIDDEN,
        };
        let problem = Self::of(kind, denied.to_string());
        match denied.challenge() {
            Some(challenge) => {
                problem.header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge.header()))
            }
            None => problem,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, self.to_json()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_secs() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        headers.extend(self.headers);
        if matches!(status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
            // The rest of the body is not read, so the connection ends: a client that kept it would lose its next request.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        // For the metrics.
        response.extensions_mut().insert(self.kind);
        response
    }
}
