//! Access as a whole: tokens in, grants out, and keys that change.

use serde_json::json;

use super::*;

const SECRET: &str = "correct-horse-battery-staple-and-more";
const OTHER: &str = "another-secret-that-is-long-enough-for-it";

fn token(secret: &str, claims: &serde_json::Value) -> String {
    SigningKey::secret_for_tests(secret.as_bytes()).sign(&json!({"alg": "HS256"}), claims).expect("a token")
}

fn good(secret: &str) -> String {
    token(secret, &json!({"exp": now_ms() / 1_000 + 600, "sub": "u1", "rooms": ["*"], "allow": ["watch"]}))
}

struct Keyed {
    access: Arc<Access>,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

fn keyed() -> Keyed {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys");
    std::fs::write(&file, SECRET).expect("writes");
    let keys = KeysFile::read(&file).expect("keys");
    let access = Access::new(&AccessConfig { keys: Some(keys), ..AccessConfig::default() });
    Keyed { access, file, _folder: folder }
}

#[test]
fn without_keys_everybody_may_whatever_they_send() {
    let access = Access::new(&AccessConfig::default());
    for token in [None, Some("nonsense"), Some("a.b.c")] {
        let grant = access.grant_of(token).expect("a grant");
        assert_eq!(grant.may(Action::React, "a"), Ok(()));
        assert!(grant.may(Action::Admin, "a").is_err());
    }
}

#[test]
fn with_keys_a_good_token_is_needed_and_is_checked_once() {
    let Keyed { access, .. } = keyed();
    assert_eq!(access.grant_of(None), Err(Denied::NoToken));
    assert!(matches!(access.grant_of(Some("nonsense")), Err(Denied::Malformed(_))));
    assert_eq!(access.grant_of(Some(&good(OTHER))), Err(Denied::BadSignature));
    let token = good(SECRET);
    let grant = access.grant_of(Some(&token)).expect("a grant");
    assert_eq!(grant.user(), Some("u1"));
    let again = access.grant_of(Some(&token)).expect("a grant");
    assert!(Arc::ptr_eq(&grant, &again), "the second time it is remembered");
}

#[test]
fn a_remembered_token_ends_in_time() {
    let Keyed { access, .. } = keyed();
    let token = "a.token.that-was-verified";
    let over = Grant { expires: Some(now_ms() - 1), ..Grant::everyone() };
    let set = access.keyring.as_ref().expect("keys").set();
    set.verified.insert(token.into(), Arc::new(over));
    assert_eq!(access.grant_of(Some(token)), Err(Denied::Expired));
    assert!(set.verified.get(token).is_none());
}

#[test]
fn remembered_tokens_are_bounded_by_their_bytes() {
    let set = KeySet::new(Arc::new(Keys::parse(SECRET).expect("keys")));
    let grant = Arc::new(Grant::everyone());
    for number in 0..20_000 {
        set.verified.insert(format!("{number}{}", "x".repeat(4_000)).into(), Arc::clone(&grant));
    }
    assert!(set.verified.weight() <= CACHE_BYTES_MAX, "{}", set.verified.weight());
    assert!(set.verified.len() > 100);
}

#[test]
fn other_keys_forget_the_tokens_of_the_first_ones() {
    let Keyed { access, file, _folder } = keyed();
    let (first, second) = (good(SECRET), good(OTHER));
    assert!(access.grant_of(Some(&first)).is_ok());
    assert_eq!(access.grant_of(Some(&second)), Err(Denied::BadSignature));
    std::fs::write(&file, OTHER).expect("writes");
    access.look_at_keys();
    assert_eq!(access.grant_of(Some(&first)), Err(Denied::BadSignature));
    assert!(access.grant_of(Some(&second)).is_ok());
}

#[test]
fn a_mistake_in_the_file_keeps_the_last_good_keys() {
    let Keyed { access, file, _folder } = keyed();
    let token = good(SECRET);
    for mistake in ["short", "", "{", "-----BEGIN PRIVATE KEY-----"] {
        std::fs::write(&file, mistake).expect("writes");
        access.look_at_keys();
        assert!(access.grant_of(Some(&token)).is_ok(), "{mistake}");
    }
    std::fs::remove_file(&file).expect("removes");
    access.look_at_keys();
    assert!(access.grant_of(Some(&token)).is_ok());
    std::fs::write(&file, OTHER).expect("writes");
    access.look_at_keys();
    assert_eq!(access.grant_of(Some(&token)), Err(Denied::BadSignature));
}

#[test]
fn issuer_and_audience_come_from_the_configuration() {
    let Keyed { file, _folder, .. } = keyed();
    let config = AccessConfig {
        keys: Some(KeysFile::read(&file).expect("keys")),
        issuer: Some("shop".into()),
        audience: Some("live".into()),
        ..AccessConfig::default()
    };
    let access = Access::new(&config);
    assert_eq!(access.grant_of(Some(&good(SECRET))), Err(Denied::WrongIssuer));
    let claims = json!({"exp": now_ms() / 1_000 + 600, "iss": "shop", "aud": "live"});
    assert!(access.grant_of(Some(&token(SECRET, &claims))).is_ok());
}

#[test]
fn a_minted_token_is_taken() {
    let Keyed { access, file, _folder } = keyed();
    let claims = TokenClaims {
        user: Some("u1".into()),
        rooms: vec!["final-*".into()],
        allow: vec![Action::React],
        issuer: None,
        audience: None,
    };
    let key = SigningKey::read(&file).expect("a key");
    let minted = key.mint(&claims, Duration::from_secs(60)).expect("a token");
    let grant = access.grant_of(Some(&minted)).expect("a grant");
    assert_eq!(grant.user(), Some("u1"));
    assert_eq!(grant.may(Action::React, "final-1"), Ok(()));
    assert!(grant.may(Action::Watch, "final-1").is_err());
    let long = TokenClaims { rooms: vec!["x".repeat(65)], ..claims };
    let error = key.mint(&long, Duration::from_secs(60)).expect_err("refused").to_string();
    assert!(error.contains("`rooms`"), "{error}");
}
