//! A trace: what a crowd did, step by step, and what in it was a burst.

use std::fmt::Write as _;

/// Taps of one emoji within one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taps {
    /// Start of the step, in seconds since the trace's start.
    pub second: u64,
    /// The emoji.
    pub emoji: String,
    /// How many taps.
    pub taps: u64,
}

/// Something that the crowd answered to, whether or not anything shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// What it was, e.g. `goal`.
    pub kind: String,
    /// When the crowd began to answer, in seconds since the trace's start.
    pub start: u64,
    /// When the answer had faded to a tenth.
    pub end: u64,
    /// Whether it is a burst; a chant that swells is none.
    pub burst: bool,
}

/// Taps in order of time, and labels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// Taps, in order of time.
    pub taps: Vec<Taps>,
    /// Labels, in order of time.
    pub labels: Vec<Label>,
}

/// A line of a trace that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read line {line} of the {what}: {text:?}; expected {expected}")]
pub struct TraceError {
    what: &'static str,
    line: usize,
    text: String,
    expected: &'static str,
}

const TAPS: &str = "second,emoji,taps";
const LABELS: &str = "kind,start,end,burst";

impl Trace {
    /// The taps as reactions to a room, as `validate` writes them: their key is the room. The trace begins at `began_ms`, ms since
    /// 1970; no reaction has more than `count_max` taps, from 1 on.
    #[must_use]
    pub fn reactions(&self, room: &str, began_ms: i64, count_max: u64) -> Vec<String> {
        let mut reactions = Vec::new();
        for Taps { second, emoji, taps } in &self.taps {
            let ts = began_ms + *second as i64 * 1_000;
            let mut left = *taps;
            while left > 0 {
                let (count, id) = (left.min(count_max.max(1)), reactions.len());
                reactions.push(format!(
                    r#"{{"id":"t{id}","room":"{room}","emoji":"{emoji}","count":{count},"ts":{ts}}}"#
                ));
                left -= count;
            }
        }
        reactions
    }

    /// The taps as CSV.
    #[must_use]
    pub fn taps_csv(&self) -> String {
        let mut text = format!("{TAPS}\n");
        for Taps { second, emoji, taps } in &self.taps {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{second},{emoji},{taps}");
        }
        text
    }

    /// The labels as CSV.
    #[must_use]
    pub fn labels_csv(&self) -> String {
        let mut text = format!("{LABELS}\n");
        for Label { kind, start, end, burst } in &self.labels {
            let _ = writeln!(text, "{kind},{start},{end},{burst}");
        }
        text
    }

    /// Reads both tables.
    ///
    /// # Errors
    ///
    /// [`TraceError`] for the first line that is none.
    pub fn read(taps: &str, labels: &str) -> Result<Self, TraceError> {
        let taps = lines("taps", TAPS, taps, |line| {
            let (second, rest) = line.split_once(',')?;
            let (emoji, taps) = rest.split_once(',')?;
            Some(Taps { second: second.parse().ok()?, emoji: emoji.to_owned(), taps: taps.parse().ok()? })
        })?;
        let labels = lines("labels", LABELS, labels, |line| {
            let mut fields = line.split(',');
            let mut next = || fields.next();
            Some(Label {
                kind: next()?.to_owned(),
                start: next()?.parse().ok()?,
                end: next()?.parse().ok()?,
                burst: next()?.parse().ok()?,
            })
        })?;
        Ok(Self { taps, labels })
    }
}

fn lines<T>(
    what: &'static str,
    head: &'static str,
    text: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, TraceError> {
    let fault = |line: usize, text: &str| TraceError { what, line, text: text.to_owned(), expected: head };
    let mut lines = text.lines().enumerate();
    match lines.next() {
        Some((_, line)) if line == head => {}
        other => return Err(fault(1, other.map_or("", |(_, line)| line))),
    }
    lines.map(|(at, line)| read(line).ok_or_else(|| fault(at + 1, line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_reads_what_it_wrote_and_names_the_line_at_fault() {
        let trace = Trace {
            taps: vec![Taps { second: 2, emoji: "⚽".to_owned(), taps: 7 }],
            labels: vec![Label { kind: "goal".to_owned(), start: 2, end: 80, burst: true }],
        };
        let (taps, labels) = (trace.taps_csv(), trace.labels_csv());
        assert_eq!(Trace::read(&taps, &labels), Ok(trace));
        let error = Trace::read(&format!("{taps}3;⚽;1\n"), &labels).expect_err("damaged").to_string();
        assert!(error.contains("line 3") && error.contains("second,emoji,taps"), "{error}");
        assert!(Trace::read("", &labels).is_err() && Trace::read(&taps, "start,end\n").is_err());
    }
}
