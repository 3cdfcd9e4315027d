use std::collections::VecDeque;

use ovation_reaction::RoomTotals;

/// What a raw event is, by its own words, until everything that follows from it is settled.
#[derive(Debug)]
pub(crate) struct Fact {
    pub(crate) offset: i64,
    /// Index of its room.
    pub(crate) room: usize,
    pub(crate) kind: FactKind,
}

#[derive(Debug)]
pub(crate) enum FactKind {
    /// A reaction that counts.
    Counted {
        taps: u64,
        /// Windows that hold its time, by definition.
        windows: Vec<u64>,
        /// Windows that its dead letters say had closed, by definition.
        missed: Vec<u64>,
    },
    /// A reaction that came before.
    Duplicate { taps: u64 },
    /// An event that has to have one dead letter.
    Rejected {
        reason: &'static str,
        /// The event as the dead letter has to hold it.
        event: Vec<u8>,
        letters: u64,
    },
}

impl Fact {
    /// What it adds to the counters of its room.
    pub(crate) fn counters(&self) -> RoomTotals {
        let mut totals = RoomTotals::default();
        match &self.kind {
            FactKind::Counted { taps, windows, missed } => {
                let sum = |counts: &[u64]| counts.iter().fold(0u64, |sum, one| sum.saturating_add(*one));
                let (windows, missed) = (sum(windows), sum(missed));
                totals.reactions = if missed < windows { *taps } else { 0 };
                totals.late = taps.saturating_mul(missed);
            }
            FactKind::Duplicate { taps } => totals.duplicates = *taps,
            FactKind::Rejected { .. } => totals.rejected = 1,
        }
        totals
    }
}

/// Facts in the order of the log.
#[derive(Debug, Default)]
pub(crate) struct Facts(VecDeque<Fact>);

impl Facts {
    pub(crate) fn push(&mut self, fact: Fact) {
        self.0.push_back(fact);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The fact at an offset, unless it is settled.
    pub(crate) fn at(&mut self, offset: i64) -> Option<&mut Fact> {
        let index = self.0.binary_search_by_key(&offset, |fact| fact.offset).ok()?;
        self.0.get_mut(index)
    }

    /// Takes the next fact out that lies below an offset.
    pub(crate) fn settle(&mut self, before: i64) -> Option<Fact> {
        if self.0.front()?.offset < before { self.0.pop_front() } else { None }
    }
}

/// The sum of two rooms' counters.
pub(crate) fn plus(a: RoomTotals, b: RoomTotals) -> RoomTotals {
    RoomTotals {
        reactions: a.reactions.saturating_add(b.reactions),
        late: a.late.saturating_add(b.late),
        duplicates: a.duplicates.saturating_add(b.duplicates),
        rejected: a.rejected.saturating_add(b.rejected),
    }
}

/// Whether counters lie between what they were before a record and after it: results of one record are emitted while it is counted.
pub(crate) fn between(before: RoomTotals, is: RoomTotals, after: RoomTotals) -> bool {
    let fits = |counter: fn(&RoomTotals) -> u64| (counter(&before)..=counter(&after)).contains(&counter(&is));
    fits(|totals| totals.reactions)
        && fits(|totals| totals.late)
        && fits(|totals| totals.duplicates)
        && fits(|totals| totals.rejected)
}
