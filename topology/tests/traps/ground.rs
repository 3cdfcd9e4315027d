//! Where a trap is set: a broker with topics of this test's own, that can be ended and started again.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use fluvio::metadata::smartmodule::{SmartModuleSpec, SmartModuleWasm};
use fluvio::metadata::topic::{
    Bounds, Deduplication, Filter, TopicSpec, TopicStorageConfig, Transform as DeduplicationTransform,
};
use ovation_broker::Config;
use ovation_client::{Admin, ChainModule, ChainStream, Error, bounds};
use tokio::sync::Mutex;

use crate::naive::SILENCE;
use crate::support::{Embedded, Words, eventually, within};

/// A real SC overlooks a new topic now and then, and looks at all of them once a minute (docs/fluvio.md 33).
const SERVED_WITHIN: Duration = Duration::from_secs(90);

/// Tests that use the real cluster take turns: some of them end its SPU.
static TURN: Mutex<()> = Mutex::const_new(());

pub(crate) struct Ground {
    pub(crate) words: Words,
    host: Host,
    topics: Vec<String>,
    modules: Vec<String>,
}

#[expect(clippy::large_enum_variant, reason = "there is one for each test")]
enum Host {
    Embedded(Embedded),
    /// How its SPU is ended and started, if that is allowed.
    Real(Option<Spu>),
}

struct Spu {
    pid_file: String,
    start: String,
}

/// Runs a test on an embedded broker, and on the real cluster if there is one.
pub(crate) async fn on_each(
    test: &str,
    change: impl FnOnce(&mut Config),
    run: impl AsyncFn(&mut Ground) -> (),
) {
    let embedded = Embedded::start_with(change).await;
    let mut ground = Ground::new(embedded.words(1), Host::Embedded(embedded));
    run(&mut ground).await;
    ground.clear().await;
    let Ok(endpoint) = std::env::var("OVATION_TEST_CLUSTER") else {
        return eprintln!("{test}: skipped on a real cluster: OVATION_TEST_CLUSTER is not set");
    };
    let _turn = TURN.lock().await;
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let suffix = format!("{test}-{}-{}", std::process::id(), since.as_millis() % 1_000_000);
    let words = Words::new(ovation_client::Cluster::new(endpoint), 1, suffix);
    let mut ground = Ground::new(words, Host::Real(Spu::from_environment()));
    run(&mut ground).await;
    ground.clear().await;
}

impl Spu {
    fn from_environment() -> Option<Self> {
        let pid_file = std::env::var("OVATION_TEST_SPU_PIDFILE").ok()?;
        Some(Self { pid_file, start: std::env::var("OVATION_TEST_SPU_START").ok()? })
    }

    fn signal(&self, signal: &str) {
        let pid = std::fs::read_to_string(&self.pid_file).unwrap();
        assert!(Command::new("kill").args([signal, pid.trim()]).status().unwrap().success());
    }
}

impl Ground {
    fn new(words: Words, host: Host) -> Self {
        Self { words, host, topics: Vec::new(), modules: Vec::new() }
    }

    pub(crate) fn is_real(&self) -> bool {
        matches!(self.host, Host::Real(_))
    }

    /// Whether the broker may be ended; says so if not.
    pub(crate) fn may_end(&self) -> bool {
        let may = !matches!(self.host, Host::Real(None));
        if !may {
            eprintln!(
                "skipped on the real cluster: OVATION_TEST_SPU_PIDFILE and OVATION_TEST_SPU_START are not set"
            );
        }
        may
    }

    /// Ends the broker; the real one by kill -9.
    pub(crate) async fn stop(&mut self) {
        match &mut self.host {
            Host::Embedded(embedded) => embedded.stop().await,
            Host::Real(spu) => spu.as_ref().unwrap().signal("-9"),
        }
    }

    /// Starts it again, and waits until it takes records.
    pub(crate) async fn start_again(&mut self) {
        match &mut self.host {
            Host::Embedded(embedded) => embedded.start_again().await,
            Host::Real(spu) => {
                let start = spu.as_ref().unwrap().start.clone();
                let started = tokio::task::spawn_blocking(move || {
                    Command::new("sh").args(["-c", &start]).stdout(std::process::Stdio::null()).status()
                });
                assert!(started.await.unwrap().unwrap().success());
            }
        }
        for topic in self.words.topics().iter().chain(&self.topics) {
            if self.words.cluster.partitions(topic).await.unwrap().is_some() {
                self.until_served(topic).await;
            }
        }
    }

    /// A real SPU listens before it has heard from its SC what it leads.
    async fn until_served(&self, topic: &str) {
        let served = async || bounds(&self.words.cluster, topic, 0).await.is_ok();
        within(SERVED_WITHIN, "the broker serves the topic", served).await;
    }

    /// Pauses the real broker's process, or lets it go on.
    pub(crate) fn pause(&self, is_paused: bool) {
        if let Host::Real(Some(spu)) = &self.host {
            spu.signal(if is_paused { "-STOP" } else { "-CONT" });
        }
    }

    /// Creates a topic of this test's own, and returns its name once it takes records.
    pub(crate) async fn create(&mut self, name: &str, spec: TopicSpec) -> String {
        let topic = self.words.topic(name);
        self.topics.push(topic.clone());
        match Admin::new(&self.words.cluster).create(&topic, spec).await {
            Ok(()) | Err(Error::Deadline { .. }) => self.until_served(&topic).await,
            Err(error) => panic!("{error}"),
        }
        let client = self.words.cluster.connect().await.unwrap();
        // Fluvio's client hears of the topic on a watch of its own.
        let known = async || client.topic_producer(&topic).await.is_ok();
        eventually("the stock client knows the topic", known).await;
        topic
    }

    /// Registers a SmartModule of this test's own.
    pub(crate) async fn upload(&mut self, name: &str, wasm: &[u8]) -> String {
        let name = self.words.topic(name);
        self.register(&name, wasm).await;
        self.modules.push(name.clone());
        if let (true, Some(topic)) = (self.is_real(), self.topics.first()) {
            self.until_known(&name, topic).await;
        }
        name
    }

    /// A real SPU hears of a module some time after the SC has taken it.
    async fn until_known(&self, module: &str, topic: &str) {
        let chain = [ChainModule { name: module.to_owned(), params: BTreeMap::new() }];
        let known = async || {
            let mut stream = ChainStream::open(&self.words.cluster, topic, 0, 0, &chain).await.unwrap();
            match tokio::time::timeout(SILENCE, stream.next()).await {
                Ok(Err(error)) => !error.to_string().contains("was not found"),
                // An empty topic gives nothing to say.
                Ok(Ok(_)) | Err(_) => true,
            }
        };
        eventually("the broker knows the module", known).await;
    }

    /// The fence, under the name that the engine gives it; stays.
    pub(crate) async fn fence(&mut self) -> &'static str {
        const FENCE: &str = "ovation-fence";
        let admin = Admin::new(&self.words.cluster);
        let there = admin.list::<SmartModuleSpec>(Some(FENCE)).await.unwrap();
        if !there.iter().any(|module| module.name == FENCE) {
            self.register(FENCE, ovation_wasm::FENCE).await;
        }
        FENCE
    }

    async fn register(&self, name: &str, wasm: &[u8]) {
        let wasm = SmartModuleWasm::from_raw_wasm_bytes(wasm).unwrap();
        let spec = SmartModuleSpec { wasm, ..Default::default() };
        let client = self.words.cluster.connect().await.unwrap();
        client.admin().await.create(name.to_owned(), false, spec).await.unwrap();
    }

    /// Takes away what was created; the embedded broker takes everything with it.
    async fn clear(self) {
        if !self.is_real() {
            return;
        }
        let client = self.words.cluster.connect().await.unwrap();
        let admin = client.admin().await;
        for topic in &self.topics {
            let _ = admin.delete::<TopicSpec>(topic.clone()).await;
        }
        for module in &self.modules {
            let _ = admin.delete::<SmartModuleSpec>(module.clone()).await;
        }
        self.words.remove().await;
    }
}

pub(crate) fn plain() -> TopicSpec {
    TopicSpec::new_computed(1, 1, None)
}

/// Segments of `bytes`.
pub(crate) fn segmented(mut spec: TopicSpec, bytes: u32) -> TopicSpec {
    spec.set_storage(TopicStorageConfig { segment_size: Some(bytes), max_partition_size: None });
    spec
}

/// Deduplication by `module`, which is shown the last `count` records.
pub(crate) fn deduplicated(module: &str, count: u64) -> TopicSpec {
    let mut spec = plain();
    let transform = DeduplicationTransform { uses: module.to_owned(), ..Default::default() };
    let bounds = Bounds { count, age: None };
    spec.set_deduplication(Some(Deduplication { bounds, filter: Filter { transform } }));
    spec
}
