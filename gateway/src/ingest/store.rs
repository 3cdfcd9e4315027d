//! Where checked reactions go: the broker, unless they are known to be there.

use std::time::{Duration, Instant};

use ovation_client::{ProduceError, Producer, ProducerOptions, Stored};
use tracing::{Span, debug, debug_span};

use super::combine::Combiner;
use super::recent::Recent;
use super::{Checked, Ingest};
use crate::App;
use crate::config::Config;
use crate::metrics::Way;
use crate::problem::Problem;

/// A reaction that the broker has.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    /// Its id; of a combined one that of the whole.
    pub(crate) id: String,
    /// Where it is.
    pub(crate) place: Stored,
    /// Whether it was there before this request.
    pub(crate) is_duplicate: bool,
}

/// The way to the broker.
#[derive(Debug)]
pub(crate) struct Store {
    producer: Producer,
    recent: Recent,
    combiner: Option<Combiner>,
}

impl Store {
    /// Starts to connect in the background.
    pub(crate) fn open(config: &Config) -> Self {
        let ingest: &Ingest = &config.ingest;
        let options = ProducerOptions {
            linger: ingest.linger,
            deadline: ingest.produce_deadline,
            in_flight: ingest.in_flight_max,
            ..ProducerOptions::default()
        };
        let producer = Producer::open(config.cluster.clone(), &config.events_topic, options);
        Self {
            recent: Recent::new(ingest.recent_ids_max, ingest.dedup_horizon),
            combiner: ingest
                .combine
                .map(|interval| Combiner::new(interval, ingest.rules.limits.count_max, producer.clone())),
            producer,
        }
    }

    /// Whether a reaction would be sent on now.
    pub(crate) fn is_ready(&self) -> bool {
        self.producer.is_ready()
    }

    /// Waits until a reaction would be sent on, at most for `deadline`.
    pub(crate) async fn ready(&self, deadline: Duration) -> Result<(), ProduceError> {
        self.producer.ready(deadline).await
    }

    /// Ids that are known again.
    pub(crate) fn recent_ids(&self) -> usize {
        self.recent.len()
    }

    /// Stores a reaction; returns when the broker has acknowledged it, or at the deadline.
    pub(crate) async fn take(&self, reaction: Checked) -> Result<Taken, Problem> {
        if let Some(known) = self.known(&reaction) {
            return Ok(known);
        }
        if let Some(combiner) = &self.combiner
            && reaction.is_plain
            && let Some(group) = combiner.join(&reaction)
        {
            let span = span_of(&reaction);
            let taken = group.await;
            if let Ok(Taken { id, place: Stored { partition, offset }, .. }) = &taken {
                span.in_scope(|| debug!(combined = id, partition, offset, "stored"));
            }
            return taken.map_err(|error| Problem::produce(&error, None));
        }
        let (sent, key, event) = Sent::split(reaction);
        let outcome = self.producer.send(Some(key), event).await;
        self.answer(sent, outcome)
    }

    /// Stores many reactions, and answers each.
    pub(crate) async fn take_all(&self, reactions: Vec<Checked>) -> Vec<Result<Taken, Problem>> {
        let mut answers: Vec<Option<Result<Taken, Problem>>> = Vec::with_capacity(reactions.len());
        let mut sent = Vec::with_capacity(reactions.len());
        let mut records = Vec::with_capacity(reactions.len());
        for reaction in reactions {
            let known = self.known(&reaction);
            if known.is_none() {
                let (own, key, event) = Sent::split(reaction);
                sent.push((answers.len(), own));
                records.push((Some(key), event));
            }
            answers.push(known.map(Ok));
        }
        for ((place, sent), outcome) in sent.into_iter().zip(self.producer.send_all(records).await) {
            let answer = self.answer(sent, outcome);
            if let Some(slot) = answers.get_mut(place) {
                *slot = Some(answer);
            }
        }
        // Each one without a place was sent, and so has its answer.
        answers.into_iter().flatten().collect()
    }

    fn known(&self, reaction: &Checked) -> Option<Taken> {
        let place = reaction.is_named.then(|| self.recent.find(&reaction.room, &reaction.id))??;
        let Stored { partition, offset } = place;
        debug!(id = reaction.id, room = reaction.room, partition, offset, "stored before");
        Some(Taken { id: reaction.id.clone(), place, is_duplicate: true })
    }

    fn answer(&self, sent: Sent, outcome: Result<Stored, ProduceError>) -> Result<Taken, Problem> {
        match outcome {
            Ok(place) => {
                if let Some(room) = &sent.named_in {
                    self.recent.add(room, &sent.id, place);
                }
                let Stored { partition, offset } = place;
                sent.span.in_scope(|| debug!(partition, offset, "stored"));
                Ok(Taken { id: sent.id, place, is_duplicate: false })
            }
            Err(error) => {
                sent.span.in_scope(|| debug!(%error, "not stored"));
                Err(Problem::produce(&error, Some(&sent.id)))
            }
        }
    }
}

/// What is kept of a reaction on its way.
struct Sent {
    id: String,
    /// Its room, if the client named it.
    named_in: Option<String>,
    /// Ties what is logged of it together; nothing unless somebody looks.
    span: Span,
}

/// The span of a reaction that goes to the broker.
fn span_of(reaction: &Checked) -> Span {
    let span = debug_span!("reaction", id = reaction.id, room = reaction.room);
    span.in_scope(|| debug!(count = reaction.count, "accepted"));
    span
}

impl Sent {
    /// What is kept, and the key and the value that go.
    fn split(reaction: Checked) -> (Self, Vec<u8>, Vec<u8>) {
        let span = span_of(&reaction);
        let Checked { id, is_named, room, event, .. } = reaction;
        let named_in = is_named.then(|| room.clone());
        (Self { id, named_in, span }, room.into_bytes(), event)
    }
}

impl App {
    /// Stores a reaction that was checked, and counts what became of it.
    pub(crate) async fn take(&self, way: Way, checked: Result<Checked, Problem>) -> Result<Taken, Problem> {
        let taps = checked.as_ref().map_or(0, |reaction| reaction.count);
        let started = Instant::now();
        let outcome = match checked {
            Ok(reaction) => self.store.take(reaction).await,
            Err(problem) => Err(problem),
        };
        self.metrics.reaction(way, taps, &outcome);
        if matches!(&outcome, Ok(taken) if !taken.is_duplicate) {
            self.metrics.acknowledged(started.elapsed());
        }
        outcome
    }
}
