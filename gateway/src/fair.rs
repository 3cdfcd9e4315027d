//! Fair use: token buckets per user, address and room.
//!
//! A reaction costs one token of its user, one of its address and one of its room, however many taps it carries. They are
//! asked in that order and the first that is empty refuses, so whoever is refused as a user takes nothing from the
//! address and the room that others share. (Refused by the room, the user's and the address's tokens are gone: asking
//! again is not free.)
//!
//! The tables are bounded. A bucket that had to make place begins full again, so somebody who invents a user for each
//! reaction is not held by the users' buckets; the one address and the one room that he uses hold him.

mod header;
mod rate;
mod slots;

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use governor::RateLimiter;
use governor::clock::{Clock, QuantaClock};
use governor::middleware::StateInformationMiddleware;

pub(crate) use self::header::seconds;
pub use self::rate::{Rate, RateError};
use self::slots::Slots;
use crate::network::{self, Network};

/// How much anybody may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fair {
    /// Reactions of one user. 20 a second are more than a thumb makes, and clients send several taps as one.
    pub per_user: Option<Rate>,
    /// Reactions from one address, or from one /64 of IPv6: a stadium's network has thousands of people behind one.
    pub per_address: Option<Rate>,
    /// Reactions in one room, on this gateway: below what one partition takes, so that one room leaves something for the
    /// others in its partition.
    pub per_room: Option<Rate>,
    /// Buckets of each kind: 16 bytes each, taken as they are needed. Rounded to whole sets of 16, at least one. When a set is
    /// full, the bucket in it that is nearest to full goes.
    pub buckets_max: usize,
}

impl Default for Fair {
    fn default() -> Self {
        Self {
            per_user: Rate::per_second(20, 100).ok(),
            per_address: Rate::per_second(2_000, 10_000).ok(),
            per_room: Rate::per_second(20_000, 40_000).ok(),
            buckets_max: 100_000,
        }
    }
}

/// What a bucket is for. The order is that in which they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One user.
    User,
    /// One address.
    Address,
    /// One room.
    Room,
}

impl Kind {
    const ALL: [Self; 3] = [Self::User, Self::Address, Self::Room];

    /// The policy's name in the headers.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Address => "address",
            Self::Room => "room",
        }
    }

    fn bit(self) -> usize {
        1 << self as usize
    }
}

/// Who sends, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum User<'a> {
    /// Named by a token that was checked: one bucket wherever it sends from.
    Proven(&'a str),
    /// Named by the reaction alone. Anybody can write any name, so the bucket is that of the name at this address: nobody
    /// can empty somebody else's.
    Claimed(&'a str),
}

/// Whose tokens a reaction takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'a> {
    /// The user, if the reaction has one.
    pub(crate) user: Option<User<'a>>,
    /// The client's address, as [`Network::client`] gives it.
    pub(crate) address: IpAddr,
    /// The room.
    pub(crate) room: &'a str,
}

/// What is left after a reaction was let through, in the bucket that has least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    /// The bucket, or none when nothing was limited.
    pub(crate) which: Option<Kind>,
    /// Reactions that it would take at once.
    pub(crate) remaining: u32,
    /// Time until it is full again.
    pub(crate) reset: Duration,
    /// Bits of the kinds that were asked.
    asked: usize,
}

/// Why a reaction was not let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limited {
    /// The bucket that is empty.
    pub(crate) which: Kind,
    /// Its rate.
    pub(crate) rate: Rate,
    /// What was asked for.
    pub(crate) cost: u32,
    /// What the bucket would take now.
    pub(crate) remaining: u32,
    /// Time until it has enough; for more than it can ever have, until it is full.
    pub(crate) retry_after: Duration,
    /// Value of `RateLimit-Policy`.
    pub(crate) policy: HeaderValue,
}

impl Limited {
    /// Whether no waiting helps: the bucket never holds so much.
    pub(crate) fn is_too_much_at_once(&self) -> bool {
        self.cost > self.rate.burst().get()
    }
}

/// May it be sent?
pub(crate) type Verdict = Result<Left, Limited>;

/// The buckets of one kind.
struct Limiter<C: Clock> {
    kind: Kind,
    rate: Rate,
    buckets: RateLimiter<u64, Slots, C, StateInformationMiddleware>,
}

/// All buckets. A check takes no lock that is held for longer than a look at 16 entries.
pub(crate) struct Buckets<C: Clock = QuantaClock> {
    user: Option<Limiter<C>>,
    address: Option<Limiter<C>>,
    room: Option<Limiter<C>>,
    /// Keys are hashes with a secret, so nobody can look for names that share a bucket; that two do by accident is as likely as
    /// one in a billion.
    hasher: RandomState,
    network: Network,
    /// Values of `RateLimit-Policy`, by the bits of the kinds that were asked.
    policies: [HeaderValue; 1 << Kind::ALL.len()],
}

impl Buckets {
    /// Full buckets for everybody, with the bounds of `fair`; `network` says who has no limit by address.
    pub(crate) fn new(fair: &Fair, network: &Network) -> Self {
        Self::with_clock(fair, network, &QuantaClock::default())
    }
}

impl<C: Clock + Clone> Buckets<C> {
    fn with_clock(fair: &Fair, network: &Network, clock: &C) -> Self {
        let limiter = |kind, rate: Option<Rate>| {
            rate.map(|rate| Limiter {
                kind,
                rate,
                buckets: RateLimiter::new(rate.quota(), Slots::new(fair.buckets_max), clock.clone()),
            })
        };
        Self {
            user: limiter(Kind::User, fair.per_user),
            address: limiter(Kind::Address, fair.per_address),
            room: limiter(Kind::Room, fair.per_room),
            hasher: RandomState::new(),
            network: network.clone(),
            policies: std::array::from_fn(|asked| {
                let rates = Kind::ALL.into_iter().filter(|kind| asked & kind.bit() != 0);
                header::policy(rates.filter_map(|kind| Some((kind, fair.rate(kind)?))))
            }),
        }
    }

    /// Takes `cost` tokens (one for each reaction) from the buckets of `caller`.
    ///
    /// # Errors
    /// The first bucket that has not so many, of user, address and room in this order; those after it are not touched.
    pub(crate) fn check(&self, caller: &Caller<'_>, cost: u32) -> Verdict {
        let cost = NonZeroU32::new(cost).unwrap_or(NonZeroU32::MIN);
        let mut left = Left { which: None, remaining: u32::MAX, reset: Duration::ZERO, asked: 0 };
        if let (Some(limiter), Some(user)) = (&self.user, caller.user) {
            let key = match user {
                User::Proven(name) => self.hasher.hash_one((true, name)),
                User::Claimed(name) => self.hasher.hash_one((false, name, network::bucket(caller.address))),
            };
            self.take(limiter, key, cost, &mut left)?;
        }
        if let Some(limiter) = self.address.as_ref().filter(|_| !self.network.is_exempt(caller.address)) {
            self.take(limiter, self.hasher.hash_one(network::bucket(caller.address)), cost, &mut left)?;
        }
        if let Some(limiter) = &self.room {
            self.take(limiter, self.hasher.hash_one(caller.room), cost, &mut left)?;
        }
        Ok(left)
    }

    fn take(&self, limiter: &Limiter<C>, key: u64, cost: NonZeroU32, left: &mut Left) -> Result<(), Limited> {
        let Limiter { kind, rate, buckets } = limiter;
        left.asked |= kind.bit();
        let limited = |remaining, retry_after| Limited {
            which: *kind,
            rate: *rate,
            cost: cost.get(),
            remaining,
            retry_after,
            policy: self.policies[left.asked].clone(),
        };
        match buckets.check_key_n(&key, cost) {
            Ok(Ok(state)) => {
                let remaining = state.remaining_burst_capacity();
                if remaining < left.remaining {
                    left.which = Some(*kind);
                    left.remaining = remaining;
                    left.reset = rate.time_of(rate.burst().get().saturating_sub(remaining));
                }
                Ok(())
            }
            Ok(Err(not_until)) => {
                let wait = not_until.wait_time_from(buckets.clock().now());
                Err(limited(cost.get().saturating_sub(rate.tokens_in(wait)), wait))
            }
            Err(_) => Err(limited(0, rate.time_of(rate.burst().get()))),
        }
    }
}

impl<C: Clock> Buckets<C> {
    /// The headers of an answer to what was let through: `RateLimit-Policy`, and `RateLimit` of the tightest bucket.
    pub(crate) fn headers(&self, left: &Left) -> Option<[(HeaderName, HeaderValue); 2]> {
        let which = left.which?;
        let limit = header::limit(which, left.remaining, left.reset);
        Some([(header::POLICY, self.policies[left.asked].clone()), (header::LIMIT, limit)])
    }
}

impl Limited {
    /// The headers of the answer, `Retry-After` apart.
    pub(crate) fn headers(&self) -> [(HeaderName, HeaderValue); 2] {
        let limit = header::limit(self.which, self.remaining, self.retry_after);
        [(header::POLICY, self.policy.clone()), (header::LIMIT, limit)]
    }
}

impl Fair {
    fn rate(&self, kind: Kind) -> Option<Rate> {
        match kind {
            Kind::User => self.per_user,
            Kind::Address => self.per_address,
            Kind::Room => self.per_room,
        }
    }
}

#[cfg(test)]
mod tests;
