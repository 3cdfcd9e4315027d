//! Modules of each kind, run natively.

use ovation_processor::native::{Answered, call};
use ovation_processor::{
    Aggregate, Answer, Contract, Feed, Map, Numbering, Params, SourceRecord, Stateless, Transform, Update,
    WindowStage, Windowed,
};
use serde_json::{Value, json};

/// Answers what the record asks for.
#[derive(Debug)]
struct Obedient;

impl Stateless for Obedient {
    fn open(params: &Params) -> Result<Self, String> {
        params.get("refuse").map_or(Ok(Self), |sentence| Err(sentence.to_owned()))
    }

    fn record<'a>(&'a mut self, record: &SourceRecord<'a>) -> Answer<'a> {
        match record.value {
            b"drop" => Answer::Drop,
            b"value" => Answer::value(&b"another"[..]),
            b"key" => Answer::key(&b"k2"[..]),
            b"both" => Answer::Record { key: None, value: b"alone"[..].into() },
            b"forge" => Answer::key(&b"\x01progress"[..]),
            b"reject" => Answer::reject("malformed", format!("at {}", record.offset)),
            b"panic" => panic!("it was shown a control record"),
            _ => Answer::Pass,
        }
    }
}

fn text(answered: &Answered) -> (i64, Option<&str>, &str) {
    let text = |bytes| std::str::from_utf8(bytes).expect("text");
    (answered.offset, answered.key.as_deref().map(text), text(&answered.value))
}

#[test]
fn a_stateless_module_answers_each_record_once_at_its_offset() {
    let mut module = Map::<Obedient>::open(&Params::default()).expect("opens");
    let values = ["drop", "value", "key", "both", "forge", "reject", "else"].map(|value| ("k", value));
    let answer = call(&mut module, 10, 0, &values).expect("no error from a transform");
    let forged = r#"{"reason":"key_mismatch","detail":"the new key begins with U+0001, which is reserved","event":"forge"}"#;
    let expected = [
        (10, Some("\u{1}skip"), ""),
        (11, Some("k"), "another"),
        (12, Some("k2"), "key"),
        (13, None, "alone"),
        (14, Some("\u{1}reject"), forged),
        (15, Some("\u{1}reject"), r#"{"reason":"malformed","detail":"at 15","event":"reject"}"#),
        (16, Some("k"), "else"),
    ];
    assert_eq!(answer.iter().map(text).collect::<Vec<_>>(), expected);
}

#[test]
fn control_records_pass_by_a_stateless_module() {
    let mut module = Map::<Obedient>::open(&Params::default()).expect("opens");
    let keys = ["\u{1}tick", "\u{1}reject", "\u{1}skip", "\u{1}other"];
    let answer = call(&mut module, 0, 0, &keys.map(|key| (key, "panic"))).expect("passes");
    let passed: Vec<_> = answer.iter().map(text).collect();
    assert_eq!(passed, [0, 1, 2, 3].map(|n| (n, Some(keys[n as usize]), "panic")));
}

#[test]
fn a_module_that_does_not_open_says_why() {
    let error = Map::<Obedient>::open(&Params::from_iter([("refuse", "no such thing")])).err();
    assert_eq!(error.as_deref(), Some("failed to open the transform: no such thing"));
}

/// Counts records by key; key and time stand in the value.
#[derive(Debug)]
struct Counter;

#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
struct Count(u64);

impl Aggregate for Count {
    type Item<'a> = ();

    fn add(&mut self, (): &()) {
        self.0 += 1;
    }

    fn merge(&mut self, other: &Self) {
        self.0 += other.0;
    }

    fn weight((): &()) -> u64 {
        1
    }
}

impl Windowed for Counter {
    type Aggregate = Count;

    fn open(_params: &Params) -> Result<Self, String> {
        Ok(Self)
    }

    fn record(&self, record: &SourceRecord<'_>, feed: &mut Feed<'_, '_, Self>) {
        let value: Value = serde_json::from_slice(record.value).unwrap_or_default();
        match (value["key"].as_str(), value["time"].as_i64()) {
            (Some(key), Some(time)) => feed.count(record, key, time, None, &()),
            _ => feed.refuse("malformed", "no key or time", record),
        }
    }

    fn update(&self, numbers: &Numbering<'_>, update: &Update<'_, Count>) -> Vec<u8> {
        let value = json!({"start": update.start_ms, "final": update.last, "count": update.aggregate.0,
            "rejected": update.totals.rejected});
        numbers.result(value.to_string().as_bytes())
    }
}

const WINDOWS: &str = r#"[{"name":"1s","shape":{"tumbling":{"size_ms":1000}},"emit":"close"}]"#;

fn counter(extra: &[(&str, &str)]) -> Contract<WindowStage<Counter>> {
    let given = [("ovation.windows", WINDOWS), ("ovation.stage", "counts"), ("ovation.source", "events")];
    let params = given.iter().chain(extra).map(|(name, value)| (*name, *value)).collect();
    Contract::open(&params).expect("opens")
}

fn event(key: &str, time: i64) -> (&'static str, String) {
    ("", json!({"key": key, "time": time}).to_string())
}

fn tagged(answer: &[Answered], tag: Option<&str>) -> Vec<Value> {
    answer.iter().filter(|record| record.tag() == tag).map(Answered::json).collect()
}

#[test]
fn a_windowed_stage_closes_windows_by_records_and_ticks_and_refuses_what_is_late() {
    let mut stage = counter(&[]);
    let tick = ("\u{1}tick", r#"{"tick":3000}"#.to_owned());
    let records = [event("a", 10), event("a", 20), event("b", 1_500), event("a", 30), tick];
    let answer = call(&mut stage, 0, 1, &records).expect("counts");
    let results = tagged(&answer, None);
    let finals: Vec<_> =
        results.iter().map(|result| (result["start"].as_i64(), result["count"].as_u64())).collect();
    assert_eq!(finals, [(Some(0), Some(2)), (Some(1_000), Some(1))]);
    let letters = tagged(&answer, Some("reject"));
    let [late] = letters.as_slice() else { panic!("one was late: {answer:?}") };
    let detail = r#"1 of 1 windows "1s" that hold its time had closed"#;
    assert_eq!((&late["reason"], &late["detail"]), (&json!("late"), &json!(detail)));
    assert_eq!(late["source"], json!({"topic": "events", "partition": 0, "offset": 3}));
    let progress = &tagged(&answer, Some("progress"))[0];
    assert_eq!((&progress["open"], &progress["stream_time"]), (&json!(0), &json!(3_000)));
}

#[test]
fn a_windowed_stage_numbers_rejects_and_counts_them() {
    let mut stage = counter(&[]);
    let records = [
        ("\u{1}reject", r#"{"reason":"too_short","detail":"","event":"x"}"#.to_owned()),
        ("\u{1}reject", "{}".to_owned()),
        ("\u{1}tick", "soon".to_owned()),
        ("", "x".to_owned()),
        ("\u{1}skip", String::new()),
        event("", 10),
        event("", 1_000),
    ];
    let answer = call(&mut stage, 0, 1, &records).expect("counts");
    let letters = tagged(&answer, Some("reject"));
    let said: Vec<_> =
        letters.iter().map(|letter| (letter["reason"].as_str(), letter["seq"].as_u64())).collect();
    let malformed = Some("malformed");
    let expected =
        [(Some("too_short"), Some(1)), (malformed, Some(2)), (malformed, Some(3)), (malformed, Some(4))];
    assert_eq!(said, expected);
    // Under the empty key, which stands for records whose key is unknown.
    assert_eq!(tagged(&answer, None)[0]["rejected"], 4);
}

#[test]
fn a_windowed_stage_goes_on_from_its_checkpoint() {
    let every = ("ovation.checkpoint.records", "2");
    let records = [event("a", 10), event("b", 20), event("a", 30), event("a", 2_000)];
    let whole = call(&mut counter(&[every]), 0, 1, &records).expect("counts");
    let data = tagged(&whole, Some("checkpoint"))[0]["data"].as_str().expect("text").to_owned();
    let mut restored =
        counter(&[every, ("ovation.checkpoint.pieces", "1"), ("ovation.checkpoint.0", data.as_str())]);
    let rest = call(&mut restored, 2, 1, &records[2..]).expect("counts");
    assert_eq!(tagged(&rest, None), tagged(&whole, None));
    assert_eq!(tagged(&rest, None).len(), 2);
}

#[test]
fn a_windowed_stage_needs_a_window() {
    let error = Contract::<WindowStage<Counter>>::open(&Params::default()).expect_err("refused");
    assert_eq!(error, "failed to open the stage: at least one window is needed");
}
