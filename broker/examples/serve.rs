//! A broker on free ports of 127.0.0.1: `serve DATA [fsync]`. Prints both addresses, runs until its input ends.
#![expect(clippy::print_stdout, reason = "the addresses are what this program is for")]

use std::io::Read;

use ovation_broker::{Broker, Config};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let mut args = std::env::args().skip(1);
    let mut config = Config::new(args.next().ok_or("serve DATA [fsync]")?);
    config.fsync = args.next().is_some();
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let broker = Broker::start(config).await?;
        println!("{} {}", broker.control_addr(), broker.spu_addr());
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
        broker.shutdown().await;
        Ok(())
    })
}
