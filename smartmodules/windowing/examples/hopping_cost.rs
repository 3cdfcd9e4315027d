//! What a record costs in hopping windows as the advance shrinks, beside copying it into every window that holds it, in one
//! run. `cargo run --release --example hopping_cost -p ovation-windowing`
#![allow(clippy::print_stdout, reason = "that is what it is for")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ovation_windowing::{Aggregate, DedupSettings, Emission, Shape, WindowSettings, Windows};
use serde::{Deserialize, Serialize};

const SIZE_MS: i64 = 60_000;
const RECORDS: i64 = 400_000;
/// Record time between two records: ten minutes in all.
const STEP_US: i64 = 1_500;
const RUNS: usize = 3;

/// Counts by one of eight names, as the reactions' are.
#[derive(Default, Serialize, Deserialize)]
struct Counts(BTreeMap<u8, u64>);

impl Aggregate for Counts {
    type Item<'a> = u8;

    fn add(&mut self, item: &u8) {
        *self.0.entry(*item).or_default() += 1;
    }

    fn merge(&mut self, other: &Self) {
        for (item, count) in &other.0 {
            *self.0.entry(*item).or_default() += count;
        }
    }

    fn weight(_: &u8) -> u64 {
        1
    }
}

fn records() -> impl Iterator<Item = (i64, u8)> {
    (0..RECORDS).map(|n| (n * STEP_US / 1_000, (n % 8) as u8))
}

/// Time and sum over all finals.
fn panes(advance_ms: i64) -> (Duration, u64) {
    let settings = WindowSettings {
        name: "hop".to_owned(),
        shape: Shape::Hopping { size_ms: SIZE_MS, advance_ms },
        grace_ms: 0,
        emit: Emission::Close,
    };
    let mut windows =
        Windows::<Counts>::new(vec![settings], DedupSettings::default(), 0).expect("good settings");
    let mut sum = 0;
    let since = Instant::now();
    for (time, item) in records() {
        windows.observe(b"room", time, None, &item, &mut |update| {
            sum += update.aggregate.0.values().sum::<u64>();
            0
        });
    }
    (since.elapsed(), sum)
}

fn copies(advance_ms: i64) -> (Duration, u64) {
    let mut open: BTreeMap<i64, Counts> = BTreeMap::new();
    let mut sum = 0;
    let since = Instant::now();
    for (time, item) in records() {
        while open.first_key_value().is_some_and(|(start, _)| start + SIZE_MS <= time) {
            let Some((_, closed)) = open.pop_first() else { break };
            sum += closed.0.values().sum::<u64>();
        }
        let last = time.div_euclid(advance_ms);
        for start in (time - SIZE_MS).div_euclid(advance_ms) + 1..=last {
            open.entry(start * advance_ms).or_default().add(&item);
        }
    }
    (since.elapsed(), sum)
}

fn main() {
    println!("size {} s, {RECORDS} records; nanoseconds a record, best of {RUNS} runs", SIZE_MS / 1_000);
    println!("{:>10} {:>8} {:>8} {:>8}", "advance", "windows", "panes", "copies");
    for advance_ms in [60_000, 10_000, 1_000, 500, 100, 50] {
        let best =
            |run: fn(i64) -> (Duration, u64)| (0..RUNS).map(|_| run(advance_ms)).min().expect("some runs");
        let ((panes, sum), (copies, expected)) = (best(panes), best(copies));
        assert_eq!(sum, expected, "both count the same");
        let each = |time: Duration| time.as_nanos() / RECORDS as u128;
        let windows = SIZE_MS / advance_ms;
        println!("{advance_ms:>7} ms {windows:>8} {:>8} {:>8}", each(panes), each(copies));
    }
}
