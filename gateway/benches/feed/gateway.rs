//! The gateway as a process of its own, and as the bench sees it.

use std::net::SocketAddr;
use std::time::Duration;

use ovation_client::Cluster;
use ovation_gateway::{Config, Gateway, Hooks};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::plan;
use super::process::{PATIENCE, Process, at_end_of_input, say};

/// Serves, as configured by default, until the parent is gone.
pub(crate) fn role(args: &[String]) {
    let cluster = Cluster::new(plan::value(args, "--broker").unwrap());
    // The same runtime as the program's own.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let parent = shutdown.clone();
        at_end_of_input(move || parent.cancel());
        let mut config = Config::new(cluster);
        // Clients that are gone say nothing, and nobody waits for them here.
        config.drain = Duration::from_secs(1);
        let gateway = Gateway::new(config, Hooks::default(), shutdown);
        let serving = tokio::spawn({
            let gateway = gateway.clone();
            async move { gateway.serve(listener, None).await }
        });
        assert!(gateway.ready(PATIENCE).await, "not ready: {:?}", gateway.parts());
        say(&format!("listens on {address}"));
        serving.await.unwrap().unwrap();
    });
}

/// Starts a gateway on the broker at `control`.
pub(crate) async fn start(control: SocketAddr) -> (Process, SocketAddr) {
    let mut process = Process::start("gateway", &[("--broker", &control.to_string())]);
    let address = process.heard("listens on").await.parse().unwrap();
    (process, address)
}
