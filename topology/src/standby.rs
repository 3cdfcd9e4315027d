//! A task that stands by: another engine stores the same numbers, and this one watches that it does.

use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::stream::{self, Stream, StreamExt};
use ovation_client::{Cluster, Error as ClientError, FollowOptions, From, Record, follow};

use crate::control::{Numbered, Progress};
use crate::fence::Place;
use crate::plan::TaskPlan;
use crate::restore::OUTLET_TAIL;

/// How long nothing may happen that ought to before a standby takes over. A live engine stores what its chain returns within
/// milliseconds, and ticks at least every quarter of a second while anything waits.
pub(crate) const TAKEOVER: Duration = Duration::from_millis(700);

/// Which outlet a number was stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutletKind {
    Sink,
    DeadLetter,
}

type Stored = Pin<Box<dyn Stream<Item = (OutletKind, Result<Record, ClientError>)> + Send>>;

/// Follows the outlets, and knows since when they have stood still.
pub(crate) struct Standby {
    stage: String,
    stored: Stored,
    pub(crate) patience: Patience,
}

impl Standby {
    pub(crate) fn open(cluster: &Cluster, plan: &TaskPlan) -> Self {
        let one = |topic: &str, kind: OutletKind| {
            // Fenced topics may have holes (docs/fluvio.md 23); numbers tell.
            let options = FollowOptions { contiguous: false, ..FollowOptions::default() };
            let from = From::Tail(OUTLET_TAIL);
            follow(cluster.clone(), topic, plan.partition, from, options).map(move |record| (kind, record))
        };
        let sink = one(&plan.sink, OutletKind::Sink);
        let stored: Stored = match &plan.dead_letter {
            Some(topic) => Box::pin(stream::select(sink, one(topic, OutletKind::DeadLetter))),
            None => Box::pin(sink),
        };
        Self { stage: plan.stage.clone(), stored, patience: Patience::new(Instant::now(), plan.ticks) }
    }

    /// The next number that is stored, by whomever; none where the broker could not be read, or a record is not the stage's.
    /// Safe to be dropped and called again.
    pub(crate) async fn next(&mut self) -> Option<(OutletKind, Place)> {
        let (kind, record) = self.stored.next().await?;
        match record {
            Ok(record) => {
                let numbered: Numbered = serde_json::from_slice(&record.value).ok()?;
                let place = Place { epoch: numbered.epoch, seq: numbered.seq };
                (numbered.stage == self.stage).then_some((kind, place))
            }
            Err(_) => {
                // A broker that is away is away for the other engine as well.
                self.patience.moved(Instant::now());
                None
            }
        }
    }
}

/// Decides when to take over. No I/O.
#[derive(Debug)]
pub(crate) struct Patience {
    /// Whether the other engine ticks while anything waits; on some sources nobody can.
    ticks: bool,
    /// Since when the outlets have stood still.
    outlets: Instant,
    /// Since when something has been held back.
    held: Option<Instant>,
}

impl Patience {
    pub(crate) fn new(now: Instant, ticks: bool) -> Self {
        Self { ticks, outlets: now, held: None }
    }

    /// Something was stored, or it is not to be known.
    pub(crate) fn moved(&mut self, now: Instant) {
        self.outlets = now;
    }

    /// Whether anything is held back now.
    pub(crate) fn hold(&mut self, is_holding: bool, now: Instant) {
        self.held = if is_holding { self.held.or(Some(now)) } else { None };
    }

    /// Whether the other engine ought to have done something for so long that it must be gone: it does not store what is
    /// held back here, or it does not tick although windows wait for time. `answered` is when the chain last took a record
    /// of the source.
    pub(crate) fn is_over(&self, progress: Option<&Progress>, answered: Instant, now: Instant) -> bool {
        let still = |since: Instant| now.saturating_duration_since(since.max(self.outlets)) >= TAKEOVER;
        let waits = self.ticks && progress.is_some_and(Progress::waits);
        self.held.is_some_and(still) || (waits && still(answered))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::StateSize;

    fn after(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    fn progress(open: u64) -> Progress {
        Progress {
            first: Some(0),
            next: Some(1),
            watermark: None,
            stream_time: None,
            dirty: false,
            open,
            backlog: 0,
            seq: 0,
            reject_seq: 0,
            state: StateSize::default(),
        }
    }

    #[test]
    fn an_outlet_that_moves_is_left_to_the_other_engine() {
        let start = Instant::now();
        let mut patience = Patience::new(start, true);
        patience.hold(true, start);
        for ms in (0..5_000).step_by(600) {
            assert!(!patience.is_over(None, start, after(start, ms)));
            patience.moved(after(start, ms));
        }
        assert!(patience.is_over(None, start, after(start, 4_800 + 700)));
    }

    #[test]
    fn results_are_given_time_from_when_they_came() {
        let start = Instant::now();
        let mut patience = Patience::new(start, true);
        assert!(!patience.is_over(None, start, after(start, 60_000)), "nothing is held back");
        patience.hold(true, after(start, 60_000));
        assert!(!patience.is_over(None, start, after(start, 60_699)));
        assert!(patience.is_over(None, start, after(start, 60_700)));
        patience.hold(false, after(start, 60_650));
        assert!(!patience.is_over(None, start, after(start, 60_700)), "they were stored");
    }

    #[test]
    fn a_source_without_ticks_has_nobody_who_ticks() {
        let start = Instant::now();
        let patience = Patience::new(start, true);
        let answered = after(start, 10_000);
        assert!(!patience.is_over(Some(&progress(2)), answered, after(start, 10_699)));
        assert!(patience.is_over(Some(&progress(2)), answered, after(start, 10_700)));
        assert!(!patience.is_over(Some(&progress(0)), answered, after(start, 99_000)), "nothing waits");
        let mut patience = Patience::new(start, false);
        assert!(
            !patience.is_over(Some(&progress(2)), answered, after(start, 99_000)),
            "nobody can tick there"
        );
        patience.hold(true, after(start, 99_000));
        assert!(
            patience.is_over(Some(&progress(2)), answered, after(start, 99_700)),
            "results are missed all the same"
        );
    }
}
