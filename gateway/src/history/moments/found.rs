//! The moments that an answer is made of.

use std::collections::BTreeMap;
use std::ops::Range;

use ovation_client::Record;

use super::query::{Place, Query};
use crate::hub::moment::Moment;

/// Moments that are wanted, in their latest revision, in the order in which they go out; one more than go into an answer.
#[derive(Debug)]
pub(super) struct Found {
    wanted: Range<i64>,
    after: Option<Place>,
    most: usize,
    moments: BTreeMap<Place, Moment>,
}

impl Found {
    /// None yet of those that are asked for.
    pub(super) fn new(query: &Query) -> Self {
        Self {
            wanted: query.range.clone(),
            after: query.after.clone(),
            most: query.limit as usize + 1,
            moments: BTreeMap::new(),
        }
    }

    /// Takes a record, if it is a moment of the room that is wanted.
    pub(super) fn take(&mut self, room: &str, record: &Record) {
        let Ok(moment) = Moment::read(record.partition, &record.value) else { return };
        if *moment.room != *room || !self.wanted.contains(&moment.start) {
            return;
        }
        let place = Place { start: moment.start, id: moment.id.to_string() };
        if self.after.as_ref().is_some_and(|after| place <= *after)
            || self.moments.get(&place).is_some_and(|known| !moment.supersedes(known))
        {
            return;
        }
        self.moments.insert(place, moment);
        // What is behind so many others never comes into this answer.
        if self.moments.len() > self.most {
            self.moments.pop_last();
        }
    }

    /// What goes out, and the place of the last of them if there are more.
    pub(super) fn into_answer(self, limit: u32) -> (Vec<Moment>, Option<Place>) {
        let limit = limit as usize;
        let is_more = self.moments.len() > limit;
        let last = self.moments.keys().nth(limit.saturating_sub(1)).filter(|_| is_more).cloned();
        (self.moments.into_values().take(limit).collect(), last)
    }
}
