//! Ingest: reactions are checked, stored, and answered when the broker has acknowledged them.

mod admit;
mod body;
mod check;
mod combine;
mod config;
pub(crate) mod fuzzing;
mod json;
mod key;
pub(crate) mod many;
pub(crate) mod one;
mod recent;
mod store;

use ovation_client::Stored;

use crate::wire::ReactionAccepted;

pub(crate) use self::admit::{Admitted, Sender};
pub(crate) use self::check::{Checked, check, now_ms};
pub use self::config::Ingest;
pub(crate) use self::json::read as read_json;
pub(crate) use self::store::{Store, Taken};

impl From<Taken> for ReactionAccepted {
    fn from(taken: Taken) -> Self {
        let Stored { partition, offset } = taken.place;
        Self { id: taken.id, partition, offset, duplicate: taken.is_duplicate }
    }
}
