//! A token's claims, as a grant.

use ovation_reaction::USER_BYTES_MAX;
use serde::Deserialize;
use serde_json::Value;

use super::denied::Denied;
use super::grant::{Action, Actions, Grant};
use super::pattern::RoomPattern;

/// How far clocks of those who sign tokens may be from the gateway's, in milliseconds.
pub(super) const LEEWAY_MS: i64 = 30_000;

/// Most room patterns in a token.
const PATTERNS_MAX: usize = 64;

/// Most names in a token's `allow` or `aud`.
const NAMES_MAX: usize = 16;

/// What has to stand in a token.
#[derive(Debug, Clone, Default)]
pub(super) struct Expected {
    /// Its `iss`.
    pub(super) issuer: Option<String>,
    /// In its `aud`.
    pub(super) audience: Option<String>,
}

/// The claims that count; others are ignored. Values first, so that each mistake names its claim.
#[derive(Deserialize)]
struct Claims {
    exp: Option<Value>,
    nbf: Option<Value>,
    iss: Option<Value>,
    aud: Option<Value>,
    sub: Option<Value>,
    rooms: Option<Value>,
    allow: Option<Value>,
}

/// The grant of a token whose signature is good.
pub(super) fn grant_in(payload: &[u8], expected: &Expected, now_ms: i64) -> Result<Grant, Denied> {
    const NO_CLAIMS: Denied = Denied::Malformed("its claims are no JSON object, or name a claim twice");
    // An array would be read as the claims in their order.
    if !payload.trim_ascii_start().starts_with(b"{") {
        return Err(NO_CLAIMS);
    }
    let claims: Claims = serde_json::from_slice(payload).map_err(|_| NO_CLAIMS)?;
    let exp = time_of(claims.exp.as_ref(), "`exp` should be a number of seconds since 1970")?;
    let exp = exp.ok_or(Denied::Malformed("it has no `exp`, and has to end at some time"))?;
    let expires = exp.saturating_add(LEEWAY_MS);
    if expires <= now_ms {
        return Err(Denied::Expired);
    }
    let nbf = time_of(claims.nbf.as_ref(), "`nbf` should be a number of seconds since 1970")?;
    if nbf.is_some_and(|nbf| nbf > now_ms.saturating_add(LEEWAY_MS)) {
        return Err(Denied::NotYetValid);
    }
    if let Some(issuer) = &expected.issuer
        && claims.iss.as_ref().and_then(Value::as_str) != Some(issuer)
    {
        return Err(Denied::WrongIssuer);
    }
    if let Some(audience) = &expected.audience
        && !names(claims.aud.as_ref(), audience)
    {
        return Err(Denied::WrongAudience);
    }
    Ok(Grant {
        user: user_of(claims.sub.as_ref())?.map(Into::into),
        rooms: rooms_of(claims.rooms.as_ref())?,
        actions: actions_of(claims.allow.as_ref())?,
        expires: Some(expires),
    })
}

/// A time in milliseconds; JWT has seconds, with fractions if need be.
fn time_of(claim: Option<&Value>, mistake: &'static str) -> Result<Option<i64>, Denied> {
    match claim {
        None => Ok(None),
        // A cast keeps what is out of range at the end of the range.
        Some(claim) => {
            claim.as_f64().map(|seconds| Some((seconds * 1_000.0) as i64)).ok_or(Denied::Malformed(mistake))
        }
    }
}

/// Whether `aud`, one text or a list of them, names `audience`.
fn names(claim: Option<&Value>, audience: &str) -> bool {
    match claim {
        Some(Value::String(name)) => name == audience,
        Some(Value::Array(names)) => names.iter().take(NAMES_MAX).any(|name| name == audience),
        _ => false,
    }
}

fn user_of(claim: Option<&Value>) -> Result<Option<&str>, Denied> {
    let Some(claim) = claim else { return Ok(None) };
    match claim.as_str() {
        Some(user) if (1..=USER_BYTES_MAX).contains(&user.len()) && !user.chars().any(char::is_control) => {
            Ok(Some(user))
        }
        _ => Err(Denied::Malformed("`sub` should be a user: 1 to 64 bytes without control characters")),
    }
}

/// The rooms; none without the claim, because a token that was meant for one room must not be good for all.
fn rooms_of(claim: Option<&Value>) -> Result<Box<[RoomPattern]>, Denied> {
    const MISTAKE: Denied =
        Denied::Malformed("`rooms` should be a list of at most 64 names or patterns, each of 1 to 64 bytes");
    match claim {
        None => Ok(Box::default()),
        Some(Value::Array(patterns)) if patterns.len() <= PATTERNS_MAX => patterns
            .iter()
            .map(|pattern| pattern.as_str().and_then(RoomPattern::new).ok_or(MISTAKE))
            .collect(),
        Some(_) => Err(MISTAKE),
    }
}

/// The actions; none without the claim. What a later version may know is ignored: it allows less, not more.
fn actions_of(claim: Option<&Value>) -> Result<Actions, Denied> {
    match claim {
        None => Ok(Actions::default()),
        Some(Value::Array(names)) if names.len() <= NAMES_MAX => Ok(names
            .iter()
            .filter_map(Value::as_str)
            .filter_map(|name| name.parse::<Action>().ok())
            .collect()),
        Some(_) => Err(Denied::Malformed("`allow` should be a list of actions: react, watch, admin")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW_S: i64 = 1_800_000_000;

    fn read(claims: &Value, expected: &Expected) -> Result<Grant, Denied> {
        grant_in(claims.to_string().as_bytes(), expected, NOW_S * 1_000)
    }

    fn plain(claims: &Value) -> Result<Grant, Denied> {
        read(claims, &Expected::default())
    }

    fn assert_malformed(claims: &Value, word: &str) {
        match plain(claims) {
            Err(Denied::Malformed(text)) => assert!(text.contains(word), "{claims}: {text}"),
            other => panic!("{claims}: {other:?}"),
        }
    }

    #[test]
    fn claims_become_a_grant() {
        let claims =
            json!({"exp": NOW_S + 60, "sub": "u1", "rooms": ["final-*"], "allow": ["react", "watch"]});
        let grant = plain(&claims).expect("a grant");
        assert_eq!(grant.user(), Some("u1"));
        assert_eq!(grant.expires(), Some((NOW_S + 60) * 1_000 + LEEWAY_MS));
        assert_eq!(grant.may(Action::React, "final-1"), Ok(()));
        assert!(grant.may(Action::React, "lobby").is_err());
        assert!(grant.may(Action::Admin, "final-1").is_err());
    }

    #[test]
    fn what_a_token_does_not_say_it_does_not_grant() {
        let grant = plain(&json!({"exp": NOW_S + 60, "allow": ["watch"]})).expect("a grant");
        let denied = grant.may(Action::Watch, "lobby").expect_err("no room");
        assert!(denied.to_string().contains(r#"["*"] for all"#), "{denied}");
        let grant = plain(&json!({"exp": NOW_S + 60, "rooms": ["*"]})).expect("a grant");
        let denied = grant.may(Action::Watch, "lobby").expect_err("no action");
        assert!(denied.to_string().contains("names nothing"), "{denied}");
        let grant = plain(&json!({"exp": NOW_S + 60, "rooms": ["*"], "allow": ["dance", 7, "watch"]}))
            .expect("a grant");
        assert_eq!(grant.may(Action::Watch, "lobby"), Ok(()));
    }

    #[test]
    fn times_are_kept_within_the_leeway() {
        let of = |exp: Value, nbf: Value| plain(&json!({"exp": exp, "nbf": nbf}));
        assert!(of(json!(NOW_S - 29), json!(NOW_S + 29)).is_ok());
        assert!(of(json!(NOW_S as f64 - 29.5), json!(0)).is_ok());
        assert_eq!(of(json!(NOW_S - 30), json!(0)), Err(Denied::Expired));
        assert_eq!(of(json!(-1), json!(0)), Err(Denied::Expired));
        assert_eq!(of(json!(NOW_S), json!(NOW_S + 31)), Err(Denied::NotYetValid));
        assert_eq!(of(json!(1e300), json!(-1e300)).expect("a grant").expires(), Some(i64::MAX));
    }

    #[test]
    fn issuer_and_audience_are_checked_where_they_are_expected() {
        let expected = Expected { issuer: Some("shop".into()), audience: Some("live".into()) };
        let of =
            |iss: Value, aud: Value| read(&json!({"exp": NOW_S + 60, "iss": iss, "aud": aud}), &expected);
        assert!(of(json!("shop"), json!("live")).is_ok());
        assert!(of(json!("shop"), json!(["other", "live"])).is_ok());
        assert_eq!(of(json!("other"), json!("live")), Err(Denied::WrongIssuer));
        assert_eq!(of(Value::Null, json!("live")), Err(Denied::WrongIssuer));
        assert_eq!(of(json!("shop"), json!(["other"])), Err(Denied::WrongAudience));
        assert_eq!(of(json!("shop"), json!({"live": 1})), Err(Denied::WrongAudience));
        assert_eq!(of(json!("shop"), Value::Null), Err(Denied::WrongAudience));
        assert!(plain(&json!({"exp": NOW_S + 60, "iss": "any", "aud": "any"})).is_ok());
    }

    #[test]
    fn each_mistake_names_its_claim() {
        assert_malformed(&json!({}), "`exp`");
        assert_malformed(&json!({"exp": "tomorrow"}), "`exp`");
        assert_malformed(&json!({"exp": NOW_S, "nbf": []}), "`nbf`");
        for sub in [json!(""), json!(7), json!("x".repeat(65)), json!("a\u{1}")] {
            assert_malformed(&json!({"exp": NOW_S, "sub": sub}), "`sub`");
        }
        for rooms in
            [json!("final-*"), json!([7]), json!([""]), json!(["x".repeat(65)]), json!(vec!["a"; 65])]
        {
            assert_malformed(&json!({"exp": NOW_S, "rooms": rooms}), "`rooms`");
        }
        assert_malformed(&json!({"exp": NOW_S, "allow": "react"}), "`allow`");
        assert_malformed(&json!([]), "JSON object");
        assert!(matches!(
            grant_in(br#"{"exp":1,"exp":9999999999}"#, &Expected::default(), 0),
            Err(Denied::Malformed(_))
        ));
    }
}
