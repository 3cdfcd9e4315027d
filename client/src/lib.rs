//! The one client path to a Fluvio-speaking broker, embedded or real.
//!
//! [`Cluster`] says where the broker is and how long to wait for it. [`Producer`] writes, [`follow`] reads for
//! ever, [`read_tail`], [`Scan`] and [`bounds`] read something finite, and [`ChainStream`] runs SmartModules in the broker.
//! Producing and consuming never share a connection: each [`Producer`] lane and each stream has its own.
//!
//! Everything is read and written with `Isolation::ReadCommitted`, every wait has a deadline, and every queue a
//! bound.
#![forbid(unsafe_code)]

mod admin;
mod batches;
mod chain;
mod cluster;
mod connector;
mod directory;
mod error;
mod exchange;
mod follow;
mod in_flight;
mod lane;
mod link;
mod partitioner;
mod producer;
mod record;
mod scan;
mod tail;

pub use admin::Admin;
pub use chain::{ChainModule, ChainRecord, ChainStream};
pub use cluster::Cluster;
pub use error::{Error, ProduceError};
pub use follow::{FollowOptions, From, follow};
pub use partitioner::partition_of_key;
pub use producer::{MAX_RECORD_BYTES, Producer, ProducerOptions, Stored};
pub use record::Record;
pub use scan::Scan;
pub use tail::{bounds, read_from, read_tail};

/// The client crate this one is built on, for administration through [`Cluster::connect`].
pub use fluvio;
