//! What is measured: one of three servers, and how an update gets into it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use super::broker::Source;
use super::crowd::Crowd;
use super::load::now;
use super::nchan::{self, Publisher};
use super::probe::Probe;
use super::process::Process;
use super::records::ROOM;
use super::{gateway, raw};

/// How an update gets in.
enum Way {
    /// As a record of the aggregate topic. The probe says what the clients are sent.
    Gateway { source: Box<Source>, probe: Probe },
    /// As it is.
    Raw,
    /// By HTTP.
    Nchan(Publisher),
}

/// A server that is measured.
pub(crate) struct Server {
    name: &'static str,
    pub(crate) process: Process,
    way: Way,
    address: SocketAddr,
    path: String,
}

/// What a turn took.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Updates that reached a client.
    pub(crate) deliveries: usize,
    /// Time of the server on a processor.
    pub(crate) server: Duration,
    /// Time of the clients on a processor.
    pub(crate) clients: Duration,
    /// How long it took.
    pub(crate) time: Duration,
    /// When each update was acknowledged to who published it: ns since 1970.
    pub(crate) acknowledged: Vec<u64>,
}

impl Server {
    pub(crate) async fn gateway() -> Self {
        let source = Box::new(Source::start().await);
        let (process, address) = gateway::start(source.control()).await;
        let path = format!("/v1/rooms/{ROOM}/feed");
        let probe = Probe::connect(address, &path).await;
        Self { name: "gateway", process, way: Way::Gateway { source, probe }, address, path }
    }

    /// A raw writer for exactly so many clients.
    pub(crate) async fn raw(clients: usize) -> Self {
        let (process, address) = raw::start(clients).await;
        Self { name: "raw", process, way: Way::Raw, address, path: "/".into() }
    }

    /// None if this machine has no nchan.
    pub(crate) async fn nchan() -> Option<Self> {
        let (process, address) = nchan::start(nchan::module()?).await;
        let way = Way::Nchan(Publisher::connect(address).await);
        Some(Self { name: "nchan", process, way, address, path: nchan::SUBSCRIBE.into() })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Whether a client is sent something before the first update.
    pub(crate) fn greets(&self) -> bool {
        matches!(self.way, Way::Gateway { .. })
    }

    /// Clients besides the crowd.
    fn probes(&self) -> usize {
        usize::from(self.greets())
    }

    /// Sends `updates` at `rate` a second to the crowd, and returns when each reader has had each, whole. The gateway's
    /// messages are put into `messages`; the others send these.
    pub(crate) async fn turn(
        &mut self,
        crowd: &mut Crowd,
        updates: usize,
        rate: u32,
        messages: &mut Vec<Vec<u8>>,
    ) -> Turn {
        let (since, server, clients) = (Instant::now(), self.process.cpu(), crowd.cpu());
        let mut clock = tokio::time::interval(Duration::from_secs(1) / rate);
        clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut acknowledged = Vec::with_capacity(updates);
        for number in 0..updates {
            clock.tick().await;
            let message = messages.get(number);
            match &mut self.way {
                Way::Gateway { source, .. } => source.publish().await,
                Way::Raw => raw::publish(&mut self.process, message.unwrap()).await,
                Way::Nchan(publisher) => publisher.publish(message.unwrap()).await,
            }
            acknowledged.push(now());
        }
        let bytes = crowd.wait(updates).await;
        let (server, clients, time) = (self.process.cpu() - server, crowd.cpu() - clients, since.elapsed());
        if let Way::Gateway { probe, .. } = &mut self.way {
            *messages = probe.take(updates).await;
        }
        let sent: usize = messages.iter().map(Vec::len).sum();
        assert_eq!(
            bytes,
            (sent * crowd.size.readers) as u64,
            "{}: not every client had all that was sent",
            self.name
        );
        Turn {
            deliveries: (crowd.size.readers + self.probes()) * updates,
            server,
            clients,
            time,
            acknowledged,
        }
    }

    pub(crate) async fn end(self) {
        self.process.end().await;
        if let Way::Gateway { source, .. } = self.way {
            source.end().await;
        }
    }
}
