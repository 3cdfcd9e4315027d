//! Connections: a reader that takes one request after the other, and a writer behind a bounded queue.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Limits;
use crate::frame::{BadRequest, Request, read_request};
use crate::metrics::Metrics;

/// A dead peer is noticed after about two minutes.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// When no connection can be accepted (out of file descriptors): not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a port does with requests.
pub(crate) trait Service: Send + Sync + 'static {
    /// What belongs to one connection.
    type Session: Send;

    /// The largest request of this key, in bytes. None if there is no such request.
    fn request_bytes_max(&self, key: u16) -> Option<u32>;

    /// A connection begins.
    fn session(&self, outbox: Outbox) -> Self::Session;

    /// Answers a request. An error ends the connection.
    fn handle(
        &self,
        session: &mut Self::Session,
        request: Request,
    ) -> impl Future<Output = Result<(), Hangup>> + Send;
}

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Hangup {
    #[error(transparent)]
    BadRequest(#[from] BadRequest),
    #[error("the client does not take its responses")]
    Gone,
}

/// Where a connection's responses go.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    queue: mpsc::Sender<Outgoing>,
    ending: CancellationToken,
}

#[derive(Debug)]
struct Outgoing {
    frame: Bytes,
    /// Given back when the frame is written.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Outbox {
    /// Queues a frame; waits while the queue is full.
    pub(crate) async fn send(&self, frame: Bytes) -> Result<(), Hangup> {
        self.send_with(frame, None).await
    }

    /// Queues a frame that holds a permit until it is written.
    pub(crate) async fn send_with(
        &self,
        frame: Bytes,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<(), Hangup> {
        self.queue.send(Outgoing { frame, _permit: permit }).await.map_err(|_| Hangup::Gone)
    }

    /// Fires when the connection ends.
    pub(crate) fn ending(&self) -> &CancellationToken {
        &self.ending
    }
}

/// What all connections share.
#[derive(Clone)]
pub(crate) struct Connections {
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<Metrics>,
    /// Fires when the broker shuts down.
    pub(crate) stopping: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) slots: Arc<Semaphore>,
}

impl Connections {
    /// Accepts connections until the broker shuts down.
    pub(crate) async fn accept<S: Service>(self, listener: TcpListener, service: Arc<S>) {
        loop {
            let accepted = tokio::select! {
                () = self.stopping.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(error = %error, "accepting a connection failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            self.metrics.connections_accepted.inc();
            let Ok(slot) = self.slots.clone().try_acquire_owned() else {
                self.metrics.connections_refused.inc();
                tracing::warn!(%peer, connections.max = self.limits.connections_max, "too many connections");
                continue;
            };
            let connections = self.clone();
            let service = service.clone();
            self.tasks.spawn(async move {
                connections.serve(stream, peer, service).await;
                drop(slot);
            });
        }
    }

    async fn serve<S: Service>(&self, stream: TcpStream, peer: SocketAddr, service: Arc<S>) {
        if let Err(error) = prepare(&stream) {
            tracing::debug!(%peer, error = %error, "connection failed");
            return;
        }
        let (mut reader, writer) = stream.into_split();
        let ending = CancellationToken::new();
        let _ends = ending.clone().drop_guard();
        let (queue, frames) = mpsc::channel(self.limits.responses_queued_max);
        let written = tokio::spawn(write(writer, frames, ending.clone(), self.limits.stall_timeout));
        let outbox = Outbox { queue, ending: ending.clone() };
        let mut session = service.session(outbox.clone());
        let result = loop {
            let max = |key| service.request_bytes_max(key);
            let request = tokio::select! {
                biased;
                () = ending.cancelled() => break Err(Hangup::Gone),
                () = self.stopping.cancelled() => break Ok(()),
                request = read_request(&mut reader, max, self.limits.stall_timeout) => request,
            };
            match request {
                Ok(Some(request)) => {
                    if let Err(hangup) = service.handle(&mut session, request).await {
                        break Err(hangup);
                    }
                }
                Ok(None) => break Ok(()),
                Err(bad) => break Err(bad.into()),
            }
        };
        if let Err(hangup) = result {
            tracing::debug!(%peer, reason = %hangup, "connection ended");
        }
        // Streams and watches let go of the queue, then the writer has written the last of it.
        ending.cancel();
        drop((session, outbox));
        let _ = written.await;
    }
}

fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Writes frames until nobody sends any more, or the client takes nothing for too long.
async fn write(
    mut writer: OwnedWriteHalf,
    mut frames: mpsc::Receiver<Outgoing>,
    ending: CancellationToken,
    stall: Duration,
) {
    let _ends = ending.drop_guard();
    while let Some(outgoing) = frames.recv().await {
        let mut rest = &outgoing.frame[..];
        while !rest.is_empty() {
            match tokio::time::timeout(stall, writer.write(rest)).await {
                Ok(Ok(written)) if written > 0 => rest = &rest[written..],
                _ => return,
            }
        }
    }
    let _ = writer.shutdown().await;
}
