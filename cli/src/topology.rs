//! `ovation topology …`: what a topology file says, and what it would mean on a cluster.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use ovation_client::Cluster;
use ovation_topology::testing::{ChainProblem, check_chains};
use ovation_topology::{Action, Change, Checked, Counter, Topology};
use serde_json::json;

use crate::args::{ClusterArgs, TopologyArgs};
use crate::failure::Failure;
use crate::live::{self, LiveStage};
use crate::modules::Builtin;
use crate::{parts, say};

/// The file, in either way of naming it.
#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// The topology file; the same as --topology.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    #[command(flatten)]
    topology: TopologyArgs,
}

impl FileArgs {
    pub(crate) fn path(&self) -> &Path {
        self.file.as_deref().unwrap_or(&self.topology.topology)
    }
}

#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    #[command(flatten)]
    file: FileArgs,

    /// Check also that this broker's topics can be used: a Fluvio cluster or an embedded one.
    #[arg(long, value_name = "HOST:PORT")]
    cluster: Option<String>,

    /// Take warnings for errors.
    #[arg(long)]
    strict: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    file: FileArgs,

    #[command(flatten)]
    cluster: ClusterArgs,

    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    #[command(flatten)]
    file: FileArgs,

    /// How to say it.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,

    /// Say also what the stages are doing, as a running `ovation run`, or `ovation engine --status`, tells it.
    #[arg(long)]
    live: bool,

    /// Where that process serves its numbers.
    #[arg(long, env = "OVATION_STATUS_URL", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    status: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// A Mermaid flowchart, which Markdown viewers draw.
    Mermaid,
    /// A graph for Graphviz: pipe it into `dot -Tsvg`.
    Dot,
    /// For programs.
    Json,
}

/// `ovation topology validate`.
pub(crate) async fn validate(args: ValidateArgs) -> Result<(), Failure> {
    let path = args.file.path();
    let checked = check_all(path)?;
    if let Some(warnings) = &checked.warnings
        && args.strict
    {
        return Err(Failure::Topology(Box::new(warnings.clone())));
    }
    let Topology { topics, smartmodules, stages, tests, .. } = &checked.topology;
    let counts = [
        (topics.len(), "topic"),
        (smartmodules.len(), "SmartModule"),
        (stages.len(), "stage"),
        (tests.len(), "test"),
    ];
    let counts: Vec<String> = counts.iter().map(|(count, what)| counted(*count, what)).collect();
    if let Some(endpoint) = &args.cluster {
        let changes = plan_changes(endpoint, &checked.topology).await?;
        let refused: Vec<&Change> = changes.iter().filter(|change| change.action == Action::Refuse).collect();
        if !refused.is_empty() {
            let told =
                refused.iter().map(|change| format!("{} {}: {}", change.kind, change.name, change.detail));
            let told: Vec<String> = told.collect();
            return Err(Failure::Invalid(format!(
                "failed to use {} on {endpoint}:\n  {}",
                path.display(),
                told.join("\n  ")
            )));
        }
    }
    let place = args.cluster.map(|endpoint| format!(", and fits {endpoint}")).unwrap_or_default();
    say::line(format_args!("{}: {}; no mistakes{place}", path.display(), counts.join(", ")));
    Ok(())
}

/// Reads and checks a topology, its SmartModules too, and tells its warnings.
pub(crate) fn check(path: &Path) -> Result<Checked, Failure> {
    let checked = read(path, &parts::topology_text(path)?)?;
    checked.warnings.iter().for_each(say::mistakes);
    Ok(checked)
}

/// Checks a topology's text.
pub(crate) fn read(path: &Path, text: &str) -> Result<Checked, Failure> {
    let name = path.display().to_string();
    Topology::check(&name, text, &Builtin).map_err(|error| Failure::Topology(Box::new(error)))
}

/// As [`check`], opens also every stage's chain, here and with no broker: a parameter that its SmartModule does not take, or bytes
/// that are none, show now and not when the stage has stopped.
fn check_all(path: &Path) -> Result<Checked, Failure> {
    let checked = check(path)?;
    open_chains(&checked)?;
    Ok(checked)
}

/// Opens every stage's chain.
pub(crate) fn open_chains(checked: &Checked) -> Result<(), Failure> {
    match check_chains(&checked.topology, &Builtin) {
        problems if problems.is_empty() => Ok(()),
        problems => Err(not_opened(checked, problems)),
    }
}

/// The chains that do not open, each with its place in the file.
pub(crate) fn not_opened(checked: &Checked, problems: Vec<ChainProblem>) -> Failure {
    Failure::Topology(Box::new(checked.chain_errors(problems)))
}

/// `ovation topology plan`.
pub(crate) async fn plan(args: PlanArgs) -> Result<(), Failure> {
    let checked = check_all(args.file.path())?;
    let changes = plan_changes(&args.cluster.cluster, &checked.topology).await?;
    if args.json {
        let json = serde_json::to_string_pretty(&changes).unwrap_or_default();
        say::line(json);
    } else {
        say_changes(&changes);
        say::line(summary(&changes, ["to create", "to change", "to keep", "refused"]));
    }
    if changes.iter().any(|change| change.action == Action::Refuse) {
        return Err(Failure::Refused);
    }
    Ok(())
}

/// `ovation topology apply`.
pub(crate) async fn apply(args: PlanArgs) -> Result<(), Failure> {
    let checked = check_all(args.file.path())?;
    let cluster = Cluster::new(&args.cluster.cluster);
    parts::reachable(&cluster).await?;
    let changes = ovation_topology::apply_growing(&cluster, &checked.topology, &Builtin)
        .await
        .map_err(parts::apply_failure)?;
    if args.json {
        say::line(serde_json::to_string_pretty(&changes).unwrap_or_default());
        return Ok(());
    }
    say_changes(&changes);
    say::line(summary(&changes, ["created", "changed", "kept", "refused"]));
    Ok(())
}

async fn plan_changes(endpoint: &str, topology: &Topology) -> Result<Vec<Change>, Failure> {
    let cluster = Cluster::new(endpoint);
    parts::reachable(&cluster).await?;
    ovation_topology::plan_changes(&cluster, topology, &Builtin).await.map_err(parts::apply_failure)
}

/// `ovation topology describe`.
pub(crate) async fn describe(args: DescribeArgs) -> Result<(), Failure> {
    let checked = check(args.file.path())?;
    let mut description = ovation_topology::describe(&checked.topology, &Builtin)
        .map_err(|error| Failure::Invalid(error.to_string()))?;
    if args.live {
        let running = live::fetch(&args.status).await?;
        for stage in &mut description.stages {
            let found = running.iter().find(|live| live.stage == stage.name);
            stage.live = Some(found.map_or_else(not_running, counters));
        }
    }
    let said = match args.format {
        Format::Text => description.text(),
        Format::Mermaid => description.mermaid(),
        Format::Dot => description.dot(),
        Format::Json => serde_json::to_string_pretty(&description).unwrap_or_default(),
    };
    say::line(said.trim_end());
    Ok(())
}

fn counter(name: &str, title: &str, value: serde_json::Value, shown: String) -> Counter {
    Counter { name: name.to_owned(), title: title.to_owned(), value, shown }
}

/// What is said of a stage that the process does not run.
fn not_running() -> Vec<Counter> {
    vec![counter("state", "state", json!("absent"), "not in that process".to_owned())]
}

fn counters(live: &LiveStage) -> Vec<Counter> {
    let number = |name, title, value: u64| counter(name, title, json!(value), value.to_string());
    let rate = |name, title, value: f64| counter(name, title, json!(value), format!("{value:.1}/s"));
    let age = |name, title, value: Option<f64>| {
        let shown = value.map_or_else(|| "none".to_owned(), |seconds| format!("{seconds:.1} s"));
        counter(name, title, json!(value), shown)
    };
    let state = format!("{}, {}, {} of {} tasks ready", live.state, live.role, live.ready, live.tasks);
    vec![
        counter("state", "state", json!(live.state), state),
        rate("source_records_per_second", "records in", live.records_per_second),
        rate("results_per_second", "results", live.results_per_second),
        rate("result_bytes_per_second", "result bytes", live.bytes_per_second),
        number("lag_records", "records behind", live.lag_records),
        age("watermark_lag_seconds", "watermark lag", live.watermark_lag_seconds),
        number("open_windows", "open windows", live.open_windows),
        age("checkpoint_age_seconds", "checkpoint age", live.checkpoint_age_seconds),
        number("rejects", "rejects", live.dead_letters),
        rate("rejects_per_second", "new rejects", live.dead_letters_per_second),
        number("restarts", "restarts", live.restarts),
    ]
}

/// `ovation topology schema`.
pub(crate) fn schema() {
    say::line(serde_json::to_string_pretty(&Topology::schema()).unwrap_or_default());
}

fn say_changes(changes: &[Change]) {
    let width = changes.iter().map(|change| change.name.len()).max().unwrap_or(0);
    for change in changes {
        let (sign, colour) = match change.action {
            Action::Create => ('+', say::GREEN),
            Action::Change => ('~', say::YELLOW),
            Action::Refuse => ('!', say::RED),
            _ => ('=', say::PLAIN),
        };
        let action = say::coloured(colour, &format!("{sign} {:6}", change.action));
        say::line(format_args!("{action}  {:12}  {:width$}  {}", change.kind, change.name, change.detail));
        if let Some(note) = &change.note {
            say::line(format_args!(
                "{:8}  {:12}  {:width$}  {}",
                "",
                "",
                "",
                say::coloured(say::YELLOW, note)
            ));
        }
    }
}

fn summary(changes: &[Change], words: [&str; 4]) -> String {
    let actions = [Action::Create, Action::Change, Action::Keep, Action::Refuse];
    let counts = actions.iter().zip(words).map(|(action, word)| {
        let count = changes.iter().filter(|change| change.action == *action).count();
        (count, word)
    });
    let told: Vec<String> =
        counts.filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    if told.is_empty() { "nothing is needed".to_owned() } else { told.join(", ") }
}

fn counted(count: usize, what: impl Display) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
