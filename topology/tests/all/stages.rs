//! Stages that hang together: one over another's results, one over its dead letters, two over one source, and chains without
//! state. Everything that they store is compared with a plain model of the lines that were sent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{self, Words, epochs_in, eventually, source, start};
use ovation_client::fluvio::metadata::topic::TopicSpec;
use ovation_client::{Producer, Record, read_tail};
use ovation_topology::{Engine, TaskRole, Topology};
use serde_json::{Value, json};

const PARTITIONS: u32 = 2;
const SIZE_MS: i64 = 300;
const GRACE_MS: i64 = 100;
/// What is no text, and what it is in a dead letter.
const NO_TEXT: ([u8; 2], &str) = ([0xff, 0xfe], "//4=");

/// `lines` → `long` → `long-lines` → `words`, with `mistakes` over the dead letters of `long`, and `rare` beside it with one
/// SmartModule twice.
fn topology(words: &Words, folder: &Path) -> String {
    let name = |topic: &str| words.topic(topic);
    let modules = [
        ("long-words", ovation_wasm::examples::LONG_WORDS),
        ("running-total", ovation_wasm::examples::RUNNING_TOTAL),
    ];
    let files = modules.map(|(module, wasm)| {
        let file = folder.join(format!("{module}.wasm"));
        std::fs::write(&file, wasm).unwrap();
        format!("{:?}", file.display().to_string())
    });
    let fenced =
        ["long-lines", "long-refused", "rare-lines", "rare-refused", "counts", "refused", "mistakes"];
    let topics: String = ["lines", "checkpoints"]
        .iter()
        .map(|topic| format!("  {}: {{ partitions: {PARTITIONS} }}\n", name(topic)))
        .chain(
            fenced
                .iter()
                .map(|topic| format!("  {}: {{ partitions: {PARTITIONS}, fence: true }}\n", name(topic))),
        )
        .collect();
    format!(
        "name: stages
topics:
{topics}smartmodules:
  long-words: {{ path: {long_words} }}
  running-total: {{ path: {running_total}, stateful: true }}
  count: {{ builtin: ovation-word-count }}
stages:
  # Before the one whose results it reads: the order of the file says nothing.
  words:
    source: {long_lines}
    transforms:
      - uses: count
        window: {{ tumbling: {{ size: {SIZE_MS}ms }}, grace: {GRACE_MS}ms, emit: {{ every: 50ms }} }}
    sink: {counts}
    dead-letter: {refused}
    checkpoints: {checkpoints}
  long:
    source: {lines}
    transforms: [{{ uses: long-words, with: {{ min-length: 8 }} }}]
    sink: {long_lines}
    dead-letter: {long_refused}
    checkpoints: {checkpoints}
  rare:
    source: {lines}
    transforms:
      - {{ uses: long-words, with: {{ min-length: 11 }} }}
      - {{ uses: long-words, with: {{ min-length: 6 }} }}
    sink: {rare_lines}
    dead-letter: {rare_refused}
    checkpoints: {checkpoints}
  mistakes:
    source: {long_refused}
    transforms: [{{ uses: running-total, with: {{ add: records }} }}]
    sink: {mistakes}
    checkpoints: {checkpoints}
",
        long_words = files[0],
        running_total = files[1],
        lines = name("lines"),
        checkpoints = name("checkpoints"),
        long_lines = name("long-lines"),
        long_refused = name("long-refused"),
        rare_lines = name("rare-lines"),
        rare_refused = name("rare-refused"),
        counts = name("counts"),
        refused = name("refused"),
        mistakes = name("mistakes"),
    )
}

/// A line that was acknowledged.
#[derive(Debug, Clone)]
struct Line {
    partition: u32,
    offset: i64,
    /// None for what is no text.
    text: Option<String>,
}

/// Sends lines, the same for the same number, and remembers where they are.
async fn say(producer: &Producer, numbers: std::ops::Range<usize>, pause: Duration) -> Vec<Line> {
    const WORDS: [&str; 9] = [
        "a",
        "crowd",
        "sings",
        "loudly",
        "Elephant",
        "applauded",
        "extraordinary",
        "magnificently",
        "\u{dc}berschwang",
    ];
    let mut lines = Vec::new();
    for number in numbers {
        let word = |shift: usize| WORDS[(number * 7 + shift * shift + number / 9) % WORDS.len()];
        let text = (number % 13 != 5).then(|| (0..number % 4 + 1).map(word).collect::<Vec<_>>().join(" "));
        let value = text.clone().map_or_else(|| NO_TEXT.0.to_vec(), String::into_bytes);
        let key = format!("author-{}", number % 7).into_bytes();
        let stored = producer.send(Some(key), value).await.unwrap();
        lines.push(Line { partition: stored.partition, offset: stored.offset, text });
        tokio::time::sleep(pause).await;
    }
    lines
}

/// Records of one partition of a topic, as (key, value).
type Listed = Vec<(Option<String>, Value)>;

/// What the stages have stored, or ought to have.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    /// By topic and partition.
    listed: BTreeMap<(&'static str, u32), Listed>,
    /// Words of final windows, by partition, key and start.
    finals: BTreeMap<(u32, String, i64), BTreeMap<String, u64>>,
}

async fn stored(words: &Words, topic: &str, partition: u32) -> Vec<Record> {
    read_tail(&words.cluster, &words.topic(topic), partition, 100_000).await.unwrap()
}

async fn found(words: &Words) -> Outcome {
    let mut outcome = Outcome::default();
    for partition in 0..PARTITIONS {
        for topic in ["long-lines", "long-refused", "rare-lines", "rare-refused", "mistakes", "refused"] {
            let records = stored(words, topic, partition).await;
            let listed = records.into_iter().map(|record| {
                let key = record.key.map(|key| String::from_utf8(key.to_vec()).unwrap());
                (key, serde_json::from_slice(&record.value).unwrap())
            });
            outcome.listed.insert((topic, partition), listed.collect());
        }
        let counts = epochs_in(words, "counts", partition).await;
        assert!(counts.keys().all(|epoch| *epoch == 1), "there was no reset");
        for value in counts.into_values().flatten().filter(|value| value["final"] == true) {
            let key =
                (partition, value["key"].as_str().unwrap().to_owned(), value["start"].as_i64().unwrap());
            let counted = serde_json::from_value(value["words"].clone()).unwrap();
            assert!(outcome.finals.insert(key, counted).is_none(), "a window is final once: {value}");
        }
    }
    outcome
}

/// The first letter of the first word that is long enough.
fn letter(text: &str, at_least: usize) -> Option<String> {
    let mut words = text.split(|letter: char| !letter.is_alphabetic());
    let word = words.find(|word| word.chars().count() >= at_least)?;
    Some(word.chars().take(1).flat_map(char::to_lowercase).collect())
}

/// What a stage without state makes of the lines of a partition: results and dead letters.
fn numbered(words: &Words, stage: &str, lines: &[Line], key: impl Fn(&str) -> Option<String>) -> [Listed; 2] {
    let [mut results, mut letters] = [Listed::new(), Listed::new()];
    for Line { partition, offset, text } in lines {
        let Some(text) = text else {
            let letter = json!({
                "reason": "malformed", "detail": "the line is not UTF-8",
                "event": NO_TEXT.1, "event_encoding": "base64",
                "stage": stage, "epoch": 1, "seq": letters.len() + 1,
                "source": { "topic": words.topic("lines"), "partition": partition, "offset": offset },
            });
            letters.push((None, letter));
            continue;
        };
        if let Some(key) = key(text) {
            let result = json!({
                "stage": stage, "epoch": 1, "seq": results.len() + 1,
                "source": { "partition": partition, "offset": offset }, "value": text,
            });
            results.push((Some(key), result));
        }
    }
    [results, letters]
}

/// What has to be stored when these lines were sent. Windows over results go by the time that these were stored at.
async fn expected(words: &Words, lines: &[Line]) -> Outcome {
    let mut outcome = Outcome::default();
    for partition in 0..PARTITIONS {
        let mut lines: Vec<Line> = lines.iter().filter(|line| line.partition == partition).cloned().collect();
        lines.sort_by_key(|line| line.offset);
        let [results, letters] = numbered(words, "long", &lines, |text| letter(text, 8));
        let mistakes = (1..=letters.len()).map(|number| {
            let source = json!({ "partition": partition, "offset": number - 1 });
            let value = json!({
                "stage": "mistakes", "epoch": 1, "seq": number, "key": "", "total": number, "source": source,
            });
            (Some(String::new()), value)
        });
        outcome.listed.insert(("mistakes", partition), mistakes.collect());
        outcome.listed.insert(("long-lines", partition), results);
        outcome.listed.insert(("long-refused", partition), letters);
        // Only a line with a word of eleven letters comes through both, under the first of six.
        let both = |text: &str| letter(text, 11).and(letter(text, 6));
        let [results, letters] = numbered(words, "rare", &lines, both);
        outcome.listed.insert(("rare-lines", partition), results);
        outcome.listed.insert(("rare-refused", partition), letters);
        outcome.listed.insert(("refused", partition), Listed::new());

        let records = stored(words, "long-lines", partition).await;
        let stream_time = records.iter().map(|record| record.timestamp).max().unwrap_or_default();
        for record in records {
            if record.timestamp <= 0 {
                // A real cluster keeps no times in a fenced topic (docs/fluvio.md 37): then there is no window for it.
                let letters = outcome.listed.entry(("refused", partition)).or_default();
                let letter = json!({
                    "reason": "malformed", "detail": "not text with a time",
                    "event": std::str::from_utf8(&record.value).unwrap(),
                    "stage": "words", "epoch": 1, "seq": letters.len() + 1,
                    "source": { "topic": words.topic("long-lines"), "partition": partition, "offset": record.offset },
                });
                letters.push((None, letter));
                continue;
            }
            let start = record.timestamp - record.timestamp % SIZE_MS;
            if start + SIZE_MS + GRACE_MS > stream_time {
                continue;
            }
            let key = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
            let counts = outcome.finals.entry((partition, key, start)).or_default();
            for word in std::str::from_utf8(&record.value).unwrap().split_whitespace() {
                *counts.entry(word.to_lowercase()).or_default() += 1;
            }
        }
    }
    outcome
}

/// Waits until everything is stored as it has to be.
async fn settle(words: &Words, lines: &[Line]) -> Outcome {
    let since = Instant::now();
    loop {
        let (found, expected) = (found(words).await, expected(words, lines).await);
        if found == expected || since.elapsed() > support::PATIENCE {
            assert_eq!(found, expected);
            return found;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A model that nothing is compared with would prove nothing.
fn assert_rich(outcome: &Outcome) {
    let keys = |topic: &'static str, partition: u32| -> BTreeSet<&str> {
        outcome.listed[&(topic, partition)].iter().filter_map(|(key, _)| key.as_deref()).collect()
    };
    for ((topic, partition), listed) in &outcome.listed {
        assert!(listed.len() >= 5 || *topic == "refused", "{topic} {partition} has {}", listed.len());
    }
    // A new key moves no record: it stays in the partition that its line was in.
    for topic in ["long-lines", "rare-lines"] {
        assert!(keys(topic, 0).intersection(&keys(topic, 1)).count() >= 2, "{topic}");
    }
    assert!(keys("rare-lines", 0).contains("l"), "a word of six letters before one of eleven");
    // Where the topic keeps no times there is a dead letter for each result instead.
    let refused =
        (0..PARTITIONS).map(|partition| outcome.listed[&("refused", partition)].len()).sum::<usize>();
    assert!(outcome.finals.len().max(refused) >= 10, "{:?}", outcome.finals);
}

async fn remove(words: Words, topology: &str) {
    let topology = Topology::parse("stages.yaml", topology).unwrap();
    let client = words.cluster.connect().await.unwrap();
    let admin = client.admin().await;
    for topic in topology.topics {
        let _ = admin.delete::<TopicSpec>(topic.name).await;
    }
}

fn assert_well(engine: &Engine) {
    let tasks = engine.status();
    assert_eq!(tasks.len(), 4 * PARTITIONS as usize);
    for task in tasks {
        assert!(task.ready && task.restarts == 0 && task.error.is_none(), "{task:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stages_over_results_and_dead_letters_of_others_are_exact_across_a_restart() {
    for words in support::each("stages", PARTITIONS).await {
        let folder = tempfile::tempdir().unwrap();
        let text = topology(&words, folder.path());
        let (engine, stop) = start(&words, &text).await;
        assert!(engine.wait_ready(support::PATIENCE).await, "with nothing written: {engine:?}");
        let producer = source(&words).await;
        let pause = Duration::from_millis(8);
        let mut lines = say(&producer, 0..150, pause).await;
        // It ends while lines come.
        let ending = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert_well(&engine);
            stop.cancel();
            engine.join().await;
        };
        let (more, ()) = tokio::join!(say(&producer, 150..250, pause), ending);
        lines.extend(more);
        // Nobody is there for these.
        lines.extend(say(&producer, 250..280, Duration::ZERO).await);

        let (engine, stop) = start(&words, &text).await;
        lines.extend(say(&producer, 280..350, pause).await);
        assert!(engine.wait_ready(support::PATIENCE).await, "{engine:?}");
        lines.extend(say(&producer, 350..450, pause).await);
        // What comes later ends the windows of what was before.
        tokio::time::sleep(Duration::from_secs(1)).await;
        lines.extend(say(&producer, 450..480, Duration::ZERO).await);
        assert_rich(&settle(&words, &lines).await);
        assert_well(&engine);
        stop.cancel();
        engine.join().await;
        remove(words, &text).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_stands_by_takes_over_every_stage_and_stores_nothing_twice() {
    for words in support::each("stages-standby", PARTITIONS).await {
        let folder = tempfile::tempdir().unwrap();
        let text = topology(&words, folder.path());
        let engines = [start(&words, &text).await, start(&words, &text).await];
        for (engine, _) in &engines {
            assert!(engine.wait_ready(support::PATIENCE).await, "{engine:?}");
        }
        let producer = source(&words).await;
        let mut lines = Vec::new();
        let standing = |engine: &Engine| -> Vec<bool> {
            engine.status().iter().map(|task| task.role == TaskRole::Standby).collect()
        };
        let said = tokio::sync::Mutex::new(&mut lines);
        eventually("each task is active in one engine and stands by in the other", || async {
            let mut said = said.lock().await;
            let from = said.len();
            said.extend(say(&producer, from..from + 20, Duration::from_millis(5)).await);
            let [one, other] = [&engines[0], &engines[1]].map(|(engine, _)| standing(engine));
            one.iter().zip(&other).all(|(one, other)| one != other)
        })
        .await;
        let count = |engine: &Engine| standing(engine).into_iter().filter(|stands| *stands).count();
        let [one, other] = engines;
        let [gone, left] = if count(&one.0) < count(&other.0) { [one, other] } else { [other, one] };
        assert!(count(&left.0) > 0);
        let from = lines.len();
        // Without a word, wherever its tasks are, while lines come.
        let leaving = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            drop(gone);
        };
        let (more, ()) = tokio::join!(say(&producer, from..from + 150, Duration::from_millis(8)), leaving);
        lines.extend(more);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let from = lines.len();
        lines.extend(say(&producer, from..from + 30, Duration::ZERO).await);
        assert_rich(&settle(&words, &lines).await);
        let (engine, stop) = left;
        assert_eq!(count(&engine), 0, "all of it was taken over: {engine:?}");
        assert_well(&engine);
        stop.cancel();
        engine.join().await;
        remove(words, &text).await;
    }
}
