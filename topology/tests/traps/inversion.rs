//! docs/fluvio.md 20: judging a record and appending it are two steps. Numbers get into the log in another order than they
//! were let in, and one can be missing for good.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::ground::{deduplicated, on_each, segmented};
use crate::naive::{PATIENCE, numbered, numbers, producer};
use crate::support::{eventually, final_words, source, start};

/// Producers that send the next number as soon as the fence takes it.
const PRODUCERS: u64 = 6;
/// How long an inversion is waited for on a real cluster, where it takes luck.
const TRIAL: Duration = Duration::from_secs(15);

/// Sends numbers from several producers at once until the time is over or `enough` numbers are sent; the numbers in the log.
async fn race(cluster: &ovation_client::Cluster, topic: &str, trial: Duration, enough: u64) -> Vec<u64> {
    let let_in = Arc::new(AtomicU64::new(0));
    let until = Instant::now() + trial;
    let mut racing = Vec::new();
    for lane in 1..=PRODUCERS {
        let (producer, let_in) = (producer(cluster, topic, PATIENCE).await, let_in.clone());
        racing.push(tokio::spawn(async move {
            let mut seq = lane;
            while Instant::now() < until && let_in.load(Ordering::Relaxed) < enough {
                if producer.send_batch(vec![(None, numbered(seq, 0))]).await.is_ok() {
                    let_in.fetch_add(1, Ordering::Relaxed);
                    seq += PRODUCERS;
                }
            }
        }));
    }
    for one in racing {
        one.await.unwrap();
    }
    numbers(cluster, topic).await
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_numbers_overtake_each_other() {
    on_each(
        "inversion",
        |config| config.quirks.fence_apart = true,
        async |ground| {
            let fence = ground.fence().await;
            let counts = ground.create("counts", deduplicated(fence, 2)).await;
            let enough = if ground.is_real() { u64::MAX } else { 300 };
            let stored = race(&ground.words.cluster, &counts, TRIAL, enough).await;
            let inverted = stored.iter().zip(stored.iter().skip(1)).filter(|(one, next)| one > next).count();
            println!("inversion, real {}: {inverted} among {}", ground.is_real(), stored.len());
            if ground.is_real() && inverted == 0 {
                return println!("inversion: not seen on the real cluster this time");
            }
            assert!(inverted > 0);
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_a_number_that_was_let_in_is_missing() {
    on_each(
        "hole",
        |config| config.quirks.fence_before_write = true,
        async |ground| {
            let fence = ground.fence().await;
            let counts = ground.create("counts", segmented(deduplicated(fence, 2), 16 * 1024)).await;
            let one = producer(&ground.words.cluster, &counts, PATIENCE).await;
            one.send_batch(vec![(None, numbered(1, 0))]).await.unwrap();
            // Let in, and not written: as when the broker ends between the two steps.
            assert!(one.send_batch(vec![(None, numbered(2, 20_000))]).await.is_err());
            let other = producer(&ground.words.cluster, &counts, PATIENCE).await;
            other.send_batch(vec![(None, numbered(3, 0))]).await.unwrap();
            assert_eq!(numbers(&ground.words.cluster, &counts).await, [1, 3]);
            assert!(one.send_batch(vec![(None, numbered(2, 0))]).await.is_err(), "and it cannot be mended");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defence_two_engines_store_each_number_once_in_order() {
    let quirks = |config: &mut ovation_broker::Config| {
        config.quirks.fence_apart = true;
        config.quirks.fence_before_write = true;
        config.quirks.opaque_refusal = true;
    };
    on_each("inversion-engines", quirks, async |ground| {
        let words = &ground.words;
        let text = words.topology();
        let (first, first_shutdown) = start(words, &text).await;
        let (second, second_shutdown) = start(words, &text).await;
        assert!(first.wait_ready(PATIENCE).await && second.wait_ready(PATIENCE).await);
        let lines = source(words).await;
        for round in 0..150 {
            let key = format!("key-{}", round % 7).into_bytes();
            lines.send(Some(key), b"tick tock".to_vec()).await.unwrap();
        }
        // Reading the results checks that each number is there once, in order.
        eventually("all words are in final windows", || async { final_words(words).await >= 300 }).await;
        assert_eq!(final_words(words).await, 300);
        for (engine, shutdown) in [(first, first_shutdown), (second, second_shutdown)] {
            shutdown.cancel();
            engine.join().await;
        }
    })
    .await;
}
