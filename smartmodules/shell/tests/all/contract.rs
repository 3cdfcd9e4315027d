//! What the contract does for a stage with records that are not data.

use ovation_shell::{
    Batch, CONTROL, Contract, Emit, Output, Params, SourceRecord, Stage, StageProgress, Transform,
};
use serde_json::{Value, json};

/// Writes down what it is shown, and answers each record with a result under its value.
#[derive(Debug, Default)]
struct Watching(Vec<i64>);

impl Stage for Watching {
    fn open(_params: &Params) -> Result<Self, String> {
        Ok(Self::default())
    }

    fn record(&mut self, record: &SourceRecord<'_>, emit: &mut Emit<'_>) {
        self.0.push(record.offset);
        if record.is_reject() {
            emit.forward_reject(record);
        } else if !record.is_tick() {
            let key = std::str::from_utf8(record.value).expect("text");
            emit.json(key, &json!({"offset": record.offset})).expect("serialises");
        }
    }

    fn progress(&self) -> StageProgress {
        StageProgress::default()
    }

    fn stream_time(&self) -> Option<i64> {
        None
    }

    fn save(&self) -> Result<String, String> {
        Ok(String::new())
    }

    fn restore(&mut self, _state: &str) -> Result<(), String> {
        Ok(())
    }
}

fn run(stage: &mut Contract<Watching>, first: i64, records: &[(&str, &str)]) -> Vec<(String, Value)> {
    let mut input = Output::default();
    for (delta, (key, value)) in records.iter().enumerate() {
        input.push(delta as i64, 0, Some(key.as_bytes()), value.as_bytes());
    }
    let (input, mut output) = (input.finish(None, 0), Output::default());
    stage.transform(&Batch::from_records(first, 0, &input).expect("a batch"), &mut output).expect("answers");
    let output = output.finish(None, 0);
    let answer = Batch::from_records(first, 0, &output).expect("a batch");
    let records = answer.records().map(|record| record.expect("a record"));
    records
        .map(|record| {
            let key = String::from_utf8(record.key.expect("a key").to_vec()).expect("text");
            (key, serde_json::from_slice(record.value).expect("JSON"))
        })
        .collect()
}

fn tagged<'a>(answer: &'a [(String, Value)], tag: &str) -> Vec<&'a Value> {
    let of_tag = |key: &str| key.as_bytes().first() == Some(&CONTROL) && &key[1..] == tag;
    answer.iter().filter(|(key, _)| of_tag(key)).map(|(_, value)| value).collect()
}

fn open() -> Contract<Watching> {
    let params = Params::from_iter([("ovation.start", "7"), ("ovation.checkpoint.records", "4")]);
    Contract::open(&params).expect("opens")
}

#[test]
fn a_skip_uses_up_its_offset_and_the_stage_is_shown_nothing() {
    let mut stage = open();
    let skip = ("\u{1}skip", "");
    let answer = run(&mut stage, 7, &[skip, ("k", "a"), skip, skip]);
    assert_eq!(stage.stage_mut().0, [8]);
    let progress = tagged(&answer, "progress")[0];
    assert_eq!((&progress["first"], &progress["next"], &progress["seq"]), (&json!(7), &json!(11), &json!(1)));
    // Skips count on the way to a checkpoint.
    assert_eq!(tagged(&answer, "checkpoint")[0]["offset"], 11);

    let silent = run(&mut stage, 11, &[skip, skip]);
    let progress = tagged(&silent, "progress")[0];
    assert_eq!((&progress["first"], &progress["next"], silent.len()), (&json!(11), &json!(13), 1));
}

#[test]
fn of_control_records_the_stage_is_shown_ticks_and_rejects_alone() {
    let mut stage = open();
    let reject = r#"{"reason":"late","detail":"d","room":"lobby","event":"e"}"#;
    let answer = run(
        &mut stage,
        7,
        &[
            ("\u{1}tick", "1"),
            ("\u{1}reject", reject),
            ("\u{1}skip", "x"),
            ("\u{1}checkpoint", "y"),
            ("\u{1}", "z"),
        ],
    );
    assert_eq!(stage.stage_mut().0, [7, 8]);
    let letters = tagged(&answer, "reject");
    assert_eq!(
        (&letters[0]["reason"], &letters[0]["room"], letters.len()),
        (&json!("late"), &json!("lobby"), 4)
    );
    for (index, event) in ["x", "y", "z"].iter().enumerate() {
        let letter = letters[index + 1];
        assert_eq!((&letter["reason"], &letter["event"]), (&json!("key_mismatch"), &json!(event)));
        assert_eq!(letter["seq"], json!(index + 2));
    }
}

#[test]
fn a_result_under_a_key_of_the_engine_becomes_a_dead_letter_and_uses_no_number() {
    let mut stage = open();
    let answer = run(&mut stage, 7, &[("k", "\u{1}progress"), ("k", "fine")]);
    let letter = tagged(&answer, "reject")[0];
    assert_eq!((&letter["reason"], &letter["event"]), (&json!("key_mismatch"), &json!("\u{1}progress")));
    assert_eq!(tagged(&answer, "progress").len(), 1);
    let (_, result) = answer.iter().find(|(key, _)| key == "fine").expect("a result");
    assert_eq!((&result["seq"], &result["offset"]), (&json!(1), &json!(8)));
}

#[test]
fn a_record_that_cannot_be_read_fails_its_call_and_nothing_before_it_counts_twice() {
    let mut input = Output::default();
    for (delta, value) in ["a", "b", "c"].into_iter().enumerate() {
        input.push(delta as i64, 0, Some(b"k"), value.as_bytes());
    }
    let whole = input.finish(None, 0);
    let mut damaged = whole.clone();
    // The length of the second record's key, which then reaches far behind its end.
    let value = damaged.iter().position(|byte| *byte == b'b').expect("a value");
    damaged[value - 3] = 0x7e;

    let mut stage = open();
    for cut in [damaged.len() - 2, 6] {
        let cut = Batch::from_records(7, 0, &whole[..cut]).expect("a batch");
        assert!(stage.transform(&cut, &mut Output::default()).is_err());
        assert_eq!(stage.stage_mut().0, [0; 0], "lengths are looked at before anything counts");
    }
    let damaged = Batch::from_records(7, 0, &damaged).expect("a batch");
    assert!(stage.transform(&damaged, &mut Output::default()).is_err());
    let whole = Batch::from_records(7, 0, &whole).expect("a batch");
    stage.transform(&whole, &mut Output::default()).expect("answers");
    assert_eq!(stage.stage_mut().0, [7, 8, 9]);
}
