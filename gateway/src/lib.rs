//! The gateway: reactions in, updates out.
//!
//! - **Ingest** ([served](Gateway::serve) at `POST /v1/rooms/{room}/reactions` and on the feed's WebSocket) validates a reaction and
//!   answers when the broker has acknowledged it.
//! - The **hub** follows the aggregate topic once and knows every active room.
//! - The **feed** sends a room's updates to its clients, serialised once for all of them.
//! - The **page** at `/r/{room}` is a client of that feed, by `/ovation.js`, which other sites load too; `/docs` tells how.
//!
//! The gateway holds no state that matters: several of them serve the same rooms.
#![forbid(unsafe_code)]

mod accept;
mod access;
mod api;
mod asset;
mod config;
mod connections;
mod cursor;
mod fair;
mod feed;
mod follow;
mod form;
#[doc(hidden)]
pub mod fuzzing;
mod glob;
mod health;
mod history;
mod hub;
mod ingest;
mod metrics;
mod network;
mod observe;
mod operator;
mod page;
mod pipeline;
mod problem;
mod room;
mod rooms;
mod router;
mod server;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::cors::CorsLayer;

use crate::access::Access;
pub use crate::access::{
    AccessConfig, Action, KeysError, KeysFile, MintError, OriginError, OriginPattern, SigningKey,
    TokenClaims, new_keys,
};
pub use crate::config::Config;
pub use crate::connections::Connections;
use crate::fair::Buckets;
pub use crate::fair::{Fair, Rate, RateError};
use crate::feed::Crowds;
use crate::feed::metrics::FeedMetrics;
use crate::follow::standing::Standing;
use crate::follow::{Follower, Following};
pub use crate::health::{Hooks, Part};
pub use crate::history::History;
use crate::hub::Hub;
use crate::hub::moment::Moments;
pub use crate::ingest::Ingest;
use crate::ingest::Store;
use crate::metrics::Metrics;
pub use crate::network::Network;
use crate::observe::RequestIds;
use crate::pipeline::Pipeline;
pub use crate::pipeline::{StageStatus, TaskStatus};
use crate::rooms::RoomSettings;
pub use crate::rooms::{RoomRules, Rooms, RulesError};
use crate::server::{ConnectionCounts, Server};
pub use ovation_reaction::Rules;

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
    /// Who may what.
    pub(crate) access: Arc<Access>,
    /// What browsers are told of it.
    pub(crate) cors: CorsLayer,
    pub(crate) hub: Arc<Hub>,
    /// How far the hub is with reading its topic.
    pub(crate) standing: Arc<Standing>,
    /// The same for moments.
    pub(crate) moments: Arc<Standing>,
    pub(crate) store: Store,
    pub(crate) metrics: Metrics,
    pub(crate) feed_metrics: Arc<FeedMetrics>,
    /// What operators are told of the way of reactions.
    pub(crate) pipeline: Pipeline,
    pub(crate) request_ids: RequestIds,
    /// Places for bodies that are decompressed.
    pub(crate) decoders: Semaphore,
    /// What each room takes.
    pub(crate) rooms: Arc<RoomSettings>,
    /// Who has sent how much.
    pub(crate) buckets: Buckets,
    /// Places for feed clients.
    pub(crate) seats: Arc<Semaphore>,
    /// Feed clients of each room.
    pub(crate) crowds: Arc<Crowds>,
    /// Places for clients that resume from the topic.
    pub(crate) replays: Arc<Semaphore>,
    /// Places for requests that read history.
    pub(crate) histories: Arc<Semaphore>,
    /// Connections in numbers.
    pub(crate) connections: Arc<ConnectionCounts>,
    /// Connections and feeds, waited for at the end.
    pub(crate) tasks: TaskTracker,
    /// Asks all to end.
    pub(crate) shutdown: CancellationToken,
    /// Ends what the drain left.
    pub(crate) cut: CancellationToken,
}

impl App {
    fn new(config: Config, hooks: Hooks, shutdown: CancellationToken) -> Arc<Self> {
        let access = Access::new(&config.access);
        let rooms = Arc::new(RoomSettings::new(&config.rooms));
        let (hub, feed_metrics) = (Hub::new(&config, Arc::clone(&rooms)), Arc::<FeedMetrics>::default());
        Arc::new(Self {
            cors: access::cors_layer(&access),
            access,
            crowds: Crowds::new(Arc::clone(&hub), Arc::clone(&feed_metrics)),
            hub,
            standing: Arc::new(Standing::needed("hub", "aggregate")),
            moments: Arc::new(Standing::optional("moments", "moment", config.moments_topic.is_some())),
            store: Store::open(&config),
            metrics: Metrics::new(),
            feed_metrics,
            pipeline: Pipeline::new(config.rejects_topic.is_some()),
            request_ids: RequestIds::new(),
            decoders: Semaphore::new(config.ingest.decoders_max),
            rooms,
            buckets: Buckets::new(&config.fair, &config.network),
            seats: Arc::new(Semaphore::new(config.clients_max)),
            replays: Arc::new(Semaphore::new(config.replays_max)),
            histories: Arc::new(Semaphore::new(config.history.requests_max)),
            connections: Arc::default(),
            tasks: TaskTracker::new(),
            cut: CancellationToken::new(),
            config,
            hooks,
            shutdown,
        })
    }

    /// Starts to read all topics with numbered records.
    fn followers(&self) -> [Follower; 3] {
        let config = &self.config;
        let following = |topic: Option<&String>, tail_records| Following {
            cluster: config.cluster.clone(),
            topic: topic.cloned(),
            tail_records,
            early_max: config.early_results_max,
            gap_wait: config.gap_wait,
        };
        let results = following(Some(&config.aggregates_topic), config.tail_records);
        let moments = following(config.moments_topic.as_ref(), config.moments_tail_records);
        let rejects = following(config.rejects_topic.as_ref(), pipeline::LETTERS_TAIL);
        let Pipeline { rejects: letters, standing, .. } = &self.pipeline;
        [
            Follower::start(results, Arc::clone(&self.hub), Arc::clone(&self.standing)),
            Follower::start(moments, Arc::new(Moments(Arc::clone(&self.hub))), Arc::clone(&self.moments)),
            Follower::start(rejects, Arc::clone(letters), Arc::clone(standing)),
        ]
    }
}

/// A gateway. Cheap to clone: all clones are the same one.
#[derive(Clone)]
pub struct Gateway {
    app: Arc<App>,
}

impl Gateway {
    /// A gateway that begins to connect to its broker. The broker need not be there: until it is, `/readyz` and ingest answer 503.
    ///
    /// Needs a running tokio runtime.
    pub fn new(config: Config, hooks: Hooks, shutdown: CancellationToken) -> Self {
        Self { app: App::new(config, hooks, shutdown) }
    }

    /// What the gateway itself needs, part by part; what the process around it adds is left out.
    pub fn parts(&self) -> Vec<Part> {
        self.app.parts()
    }

    /// Waits until every part is ready, at most for `deadline`; whether it is so.
    pub async fn ready(&self, deadline: Duration) -> bool {
        let waiting = async {
            // What went wrong is in the parts.
            let _ = self.app.store.ready(deadline).await;
            self.app.standing.ready().await;
            self.app.rooms.ready().await;
            self.app.moments.ready().await;
        };
        let _ = tokio::time::timeout(deadline, waiting).await;
        self.parts().iter().all(|part| part.ready)
    }

    /// Serves on `listener`, and on `admin` what operators ask, until the shutdown, then drains: requests in flight are answered, feeds are closed
    /// with a code that says "reconnect elsewhere", all within `config.drain`. To be called once.
    ///
    /// # Errors
    ///
    /// [`Error::Listener`] when the listener has no address.
    pub async fn serve(&self, listener: TcpListener, admin: Option<TcpListener>) -> Result<(), Error> {
        let app = &self.app;
        let address = listener.local_addr()?;
        tracing::info!(%address, broker = app.config.cluster.endpoint(), "gateway listens");
        let followers = app.followers();
        tokio::spawn(pipeline::measure(Arc::clone(app)));
        tokio::spawn(Arc::clone(&app.access).follow_keys(app.shutdown.clone()));
        let cluster = app.config.cluster.clone();
        let rooms = rooms::follow::Follower::start(cluster, &app.config.rooms, Arc::clone(&app.rooms));
        let server = Server {
            config: &app.config,
            counts: &app.connections,
            tasks: &app.tasks,
            shutdown: &app.shutdown,
            cut: &app.cut,
        };
        let operators = async {
            if let Some(admin) = admin {
                server.serve(admin, operator::router(app)).await;
            }
        };
        tokio::join!(server.serve(listener, router::router(Arc::clone(app))), operators);
        for follower in followers {
            follower.stop().await;
        }
        rooms.stop().await;
        Ok(())
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Gateway").field("parts", &self.parts()).finish_non_exhaustive()
    }
}

/// Serves `/healthz`, `/readyz` and `/metrics` alone, for a process without a gateway, until `shutdown`. Of the configuration
/// only the bounds on connections count.
pub async fn serve_health(listener: TcpListener, config: &Config, hooks: Hooks, shutdown: CancellationToken) {
    let (tasks, cut) = (TaskTracker::new(), CancellationToken::new());
    let counts = Arc::default();
    let server = Server { config, counts: &counts, tasks: &tasks, shutdown: &shutdown, cut: &cut };
    server.serve(listener, health::router(hooks)).await;
}
