use std::ops::Range;

use ovation_client::Record;

use crate::books::Books;
use crate::difference::{Difference, Differences, Kind, shown};
use crate::outlet::{Found, Outlet, Settled, Taken};
use crate::replay::{Expected, Replay};
use crate::{PartitionReport, Subject, Unchecked};

/// Bytes of results, or of dead letters, that may wait for the topic to be read before no more of the source is replayed.
const PENDING_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Events that may wait likewise: about 30 MB.
const PENDING_EVENTS_MAX: usize = 200_000;

/// What is audited of one partition: the offsets as they were when the audit began. The outlets' ends have to be taken before
/// the source's, so that everything below them comes from the source's range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Partition number.
    pub partition: u32,
    /// The epoch.
    pub epoch: u64,
    /// Source offsets from the epoch's start to the source's end.
    pub source: Range<i64>,
    /// Offsets of the sink.
    pub sink: Range<i64>,
    /// Offsets of the dead-letter topic.
    pub letters: Range<i64>,
}

/// Both checks over one partition, or the replay alone where there is nothing to add up; records are pushed in, in whatever portions.
#[derive(Debug)]
pub(crate) struct Partition {
    subject: Subject,
    place: Place,
    replay: Replay,
    pub(crate) results: Outlet,
    pub(crate) letters: Outlet,
    /// None where there is nothing to add up.
    books: Option<Books>,
    differences: Differences,
    in_flight: u64,
    counted: (u64, u64),
}

impl Partition {
    pub(crate) fn new(subject: &Subject, place: Place) -> Result<Self, Unchecked> {
        Ok(Self {
            replay: Replay::new(subject, place.epoch, place.partition, place.source.start)?,
            results: Outlet::new(&subject.stage, place.epoch),
            letters: Outlet::new(&subject.stage, place.epoch),
            books: subject.counts().then(|| Books::new(subject, place.partition)),
            subject: subject.clone(),
            place,
            differences: Differences::default(),
            in_flight: 0,
            counted: (0, 0),
        })
    }

    /// The next records of the source.
    pub(crate) fn source(&mut self, records: &[Record]) -> Result<(), Unchecked> {
        let made = self.replay.run(records)?;
        if let Some(books) = &mut self.books {
            for (record, time) in records.iter().zip(made.times) {
                books.event(record, time);
            }
        }
        self.counted.0 += made.results.len() as u64;
        self.counted.1 += made.letters.len() as u64;
        made.results.into_iter().for_each(|result| self.results.expect(result));
        for letter in made.letters {
            if self.subject.dead_letter.is_some() {
                self.letters.expect(letter);
            } else {
                // Nobody stored it: what the stage made of the event is all there is.
                let (seq, found) = self.unstored(letter);
                if let Some(books) = &mut self.books {
                    books.letter(seq, &found, &mut self.differences);
                }
            }
        }
        Ok(())
    }

    fn unstored(&self, letter: Expected) -> (u64, Found) {
        let record = Record {
            partition: self.place.partition,
            offset: -1,
            timestamp: -1,
            key: None,
            value: letter.value.into(),
        };
        (letter.seq, Found { offset: -1, source_offset: letter.source_offset, record })
    }

    /// The source holds no more: what is still open is taken from the replay.
    pub(crate) fn source_ended(&mut self) -> Result<(), Unchecked> {
        for result in self.replay.close(self.place.source.end)? {
            if let Some(books) = &mut self.books {
                books.open(&result.value);
            }
        }
        self.results.made_all();
        self.letters.made_all();
        Ok(())
    }

    /// The next record of the sink.
    pub(crate) fn result(&mut self, record: &Record) -> Result<(), Unchecked> {
        let taken = self.results.take(record);
        let topic = self.subject.sink.clone();
        self.taken(taken, &topic, record)
    }

    /// The next record of the dead-letter topic.
    pub(crate) fn letter(&mut self, record: &Record) -> Result<(), Unchecked> {
        let taken = self.letters.take(record);
        let topic = self.subject.dead_letter.clone().unwrap_or_default();
        self.taken(taken, &topic, record)
    }

    fn taken(&mut self, taken: Taken, topic: &str, record: &Record) -> Result<(), Unchecked> {
        let difference = |kind| {
            let shown = shown(&record.value, 0);
            Difference::new(kind, topic, self.place.partition).offset(record.offset).found(shown)
        };
        match taken {
            Taken::Kept | Taken::Older => {}
            Taken::Newer(epoch) => {
                return Err(Unchecked(format!(
                    "stage {:?} began epoch {epoch} while epoch {} was audited; run the audit again",
                    self.subject.stage, self.place.epoch
                )));
            }
            Taken::Repeated { seq, source_offset } => {
                let repeated = difference(Kind::Repeated).seq(seq).source_offset(source_offset);
                self.differences.add(repeated);
            }
            Taken::Foreign => self.differences.add(difference(Kind::Foreign)),
        }
        Ok(())
    }

    /// Settles whatever can be settled: dead letters first, because the totals in results count them.
    pub(crate) fn settle(&mut self) {
        while let Some(settled) = self.letters.settle(i64::MAX) {
            let topic = self.subject.dead_letter.clone().unwrap_or_default();
            let stored = self.compared(settled, &topic, self.place.letters.end);
            if let (Some((seq, found, _)), Some(books)) = (stored, &mut self.books) {
                books.letter(seq, &found, &mut self.differences);
            }
        }
        let before = self.letters.pending().unwrap_or(i64::MAX);
        while let Some(settled) = self.results.settle(before) {
            let topic = self.subject.sink.clone();
            let stored = self.compared(settled, &topic, self.place.sink.end);
            if let (Some((seq, found, made_at)), Some(books)) = (stored, &mut self.books) {
                books.result(seq, &found, made_at, &mut self.differences);
            }
        }
        let before = self.results.pending().map_or(before, |pending| pending.min(before));
        if let Some(books) = &mut self.books {
            books.settle(before, &mut self.differences);
        }
    }

    /// Notes what does not agree; answers what is stored, for the books.
    fn compared(
        &mut self,
        settled: Settled,
        topic: &str,
        stored_end: i64,
    ) -> Option<(u64, Found, Option<i64>)> {
        let difference = |kind| Difference::new(kind, topic, self.place.partition);
        match settled {
            Settled::Both(expected, found) => {
                let made_at = expected.source_offset;
                let same_key = expected.key.as_deref() == found.record.key.as_deref();
                if !same_key || expected.value != found.record.value {
                    let changed = difference(Kind::Changed)
                        .seq(expected.seq)
                        .offset(found.offset)
                        .source_offset(made_at);
                    let changed = if same_key {
                        changed.compared(&expected.value, &found.record.value)
                    } else {
                        let key =
                            |key: Option<&[u8]>| format!("the key {:?}", key.map(String::from_utf8_lossy));
                        changed.expected(key(expected.key.as_deref())).found(key(found.record.key.as_deref()))
                    };
                    self.differences.add(changed);
                }
                Some((expected.seq, found, Some(made_at)))
            }
            Settled::Missing { expected, hole } => {
                let kind = if hole { Kind::Missing } else { Kind::Behind };
                let missing = difference(kind)
                    .seq(expected.seq)
                    .source_offset(expected.source_offset)
                    .expected(shown(&expected.value, 0));
                self.differences.add(missing);
                None
            }
            Settled::Extra(_, found)
                if found.offset >= stored_end && found.source_offset >= self.place.source.end =>
            {
                self.in_flight += 1;
                None
            }
            Settled::Extra(seq, found) => {
                let extra = difference(Kind::Unexpected)
                    .seq(seq)
                    .offset(found.offset)
                    .source_offset(found.source_offset)
                    .found(shown(&found.record.value, 0));
                self.differences.add(extra);
                Some((seq, found, None))
            }
        }
    }

    /// Whether so much waits for the outlets that no more should be replayed.
    pub(crate) fn is_full(&self) -> bool {
        self.results.pending_bytes().max(self.letters.pending_bytes()) > PENDING_BYTES_MAX
            || self.books.as_ref().is_some_and(|books| books.pending() > PENDING_EVENTS_MAX)
    }

    /// What was found.
    pub(crate) fn report(mut self) -> PartitionReport {
        self.settle();
        let (rooms, recurred) =
            self.books.map(|books| books.close(&mut self.differences)).unwrap_or_default();
        PartitionReport {
            partition: self.place.partition,
            epoch: self.place.epoch,
            first: self.place.source.start,
            end: self.place.source.end,
            results: self.counted.0,
            dead_letters: self.counted.1,
            in_flight: self.in_flight,
            inversions: self.results.inversions + self.letters.inversions,
            recurred,
            differences: self.differences.0,
            rooms,
        }
    }
}
