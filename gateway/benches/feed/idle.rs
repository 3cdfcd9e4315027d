//! What a client costs in memory that waits for updates which do not come.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::crowd::{Crowd, Size};
use super::figures::{grouped, megabytes, write};
use super::process::Process;
use super::server::Server;

/// What a client should cost the gateway, in bytes.
const AIM_BYTES: usize = 6 * 1024;

/// Clients that are there before: what the first ones allocate is there for all.
const WARM_CLIENTS: usize = 100;

/// How long memory has to stay as it is before it counts as settled.
const SETTLED: Duration = Duration::from_secs(5);

/// From ping to ping, by the gateway's default, and a little more.
const PINGED: Duration = Duration::from_secs(22);

/// Between looks at the gateway's memory.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// What a page of memory has, in bytes.
const PAGE_BYTES: usize = 4096;

/// The kernel's objects that a connection consists of, as `/proc/slabinfo` names them.
const SOCKET_OBJECTS: [&str; 5] = ["TCP", "sock_inode_cache", "filp", "eventpoll_epi", "eventpoll_pwq"];

/// Memory of all sockets of this machine, in bytes.
struct Kernel {
    /// Objects, if they can be seen, as root alone can.
    objects: Option<usize>,
    /// Buffers.
    buffers: usize,
    /// All that the kernel cannot give back, whatever it is for.
    unreclaimable: usize,
}

pub(crate) async fn measure(clients: usize, json: Option<&str>) {
    let gateway = Server::gateway().await;
    let warm = Crowd::connect(&gateway, Size::readers(WARM_CLIENTS)).await;
    let (before, kernel_before) = (settled(&gateway.process, clients).await, Kernel::now());
    let crowd = Crowd::connect(&gateway, Size::readers(clients)).await;
    let fresh = settled(&gateway.process, clients).await;
    // Now each has been pinged, and has answered.
    tokio::time::sleep(PINGED).await;
    let (pinged, kernel) = (settled(&gateway.process, clients).await, Kernel::now());
    println!("{} idle clients, of one room, one WebSocket each", grouped(clients as f64));
    for (when, after) in [("connected", fresh), ("pinged once", pinged)] {
        println!(
            "  gateway, {when:<12} {} -> {} resident: {} bytes a client (aim: {})",
            megabytes(before),
            megabytes(after),
            grouped(after.saturating_sub(before) as f64 / clients as f64),
            grouped(AIM_BYTES as f64)
        );
    }
    let each = pinged.saturating_sub(before) as f64 / clients as f64;
    write(json, &BTreeMap::from([("bytes_a_client".to_owned(), each)]));
    kernel.print(&kernel_before, clients);
    crowd.end().await;
    let left = settled(&gateway.process, clients).await;
    println!("  gateway, when they are gone: {} resident", megabytes(left));
    warm.end().await;
    gateway.end().await;
}

/// Resident memory when it has stopped to change by more than a page for every hundredth client.
async fn settled(process: &Process, clients: usize) -> usize {
    let (mut last, mut since) = (process.resident(), Instant::now());
    while since.elapsed() < SETTLED {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let now = process.resident();
        if now.abs_diff(last) > clients / 100 * PAGE_BYTES {
            (last, since) = (now, Instant::now());
        }
    }
    process.resident()
}

impl Kernel {
    fn now() -> Self {
        let of = |file: &str, line: &str, word: usize| -> usize {
            let text = std::fs::read_to_string(file).unwrap();
            let line = text.lines().find(|candidate| candidate.starts_with(line)).unwrap();
            line.split_whitespace().nth(word).unwrap().parse().unwrap()
        };
        let objects = std::fs::read_to_string("/proc/slabinfo").ok().map(|text| {
            let sizes = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            let sizes = sizes.filter(|words| SOCKET_OBJECTS.contains(&words[0]));
            sizes.map(|words| words[2].parse::<usize>().unwrap() * words[3].parse::<usize>().unwrap()).sum()
        });
        Self {
            objects,
            buffers: of("/proc/net/sockstat", "TCP:", 10) * PAGE_BYTES,
            unreclaimable: of("/proc/meminfo", "SUnreclaim:", 1) * 1024,
        }
    }

    fn print(&self, before: &Self, clients: usize) {
        let each = |after: usize, before: usize| grouped((after as f64 - before as f64) / clients as f64);
        println!("  kernel, both ends of each connection, bytes a client:");
        match (self.objects, before.objects) {
            (Some(after), Some(before)) => {
                println!("    objects ({}): {}", SOCKET_OBJECTS.join(", "), each(after, before));
            }
            _ => println!("    objects: /proc/slabinfo is for root alone"),
        }
        println!("    buffers (TCP mem of /proc/net/sockstat): {}", each(self.buffers, before.buffers));
        let unreclaimable = each(self.unreclaimable, before.unreclaimable);
        println!(
            "    all that it cannot give back, of the whole machine (SUnreclaim of /proc/meminfo): {unreclaimable}"
        );
    }
}
