//! Aggregate records of one room, as the window stage would write them for a lively crowd.

use std::borrow::Cow;

use ovation_reaction::{Counts, RoomTotals, Sentiment, TOP_MAX, UpdateSource, WindowRef, WindowUpdate};

/// The room that everybody watches.
pub(crate) const ROOM: &str = "final-2026";

/// Window definitions, by turns: name, kind, length in ms.
const WINDOWS: [(&str, &str, i64); 3] =
    [("10s", "tumbling", 10_000), ("1m", "tumbling", 60_000), ("30s", "hopping", 30_000)];

/// Results of a window: the last of them is final.
const REVISIONS: u64 = 50;

/// What the crowd uses, each half as often as the one before, roughly.
const EMOJI: [&str; 12] = ["🔥", "👏", "❤️", "😂", "😮", "🎉", "👍", "😢", "💯", "🙌", "👎", "😡"];

/// Stream time of the first window.
const START: i64 = 1_795_426_840_000;

/// Writes the records in the order of their numbers.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// The last one's number.
    seq: u64,
}

impl Records {
    /// The next record's value.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        self.seq += 1;
        let seq = self.seq;
        let (name, kind, length) = WINDOWS[(seq % WINDOWS.len() as u64) as usize];
        let turn = seq / WINDOWS.len() as u64;
        let (number, revision) = (turn / REVISIONS, turn % REVISIONS + 1);
        let start = START + number as i64 * length;
        // Large from the start, so that messages are of one length, as nearly as in a real final.
        let taps = 100_000 + revision * 997;
        let counts: Counts<'_> =
            (1..).zip(EMOJI).map(|(rank, emoji)| (Cow::from(emoji), taps / rank)).collect();
        let update = WindowUpdate {
            stage: "reactions".into(),
            epoch: 1,
            seq,
            room: ROOM.into(),
            window: WindowRef { name: name.into(), kind: kind.into(), start, end: start + length },
            revision,
            last: revision == REVISIONS,
            retracted: false,
            total: counts.values().sum(),
            top: EMOJI.iter().take(TOP_MAX).map(|emoji| Cow::from(*emoji)).collect(),
            rate: 1_234.5,
            counts,
            users: Some(40_000 + revision * 31),
            sentiment: Some(Sentiment { score: Some(0.42), coverage: 0.97, n: taps }),
            room_totals: RoomTotals {
                reactions: 1_000_000 + seq * 997,
                late: 1_234,
                duplicates: 567,
                rejected: 89,
            },
            source: UpdateSource { partition: 2, offset: 1_000_000 + seq as i64 },
        };
        serde_json::to_vec(&update).unwrap()
    }
}
