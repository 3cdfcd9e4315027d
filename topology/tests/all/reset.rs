//! A stage that stands still until somebody decides, and the way out: a new epoch. Also engines that share partitions out.

use std::time::Duration;

use crate::support::{self, Embedded, Words, epochs, eventually, final_words, source, start, start_some};
use ovation_broker::Limits;
use ovation_client::{bounds, read_from};
use ovation_topology::{
    Engine, EngineError, EngineOptions, ResetFrom, TaskState, Topology, apply, plan_reset, reset,
};

/// Waits until the task has stopped, and answers what it says.
async fn stopped(engine: &Engine) -> String {
    eventually("the task has stopped", || async { engine.status()[0].state == TaskState::Stopped }).await;
    engine.status()[0].error.clone().unwrap()
}

/// Does what the message says.
async fn reset_all(words: &Words, text: &str, from: ResetFrom) {
    let topology = Topology::parse("words.yaml", text).unwrap();
    let resets = plan_reset(&words.cluster, &topology, Some("words"), from).await.unwrap();
    assert_eq!(resets.len(), words.partitions as usize);
    for found in &resets {
        let source = bounds(&words.cluster, &words.topic("lines"), found.partition).await.unwrap();
        let offset = if from == ResetFrom::Now { source.end } else { source.start };
        assert_eq!((found.next_epoch, found.offset), (found.epoch + 1, offset));
    }
    reset(&words.cluster, &resets).await.unwrap();
}

/// Words in the final windows of one epoch.
async fn words_of_epoch(words: &Words, epoch: u64) -> u64 {
    let finals = epochs(words, 0).await.remove(&epoch).unwrap_or_default();
    let counts = finals.iter().filter(|value| value["final"] == true).flat_map(|value| {
        value["words"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).collect::<Vec<_>>()
    });
    counts.sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn other_settings_go_on_after_a_reset_without_a_restart() {
    for words in support::each("reset", 1).await {
        let text = words.topology();
        let (engine, stop) = start(&words, &text).await;
        let lines = source(&words).await;
        assert!(engine.wait_ready(support::PATIENCE).await);
        lines.send(Some(b"key".to_vec()), b"one two".to_vec()).await.unwrap();
        eventually("the first epoch has counted", || async { final_words(&words).await == 2 }).await;

        let other = text.replace("size: 1s", "size: 2s");
        let (changed, changed_stop) = start(&words, &other).await;
        let error = stopped(&changed).await;
        assert!(error.contains("another configuration"), "{error}");
        let command =
            format!("`ovation topology reset --cluster {} --stage words --yes`", words.cluster.endpoint());
        assert!(error.contains(&command), "{error}");

        reset_all(&words, &other, ResetFrom::Beginning).await;
        eventually("the new settings have counted all of it again", || async {
            words_of_epoch(&words, 2).await == 2
        })
        .await;
        assert_eq!(changed.status()[0].epoch, 2);
        assert_eq!(words_of_epoch(&words, 1).await, 2, "what was stored stays");
        // The engine with the old settings has noticed as well.
        let error = stopped(&engine).await;
        assert!(error.contains("another configuration"), "{error}");
        lines.send(Some(b"key".to_vec()), b"three".to_vec()).await.unwrap();
        eventually("it goes on", || async { words_of_epoch(&words, 2).await == 3 }).await;
        for (engine, stop) in [(engine, stop), (changed, changed_stop)] {
            stop.cancel();
            engine.join().await;
        }
        // A restart begins with the new epoch, and gives none of its numbers twice.
        let (engine, stop) = start(&words, &other).await;
        assert!(engine.wait_ready(support::PATIENCE).await, "{engine:?}");
        lines.send(Some(b"key".to_vec()), b"four".to_vec()).await.unwrap();
        eventually("it goes on", || async { words_of_epoch(&words, 2).await == 4 }).await;
        stop.cancel();
        engine.join().await;
        words.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_engine_takes_a_reset_to_now() {
    for words in support::each("now", 1).await {
        let text = words.topology();
        let (engine, stop) = start(&words, &text).await;
        let lines = source(&words).await;
        assert!(engine.wait_ready(support::PATIENCE).await);
        lines.send(Some(b"key".to_vec()), b"left out".to_vec()).await.unwrap();
        eventually("the first epoch has counted", || async { final_words(&words).await == 2 }).await;
        reset_all(&words, &text, ResetFrom::Now).await;
        eventually("the engine has noticed", || async { engine.status()[0].epoch == 2 && engine.ready() })
            .await;
        lines.send(Some(b"key".to_vec()), b"counted".to_vec()).await.unwrap();
        eventually("the new epoch counts", || async { words_of_epoch(&words, 2).await == 1 }).await;
        stop.cancel();
        engine.join().await;
        words.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_to_an_offset_or_a_time_begins_there() {
    for words in support::each("place", 1).await {
        let text = words.topology();
        let topology = Topology::parse("words.yaml", &text).unwrap();
        let (engine, stop) = start(&words, &text).await;
        let lines = source(&words).await;
        assert!(engine.wait_ready(support::PATIENCE).await);
        for _ in 0..3 {
            lines.send(Some(b"key".to_vec()), b"old words".to_vec()).await.unwrap();
        }
        eventually("the first epoch has counted", || async { final_words(&words).await == 6 }).await;
        let stored = lines.send(Some(b"key".to_vec()), b"one more".to_vec()).await.unwrap();
        lines.send(Some(b"key".to_vec()), b"and another".to_vec()).await.unwrap();
        eventually("it counts on", || async { final_words(&words).await == 10 }).await;
        eventually("nothing is open", || async { engine.status()[0].open == 0 }).await;

        let held = bounds(&words.cluster, &words.topic("lines"), 0).await.unwrap();
        let planned = async |from| {
            let resets = plan_reset(&words.cluster, &topology, Some("words"), from).await.unwrap();
            let [found] = &resets[..] else { panic!("one partition") };
            assert_eq!((found.source_start, found.high_watermark), (held.start, held.end));
            assert_eq!(found.to_process(), held.end - found.offset);
            assert_eq!(found.sink_records, i64::try_from(found.seq).unwrap(), "one epoch");
            found.clone()
        };
        assert_eq!(planned(ResetFrom::Offset(3)).await.offset, 3);
        let past_the_end = planned(ResetFrom::Offset(i64::MAX)).await;
        assert_eq!(past_the_end.offset, held.end);
        assert_eq!(past_the_end.left_out(), held.end - past_the_end.checkpoint.unwrap());
        assert_eq!(planned(ResetFrom::Offset(-7)).await.offset, held.start);
        let record = read_from(&words.cluster, &words.topic("lines"), 0, stored.offset, 1_000).await.unwrap();
        let time = record[0].timestamp;
        let found = planned(ResetFrom::Time(time)).await;
        let log = read_from(&words.cluster, &words.topic("lines"), 0, 0, 1_000).await.unwrap();
        let first = log.iter().find(|record| record.timestamp >= time).unwrap();
        assert_eq!(found.offset, first.offset, "ticks stand between the lines");
        assert_eq!(planned(ResetFrom::Time(0)).await.offset, held.start);
        assert_eq!(planned(ResetFrom::Time(i64::MAX)).await.offset, held.end);

        let from = ResetFrom::Time(time);
        let resets = plan_reset(&words.cluster, &topology, Some("words"), from).await.unwrap();
        reset(&words.cluster, &resets).await.unwrap();
        eventually("what came since then is counted again", || async {
            words_of_epoch(&words, 2).await == 4
        })
        .await;
        assert_eq!(words_of_epoch(&words, 1).await, 10, "what was stored stays");
        stop.cancel();
        engine.join().await;
        words.remove().await;
    }
}

/// Looks at a log, a tenth of a second apart, in which retention has had two turns.
const RETENTION_LOOKS: u32 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_retention_has_taken_is_refused_until_a_reset() {
    let limits = Limits { retention_interval: Duration::from_millis(200), ..Limits::default() };
    let embedded = Embedded::start_with(|config| config.limits = limits).await;
    let words = embedded.words(1);
    let small = format!("{}: {{ partitions: 1, retention: {{ size: 2MiB }} }}", words.topic("lines"));
    let text = words.topology().replace(&format!("{}: {{ partitions: 1 }}", words.topic("lines")), &small);
    assert!(text.contains(&small), "{text}");
    let (engine, stop) = start(&words, &text).await;
    assert!(engine.wait_ready(support::PATIENCE).await);
    let lines = source(&words).await;
    lines.send(Some(b"key".to_vec()), b"one two".to_vec()).await.unwrap();
    eventually("the first epoch has counted", || async { final_words(&words).await == 2 }).await;
    stop.cancel();
    engine.join().await;

    let long = vec![b'x'; 100_000];
    for _ in 0..60 {
        lines.send(Some(b"key".to_vec()), long.clone()).await.unwrap();
    }
    // It comes in turns: one that found only a part of what was sent is followed by another.
    let seen = std::sync::Mutex::new((0, 0));
    eventually("retention has taken the beginning, and more turns have taken nothing", || async {
        let start = bounds(&words.cluster, &words.topic("lines"), 0).await.unwrap().start;
        let mut seen = seen.lock().unwrap();
        *seen = if seen.0 == start { (start, seen.1 + 1) } else { (start, 0) };
        start > 0 && seen.1 > RETENTION_LOOKS
    })
    .await;
    let (engine, stop) = start(&words, &text).await;
    let error = stopped(&engine).await;
    assert!(error.contains("offsets 0 to ") && error.contains("ovation topology reset"), "{error}");
    let start = bounds(&words.cluster, &words.topic("lines"), 0).await.unwrap().start;
    reset_all(&words, &text, ResetFrom::Beginning).await;
    eventually("the task goes on", || async { engine.ready() }).await;
    lines.send(Some(b"key".to_vec()), b"three four five".to_vec()).await.unwrap();
    let end = bounds(&words.cluster, &words.topic("lines"), 0).await.unwrap().end;
    eventually("what is left is counted", || async {
        // Ticks and the probe are source records as well: what counts is at most what is there.
        let counted = words_of_epoch(&words, 2).await;
        counted > 3 && counted <= u64::try_from(end - start).unwrap() + 2
    })
    .await;
    stop.cancel();
    engine.join().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_share_partitions_out() {
    for words in support::each("shares", 4).await {
        let topology = Topology::parse("words.yaml", &words.topology()).unwrap();
        apply(&words.cluster, &topology, &support::modules).await.unwrap();
        let some = |text: &str| EngineOptions { partitions: Some(text.parse().unwrap()) };
        let error = start_some(&words, &topology, &some("2-4")).map(drop).unwrap_err();
        assert!(matches!(error, EngineError::NoPartition { partition: 4, count: 4 }), "{error}");
        let (left, left_stop) = start_some(&words, &topology, &some("0-1")).unwrap();
        let (right, right_stop) = start_some(&words, &topology, &some("2,3")).unwrap();
        let lines = source(&words).await;
        for round in 0..60 {
            lines.send(Some(format!("key-{round}").into_bytes()), b"a word".to_vec()).await.unwrap();
        }
        eventually("all words are in final windows", || async { final_words(&words).await == 120 }).await;
        let partitions =
            |engine: &Engine| engine.status().iter().map(|task| task.partition).collect::<Vec<_>>();
        assert_eq!((partitions(&left), partitions(&right)), (vec![0, 1], vec![2, 3]));
        for (engine, stop) in [(left, left_stop), (right, right_stop)] {
            stop.cancel();
            engine.join().await;
        }
        words.remove().await;
    }
}
