//! Adds up by key. `add: numbers` takes each value as a number, `add: records` counts records; every record gives a result with
//! the total of its key so far.

use std::collections::BTreeMap;

use ovation_processor::{Emit, Params, SourceRecord, Stage, StageProgress, StageState, reason};
use serde::{Deserialize, Serialize};

/// Most keys that one partition keeps totals for: the state is written into every checkpoint.
pub const KEYS_MAX: usize = 10_000;

/// The stage: settings, and the state that survives a restart.
#[derive(Debug)]
pub struct RunningTotal {
    add: Add,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum Add {
    Numbers,
    Records,
}

/// An ordered map: a replay has to give the same bytes.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    stream_time: Option<i64>,
    totals: BTreeMap<String, i64>,
}

#[derive(Serialize)]
struct Total<'a> {
    key: &'a str,
    total: i64,
}

impl Stage for RunningTotal {
    fn open(params: &Params) -> Result<Self, String> {
        let add = match params.get("add") {
            None | Some("numbers") => Add::Numbers,
            Some("records") => Add::Records,
            Some(other) => {
                return Err(format!("parameter \"add\" is {other:?}; expected numbers or records"));
            }
        };
        Ok(Self { add, state: State::default() })
    }

    fn record(&mut self, record: &SourceRecord<'_>, emit: &mut Emit<'_>) {
        if record.is_tick() {
            return;
        }
        self.state.stream_time = self.state.stream_time.max(record.timestamp);
        if record.is_reject() {
            emit.forward_reject(record);
        } else if let Err((reason, detail)) = self.add(record, emit) {
            emit.dead_letter(reason, &detail, record.value);
        }
    }

    /// Nothing here waits for time to move.
    fn progress(&self) -> StageProgress {
        StageProgress {
            stream_time: self.state.stream_time,
            state: StageState { keys: self.state.totals.len(), ..StageState::default() },
            ..StageProgress::default()
        }
    }

    fn stream_time(&self) -> Option<i64> {
        self.state.stream_time
    }

    fn save(&self) -> Result<String, String> {
        serde_json::to_string(&self.state).map_err(|error| error.to_string())
    }

    fn restore(&mut self, state: &str) -> Result<(), String> {
        self.state = serde_json::from_str(state).map_err(|error| error.to_string())?;
        Ok(())
    }
}

impl RunningTotal {
    fn add(&mut self, record: &SourceRecord<'_>, emit: &mut Emit<'_>) -> Result<(), (&'static str, String)> {
        let malformed = |error: String| (reason::MALFORMED, error);
        let key = std::str::from_utf8(record.key.unwrap_or_default())
            .map_err(|_| malformed("the key is not UTF-8".to_owned()))?;
        let number: i64 = match self.add {
            Add::Records => 1,
            Add::Numbers => serde_json::from_slice(record.value)
                .map_err(|error| malformed(format!("not a whole number: {error}")))?,
        };
        let totals = &mut self.state.totals;
        if !totals.contains_key(key) && totals.len() >= KEYS_MAX {
            return Err((reason::TOO_MANY_KEYS, format!("this partition keeps totals for {KEYS_MAX} keys")));
        }
        let before = totals.get(key).copied().unwrap_or_default();
        let total =
            before.checked_add(number).ok_or_else(|| malformed("the total is too large".to_owned()))?;
        totals.insert(key.to_owned(), total);
        emit.json(key, &Total { key, total }).map_err(|error| malformed(error.to_string()))?;
        Ok(())
    }
}

#[cfg(target_arch = "wasm32")]
mod shell {
    #![allow(unsafe_code, reason = "exported names are part of the SmartModule ABI")]
    use ovation_processor::Contract;
    use ovation_processor::exports::{self, Cell};

    std::thread_local!(static CELL: Cell<Contract<super::RunningTotal>> = Cell::default());

    #[unsafe(no_mangle)]
    extern "C" fn init(ptr: *mut u8, len: usize, version: i32) -> i32 {
        exports::init(&CELL, ptr, len, version)
    }

    #[unsafe(no_mangle)]
    extern "C" fn array_map(ptr: *mut u8, len: usize, version: i32) -> i32 {
        exports::transform(&CELL, ptr, len, version)
    }
}

#[cfg(test)]
mod tests {
    use ovation_processor::native::{Answered, call};
    use ovation_processor::{Contract, Transform};

    use super::*;

    fn run(module: &mut Contract<RunningTotal>, offset: i64, records: &[(&str, &str)]) -> Vec<Answered> {
        call(module, offset, 1_000, records).expect("no error from a transform")
    }

    fn totals(answer: &[Answered]) -> Vec<(String, i64, u64)> {
        let results = answer.iter().filter(|record| record.tag().is_none()).map(Answered::json);
        results
            .map(|value| {
                let key = value["key"].as_str().expect("a key").to_owned();
                (key, value["total"].as_i64().expect("a total"), value["seq"].as_u64().expect("a number"))
            })
            .collect()
    }

    fn totalled(expected: &[(&str, i64, u64)]) -> Vec<(String, i64, u64)> {
        expected.iter().map(|(key, total, seq)| ((*key).to_owned(), *total, *seq)).collect()
    }

    fn tagged(answer: &[Answered], tag: &str) -> Vec<serde_json::Value> {
        answer.iter().filter(|record| record.tag() == Some(tag)).map(Answered::json).collect()
    }

    #[test]
    fn totals_run_by_key_and_are_numbered() {
        let mut module = Contract::<RunningTotal>::open(&Params::default()).expect("opens");
        let answer = run(&mut module, 0, &[("a", "2"), ("b", "10"), ("a", "-5"), ("a", "many"), ("a", "1")]);
        assert_eq!(totals(&answer), totalled(&[("a", 2, 1), ("b", 10, 2), ("a", -3, 3), ("a", -2, 4)]));
        let letters = tagged(&answer, "reject");
        let [letter] = letters.as_slice() else { panic!("one dead letter: {answer:?}") };
        assert_eq!((&letter["reason"], &letter["event"]), (&"malformed".into(), &"many".into()));
    }

    #[test]
    fn records_are_counted_where_that_is_asked_for() {
        let params = Params::from_iter([("add", "records")]);
        let mut module = Contract::<RunningTotal>::open(&params).expect("opens");
        assert_eq!(
            totals(&run(&mut module, 0, &[("a", "x"), ("a", "y")])),
            totalled(&[("a", 1, 1), ("a", 2, 2)])
        );
        assert!(RunningTotal::open(&Params::from_iter([("add", "all")])).is_err());
    }

    #[test]
    fn a_restart_goes_on_from_the_checkpoint() {
        let every = Params::from_iter([("ovation.checkpoint.records", "2")]);
        let mut module = Contract::<RunningTotal>::open(&every).expect("opens");
        let answer = run(&mut module, 0, &[("a", "2"), ("b", "10")]);
        let pieces = tagged(&answer, "checkpoint");
        let data = pieces[0]["data"].as_str().expect("text");
        let params = Params::from_iter([("ovation.checkpoint.pieces", "1"), ("ovation.checkpoint.0", data)]);
        let mut restored = Contract::<RunningTotal>::open(&params).expect("opens");
        let next = [("a", "1"), ("b", "1")];
        assert_eq!(totals(&run(&mut restored, 2, &next)), totalled(&[("a", 3, 3), ("b", 11, 4)]));
    }

    #[test]
    fn a_key_too_many_and_a_total_too_large_are_refused() {
        let mut stage = RunningTotal::open(&Params::default()).expect("opens");
        stage.state.totals = (0..KEYS_MAX).map(|key| (key.to_string(), i64::MAX)).collect();
        let saved = stage.save().expect("saves");
        let head = format!("0 0 0\n{saved}");
        let pieces: Vec<&str> =
            head.as_bytes().chunks(30_000).map(|piece| std::str::from_utf8(piece).expect("ASCII")).collect();
        let named = pieces.iter().enumerate().map(|(n, piece)| (format!("ovation.checkpoint.{n}"), *piece));
        let count = pieces.len().to_string();
        let params = named.chain([("ovation.checkpoint.pieces".to_owned(), count.as_str())]).collect();
        let mut module = Contract::<RunningTotal>::open(&params).expect("opens");
        let answer = run(&mut module, 0, &[("new", "1"), ("7", "1")]);
        let letters = tagged(&answer, "reject");
        assert_eq!(letters[0]["reason"], "too_many_keys");
        assert_eq!(letters[1]["detail"], "the total is too large");
    }
}
