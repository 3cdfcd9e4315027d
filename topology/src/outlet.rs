//! The way of numbered records into a fenced topic: batch by batch, and back to the log whenever something is unclear.

use std::time::{Duration, Instant};

use ovation_client::{Cluster, ProduceError, Producer, ProducerOptions};
use tracing::{info, warn};

use crate::control::{RESYNC_KEY, Resync};
use crate::failure::Failure;
use crate::fence::{Place, Reconciliation, Step, expected_by_fence};
use crate::plan::TaskPlan;
use crate::restore::last_stored;
use crate::router::{Numbering, Outgoing};

/// Bytes of one batch, about: large enough to be cheap, small enough for any fetch to hold many (docs/fluvio.md 1), and far from a
/// segment's size (19). A record that is larger goes alone.
const BATCH_BYTES: usize = 256 * 1024;
/// Between two looks at the log.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// A broker that is away for longer: the task starts again from its checkpoint, and the error shows.
const GIVE_UP: Duration = Duration::from_secs(30);
/// Time for an acknowledgement.
const ACKNOWLEDGEMENT_DEADLINE: Duration = Duration::from_secs(5);

/// How far above the log a fence's memory is looked for when its refusals say nothing: more numbers than one batch has.
const FENCE_SEARCH_MAX: u64 = 4_096;

/// A key, or none, and a value.
type Pair = (Option<Vec<u8>>, Vec<u8>);

/// One partition of a topic that the task writes to.
pub(crate) struct Outlet {
    topic: String,
    producer: Producer,
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

    /// Waits for the connection.
    pub(crate) async fn ready(&self) -> Result<(), Failure> {
        Ok(self.producer.ready(GIVE_UP).await?)
    }

    /// A producer for the same partition.
    pub(crate) fn producer(&self) -> Producer {
        self.producer.clone()
    }

    /// Sees to it that everything that is pending is stored, once, by this task or by another one.
    pub(crate) async fn deliver(
        &self,
        cluster: &Cluster,
        plan: &TaskPlan,
        epoch: u64,
        numbering: &mut Numbering,
        trouble: impl Fn(&str),
    ) -> Result<(), Failure> {
        let mut reconciliation = Reconciliation::default();
        let mut stuck_since: Option<Instant> = None;
        while !numbering.pending.is_empty() {
            let (batch, last) = next_batch(&numbering.pending);
            match self.producer.send_batch(batch).await {
                Ok(()) => {
                    numbering.confirm(last);
                    reconciliation = Reconciliation::default();
                    stuck_since = None;
                }
                Err(error @ ProduceError::TooLarge { .. }) => return Err(Failure::Stop(error.to_string())),
                Err(error) => {
                    trouble(&error.to_string());
                    let since = *stuck_since.get_or_insert_with(Instant::now);
                    let last_sent = last;
                    let mut case =
                        Case { cluster, plan, epoch, numbering: &mut *numbering, error, last_sent, since };
                    self.reconcile(&mut case, &mut reconciliation).await?;
                }
            }
        }
        Ok(())
    }

    /// Reads the log back until it is clear what to send next.
    async fn reconcile(
        &self,
        case: &mut Case<'_>,
        reconciliation: &mut Reconciliation,
    ) -> Result<(), Failure> {
        loop {
            if case.since.elapsed() > GIVE_UP {
                return Err(Failure::Restart(case.error.to_string()));
            }
            let expected = match &case.error {
                ProduceError::Refused(text) => expected_by_fence(text),
                _ => None,
            };
            if expected.is_none() {
                // The broker is away, or ails: it is given a moment, and then its log is asked what arrived.
                tokio::time::sleep(LOOK_INTERVAL).await;
                if self.producer.ready(LOOK_INTERVAL).await.is_err() {
                    continue;
                }
            }
            let stored = match last_stored(case.cluster, case.plan, &self.topic).await {
                Ok(stored) => stored,
                Err(stop @ Failure::Stop(_)) => return Err(stop),
                Err(Failure::Restart(_)) => {
                    tokio::time::sleep(LOOK_INTERVAL).await;
                    continue;
                }
            };
            if stored.epoch == case.epoch {
                case.numbering.confirm(stored.seq);
            }
            let is_silent = expected.is_none() && matches!(case.error, ProduceError::Refused(_));
            match reconciliation.step(case.epoch, stored, expected) {
                Step::Send if is_silent && reconciliation.is_stuck(stored) => {
                    return self.search_fence(case, stored).await;
                }
                Step::Send => return Ok(()),
                Step::Wait => tokio::time::sleep(LOOK_INTERVAL).await,
                Step::Superseded(place) => {
                    return Err(Failure::Restart(format!(
                        "failed to store in topic {:?}: epoch {} has begun, this task is of epoch {}",
                        self.topic, place.epoch, case.epoch
                    )));
                }
                Step::Resync { from, to } => match self.resync(&case.plan.stage, from, to).await {
                    Ok(()) => return Ok(()),
                    Err(error) => {
                        warn!(topic = self.topic, %error, "the fence was not set right");
                        case.error = error;
                    }
                },
            }
        }
    }

    /// Sets a fence right that refuses what continues the log, and does not say what it remembers: a real cluster answers a
    /// refusal with a storage error and drops its text. A resync is compare-and-set, so a wrong guess changes nothing.
    async fn search_fence(&self, case: &Case<'_>, stored: Place) -> Result<(), Failure> {
        let to = if stored.epoch == case.epoch { stored.seq } else { 0 };
        for seq in std::iter::once(case.last_sent).chain([0]).chain(to + 1..=to + FENCE_SEARCH_MAX) {
            match self.resync(&case.plan.stage, Place { epoch: case.epoch, seq }, to).await {
                Err(ProduceError::Refused(_)) => {}
                // Found; or the broker is away, which the next batch will tell.
                _ => return Ok(()),
            }
        }
        Err(Failure::Restart(case.error.to_string()))
    }

    async fn resync(&self, stage: &str, from: Place, to: u64) -> Result<(), ProduceError> {
        info!(
            topic = self.topic,
            epoch = from.epoch,
            from = from.seq,
            to,
            "setting a fence right that is not with its log"
        );
        let value =
            serde_json::to_vec(&Resync { stage, epoch: from.epoch, from: from.seq, to }).unwrap_or_default();
        self.producer.send_batch(vec![(Some(RESYNC_KEY.as_bytes().to_vec()), value)]).await
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
                Ok(()) => rest = after,
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
struct Case<'a> {
    cluster: &'a Cluster,
    plan: &'a TaskPlan,
    epoch: u64,
    numbering: &'a mut Numbering,
    error: ProduceError,
    /// Last number of the batch that was not acknowledged.
    last_sent: u64,
    /// Since when nothing was stored.
    since: Instant,
}

/// The next batch, and the number of its last record.
fn next_batch(pending: &[Outgoing]) -> (Vec<Pair>, u64) {
    let count = batch_length(pending.iter().map(|outgoing| outgoing.value.len()));
    let last = pending[..count].last().map_or(0, |outgoing| outgoing.seq);
    let batch = pending[..count]
        .iter()
        .map(|outgoing| (outgoing.key.as_ref().map(|key| key.to_vec()), outgoing.value.to_vec()))
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
