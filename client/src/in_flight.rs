use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What is on its way to the broker, within bounds. Nobody waits for room, so two numbers are enough: a semaphore has a
/// queue besides, and takes a lock for each return.
pub(crate) struct InFlight {
    records: Counted,
    bytes: Counted,
}

/// What records take of the bounds, given back when they are answered.
pub(crate) struct Room {
    in_flight: Arc<InFlight>,
    records: usize,
    bytes: usize,
}

/// The bound that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    Records,
    Bytes,
}

impl InFlight {
    pub(crate) fn new(records_max: usize, bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { records: Counted::new(records_max), bytes: Counted::new(bytes_max) })
    }

    /// Takes room for so many records of so many bytes, if there is as much.
    pub(crate) fn enter(in_flight: &Arc<Self>, records: usize, bytes: usize) -> Result<Room, Bound> {
        if !in_flight.records.take(records) {
            return Err(Bound::Records);
        }
        if !in_flight.bytes.take(bytes) {
            in_flight.records.give_back(records);
            return Err(Bound::Bytes);
        }
        Ok(Room { in_flight: Arc::clone(in_flight), records, bytes })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.in_flight.records.give_back(self.records);
        self.in_flight.bytes.give_back(self.bytes);
    }
}

/// A number that stays within its bound.
struct Counted {
    now: AtomicUsize,
    max: usize,
}

impl Counted {
    fn new(max: usize) -> Self {
        Self { now: AtomicUsize::new(0), max }
    }

    /// Whether there was room.
    fn take(&self, count: usize) -> bool {
        let more = |now: usize| now.checked_add(count).filter(|sum| *sum <= self.max);
        self.now.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
    }

    fn give_back(&self, count: usize) {
        self.now.fetch_sub(count, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_its_way_stays_within_both_bounds() {
        let in_flight = InFlight::new(3, 100);
        let first = InFlight::enter(&in_flight, 2, 40).expect("room");
        assert_eq!(InFlight::enter(&in_flight, 2, 1).err(), Some(Bound::Records));
        assert_eq!(InFlight::enter(&in_flight, 1, 61).err(), Some(Bound::Bytes));
        let second = InFlight::enter(&in_flight, 1, 60).expect("room");
        assert_eq!(InFlight::enter(&in_flight, 1, 0).err(), Some(Bound::Records));
        drop((first, second));
        assert!(InFlight::enter(&in_flight, 3, 100).is_ok());
    }
}
