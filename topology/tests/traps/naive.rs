//! Who does not know the traps: Fluvio's own client, and bare requests.

use std::io;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fluvio::consumer::{ConsumerConfigExtBuilder, ConsumerStream, Record, RetryMode};
use fluvio::metadata::spu::SpuSpec;
use fluvio::{Fluvio, FluvioClusterConfig, Isolation, Offset, SmartModuleInvocation};
use fluvio_future::net::{
    BoxReadConnection, BoxWriteConnection, ConnectionFd, DomainConnector, TcpDomainConnector, TcpStream,
};
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::record::{Batch, MemoryRecords};
use fluvio_socket::{AsyncResponse, ClientConfig, MultiplexerSocket, VersionedSerialSocket};
use fluvio_spu_schema::server::stream_fetch::DefaultStreamFetchRequest;
use fluvio_spu_schema::server::update_offset::{OffsetUpdate, UpdateOffsetsRequest};
use futures_util::StreamExt;
use ovation_client::{Admin, Cluster, Producer, ProducerOptions};

/// Longer than anything takes that happens at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Nothing happens if it has not within this time.
pub(crate) const SILENCE: Duration = Duration::from_secs(2);

/// Connections that can be cut, as a network does it.
#[derive(Clone, Default)]
pub(crate) struct Line {
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Line {
    /// A client of Fluvio whose connections are this line's.
    pub(crate) async fn connect(&self, cluster: &Cluster) -> Fluvio {
        let config = FluvioClusterConfig::new(cluster.endpoint());
        Fluvio::connect_with_connector(Box::new(self.clone()), &config).await.unwrap()
    }

    pub(crate) fn cut(&self) {
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

#[async_trait]
impl TcpDomainConnector for Line {
    async fn connect(
        &self,
        address: &str,
    ) -> Result<(BoxWriteConnection, BoxReadConnection, ConnectionFd), io::Error> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        self.streams.lock().unwrap().push(stream.clone());
        let id = stream.as_raw_fd();
        Ok((Box::new(stream.clone()), Box::new(stream), id))
    }

    fn new_domain(&self, _domain: String) -> DomainConnector {
        Box::new(self.clone())
    }

    fn domain(&self) -> &str {
        "localhost"
    }

    fn clone_box(&self) -> DomainConnector {
        Box::new(self.clone())
    }
}

pub(crate) fn reading(topic: &str, from: i64) -> ConsumerConfigExtBuilder {
    let mut config = ConsumerConfigExtBuilder::default();
    config.topic(topic).partition(0).offset_start(Offset::absolute(from).unwrap());
    config.isolation(Isolation::ReadCommitted).retry_mode(RetryMode::Disabled);
    config
}

pub(crate) type Consumer = Pin<Box<dyn ConsumerStream<Item = Result<Record, ErrorCode>> + Send>>;

pub(crate) async fn consume(client: &Fluvio, config: &ConsumerConfigExtBuilder) -> Consumer {
    Box::pin(client.consumer_with_config(config.build().unwrap()).await.unwrap())
}

/// A stream of one SmartModule's outputs, read by bare requests: Fluvio's client drops outputs whose offset it takes to be
/// before the start (docs/fluvio.md 31), and would hide what the module suffers.
pub(crate) struct Bare {
    socket: VersionedSerialSocket,
    answers: AsyncResponse<DefaultStreamFetchRequest>,
}

impl Bare {
    pub(crate) async fn open(
        cluster: &Cluster,
        topic: &str,
        from: i64,
        max_bytes: i32,
        module: SmartModuleInvocation,
    ) -> Self {
        let servers = Admin::new(cluster).list::<SpuSpec>(None).await.unwrap();
        let address = servers[0].spec.public_endpoint.addr();
        let config = ClientConfig::new(address, Box::new(Line::default()), false);
        let (socket, config, versions) = config.connect().await.unwrap().split();
        let socket = VersionedSerialSocket::new(MultiplexerSocket::shared(socket), config, versions);
        let request = DefaultStreamFetchRequest::builder()
            .topic(topic)
            .partition(0u32)
            .fetch_offset(from)
            .max_bytes(max_bytes)
            .isolation(Isolation::ReadCommitted)
            .smartmodules(vec![module])
            .build()
            .unwrap();
        let version = socket.lookup_version::<DefaultStreamFetchRequest>();
        let message = socket.new_request(request, version);
        let answers = socket.create_stream(message, 2).await.unwrap();
        Self { socket, answers }
    }

    /// Keys and values of the next answer; empty if there is none.
    pub(crate) async fn next(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let Ok(answer) = tokio::time::timeout(PATIENCE, self.answers.next()).await else { return Vec::new() };
        let answer = answer.expect("the stream goes on").unwrap();
        assert_eq!(answer.partition.error_code, ErrorCode::None);
        if let Some(offset) = answer.partition.next_offset_for_fetch() {
            let offsets = vec![OffsetUpdate { offset, session_id: answer.stream_id }];
            self.socket.send_receive(UpdateOffsetsRequest { offsets }).await.unwrap();
        }
        let mut outputs = Vec::new();
        for batch in answer.partition.records.batches {
            for record in Batch::<MemoryRecords>::try_from(batch).unwrap().own_records() {
                let key = record.key.as_ref().map_or(Vec::new(), |key| key.as_ref().to_vec());
                outputs.push((key, record.value.as_ref().to_vec()));
            }
        }
        outputs
    }
}

/// A producer to partition 0 that gives up after `deadline`.
pub(crate) async fn producer(cluster: &Cluster, topic: &str, deadline: Duration) -> Producer {
    let options = ProducerOptions { partition: Some(0), deadline, ..Default::default() };
    let producer = Producer::open(cluster.clone(), topic, options);
    producer.ready(PATIENCE).await.unwrap();
    producer
}

/// `count` records of `value`, to be sent as one batch.
pub(crate) fn batch(count: usize, value: &str) -> Vec<(Option<Vec<u8>>, Vec<u8>)> {
    (0..count).map(|n| (Some(format!("key-{}", n % 9).into_bytes()), value.as_bytes().to_vec())).collect()
}

/// A result with a number, as a fence reads it, of about `bytes`.
pub(crate) fn numbered(seq: u64, bytes: usize) -> Vec<u8> {
    serde_json::json!({"stage": "words", "epoch": 1, "seq": seq, "pad": ".".repeat(bytes)})
        .to_string()
        .into_bytes()
}

/// Numbers that a topic holds, in the order of its log.
pub(crate) async fn numbers(cluster: &Cluster, topic: &str) -> Vec<u64> {
    let records = ovation_client::read_tail(cluster, topic, 0, 100_000).await.unwrap();
    let number = |value: &[u8]| serde_json::from_slice::<serde_json::Value>(value).unwrap()["seq"].as_u64();
    records.iter().map(|record| number(&record.value).unwrap()).collect()
}
