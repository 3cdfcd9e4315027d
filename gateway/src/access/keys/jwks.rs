//! Keys as a JWKS document (RFC 7517), or as a single JWK.

use serde_json::{Map, Value};

use super::{ED25519_BYTES, Fault, KEYS_MAX, KID_BYTES_MAX, Key, SECRET_BYTES_MIN, base64url};

/// The keys of a document that can be used. Others are told of and passed over: identity providers list keys for other
/// purposes beside those for tokens.
pub(super) fn keys_in(json: &str) -> Result<Vec<Key>, Fault> {
    let mut keys = Vec::new();
    let mut passed = Vec::new();
    for (index, jwk) in jwks_in(json)?.iter().enumerate() {
        let name = name_of(jwk, index + 1);
        if jwk.contains_key("d") {
            return Err(Fault::PrivateJwk(name));
        }
        match key_in(jwk) {
            Ok(key) => keys.push(key),
            Err(why) => {
                tracing::warn!(key = name, why, "a key is passed over");
                passed.push(format!("{name}: {why}"));
            }
        }
    }
    match keys.is_empty() && !passed.is_empty() {
        true => Err(Fault::NoneUsable(passed.join("; "))),
        false => Ok(keys),
    }
}

/// The JWKs of a document.
pub(in crate::access) fn jwks_in(json: &str) -> Result<Vec<Map<String, Value>>, Fault> {
    // The error says where the mistake is, and quotes nothing of a key.
    let place = |error: serde_json::Error| {
        Fault::Json(format!("line {}, column {}: {}", error.line(), error.column(), kind_of(&error)))
    };
    let document: Value = serde_json::from_str(json).map_err(place)?;
    let Value::Object(mut document) = document else { return Err(Fault::NoKeyList) };
    let list = match document.remove("keys") {
        Some(Value::Array(list)) => list,
        None if document.contains_key("kty") => vec![Value::Object(document)],
        _ => return Err(Fault::NoKeyList),
    };
    if list.len() > KEYS_MAX {
        return Err(Fault::TooMany(list.len()));
    }
    list.into_iter()
        .map(|jwk| match jwk {
            Value::Object(jwk) => Ok(jwk),
            _ => Err(Fault::Json("a key should be an object".to_owned())),
        })
        .collect()
}

fn kind_of(error: &serde_json::Error) -> &'static str {
    if error.is_eof() { "it ends early" } else { "a mistake in the syntax" }
}

/// The secret of a JWK of type oct.
pub(in crate::access) fn secret_in(jwk: &Map<String, Value>) -> Result<Vec<u8>, String> {
    let secret = bytes(jwk, "k")?;
    match secret.len() < SECRET_BYTES_MIN {
        true => Err(format!(
            "its secret has {} bytes, and less than {SECRET_BYTES_MIN} can be guessed",
            secret.len()
        )),
        false => Ok(secret),
    }
}

/// What a key is called in messages.
fn name_of(jwk: &Map<String, Value>, number: usize) -> String {
    match text(jwk, "kid") {
        Some(kid) => kid.chars().take(40).collect(),
        None => format!("number {number}"),
    }
}

fn key_in(jwk: &Map<String, Value>) -> Result<Key, String> {
    let kid = text(jwk, "kid").map(str::to_owned);
    if kid.as_ref().is_some_and(|kid| kid.len() > KID_BYTES_MAX) {
        return Err(format!("its kid has more than {KID_BYTES_MAX} bytes"));
    }
    if jwk.get("use").is_some_and(|purpose| purpose != "sig") {
        return Err("its use is not sig".to_owned());
    }
    if jwk
        .get("key_ops")
        .is_some_and(|ops| !ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify")))
    {
        return Err("its key_ops do not name verify".to_owned());
    }
    match text(jwk, "kty") {
        Some("oct") => {
            is_for(jwk, &["HS256"])?;
            Ok(Key::secret(kid, &secret_in(jwk)?))
        }
        Some("OKP") => {
            is_for(jwk, &["EdDSA", "Ed25519"])?;
            if text(jwk, "crv") != Some("Ed25519") {
                return Err("its curve is not Ed25519".to_owned());
            }
            let key = bytes(jwk, "x")?;
            let key = key.try_into().map_err(|_| format!("its x has not {ED25519_BYTES} bytes"))?;
            Ok(Key::ed25519(kid, key))
        }
        Some("RSA") => {
            is_for(jwk, &["RS256"])?;
            Key::rsa(kid, &bytes(jwk, "n")?, &bytes(jwk, "e")?).map_err(|fault| fault.to_string())
        }
        _ => Err("its kty is none of oct, OKP, RSA".to_owned()),
    }
}

/// Whether the key is meant for one of these algorithms, if it says so at all.
fn is_for(jwk: &Map<String, Value>, algorithms: &[&str]) -> Result<(), String> {
    match jwk.get("alg") {
        Some(alg) if !algorithms.iter().any(|known| alg == known) => {
            Err(format!("its alg is not {}", algorithms.join(" or ")))
        }
        _ => Ok(()),
    }
}

fn text<'a>(jwk: &'a Map<String, Value>, member: &str) -> Option<&'a str> {
    jwk.get(member).and_then(Value::as_str)
}

fn bytes(jwk: &Map<String, Value>, member: &str) -> Result<Vec<u8>, String> {
    text(jwk, member).and_then(base64url).ok_or_else(|| format!("it has no {member} in base64url"))
}
