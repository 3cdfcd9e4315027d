//! The way of numbered records into a fenced topic: batch by batch, and back to the log whenever something is unclear.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ovation_client::{Cluster, ProduceError, Producer, ProducerOptions};
use tracing::{debug, info, warn};

use crate::control::{RESYNC_KEY, Resync};
use crate::failure::Failure;
use crate::fence::{Delivery, Place, Reconciliation, Sent, Step, expected_by_fence, guesses};
use crate::restore::last_stored;
use crate::router::{Numbering, Outgoing};
use crate::status::Cause;
use crate::task::Task;

/// Bytes of one batch, about: large enough to be cheap, small enough for any fetch to hold many (docs/fluvio.md 1), and far from a
/// segment's size (19). A record that is larger goes alone.
const BATCH_BYTES: usize = 256 * 1024;
/// Between two looks at the log.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// A broker that is away for longer: the task starts again from its checkpoint, and the error shows.
const GIVE_UP: Duration = Duration::from_secs(30);
/// Time for an acknowledgement.
const ACKNOWLEDGEMENT_DEADLINE: Duration = Duration::from_secs(5);
/// Guesses at a fence's memory between two looks at the log: a log that moves ends the search.
const GUESSES_BETWEEN_LOOKS: usize = 64;

/// A key, or none, and a value.
type Pair = (Option<Vec<u8>>, Vec<u8>);

/// One partition of a topic that the task writes to.
pub(crate) struct Outlet {
    topic: String,
    producer: Producer,
}

/// What a delivery is about.
pub(crate) struct Errand<'a> {
    pub(crate) task: &'a Task,
    pub(crate) epoch: u64,
    pub(crate) numbering: &'a mut Numbering,
}

impl Outlet {
    pub(crate) fn open(cluster: &Cluster, topic: &str, partition: u32) -> Self {
        let options = ProducerOptions {
            partition: Some(partition),
            deadline: ACKNOWLEDGEMENT_DEADLINE,
            ..Default::default()
        };
        Self { topic: topic.to_owned(), producer: Producer::open(cluster.clone(), topic, options) }
    }

    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    /// Waits for the connection.
    pub(crate) async fn ready(&self) -> Result<(), Failure> {
        Ok(self.producer.ready(GIVE_UP).await?)
    }

    /// A producer for the same partition.
    pub(crate) fn producer(&self) -> Producer {
        self.producer.clone()
    }

    /// Sees to it that everything that is pending is stored, once, by this task or by another one. Ends early when it turns out
    /// that somebody else writes: what is left stays pending.
    ///
    /// The process may be paused at any await, for any time, while another one goes on. A batch that is sent late is refused
    /// by the fence, as it does not continue what is stored by then; what was read of the log is never used to decide
    /// what is stored without the fence's consent; and a memory of the fence that was set back late is no harm, because
    /// the log is read again before anything is sent on the strength of it.
    pub(crate) async fn deliver(
        &self,
        mut errand: Errand<'_>,
        trouble: impl Fn(&str),
    ) -> Result<Delivery, Failure> {
        let mut reconciliation = Reconciliation::default();
        let mut sent = Sent::new(errand.numbering.stored);
        let mut stuck_since: Option<Instant> = None;
        while !errand.numbering.pending.is_empty() {
            let (batch, last) = next_batch(&errand.numbering.pending);
            let (records, started) = (batch.len(), Instant::now());
            match self.producer.send_batch(batch).await {
                Ok(place) => {
                    errand.numbering.times.add(started.elapsed());
                    let (topic, seq) = (&self.topic, last + 1 - records as u64);
                    let offset = place.map(|place| place.offset);
                    debug!(topic, offset, records, seq, last_seq = last, "delivered");
                    errand.numbering.confirm(last);
                    sent.reach(last);
                    reconciliation = Reconciliation::default();
                    stuck_since = None;
                }
                Err(error @ ProduceError::TooLarge { .. }) => return Err(Failure::Stop(error.to_string())),
                Err(error) => {
                    trouble(&error.to_string());
                    if !matches!(error, ProduceError::Refused(_)) {
                        sent.reach(last);
                    }
                    let since = *stuck_since.get_or_insert_with(Instant::now);
                    let case = Case::new(&mut errand, &sent, error, last, since);
                    if self.reconcile(case, &mut reconciliation).await? == Delivery::Overtaken {
                        return Ok(Delivery::Overtaken);
                    }
                }
            }
        }
        Ok(Delivery::Stored)
    }

    /// Reads the log back until it is clear what to send next, or that somebody else writes.
    async fn reconcile(
        &self,
        mut case: Case<'_, '_>,
        reconciliation: &mut Reconciliation,
    ) -> Result<Delivery, Failure> {
        let epoch = case.errand.epoch;
        loop {
            if case.since.elapsed() > GIVE_UP {
                return Err(Failure::Restart(Cause::Broker, case.error.to_string()));
            }
            if case.expected.is_none() {
                // The broker is away, or ails: it is given a moment, and then its log is asked what arrived.
                tokio::time::sleep(LOOK_INTERVAL).await;
                if self.producer.ready(LOOK_INTERVAL).await.is_err() {
                    continue;
                }
            }
            let stored = match self.look(case.errand).await {
                Ok(stored) => stored,
                Err(stop @ Failure::Stop(_)) => return Err(stop),
                Err(Failure::Restart(..)) => {
                    tokio::time::sleep(LOOK_INTERVAL).await;
                    continue;
                }
            };
            if stored.epoch == epoch {
                case.errand.numbering.confirm(stored.seq);
                if case.sent.is_foreign(stored.seq) {
                    return Ok(Delivery::Overtaken);
                }
            }
            match reconciliation.step(epoch, stored, case.expected) {
                Step::Send if case.is_silent && reconciliation.is_stuck(stored) => {
                    case.is_silent = false;
                    match self.search_fence(&case, stored).await? {
                        Search::SetRight(expected) => case.expected = Some(expected),
                        Search::Over => {}
                        Search::InVain => {
                            return Err(Failure::Restart(Cause::Broker, case.error.to_string()));
                        }
                    }
                }
                Step::Send => return Ok(Delivery::Stored),
                Step::Wait => tokio::time::sleep(LOOK_INTERVAL).await,
                Step::Superseded(place) => return Err(superseded(&self.topic, place, epoch)),
                Step::Resync { from, to } => match self.resync(case.errand, from, to).await {
                    // Not on to sending, but back to the log: what was decided a moment ago may be old. Another engine may
                    // have set the fence right, stored what was missing, and so brought the fence's memory to the very
                    // number that this one compared with.
                    Ok(()) => case.expected = Some(Place { epoch: from.epoch, seq: to + 1 }),
                    Err(error) => {
                        warn!(topic = self.topic, %error, "the fence was not set right");
                        case.refused(error);
                    }
                },
            }
        }
    }

    /// What the log holds now.
    async fn look(&self, errand: &Errand<'_>) -> Result<Place, Failure> {
        last_stored(&errand.task.cluster, &errand.task.plan, &self.topic, errand.epoch).await
    }

    /// Sets a fence right that refuses what continues the log, and does not say what it remembers: a real cluster answers a
    /// refusal with a storage error and drops its text. A resync is compare-and-set, so a wrong guess changes nothing; and a
    /// log that moves means that the fence is with somebody else, who must not be set back.
    async fn search_fence(&self, case: &Case<'_, '_>, stored: Place) -> Result<Search, Failure> {
        let epoch = case.errand.epoch;
        let to = if stored.epoch == epoch { stored.seq } else { 0 };
        for (number, seq) in guesses(to, case.last_sent).enumerate() {
            if number % GUESSES_BETWEEN_LOOKS == 0 && self.look(case.errand).await? != stored {
                return Ok(Search::Over);
            }
            match self.resync(case.errand, Place { epoch, seq }, to).await {
                Ok(()) => return Ok(Search::SetRight(Place { epoch, seq: to + 1 })),
                Err(ProduceError::Refused(_)) => {}
                // The broker is away, which the next batch will tell.
                Err(_) => return Ok(Search::Over),
            }
        }
        Ok(Search::InVain)
    }

    async fn resync(&self, errand: &Errand<'_>, from: Place, to: u64) -> Result<(), ProduceError> {
        info!(
            topic = self.topic,
            epoch = from.epoch,
            from = from.seq,
            to,
            "setting a fence right that is not with its log"
        );
        let resync = Resync { stage: &errand.task.plan.stage, epoch: from.epoch, from: from.seq, to };
        let value = serde_json::to_vec(&resync).unwrap_or_default();
        self.producer.send_batch(vec![(Some(RESYNC_KEY.as_bytes().to_vec()), value)]).await.map(drop)
    }

    /// Stores records that nothing fences, in order; a batch that was not acknowledged is sent again, so a record may be
    /// stored twice.
    pub(crate) async fn append(&self, records: Vec<Pair>) -> Result<(), Failure> {
        let since = Instant::now();
        let mut rest = records.as_slice();
        while !rest.is_empty() {
            let count = batch_length(rest.iter().map(|(_, value)| value.len()));
            let (batch, after) = rest.split_at(count);
            match self.producer.send_batch(batch.to_vec()).await {
                Ok(_) => rest = after,
                Err(error @ (ProduceError::TooLarge { .. } | ProduceError::Refused(_))) => {
                    return Err(error.into());
                }
                Err(error) if since.elapsed() > GIVE_UP => return Err(error.into()),
                Err(_) => tokio::time::sleep(LOOK_INTERVAL).await,
            }
        }
        Ok(())
    }
}

/// What is to be cleared up after a batch was not acknowledged.
struct Case<'a, 'b> {
    errand: &'a mut Errand<'b>,
    sent: &'a Sent,
    error: ProduceError,
    /// What the fence expects, as far as it is known.
    expected: Option<Place>,
    /// The broker refused and did not say why.
    is_silent: bool,
    /// Last number of the batch that was not acknowledged.
    last_sent: u64,
    /// Since when nothing was stored.
    since: Instant,
}

impl<'a, 'b> Case<'a, 'b> {
    fn new(
        errand: &'a mut Errand<'b>,
        sent: &'a Sent,
        error: ProduceError,
        last_sent: u64,
        since: Instant,
    ) -> Self {
        let mut case =
            Self { errand, sent, error: error.clone(), expected: None, is_silent: false, last_sent, since };
        case.refused(error);
        case
    }

    fn refused(&mut self, error: ProduceError) {
        self.expected = match &error {
            ProduceError::Refused(text) => expected_by_fence(text),
            _ => None,
        };
        self.is_silent = self.expected.is_none() && matches!(error, ProduceError::Refused(_));
        self.error = error;
    }
}

/// How the search for a fence's memory ended.
enum Search {
    /// It was found, and set: this is what the fence expects now.
    SetRight(Place),
    /// The log moves, or the broker is away: there is nothing to be searched.
    Over,
    /// None of the guesses was right.
    InVain,
}

/// The end of a task whose epoch is over.
pub(crate) fn superseded(topic: &str, place: Place, epoch: u64) -> Failure {
    let why = format!(
        "failed to store in topic {topic:?}: epoch {} has begun, this task is of epoch {epoch}",
        place.epoch
    );
    Failure::Restart(Cause::Epoch, why)
}

/// The next batch, and the number of its last record.
fn next_batch(pending: &VecDeque<Outgoing>) -> (Vec<Pair>, u64) {
    let count = batch_length(pending.iter().map(|outgoing| outgoing.value.len()));
    let mut last = 0;
    let batch = pending
        .iter()
        .take(count)
        .map(|outgoing| {
            last = outgoing.seq;
            (outgoing.key.as_ref().map(|key| key.to_vec()), outgoing.value.to_vec())
        })
        .collect();
    (batch, last)
}

/// How many records of these sizes make a batch: as many as fit, and at least one.
fn batch_length(sizes: impl Iterator<Item = usize>) -> usize {
    let mut bytes = 0;
    let fitting = sizes.take_while(|size| {
        bytes += size;
        bytes <= BATCH_BYTES
    });
    fitting.count().max(1)
}

#[cfg(test)]
mod tests {
    use super::batch_length;

    #[test]
    fn a_batch_holds_what_fits_and_at_least_one_record() {
        assert_eq!(batch_length([100, 200].into_iter()), 2);
        assert_eq!(batch_length([300_000, 10].into_iter()), 1);
        assert_eq!(batch_length([200_000, 100_000, 10].into_iter()), 1);
    }
}
