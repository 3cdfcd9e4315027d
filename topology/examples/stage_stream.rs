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
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
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

/// A moment: on the clock, and of the broker's processor.
#[derive(Clone, Copy)]
struct Moment {
    wall: Instant,
    cpu: Option<Duration>,
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

/// What reading a stream took.
struct Read {
    /// Until the first answer, which shows that the chain is compiled.
    opening: Spent,
    /// How many records the first answer is for.
    first: u64,
    /// From the first answer to the last.
    rest: Spent,
    answers: Answers,
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
    // The first opening of a module costs more than the next ones.
    read(&options, &cluster, &topic, &chain, 1).await?;
    let alone = read(&options, &cluster, &topic, &chain, 1).await?.opening;
    let producing = options.now()?;
    produce(&producer, 1..options.records).await?;
    let producing = producing.until(options.now()?);
    let Read { opening, first, rest, answers } =
        read(&options, &cluster, &topic, &chain, options.records).await?;
    // Compiling varies by more than what is measured, so the best is to count from the first answer, which shows that it is done.
    // An SPU gives one answer for all there is: there the opening of a stream of one record is taken off.
    let (counted, taken_off, stream) = if first < options.records / 2 {
        (options.records - first, "the first answer", rest)
    } else {
        (options.records, "an opening on one record", opening.and(rest).without(alone))
    };

    let Answers { records, bytes, results, rejects } = answers;
    ensure!(rejects == 0, "{rejects} reactions were refused");
    println!("{} reactions in batches of {} bytes, on {}", options.records, options.batch, options.cluster);
    println!("opening a stream on one record, which compiles the chain: {alone}");
    println!("producing: {producing}");
    println!("opening the stage's stream, and its first answer, for {first} records: {opening}");
    println!("it answered with {records} records, {results} of them results, {bytes} bytes");
    println!("{counted} records, without {taken_off}: {stream}");
    let each = |all: Duration| all.as_nanos() as f64 / counted as f64;
    let wall = each(stream.wall);
    println!("a record: {wall:.0} ns on the clock, {:.0} records/s", 1e9 / wall);
    let cpu = stream.cpu.map(each);
    if let Some(cpu) = cpu {
        println!("a record: {cpu:.0} ns of the broker's processor time, {:.0} records/s a core", 1e9 / cpu);
    }
    if let Some(file) = &options.json {
        let report = json!({
            "what": "a stage's stream, validate ▸ window, end to end",
            "records": options.records,
            "counted": counted,
            "taken_off": taken_off,
            "batch_bytes": options.batch,
            "opening_on_one_record": alone.json(),
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
async fn read(
    options: &Options,
    cluster: &Cluster,
    topic: &str,
    chain: &[ChainModule],
    end: u64,
) -> Result<Read> {
    let began = options.now()?;
    let mut stream = ChainStream::open(cluster, topic, 0, 0, chain).await?;
    let (mut answers, mut next) = (Answers::default(), 0);
    let mut opened = None;
    while next < end {
        for record in tokio::time::timeout(PATIENCE, stream.next()).await?? {
            answers.records += 1;
            answers.bytes += (record.key.as_ref().map_or(0, |key| key.len()) + record.value.len()) as u64;
            if record.key.as_deref() == Some(PROGRESS_KEY.as_bytes()) {
                let progress: Value = serde_json::from_slice(&record.value)?;
                let number = |name: &str| progress[name].as_u64().context("progress without numbers");
                (answers.rejects, answers.results) = (number("reject_seq")?, number("seq")?);
                next = number("next")?;
            }
        }
        if opened.is_none() && next > 0 {
            opened = Some((next, options.now()?));
        }
    }
    let (first, since) = opened.context("an answer for no record")?;
    Ok(Read { opening: began.until(since), first, rest: since.until(options.now()?), answers })
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

    fn now(&self) -> Result<Moment> {
        Ok(Moment { wall: Instant::now(), cpu: self.pid.map(processor_time).transpose()? })
    }
}

impl Moment {
    fn until(self, later: Self) -> Spent {
        let cpu = later.cpu.zip(self.cpu).map(|(later, before)| later.saturating_sub(before));
        Spent { wall: later.wall - self.wall, cpu }
    }
}

impl Spent {
    fn and(self, other: Self) -> Self {
        Self { wall: self.wall + other.wall, cpu: self.cpu.zip(other.cpu).map(|(one, more)| one + more) }
    }

    fn without(self, other: Self) -> Self {
        let cpu = self.cpu.zip(other.cpu).map(|(all, less)| all.saturating_sub(less));
        Self { wall: self.wall.saturating_sub(other.wall), cpu }
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

/// Processor time of a process so far.
fn processor_time(pid: u32) -> Result<Duration> {
    let id = Pid::from_raw(i32::try_from(pid)?);
    let clock = clock_getcpuclockid(id).context("failed to find the broker")?;
    Ok(clock_gettime(clock).context("failed to read the broker's processor time")?.into())
}
