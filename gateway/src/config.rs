//! What the gateway needs to know, with a bound for everything that grows.

use std::time::Duration;

use ovation_client::Cluster;

use crate::access::AccessConfig;
use crate::connections::Connections;
use crate::fair::Fair;
use crate::history::History;
use crate::ingest::Ingest;
use crate::network::Network;
use crate::rooms::Rooms;

/// Configuration of the gateway. Start from [`Config::new`] and change what differs.
#[derive(Debug, Clone)]
pub struct Config {
    /// The broker.
    pub cluster: Cluster,
    /// Topic that takes the reactions.
    pub events_topic: String,
    /// Topic with the stage's results.
    pub aggregates_topic: String,
    /// Topic with moments. Where it is missing, or none is named, there are none.
    pub moments_topic: Option<String>,
    /// Topic with what did not count, for operators. It may be missing, too.
    pub rejects_topic: Option<String>,

    /// Proxies that are believed, and addresses without limits.
    pub network: Network,
    /// Who may use the gateway, and from which pages.
    pub access: AccessConfig,

    /// How reactions are taken in.
    pub ingest: Ingest,
    /// How much anybody may send.
    pub fair: Fair,
    /// What rooms take.
    pub rooms: Rooms,

    /// How much of the past may be asked for.
    pub history: History,

    /// Whether the public address answers `/metrics` and admin calls, too: for one that only this machine can reach.
    pub operator_routes: bool,
    /// Bounds on connections.
    pub connections: Connections,

    /// Rooms in memory; the one idle longest is forgotten for a new one, its records stay in the topic. A full room
    /// (60 finals, 64 updates of 600 bytes, 16 moments) takes about 90 KB: 180 MB at worst for 2,000.
    pub rooms_max: usize,
    /// Finals kept for each room: ten minutes of 10 s windows.
    pub finals_per_room: usize,
    /// Open windows kept for each room: a few definitions with a few windows each.
    pub open_windows_per_room_max: usize,
    /// Updates kept for each room for clients that resume: about six seconds at ten a second.
    pub resume_updates_per_room: usize,
    /// Records read from the end of each partition before the hub says that it is ready.
    pub tail_records: u32,
    /// The same of moments. They are rare: a busy day's.
    pub moments_tail_records: u32,
    /// Results kept while an earlier one of their partition is missing.
    pub early_results_max: usize,
    /// How long a missing result may take before its partition is read again; doubled at each further try.
    pub gap_wait: Duration,

    /// Feed clients at a time; more are answered 503.
    pub clients_max: usize,
    /// Clients at a time that resume from the topic, as the hub does not know any more what they missed, until they have taken
    /// it: up to 5 MB each. Others wait, and get a snapshot in the end.
    pub replays_max: usize,
    /// Time for a client to resume from the topic; after it, it gets a snapshot.
    pub replay_timeout: Duration,
    /// Largest message from a feed client, in bytes.
    pub message_limit: usize,
    /// Reactions of one feed client on their way at a time; its next messages wait unread.
    pub client_in_flight_max: usize,
    /// How often a feed client is pinged; one that has been silent for two intervals is closed.
    pub ping_interval: Duration,
    /// How long messages may wait for a feed client that does not read, each KiB that it takes buys one more second; after it
    /// the client is closed.
    pub write_timeout: Duration,

    /// Time from the shutdown signal to the end: requests in flight are answered, feeds are closed with a code.
    pub drain: Duration,
    /// Over which time feeds are sent elsewhere, so that not all come there at once. Shorter than `drain`.
    pub drain_spread: Duration,
}

impl Config {
    /// The defaults, for the topics of the reaction topology.
    pub fn new(cluster: Cluster) -> Self {
        Self {
            cluster,
            events_topic: "emoji-events".into(),
            aggregates_topic: "emoji-aggregates".into(),
            moments_topic: Some("emoji-moments".into()),
            rejects_topic: Some("emoji-rejects".into()),
            network: Network::default(),
            ingest: Ingest::default(),
            access: AccessConfig::default(),
            fair: Fair::default(),
            rooms: Rooms::default(),
            history: History::default(),
            operator_routes: true,
            connections: Connections::default(),
            rooms_max: 2_000,
            finals_per_room: 60,
            open_windows_per_room_max: 32,
            resume_updates_per_room: 64,
            tail_records: 20_000,
            moments_tail_records: 2_000,
            early_results_max: 10_000,
            gap_wait: Duration::from_millis(500),
            clients_max: 15_000,
            replays_max: 16,
            replay_timeout: Duration::from_secs(10),
            message_limit: 4 * 1024,
            client_in_flight_max: 32,
            ping_interval: Duration::from_secs(20),
            write_timeout: Duration::from_secs(10),
            drain: Duration::from_secs(5),
            drain_spread: Duration::from_secs(3),
        }
    }
}
