//! A gateway on a broker, with results and moments written by hand, and its clients.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use ovation_broker::Broker;
use ovation_client::fluvio::metadata::topic::TopicSpec;
use ovation_client::{Admin, Cluster, Producer, ProducerOptions, bounds};
use ovation_gateway::{Config, Gateway, Hooks};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tungstenite::{Message, WebSocket};

const TOPIC: &str = "emoji-aggregates";

/// Time for anything that should come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Makes a topic of one partition; who writes to it.
pub(crate) async fn make(cluster: &Cluster, topic: &str) -> Producer {
    Admin::new(cluster).create(topic, TopicSpec::new_computed(1, 1, None)).await.unwrap();
    while bounds(cluster, topic, 0).await.is_err() {
        tokio::task::yield_now().await;
    }
    let producer = Producer::open(cluster.clone(), topic, ProducerOptions::default());
    producer.ready(PATIENCE).await.unwrap();
    producer
}

/// A broker, and who writes results to it.
pub(crate) struct Stage {
    pub(crate) broker: Broker,
    pub(crate) cluster: Cluster,
    producer: Producer,
    _folder: tempfile::TempDir,
}

impl Stage {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = ovation_broker::Config::new(folder.path());
        config.control = "127.0.0.1:0".parse().unwrap();
        config.spu = "127.0.0.1:0".parse().unwrap();
        let broker = Broker::start(config).await.unwrap();
        let cluster = Cluster::new(broker.control_addr().to_string());
        make(&cluster, "emoji-events").await;
        let producer = make(&cluster, TOPIC).await;
        Self { broker, cluster, producer, _folder: folder }
    }

    /// Writes results as they are given: (room, seq, start of the window in s, revision, final).
    pub(crate) async fn write(&self, results: &[(&str, u64, u64, u64, bool)]) {
        let records = results.iter().map(|&(room, seq, start, revision, is_final)| {
            let start = start * 1_000;
            let value = format!(
                r#"{{"stage":"reactions","epoch":1,"seq":{seq},"room":"{room}","window":{{"name":"10s","kind":"tumbling","start":{start},"end":{}}},"revision":{revision},"final":{is_final},"total":{revision},"counts":{{"🔥":{revision}}},"users":null,"sentiment":null,"room_totals":{{"reactions":{seq},"late":0,"duplicates":0,"rejected":0}},"source":{{"partition":0,"offset":{seq}}}}}"#,
                start + 10_000
            );
            (Some(room.as_bytes().to_vec()), value.into_bytes())
        });
        for answer in self.producer.send_all(records.collect()).await {
            answer.unwrap();
        }
    }

    pub(crate) async fn gateway(&self, change: impl FnOnce(&mut Config)) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut config = Config::new(self.cluster.clone());
        change(&mut config);
        let shutdown = CancellationToken::new();
        let gateway = Gateway::new(config, Hooks::default(), shutdown.clone());
        let served = gateway.clone();
        let ended = tokio::spawn(async move { served.serve(listener, None).await.unwrap() });
        assert!(gateway.ready(PATIENCE).await, "{gateway:?}");
        Served { address, shutdown, ended }
    }
}

pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    pub(crate) ended: JoinHandle<()>,
}

impl Served {
    pub(crate) async fn end(self) {
        self.shutdown.cancel();
        self.ended.await.unwrap();
    }
}

/// A client that nobody here wrote.
pub(crate) struct Client(pub(crate) WebSocket<TcpStream>);

impl Client {
    pub(crate) fn connect(address: SocketAddr, path: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = tungstenite::client(format!("ws://{address}{path}"), stream).unwrap();
        Self(socket)
    }

    pub(crate) fn next(&mut self) -> Value {
        self.heard().unwrap_or_else(|| panic!("nothing came"))
    }

    /// The next message; none if two pings come first: for as long there was nothing to say. (One comes at the beginning.)
    fn heard(&mut self) -> Option<Value> {
        for _ in 0..2 {
            match self.0.read().unwrap() {
                Message::Text(text) => return Some(serde_json::from_str(&text).unwrap()),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
        None
    }

    /// Messages up to the first of this sequence number.
    pub(crate) fn until(&mut self, seq: u64) -> Vec<Value> {
        self.until_one(|message| message["update"]["seq"] == seq)
    }

    /// Messages up to the first that is like this.
    pub(crate) fn until_one(&mut self, is_it: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut seen = Vec::new();
        while !seen.last().is_some_and(&is_it) {
            match self.heard() {
                Some(message) => seen.push(message),
                None => panic!("of {} messages the last one is {:?}", seen.len(), seen.last()),
            }
        }
        seen
    }
}

/// Runs what waits for a socket beside the runtime.
pub(crate) async fn beside<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(what).await.unwrap()
}

/// The answer's text.
pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    use std::io::Write as _;

    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}
