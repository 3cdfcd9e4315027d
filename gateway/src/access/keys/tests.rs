//! Keys in all their forms, and signatures against vectors of the RFCs.

use serde_json::json;

use super::*;
use crate::access::Denied;
use crate::access::mint::{SigningKey, new_keys};
use crate::access::signature::payload_of;

const RSA_PUBLIC: &str = include_str!("../../../tests/fixtures/rsa-public.pem");
const RSA_PRIVATE: &str = include_str!("../../../tests/fixtures/rsa-private.pem");
const RSA_SHORT: &str = include_str!("../../../tests/fixtures/rsa-1024-public.pem");
const ED25519_PUBLIC: &str = include_str!("../../../tests/fixtures/ed25519-public.pem");
const P256_PUBLIC: &str = include_str!("../../../tests/fixtures/p256-public.pem");
const SECRET: &str = "correct-horse-battery-staple-and-more";

/// RFC 7515, A.1: the key, and the token that it signs.
const HS256_KEY: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
const HS256_TOKEN: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
    eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
    dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// RFC 8037, A.2 and A.4.
const ED25519_KEY: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const EDDSA_TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
    hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

fn keys(text: &str) -> Keys {
    Keys::parse(text).expect("keys")
}

fn jwks(keys: serde_json::Value) -> String {
    json!({ "keys": keys }).to_string()
}

fn fault(text: &str) -> String {
    Keys::parse(text).expect_err(text).to_string()
}

/// A token with this header, signed as the key does it.
fn token(header: &serde_json::Value, key: &str) -> String {
    SigningKey::parse(key).expect("a key").sign(header, &json!({"exp": 4_000_000_000_u64})).expect("a token")
}

#[test]
fn signatures_of_the_rfcs_are_good() {
    let hs256 = keys(&jwks(json!([{"kty": "oct", "k": HS256_KEY}])));
    let payload = payload_of(HS256_TOKEN, &hs256).expect("a good signature");
    assert!(payload.starts_with(br#"{"iss":"joe""#));
    let eddsa = keys(&jwks(json!([{"kty": "OKP", "crv": "Ed25519", "x": ED25519_KEY}])));
    assert_eq!(payload_of(EDDSA_TOKEN, &eddsa).expect("a good signature"), b"Example of Ed25519 signing");
    assert_eq!(payload_of(HS256_TOKEN, &eddsa), Err(Denied::UnknownKey));
    for token in [HS256_TOKEN, EDDSA_TOKEN] {
        let keys = if token == HS256_TOKEN { &hs256 } else { &eddsa };
        for at in 0..token.len() {
            let mut other = token.as_bytes().to_vec();
            other[at] = if other[at] == b'A' { b'E' } else { b'A' };
            let other = String::from_utf8(other).expect("ASCII");
            assert!(payload_of(&other, keys).is_err(), "{other}");
        }
    }
}

#[test]
fn a_key_that_is_passed_over_signs_nothing() {
    let other = "another-secret-that-is-long-enough-for-it".replace('-', "A");
    for member in ["alg", "use"] {
        let text = jwks(json!([{"kty": "oct", "k": other, member: "enc"}, {"kty": "oct", "k": HS256_KEY}]));
        assert!(payload_of(&token(&json!({"alg": "HS256"}), &text), &keys(&text)).is_ok(), "{member}");
    }
}

#[test]
fn each_form_of_key_takes_the_tokens_of_its_other_half() {
    let rsa = token(&json!({"alg": "RS256"}), RSA_PRIVATE);
    assert!(payload_of(&rsa, &keys(RSA_PUBLIC)).is_ok());
    let ed25519 =
        token(&json!({"alg": "EdDSA"}), include_str!("../../../tests/fixtures/ed25519-private.pem"));
    assert!(payload_of(&ed25519, &keys(ED25519_PUBLIC)).is_ok());
    let secret = token(&json!({"alg": "HS256"}), SECRET);
    assert!(payload_of(&secret, &keys(&format!("\u{feff} {SECRET}\r\n"))).is_ok());
    let both = keys(&format!("{RSA_PUBLIC}\nsome words between\n{ED25519_PUBLIC}"));
    assert_eq!(both.len(), 2);
    assert!(payload_of(&rsa, &both).is_ok() && payload_of(&ed25519, &both).is_ok());
    assert_eq!(payload_of(&secret, &both), Err(Denied::UnknownKey));
    let made = new_keys().expect("keys");
    let signed = SigningKey::parse(&made).expect("a key");
    let signed = signed.sign(&json!({"alg": "HS256"}), &json!({})).expect("a token");
    assert!(payload_of(&signed, &keys(&made)).is_ok());
    assert_ne!(made, new_keys().expect("keys"));
}

#[test]
fn a_public_key_is_never_a_secret() {
    // The classic: who knows the public key signs with its text as if it were a secret.
    for secret in [RSA_PUBLIC, RSA_PUBLIC.trim(), ED25519_PUBLIC] {
        let forged = SigningKey::secret_for_tests(secret.as_bytes());
        let forged =
            forged.sign(&json!({"alg": "HS256"}), &json!({"exp": 4_000_000_000_u64})).expect("a token");
        assert_eq!(payload_of(&forged, &keys(RSA_PUBLIC)), Err(Denied::UnknownKey));
        let mixed = keys(&jwks(json!([{"kty": "oct", "k": HS256_KEY}, rsa_jwk("one")])));
        assert_eq!(payload_of(&forged, &mixed), Err(Denied::BadSignature));
    }
    // And the header of another algorithm over a good signature.
    let rsa = token(&json!({"alg": "RS256"}), RSA_PRIVATE);
    let (_, rest) = rsa.split_once('.').expect("a token");
    let claimed = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#));
    assert_eq!(payload_of(&claimed, &keys(RSA_PUBLIC)), Err(Denied::UnknownKey));
    for bare in [RSA_PUBLIC, ED25519_PUBLIC] {
        let bare: String = bare.lines().filter(|line| !line.starts_with("---")).collect();
        assert!(fault(&bare).contains("without its frame"), "{bare}");
    }
}

#[test]
fn no_signature_is_a_bad_one() {
    let keys = keys(SECRET);
    let payload = URL_SAFE_NO_PAD.encode(r#"{"exp":4000000000,"rooms":["*"],"allow":["admin"]}"#);
    for alg in ["none", "None", "NONE", "", "HS512", "ES256"] {
        let header = URL_SAFE_NO_PAD.encode(json!({ "alg": alg }).to_string());
        for signature in ["", "AAAA"] {
            let token = format!("{header}.{payload}.{signature}");
            assert_eq!(payload_of(&token, &keys), Err(Denied::UnknownKey), "{alg}");
        }
    }
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
    assert_eq!(payload_of(&format!("{header}.{payload}."), &keys), Err(Denied::BadSignature));
    for text in ["", ".", "..", "a.b", "a.b.c", "a.b.c.d", "ä.ö.ü", &format!("{header}.{payload}")] {
        assert!(matches!(payload_of(text, &keys), Err(Denied::Malformed(_))), "{text}");
    }
    let critical = token(&json!({"alg": "HS256", "crit": ["b64"], "b64": false}), SECRET);
    assert!(matches!(payload_of(&critical, &keys), Err(Denied::Malformed(_))));
    assert_eq!(payload_of(&"x".repeat(8 * 1024 + 1), &keys), Err(Denied::TooLong));
}

fn rsa_jwk(kid: &str) -> serde_json::Value {
    let key = DecodingKey::from_rsa_pem(RSA_PUBLIC.as_bytes()).expect("a key");
    let jwk = jsonwebtoken::jwk::Jwk::from_decoding_key(&key, None).expect("a JWK");
    let mut jwk = serde_json::to_value(jwk).expect("JSON");
    jwk["kid"] = kid.into();
    jwk
}

#[test]
fn the_kid_chooses_among_keys() {
    let (first, second) = ("first-secret-of-thirty-two-bytes-", "second-secret-of-thirty-two-bytes");
    let oct =
        |kid: &str, secret: &str| json!({"kty": "oct", "kid": kid, "k": URL_SAFE_NO_PAD.encode(secret)});
    let keys = keys(&jwks(json!([oct("1", first), oct("2", second), rsa_jwk("3")])));
    let signed = |header: serde_json::Value, secret| payload_of(&token(&header, secret), &keys);
    assert!(signed(json!({"alg": "HS256", "kid": "1"}), first).is_ok());
    assert!(signed(json!({"alg": "HS256", "kid": "2"}), second).is_ok());
    assert_eq!(signed(json!({"alg": "HS256", "kid": "2"}), first), Err(Denied::BadSignature));
    assert_eq!(signed(json!({"alg": "HS256", "kid": "3"}), first), Err(Denied::UnknownKey));
    assert_eq!(signed(json!({"alg": "HS256", "kid": "4"}), first), Err(Denied::UnknownKey));
    // Without a name any may be the one.
    assert!(signed(json!({"alg": "HS256"}), second).is_ok());
    assert!(signed(json!({"alg": "RS256"}), RSA_PRIVATE).is_ok());
    // A key without a name takes every name.
    assert!(
        payload_of(&token(&json!({"alg": "HS256", "kid": "x"}), SECRET), &Keys::parse(SECRET).expect("keys"))
            .is_ok()
    );
}

#[test]
fn mistakes_say_the_way_out() {
    for (text, words) in [
        ("", "--new-keys"),
        ("  \n", "--new-keys"),
        ("too-short", "9 bytes"),
        ("a secret of some words, which somebody wrote down", "one line without spaces"),
        ("name: value\nother: value of a file that is no key at all", "one line without spaces"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZ me@here", "ssh-keygen"),
        (RSA_PRIVATE, "openssl pkey"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----", "openssl pkey"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "openssl x509"),
        ("-----BEGIN PGP MESSAGE-----\nAAAA\n-----END PGP MESSAGE-----", "PGP MESSAGE"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "cannot be read"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA", "cannot be read"),
        (P256_PUBLIC, "ES256"),
        (RSA_SHORT, "1024 bits"),
        ("{", "ends early"),
        ("{]", "line 1"),
        ("[]", "no list"),
        (r#"{"keys":7}"#, "no list"),
        (r#"{"keys":[]}"#, "there is none"),
        (r#"{"keys":[7]}"#, "an object"),
        (r#"{"keys":[{"kty":"EC"}]}"#, "kty"),
        (r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#, "3 bytes"),
        (r#"{"keys":[{"kty":"oct","kid":"k1","k":"AAAA","alg":"HS512"}]}"#, "k1: its alg"),
        (r#"{"keys":[{"kty":"oct","k":"AAAA","use":"enc"}]}"#, "use"),
        (r#"{"keys":[{"kty":"oct","k":"AAAA","key_ops":["sign"]}]}"#, "key_ops"),
        (r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAA"}]}"#, "32 bytes"),
        (r#"{"keys":[{"kty":"OKP","crv":"X25519","x":"AAAA"}]}"#, "curve"),
        (r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAA","d":"AAAA"}]}"#, "private key"),
        (r#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#, "17 bits"),
    ] {
        let fault = fault(text);
        assert!(fault.contains(words), "{text}: {fault}");
    }
    let many = vec![json!({"kty": "oct", "k": HS256_KEY}); 17];
    assert!(fault(&jwks(json!(many))).contains("17 keys"));
    let mut even = rsa_jwk("even");
    even["e"] = "Ag".into();
    assert!(fault(&jwks(json!([even]))).contains("exponent"));
}

#[test]
fn keys_for_other_purposes_are_passed_over() {
    let keys = keys(&jwks(json!([
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "oct", "k": HS256_KEY, "key_ops": ["sign", "verify"], "use": "sig", "alg": "HS256"},
        {"kty": "oct", "k": HS256_KEY, "alg": "A256GCM"},
    ])));
    assert_eq!(keys.len(), 1);
    let single = json!({"kty": "oct", "k": format!("{HS256_KEY}==")}).to_string();
    assert_eq!(Keys::parse(&single).expect("a single JWK").len(), 1);
}

#[test]
fn a_file_is_bounded_and_has_to_be_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys");
    let read = || KeysFile::read(&file).expect_err("refused").to_string();
    assert!(read().contains("No such file"), "{}", read());
    std::fs::write(&file, vec![b'x'; 64 * 1024 + 1]).expect("writes");
    assert!(read().contains("65536 bytes"), "{}", read());
    std::fs::write(&file, [0xff; 40]).expect("writes");
    assert!(read().contains("no text"), "{}", read());
    assert!(read().starts_with(&format!("failed to read the keys in {}: ", file.display())));
}

#[test]
fn keys_are_never_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys");
    let secret = URL_SAFE_NO_PAD.decode(HS256_KEY).expect("bytes");
    let told = |text: &str| {
        std::fs::write(&file, text).expect("writes");
        let access =
            crate::AccessConfig { keys: Some(KeysFile::read(&file).expect("keys")), ..Default::default() };
        format!("{access:?} {:#?} {:?}", access.keys, SigningKey::parse(text).expect("a key"))
    };
    for text in [SECRET.to_owned(), jwks(json!([{"kty": "oct", "kid": "k1", "k": HS256_KEY}]))] {
        let told = told(&text);
        assert!(told.contains("HS256"), "{told}");
        for hidden in [SECRET, HS256_KEY, &format!("{:?}", &secret[..4]), &format!("{:?}", SECRET.as_bytes())]
        {
            assert!(!told.contains(hidden.trim_matches(['[', ']'])), "{told}");
        }
    }
    // Nor where a file cannot be read.
    let wrong = format!(r#"{{"keys":[{{"kty":"oct","k":"{SECRET}","#);
    assert!(!fault(&wrong).contains(SECRET));
    assert!(!fault(&jwks(json!([{"kty": "oct", "k": SECRET.to_owned() + "!"}]))).contains(SECRET));
    assert!(!fault("too-short").contains("too-short"));
}
