//! An update: one record of the aggregate topic, or a moment, and the messages made of it.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::moment::Moment;
use crate::cursor::{Cursor, Place};
use crate::form::{Form, Reach};

/// `room_totals` of a room that has had no reaction.
pub(super) const NO_TOTALS: &str = r#"{"reactions":0,"late":0,"duplicates":0,"rejected":0}"#;

/// Longest window name that is looked at, in bytes; names come from `topology.yaml` and are a few letters.
const WINDOW_NAME_BYTES_MAX: usize = 64;

/// What the hub reads of an aggregate record. The rest passes through untouched.
#[derive(Deserialize)]
struct Aggregate<'a> {
    epoch: u64,
    seq: u64,
    #[serde(borrow)]
    room: Cow<'a, str>,
    #[serde(borrow)]
    window: AggregateWindow<'a>,
    revision: u64,
    r#final: bool,
    #[serde(default)]
    retracted: bool,
    #[serde(borrow)]
    room_totals: &'a RawValue,
}

#[derive(Deserialize)]
struct AggregateWindow<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    start: i64,
}

/// Which window an update is about: a session's end grows, so start and name tell windows apart. The first is the oldest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct WindowKey {
    /// Start of the window, in ms since 1970.
    pub(super) start: i64,
    /// Name of the window definition, such as `10s`.
    pub(super) name: Box<str>,
}

/// What an update is about.
#[derive(Debug)]
enum Subject {
    /// A window's counts: a record as it stands in the topic.
    Window {
        key: WindowKey,
        revision: u64,
        record: Box<str>,
        /// Where in `record` its `room_totals` stand.
        totals: Range<usize>,
    },
    /// A moment of the room. It goes out among the results, and has no place in their topic.
    Moment(Arc<Moment>),
}

/// One result.
#[derive(Debug)]
pub(crate) struct Update {
    /// Partition of the aggregate topic.
    pub(crate) partition: u32,
    /// Its number among the results of the partition; 0 of epoch 0 for a moment, which is none of them.
    pub(crate) place: Place,
    /// The room it is about.
    pub(crate) room: Box<str>,
    /// Last result of its window.
    pub(crate) is_final: bool,
    /// The window was swallowed by another one.
    pub(crate) retracted: bool,
    /// Where it stands in the order in which the hub took updates; 0 before that.
    pub(crate) tick: u64,
    /// How many of its room the hub had taken with it.
    pub(crate) number: u64,
    /// Clients of this gateway that followed the room then.
    pub(crate) watching: usize,
    subject: Subject,
    made: Mutex<Made>,
}

/// What is kept of an update beside itself, for a while.
#[derive(Debug, Default)]
struct Made {
    /// What has been read of every partition with it. Its size is that of the topic, so it is kept only for those who follow many
    /// rooms.
    read: Option<Arc<Cursor>>,
    /// The bytes in each form that some client takes.
    forms: Vec<(Form, Bytes)>,
}

impl Update {
    /// Reads a record's value. The error is the end of "failed to read aggregate record: …".
    pub(super) fn read(partition: u32, value: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(value).map_err(|error| error.to_string())?.trim();
        let aggregate: Aggregate<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if !ovation_reaction::room_is_valid(&aggregate.room) {
            return Err("its room has no valid name".into());
        }
        if aggregate.window.name.len() > WINDOW_NAME_BYTES_MAX {
            return Err(format!("its window name is longer than {WINDOW_NAME_BYTES_MAX} bytes"));
        }
        let totals = aggregate.room_totals.get();
        // It borrows from `text`, so the distance between the two says where it stands.
        let totals_start = totals.as_ptr() as usize - text.as_ptr() as usize;
        Ok(Self {
            partition,
            place: Place::new(aggregate.epoch, aggregate.seq),
            is_final: aggregate.r#final,
            retracted: aggregate.retracted,
            tick: 0,
            number: 0,
            watching: 0,
            subject: Subject::Window {
                key: WindowKey { start: aggregate.window.start, name: aggregate.window.name.into() },
                revision: aggregate.revision,
                record: text.into(),
                totals: totals_start..totals_start + totals.len(),
            },
            room: aggregate.room.into(),
            made: Mutex::default(),
        })
    }

    /// A moment of a room whose results are in `partition`, told when of every partition `read` had been read.
    pub(super) fn of_moment(moment: Arc<Moment>, partition: u32, read: Arc<Cursor>) -> Self {
        Self {
            partition,
            place: Place::new(0, 0),
            room: moment.room.clone(),
            is_final: true,
            retracted: false,
            tick: 0,
            number: 0,
            watching: 0,
            subject: Subject::Moment(moment),
            made: Mutex::new(Made { read: Some(read), forms: Vec::new() }),
        }
    }

    /// The moment that it tells of, if it is none of a window.
    pub(crate) fn moment(&self) -> Option<&Arc<Moment>> {
        match &self.subject {
            Subject::Moment(moment) => Some(moment),
            Subject::Window { .. } => None,
        }
    }

    /// The window whose counts it has, if it is no moment.
    pub(super) fn window(&self) -> Option<&WindowKey> {
        match &self.subject {
            Subject::Window { key, .. } => Some(key),
            Subject::Moment(_) => None,
        }
    }

    /// Revision of its window or moment.
    pub(super) fn revision(&self) -> u64 {
        match &self.subject {
            Subject::Window { revision, .. } => *revision,
            Subject::Moment(moment) => moment.revision,
        }
    }

    /// Reads a record's value, if it is a result.
    pub(crate) fn read_record(partition: u32, value: &[u8]) -> Option<Self> {
        Self::read(partition, value).ok()
    }

    /// Says in the log what has come: the last step at which a reaction is known by its place in the source.
    pub(super) fn trace(&self) {
        #[derive(Deserialize)]
        struct Of {
            source: Source,
        }
        #[derive(Deserialize)]
        struct Source {
            offset: i64,
        }

        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let source = serde_json::from_str::<Of>(self.record()).ok().map(|of| of.source.offset);
        let window = self.window();
        tracing::debug!(
            room = &*self.room,
            window = window.map(|window| &*window.name),
            start = window.map(|window| window.start),
            partition = self.partition,
            seq = self.place.seq,
            source,
            revision = self.revision(),
            r#final = self.is_final,
            "hub takes"
        );
    }

    /// The record as it stands in the topic.
    pub(crate) fn record(&self) -> &str {
        match &self.subject {
            Subject::Window { record, .. } => record,
            Subject::Moment(moment) => moment.record(),
        }
    }

    /// The record's `room_totals`; of a moment, which has none, those of a room without reactions.
    pub(crate) fn room_totals(&self) -> &str {
        match &self.subject {
            Subject::Window { record, totals, .. } => &record[totals.clone()],
            Subject::Moment(_) => NO_TOTALS,
        }
    }

    /// Whether it is the last that is heard of its window.
    pub(crate) fn is_last(&self) -> bool {
        self.is_final || self.retracted
    }

    /// Whether this result replaces `other` of the same window.
    pub(super) fn supersedes(&self, other: &Self) -> bool {
        (self.place.epoch, self.revision()) >= (other.place.epoch, other.revision())
    }

    /// The message in this form, made once for all who take it so.
    pub(crate) fn bytes(&self, form: Form) -> Bytes {
        let mut made = self.made();
        if let Some((_, bytes)) = made.forms.iter().find(|(known, _)| *known == form) {
            return bytes.clone();
        }
        let read = made.read.as_deref();
        let (cursor, message) = match &self.subject {
            Subject::Window { record, .. } => {
                let cursor = match (form.reach, read) {
                    (Reach::Topic, Some(read)) => read.encode(),
                    // Who comes back with it has read less of the others than he has: what he has he gets again.
                    (Reach::Partition | Reach::Topic, _) => Cursor::at(self.partition, self.place).encode(),
                };
                let (record, watching) = (form.fields.of(record), self.watching);
                let message = format!(
                    r#"{{"type":"update","cursor":"{cursor}","watching":{watching},"update":{record}}}"#
                );
                (cursor, message)
            }
            Subject::Moment(moment) => {
                let cursor = match (form.reach, read.and_then(|read| read.place(self.partition))) {
                    (Reach::Partition, Some(place)) => Cursor::at(self.partition, place).encode(),
                    // Where nothing has been read of its room's partition, whatever there is comes after it.
                    (Reach::Partition | Reach::Topic, _) => read.map(Cursor::encode).unwrap_or_default(),
                };
                let record = moment.record();
                let message = format!(r#"{{"type":"moment","cursor":"{cursor}","moment":{record}}}"#);
                (cursor, message)
            }
        };
        let bytes = form.write(&message, Some(&cursor));
        made.forms.push((form, bytes.clone()));
        bytes
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        // It is changed by one assignment at a time, so a panic elsewhere leaves it whole.
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what has been read of every partition with it.
    pub(crate) fn set_read(&self, read: Arc<Cursor>) {
        self.made().read = Some(read);
    }

    /// Nobody who follows many rooms gets it any more.
    pub(super) fn forget_read(&self) {
        // A moment has no other place than that.
        if self.moment().is_none() {
            self.made().read = None;
        }
    }

    /// Gives up the bytes: who still needs some makes them again.
    pub(super) fn forget_bytes(&self) {
        self.made().forms = Vec::new();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::form::{Carrier, Codec, Fields};

    /// How tests read messages: as server-sent events, whose text is plain.
    pub(crate) const TEXT: Form = Form {
        reach: Reach::Partition,
        codec: Codec::Json,
        fields: Fields::ALL,
        carrier: Carrier::Event,
        packed: false,
    };

    /// The message of an event.
    pub(crate) fn message(event: &Bytes) -> serde_json::Value {
        let text = std::str::from_utf8(event).expect("text");
        let data = text.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
        serde_json::from_str(data).expect("JSON")
    }

    /// An aggregate record for tests, as the window SmartModule writes it.
    pub(crate) fn record(
        room: &str,
        place: (u64, u64),
        window_start: i64,
        revision: u64,
        is_final: bool,
    ) -> String {
        format!(
            r#"{{"stage":"reactions","epoch":{},"seq":{},"room":"{room}","window":{{"name":"10s","kind":"tumbling","start":{window_start},"end":{}}},"revision":{revision},"final":{is_final},"total":{revision},"counts":{{"🔥":{revision}}},"users":null,"sentiment":null,"top":["🔥"],"rate":0.5,"room_totals":{{"reactions":{revision},"late":0,"duplicates":0,"rejected":0}},"source":{{"partition":0,"offset":7}}}}"#,
            place.0,
            place.1,
            window_start + 10_000,
        )
    }

    #[test]
    fn the_record_goes_out_as_it_came_in() {
        let value = record("final-2026", (1, 42), 0, 3, false);
        let update = Update::read(2, format!(" {value}\n").as_bytes()).expect("a good record");
        assert_eq!(update.record(), value);
        assert_eq!(update.room_totals(), r#"{"reactions":3,"late":0,"duplicates":0,"rejected":0}"#);
        assert_eq!((&*update.room, update.place, update.partition), ("final-2026", Place::new(1, 42), 2));
        let message = message(&update.bytes(TEXT));
        assert_eq!(message["type"], "update");
        assert_eq!(message["update"]["counts"]["🔥"], 3);
        let cursor = Cursor::decode(message["cursor"].as_str().expect("text")).expect("a cursor");
        assert_eq!(cursor, Cursor::at(2, Place::new(1, 42)));
        let (one, other) = (update.bytes(TEXT), update.bytes(TEXT));
        assert_eq!(one.as_ptr(), other.as_ptr(), "made once");
    }

    #[test]
    fn what_is_no_aggregate_record_is_refused() {
        let good = record("a", (1, 1), 0, 1, false);
        for bad in ["", "{}", "[]", "\u{1}", &good.replace(":1,", ":-1,"), &good.replace("\"a\"", "\"\"")] {
            assert!(Update::read(0, bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Update::read(0, b"\xff\xfe").is_err());
    }
}
