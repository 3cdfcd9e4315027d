//! How an answer is written, piece by piece.

use chrono::{DateTime, SecondsFormat};

use super::query::{Format, Query};
use super::result::Final;
use super::step::StepCounts;
use crate::wire;

/// The columns of CSV: a row for each emoji of each record.
const COLUMNS: [&str; 10] =
    ["window", "kind", "start", "end", "start_ms", "end_ms", "windows", "total", "emoji", "count"];

/// What `kind` says of the row that tells how to go on.
pub(super) const NEXT: &str = "next";

/// Writes an answer; what is written is [taken](Writer::take) from time to time.
#[derive(Debug)]
pub(super) enum Writer {
    Json { out: Vec<u8>, is_first: bool },
    Csv { out: Vec<u8> },
}

impl Writer {
    /// Begins an answer.
    pub(super) fn begin(room: &str, query: &Query) -> Self {
        match query.format {
            Format::Json => {
                // A room's name needs no escaping.
                let Query { from, to, .. } = query;
                let step = query.step.map_or_else(|| "null".to_owned(), |step| step.to_string());
                let head = format!(r#"{{"room":"{room}","from":{from},"to":{to},"step":{step},"windows":["#);
                Self::Json { out: head.into_bytes(), is_first: true }
            }
            Format::Csv => {
                let mut out = Vec::new();
                rows(&mut out, [COLUMNS.map(str::to_owned)]);
                Self::Csv { out }
            }
        }
    }

    /// A window as it stands in the topic.
    pub(super) fn window(&mut self, value: &[u8], window: &Final<'_>) {
        match self {
            Self::Json { out, is_first } => item(out, is_first, value.trim_ascii()),
            Self::Csv { out } => {
                let place = window.window.start..window.window.end;
                let counts = window.counts.iter().map(|(emoji, count)| (emoji.as_ref(), *count));
                let names = (window.window.name.as_ref(), window.window.kind.as_ref());
                rows(out, emoji_rows(names, &place, 1, window.total, counts));
            }
        }
    }

    /// A step.
    pub(super) fn step(&mut self, step: StepCounts) {
        match self {
            Self::Json { out, is_first } => {
                let sentiment = step.sentiment();
                let StepCounts { name, kind, start, end, total, counts, windows, .. } = step;
                let window = wire::WindowRef { name, kind, start, end };
                let step = wire::HistoryStep { window, total, counts, windows, users: None, sentiment };
                // Strings and numbers always serialise.
                item(out, is_first, &serde_json::to_vec(&step).unwrap_or_default());
            }
            Self::Csv { out } => {
                let counts = step.counts.iter().map(|(emoji, count)| (emoji.as_str(), *count));
                let names = (step.name.as_str(), step.kind.as_str());
                rows(out, emoji_rows(names, &(step.start..step.end), step.windows, step.total, counts));
            }
        }
    }

    /// The end, with the query that goes on if there is more.
    pub(super) fn end(&mut self, next: Option<&str>) {
        match self {
            Self::Json { out, .. } => {
                let next = serde_json::to_string(&next).unwrap_or_default();
                out.extend_from_slice(format!("],\"next\":{next}}}").as_bytes());
            }
            Self::Csv { out } => {
                if let Some(next) = next {
                    let mut row = COLUMNS.map(|_| String::new());
                    (row[0], row[1]) = (next.to_owned(), NEXT.to_owned());
                    rows(out, [row]);
                }
            }
        }
    }

    /// Bytes written since the last time.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json { out, .. } | Self::Csv { out } => out.len(),
        }
    }

    /// What has been written since the last time.
    pub(super) fn take(&mut self) -> Vec<u8> {
        match self {
            Self::Json { out, .. } | Self::Csv { out } => std::mem::take(out),
        }
    }
}

fn item(out: &mut Vec<u8>, is_first: &mut bool, json: &[u8]) {
    if !std::mem::replace(is_first, false) {
        out.push(b',');
    }
    out.extend_from_slice(json);
}

/// A row for each emoji; one without, if there is none.
fn emoji_rows<'a>(
    (name, kind): (&str, &str),
    place: &std::ops::Range<i64>,
    windows: u64,
    total: u64,
    counts: impl Iterator<Item = (&'a str, u64)>,
) -> Vec<[String; 10]> {
    let row = |emoji: &str, count: u64| {
        let (start, end) = (place.start, place.end);
        [
            text(name),
            text(kind),
            iso(start),
            iso(end),
            start.to_string(),
            end.to_string(),
            windows.to_string(),
            total.to_string(),
            text(emoji),
            count.to_string(),
        ]
    };
    let rows: Vec<_> = counts.map(|(emoji, count)| row(emoji, count)).collect();
    if rows.is_empty() { vec![row("", 0)] } else { rows }
}

/// Writes rows of CSV.
pub(super) fn rows<const N: usize>(out: &mut Vec<u8>, rows: impl IntoIterator<Item = [String; N]>) {
    let mut writer = csv::Writer::from_writer(out);
    for row in rows {
        // Memory takes everything, and each row has as many fields.
        let _ = writer.write_record(&row);
    }
    let _ = writer.flush();
}

/// RFC 3339; nothing for what is no time.
pub(super) fn iso(ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(ms);
    time.map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true)).unwrap_or_default()
}

/// Text that no spreadsheet takes for a formula. No emoji of Unicode's begins like one, and window names seldom; but whoever may
/// write to the topic may write anything.
pub(super) fn text(text: &str) -> String {
    const FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];
    if text.starts_with(FORMULA) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::result::WindowOf;
    use super::super::step::Moods;
    use super::*;

    fn query(format: Format, step: Option<i64>) -> Query {
        Query { from: 5, to: 70_000, window: None, step, limit: 10, after: None, format }
    }

    fn window(name: &'static str, counts: &[(&'static str, u64)]) -> Final<'static> {
        Final {
            window: WindowOf {
                name: name.into(),
                kind: "tumbling".into(),
                start: 1_784_491_200_000,
                end: 1_784_491_210_000,
            },
            total: counts.iter().map(|(_, count)| count).sum(),
            counts: counts.iter().map(|(emoji, count)| ((*emoji).into(), *count)).collect(),
            sentiment: None,
        }
    }

    fn csv_of(windows: &[Final<'_>], next: Option<&str>) -> Vec<Vec<String>> {
        let mut writer = Writer::begin("a", &query(Format::Csv, None));
        for window in windows {
            writer.window(b"", window);
        }
        writer.end(next);
        let text = writer.take();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&*text);
        reader.records().map(|row| row.expect("a row").iter().map(str::to_owned).collect()).collect()
    }

    #[test]
    fn json_is_one_object_whatever_is_in_it() {
        let mut writer = Writer::begin("final-2026", &query(Format::Json, None));
        writer.end(None);
        let empty: serde_json::Value = serde_json::from_slice(&writer.take()).expect("JSON");
        assert_eq!(
            empty,
            serde_json::json!({"room": "final-2026", "from": 5, "to": 70_000, "step": null, "windows": [], "next": null})
        );
        let mut writer = Writer::begin("a", &query(Format::Json, Some(60_000)));
        writer.window(b" {\"x\":1}\n", &window("10s", &[]));
        let mut text = writer.take();
        let counts = BTreeMap::from([("\u{1f525}".to_owned(), 2)]);
        writer.step(StepCounts {
            name: "\"".into(),
            kind: "k".into(),
            start: 0,
            end: 9,
            total: 2,
            counts,
            windows: 3,
            moods: Moods::default(),
        });
        writer.end(Some("?after=x"));
        text.extend(writer.take());
        let two: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        let step = serde_json::json!({"window": {"name": "\"", "kind": "k", "start": 0, "end": 9}, "total": 2, "counts": {"🔥": 2}, "windows": 3, "users": null, "sentiment": null});
        assert_eq!(
            (&two["windows"], &two["next"], &two["step"]),
            (&serde_json::json!([{"x": 1}, step]), &"?after=x".into(), &60_000.into())
        );
    }

    #[test]
    fn csv_has_a_row_for_each_emoji_and_one_that_says_how_to_go_on() {
        let rows =
            csv_of(&[window("10s", &[("❤️", 1), ("🔥", 2)]), window("10s", &[])], Some("?from=1,\"2\""));
        assert_eq!(rows[0], COLUMNS);
        let place = [
            "10s",
            "tumbling",
            "2026-07-19T20:00:00.000Z",
            "2026-07-19T20:00:10.000Z",
            "1784491200000",
            "1784491210000",
            "1",
        ];
        assert_eq!(rows[1], [&place[..], &["3", "❤️", "1"]].concat());
        assert_eq!(rows[2], [&place[..], &["3", "🔥", "2"]].concat());
        assert_eq!(rows[3], [&place[..], &["0", "", "0"]].concat());
        assert_eq!(rows[4][..3], ["?from=1,\"2\"", "next", ""]);
        assert_eq!(rows.len(), 5);
    }

    #[test]
    fn nothing_in_csv_is_a_formula() {
        for bad in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1"] {
            let rows = csv_of(&[window(bad, &[(bad, 1)])], None);
            assert_eq!((&rows[1][0], &rows[1][8]), (&format!("'{bad}"), &format!("'{bad}")));
        }
        for good in ["#️⃣", "*️⃣", "©️", "➕", "10s", "a=b", "\"x\",\n"] {
            assert_eq!(csv_of(&[window(good, &[(good, 1)])], None)[1][8], good);
        }
    }

    #[test]
    fn a_time_that_is_none_is_left_out() {
        assert_eq!((iso(i64::MAX), iso(0).as_str()), (String::new(), "1970-01-01T00:00:00.000Z"));
    }
}
