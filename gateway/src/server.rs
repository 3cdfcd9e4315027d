//! The accept loop: connections in, within bounds; an orderly end.
//!
//! axum's own `serve` has no header timeout, no limit on connections and no deadline for its drain.

mod activity;
mod addresses;
mod connection;
mod counts;
pub(crate) mod fuzzing;
mod preface;
mod room;
mod service;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioTimer;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::activity::Activity;
use self::addresses::Addresses;
use self::connection::Connection;
pub(crate) use self::counts::ConnectionCounts;
use self::counts::{Counted, count};
use self::room::Room;
pub(crate) use self::wire::Wire;
use crate::config::Config;
use crate::connections::Connections;
use crate::network::Peer;

/// Pause after a failed accept: the usual cause is that the process has no file left, and that takes time to mend.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// hyper refuses smaller buffers.
const MIN_BUFFER_BYTES: usize = 8 * 1024;

/// What a listener is served with.
pub(crate) struct Server<'a> {
    pub(crate) config: &'a Config,
    pub(crate) counts: &'a Arc<ConnectionCounts>,
    /// Connections, and what outlives them: feeds.
    pub(crate) tasks: &'a TaskTracker,
    /// Asks all to end.
    pub(crate) shutdown: &'a CancellationToken,
    /// Ends what the drain left.
    pub(crate) cut: &'a CancellationToken,
}

/// What the connections of a listener share.
pub(crate) struct Shared {
    http1: http1::Builder,
    http2: http2::Builder<Streams>,
    router: Router,
    limits: Connections,
    counts: Arc<ConnectionCounts>,
    room: Room,
    shutdown: CancellationToken,
    cut: CancellationToken,
}

impl Server<'_> {
    /// Serves `router` until the shutdown, then lets what is under way end within `config.drain`; what is left then is
    /// cut.
    pub(crate) async fn serve(&self, listener: TcpListener, router: Router) {
        let limits = self.config.connections;
        let addresses = Addresses::new(limits.per_address_max);
        let shared = Arc::new(Shared {
            http1: http1(&limits),
            http2: http2(&limits, Streams { tasks: self.tasks.clone(), cut: self.cut.clone() }),
            router,
            limits,
            counts: Arc::clone(self.counts),
            room: Room::new(limits.max),
            shutdown: self.shutdown.clone(),
            cut: self.cut.clone(),
        });
        self.shutdown.run_until_cancelled(self.accept(&listener, &shared, &addresses)).await;
        drop(listener);
        self.drain().await;
    }

    async fn accept(&self, listener: &TcpListener, shared: &Arc<Shared>, addresses: &Arc<Addresses>) {
        loop {
            let (stream, address) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            count(&self.counts.accepted);
            let Ok(address_place) = addresses.place(&self.config.network, address.ip()) else {
                count(&self.counts.refused_per_address);
                continue;
            };
            let Some(place) = shared.room.place().await else { return };
            // Answers and updates are small: without this they wait for the client's delayed acknowledgement.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "failed to set TCP_NODELAY");
            }
            if let Err(error) = bound_unsent(&stream, shared.limits.unsent_bytes_max) {
                tracing::debug!(%error, "failed to bound what the kernel holds of answers");
            }
            let activity = Activity::begin();
            let wire = Wire::new(stream, Arc::clone(&activity), address_place);
            let connection = Connection {
                shared: Arc::clone(shared),
                activity,
                peer: Peer(address),
                _place: place,
                _open: Counted::new(self.counts, |counts| &counts.open),
            };
            self.tasks.spawn(connection.run(wire));
        }
    }

    async fn drain(&self) {
        self.tasks.close();
        if tokio::time::timeout(self.config.drain, self.tasks.wait()).await.is_err() {
            tracing::warn!(
                left = self.tasks.len(),
                drain_ms = self.config.drain.as_millis(),
                "failed to drain every connection in time"
            );
            self.cut.cancel();
        }
    }
}

/// Bounds what the kernel takes of answers that a client does not read yet, where the kernel can do that.
#[cfg(any(target_os = "android", target_os = "linux"))]
fn bound_unsent(stream: &TcpStream, bytes_max: u32) -> std::io::Result<()> {
    socket2::SockRef::from(stream).set_tcp_notsent_lowat(bytes_max)
}

/// Elsewhere the kernel's own bounds hold.
#[cfg(not(any(target_os = "android", target_os = "linux")))]
fn bound_unsent(_: &TcpStream, _: u32) -> std::io::Result<()> {
    Ok(())
}

/// Heads are timed by the connection itself, which knows an idle one from a slow one.
fn http1(limits: &Connections) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.header_read_timeout(None)
        .max_headers(limits.headers_max)
        .max_header_size(limits.header_bytes_max)
        .max_buf_size(limits.header_bytes_max.max(MIN_BUFFER_BYTES));
    http
}

fn http2(limits: &Connections, streams: Streams) -> http2::Builder<Streams> {
    let mut http = http2::Builder::new(streams);
    http.timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_max)
        .max_pending_accept_reset_streams(limits.resets_max)
        .max_local_error_reset_streams(limits.resets_max)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
        .initial_stream_window_size(limits.stream_window_bytes)
        .initial_connection_window_size(limits.connection_window_bytes)
        .max_send_buf_size(limits.stream_send_bytes_max)
        .max_frame_size(limits.frame_bytes_max)
        .keep_alive_interval(limits.ping_interval)
        .keep_alive_timeout(limits.ping_timeout);
    http
}

/// Runs the requests of HTTP/2 connections: each is a task, which the drain waits for like for a connection.
#[derive(Clone)]
struct Streams {
    tasks: TaskTracker,
    cut: CancellationToken,
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let cut = self.cut.clone();
        self.tasks.spawn(async move {
            cut.run_until_cancelled(stream).await;
        });
    }
}

#[cfg(test)]
mod tests;
