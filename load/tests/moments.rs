//! The moments that the shipped stages find in matches, against what happened.
//!
//! The committed trace is that of seed 7 at six taps per second, and its moments are committed too: `OVATION_UPDATE=1` writes both
//! anew.

#![expect(clippy::print_stdout, reason = "precision and recall are there to be read")]

use std::path::PathBuf;

use ovation_load::{Label, Match, Trace};
use ovation_moments::Moments;
use ovation_processor::native::{Answered, call};
use ovation_processor::{Contract, Params, Transform};
use ovation_reaction::{Moment, WindowUpdate};
use ovation_window::Window;

const COMMITTED: Match = Match { seed: 7, murmur: 6.0 };
/// A multiple of the windows' size.
const BEGAN_MS: i64 = 1_795_426_800_000;
const ROOM: &str = "match";
/// A burst is seen in whole windows, and the first may hold too little of it.
const SLACK_MS: i64 = 10_000;
const COUNT_MAX: u64 = 100;
/// Matches that nothing was tuned on; the defaults of `moments` were chosen by seeds 100 to 119.
const HELD_OUT: std::ops::Range<u64> = 200..220;
const BATCH: usize = 500;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("traces")
}

/// A file as it is committed; `text` becomes it where that is asked for.
fn committed(name: &str, text: &str) -> String {
    let path = folder().join(name);
    if std::env::var_os("OVATION_UPDATE").is_some() {
        std::fs::write(&path, text).expect("writes");
    }
    std::fs::read_to_string(&path).expect("a committed file")
}

fn results(answer: &[Answered]) -> Vec<Answered> {
    answer.iter().filter(|record| record.tag().is_none()).cloned().collect()
}

/// All that a module makes of records, in batches.
fn run<T: Transform>(module: &mut T, records: &[(&str, String)]) -> Vec<Answered> {
    let mut all = Vec::new();
    for (number, batch) in records.chunks(BATCH).enumerate() {
        let first = (number * BATCH) as i64;
        all.extend(results(&call(module, first, 0, batch).expect("no error from a transform")));
    }
    all
}

/// The last record of each moment that the two stages make of a trace, as it stands in the topic.
fn moments(trace: &Trace) -> Vec<Vec<u8>> {
    let mut window = Contract::<Window>::open(&Params::default()).expect("opens");
    let reactions = trace.reactions(ROOM, BEGAN_MS, COUNT_MAX);
    let updates = run(&mut window, &reactions.into_iter().map(|event| (ROOM, event)).collect::<Vec<_>>());
    let results: Vec<(&str, String)> =
        updates.into_iter().map(|update| (ROOM, String::from_utf8(update.value).expect("JSON"))).collect();
    assert!(results.iter().any(|(_, value)| read_update(value).last));
    let mut stage = Contract::<Moments>::open(&Params::default()).expect("opens");
    let records = run(&mut stage, &results);
    records.into_iter().map(|record| record.value).filter(|value| read(value).last).collect()
}

fn read_update(value: &str) -> WindowUpdate<'_> {
    serde_json::from_str(value).expect("a result")
}

fn read(value: &[u8]) -> Moment<'_> {
    serde_json::from_slice(value).expect("a moment")
}

/// How well moments tell bursts.
#[derive(Debug, Default)]
struct Score {
    /// Bursts that a moment overlaps, and all of them.
    found: (usize, usize),
    /// Moments that overlap a burst, and all of them.
    right: (usize, usize),
    missed: Vec<String>,
    wrong: Vec<String>,
}

impl Score {
    fn of(trace: &Trace, moments: &[Vec<u8>]) -> Self {
        let moments: Vec<Moment<'_>> = moments.iter().map(|value| read(value)).collect();
        let bursts: Vec<&Label> = trace.labels.iter().filter(|label| label.burst).collect();
        let ms = |second: u64| BEGAN_MS + second as i64 * 1_000;
        let meet = |moment: &Moment<'_>, label: &Label| {
            moment.start <= ms(label.end) + SLACK_MS && moment.end >= ms(label.start) - SLACK_MS
        };
        let missed = bursts.iter().filter(|label| !moments.iter().any(|moment| meet(moment, label)));
        let missed: Vec<String> = missed.map(|label| format!("{} at {}", label.kind, label.start)).collect();
        let wrong = moments.iter().filter(|moment| !bursts.iter().any(|label| meet(moment, label)));
        let wrong: Vec<String> = wrong
            .map(|moment| format!("{} s, lift {}", (moment.start - BEGAN_MS) / 1_000, moment.lift))
            .collect();
        Self {
            found: (bursts.len() - missed.len(), bursts.len()),
            right: (moments.len() - wrong.len(), moments.len()),
            missed,
            wrong,
        }
    }

    fn add(&mut self, other: Self) {
        self.found = (self.found.0 + other.found.0, self.found.1 + other.found.1);
        self.right = (self.right.0 + other.right.0, self.right.1 + other.right.1);
        self.missed.extend(other.missed);
        self.wrong.extend(other.wrong);
    }

    fn recall(&self) -> f64 {
        self.found.0 as f64 / self.found.1 as f64
    }

    fn precision(&self) -> f64 {
        self.right.0 as f64 / self.right.1.max(1) as f64
    }
}

#[test]
fn the_committed_match_has_the_committed_moments() {
    let trace = COMMITTED.trace();
    let (taps, labels) = (trace.taps_csv(), trace.labels_csv());
    assert!(committed("match.csv", &taps) == taps, "the seed makes another match than the committed one");
    assert_eq!(committed("match-labels.csv", &labels), labels);
    let found = moments(&trace);
    let text: String = found.iter().map(|value| String::from_utf8_lossy(value).into_owned() + "\n").collect();
    assert_eq!(committed("match-moments.jsonl", &text), text);
    let score = Score::of(&trace, &found);
    println!(
        "seed {}: precision {:.3} of {}, recall {:.3} of {}; missed {:?}, wrong {:?}",
        COMMITTED.seed,
        score.precision(),
        score.right.1,
        score.recall(),
        score.found.1,
        score.missed,
        score.wrong
    );
    assert!(score.precision() >= 0.95 && score.recall() >= 0.9, "{score:?}");
}

#[test]
fn other_matches_before_other_crowds() {
    for (murmur, least) in [(1.0, 0.8), (6.0, 0.9), (60.0, 0.9)] {
        let mut score = Score::default();
        for seed in HELD_OUT {
            let trace = Match { seed, murmur }.trace();
            score.add(Score::of(&trace, &moments(&trace)));
        }
        println!(
            "{murmur} taps/s, 20 matches: precision {:.3} of {}, recall {:.3} of {}; missed {:?}, wrong {:?}",
            score.precision(),
            score.right.1,
            score.recall(),
            score.found.1,
            &score.missed[..score.missed.len().min(8)],
            &score.wrong[..score.wrong.len().min(8)]
        );
        assert!(score.precision() >= 0.95 && score.recall() >= least, "{murmur}: {score:?}");
    }
}
