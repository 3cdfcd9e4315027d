//! What a crowd is asked to do: when taps are due, in which rooms, by which way, and when watchers join.

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;

use crate::chance::poisson;
use crate::football::Match;

/// Taps are drawn for so long at once.
const SLOT: Duration = Duration::from_millis(10);
/// Taps of a batch are collected for so long: it is due at the end.
const BATCH_SLOTS: u64 = 2;
/// Reactions that a request of a batch has at most.
const BATCH_ITEMS_MAX: usize = 200;
/// Share of taps and watchers in the hot room of a match.
const HOT_SHARE: f64 = 0.6;
/// Who watches joins over this time before the first tap.
const RAMP_PER_WATCHER: Duration = Duration::from_millis(2);
/// In a stampede all join within this time of its middle.
const STAMPEDE: Duration = Duration::from_secs(3);
/// Taps that one reaction of an excited crowd stands for, on average, at most: a page adds up what a thumb does in 100 ms.
const TAPS_PER_REACTION_MAX: f64 = 10.0;
/// Rate of a match, as a share of its mean, up to which each tap is a reaction of its own.
const CALM: f64 = 0.6;
/// Taps a second of the match that the curve is drawn from: much, so that it is smooth.
const CURVE_MURMUR: f64 = 1_000.0;

const EMOJI: [&str; 8] = ["🔥", "❤️", "👏", "😂", "🎉", "😮", "👍", "💯"];

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// The same rate all the time, all rooms alike.
    Steady,
    /// A football match in fast motion: goals, half-time, chants; one hot room among many.
    Match,
    /// Everybody who watches joins within three seconds, in the middle of the run.
    Stampede,
    /// As steady, beside clients that send nonsense, too much, too slowly, or do not read.
    Flood,
}

impl Scenario {
    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Match => "match",
            Self::Stampede => "stampede",
            Self::Flood => "flood",
        }
    }
}

/// Shares of the ways in, of any sum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mix {
    /// One reaction a request.
    pub single: f64,
    /// Many reactions a request.
    pub batch: f64,
    /// Over the sockets of those who watch.
    pub socket: f64,
}

/// This process among those that make one crowd together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Which, from 1.
    pub number: u32,
    /// Of how many.
    pub of: u32,
}

/// A crowd, and what it does.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What happens.
    pub scenario: Scenario,
    /// Taps a second, on average over the run and over all parts.
    pub rate: f64,
    /// From the first tap to the last.
    pub duration: Duration,
    /// Rooms.
    pub rooms: usize,
    /// Watchers, of all parts.
    pub watchers: usize,
    /// Share of watchers that take server-sent events, and not a WebSocket.
    pub events_share: f64,
    /// Ways in.
    pub mix: Mix,
    /// Makes it what it is.
    pub seed: u64,
    /// This process's part of it.
    pub part: Part,
}

/// A reaction to be sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tap {
    /// Since the start.
    pub(crate) due: Duration,
    pub(crate) room: usize,
    pub(crate) emoji: &'static str,
    pub(crate) count: u32,
    pub(crate) user: u32,
}

/// Something to be sent, when it is due.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Arrival {
    Single(Tap),
    Socket(Tap),
    /// All due together.
    Batch(Duration, Vec<Tap>),
}

impl Arrival {
    pub(crate) fn due(&self) -> Duration {
        match self {
            Self::Single(tap) | Self::Socket(tap) => tap.due,
            Self::Batch(due, _) => *due,
        }
    }

    pub(crate) fn taps(&self) -> &[Tap] {
        match self {
            Self::Single(tap) | Self::Socket(tap) => std::slice::from_ref(tap),
            Self::Batch(_, taps) => taps,
        }
    }
}

/// Somebody who watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Join {
    /// Since the start of the ramp, or of the run if `during` it.
    pub(crate) at: Duration,
    /// Whether it is while taps come, and not before.
    pub(crate) during: bool,
    pub(crate) room: usize,
    /// By server-sent events.
    pub(crate) events: bool,
}

impl Plan {
    /// Taps a second of this part.
    fn own_rate(&self) -> f64 {
        self.rate / f64::from(self.part.of)
    }

    fn is_hot(&self, room: usize) -> bool {
        self.scenario == Scenario::Match && room == 0
    }

    /// Which room, from a number of 0 to 1.
    fn room_at(&self, place: f64) -> usize {
        let (first, place, share) = match self.scenario {
            Scenario::Match if self.rooms > 1 && place < HOT_SHARE => return 0,
            Scenario::Match if self.rooms > 1 => (1, place - HOT_SHARE, 1.0 - HOT_SHARE),
            _ => (0, place, 1.0),
        };
        let others = self.rooms - first;
        first + ((place / share * others as f64) as usize).min(others - 1)
    }

    /// Those of this part who watch, in order of time.
    pub(crate) fn joins(&self) -> Vec<Join> {
        let mut rng = Rng::with_seed(self.seed.wrapping_mul(31).wrapping_add(u64::from(self.part.number)));
        let (of, number) = (self.part.of as usize, self.part.number as usize);
        let own = self.watchers / of + usize::from(number <= self.watchers % of);
        let mut joins: Vec<Join> = (0..own)
            .map(|index| {
                let is_stampede = self.scenario == Scenario::Stampede;
                let at = if is_stampede {
                    self.duration / 2 + STAMPEDE.min(self.duration / 4).mul_f64(rng.f64())
                } else {
                    RAMP_PER_WATCHER * index as u32
                };
                // Even, so that a small crowd has its shares too.
                let room = self.room_at((index as f64 + 0.5) / own as f64);
                Join { at, during: is_stampede, room, events: rng.f64() < self.events_share }
            })
            .collect();
        joins.sort_by_key(|join| join.at);
        joins
    }

    /// What this part sends, in order of time: fixed by the seed, whatever the server does.
    pub(crate) fn arrivals(&self) -> Arrivals<'_> {
        let curve = match self.scenario {
            Scenario::Match => Curve::of_match(self.seed),
            _ => Curve::flat(),
        };
        let seed = self.seed.wrapping_mul(0x9E37_79B9).wrapping_add(u64::from(self.part.number));
        Arrivals {
            plan: self,
            curve,
            rng: Rng::with_seed(seed),
            slot: 0,
            ready: VecDeque::new(),
            batch: Vec::new(),
        }
    }

    /// Those who react: enough that none of them taps too fast.
    fn population(&self) -> u32 {
        const SECONDS_BETWEEN: f64 = 5.0;
        ((self.rate * SECONDS_BETWEEN) as u32).clamp(100, 1_000_000)
    }
}

/// What a step of a curve has: the rate as a share of the mean, and the emoji with the share of those up to it.
struct Step {
    level: f64,
    emoji: Vec<(&'static str, f64)>,
}

struct Curve(Vec<Step>);

impl Curve {
    fn flat() -> Self {
        let each = EMOJI.len() as f64;
        let emoji = EMOJI.iter().zip(1..).map(|(emoji, upto)| (*emoji, f64::from(upto) / each)).collect();
        Self(vec![Step { level: 1.0, emoji }])
    }

    fn of_match(seed: u64) -> Self {
        let steps = Match { seed, murmur: CURVE_MURMUR }.steps();
        let whole: u64 = steps.iter().flatten().map(|(_, taps)| taps).sum();
        let mean = whole as f64 / steps.len() as f64;
        let step = |counts: Vec<(&'static str, u64)>| {
            let all: u64 = counts.iter().map(|(_, taps)| taps).sum();
            let mut upto = 0;
            let emoji = counts.into_iter().map(|(emoji, taps)| {
                upto += taps;
                (emoji, upto as f64 / all.max(1) as f64)
            });
            Step { level: all as f64 / mean, emoji: emoji.collect() }
        };
        Self(steps.into_iter().map(step).collect())
    }

    /// The step at a place of 0 to 1.
    fn at(&self, place: f64) -> &Step {
        &self.0[((place * self.0.len() as f64) as usize).min(self.0.len() - 1)]
    }
}

impl Step {
    fn emoji(&self, place: f64) -> &'static str {
        self.emoji
            .iter()
            .find(|(_, upto)| place < *upto)
            .or(self.emoji.last())
            .map_or(EMOJI[0], |(one, _)| one)
    }

    /// Taps that a reaction stands for, on average.
    fn taps_per_reaction(&self) -> f64 {
        (self.level / CALM).clamp(1.0, TAPS_PER_REACTION_MAX)
    }
}

/// What is sent, one after the other.
pub(crate) struct Arrivals<'a> {
    plan: &'a Plan,
    curve: Curve,
    rng: Rng,
    slot: u64,
    ready: VecDeque<Arrival>,
    /// Taps of a batch that is not due yet.
    batch: Vec<Tap>,
}

impl Arrivals<'_> {
    /// Draws the taps of the next slot.
    fn draw(&mut self) {
        let plan = self.plan;
        let began = SLOT * u32::try_from(self.slot).unwrap_or(u32::MAX);
        let step = self.curve.at(began.as_secs_f64() / plan.duration.as_secs_f64());
        let each = if plan.scenario == Scenario::Match { step.taps_per_reaction() } else { 1.0 };
        let mean = plan.own_rate() * step.level * SLOT.as_secs_f64() / each;
        let ways = plan.mix.single + plan.mix.batch + plan.mix.socket;
        for _ in 0..poisson(&mut self.rng, mean) {
            let tap = Tap {
                due: began + SLOT.mul_f64(self.rng.f64()),
                room: plan.room_at(self.rng.f64()),
                emoji: step.emoji(self.rng.f64()),
                count: 1 + poisson(&mut self.rng, each - 1.0).min(99) as u32,
                user: self.rng.u32(0..plan.population()),
            };
            let way = self.rng.f64() * ways;
            if way < plan.mix.single {
                self.ready.push_back(Arrival::Single(tap));
            } else if way < plan.mix.single + plan.mix.socket {
                self.ready.push_back(Arrival::Socket(tap));
            } else {
                self.batch.push(tap);
            }
        }
        self.slot += 1;
        if self.slot.is_multiple_of(BATCH_SLOTS) {
            self.end_batch();
        }
        self.ready.make_contiguous().sort_by_key(Arrival::due);
    }

    fn end_batch(&mut self) {
        let due = SLOT * u32::try_from(self.slot).unwrap_or(u32::MAX);
        let taps = std::mem::take(&mut self.batch);
        for taps in taps.chunks(BATCH_ITEMS_MAX) {
            self.ready.push_back(Arrival::Batch(due, taps.to_vec()));
        }
    }
}

impl Iterator for Arrivals<'_> {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        while self.ready.is_empty() {
            if SLOT * u32::try_from(self.slot).unwrap_or(u32::MAX) >= self.plan.duration {
                self.end_batch();
                return self.ready.pop_front();
            }
            self.draw();
        }
        self.ready.pop_front()
    }
}

/// Name of a room of a run.
pub(crate) fn room_name(plan: &Plan, run: &str, room: usize) -> String {
    let kind = if plan.is_hot(room) { "hot" } else { "room" };
    format!("load-{run}-{kind}-{room}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(scenario: Scenario) -> Plan {
        Plan {
            scenario,
            rate: 2_000.0,
            duration: Duration::from_secs(20),
            rooms: 10,
            watchers: 100,
            events_share: 0.2,
            mix: Mix { single: 0.1, batch: 0.6, socket: 0.3 },
            seed: 7,
            part: Part { number: 1, of: 1 },
        }
    }

    fn taps(arrivals: &[Arrival]) -> Vec<Tap> {
        arrivals.iter().flat_map(Arrival::taps).copied().collect()
    }

    #[test]
    fn arrivals_are_fixed_by_the_seed_in_order_and_as_many_as_asked_for() {
        for scenario in [Scenario::Steady, Scenario::Match] {
            let plan = plan(scenario);
            let arrivals: Vec<Arrival> = plan.arrivals().collect();
            assert_eq!(arrivals, plan.arrivals().collect::<Vec<_>>());
            assert!(arrivals.windows(2).all(|two| two[0].due() <= two[1].due()), "{scenario:?}");
            assert!(arrivals.iter().all(|arrival| arrival.due() <= plan.duration));
            let sum: u32 = taps(&arrivals).iter().map(|tap| tap.count).sum();
            assert!((f64::from(sum) / 40_000.0 - 1.0).abs() < 0.03, "{scenario:?}: {sum}");
            let other = Plan { seed: 8, ..plan.clone() };
            assert_ne!(arrivals, other.arrivals().collect::<Vec<_>>());
        }
    }

    #[test]
    fn ways_and_rooms_have_their_shares() {
        let plan = plan(Scenario::Match);
        let arrivals: Vec<Arrival> = plan.arrivals().collect();
        let all = taps(&arrivals).len() as f64;
        let singles = arrivals.iter().filter(|one| matches!(one, Arrival::Single(_))).count() as f64;
        let sockets = arrivals.iter().filter(|one| matches!(one, Arrival::Socket(_))).count() as f64;
        assert!((singles / all - 0.1).abs() < 0.01 && (sockets / all - 0.3).abs() < 0.01);
        let hot = taps(&arrivals).iter().filter(|tap| tap.room == 0).count() as f64;
        assert!((hot / all - HOT_SHARE).abs() < 0.02, "{hot} of {all}");
        assert!(taps(&arrivals).iter().any(|tap| tap.count > 3), "nobody cheers");
        let joins = plan.joins();
        assert_eq!(joins.iter().filter(|join| join.room == 0).count(), 60);
    }

    #[test]
    fn parts_make_the_whole_crowd() {
        let whole = plan(Scenario::Stampede);
        let parts = (1..=3).map(|number| Plan { part: Part { number, of: 3 }, ..whole.clone() });
        let (mut watchers, mut sum, mut sets) = (0, 0, Vec::new());
        for part in parts {
            watchers += part.joins().len();
            assert!(part.joins().iter().all(|join| join.during && join.at < part.duration));
            let arrivals: Vec<Arrival> = part.arrivals().collect();
            sum += taps(&arrivals).len();
            sets.push(arrivals);
        }
        assert_eq!(watchers, 100);
        assert!((sum as f64 / 40_000.0 - 1.0).abs() < 0.03, "{sum}");
        assert_ne!(sets[0], sets[1]);
    }
}
