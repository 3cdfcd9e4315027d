use std::fmt;

use serde::Serialize;

/// Bytes that are shown of what was expected and what was found.
const SHOWN_BYTES: usize = 120;
/// How far before the first difference the shown part begins.
const SHOWN_BEFORE: usize = 40;

/// What does not agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A number that has to be stored is not, and later ones are.
    Missing,
    /// The topic ends before a number that has to be stored, and it did not come in time.
    Behind,
    /// A number is stored again.
    Repeated,
    /// Another record is stored than the one that the replay made.
    Changed,
    /// A record is stored that the replay did not make.
    Unexpected,
    /// A record is stored that is none of this stage's.
    Foreign,
    /// A refused event has no dead letter.
    NoLetter,
    /// A dead letter does not fit the event that it names.
    WrongLetter,
    /// A room's cumulative counters are not what the events and dead letters up to there add up to.
    Totals,
    /// What was accepted is not what is in finals, open or late.
    Conservation,
}

/// The first difference of a kind in one partition of a topic, and how many more there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What does not agree.
    pub kind: Kind,
    /// How many there are of this kind.
    pub count: u64,
    /// Topic that is at fault.
    pub topic: String,
    /// Partition.
    pub partition: u32,
    /// Number of the result or dead letter.
    pub seq: Option<u64>,
    /// Offset in the topic.
    pub offset: Option<i64>,
    /// Offset of the event in the source topic.
    pub source_offset: Option<i64>,
    /// The room.
    pub room: Option<String>,
    /// The window definition.
    pub window: Option<String>,
    /// What should be there, shortened.
    pub expected: Option<String>,
    /// What is there, shortened.
    pub found: Option<String>,
}

impl Difference {
    pub(crate) fn new(kind: Kind, topic: &str, partition: u32) -> Self {
        Self {
            kind,
            count: 1,
            topic: topic.to_owned(),
            partition,
            seq: None,
            offset: None,
            source_offset: None,
            room: None,
            window: None,
            expected: None,
            found: None,
        }
    }

    pub(crate) fn seq(self, seq: u64) -> Self {
        Self { seq: Some(seq), ..self }
    }

    pub(crate) fn offset(self, offset: i64) -> Self {
        Self { offset: Some(offset), ..self }
    }

    pub(crate) fn source_offset(self, offset: i64) -> Self {
        Self { source_offset: Some(offset), ..self }
    }

    pub(crate) fn room(self, room: &str) -> Self {
        Self { room: Some(room.to_owned()), ..self }
    }

    pub(crate) fn window(self, window: &str) -> Self {
        Self { window: Some(window.to_owned()), ..self }
    }

    pub(crate) fn expected(self, expected: impl Into<String>) -> Self {
        Self { expected: Some(expected.into()), ..self }
    }

    pub(crate) fn found(self, found: impl Into<String>) -> Self {
        Self { found: Some(found.into()), ..self }
    }

    /// Shows the part of both where they begin to differ.
    pub(crate) fn compared(self, expected: &[u8], found: &[u8]) -> Self {
        let same = expected.iter().zip(found).take_while(|(a, b)| a == b).count();
        let from = same.saturating_sub(SHOWN_BEFORE);
        self.expected(shown(expected, from)).found(shown(found, from))
    }
}

/// Up to [`SHOWN_BYTES`] of a record, as text.
pub(crate) fn shown(value: &[u8], from: usize) -> String {
    let to = (from + SHOWN_BYTES).min(value.len());
    let text = String::from_utf8_lossy(value.get(from..to).unwrap_or_default());
    // A character that was cut in two shows as U+FFFD.
    let text = text.trim_matches('\u{fffd}');
    let (before, after) = (if from > 0 { "…" } else { "" }, if to < value.len() { "…" } else { "" });
    format!("{before}{text}{after}")
}

/// What was found, by its kind: the first of each, and how many.
#[derive(Debug, Default)]
pub(crate) struct Differences(pub(crate) Vec<Difference>);

impl Differences {
    pub(crate) fn add(&mut self, difference: Difference) {
        let known = self
            .0
            .iter_mut()
            .find(|known| (known.kind, &known.topic) == (difference.kind, &difference.topic));
        match known {
            Some(known) => known.count += 1,
            None => self.0.push(difference),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, topic, partition, .. } = self;
        let seq = self.seq.unwrap_or_default();
        write!(formatter, "partition {partition} of {topic}")?;
        match kind {
            Kind::Missing => write!(formatter, ": number {seq} is missing, and later ones are there")?,
            Kind::Behind => write!(formatter, " ends before number {seq}, and it did not come in time")?,
            Kind::Repeated => write!(formatter, ": number {seq} is stored again")?,
            Kind::Changed => write!(formatter, ": number {seq} is not what the stage made")?,
            Kind::Unexpected => {
                write!(formatter, ": number {seq} is stored, and the stage made no such record")?
            }
            Kind::Foreign => write!(formatter, ": a record that is none of this stage's")?,
            Kind::NoLetter => write!(formatter, ": a refused event has no dead letter")?,
            Kind::WrongLetter => write!(formatter, ": dead letter {seq} does not fit its event")?,
            Kind::Totals => write!(formatter, ": the room's totals in number {seq} do not add up")?,
            Kind::Conservation => {
                write!(formatter, ": what was accepted is not in finals, open or late")?;
            }
        }
        if let Some(offset) = self.offset {
            write!(formatter, " (offset {offset})")?;
        }
        for (name, value) in [("room", &self.room), ("window", &self.window)] {
            if let Some(value) = value {
                write!(formatter, ", {name} {value:?}")?;
            }
        }
        if let Some(offset) = self.source_offset {
            write!(formatter, ", source offset {offset}")?;
        }
        if self.count > 1 {
            write!(formatter, "; {} more of this kind", self.count - 1)?;
        }
        for (name, value) in [("expected", &self.expected), ("found", &self.found)] {
            if let Some(value) = value {
                write!(formatter, "\n  {name:<8} {value}")?;
            }
        }
        Ok(())
    }
}
