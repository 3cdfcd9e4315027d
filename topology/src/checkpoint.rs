//! Which checkpoint a restart begins with.

use std::collections::BTreeMap;

use crate::control::{CHECKPOINT_KEY, Piece};
use ovation_client::Record;

/// A whole checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Hash of the configuration that it was made with.
    pub(crate) config: String,
    /// Source offset to go on from.
    pub(crate) offset: i64,
    /// Number of the last result before it.
    pub(crate) seq: u64,
    /// Number of the last dead letter before it.
    pub(crate) reject_seq: u64,
    /// State, in pieces that a parameter can hold; none at a stage's start.
    pub(crate) pieces: Vec<String>,
}

/// What a look into a checkpoint topic has found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Begin with this one.
    Restore(Checkpoint),
    /// The newest one belongs to another configuration, whose hash this is.
    Foreign(String),
    /// None that can be used among these records.
    None,
}

/// Pieces of the stage among the records of its checkpoint partition, in the order of the log.
pub(crate) fn pieces(records: &[Record], stage: &str, partition: u32) -> Vec<Piece> {
    records
        .iter()
        .filter(|record| record.key.as_deref() == Some(CHECKPOINT_KEY.as_bytes()))
        .filter_map(|record| serde_json::from_slice::<Piece>(&record.value).ok())
        .filter(|piece| piece.stage == stage && piece.partition == partition)
        .collect()
}

/// The newest epoch that a piece was made in.
pub(crate) fn newest_epoch(pieces: &[Piece]) -> Option<u64> {
    pieces.iter().map(|piece| piece.epoch).max()
}

/// The newest complete checkpoint of this epoch and configuration that is not ahead of what the outlets have stored; the
/// epoch's start if there is none.
///
/// An epoch belongs to the configuration that began it: replaying its records with another one would give other results
/// under the same numbers. Where two engines began it at once, or one that stood still wrote its start late, the first start
/// in the log is the one, for everybody.
pub(crate) fn choose(
    pieces: &[Piece],
    epoch: u64,
    config: &str,
    stored_seq: u64,
    stored_reject_seq: u64,
) -> Choice {
    let mine = || pieces.iter().filter(|piece| piece.epoch == epoch);
    let foreign = |piece: &&Piece| piece.config != config;
    if let Some(other) =
        mine().next().filter(foreign).or_else(|| mine().filter(foreign).find(|piece| !piece.is_start()))
    {
        return Choice::Foreign(other.config.clone());
    }
    let ours = || mine().filter(|piece| piece.config == config);
    let mut whole: BTreeMap<i64, BTreeMap<u32, &Piece>> = BTreeMap::new();
    for piece in ours().filter(|piece| !piece.is_start()) {
        // A replay writes a checkpoint again, with the same content: the last copy counts.
        whole.entry(piece.id).or_default().insert(piece.piece, piece);
    }
    let complete = whole.into_values().rev().find(|found| {
        found.values().next().is_some_and(|head| {
            let count = usize::try_from(head.pieces).unwrap_or(usize::MAX);
            let consistent = found.values().all(|piece| (piece.seq, piece.pieces) == (head.seq, head.pieces));
            consistent
                && found.len() == count
                && head.seq <= stored_seq
                && head.reject_seq <= stored_reject_seq
        })
    });
    let start = || ours().find(|piece| piece.is_start()).map(|piece| BTreeMap::from([(0, piece)]));
    let complete = complete.or_else(start);
    let Some(found) = complete else { return Choice::None };
    let mut checkpoint = Checkpoint {
        config: config.to_owned(),
        offset: 0,
        seq: 0,
        reject_seq: 0,
        pieces: Vec::with_capacity(found.len()),
    };
    for piece in found.into_values() {
        checkpoint.offset = piece.offset;
        checkpoint.seq = piece.seq;
        checkpoint.reject_seq = piece.reject_seq;
        if !piece.is_start() {
            checkpoint.pieces.push(piece.data.clone());
        }
    }
    Choice::Restore(checkpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(id: i64, number: u32, of: u32, seq: u64) -> Piece {
        Piece {
            stage: "words".to_owned(),
            epoch: 1,
            partition: 0,
            config: "aa".to_owned(),
            id,
            piece: number,
            pieces: of,
            offset: id,
            seq,
            reject_seq: 0,
            data: format!("{id}/{number}"),
        }
    }

    fn offset(choice: Choice) -> Option<i64> {
        match choice {
            Choice::Restore(checkpoint) => Some(checkpoint.offset),
            _ => None,
        }
    }

    #[test]
    fn the_newest_complete_one_that_the_sink_confirms_is_taken() {
        let log = [piece(10, 0, 1, 5), piece(20, 0, 2, 9), piece(20, 1, 2, 9), piece(30, 0, 2, 12)];
        assert_eq!(offset(choose(&log, 1, "aa", 100, 0)), Some(20), "the third lacks a piece");
        assert_eq!(offset(choose(&log, 1, "aa", 8, 0)), Some(10), "the second is ahead of the sink");
        assert_eq!(choose(&log, 1, "aa", 4, 0), Choice::None);
        assert_eq!(choose(&log, 2, "aa", 100, 0), Choice::None, "another epoch");
    }

    #[test]
    fn pieces_come_in_their_order_whatever_the_log_says() {
        let log = [piece(20, 1, 2, 9), piece(20, 0, 2, 9), piece(20, 1, 2, 9)];
        let Choice::Restore(checkpoint) = choose(&log, 1, "aa", 9, 0) else { panic!("complete") };
        assert_eq!(checkpoint.pieces, ["20/0", "20/1"]);
    }

    #[test]
    fn dead_letters_count_as_well() {
        let mut ahead = piece(20, 0, 1, 9);
        ahead.reject_seq = 3;
        assert_eq!(choose(&[ahead.clone()], 1, "aa", 9, 2), Choice::None);
        assert_eq!(offset(choose(&[ahead], 1, "aa", 9, 3)), Some(20));
    }

    #[test]
    fn another_configurations_epoch_is_named() {
        let other = |piece: Piece| Piece { config: "bb".to_owned(), ..piece };
        let foreign = Choice::Foreign("bb".to_owned());
        assert_eq!(choose(&[other(piece(7, 0, 0, 0)), piece(7, 0, 0, 0)], 1, "aa", 9, 0), foreign);
        assert_eq!(choose(&[piece(10, 0, 1, 5), other(piece(20, 0, 1, 9))], 1, "aa", 9, 0), foreign);
        let late_start = [piece(7, 0, 0, 0), other(piece(7, 0, 0, 0)), piece(20, 0, 1, 9)];
        assert_eq!(offset(choose(&late_start, 1, "aa", 9, 0)), Some(20), "it lost the race for the epoch");
        assert_eq!(choose(&late_start[1..2], 1, "aa", 9, 0), foreign);
    }

    #[test]
    fn a_start_is_a_checkpoint_without_state_and_the_first_one_counts() {
        let Choice::Restore(start) = choose(&[piece(7, 0, 0, 0), piece(9, 0, 0, 0)], 1, "aa", 0, 0) else {
            panic!("a start")
        };
        assert_eq!((start.offset, start.pieces.len()), (7, 0));
        let late = [piece(8, 0, 1, 2), piece(9, 0, 0, 0)];
        assert_eq!(offset(choose(&late, 1, "aa", 2, 0)), Some(8), "a start that came late");
    }
}
