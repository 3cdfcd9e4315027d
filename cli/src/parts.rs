//! The parts, built from the arguments.

use std::net::SocketAddr;
use std::path::Path;

use ovation_broker::Broker;
use ovation_client::Cluster;
use ovation_gateway::{Config, Gateway, Hooks};
use ovation_topology::{ApplyError, Change, Engine, EngineOptions, Topology};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::access_args::Entry;
use crate::args::{EmbeddedArgs, HttpArgs};
use crate::failure::Failure;
use crate::fair_args::FairUse;
use crate::files;
use crate::modules::Builtin;

/// Reads and checks a topology file.
pub(crate) fn topology(file: &Path) -> Result<Topology, Failure> {
    Ok(crate::topology::check(file)?.topology)
}

/// Reads a topology file.
pub(crate) fn topology_text(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| {
        let name = file.display();
        Failure::Invalid(format!("failed to read the topology {name}: {error}; name another with --topology"))
    })
}

/// Starts the embedded broker.
pub(crate) async fn broker(args: &EmbeddedArgs) -> Result<Broker, Failure> {
    let config = ovation_broker::Config {
        control: args.broker,
        spu: args.broker_spu,
        advertise: args.broker_advertise.clone(),
        fsync: args.fsync,
        ..ovation_broker::Config::new(&args.data)
    };
    Broker::start(config).await.map_err(|error| Failure::part("the broker", &error))
}

/// Checks that a broker answers, so that a wrong address is one sentence now and not a row of retries later.
pub(crate) async fn reachable(cluster: &Cluster) -> Result<(), Failure> {
    cluster.connect().await.map(drop).map_err(|error| Failure::Part(error_text(&error.to_string())))
}

/// Errors of the client read "failed to …" themselves.
pub(crate) fn error_text(text: &str) -> String {
    text.strip_prefix("failed to ").unwrap_or(text).to_owned()
}

/// Makes the broker look like the topology.
pub(crate) async fn apply(cluster: &Cluster, topology: &Topology) -> Result<Vec<Change>, Failure> {
    ovation_topology::apply(cluster, topology, &Builtin).await.map_err(apply_failure)
}

/// Why a topology cannot be had on a cluster.
pub(crate) fn apply_failure(error: ApplyError) -> Failure {
    match error {
        ApplyError::Refused(_) => Failure::Invalid(error.to_string()),
        _ => Failure::Part(error_text(&error.to_string())),
    }
}

/// What of a gateway is settled before anything is started: who may, what is fair, and its addresses.
pub(crate) struct Front {
    entry: Entry,
    fair: FairUse,
    /// The page's.
    public: TcpListener,
    /// The operators', if it is another one.
    admin: Option<TcpListener>,
}

impl Front {
    /// Settles the rest. Who may comes first of all: a gateway that anybody could use by accident says so before anything
    /// else is even read.
    pub(crate) async fn prepare(args: &HttpArgs, entry: Entry, topology: &Topology) -> Result<Self, Failure> {
        let fair = args.fair.fair_use(topology)?;
        let needed = args.connections.files();
        if let Err(allowed) = files::allow(needed) {
            info!(needed, allowed, "fewer files may be open than clients may come: those beyond will wait");
        }
        let public = listen(args.http, "the gateway", "--http").await?;
        let admin = match args.admin {
            Some(address) => Some(listen(address, "the admin address", "--admin").await?),
            None => None,
        };
        Ok(Self { entry, fair, public, admin })
    }

    /// Lines that say where it is.
    pub(crate) fn lines(&self) -> Result<Vec<String>, Failure> {
        let address = |listener: &TcpListener| {
            listener.local_addr().map_err(|error| Failure::part("the gateway", &error))
        };
        let mut lines = vec![format!("page      http://{}/", address(&self.public)?)];
        if let Some(admin) = &self.admin {
            lines.push(format!("admin     http://{}/", address(admin)?));
        }
        Ok(lines)
    }
}

/// Those who wait to be let in when a crowd comes at once: the system's own bound (`net.core.somaxconn`) is this on Linux.
const BACKLOG: u32 = 4_096;

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart does not wait for the old connections to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Binds an address that `option` names.
pub(crate) async fn listen(address: SocketAddr, what: &str, option: &str) -> Result<TcpListener, Failure> {
    bind(address).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            Failure::Part(format!("start {what}: {address} is in use; choose another with {option}"))
        }
        _ => Failure::part(what, &format_args!("cannot listen on {address}: {error}")),
    })
}

/// Serves health and metrics of a process without a gateway, in the background.
pub(crate) fn health(listener: TcpListener, cluster: Cluster, hooks: Hooks, stop: CancellationToken) {
    let config = Config::new(cluster);
    tokio::spawn(async move { ovation_gateway::serve_health(listener, &config, hooks, stop).await });
}

/// A gateway that serves, and how that ended.
pub(crate) struct Serving {
    pub(crate) gateway: Gateway,
    pub(crate) ended: JoinHandle<Result<(), ovation_gateway::Error>>,
}

/// Starts the gateway between the first stage's source and its sink.
pub(crate) fn gateway(
    args: &HttpArgs,
    front: Front,
    cluster: Cluster,
    topology: &Topology,
    hooks: Hooks,
    stop: CancellationToken,
) -> Result<Serving, Failure> {
    let stage = topology
        .stages
        .first()
        .ok_or_else(|| Failure::Invalid("the topology has no stage for the gateway to serve".to_owned()))?;
    let Front { entry, fair, public, admin } = front;
    let mut config = Config {
        operator_routes: admin.is_none() && args.http.ip().is_loopback(),
        events_topic: stage.source.clone(),
        aggregates_topic: stage.sink.clone(),
        moments_topic: args.moments_topic.clone().or_else(|| moments_of(&stage.source)),
        rejects_topic: stage.dead_letter.clone(),
        drain: args.drain,
        connections: args.connections.connections(),
        clients_max: args.connections.feed_clients_max,
        ingest: args.ingest.ingest(topology, stage)?,
        access: entry.access,
        network: entry.network,
        ..Config::new(cluster)
    };
    fair.configure(&mut config);
    let gateway = Gateway::new(config, hooks, stop);
    let served = gateway.clone();
    Ok(Serving { gateway, ended: tokio::spawn(async move { served.serve(public, admin).await }) })
}

/// The topic with moments that goes with a source: `emoji-moments` with `emoji-events`. A topology may get it later.
fn moments_of(source: &str) -> Option<String> {
    source.strip_suffix("-events").map(|prefix| format!("{prefix}-moments"))
}

/// Starts the engine.
pub(crate) fn engine(
    cluster: Cluster,
    topology: &Topology,
    options: &EngineOptions,
    stop: CancellationToken,
) -> Result<Engine, Failure> {
    Engine::start(cluster, topology, &Builtin, options, stop)
        .map_err(|error| Failure::Invalid(format!("failed to start the engine: {error}")))
}
