//! Where a request carries its token.

use axum::http::{HeaderMap, header};

/// The feed's subprotocol.
pub(crate) const PROTOCOL: &str = "ovation.v1";

/// What stands before a token among the subprotocols: the one header that a page can set on a WebSocket.
const TOKEN_PROTOCOL_PREFIX: &str = "ovation.token.";

/// The token of `Authorization: Bearer …`.
pub(crate) fn token_in(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The token of a WebSocket upgrade: that of the header, or the one among the subprotocols.
pub(crate) fn token_in_upgrade(headers: &HeaderMap) -> Option<&str> {
    token_in(headers).or_else(|| {
        let lines = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
        lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            .find_map(|protocol| protocol.trim().strip_prefix(TOKEN_PROTOCOL_PREFIX))
            .map(str::trim)
            .filter(|token| !token.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn headers(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value.parse().expect("a header"));
        }
        headers
    }

    #[test]
    fn a_token_is_in_the_authorization_header() {
        let of = |value| token_in(&headers(&[(header::AUTHORIZATION, value)])).map(str::to_owned);
        assert_eq!(of("Bearer a.b.c").as_deref(), Some("a.b.c"));
        assert_eq!(of("bearer   a.b.c ").as_deref(), Some("a.b.c"));
        for other in ["Basic dXNlcjpwYXNz", "Bearer", "Bearer ", "a.b.c", ""] {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(token_in(&HeaderMap::new()), None);
    }

    #[test]
    fn a_token_is_among_the_subprotocols() {
        let protocol = header::SEC_WEBSOCKET_PROTOCOL;
        let one = headers(&[(protocol.clone(), "ovation.v1, ovation.token.a.b.c")]);
        assert_eq!(token_in_upgrade(&one), Some("a.b.c"));
        let two = headers(&[(protocol.clone(), "ovation.v1"), (protocol.clone(), "ovation.token.a.b.c")]);
        assert_eq!(token_in_upgrade(&two), Some("a.b.c"));
        let both = headers(&[(header::AUTHORIZATION, "Bearer d"), (protocol.clone(), "ovation.token.a.b.c")]);
        assert_eq!(token_in_upgrade(&both), Some("d"));
        let spaced = headers(&[(protocol.clone(), "ovation.v1, ovation.token. a.b.c")]);
        assert_eq!(token_in_upgrade(&spaced), Some("a.b.c"));
        for none in ["ovation.v1, ovation.token.", "ovation.v1, ovation.token. ,"] {
            assert_eq!(token_in_upgrade(&headers(&[(protocol.clone(), none)])), None);
        }
    }
}
