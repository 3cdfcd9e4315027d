//! The engine end to end, with a topology that counts words: on an embedded broker, and on a real cluster as well when
//! `OVATION_TEST_CLUSTER` names one.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[allow(dead_code, reason = "each test file needs a part of it")]
mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use ovation_client::{Producer, bounds};
use ovation_topology::{ApplyError, TaskState, Topology, apply};
use support::{Words, eventually, modules, results, source, start};

/// Words in final windows, per key.
async fn totals(words: &Words) -> BTreeMap<(String, String), u64> {
    let mut totals = BTreeMap::new();
    for partition in 0..words.partitions {
        for value in results(words, partition).await.iter().filter(|value| value["final"] == true) {
            let key = value["key"].as_str().unwrap();
            for (word, count) in value["words"].as_object().unwrap() {
                *totals.entry((key.to_owned(), word.clone())).or_default() += count.as_u64().unwrap();
            }
        }
    }
    totals
}

async fn say(producer: &Producer, key: &str, text: &str) {
    producer.send(Some(key.as_bytes().to_vec()), text.as_bytes().to_vec()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_counted_once_across_restarts_and_the_engine_falls_silent() {
    for words in support::each("restart", 2).await {
        let text = words.topology();
        let (engine, shutdown) = start(&words, &text).await;
        assert!(engine.wait_ready(Duration::from_secs(30)).await, "{engine:?}");
        let producer = source(&words).await;
        for round in 0..50 {
            say(&producer, &format!("key-{}", round % 5), "one two two").await;
        }
        shutdown.cancel();
        engine.join().await;
        assert!(engine.status().iter().all(|status| status.state == TaskState::Finished));
        // Written while no engine runs.
        for round in 0..50 {
            say(&producer, &format!("key-{}", round % 5), "two three").await;
        }
        let (engine, shutdown) = start(&words, &text).await;
        eventually("all words are in final windows", || async {
            let totals = totals(&words).await;
            let count =
                |word: &str| totals.iter().filter(|((_, w), _)| w == word).map(|(_, n)| n).sum::<u64>();
            (count("one"), count("two"), count("three")) == (50, 150, 50)
        })
        .await;
        eventually("nothing is open any more", || async {
            engine.status().iter().all(|status| status.open == 0 && !status.dirty)
        })
        .await;
        // An idle system appends nothing.
        let mut ends = Vec::new();
        for _ in 0..2 {
            let mut end = 0;
            for partition in 0..words.partitions {
                end += bounds(&words.cluster, &words.topic("lines"), partition).await.unwrap().end;
            }
            ends.push(end);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        assert_eq!(ends[0], ends[1]);
        assert!(engine.ready(), "{engine:?}");
        shutdown.cancel();
        engine.join().await;
        words.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_engines_store_each_number_once() {
    for words in support::each("rivals", 1).await {
        let text = words.topology();
        let (first, first_shutdown) = start(&words, &text).await;
        let (second, second_shutdown) = start(&words, &text).await;
        assert!(
            first.wait_ready(Duration::from_secs(30)).await
                && second.wait_ready(Duration::from_secs(30)).await
        );
        let producer = source(&words).await;
        for round in 0..200 {
            say(&producer, &format!("key-{}", round % 7), "tick tock").await;
            if round == 100 {
                first_shutdown.cancel();
                first.join().await;
            }
        }
        eventually("all words are in final windows", || async {
            totals(&words).await.values().sum::<u64>() == 400
        })
        .await;
        second_shutdown.cancel();
        second.join().await;
        words.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_settings_stop_the_stage_and_say_the_way_out() {
    for words in support::each("settings", 1).await {
        let text = words.topology();
        let (engine, shutdown) = start(&words, &text).await;
        assert!(engine.wait_ready(Duration::from_secs(30)).await);
        shutdown.cancel();
        engine.join().await;
        let (engine, shutdown) = start(&words, &text.replace("size: 1s", "size: 2s")).await;
        assert!(!engine.wait_ready(Duration::from_secs(30)).await);
        let [status] = &engine.status()[..] else { panic!("one task") };
        assert_eq!(status.state, TaskState::Stopped);
        let error = status.error.as_deref().unwrap();
        assert!(
            error.contains("another configuration") && error.contains("ovation topology reset"),
            "{error}"
        );
        shutdown.cancel();
        engine.join().await;
        words.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn applying_twice_changes_nothing_and_a_misfit_is_refused() {
    for words in support::each("apply", 2).await {
        let text = words.topology();
        let topology = Topology::parse("words.yaml", &text).unwrap();
        // Two processes at once.
        let (one, other) = tokio::join!(
            apply(&words.cluster, &topology, &modules),
            apply(&words.cluster, &topology, &modules)
        );
        let created = one.unwrap().topics_created.len() + other.unwrap().topics_created.len();
        // A real cluster may tell both of them that they made a topic.
        assert!(created >= 4, "{created}");
        let again = apply(&words.cluster, &topology, &modules).await.unwrap();
        assert_eq!((again.topics_created.len(), again.topics_kept.len()), (0, 4));
        assert_eq!(again.modules_created.len(), 0);
        let more = Topology::parse("words.yaml", &text.replace("partitions: 2", "partitions: 3")).unwrap();
        let error = apply(&words.cluster, &more, &modules).await.unwrap_err();
        assert!(matches!(error, ApplyError::Partitions { has: 2, wants: 3, .. }), "{error}");
        let open = format!("{}: {{ partitions: 2 }}", words.topic("lines"));
        let fenced = format!("{}: {{ partitions: 2, fence: true }}", words.topic("lines"));
        assert!(text.contains(&open), "{text}");
        let fenced = Topology::parse("words.yaml", &text.replace(&open, &fenced)).unwrap();
        let error = apply(&words.cluster, &fenced, &modules).await.unwrap_err();
        assert!(matches!(error, ApplyError::NotFenced { .. }), "{error}");
        words.remove().await;
    }
}
