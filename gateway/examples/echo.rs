//! A WebSocket server that answers each message with the same one, for a protocol conformance test (`e2e/autobahn.py`).
//!
//! The feed itself never answers a message with the same one, so it cannot be tested so. This takes the feed's own handshake, frames and sockets,
//! with room for the test's largest messages, and echoes.
//!
//! It says where it listens, and ends when its input does.

#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test's own server may stop at the first surprise"
)]

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The test's largest message has 16 MiB.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

#[tokio::main]
async fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("listens on {}", listener.local_addr().unwrap());
    let parent = CancellationToken::new();
    let gone = parent.clone();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        gone.cancel();
    });
    ovation_gateway::fuzzing::echo(listener, MESSAGE_BYTES_MAX, parent).await;
}
