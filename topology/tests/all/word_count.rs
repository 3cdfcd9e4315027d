//! The engine end to end, with a topology that counts words: on an embedded broker, and on a real cluster as well when
//! `OVATION_TEST_CLUSTER` names one.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::{self, Words, eventually, modules, results, source, start};
use ovation_client::{Producer, bounds};
use ovation_topology::{
    Action, ApplyError, Change, Kind, TaskState, Topology, apply, apply_growing, plan_changes,
};

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
        assert!(engine.wait_ready(support::PATIENCE).await, "{engine:?}");
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
        assert!(first.wait_ready(support::PATIENCE).await && second.wait_ready(support::PATIENCE).await);
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
        assert!(engine.wait_ready(support::PATIENCE).await);
        shutdown.cancel();
        engine.join().await;
        let (engine, shutdown) = start(&words, &text.replace("size: 1s", "size: 2s")).await;
        assert!(!engine.wait_ready(support::PATIENCE).await);
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

/// The checkpoint topic is the one that knows which settings an epoch belongs to.
#[tokio::test(flavor = "multi_thread")]
async fn results_whose_checkpoints_are_gone_stop_the_stage() {
    for words in support::each("forgotten", 1).await {
        let text = words.topology();
        let (engine, shutdown) = start(&words, &text).await;
        let producer = source(&words).await;
        producer.send(Some(b"a".to_vec()), b"one two".to_vec()).await.unwrap();
        eventually("a result", async || !results(&words, 0).await.is_empty()).await;
        shutdown.cancel();
        engine.join().await;
        let before = results(&words, 0).await.len();
        // In one edit: other windows, and another topic for checkpoints.
        let moved =
            text.replace("size: 1s", "size: 2s").replace(&words.topic("checkpoints"), &words.topic("other"));
        let (engine, shutdown) = start(&words, &moved).await;
        assert!(!engine.wait_ready(support::PATIENCE).await);
        let [status] = &engine.status()[..] else { panic!("one task") };
        assert_eq!(status.state, TaskState::Stopped);
        let error = status.error.as_deref().unwrap();
        assert!(
            error.contains("knows nothing of that epoch") && error.contains("ovation topology reset"),
            "{error}"
        );
        shutdown.cancel();
        engine.join().await;
        assert_eq!(results(&words, 0).await.len(), before);
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
        let count = |changes: &[Change], kind, action| {
            changes.iter().filter(|change| (change.kind, change.action) == (kind, action)).count()
        };
        let (one, other) = (one.unwrap(), other.unwrap());
        let created = [&one, &other].map(|changes| count(changes, Kind::Topic, Action::Create));
        // A real cluster may tell both of them that they made a topic.
        assert!(created[0] + created[1] >= 4, "{created:?}");
        let again = apply(&words.cluster, &topology, &modules).await.unwrap();
        assert_eq!(count(&again, Kind::Topic, Action::Keep), 4);
        assert!(again.iter().all(|change| change.action == Action::Keep), "{again:?}");
        let fewer = Topology::parse("words.yaml", &text.replace("partitions: 2", "partitions: 1")).unwrap();
        let error = apply(&words.cluster, &fewer, &modules).await.unwrap_err();
        assert!(error.to_string().contains("it has 2 partitions, the topology says 1"), "{error}");
        let open = format!("{}: {{ partitions: 2 }}", words.topic("lines"));
        let fenced = format!("{}: {{ partitions: 2, fence: true }}", words.topic("lines"));
        assert!(text.contains(&open), "{text}");
        let fenced = Topology::parse("words.yaml", &text.replace(&open, &fenced)).unwrap();
        let error = apply(&words.cluster, &fenced, &modules).await.unwrap_err();
        assert!(error.to_string().contains("it has to be fenced and is there without one"), "{error}");
        assert!(matches!(error, ApplyError::Refused(changes) if changes.len() == 1));
        words.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_grow_where_somebody_asks_for_it_and_the_plan_says_so_first() {
    for words in support::each("grow", 2).await {
        let text = words.topology();
        let topology = Topology::parse("words.yaml", &text).unwrap();
        apply(&words.cluster, &topology, &modules).await.unwrap();
        let more = Topology::parse("words.yaml", &text.replace("partitions: 2", "partitions: 3")).unwrap();
        let error = apply(&words.cluster, &more, &modules).await.unwrap_err();
        assert!(error.to_string().contains("`ovation topology apply` adds them"), "{error}");
        let plan = plan_changes(&words.cluster, &more, &modules).await.unwrap();
        let planned: Vec<_> = plan.iter().filter(|change| change.action == Action::Change).collect();
        assert_eq!(planned.len(), 4, "{plan:?}");
        assert!(planned[0].detail.starts_with("1 partition more, 3 instead of 2"), "{planned:?}");
        let source = words.topic("lines");
        assert!(bounds(&words.cluster, &source, 2).await.is_err(), "a plan changes nothing");
        let done = apply_growing(&words.cluster, &more, &modules).await.unwrap();
        assert_eq!(done, plan);
        bounds(&words.cluster, &source, 2).await.unwrap();
        let again = apply(&words.cluster, &more, &modules).await.unwrap();
        assert!(again.iter().all(|change| change.action == Action::Keep), "{again:?}");
        words.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn table_formats_are_made_and_follow_the_topology() {
    for words in support::each("tables", 1).await {
        let name = words.topic("table");
        let with = |columns: &str| {
            let text =
                format!("{}\ntable-formats:\n  {name}: {{ columns: [{columns}] }}\n", words.topology());
            Topology::parse("words.yaml", &text).unwrap()
        };
        let action = async |topology: &Topology| {
            let changes = apply(&words.cluster, topology, &modules).await.unwrap();
            changes.into_iter().find(|change| change.kind == Kind::TableFormat).unwrap().action
        };
        let one = with("{ key: key, primary: true }");
        assert_eq!(action(&one).await, Action::Create);
        assert_eq!(action(&one).await, Action::Keep);
        let two = with("{ key: key, primary: true }, { key: words, header: Words }");
        assert_eq!(action(&two).await, Action::Change);
        assert_eq!(action(&two).await, Action::Keep);
        words.remove().await;
    }
}
