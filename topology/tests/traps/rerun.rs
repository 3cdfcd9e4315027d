//! docs/fluvio.md 2: a batch whose output does not fit is run again, on the state that the first run left.

use std::collections::BTreeMap;

use crate::ground::{Ground, on_each, plain};
use crate::modules::{ad_hoc, running_total, total};
use crate::naive::{Bare, PATIENCE, batch, producer};
use crate::support::{eventually, final_words, results, source, start};

const BATCHES: usize = 60;
const BATCH_RECORDS: usize = 10;
/// What one answer may hold: a few batches' output.
const ANSWER_BYTES: u32 = 16 * 1024;

async fn filled(ground: &mut Ground) -> String {
    let lines = ground.create("lines", plain()).await;
    let producer = producer(&ground.words.cluster, &lines, PATIENCE).await;
    for _ in 0..BATCHES {
        producer.send_batch(batch(BATCH_RECORDS, "one two")).await.unwrap();
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_a_plain_module_counts_a_batch_twice() {
    let quirk = |config: &mut ovation_broker::Config| config.quirks.rerun_on_overflow = true;
    on_each("rerun", quirk, async |ground| {
        let lines = filled(ground).await;
        let module = ad_hoc(&running_total(3_000));
        let cluster = &ground.words.cluster;
        let mut stream = Bare::open(cluster, &lines, 0, ANSWER_BYTES as i32, module).await;
        let mut totals = Vec::new();
        while totals.len() < BATCHES {
            let outputs = stream.next().await;
            assert!(!outputs.is_empty(), "{} of {BATCHES} outputs", totals.len());
            totals.extend(outputs.iter().map(|(_, value)| total(value)));
        }
        let (counted, there) = (*totals.last().unwrap(), (BATCHES * BATCH_RECORDS) as u32);
        println!("rerun, real {}: {there} records, counted {counted}", ground.is_real());
        assert!(counted > there, "{counted} of {there}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defence_a_module_under_the_contract_answers_the_same_and_counts_once() {
    let quirk = |config: &mut ovation_broker::Config| config.quirks.rerun_on_overflow = true;
    on_each("rerun-answer", quirk, async |ground| {
        let lines = filled(ground).await;
        let producer = producer(&ground.words.cluster, &lines, PATIENCE).await;
        let far = serde_json::json!({"tick": 9_999_999_999_999_i64}).to_string().into_bytes();
        producer.send_batch(vec![(Some(b"\x01tick".to_vec()), far)]).await.unwrap();
        let mut module = ad_hoc(ovation_wasm::WORD_COUNT);
        let windows = r#"[{"name":"1s","shape":{"tumbling":{"size_ms":1000}},"grace_ms":200,"emit":{"update":{"every_ms":1}}}]"#;
        for (name, value) in [("stage", "words"), ("epoch", "1"), ("start", "0"), ("windows", windows)] {
            module.params.insert(format!("ovation.{name}"), value.to_owned());
        }
        // The last call's output alone, nine final windows, must fit.
        let cluster = &ground.words.cluster;
        let mut stream = Bare::open(cluster, &lines, 0, 6_000, module).await;
        let (mut seqs, mut finals, mut next) = (Vec::new(), BTreeMap::new(), 0);
        while next <= (BATCHES * BATCH_RECORDS) as u64 {
            let outputs = stream.next().await;
            assert!(!outputs.is_empty(), "the chain stands at {next}");
            for (key, value) in outputs {
                let value: serde_json::Value = serde_json::from_slice(&value).unwrap();
                if key == b"\x01progress" {
                    next = value["next"].as_u64().unwrap();
                } else if key.first() != Some(&1) {
                    seqs.push(value["seq"].as_u64().unwrap());
                    let place = (value["key"].to_string(), value["start"].as_i64());
                    finals.insert(place, value["words"]["one"].as_u64().unwrap());
                }
            }
        }
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "each number once, in order");
        assert_eq!(finals.values().sum::<u64>(), (BATCHES * BATCH_RECORDS) as u64);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defence_the_engine_counts_once() {
    let quirk = |config: &mut ovation_broker::Config| {
        config.quirks.rerun_on_overflow = true;
        config.limits.fetch_bytes_max = ANSWER_BYTES;
    };
    on_each("rerun-engine", quirk, async |ground| {
        filled(ground).await;
        // The engine finds all of it there, and answers that do not hold it.
        let words = &ground.words;
        let (engine, shutdown) = start(words, &words.topology().replace("every: 50ms", "every: 10ms")).await;
        let lines = source(words).await;
        for _ in 0..BATCHES {
            lines.send_batch(batch(BATCH_RECORDS, "one two")).await.unwrap();
        }
        let all = (4 * BATCHES * BATCH_RECORDS) as u64;
        eventually("all words are in final windows", || async { final_words(words).await >= all }).await;
        assert_eq!(final_words(words).await, all);
        let bytes: usize = results(words, 0).await.iter().map(|value| value.to_string().len()).sum();
        println!("rerun, real {}: {bytes} bytes of results", ground.is_real());
        assert_eq!(engine.status()[0].restarts, 0);
        shutdown.cancel();
        engine.join().await;
    })
    .await;
}
