//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use ovation_topology::{Partitions, ResetFrom};

use crate::access_args::AccessArgs;
use crate::connection_args::ConnectionArgs;
use crate::fair_args::FairArgs;
use crate::ingest_args::IngestArgs;
use crate::load::LoadArgs;
use crate::reset::place;
use crate::say::LogFormat;
use crate::testing::TestArgs;
use crate::token::TokenArgs;
use crate::top::TopArgs;
use crate::topology::{DescribeArgs, FileArgs, PlanArgs, ValidateArgs};

const AFTER: &str = "\
Every option can come from a flag, from an environment variable (OVATION_HTTP for --http), or from a TOML file
given by --config (http = \"127.0.0.1:8080\"), in that order.

Exit codes: 0 done, 1 something failed while running, 2 what you gave cannot work.";

/// Live audience reactions: emoji in, exact window counts out, computed inside the broker.
#[derive(Debug, Parser)]
#[command(version, about, after_help = AFTER, max_term_width = 110)]
pub(crate) struct Ovation {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// TOML file with defaults for the options of the command.
    #[arg(long, global = true, env = "OVATION_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// What to log to standard error, e.g. `info` or `ovation_topology=debug`.
    #[arg(long, global = true, env = "OVATION_LOG", value_name = "FILTER")]
    pub(crate) log: Option<String>,

    /// How the log is written.
    #[arg(long, global = true, env = "OVATION_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything in one process: broker, engine and gateway.
    ///
    /// Starts an embedded broker (or uses --cluster), makes it look like the topology, runs the stages, and serves
    /// the page. React with: curl -d '{"emoji":"🔥"}' -H 'content-type: application/json'
    /// http://127.0.0.1:8080/v1/rooms/lobby/reactions
    Run(RunArgs),
    /// Run the embedded broker alone. Any Fluvio client can use it.
    Broker(BrokerArgs),
    /// Run a gateway on a broker that is there already.
    Gateway(GatewayArgs),
    /// Run the engine, and nothing else, on a broker that is there already.
    Engine(EngineArgs),
    /// Check that the stored results are what the stored reactions make.
    ///
    /// Recomputes every result and dead letter from the raw log, and adds up per room that nothing is lost or counted
    /// twice. Works beside a running engine, and changes nothing. Exit codes: 0 no difference, 1 a difference, 2 it
    /// cannot be checked.
    Audit(AuditArgs),
    /// Send a crowd to a gateway, and keep books of every tap.
    ///
    /// Load is open-loop: when a tap is due is fixed beforehand, so a slow server shows as time, not as less load. Measures how
    /// long a tap takes to be acknowledged and to be on a screen, and checks that no watcher misses a result or gets one twice,
    /// and that the finals hold every tap that was acknowledged. Exit codes: 0 all kept, 1 a promise broken, 2 it cannot work.
    #[command(after_help = crate::load::EXAMPLES)]
    Load(LoadArgs),
    /// Make a token for a gateway with --keys, or new keys.
    ///
    /// Prints the token: curl -H "authorization: Bearer $(ovation token --keys keys.json --room lobby)" …
    Token(TokenArgs),
    /// Watch running processes: rates, latencies, lag, tasks, rejects, from their /metrics.
    ///
    /// On a terminal it is drawn anew each second; q ends it. Elsewhere it prints lines: ovation top --once
    /// http://127.0.0.1:8080 http://127.0.0.1:9100
    Top(TopArgs),
    /// Work with a topology file.
    Topology {
        #[command(subcommand)]
        command: TopologyCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopologyCommand {
    /// Say everything that is wrong with a topology file, with its place. Exit codes: 0 nothing, 2 something.
    ///
    /// An editor says it while you type, if the file's first line names the schema that `ovation topology schema` prints:
    /// # yaml-language-server: $schema=topology.schema.json
    Validate(ValidateArgs),
    /// Say what apply would create, change, keep or refuse. Changes nothing. Exit codes: 0 it can be done, 2 it cannot.
    Plan(PlanArgs),
    /// Create the SmartModules, topics and table formats of a topology where they are missing.
    ///
    /// Keeps what fits, adds partitions to topics that have fewer, and does nothing at all if something is in the way. Never
    /// deletes a topic.
    Apply(PlanArgs),
    /// Say what a topology consists of: stages, topics, SmartModules with their versions, windows.
    Describe(DescribeArgs),
    /// Run the tests that a topology file brings, with its real SmartModules and no broker.
    ///
    /// Shows what came beside what was expected. Every stage is run with one record a batch, with all in one batch and with
    /// restarts, which must not make a difference. Exit codes: 0 all passed, 1 one failed, 2 the file cannot work.
    Test(TestArgs),
    /// Begin a new epoch: forget a stage's state and count again, from the beginning or from a place that is said. Says
    /// what it would do, and does it with --yes.
    ///
    /// The way out where a stage has stopped because its settings have changed or its source has lost records. What is
    /// stored stays; readers take the newer epoch. Engines that run go on with it by themselves.
    Reset(ResetArgs),
    /// Print the JSON Schema of topology files, for editors.
    Schema,
}

#[derive(Debug, Args)]
pub(crate) struct HttpArgs {
    /// Address of the page and the HTTP interface.
    #[arg(long, env = "OVATION_HTTP", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) http: SocketAddr,

    /// Address for operators alone: /metrics, /v1/pipeline, /admin/rooms, /healthz and /readyz. Without it the address of the page
    /// serves them, if only this machine can reach that one.
    #[arg(long, env = "OVATION_ADMIN", value_name = "ADDRESS")]
    pub(crate) admin: Option<SocketAddr>,

    /// Topic with moments; if left out, the one that is named like the first stage's source with `-moments` for `-events`.
    /// Without it there are none, and it is looked for now and then.
    #[arg(long, env = "OVATION_MOMENTS_TOPIC", value_name = "NAME")]
    pub(crate) moments_topic: Option<String>,

    /// How long a stop may take before what is left is cut, e.g. 5s.
    #[arg(long, env = "OVATION_DRAIN", value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub(crate) drain: Duration,

    #[command(flatten)]
    pub(crate) ingest: IngestArgs,

    #[command(flatten)]
    pub(crate) connections: ConnectionArgs,

    #[command(flatten)]
    pub(crate) access: AccessArgs,

    #[command(flatten)]
    pub(crate) fair: FairArgs,
}

#[derive(Debug, Args)]
pub(crate) struct EmbeddedArgs {
    /// Address that Fluvio clients connect to.
    #[arg(long, env = "OVATION_BROKER", value_name = "ADDRESS", default_value = "127.0.0.1:9003")]
    pub(crate) broker: SocketAddr,

    /// Address of the records, which clients learn from the one above.
    #[arg(long, env = "OVATION_BROKER_SPU", value_name = "ADDRESS", default_value = "127.0.0.1:9010")]
    pub(crate) broker_spu: SocketAddr,

    /// What clients are told to reach the records at, where that is another address.
    #[arg(long, env = "OVATION_BROKER_ADVERTISE", value_name = "HOST[:PORT]")]
    pub(crate) broker_advertise: Option<String>,

    /// Folder for the broker's records, one process at a time.
    #[arg(long, env = "OVATION_DATA", value_name = "FOLDER", default_value = "data")]
    pub(crate) data: PathBuf,

    /// Write records to disk before they are acknowledged: survives a power cut, costs latency.
    #[arg(long, env = "OVATION_FSYNC")]
    pub(crate) fsync: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TopologyArgs {
    /// The topology file.
    #[arg(long, env = "OVATION_TOPOLOGY", value_name = "FILE", default_value = "topology.yaml")]
    pub(crate) topology: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ReloadArgs {
    /// Do not watch the topology file and the modules that it names. Without this a change is taken over while everything
    /// runs: stages that it does not touch go on, and a mistake keeps the last good topology.
    #[arg(long, env = "OVATION_NO_RELOAD")]
    pub(crate) no_reload: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) http: HttpArgs,
    #[command(flatten)]
    pub(crate) embedded: EmbeddedArgs,
    #[command(flatten)]
    pub(crate) topology: TopologyArgs,
    #[command(flatten)]
    pub(crate) reload: ReloadArgs,

    /// Use this Fluvio cluster instead of an embedded broker.
    #[arg(long, env = "OVATION_CLUSTER", value_name = "HOST:PORT")]
    pub(crate) cluster: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct BrokerArgs {
    #[command(flatten)]
    pub(crate) embedded: EmbeddedArgs,

    /// Address that serves /healthz, /readyz and /metrics; off by default.
    #[arg(long, env = "OVATION_STATUS", value_name = "ADDRESS")]
    pub(crate) status: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    /// The broker: a Fluvio cluster or an embedded one.
    #[arg(long, env = "OVATION_CLUSTER", value_name = "HOST:PORT", default_value = "127.0.0.1:9003")]
    pub(crate) cluster: String,
}

#[derive(Debug, Args)]
pub(crate) struct GatewayArgs {
    #[command(flatten)]
    pub(crate) http: HttpArgs,
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    #[command(flatten)]
    pub(crate) topology: TopologyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct EngineArgs {
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    #[command(flatten)]
    pub(crate) topology: TopologyArgs,
    #[command(flatten)]
    pub(crate) reload: ReloadArgs,

    /// Work on these source partitions only, e.g. 0-3 or 0,2,5-7. Engines with the same ones stand by for each other.
    #[arg(long, env = "OVATION_PARTITIONS", value_name = "LIST")]
    pub(crate) partitions: Option<Partitions>,

    /// Address that serves /healthz, /readyz and /metrics; off by default.
    #[arg(long, env = "OVATION_STATUS", value_name = "ADDRESS")]
    pub(crate) status: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct ResetArgs {
    #[command(flatten)]
    pub(crate) file: FileArgs,
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,

    /// Reset this stage only.
    #[arg(long, value_name = "NAME")]
    pub(crate) stage: Option<String>,

    /// Where the new epoch begins: beginning (the oldest record that is there), now (the next one to come), an offset
    /// (1234), a time (2026-11-24T18:00:00Z) or an age (15m, 2h).
    #[arg(long, value_name = "WHERE", default_value = "beginning", value_parser = place)]
    pub(crate) from: ResetFrom,

    /// Only say what would be done; so it is without --yes.
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,

    /// Do it.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    #[command(flatten)]
    pub(crate) topology: TopologyArgs,

    /// Check this stage alone.
    #[arg(long, env = "OVATION_STAGE", value_name = "NAME")]
    pub(crate) stage: Option<String>,

    /// How long results that have to be there are waited for, since the last one that came.
    #[arg(long, env = "OVATION_WAIT", value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(crate) wait: Duration,

    /// Show every room, not only those with differences and the busiest ones.
    #[arg(long)]
    pub(crate) all: bool,

    /// Answer in JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `250ms`, `5s`, `2m`, `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u32 = number.parse().map_err(|_| "expected a number with a unit, such as 5s".to_owned())?;
    match unit {
        "ms" => Ok(Duration::from_millis(number.into())),
        "s" => Ok(Duration::from_secs(number.into())),
        "m" => Ok(Duration::from_secs(u64::from(number) * 60)),
        "h" => Ok(Duration::from_secs(u64::from(number) * 3_600)),
        _ => Err("expected one of the units ms, s, m, h, as in 5s".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Ovation::command().debug_assert();
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7_200)));
        assert!(duration("5").is_err());
        assert!(duration("s").is_err());
        assert!(duration("99999999999s").is_err());
    }
}
