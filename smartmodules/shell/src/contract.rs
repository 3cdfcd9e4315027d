//! The processor contract around a stage: numbers, progress, repeated batches, checkpoints.

use serde::Serialize;

use crate::emit::{Counters, Identity};
use crate::tags::{CHECKPOINT_KEY, PROGRESS_KEY};
use crate::{Batch, Emit, Failure, Output, ParamError, Params, RecordRef, SourceRecord, Transform, reason};

/// Longest `data` of one checkpoint piece, in bytes: a SmartModule parameter is cut at 32,767 bytes in silence, so what is to
/// come back as parameters goes in pieces below that.
pub const CHECKPOINT_PIECE_BYTES_MAX: usize = 30_000;

/// Records between two checkpoints, unless `ovation.checkpoint.records` says otherwise: a restart replays at most about
/// this many, a fraction of a second in the chain.
const CHECKPOINT_RECORDS: u64 = 100_000;
/// Stream time between two checkpoints in ms, unless `ovation.checkpoint.interval-ms` says otherwise.
const CHECKPOINT_INTERVAL_MS: i64 = 10_000;

/// A stateful stage: what is left to write once the contract is taken care of.
pub trait Stage: Sized {
    /// Opens the stage, empty.
    ///
    /// # Errors
    /// A sentence that names the parameter at fault.
    fn open(params: &Params) -> Result<Self, String>;

    /// Whether it is shown every record, as it does the work of the module that would stand in front of it; else it sees of control
    /// records ticks and rejects alone.
    fn sees_all(&self) -> bool {
        false
    }

    /// Takes the next record; results and rejects go through `emit`.
    fn record(&mut self, record: &SourceRecord<'_>, emit: &mut Emit<'_>);

    /// Where the stage stands. Asked for once a call.
    fn progress(&self) -> StageProgress;

    /// Largest time seen, ms, as in the progress. Asked for after every record.
    fn stream_time(&self) -> Option<i64>;

    /// Its state, as text.
    ///
    /// # Errors
    /// A sentence, if the state cannot be written.
    fn save(&self) -> Result<String, String>;

    /// Replaces its state by a saved one.
    ///
    /// # Errors
    /// A sentence, if the text is no state of this stage.
    fn restore(&mut self, state: &str) -> Result<(), String>;
}

/// Where a stage stands after a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StageProgress {
    /// Largest record or tick time seen, ms.
    pub stream_time: Option<i64>,
    /// Stream time less grace, ms.
    pub watermark: Option<i64>,
    /// Whether a change waits for stream time to move.
    pub dirty: bool,
    /// Keys and definitions with windows that are not final.
    pub open: usize,
    /// Results that wait only for another record or tick.
    pub backlog: usize,
    /// How much it keeps.
    pub state: StageState,
}

/// How much a stage keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct StageState {
    /// Keys with totals.
    pub keys: usize,
    /// Slices of windows that are not final.
    pub windows: usize,
    /// Ids in the dedup horizon.
    pub ids: usize,
}

#[derive(Serialize)]
struct Progress {
    first: Option<i64>,
    next: Option<i64>,
    watermark: Option<i64>,
    stream_time: Option<i64>,
    dirty: bool,
    open: usize,
    backlog: usize,
    seq: u64,
    reject_seq: u64,
    state: State,
}

#[derive(Serialize)]
struct State {
    #[serde(flatten)]
    kept: StageState,
    /// Bytes of memory that the module has taken, which it never gives back.
    bytes: usize,
}

#[derive(Serialize)]
struct Piece<'a> {
    stage: &'a str,
    epoch: u64,
    partition: u32,
    config: &'a str,
    id: i64,
    piece: usize,
    pieces: usize,
    offset: i64,
    seq: u64,
    reject_seq: u64,
    /// Comes last, see [`Contract::checkpoint_if_due`].
    data: &'a str,
}

/// The answer to the last batch, kept because Fluvio runs a batch twice when its output did not fit (and drops the
/// first answer): the second time must give the same bytes, and not count twice.
#[derive(Debug)]
struct LastAnswer {
    first: i64,
    next: i64,
    output: Output,
}

/// A [`Stage`] as a module under the processor contract.
#[derive(Debug)]
pub struct Contract<S> {
    stage: S,
    identity: Identity,
    counters: Counters,
    last: Option<LastAnswer>,
    checkpoint_records: u64,
    checkpoint_interval_ms: i64,
    records_since: u64,
    checkpoint_time: Option<i64>,
}

impl<S: Stage> Transform for Contract<S> {
    fn open(params: &Params) -> Result<Self, String> {
        Self::opened(params).map_err(|error| format!("failed to open the stage: {error}"))
    }

    fn transform(&mut self, batch: &Batch<'_>, out: &mut Output) -> Result<(), Failure> {
        let mut records = Vec::with_capacity(batch.len());
        for record in batch.records() {
            records.push(record.map_err(|error| Failure(error.to_string()))?);
        }
        let Some(last) = records.last() else {
            self.push_progress(out, self.counters.next, 0);
            return Ok(());
        };
        let (first, next) = (batch.offset_of(&records[0]), batch.offset_of(last) + 1);
        if let Some(answer) = &self.last
            && (answer.first, answer.next) == (first, next)
        {
            *out = answer.output.clone();
            return Ok(());
        }
        // Fluvio starts a stream with the whole batch that holds its first offset.
        let from = self.counters.next.map_or(first, |expected| expected.max(first));
        for record in &records {
            if batch.offset_of(record) >= from {
                self.take(batch, record, out);
            }
        }
        self.counters.next = Some(self.counters.next.map_or(next, |expected| expected.max(next)));
        self.push_progress(out, Some(from), last.offset_delta);
        self.last = Some(LastAnswer { first, next, output: out.clone() });
        Ok(())
    }
}

impl<S> Contract<S> {
    /// The stage, for a host that runs it natively and watches it.
    pub fn stage_mut(&mut self) -> &mut S {
        &mut self.stage
    }
}

impl<S: Stage> Contract<S> {
    fn opened(params: &Params) -> Result<Self, String> {
        let text = |error: ParamError| error.to_string();
        let identity = Identity {
            stage: params.get("ovation.stage").unwrap_or("adhoc").to_owned(),
            epoch: params.parse("ovation.epoch", 1, "a number from 1 on").map_err(text)?,
            topic: params.get("ovation.source").unwrap_or_default().to_owned(),
            partition: params.parse("ovation.partition", 0, "a partition").map_err(text)?,
            config: params.get("ovation.config").unwrap_or_default().to_owned(),
        };
        let mut contract = Self {
            stage: S::open(params)?,
            identity,
            counters: Counters::default(),
            last: None,
            checkpoint_records: params
                .parse("ovation.checkpoint.records", CHECKPOINT_RECORDS, "a number of records")
                .map_err(text)?,
            checkpoint_interval_ms: params
                .parse("ovation.checkpoint.interval-ms", CHECKPOINT_INTERVAL_MS, "milliseconds")
                .map_err(text)?,
            records_since: 0,
            checkpoint_time: None,
        };
        if params.get("ovation.start").is_some() {
            contract.counters.next = Some(params.parse("ovation.start", 0, "an offset").map_err(text)?);
        }
        contract.restore(params)?;
        Ok(contract)
    }

    /// Takes a checkpoint's pieces from the parameters, if there are any.
    fn restore(&mut self, params: &Params) -> Result<(), String> {
        let pieces: usize = params
            .parse("ovation.checkpoint.pieces", 0, "a number of pieces")
            .map_err(|error| error.to_string())?;
        if pieces == 0 {
            return Ok(());
        }
        let mut state = String::new();
        for piece in 0..pieces {
            let name = format!("ovation.checkpoint.{piece}");
            state.push_str(params.get(&name).ok_or_else(|| format!("parameter {name:?} is missing"))?);
        }
        // The contract's own counters stand in front of the stage's state.
        let (head, state) = state.split_once('\n').ok_or("the checkpoint has no head")?;
        let mut numbers = head.split(' ').map(str::parse::<u64>);
        let (Some(Ok(seq)), Some(Ok(reject_seq)), Some(Ok(offset)), None) =
            (numbers.next(), numbers.next(), numbers.next(), numbers.next())
        else {
            return Err(format!("the checkpoint's head {head:?} is not three numbers"));
        };
        let offset = i64::try_from(offset).map_err(|error| error.to_string())?;
        self.stage.restore(state)?;
        self.counters = Counters { next: Some(offset), seq, reject_seq };
        self.checkpoint_time = self.stage.stream_time();
        Ok(())
    }

    fn take(&mut self, batch: &Batch<'_>, record: &RecordRef<'_>, out: &mut Output) {
        let source = SourceRecord::of(batch, record);
        let offset = source.offset;
        let mut emit = Emit {
            out,
            identity: &self.identity,
            counters: &mut self.counters,
            delta: (record.offset_delta, record.timestamp_delta),
            offset,
            event: record.value,
        };
        if !source.is_control() || source.is_tick() || source.is_reject() || self.stage.sees_all() {
            self.stage.record(&source, &mut emit);
        } else if !source.is_skip() {
            emit.dead_letter(reason::KEY_MISMATCH, reason::RESERVED_KEY, record.value);
        }
        // A skip uses its offset up like any other record.
        self.records_since += 1;
        self.checkpoint_if_due(offset + 1, record.offset_delta, out);
    }

    /// Depends on records and stream time alone, so a replay writes the same checkpoints at the same places.
    fn checkpoint_if_due(&mut self, offset: i64, offset_delta: i64, out: &mut Output) {
        let time = self.stage.stream_time();
        let since = self.checkpoint_time.or(time);
        let long_ago = time
            .zip(since)
            .is_some_and(|(now, then)| now.saturating_sub(then) >= self.checkpoint_interval_ms);
        if self.checkpoint_time.is_none() {
            self.checkpoint_time = time;
        }
        if !long_ago && self.records_since < self.checkpoint_records {
            return;
        }
        self.records_since = 0;
        self.checkpoint_time = time;
        // A state that cannot be written is a restart from further back, not a lost result.
        let Ok(state) = self.stage.save() else { return };
        let Counters { seq, reject_seq, .. } = self.counters;
        let text = format!("{seq} {reject_seq} {offset}\n{state}");
        let pieces = split(&text, CHECKPOINT_PIECE_BYTES_MAX);
        let Identity { stage, epoch, partition, config, .. } = &self.identity;
        for (piece, data) in pieces.iter().enumerate() {
            let head = serde_json::to_vec(&Piece {
                stage,
                epoch: *epoch,
                partition: *partition,
                config,
                id: offset,
                piece,
                pieces: pieces.len(),
                offset,
                seq,
                reject_seq,
                data: "",
            });
            if let Ok(mut value) = head {
                // Between the last quotes.
                value.truncate(value.len() - 2);
                value.reserve(data.len() + 2);
                escape(data, &mut value);
                value.extend_from_slice(b"\"}");
                out.push(offset_delta, 0, Some(CHECKPOINT_KEY.as_bytes()), &value);
            }
        }
    }

    fn push_progress(&self, out: &mut Output, first: Option<i64>, offset_delta: i64) {
        let StageProgress { stream_time, watermark, dirty, open, backlog, state } = self.stage.progress();
        let Counters { next, seq, reject_seq } = self.counters;
        let state = State { kept: state, bytes: memory_bytes() };
        let progress =
            Progress { first, next, watermark, stream_time, dirty, open, backlog, seq, reject_seq, state };
        if let Ok(value) = serde_json::to_vec(&progress) {
            out.push(offset_delta, 0, Some(PROGRESS_KEY.as_bytes()), &value);
        }
    }
}

/// Memory of this module; nothing where it runs natively and shares its memory with others.
fn memory_bytes() -> usize {
    #[cfg(target_arch = "wasm32")]
    {
        const PAGE_BYTES: usize = 65_536;
        core::arch::wasm32::memory_size::<0>() * PAGE_BYTES
    }
    #[cfg(not(target_arch = "wasm32"))]
    {
        0
    }
}

/// Writes a text as it stands between the quotes of JSON. A checkpoint is a million bytes without an escape, so what lies between two
/// escapes is written at once: a copy is a call out of the module.
fn escape(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let Some(at) = first_to_escape(rest) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(br"\n"),
            byte => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// Where the first byte is that may not stand in a string of JSON.
fn first_to_escape(bytes: &[u8]) -> Option<usize> {
    const AT_A_TIME: usize = 64;
    let needs_escape = |byte: &u8| *byte < b' ' || *byte == b'"' || *byte == b'\\';
    let (chunks, rest) = bytes.as_chunks::<AT_A_TIME>();
    // Without a way out of a chunk, so that the compiler takes sixteen at once.
    let any = |chunk: &[u8; AT_A_TIME]| chunk.iter().fold(false, |any, byte| any | needs_escape(byte));
    let (from, within) = match chunks.iter().position(any) {
        Some(chunk) => (chunk * AT_A_TIME, &chunks[chunk][..]),
        None => (bytes.len() - rest.len(), rest),
    };
    within.iter().position(needs_escape).map(|at| from + at)
}

/// Cuts a text into pieces of at most `bytes_max` bytes, between characters.
fn split(text: &str, bytes_max: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while rest.len() > bytes_max {
        let (piece, tail) = rest.split_at(rest.floor_char_boundary(bytes_max));
        pieces.push(piece);
        rest = tail;
    }
    pieces.push(rest);
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_escaped_text_is_read_as_it_was(text in prop_oneof!["[ -~]{0,200}", "(?s).{0,80}", "[\"\\\\\n\t a]{0,80}"]) {
            let mut json = b"\"".to_vec();
            super::escape(&text, &mut json);
            json.push(b'"');
            prop_assert_eq!(serde_json::from_slice::<String>(&json).expect("JSON"), text);
        }
    }
}
