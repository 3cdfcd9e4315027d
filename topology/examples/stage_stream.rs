//! What a stage's stream costs a broker, end to end: two million reactions are produced to a fresh topic, then the chain
//! `validate ▸ window` is opened over it as an engine task does, and read until it has answered for every record.
//!
//! `cargo run --release --example stage_stream -p ovation-topology -- --cluster HOST:PORT [--pid PID] [--records N] [--batch BYTES]
//! [--json FILE]`; with the broker's (or the SPU's) process id on this machine, its processor time is measured as well. The topics and
//! SmartModules that it makes stay on the cluster.

#![expect(clippy::print_stdout, reason = "a measurement says what it found")]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use ovation_client::{ChainModule, ChainStream, Cluster, ProduceError, Producer, ProducerOptions};
use ovation_topology::{Modules, PROGRESS_KEY, Topology, apply};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const EMOJI: [&str; 8] = ["🔥", "❤️", "👏", "😂", "🎉", "😮", "👍", "💯"];
const T0: u64 = 1_795_426_840_000;
/// Records that are handed to the producer at a time: no more are on their way.
const PORTION: u64 = 5_000;
const PATIENCE: Duration = Duration::from_secs(300);

struct Options {
    cluster: String,
    pid: Option<u32>,
    records: u64,
    batch: usize,
    json: Option<String>,
}

/// What has passed since some moment: on the clock, and of the broker's processor.
#[derive(Clone, Copy)]
struct Spent {
    wall: Duration,
    cpu: Option<Duration>,
}

#[derive(Default)]
struct Answers {
    records: u64,
    bytes: u64,
    results: u64,
    rejects: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::read()?;
    let cluster = Cluster::new(&options.cluster);
    let suffix = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let topic = format!("stream-cost-{suffix}");
    let modules = |name: &str| ovation_wasm::builtin(name).map(Cow::Borrowed);
    apply(&cluster, &topology(&topic)?, &modules).await?;
    let chain = chain(&modules)?;

    let producer = Producer::open(
        cluster.clone(),
        &topic,
        ProducerOptions { batch_size: options.batch, ..ProducerOptions::default() },
    );
    producer.ready(PATIENCE).await?;
    produce(&producer, 0..1).await?;
    // The first answer of a stream shows that its chain is compiled.
    let opening = options.measured(read(&cluster, &topic, &chain, 1)).await?.0;
    let producing = options.measured(produce(&producer, 1..options.records)).await?.0;
    let (stream, answers) =
        options.measured(read(&cluster, &topic, &chain, i64::try_from(options.records)?)).await?;

    let Answers { records, bytes, results, rejects } = answers;
    ensure!(rejects == 0, "{rejects} reactions were refused");
    println!("{} reactions in batches of {} bytes, on {}", options.records, options.batch, options.cluster);
    println!("opening a stream on one record, which compiles the chain: {opening}");
    println!("producing: {producing}");
    println!("reading the stage's stream, opening included: {stream}");
    println!("it answered with {records} records, {results} of them results, {bytes} bytes");
    // Both opened a chain, so the difference is what the records took.
    let each = |all: Duration, opening: Duration| {
        all.saturating_sub(opening).as_nanos() as f64 / options.records as f64
    };
    let wall = each(stream.wall, opening.wall);
    println!("a record, without the opening: {wall:.0} ns on the clock, {:.0} records/s", 1e9 / wall);
    let cpu = stream.cpu.zip(opening.cpu).map(|(all, opening)| each(all, opening));
    if let Some(cpu) = cpu {
        println!(
            "a record, without the opening: {cpu:.0} ns of the broker's processor time, {:.0} records/s a core",
            1e9 / cpu
        );
    }
    if let Some(file) = &options.json {
        let report = json!({
            "what": "a stage's stream, validate ▸ window, end to end",
            "records": options.records,
            "batch_bytes": options.batch,
            "opening": opening.json(),
            "producing": producing.json(),
            "stream": stream.json(),
            "answers": {"records": records, "results": results, "bytes": bytes},
            "wall_ns_per_record": wall.round(),
            "cpu_ns_per_record": cpu.map(f64::round),
            "records_per_s_per_core": cpu.map(|cpu| (1e9 / cpu).round()),
        });
        std::fs::write(file, format!("{report:#}\n"))?;
    }
    Ok(())
}

/// A stage like that of `topology.yaml` over one partition, so that there is one chain.
fn topology(topic: &str) -> Result<Topology> {
    let text = format!(
        "
name: stream-cost
topics:
  {topic}: {{ partitions: 1 }}
  {topic}-results: {{ partitions: 1, fence: true }}
  {topic}-rejects: {{ partitions: 1, fence: true }}
  {topic}-checkpoints: {{ partitions: 1 }}
smartmodules:
  validate: {{ builtin: ovation-validate }}
  window: {{ builtin: ovation-window }}
stages:
  reactions:
    source: {topic}
    transforms:
      - uses: validate
      - uses: window
        window: {{ tumbling: {{ size: 10s }}, grace: 2s, emit: {{ every: 100ms }} }}
    sink: {topic}-results
    dead-letter: {topic}-rejects
    checkpoints: {topic}-checkpoints
"
    );
    Ok(Topology::parse("stream-cost", &text)?)
}

/// The chain with what an engine tells it, under the names that `apply` gives modules.
fn chain(modules: &dyn Modules) -> Result<Vec<ChainModule>> {
    let module = |builtin: &str, own: &[(&str, &str)]| -> Result<ChainModule> {
        let wasm = modules.wasm(builtin).with_context(|| format!("failed to find {builtin}"))?;
        let hash: String = Sha256::digest(&wasm)[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        let common = [("ovation.stage", "reactions"), ("ovation.start", "0")];
        let params: BTreeMap<String, String> =
            common.iter().chain(own).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Ok(ChainModule { name: format!("{builtin}-{hash}"), params })
    };
    let windows = r#"[{"name":"10s","shape":{"tumbling":{"size_ms":10000}},"grace_ms":2000,"emit":{"update":{"every_ms":100}}}]"#;
    // The reactions have times of their own, which may lie ahead of this machine's clock.
    let both = [
        ("ovation.includes", "ovation-validate"),
        ("future-ms", "253402300799999"),
        ("ovation.windows", windows),
    ];
    Ok(vec![module("ovation-window", &both)?])
}

async fn produce(producer: &Producer, range: std::ops::Range<u64>) -> Result<()> {
    for from in range.clone().step_by(PORTION as usize) {
        let portion = (from..range.end.min(from + PORTION)).map(reaction).collect();
        let stored: Result<Vec<_>, ProduceError> = producer.send_all(portion).await.into_iter().collect();
        stored?;
    }
    Ok(())
}

/// Key and value of the reaction of this number: 100 rooms, 8 emoji, 5,000 people, a hundred a millisecond.
fn reaction(n: u64) -> (Option<Vec<u8>>, Vec<u8>) {
    let x = n * 2_654_435_761 % (1 << 32);
    let room = format!("room-{}", (x >> 8) % 100);
    let (emoji, user, ts) = (EMOJI[((x >> 20) % 8) as usize], (x >> 12) % 5_000, T0 + n / 100);
    let event = format!(r#"{{"id":"r{n}","room":"{room}","emoji":"{emoji}","user":"u{user}","ts":{ts}}}"#);
    (Some(room.into_bytes()), event.into_bytes())
}

/// Reads the stage's stream from the start until it has answered for all records before `end`.
async fn read(cluster: &Cluster, topic: &str, chain: &[ChainModule], end: i64) -> Result<Answers> {
    let mut stream = ChainStream::open(cluster, topic, 0, 0, chain).await?;
    let mut answers = Answers::default();
    loop {
        let records = tokio::time::timeout(PATIENCE, stream.next()).await??;
        for record in records {
            answers.records += 1;
            answers.bytes += (record.key.as_ref().map_or(0, |key| key.len()) + record.value.len()) as u64;
            match record.key.as_deref() {
                Some(key) if key == PROGRESS_KEY.as_bytes() => {
                    let progress: Value = serde_json::from_slice(&record.value)?;
                    answers.rejects = progress["reject_seq"].as_u64().context("progress without numbers")?;
                    answers.results = progress["seq"].as_u64().context("progress without numbers")?;
                    if progress["next"].as_i64() >= Some(end) {
                        return Ok(answers);
                    }
                }
                _ => {}
            }
        }
    }
}

impl Options {
    fn read() -> Result<Self> {
        let (mut cluster, mut pid, mut records, mut batch, mut json) =
            (None, None, 2_000_000, 128 * 1024, None);
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let value = arguments.next().with_context(|| format!("{argument} wants a value"))?;
            match argument.as_str() {
                "--cluster" => cluster = Some(value),
                "--pid" => pid = Some(value.parse()?),
                "--records" => records = value.parse()?,
                "--batch" => batch = value.parse()?,
                "--json" => json = Some(value),
                _ => bail!("there is no option {argument:?}"),
            }
        }
        Ok(Self { cluster: cluster.context("--cluster HOST:PORT is missing")?, pid, records, batch, json })
    }

    async fn measured<T>(&self, doing: impl Future<Output = Result<T>>) -> Result<(Spent, T)> {
        let cpu = || self.pid.map(processor_time).transpose();
        let (before, began) = (cpu()?, Instant::now());
        let done = doing.await?;
        let wall = began.elapsed();
        Ok((Spent { wall, cpu: cpu()?.zip(before).map(|(after, before)| after - before) }, done))
    }
}

impl std::fmt::Display for Spent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:.2?}", self.wall)?;
        self.cpu.map_or(Ok(()), |cpu| write!(formatter, ", {cpu:.2?} of the broker's processor time"))
    }
}

impl Spent {
    fn json(&self) -> Value {
        json!({"wall_s": self.wall.as_secs_f64(), "broker_cpu_s": self.cpu.map(|cpu| cpu.as_secs_f64())})
    }
}

/// Processor time of a process so far, from the kernel's clock ticks of 10 ms.
fn processor_time(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("failed to find the broker")?;
    let (_, fields) = stat.rsplit_once(')').context("failed to read the broker's processor time")?;
    let ticks = |index: usize| -> Result<u64> {
        Ok(fields
            .split_whitespace()
            .nth(index)
            .context("failed to read the broker's processor time")?
            .parse()?)
    };
    // utime and stime are the 14th and 15th field, two of which stand before.
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
}
