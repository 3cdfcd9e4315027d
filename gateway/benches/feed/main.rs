//! What does a delivery cost, and how late is it? The feed against a writer that does nothing else, and against nchan.
//!
//! `cargo bench -p ovation-gateway --bench feed` prints **deliveries per core-second of server time**: updates that reached a
//! client, for each second that the server's process was on a processor. The parts are processes of their own, this program
//! again with a `--role`, so that a server's time is its alone:
//!
//! - the parent holds the embedded broker, the producer of aggregate records, and one client of its own, which keeps what
//!   the gateway sends;
//! - `gateway` is a real gateway, which follows that broker, as `ovation run` would start it;
//! - `raw` is the floor: one thread that is given a message, and writes it as one frame to each of its sockets, one `write`
//!   each, with no queue, no timeout, no answer, and nothing that could go wrong. It writes the very bytes that the gateway
//!   has sent in the turn before;
//! - `nchan` (`--nchan`) is nginx with its publish/subscribe module, one worker, which gets the same messages by HTTP over a
//!   kept connection: `apt-get install --no-install-recommends nginx libnginx-mod-nchan`;
//! - `load` is the clients: one thread, one epoll, sockets that are read and counted. A turn counts only if each client
//!   has had each update, whole.
//!
//! Turns of the servers alternate, and each server's clients stay connected while it is another's turn. On loopback the
//! kernel does the receiver's part of TCP in the sender's system call: all servers pay it alike, and it is most of the floor.
//!
//! Other measurements, by flag:
//!
//! - `--latency`: the time from a record's acknowledgement to each client, and to the last one, at 5,000 clients;
//! - `--latency --stalled 0.1`: the same with and without a tenth of the clients that stop to read, side by side, and what memory it takes;
//! - `--idle 10000`: memory for each client that waits, in the gateway and in the kernel.
//!
//! `--rounds`, `--seconds` (of a turn), `--clients` and `--rate` (updates a second) change the size, `--json FILE` writes down the medians
//! of deliveries and memory; loopback only.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement may stop at the first surprise")]

mod broker;
mod cost;
mod crowd;
mod figures;
mod frame;
mod gateway;
mod idle;
mod latency;
mod load;
mod nchan;
mod plan;
mod probe;
mod process;
mod raw;
mod records;
mod server;

use self::plan::{Measure, Plan};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match plan::value(&args, "--role").as_deref() {
        Some("gateway") => gateway::role(&args),
        Some("raw") => raw::role(&args),
        Some("nchan") => nchan::role(&args),
        Some("load") => load::role(&args),
        Some(other) => panic!("no role is called {other}"),
        None => measure(&args),
    }
}

fn measure(args: &[String]) {
    let plan = Plan::from_args(args);
    plan.check_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match plan.measure {
            Measure::Cost => cost::measure(&plan).await,
            Measure::Latency => latency::measure(&plan).await,
            Measure::Idle(clients) => idle::measure(clients, plan.json.as_deref()).await,
        }
    });
}
