//! New tokens and new keys, for tests and for back ends that have no library for it.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::claims::{Expected, grant_in};
use super::grant::Action;
use super::keys::{Content, Fault, KeysError, secret_in, text_of};
use super::{keys, now_ms};

/// Bytes of a new secret.
const NEW_SECRET_BYTES: usize = 32;

/// A key that signs tokens: a secret, or a private key.
pub struct SigningKey {
    kid: Option<String>,
    algorithm: Algorithm,
    key: EncodingKey,
}

/// Why a token cannot be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MintError {
    /// The gateway would not take it.
    #[error("failed to make a token: {0}")]
    Claims(String),
    /// The key does not sign.
    #[error("failed to sign the token: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

/// What a new token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenClaims {
    /// The user; none: whatever a reaction says.
    #[serde(rename = "sub", skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Rooms, with `*` for any part.
    pub rooms: Vec<String>,
    /// What it allows.
    #[serde(serialize_with = "action_names")]
    pub allow: Vec<Action>,
    /// Who it is from.
    #[serde(rename = "iss", skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Who it is for.
    #[serde(rename = "aud", skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
}

fn action_names<S: serde::Serializer>(actions: &[Action], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(actions.iter().map(|action| action.name()))
}

impl SigningKey {
    /// Reads the first key that signs: a plain secret, a JWK of type oct, or a PEM private key of Ed25519 or RSA.
    ///
    /// # Errors
    ///
    /// [`KeysError`] when the file cannot be read or holds none.
    pub fn read(path: &Path) -> Result<Self, KeysError> {
        text_of(path).and_then(|text| Self::parse(&text)).map_err(|fault| KeysError::new(path, fault))
    }

    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let hs256 = |kid, secret: &[u8]| Self {
            kid,
            algorithm: Algorithm::HS256,
            key: EncodingKey::from_secret(secret),
        };
        match Content::of(text)? {
            Content::Secret(secret) => Ok(hs256(None, secret)),
            Content::Json(json) => {
                let jwks = keys::jwks_in(json)?;
                // Of those that the gateway takes tokens of: others it passes over.
                let is = |jwk: &Map<String, Value>, member, text| jwk.get(member).is_none_or(|is| is == text);
                let jwk = jwks.iter().find(|jwk| {
                    jwk.contains_key("kty")
                        && is(jwk, "kty", "oct")
                        && is(jwk, "alg", "HS256")
                        && is(jwk, "use", "sig")
                });
                let jwk = jwk.ok_or(Fault::NothingSigns)?;
                let kid = jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
                Ok(hs256(kid, &secret_in(jwk).map_err(Fault::NoneUsable)?))
            }
            Content::Pem(text) => keys::blocks(text).find_map(Self::private).ok_or(Fault::NothingSigns),
        }
    }

    fn private((label, block): (&str, &str)) -> Option<Self> {
        if !label.ends_with("PRIVATE KEY") {
            return None;
        }
        let ed25519 = EncodingKey::from_ed_pem(block.as_bytes()).map(|key| (Algorithm::EdDSA, key));
        let key = ed25519
            .or_else(|_| EncodingKey::from_rsa_pem(block.as_bytes()).map(|key| (Algorithm::RS256, key)));
        key.ok().map(|(algorithm, key)| Self { kid: None, algorithm, key })
    }

    /// A token that is good from now on, for `time`.
    ///
    /// # Errors
    ///
    /// [`MintError`] when a gateway would refuse it, or when the key does not sign.
    pub fn mint(&self, claims: &TokenClaims, time: Duration) -> Result<String, MintError> {
        let now = now_ms();
        let issued = now / 1_000;
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let mut all = serde_json::to_value(claims).map_err(jsonwebtoken::errors::Error::from)?;
        if let Value::Object(all) = &mut all {
            all.insert("iat".into(), issued.into());
            all.insert("exp".into(), issued.saturating_add(seconds).into());
        }
        // A token that no gateway takes is better refused here.
        grant_in(all.to_string().as_bytes(), &Expected::default(), now)
            .map_err(|denied| MintError::Claims(denied.to_string()))?;
        let header = Header { kid: self.kid.clone(), ..Header::new(self.algorithm) };
        Ok(jsonwebtoken::encode(&header, &all, &self.key)?)
    }
}

#[cfg(test)]
impl SigningKey {
    /// Any bytes as a secret, even such as no file may hold.
    pub(super) fn secret_for_tests(secret: &[u8]) -> Self {
        Self { kid: None, algorithm: Algorithm::HS256, key: EncodingKey::from_secret(secret) }
    }

    /// A token with any header and any claims.
    pub(super) fn sign(&self, header: &Value, claims: &Value) -> Result<String, jsonwebtoken::errors::Error> {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &self.key, self.algorithm)?;
        Ok(format!("{signed}.{signature}"))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("SigningKey");
        text.field("kid", &self.kid).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// A JWKS document with one new secret for HS256, named by the time at which it was made.
///
/// # Errors
///
/// [`std::io::Error`] when the system gives no random bytes.
pub fn new_keys() -> Result<String, std::io::Error> {
    let mut secret = [0; NEW_SECRET_BYTES];
    getrandom::fill(&mut secret).map_err(std::io::Error::other)?;
    let key: Map<String, Value> = Map::from_iter([
        ("kty".into(), "oct".into()),
        ("kid".into(), Uuid::now_v7().to_string().into()),
        ("alg".into(), "HS256".into()),
        ("use".into(), "sig".into()),
        ("k".into(), URL_SAFE_NO_PAD.encode(secret).into()),
    ]);
    Ok(format!("{:#}\n", json!({ "keys": [key] })))
}
