//! docs/fluvio.md 3: the stock consumer connects again by itself, to a new chain without the old one's state.

use std::collections::BTreeMap;

use fluvio::consumer::RetryMode;
use futures_util::StreamExt;
use ovation_client::{ChainModule, ChainStream, Error};

use crate::ground::{on_each, plain};
use crate::modules::{ad_hoc, running_total, total};
use crate::naive::{Line, PATIENCE, batch, consume, producer, reading};
use crate::support::{eventually, final_words, source, start};

#[tokio::test(flavor = "multi_thread")]
async fn trap_the_stock_consumer_goes_on_with_a_module_that_has_forgotten() {
    on_each(
        "lost",
        |_| (),
        async |ground| {
            let lines = ground.create("lines", plain()).await;
            let line = Line::default();
            let client = line.connect(&ground.words.cluster).await;
            let config = &mut reading(&lines, 0);
            config.retry_mode(RetryMode::TryForever).smartmodule(vec![ad_hoc(&running_total(0))]);
            let mut stream = consume(&client, config).await;
            let producer = producer(&ground.words.cluster, &lines, PATIENCE).await;
            let mut totals = Vec::new();
            for round in 0..6 {
                if round == 3 {
                    line.cut();
                }
                producer.send_batch(batch(1, "word")).await.unwrap();
                let next = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap().unwrap();
                totals.push(total(next.expect("there is no error").value()));
            }
            println!("lost state, real {}: totals {totals:?}", ground.is_real());
            assert_eq!(totals, [1, 2, 3, 1, 2, 3]);
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defence_a_stage_stream_ends_and_says_so() {
    on_each(
        "lost-stream",
        |_| (),
        async |ground| {
            if !ground.may_end() {
                return;
            }
            let lines = ground.create("lines", plain()).await;
            let name = ground.upload("total", &running_total(0)).await;
            let modules = [ChainModule { name, params: BTreeMap::new() }];
            let cluster = ground.words.cluster.clone();
            let mut stream = ChainStream::open(&cluster, &lines, 0, 0, &modules).await.unwrap();
            producer(&cluster, &lines, PATIENCE).await.send_batch(batch(3, "word")).await.unwrap();
            let first = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap().unwrap();
            assert_eq!(total(&first[0].value), 3);
            ground.stop().await;
            let ended = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap();
            ground.start_again().await;
            assert!(matches!(ended, Err(Error::Interrupted { .. })), "{ended:?}");
            let after = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap();
            assert!(matches!(after, Err(Error::Interrupted { .. })), "it stays ended: {after:?}");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defence_the_engine_starts_again_from_its_checkpoint() {
    on_each(
        "lost-engine",
        |_| (),
        async |ground| {
            if !ground.may_end() {
                return;
            }
            // Windows that are open when the broker goes away.
            let text = ground.words.topology().replace("size: 1s", "size: 4s");
            let (engine, shutdown) = start(&ground.words, &text).await;
            assert!(engine.wait_ready(PATIENCE).await);
            let lines = source(&ground.words).await;
            // One checkpoint, and some more.
            for _ in 0..21 {
                lines.send_batch(batch(5_000, "one two")).await.unwrap();
            }
            eventually("a checkpoint is stored", || async {
                engine.status()[0].checkpoint.is_some_and(|at| at >= 100_000)
            })
            .await;
            ground.stop().await;
            ground.start_again().await;
            // A producer from before may not have noticed yet, and would say so.
            let lines = source(&ground.words).await;
            lines.send_batch(batch(1_000, "one two")).await.unwrap();
            let words = &ground.words;
            eventually("all words are in final windows", || async { final_words(words).await >= 212_000 })
                .await;
            assert_eq!(final_words(words).await, 212_000);
            assert!(engine.status()[0].restarts > 0);
            shutdown.cancel();
            engine.join().await;
        },
    )
    .await;
}
