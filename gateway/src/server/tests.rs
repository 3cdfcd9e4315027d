//! The accept loop over real sockets, with routes of its own and its counters in view.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::routing::{get, post};
use ovation_client::Cluster;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use super::*;

mod http2;
mod parking;
mod places;

/// Longest that a step of a test may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// More than the system's socket buffers take, on both sides.
const LARGE: usize = 64 * 1024 * 1024;

/// A served router; its counters tell what cannot be seen from outside.
struct Served {
    address: SocketAddr,
    counts: Arc<ConnectionCounts>,
    shutdown: CancellationToken,
    ended: JoinHandle<()>,
}

impl Served {
    async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let mut config = Config::new(Cluster::new("127.0.0.1:1"));
        change(&mut config);
        let (counts, shutdown) = (Arc::<ConnectionCounts>::default(), CancellationToken::new());
        let (shared, stop) = (Arc::clone(&counts), shutdown.clone());
        let ended = tokio::spawn(async move {
            let (tasks, cut) = (TaskTracker::new(), CancellationToken::new());
            let server =
                Server { config: &config, counts: &shared, tasks: &tasks, shutdown: &stop, cut: &cut };
            server.serve(listener, router()).await;
        });
        Self { address, counts, shutdown, ended }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    /// A connection from another address of this machine.
    async fn connect_from(&self, address: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket
            .bind(SocketAddr::new(address.parse().expect("an address"), 0))
            .expect("an address of this machine");
        socket.connect(self.address).await.expect("a connection")
    }

    /// A connection that has had its first answer.
    async fn known(&self) -> TcpStream {
        let mut stream = self.connect().await;
        assert_eq!(ask(&mut stream, "/peer").await, "127.0.0.1");
        stream
    }

    /// Waits until a counter is where it should be.
    async fn until(&self, counter: fn(&ConnectionCounts) -> &AtomicU64, value: u64) {
        let reached = async {
            while counter(&self.counts).load(Ordering::Relaxed) != value {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        assert!(reached.is_ok(), "{:?}, and not {value}", self.counts);
    }

    async fn parked(&self, count: u64) {
        self.until(|counts| &counts.parked, count).await;
    }

    async fn end(self) -> Duration {
        let begin = std::time::Instant::now();
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.ended).await.expect("an end").expect("no panic");
        for gauge in [&self.counts.open, &self.counts.parked] {
            assert_eq!(gauge.load(Ordering::Relaxed), 0, "{:?}", self.counts);
        }
        begin.elapsed()
    }
}

fn router() -> Router {
    Router::new()
        .route("/peer", get(async |Extension(Peer(peer)): Extension<Peer>| peer.ip().to_string()))
        .route("/echo", post(async |body: String| body))
        // Answers without a look at the body.
        .route("/deaf", post(async |_: Body| "what?"))
        .route("/large", get(async || vec![b'x'; LARGE]))
        .route("/some", get(async || vec![b'x'; 50 * 1024]))
        .route("/never", get(std::future::pending::<()>))
}

async fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.expect("sent");
}

async fn ask(stream: &mut TcpStream, path: &str) -> String {
    send(stream, &format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
    answer(stream).await.expect("an answer")
}

/// The next answer's body; none at the end of the stream. The answer has to have a length.
async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let read = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).expect("text");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let mut body = vec![0; length.parse().expect("a number")];
        stream.read_exact(&mut body).await.expect("a body");
        Some(String::from_utf8(body).expect("text"))
    };
    tokio::time::timeout(PATIENCE, read).await.expect("an answer in time")
}

/// Whether the server has closed the connection, after what it still sent.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.is_ok()
}

#[tokio::test]
async fn who_does_not_read_is_cut() {
    let served = Served::start(|config| config.connections.write_timeout = Duration::from_millis(300)).await;
    let mut stream = served.connect().await;
    send(&mut stream, "GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await;
    served.until(|counts| &counts.write_timeouts, 1).await;
    served.until(|counts| &counts.open, 0).await;
    let mut rest = Vec::new();
    let read = stream.read_to_end(&mut rest).await;
    assert!(read.is_err() || rest.len() < LARGE, "the rest is not sent");
    served.end().await;
}

/// Half a megabyte would fit into the kernel's buffer, and the server would take it for read.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_kernel_does_not_hide_who_does_not_read() {
    let served = Served::start(|config| config.connections.write_timeout = Duration::from_millis(300)).await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4 * 1024).expect("a small window");
    let mut stream = socket.connect(served.address).await.expect("a connection");
    send(&mut stream, &"GET /some HTTP/1.1\r\nhost: a\r\n\r\n".repeat(10)).await;
    served.until(|counts| &counts.write_timeouts, 1).await;
    served.until(|counts| &counts.open, 0).await;
    served.end().await;
}

#[tokio::test]
async fn who_reads_slowly_gets_all() {
    let served = Served::start(|config| config.connections.write_timeout = Duration::from_secs(2)).await;
    let mut stream = served.connect().await;
    send(&mut stream, "GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let begin = std::time::Instant::now();
    let mut piece = vec![0; 1024 * 1024];
    // Longer than the timeout in all, and never that long without a byte.
    while begin.elapsed() < Duration::from_secs(4) {
        stream.read_exact(&mut piece[..64 * 1024]).await.expect("a piece");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let read = tokio::time::timeout(PATIENCE, async {
        let mut left = LARGE - 64 * 1024 * 35;
        while left > piece.len() {
            left -= stream.read(&mut piece).await.expect("more");
        }
    });
    read.await.expect("the rest");
    assert_eq!(served.counts.write_timeouts.load(Ordering::Relaxed), 0);
    drop(stream);
    served.end().await;
}

#[tokio::test]
async fn heads_have_to_come() {
    let served = Served::start(|config| config.connections.header_timeout = Duration::from_millis(300)).await;
    for (count, begin) in
        (1..).zip(["", "G", "GET / HTTP/1.1\r\nhost:", "PRI * HTTP/2.0\r\n", "POST /echo HTTP/1.1\r\n"])
    {
        let mut stream = served.connect().await;
        send(&mut stream, begin).await;
        assert!(is_closed(&mut stream).await, "{begin:?}");
        served.until(|counts| &counts.header_timeouts, count).await;
    }
    // One that trickles is no better.
    let (mut reading, mut writing) = served.connect().await.into_split();
    let trickle = tokio::spawn(async move {
        let head = format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(10_000));
        for byte in head.bytes() {
            if writing.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let closed = tokio::time::timeout(PATIENCE, reading.read_to_end(&mut Vec::new())).await;
    assert!(closed.is_ok());
    served.until(|counts| &counts.header_timeouts, 6).await;
    trickle.abort();
    served.end().await;
}
