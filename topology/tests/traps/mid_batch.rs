//! docs/fluvio.md 8: a stream that starts inside a batch feeds its chain the batch from the head.

use std::collections::BTreeMap;

use ovation_client::{ChainModule, ChainStream};

use crate::ground::{on_each, plain};
use crate::modules::{running_total, total};
use crate::naive::{PATIENCE, batch, producer};
use crate::support::{eventually, final_words, source, start};

#[tokio::test(flavor = "multi_thread")]
async fn trap_a_plain_module_counts_what_is_before_its_start() {
    on_each(
        "head",
        |config| config.quirks.chain_from_batch_head = true,
        async |ground| {
            let lines = ground.create("lines", plain()).await;
            let name = ground.upload("total", &running_total(0)).await;
            let cluster = &ground.words.cluster;
            producer(cluster, &lines, PATIENCE).await.send_batch(batch(10, "word")).await.unwrap();
            let modules = [ChainModule { name, params: BTreeMap::new() }];
            let mut stream = ChainStream::open(cluster, &lines, 0, 6, &modules).await.unwrap();
            let first = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap().unwrap();
            println!("batch head, real {}: 4 records, counted {}", ground.is_real(), total(&first[0].value));
            assert_eq!(total(&first[0].value), 10, "of four records");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defence_the_engine_goes_on_inside_a_batch() {
    on_each(
        "head-engine",
        |config| config.quirks.chain_from_batch_head = true,
        async |ground| {
            const BATCH: usize = 12_000;
            // The windows are open at the checkpoint.
            let words = &ground.words;
            let text = words.topology().replace("size: 1s", "size: 3s");
            let (engine, shutdown) = start(words, &text).await;
            assert!(engine.wait_ready(PATIENCE).await);
            let lines = source(words).await;
            for _ in 0..9 {
                lines.send_batch(batch(BATCH, "one two")).await.unwrap();
            }
            eventually("a checkpoint is stored", || async {
                engine.status()[0].checkpoint.is_some_and(|at| at > 0)
            })
            .await;
            shutdown.cancel();
            engine.join().await;
            // A tick or two stand between the batches, which are far longer.
            let checkpoint = engine.status()[0].checkpoint.unwrap();
            assert!((100..BATCH as i64 - 100).contains(&(checkpoint % BATCH as i64)), "{checkpoint}");

            let (engine, shutdown) = start(words, &text).await;
            assert!(engine.wait_ready(PATIENCE).await);
            eventually("all words are in final windows", || async { final_words(words).await >= 216_000 })
                .await;
            assert_eq!(final_words(words).await, 216_000);
            shutdown.cancel();
            engine.join().await;
        },
    )
    .await;
}
