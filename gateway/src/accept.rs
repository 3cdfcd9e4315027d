//! `Accept`: the interface answers JSON, and says so where a client takes none.

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::problem::Problem;

/// Answers 406 to clients that exclude JSON.
pub(crate) async fn json_only(request: Request, next: Next) -> Response {
    match takes_json(request.headers()) {
        true => next.run(request).await,
        false => Problem::not_acceptable().into_response(),
    }
}

/// Whether JSON is among what is accepted. Nothing said, and nothing that can be read, is everything.
pub(crate) fn takes_json(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT);
    let ranges = lines.iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    let mut best: Option<(u8, bool)> = None;
    let mut is_said = false;
    for range in ranges.map(str::trim).filter(|range| !range.is_empty()) {
        is_said = true;
        let mut parts = range.split(';').map(str::trim);
        // The most specific range that fits decides.
        let specific = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "*/*" => 0,
            "application/*" => 1,
            "application/json" | "application/problem+json" => 2,
            _ => continue,
        };
        let is_taken =
            !parts.any(|part| part.strip_prefix("q=").is_some_and(|weight| weight.parse() == Ok(0.0_f32)));
        best = match best {
            Some((known, taken)) if known > specific || (known == specific && taken) => Some((known, taken)),
            _ => Some((specific, is_taken)),
        };
    }
    !is_said || best.is_some_and(|(_, is_taken)| is_taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_range_decides() {
        let of = |lines: &[&'static str]| {
            let lines = lines.iter().map(|line| (header::ACCEPT, line.parse().expect("a header")));
            takes_json(&HeaderMap::from_iter(lines))
        };
        assert!(of(&[]));
        assert!(of(&[""]));
        assert!(of(&["text/html,application/xhtml+xml,*/*;q=0.8"]));
        assert!(of(&["application/*"]));
        assert!(of(&["Application/JSON; q=0.1"]));
        assert!(of(&["application/problem+json"]));
        assert!(of(&["*/*;q=0, application/json"]));
        assert!(!of(&["text/html"]));
        assert!(!of(&["image/*", "text/plain"]));
        assert!(!of(&["application/json;q=0, */*"]));
        assert!(!of(&["*/*;q=0.0"]));
    }
}
