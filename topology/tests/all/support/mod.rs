//! Brokers to test on, and a topology of their own for each test.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

use ovation_broker::{Broker, Config, Quirks};
use ovation_client::fluvio::metadata::topic::TopicSpec;
use ovation_client::{Cluster, Producer, ProducerOptions, read_tail};
use ovation_topology::{Engine, EngineError, EngineOptions, Topology, apply};
use tokio_util::sync::CancellationToken;

/// Time for what has to happen at some time: a bound on a hang, not on speed. A busy machine compiles a chain in many seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A broker, and the names of this test's topics on it.
pub(crate) struct Words {
    pub(crate) cluster: Cluster,
    pub(crate) partitions: u32,
    suffix: String,
    /// Ends with the test.
    _embedded: Option<Embedded>,
}

/// A broker in this process, on free ports, with a data folder of its own.
pub(crate) struct Embedded {
    broker: Option<Broker>,
    config: Config,
    _folder: tempfile::TempDir,
}

impl Embedded {
    pub(crate) async fn start(quirks: Quirks) -> Self {
        Self::start_with(|config| config.quirks = quirks).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let mut config = Config::new(folder.path());
        config.control = any;
        config.spu = any;
        change(&mut config);
        let broker = Broker::start(config.clone()).await.unwrap();
        // The same ports again after a restart.
        config.control = broker.control_addr();
        config.spu = broker.spu_addr();
        Self { broker: Some(broker), config, _folder: folder }
    }

    pub(crate) fn cluster(&self) -> Cluster {
        Cluster::new(self.config.control.to_string())
    }

    pub(crate) async fn stop(&mut self) {
        self.broker.take().expect("it runs").shutdown().await;
    }

    pub(crate) async fn start_again(&mut self) {
        // The folder's lock may outlive the broker by a moment.
        let since = Instant::now();
        self.broker = loop {
            match Broker::start(self.config.clone()).await {
                Ok(broker) => break Some(broker),
                Err(error) => assert!(since.elapsed() < PATIENCE, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
    }

    /// This test's topics on this broker.
    pub(crate) fn words(&self, partitions: u32) -> Words {
        Words { cluster: self.cluster(), partitions, suffix: "test".to_owned(), _embedded: None }
    }
}

impl Words {
    /// Names that end in `suffix` on a broker that is there already.
    #[allow(dead_code, reason = "for the program `traps`")]
    pub(crate) fn new(cluster: Cluster, partitions: u32, suffix: String) -> Self {
        Words { cluster, partitions, suffix, _embedded: None }
    }

    pub(crate) fn topic(&self, name: &str) -> String {
        format!("{name}-{}", self.suffix)
    }

    pub(crate) fn topology(&self) -> String {
        let partitions = self.partitions;
        let [lines, counts, refused, checkpoints] = self.topics();
        format!(
            "name: words
topics:
  {lines}: {{ partitions: {partitions} }}
  {counts}: {{ partitions: {partitions}, fence: true }}
  {refused}: {{ partitions: {partitions}, fence: true }}
  {checkpoints}: {{ partitions: {partitions} }}
smartmodules:
  count: {{ builtin: ovation-word-count }}
stages:
  words:
    source: {lines}
    transforms:
      - uses: count
        window: {{ tumbling: {{ size: 1s }}, grace: 200ms, emit: {{ every: 50ms }} }}
    sink: {counts}
    dead-letter: {refused}
    checkpoints: {checkpoints}
"
        )
    }

    /// The topics of the topology.
    pub(crate) fn topics(&self) -> [String; 4] {
        ["lines", "counts", "refused", "checkpoints"].map(|name| self.topic(name))
    }

    /// Takes the test's topics away again.
    pub(crate) async fn remove(self) {
        let client = self.cluster.connect().await.unwrap();
        let admin = client.admin().await;
        for topic in self.topics() {
            let _ = admin.delete::<TopicSpec>(topic).await;
        }
    }
}

/// The brokers that this test runs on.
pub(crate) async fn each(test: &str, partitions: u32) -> Vec<Words> {
    let suffix = format!("{test}-{}-{}", std::process::id(), start_ms());
    let embedded = Embedded::start(Quirks::default()).await;
    let cluster = embedded.cluster();
    let mut all = vec![Words { cluster, partitions, suffix: suffix.clone(), _embedded: Some(embedded) }];
    match std::env::var("OVATION_TEST_CLUSTER") {
        Ok(endpoint) => {
            all.push(Words { cluster: Cluster::new(endpoint), partitions, suffix, _embedded: None })
        }
        Err(_) => eprintln!("skipped on a real cluster: OVATION_TEST_CLUSTER is not set"),
    }
    all
}

fn start_ms() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis()
        % 1_000_000
}

pub(crate) fn modules(name: &str) -> Option<Cow<'static, [u8]>> {
    ovation_wasm::builtin(name).map(Cow::Borrowed)
}

/// Asks again until it is true; a test that waits in vain fails with what it waited for.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, asked: impl FnMut() -> F) {
    within(PATIENCE, what, asked).await;
}

/// The same, for what may take longer.
pub(crate) async fn within<F: Future<Output = bool>>(
    time: Duration,
    what: &str,
    mut asked: impl FnMut() -> F,
) {
    let since = Instant::now();
    while !asked().await {
        assert!(since.elapsed() < time, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A producer for the source.
pub(crate) async fn source(words: &Words) -> Producer {
    let producer = Producer::open(words.cluster.clone(), &words.topic("lines"), ProducerOptions::default());
    producer.ready(PATIENCE).await.unwrap();
    producer
}

/// Applies the topology and starts an engine on it.
pub(crate) async fn start(words: &Words, text: &str) -> (Engine, CancellationToken) {
    let topology = Topology::parse("words.yaml", text).unwrap();
    apply(&words.cluster, &topology, &modules).await.unwrap();
    start_some(words, &topology, &EngineOptions::default()).unwrap()
}

/// Starts an engine on a topology that was applied.
pub(crate) fn start_some(
    words: &Words,
    topology: &Topology,
    options: &EngineOptions,
) -> Result<(Engine, CancellationToken), EngineError> {
    let shutdown = CancellationToken::new();
    let engine = Engine::start(words.cluster.clone(), topology, &modules, options, shutdown.clone())?;
    Ok((engine, shutdown))
}

/// Results of one partition in the order of the log, by epoch: in each of them every number once, without a hole.
pub(crate) async fn epochs(words: &Words, partition: u32) -> BTreeMap<u64, Vec<serde_json::Value>> {
    epochs_in(words, "counts", partition).await
}

/// The same of another sink.
pub(crate) async fn epochs_in(
    words: &Words,
    sink: &str,
    partition: u32,
) -> BTreeMap<u64, Vec<serde_json::Value>> {
    let records = read_tail(&words.cluster, &words.topic(sink), partition, 100_000).await.unwrap();
    let mut epochs: BTreeMap<u64, Vec<serde_json::Value>> = BTreeMap::new();
    for record in records {
        let value: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
        epochs.entry(value["epoch"].as_u64().unwrap()).or_default().push(value);
    }
    for (epoch, values) in &epochs {
        let numbers: Vec<u64> = values.iter().map(|value| value["seq"].as_u64().unwrap()).collect();
        let whole: Vec<u64> = (1..=numbers.len() as u64).collect();
        assert_eq!(
            numbers, whole,
            "partition {partition}, epoch {epoch}: each number is stored once, in order"
        );
    }
    epochs
}

/// The same, where there is one epoch.
pub(crate) async fn results(words: &Words, partition: u32) -> Vec<serde_json::Value> {
    let mut epochs = epochs(words, partition).await;
    assert!(epochs.len() <= 1, "there was no reset");
    epochs.remove(&1).unwrap_or_default()
}

/// Words in all final windows.
pub(crate) async fn final_words(words: &Words) -> u64 {
    let mut total = 0;
    for partition in 0..words.partitions {
        for value in results(words, partition).await.iter().filter(|value| value["final"] == true) {
            let counts = value["words"].as_object().unwrap().values();
            total += counts.map(|count| count.as_u64().unwrap()).sum::<u64>();
        }
    }
    total
}
