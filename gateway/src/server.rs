//! The accept loop: connections in, within bounds; an orderly end.
//!
//! axum's own `serve` has no header timeout, no limit on connections and no deadline for its drain.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;

/// Pause after a failed accept: the usual cause is that the process has no file left, and that takes time to mend.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` until `shutdown`, then lets what is under way end within `config.drain`; what is left then is ended
/// by `cut`. `tasks` also holds what outlives its connection: feeds.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    config: &Config,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
    cut: &CancellationToken,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout)
        .max_headers(config.headers_max)
        .max_buf_size(config.header_bytes_max.max(MIN_BUFFER_BYTES));
    let places = Arc::new(Semaphore::new(config.connections_max));

    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let (stream, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Answers and updates are small: without this they wait for the client's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "failed to set TCP_NODELAY");
        }
        let service = TowerToHyperService::new(router.clone());
        let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
        let (shutdown, cut) = (shutdown.clone(), cut.clone());
        tasks.spawn(async move {
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                ended = &mut connection => ended,
                () = shutdown.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        ended = &mut connection => ended,
                        () = cut.cancelled() => Ok(()),
                    }
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "connection ended early");
            }
            drop(place);
        });
    }

    drop(listener);
    tasks.close();
    if tokio::time::timeout(config.drain, tasks.wait()).await.is_err() {
        tracing::warn!(
            left = tasks.len(),
            drain_ms = config.drain.as_millis(),
            "failed to drain every connection in time"
        );
        cut.cancel();
    }
}

/// hyper refuses smaller buffers.
const MIN_BUFFER_BYTES: usize = 8 * 1024;

type Place = tokio::sync::OwnedSemaphorePermit;

/// The next connection, when there is a place for it.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> std::io::Result<(TcpStream, Place)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}
