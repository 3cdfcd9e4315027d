//! `Idempotency-Key`: the id of a request, for clients that name requests and not reactions.

use axum::http::HeaderMap;
use ovation_reaction::Reason;

use crate::problem::{Kind, Problem};

/// Name of the header.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The key of a request, where it has one: plain, or in quotes as a structured field has it.
pub(super) fn key_in(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut lines = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    let bad = |detail| Problem::of(Kind::of(Reason::BadId), detail);
    if lines.next().is_some() {
        return Err(bad("there are several `Idempotency-Key` headers"));
    }
    let text = line.to_str().map_err(|_| bad("`Idempotency-Key` is no plain text"))?.trim();
    let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    Ok(Some(bare))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_with_and_without_quotes() {
        let of = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(IDEMPOTENCY_KEY, line.parse().expect("a header"));
            }
            key_in(&headers).map(|key| key.map(str::to_owned)).map_err(|problem| problem.kind().name)
        };
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&["k-1"]), Ok(Some("k-1".to_owned())));
        assert_eq!(of(&["\"k-1\""]), Ok(Some("k-1".to_owned())));
        assert_eq!(of(&["\""]), Ok(Some("\"".to_owned())));
        assert_eq!(of(&["a", "b"]), Err("bad-id"));
        assert_eq!(of(&["\u{e9}"]), Err("bad-id"));
    }
}
