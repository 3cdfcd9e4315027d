//! The stage: canonical events in, window updates and dead letters out.

use std::borrow::Cow;
use std::str::from_utf8;

use ovation_processor::{
    Emission, Emit, Feed, KEYS_MAX, Missed, Numbering, Params, Shape, SourceRecord, Update, Verdict,
    WindowSettings, WindowStage, Windowed, reason,
};
use ovation_reaction::{
    Brief, DeadLetter, Event, Form, Judge, Late, Origin, Plain, Reaction, Reason, Reject, RoomTotals, Rules,
    Sentiment, Source, TaggedReject, UpdateSource, WindowRef, WindowUpdate,
};
use serde::Deserialize;

use crate::Taps;
use crate::counts::Tap;

/// Windows of reactions over one source partition.
pub type Window = WindowStage<Reactions>;

/// How reactions are read and counted.
#[derive(Debug)]
pub struct Reactions {
    /// Does the work of `validate`, where this module is to.
    judge: Option<Judge>,
}

/// A reaction that counts, if it is no duplicate.
struct Valid<'a> {
    id: &'a [u8],
    room: &'a [u8],
    emoji: &'a str,
    count: u64,
    user: Option<&'a [u8]>,
    ts: i64,
}

/// A canonical event, as `validate` wrote it.
#[derive(Deserialize)]
struct Canonical<'a> {
    tick: Option<i64>,
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    room: Cow<'a, str>,
    #[serde(borrow, default)]
    emoji: Cow<'a, str>,
    #[serde(default)]
    count: u64,
    #[serde(borrow)]
    user: Option<Cow<'a, str>>,
    #[serde(default)]
    ts: i64,
}

impl<'a> Canonical<'a> {
    fn read(value: &'a [u8]) -> serde_json::Result<Self> {
        match Self::read_plain(value) {
            Some(canonical) => Ok(canonical),
            None => serde_json::from_slice(value),
        }
    }

    /// The short way, for what has no escapes.
    fn read_plain(value: &'a [u8]) -> Option<Self> {
        let Plain { id, room, emoji, count, user, ts, form: Form::Canonical, .. } = Plain::read(value)?
        else {
            return None;
        };
        let text = |bytes| from_utf8(bytes).ok().map(Cow::Borrowed);
        let user = match user {
            Some(user) => Some(text(user)?),
            None => None,
        };
        let (id, room, emoji) = (text(id?)?, text(room?)?, text(emoji?)?);
        Some(Self { tick: None, id, room, emoji, count: count?, user, ts: ts?.try_into().ok()? })
    }
}

impl Windowed for Reactions {
    type Aggregate = Taps;

    const IDLENESS_MS: i64 = 1_000;

    fn open(params: &Params) -> Result<Self, String> {
        let judge = match params.get("ovation.includes") {
            None => None,
            Some("ovation-validate") => Some(Judge::new(Rules::read(|name| params.get(name))?)),
            Some(other) => return Err(format!("ovation-window cannot do the work of {other:?} as well")),
        };
        Ok(Self { judge })
    }

    fn windows_default() -> Vec<WindowSettings> {
        vec![WindowSettings {
            name: "10s".to_owned(),
            shape: Shape::Tumbling { size_ms: 10_000 },
            grace_ms: 2_000,
            emit: Emission::default(),
        }]
    }

    fn sees_all(&self) -> bool {
        self.judge.is_some()
    }

    fn record(&self, record: &SourceRecord<'_>, feed: &mut Feed<'_, '_, Self>) {
        if let Some(judge) = &self.judge {
            take(judge, record, feed);
            return;
        }
        let event = match Canonical::read(record.value) {
            Ok(event) => event,
            Err(error) => {
                // Only where this module runs without `validate` in front of it.
                let detail = format!("not a canonical event: {error}");
                feed.refuse(Reason::Malformed.code(), &detail, record);
                return;
            }
        };
        match event.tick {
            Some(time) => feed.tick(time),
            None => {
                let Canonical { id, room, emoji, user, .. } = &event;
                let (id, room, user) = (id.as_bytes(), room.as_bytes(), user.as_deref().map(str::as_bytes));
                let valid = Valid { id, room, emoji, count: event.count, user, ts: event.ts };
                react(&valid, feed, || record.value.into());
            }
        }
    }

    fn reject(&self, record: &SourceRecord<'_>, feed: &mut Feed<'_, '_, Self>) {
        let Ok(reject) = serde_json::from_slice::<TaggedReject<'_>>(record.value) else {
            feed.refuse(Reason::Malformed.code(), "", record);
            return;
        };
        feed.count_rejected(reject.room.as_deref().unwrap_or_default());
        dead_letter(feed.emit(), reject);
    }

    fn update(&self, numbers: &Numbering<'_>, update: &Update<'_, Taps>) -> Vec<u8> {
        json(numbers, update)
    }
}

/// Takes an event as it was produced: what `validate` does, without writing the event anew.
fn take(judge: &Judge, record: &SourceRecord<'_>, feed: &mut Feed<'_, '_, Reactions>) {
    let (partition, offset) = feed.emit().place();
    let origin = Origin { key: record.key, timestamp: record.timestamp, partition, offset };
    if !record.is_reserved()
        && let Some(brief) = judge.brief(record.value, &origin)
    {
        let Brief { id, room, emoji, count, user, ts } = brief;
        react(&Valid { id, room, emoji, count, user, ts }, feed, || canonical(brief).into());
        return;
    }
    let parsed = if record.is_reserved() {
        Err(Reject::new(Reason::KeyMismatch, reason::RESERVED_KEY))
    } else {
        judge.parse(record.value, &origin)
    };
    match parsed {
        Ok(Event::Reaction(reaction)) => {
            let user = reaction.user.as_deref().map(str::as_bytes);
            let (id, room) = (reaction.id.as_bytes(), reaction.room.as_bytes());
            let valid =
                Valid { id, room, emoji: reaction.emoji, count: reaction.count, user, ts: reaction.ts };
            react(&valid, feed, || reaction.to_event().into());
        }
        Ok(Event::Tick(time)) => feed.tick(time),
        Err(Reject { reason, detail, room }) => {
            feed.count_rejected(room.as_deref().unwrap_or_default());
            let reject = TaggedReject::new(reason.code(), &detail, room.as_deref(), record.value);
            dead_letter(feed.emit(), reject);
        }
    }
}

/// The canonical event.
fn canonical(brief: Brief<'_>) -> Vec<u8> {
    // Its names are ASCII.
    Reaction::try_from(brief).map(|reaction| reaction.to_event()).unwrap_or_default()
}

/// `written` gives the canonical event, for a dead letter.
fn react<'w>(event: &Valid<'_>, feed: &mut Feed<'_, '_, Reactions>, written: impl FnOnce() -> Cow<'w, [u8]>) {
    let tap = Tap { emoji: event.emoji, count: event.count, user: event.user };
    let (partition, offset) = feed.emit().place();
    // An id made from the record's own place is new by nature, whatever a client called its reactions before.
    let id = (!is_place(event.id, partition, offset)).then_some(event.id);
    let refused = match feed.observe(event.room, event.ts, id, &tap) {
        Verdict::Duplicate => return,
        Verdict::Counted { missed } => {
            if !missed.is_empty() {
                late(event, missed, feed, &written());
            }
            return;
        }
        Verdict::TooManyKeys => {
            (Reason::TooManyRooms, format!("this partition keeps totals for {KEYS_MAX} rooms"))
        }
        Verdict::KeyIsNoText => (Reason::BadRoom, "the room is not UTF-8".to_owned()),
    };
    let ((reason, detail), original) = (refused, written());
    feed.count_rejected("");
    let reject = TaggedReject::new(reason.code(), &detail, from_utf8(event.room).ok(), &original);
    dead_letter(feed.emit(), reject);
}

/// A dead letter for each definition whose windows it missed.
fn late(event: &Valid<'_>, missed: Vec<Missed>, feed: &mut Feed<'_, '_, Reactions>, original: &[u8]) {
    for missed in missed {
        let settings = &feed.settings()[missed.definition];
        let (name, all) = (settings.name.clone(), settings.windows_at(event.ts));
        let detail = format!("{} of {all} windows {name:?} that hold its time had closed", missed.windows);
        let reject = TaggedReject::new(Reason::Late.code(), &detail, from_utf8(event.room).ok(), original);
        dead_letter(feed.emit(), TaggedReject { late: Some(Late::new(&name, missed.windows)), ..reject });
    }
}

/// Whether an id is `partition:offset` of this record.
fn is_place(id: &[u8], partition: u32, offset: i64) -> bool {
    // Most ids have no colon there, which is told without an allocation.
    let digits = partition.checked_ilog10().unwrap_or(0) as usize + 1;
    id.get(digits) == Some(&b':') && id == format!("{partition}:{offset}").as_bytes()
}

fn dead_letter(emit: &mut Emit<'_>, reject: TaggedReject<'_>) {
    emit.reject(|numbers| {
        let letter = DeadLetter {
            reject,
            stage: numbers.stage.into(),
            epoch: numbers.epoch,
            seq: numbers.seq,
            source: Source {
                topic: numbers.topic.into(),
                partition: numbers.partition,
                offset: numbers.offset,
            },
        };
        serde_json::to_vec(&letter).unwrap_or_default()
    });
}

/// Taps per second, to a tenth. A window that has just begun is taken to have lasted a second: the first tap is no storm.
fn rate(taps: u64, lasted_ms: i64) -> f64 {
    (taps as f64 * 10_000.0 / lasted_ms.max(1_000) as f64).round() / 10.0
}

fn json(numbers: &Numbering<'_>, update: &Update<'_, Taps>) -> Vec<u8> {
    let Taps { total, counts, users } = update.aggregate;
    let record = WindowUpdate {
        stage: numbers.stage.into(),
        epoch: numbers.epoch,
        seq: numbers.seq,
        room: update.key.into(),
        window: WindowRef {
            name: update.window.name.as_str().into(),
            kind: update.window.kind().into(),
            start: update.start_ms,
            end: update.end_ms,
        },
        revision: update.revision,
        last: update.last,
        retracted: update.retracted,
        total: *total,
        counts: counts.iter().map(|(emoji, count)| (emoji.into(), count)).collect(),
        top: update.aggregate.top().into_iter().map(Cow::Borrowed).collect(),
        rate: rate(*total, update.lasted_until_ms - update.start_ms),
        users: (!users.is_empty()).then(|| users.estimate()),
        sentiment: Some(Sentiment::of(counts.iter())),
        room_totals: RoomTotals {
            reactions: update.totals.accepted,
            late: update.totals.late,
            duplicates: update.totals.duplicates,
            rejected: update.totals.rejected,
        },
        source: UpdateSource { partition: numbers.partition, offset: numbers.offset },
    };
    serde_json::to_vec(&record).unwrap_or_default()
}
