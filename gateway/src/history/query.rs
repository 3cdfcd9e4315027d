//! What is asked for.

use std::ops::Range;

use axum::http::HeaderMap;
use chrono::DateTime;
use serde::Deserialize;

use super::config::History;
use super::passed::ms;
use super::result::WINDOW_NAME_BYTES_MAX;
use crate::accept;
use crate::cursor::Cursor;
use crate::problem::Problem;

/// The last time that one can ask for: the end of 9999, as for reactions.
const TIME_MS_MAX: i64 = 253_402_300_799_999;

/// The query as it stands in the URL.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Params {
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) window: Option<String>,
    pub(super) step: Option<String>,
    pub(super) limit: Option<String>,
    pub(super) after: Option<String>,
    pub(super) format: Option<String>,
}

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Csv,
}

impl Format {
    /// What is asked for, or what the headers prefer.
    pub(super) fn read(asked: Option<&str>, headers: &HeaderMap) -> Result<Self, Problem> {
        match asked {
            Some("json") => Ok(Self::Json),
            Some("csv") => Ok(Self::Csv),
            Some(_) => Err(Problem::bad_request("`format` is json or csv")),
            None if accept::prefers_csv(headers) => Ok(Self::Csv),
            None => Ok(Self::Json),
        }
    }
}

/// The query, read and within its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    /// First start that is wanted, ms since 1970.
    pub(super) from: i64,
    /// First start that is not wanted any more.
    pub(super) to: i64,
    /// The one definition that is wanted.
    pub(super) window: Option<String>,
    /// Length of a step, ms.
    pub(super) step: Option<i64>,
    /// Most records in the answer.
    pub(super) limit: u32,
    /// Where an earlier answer ended.
    pub(super) after: Option<Cursor>,
    pub(super) format: Format,
}

impl Query {
    /// Reads a query. `now` is ms since 1970.
    pub(super) fn read(
        params: Params,
        headers: &HeaderMap,
        now: i64,
        config: &History,
    ) -> Result<Self, Problem> {
        let format = Format::read(params.format.as_deref(), headers)?;
        let Range { start: from, end: to } =
            range(params.from.as_deref(), params.to.as_deref(), now, config)?;
        let window = params.window;
        if window.as_ref().is_some_and(|name| !(1..=WINDOW_NAME_BYTES_MAX).contains(&name.len())) {
            let detail =
                format!("`window` is the name of a window definition, of 1 to {WINDOW_NAME_BYTES_MAX} bytes");
            return Err(Problem::bad_request(detail));
        }
        let step = params.step.as_deref().map(|text| step(text, config)).transpose()?;
        let limit = limit(params.limit.as_deref(), config.windows_max)?;
        let after = match params.after.as_deref().map(Cursor::decode) {
            Some(None) => return Err(bad_after()),
            after => after.flatten(),
        };
        Ok(Self { from, to, window, step, limit, after, format })
    }

    /// The query that goes on after this one's answer, relative to its URL.
    pub(super) fn next(&self, after: &Cursor) -> String {
        let Self { from, to, limit, .. } = self;
        let mut query = format!("?from={from}&to={to}&limit={limit}");
        if let Some(window) = &self.window {
            query += "&window=";
            encode(window, &mut query);
        }
        if let Some(step) = self.step {
            query += &format!("&step={step}");
        }
        if self.format == Format::Csv {
            query += "&format=csv";
        }
        query + "&after=" + &after.encode()
    }
}

/// The range of times that is asked for. `now` is ms since 1970.
pub(super) fn range(
    from: Option<&str>,
    to: Option<&str>,
    now: i64,
    config: &History,
) -> Result<Range<i64>, Problem> {
    let to = to.map_or(Ok(now), |text| time("to", text))?;
    let from = match from {
        Some(text) => time("from", text)?,
        None => to.saturating_sub(ms(config.range_default)).max(0),
    };
    if from >= to {
        return Err(Problem::bad_range(format!("`from` ({from}) is not before `to` ({to})")));
    }
    if to - from > ms(config.range_max) {
        let detail = format!("from `from` to `to` are at most {} s", config.range_max.as_secs());
        return Err(Problem::bad_range(detail));
    }
    Ok(from..to)
}

/// How many records are asked for, of so many at most.
pub(super) fn limit(asked: Option<&str>, max: u32) -> Result<u32, Problem> {
    let Some(text) = asked else { return Ok(max) };
    let limit = number(text).filter(|limit| (1..=max).contains(limit));
    limit.ok_or_else(|| Problem::bad_request(format!("`limit` is a number from 1 to {max}")))
}

/// `after` does not come from here.
pub(super) fn bad_after() -> Problem {
    Problem::bad_request("`after` is none that an answer's `next` gave")
}

/// Ms since 1970, or RFC 3339.
fn time(name: &str, text: &str) -> Result<i64, Problem> {
    // In a URL a plus sign that was not escaped is a blank.
    let read =
        || DateTime::parse_from_rfc3339(&text.replace(' ', "+")).ok().map(|time| time.timestamp_millis());
    number(text).or_else(read).filter(|time| (0..=TIME_MS_MAX).contains(time)).ok_or_else(|| {
        let example = "2026-07-19T20:00:00Z";
        Problem::bad_range(format!(
            "`{name}` is ms since 1970 or a time such as {example}, between 1970 and 9999"
        ))
    })
}

/// Ms, or a number with a unit.
fn step(text: &str, config: &History) -> Result<i64, Problem> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (amount, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "" | "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let step = number::<i64>(amount).zip(unit_ms).and_then(|(amount, unit_ms)| amount.checked_mul(unit_ms));
    step.filter(|step| (1..=ms(config.range_max)).contains(step)).ok_or_else(|| {
        let most = config.range_max.as_secs();
        Problem::bad_step(format!(
            "`step` is a time such as 90s, 1m, 2h, 1d or a number of ms, of at most {most} s"
        ))
    })
}

/// Digits alone: no sign, no blanks.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Percent-encodes all but what never needs it.
fn encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            *into += &format!("%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Uri;
    use proptest::prelude::*;

    use super::*;
    use crate::cursor::Place;

    const NOW: i64 = 1_795_426_840_542;

    fn read(query: &str) -> Result<Query, Problem> {
        let uri: Uri = format!("/{query}").parse().expect("a URI");
        let axum::extract::Query(params) =
            axum::extract::Query::<Params>::try_from_uri(&uri).expect("a query");
        Query::read(params, &HeaderMap::new(), NOW, &History::default())
    }

    fn problem(query: &str) -> &'static str {
        read(query).expect_err(query).kind().name
    }

    #[test]
    fn without_anything_it_is_the_last_hour_of_all_windows() {
        let query = read("").expect("fine");
        assert_eq!((query.from, query.to), (NOW - 3_600_000, NOW));
        assert_eq!((query.window, query.step, query.limit, query.format), (None, None, 10_000, Format::Json));
    }

    #[test]
    fn times_are_ms_or_rfc_3339() {
        let query = read("?from=2026-07-19T20:00:00Z&to=2026-07-19T23:00:00.5%2B02:00").expect("fine");
        assert_eq!((query.from, query.to), (1_784_491_200_000, 1_784_494_800_500));
        assert_eq!(
            read("?from=0&to=2026-07-19T23:00:00+02:00").expect_err("too long").kind().name,
            "bad-range"
        );
        assert_eq!(
            read("?from=1784491200000&to=2026-07-19T23:00:00+02:00").expect("a bare plus").to,
            1_784_494_800_000
        );
        assert_eq!(read("?to=1000").expect("fine").from, 0, "not before 1970");
        for bad in [
            "yesterday",
            "-1",
            "+1",
            "1e3",
            "",
            "253402300800000",
            "99999999999999999999",
            "2026-07-19",
            "12:00",
        ] {
            assert_eq!(problem(&format!("?from={bad}")), "bad-range", "{bad}");
        }
        assert_eq!(problem("?from=5&to=5"), "bad-range");
        assert_eq!(problem("?from=6&to=5"), "bad-range");
        assert_eq!(problem("?from=0&to=2678400001"), "bad-range");
        assert!(read("?from=0&to=2678400000").is_ok(), "31 days");
    }

    #[test]
    fn a_step_is_ms_or_has_a_unit() {
        for (text, step) in [
            ("1500", 1_500),
            ("20ms", 20),
            ("90s", 90_000),
            ("1m", 60_000),
            ("2h", 7_200_000),
            ("31d", 2_678_400_000),
        ] {
            assert_eq!(read(&format!("?step={text}")).expect(text).step, Some(step));
        }
        for bad in ["0", "0s", "m", "", "-1m", "1.5h", "1w", "1m30s", "32d", "9223372036854775807h", "%201m"]
        {
            assert_eq!(problem(&format!("?step={bad}")), "bad-step", "{bad}");
        }
    }

    #[test]
    fn what_else_is_bad_is_a_problem() {
        for bad in ["format=xml", "limit=0", "limit=10001", "limit=x", "window=", "after=x", "after="] {
            assert_eq!(problem(&format!("?{bad}")), "bad-request", "{bad}");
        }
        assert_eq!(problem(&format!("?window={}", "w".repeat(65))), "bad-request");
        assert_eq!(read("?format=csv").expect("fine").format, Format::Csv);
    }

    proptest! {
        #[test]
        fn the_next_query_asks_for_the_same_from_there_on(
            from in 0..1_000_000_i64, length in 1..1_000_000_i64, window in prop::option::of("[ -~🔥é]{1,9}"),
            step in prop::option::of(1..100_000_i64), limit in 1..10_000_u32, csv in any::<bool>(), seq in any::<u64>(),
        ) {
            let format = if csv { Format::Csv } else { Format::Json };
            let query = Query { from, to: from + length, window, step, limit, after: None, format };
            let after = Cursor::at(3, Place::new(2, seq));
            let next = read(&query.next(&after)).map_err(|problem| problem.detail().to_owned());
            prop_assert_eq!(next, Ok(Query { after: Some(after), ..query }));
        }
    }
}
