//! The served gateway over plain sockets: its limits, and how it ends. No broker is needed for either.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ovation_client::Cluster;
use ovation_gateway::{Config, Error, Gateway, Hooks};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longest that a step of a test may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A served gateway whose broker is not there: port 1 refuses.
struct Served {
    address: SocketAddr,
    shutdown: CancellationToken,
    ended: JoinHandle<Result<(), Error>>,
}

async fn served(change: impl FnOnce(&mut Config)) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut config = Config::new(Cluster::new("127.0.0.1:1"));
    change(&mut config);
    let shutdown = CancellationToken::new();
    let gateway = Gateway::new(config, Hooks::default(), shutdown.clone());
    let ended = tokio::spawn(async move { gateway.serve(listener, None).await });
    Served { address, shutdown, ended }
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A client of a room's feed that has read the snapshot.
    async fn watch(&self) -> TcpStream {
        let mut stream = self.connect().await;
        let (head, mut rest) = exchange(&mut stream, UPGRADE).await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        if rest.is_empty() {
            rest = read_some(&mut stream).await;
        }
        assert_eq!(rest[0], 0x81, "a text frame");
        assert!(String::from_utf8_lossy(&rest).contains("snapshot"));
        stream
    }

    async fn end(self) -> Duration {
        let begin = Instant::now();
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.ended).await.unwrap().unwrap().unwrap();
        begin.elapsed()
    }
}

const UPGRADE: &str = "GET /v1/rooms/a/feed HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

async fn read_some(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = vec![0; 64 * 1024];
    let count = tokio::time::timeout(PATIENCE, stream.read(&mut bytes)).await.unwrap().unwrap_or(0);
    bytes.truncate(count);
    bytes
}

/// Sends a request; returns the answer's head and what came with it.
async fn exchange(stream: &mut TcpStream, request: &str) -> (String, Vec<u8>) {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    loop {
        let more = read_some(stream).await;
        answer.extend_from_slice(&more);
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let rest = answer.split_off(end + 4);
            return (String::from_utf8(answer).unwrap(), rest);
        }
        if more.is_empty() {
            return (String::from_utf8_lossy(&answer).into_owned(), Vec::new());
        }
    }
}

#[tokio::test]
async fn an_idle_gateway_ends_at_once_and_idle_connections_with_it() {
    let gateway = served(|_| {}).await;
    let mut idle = gateway.connect().await;
    let (head, _) = exchange(&mut idle, "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(gateway.end().await < Duration::from_secs(4), "nothing was to be waited for");
    assert!(read_some(&mut idle).await.is_empty(), "the connection is closed");
}

#[tokio::test]
async fn a_feed_is_closed_with_service_restart() {
    let gateway = served(|_| {}).await;
    let mut client = gateway.watch().await;
    gateway.shutdown.cancel();
    let mut frame = read_some(&mut client).await;
    // A ping may come first.
    if frame.starts_with(&[0x89, 0]) {
        frame.drain(..2);
        if frame.is_empty() {
            frame = read_some(&mut client).await;
        }
    }
    assert_eq!(frame[0], 0x88, "a close frame");
    assert_eq!(u16::from_be_bytes([frame[2], frame[3]]), 1012);
    assert_eq!(&frame[4..], b"reconnect elsewhere");
    drop(client);
    gateway.end().await;
}

#[tokio::test]
async fn a_client_that_does_not_go_is_cut_at_the_end_of_the_drain() {
    let gateway = served(|config| config.drain = Duration::from_millis(300)).await;
    let silent = gateway.watch().await;
    // A request that never ends.
    let mut slow = gateway.connect().await;
    slow.write_all(b"POST /v1/rooms/a/reactions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{").await.unwrap();
    assert!(gateway.end().await < Duration::from_secs(4));
    drop((silent, slow));
}

#[tokio::test]
async fn feed_clients_are_bounded() {
    let gateway = served(|config| config.clients_max = 1).await;
    let first = gateway.watch().await;
    let mut second = gateway.connect().await;
    let (head, body) = exchange(&mut second, UPGRADE).await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert!(head.contains("retry-after"), "{head}");
    assert!(String::from_utf8_lossy(&body).contains("urn:ovation:problem:too-many-clients"));
    drop(first);
    gateway.end().await;
}

#[tokio::test]
async fn a_feed_keeps_the_place_of_its_address() {
    let gateway = served(|config| {
        config.network.exempt.clear();
        config.connections.per_address_max = 1;
    })
    .await;
    let feed = gateway.watch().await;
    let mut second = gateway.connect().await;
    // Closed at once: whether the request got out is a matter of chance.
    let _ = second.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(read_some(&mut second).await.is_empty());
    drop(feed);
    let again = async {
        loop {
            let mut third = gateway.connect().await;
            let _ = third.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await;
            if read_some(&mut third).await.starts_with(b"HTTP/1.1 200") {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, again).await.unwrap();
    gateway.end().await;
}

#[tokio::test]
async fn a_feed_takes_no_place_among_the_connections() {
    let gateway = served(|config| config.connections.max = 1).await;
    let feeds = [gateway.watch().await, gateway.watch().await];
    let mut stream = gateway.connect().await;
    let (head, _) = exchange(&mut stream, "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    drop((feeds, stream));
    gateway.end().await;
}

#[tokio::test]
async fn heads_are_bounded_in_size_and_time() {
    let gateway = served(|config| config.connections.header_timeout = Duration::from_millis(200)).await;
    let mut large = gateway.connect().await;
    let request = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(64 * 1024));
    let (head, _) = exchange(&mut large, &request).await;
    assert!(head.starts_with("HTTP/1.1 431"), "{head}");
    let mut slow = gateway.connect().await;
    let (head, _) = exchange(&mut slow, "GET / HTTP/1.1\r\nhost:").await;
    assert!(head.is_empty() || head.starts_with("HTTP/1.1 408"), "{head}");
    gateway.end().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_a_408_and_one_that_is_too_large_a_413() {
    let gateway = served(|config| config.ingest.body_timeout = Duration::from_millis(200)).await;
    for (length, status) in [(10, "408"), (1_000_000, "413")] {
        let mut stream = gateway.connect().await;
        let request = format!(
            "POST /v1/rooms/a/reactions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{}",
            "x".repeat(20_000.min(length - 1)),
        );
        let (head, _) = exchange(&mut stream, &request).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
    }
    gateway.end().await;
}
