//! A broker in a folder of its own, and Fluvio's client against it.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "shared by tests that use different parts; tests may panic"
)]

pub mod modules;

use std::pin::Pin;
use std::time::Duration;

use fluvio::consumer::{ConsumerConfigExt, ConsumerConfigExtBuilder, ConsumerStream, Record, RetryMode};
use fluvio::metadata::smartmodule::{SmartModuleSpec, SmartModuleWasm};
use fluvio::metadata::topic::{Bounds, Deduplication, Filter, TopicSpec, TopicStorageConfig, Transform};
use fluvio::{
    Fluvio, FluvioClusterConfig, Isolation, Offset, RecordKey, SmartModuleInvocation,
    TopicProducerConfigBuilder,
};
use fluvio_protocol::link::ErrorCode;
use futures_util::StreamExt;
use ovation_broker::{Broker, Config};
use tempfile::TempDir;

/// Longer than anything here takes: a test that waits for it has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Fixture {
    pub dir: TempDir,
    pub config: Config,
    pub broker: Option<Broker>,
}

pub async fn start() -> Fixture {
    start_with(|_| ()).await
}

pub async fn start_with(change: impl FnOnce(&mut Config)) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::new(dir.path().join("data"));
    change(&mut config);
    let broker = Broker::start(config.clone()).await.unwrap();
    Fixture { dir, config, broker: Some(broker) }
}

impl Fixture {
    pub fn broker(&self) -> &Broker {
        self.broker.as_ref().unwrap()
    }

    pub async fn client(&self) -> Fluvio {
        connect(&self.broker().control_addr().to_string()).await
    }

    pub async fn restart(&mut self) {
        self.broker.take().unwrap().shutdown().await;
        self.broker = Some(Broker::start(self.config.clone()).await.unwrap());
    }
}

pub async fn connect(endpoint: &str) -> Fluvio {
    let config = FluvioClusterConfig::new(endpoint);
    tokio::time::timeout(PATIENCE, Fluvio::connect_with_config(&config)).await.unwrap().unwrap()
}

/// Creates a topic, and returns when this client knows of it: it is told on another stream than the one with the answer.
pub async fn create_topic(client: &Fluvio, name: &str, partitions: u32) {
    client
        .admin()
        .await
        .create(name.to_owned(), false, TopicSpec::new_computed(partitions, 1, None))
        .await
        .unwrap();
    let known = async {
        while client.topic_producer(name).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, known).await.expect("the client is told of the topic");
}

/// Sends records one batch each, and waits for every acknowledgement.
pub async fn send_each(client: &Fluvio, topic: &str, values: impl IntoIterator<Item = String>) -> Vec<i64> {
    let producer = client.topic_producer(topic).await.unwrap();
    let mut offsets = Vec::new();
    for value in values {
        let output = producer.send(RecordKey::NULL, value).await.unwrap();
        producer.flush().await.unwrap();
        offsets.push(output.wait().await.unwrap().offset());
    }
    offsets
}

pub fn numbered(range: std::ops::Range<usize>) -> impl Iterator<Item = String> {
    range.map(|number| format!("record {number}"))
}

pub fn reading(topic: &str, partition: u32, from: Offset) -> ConsumerConfigExtBuilder {
    let mut config = ConsumerConfigExtBuilder::default();
    config.topic(topic).partition(partition).offset_start(from).isolation(Isolation::ReadCommitted);
    config.retry_mode(RetryMode::Disabled);
    config
}

pub fn through(
    modules: Vec<SmartModuleInvocation>,
    config: &mut ConsumerConfigExtBuilder,
) -> ConsumerConfigExt {
    config.smartmodule(modules).build().unwrap()
}

pub type Records = Pin<Box<dyn ConsumerStream<Item = Result<Record, ErrorCode>> + Send>>;

pub async fn open(client: &Fluvio, config: ConsumerConfigExt) -> Records {
    Box::pin(client.consumer_with_config(config).await.unwrap())
}

pub async fn take(stream: &mut Records, count: usize) -> Vec<Record> {
    let mut records = Vec::new();
    while records.len() < count {
        let next = tokio::time::timeout(PATIENCE, stream.next()).await;
        records
            .push(next.unwrap_or_else(|_| panic!("{} of {count} records", records.len())).unwrap().unwrap());
    }
    records
}

pub fn text(record: &Record) -> String {
    String::from_utf8(record.value().to_vec()).unwrap()
}

pub fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(text).collect()
}

/// Sends records as one batch in one request.
pub async fn send_batch(
    client: &Fluvio,
    topic: &str,
    values: impl IntoIterator<Item = String>,
) -> anyhow::Result<()> {
    let config = TopicProducerConfigBuilder::default()
        .batch_size(16 << 20)
        .max_request_size(16 << 20)
        .linger(Duration::from_secs(60))
        .build()?;
    let producer = client.topic_producer_with_config(topic, config).await?;
    let mut outputs = Vec::new();
    for value in values {
        outputs.push(producer.send(RecordKey::NULL, value).await?);
    }
    producer.flush().await?;
    for output in outputs {
        output.wait().await?;
    }
    Ok(())
}

pub async fn upload(client: &Fluvio, name: &str, wasm: &[u8]) {
    let spec =
        SmartModuleSpec { wasm: SmartModuleWasm::from_raw_wasm_bytes(wasm).unwrap(), ..Default::default() };
    client.admin().await.create(name.to_owned(), false, spec).await.unwrap();
}

pub fn deduplicated(module: &str, count: u64) -> TopicSpec {
    let mut spec = TopicSpec::new_computed(1, 1, None);
    let transform = Transform { uses: module.to_owned(), ..Default::default() };
    let bounds = Bounds { count, age: None };
    spec.set_deduplication(Some(Deduplication { bounds, filter: Filter { transform } }));
    spec
}

/// A topic with segments of `bytes`.
pub fn segmented(bytes: u32) -> TopicSpec {
    let mut spec = TopicSpec::new_computed(1, 1, None);
    spec.set_storage(TopicStorageConfig { segment_size: Some(bytes), max_partition_size: None });
    spec
}

pub async fn create(client: &Fluvio, name: &str, spec: TopicSpec) {
    client.admin().await.create(name.to_owned(), false, spec).await.unwrap();
}

/// All values of a topic's first partition that are there now.
pub async fn all(client: &Fluvio, topic: &str) -> Vec<Record> {
    let config = reading(topic, 0, Offset::beginning()).disable_continuous(true).build().unwrap();
    let mut stream = open(client, config).await;
    let mut records = Vec::new();
    // Not `collect`: after an error the client's stream neither ends nor goes on.
    while let Some(record) = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap() {
        records.push(record.unwrap());
    }
    records
}
