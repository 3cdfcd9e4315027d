//! What a broker is told when it starts.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// How to run a broker.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder that holds everything the broker keeps. Created if missing; one process at a time.
    pub data: PathBuf,
    /// Address for control requests (Fluvio's SC; clients connect here). Port 0 takes a free one.
    pub control: SocketAddr,
    /// Address for records (Fluvio's SPU). Port 0 takes a free one.
    pub spu: SocketAddr,
    /// Host, or host and port, that clients are told to reach the data address at. Needed when `spu` is an
    /// unspecified address (0.0.0.0); otherwise the bound address is told.
    pub advertise: Option<String>,
    /// Flush records to disk before they are acknowledged. Without it they survive the end of the process,
    /// not of the machine.
    pub fsync: bool,
    /// Misbehaviour, for tests only.
    pub quirks: Quirks,
    /// Bounds on sizes, counts and times.
    pub limits: Limits,
}

impl Config {
    /// A broker on free ports of 127.0.0.1.
    pub fn new(data: impl Into<PathBuf>) -> Config {
        Config {
            data: data.into(),
            control: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            spu: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            advertise: None,
            fsync: false,
            quirks: Quirks::default(),
            limits: Limits::default(),
        }
    }
}

/// Every bound the broker keeps, with the reason for its default.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections to both ports together. Each holds a few tasks and buffers.
    pub connections_max: usize,
    /// Bytes of one request on the control port: a gzipped SmartModule of 5 MiB, with room.
    pub control_request_bytes_max: u32,
    /// Bytes of one request on the data port: a produce request of 32 MiB as Fluvio allows, or a stream whose
    /// SmartModule parameters restore 60 MB of state.
    pub data_request_bytes_max: u32,
    /// Bytes of a request that carries neither records nor SmartModules. Their lists grow about tenfold in memory.
    pub small_request_bytes_max: u32,
    /// Bytes of records in one response, whatever the client asks for; one batch or one call's output goes out whole.
    pub fetch_bytes_max: u32,
    /// Bytes read from the log at a time for a SmartModule chain, between looks at whether the client is still there.
    pub chain_read_bytes: u32,
    /// Bytes that a batch's records, or a SmartModule, may have when decompressed.
    pub decompressed_bytes_max: usize,
    /// Bytes of memory that one SmartModule chain may use, as in Fluvio.
    pub chain_memory_bytes_max: usize,
    /// SmartModules in one chain.
    pub chain_modules_max: usize,
    /// Records that one look-back may read into memory.
    pub look_back_records_max: usize,
    /// Streams on one connection. A stream lives until its connection ends, as in Fluvio.
    pub streams_per_connection_max: usize,
    /// Responses waiting to be written to one connection.
    pub responses_queued_max: usize,
    /// Stream responses being made or written at a time on one connection.
    pub stream_responses_max: usize,
    /// How long a client may take nothing of what it asked for, or pause in the middle of a request.
    pub stall_timeout: Duration,
    /// How often old segments are looked for.
    pub retention_interval: Duration,
    /// Segment size of topics that name none: Fluvio's 1 GiB.
    pub segment_bytes: u32,
    /// Partitions of all topics together. Each holds open files.
    pub partitions_max: u32,
    /// SmartModules, and table formats, kept. The former are held in memory, gzipped.
    pub objects_max: usize,
    /// Consumer offsets kept.
    pub consumer_offsets_max: usize,
    /// How long open requests may take when the broker shuts down.
    pub shutdown_grace: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: 1024,
            control_request_bytes_max: 16 << 20,
            data_request_bytes_max: 64 << 20,
            small_request_bytes_max: 1 << 20,
            fetch_bytes_max: 32 << 20,
            chain_read_bytes: 4 << 20,
            decompressed_bytes_max: 64 << 20,
            chain_memory_bytes_max: 1_000_000_000,
            chain_modules_max: 32,
            look_back_records_max: 1_000_000,
            streams_per_connection_max: 1024,
            responses_queued_max: 16,
            stream_responses_max: 16,
            stall_timeout: Duration::from_secs(30),
            retention_interval: Duration::from_secs(10),
            segment_bytes: 1 << 30,
            partitions_max: 4096,
            objects_max: 1024,
            consumer_offsets_max: 10_000,
            shutdown_grace: Duration::from_secs(10),
        }
    }
}

/// Record key that [`Quirks::fail_marked_writes`] looks for.
pub const FAIL_WRITE_KEY: &[u8] = b"\x01fail-write";

/// Ways to misbehave as Fluvio does, so that whatever must survive Fluvio can be tested. All off by default.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quirks {
    /// Cut what a consumer is sent at its `max_bytes`, in the middle of a batch: the client loses the rest of the batch.
    pub cut_batches: bool,
    /// Run a batch through a chain again when its output did not fit the response.
    pub rerun_on_overflow: bool,
    /// Feed a stream that starts inside a batch to its chain from the batch's head.
    pub chain_from_batch_head: bool,
    /// Let deduplication remember what was then not written.
    pub fence_before_write: bool,
    /// Fail to write a batch that holds a record whose key is [`FAIL_WRITE_KEY`], as a full disk would.
    pub fail_marked_writes: bool,
    /// Deduplicate and append in two steps, between which other producers get in.
    pub fence_apart: bool,
    /// Look back within one segment only.
    pub look_back_one_segment: bool,
    /// Jump to the end of the log when a chain returns nothing for a segment.
    pub silent_jump: bool,
    /// Leave holes in the offsets where deduplication dropped records of a batch.
    pub dedup_holes: bool,
    /// Answer a record that deduplication refused with a storage error that says nothing.
    pub opaque_refusal: bool,
    /// Answer this many produce requests of a connection; store the next one without an answer, and let that connection hang
    /// from there on, open and silent.
    pub hang_after_produces: Option<u32>,
}
