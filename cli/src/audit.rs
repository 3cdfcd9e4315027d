//! `ovation audit`.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use ovation_audit::{Options, Unchecked};
use ovation_client::Cluster;

use crate::args::AuditArgs;
use crate::failure::Failure;
use crate::{parts, say};

/// Between two words about how far it has come.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

pub(crate) async fn audit(args: AuditArgs) -> Result<(), Failure> {
    let topology = parts::topology(&args.topology.topology)?;
    let cluster = Cluster::new(&args.cluster.cluster);
    let options = Options { stage: args.stage, wait: args.wait };
    let mut progress = Progress::new();
    let mut show = |partition: &str, seen, all| progress.show(partition, seen, all);
    let audited = ovation_audit::audit(&cluster, &topology, &options, &mut show).await;
    progress.clear();
    // Exit code 1 says that there is a difference, so whatever keeps the audit from its work is a 2.
    let report = audited.map_err(|Unchecked(why)| Failure::Invalid(format!("cannot audit: {why}")))?;
    if args.json {
        let json = serde_json::to_string(&report);
        say::line(json.map_err(|error| Failure::Invalid(format!("cannot write the report: {error}")))?);
    } else {
        say::line(ovation_audit::table(&report, args.all).trim_end());
    }
    if report.clean { Ok(()) } else { Err(Failure::Difference) }
}

/// A line on standard error that is written over, where a person looks.
struct Progress {
    terminal: bool,
    shown: Option<Instant>,
}

impl Progress {
    fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), shown: None }
    }

    fn show(&mut self, partition: &str, seen: u64, all: u64) {
        if self.terminal && self.shown.is_none_or(|shown| shown.elapsed() >= PROGRESS_INTERVAL) {
            self.shown = Some(Instant::now());
            let _ = write!(std::io::stderr(), "\r\x1b[K{partition}: {seen} of {all} records");
        }
    }

    fn clear(&self) {
        if self.shown.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
