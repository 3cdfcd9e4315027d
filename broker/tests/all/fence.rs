//! Topic deduplication: one step with the append, and never ahead of the log.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use crate::common::modules::*;
use crate::common::*;
use fluvio::Fluvio;
use ovation_broker::{Config, FAIL_WRITE_KEY};

/// A result as the fence reads it.
fn result(seq: u64) -> String {
    format!(r#"{{"stage":"s","epoch":1,"seq":{seq},"source":{{"partition":0}}}}"#)
}

async fn fenced(change: impl FnOnce(&mut Config)) -> (Fixture, Fluvio) {
    let fixture = start_with(change).await;
    let client = fixture.client().await;
    upload(&client, "ovation-fence", ovation_wasm::FENCE).await;
    create(&client, "results", deduplicated("ovation-fence", 2)).await;
    (fixture, client)
}

async fn send_keyed(client: &Fluvio, key: &[u8], value: String) -> anyhow::Result<()> {
    let producer = client.topic_producer("results").await?;
    let output = producer.send(key.to_vec(), value).await?;
    producer.flush().await?;
    output.wait().await?;
    Ok(())
}

async fn seqs(client: &Fluvio) -> Vec<String> {
    texts(&all(client, "results").await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_why_and_stores_nothing() {
    let (mut fixture, client) = fenced(|_| ()).await;
    send_batch(&client, "results", (1..=3).map(result)).await.unwrap();
    let refused = send_batch(&client, "results", (3..=5).map(result)).await.unwrap_err().to_string();
    assert!(refused.contains("fence: expected epoch 1 seq 4, got epoch 1 seq 3"), "{refused}");
    send_batch(&client, "results", (4..=6).map(result)).await.unwrap();
    // After a restart the fence's memory comes from the log.
    fixture.restart().await;
    let client = fixture.client().await;
    assert!(send_batch(&client, "results", (6..=7).map(result)).await.is_err());
    send_batch(&client, "results", (7..=7).map(result)).await.unwrap();
    assert_eq!(seqs(&client).await, (1..=7).map(result).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_quirk_a_refusal_says_nothing() {
    let (_fixture, client) = fenced(|config| config.quirks.opaque_refusal = true).await;
    let refused = send_batch(&client, "results", (3..=5).map(result)).await.unwrap_err().to_string();
    assert!(!refused.contains("fence"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_written_is_not_remembered() {
    for ahead in [false, true] {
        let (_fixture, client) = fenced(|config| {
            config.quirks.fail_marked_writes = true;
            config.quirks.fence_before_write = ahead;
        })
        .await;
        send_keyed(&client, b"room", result(1)).await.unwrap();
        assert!(send_keyed(&client, FAIL_WRITE_KEY, result(2)).await.is_err());
        let again = send_keyed(&client, b"room", result(2)).await;
        if ahead {
            assert!(again.is_err(), "the fence remembers what the log does not hold");
        } else {
            again.unwrap();
            assert_eq!(seqs(&client).await, [result(1), result(2)]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_too_large_for_a_segment_is_refused_before_the_fence_sees_it() {
    let fixture = start().await;
    let client = fixture.client().await;
    upload(&client, "ovation-fence", ovation_wasm::FENCE).await;
    let mut spec = deduplicated("ovation-fence", 2);
    spec.set_storage(segmented(2048).get_storage().unwrap().clone());
    create(&client, "results", spec).await;
    let refused = send_batch(&client, "results", (1..=200).map(result)).await.unwrap_err().to_string();
    assert!(refused.contains("too large"), "{refused}");
    send_batch(&client, "results", (1..=10).map(result)).await.unwrap();
    assert_eq!(seqs(&client).await.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_producers_one_wins_each_number() {
    for apart in [false, true] {
        let (fixture, client) = fenced(|config| config.quirks.fence_apart = apart).await;
        let mut tasks = Vec::new();
        for _ in 0..4 {
            let client = fixture.client().await;
            tasks.push(tokio::spawn(async move {
                let mut won = 0;
                for seq in 1..=40 {
                    won += u64::from(send_keyed(&client, b"room", result(seq)).await.is_ok());
                }
                won
            }));
        }
        let mut won = 0;
        for task in tasks {
            won += task.await.unwrap();
        }
        let stored = seqs(&client).await;
        assert_eq!(won as usize, stored.len());
        if !apart {
            assert_eq!(stored, (1..=stored.len() as u64).map(result).collect::<Vec<_>>());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_quirk_fence_and_append_come_apart() {
    let (fixture, client) = fenced(|config| config.quirks.fence_apart = true).await;
    // Each producer sends its own number as soon as the fence may expect it: two are in the gap at a time.
    for _ in 0..50 {
        let first = seqs(&client).await.len() as u64 + 1;
        let (one, two) = (fixture.client().await, fixture.client().await);
        let later = async { while send_keyed(&two, b"room", result(first + 1)).await.is_err() {} };
        let (sent, ()) = tokio::join!(send_keyed(&one, b"room", result(first)), later);
        sent.unwrap();
        let stored = seqs(&client).await;
        if stored != (1..=stored.len() as u64).map(result).collect::<Vec<_>>() {
            return;
        }
    }
    panic!("never out of order");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_records_leave_no_holes() {
    for holes in [false, true] {
        let fixture = start_with(|config| config.quirks.dedup_holes = holes).await;
        let client = fixture.client().await;
        upload(&client, "behead", &behead()).await;
        create(&client, "results", deduplicated("behead", 1)).await;
        for _ in 0..3 {
            send_batch(&client, "results", numbered(0..4)).await.unwrap();
        }
        let records = all(&client, "results").await;
        assert_eq!(records.len(), 9);
        let offsets: Vec<i64> = records.iter().map(|record| record.offset()).collect();
        let expected: Vec<i64> = if holes { vec![0, 1, 2, 4, 5, 6, 8, 9, 10] } else { (0..9).collect() };
        assert_eq!(offsets, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deduplication_needs_its_module() {
    let fixture = start().await;
    let client = fixture.client().await;
    let refused = client.admin().await.create("results".to_owned(), false, deduplicated("nobody", 1)).await;
    assert!(refused.unwrap_err().to_string().contains("nobody"));
}
