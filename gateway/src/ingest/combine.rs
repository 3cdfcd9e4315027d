//! Combines one room's taps: after that its event rate is gateways × emoji × 1/interval, whatever the size of the crowd.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use ovation_client::{ProduceError, Producer};
use ovation_reaction::Reaction;
use uuid::Uuid;

use super::Checked;
use super::check::now_ms;
use super::store::Taken;

/// Groups that are open at a time; what comes beyond them is sent alone. Each is a room and an emoji, for a few ms.
const GROUPS_MAX: usize = 10_000;

/// What everybody in a group is answered.
pub(super) type Answer = Shared<BoxFuture<'static, Result<Taken, ProduceError>>>;

/// Open groups. Only taps that have nothing of their own are combined: an id could not be retried, a user not be told.
#[derive(Debug)]
pub(super) struct Combiner {
    interval: Duration,
    count_max: u64,
    producer: Producer,
    groups: Arc<Mutex<Groups>>,
}

type Groups = HashMap<(String, &'static str), Group>;

#[derive(Debug)]
struct Group {
    /// Tells it from another one of the same room and emoji.
    id: Arc<str>,
    /// Taps so far. Grows under the lock of the groups alone.
    count: Arc<AtomicU64>,
    answer: Answer,
}

impl Combiner {
    pub(super) fn new(interval: Duration, count_max: u64, producer: Producer) -> Self {
        Self { interval, count_max, producer, groups: Arc::default() }
    }

    /// Adds a tap to its group; the answer comes when the broker has acknowledged the group. None where there is no room
    /// for another group.
    pub(super) fn join(&self, reaction: &Checked) -> Option<Answer> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (reaction.room.clone(), reaction.emoji);
        if let Some(group) = groups.get(&name)
            && group.count.load(Ordering::Relaxed) + reaction.count <= self.count_max
        {
            group.count.fetch_add(reaction.count, Ordering::Relaxed);
            return Some(group.answer.clone());
        }
        // A full group is not joined any more, and goes at its time.
        if groups.len() >= GROUPS_MAX {
            return None;
        }
        let id: Arc<str> = Uuid::now_v7().to_string().into();
        let count = Arc::new(AtomicU64::new(reaction.count));
        let answer = self.send(name.clone(), Arc::clone(&id), Arc::clone(&count)).boxed().shared();
        groups.insert(name, Group { id, count, answer: answer.clone() });
        // Goes on when whoever began it has hung up.
        tokio::spawn(answer.clone());
        Some(answer)
    }

    /// Waits for company, and sends the group as one reaction at the time of its first tap.
    fn send(
        &self,
        name: (String, &'static str),
        id: Arc<str>,
        count: Arc<AtomicU64>,
    ) -> impl Future<Output = Result<Taken, ProduceError>> + Send + use<> {
        let (interval, producer, groups) = (self.interval, self.producer.clone(), Arc::clone(&self.groups));
        let ts = now_ms();
        async move {
            tokio::time::sleep(interval).await;
            {
                let mut groups = groups.lock().unwrap_or_else(PoisonError::into_inner);
                if groups.get(&name).is_some_and(|group| group.id == id) {
                    groups.remove(&name);
                }
            }
            let (room, emoji) = name;
            let count = count.load(Ordering::Relaxed);
            let reaction =
                Reaction { id: (&*id).into(), room: room.as_str().into(), emoji, count, user: None, ts };
            let event = reaction.to_event();
            let place = producer.send(Some(room.into_bytes()), event).await?;
            Ok(Taken { id: id.to_string(), place, is_duplicate: false })
        }
    }
}
