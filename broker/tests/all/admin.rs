//! Topics, SmartModules, table formats and consumer offsets, through Fluvio's own client.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use crate::common::modules::*;
use crate::common::*;
use fluvio::Offset;
use fluvio::consumer::{ConsumerStream, OffsetManagementStrategy};
use fluvio::metadata::partition::PartitionSpec;
use fluvio::metadata::smartmodule::SmartModuleSpec;
use fluvio::metadata::spu::SpuSpec;
use fluvio::metadata::tableformat::TableFormatSpec;
use fluvio::metadata::topic::{AddPartition, TopicSpec, UpdateTopicAction};

async fn names(client: &fluvio::Fluvio) -> Vec<String> {
    let topics = client.admin().await.all::<TopicSpec>().await.unwrap();
    topics.into_iter().map(|topic| topic.name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_created_listed_and_deleted() {
    let mut fixture = start().await;
    let client = fixture.client().await;
    let admin = client.admin().await;
    create_topic(&client, "one", 2).await;
    create_topic(&client, "two", 1).await;
    let again = admin.create("one".to_owned(), false, TopicSpec::new_computed(1, 1, None)).await;
    assert!(again.unwrap_err().to_string().contains("already exists"));
    for bad in ["", "Upper", "under_score", "-dash", "../x", &"x".repeat(70)] {
        assert!(
            admin.create(bad.to_owned(), false, TopicSpec::new_computed(1, 1, None)).await.is_err(),
            "{bad}"
        );
    }
    assert!(admin.create("none".to_owned(), false, TopicSpec::new_computed(0, 1, None)).await.is_err());
    assert!(admin.create("copies".to_owned(), false, TopicSpec::new_computed(1, 3, None)).await.is_err());
    admin.create("dry".to_owned(), true, TopicSpec::new_computed(1, 1, None)).await.unwrap();
    assert_eq!(names(&client).await, ["one", "two"]);
    send_each(&client, "one", numbered(0..3)).await;

    let partitions = admin.all::<PartitionSpec>().await.unwrap();
    assert_eq!(partitions.len(), 3);
    let ends: i64 = partitions.iter().map(|partition| partition.status.leader.hw).sum();
    assert_eq!(ends, 3);
    let spus = admin.all::<SpuSpec>().await.unwrap();
    assert!(spus[0].status.is_online());
    assert_eq!(spus[0].spec.public_endpoint.addr(), fixture.broker().spu_addr().to_string());

    admin.delete::<TopicSpec>("one".to_owned()).await.unwrap();
    assert!(admin.delete::<TopicSpec>("one".to_owned()).await.is_err());
    assert!(admin.delete::<TopicSpec>("consumer-offset".to_owned()).await.is_err());
    // A client that knew the old topic may not have heard of its end yet.
    let client = fixture.client().await;
    create_topic(&client, "one", 1).await;
    assert_eq!(
        send_each(&client, "one", numbered(0..1)).await,
        [0],
        "a new topic of an old name begins anew"
    );
    fixture.restart().await;
    assert_eq!(names(&fixture.client().await).await, ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_added_and_used_at_once() {
    let fixture = start().await;
    let client = fixture.client().await;
    create_topic(&client, "events", 1).await;
    send_each(&client, "events", numbered(0..2)).await;
    let action = UpdateTopicAction::AddPartition(AddPartition { count: 2 });
    client.admin().await.update::<TopicSpec>("events".to_owned(), action).await.unwrap();
    let fresh = fixture.client().await;
    let producer = fresh.topic_producer("events").await.unwrap();
    for number in 0..30 {
        producer.send(format!("key {number}"), "x").await.unwrap();
    }
    producer.flush().await.unwrap();
    let mut config = fluvio::consumer::ConsumerConfigExtBuilder::default();
    config.topic("events").offset_start(Offset::beginning());
    let records = take(&mut open(&fresh, config.build().unwrap()).await, 32).await;
    assert!((0..3).all(|partition| records.iter().any(|record| record.partition == partition)));
}

#[tokio::test(flavor = "multi_thread")]
async fn smart_modules_are_kept_replaced_and_deleted() {
    let mut fixture = start().await;
    let client = fixture.client().await;
    upload(&client, "module", &drop_all()).await;
    upload(&client, "module", &pass_all()).await;
    upload(&client, "other", &drop_all()).await;
    fixture.restart().await;
    let client = fixture.client().await;
    let admin = client.admin().await;
    let kept = admin.list::<SmartModuleSpec, _>(vec!["module".to_owned()]).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].spec.wasm.as_raw_wasm().unwrap(), pass_all());
    admin.delete::<SmartModuleSpec>("module".to_owned()).await.unwrap();
    assert!(admin.delete::<SmartModuleSpec>("module".to_owned()).await.is_err());
    assert_eq!(admin.all::<SmartModuleSpec>().await.unwrap().len(), 1);
    let files = std::fs::read_dir(fixture.config.data.join("smartmodules")).unwrap().count();
    assert_eq!(files, 1, "what nobody uses any more is gone");
    let large = vec![7; 4 << 20];
    upload(&client, "large", &large).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn table_formats_are_kept_and_deleted() {
    let fixture = start().await;
    let client = fixture.client().await;
    let admin = client.admin().await;
    let spec = TableFormatSpec { name: "table".to_owned(), ..Default::default() };
    admin.create("table".to_owned(), false, spec.clone()).await.unwrap();
    assert!(admin.create("table".to_owned(), false, spec).await.is_err());
    assert_eq!(admin.all::<TableFormatSpec>().await.unwrap().len(), 1);
    admin.delete::<TableFormatSpec>("table".to_owned()).await.unwrap();
    assert!(admin.all::<TableFormatSpec>().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_consumer_goes_on_where_it_was() {
    let mut fixture = start().await;
    let client = fixture.client().await;
    create_topic(&client, "events", 1).await;
    send_each(&client, "events", numbered(0..10)).await;
    let consume = async |client: &fluvio::Fluvio, count| {
        let mut config = reading("events", 0, Offset::beginning());
        config.offset_consumer("screen".to_owned()).offset_strategy(OffsetManagementStrategy::Manual);
        let mut stream = open(client, config.build().unwrap()).await;
        let records = take(&mut stream, count).await;
        stream.offset_commit().await.unwrap();
        stream.offset_flush().await.unwrap();
        texts(&records)
    };
    assert_eq!(consume(&client, 4).await, numbered(0..4).collect::<Vec<_>>());
    assert_eq!(consume(&client, 2).await, numbered(4..6).collect::<Vec<_>>());
    fixture.restart().await;
    let client = fixture.client().await;
    assert_eq!(consume(&client, 3).await, numbered(6..9).collect::<Vec<_>>());
    let kept = client.consumer_offsets().await.unwrap();
    assert_eq!((kept.len(), kept[0].consumer_id.as_str(), kept[0].offset), (1, "screen", 8));
    client.delete_consumer_offset("screen", ("events", 0)).await.unwrap();
    assert!(client.consumer_offsets().await.unwrap().is_empty());
    assert_eq!(consume(&client, 1).await, numbered(0..1).collect::<Vec<_>>());
}
