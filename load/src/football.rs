//! What the crowd of a football match does: it murmurs, sings, and answers to what happens.

use fastrand::Rng;

use crate::chance::{normal, poisson};
use crate::trace::{Label, Taps, Trace};

/// Seconds of a trace's step.
pub const STEP_S: u64 = 2;

const MINUTE: u64 = 60;
/// The match begins after so long.
const KICK_OFF: u64 = 5 * MINUTE;
const HALF: u64 = 46 * MINUTE;
const BREAK: u64 = 15 * MINUTE;
const AFTERWARDS: u64 = 6 * MINUTE;
/// Two bursts begin at least so far apart: what lies closer is one, to the crowd too.
const APART: u64 = 150;
/// How the murmur wanders: how much of its mood a step leaves, and how far it strays (in the logarithm).
const WANDER_KEEPS: f64 = 0.97;
const WANDER_SPREAD: f64 = 0.25;
/// A burst is over when this share of it is left.
const FADED: f64 = 0.1;

/// A match before a crowd.
#[derive(Debug, Clone, Copy)]
pub struct Match {
    /// Makes it what it is.
    pub seed: u64,
    /// Taps per second while nothing happens.
    pub murmur: f64,
}

/// Something that the crowd answers to.
struct Event {
    kind: &'static str,
    start: u64,
    /// How many times the murmur comes on top of it.
    height: f64,
    /// Seconds that it takes to rise.
    rise: f64,
    /// Seconds until a third is left; for a chant, how long it lasts.
    fade: f64,
    burst: bool,
    emoji: &'static [(&'static str, f64)],
}

const GOAL: &[(&str, f64)] = &[("⚽", 5.0), ("🔥", 2.0), ("🎉", 2.0), ("👏", 1.0)];
const MISS: &[(&str, f64)] = &[("😮", 4.0), ("😭", 1.0), ("👏", 1.0)];
const CARD: &[(&str, f64)] = &[("😡", 4.0), ("👎", 1.0), ("😮", 1.0)];
const SAVE: &[(&str, f64)] = &[("👏", 3.0), ("🙌", 2.0), ("🔥", 1.0)];
const WHISTLE: &[(&str, f64)] = &[("👏", 4.0), ("🎉", 2.0), ("❤️", 1.0)];
const MURMUR: &[(&str, f64)] =
    &[("👏", 3.0), ("❤️", 2.0), ("😂", 2.0), ("🔥", 1.0), ("😮", 1.0), ("👍", 1.0)];

impl Event {
    /// What comes on top of the murmur at this time, in murmurs.
    fn level(&self, second: u64) -> f64 {
        let Some(since) = second.checked_sub(self.start).map(|since| since as f64) else { return 0.0 };
        if self.burst {
            self.height * (since / self.rise).min(1.0) * (-(since - self.rise).max(0.0) / self.fade).exp()
        } else if since < self.fade {
            // It swells and ebbs.
            self.height * (std::f64::consts::PI * since / self.fade).sin()
        } else {
            0.0
        }
    }

    fn label(&self) -> Label {
        let lasts = if self.burst { self.rise - self.fade * FADED.ln() } else { self.fade };
        Label {
            kind: self.kind.to_owned(),
            start: self.start,
            end: self.start + lasts.round() as u64,
            burst: self.burst,
        }
    }
}

impl Match {
    /// Seconds from the first murmur to the last.
    #[must_use]
    pub fn seconds() -> u64 {
        KICK_OFF + 2 * HALF + BREAK + AFTERWARDS
    }

    /// What its crowd did.
    #[must_use]
    pub fn trace(&self) -> Trace {
        let (steps, events) = self.play();
        let mut taps = Vec::new();
        for (counts, second) in steps.into_iter().zip((0..).step_by(STEP_S as usize)) {
            let counted = counts.into_iter().filter(|(_, count)| *count > 0);
            taps.extend(counted.map(|(emoji, taps)| Taps { second, emoji: emoji.to_owned(), taps }));
        }
        let mut labels: Vec<Label> = events.iter().map(Event::label).collect();
        labels.sort_by_key(|label| label.start);
        Trace { taps, labels }
    }

    /// Taps by emoji, step by step.
    pub(crate) fn steps(&self) -> Vec<Counts> {
        self.play().0
    }

    fn play(&self) -> (Vec<Counts>, Vec<Event>) {
        let mut rng = Rng::with_seed(self.seed);
        let events = events(&mut rng);
        let (mut steps, mut wander) = (Vec::new(), 0.0);
        for second in (0..Self::seconds()).step_by(STEP_S as usize) {
            let stray = (1.0 - WANDER_KEEPS * WANDER_KEEPS).sqrt() * WANDER_SPREAD;
            wander = WANDER_KEEPS * wander + stray * normal(&mut rng);
            let murmur = self.murmur * busy(second) * f64::exp(wander);
            let mut step = Step { rng: &mut rng, counts: Vec::new() };
            step.add(murmur * STEP_S as f64, MURMUR);
            for event in &events {
                step.add(self.murmur * event.level(second) * STEP_S as f64, event.emoji);
            }
            let mut counts = step.counts;
            counts.sort_unstable();
            steps.push(counts);
        }
        (steps, events)
    }
}

/// Taps of a step, by emoji.
type Counts = Vec<(&'static str, u64)>;

struct Step<'a> {
    rng: &'a mut Rng,
    counts: Counts,
}

impl Step<'_> {
    /// Adds taps, `mean` on average, shared out by weight.
    fn add(&mut self, mean: f64, emoji: &[(&'static str, f64)]) {
        let whole: f64 = emoji.iter().map(|(_, weight)| weight).sum();
        for (emoji, weight) in emoji {
            let taps = poisson(self.rng, mean * weight / whole);
            match self.counts.iter_mut().find(|(known, _)| known == emoji) {
                Some((_, count)) => *count += taps,
                None => self.counts.push((emoji, taps)),
            }
        }
    }
}

/// How much of the crowd is there and awake.
fn busy(second: u64) -> f64 {
    let (pause, second_half) = (KICK_OFF + HALF, KICK_OFF + HALF + BREAK);
    match second {
        _ if second < KICK_OFF => 0.6,
        _ if (pause..second_half).contains(&second) => 0.4,
        _ if second >= second_half + HALF => 0.7,
        _ => 1.0,
    }
}

fn events(rng: &mut Rng) -> Vec<Event> {
    let halves = [KICK_OFF, KICK_OFF + HALF + BREAK];
    let mut events: Vec<Event> = Vec::new();
    let whistle = |kind, start, height, fade| Event {
        kind,
        start,
        height,
        rise: 4.0,
        fade,
        burst: true,
        emoji: WHISTLE,
    };
    events.push(whistle("kick-off", halves[0], 5.0, 15.0));
    events.push(whistle("kick-off", halves[1], 4.0, 15.0));
    events.push(whistle("full-time", halves[1] + HALF, 8.0, 35.0));
    for (kind, least, most, heights, fades, emoji) in [
        ("goal", 2, 5, 10.0..20.0, 25.0..45.0, GOAL),
        ("miss", 5, 9, 4.0..8.0, 6.0..12.0, MISS),
        ("save", 2, 5, 4.0..7.0, 6.0..12.0, SAVE),
        ("card", 2, 4, 4.0..6.0, 8.0..15.0, CARD),
    ] {
        for _ in 0..rng.usize(least..=most) {
            let (height, fade) = (within(rng, &heights), within(rng, &fades));
            let Some(start) = somewhere(rng, &events, &halves) else { continue };
            let rise = within(rng, &(2.0..5.0));
            events.push(Event { kind, start, height, rise, fade, burst: true, emoji });
        }
    }
    for _ in 0..rng.usize(4..=8) {
        let start = halves[rng.usize(0..2)] + rng.u64(0..HALF - 4 * MINUTE);
        let (height, fade) = (within(rng, &(0.5..1.0)), within(rng, &(90.0..200.0)));
        events.push(Event { kind: "chant", start, height, rise: 0.0, fade, burst: false, emoji: MURMUR });
    }
    events
}

fn within(rng: &mut Rng, range: &std::ops::Range<f64>) -> f64 {
    range.start + rng.f64() * (range.end - range.start)
}

/// A time of the match that is far enough from the bursts that there are; none if it is not found soon.
fn somewhere(rng: &mut Rng, events: &[Event], halves: &[u64; 2]) -> Option<u64> {
    const TRIES: usize = 100;
    (0..TRIES).find_map(|_| {
        let start = halves[rng.usize(0..2)] + rng.u64(MINUTE..HALF - MINUTE);
        let free =
            events.iter().filter(|event| event.burst).all(|event| event.start.abs_diff(start) >= APART);
        free.then_some(start)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_one_match_and_another_seed_another() {
        let one = Match { seed: 7, murmur: 6.0 };
        assert_eq!(one.trace(), one.trace());
        assert_ne!(one.trace(), Match { seed: 8, ..one }.trace());
    }

    #[test]
    fn bursts_are_apart_and_within_the_match() {
        for seed in 0..50 {
            let trace = Match { seed, murmur: 1.0 }.trace();
            let starts: Vec<u64> =
                trace.labels.iter().filter(|label| label.burst).map(|label| label.start).collect();
            assert!(starts.len() >= 12, "{starts:?}");
            assert!(starts.windows(2).all(|two| two[1] - two[0] >= APART), "{starts:?}");
            assert!(trace.taps.iter().all(|taps| taps.second < Match::seconds() && taps.taps > 0));
        }
    }
}
