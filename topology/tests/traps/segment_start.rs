//! docs/fluvio.md 21: look-back reads one segment slice, which need not be the last one.

use crate::ground::{deduplicated, on_each, segmented};
use crate::naive::{PATIENCE, numbered, numbers, producer};
use crate::support::{eventually, final_words, results, source, start};

/// Holds one of the records that are written here.
const SEGMENT_BYTES: u32 = 1_200;

#[tokio::test(flavor = "multi_thread")]
async fn trap_a_fence_forgets_the_last_number_and_admits_it_again() {
    on_each(
        "segment",
        |config| config.quirks.look_back_one_segment = true,
        async |ground| {
            if !ground.may_end() {
                return;
            }
            let fence = ground.fence().await;
            let counts = ground.create("counts", segmented(deduplicated(fence, 1_000), SEGMENT_BYTES)).await;
            let cluster = ground.words.cluster.clone();
            let before = producer(&cluster, &counts, PATIENCE).await;
            for seq in 1..=4 {
                before.send_batch(vec![(None, numbered(seq, 700))]).await.unwrap();
            }
            assert!(before.send_batch(vec![(None, numbered(4, 700))]).await.is_err(), "it is known");
            ground.stop().await;
            ground.start_again().await;
            let after = producer(&cluster, &counts, PATIENCE).await;
            let mut admitted = Vec::new();
            for seq in 1..=4 {
                if after.send_batch(vec![(None, numbered(seq, 700))]).await.is_ok() {
                    admitted.push(seq);
                }
            }
            println!("segment start, real {}: admitted again {admitted:?}", ground.is_real());
            assert!(!admitted.is_empty());
            let stored = numbers(&cluster, &counts).await;
            assert_eq!(stored.len(), 4 + admitted.len(), "{stored:?}");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defence_the_engine_reminds_its_fence() {
    reminded("segment-engine", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defence_the_engine_reminds_a_fence_that_does_not_say_what_it_remembers() {
    reminded("segment-silent", true).await;
}

async fn reminded(test: &str, opaque: bool) {
    let quirks = |config: &mut ovation_broker::Config| {
        config.quirks.look_back_one_segment = true;
        config.quirks.opaque_refusal = opaque;
    };
    on_each(test, quirks, async |ground| {
        // A real cluster never says.
        if ground.is_real() && !opaque || !ground.may_end() {
            return;
        }
        let fence = ground.fence().await;
        ground.create("counts", segmented(deduplicated(fence, 2), SEGMENT_BYTES)).await;
        // One key and final results only: each is a batch, and a segment, of its own.
        let text = ground.words.topology().replace("emit: { every: 50ms }", "emit: close");
        let text = text.replace("size: 1s", "size: 500ms");
        let (engine, shutdown) = start(&ground.words, &text).await;
        assert!(engine.wait_ready(PATIENCE).await, "{engine:?}");
        let mut lines = source(&ground.words).await;
        let long = "x".repeat(700).into_bytes();
        for round in 1..=5 {
            if round == 4 {
                ground.stop().await;
                ground.start_again().await;
                // The producer from before may not have noticed yet, and would say so.
                lines = source(&ground.words).await;
            }
            lines.send(Some(b"key".to_vec()), long.clone()).await.unwrap();
            let words = &ground.words;
            eventually("the window is final", || async { final_words(words).await >= round }).await;
            assert_eq!(final_words(words).await, round);
        }
        assert_eq!(results(&ground.words, 0).await.len(), 5);
        shutdown.cancel();
        engine.join().await;
    })
    .await;
}
