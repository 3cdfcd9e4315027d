//! Places for connections, and how they are freed when all are taken.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How long an idle connection is left alone before it may be asked to make room.
pub(crate) const YIELD_AFTER: Duration = Duration::from_secs(1);

/// How often a place is asked for anew while nobody gives one up: connections become idle meanwhile.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// A place, given back when dropped.
pub(crate) type Place = OwnedSemaphorePermit;

/// The places of a listener.
pub(crate) struct Room {
    places: Arc<Semaphore>,
    /// One notification for each place that is wanted. Who waits longest hears it first, so that the connection idle longest goes.
    wanted: Notify,
}

impl Room {
    /// Room for `max` connections.
    pub(crate) fn new(max: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(max)), wanted: Notify::new() }
    }

    /// A place, if need be that of a connection that is idle.
    pub(crate) async fn place(&self) -> Option<Place> {
        loop {
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                return Some(place);
            }
            self.wanted.notify_one();
            let place = tokio::time::timeout(ASK_AGAIN, Arc::clone(&self.places).acquire_owned());
            if let Ok(place) = place.await {
                // The semaphore is never closed.
                return place.ok();
            }
        }
    }

    /// Returns when the caller's place is wanted.
    pub(crate) async fn wanted(&self) {
        loop {
            self.wanted.notified().await;
            // It may have been asked for a while ago.
            if self.places.available_permits() == 0 {
                return;
            }
        }
    }

    /// The caller's place is needed after all: asks the next one.
    pub(crate) fn pass_on(&self) {
        self.wanted.notify_one();
    }
}
