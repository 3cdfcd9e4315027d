//! Limits of ingest. Those of a reaction itself are the topology's own ([`Rules`]).

use std::time::Duration;

use ovation_reaction::Rules;

/// How reactions are taken in.
#[derive(Debug, Clone)]
pub struct Ingest {
    /// Largest body with one reaction, in bytes, before and after decompression. A reaction takes about 150.
    pub body_bytes_max: usize,
    /// Largest body with many reactions, in bytes, as it comes over the wire.
    pub batch_bytes_max: usize,
    /// The same after decompression.
    pub batch_inflated_bytes_max: usize,
    /// Most reactions in one request.
    pub batch_items_max: usize,
    /// Most arrays and objects within each other in what a client sends. A batch of reactions has two.
    pub json_depth_max: usize,
    /// Time for a request's body to arrive; a phone on a bad network needs a second or two.
    pub body_timeout: Duration,
    /// Bodies that are decompressed at a time; a decoder may take up to 8 MiB. More wait.
    pub decoders_max: usize,

    /// How far a client's `ts` may be from the gateway's clock, either way.
    pub skew: Duration,
    /// How reactions are judged: as the stage that counts them judges them.
    pub rules: Rules,

    /// Reactions on their way to the broker at a time; more are answered 503 at once.
    pub in_flight_max: usize,
    /// Time for the broker to acknowledge a reaction; after it the answer is 503.
    pub produce_deadline: Duration,
    /// How long a producer batch waits for company. Zero: what comes while a batch is on its way makes the next one.
    pub linger: Duration,

    /// For how long the stage that counts knows an id again; the gateway says `duplicate` as long.
    pub dedup_horizon: Duration,
    /// Ids that the gateway knows again, about 200 bytes each: only to answer early, the windows count once in any case.
    pub recent_ids_max: usize,

    /// Merge the taps of a room and an emoji that come within this time into one reaction. Only those without an id, a
    /// user and a time of their own. None: each request is a reaction.
    pub combine: Option<Duration>,
}

impl Default for Ingest {
    fn default() -> Self {
        Self {
            body_bytes_max: 16 * 1024,
            batch_bytes_max: 256 * 1024,
            batch_inflated_bytes_max: 1024 * 1024,
            batch_items_max: 1_000,
            json_depth_max: 8,
            body_timeout: Duration::from_secs(10),
            decoders_max: 16,
            skew: Duration::from_secs(5),
            rules: Rules::default(),
            in_flight_max: 20_000,
            produce_deadline: Duration::from_secs(5),
            linger: Duration::ZERO,
            dedup_horizon: Duration::from_secs(60),
            recent_ids_max: 100_000,
            combine: None,
        }
    }
}
