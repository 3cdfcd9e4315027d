//! The binary `ovation`: reads its configuration, builds the parts, wires them, and drains them at the end.
#![forbid(unsafe_code)]

mod access_args;
mod args;
mod audit;
mod config_file;
mod connection_args;
mod failure;
mod fair_args;
mod files;
mod flow;
mod ingest_args;
mod live;
mod load;
mod metrics;
mod modules;
mod openmetrics;
mod parts;
mod process;
mod reset;
mod run;
mod say;
mod signals;
mod testing;
mod token;
mod top;
mod topology;
mod watch;

use std::process::ExitCode;

use args::Command;
use failure::Failure;

fn main() -> ExitCode {
    let ovation = match config_file::read_args() {
        Ok(ovation) => ovation,
        Err(failure) => return failure.report(),
    };
    say::start_logging(ovation.log.as_deref(), ovation.log_format);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::part("the runtime", &error).report(),
    };
    let outcome = runtime.block_on(async {
        match ovation.command {
            Command::Run(args) => run::run(args).await,
            Command::Broker(args) => run::broker(args).await,
            Command::Gateway(args) => run::gateway(args).await,
            Command::Engine(args) => run::engine(args).await,
            Command::Audit(args) => audit::audit(args).await,
            Command::Load(args) => load::load(args).await,
            Command::Token(args) => token::token(args),
            Command::Top(args) => top::top(args).await,
            Command::Topology { command } => run::topology(command).await,
        }
    });
    // A task that ignores its deadline must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
