//! Produce requests. Decoded here, field by field: this is the one request that carries megabytes.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use fluvio_compression::Compression;
use fluvio_protocol::link::ErrorCode;
use fluvio_spu_schema::produce::{PartitionProduceResponse, ProduceResponse, TopicProduceResponse};
use fluvio_spu_schema::server::smartmodule::SmartModuleInvocation;

use crate::batch::Batch;
use crate::chain::Chains;
use crate::config::Limits;
use crate::frame::{BadRequest, Fields, Request, decode};
use crate::partition::{Partition, Stored};
use crate::partitions::Partitions;

/// Bytes of plain records that are checked where they arrive. It takes a few µs.
const CHECKED_AT_ONCE_BYTES_MAX: usize = 64 << 10;

/// What a client wants to store.
struct ProduceRequest {
    topics: Vec<TopicRecords>,
    invocations: Vec<SmartModuleInvocation>,
}

struct TopicRecords {
    name: String,
    partitions: Vec<(u32, Bytes)>,
}

impl ProduceRequest {
    fn decode(mut body: Bytes, version: i16, limits: &Limits) -> Result<ProduceRequest, BadRequest> {
        let mut fields = Fields(&mut body);
        if fields.bool()? {
            fields.string()?; // transactional id: not used by Fluvio either
        }
        // Isolation and timeout: with one replica, what is written is committed.
        fields.i16()?;
        fields.i32()?;
        let mut topics = Vec::new();
        for _ in 0..fields.count()? {
            let name = fields.string()?;
            let mut partitions = Vec::new();
            for _ in 0..fields.count()? {
                partitions.push((fields.u32()?, fields.block()?));
            }
            topics.push(TopicRecords { name, partitions });
        }
        Ok(ProduceRequest { topics, invocations: decode_invocations(&mut body, version, limits)? })
    }
}

/// Decodes the SmartModules at the end of a request. Their decoder makes much of few bytes, so they are counted first.
pub(crate) fn decode_invocations(
    body: &mut Bytes,
    version: i16,
    limits: &Limits,
) -> Result<Vec<SmartModuleInvocation>, BadRequest> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let count = Fields(&mut body.clone()).count()?;
    if count > limits.chain_modules_max {
        return Err(BadRequest::Malformed(format!("{count} SmartModules")));
    }
    decode(body, version)
}

/// Stores what a request holds and answers for each partition.
pub(crate) async fn handle(
    request: &Request,
    partitions: &Partitions,
    chains: &Arc<Chains>,
    limits: &Limits,
) -> Result<ProduceResponse, BadRequest> {
    let version = request.header.api_version();
    let wanted = ProduceRequest::decode(request.body.clone(), version, limits)?;
    let mut response = ProduceResponse::default();
    for topic in wanted.topics {
        let mut answers = Vec::with_capacity(topic.partitions.len());
        for (index, records) in topic.partitions {
            let stored = match partitions.get(&topic.name, index) {
                Some(partition) => {
                    let (counted, started) = (partition.clone(), Instant::now());
                    let stored =
                        store(partition, records, &wanted.invocations, version, chains, limits).await;
                    counted.metrics.produced(started.elapsed());
                    stored
                }
                None => Err(ErrorCode::NotLeaderForPartition),
            };
            let mut answer = PartitionProduceResponse { partition_index: index, ..Default::default() };
            match stored {
                Ok(stored) => {
                    answer.error_code = ErrorCode::None;
                    answer.base_offset = stored.base;
                }
                Err(code) => {
                    tracing::debug!(topic = topic.name, partition = index, error = %code, "produce refused");
                    answer.error_code = code;
                }
            }
            answers.push(answer);
        }
        response.responses.push(TopicProduceResponse { name: topic.name, partitions: answers });
    }
    Ok(response)
}

async fn store(
    partition: Arc<Partition>,
    records: Bytes,
    invocations: &[SmartModuleInvocation],
    version: i16,
    chains: &Arc<Chains>,
    limits: &Limits,
) -> Result<Stored, ErrorCode> {
    let max = limits.decompressed_bytes_max;
    let batches = if invocations.is_empty() && is_checked_soon(&records) {
        check(records, max)?
    } else {
        let transform = (!invocations.is_empty()).then(|| (invocations.to_vec(), chains.clone()));
        let target = partition.clone();
        tokio::task::spawn_blocking(move || {
            let batches = check(records, max)?;
            match transform {
                Some((invocations, chains)) => {
                    run_chain(&target, &chains, invocations, version, batches, max)
                }
                None => Ok(batches),
            }
        })
        .await
        .map_err(|error| ErrorCode::Other(error.to_string()))??
    };
    if batches.is_empty() {
        let end = partition.end();
        return Ok(Stored { base: end, next: end });
    }
    partition.produce(batches).await
}

/// Whether checking takes less time than the way to another thread and back: few bytes, and nothing to unpack.
fn is_checked_soon(records: &Bytes) -> bool {
    let is_small = records.len() <= CHECKED_AT_ONCE_BYTES_MAX;
    is_small
        && Batch::split_all(records.clone())
            .is_ok_and(|batches| batches.iter().all(|batch| batch.compression() == Compression::None))
}

/// The batches in `records`, each of them whole.
fn check(records: Bytes, decompressed_max: usize) -> Result<Vec<Batch>, ErrorCode> {
    let bad = |error: crate::batch::BadBatch| ErrorCode::Other(error.to_string());
    let batches = Batch::split_all(records).map_err(bad)?;
    for batch in &batches {
        batch.validate(decompressed_max).map_err(bad)?;
    }
    Ok(batches)
}

/// Runs the request's own chain, made for this request and gone after it.
fn run_chain(
    partition: &Partition,
    chains: &Chains,
    invocations: Vec<SmartModuleInvocation>,
    version: i16,
    batches: Vec<Batch>,
    max: usize,
) -> Result<Vec<Batch>, ErrorCode> {
    let Some(mut chain) = chains.build(invocations, version)? else { return Ok(batches) };
    chain.look_back(&partition.log, partition.end())?;
    let bad = |error: crate::batch::BadBatch| ErrorCode::Other(error.to_string());
    let mut out = Vec::with_capacity(batches.len());
    for batch in batches {
        let plain = batch.plain_records(max).map_err(bad)?.into_owned();
        let mut output = chain.process(plain, batch.base_offset(), batch.first_timestamp())?;
        if let Some(error) = output.error {
            return Err(ErrorCode::SmartModuleRuntimeError(Box::new(error)));
        }
        if output.records.is_empty() {
            continue;
        }
        for (index, record) in output.records.iter_mut().enumerate() {
            record.preamble.set_offset_delta(index as i64);
        }
        out.push(Batch::of(&batch, 0, output.records.len() as i32 - 1, &output.records).map_err(bad)?);
    }
    Ok(out)
}
