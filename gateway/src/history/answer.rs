//! An answer, read from the log while it is written.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::Bytes;
use ovation_client::{Error, Record, Scan};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::config::History;
use super::log::{Log, Renewed, Segment, Trouble};
use super::passed::Passed;
use super::query::Query;
use super::result::{Final, Found};
use super::step::Steps;
use super::write::Writer;
use crate::cursor::{Cursor, Place};
use crate::follow::order::{Offer, Order};

/// Bytes that are written before they are handed on.
const CHUNK_BYTES: usize = 64 * 1024;

/// Whether an answer goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// With more of the same epoch.
    On,
    /// With the next epoch: of this one nothing more is wanted.
    Over,
    /// No more of it: a limit is reached, and the rest begins at `next`.
    Cut,
}

/// An epoch that is being read.
struct Reading {
    scan: Scan,
    order: Order<Found>,
    passed: Passed,
    /// Whether it is known where the order begins.
    is_begun: bool,
}

/// An answer under way. It holds a batch of the log, the steps that are open, and what waits for its turn; never the whole.
pub(super) struct Answer {
    pages: Pages,
    /// The epoch that is read; none at the end.
    reading: Option<Reading>,
    segments: VecDeque<Segment>,
    log: Log,
    is_ended: bool,
    /// A place to read histories.
    _place: OwnedSemaphorePermit,
}

/// What an answer is made of, and how much of it may be.
struct Pages {
    query: Query,
    config: History,
    renewed: Renewed,
    writer: Writer,
    steps: Option<Steps>,
    /// Records written.
    written: usize,
    /// Records of the log read.
    read: u64,
    until: Instant,
    /// The last result that was dealt with.
    last: Option<Place>,
}

impl Answer {
    /// Finds the place in the log, and reads the first results: what goes wrong until then is told by a status.
    pub(super) async fn begin(
        log: Log,
        query: Query,
        config: &History,
        until: Instant,
        place: OwnedSemaphorePermit,
    ) -> Result<Self, Trouble> {
        let mut segments: VecDeque<_> = log.segments(&query, config).await?.into();
        let newer = segments.make_contiguous().get(1..).unwrap_or_default();
        let renewed = log.renewed(newer, &query, config).await?;
        let pages = Pages {
            writer: Writer::begin(&log.room, &query),
            steps: query.step.map(Steps::new),
            config: config.clone(),
            query,
            renewed,
            written: 0,
            read: 0,
            until,
            last: None,
        };
        let mut answer = Self { pages, reading: None, segments, log, is_ended: false, _place: place };
        answer.next_epoch();
        answer.advance().await?;
        Ok(answer)
    }

    /// The next piece of the answer; none after its end.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, Error> {
        while !self.is_ended && self.pages.writer.len() < CHUNK_BYTES {
            self.advance().await?;
        }
        let piece = self.pages.writer.take();
        Ok((!piece.is_empty()).then(|| piece.into()))
    }

    /// Reads a batch, and writes what it has for this answer.
    async fn advance(&mut self) -> Result<(), Error> {
        let Some(reading) = &mut self.reading else {
            self.end(None);
            return Ok(());
        };
        let flow = match self.pages.next(reading).await {
            Ok(Some(records)) => self.pages.take(reading, &self.log, &records),
            // What was missing does not come any more.
            Ok(None) => match self.pages.give_up(reading) {
                Flow::On => Flow::Over,
                flow => flow,
            },
            Err(None) => Flow::Cut,
            Err(Some(error)) => {
                let (topic, partition) = (&self.log.topic, self.log.partition);
                tracing::warn!(topic, partition, %error, "failed to read on for a history");
                if self.pages.last.is_none() {
                    return Err(error);
                }
                Flow::Cut
            }
        };
        match (flow, self.pages.last) {
            (Flow::On, _) => {}
            (Flow::Over, _) => self.next_epoch(),
            (Flow::Cut, Some(last)) => {
                let next = self.pages.query.next(&Cursor::at(self.log.partition, last));
                self.end(Some(&next));
            }
            (Flow::Cut, None) => {
                let what = format!("read partition {} of topic {}", self.log.partition, self.log.topic);
                return Err(Error::Refused { what, reason: "it took too long".to_owned() });
            }
        }
        Ok(())
    }

    fn next_epoch(&mut self) {
        let Pages { query, config, .. } = &self.pages;
        self.reading = self.segments.pop_front().map(|Segment { epoch, offsets }| {
            let mut order = Order::new(config.early_results_max);
            let after = query.after.as_ref().and_then(|cursor| cursor.place(self.log.partition));
            let begin = after.filter(|place| place.epoch == epoch);
            if let Some(place) = begin {
                order.start_at(place.after());
            }
            let passed = Passed::new(query.to, config);
            Reading { scan: self.log.scan(offsets), order, passed, is_begun: begin.is_some() }
        });
    }

    fn end(&mut self, next: Option<&str>) {
        for step in self.pages.steps.iter_mut().flat_map(Steps::finish) {
            self.pages.writer.step(step);
        }
        self.pages.writer.end(next);
        self.reading = None;
        self.is_ended = true;
    }
}

impl Pages {
    /// The next batch; `Err(None)` when a limit is reached.
    async fn next(&mut self, reading: &mut Reading) -> Result<Option<Vec<Record>>, Option<Error>> {
        if self.read >= self.config.records_max || Instant::now() >= self.until {
            return Err(None);
        }
        match timeout_at(self.until, reading.scan.next()).await {
            Ok(records) => Ok(records?),
            Err(_) => Err(None),
        }
    }

    /// Takes a batch, result by result as they are numbered.
    fn take(&mut self, reading: &mut Reading, log: &Log, records: &[Record]) -> Flow {
        self.read += records.len() as u64;
        let results = log.read(records);
        if !reading.is_begun
            && let Some(first) = results.iter().map(|found| found.place).min()
        {
            reading.order.start_at(first);
            reading.is_begun = true;
        }
        for found in results {
            let mut offer = reading.order.offer(found.place, found.clone());
            while matches!(offer, Offer::Full) {
                tracing::warn!(
                    topic = log.topic,
                    partition = log.partition,
                    "a result is missing, a history goes on"
                );
                let early = reading.order.give_up();
                if self.deal(&mut reading.passed, early) == Flow::Cut {
                    return Flow::Cut;
                }
                offer = reading.order.offer(found.place, found.clone());
            }
            if let Offer::Ready(ready) = offer
                && self.deal(&mut reading.passed, ready) == Flow::Cut
            {
                return Flow::Cut;
            }
        }
        if reading.passed.is_over(self.query.window.as_deref()) { Flow::Over } else { Flow::On }
    }

    /// Takes what waited for a result that is not there.
    fn give_up(&mut self, reading: &mut Reading) -> Flow {
        loop {
            let early = reading.order.give_up();
            if early.is_empty() {
                return Flow::On;
            }
            if self.deal(&mut reading.passed, early) == Flow::Cut {
                return Flow::Cut;
            }
        }
    }

    fn deal(&mut self, passed: &mut Passed, results: Vec<Found>) -> Flow {
        for found in results {
            if let Some(value) = self.wanted(&found)
                && let Some(window) = Final::read(value)
                && !self.write(value, &window)
            {
                return Flow::Cut;
            }
            passed.take(&found);
            self.last = Some(found.place);
        }
        Flow::On
    }

    /// The value of a final that is asked for.
    fn wanted<'a>(&self, found: &'a Found) -> Option<&'a [u8]> {
        let Query { from, to, window, .. } = &self.query;
        let is_wanted = found.is_final
            && !found.retracted
            && (*from..*to).contains(&found.start)
            && window.as_ref().is_none_or(|name| **name == *found.name);
        let value = found.value.as_deref().filter(|_| is_wanted)?;
        let is_void = !self.renewed.is_empty()
            && self.renewed.get(&found.key()).is_some_and(|epoch| *epoch > found.place.epoch);
        (!is_void).then_some(value)
    }

    /// Writes a window, or adds it to its step. False if the answer has no room for it.
    fn write(&mut self, value: &[u8], window: &Final<'_>) -> bool {
        let open = self.steps.as_ref().map_or(0, Steps::len);
        let is_more = self.steps.as_ref().is_none_or(|steps| steps.begins(window));
        if is_more && self.written + open >= self.query.limit as usize {
            return false;
        }
        match &mut self.steps {
            None => {
                self.writer.window(value, window);
                self.written += 1;
            }
            Some(steps) => {
                if let Some(step) = steps.take(window) {
                    self.writer.step(step);
                    self.written += 1;
                }
            }
        }
        true
    }
}

/// Until when an answer that begins now is read.
pub(super) fn until(deadline: Duration) -> Instant {
    Instant::now() + deadline
}

#[cfg(test)]
mod tests;
