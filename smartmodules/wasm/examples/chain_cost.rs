//! What the chain `validate ▸ window` costs in Fluvio's engine: compiling it, running it, and writing checkpoints.
//!
//! `cargo run --release --example chain_cost -p ovation-wasm [VALIDATE.wasm WINDOW.wasm]`; without files, the modules as they are.
//! Processor time of the whole process, because compiling uses every core.

#![expect(clippy::print_stdout, reason = "a measurement says what it found")]

use std::borrow::Cow;
use std::time::{Duration, Instant};

use fluvio_protocol::record::Record;
use fluvio_smartengine::{SmartEngine, SmartModuleChainBuilder, SmartModuleChainInstance, SmartModuleConfig};
use fluvio_smartmodule::SMARTMODULE_TIMESTAMPS_VERSION as VERSION;
use fluvio_smartmodule::dataplane::smartmodule::SmartModuleInput;

const COMPILED: u32 = 8;
const RECORDS: usize = 1_000_000;
/// About what a producer packs into a batch of 16 KiB.
const BATCH: usize = 150;
const ROOMS: usize = 100;
const EMOJI: [&str; 8] = ["🔥", "❤️", "👏", "😂", "🎉", "😮", "👍", "💯"];
const T0: i64 = 1_795_426_840_000;
/// Reactions in a millisecond.
const RATE: usize = 100;
const NEVER: &str = "1000000000";

fn main() {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let module = |index: usize, built_in: &'static [u8]| {
        files.get(index).map_or(Cow::Borrowed(built_in), |file| std::fs::read(file).expect("a file").into())
    };
    let modules = [module(0, ovation_wasm::VALIDATE), module(1, ovation_wasm::WINDOW)];
    let engine = SmartEngine::new();

    let (cpu, wall) = (cpu_time(), Instant::now());
    for _ in 0..COMPILED {
        drop(chain(&engine, &modules, "50000"));
    }
    let (cpu, wall) = ((cpu_time() - cpu) / COMPILED, wall.elapsed() / COMPILED);
    println!("compiling and opening: {cpu:.1?} of processor time, {wall:.1?}");

    let batches: Vec<SmartModuleInput> = (0..RECORDS / BATCH).map(batch).collect();
    for (name, checkpoint_every) in
        [("with a checkpoint every 50,000", "50000"), ("without checkpoints", NEVER)]
    {
        let mut chain = chain(&engine, &modules, checkpoint_every);
        let cpu = cpu_time();
        let mut outputs = 0;
        for input in batches.clone() {
            outputs += chain.process(input).expect("runs").successes.len();
        }
        let each = (cpu_time() - cpu).as_nanos() / (RECORDS as u128);
        println!("{name}: {each} ns of processor time a record, {outputs} outputs");
    }
}

fn chain(
    engine: &SmartEngine,
    modules: &[Cow<'_, [u8]>],
    checkpoint_every: &str,
) -> SmartModuleChainInstance {
    let windows = r#"[{"name":"10s","shape":{"tumbling":{"size_ms":10000}},"grace_ms":2000,"emit":{"update":{"every_ms":100}}}]"#;
    let mut builder = SmartModuleChainBuilder::default();
    for wasm in modules {
        let mut config = SmartModuleConfig::builder();
        config
            .param("ovation.stage", "reactions")
            .param("ovation.checkpoint.records", checkpoint_every)
            .param("ovation.checkpoint.interval-ms", NEVER)
            .param("ovation.windows", windows);
        let config = config.smartmodule_names(vec!["measured".to_owned()]).build().expect("a config");
        builder.add_smart_module(config, wasm.to_vec());
    }
    builder.initialize(engine).expect("opens")
}

fn batch(number: usize) -> SmartModuleInput {
    let records = (number * BATCH..(number + 1) * BATCH).map(|n| {
        let (room, emoji, ts) = (n % ROOMS, EMOJI[n % EMOJI.len()], T0 + (n / RATE) as i64);
        let event = format!(
            r#"{{"id":"r{n}","room":"room-{room}","emoji":"{emoji}","count":1,"user":"u{}","ts":{ts}}}"#,
            n % 5_000
        );
        let mut record = Record::new_key_value(format!("room-{room}"), event);
        record.preamble.set_offset_delta((n % BATCH) as i64);
        record
    });
    let mut input = SmartModuleInput::try_from_records(records.collect(), VERSION).expect("encodes");
    input.set_base_offset((number * BATCH) as i64);
    input.set_base_timestamp(T0 + (number * BATCH / RATE) as i64);
    input
}

/// Processor time of this process so far, from the kernel's clock ticks of 10 ms.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
    let ticks = |index: usize| {
        fields.split_whitespace().nth(index).and_then(|text| text.parse::<u64>().ok()).expect("a number")
    };
    // utime and stime are the 14th and 15th field, two of which stand before.
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}
