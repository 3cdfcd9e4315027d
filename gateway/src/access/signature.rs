//! A token's signature, checked with the gateway's keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::TOKEN_BYTES_MAX;
use super::denied::Denied;
use super::keys::Keys;

/// The part of a JWS header that counts.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that have to be understood; none is.
    crit: Option<IgnoredAny>,
}

/// The claims of a token whose signature is good. The header only chooses among the keys: what is done with a key is the
/// key's own business.
pub(super) fn payload_of(token: &str, keys: &Keys) -> Result<Vec<u8>, Denied> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Denied::TooLong);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(NO_JWT)?;
    let (header, payload) = signed.split_once('.').ok_or(NO_JWT)?;
    if payload.contains('.') {
        return Err(NO_JWT);
    }
    let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| NO_JWT)?;
    // An array would be read as the members in their order.
    if !header.trim_ascii_start().starts_with(b"{") {
        return Err(NO_JWT);
    }
    let header: Header = serde_json::from_slice(&header).map_err(|_| NO_JWT)?;
    if header.crit.is_some() {
        return Err(Denied::Malformed("it has a `crit` header, and no extension is known here"));
    }
    let mut tried = false;
    for key in keys.chosen_by(&header.alg, header.kid.as_deref()) {
        tried = true;
        if key.has_signed(signed.as_bytes(), signature) {
            return URL_SAFE_NO_PAD.decode(payload).map_err(|_| NO_JWT);
        }
    }
    Err(if tried { Denied::BadSignature } else { Denied::UnknownKey })
}

const NO_JWT: Denied = Denied::Malformed("it is no JWT: three parts of base64url with dots between them");
