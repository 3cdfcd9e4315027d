//! Tells apart what a chain returns, and checks that nothing is missing. No I/O.

use std::collections::VecDeque;

use bytes::Bytes;
use ovation_client::ChainRecord;

use crate::control::{CHECKPOINT_KEY, Numbered, PROGRESS_KEY, PieceHead, Progress, REJECT_KEY};
use crate::fence::Place;
use crate::status::Times;

/// First byte of every control key.
pub(crate) const CONTROL: u8 = 1;

/// A result or a dead letter that the outlet lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// Its number.
    pub(crate) seq: u64,
    /// Key to store it under.
    pub(crate) key: Option<Bytes>,
    /// The record as the chain wrote it.
    pub(crate) value: Bytes,
}

/// What one outlet of a stage was given, and what is still to be sent.
#[derive(Debug, Default)]
pub(crate) struct Numbering {
    /// Number of the last record that the chain returned.
    pub(crate) seen: u64,
    /// Number of the last record that is stored.
    pub(crate) stored: u64,
    /// What is to be sent, in order.
    pub(crate) pending: VecDeque<Outgoing>,
    /// Bytes of their values.
    bytes: usize,
    /// What was confirmed since it was last taken.
    pub(crate) tally: Tally,
    /// How long its batches took to be stored, since this was last taken.
    pub(crate) times: Times,
}

/// Records, and the bytes of their values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

/// Why an answer cannot be used; the way out is to restart from the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Breach {
    /// Fluvio went past records (docs/fluvio.md 22), or a module did.
    #[error("the chain went from source offset {expected} to {first}: what lies between was skipped")]
    Skipped { expected: i64, first: i64 },
    /// A number is missing.
    #[error("{what} {got} came after {seen}")]
    Missing { what: &'static str, seen: u64, got: u64 },
    /// A module says that it has numbered more than arrived.
    #[error("the chain has made {what} up to {said}, and only {seen} arrived")]
    Short { what: &'static str, said: u64, seen: u64 },
    /// Not what the contract says.
    #[error("the chain returned {0}")]
    Malformed(String),
    /// Made for somebody else.
    #[error("the chain returned a record of stage {stage:?}, epoch {epoch}")]
    Stranger { stage: String, epoch: u64 },
}

/// Takes a chain's answers one record at a time.
#[derive(Debug)]
pub(crate) struct Router {
    stage: String,
    epoch: u64,
    /// Next source offset that the chain is to take.
    next: i64,
    /// Results.
    pub(crate) results: Numbering,
    /// Dead letters.
    pub(crate) rejects: Numbering,
    /// Pieces of the newest checkpoint, as they came. To be stored after everything that came before them. One that was not
    /// stored when the next one came is of no more use: a task that catches up makes many.
    pub(crate) checkpoints: Vec<ChainRecord>,
    /// Where the chain stands.
    pub(crate) progress: Option<Progress>,
}

/// Where a router begins: the checkpoint's numbers and what is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    /// Counts resets.
    pub(crate) epoch: u64,
    /// Source offset that the stream begins with.
    pub(crate) offset: i64,
    /// Number of the last result before it.
    pub(crate) seq: u64,
    /// Number of the last dead letter before it.
    pub(crate) reject_seq: u64,
    /// Last stored result.
    pub(crate) stored: Place,
    /// Last stored dead letter.
    pub(crate) stored_reject: Place,
}

impl Router {
    pub(crate) fn new(stage: &str, start: Start) -> Self {
        let stored = |place: Place| if place.epoch == start.epoch { place.seq } else { 0 };
        Self {
            stage: stage.to_owned(),
            epoch: start.epoch,
            next: start.offset,
            results: Numbering::new(start.seq, stored(start.stored)),
            rejects: Numbering::new(start.reject_seq, stored(start.stored_reject)),
            checkpoints: Vec::new(),
            progress: None,
        }
    }

    /// Bytes of all that is held.
    pub(crate) fn held_bytes(&self) -> usize {
        let pieces: usize = self.checkpoints.iter().map(|piece| piece.value.len()).sum();
        self.results.bytes + self.rejects.bytes + pieces
    }

    /// Next source offset that the chain is to take.
    pub(crate) fn next(&self) -> i64 {
        self.next
    }

    /// Takes the next record of the chain's answer. `true` when a call's answer is complete.
    pub(crate) fn take(&mut self, record: ChainRecord) -> Result<bool, Breach> {
        match record.key.as_deref() {
            Some(key) if key == PROGRESS_KEY.as_bytes() => {
                let progress: Progress = parse("progress", &record.value)?;
                self.advance(progress)?;
                return Ok(true);
            }
            Some(key) if key == REJECT_KEY.as_bytes() => {
                let numbered = self.numbered("a dead letter", &record.value)?;
                // Stored without a key: the reader of dead letters looks at their reason.
                let outgoing = Outgoing { seq: numbered.seq, key: None, value: record.value };
                self.rejects.take("dead letter", outgoing)?;
            }
            Some(key) if key == CHECKPOINT_KEY.as_bytes() => {
                let head: PieceHead = parse("a piece of a checkpoint", &record.value)?;
                if head.piece == 0 {
                    self.checkpoints.clear();
                }
                self.checkpoints.push(record);
            }
            Some([CONTROL, name @ ..]) => {
                let name = String::from_utf8_lossy(name);
                return Err(Breach::Malformed(format!("a control record of an unknown kind, {name:?}")));
            }
            _ => {
                let numbered = self.numbered("a result", &record.value)?;
                let outgoing = Outgoing { seq: numbered.seq, key: record.key, value: record.value };
                self.results.take("result", outgoing)?;
            }
        }
        Ok(false)
    }

    fn numbered(&self, what: &str, value: &[u8]) -> Result<Numbered, Breach> {
        let numbered: Numbered = parse(what, value)?;
        if numbered.stage != self.stage || numbered.epoch != self.epoch {
            return Err(Breach::Stranger { stage: numbered.stage, epoch: numbered.epoch });
        }
        Ok(numbered)
    }

    fn advance(&mut self, progress: Progress) -> Result<(), Breach> {
        if let (Some(first), Some(next)) = (progress.first, progress.next) {
            if first > self.next {
                return Err(Breach::Skipped { expected: self.next, first });
            }
            // Fluvio may run a batch twice (docs/fluvio.md 2): then everything in the answer is known already.
            self.next = self.next.max(next);
        }
        for (what, said, seen) in [
            ("results", progress.seq, self.results.seen),
            ("dead letters", progress.reject_seq, self.rejects.seen),
        ] {
            if said > seen {
                return Err(Breach::Short { what, said, seen });
            }
        }
        self.progress = Some(progress);
        Ok(())
    }
}

impl Numbering {
    pub(crate) fn new(seen: u64, stored: u64) -> Self {
        Self { seen, stored, ..Self::default() }
    }

    /// Takes the next record, if it is the next one.
    fn take(&mut self, what: &'static str, outgoing: Outgoing) -> Result<(), Breach> {
        let seq = outgoing.seq;
        if seq <= self.seen {
            return Ok(());
        }
        if seq != self.seen + 1 {
            return Err(Breach::Missing { what, seen: self.seen, got: seq });
        }
        self.seen = seq;
        if seq > self.stored {
            self.bytes += outgoing.value.len();
            self.pending.push_back(outgoing);
        }
        Ok(())
    }

    /// Forgets what is stored up to this number.
    pub(crate) fn confirm(&mut self, stored: u64) {
        self.stored = self.stored.max(stored);
        while let Some(known) = self.pending.front()
            && known.seq <= self.stored
        {
            self.bytes -= known.value.len();
            self.tally.records += 1;
            self.tally.bytes += known.value.len() as u64;
            self.pending.pop_front();
        }
    }
}

fn parse<'a, T: serde::Deserialize<'a>>(what: &str, value: &'a [u8]) -> Result<T, Breach> {
    serde_json::from_slice(value)
        .map_err(|error| Breach::Malformed(format!("{what} that cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(offset: i64, seq: u64, stored: u64) -> Router {
        Router::new(
            "words",
            Start {
                epoch: 1,
                offset,
                seq,
                reject_seq: 0,
                stored: Place { epoch: 1, seq: stored },
                stored_reject: Place::default(),
            },
        )
    }

    fn record(key: &str, value: serde_json::Value) -> ChainRecord {
        ChainRecord {
            key: Some(Bytes::copy_from_slice(key.as_bytes())),
            value: Bytes::from(value.to_string()),
        }
    }

    fn result(seq: u64) -> ChainRecord {
        record(
            "room",
            serde_json::json!({"stage": "words", "epoch": 1, "seq": seq, "source": {"partition": 0}}),
        )
    }

    fn progress(first: i64, next: i64, seq: u64) -> ChainRecord {
        let value = serde_json::json!({"first": first, "next": next, "watermark": null, "stream_time": null,
            "dirty": false, "open": 0, "seq": seq, "reject_seq": 0});
        record(PROGRESS_KEY, value)
    }

    fn piece(id: i64, piece: usize) -> ChainRecord {
        let value =
            serde_json::json!({"stage": "words", "epoch": 1, "partition": 0, "id": id, "piece": piece});
        record(CHECKPOINT_KEY, value)
    }

    fn pending(router: &Router) -> Vec<u64> {
        router.results.pending.iter().map(|outgoing| outgoing.seq).collect()
    }

    #[test]
    fn what_the_sink_has_is_not_sent_again() {
        let mut router = router(10, 5, 7);
        for seq in 6..=9 {
            assert_eq!(router.take(result(seq)), Ok(false));
        }
        assert_eq!(router.take(progress(10, 14, 9)), Ok(true));
        assert_eq!(pending(&router), [8, 9]);
        assert_eq!(router.next(), 14);
        let both = router.held_bytes();
        router.results.confirm(8);
        assert_eq!(pending(&router), [9]);
        assert_eq!(router.held_bytes() * 2, both);
        assert_eq!(router.results.tally, Tally { records: 1, bytes: both as u64 / 2 });
    }

    #[test]
    fn an_answer_given_twice_counts_once() {
        let mut router = router(0, 0, 0);
        for _ in 0..2 {
            assert_eq!(router.take(result(1)), Ok(false));
            assert_eq!(router.take(progress(0, 3, 1)), Ok(true));
        }
        assert_eq!(pending(&router), [1]);
        assert_eq!(router.next(), 3);
    }

    #[test]
    fn a_skipped_range_is_noticed() {
        let mut router = router(0, 0, 0);
        assert_eq!(router.take(progress(0, 3, 0)), Ok(true));
        assert_eq!(router.take(progress(5, 9, 0)), Err(Breach::Skipped { expected: 3, first: 5 }));
    }

    #[test]
    fn a_missing_number_is_noticed() {
        let mut router = router(0, 0, 0);
        assert_eq!(router.take(result(1)), Ok(false));
        assert_eq!(router.take(result(3)), Err(Breach::Missing { what: "result", seen: 1, got: 3 }));
        let mut router = self::router(0, 0, 0);
        assert_eq!(router.take(progress(0, 1, 2)), Err(Breach::Short { what: "results", said: 2, seen: 0 }));
    }

    #[test]
    fn of_the_checkpoints_that_are_not_stored_the_newest_is_kept() {
        let mut router = router(0, 0, 0);
        for (id, place) in [(10, 0), (10, 1), (20, 0), (20, 1), (20, 2)] {
            router.take(piece(id, place)).expect("a piece");
        }
        assert_eq!(router.checkpoints, [piece(20, 0), piece(20, 1), piece(20, 2)]);
    }

    #[test]
    fn records_go_where_their_tag_says() {
        let mut router = router(0, 0, 0);
        let letter = serde_json::json!({"reason": "late", "stage": "words", "epoch": 1, "seq": 1});
        router.take(record(REJECT_KEY, letter)).expect("a dead letter");
        router.take(piece(0, 0)).expect("a piece");
        assert_eq!(router.rejects.pending[0].key, None, "dead letters are stored without a key");
        assert_eq!(router.checkpoints.len(), 1);
        let unknown = router.take(record("\u{1}other", serde_json::json!({})));
        assert!(matches!(unknown, Err(Breach::Malformed(_))));
        let stranger =
            router.take(record("room", serde_json::json!({"stage": "other", "epoch": 1, "seq": 1})));
        assert!(matches!(stranger, Err(Breach::Stranger { .. })));
        assert!(matches!(
            router.take(record("room", serde_json::json!("no numbers"))),
            Err(Breach::Malformed(_))
        ));
    }
}
