//! What an idle connection costs in memory, measured on a server process of its own.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![cfg(target_os = "linux")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ovation_client::Cluster;
use ovation_gateway::{Config, Gateway, Hooks};
use tokio_util::sync::CancellationToken;

/// Bytes of resident memory that an idle connection may cost.
const BYTES_MAX: usize = 6 * 1024;

/// Connections of the measurement. Each takes a file in either process.
const CONNECTIONS: usize = 10_000;

/// How long memory has to stay as it is before it counts as settled.
const SETTLED: Duration = Duration::from_secs(5);

/// The server process: this program again, running the test `serves_alone`.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "serves_alone", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = lines
            .find_map(|line| line.unwrap().rsplit_once("listens on ").map(|(_, address)| address.parse()));
        Self { process, address: address.unwrap().unwrap() }
    }

    /// Connections that have had an answer each and are kept. `together`: they have a second one, all at once.
    fn idle(&self, count: usize, together: bool) -> Vec<TcpStream> {
        let connect = || {
            let mut stream = TcpStream::connect(self.address).unwrap();
            ask(&mut stream);
            hear(&mut stream);
            stream
        };
        let mut streams: Vec<TcpStream> = (0..count).map(|_| connect()).collect();
        if together {
            streams.iter_mut().for_each(ask);
            streams.iter_mut().for_each(hear);
        }
        streams
    }

    /// Resident memory of the server, in bytes.
    fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().trim().parse::<usize>().unwrap() * 1024
    }

    /// Resident memory when it has stopped to change by more than a page for every hundredth connection.
    fn settled(&self) -> usize {
        let (mut last, mut since) = (self.resident(), Instant::now());
        while since.elapsed() < SETTLED {
            std::thread::sleep(Duration::from_millis(100));
            let now = self.resident();
            if now.abs_diff(last) > CONNECTIONS / 100 * 4096 {
                (last, since) = (now, Instant::now());
            }
        }
        self.resident()
    }
}

fn ask(stream: &mut TcpStream) {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
}

fn hear(stream: &mut TcpStream) {
    let (mut answer, mut buffer) = (Vec::new(), [0; 1024]);
    while !answer.ends_with(b"}") {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "closed: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&buffer[..count]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

#[test]
#[ignore = "the server process of the other test"]
fn serves_alone() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut out = std::io::stdout();
        writeln!(out, "listens on {}", listener.local_addr().unwrap()).unwrap();
        out.flush().unwrap();
        let shutdown = CancellationToken::new();
        let parent = shutdown.clone();
        // The end of the input is the end of the parent.
        std::thread::spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            parent.cancel();
        });
        let config = Config::new(Cluster::new("127.0.0.1:1"));
        Gateway::new(config, Hooks::default(), shutdown).serve(listener, None).await.unwrap();
    });
}

/// `cargo test -p ovation-gateway --test idle -- --ignored --nocapture idle_connections_are_small`
#[test]
#[ignore = "takes 20,000 files and half a minute"]
fn idle_connections_are_small() {
    for together in [false, true] {
        let server = Server::start();
        // What the first connections allocate is there for all: code that is paged in, threads, their heaps.
        let warm = server.idle(100, false);
        let before = server.settled();
        let idle = server.idle(CONNECTIONS, together);
        let after = server.settled();
        let each = after.saturating_sub(before) / CONNECTIONS;
        let mut out = std::io::stdout();
        let how = if together { "all at once" } else { "one after the other" };
        writeln!(out, "{CONNECTIONS} idle connections, {how}: {before} -> {after} bytes, {each} bytes each")
            .unwrap();
        drop((warm, idle));
        assert!(each < BYTES_MAX, "{each} bytes a connection, {how}");
    }
}
