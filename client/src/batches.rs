use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use fluvio::{Isolation, SmartModuleInvocation};
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::record::{Batch, MemoryRecords};
use fluvio_socket::AsyncResponse;
use fluvio_spu_schema::server::stream_fetch::{DefaultStreamFetchRequest, DefaultStreamFetchResponse};
use fluvio_spu_schema::server::update_offset::{OffsetUpdate, UpdateOffsetsRequest};
use futures_util::StreamExt;
use tokio::sync::watch;

use crate::cluster::{Cluster, unreachable};
use crate::directory::leader_link;
use crate::error::Error;
use crate::link::Link;
use crate::record::Record;

/// Answers of the broker that wait to be taken. Each may be as large as the stream's bound on bytes, and the broker sends
/// the next one only after the last was acknowledged.
const ANSWERS_WAITING: usize = 2;

/// A stream of whole batches from one partition, on a connection of its own.
///
/// It speaks the published protocol itself, as the producer does. Fluvio's own consumer reconnects behind the reader's back,
/// which loses the state of SmartModules and hides errors (docs/fluvio.md 3); it yields records whose batch cannot be seen, so a
/// batch that was cut goes unnoticed (1); and it depends on watches that do not come back (27).
pub(crate) struct Batches {
    answers: Pin<Box<AsyncResponse<DefaultStreamFetchRequest>>>,
    ready: VecDeque<Result<Batch, ErrorCode>>,
    /// Why the stream has ended: Fluvio's own waits for ever once it has said so.
    over: Option<String>,
    /// Stream and offset that the broker is told next.
    seen: watch::Sender<Option<(u32, i64)>>,
    topic: String,
    partition: u32,
}

/// What to open.
pub(crate) struct Opening<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: u32,
    /// First offset that is wanted; the batch that holds it comes whole.
    pub(crate) offset: i64,
    /// Bytes that the broker puts into one answer at most.
    pub(crate) max_bytes: i32,
    pub(crate) modules: Vec<SmartModuleInvocation>,
}

impl Batches {
    pub(crate) async fn open(cluster: &Cluster, opening: Opening<'_>) -> Result<Self, Error> {
        let Opening { topic, partition, offset, max_bytes, modules } = opening;
        let link = leader_link(cluster, topic, partition).await?;
        let refused = |reason: String| Error::Refused {
            what: format!("open a stream of partition {partition} of topic {topic}"),
            reason,
        };
        let request = DefaultStreamFetchRequest::builder()
            .topic(topic)
            .partition(partition)
            .fetch_offset(offset)
            .max_bytes(max_bytes)
            .isolation(Isolation::ReadCommitted)
            .smartmodules(modules)
            .build()
            .map_err(|error| refused(error.to_string()))?;
        let socket = link.socket();
        let version = socket.lookup_version::<DefaultStreamFetchRequest>();
        let message = socket.new_request(request, version);
        let asking = socket.create_stream(message, ANSWERS_WAITING);
        let answers = match tokio::time::timeout(cluster.deadline_to_answer(), asking).await {
            Ok(Ok(answers)) => answers,
            Ok(Err(error)) => return Err(unreachable(link.endpoint(), &error.into())),
            Err(_) => return Err(refused("the request was not taken in time".to_owned())),
        };
        let (seen, told) = watch::channel(None);
        tokio::spawn(acknowledge(Arc::new(link), cluster.clone(), told));
        Ok(Self {
            answers: Box::pin(answers),
            ready: VecDeque::new(),
            over: None,
            seen,
            topic: topic.to_owned(),
            partition,
        })
    }

    /// The next batch. Safe to be dropped and called again. After an error there is only that error.
    pub(crate) async fn next(&mut self) -> Result<Batch, Error> {
        loop {
            if let Some(reason) = &self.over {
                return Err(self.interrupted(reason.clone()));
            }
            match self.ready.pop_front() {
                Some(Ok(batch)) => return Ok(batch),
                Some(Err(code)) => self.over = Some(code.to_string()),
                None => match self.answers.next().await {
                    Some(Ok(answer)) => self.take(answer),
                    Some(Err(error)) => self.over = Some(error.to_string()),
                    None => self.over = Some("the connection was closed".to_owned()),
                },
            }
        }
    }

    /// The next batch of the same answer, if there is one more.
    pub(crate) fn ready(&mut self) -> Option<Batch> {
        match self.ready.pop_front()? {
            Ok(batch) => Some(batch),
            Err(code) => {
                self.over = Some(code.to_string());
                None
            }
        }
    }

    fn take(&mut self, answer: DefaultStreamFetchResponse) {
        if let Some(next) = answer.partition.next_offset_for_fetch() {
            self.seen.send_replace(Some((answer.stream_id, next)));
        }
        for batch in answer.partition.records.batches {
            let decoded = Batch::<MemoryRecords>::try_from(batch);
            self.ready.push_back(decoded.map_err(|error| ErrorCode::Other(error.to_string())));
        }
        // What was processed before the error counts.
        if answer.partition.error_code != ErrorCode::None {
            self.ready.push_back(Err(answer.partition.error_code));
        }
    }

    pub(crate) fn interrupted(&self, reason: String) -> Error {
        Error::Interrupted { topic: self.topic.clone(), partition: self.partition, reason }
    }
}

/// Tells the broker how far the reader is, which is what makes it send more; holds the connection until the stream is
/// dropped.
async fn acknowledge(link: Arc<Link>, cluster: Cluster, mut told: watch::Receiver<Option<(u32, i64)>>) {
    while told.changed().await.is_ok() {
        let Some((session_id, offset)) = *told.borrow_and_update() else { continue };
        let request = UpdateOffsetsRequest { offsets: vec![OffsetUpdate { offset, session_id }] };
        // The answer may stand behind records that are not taken yet, so nothing is made of its being late; a connection
        // that is gone ends the stream by itself.
        let asked = link.ask("acknowledge an offset", cluster.deadline_to_answer(), request);
        if asked.await.is_err() && link.is_broken() {
            return;
        }
    }
}

/// Offset after the last one that the batch's header covers, whether or not its records are all there.
pub(crate) fn end_of(batch: &Batch) -> i64 {
    batch.base_offset + i64::try_from(batch.records_len()).unwrap_or(i64::MAX)
}

/// Whether records that the header counts are missing: a fetch was cut (docs/fluvio.md 1), or a deduplication dropped
/// part of it (23).
pub(crate) fn is_short(batch: &Batch) -> bool {
    batch.records().len() < batch.records_len()
}

/// The batch's records from `first` on.
pub(crate) fn records_from(batch: Batch, partition: u32, first: i64) -> impl Iterator<Item = Record> {
    batch.into_consumer_records_iter(partition).filter(move |record| record.offset >= first).map(
        move |consumed| Record {
            partition,
            offset: consumed.offset,
            timestamp: consumed.timestamp(),
            key: consumed.record.key.as_ref().map(|key| (**key).clone()),
            value: (*consumed.record.value).clone(),
        },
    )
}
