//! What the chain `validate ▸ window` costs a record in Fluvio's engine, beside what the same task costs in Rust without an engine.
//!
//! `cargo run --release --example chain_cost -p ovation-wasm -- [--records N] [--batch N] [--rounds N] [--rooms N] [--emoji N]
//! [--window-ms N] [--form FORM] [--only ROW|ROW…] [--json FILE] [--beside WINDOW.wasm]…`; the files are the module of other builds
//! to compare with, and `--only` takes names of the rows that are to run, or parts of them.
//!
//! Processor time of the thread that runs them, from the kernel. Every row runs once a round. A figure is that of the best round, since
//! what else the machine does can only make it slower; a ratio is the median of all rounds, since the machine itself is slower at times.

#![expect(clippy::print_stdout, reason = "a measurement says what it found")]

mod by_hand;
mod data;
mod modules;

use std::borrow::Cow;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use ovation_shell::{Params, Transform};
use ovation_validate::Validate;
use serde_json::json;

use by_hand::ByHand;
use data::{Crowd, Form, Records};
use modules::{Engine, Native, Settings, params, together, validated};

const BY_HAND: &str = "by hand in Rust: JSON, ids, counts";

struct Options {
    records: u64,
    /// 150 are about what a producer packs into a batch of 16 KiB.
    batch: u64,
    rounds: usize,
    rooms: u64,
    emoji: usize,
    window_ms: u64,
    /// Names of the rows that run, or parts of them, with `|` between.
    only: String,
    /// Part of the names of the forms that events have.
    form: String,
    json: Option<String>,
    /// Other builds of the window module.
    beside: Vec<Vec<u8>>,
}

/// One thing that is measured.
struct Row {
    form: Form,
    name: Cow<'static, str>,
    /// Nanoseconds of processor time a record, of each round.
    rounds: Vec<f64>,
}

impl Row {
    /// Of the best round.
    fn each(&self) -> f64 {
        self.rounds.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The median of what it takes of another one's time, round by round.
    fn of(&self, other: &Self) -> f64 {
        let mut ratios: Vec<f64> =
            self.rounds.iter().zip(&other.rounds).map(|(round, base)| round / base).collect();
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    }
}

fn main() {
    let options = Options::read();
    println!(
        "{} reactions of {} rooms and {} emoji in batches of {}, best of {} rounds, tumbling windows of {} ms",
        options.records, options.rooms, options.emoji, options.batch, options.rounds, options.window_ms
    );
    let cpu = if options.only.is_empty() { compiled(&options) } else { Duration::ZERO };

    let forms = Form::ALL.into_iter().filter(|form| form.name().contains(&options.form));
    let rows: Vec<Row> = forms.flat_map(|form| measure(&options, form)).collect();
    for row in &rows {
        let by_hand = rows.iter().find(|other| other.form == row.form && other.name == BY_HAND);
        println!(
            "{:<9}  {:<44} {:>6.0} ns a record {:>10.0} records/s a core {:>5.2} × by hand",
            row.form.name(),
            row.name,
            row.each(),
            1e9 / row.each(),
            by_hand.map_or(f64::NAN, |by_hand| row.of(by_hand))
        );
    }
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&report(&options, cpu, &rows)).expect("writes");
        std::fs::write(file, text + "\n").expect("a file to write");
    }
}

/// What it takes to compile and open the chain.
fn compiled(options: &Options) -> Duration {
    let (cpu, wall) = (process_time(), Instant::now());
    drop(Engine::open(&[ovation_wasm::WINDOW], &together(params(options.window_ms, true)), false));
    let (cpu, wall) = (process_time() - cpu, wall.elapsed());
    println!("compiling and opening the chain: {cpu:.1?} of processor time, {wall:.1?}");
    cpu
}

/// A row's name, and how it is run.
type Run<'a> = (Cow<'static, str>, Box<dyn Fn() -> Duration + 'a>);

fn measure(options: &Options, form: Form) -> Vec<Row> {
    let crowd = Crowd::new(options.rooms, options.emoji);
    let batches = data::reactions(&crowd, options.records, options.batch, form);
    let bytes: usize = batches.iter().map(|batch| batch.bytes.len()).sum();
    println!("{}: {} bytes a record with its key and its head", form.name(), bytes as u64 / options.records);
    let mut validate = Validate::open(&Params::default()).expect("opens");
    let valid: Vec<Records> = batches.iter().map(|batch| validated(&mut validate, batch)).collect();

    let modules = [ovation_wasm::VALIDATE, ovation_wasm::WINDOW];
    let stage = params(options.window_ms, true);
    let (both, bare) = (together(stage.clone()), together(params(options.window_ms, false)));
    let engine = |modules: &[&[u8]], settings: &Settings, packed: bool, batches: &[Records]| {
        let mut engine = Engine::open(modules, settings, packed);
        outputs(batches, |batch| engine.take(batch))
    };
    let by_hand = || {
        let mut by_hand = ByHand::default();
        let spent = timed(|| batches.iter().for_each(|batch| by_hand.take(batch)));
        assert_eq!(by_hand.total(), options.records, "every reaction counts once");
        spent
    };
    let native = || {
        let mut native = Native::open(&both);
        outputs(&batches, |batch| native.take(batch))
    };
    let mut runs: Vec<Run<'_>> = vec![
        (BY_HAND.into(), Box::new(by_hand)),
        ("natively: validate ▸ window".into(), Box::new(native)),
        ("engine: validate".into(), Box::new(|| engine(&modules[..1], &stage, false, &batches))),
        ("engine: window".into(), Box::new(|| engine(&modules[1..], &stage, false, &valid))),
        ("engine: validate ▸ window".into(), Box::new(|| engine(&modules[1..], &both, false, &batches))),
        (
            "engine: validate ▸ window, apart, packed".into(),
            Box::new(|| engine(&modules, &stage, true, &batches)),
        ),
        ("engine: validate ▸ window, apart".into(), Box::new(|| engine(&modules, &stage, false, &batches))),
        (
            "engine: validate ▸ window, no checkpoints".into(),
            Box::new(|| engine(&modules[1..], &bare, false, &batches)),
        ),
    ];
    for (number, other) in options.beside.iter().enumerate() {
        let (engine, both, batches) = (&engine, &both, &batches);
        let run = move || engine(&[other], both, false, batches);
        runs.push((format!("engine: validate ▸ window, other build {}", number + 1).into(), Box::new(run)));
    }
    let names: Vec<_> = runs.iter().map(|(name, _)| name.clone()).collect();
    let asked = |part: &str, name: &str| {
        name == part || name.contains(part) && !names.iter().any(|name| name == part)
    };
    runs.retain(|(name, _)| options.only.split('|').any(|part| asked(part, name)));
    let row = |name: &Cow<'static, str>| Row { form, name: name.clone(), rounds: Vec::new() };
    let mut rows: Vec<Row> = runs.iter().map(|(name, _)| row(name)).collect();
    for _ in 0..options.rounds {
        for ((_, run), row) in runs.iter().zip(&mut rows) {
            row.rounds.push(run().as_nanos() as f64 / options.records as f64);
        }
    }
    rows
}

fn outputs(batches: &[Records], mut take: impl FnMut(&Records) -> usize) -> Duration {
    let mut count = 0;
    let spent = timed(|| count = batches.iter().map(&mut take).sum());
    assert!(count >= batches.len(), "every call answers");
    spent
}

fn timed(run: impl FnOnce()) -> Duration {
    let before = thread_time();
    run();
    thread_time() - before
}

fn report(options: &Options, compiling: Duration, rows: &[Row]) -> serde_json::Value {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "form": row.form.name(),
                "what": row.name,
                "ns_per_record": row.each().round(),
                "records_per_s_per_core": (1e9 / row.each()).round(),
                "rounds_ns": row.rounds.iter().map(|round| round.round()).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "what": "processor time of the chain validate ▸ window, a record",
        "records": options.records,
        "batch": options.batch,
        "rounds": options.rounds,
        "compiling_s": compiling.as_secs_f64(),
        "rows": rows,
    })
}

impl Options {
    fn read() -> Self {
        let mut options = Self {
            records: 2_000_000,
            batch: 150,
            rounds: 3,
            rooms: 100,
            emoji: 8,
            window_ms: 10_000,
            only: String::new(),
            form: String::new(),
            json: None,
            beside: Vec::new(),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut next = || arguments.next().unwrap_or_else(|| panic!("{argument} wants a value"));
            let mut number = || next().parse().expect("a number");
            match argument.as_str() {
                "--records" => options.records = number(),
                "--batch" => options.batch = number(),
                "--rounds" => options.rounds = number() as usize,
                "--rooms" => options.rooms = number(),
                "--emoji" => options.emoji = number() as usize,
                "--window-ms" => options.window_ms = number(),
                "--only" => options.only = next(),
                "--form" => options.form = next(),
                "--json" => options.json = Some(next()),
                "--beside" => options.beside.push(std::fs::read(next()).expect("a file")),
                other => panic!("no option {other:?}"),
            }
        }
        options
    }
}

/// Processor time of this thread so far.
fn thread_time() -> Duration {
    clock(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

/// Processor time of this process so far, because compiling uses every core.
fn process_time() -> Duration {
    clock(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

fn clock(id: ClockId) -> Duration {
    clock_gettime(id).expect("the kernel keeps it").into()
}
