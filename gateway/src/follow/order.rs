//! Order: the results of one partition by number, whatever order the log has them in.

use std::collections::BTreeMap;

use crate::cursor::Place;

/// What became of a result that was offered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Offer<T> {
    /// It continued the order; these may go out now, in this order (itself first).
    Ready(Vec<T>),
    /// It has been seen before.
    Repeat,
    /// Something before it is missing; it is kept.
    Waiting,
    /// Something before it is missing and there is no room to keep it: the partition must be read again.
    Full,
}

/// Puts the results of one partition in order of (`epoch`, `seq`), each once.
///
/// A fenced topic holds them in order as a rule. Fluvio's deduplication and append are not one step, though, so two
/// writers may leave an inversion in the log, and a broker killed in between may leave a hole that the stage fills
/// later: what comes early is kept here until the missing one is there.
#[derive(Debug)]
pub(crate) struct Order<T> {
    /// The place that is due; `None` until the first result says where the order starts.
    due: Option<Place>,
    /// What came early.
    waiting: BTreeMap<Place, T>,
    waiting_max: usize,
}

impl<T> Order<T> {
    /// An order that starts with the first result offered and keeps at most `waiting_max` early ones.
    pub(crate) fn new(waiting_max: usize) -> Self {
        Self { due: None, waiting: BTreeMap::new(), waiting_max }
    }

    /// Says where the order starts, unless that is known.
    pub(crate) fn start_at(&mut self, place: Place) {
        self.due.get_or_insert(place);
    }

    /// Forgets everything.
    pub(crate) fn restart(&mut self) {
        self.due = None;
        self.waiting.clear();
    }

    /// The place that is missing, if results wait for it.
    pub(crate) fn missing(&self) -> Option<Place> {
        if self.waiting.is_empty() { None } else { self.due }
    }

    /// Takes one result.
    pub(crate) fn offer(&mut self, place: Place, item: T) -> Offer<T> {
        let due = *self.due.get_or_insert(place);
        // An epoch's first result needs nothing before it: what the older epoch still owes is void.
        let opens_epoch = place.epoch > due.epoch && place.seq == 1;
        if place == due || opens_epoch {
            self.due = Some(place.after());
            self.waiting.retain(|early, _| *early > place);
            let mut ready = vec![item];
            self.release(&mut ready);
            return Offer::Ready(ready);
        }
        if place < due || self.waiting.contains_key(&place) {
            return Offer::Repeat;
        }
        if self.waiting.len() >= self.waiting_max {
            return Offer::Full;
        }
        self.waiting.insert(place, item);
        Offer::Waiting
    }

    /// Stops waiting for what is missing: what is there goes on, up to the next hole.
    pub(crate) fn give_up(&mut self) -> Vec<T> {
        let mut ready = Vec::new();
        if let Some((place, _)) = self.waiting.first_key_value() {
            self.due = Some(*place);
            self.release(&mut ready);
        }
        ready
    }

    /// Moves what continues the order from `waiting` to `ready`.
    fn release(&mut self, ready: &mut Vec<T>) {
        while let (Some(due), Some(entry)) = (self.due, self.waiting.first_entry()) {
            let place = *entry.key();
            if place != due && !(place.epoch > due.epoch && place.seq == 1) {
                break;
            }
            ready.push(entry.remove());
            self.due = Some(place.after());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(epoch: u64, seq: u64) -> Place {
        Place::new(epoch, seq)
    }

    #[test]
    fn results_in_order_pass_and_repeats_do_not() {
        let mut order = Order::new(4);
        assert_eq!(order.offer(place(1, 5), 5), Offer::Ready(vec![5]));
        assert_eq!(order.offer(place(1, 6), 6), Offer::Ready(vec![6]));
        assert_eq!(order.offer(place(1, 6), 6), Offer::Repeat);
        assert_eq!(order.offer(place(1, 2), 2), Offer::Repeat);
        assert_eq!(order.missing(), None);
    }

    #[test]
    fn an_inversion_in_the_log_is_put_right() {
        let mut order = Order::new(4);
        order.start_at(place(1, 1));
        assert_eq!(order.offer(place(1, 2), 2), Offer::Waiting);
        assert_eq!(order.offer(place(1, 2), 2), Offer::Repeat);
        assert_eq!(order.offer(place(1, 4), 4), Offer::Waiting);
        assert_eq!(order.missing(), Some(place(1, 1)));
        assert_eq!(order.offer(place(1, 1), 1), Offer::Ready(vec![1, 2]));
        assert_eq!(order.missing(), Some(place(1, 3)));
        assert_eq!(order.offer(place(1, 3), 3), Offer::Ready(vec![3, 4]));
        assert_eq!(order.missing(), None);
    }

    #[test]
    fn a_new_epoch_starts_at_one_and_voids_the_old() {
        let mut order = Order::new(4);
        order.start_at(place(1, 1));
        assert_eq!(order.offer(place(1, 3), 13), Offer::Waiting);
        assert_eq!(order.offer(place(2, 2), 22), Offer::Waiting);
        assert_eq!(order.offer(place(2, 1), 21), Offer::Ready(vec![21, 22]));
        assert_eq!(order.offer(place(1, 1), 11), Offer::Repeat);
        assert_eq!(order.missing(), None);
    }

    #[test]
    fn what_waits_is_bounded_and_can_be_given_up() {
        let mut order = Order::new(2);
        order.start_at(place(1, 1));
        assert_eq!(order.offer(place(1, 3), 3), Offer::Waiting);
        assert_eq!(order.offer(place(1, 5), 5), Offer::Waiting);
        assert_eq!(order.offer(place(1, 6), 6), Offer::Full);
        assert_eq!(order.give_up(), vec![3]);
        assert_eq!(order.give_up(), vec![5]);
        assert_eq!(order.give_up(), Vec::<i32>::new());
        assert_eq!(order.offer(place(1, 6), 6), Offer::Ready(vec![6]));
    }
}
