//! From a record's acknowledgement to the clients of one large room.
//!
//! The raw writer is the floor here, too: its time begins when a message has been handed to it. The clients are one thread that reads one socket after
//! the other, which is part of every figure: a message has been at the last client's socket for a while before it is read.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::crowd::{Crowd, Size};
use super::figures::{grouped, load_average, median, megabytes, quantile};
use super::plan::Plan;
use super::process::resident;
use super::server::Server;

/// What it should take to the last client, in ms.
const LAST_AIM_MS: f64 = 50.0;

/// How much worse the others' p99 may be when some stop to read.
const STALLED_AIM: f64 = 1.2;

/// Updates before the first that is timed: the first ones find nothing in any cache.
const WARM_UP_UPDATES: usize = 10;

/// Between looks at the gateway's memory.
const MEMORY_INTERVAL: Duration = Duration::from_millis(100);

/// Shares of the distribution that are printed.
const SHARES: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// What a turn showed, in ms, sorted.
struct Latencies {
    /// Each update at each client.
    each: Vec<f64>,
    /// Each update at the client that had it last.
    last: Vec<f64>,
}

/// The gateway's memory around a turn, in bytes.
struct Memory {
    before: usize,
    highest: usize,
    after: usize,
}

pub(crate) async fn measure(plan: &Plan) {
    let stalled = (plan.clients as f64 * plan.stalled.unwrap_or(0.0)) as usize;
    let readers = Size::readers(plan.clients - stalled);
    let mut gateway = Server::gateway().await;
    let mut messages = Vec::new();
    println!(
        "from a record's acknowledgement to its clients: {} of one room, {} updates/s, {:?} a turn",
        grouped(plan.clients as f64),
        plan.rate,
        plan.time
    );
    println!("load average at the start: {}", load_average());
    println!("  ms {:>34}{}", "", SHARES.map(|(name, _)| format!("{name:>9}")).concat());
    let mut ratios = Vec::new();
    for _ in 0..plan.rounds {
        let (all, memory) = turn(plan, &mut gateway, readers, &mut messages).await;
        if stalled == 0 {
            print("gateway", &all);
            let mut raw = Server::raw(readers.readers).await;
            let (floor, _) = turn(plan, &mut raw, readers, &mut messages).await;
            print("raw", &floor);
            raw.end().await;
            ratios.push(quantile(&all.last, 0.99));
            continue;
        }
        print("all read", &all);
        print_memory(&memory);
        let size = Size { stalled, ..readers };
        let (others, memory) = turn(plan, &mut gateway, size, &mut messages).await;
        print(&format!("{} more do not", grouped(stalled as f64)), &others);
        print_memory(&memory);
        let ratio = quantile(&others.each, 0.99) / quantile(&all.each, 0.99);
        println!("  the others' p99 is {ratio:.2} of what it was");
        ratios.push(ratio);
    }
    match stalled {
        0 => println!("median p99 of the last client {:.1} ms (aim: below {LAST_AIM_MS} ms)", median(ratios)),
        _ => println!("median ratio of the others' p99 {:.2} (aim: at most {STALLED_AIM})", median(ratios)),
    }
    gateway.end().await;
}

/// One turn of `server` with clients of its own.
async fn turn(
    plan: &Plan,
    server: &mut Server,
    size: Size,
    messages: &mut Vec<Vec<u8>>,
) -> (Latencies, Memory) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("arrivals");
    let updates = WARM_UP_UPDATES + plan.updates();
    let mut crowd = Crowd::connect_timed(server, size, updates, &file).await;
    server.process.quiet().await;
    let before = server.process.resident();
    let highest = Arc::new(AtomicUsize::new(before));
    let id = server.process.id();
    let watching = tokio::spawn({
        let highest = Arc::clone(&highest);
        async move {
            loop {
                highest.fetch_max(resident(id), Ordering::Relaxed);
                tokio::time::sleep(MEMORY_INTERVAL).await;
            }
        }
    });
    let turn = server.turn(&mut crowd, updates, plan.rate, messages).await;
    watching.abort();
    crowd.written().await;
    crowd.end().await;
    server.process.quiet().await;
    let memory =
        Memory { before, highest: highest.load(Ordering::Relaxed), after: server.process.resident() };
    (latencies(&file, size.readers, &turn.acknowledged), memory)
}

/// The times in `file`, reckoned from the acknowledgements.
fn latencies(file: &Path, readers: usize, acknowledged: &[u64]) -> Latencies {
    let bytes = std::fs::read(file).unwrap();
    let (times, rest) = bytes.as_chunks::<8>();
    assert!(rest.is_empty() && times.len() == readers * acknowledged.len(), "not all arrivals are there");
    let times: Vec<u64> = times.iter().map(|time| u64::from_le_bytes(*time)).collect();
    let (mut each, mut last) = (Vec::with_capacity(times.len()), Vec::with_capacity(acknowledged.len()));
    for (times, since) in times.chunks(readers).zip(acknowledged).skip(WARM_UP_UPDATES) {
        // A client may be served before the producer has heard of the acknowledgement: then it took less than nothing.
        let ms = |time: &u64| (*time as f64 - *since as f64) / 1e6;
        each.extend(times.iter().map(ms));
        last.extend(times.iter().max().map(ms));
    }
    each.sort_by(f64::total_cmp);
    last.sort_by(f64::total_cmp);
    Latencies { each, last }
}

fn print(name: &str, latencies: &Latencies) {
    for (what, values) in [("each client", &latencies.each), ("the last client", &latencies.last)] {
        let figures = SHARES.map(|(_, share)| format!("{:>9.2}", quantile(values, share))).concat();
        println!("  {name:<18} {what:<18}{figures}");
    }
}

fn print_memory(memory: &Memory) {
    let [before, highest, after] = [memory.before, memory.highest, memory.after].map(megabytes);
    println!("  {:<18} the gateway's memory: {before} before, {highest} at most, {after} after", "");
}
