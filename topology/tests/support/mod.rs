//! Brokers to test on, and a topology of their own for each test.

use std::borrow::Cow;
use std::future::Future;
use std::time::{Duration, Instant};

use ovation_client::Cluster;
use ovation_client::fluvio::metadata::topic::TopicSpec;

/// A broker, and the names of this test's topics on it.
pub(crate) struct Words {
    pub(crate) cluster: Cluster,
    pub(crate) partitions: u32,
    suffix: String,
}

impl Words {
    pub(crate) fn topic(&self, name: &str) -> String {
        format!("{name}-{}", self.suffix)
    }

    pub(crate) fn topology(&self) -> String {
        let partitions = self.partitions;
        let [lines, counts, refused, checkpoints] =
            ["lines", "counts", "refused", "checkpoints"].map(|name| self.topic(name));
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

    /// Takes the test's topics away again.
    pub(crate) async fn remove(self) {
        let client = self.cluster.connect().await.unwrap();
        let admin = client.admin().await;
        for name in ["lines", "counts", "refused", "checkpoints"] {
            let _ = admin.delete::<TopicSpec>(self.topic(name)).await;
        }
    }
}

/// The brokers that this test runs on.
pub(crate) async fn each(test: &str, partitions: u32) -> Vec<Words> {
    let suffix = format!("{test}-{}-{}", std::process::id(), start_ms());
    let mut all = Vec::new();
    match std::env::var("OVATION_TEST_CLUSTER") {
        Ok(endpoint) => all.push(Words { cluster: Cluster::new(endpoint), partitions, suffix }),
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
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut asked: impl FnMut() -> F) {
    let since = Instant::now();
    while !asked().await {
        assert!(since.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
