//! Records in and out, through Fluvio's own client.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::time::Duration;

use crate::common::*;
use fluvio::{Compression, Offset, RecordKey, TopicProducerConfigBuilder};
use futures_util::StreamExt;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_produced_is_consumed_in_order() {
    let fixture = start().await;
    let client = fixture.client().await;
    create_topic(&client, "events", 1).await;
    assert_eq!(send_each(&client, "events", numbered(0..20)).await, (0..20).collect::<Vec<i64>>());
    let mut stream = open(&client, reading("events", 0, Offset::beginning()).build().unwrap()).await;
    let records = take(&mut stream, 20).await;
    assert_eq!(texts(&records), numbered(0..20).collect::<Vec<_>>());
    assert_eq!(records.iter().map(|record| record.offset()).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());

    let mut middle =
        open(&client, reading("events", 0, Offset::absolute(15).unwrap()).build().unwrap()).await;
    assert_eq!(texts(&take(&mut middle, 5).await), numbered(15..20).collect::<Vec<_>>());
    let mut last = open(&client, reading("events", 0, Offset::from_end(2)).build().unwrap()).await;
    assert_eq!(texts(&take(&mut last, 2).await), numbered(18..20).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_at_the_end_gets_what_comes_later() {
    let fixture = start().await;
    let client = fixture.client().await;
    create_topic(&client, "events", 1).await;
    send_each(&client, "events", numbered(0..3)).await;
    let mut stream = open(&client, reading("events", 0, Offset::end()).build().unwrap()).await;
    let producer = fixture.client().await;
    for number in 3..10 {
        send_each(&producer, "events", numbered(number..number + 1)).await;
        assert_eq!(texts(&take(&mut stream, 1).await), numbered(number..number + 1).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_compression_and_large_records_come_back() {
    let fixture = start().await;
    let client = fixture.client().await;
    create_topic(&client, "events", 1).await;
    let kinds =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    let mut expected = Vec::new();
    for kind in kinds {
        let config = TopicProducerConfigBuilder::default()
            .compression(kind)
            .max_request_size(4_000_000)
            .batch_size(1_000_000)
            .build()
            .unwrap();
        let producer = client.topic_producer_with_config("events", config).await.unwrap();
        for size in [0, 1, 1000, 900_000] {
            let value = format!("{kind}").repeat(size / 4 + 1);
            expected.push(value.clone());
            producer.send(format!("key-{size}"), value).await.unwrap();
        }
        producer.flush().await.unwrap();
    }
    let mut stream = open(&client, reading("events", 0, Offset::beginning()).build().unwrap()).await;
    let records = take(&mut stream, expected.len()).await;
    assert!(texts(&records) == expected);
    assert_eq!(records[7].key(), Some(&b"key-900000"[..]));
    assert!(records.iter().all(|record| record.timestamp() > 1_600_000_000_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_keep_their_own_order_and_two_clients_share_them() {
    let fixture = start().await;
    let (one, two) = (fixture.client().await, fixture.client().await);
    create_topic(&one, "events", 4).await;
    let produce = async |client: &fluvio::Fluvio, name: &str| {
        let producer = client.topic_producer("events").await.unwrap();
        for number in 0..500 {
            producer
                .send(RecordKey::from(format!("room-{}", number % 7)), format!("{name} {number}"))
                .await
                .unwrap();
        }
        producer.flush().await.unwrap();
    };
    // The second client's view of the topics follows the first one's change.
    let ready = fixture.client().await;
    tokio::join!(produce(&one, "one"), produce(&ready, "two"));
    let mut config = fluvio::consumer::ConsumerConfigExtBuilder::default();
    config.topic("events").offset_start(Offset::beginning());
    let mut all = open(&two, config.build().unwrap()).await;
    let records = take(&mut all, 1000).await;
    for partition in 0..4 {
        for name in ["one", "two"] {
            let numbers: Vec<usize> = records
                .iter()
                .filter(|record| record.partition == partition && text(record).starts_with(name))
                .map(|record| text(record)[4..].parse().unwrap())
                .collect();
            assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
        }
        let offsets: Vec<i64> = records
            .iter()
            .filter(|record| record.partition == partition)
            .map(|record| record.offset())
            .collect();
        assert_eq!(offsets, (0..offsets.len() as i64).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_larger_than_the_fetch_size_lose_nothing() {
    let fixture = start().await;
    let client = fixture.client().await;
    create_topic(&client, "events", 1).await;
    let config = TopicProducerConfigBuilder::default().batch_size(64_000).build().unwrap();
    let producer = client.topic_producer_with_config("events", config).await.unwrap();
    for value in numbered(0..20_000) {
        producer.send(RecordKey::NULL, value).await.unwrap();
    }
    producer.flush().await.unwrap();
    for max_bytes in [100, 70_000, 1_000_000] {
        let config = reading("events", 0, Offset::beginning()).max_bytes(max_bytes).build().unwrap();
        let mut stream = open(&client, config).await;
        assert!(
            texts(&take(&mut stream, 20_000).await) == numbered(0..20_000).collect::<Vec<_>>(),
            "{max_bytes}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_quirk_a_cut_batch_loses_records() {
    let fixture = start_with(|config| config.quirks.cut_batches = true).await;
    let client = fixture.client().await;
    create_topic(&client, "events", 1).await;
    let config = TopicProducerConfigBuilder::default().batch_size(64_000).build().unwrap();
    let producer = client.topic_producer_with_config("events", config).await.unwrap();
    for value in numbered(0..20_000) {
        producer.send(RecordKey::NULL, value).await.unwrap();
    }
    producer.flush().await.unwrap();
    let config = reading("events", 0, Offset::beginning())
        .max_bytes(100_000)
        .disable_continuous(true)
        .build()
        .unwrap();
    let stream = open(&client, config).await;
    let read = tokio::time::timeout(PATIENCE, stream.count()).await.unwrap();
    assert!(read > 1000 && read < 20_000, "{read}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_outside_the_log_is_refused() {
    let fixture = start().await;
    let client = fixture.client().await;
    create_topic(&client, "events", 1).await;
    send_each(&client, "events", numbered(0..3)).await;
    let mut stream = open(&client, reading("events", 0, Offset::absolute(4).unwrap()).build().unwrap()).await;
    let error = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap();
    assert!(error.is_none_or(|result| result.is_err()));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_quirk_a_connection_hangs_and_the_next_one_works() {
    let fixture = start_with(|config| config.quirks.hang_after_produces = Some(2)).await;
    let client = fixture.client().await;
    create_topic(&client, "events", 1).await;
    send_each(&client, "events", numbered(0..2)).await;
    let unanswered =
        tokio::time::timeout(Duration::from_millis(500), send_each(&client, "events", numbered(2..3)));
    assert!(unanswered.await.is_err(), "stored, and not acknowledged");
    let other = fixture.client().await;
    send_each(&other, "events", numbered(3..4)).await;
    assert_eq!(texts(&all(&fixture.client().await, "events").await), numbered(0..4).collect::<Vec<_>>());
}
