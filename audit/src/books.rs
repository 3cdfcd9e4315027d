use std::borrow::Cow;
use std::collections::HashMap;

use ovation_client::Record;
use ovation_reaction::{
    DeadLetter, Event, Origin, Reason, Reject, RoomTotals, TaggedReject, WindowUpdate, parse,
};
use ovation_shell::{CONTROL, TICK_KEY};
use ovation_windowing::KEYS_MAX;
use serde::Deserialize;

use crate::Subject;
use crate::difference::{Difference, Differences, Kind, shown};
use crate::facts::{Fact, FactKind, Facts, between, plus};
use crate::ids::Ids;
use crate::outlet::Found;
use crate::report::{RoomLine, WindowLine};

/// What a late letter says of its reaction.
#[derive(Deserialize)]
struct Tap<'a> {
    #[serde(borrow)]
    room: Cow<'a, str>,
    count: u64,
}

/// One room's sums, and its counters as of the facts that are settled.
#[derive(Debug)]
struct Room {
    /// A task has to keep totals for it.
    known: bool,
    line: RoomLine,
    settled: RoomTotals,
}

/// Adds up raw events, results and dead letters of one partition, and knows nothing of how windows are computed.
#[derive(Debug)]
pub(crate) struct Books {
    subject: Subject,
    partition: u32,
    index: HashMap<String, usize>,
    rooms: Vec<Room>,
    known: usize,
    ids: Ids,
    facts: Facts,
}

impl Books {
    pub(crate) fn new(subject: &Subject, partition: u32) -> Self {
        Self {
            ids: Ids::new(subject.dedup),
            subject: subject.clone(),
            partition,
            index: HashMap::new(),
            rooms: Vec::new(),
            known: 0,
            facts: Facts::default(),
        }
    }

    /// Takes the next raw event. `stream_time` is what the stage had come to before it: it is only asked where an id comes again.
    pub(crate) fn event(&mut self, record: &Record, stream_time: Option<i64>) {
        let key = record.key.as_deref();
        let origin = Origin {
            key,
            timestamp: (record.timestamp > 0).then_some(record.timestamp),
            partition: self.partition,
            offset: record.offset,
        };
        let fact = match own_key(key).and_then(|()| parse(&record.value, &origin, &self.subject.rules)) {
            Ok(Event::Tick(_)) => return,
            Ok(Event::Reaction(reaction)) => {
                let room = self.room(&reaction.room);
                if !self.rooms[room].known && self.known >= KEYS_MAX {
                    let event = serde_json::to_vec(&reaction).unwrap_or_default();
                    self.reject("", Reason::TooManyRooms, event)
                } else {
                    self.know(room);
                    let (taps, time) = (reaction.count, reaction.ts);
                    let now = stream_time.map_or(time, |now| now.max(time));
                    // An id made from the record's own place is new by nature.
                    let own = *reaction.id == format!("{}:{}", self.partition, record.offset);
                    let duplicate = !own && self.ids.is_duplicate(&reaction.room, &reaction.id, now);
                    self.rooms[room].line.taps += taps;
                    (room, self.reaction(room, taps, time, duplicate))
                }
            }
            Err(reject) => {
                let name = reject.room.unwrap_or_default();
                self.reject(&name, reject.reason, record.value.to_vec())
            }
        };
        self.facts.push(Fact { offset: record.offset, room: fact.0, kind: fact.1 });
    }

    fn reaction(&mut self, room: usize, taps: u64, time: i64, duplicate: bool) -> FactKind {
        let line = &mut self.rooms[room].line;
        if duplicate {
            line.duplicates += taps;
            return FactKind::Duplicate { taps };
        }
        let windows: Vec<u64> =
            self.subject.definitions.iter().map(|definition| definition.windows_at(time)).collect();
        for (line, windows) in line.windows.iter_mut().zip(&windows) {
            line.places += taps * windows;
        }
        let missed = vec![0; windows.len()];
        FactKind::Counted { taps, windows, missed }
    }

    fn reject(&mut self, room: &str, reason: Reason, event: Vec<u8>) -> (usize, FactKind) {
        let room = self.room(room);
        if self.known < KEYS_MAX {
            self.know(room);
        }
        self.rooms[room].line.rejected += 1;
        (room, FactKind::Rejected { reason: reason.code(), event, letters: 0 })
    }

    /// Takes the next stored dead letter.
    pub(crate) fn letter(&mut self, seq: u64, found: &Found, differences: &mut Differences) {
        let value = &found.record.value;
        let topic = self.subject.dead_letter.as_deref().unwrap_or_default();
        let mut wrong = Difference::new(Kind::WrongLetter, topic, self.partition)
            .seq(seq)
            .offset(found.offset)
            .source_offset(found.source_offset);
        let Ok(letter) = serde_json::from_slice::<DeadLetter<'_>>(value) else {
            return differences.add(wrong.found(shown(value, 0)));
        };
        let expected = match &letter.reject.late {
            Some(_) => self.late(&letter),
            None => self.refused(&letter),
        };
        if let Err(expected) = expected {
            wrong = wrong.expected(expected).found(shown(value, 0));
            differences.add(wrong);
        }
    }

    /// A letter for windows that had closed; an error says what should have been there.
    fn late(&mut self, letter: &DeadLetter<'_>) -> Result<(), String> {
        let Some(late) = &letter.reject.late else { return Ok(()) };
        let tap: Tap<'_> = serde_json::from_str(&letter.reject.event)
            .map_err(|_| "a canonical reaction in \"event\"".to_owned())?;
        let definition = self.subject.definitions.iter().position(|one| one.name == late.window);
        let definition = definition.ok_or("the name of one of the stage's windows")?;
        let room = self.room(&tap.room);
        let taps = tap.count.saturating_mul(late.windows_missed);
        let line = &mut self.rooms[room].line.windows[definition];
        line.late = line.late.saturating_add(taps);
        match self.facts.at(letter.source.offset) {
            Some(Fact { room: of, kind: FactKind::Counted { taps, windows, missed }, .. })
                if (*of, *taps) == (room, tap.count) && letter.reject.reason == Reason::Late.code() =>
            {
                let (missed, windows) = (&mut missed[definition], windows[definition]);
                if *missed > 0 {
                    return Err("one letter for each window definition".to_owned());
                }
                *missed = late.windows_missed;
                if (1..=windows).contains(&late.windows_missed) {
                    Ok(())
                } else {
                    Err(format!("1 to {windows} windows missed"))
                }
            }
            _ => Err("no such letter: at its source offset is no such reaction".to_owned()),
        }
    }

    /// A letter for an event that was refused; an error says what should have been there.
    fn refused(&mut self, letter: &DeadLetter<'_>) -> Result<(), String> {
        let fact = self.facts.at(letter.source.offset);
        let Some(Fact { kind: FactKind::Rejected { reason, event, letters }, .. }) = fact else {
            return Err("no such letter: the event at its source offset is not to be refused".to_owned());
        };
        *letters += 1;
        let whole = TaggedReject::new(reason, "", None, event);
        let is = &letter.reject;
        if *letters > 1 {
            Err("one letter for this event".to_owned())
        } else if is.reason != *reason {
            Err(format!("the reason {reason:?}"))
        } else if (&is.event, &is.event_encoding) != (&whole.event, &whole.event_encoding) {
            Err(format!("the event as it was received: {}", shown(event, 0)))
        } else {
            Ok(())
        }
    }

    /// Takes the next stored result. Its totals are checked against those as of `made_at`, the source offset that the replay
    /// made it at, if it did.
    pub(crate) fn result(
        &mut self,
        seq: u64,
        found: &Found,
        made_at: Option<i64>,
        differences: &mut Differences,
    ) {
        let value = &found.record.value;
        let foreign = || {
            let found = Difference::new(Kind::Foreign, &self.subject.sink, self.partition)
                .seq(seq)
                .offset(found.offset)
                .found(shown(value, 0));
            found.expected("a result of one of the stage's windows")
        };
        let Ok(update) = serde_json::from_slice::<WindowUpdate<'_>>(value) else {
            return differences.add(foreign());
        };
        let definition = self.subject.definitions.iter().position(|one| one.name == update.window.name);
        let Some(definition) = definition else { return differences.add(foreign()) };
        let room = self.room(&update.room);
        if update.last {
            let line = &mut self.rooms[room].line.windows[definition];
            line.finals = line.finals.saturating_add(update.total);
        }
        let Some(made_at) = made_at else { return };
        self.settle(made_at, differences);
        let before = self.rooms[room].settled;
        let after = match self.facts.at(made_at) {
            Some(fact) if fact.room == room => plus(before, fact.counters()),
            _ => before,
        };
        if !between(before, update.room_totals, after) {
            let text = |totals: RoomTotals| serde_json::to_string(&totals).unwrap_or_default();
            let difference = Difference::new(Kind::Totals, &self.subject.sink, self.partition)
                .seq(seq)
                .offset(found.offset)
                .source_offset(found.source_offset)
                .room(&update.room)
                .expected(text(after))
                .found(text(update.room_totals));
            differences.add(difference);
        }
    }

    /// Takes the final of a window that is still open.
    pub(crate) fn open(&mut self, value: &[u8]) {
        let Ok(update) = serde_json::from_slice::<WindowUpdate<'_>>(value) else { return };
        let definition = self.subject.definitions.iter().position(|one| one.name == update.window.name);
        let (Some(definition), true) = (definition, update.last) else { return };
        let room = self.room(&update.room);
        self.rooms[room].line.windows[definition].open += update.total;
    }

    /// No result or dead letter of a source offset below this is to come.
    pub(crate) fn settle(&mut self, before: i64, differences: &mut Differences) {
        while let Some(fact) = self.facts.settle(before) {
            let room = &mut self.rooms[fact.room];
            room.settled = plus(room.settled, fact.counters());
            if let FactKind::Rejected { reason, event, letters: 0 } = &fact.kind
                && let Some(topic) = &self.subject.dead_letter
            {
                let missing = Difference::new(Kind::NoLetter, topic, self.partition)
                    .source_offset(fact.offset)
                    .room(&room.line.room)
                    .expected(format!("a dead letter with the reason {reason:?} and {}", shown(event, 0)));
                differences.add(missing);
            }
        }
    }

    /// The sums of every room, and how many ids came again after the stage had to forget them.
    pub(crate) fn close(mut self, differences: &mut Differences) -> (Vec<RoomLine>, u64) {
        self.settle(i64::MAX, differences);
        let lines: Vec<RoomLine> = self.rooms.into_iter().map(|room| room.line).collect();
        for line in &lines {
            for window in &line.windows {
                if window.difference() != 0 {
                    let accounted = window.places.saturating_add_signed(window.difference().saturating_neg());
                    let difference = Difference::new(Kind::Conservation, &self.subject.sink, self.partition)
                        .room(&line.room)
                        .window(&window.window)
                        .expected(format!("{} taps in finals, open or late", window.places))
                        .found(format!("{accounted} taps"));
                    differences.add(difference);
                }
            }
        }
        (lines, self.ids.recurred)
    }

    /// Events that are not settled.
    pub(crate) fn pending(&self) -> usize {
        self.facts.len()
    }

    fn room(&mut self, name: &str) -> usize {
        if let Some(index) = self.index.get(name) {
            return *index;
        }
        let windows = self.subject.definitions.iter().map(|one| WindowLine::new(&one.name)).collect();
        let line = RoomLine { windows, ..RoomLine::new(name) };
        self.rooms.push(Room { known: false, line, settled: RoomTotals::default() });
        self.index.insert(name.to_owned(), self.rooms.len() - 1);
        self.rooms.len() - 1
    }

    fn know(&mut self, room: usize) {
        if !self.rooms[room].known {
            self.rooms[room].known = true;
            self.known += 1;
        }
    }
}

/// Control keys belong to the engine: an event under one is refused, whatever it says.
fn own_key(key: Option<&[u8]>) -> Result<(), Reject> {
    match key {
        Some(key) if key.first() == Some(&CONTROL) && key != TICK_KEY.as_bytes() => {
            Err(Reject::new(Reason::KeyMismatch, ""))
        }
        _ => Ok(()),
    }
}
