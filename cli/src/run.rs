//! The commands, each a story: build the parts, say where they are, wait for the end, drain.

use std::sync::Arc;
use std::time::Duration;

use ovation_broker::{Broker, Numbers};
use ovation_client::Cluster;
use ovation_gateway::{Gateway, Hooks, Part};
use ovation_topology::{Action, Change, Engine, EngineOptions, Kind, TaskState};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::args::{BrokerArgs, EngineArgs, GatewayArgs, RunArgs, TopologyCommand};
use crate::failure::Failure;
use crate::flow::Flow;
use crate::parts::Front;
use crate::watch::{Live, Served};
use crate::{metrics, parts, reset, say, signals, testing, watch};

/// How long a start waits for its stages before it says that they are still behind.
const READY_WAIT: Duration = Duration::from_secs(30);
/// How long a start waits for its gateway to have read what it needs. Mostly that takes milliseconds; where the topics are still to
/// be made by somebody else, it answers 503 until then.
const GATEWAY_WAIT: Duration = Duration::from_secs(5);
/// How long the engine may take to finish the batch in flight.
const ENGINE_DRAIN: Duration = Duration::from_secs(5);

/// `ovation run`.
pub(crate) async fn run(args: RunArgs) -> Result<(), Failure> {
    let entry = args.http.access.entry(args.http.http)?;
    let (topology, watch) = watch::open(&args.topology.topology)?;
    let front = Front::prepare(&args.http, entry, &topology).await?;
    let lines = front.lines()?;
    let stop = signals::stop_token()?;

    let (broker, cluster) = match &args.cluster {
        Some(endpoint) => (None, Cluster::new(endpoint)),
        None => {
            let broker = parts::broker(&args.embedded).await?;
            let cluster = Cluster::new(broker.control_addr().to_string());
            (Some(broker), cluster)
        }
    };
    parts::reachable(&cluster).await?;
    say_broker(broker.as_ref(), &cluster);
    let applied = parts::apply(&cluster, &topology).await?;
    say_applied(&topology.name, &applied);

    // The engine outlives the gateway, so that what the gateway acknowledged last is still counted on the way out.
    let engine_stop = CancellationToken::new();
    let engine =
        Arc::new(parts::engine(cluster.clone(), &topology, &EngineOptions::default(), engine_stop.clone())?);
    let flow = Flow::of(&topology);
    let hooks = engine_hooks(&engine, &flow, broker.as_ref().map(Broker::numbers));
    let mut serving = parts::gateway(&args.http, front, cluster.clone(), &topology, hooks, stop.clone())?;

    wait_ready(&engine, &stop).await;
    wait_gateway(&serving.gateway, &stop).await;
    lines.iter().for_each(say::line);
    say::line("ready     Ctrl-C stops");
    if !args.reload.no_reload {
        let live = Live { cluster, engine: Arc::clone(&engine), served: Served::of(&topology), flow };
        tokio::spawn(watch.run(live, stop.clone()));
    }

    let served = tokio::select! {
        () = stop.cancelled() => serving.ended.await,
        ended = &mut serving.ended => ended,
    };
    engine_stop.cancel();
    drain_engine(&engine).await;
    if let Some(broker) = broker {
        broker.shutdown().await;
    }
    gateway_outcome(served)
}

/// `ovation broker`.
pub(crate) async fn broker(args: BrokerArgs) -> Result<(), Failure> {
    let status = match args.status {
        Some(address) => Some(parts::listen(address, "the status port", "--status").await?),
        None => None,
    };
    let stop = signals::stop_token()?;
    let broker = parts::broker(&args.embedded).await?;
    let cluster = Cluster::new(broker.control_addr().to_string());
    say_broker(Some(&broker), &cluster);
    if let Some(listener) = status {
        let numbers = broker.numbers();
        let told = Arc::new(move |registry: &mut Registry| {
            metrics::register(registry, &[]);
            numbers.register(registry);
        });
        serve_status(listener, cluster, Hooks { metrics: told, ..Hooks::default() }, &stop)?;
    }
    say::line("ready     Ctrl-C stops");
    stop.cancelled().await;
    broker.shutdown().await;
    Ok(())
}

/// `ovation gateway`.
pub(crate) async fn gateway(args: GatewayArgs) -> Result<(), Failure> {
    let entry = args.http.access.entry(args.http.http)?;
    let topology = parts::topology(&args.topology.topology)?;
    let front = Front::prepare(&args.http, entry, &topology).await?;
    let lines = front.lines()?;
    let stop = signals::stop_token()?;
    let cluster = Cluster::new(&args.cluster.cluster);
    parts::reachable(&cluster).await?;
    say_broker(None, &cluster);
    let hooks = Hooks { metrics: Arc::new(|registry| metrics::register(registry, &[])), ..Hooks::default() };
    let serving = parts::gateway(&args.http, front, cluster, &topology, hooks, stop.clone())?;
    wait_gateway(&serving.gateway, &stop).await;
    lines.iter().for_each(say::line);
    say::line("ready     Ctrl-C stops");
    gateway_outcome(serving.ended.await)
}

/// `ovation engine`.
pub(crate) async fn engine(args: EngineArgs) -> Result<(), Failure> {
    let (topology, watch) = watch::open(&args.topology.topology)?;
    let health = match args.status {
        Some(address) => Some(parts::listen(address, "the status port", "--status").await?),
        None => None,
    };
    let stop = signals::stop_token()?;
    let cluster = Cluster::new(&args.cluster.cluster);
    parts::reachable(&cluster).await?;
    say_broker(None, &cluster);
    let applied = parts::apply(&cluster, &topology).await?;
    say_applied(&topology.name, &applied);
    let options = EngineOptions { partitions: args.partitions };
    let engine = Arc::new(parts::engine(cluster.clone(), &topology, &options, stop.clone())?);
    let flow = Flow::of(&topology);
    if let Some(listener) = health {
        serve_status(listener, cluster.clone(), engine_hooks(&engine, &flow, None), &stop)?;
    }
    wait_ready(&engine, &stop).await;
    say::line("ready     Ctrl-C stops");
    if !args.reload.no_reload {
        let live = Live { cluster, engine: Arc::clone(&engine), served: None, flow };
        tokio::spawn(watch.run(live, stop.clone()));
    }
    stop.cancelled().await;
    drain_engine(&engine).await;
    Ok(())
}

/// `ovation topology …`.
pub(crate) async fn topology(command: TopologyCommand) -> Result<(), Failure> {
    match command {
        TopologyCommand::Validate(args) => crate::topology::validate(args).await,
        TopologyCommand::Plan(args) => crate::topology::plan(args).await,
        TopologyCommand::Apply(args) => crate::topology::apply(args).await,
        TopologyCommand::Describe(args) => crate::topology::describe(args).await,
        TopologyCommand::Test(args) => testing::test(&args),
        TopologyCommand::Reset(args) => reset::reset(args).await,
        TopologyCommand::Schema => {
            crate::topology::schema();
            Ok(())
        }
    }
}

fn say_broker(broker: Option<&Broker>, cluster: &Cluster) {
    match broker {
        Some(broker) => {
            say::line(format_args!("broker    {} (records on {})", broker.control_addr(), broker.spu_addr()))
        }
        None => say::line(format_args!("cluster   {}", cluster.endpoint())),
    }
}

fn say_applied(name: &str, changes: &[Change]) {
    let made = |kind: Kind| {
        let made = changes.iter().filter(|change| change.kind == kind && change.action != Action::Keep);
        let names: Vec<&str> = made.map(|change| change.name.as_str()).collect();
        if names.is_empty() { "none new".to_owned() } else { format!("new: {}", names.join(", ")) }
    };
    say::line(format_args!(
        "topology  {name}: topics {}; SmartModules {}",
        made(Kind::Topic),
        made(Kind::SmartModule)
    ));
    for change in changes {
        if let Some(note) = &change.note {
            say::line(format_args!("topology  {} {} {note}", change.kind, change.name));
        }
    }
}

/// Serves health and metrics of a process without a gateway, and says where.
fn serve_status(
    listener: TcpListener,
    cluster: Cluster,
    hooks: Hooks,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let address = listener.local_addr().map_err(|error| Failure::part("the status port", &error))?;
    parts::health(listener, cluster, hooks, stop.clone());
    say::line(format_args!("status    http://{address}/readyz"));
    Ok(())
}

/// What the engine, and the broker in the same process, add to health, metrics and the pipeline.
fn engine_hooks(engine: &Arc<Engine>, flow: &Flow, broker: Option<Numbers>) -> Hooks {
    let (watched, counted, shown) = (Arc::clone(engine), Arc::clone(engine), Arc::clone(engine));
    let flow = flow.clone();
    Hooks {
        readiness: Arc::new(move || engine_parts(&watched)),
        stages: Arc::new(move || Some(flow.stages(&shown.status()))),
        metrics: Arc::new(move |registry| {
            metrics::register(registry, &counted.status());
            if let Some(broker) = &broker {
                broker.register(registry);
            }
        }),
    }
}

fn engine_parts(engine: &Engine) -> Vec<Part> {
    engine
        .status()
        .iter()
        .map(|task| Part {
            name: format!("engine {}/{}", task.stage, task.partition),
            ready: task.ready && task.state == TaskState::Running,
            detail: match &task.error {
                Some(error) => format!("{}: {error}", task.state),
                None if task.state == TaskState::Running && !task.ready => {
                    "waits for its chain's first answer".to_owned()
                }
                None => format!("{}, {}, {} records behind", task.state, task.role, task.lag()),
            },
        })
        .collect()
}

async fn wait_ready(engine: &Engine, stop: &CancellationToken) {
    let ready = tokio::select! {
        () = stop.cancelled() => return,
        ready = engine.wait_ready(READY_WAIT) => ready,
    };
    if !ready {
        say_waiting(&engine_parts(engine));
    }
}

async fn wait_gateway(gateway: &Gateway, stop: &CancellationToken) {
    if stop.run_until_cancelled(gateway.ready(GATEWAY_WAIT)).await == Some(false) {
        say_waiting(&gateway.parts());
    }
}

fn say_waiting(parts: &[Part]) {
    for part in parts.iter().filter(|part| !part.ready) {
        say::line(format_args!("waiting   {}: {}", part.name, part.detail));
    }
}

async fn drain_engine(engine: &Engine) {
    if tokio::time::timeout(ENGINE_DRAIN, engine.join()).await.is_err() {
        tracing::warn!(
            "the engine did not stop in time; it goes on from its last checkpoint at the next start"
        );
    }
}

fn gateway_outcome(
    served: Result<Result<(), ovation_gateway::Error>, tokio::task::JoinError>,
) -> Result<(), Failure> {
    match served {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Failure::part("the gateway", &error)),
        Err(error) => Err(Failure::part("the gateway", &error)),
    }
}
