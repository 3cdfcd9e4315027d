//! The echo that `e2e/autobahn.py` tests: `cargo run --example echo -p ovation-gateway`. It says its address, and ends when its input does.

#![expect(clippy::print_stdout, reason = "who starts it reads where it listens")]

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Autobahn's largest message is 16 MiB.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("ws://{}/", listener.local_addr()?);
    let shutdown = CancellationToken::new();
    let ended = shutdown.clone();
    tokio::spawn(async move {
        let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
        ended.cancel();
    });
    ovation_gateway::fuzzing::echo(listener, MESSAGE_BYTES_MAX, shutdown).await;
    Ok(())
}
