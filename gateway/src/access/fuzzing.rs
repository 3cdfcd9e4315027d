//! What has to hold for tokens, keys, origins and hosts.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, RwLock};

use axum::http::{HeaderMap, Uri, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use ovation_reaction::USER_BYTES_MAX;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::claims::{Expected, grant_in};
use super::keys::Keys;
use super::origin::{Host, Origin};
use super::signature::payload_of;
use super::{
    Access, AccessConfig, Action, Grant, KeySet, Keyring, SigningKey, TOKEN_BYTES_MAX, TokenClaims, bearer,
    now_ms,
};
use crate::fuzzing::is_told;
use crate::problem::Problem;

/// The gateway's secret.
const SECRET: &str = "a-secret-that-the-gateway-knows-as-well";

/// Somebody else's.
const OTHER: &str = "a-secret-that-the-gateway-has-never-seen";

/// A public key, which must not be good for a signature. RFC 8037, A.2.
const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// The last second that a token may name here: the year 9999 is later than any clock.
const CLAIMS: &[u8] = br#"{"exp":253402300799,"sub":"u1","rooms":["a*","fire-*"],"allow":["react"]}"#;

/// A grant for everybody, and one for a user with some rooms.
pub(crate) fn grants() -> [&'static Grant; 2] {
    static GRANTS: LazyLock<[Grant; 2]> = LazyLock::new(|| {
        let user = grant_in(CLAIMS, &Expected::default(), now_ms());
        [Grant::everyone(), user.unwrap_or_else(|denied| panic!("{denied}"))]
    });
    GRANTS.each_ref()
}

fn keys_of(text: &str) -> Keys {
    Keys::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

/// Access as in a gateway with [`SECRET`].
static ACCESS: LazyLock<Access> = LazyLock::new(|| Access {
    keyring: Some(Keyring {
        path: PathBuf::new(),
        seen: Mutex::new(None),
        set: RwLock::new(KeySet::new(Arc::new(keys_of(SECRET)))),
    }),
    everyone: Arc::new(Grant::everyone()),
    expected: Expected::default(),
    origins: Vec::new(),
    loopback: false,
    own_names_only: false,
});

/// A token of these two parts.
fn signed(header: &[u8], payload: &[u8], secret: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let key = EncodingKey::from_secret(secret);
    let signature = crypto::sign(message.as_bytes(), &key, Algorithm::HS256);
    format!("{message}.{}", signature.unwrap_or_else(|error| panic!("{error}")))
}

/// A token: as it comes, and as claims and as a header that are signed.
pub fn token(bytes: &[u8]) -> bool {
    const HEADER: &[u8] = br#"{"alg":"HS256"}"#;
    let text = String::from_utf8_lossy(bytes);
    assert!(ACCESS.grant_of(Some(&text)).is_err(), "nobody can sign without the secret: {text}");
    assert!(ACCESS.grant_of(Some(&signed(HEADER, bytes, OTHER.as_bytes()))).is_err());
    assert!(ACCESS.grant_of(Some(&signed(bytes, CLAIMS, OTHER.as_bytes()))).is_err());

    // A public key is no secret, in whatever form it is taken for one.
    static PUBLIC_KEYS: LazyLock<Keys> =
        LazyLock::new(|| keys_of(&format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{PUBLIC}"}}"#)));
    for secret in [PUBLIC.as_bytes(), &URL_SAFE_NO_PAD.decode(PUBLIC).unwrap_or_default()] {
        for header in [HEADER, br#"{"alg":"EdDSA"}"#, bytes] {
            assert!(payload_of(&signed(header, CLAIMS, secret), &PUBLIC_KEYS).is_err());
        }
    }

    // A header chooses among the keys, and nothing else.
    let headed = signed(bytes, CLAIMS, SECRET.as_bytes());
    let is_headed = ACCESS.grant_of(Some(&headed)).is_ok_and(|grant| *grant == *grants()[1]);
    assert!(!is_headed || object::<Header>(bytes).is_some_and(|header| header.alg == "HS256"), "{text}");

    let token = signed(HEADER, bytes, SECRET.as_bytes());
    let granted = ACCESS.grant_of(Some(&token));
    if let Ok(grant) = &granted {
        is_bounded(grant, bytes);
        assert!(token.len() <= TOKEN_BYTES_MAX);
        is_only_this(&token, bytes);
    }
    granted.is_ok() || is_headed
}

/// What of a header is looked at here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Header {
    alg: Value,
}

/// What of claims is looked at here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Claims {
    sub: Value,
    rooms: Value,
    allow: Value,
}

/// These fields of an object. What stands in others is stepped over, as the gateway does, and need be no text and no number that fits.
fn object<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let is_object = bytes.trim_ascii_start().first() == Some(&b'{');
    is_object.then(|| serde_json::from_slice(bytes).ok()).flatten()
}

/// A grant holds no more than its claims say.
fn is_bounded(grant: &Grant, claims: &[u8]) {
    let claims: Claims = object(claims).unwrap_or_else(|| panic!("claims that are no object"));
    assert!(!grant.is_over(now_ms() - 1_000) && grant.expires().is_some());
    assert!(grant.user().is_none_or(|user| {
        claims.sub == user && user.len() <= USER_BYTES_MAX && !user.contains(char::is_control)
    }));
    assert!(grant.rooms.len() <= 64);
    let allowed = claims.allow.as_array();
    for action in [Action::React, Action::Watch, Action::Admin] {
        let is_named = allowed.is_some_and(|names| names.iter().any(|name| name == action.name()));
        assert_eq!(grant.allows(action).is_ok(), is_named);
    }
    for room in ["lobby", "a", "final-2026"] {
        let may = grant.covers(room);
        let rooms = claims.rooms.as_array();
        let is_named = rooms.is_some_and(|rooms| rooms.iter().any(|name| name == room || name == "*"));
        let is_starred = grant.rooms.iter().any(|pattern| pattern.as_str().contains('*'));
        assert!(may == is_named || (may && is_starred), "{room}: {claims:?}");
    }
}

/// A good token with one other byte is none, wherever that is.
fn is_only_this(token: &str, bytes: &[u8]) {
    let at = bytes.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    for byte in [b'A', b'.', b'=', b'g', b'_', b' '] {
        let mut other = token.as_bytes().to_vec();
        for at in [at % other.len(), token.len() - 1] {
            other[at] = byte;
            let other = String::from_utf8_lossy(&other);
            assert!(other == token || ACCESS.grant_of(Some(&other)).is_err(), "{other} is good, too");
        }
    }
}

/// A file of keys, as bytes.
pub fn keys(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let signing = SigningKey::parse(text);
    let keys = match Keys::parse(text) {
        Ok(keys) => keys,
        Err(fault) => {
            assert!(!fault.to_string().is_empty());
            return false;
        }
    };
    assert!((1..=16).contains(&keys.len()));
    let claims =
        TokenClaims { user: None, rooms: Vec::new(), allow: Vec::new(), issuer: None, audience: None };
    let minted = signing.ok().and_then(|key| key.mint(&claims, std::time::Duration::from_secs(60)).ok());
    // The keys of a private key's file are others; a secret is both.
    let jwks: serde_json::Value = serde_json::from_str(text.trim()).unwrap_or_default();
    let is_apart = |jwk: &serde_json::Value| {
        // A key may be for signing alone, and names are bounded where tokens are checked.
        jwk.get("key_ops").is_some() || jwk["kid"].as_str().is_some_and(|kid| kid.len() > 256)
    };
    let is_apart = is_apart(&jwks) || jwks["keys"].as_array().is_some_and(|keys| keys.iter().any(is_apart));
    let is_secret = keys.chosen_by("HS256", None).count() == 1 && keys.len() == 1 && !is_apart;
    if let Some(minted) = minted.filter(|_| is_secret) {
        assert!(payload_of(&minted, &keys).is_ok(), "a secret that signs is one that checks");
    }
    let is_public = text.trim().contains("-----BEGIN ") && !text.contains('{');
    assert!(!is_public || keys.chosen_by("HS256", None).next().is_none(), "a public key is no secret");
    // None of them takes a signature of zeros, of the length of its own.
    for (algorithm, length) in [("HS256", 32), ("EdDSA", 64), ("RS256", 256), ("RS256", 512)] {
        let signature = URL_SAFE_NO_PAD.encode(vec![0; length]);
        for key in keys.chosen_by(algorithm, None) {
            assert!(!key.has_signed(b"a message", &signature) || algorithm == "EdDSA", "{key:?}");
        }
    }
    true
}

/// Access of a gateway for some origins, and of an open one on this machine.
fn browsers() -> [&'static Arc<Access>; 2] {
    static BROWSERS: LazyLock<[Arc<Access>; 2]> = LazyLock::new(|| {
        let origins = "https://*.example.com".parse().into_iter().collect();
        let listed = AccessConfig { origins, ..AccessConfig::default() };
        let own = AccessConfig { loopback: true, ..AccessConfig::default() };
        [Access::new(&listed), Access::new(&own)]
    });
    BROWSERS.each_ref()
}

/// Headers that say where a request comes from and who sends it; says whether there is a token.
pub(crate) fn headers(headers: &HeaderMap, uri: &Uri) -> bool {
    let origin = headers.get(header::ORIGIN);
    let host = match uri.authority() {
        Some(authority) => Host::parse(authority.as_str()),
        None => headers.get(header::HOST).and_then(|host| Host::parse(host.to_str().ok()?)),
    };
    if let Some(host) = &host {
        assert!(!host.name.is_empty() && !host.name.contains(['/', '@', '?', '#', ' ']));
    }
    let [listed, own] = browsers().map(|access| access.check_page(headers, uri));
    let name = host.as_ref().map_or("", |host| host.name.as_str());
    let text = origin.and_then(|origin| origin.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    if let Some(origin) = Origin::parse(&text) {
        assert_eq!(Origin::parse(&origin.to_string()).as_ref(), Some(&origin), "it comes back as it was");
    }
    if origin.is_some() && listed.is_ok() {
        let is_own =
            !name.is_empty() && text.split_once("://").is_some_and(|(_, rest)| rest.starts_with(name));
        let is_listed = text.starts_with("https://") && text.contains(".example.com");
        assert!(is_own || is_listed, "{text} is let in at {name:?}");
    }
    if own.is_ok() {
        // Nobody else can make these point here.
        let bare = name.trim_matches(['[', ']']);
        let is_address = bare.parse::<std::net::IpAddr>().is_ok();
        let is_own = is_address || bare == "localhost" || bare.ends_with(".localhost");
        assert!(is_own || (host.is_none() && !headers.contains_key(header::HOST)), "{name} is answered to");
    }
    [listed, own].iter().filter_map(|checked| checked.as_ref().err()).for_each(is_told);
    let token = bearer::token_in_upgrade(headers);
    assert!(token.is_none_or(|token| !token.is_empty() && token.trim() == token), "{token:?}");
    if let Some(Err(denied)) = token.map(|token| ACCESS.grant_of(Some(token))) {
        is_told(&Problem::from(denied));
    }
    token.is_some()
}
