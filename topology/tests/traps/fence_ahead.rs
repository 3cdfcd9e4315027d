//! docs/fluvio.md 19: deduplication remembers what is then not written.

use ovation_client::ProduceError;

use crate::ground::{deduplicated, on_each, segmented};
use crate::modules::only_larger;
use crate::naive::{PATIENCE, numbered, producer};
use crate::support::{eventually, final_words, results, source, start};

const SEGMENT_BYTES: u32 = 16 * 1024;
/// A record of this size is too large for a segment.
const TOO_LARGE: usize = 20_000;

#[tokio::test(flavor = "multi_thread")]
async fn trap_everything_is_acknowledged_and_nothing_is_stored() {
    on_each(
        "ahead",
        |config| config.quirks.fence_before_write = true,
        async |ground| {
            let module = ground.upload("larger", &only_larger()).await;
            let spec = segmented(deduplicated(&module, 1), SEGMENT_BYTES);
            let numbers = ground.create("numbers", spec).await;
            let producer = producer(&ground.words.cluster, &numbers, PATIENCE).await;
            let key = |number: u32| Some(number.to_le_bytes().to_vec());
            let refused = producer.send_batch(vec![(key(1), vec![b'.'; TOO_LARGE])]).await;
            assert!(refused.is_err(), "no segment holds it");
            producer.send_batch(vec![(key(1), b"smaller".to_vec())]).await.unwrap();
            let held = ovation_client::bounds(&ground.words.cluster, &numbers, 0).await.unwrap();
            println!("ahead, real {}: one record acknowledged, {} stored", ground.is_real(), held.end);
            assert_eq!(held.end, 0, "acknowledged, and not stored");
            producer.send_batch(vec![(key(2), b"the next one".to_vec())]).await.unwrap();
            let held = ovation_client::bounds(&ground.words.cluster, &numbers, 0).await.unwrap();
            assert_eq!(held.end, 1, "number two is there, and number one will never be");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defence_the_engine_reads_the_log_and_sets_the_fence_right() {
    let quirks = |config: &mut ovation_broker::Config| {
        config.quirks.fence_before_write = true;
        // As a real cluster says no.
        config.quirks.opaque_refusal = true;
    };
    on_each("ahead-engine", quirks, async |ground| {
        let fence = ground.fence().await;
        let spec = segmented(deduplicated(fence, 2), SEGMENT_BYTES);
        let counts = ground.create("counts", spec).await;
        let words = &ground.words;
        let (engine, shutdown) = start(words, &words.topology()).await;
        assert!(engine.wait_ready(PATIENCE).await);
        let lines = source(words).await;
        lines.send(Some(b"key".to_vec()), b"one".to_vec()).await.unwrap();
        eventually("the first window is final", || async { final_words(words).await == 1 }).await;
        let stored = results(words, 0).await.len() as u64;
        let rival = producer(&words.cluster, &counts, PATIENCE).await;
        let lost = rival.send_batch(vec![(None, numbered(stored + 1, TOO_LARGE))]).await;
        assert!(matches!(lost, Err(ProduceError::TooLarge { .. })), "{lost:?}");
        let known = rival.send_batch(vec![(None, numbered(stored + 1, 0))]).await;
        assert!(known.is_err(), "the fence takes it to be stored");
        lines.send(Some(b"key".to_vec()), b"two three".to_vec()).await.unwrap();
        eventually("the engine has set the fence right", || async { final_words(words).await >= 3 }).await;
        assert_eq!(final_words(words).await, 3);
        assert_eq!(engine.status()[0].restarts, 0, "without starting again");
        shutdown.cancel();
        engine.join().await;
    })
    .await;
}
