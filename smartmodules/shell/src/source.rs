//! A record as a stage sees it.

use crate::tags::{CONTROL, REJECT_KEY, SKIP_KEY, TICK_KEY};
use crate::{Batch, RecordRef};

/// A record of the source topic, with its place.
#[derive(Debug, Clone, Copy)]
pub struct SourceRecord<'a> {
    /// Offset in the source partition.
    pub offset: i64,
    /// Fluvio's timestamp of the record, ms; none where its producer gave none.
    pub timestamp: Option<i64>,
    /// Key.
    pub key: Option<&'a [u8]>,
    /// Value.
    pub value: &'a [u8],
}

impl<'a> SourceRecord<'a> {
    /// A record of a batch.
    #[must_use]
    pub fn of(batch: &Batch<'_>, record: &RecordRef<'a>) -> Self {
        Self {
            offset: batch.offset_of(record),
            timestamp: batch.timestamp_of(record),
            key: record.key,
            value: record.value,
        }
    }

    /// Whether its key is one of those that belong to the engine and to the modules.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.key.and_then(<[u8]>::first) == Some(&CONTROL)
    }

    /// Whether its key is one that no producer may use: all of the control keys but that of ticks.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.is_control() && !self.is_tick()
    }

    /// Whether this is a reject that an earlier module of the chain tagged.
    #[must_use]
    pub fn is_reject(&self) -> bool {
        self.key == Some(REJECT_KEY.as_bytes())
    }

    /// Whether this only moves stream time.
    #[must_use]
    pub fn is_tick(&self) -> bool {
        self.key == Some(TICK_KEY.as_bytes())
    }
    /// Whether this is what an earlier module of the chain left of a record that it dropped. A skip is empty: a record with
    /// content under this key comes from somebody else, and does not vanish.
    #[must_use]
    pub fn is_skip(&self) -> bool {
        self.key == Some(SKIP_KEY.as_bytes()) && self.value.is_empty()
    }
}
