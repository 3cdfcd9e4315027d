//! `ovation-number`: ends a stage whose transforms hold no state. Each record that comes through becomes a numbered
//! result under its key, and each reject a numbered dead letter, so that they are fenced and checkpointed like all others.
//!
//! It takes no parameters of its own.

use ovation_processor::{Emit, Params, SourceRecord, Stage, StageProgress};

/// The stage. All that it keeps is the largest record time.
#[derive(Debug, Default)]
pub struct Number {
    stream_time: Option<i64>,
}

impl Stage for Number {
    fn open(_params: &Params) -> Result<Self, String> {
        Ok(Self::default())
    }

    fn record(&mut self, record: &SourceRecord<'_>, emit: &mut Emit<'_>) {
        if record.is_tick() {
            return;
        }
        self.stream_time = self.stream_time.max(record.timestamp);
        if record.is_reject() {
            emit.forward_reject(record);
        } else {
            emit.value(record.key, record.value);
        }
    }

    /// Nothing here waits for time, so the engine writes no ticks for it.
    fn progress(&self) -> StageProgress {
        StageProgress {
            stream_time: self.stream_time,
            watermark: self.stream_time,
            ..StageProgress::default()
        }
    }

    fn stream_time(&self) -> Option<i64> {
        self.stream_time
    }

    fn save(&self) -> Result<String, String> {
        serde_json::to_string(&self.stream_time).map_err(|error| error.to_string())
    }

    fn restore(&mut self, state: &str) -> Result<(), String> {
        self.stream_time = serde_json::from_str(state).map_err(|error| error.to_string())?;
        Ok(())
    }
}

#[cfg(target_arch = "wasm32")]
mod shell {
    #![allow(unsafe_code, reason = "exported names are part of the SmartModule ABI")]
    use ovation_processor::Contract;
    use ovation_processor::exports::{self, Cell};

    std::thread_local!(static CELL: Cell<Contract<super::Number>> = Cell::default());

    #[unsafe(no_mangle)]
    extern "C" fn init(ptr: *mut u8, len: usize, version: i32) -> i32 {
        exports::init(&CELL, ptr, len, version)
    }

    #[unsafe(no_mangle)]
    extern "C" fn array_map(ptr: *mut u8, len: usize, version: i32) -> i32 {
        exports::transform(&CELL, ptr, len, version)
    }
}
