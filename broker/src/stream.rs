//! One consumer stream: records pushed as they arrive, one response at a time until the consumer says how far it is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use fluvio_protocol::api::RequestHeader;
use fluvio_protocol::link::ErrorCode;
use fluvio_spu_schema::fetch::FetchablePartitionResponse;
use fluvio_spu_schema::server::smartmodule::SmartModuleInvocation;
use fluvio_spu_schema::server::stream_fetch::StreamFetchResponse;
use tokio::sync::{Semaphore, watch};

use crate::batch::{BadBatch, Batch};
use crate::chain::{Chain, Chains};
use crate::config::{Limits, Quirks};
use crate::connection::{Hangup, Outbox};
use crate::frame::{RecordBytes, respond};
use crate::log::{ReadError, join};
use crate::partition::Partition;
use crate::records;

/// What a stream is made of.
pub(crate) struct Stream {
    pub(crate) partition: Arc<Partition>,
    pub(crate) header: RequestHeader,
    /// Names the stream in the consumer's offset updates.
    pub(crate) id: u32,
    /// The first offset wanted.
    pub(crate) from: i64,
    /// Bytes of records in one response; a batch goes out whole all the same.
    pub(crate) bytes_max: usize,
    pub(crate) invocations: Vec<SmartModuleInvocation>,
    pub(crate) chains: Arc<Chains>,
    pub(crate) outbox: Outbox,
    /// The consumer's offset updates.
    pub(crate) acks: watch::Receiver<Option<i64>>,
    /// How many responses of the connection may be on their way.
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) limits: Limits,
    pub(crate) quirks: Quirks,
}

/// Why a stream ends.
enum End {
    /// The consumer is told.
    Refused(ErrorCode),
    /// There is nobody to tell.
    Gone,
}

impl From<ErrorCode> for End {
    fn from(code: ErrorCode) -> End {
        End::Refused(code)
    }
}

impl From<Hangup> for End {
    fn from(_: Hangup) -> End {
        End::Gone
    }
}

/// Records for one response.
#[derive(Default)]
struct Reply {
    records: Bytes,
    error: ErrorCode,
    /// Where the consumer goes on. 0: where the records end.
    next: i64,
}

impl Stream {
    /// Runs until the connection ends or the stream fails.
    pub(crate) async fn run(self) {
        let _open = self.partition.metrics.stream();
        let outbox = self.outbox.clone();
        let header = self.header.clone();
        let refused = |code| self.frame(Reply { error: code, ..Reply::default() });
        let end = match tokio::select! {
            () = outbox.ending().cancelled() => Err(End::Gone),
            opened = self.open() => opened,
        } {
            Ok(source) => self.push(source).await,
            Err(end) => end,
        };
        if let End::Refused(code) = end {
            tracing::debug!(partition = %self.partition.key, client = header.client_id(), error = %code, "stream ended");
            if let Ok(frame) = refused(code) {
                let _ = outbox.send(frame).await;
            }
        }
    }

    /// Builds the chain, if there is one.
    async fn open(&self) -> Result<Source, End> {
        let invocations = self.invocations.clone();
        let chains = self.chains.clone();
        let partition = self.partition.clone();
        let version = self.header.api_version();
        let built = tokio::task::spawn_blocking(move || -> Result<_, ErrorCode> {
            let mut chain = chains.build(invocations, version)?;
            if let Some(chain) = &mut chain {
                chain.look_back(&partition.log, partition.end())?;
            }
            Ok(chain)
        });
        let chain = built.await.map_err(|error| ErrorCode::Other(error.to_string()))??;
        Ok(Source {
            partition: self.partition.clone(),
            outbox: self.outbox.clone(),
            start: self.from,
            cursor: self.from,
            bytes_max: self.bytes_max,
            chain: chain.map(|chain| Running {
                chain,
                ahead: VecDeque::new(),
                read_to: self.from,
                left_over: None,
            }),
            read_bytes: self.limits.chain_read_bytes as usize,
            decompressed_max: self.limits.decompressed_bytes_max,
            quirks: self.quirks,
        })
    }

    async fn push(&self, mut source: Source) -> End {
        let mut ends = self.partition.ends();
        let mut acks = self.acks.clone();
        let mut waiting_for_ack = false;
        // An offset outside the log is refused at once, not when the first record comes.
        if let Err(error) = source.check() {
            return End::Refused(error);
        }
        loop {
            if !waiting_for_ack && source.has_more() {
                match self.send_next(source).await {
                    Ok((back, sent)) => {
                        source = back;
                        waiting_for_ack = sent;
                    }
                    Err(end) => return end,
                }
                continue;
            }
            tokio::select! {
                () = self.outbox.ending().cancelled() => return End::Gone,
                () = self.partition.gone().cancelled() => return End::Refused(ErrorCode::TopicDeleted),
                changed = acks.changed() => {
                    if changed.is_err() {
                        return End::Gone;
                    }
                    let ack = *acks.borrow_and_update();
                    if let (true, Some(ack)) = (waiting_for_ack, ack) {
                        source.acknowledged(ack);
                        waiting_for_ack = false;
                    }
                }
                changed = ends.changed(), if !waiting_for_ack => {
                    if changed.is_err() {
                        return End::Gone;
                    }
                }
            }
        }
    }

    /// Makes the next response and queues it. False if there was nothing to send.
    async fn send_next(&self, mut source: Source) -> Result<(Source, bool), End> {
        let slot = tokio::select! {
            () = self.outbox.ending().cancelled() => return Err(End::Gone),
            slot = self.slots.clone().acquire_owned() => slot.map_err(|_| End::Gone)?,
        };
        let made = tokio::task::spawn_blocking(move || {
            let reply = source.next();
            (source, reply)
        });
        let (source, reply) = made.await.map_err(|error| ErrorCode::Other(error.to_string()))?;
        let Some(reply) = reply? else { return Ok((source, false)) };
        self.partition.metrics.sent(reply.records.len());
        let frame = self.frame(reply).map_err(|error| ErrorCode::Other(error.to_string()))?;
        self.outbox.send_with(frame, Some(slot)).await?;
        Ok((source, true))
    }

    fn frame(&self, reply: Reply) -> Result<Bytes, crate::frame::BadRequest> {
        let partition = FetchablePartitionResponse {
            partition_index: self.partition.key.partition,
            error_code: reply.error,
            high_watermark: self.partition.end(),
            next_filter_offset: reply.next,
            log_start_offset: self.partition.log.start(),
            aborted: None,
            records: RecordBytes(reply.records),
        };
        let response =
            StreamFetchResponse { topic: self.partition.key.topic.clone(), stream_id: self.id, partition };
        respond(&self.header, response)
    }
}

/// Where the records of a stream come from. Blocks.
struct Source {
    partition: Arc<Partition>,
    outbox: Outbox,
    /// First offset wanted: of the batch that holds it, what lies before does not count.
    start: i64,
    /// Next offset to send.
    cursor: i64,
    bytes_max: usize,
    chain: Option<Running>,
    read_bytes: usize,
    decompressed_max: usize,
    quirks: Quirks,
}

struct Running {
    chain: Chain,
    /// Read, not yet run.
    ahead: VecDeque<Batch>,
    /// Next offset to read.
    read_to: i64,
    /// Output that did not fit the last response. It goes into the next one; the batch is never run again.
    left_over: Option<Made>,
}

/// What the chain made of one batch.
struct Made {
    records: Option<Batch>,
    error: ErrorCode,
    /// Offsets of the batch.
    base: i64,
    next: i64,
}

impl Made {
    fn size(&self) -> usize {
        self.records.as_ref().map_or(0, |batch| batch.bytes().len())
    }
}

impl Source {
    fn check(&self) -> Result<(), ErrorCode> {
        let start = self.partition.log.start();
        if self.cursor > self.partition.end() {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        if self.cursor < start {
            return Err(ErrorCode::OffsetEvicted { offset: self.cursor, next_available: start });
        }
        Ok(())
    }

    fn has_more(&self) -> bool {
        self.cursor < self.partition.end()
            || self.chain.as_ref().is_some_and(|running| running.left_over.is_some())
    }

    /// The consumer has what was sent. A chain goes on from where it is, whatever the consumer says: its state is there.
    fn acknowledged(&mut self, offset: i64) {
        if self.chain.is_none() {
            self.cursor = offset;
        }
    }

    fn next(&mut self) -> Result<Option<Reply>, ErrorCode> {
        match self.chain.take() {
            None => self.next_plain().map(Some),
            Some(mut running) => {
                let reply = self.next_made(&mut running);
                self.chain = Some(running);
                reply
            }
        }
    }

    fn next_plain(&mut self) -> Result<Reply, ErrorCode> {
        let end = self.partition.end();
        let cut = self.quirks.cut_batches;
        // With the quirk, something to cut.
        let bytes_max = if cut { self.bytes_max * 4 } else { self.bytes_max };
        let batches = self.partition.log.read(self.cursor, end, bytes_max).map_err(code)?;
        let Some(last) = batches.last() else { return Err(ErrorCode::StorageError) };
        let count = batches.iter().map(|batch| batch.next_offset() - batch.base_offset()).sum::<i64>();
        self.partition.metrics.streamed(usize::try_from(count).unwrap_or(0));
        self.cursor = last.next_offset();
        let mut records = join(&batches);
        if cut {
            records.truncate(self.bytes_max);
        }
        Ok(Reply { records, ..Reply::default() })
    }

    /// Runs the chain until a response is full, the log is at its end, or there is something to send and much was read.
    fn next_made(&mut self, running: &mut Running) -> Result<Option<Reply>, ErrorCode> {
        let end = self.partition.end();
        let slice_end =
            if self.quirks.silent_jump { self.partition.log.segment_end(self.cursor).min(end) } else { end };
        let mut reply = Building::default();
        if let Some(made) = running.left_over.take() {
            self.cursor = made.next;
            reply.add(made)?;
        }
        while !reply.is_done(self.bytes_max) {
            if self.outbox.ending().is_cancelled() {
                return Ok(None);
            }
            if running.ahead.is_empty() {
                // Something to show, and a good part of the log read for it.
                if running.read_to >= slice_end || reply.has_output {
                    break;
                }
                let batches =
                    self.partition.log.read(running.read_to, slice_end, self.read_bytes).map_err(code)?;
                let Some(last) = batches.last() else { return Err(ErrorCode::StorageError) };
                running.read_to = last.next_offset();
                running.ahead.extend(batches);
            }
            let Some(batch) = running.ahead.pop_front() else { break };
            let made = self.run(&mut running.chain, &batch).map_err(|failed| failed.into_code())?;
            if self.quirks.silent_jump && !reply.has_output && made.size() > self.bytes_max {
                break;
            }
            if reply.overflows(&made, self.bytes_max) {
                if self.quirks.rerun_on_overflow {
                    running.ahead.clear();
                    running.read_to = batch.base_offset();
                } else {
                    running.left_over = Some(made);
                }
                return Ok(Some(reply.finish()));
            }
            self.cursor = made.next;
            reply.add(made)?;
        }
        if self.quirks.silent_jump && !reply.has_output && reply.error == ErrorCode::None {
            self.cursor = end;
            running.read_to = end;
            running.ahead.clear();
            return Ok(None);
        }
        Ok(reply.any().then(|| reply.finish()))
    }

    fn run(&self, chain: &mut Chain, batch: &Batch) -> Result<Made, Failed> {
        let plain = batch.plain_records(self.decompressed_max)?;
        let mut base = batch.base_offset();
        let input = if base < self.start && !self.quirks.chain_from_batch_head {
            let views = records::parse(&plain).map_err(BadBatch::from)?;
            let wanted: Vec<_> =
                views.into_iter().filter(|view| base + view.offset_delta >= self.start).collect();
            base = self.start;
            records::encode_views(&wanted).to_vec()
        } else {
            plain.into_owned()
        };
        let started = Instant::now();
        let output = chain.process(input, base, batch.first_timestamp()).map_err(Failed::Chain)?;
        let next = batch.next_offset();
        let (made, took) = (output.records.len(), started.elapsed());
        self.partition.metrics.chained(next - base, took);
        self.partition.metrics.streamed(made);
        let (topic, partition) = (&self.partition.key.topic, self.partition.key.partition);
        tracing::debug!(topic, partition, offset = base, next, made, took_us = took.as_micros(), "chain ran");
        let records = if output.records.is_empty() {
            None
        } else {
            Some(Batch::of(batch, base, (next - base - 1) as i32, &output.records)?)
        };
        let error =
            output.error.map_or(ErrorCode::None, |error| ErrorCode::SmartModuleRuntimeError(Box::new(error)));
        Ok(Made { records, error, base, next })
    }
}

/// Why a batch could not be run.
enum Failed {
    Batch(BadBatch),
    Chain(ErrorCode),
}

impl From<BadBatch> for Failed {
    fn from(error: BadBatch) -> Failed {
        Failed::Batch(error)
    }
}

impl Failed {
    fn into_code(self) -> ErrorCode {
        match self {
            Failed::Batch(error) => ErrorCode::Other(error.to_string()),
            Failed::Chain(code) => code,
        }
    }
}

/// A response of chain output in the making.
#[derive(Default)]
struct Building {
    batches: Vec<Batch>,
    bytes: usize,
    has_output: bool,
    /// Offsets that the chain was silent about since the last output.
    silent: Option<(i64, i64)>,
    error: ErrorCode,
    next: i64,
}

impl Building {
    fn overflows(&self, made: &Made, bytes_max: usize) -> bool {
        self.has_output && made.size() > 0 && self.bytes + made.size() > bytes_max
    }

    fn add(&mut self, made: Made) -> Result<(), ErrorCode> {
        self.next = made.next;
        self.error = made.error;
        match made.records {
            Some(batch) => {
                self.flush_silent()?;
                self.bytes += batch.bytes().len();
                self.batches.push(batch);
                self.has_output = true;
            }
            None => self.silent = Some((self.silent.map_or(made.base, |(base, _)| base), made.next)),
        }
        Ok(())
    }

    /// Puts an empty batch in the place of what the chain had nothing to say about. A client that reads up to an offset
    /// counts offsets: without it, it would wait forever.
    fn flush_silent(&mut self) -> Result<(), ErrorCode> {
        if let Some((base, next)) = self.silent.take() {
            self.batches.push(Batch::empty(base, next).map_err(|error| ErrorCode::Other(error.to_string()))?);
        }
        Ok(())
    }

    fn is_done(&self, bytes_max: usize) -> bool {
        self.error != ErrorCode::None || (self.has_output && self.bytes >= bytes_max)
    }

    fn any(&self) -> bool {
        self.next > 0
    }

    fn finish(mut self) -> Reply {
        // Failing to say that there was nothing to say is no reason to fail.
        let _ = self.flush_silent();
        Reply { records: join(&self.batches), error: self.error, next: self.next }
    }
}

fn code(error: ReadError) -> ErrorCode {
    match error {
        ReadError::Evicted { offset, start } => ErrorCode::OffsetEvicted { offset, next_available: start },
        ReadError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        error => {
            tracing::error!(error = %error, "reading the log failed");
            ErrorCode::StorageError
        }
    }
}
