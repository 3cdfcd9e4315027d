//! The gateway: reactions in, updates out.
//!
//! - **Ingest** ([`serve`]d at `POST /v1/rooms/{room}/reactions` and on the feed's WebSocket) validates a reaction and
//!   answers when the broker has acknowledged it.
//! - The **hub** follows the aggregate topic once and knows every active room.
//! - The **feed** sends a room's updates to its clients, serialised once for all of them.
//! - The **page** at `/r/{room}` is a client of that feed, by `/ovation.js`, which other sites load too; `/docs` tells how.
//!
//! The gateway holds no state that matters: several of them serve the same rooms.
#![forbid(unsafe_code)]

mod config;
mod cursor;
mod feed;
mod health;
mod hub;
mod ingest;
mod network;
mod page;
mod problem;
mod room;
mod router;
mod server;
#[cfg(test)]
mod wire;

use std::sync::Arc;

use ovation_client::{Producer, ProducerOptions};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use crate::config::Config;
pub use crate::health::{Hooks, Part};
use crate::hub::Hub;
use crate::hub::follow::{Follower, Standing};
pub use crate::network::Network;

/// Why the gateway could not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The listener is of no use.
    #[error("failed to serve HTTP: {0}")]
    Listener(#[from] std::io::Error),
}

/// What the handlers share.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) hooks: Hooks,
    pub(crate) hub: Arc<Hub>,
    /// How far the hub is with reading its topic.
    pub(crate) standing: Arc<Standing>,
    pub(crate) producer: Producer,
    /// Places for feed clients.
    pub(crate) seats: Arc<Semaphore>,
    /// Connections and feeds, waited for at the end.
    pub(crate) tasks: TaskTracker,
    /// Asks all to end.
    pub(crate) shutdown: CancellationToken,
    /// Ends what the drain left.
    pub(crate) cut: CancellationToken,
}

impl App {
    fn new(config: Config, hooks: Hooks, shutdown: CancellationToken) -> Arc<Self> {
        let options = ProducerOptions {
            linger: config.linger,
            deadline: config.produce_deadline,
            in_flight: config.in_flight_max,
            ..ProducerOptions::default()
        };
        Arc::new(Self {
            hub: Hub::new(&config),
            standing: Arc::default(),
            producer: Producer::open(config.cluster.clone(), &config.events_topic, options),
            seats: Arc::new(Semaphore::new(config.clients_max)),
            tasks: TaskTracker::new(),
            cut: CancellationToken::new(),
            config,
            hooks,
            shutdown,
        })
    }
}

/// Serves the gateway on `listener` until `shutdown`, then drains: requests in flight are answered, feeds are closed
/// with a code that says "reconnect elsewhere", all within `config.drain`.
///
/// The broker need not be there: until it is, `/readyz` and ingest answer 503.
///
/// # Errors
///
/// [`Error::Listener`] when the listener has no address.
pub async fn serve(
    listener: TcpListener,
    config: Config,
    hooks: Hooks,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let address = listener.local_addr()?;
    tracing::info!(%address, broker = config.cluster.endpoint(), "gateway listens");
    let app = App::new(config, hooks, shutdown);
    let follower = Follower::start(&app.config, Arc::clone(&app.hub), Arc::clone(&app.standing));
    let router = router::router(Arc::clone(&app));
    server::serve(listener, router, &app.config, &app.tasks, &app.shutdown, &app.cut).await;
    follower.stop().await;
    Ok(())
}

/// Serves `/healthz`, `/readyz` and `/metrics` alone, for a process without a gateway, until `shutdown`. Of the configuration
/// only the bounds on connections count.
pub async fn serve_health(listener: TcpListener, config: &Config, hooks: Hooks, shutdown: CancellationToken) {
    let (tasks, cut) = (TaskTracker::new(), CancellationToken::new());
    server::serve(listener, health::router(hooks), config, &tasks, &shutdown, &cut).await;
}
