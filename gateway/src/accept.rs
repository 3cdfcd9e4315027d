//! What a client takes: the interface answers JSON, and says so where a client takes none; files come as gzip to those that
//! take it.

use axum::http::{HeaderMap, HeaderName, header};

/// Whether JSON is among what is accepted. Nothing said, and nothing that can be read, is everything.
pub(crate) fn takes_json(headers: &HeaderMap) -> bool {
    weight(headers, "application/*", &["application/json", "application/problem+json"]) > 0.0
}

/// Whether CSV is, in the same way.
pub(crate) fn takes_csv(headers: &HeaderMap) -> bool {
    weight(headers, "text/*", &["text/csv"]) > 0.0
}

/// Whether an event stream is, in the same way.
pub(crate) fn takes_events(headers: &HeaderMap) -> bool {
    weight(headers, "text/*", &["text/event-stream"]) > 0.0
}

/// Whether CSV is accepted rather than JSON.
pub(crate) fn prefers_csv(headers: &HeaderMap) -> bool {
    weight(headers, "text/*", &["text/csv"]) > weight(headers, "application/*", &["application/json"])
}

/// The weight of a type: the most specific range that fits decides, and of several of them the best.
fn weight(headers: &HeaderMap, group: &str, names: &[&str]) -> f32 {
    let mut best: Option<(u8, f32)> = None;
    let mut is_said = false;
    for (range, weight) in ranges(headers, header::ACCEPT) {
        is_said = true;
        let specific = match range.as_str() {
            "*/*" => 0,
            range if range == group => 1,
            range if names.contains(&range) => 2,
            _ => continue,
        };
        best = match best {
            Some((known, best)) if known > specific || (known == specific && best >= weight) => {
                Some((known, best))
            }
            _ => Some((specific, weight)),
        };
    }
    if is_said { best.map_or(0.0, |(_, weight)| weight) } else { 1.0 }
}

/// Whether gzip is among the encodings that are accepted. Nothing said is none.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let (mut named, mut any) = (None, false);
    for (coding, weight) in ranges(headers, header::ACCEPT_ENCODING) {
        let is_taken = weight > 0.0;
        match coding.as_str() {
            "gzip" | "x-gzip" => named = Some(is_taken),
            "*" => any = is_taken,
            _ => {}
        }
    }
    named.unwrap_or(any)
}

/// What the lines of a header list, in lower case, with its weight: 0 says that it is not taken, and nothing that can be read is 1.
fn ranges(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = (String, f32)> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    let ranges = lines.flat_map(|line| line.split(',')).map(str::trim).filter(|range| !range.is_empty());
    ranges.map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
        (name, weight.filter(|weight| (0.0..=1.0).contains(weight)).unwrap_or(1.0))
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
    fn csv_comes_to_those_who_would_rather_have_it() {
        let of = |line: &'static str| {
            let headers = HeaderMap::from_iter([(header::ACCEPT, line.parse().expect("a header"))]);
            (takes_csv(&headers), prefers_csv(&headers))
        };
        assert!(takes_csv(&HeaderMap::new()) && !prefers_csv(&HeaderMap::new()));
        for line in
            ["text/csv", "Text/CSV", "text/*", "text/csv, */*;q=0.8", "application/json;q=0.2,text/csv;q=0.3"]
        {
            assert_eq!(of(line), (true, true), "{line}");
        }
        for line in [
            "*/*",
            "text/csv;q=0.5, application/json",
            "text/csv, application/json",
            "text/csv, */*",
            "text/*, text/csv;q=0.1, */*;q=0.5",
        ] {
            assert_eq!(of(line), (true, false), "{line}");
        }
        for line in ["application/json", "text/csv;q=0", "text/html", "image/*"] {
            assert_eq!(of(line), (false, false), "{line}");
        }
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
