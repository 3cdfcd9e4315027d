//! `ovation-word-count`: the second topology. Counts words per key in windows, to show that the engine and the windows know
//! nothing of reactions. A record's value is text; its time is the record's own.

use std::collections::BTreeMap;

use ovation_shell::{Emit, Params, SourceRecord, Stage, StageProgress, StageState};
use ovation_windowing::{Aggregate, DedupSettings, Update, WindowSettings, Windows};
use serde::{Deserialize, Serialize};

/// Words of a window.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Words(BTreeMap<String, u64>);

impl Aggregate for Words {
    type Item<'a> = &'a str;

    fn add(&mut self, text: &&str) {
        for word in text.split_whitespace() {
            *self.0.entry(word.to_lowercase()).or_default() += 1;
        }
    }

    fn merge(&mut self, other: &Self) {
        for (word, count) in &other.0 {
            *self.0.entry(word.clone()).or_default() += count;
        }
    }

    fn weight(text: &&str) -> u64 {
        text.split_whitespace().count() as u64
    }
}

/// The stage.
#[derive(Debug)]
pub struct WordCount {
    windows: Windows<Words>,
}

#[derive(Deserialize)]
struct Tick {
    tick: i64,
}

impl Stage for WordCount {
    fn open(params: &Params) -> Result<Self, String> {
        let windows = params.get("ovation.windows").ok_or("a window is needed")?;
        let settings: Vec<WindowSettings> =
            serde_json::from_str(windows).map_err(|error| format!("ovation.windows: {error}"))?;
        let idleness_ms =
            params.parse("ovation.idleness-ms", 0, "milliseconds").map_err(|error| error.to_string())?;
        let windows = Windows::new(settings, DedupSettings::default(), idleness_ms)
            .map_err(|error| error.to_string())?;
        Ok(Self { windows })
    }

    fn record(&mut self, record: &SourceRecord<'_>, emit: &mut Emit<'_>) {
        let mut send = |update: Update<'_, Words>| {
            emit.result(update.key, |numbers| {
                serde_json::to_vec(&serde_json::json!({
                    "stage": numbers.stage, "epoch": numbers.epoch, "seq": numbers.seq,
                    "key": update.key, "start": update.start_ms, "revision": update.revision,
                    "final": update.last, "retracted": update.retracted, "words": update.aggregate.0,
                    "source": { "partition": numbers.partition, "offset": numbers.offset },
                }))
                .unwrap_or_default()
            })
        };
        if record.is_tick() {
            if let Ok(Tick { tick }) = serde_json::from_slice(record.value) {
                self.windows.tick(tick, &mut send);
            }
            return;
        }
        let key = record.key.and_then(|key| std::str::from_utf8(key).ok()).unwrap_or_default();
        match (std::str::from_utf8(record.value), record.timestamp) {
            (Ok(text), Some(time)) => {
                self.windows.observe(key, time, None, &text, &mut send);
            }
            _ => emit.reject(|numbers| {
                serde_json::to_vec(&serde_json::json!({
                    "reason": "malformed", "stage": numbers.stage, "epoch": numbers.epoch,
                    "seq": numbers.seq, "source": { "topic": numbers.topic,
                    "partition": numbers.partition, "offset": numbers.offset },
                }))
                .unwrap_or_default()
            }),
        }
    }

    fn progress(&self) -> StageProgress {
        let size = self.windows.size();
        StageProgress {
            stream_time: self.windows.stream_time(),
            watermark: self.windows.watermark(),
            dirty: self.windows.is_dirty(),
            open: self.windows.open(),
            backlog: self.windows.backlog(),
            state: StageState { keys: size.keys, windows: size.windows, ids: size.ids },
        }
    }

    fn stream_time(&self) -> Option<i64> {
        self.windows.stream_time()
    }

    fn save(&self) -> Result<String, String> {
        self.windows.save().map_err(|error| error.to_string())
    }

    fn restore(&mut self, state: &str) -> Result<(), String> {
        self.windows.restore(state)
    }
}

#[cfg(target_arch = "wasm32")]
mod shell {
    #![allow(unsafe_code, reason = "exported names are part of the SmartModule ABI")]
    use ovation_shell::Contract;
    use ovation_shell::exports::{self, Cell};

    std::thread_local!(static CELL: Cell<Contract<super::WordCount>> = Cell::default());

    #[unsafe(no_mangle)]
    extern "C" fn init(ptr: *mut u8, len: usize, version: i32) -> i32 {
        exports::init(&CELL, ptr, len, version)
    }

    #[unsafe(no_mangle)]
    extern "C" fn array_map(ptr: *mut u8, len: usize, version: i32) -> i32 {
        exports::transform(&CELL, ptr, len, version)
    }
}
