//! The broker and the producer of aggregate records: in the parent, so that their time is nobody's.

use std::net::SocketAddr;
use std::time::Duration;

use ovation_broker::Broker;
use ovation_client::fluvio::metadata::topic::TopicSpec;
use ovation_client::{Admin, Cluster, Producer, ProducerOptions, bounds};

use super::process::PATIENCE;
use super::records::{ROOM, Records};

/// Of each topic, as in `topology.yaml`.
const PARTITIONS: u32 = 4;
const EVENTS: &str = "emoji-events";
const AGGREGATES: &str = "emoji-aggregates";

/// Between looks at whether a new topic can be read.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// An embedded broker with the topics of the reaction system, and who writes results to it.
pub(crate) struct Source {
    broker: Broker,
    producer: Producer,
    records: Records,
    _folder: tempfile::TempDir,
}

impl Source {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let broker = Broker::start(ovation_broker::Config::new(folder.path())).await.unwrap();
        let cluster = Cluster::new(broker.control_addr().to_string());
        for topic in [EVENTS, AGGREGATES] {
            Admin::new(&cluster).create(topic, TopicSpec::new_computed(PARTITIONS, 1, None)).await.unwrap();
            for partition in 0..PARTITIONS {
                let readable = async {
                    while bounds(&cluster, topic, partition).await.is_err() {
                        tokio::time::sleep(LOOK_INTERVAL).await;
                    }
                };
                tokio::time::timeout(PATIENCE, readable).await.unwrap();
            }
        }
        let producer = Producer::open(cluster, AGGREGATES, ProducerOptions::default());
        producer.ready(PATIENCE).await.unwrap();
        Self { broker, producer, records: Records::default(), _folder: folder }
    }

    /// Where the gateway finds the broker.
    pub(crate) fn control(&self) -> SocketAddr {
        self.broker.control_addr()
    }

    /// Writes the next record, and returns when the broker has acknowledged it.
    pub(crate) async fn publish(&mut self) {
        let value = self.records.next();
        self.producer.send(Some(ROOM.as_bytes().to_vec()), value).await.unwrap();
    }

    pub(crate) async fn end(self) {
        drop(self.producer);
        self.broker.shutdown().await;
    }
}
