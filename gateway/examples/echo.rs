//! A WebSocket server that answers each message with the same one, for a protocol conformance test (`e2e/autobahn.py`).
//!
//! The feed itself never answers a message with the same one, so it cannot be tested so. This takes the WebSocket that the feed is built on, with
//! room for the test's largest messages, and echoes.
//!
//! It says where it listens, and ends when its input does.

#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test's own server may stop at the first surprise"
)]

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::routing::get;
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
    let router = Router::new().route("/", get(upgrade));
    parent.run_until_cancelled(async { axum::serve(listener, router).await.unwrap() }).await;
}

async fn upgrade(upgrade: WebSocketUpgrade) -> axum::response::Response {
    upgrade.max_message_size(MESSAGE_BYTES_MAX).max_frame_size(MESSAGE_BYTES_MAX).on_upgrade(echo)
}

async fn echo(mut socket: WebSocket) {
    // Pings and closes are answered by the library while it reads.
    while let Some(Ok(message)) = socket.recv().await {
        let answer = match message {
            Message::Text(_) | Message::Binary(_) => socket.send(message).await,
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => Ok(()),
        };
        if answer.is_err() {
            return;
        }
    }
}
