//! The broker as a whole: start, addresses, shutdown.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::chain::Chains;
use crate::cluster::Cluster;
use crate::config::Config;
use crate::connection::Connections;
use crate::control::ControlService;
use crate::data::DataService;
use crate::error::Error;
use crate::folder::Folder;
use crate::metadata::Metadata;
use crate::metrics::{Metrics, Numbers};
use crate::offsets::ConsumerOffsets;
use crate::partitions::Partitions;

/// A running broker. Dropping it ends it without ceremony; [`Broker::shutdown`] finishes what is under way.
pub struct Broker {
    control: SocketAddr,
    spu: SocketAddr,
    connections: Connections,
    partitions: Arc<Partitions>,
    metrics: Arc<Metrics>,
    background: Vec<JoinHandle<()>>,
    /// The lock on the data folder, until the last record is flushed.
    _folder: Arc<Folder>,
}

impl Broker {
    /// Opens the data folder, listens on both addresses and serves.
    ///
    /// # Errors
    /// An address in use, a data folder that is locked, damaged or cannot be written: see [`Error`].
    pub async fn start(config: Config) -> Result<Broker, Error> {
        let control = listen(config.control).await?;
        let spu = listen(config.spu).await?;
        let control_addr = address(&control, config.control)?;
        let spu_addr = address(&spu, config.spu)?;
        let advertised = advertised(&config, spu_addr)?;

        let config = Arc::new(config);
        let metrics = Arc::new(Metrics::new());
        let (opening, counts) = (config.clone(), metrics.clone());
        let (folder, metadata, offsets, chains, partitions) =
            match tokio::task::spawn_blocking(move || open(&opening, counts)).await {
                Ok(opened) => opened?,
                Err(error) => {
                    return Err(Error::DataNotWritable {
                        path: config.data.clone(),
                        source: io::Error::other(error),
                    });
                }
            };
        for partition in partitions.all() {
            tokio::spawn(partition.warm_up());
        }

        let limits = config.limits.clone();
        let connections = Connections {
            slots: Arc::new(Semaphore::new(limits.connections_max)),
            limits: limits.clone(),
            metrics: metrics.clone(),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let cluster =
            Arc::new(Cluster::new(metadata, partitions.clone(), offsets.clone(), limits.clone(), advertised));
        let data = Arc::new(DataService {
            partitions: partitions.clone(),
            chains,
            offsets,
            limits: limits.clone(),
            quirks: config.quirks,
        });
        let admin = Arc::new(ControlService { cluster, limits: limits.clone() });
        let background = vec![
            tokio::spawn(connections.clone().accept(control, admin)),
            tokio::spawn(connections.clone().accept(spu, data)),
            tokio::spawn(retain(partitions.clone(), limits.retention_interval, connections.stopping.clone())),
        ];
        tracing::debug!(control = %control_addr, spu = %spu_addr, data = %config.data.display(), "broker started");
        Ok(Broker {
            control: control_addr,
            spu: spu_addr,
            connections,
            partitions,
            metrics,
            background,
            _folder: folder,
        })
    }

    /// The address that clients connect to.
    pub fn control_addr(&self) -> SocketAddr {
        self.control
    }

    /// The bound data address.
    pub fn spu_addr(&self) -> SocketAddr {
        self.spu
    }

    /// What the broker counts.
    pub fn numbers(&self) -> Numbers {
        Numbers {
            metrics: self.metrics.clone(),
            partitions: Arc::downgrade(&self.partitions),
            connections: self.connections.tasks.clone(),
        }
    }

    /// Stops accepting, finishes the requests under way, and puts everything on disk. Takes at most the configured
    /// grace, and the flush.
    pub async fn shutdown(mut self) {
        self.connections.stopping.cancel();
        self.connections.tasks.close();
        let grace = self.connections.limits.shutdown_grace;
        if tokio::time::timeout(grace, self.connections.tasks.wait()).await.is_err() {
            tracing::warn!(connections = self.connections.tasks.len(), "connections did not end in time");
        }
        for task in self.background.drain(..) {
            let _ = task.await;
        }
        for partition in self.partitions.all() {
            partition.close().await;
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.connections.stopping.cancel();
        for task in &self.background {
            task.abort();
        }
    }
}

type Opened = (Arc<Folder>, Arc<Metadata>, Arc<ConsumerOffsets>, Arc<Chains>, Arc<Partitions>);

fn open(config: &Config, metrics: Arc<Metrics>) -> Result<Opened, Error> {
    let folder = Arc::new(Folder::open(&config.data)?);
    let metadata = Arc::new(Metadata::open(folder.clone())?);
    let offsets = Arc::new(ConsumerOffsets::open(&folder, config.limits.consumer_offsets_max)?);
    let chains = Arc::new(Chains::new(metadata.clone(), config.limits.clone(), config.quirks));
    let partitions = Arc::new(Partitions::new(
        folder.clone(),
        chains.clone(),
        config.limits.clone(),
        config.quirks,
        config.fsync,
        metrics,
    ));
    for (topic, spec) in &metadata.snapshot().topics {
        partitions.open_topic(topic, spec).map_err(|error| {
            let path = folder.topic(topic);
            match error.kind() {
                io::ErrorKind::InvalidData => Error::Corrupt { path, detail: error.to_string() },
                _ => Error::DataNotWritable { path, source: error },
            }
        })?;
    }
    Ok((folder, metadata, offsets, chains, partitions))
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => Error::AddressInUse { address },
        _ => Error::Listen { address, source },
    })
}

fn address(listener: &TcpListener, asked: SocketAddr) -> Result<SocketAddr, Error> {
    listener.local_addr().map_err(|source| Error::Listen { address: asked, source })
}

/// Host and port that clients are told for the data address.
fn advertised(config: &Config, bound: SocketAddr) -> Result<(String, u16), Error> {
    match &config.advertise {
        Some(told) => {
            let split = told.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
            Ok(split
                .map_or((told.clone(), bound.port()), |(host, port): (&str, u16)| (host.to_owned(), port)))
        }
        None if bound.ip().is_unspecified() => Err(Error::NothingToAdvertise { address: bound }),
        None => {
            let host = if bound.is_ipv6() { format!("[{}]", bound.ip()) } else { bound.ip().to_string() };
            Ok((host, bound.port()))
        }
    }
}

async fn retain(partitions: Arc<Partitions>, interval: std::time::Duration, stopping: CancellationToken) {
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
        let partitions = partitions.clone();
        let pass = tokio::task::spawn_blocking(move || {
            for partition in partitions.all() {
                partition.retain();
            }
        });
        let _ = pass.await;
    }
}
