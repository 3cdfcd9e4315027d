//! A moment: one record of the moment topic, in which the stage tells of a burst of a room.

use std::borrow::Cow;

use ovation_client::Record;
use serde::Deserialize;

use super::Hub;
use crate::cursor::Place;
use crate::follow::Taker;

/// Longest id that is looked at, in bytes: a room, a window and a time have about 100.
const ID_BYTES_MAX: usize = 256;

/// Largest record that is taken, in bytes: one has about 700, and 80,000 if every emoji of Unicode is in it.
pub(crate) const MOMENT_BYTES_MAX: usize = 128 * 1024;

/// What is read of a moment record. The rest passes through untouched.
#[derive(Deserialize)]
struct Told<'a> {
    epoch: u64,
    seq: u64,
    #[serde(borrow)]
    room: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    revision: u64,
    start: i64,
    end: i64,
}

/// What is known of a burst.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Partition of the moment topic.
    pub(crate) partition: u32,
    /// Its number among the moments of the partition.
    pub(crate) place: Place,
    /// The room.
    pub(crate) room: Box<str>,
    /// The same in all revisions.
    pub(crate) id: Box<str>,
    /// The highest is the truth.
    pub(crate) revision: u64,
    /// Start of the burst's first window, in ms since 1970.
    pub(crate) start: i64,
    /// End of its last window so far, in ms since 1970.
    pub(crate) end: i64,
    /// The record as it stands in the topic.
    record: Box<str>,
}

impl Moment {
    /// Reads a record's value. The error is the end of "failed to read moment record: …".
    pub(crate) fn read(partition: u32, value: &[u8]) -> Result<Self, String> {
        if value.len() > MOMENT_BYTES_MAX {
            return Err(format!("it is larger than {MOMENT_BYTES_MAX} bytes"));
        }
        let text = std::str::from_utf8(value).map_err(|error| error.to_string())?.trim();
        let told: Told<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if !ovation_reaction::room_is_valid(&told.room) {
            return Err("its room has no valid name".into());
        }
        if told.id.is_empty() || told.id.len() > ID_BYTES_MAX {
            return Err(format!("its id is empty, or longer than {ID_BYTES_MAX} bytes"));
        }
        Ok(Self {
            partition,
            place: Place::new(told.epoch, told.seq),
            room: told.room.into(),
            id: told.id.into(),
            revision: told.revision,
            start: told.start,
            end: told.end,
            record: text.into(),
        })
    }

    /// The record as it stands in the topic.
    pub(crate) fn record(&self) -> &str {
        &self.record
    }

    /// Whether it replaces `other` of the same id.
    pub(crate) fn supersedes(&self, other: &Self) -> bool {
        (self.place.epoch, self.revision) > (other.place.epoch, other.revision)
    }

    /// Orders moments of a room: by their start.
    pub(crate) fn key(&self) -> (i64, &str) {
        (self.start, &self.id)
    }
}

/// Takes the moment topic into the hub.
#[derive(Debug)]
pub(crate) struct Moments(pub(crate) std::sync::Arc<Hub>);

impl Taker for Moments {
    type Item = Moment;

    fn read(&self, record: &Record) -> Result<(Place, Moment), String> {
        Moment::read(record.partition, &record.value).map(|moment| (moment.place, moment))
    }

    fn begin(&self, _partition: u32, _before: Place) {}

    fn take(&self, moment: Moment) {
        self.0.apply_moment(moment);
    }

    fn reset(&self, partition: u32) {
        self.0.forget_moments(partition);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A moment record for tests, as the stage writes it: of a burst of 20 s.
    pub(crate) fn moment(room: &str, place: (u64, u64), start: i64, revision: u64) -> String {
        let (epoch, seq) = place;
        let end = start + 20_000;
        format!(
            r#"{{"stage":"moments","epoch":{epoch},"seq":{seq},"room":"{room}","id":"{room}:10s:{start}","window":"10s","revision":{revision},"final":false,"start":{start},"end":{end},"total":5321,"peak":{{"start":{start},"total":4000,"rate":400.0,"users":1204}},"baseline":{{"rate":31.0}},"lift":12.9,"score":14.2,"leading":"⚽","counts":{{"⚽":4000,"🔥":1321}},"sentiment":{{"before":0.31,"during":0.62,"shift":null}},"replay":{{"topic":"emoji-events","partition":2,"offset":88123}},"source":{{"partition":2,"offset":412}}}}"#
        )
    }

    #[test]
    fn a_moment_is_read_and_passes_as_it_came_in() {
        let value = moment("final-2026", (1, 3), 40_000, 2);
        let read = Moment::read(2, format!(" {value}\n").as_bytes()).expect("a good record");
        assert_eq!(read.record(), value);
        assert_eq!((read.partition, read.place, &*read.room), (2, Place::new(1, 3), "final-2026"));
        assert_eq!((&*read.id, read.revision), ("final-2026:10s:40000", 2));
        assert_eq!((read.start, read.end), (40_000, 60_000));
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        let good = moment("a", (1, 1), 0, 1);
        let long = good.replace("a:10s:0", &"i".repeat(ID_BYTES_MAX + 1));
        let large = good.replace("⚽", &"x".repeat(MOMENT_BYTES_MAX));
        for bad in ["", "{}", "[]", &good.replace("\"a\"", "\"\""), &good[..80], &long, &large] {
            assert!(Moment::read(0, bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Moment::read(0, b"\xff\xfe").is_err());
    }

    #[test]
    fn a_newer_epoch_or_a_higher_revision_is_the_truth() {
        let of = |epoch, revision| {
            Moment::read(0, moment("a", (epoch, 1), 0, revision).as_bytes()).expect("a good record")
        };
        assert!(of(1, 2).supersedes(&of(1, 1)) && of(2, 1).supersedes(&of(1, 9)));
        assert!(!of(1, 2).supersedes(&of(1, 2)) && !of(1, 9).supersedes(&of(2, 1)));
    }
}
