//! The stage: canonical events in, window updates and dead letters out.

use std::borrow::Cow;

use ovation_reaction::{
    DeadLetter, Late, Reason, RoomTotals, Source, TaggedReject, UpdateSource, WindowRef, WindowUpdate,
    Written,
};
use ovation_shell::{Emit, Numbering, Params, SourceRecord, Stage, StageProgress, StageState};
use ovation_windowing::{DedupSettings, Emission, Shape, Update, Verdict, WindowSettings, Windows};
use serde::Deserialize;

use crate::Taps;
use crate::counts::Tap;

/// Windows of reactions over one source partition.
#[derive(Debug)]
pub struct Window {
    windows: Windows<Taps>,
}

/// A canonical event, as `validate` wrote it.
#[derive(Deserialize)]
struct Event<'a> {
    tick: Option<i64>,
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    room: Cow<'a, str>,
    #[serde(borrow, default)]
    emoji: Cow<'a, str>,
    #[serde(default)]
    count: u64,
    #[serde(default)]
    ts: i64,
}

impl<'a> Event<'a> {
    fn read(value: &'a [u8]) -> serde_json::Result<Self> {
        let written = std::str::from_utf8(value).ok().and_then(Written::read);
        let Some((written, ts)) =
            written.and_then(|written| Some((written, i64::try_from(written.ts).ok()?)))
        else {
            return serde_json::from_slice(value);
        };
        let Written { id, room, emoji, count, .. } = written;
        Ok(Self { tick: None, id: id.into(), room: room.into(), emoji: emoji.into(), count, ts })
    }
}

impl Stage for Window {
    fn open(params: &Params) -> Result<Self, String> {
        let settings: Vec<WindowSettings> = match params.get("ovation.windows") {
            Some(json) => serde_json::from_str(json).map_err(|error| format!("ovation.windows: {error}"))?,
            None => vec![WindowSettings {
                name: "10s".to_owned(),
                shape: Shape::Tumbling { size_ms: 10_000 },
                grace_ms: 2_000,
                emit: Emission::default(),
            }],
        };
        let bounds = DedupSettings::default();
        let dedup = DedupSettings {
            horizon_ms: params
                .parse("dedup.horizon-ms", bounds.horizon_ms, "milliseconds")
                .map_err(|error| error.to_string())?,
            ids_max: params
                .parse("dedup.ids", bounds.ids_max, "a number of ids")
                .map_err(|error| error.to_string())?,
        };
        let idleness_ms =
            params.parse("ovation.idleness-ms", 1_000, "milliseconds").map_err(|error| error.to_string())?;
        let windows = Windows::new(settings, dedup, idleness_ms).map_err(|error| error.to_string())?;
        Ok(Self { windows })
    }

    fn record(&mut self, record: &SourceRecord<'_>, emit: &mut Emit<'_>) {
        if record.is_reject() {
            self.reject(record, emit);
            return;
        }
        let event: Event<'_> = match Event::read(record.value) {
            Ok(event) => event,
            Err(error) => {
                // Only where this module runs without `validate` in front of it.
                self.windows.reject("");
                let detail = format!("not a canonical event: {error}");
                dead_letter(emit, TaggedReject::new(Reason::Malformed.code(), &detail, None, record.value));
                return;
            }
        };
        match event.tick {
            Some(time) => self.windows.tick(time, &mut |update| send(emit, &update)),
            None => self.react(&event, record, emit),
        }
    }

    fn progress(&self) -> StageProgress {
        let size = self.windows.size();
        StageProgress {
            stream_time: self.windows.stream_time(),
            watermark: self.windows.watermark(),
            dirty: self.windows.is_dirty(),
            open: self.windows.open(),
            backlog: self.windows.backlog(),
            state: StageState { keys: size.keys, windows: size.windows, ids: size.ids },
        }
    }

    fn stream_time(&self) -> Option<i64> {
        self.windows.stream_time()
    }

    fn save(&self) -> Result<String, String> {
        self.windows.save().map_err(|error| error.to_string())
    }

    fn restore(&mut self, state: &str) -> Result<(), String> {
        self.windows.restore(state)
    }
}

impl Window {
    fn react(&mut self, event: &Event<'_>, record: &SourceRecord<'_>, emit: &mut Emit<'_>) {
        let tap = Tap { emoji: &event.emoji, count: event.count };
        let (partition, offset) = emit.place();
        // An id made from the record's own place is new by nature, whatever a client called its reactions before.
        let id = (!is_place(&event.id, partition, offset)).then_some(event.id.as_ref());
        let verdict =
            self.windows.observe(&event.room, event.ts, id, &tap, &mut |update| send(emit, &update));
        let missed = match verdict {
            Verdict::Duplicate => return,
            Verdict::Counted { missed } => missed,
            Verdict::TooManyKeys => {
                let detail = format!("this partition keeps totals for {} rooms", ovation_windowing::KEYS_MAX);
                let reject =
                    TaggedReject::new(Reason::TooManyRooms.code(), &detail, Some(&event.room), record.value);
                self.windows.reject("");
                dead_letter(emit, reject);
                return;
            }
        };
        for missed in missed {
            let settings = &self.windows.settings()[missed.definition];
            let (name, all) = (&settings.name, settings.windows_at(event.ts));
            let detail =
                format!("{} of {all} windows {name:?} that hold its time had closed", missed.windows);
            let reject = TaggedReject::new(Reason::Late.code(), &detail, Some(&event.room), record.value);
            dead_letter(emit, TaggedReject { late: Some(Late::new(name, missed.windows)), ..reject });
        }
    }

    fn reject(&mut self, record: &SourceRecord<'_>, emit: &mut Emit<'_>) {
        let Ok(reject) = serde_json::from_slice::<TaggedReject<'_>>(record.value) else {
            self.windows.reject("");
            dead_letter(emit, TaggedReject::new(Reason::Malformed.code(), "", None, record.value));
            return;
        };
        self.windows.reject(reject.room.as_deref().unwrap_or_default());
        dead_letter(emit, reject);
    }
}

/// Whether an id is `partition:offset` of this record.
fn is_place(id: &str, partition: u32, offset: i64) -> bool {
    // Most ids have no colon, which is told without an allocation.
    id.contains(':') && id == format!("{partition}:{offset}")
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

fn send(emit: &mut Emit<'_>, update: &Update<'_, Taps>) -> usize {
    emit.result(update.key, |numbers| json(numbers, update))
}

fn json(numbers: &Numbering<'_>, update: &Update<'_, Taps>) -> Vec<u8> {
    let counts = &update.aggregate.counts;
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
        total: update.aggregate.total,
        counts: counts.iter().map(|(emoji, count)| (emoji.as_str().into(), *count)).collect(),
        users: None,
        sentiment: None,
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
