use std::collections::{BTreeMap, VecDeque};

use ovation_client::Record;
use serde::Deserialize;

use crate::replay::Expected;

/// Stored records that may wait for their turn: farther than this apart, a number that comes later counts as missing. Two
/// engines at work can store results in another order than they are numbered (docs/fluvio.md 20), by a batch or two.
const WAITING_MAX: usize = 4096;

/// What a stored record says of itself.
#[derive(Deserialize)]
struct Head {
    stage: String,
    epoch: u64,
    seq: u64,
    source: Source,
}

#[derive(Deserialize)]
struct Source {
    offset: i64,
}

/// A stored result or dead letter.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) offset: i64,
    pub(crate) source_offset: i64,
    pub(crate) record: Record,
}

/// What becomes of a stored record as it is read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Kept,
    /// Of an epoch before the one that is audited.
    Older,
    /// Of an epoch after it.
    Newer(u64),
    /// Its number was stored before.
    Repeated {
        seq: u64,
        source_offset: i64,
    },
    /// Not a numbered record of this stage.
    Foreign,
}

/// The next number, settled.
#[derive(Debug)]
pub(crate) enum Settled {
    /// Made, and stored.
    Both(Expected, Found),
    /// Made, and not stored; `hole` if later ones are.
    Missing { expected: Expected, hole: bool },
    /// Stored, and not made.
    Extra(u64, Found),
}

/// What a replay makes and what a topic holds, brought together number by number.
#[derive(Debug)]
pub(crate) struct Outlet {
    stage: String,
    epoch: u64,
    /// Number to be settled next.
    next: u64,
    /// From `next` on, without a hole.
    expected: VecDeque<Expected>,
    expected_bytes: usize,
    found: BTreeMap<u64, Found>,
    last_stored: u64,
    made_all: bool,
    stored_all: bool,
    /// Records that stand behind a higher number.
    pub(crate) inversions: u64,
}

impl Outlet {
    pub(crate) fn new(stage: &str, epoch: u64) -> Self {
        Self {
            stage: stage.to_owned(),
            epoch,
            next: 1,
            expected: VecDeque::new(),
            expected_bytes: 0,
            found: BTreeMap::new(),
            last_stored: 0,
            made_all: false,
            stored_all: false,
            inversions: 0,
        }
    }

    /// The replay made this.
    pub(crate) fn expect(&mut self, expected: Expected) {
        self.expected_bytes += expected.value.len();
        self.expected.push_back(expected);
    }

    /// The topic holds this.
    pub(crate) fn take(&mut self, record: &Record) -> Taken {
        let Ok(head) = serde_json::from_slice::<Head>(&record.value) else { return Taken::Foreign };
        if head.stage != self.stage || head.seq == 0 {
            return Taken::Foreign;
        }
        if head.epoch != self.epoch {
            return if head.epoch < self.epoch { Taken::Older } else { Taken::Newer(head.epoch) };
        }
        let (seq, source_offset) = (head.seq, head.source.offset);
        if seq < self.next || self.found.contains_key(&seq) {
            return Taken::Repeated { seq, source_offset };
        }
        if seq < self.last_stored {
            self.inversions += 1;
        }
        self.last_stored = self.last_stored.max(seq);
        self.found.insert(seq, Found { offset: record.offset, source_offset, record: record.clone() });
        Taken::Kept
    }

    /// The replay has made all that there is.
    pub(crate) fn made_all(&mut self) {
        self.made_all = true;
    }

    /// The topic holds no more.
    pub(crate) fn stored_all(&mut self) {
        self.stored_all = true;
    }

    /// The next number, if it can be told and was made below `before` of the source.
    pub(crate) fn settle(&mut self, before: i64) -> Option<Settled> {
        let Some(expected) = self.expected.front() else {
            let (seq, found) = if self.made_all { self.found.pop_first()? } else { return None };
            self.next = seq + 1;
            return Some(Settled::Extra(seq, found));
        };
        if expected.source_offset >= before {
            return None;
        }
        let found = self.found.remove(&self.next);
        if found.is_none() && !self.stored_all && self.found.len() < WAITING_MAX {
            return None;
        }
        let expected = self.expected.pop_front()?;
        self.expected_bytes -= expected.value.len();
        self.next += 1;
        Some(match found {
            Some(found) => Settled::Both(expected, found),
            None => Settled::Missing { expected, hole: !self.found.is_empty() },
        })
    }

    /// Source offset of the next number that was made and is not settled.
    pub(crate) fn pending(&self) -> Option<i64> {
        self.expected.front().map(|expected| expected.source_offset)
    }

    /// Bytes that wait to be settled.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.expected_bytes
    }

    /// Whether the next number has to be looked for in the topic.
    pub(crate) fn wants(&self) -> bool {
        !self.stored_all && !self.expected.is_empty() && !self.found.contains_key(&self.next)
    }
}
