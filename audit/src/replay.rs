use ovation_client::Record;
use ovation_moments::Moments;
use ovation_shell::{
    Batch, CONTROL, Contract, Emit, Output, Params, REJECT_KEY, SourceRecord, Stage, StageProgress, TICK_KEY,
    Transform,
};
use ovation_validate::Validate;
use ovation_window::Window;

use crate::subject::Modules;
use crate::{Subject, Unchecked};

/// A time that no window reaches: two years and more after the last time that a reaction may have.
const AFTER_ALL_MS: i64 = ovation_reaction::TIME_MS_MAX + 3 * ovation_windowing::WindowSettings::TIME_MS_MAX;
/// Ticks in one call at the end: each lets out a portion of what is still open.
const CLOSING_TICKS: usize = 64;

/// What a replay gave that has to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) seq: u64,
    /// The source record that gave rise to it.
    pub(crate) source_offset: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Vec<u8>,
}

/// What the stage made of some records.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub(crate) results: Vec<Expected>,
    pub(crate) letters: Vec<Expected>,
    /// Stream time before each of the records, where they are counted.
    pub(crate) times: Vec<Option<i64>>,
}

/// The stage, run natively from the epoch's start.
#[derive(Debug)]
pub(crate) struct Replay {
    chain: Chain,
    seq: u64,
    reject_seq: u64,
}

#[derive(Debug)]
enum Chain {
    Counting(Validate, Box<Contract<Watched>>),
    Moments(Box<Contract<Moments>>),
}

/// The window stage, with its stream time written down before each record.
#[derive(Debug)]
struct Watched {
    window: Window,
    times: Vec<Option<i64>>,
}

impl Stage for Watched {
    fn open(params: &Params) -> Result<Self, String> {
        Window::open(params).map(|window| Self { window, times: Vec::new() })
    }

    fn record(&mut self, record: &SourceRecord<'_>, emit: &mut Emit<'_>) {
        self.times.push(self.window.stream_time());
        self.window.record(record, emit);
    }

    fn progress(&self) -> StageProgress {
        self.window.progress()
    }

    fn stream_time(&self) -> Option<i64> {
        self.window.stream_time()
    }

    fn save(&self) -> Result<String, String> {
        self.window.save()
    }

    fn restore(&mut self, state: &str) -> Result<(), String> {
        self.window.restore(state)
    }
}

impl Replay {
    pub(crate) fn new(subject: &Subject, epoch: u64, partition: u32, start: i64) -> Result<Self, Unchecked> {
        let unchecked = |error: String| Unchecked(format!("stage {:?}: {error}", subject.stage));
        let chain = match subject.params(epoch, partition, start) {
            Modules::Counting(validate, window) => Chain::Counting(
                Validate::open(&validate).map_err(unchecked)?,
                Box::new(Contract::open(&window).map_err(unchecked)?),
            ),
            Modules::Moments(moments) => {
                Chain::Moments(Box::new(Contract::open(&moments).map_err(unchecked)?))
            }
        };
        Ok(Self { chain, seq: 0, reject_seq: 0 })
    }

    /// Runs the chain over the next records of the log.
    pub(crate) fn run(&mut self, records: &[Record]) -> Result<Made, Unchecked> {
        let Some(first) = records.first() else { return Ok(Made::default()) };
        let mut encoded = Output::default();
        for record in records {
            // The batch's own time is 1, so that 0, which is no time, can be said of a record.
            let time = record.timestamp.max(0) - BASE_TIMESTAMP;
            encoded.push(record.offset - first.offset, time, record.key.as_deref(), &record.value);
        }
        let input = match &mut self.chain {
            Chain::Counting(validate, _) => {
                let raw = encoded.finish(None, 0);
                let mut judged = Output::default();
                validate
                    .transform(&batch(first.offset, &raw)?, &mut judged)
                    .map_err(|failure| Unchecked(failure.0))?;
                judged
            }
            Chain::Moments(_) => encoded,
        };
        self.last(first.offset, input)
    }

    /// Closes every window that is still open, and answers what they held. Nothing can be run after it.
    pub(crate) fn close(&mut self, mut offset: i64) -> Result<Vec<Expected>, Unchecked> {
        let mut results = Vec::new();
        let mut time = AFTER_ALL_MS;
        while self.open() > 0 {
            let mut ticks = Output::default();
            for delta in 0..CLOSING_TICKS as i64 {
                // The second one shows that it is quiet, however long that takes.
                let value = format!(r#"{{"tick":{time}}}"#);
                ticks.push(delta, 0, Some(TICK_KEY.as_bytes()), value.as_bytes());
                time = AFTER_ALL_MS + ovation_windowing::WindowSettings::TIME_MS_MAX;
            }
            results.extend(self.last(offset, ticks)?.results);
            offset += CLOSING_TICKS as i64;
        }
        Ok(results)
    }

    /// Windows that are not final.
    fn open(&mut self) -> usize {
        match &mut self.chain {
            Chain::Counting(_, window) => window.stage_mut().progress().open,
            Chain::Moments(_) => 0,
        }
    }

    /// Runs the last module, which numbers.
    fn last(&mut self, offset: i64, input: Output) -> Result<Made, Unchecked> {
        let raw = input.finish(None, 0);
        let (input, mut output, mut made) = (batch(offset, &raw)?, Output::default(), Made::default());
        let ran = match &mut self.chain {
            Chain::Counting(_, window) => {
                let ran = window.transform(&input, &mut output);
                made.times = std::mem::take(&mut window.stage_mut().times);
                ran
            }
            Chain::Moments(moments) => moments.transform(&input, &mut output),
        };
        ran.map_err(|failure| Unchecked(failure.0))?;
        let answer = output.finish(None, 0);
        let answer = batch(offset, &answer)?;
        for record in answer.records() {
            let record = record.map_err(|error| Unchecked(error.to_string()))?;
            let source_offset = answer.offset_of(&record);
            let value = record.value.to_vec();
            match record.key {
                Some(key) if key == REJECT_KEY.as_bytes() => {
                    self.reject_seq += 1;
                    // Dead letters are stored without a key.
                    made.letters.push(Expected { seq: self.reject_seq, source_offset, key: None, value });
                }
                Some([CONTROL, ..]) => {}
                key => {
                    self.seq += 1;
                    let key = key.map(<[u8]>::to_vec);
                    made.results.push(Expected { seq: self.seq, source_offset, key, value });
                }
            }
        }
        Ok(made)
    }
}

const BASE_TIMESTAMP: i64 = 1;

fn batch(offset: i64, raw: &[u8]) -> Result<Batch<'_>, Unchecked> {
    Batch::from_records(offset, BASE_TIMESTAMP, raw).map_err(|error| Unchecked(error.to_string()))
}
