//! What the gateway needs to know, with a bound for everything that grows.

use std::time::Duration;

use ovation_client::Cluster;

use crate::connections::Connections;
use crate::network::Network;

/// Configuration of the gateway. Start from [`Config::new`] and change what differs.
#[derive(Debug, Clone)]
pub struct Config {
    /// The broker.
    pub cluster: Cluster,
    /// Topic that takes the reactions.
    pub events_topic: String,
    /// Topic with the stage's results.
    pub aggregates_topic: String,

    /// Proxies that are believed, and addresses without limits.
    pub network: Network,
    /// Bounds on connections.
    pub connections: Connections,

    /// Largest request body, in bytes. A reaction takes about 150.
    pub body_limit: usize,
    /// Time for a request's body to arrive; a phone on a bad network needs a second or two.
    pub body_timeout: Duration,

    /// Time for the broker to acknowledge a reaction; after it the answer is 503.
    pub produce_deadline: Duration,
    /// How far a client's `ts` may be from the gateway's clock, either way.
    pub ingest_skew: Duration,
    /// Reactions on their way to the broker at a time; more are answered 503 at once.
    pub in_flight_max: usize,
    /// How long a producer batch waits for company. Zero: what comes while a batch is on its way makes the next one.
    pub linger: Duration,

    /// Rooms in memory; the one idle longest is forgotten for a new one, its records stay in the topic. A full room
    /// (60 finals, 64 updates of 600 bytes) takes about 75 KB: 150 MB at worst for 2,000.
    pub rooms_max: usize,
    /// Finals kept for each room: ten minutes of 10 s windows.
    pub finals_per_room: usize,
    /// Open windows kept for each room: a few definitions with a few windows each.
    pub open_windows_per_room_max: usize,
    /// Updates kept for each room for clients that resume: about six seconds at ten a second.
    pub resume_updates_per_room: usize,
    /// Records read from the end of each partition before the hub says that it is ready.
    pub tail_records: u32,
    /// Results kept while an earlier one of their partition is missing.
    pub early_results_max: usize,
    /// How long a missing result may take before its partition is read again; doubled at each further try.
    pub gap_wait: Duration,

    /// Feed clients at a time; more are answered 503.
    pub clients_max: usize,
    /// Updates that wait for a slow client before it skips to a new snapshot.
    pub feed_queue_max: usize,
    /// Largest message from a feed client, in bytes.
    pub message_limit: usize,
    /// Reactions of one feed client on their way at a time; its next messages wait unread.
    pub client_in_flight_max: usize,
    /// How often a feed client is pinged; one that has been silent for two intervals is closed.
    pub ping_interval: Duration,
    /// Time for a message to reach a feed client; after it the client is closed.
    pub write_timeout: Duration,

    /// Time from the shutdown signal to the end: requests in flight are answered, feeds are closed with a code.
    pub drain: Duration,
}

impl Config {
    /// The defaults, for the topics of the reaction topology.
    pub fn new(cluster: Cluster) -> Self {
        Self {
            cluster,
            events_topic: "emoji-events".into(),
            aggregates_topic: "emoji-aggregates".into(),
            network: Network::default(),
            connections: Connections::default(),
            body_limit: 16 * 1024,
            body_timeout: Duration::from_secs(10),
            produce_deadline: Duration::from_secs(5),
            ingest_skew: Duration::from_secs(5),
            in_flight_max: 4_096,
            linger: Duration::ZERO,
            rooms_max: 2_000,
            finals_per_room: 60,
            open_windows_per_room_max: 32,
            resume_updates_per_room: 64,
            tail_records: 20_000,
            early_results_max: 10_000,
            gap_wait: Duration::from_millis(500),
            clients_max: 15_000,
            feed_queue_max: 64,
            message_limit: 4 * 1024,
            client_in_flight_max: 32,
            ping_interval: Duration::from_secs(20),
            write_timeout: Duration::from_secs(10),
            drain: Duration::from_secs(5),
        }
    }
}
