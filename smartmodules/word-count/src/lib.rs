//! `ovation-word-count`: the second topology. Counts words per key in windows, to show that the engine and the windows know
//! nothing of reactions. A record's value is text; its time is the record's own.

use std::collections::BTreeMap;

use ovation_processor::{Aggregate, Feed, Numbering, Params, SourceRecord, Update, Windowed, reason};
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
pub struct WordCount;

impl Windowed for WordCount {
    type Aggregate = Words;

    fn open(_params: &Params) -> Result<Self, String> {
        Ok(Self)
    }

    fn record(&self, record: &SourceRecord<'_>, feed: &mut Feed<'_, '_, Self>) {
        let key = record.key.and_then(|key| std::str::from_utf8(key).ok()).unwrap_or_default();
        match (std::str::from_utf8(record.value), record.timestamp) {
            (Ok(text), Some(time)) => feed.count(record, key, time, None, &text),
            _ => feed.emit().dead_letter(reason::MALFORMED, "not text with a time", record.value),
        }
    }

    fn update(&self, numbers: &Numbering<'_>, update: &Update<'_, Words>) -> Vec<u8> {
        serde_json::to_vec(&serde_json::json!({
            "stage": numbers.stage, "epoch": numbers.epoch, "seq": numbers.seq,
            "key": update.key, "start": update.start_ms, "revision": update.revision,
            "final": update.last, "retracted": update.retracted, "words": update.aggregate.0,
            "source": { "partition": numbers.partition, "offset": numbers.offset },
        }))
        .unwrap_or_default()
    }
}

#[cfg(target_arch = "wasm32")]
mod shell {
    #![allow(unsafe_code, reason = "exported names are part of the SmartModule ABI")]
    use ovation_processor::exports::{self, Cell};
    use ovation_processor::{Contract, WindowStage};

    std::thread_local!(static CELL: Cell<Contract<WindowStage<super::WordCount>>> = Cell::default());

    #[unsafe(no_mangle)]
    extern "C" fn init(ptr: *mut u8, len: usize, version: i32) -> i32 {
        exports::init(&CELL, ptr, len, version)
    }

    #[unsafe(no_mangle)]
    extern "C" fn array_map(ptr: *mut u8, len: usize, version: i32) -> i32 {
        exports::transform(&CELL, ptr, len, version)
    }
}
