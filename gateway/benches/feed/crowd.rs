//! The clients, as the bench sees them.

use std::path::Path;
use std::time::Duration;

use super::process::Process;
use super::server::Server;

/// How many clients, and how they behave.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Size {
    /// Clients that read.
    pub(crate) readers: usize,
    /// Clients more that stop to read once they are connected.
    pub(crate) stalled: usize,
}

impl Size {
    /// Clients that all read.
    pub(crate) fn readers(readers: usize) -> Self {
        Self { readers, stalled: 0 }
    }
}

/// Clients of one server.
pub(crate) struct Crowd {
    process: Process,
    pub(crate) size: Size,
    /// Updates that each reader has had.
    updates: usize,
    /// Payload bytes that all readers have had.
    bytes: u64,
}

impl Crowd {
    /// Connects clients to `server`; returns when all are there.
    pub(crate) async fn connect(server: &Server, size: Size) -> Self {
        Self::start(server, size, &[]).await
    }

    /// The same, and the first `updates` are timed: when each reader has them, the times are in `file`.
    pub(crate) async fn connect_timed(server: &Server, size: Size, updates: usize, file: &Path) -> Self {
        let (updates, file) = (updates.to_string(), file.to_str().unwrap());
        Self::start(server, size, &[("--updates", &updates), ("--arrivals", file)]).await
    }

    async fn start(server: &Server, size: Size, more: &[(&str, &str)]) -> Self {
        let (address, readers, stalled) =
            (server.address().to_string(), size.readers.to_string(), size.stalled.to_string());
        let mut args = vec![
            ("--address", address.as_str()),
            ("--path", server.path()),
            ("--greeted", if server.greets() { "true" } else { "false" }),
            ("--clients", &readers),
            ("--stalled", &stalled),
        ];
        args.extend_from_slice(more);
        let mut process = Process::start("load", &args);
        process.heard("connected").await;
        Self { process, size, updates: 0, bytes: 0 }
    }

    /// Waits until each reader has had `updates` more; the payload bytes of these, of all readers together.
    pub(crate) async fn wait(&mut self, updates: usize) -> u64 {
        let before = self.bytes;
        let due = self.updates + updates;
        while self.updates < due {
            let heard = self.process.heard("all").await;
            let (number, bytes) = heard.split_once(' ').unwrap();
            (self.updates, self.bytes) = (number.parse().unwrap(), bytes.parse().unwrap());
        }
        self.bytes - before
    }

    /// Waits until the times are in the file.
    pub(crate) async fn written(&mut self) {
        self.process.heard("written").await;
    }

    /// Time of the clients on a processor so far.
    pub(crate) fn cpu(&self) -> Duration {
        self.process.cpu()
    }

    pub(crate) async fn end(self) {
        self.process.end().await;
    }
}
