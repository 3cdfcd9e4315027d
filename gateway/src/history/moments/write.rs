//! How an answer with moments is written.

use serde::Deserialize;

use super::super::query::Format;
use super::super::write::{NEXT, iso, rows, text};
use super::query::Query;
use crate::hub::moment::Moment;

/// The columns of CSV: a row for each moment.
const COLUMNS: [&str; 20] = [
    "id",
    "window",
    "start",
    "end",
    "start_ms",
    "end_ms",
    "revision",
    "final",
    "total",
    "leading",
    "peak_start_ms",
    "peak_total",
    "peak_rate",
    "peak_users",
    "baseline_rate",
    "lift",
    "score",
    "sentiment_before",
    "sentiment_during",
    "sentiment_shift",
];

/// What CSV says of a moment. A member that is missing leaves its field empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Shown {
    window: String,
    r#final: bool,
    total: u64,
    leading: Option<String>,
    peak: Peak,
    baseline: Baseline,
    lift: Option<f64>,
    score: Option<f64>,
    sentiment: Option<Mood>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Peak {
    start: Option<i64>,
    total: Option<u64>,
    rate: Option<f64>,
    users: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Baseline {
    rate: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Mood {
    before: Option<f64>,
    during: Option<f64>,
    shift: Option<f64>,
}

/// The answer. `next` is the query that goes on if there is more.
pub(super) fn answer(room: &str, query: &Query, moments: &[Moment], next: Option<&str>) -> Vec<u8> {
    match query.format {
        Format::Json => {
            // A room's name needs no escaping, and texts always serialise.
            let (from, to) = (query.range.start, query.range.end);
            let records: Vec<&str> = moments.iter().map(Moment::record).collect();
            let (records, next) = (records.join(","), serde_json::to_string(&next).unwrap_or_default());
            format!(r#"{{"room":"{room}","from":{from},"to":{to},"moments":[{records}],"next":{next}}}"#)
                .into_bytes()
        }
        Format::Csv => {
            let mut out = Vec::new();
            rows(&mut out, [COLUMNS.map(str::to_owned)]);
            rows(&mut out, moments.iter().map(row));
            if let Some(next) = next {
                let mut row = COLUMNS.map(|_| String::new());
                (row[0], row[1]) = (next.to_owned(), NEXT.to_owned());
                rows(&mut out, [row]);
            }
            out
        }
    }
}

fn row(moment: &Moment) -> [String; COLUMNS.len()] {
    let shown: Shown = serde_json::from_str(moment.record()).unwrap_or_default();
    let Shown { peak, sentiment, .. } = &shown;
    let mood = |of: fn(&Mood) -> Option<f64>| said(sentiment.as_ref().and_then(of));
    [
        text(&moment.id),
        text(&shown.window),
        iso(moment.start),
        iso(moment.end),
        moment.start.to_string(),
        moment.end.to_string(),
        moment.revision.to_string(),
        shown.r#final.to_string(),
        shown.total.to_string(),
        text(shown.leading.as_deref().unwrap_or_default()),
        said(peak.start),
        said(peak.total),
        said(peak.rate),
        said(peak.users),
        said(shown.baseline.rate),
        said(shown.lift),
        said(shown.score),
        mood(|mood| mood.before),
        mood(|mood| mood.during),
        mood(|mood| mood.shift),
    ]
}

/// A number, or nothing.
fn said(number: Option<impl ToString>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}
