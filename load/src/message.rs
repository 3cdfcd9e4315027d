//! What a feed says, as far as a crowd listens.

use std::borrow::Cow;

use serde::Deserialize;

/// One message.
#[derive(Debug, Deserialize)]
pub(crate) struct Message<'a> {
    #[serde(rename = "type", borrow)]
    pub(crate) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) cursor: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) update: Option<Update<'a>>,
    /// Of `skipped`.
    pub(crate) count: Option<u64>,
    /// Of an answer: what it is about.
    #[serde(rename = "ref", borrow)]
    pub(crate) reference: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) problem: Option<Problem<'a>>,
    /// Of a snapshot: false if it takes the place of what was missed.
    pub(crate) resumed: Option<bool>,
}

/// A result.
#[derive(Debug, Deserialize)]
pub(crate) struct Update<'a> {
    pub(crate) epoch: u64,
    pub(crate) seq: u64,
    #[serde(borrow)]
    pub(crate) window: Window<'a>,
    #[serde(rename = "final")]
    pub(crate) last: bool,
    pub(crate) total: u64,
    pub(crate) source: Source,
}

/// Which window.
#[derive(Debug, Deserialize)]
pub(crate) struct Window<'a> {
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) kind: Cow<'a, str>,
}

/// The source record that gave rise to it.
#[derive(Debug, Deserialize)]
pub(crate) struct Source {
    pub(crate) offset: i64,
}

/// Why something was not done.
#[derive(Debug, Deserialize)]
pub(crate) struct Problem<'a> {
    #[serde(rename = "type", borrow)]
    pub(crate) kind: Cow<'a, str>,
    pub(crate) status: u16,
}

impl Problem<'_> {
    /// Its name, for a table.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.status, self.kind.rsplit(':').next().unwrap_or("problem"))
    }
}

/// The answer to one reaction.
#[derive(Debug, Deserialize)]
pub(crate) struct Accepted {
    pub(crate) offset: i64,
}

/// The answer to many.
#[derive(Debug, Deserialize)]
pub(crate) struct Many<'a> {
    #[serde(borrow)]
    pub(crate) rejected: Vec<Rejected<'a>>,
}

/// One of many that was not taken.
#[derive(Debug, Deserialize)]
pub(crate) struct Rejected<'a> {
    pub(crate) index: usize,
    #[serde(flatten, borrow)]
    pub(crate) problem: Problem<'a>,
}

/// A room as it is now.
#[derive(Debug, Deserialize)]
pub(crate) struct Room {
    pub(crate) room_totals: crate::report::Totals,
    pub(crate) windows: Vec<Open>,
}

/// Whether a window is.
#[derive(Debug, Deserialize)]
pub(crate) struct Open {
    #[serde(rename = "final")]
    pub(crate) last: bool,
}

/// A page of a room's past.
#[derive(Debug, Deserialize)]
pub(crate) struct History<'a> {
    #[serde(borrow)]
    pub(crate) windows: Vec<Past<'a>>,
    pub(crate) next: Option<String>,
}

/// A window that is over.
#[derive(Debug, Deserialize)]
pub(crate) struct Past<'a> {
    #[serde(borrow)]
    pub(crate) window: Window<'a>,
    pub(crate) total: u64,
}
