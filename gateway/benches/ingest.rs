//! How much of a bare server's speed is left when each reaction is checked, stored by a broker and acknowledged?
//!
//! `cargo bench -p ovation-gateway --bench ingest`: one process holds the embedded broker, the gateway, the baselines and the
//! load, and they take turns, so only the ratios mean something. `-- --rounds 3 --seconds 2` makes it shorter, `-- --batches` leaves
//! single reactions out, `-- --json FILE` writes the medians down.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement may stop at the first surprise")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::routing::post;
use axum::{Json, Router};
use nix::time::{ClockId, clock_gettime};
use ovation_broker::Broker;
use ovation_client::fluvio::metadata::topic::TopicSpec;
use ovation_client::{Admin, Cluster, Producer, ProducerOptions, bounds};
use ovation_gateway::{Config, Fair, Gateway, Hooks, Rate};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const ROOMS: usize = 16;
const BATCH: usize = 100;
const PARTITIONS: u32 = 4;
const EVENTS: &str = "emoji-events";

/// What is measured: how often, how long, over how many connections.
struct Plan {
    rounds: usize,
    time: Duration,
    connections: usize,
    batch_connections: usize,
    /// Whether single reactions are measured, too.
    singles: bool,
    /// Where medians are written.
    json: Option<String>,
}

/// Medians, by name.
type Medians = BTreeMap<&'static str, f64>;

impl Plan {
    fn from_args() -> Self {
        let mut plan = Self {
            rounds: 7,
            time: Duration::from_secs(3),
            connections: 64,
            batch_connections: 8,
            singles: true,
            json: None,
        };
        let args: Vec<String> = std::env::args().collect();
        plan.singles = !args.iter().any(|arg| arg == "--batches");
        for pair in args.windows(2) {
            if pair[0] == "--json" {
                plan.json = Some(pair[1].clone());
            }
            let value = || pair[1].parse().unwrap();
            match pair[0].as_str() {
                "--rounds" => plan.rounds = value(),
                "--seconds" => plan.time = Duration::from_secs_f64(pair[1].parse().unwrap()),
                "--connections" => plan.connections = value(),
                "--batch-connections" => plan.batch_connections = value(),
                _ => {}
            }
        }
        plan
    }
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "parsed as the gateway parses it")]
struct Tap {
    emoji: String,
    count: Option<u64>,
    user: Option<String>,
}

#[derive(Serialize)]
struct Answer {
    id: &'static str,
    partition: u32,
    offset: i64,
}

#[tokio::main]
async fn main() {
    let plan = Plan::from_args();
    let folder = tempfile::tempdir().unwrap();
    let mut config = ovation_broker::Config::new(folder.path());
    config.control = "127.0.0.1:0".parse().unwrap();
    config.spu = "127.0.0.1:0".parse().unwrap();
    let broker = Broker::start(config).await.unwrap();
    let cluster = Cluster::new(broker.control_addr().to_string());
    for topic in [EVENTS, "emoji-aggregates"] {
        Admin::new(&cluster).create(topic, TopicSpec::new_computed(PARTITIONS, 1, None)).await.unwrap();
    }
    for partition in 0..PARTITIONS {
        while bounds(&cluster, EVENTS, partition).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let stop = CancellationToken::new();
    let gateway = start_gateway(&cluster, &stop).await;
    let bare = start_bare().await;
    let producer =
        Producer::open(cluster.clone(), EVENTS, ProducerOptions { in_flight: 20_000, ..Default::default() });
    producer.ready(Duration::from_secs(20)).await.unwrap();
    let body = r#"{"emoji":"🔥","count":3,"user":"u1234567"}"#;
    // Until the gateway's own producer stands.
    let one = vec![request("/v1/rooms/room-0/reactions", "application/json", body)];
    let since = Instant::now();
    while answered(gateway, &one, 1, Duration::from_millis(100)).await.failed > 0 {
        assert!(since.elapsed() < Duration::from_secs(20), "the gateway does not get ready");
    }

    let singles: Vec<Vec<u8>> = (0..ROOMS)
        .map(|room| request(&format!("/v1/rooms/room-{room}/reactions"), "application/json", body))
        .collect();
    let lines = (0..BATCH).map(|item| {
        format!("{{\"room\":\"room-{}\",\"emoji\":\"🔥\",\"count\":3,\"user\":\"u1234567\"}}\n", item % ROOMS)
    });
    let batch = vec![request("/v1/reactions", "application/x-ndjson", &lines.collect::<String>())];

    let mut medians = measure_batches(&plan, &producer, gateway, &batch).await;
    if plan.singles {
        medians.extend(measure_singles(&plan, bare, gateway, &singles).await);
    }
    if let Some(file) = &plan.json {
        std::fs::write(file, serde_json::to_string(&medians).unwrap()).unwrap();
    }
    stop.cancel();
    broker.shutdown().await;
}

async fn measure_singles(
    plan: &Plan,
    bare: SocketAddr,
    gateway: SocketAddr,
    requests: &[Vec<u8>],
) -> Medians {
    println!(
        "single reactions, HTTP/1.1 keep-alive, {} connections, {:?} a turn",
        plan.connections, plan.time
    );
    let (mut ratios, mut costs, mut rates, mut bare_rates) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let base = answered(bare, requests, plan.connections, plan.time).await;
        let ours = answered(gateway, requests, plan.connections, plan.time).await;
        assert_eq!(base.failed + ours.failed, 0, "an answer was not 200");
        let ratio = ours.rate / base.rate;
        println!("  bare axum {base}   gateway {ours}   ratio {ratio:.2}");
        ratios.push(ratio);
        costs.push(base.cost_us() / ours.cost_us());
        rates.push(ours.rate);
        bare_rates.push(base.rate);
    }
    let (ratio, cost) = (median(ratios), median(costs));
    println!("  median ratio {ratio:.2}, of CPU time {cost:.2}");
    Medians::from([
        ("single_ratio", ratio),
        ("single_cpu_ratio", cost),
        ("single_per_s", median(rates)),
        ("single_bare_per_s", median(bare_rates)),
    ])
}

async fn measure_batches(
    plan: &Plan,
    producer: &Producer,
    gateway: SocketAddr,
    requests: &[Vec<u8>],
) -> Medians {
    println!("batches of {BATCH} NDJSON, {} connections, {:?} a turn", plan.batch_connections, plan.time);
    let (mut ratios, mut rates, mut produced_rates) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let base = produced(producer, plan.batch_connections, plan.time).await;
        let ours = answered(gateway, requests, plan.batch_connections, plan.time).await;
        assert_eq!(ours.failed, 0, "an answer was not 200");
        let rate = ours.rate * BATCH as f64;
        println!("  bare produce {base:>8.0}/s   gateway {rate:>8.0}/s   ratio {:.2}", rate / base);
        ratios.push(rate / base);
        rates.push(rate);
        produced_rates.push(base);
    }
    let ratio = median(ratios);
    println!("  median ratio {ratio:.2}");
    Medians::from([
        ("batch_ratio", ratio),
        ("batch_per_s", median(rates)),
        ("produce_per_s", median(produced_rates)),
    ])
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn start_gateway(cluster: &Cluster, stop: &CancellationToken) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut config = Config::new(cluster.clone());
    // Fair use is asked, and lets everything through.
    let enough = Rate::per_second(1_000_000, 1_000_000).ok();
    config.fair = Fair { per_user: enough, per_address: enough, per_room: enough, ..Fair::default() };
    config.network.exempt.clear();
    let gateway = Gateway::new(config, Hooks::default(), stop.clone());
    tokio::spawn(async move { gateway.serve(listener, None).await });
    address
}

/// The baseline: parses the same body, and answers at once.
async fn start_bare() -> SocketAddr {
    async fn react(Json(tap): Json<Tap>) -> Json<Answer> {
        std::hint::black_box(&tap);
        Json(Answer { id: "0199c7a5-8c3e-7000-8000-000000000000", partition: 0, offset: 1 })
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router: Router = Router::new().route("/v1/rooms/{room}/reactions", post(react));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn request(path: &str, kind: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

struct Speed {
    rate: f64,
    failed: u64,
    /// CPUs in use, by the load as well.
    cpus: f64,
}

impl Speed {
    /// CPU time of one request with its answer, on both ends, in µs: what other processes disturb least.
    fn cost_us(&self) -> f64 {
        self.cpus / self.rate * 1e6
    }
}

impl std::fmt::Display for Speed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:>7.0}/s ({:.2} CPUs, {:.1} µs each)", self.rate, self.cpus, self.cost_us())
    }
}

/// CPU time of this process so far.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap().into()
}

/// Sends the requests in turn over each connection, one after the answer to the other, and counts.
async fn answered(address: SocketAddr, requests: &[Vec<u8>], connections: usize, time: Duration) -> Speed {
    let (done, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (started, cpu_before) = (Instant::now(), cpu_time());
    let clients: Vec<_> = (0..connections)
        .map(|client| {
            let (requests, done, failed) = (requests.to_vec(), Arc::clone(&done), Arc::clone(&failed));
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let mut buffer = vec![0; 16 * 1024];
                for request in requests.iter().cycle().skip(client) {
                    if started.elapsed() >= time {
                        return;
                    }
                    stream.write_all(request).await.unwrap();
                    let is_ok = read_answer(&mut stream, &mut buffer).await;
                    done.fetch_add(1, Ordering::Relaxed);
                    failed.fetch_add(u64::from(!is_ok), Ordering::Relaxed);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    let (took, cpu) = (started.elapsed().as_secs_f64(), cpu_time().saturating_sub(cpu_before));
    Speed {
        rate: done.load(Ordering::Relaxed) as f64 / took,
        failed: failed.load(Ordering::Relaxed),
        cpus: cpu.as_secs_f64() / took,
    }
}

/// Reads one answer to its end; true if it is a 200 that took everything.
async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> bool {
    let mut filled = 0;
    loop {
        let count = stream.read(&mut buffer[filled..]).await.unwrap();
        assert!(count > 0, "the server hung up");
        filled += count;
        let text = &buffer[..filled];
        let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&text[..end]).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if filled == end + 4 + length.parse::<usize>().unwrap() {
            let body = &text[end + 4..];
            let is_whole = !body.starts_with(b"{\"accepted\"") || body.starts_with(b"{\"accepted\":100,");
            return head.starts_with("HTTP/1.1 200") && is_whole;
        }
    }
}

/// Bare produce: the records as the gateway would write them, by the producer that it uses.
async fn produced(producer: &Producer, tasks: usize, time: Duration) -> f64 {
    let records: Vec<_> = (0..BATCH)
        .map(|item| {
            let room = format!("room-{}", item % ROOMS);
            let event = format!(
                "{{\"id\":\"0199c7a5-8c3e-7000-8000-000000000000\",\"room\":\"{room}\",\"emoji\":\"🔥\",\"count\":3,\
                 \"user\":\"u1234567\",\"ts\":1795426840542}}"
            );
            (Some(room.into_bytes()), event.into_bytes())
        })
        .collect();
    let done = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let tasks: Vec<_> = (0..tasks)
        .map(|_| {
            let (producer, records, done) = (producer.clone(), records.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                while started.elapsed() < time {
                    let answers = producer.send_all(records.clone()).await;
                    let failed = answers.iter().find_map(|answer| answer.as_ref().err());
                    assert!(failed.is_none(), "a record was not stored: {failed:?}");
                    done.fetch_add(answers.len() as u64, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    done.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
}
