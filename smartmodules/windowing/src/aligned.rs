//! Tumbling and hopping windows of one key and definition.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::panes::Panes;
use crate::series::{Added, Closed, Part};
use crate::{Aggregate, WindowSettings};

/// Windows that begin at multiples of the advance. A window exists as long as a pane within it does; none is stored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct Aligned<A: Aggregate> {
    panes: Panes<A>,
    /// Windows that begin before this are final, or were never to be.
    closed_to: i64,
    /// Updates sent of each open window, by its start.
    revisions: BTreeMap<i64, u64>,
    /// Panes that have changed since the last round of updates.
    dirty: BTreeSet<i64>,
    pub(crate) emitted_at: Option<i64>,
    /// Where the last record went. Can be made anew.
    #[serde(skip)]
    recent: Option<Recent>,
}

/// A pane whose windows all take records: what most records fall into is told without a division.
#[derive(Debug)]
struct Recent {
    pane: i64,
    /// Times of the pane.
    times: Range<i64>,
    /// Stream time at which the next window closes, of this pane or of an earlier one.
    until: i64,
}

impl<A: Aggregate> Default for Aligned<A> {
    fn default() -> Self {
        Self {
            panes: Panes::default(),
            closed_to: i64::MIN,
            revisions: BTreeMap::new(),
            dirty: BTreeSet::new(),
            emitted_at: None,
            recent: None,
        }
    }
}

/// Start of the first window that holds this time.
fn first_of(settings: &WindowSettings, time_ms: i64) -> i64 {
    let advance = settings.advance_ms();
    ((time_ms - settings.span_ms()).div_euclid(advance) + 1) * advance
}

/// Start of the last window that holds this time.
fn last_of(settings: &WindowSettings, time_ms: i64) -> i64 {
    let advance = settings.advance_ms();
    time_ms.div_euclid(advance) * advance
}

impl<A: Aggregate> Aligned<A> {
    /// Adds a record to the windows that still take it. What is due of this series has to be closed before.
    pub(crate) fn add(
        &mut self,
        settings: &WindowSettings,
        time_ms: i64,
        item: &A::Item<'_>,
        now: i64,
    ) -> Added {
        if let Some(Recent { pane, times, until }) = &self.recent
            && times.contains(&time_ms)
            && now < *until
        {
            return self.put(settings, *pane, item);
        }
        // A window is open while its start lies after `now` less grace and size.
        let first_open = first_of(settings, now.saturating_sub(settings.grace_ms));
        let (first, last) = (first_of(settings, time_ms), last_of(settings, time_ms));
        let missed = ((first_open.min(last + settings.advance_ms()) - first) / settings.advance_ms()).max(0);
        let missed = missed.unsigned_abs();
        if first_open > last {
            return Added { missed, moved: self.is_empty(), ..Added::default() };
        }
        let closed_to = self.closed_to.max(first_open);
        let moved = std::mem::replace(&mut self.closed_to, closed_to) != closed_to;
        let pane_ms = settings.pane_ms();
        let pane = time_ms.div_euclid(pane_ms);
        if missed == 0 {
            let times = pane * pane_ms..(pane + 1) * pane_ms;
            let until = settings.closes_at(first_open.saturating_add(settings.span_ms()));
            self.recent = Some(Recent { pane, times, until });
        }
        let added = self.put(settings, pane, item);
        Added { missed, moved: moved || added.moved, ..added }
    }

    /// Adds a record to a pane whose windows take it.
    fn put(&mut self, settings: &WindowSettings, pane: i64, item: &A::Item<'_>) -> Added {
        let is_new = self.panes.add(pane, item);
        let is_dirty = settings.every_ms().is_some() && self.dirty.insert(pane);
        Added { missed: 0, counted: true, parts: i64::from(is_new), moved: is_new || is_dirty }
    }

    /// Stream time at which the next window is final.
    pub(crate) fn closes_at(&self, settings: &WindowSettings) -> Option<i64> {
        self.next_start(settings).map(|start| settings.closes_at(start + settings.span_ms()))
    }

    fn next_start(&self, settings: &WindowSettings) -> Option<i64> {
        let first = self.panes.first()? * settings.pane_ms();
        Some(first_of(settings, first).max(self.closed_to))
    }

    /// Takes the next window's final out; answers the panes that are gone with it.
    pub(crate) fn close_next(
        &mut self,
        settings: &WindowSettings,
        emit: &mut impl FnMut(Part<'_, A>),
    ) -> Closed {
        let Some(start) = self.next_start(settings) else { return Closed::default() };
        let (span, pane) = (settings.span_ms(), settings.pane_ms());
        let revision = self.revisions.remove(&start).unwrap_or(0) + 1;
        let range = start / pane..(start + span) / pane;
        if let Some(held) = self.panes.held(range) {
            let aggregate = held.as_ref();
            emit(Part {
                start_ms: start,
                end_ms: start + span,
                revision,
                last: true,
                retracted: false,
                aggregate,
            });
        }
        self.closed_to = start + settings.advance_ms();
        let (before, floor) = (self.panes.len(), self.closed_to / pane);
        self.panes.drop_below(floor);
        self.revisions = self.revisions.split_off(&self.closed_to);
        self.dirty = self.dirty.split_off(&floor);
        Closed { parts: before - self.panes.len() }
    }

    pub(crate) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Emits every open window that has changed.
    pub(crate) fn update(&mut self, settings: &WindowSettings, emit: &mut impl FnMut(Part<'_, A>)) {
        let (span, pane, advance) = (settings.span_ms(), settings.pane_ms(), settings.advance_ms());
        let mut next = self.closed_to;
        for dirty in std::mem::take(&mut self.dirty) {
            let time = dirty * pane;
            next = next.max(first_of(settings, time));
            while next <= last_of(settings, time) {
                let revision = self.revisions.entry(next).or_default();
                *revision += 1;
                if let Some(held) = self.panes.held(next / pane..(next + span) / pane) {
                    let (revision, aggregate) = (*revision, held.as_ref());
                    let (start_ms, end_ms) = (next, next + span);
                    emit(Part { start_ms, end_ms, revision, last: false, retracted: false, aggregate });
                }
                next += advance;
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.panes.len() == 0
    }

    pub(crate) fn parts(&self) -> usize {
        self.panes.len()
    }
}
