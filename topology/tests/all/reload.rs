//! A topology that changes while its stages run, and stages in a row.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::{self, Embedded, Words, epochs_in, eventually, final_words, modules, source, start};
use ovation_broker::Quirks;
use ovation_client::{bounds, read_tail};
use ovation_topology::{
    Engine, Reloaded, ResetFrom, TaskRole, TaskState, TaskStatus, Topology, apply, plan_reset, reset,
};

/// The topology with a second stage, `again`, from `from` to a sink `totals`, with a module file of its own.
fn two_stages(words: &Words, from: &str, module: &Path) -> String {
    let topics = ["totals", "dropped", "progress"].map(|name| words.topic(name));
    let [totals, dropped, progress] = &topics;
    let text = words.topology();
    let text = text.replace(
        "smartmodules:\n",
        &format!(
            "  {totals}: {{ partitions: 1, fence: true }}
  {dropped}: {{ partitions: 1, fence: true }}
  {progress}: {{ partitions: 1 }}
smartmodules:
  again: {{ path: {:?} }}
",
            module.display().to_string()
        ),
    );
    text + &format!(
        "  again:
    source: {}
    transforms:
      - uses: again
        window: {{ tumbling: {{ size: 2s }}, grace: 200ms, emit: {{ every: 50ms }} }}
    sink: {totals}
    dead-letter: {dropped}
    checkpoints: {progress}
",
        words.topic(from)
    )
}

/// The word counter as a file. Versions differ in their bytes alone: by a section that WebAssembly ignores.
fn write_module(file: &Path, version: u8) {
    let mut wasm = modules("ovation-word-count").unwrap().into_owned();
    wasm.extend([0, 9, 7, b'v', b'e', b'r', b's', b'i', b'o', b'n', version]);
    std::fs::write(file, wasm).unwrap();
}

async fn reload(engine: &Engine, words: &Words, text: &str) -> Reloaded {
    let topology = Topology::parse("words.yaml", text).unwrap();
    apply(&words.cluster, &topology, &modules).await.unwrap();
    engine.reload(&topology, &modules).await.unwrap()
}

fn status(engine: &Engine, stage: &str) -> TaskStatus {
    engine.status().into_iter().find(|status| status.stage == stage).unwrap()
}

/// Words in the final windows of the second stage.
async fn words_again(words: &Words) -> u64 {
    let finals = epochs_in(words, "totals", 0).await.into_values().flatten();
    let counts = finals.filter(|value| value["final"] == true).flat_map(|value| {
        value["words"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).collect::<Vec<_>>()
    });
    counts.sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_stage_that_has_changed_starts_again_and_its_results_stay_exact() {
    let embedded = Embedded::start(Quirks::default()).await;
    let words = embedded.words(1);
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("again.wasm");
    write_module(&module, 1);
    let text = two_stages(&words, "lines", &module);
    let (engine, stop) = start(&words, &text).await;
    assert!(engine.wait_ready(support::PATIENCE).await, "{engine:?}");
    let lines = source(&words).await;
    let line = async || lines.send(Some(b"key".to_vec()), b"one two".to_vec()).await.unwrap();
    for _ in 0..20 {
        line().await;
    }
    assert!(!reload(&engine, &words, &text).await.has_changes(), "nothing has changed");

    // Other bytes, with windows open: it goes on from its checkpoint.
    write_module(&module, 2);
    let reloading = reload(&engine, &words, &text);
    let talking = async {
        for _ in 0..20 {
            line().await;
        }
    };
    let (reloaded, ()) = tokio::join!(reloading, talking);
    assert_eq!(
        (&reloaded.kept[..], &reloaded.restarted[..]),
        (&["words".to_owned()][..], &["again".to_owned()][..])
    );
    assert!(status(&engine, "words").ready, "the other stage was left alone");
    assert!(engine.wait_ready(support::PATIENCE).await, "{engine:?}");
    eventually("both stages have counted everything once", || async {
        (final_words(&words).await, words_again(&words).await) == (80, 80)
    })
    .await;

    // Other windows: old state does not fit them, which is said, and stops nobody else.
    let other = text.replace("size: 2s", "size: 3s");
    assert_eq!(reload(&engine, &words, &other).await.restarted, ["again"]);
    eventually("it has stopped", || async { status(&engine, "again").state == TaskState::Stopped }).await;
    let error = status(&engine, "again").error.unwrap();
    assert!(error.contains("another configuration") && error.contains("ovation topology reset"), "{error}");
    assert!(!engine.ready() && status(&engine, "words").ready);
    line().await;
    eventually("the first stage counts on", || async { final_words(&words).await == 82 }).await;
    assert_eq!(reload(&engine, &words, &text).await.restarted, ["again"]);
    assert!(engine.wait_ready(support::PATIENCE).await, "{engine:?}");
    eventually("the old settings go on", || async { words_again(&words).await == 82 }).await;

    // Without the second stage, and with it again.
    assert_eq!(reload(&engine, &words, &words.topology()).await.stopped, ["again"]);
    let stages = |engine: &Engine| engine.status().iter().map(|task| task.stage.clone()).collect::<Vec<_>>();
    assert_eq!(stages(&engine), ["words"]);
    assert!(engine.ready(), "{engine:?}");
    line().await;
    assert_eq!(reload(&engine, &words, &text).await.started, ["again"]);
    assert_eq!(stages(&engine), ["words", "again"]);
    eventually("it has caught up", || async { words_again(&words).await == 84 }).await;
    assert_eq!(engine.status().iter().map(|task| task.restarts).sum::<u64>(), 0, "{engine:?}");
    let counted = status(&engine, "words");
    assert_eq!(counted.results, counted.seq, "one task has stored them all");
    assert!(counted.result_bytes > 50 * counted.results && counted.records >= 42, "{counted:?}");
    stop.cancel();
    engine.join().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_over_another_ones_sink_is_ready_and_exact_without_ticks() {
    let embedded = Embedded::start(Quirks::default()).await;
    let words = embedded.words(1);
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("again.wasm");
    write_module(&module, 1);
    let text = two_stages(&words, "counts", &module);
    let (engine, stop) = start(&words, &text).await;
    assert!(engine.wait_ready(support::PATIENCE).await, "nothing has been written: {engine:?}");
    let lines = source(&words).await;
    let line = async || lines.send(Some(b"key".to_vec()), b"one two".to_vec()).await.unwrap();
    for _ in 0..25 {
        line().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    eventually("the first stage has fallen silent", || async { final_words(&words).await == 50 }).await;
    let end = async || bounds(&words.cluster, &words.topic("counts"), 0).await.unwrap().end;
    eventually("the second one has taken everything", || async {
        status(&engine, "again").offset == end().await
    })
    .await;
    stop.cancel();
    engine.join().await;

    let (engine, stop) = start(&words, &text).await;
    assert!(engine.wait_ready(support::PATIENCE).await, "it catches up: {engine:?}");
    // What follows closes the windows of what was before.
    tokio::time::sleep(Duration::from_secs(2)).await;
    line().await;
    eventually("the first stage has fallen silent", || async { final_words(&words).await == 52 }).await;
    eventually("the second one has taken everything", || async {
        status(&engine, "again").offset == end().await
    })
    .await;
    // Each result is a word to the second stage, counted in the window of its record's time.
    let mut expected = BTreeMap::<i64, u64>::new();
    for record in read_tail(&words.cluster, &words.topic("counts"), 0, 100_000).await.unwrap() {
        *expected.entry(record.timestamp - record.timestamp % 2_000).or_default() += 1;
    }
    let finals = epochs_in(&words, "totals", 0).await.remove(&1).unwrap_or_default();
    let mut windows = 0;
    for value in finals.iter().filter(|value| value["final"] == true) {
        let counts = value["words"].as_object().unwrap().values();
        let counted: u64 = counts.map(|count| count.as_u64().unwrap()).sum();
        assert_eq!(counted, expected[&value["start"].as_i64().unwrap()], "{value}");
        windows += 1;
    }
    assert!(windows >= 2, "{finals:?}");

    // A new epoch with nothing to catch up with: the record before it makes the chain answer.
    let topology = Topology::parse("words.yaml", &text).unwrap();
    let resets = plan_reset(&words.cluster, &topology, Some("again"), ResetFrom::Now).await.unwrap();
    reset(&words.cluster, &resets).await.unwrap();
    eventually("it is ready in the new epoch", || async {
        status(&engine, "again").epoch == 2 && engine.ready()
    })
    .await;
    assert_eq!(status(&engine, "again").offset, end().await);
    // Nothing but numbered results is in the first sink: no probe, no tick.
    epochs_in(&words, "counts", 0).await;
    stop.cancel();
    engine.join().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_does_not_take_missing_ticks_for_silence_where_nobody_can_tick() {
    let embedded = Embedded::start(Quirks::default()).await;
    let words = embedded.words(1);
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("again.wasm");
    write_module(&module, 1);
    let text = two_stages(&words, "counts", &module);
    let engines = [start(&words, &text).await, start(&words, &text).await];
    for (engine, _) in &engines {
        assert!(engine.wait_ready(support::PATIENCE).await, "{engine:?}");
    }
    let lines = source(&words).await;
    let roles = || engines.each_ref().map(|(engine, _)| status(engine, "again").role);
    let said = AtomicU64::new(0);
    eventually("one of them stands by", || async {
        lines.send(Some(b"key".to_vec()), b"word".to_vec()).await.unwrap();
        said.fetch_add(1, Ordering::SeqCst);
        roles().into_iter().filter(|role| *role == TaskRole::Standby).count() == 1
    })
    .await;
    eventually("the first stage has fallen silent", || async {
        final_words(&words).await == said.load(Ordering::SeqCst)
    })
    .await;
    let end = bounds(&words.cluster, &words.topic("counts"), 0).await.unwrap().end;
    eventually("both have taken everything", || async {
        engines.iter().all(|(engine, _)| status(engine, "again").offset == end)
    })
    .await;
    let before = roles();
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(3) {
        assert_eq!(roles(), before);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for (engine, stop) in engines {
        assert!(status(&engine, "again").open > 0, "a window waits for time all the while: {engine:?}");
        stop.cancel();
        engine.join().await;
    }
}
