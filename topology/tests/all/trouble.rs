//! What breaks while an engine runs, and that nothing is lost or counted twice for it.

use crate::support::{self, Embedded, eventually, final_words, modules, results, source, start};
use ovation_broker::{FAIL_WRITE_KEY, Quirks};
use ovation_client::{ProduceError, Producer, ProducerOptions};
use ovation_topology::{TaskState, Topology, apply};

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_comes_back_finds_everything_going_on() {
    let mut embedded = Embedded::start(Quirks::default()).await;
    let words = embedded.words(1);
    let (engine, shutdown) = start(&words, &words.topology()).await;
    assert!(engine.wait_ready(support::PATIENCE).await);
    let producer = source(&words).await;
    let mut acknowledged = 0;
    for round in 0..300 {
        if round == 100 {
            embedded.stop().await;
        }
        if round == 200 {
            embedded.start_again().await;
            producer.ready(support::PATIENCE).await.unwrap();
        }
        match producer.send(Some(b"key".to_vec()), b"word".to_vec()).await {
            Ok(_) => acknowledged += 1,
            Err(error) => assert!(matches!(error, ProduceError::Unavailable { .. }), "{error}"),
        }
    }
    assert_eq!(acknowledged, 200, "refused at once while the broker is away, stored before and after");
    eventually("all acknowledged words are in final windows", || async {
        final_words(&words).await == acknowledged
    })
    .await;
    assert!(engine.status()[0].restarts > 0);
    eventually("the engine is ready again", || async { engine.ready() }).await;
    shutdown.cancel();
    engine.join().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_ahead_of_its_log_is_set_right() {
    fence_ahead(Quirks { fence_before_write: true, fail_marked_writes: true, ..Quirks::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_ahead_of_its_log_is_found_where_refusals_say_nothing() {
    let quirks = Quirks {
        fence_before_write: true,
        fail_marked_writes: true,
        opaque_refusal: true,
        ..Quirks::default()
    };
    fence_ahead(quirks).await;
}

/// docs/fluvio.md 19: the fence remembers a batch whose write then fails.
async fn fence_ahead(quirks: Quirks) {
    let embedded = Embedded::start(quirks).await;
    let words = embedded.words(1);
    let (engine, shutdown) = start(&words, &words.topology()).await;
    assert!(engine.wait_ready(support::PATIENCE).await);
    let lines = source(&words).await;
    lines.send(Some(b"key".to_vec()), b"one".to_vec()).await.unwrap();
    eventually("the first window is final", || async { final_words(&words).await == 1 }).await;
    let stored = results(&words, 0).await.len();

    let options = ProducerOptions { partition: Some(0), ..Default::default() };
    let counts = Producer::open(words.cluster.clone(), &words.topic("counts"), options);
    counts.ready(support::PATIENCE).await.unwrap();
    let lost = serde_json::json!({"stage": "words", "epoch": 1, "seq": stored + 1}).to_string();
    let refused = counts.send_batch(vec![(Some(FAIL_WRITE_KEY.to_vec()), lost.into_bytes())]).await;
    assert!(refused.is_err(), "the write fails");

    lines.send(Some(b"key".to_vec()), b"two three".to_vec()).await.unwrap();
    eventually("the engine has set the fence right", || async { final_words(&words).await == 3 }).await;
    assert_eq!(engine.status()[0].restarts, 0, "without starting again");
    shutdown.cancel();
    engine.join().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_from_a_checkpoint() {
    let embedded = Embedded::start(Quirks::default()).await;
    let words = embedded.words(1);
    let (engine, shutdown) = start(&words, &words.topology()).await;
    assert!(engine.wait_ready(support::PATIENCE).await);
    let lines = source(&words).await;
    let batch: Vec<_> = (0..1_000).map(|_| (Some(b"key".to_vec()), b"a word".to_vec())).collect();
    for _ in 0..110 {
        lines.send_batch(batch.clone()).await.unwrap();
    }
    eventually("a checkpoint is stored", || async {
        engine.status()[0].checkpoint.is_some_and(|at| at >= 100_000)
    })
    .await;
    shutdown.cancel();
    engine.join().await;
    let checkpoint = engine.status()[0].checkpoint;

    let (engine, shutdown) = start(&words, &words.topology()).await;
    assert!(engine.wait_ready(support::PATIENCE).await);
    assert!(engine.status()[0].checkpoint >= checkpoint, "it begins with the checkpoint, not at 0");
    eventually("all words are in final windows", || async { final_words(&words).await == 220_000 }).await;
    shutdown.cancel();
    engine.join().await;
    assert_eq!(engine.status()[0].state, TaskState::Finished);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_is_ready_once_it_has_caught_up() {
    // The broker answers bit by bit, as a real one does that has several segments.
    let embedded = Embedded::start_with(|config| config.limits.chain_read_bytes = 64 * 1024).await;
    let words = embedded.words(1);
    apply(&words.cluster, &Topology::parse("words.yaml", &words.topology()).unwrap(), &modules)
        .await
        .unwrap();
    let lines = source(&words).await;
    let batch: Vec<_> = (0..1_000).map(|_| (Some(b"key".to_vec()), b"a word".to_vec())).collect();
    for _ in 0..100 {
        lines.send_batch(batch.clone()).await.unwrap();
    }
    let (engine, shutdown) = start(&words, &words.topology()).await;
    assert!(engine.wait_ready(support::PATIENCE).await);
    let status = engine.status().remove(0);
    assert!(status.offset >= 100_000, "{status:?}");
    shutdown.cancel();
    engine.join().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_run_twice_and_fed_from_a_batchs_head_counts_once() {
    // docs/fluvio.md 2 and 8.
    let quirks = Quirks {
        rerun_on_overflow: true,
        chain_from_batch_head: true,
        cut_batches: true,
        ..Quirks::default()
    };
    let embedded = Embedded::start(quirks).await;
    let words = embedded.words(1);
    let (engine, shutdown) = start(&words, &words.topology()).await;
    assert!(engine.wait_ready(support::PATIENCE).await);
    let lines = source(&words).await;
    let batch: Vec<_> =
        (0..700).map(|n| (Some(format!("key-{}", n % 9).into_bytes()), b"a b c".to_vec())).collect();
    for _ in 0..10 {
        lines.send_batch(batch.clone()).await.unwrap();
    }
    eventually("all words are in final windows", || async { final_words(&words).await == 21_000 }).await;
    shutdown.cancel();
    engine.join().await;
}
