//! Session windows of one key and definition.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::series::{Added, Closed, Part};
use crate::{Aggregate, WindowSettings};

#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
struct Session<A: Aggregate> {
    /// Time of its last record; the session ends a gap later.
    last: i64,
    aggregate: A,
    /// Updates sent under its present start.
    revision: u64,
    dirty: bool,
}

/// Open sessions by their start. They lie at least a gap apart, so their ends are in the same order.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct Sessions<A: Aggregate> {
    open: BTreeMap<i64, Session<A>>,
    pub(crate) emitted_at: Option<i64>,
}

impl<A: Aggregate> Default for Sessions<A> {
    fn default() -> Self {
        Self { open: BTreeMap::new(), emitted_at: None }
    }
}

impl<A: Aggregate> Sessions<A> {
    /// Adds a record to its session, joining those that it connects. A session that was published under a start which it has
    /// no more is retracted. What is due of this series has to be closed before.
    pub(crate) fn add(
        &mut self,
        settings: &WindowSettings,
        time_ms: i64,
        item: &A::Item<'_>,
        now: i64,
        emit: &mut impl FnMut(Part<'_, A>),
    ) -> Added {
        let gap = settings.span_ms();
        let touched: Vec<i64> = self
            .open
            .range(..time_ms.saturating_add(gap))
            .rev()
            .take_while(|(_, session)| session.last.saturating_add(gap) > time_ms)
            .map(|(start, _)| *start)
            .collect();
        let start = touched.last().map_or(time_ms, |first| time_ms.min(*first));
        // A record of any age may fall into an open session. To begin one, or to make one begin earlier, it has to be in
        // time: a session of that start may have been final before.
        if (touched.is_empty() || time_ms < touched[touched.len() - 1])
            && settings.closes_at(time_ms.saturating_add(gap)) <= now
        {
            return Added { missed: 1, moved: true, ..Added::default() };
        }
        let parts = 1 - touched.len() as i64;
        let mut grown = Session {
            last: time_ms,
            aggregate: A::default(),
            revision: 0,
            dirty: settings.every_ms().is_some(),
        };
        for old in touched {
            let Some(session) = self.open.remove(&old) else { continue };
            grown.last = grown.last.max(session.last);
            if old == start {
                grown.revision = session.revision;
            } else if session.revision > 0 {
                emit(Part {
                    start_ms: old,
                    end_ms: session.last.saturating_add(gap),
                    revision: session.revision + 1,
                    last: true,
                    retracted: true,
                    aggregate: &A::default(),
                });
            }
            grown.aggregate.merge(&session.aggregate);
        }
        grown.aggregate.add(item);
        self.open.insert(start, grown);
        Added { missed: 0, counted: true, parts, moved: true }
    }

    /// Stream time at which the next session is final.
    pub(crate) fn closes_at(&self, settings: &WindowSettings) -> Option<i64> {
        let (_, session) = self.open.first_key_value()?;
        Some(settings.closes_at(session.last.saturating_add(settings.span_ms())))
    }

    /// Takes the next session's final out.
    pub(crate) fn close_next(
        &mut self,
        settings: &WindowSettings,
        emit: &mut impl FnMut(Part<'_, A>),
    ) -> Closed {
        let Some((start_ms, session)) = self.open.pop_first() else { return Closed::default() };
        emit(Part {
            start_ms,
            end_ms: session.last.saturating_add(settings.span_ms()),
            revision: session.revision + 1,
            last: true,
            retracted: false,
            aggregate: &session.aggregate,
        });
        Closed { parts: 1 }
    }

    pub(crate) fn is_dirty(&self) -> bool {
        self.open.values().any(|session| session.dirty)
    }

    /// Emits every session that has changed.
    pub(crate) fn update(&mut self, settings: &WindowSettings, emit: &mut impl FnMut(Part<'_, A>)) {
        for (start, session) in self.open.iter_mut().filter(|(_, session)| session.dirty) {
            session.dirty = false;
            session.revision += 1;
            emit(Part {
                start_ms: *start,
                end_ms: session.last.saturating_add(settings.span_ms()),
                revision: session.revision,
                last: false,
                retracted: false,
                aggregate: &session.aggregate,
            });
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(crate) fn parts(&self) -> usize {
        self.open.len()
    }
}
