//! The WebSocket handshake (RFC 6455, 4.2), and what is agreed on in it.
//!
//! Our own, because what follows is: updates go to the sockets straight, as bytes that all clients share, which no library's
//! socket can take.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use axum::response::{IntoResponse as _, Response};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tungstenite::handshake::derive_accept_key;

use crate::access::PROTOCOL;
use crate::form::Codec;
use crate::problem::Problem;
use crate::server::Wire;

/// The feed's subprotocol in MessagePack.
pub(super) const PACKED_PROTOCOL: &str = "ovation.v1.msgpack";

/// What the server says of compression: each message for itself, in both directions (RFC 7692).
const COMPRESSION: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// A client that asks for a WebSocket.
pub(crate) struct Handshake {
    accept_key: String,
    protocol: Option<&'static str>,
    is_packed: bool,
    upgrade: OnUpgrade,
}

/// A connection that has become a WebSocket.
pub(crate) struct Opened {
    /// The connection.
    pub(crate) wire: Wire,
    /// Bytes that the client sent behind its request.
    pub(crate) read: Vec<u8>,
}

impl Handshake {
    /// How messages are written.
    pub(crate) fn codec(&self) -> Codec {
        match self.protocol {
            Some(PACKED_PROTOCOL) => Codec::MessagePack,
            _ => Codec::Json,
        }
    }

    /// Whether messages may be compressed, both ways.
    pub(crate) fn is_packed(&self) -> bool {
        self.is_packed
    }

    /// The answer; `serve` gets the connection when the client has it.
    pub(crate) fn answer<F: Future<Output = ()> + Send + 'static>(
        self,
        serve: impl FnOnce(Opened) -> F + Send + 'static,
    ) -> Response {
        tokio::spawn(async move {
            match self.upgrade.await {
                Ok(upgraded) => {
                    if let Some(opened) = opened(upgraded) {
                        // A task of its own: this one holds what it began with to its end.
                        tokio::spawn(serve(opened));
                    }
                }
                Err(error) => tracing::debug!(%error, "failed to upgrade to a WebSocket"),
            }
        });
        let mut answer = StatusCode::SWITCHING_PROTOCOLS.into_response();
        let headers = answer.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(key) = HeaderValue::try_from(self.accept_key) {
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
        }
        if let Some(protocol) = self.protocol {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        }
        if self.is_packed {
            headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(COMPRESSION));
        }
        answer
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Handshake {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let refuse = |status, detail: &str| Err(Problem::no_websocket(status, detail));
        let headers = &parts.headers;
        if parts.method != Method::GET || parts.version != Version::HTTP_11 {
            return refuse(StatusCode::BAD_REQUEST, "a WebSocket begins with a GET over HTTP/1.1");
        }
        if !names(headers, header::CONNECTION, "upgrade") || !names(headers, header::UPGRADE, "websocket") {
            return refuse(
                StatusCode::BAD_REQUEST,
                "`Connection: Upgrade` and `Upgrade: websocket` are missing",
            );
        }
        if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return refuse(StatusCode::BAD_REQUEST, "`Sec-WebSocket-Version` is not 13");
        }
        let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY) else {
            return refuse(StatusCode::BAD_REQUEST, "`Sec-WebSocket-Key` is missing");
        };
        let accept_key = derive_accept_key(key.as_bytes());
        let offered = || tokens(headers, header::SEC_WEBSOCKET_PROTOCOL, ',');
        let protocol = [PROTOCOL, PACKED_PROTOCOL]
            .into_iter()
            .filter_map(|known| Some((offered().position(|protocol| protocol == known)?, known)));
        let protocol = protocol.min().map(|(_, known)| known);
        let is_packed = tokens(headers, header::SEC_WEBSOCKET_EXTENSIONS, ',').any(is_possible);
        let Some(upgrade) = parts.extensions.remove::<OnUpgrade>() else {
            return refuse(StatusCode::UPGRADE_REQUIRED, "this connection cannot become a WebSocket");
        };
        Ok(Self { accept_key, protocol, is_packed, upgrade })
    }
}

/// Whether compression as it is done here is what a client offers.
fn is_possible(offer: &str) -> bool {
    let mut parts = offer.split(';').map(str::trim);
    parts.next() == Some("permessage-deflate")
        && parts.all(|parameter| {
            let (name, value) = match parameter.split_once('=') {
                Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
                None => (parameter, None),
            };
            match (name, value) {
                ("server_no_context_takeover" | "client_no_context_takeover", None) => true,
                ("client_max_window_bits", None) => true,
                ("client_max_window_bits", Some(bits)) => {
                    bits.parse().is_ok_and(|bits: u8| (8..=15).contains(&bits))
                }
                // A smaller window is more than the compressor here can promise.
                ("server_max_window_bits", Some(bits)) => bits == "15",
                _ => false,
            }
        })
}

/// What stands in the lines of a header.
fn tokens(headers: &HeaderMap, name: HeaderName, separator: char) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(move |line| line.split(separator)).map(str::trim)
}

fn names(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    tokens(headers, name, ',').any(|known| known.eq_ignore_ascii_case(token))
}

fn opened(upgraded: Upgraded) -> Option<Opened> {
    // Every connection is of this server's own making.
    let parts = upgraded.downcast::<TokioIo<Wire>>().ok()?;
    let mut wire = parts.io.into_inner();
    let mut read = parts.read_buf.to_vec();
    read.extend_from_slice(&wire.take_unread());
    Some(Opened { wire, read })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compression_is_agreed_on_where_it_can_be_shared() {
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=12",
            "permessage-deflate;server_max_window_bits=15",
        ] {
            assert!(is_possible(offer), "{offer}");
        }
        for offer in [
            "",
            "x-webkit-deflate-frame",
            "permessage-deflate; server_max_window_bits=10",
            "permessage-deflate; mux",
            "permessage-deflate; client_max_window_bits=99",
        ] {
            assert!(!is_possible(offer), "{offer}");
        }
    }
}
