//! Keys as PEM (RFC 7468).

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};

use super::{Fault, Key, base64url};

/// What a block begins with, before its label.
pub(super) const BEGIN: &str = "-----BEGIN ";

/// The public keys in `text`; all of them have to be good.
pub(super) fn keys_in(text: &str) -> Result<Vec<Key>, Fault> {
    blocks(text).enumerate().map(|(index, (label, block))| key_in(label, block, index + 1)).collect()
}

fn key_in(label: &str, block: &str, number: usize) -> Result<Key, Fault> {
    match label {
        "PUBLIC KEY" | "RSA PUBLIC KEY" => {}
        "CERTIFICATE" => return Err(Fault::Certificate),
        private if private.ends_with("PRIVATE KEY") => return Err(Fault::PrivateKey),
        other => return Err(Fault::UnknownPem(other.chars().take(40).collect())),
    }
    let key =
        DecodingKey::from_ed_pem(block.as_bytes()).or_else(|_| DecodingKey::from_rsa_pem(block.as_bytes()));
    let key = key.map_err(|_| Fault::UnreadablePem(number))?;
    // As a JWK, because a key from DER is not looked into until a token is checked with it.
    let jwk = Jwk::from_decoding_key(&key, None).map_err(|_| Fault::UnreadablePem(number))?;
    let bytes = |text: &str| base64url(text).ok_or(Fault::UnreadablePem(number));
    match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(key) => {
            let key = bytes(&key.x)?.try_into().map_err(|_| Fault::UnreadablePem(number))?;
            Ok(Key::ed25519(None, key))
        }
        AlgorithmParameters::RSA(key) => Key::rsa(None, &bytes(&key.n)?, &bytes(&key.e)?),
        _ => Err(Fault::UnreadablePem(number)),
    }
}

/// The labels and blocks in `text`; one that does not end reaches to the end.
pub(in crate::access) fn blocks(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices(BEGIN).map(|(start, _)| {
        let block = &text[start..];
        let label = block[BEGIN.len()..].split("-----").next().unwrap_or_default();
        let end = format!("-----END {label}-----");
        let length = block.find(&end).map_or(block.len(), |at| at + end.len());
        (label, &block[..length])
    })
}
