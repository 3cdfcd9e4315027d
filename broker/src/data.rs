//! The data port: Fluvio's SPU API.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::link::versions::{ApiVersionsRequest, ApiVersionsResponse};
use fluvio_protocol::record::ReplicaKey;
use fluvio_spu_schema::COMMON_VERSION;
use fluvio_spu_schema::fetch::{
    DefaultFetchRequest, FetchPartition, FetchResponse, FetchablePartitionResponse, FetchableTopicResponse,
};
use fluvio_spu_schema::server::consumer_offset::{
    DeleteConsumerOffsetRequest, DeleteConsumerOffsetResponse, FetchConsumerOffsetsRequest,
    FetchConsumerOffsetsResponse, UpdateConsumerOffsetRequest, UpdateConsumerOffsetResponse,
};
use fluvio_spu_schema::server::fetch_offset::{
    FetchOffsetPartitionResponse, FetchOffsetTopicResponse, FetchOffsetsRequest, FetchOffsetsResponse,
};
use fluvio_spu_schema::server::stream_fetch::{CHAIN_SMARTMODULE_API, DefaultStreamFetchRequest};
use fluvio_spu_schema::server::update_offset::{
    OffsetUpdateStatus, UpdateOffsetsRequest, UpdateOffsetsResponse,
};
use tokio::sync::{Semaphore, watch};

use crate::chain::Chains;
use crate::config::{Limits, Quirks};
use crate::connection::{Hangup, Outbox, Service};
use crate::frame::{BadRequest, Fields, RecordBytes, Request};
use crate::log::{ReadError, join};
use crate::offsets::ConsumerOffsets;
use crate::partitions::Partitions;
use crate::produce;
use crate::stream::Stream;
use crate::versions;

/// Requests of the data port. Some numbers mean something else on the control port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Produce = 0,
    Fetch = 1,
    ApiVersion = 18,
    FetchOffsets = 1002,
    StreamFetch = 1003,
    UpdateOffsets = 1005,
    UpdateConsumerOffset = 1006,
    DeleteConsumerOffset = 1007,
    FetchConsumerOffsets = 1008,
}

/// Requests of the data port, with the oldest and the newest version spoken.
const VERSIONS: [(Key, i16, i16); 9] = [
    (Key::ApiVersion, 0, 2),
    (Key::Produce, 0, COMMON_VERSION),
    (Key::Fetch, 0, COMMON_VERSION),
    (Key::FetchOffsets, 0, COMMON_VERSION),
    (Key::StreamFetch, CHAIN_SMARTMODULE_API, COMMON_VERSION),
    (Key::UpdateOffsets, 0, COMMON_VERSION),
    (Key::UpdateConsumerOffset, 0, COMMON_VERSION),
    (Key::DeleteConsumerOffset, 0, COMMON_VERSION),
    (Key::FetchConsumerOffsets, 0, COMMON_VERSION),
];

pub(crate) struct DataService {
    pub(crate) partitions: Arc<Partitions>,
    pub(crate) chains: Arc<Chains>,
    pub(crate) offsets: Arc<ConsumerOffsets>,
    pub(crate) limits: Limits,
    pub(crate) quirks: Quirks,
}

pub(crate) struct DataSession {
    outbox: Outbox,
    streams: HashMap<u32, Consumer>,
    /// Responses of streams that may be on their way.
    slots: Arc<Semaphore>,
    /// Produce requests answered, for the quirk [`Quirks::hang_after_produces`].
    produced: u32,
    /// The quirk has set in.
    hangs: bool,
}

/// The client's end of a stream.
struct Consumer {
    replica: ReplicaKey,
    /// Under what name its offsets are kept.
    id: Option<String>,
    acks: watch::Sender<Option<i64>>,
}

impl Service for DataService {
    type Session = DataSession;

    fn request_bytes_max(&self, key: u16) -> Option<u32> {
        let (key, ..) = VERSIONS.into_iter().find(|(known, ..)| *known as u16 == key)?;
        Some(match key {
            Key::Produce | Key::StreamFetch => self.limits.data_request_bytes_max,
            _ => self.limits.small_request_bytes_max,
        })
    }

    fn session(&self, outbox: Outbox) -> DataSession {
        let slots = Arc::new(Semaphore::new(self.limits.stream_responses_max));
        DataSession { outbox, streams: HashMap::new(), slots, produced: 0, hangs: false }
    }

    async fn handle(&self, session: &mut DataSession, request: Request) -> Result<(), Hangup> {
        if session.hangs {
            return Ok(());
        }
        let version = request.header.api_version();
        let key = versions::check(&VERSIONS, |key| key as u16, request.header.api_key(), version)?;
        let frame = match key {
            Key::ApiVersion => request.respond(api_versions(&request)?)?,
            Key::Produce => {
                let response =
                    produce::handle(&request, &self.partitions, &self.chains, &self.limits).await?;
                // Fluvio's producer sends requests without records as well.
                if response.responses.iter().any(|topic| !topic.partitions.is_empty()) {
                    session.hangs = self.quirks.hang_after_produces == Some(session.produced);
                    session.produced += 1;
                }
                if session.hangs {
                    return Ok(());
                }
                request.respond(response)?
            }
            Key::Fetch => self.fetch(&request).await?,
            Key::FetchOffsets => request.respond(self.fetch_offsets(request.decode()?))?,
            Key::StreamFetch => return self.open_stream(session, request),
            Key::UpdateOffsets => request.respond(update_offsets(session, request.decode()?))?,
            Key::UpdateConsumerOffset => {
                request.respond(self.update_consumer_offset(session, request.decode()?).await)?
            }
            Key::DeleteConsumerOffset => {
                let wanted: DeleteConsumerOffsetRequest = request.decode()?;
                let deleted = self.offsets.delete(wanted.replica_id, wanted.consumer_id).await;
                request
                    .respond(DeleteConsumerOffsetResponse { error_code: deleted.err().unwrap_or_default() })?
            }
            Key::FetchConsumerOffsets => request.respond(self.fetch_consumer_offsets(request.decode()?))?,
        };
        session.outbox.send(frame).await
    }
}

fn api_versions(request: &Request) -> Result<ApiVersionsResponse, BadRequest> {
    let _: ApiVersionsRequest = request.decode()?;
    let api_keys = versions::offered(&VERSIONS, |key| key as u16);
    Ok(ApiVersionsResponse { api_keys, ..ApiVersionsResponse::default() })
}

fn update_offsets(session: &DataSession, updates: UpdateOffsetsRequest) -> UpdateOffsetsResponse {
    let status = updates
        .offsets
        .into_iter()
        .map(|update| {
            let error = match session.streams.get(&update.session_id) {
                Some(consumer) => {
                    consumer.acks.send_replace(Some(update.offset));
                    ErrorCode::None
                }
                None => ErrorCode::FetchSessionNotFoud,
            };
            OffsetUpdateStatus { session_id: update.session_id, error }
        })
        .collect();
    UpdateOffsetsResponse { status }
}

impl DataService {
    fn open_stream(&self, session: &mut DataSession, request: Request) -> Result<(), Hangup> {
        let version = request.header.api_version();
        if version > CHAIN_SMARTMODULE_API {
            // What stands before the SmartModules: topic, partition, offset, size, isolation.
            let mut body = request.body.clone();
            let mut fields = Fields(&mut body);
            fields.string()?;
            fields.bytes(4 + 8 + 4 + 1)?;
            let count = fields.count()?;
            if count > self.limits.chain_modules_max {
                return Err(BadRequest::Malformed(format!("{count} SmartModules")).into());
            }
        } else if request.body.len() > self.limits.small_request_bytes_max as usize {
            return Err(BadRequest::Malformed("too large for its version".to_owned()).into());
        }
        let wanted: DefaultStreamFetchRequest = request.decode()?;
        let id = session.streams.len() as u32 + 1;
        let replica = ReplicaKey::new(wanted.topic, wanted.partition);
        let refusal = match self.partitions.get(&replica.topic, replica.partition) {
            None => ErrorCode::NotLeaderForPartition,
            Some(_) if session.streams.len() >= self.limits.streams_per_connection_max => ErrorCode::Other(
                format!("a connection has at most {} streams", self.limits.streams_per_connection_max),
            ),
            Some(partition) => {
                let (acks, updates) = watch::channel(None);
                session.streams.insert(id, Consumer { replica, id: wanted.consumer_id, acks });
                let stream = Stream {
                    partition,
                    header: request.header,
                    id,
                    from: wanted.fetch_offset,
                    bytes_max: bytes_max(wanted.max_bytes, &self.limits),
                    invocations: wanted.smartmodules,
                    chains: self.chains.clone(),
                    outbox: session.outbox.clone(),
                    acks: updates,
                    slots: session.slots.clone(),
                    limits: self.limits.clone(),
                    quirks: self.quirks,
                };
                tokio::spawn(stream.run());
                return Ok(());
            }
        };
        let response = fluvio_spu_schema::server::stream_fetch::StreamFetchResponse {
            topic: replica.topic,
            stream_id: 0,
            partition: FetchablePartitionResponse::<RecordBytes> {
                partition_index: replica.partition,
                error_code: refusal,
                ..Default::default()
            },
        };
        let frame = request.respond(response)?;
        let outbox = session.outbox.clone();
        tokio::spawn(async move { outbox.send(frame).await });
        Ok(())
    }

    fn fetch_offsets(&self, wanted: FetchOffsetsRequest) -> FetchOffsetsResponse {
        #[expect(deprecated, reason = "clients that speak version 23 read managed offsets this way")]
        let consumer = wanted.consumer_id;
        let topics = wanted
            .topics
            .into_iter()
            .map(|topic| {
                let partitions = topic.partitions.iter().map(|wanted| {
                    let index = wanted.partition_index;
                    let mut answer =
                        FetchOffsetPartitionResponse { partition_index: index, ..Default::default() };
                    match self.partitions.get(&topic.name, index) {
                        Some(partition) => {
                            answer.start_offset = partition.log.start();
                            answer.last_stable_offset = partition.end();
                            let kept = consumer.as_ref().and_then(|id| self.offsets.get(&partition.key, id));
                            answer.start_offset = kept.map_or(answer.start_offset, |offset| offset + 1);
                        }
                        None => answer.error_code = ErrorCode::PartitionNotLeader,
                    }
                    answer
                });
                FetchOffsetTopicResponse { partitions: partitions.collect(), name: topic.name }
            })
            .collect();
        FetchOffsetsResponse { topics }
    }

    async fn fetch(&self, request: &Request) -> Result<Bytes, BadRequest> {
        let wanted: DefaultFetchRequest = request.decode()?;
        let mut response = FetchResponse::<RecordBytes>::default();
        let mut left = bytes_max(wanted.max_bytes.max(1), &self.limits);
        for topic in wanted.topics {
            let mut partitions = Vec::with_capacity(topic.fetch_partitions.len());
            for wanted in topic.fetch_partitions {
                let answer = self.fetch_partition(&topic.name, &wanted, left).await;
                left = left.saturating_sub(answer.records.0.len());
                partitions.push(answer);
            }
            response.topics.push(FetchableTopicResponse {
                name: topic.name,
                partitions,
                ..Default::default()
            });
        }
        request.respond(response)
    }

    async fn fetch_partition(
        &self,
        topic: &str,
        wanted: &FetchPartition,
        left: usize,
    ) -> FetchablePartitionResponse<RecordBytes> {
        let mut answer = FetchablePartitionResponse::<RecordBytes> {
            partition_index: wanted.partition_index,
            ..Default::default()
        };
        let Some(partition) = self.partitions.get(topic, wanted.partition_index) else {
            answer.error_code = ErrorCode::NotLeaderForPartition;
            return answer;
        };
        let end = partition.end();
        answer.high_watermark = end;
        answer.log_start_offset = partition.log.start();
        if left == 0 {
            return answer;
        }
        let (log, from) = (partition.log.clone(), wanted.fetch_offset);
        let max = bytes_max(wanted.max_bytes, &self.limits).min(left);
        let read = tokio::task::spawn_blocking(move || log.read(from, end, max)).await;
        match read {
            Ok(Ok(batches)) => answer.records = RecordBytes(join(&batches)),
            Ok(Err(ReadError::Evicted { offset, start })) => {
                answer.error_code = ErrorCode::OffsetEvicted { offset, next_available: start };
            }
            Ok(Err(ReadError::OutOfRange { .. })) => answer.error_code = ErrorCode::OffsetOutOfRange,
            Ok(Err(_)) | Err(_) => answer.error_code = ErrorCode::StorageError,
        }
        answer
    }

    async fn update_consumer_offset(
        &self,
        session: &DataSession,
        update: UpdateConsumerOffsetRequest,
    ) -> UpdateConsumerOffsetResponse {
        let put = match session.streams.get(&update.session_id) {
            None => Err(ErrorCode::FetchSessionNotFoud),
            Some(Consumer { id: None, .. }) => Err(ErrorCode::OffsetManagementDisabled),
            Some(Consumer { replica, id: Some(id), .. }) => {
                self.offsets.put(replica.clone(), id.clone(), update.offset).await
            }
        };
        let offset = if put.is_ok() { update.offset } else { 0 };
        UpdateConsumerOffsetResponse { offset, error_code: put.err().unwrap_or_default() }
    }

    fn fetch_consumer_offsets(&self, wanted: FetchConsumerOffsetsRequest) -> FetchConsumerOffsetsResponse {
        let filter = wanted.filter_opts.unwrap_or_default();
        let mut consumers = self.offsets.list(filter.replica_id.as_ref(), filter.consumer_id.as_deref());
        consumers
            .retain(|kept| self.partitions.get(&kept.replica_id.topic, kept.replica_id.partition).is_some());
        FetchConsumerOffsetsResponse { error_code: ErrorCode::None, consumers }
    }
}

fn bytes_max(wanted: i32, limits: &Limits) -> usize {
    usize::try_from(wanted).unwrap_or(0).clamp(1, limits.fetch_bytes_max as usize)
}
