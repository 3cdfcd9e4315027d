//! The parent's own client of the gateway: it keeps what comes, for the others to send.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::frame;
use super::process::PATIENCE;

/// Updates that may wait to be taken: a turn of the largest plan, which takes them when it ends.
const UPDATES_MAX: usize = 200_000;

/// Longest message: a snapshot of a full room has about 60 KB.
const MESSAGE_BYTES_MAX: u64 = 1024 * 1024;

/// A client that keeps updates.
pub(crate) struct Probe {
    updates: mpsc::Receiver<Vec<u8>>,
}

impl Probe {
    /// Connects, and returns when the first message is there.
    pub(crate) async fn connect(address: SocketAddr, path: &str) -> Self {
        let mut stream = BufReader::new(TcpStream::connect(address).await.unwrap());
        stream.write_all(frame::upgrade(address, path).as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while frame::opened(&answer).is_none() {
            answer.push(stream.read_u8().await.unwrap());
        }
        let (kind, _) = read(&mut stream).await.unwrap();
        assert_eq!(kind, 0x81, "no snapshot");
        let (sender, updates) = mpsc::channel(UPDATES_MAX);
        tokio::spawn(async move {
            while let Some((kind, payload)) = read(&mut stream).await {
                match kind {
                    0x81 => {
                        // An error says that nobody takes them any more.
                        let Ok(()) = sender.send(payload).await else { return };
                    }
                    0x89 => stream.write_all(&frame::pong(&payload)).await.unwrap(),
                    _ => return,
                }
            }
        });
        Self { updates }
    }

    /// The next `count` updates.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count {
            let update = tokio::time::timeout(PATIENCE, self.updates.recv()).await;
            taken.push(update.unwrap().expect("the gateway hung up"));
        }
        taken
    }
}

/// The next frame: its first byte, and its payload. None at the end.
async fn read(stream: &mut BufReader<TcpStream>) -> Option<(u8, Vec<u8>)> {
    let kind = stream.read_u8().await.ok()?;
    let length = match stream.read_u8().await.ok()? {
        126 => u64::from(stream.read_u16().await.ok()?),
        127 => stream.read_u64().await.ok()?,
        short => u64::from(short),
    };
    assert!(length <= MESSAGE_BYTES_MAX, "a message of {length} bytes");
    let mut payload = vec![0; usize::try_from(length).ok()?];
    stream.read_exact(&mut payload).await.ok()?;
    Some((kind, payload))
}
