//! docs/fluvio.md 1: a fetch that ends inside a batch loses the rest of the batch.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use ovation_client::{FollowOptions, From, follow, read_from, read_tail};

use crate::ground::{Ground, on_each, plain};
use crate::naive::{Line, PATIENCE, SILENCE, batch, consume, producer, reading};

const BATCHES: usize = 40;
const BATCH_RECORDS: usize = 100;
const ALL: usize = BATCHES * BATCH_RECORDS;
/// A few batches.
const MAX_BYTES: i32 = 50_000;

async fn filled(ground: &mut Ground) -> String {
    let lines = ground.create("lines", plain()).await;
    let producer = producer(&ground.words.cluster, &lines, PATIENCE).await;
    for _ in 0..BATCHES {
        producer.send_batch(batch(BATCH_RECORDS, &"word ".repeat(20))).await.unwrap();
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_the_stock_consumer_skips_records_without_an_error() {
    on_each(
        "gap",
        |config| config.quirks.cut_batches = true,
        async |ground| {
            let lines = filled(ground).await;
            let client = Line::default().connect(&ground.words.cluster).await;
            let mut stream = consume(&client, reading(&lines, 0).max_bytes(MAX_BYTES)).await;
            let mut offsets = BTreeSet::new();
            while let Ok(Some(record)) = tokio::time::timeout(SILENCE, stream.next()).await {
                offsets.insert(record.unwrap().offset());
            }
            println!("gap, real {}: {} of {ALL} records read", ground.is_real(), offsets.len());
            assert!(!offsets.is_empty() && offsets.len() < ALL);
            let gaps = offsets.iter().zip(offsets.iter().skip(1)).filter(|(one, next)| *one + 1 != **next);
            assert!(gaps.count() > 0, "records in the middle are missing");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defence_a_follower_reads_all_of_it_in_order() {
    on_each(
        "gap-follower",
        |config| config.quirks.cut_batches = true,
        async |ground| {
            let lines = filled(ground).await;
            let cluster = &ground.words.cluster;
            let options = FollowOptions { max_bytes: MAX_BYTES, ..Default::default() };
            let following = follow(cluster.clone(), &lines, 0, From::Beginning, options);
            let read = following.take(ALL).map(|record| record.unwrap().offset).collect::<Vec<_>>();
            let whole: Vec<i64> = (0..ALL as i64).collect();
            assert_eq!(tokio::time::timeout(PATIENCE, read).await.unwrap(), whole);
            // Where results and checkpoints are read back.
            let offsets = |records: Vec<ovation_client::Record>| {
                records.iter().map(|record| record.offset).collect::<Vec<_>>()
            };
            assert_eq!(offsets(read_from(cluster, &lines, 0, 0, u32::MAX).await.unwrap()), whole);
            assert_eq!(offsets(read_tail(cluster, &lines, 0, 1_234).await.unwrap()), whole[ALL - 1_234..]);
        },
    )
    .await;
}
