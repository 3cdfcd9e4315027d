//! What everybody in the crowd shares: the target, the clock, the books, the numbers.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::book::Book;
use crate::measure::{Meter, lock};
use crate::scenario::Tap;
use crate::target::{Pool, Target};

/// Kinds of refusals that are told apart.
const REFUSALS_MAX: usize = 64;

/// A number that counts up.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Reactions, and the taps that they stand for.
    pub(crate) reactions: Count,
    pub(crate) taps: Count,
    pub(crate) acked_reactions: Count,
    pub(crate) acked_taps: Count,
    pub(crate) refused_taps: Count,
    pub(crate) unknown_taps: Count,
    /// Taps that were not sent, because too much was on its way.
    pub(crate) unsent_taps: Count,
    pub(crate) unseen: Count,
    pub(crate) watching: AtomicU64,
    pub(crate) deliveries: Count,
    pub(crate) delivered_bytes: Count,
    pub(crate) moments: Count,
    pub(crate) skipped: Count,
    pub(crate) reconnects: Count,
    pub(crate) failed_joins: Count,
}

/// Times of each kind.
#[derive(Debug)]
pub(crate) struct Meters {
    pub(crate) single: Meter,
    pub(crate) batch: Meter,
    pub(crate) socket: Meter,
    pub(crate) screen: Meter,
    pub(crate) join: Meter,
    /// How late the crowd itself was.
    pub(crate) lag: Meter,
}

/// What everybody shares.
pub(crate) struct Crowd {
    pub(crate) target: Target,
    pub(crate) pool: Pool,
    /// What ids begin with: of this process alone.
    ids_prefix: String,
    pub(crate) names: Vec<String>,
    pub(crate) books: Vec<Book>,
    pub(crate) counts: Counts,
    pub(crate) meters: Meters,
    pub(crate) start: Instant,
    /// Everybody goes home.
    pub(crate) over: CancellationToken,
    refusals: Mutex<BTreeMap<String, u64>>,
    /// What bad clients were answered.
    bad: Mutex<BTreeMap<String, u64>>,
    ids: AtomicU64,
}

#[derive(Serialize)]
struct Reaction<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#ref: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<&'a str>,
    id: &'a str,
    emoji: &'a str,
    count: u32,
    user: &'a str,
}

impl Crowd {
    pub(crate) fn new(target: Target, ids_prefix: String, names: Vec<String>, start: Instant) -> Self {
        let meter = Meter::new;
        Self {
            pool: Pool::new(target.clone()),
            target,
            ids_prefix,
            books: names.iter().map(|_| Book::default()).collect(),
            names,
            counts: Counts::default(),
            meters: Meters {
                single: meter(),
                batch: meter(),
                socket: meter(),
                screen: meter(),
                join: meter(),
                lag: meter(),
            },
            start,
            over: CancellationToken::new(),
            refusals: Mutex::default(),
            bad: Mutex::default(),
            ids: AtomicU64::new(0),
        }
    }

    /// Since the first tap was due; zero before.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// A reaction as JSON. A socket names what its answer is to refer to, and a batch the room.
    pub(crate) fn body(&self, tap: &Tap, reference: Option<&str>, with_room: bool) -> String {
        let id = format!("{}-{}", self.ids_prefix, self.ids.fetch_add(1, Ordering::Relaxed));
        let reaction = Reaction {
            r#type: reference.map(|_| "react"),
            r#ref: reference,
            room: with_room.then(|| self.names[tap.room].as_str()),
            id: &id,
            emoji: tap.emoji,
            count: tap.count,
            user: &format!("u{}", tap.user),
        };
        // Texts and numbers: nothing can fail.
        serde_json::to_string(&reaction).unwrap_or_default()
    }

    pub(crate) fn acked(&self, tap: &Tap) {
        self.counts.acked_reactions.add(1);
        self.counts.acked_taps.add(tap.count.into());
        self.books[tap.room].acked(tap.count.into());
    }

    pub(crate) fn refused(&self, tap: &Tap, why: String) {
        self.counts.refused_taps.add(tap.count.into());
        note(&self.refusals, why);
    }

    /// It may be stored, or not.
    pub(crate) fn unknown(&self, tap: &Tap, why: String) {
        self.counts.unknown_taps.add(tap.count.into());
        self.books[tap.room].unknown(tap.count.into());
        note(&self.refusals, why);
    }

    /// Something failed that is no tap.
    pub(crate) fn failed(&self, why: String) {
        note(&self.refusals, why);
    }

    /// What a bad client was answered.
    pub(crate) fn bad(&self, what: String) {
        note(&self.bad, what);
    }

    /// Refusals by what they say.
    pub(crate) fn refusals(&self) -> BTreeMap<String, u64> {
        lock(&self.refusals).clone()
    }

    /// Answers to bad clients, by what was sent.
    pub(crate) fn bad_answers(&self) -> BTreeMap<String, u64> {
        lock(&self.bad).clone()
    }
}

fn note(table: &Mutex<BTreeMap<String, u64>>, what: String) {
    let mut table = lock(table);
    let is_full = table.len() >= REFUSALS_MAX && !table.contains_key(&what);
    *table.entry(if is_full { "other".to_owned() } else { what }).or_default() += 1;
}
