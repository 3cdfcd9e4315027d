//! Control records: what travels between engine, SmartModules and fences beside the results. Their keys begin with U+0001.

use serde::{Deserialize, Serialize};

use crate::status::StateSize;

/// Key of a record that only moves stream time, on a source topic.
pub const TICK_KEY: &str = "\u{1}tick";
/// Key of the record at the end of each call of a chain.
pub const PROGRESS_KEY: &str = "\u{1}progress";
/// Key of a dead letter, as the chain returns it.
pub const REJECT_KEY: &str = "\u{1}reject";
/// Key of a piece of a checkpoint.
pub const CHECKPOINT_KEY: &str = "\u{1}checkpoint";
/// Key of a record that sets a fence's memory right.
pub const RESYNC_KEY: &str = "\u{1}resync";

/// What a call of a chain has done, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Progress {
    /// First source offset that the call took; none before anything was taken.
    pub(crate) first: Option<i64>,
    /// Offset after the last one that it took.
    pub(crate) next: Option<i64>,
    /// Stream time less grace, ms since 1970.
    pub(crate) watermark: Option<i64>,
    /// Largest record or tick time seen, ms since 1970.
    pub(crate) stream_time: Option<i64>,
    /// A change waits for stream time to move.
    pub(crate) dirty: bool,
    /// Windows that are not final.
    pub(crate) open: u64,
    /// Results that wait only for another record, because one record lets no more than so many bytes out.
    #[serde(default)]
    pub(crate) backlog: u64,
    /// Number of the last result.
    pub(crate) seq: u64,
    /// Number of the last dead letter.
    pub(crate) reject_seq: u64,
    /// How much the chain keeps.
    #[serde(default)]
    pub(crate) state: StateSize,
}

impl Progress {
    /// Whether something waits for time to move, or for another record.
    pub(crate) fn waits(&self) -> bool {
        self.dirty || self.open > 0 || self.backlog > 0
    }
}

/// What every result and dead letter says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Numbered {
    /// Name of the stage that made it.
    pub(crate) stage: String,
    /// Counts resets, from 1.
    pub(crate) epoch: u64,
    /// 1, 2, 3, … per stage, epoch and source partition.
    pub(crate) seq: u64,
}

/// A piece of a checkpoint, with its data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Piece {
    /// Name of the stage.
    pub(crate) stage: String,
    /// Counts resets, from 1.
    pub(crate) epoch: u64,
    /// Source partition.
    pub(crate) partition: u32,
    /// Hash of the stage's configuration.
    pub(crate) config: String,
    /// Tells checkpoints of one partition apart: the source offset.
    pub(crate) id: i64,
    /// Number of this piece, from 0.
    pub(crate) piece: u32,
    /// How many pieces there are; 0 for the checkpoint that marks a stage's start, which has no state.
    pub(crate) pieces: u32,
    /// Source offset to go on from.
    pub(crate) offset: i64,
    /// Number of the last result before it.
    pub(crate) seq: u64,
    /// Number of the last dead letter before it.
    pub(crate) reject_seq: u64,
    /// State, as text.
    pub(crate) data: String,
}

impl Piece {
    /// The start of an epoch: where it begins, with no state.
    pub(crate) fn start(stage: &str, partition: u32, config: &str, epoch: u64, offset: i64) -> Self {
        Self {
            stage: stage.to_owned(),
            epoch,
            partition,
            config: config.to_owned(),
            id: offset,
            piece: 0,
            pieces: 0,
            offset,
            seq: 0,
            reject_seq: 0,
            data: String::new(),
        }
    }

    /// Whether it is one.
    pub(crate) fn is_start(&self) -> bool {
        self.pieces == 0
    }

    /// Key and value to store it under.
    pub(crate) fn record(&self) -> (Option<Vec<u8>>, Vec<u8>) {
        (Some(CHECKPOINT_KEY.as_bytes().to_vec()), serde_json::to_vec(self).unwrap_or_default())
    }
}

/// What a piece says of itself, without the data.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct PieceHead {
    /// Name of the stage.
    pub(crate) stage: String,
    /// Counts resets, from 1.
    pub(crate) epoch: u64,
    /// Source partition.
    pub(crate) partition: u32,
    /// Its place among the checkpoint's pieces, from 0.
    pub(crate) piece: usize,
}

/// A record that only moves stream time.
#[derive(Debug, Serialize)]
pub(crate) struct Tick {
    /// Milliseconds since 1970; 0 moves nothing.
    pub(crate) tick: i64,
}

/// Compare-and-set of a fence's memory.
#[derive(Debug, Serialize)]
pub(crate) struct Resync<'a> {
    /// Name of the stage.
    pub(crate) stage: &'a str,
    /// Epoch that the fence remembers.
    pub(crate) epoch: u64,
    /// Number that the fence remembers.
    pub(crate) from: u64,
    /// Number that is stored last.
    pub(crate) to: u64,
}
