//! What a chain returned in one call, by where it goes.

use bytes::Bytes;
use fluvio_smartmodule::dataplane::record::Record;
use ovation_client::ChainRecord;

use crate::control::{CHECKPOINT_KEY, Piece, REJECT_KEY};
use crate::fence::Place;
use crate::router::{CONTROL, Router, Start};

/// The epoch that tests run in.
pub(super) const EPOCH: u64 = 1;

/// One call's records.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Sorted {
    /// For the sink.
    pub(super) results: Vec<ChainRecord>,
    /// For the dead-letter topic.
    pub(super) letters: Vec<ChainRecord>,
    /// For the checkpoint topic.
    pub(super) pieces: Vec<Piece>,
}

/// The records as the engine reads them from the stream.
pub(super) fn returned(records: &[Record]) -> Vec<ChainRecord> {
    let bytes = |data: &[u8]| Bytes::copy_from_slice(data);
    records
        .iter()
        .map(|record| ChainRecord {
            key: record.key.as_ref().map(|key| bytes(key)),
            value: bytes(&record.value),
        })
        .collect()
}

/// Sorts records by their keys, as the engine does.
pub(super) fn sort(records: Vec<ChainRecord>) -> Sorted {
    let mut sorted = Sorted::default();
    for record in records {
        match record.key.as_deref() {
            // Stored without a key, as in a run of the engine.
            Some(key) if key == REJECT_KEY.as_bytes() => {
                sorted.letters.push(ChainRecord { key: None, value: record.value });
            }
            Some(key) if key == CHECKPOINT_KEY.as_bytes() => {
                sorted.pieces.extend(serde_json::from_slice::<Piece>(&record.value).ok());
            }
            // Progress, or of an unknown kind: it never reaches a sink.
            Some([CONTROL, ..]) => {}
            _ => sorted.results.push(record),
        }
    }
    sorted
}

/// Watches what a chain returns for what would make the engine start it again.
#[derive(Debug)]
pub(super) struct Watch {
    router: Router,
    /// The first breach: whatever comes after it may follow from it.
    breach: Option<String>,
}

impl Watch {
    /// From the start of an epoch on.
    pub(super) fn new(stage: &str) -> Self {
        let start = Start {
            epoch: EPOCH,
            offset: 0,
            seq: 0,
            reject_seq: 0,
            stored: Place::default(),
            stored_reject: Place::default(),
        };
        Self { router: Router::new(stage, start), breach: None }
    }

    /// Takes a call's records.
    pub(super) fn take(&mut self, records: &[ChainRecord]) {
        if self.breach.is_some() {
            return;
        }
        let mut complete = false;
        for record in records {
            match self.router.take(record.clone()) {
                Ok(is_progress) => complete = is_progress,
                Err(breach) => {
                    self.breach = Some(breach.to_string());
                    return;
                }
            }
        }
        if !complete {
            self.breach = Some("a call has ended without progress".to_owned());
        }
        // What it holds to be sent has been compared by then.
        self.router.results.confirm(self.router.results.seen);
        self.router.rejects.confirm(self.router.rejects.seen);
    }

    /// What was wrong first.
    pub(super) fn breach(self) -> Option<String> {
        self.breach
    }
}
