//! `ovation-fence`: compare-and-append. As a topic's deduplication it lets a batch in whole if its numbers continue what is
//! stored, and refuses it whole, with the number it expects, if they do not.
//!
//! Its name and protocol outlive every release, because a topic's deduplication cannot be changed: the protocol only
//! grows. It takes no parameters of its own.

use std::fmt;

use ovation_shell::{Batch, Failure, Output, Params, RESYNC_KEY, RecordRef, Transform};
use serde::Deserialize;

/// A place in the numbering: orders by epoch, then by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Epoch: counts resets.
    pub epoch: u64,
    /// Number within the epoch, from 1.
    pub seq: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "epoch {} seq {}", self.epoch, self.seq)
    }
}

/// The module: remembers the last number let in.
#[derive(Debug, Default)]
pub struct Fence {
    last: Option<Place>,
}

#[derive(Deserialize)]
struct Numbered {
    epoch: u64,
    seq: u64,
}

#[derive(Deserialize)]
struct Resync {
    epoch: u64,
    from: u64,
    to: u64,
}

impl Transform for Fence {
    fn open(_params: &Params) -> Result<Self, String> {
        Ok(Self::default())
    }

    fn transform(&mut self, batch: &Batch<'_>, out: &mut Output) -> Result<(), Failure> {
        // Judged on a copy: a refused batch leaves no trace.
        let mut last = self.last;
        for record in batch.records() {
            let record = record.map_err(|error| Failure(format!("fence: {error}")))?;
            if record.key == Some(RESYNC_KEY.as_bytes()) {
                last = resync(last, &record)?;
            } else {
                last = Some(step(last, &record)?);
                out.pass(&record);
            }
        }
        self.last = last;
        Ok(())
    }

    /// Fluvio reads from the last records to the end of the log; in a log with an inversion the largest number counts.
    fn look_back(&mut self, batch: &Batch<'_>) {
        for record in batch.records().flatten() {
            if let Ok(Numbered { epoch, seq }) = serde_json::from_slice(record.value) {
                self.last = self.last.max(Some(Place { epoch, seq }));
            }
        }
    }
}

/// What may come next: the next number, or the first of a newer epoch.
fn step(last: Option<Place>, record: &RecordRef<'_>) -> Result<Place, Failure> {
    let Numbered { epoch, seq } = serde_json::from_slice(record.value)
        .map_err(|error| Failure(format!("fence: a record without numbers: {error}")))?;
    let got = Place { epoch, seq };
    let expected = match last {
        None => Place { epoch, seq: 1 },
        Some(last) if epoch > last.epoch && seq == 1 => got,
        Some(last) => Place { epoch: last.epoch, seq: last.seq + 1 },
    };
    if got == expected { Ok(got) } else { Err(Failure(format!("fence: expected {expected}, got {got}"))) }
}

/// Compare-and-set of the memory, for a fence that has run ahead of its log, or lost what its look-back should have found; 0
/// stands for remembering nothing.
fn resync(last: Option<Place>, record: &RecordRef<'_>) -> Result<Option<Place>, Failure> {
    let Resync { epoch, from, to } = serde_json::from_slice(record.value)
        .map_err(|error| Failure(format!("fence: a resync without numbers: {error}")))?;
    let from = Place { epoch, seq: from };
    match last {
        Some(last) if last == from => Ok((to > 0).then_some(Place { epoch, seq: to })),
        Some(last) => {
            let expected = Place { epoch: last.epoch, seq: last.seq + 1 };
            Err(Failure(format!("fence: expected {expected}, got a resync from {from}")))
        }
        None if from.seq == 0 => Ok((to > 0).then_some(Place { epoch, seq: to })),
        None => Err(Failure(format!("fence: expected epoch {epoch} seq 1, got a resync from {from}"))),
    }
}

#[cfg(target_arch = "wasm32")]
mod shell {
    #![allow(unsafe_code, reason = "exported names are part of the SmartModule ABI")]
    use ovation_shell::exports::{self, Cell};

    std::thread_local!(static CELL: Cell<super::Fence> = Cell::default());

    #[unsafe(no_mangle)]
    extern "C" fn init(ptr: *mut u8, len: usize, version: i32) -> i32 {
        exports::init(&CELL, ptr, len, version)
    }

    #[unsafe(no_mangle)]
    extern "C" fn filter(ptr: *mut u8, len: usize, version: i32) -> i32 {
        exports::transform(&CELL, ptr, len, version)
    }

    #[unsafe(no_mangle)]
    extern "C" fn look_back(ptr: *mut u8, len: usize, version: i32) -> i32 {
        exports::look_back(&CELL, ptr, len, version)
    }
}
