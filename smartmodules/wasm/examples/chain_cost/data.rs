//! Reactions as a crowd sends them: rooms, emoji, 5,000 people, a hundred a millisecond.

use fluvio_protocol::core::Encoder;
use fluvio_protocol::record::Record;
use fluvio_smartmodule::SMARTMODULE_TIMESTAMPS_VERSION as VERSION;

const EMOJI: [&str; 8] = ["🔥", "❤️", "👏", "😂", "🎉", "😮", "👍", "💯"];
const T0: i64 = 1_795_426_840_000;
/// Reactions in a millisecond.
const RATE: u64 = 100;

/// Behind the usual ones: emoji enough to see what more of them cost.
const MORE_EMOJI: u32 = 0x1f400;

/// Who reacts, and with what.
#[derive(Debug)]
pub(crate) struct Crowd {
    rooms: u64,
    emoji: Vec<String>,
}

impl Crowd {
    pub(crate) fn new(rooms: u64, emoji: usize) -> Self {
        let more = (MORE_EMOJI..).filter_map(char::from_u32).map(String::from);
        Self { rooms, emoji: EMOJI.into_iter().map(str::to_owned).chain(more).take(emoji).collect() }
    }
}

/// How an event is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// With what has to be said and no more, as other producers do it: `validate` has to write it anew.
    Short,
    /// As gateways write it, which is the canonical form: `validate` passes it on.
    Canonical,
}

impl Form {
    pub(crate) const ALL: [Self; 2] = [Self::Short, Self::Canonical];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Canonical => "canonical",
        }
    }
}

/// Records as they lie in a batch, and where that lies in the log.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    pub(crate) base_offset: i64,
    pub(crate) base_timestamp: i64,
    pub(crate) bytes: Vec<u8>,
}

/// This many reactions, in batches of `batch`.
pub(crate) fn reactions(crowd: &Crowd, count: u64, batch: u64, form: Form) -> Vec<Records> {
    let starts = (0..count).step_by(batch as usize);
    starts.map(|first| records(crowd, first, batch.min(count - first), form)).collect()
}

fn records(crowd: &Crowd, first: u64, count: u64, form: Form) -> Records {
    let records: Vec<Record> = (0..count)
        .map(|delta| {
            let (room, event) = reaction(crowd, first + delta, form);
            let mut record = Record::new_key_value(room, event);
            record.preamble.set_offset_delta(delta as i64);
            record
        })
        .collect();
    let mut bytes = Vec::new();
    records.encode(&mut bytes, VERSION).expect("encodes into memory");
    Records { base_offset: first as i64, base_timestamp: time_of(first), bytes }
}

fn reaction(crowd: &Crowd, n: u64, form: Form) -> (String, String) {
    let x = n * 2_654_435_761 % (1 << 32);
    let room = format!("room-{}", (x >> 8) % crowd.rooms);
    let emoji = &crowd.emoji[(x >> 20) as usize % crowd.emoji.len()];
    let (user, ts) = ((x >> 12) % 5_000, time_of(n));
    let count = match form {
        Form::Short => "",
        Form::Canonical => r#","count":1"#,
    };
    let event =
        format!(r#"{{"id":"r{n}","room":"{room}","emoji":"{emoji}"{count},"user":"u{user}","ts":{ts}}}"#);
    (room, event)
}

fn time_of(n: u64) -> i64 {
    T0 + (n / RATE) as i64
}
