//! The client against an embedded broker, and a real cluster as well when `OVATION_TEST_CLUSTER` names one.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use ovation_broker::{Broker, Config, Quirks};
use ovation_client::fluvio::metadata::topic::TopicSpec;
use ovation_client::{
    Admin, Cluster, Error, FollowOptions, From, MAX_RECORD_BYTES, ProduceError, Producer, ProducerOptions,
    Scan, bounds, follow, partition_of_key, read_from, read_tail,
};

/// A broker in this process, on free ports.
struct Embedded {
    broker: Broker,
    config: Config,
    _folder: tempfile::TempDir,
}

impl Embedded {
    async fn start(quirks: Quirks) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::new(folder.path());
        config.control = "127.0.0.1:0".parse().unwrap();
        config.spu = "127.0.0.1:0".parse().unwrap();
        config.quirks = quirks;
        let broker = Broker::start(config.clone()).await.unwrap();
        config.control = broker.control_addr();
        config.spu = broker.spu_addr();
        Self { broker, config, _folder: folder }
    }

    fn cluster(&self) -> Cluster {
        Cluster::new(self.config.control.to_string())
    }
}

async fn create(cluster: &Cluster, topic: &str, partitions: u32) {
    let admin = Admin::new(cluster);
    admin.create(topic, TopicSpec::new_computed(partitions, 1, None)).await.unwrap();
    let since = Instant::now();
    for partition in 0..partitions {
        while bounds(cluster, topic, partition).await.is_err() {
            assert!(since.elapsed() < Duration::from_secs(30), "partitions do not come up");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn open(cluster: &Cluster, topic: &str, options: ProducerOptions) -> Producer {
    let producer = Producer::open(cluster.clone(), topic, options);
    producer.ready(Duration::from_secs(20)).await.unwrap();
    producer
}

fn number(value: &[u8]) -> usize {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_is_where_the_answer_says() {
    let embedded = Embedded::start(Quirks::default()).await;
    let mut places = vec![(embedded.cluster(), "placed".to_owned())];
    if let Ok(endpoint) = std::env::var("OVATION_TEST_CLUSTER") {
        places.push((Cluster::new(endpoint), format!("placed-{}", std::process::id())));
    }
    for (cluster, topic) in places {
        create(&cluster, &topic, 3).await;
        assert_eq!(cluster.partitions(&topic).await.unwrap(), Some(3));
        assert_eq!(cluster.partitions("nothing-of-that-name").await.unwrap(), None);
        let producer = open(&cluster, &topic, ProducerOptions::default()).await;
        let sends = (0..2_000).map(|n| {
            let producer = producer.clone();
            async move {
                let key = format!("key-{}", n % 17).into_bytes();
                (n, producer.send(Some(key), n.to_string().into_bytes()).await.unwrap())
            }
        });
        let stored = futures_util::future::join_all(sends).await;
        for partition in 0..3 {
            let held = bounds(&cluster, &topic, partition).await.unwrap();
            let records = read_tail(&cluster, &topic, partition, 10_000).await.unwrap();
            assert_eq!(i64::try_from(records.len()).unwrap(), held.end);
            for (n, place) in stored.iter().filter(|(_, place)| place.partition == partition) {
                let record = &records[usize::try_from(place.offset).unwrap()];
                assert_eq!((number(&record.value), record.offset), (*n, place.offset));
                let key = record.key.as_deref().unwrap();
                assert_eq!(partition_of_key(key, 3), partition);
                assert!(record.timestamp > 1_700_000_000_000, "{}", record.timestamp);
            }
            let last = read_tail(&cluster, &topic, partition, 1).await.unwrap();
            assert_eq!(last, records[records.len() - 1..]);
            let rest = read_from(&cluster, &topic, partition, held.end - 5, 3).await.unwrap();
            assert_eq!(rest, records[records.len() - 3..]);
        }
        let client = cluster.connect().await.unwrap();
        client.admin().await.delete::<TopicSpec>(topic).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_behind_a_request_that_hangs_is_sent_over_the_next_connection() {
    const DEADLINE: Duration = Duration::from_secs(2);
    let embedded = Embedded::start(Quirks { hang_after_produces: Some(1), ..Quirks::default() }).await;
    let cluster = embedded.cluster();
    create(&cluster, "hangs", 1).await;
    let options = ProducerOptions { deadline: DEADLINE, ..ProducerOptions::default() };
    let producer = open(&cluster, "hangs", options).await;
    producer.send(None, b"0".to_vec()).await.unwrap();
    let behind = async {
        tokio::time::sleep(DEADLINE / 2).await;
        producer.send(None, b"2".to_vec()).await
    };
    let (hung, behind) = tokio::join!(producer.send(None, b"1".to_vec()), behind);
    assert!(matches!(hung, Err(ProduceError::Deadline { .. })), "{hung:?}");
    let place = behind.unwrap();
    let record = read_from(&cluster, "hangs", 0, place.offset, 1).await.unwrap();
    assert_eq!(number(&record[0].value), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_answered_may_send_as_much_again_at_once() {
    let embedded = Embedded::start(Quirks::default()).await;
    let cluster = embedded.cluster();
    create(&cluster, "full", 1).await;
    let options = ProducerOptions { in_flight: 10, ..ProducerOptions::default() };
    let producer = open(&cluster, "full", options).await;
    for _ in 0..500 {
        let all_there_is_room_for = (0..10).map(|n| (None, vec![n])).collect();
        producer.send_batch(all_there_is_room_for).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_sees_every_record_once_and_in_order_though_fetches_are_cut() {
    // docs/fluvio.md 1: a fetch ends in the middle of a batch, and the rest of the batch is skipped.
    let embedded = Embedded::start(Quirks { cut_batches: true, ..Quirks::default() }).await;
    let cluster = embedded.cluster();
    create(&cluster, "long", 1).await;
    let producer = open(&cluster, "long", ProducerOptions::default()).await;
    for batch in 0..20 {
        let records = (0..500).map(|n| (None, (batch * 500 + n).to_string().into_bytes())).collect();
        producer.send_batch(records).await.unwrap();
    }
    for contiguous in [true, false] {
        let options = FollowOptions { contiguous, max_bytes: 20_000 };
        let mut stream = follow(cluster.clone(), "long", 0, From::Offset(7), options);
        for expected in 7..10_000 {
            let record =
                tokio::time::timeout(Duration::from_secs(20), stream.next()).await.unwrap().unwrap().unwrap();
            assert_eq!((record.offset, number(&record.value)), (i64::try_from(expected).unwrap(), expected));
        }
    }
    let mut tail = follow(cluster.clone(), "long", 0, From::Tail(2), FollowOptions::default());
    assert_eq!(tail.next().await.unwrap().unwrap().offset, 9_998);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_reads_a_range_of_a_long_log_whole_though_fetches_are_cut() {
    let embedded = Embedded::start(Quirks { cut_batches: true, ..Quirks::default() }).await;
    let cluster = embedded.cluster();
    create(&cluster, "heavy", 1).await;
    let producer = open(&cluster, "heavy", ProducerOptions::default()).await;
    // More than one answer of the broker may hold.
    let value = |n: usize| format!("{n:0>16000}").into_bytes();
    for batch in 0..50 {
        producer.send_batch((0..50).map(|n| (None, value(batch * 50 + n))).collect()).await.unwrap();
    }
    for (from, to) in [(0, 2_500), (7, 2_491), (60, 61), (5, 5)] {
        let mut scan = Scan::new(&cluster, "heavy", 0, from..to, true);
        let mut next = from;
        while let Some(records) = scan.next().await.unwrap() {
            for record in records {
                assert_eq!((record.offset, number(&record.value)), (next, usize::try_from(next).unwrap()));
                next += 1;
            }
        }
        assert_eq!(next, to, "read from {from} to {to}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn producer_and_follower_survive_a_restart_of_the_broker() {
    let Embedded { broker, config, _folder } = Embedded::start(Quirks::default()).await;
    let cluster = Cluster::new(config.control.to_string());
    create(&cluster, "lasting", 1).await;
    let producer = open(&cluster, "lasting", ProducerOptions::default()).await;
    let mut stream = follow(cluster.clone(), "lasting", 0, From::Beginning, FollowOptions::default());
    producer.send(None, b"0".to_vec()).await.unwrap();
    assert_eq!(number(&stream.next().await.unwrap().unwrap().value), 0);

    broker.shutdown().await;
    let since = Instant::now();
    while producer.is_ready() {
        assert!(since.elapsed() < Duration::from_secs(5), "a lost broker is noticed without a send");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let asked = Instant::now();
    let error = producer.send(None, b"lost".to_vec()).await.unwrap_err();
    assert!(
        matches!(error, ProduceError::Unavailable { .. }) && asked.elapsed() < Duration::from_secs(1),
        "{error}"
    );

    let again = Broker::start(config).await.unwrap();
    producer.ready(Duration::from_secs(20)).await.unwrap();
    producer.send(None, b"1".to_vec()).await.unwrap();
    let mut troubles = 0;
    let record = loop {
        match tokio::time::timeout(Duration::from_secs(20), stream.next()).await.unwrap().unwrap() {
            Ok(record) => break record,
            Err(error) => {
                assert!(matches!(error, Error::Interrupted { .. } | Error::Unreachable { .. }), "{error}");
                troubles += 1;
            }
        }
    };
    assert_eq!((record.offset, number(&record.value)), (1, 1));
    assert!(troubles > 0, "the follower says that it was interrupted");
    again.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_are_kept_and_named() {
    let embedded = Embedded::start(Quirks::default()).await;
    let cluster = embedded.cluster();
    create(&cluster, "bounded", 1).await;
    let options = ProducerOptions { in_flight: 5, linger: Duration::from_millis(300), ..Default::default() };
    let producer = open(&cluster, "bounded", options).await;
    let error = producer.send(None, vec![0; MAX_RECORD_BYTES + 1]).await.unwrap_err();
    assert!(matches!(error, ProduceError::TooLarge { .. }), "{error}");
    let sends = (0..8).map(|_| producer.send(None, b"x".to_vec()));
    let answers = futures_util::future::join_all(sends).await;
    let full = answers.iter().filter(|answer| matches!(answer, Err(ProduceError::Full { .. }))).count();
    assert_eq!((answers.iter().filter(|answer| answer.is_ok()).count(), full), (5, 3));
    let error = producer
        .send_batch(vec![(None, vec![0; 600 * 1024]), (None, vec![0; 600 * 1024])])
        .await
        .unwrap_err();
    assert!(matches!(error, ProduceError::TooLarge { .. }), "{error}");
    producer.send(None, vec![0; MAX_RECORD_BYTES]).await.unwrap();
    let last = read_tail(&cluster, "bounded", 0, 1).await.unwrap();
    assert_eq!(last[0].value.len(), MAX_RECORD_BYTES);
}
