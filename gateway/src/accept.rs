//! What a client takes: the interface answers JSON, and says so where a client takes none; files come as gzip to those that
//! take it.

use axum::http::{HeaderMap, HeaderName, header};

/// Whether JSON is among what is accepted. Nothing said, and nothing that can be read, is everything.
pub(crate) fn takes_json(headers: &HeaderMap) -> bool {
    let mut best: Option<(u8, bool)> = None;
    let mut is_said = false;
    for (range, is_taken) in ranges(headers, header::ACCEPT) {
        is_said = true;
        // The most specific range that fits decides.
        let specific = match range.as_str() {
            "*/*" => 0,
            "application/*" => 1,
            "application/json" | "application/problem+json" => 2,
            _ => continue,
        };
        best = match best {
            Some((known, taken)) if known > specific || (known == specific && taken) => Some((known, taken)),
            _ => Some((specific, is_taken)),
        };
    }
    !is_said || best.is_some_and(|(_, is_taken)| is_taken)
}

/// Whether gzip is among the encodings that are accepted. Nothing said is none.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let (mut named, mut any) = (None, false);
    for (coding, is_taken) in ranges(headers, header::ACCEPT_ENCODING) {
        match coding.as_str() {
            "gzip" | "x-gzip" => named = Some(is_taken),
            "*" => any = is_taken,
            _ => {}
        }
    }
    named.unwrap_or(any)
}

/// What the lines of a header list, in lower case, and whether it is taken: a weight of 0 says that it is not.
fn ranges(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = (String, bool)> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    let ranges = lines.flat_map(|line| line.split(',')).map(str::trim).filter(|range| !range.is_empty());
    ranges.map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let refuses =
            |part: &str| part.strip_prefix("q=").is_some_and(|weight| weight.parse() == Ok(0.0_f32));
        (name, !parts.any(refuses))
    })
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

    #[test]
    fn gzip_has_to_be_asked_for() {
        let of = |line: &'static str| {
            takes_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, line.parse().expect("a header"))]))
        };
        assert!(!takes_gzip(&HeaderMap::new()));
        for line in ["gzip", "br, GZIP;q=0.5", "*", "deflate, *;q=0.1", "*;q=0, gzip"] {
            assert!(of(line), "{line}");
        }
        for line in ["", "identity", "br", "gzip;q=0", "gzip;q=0, *", "*;q=0"] {
            assert!(!of(line), "{line}");
        }
    }
}
