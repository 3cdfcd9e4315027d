//! SmartModules in streams and in produce requests.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::time::Duration;

use crate::common::modules::*;
use crate::common::*;
use fluvio::{Offset, RecordKey, SmartModuleInvocationWasm, TopicProducerConfigBuilder};
use fluvio_protocol::link::ErrorCode;
use fluvio_smartmodule::dataplane::smartmodule::Lookback;
use futures_util::StreamExt;

fn from(offset: i64) -> fluvio::consumer::ConsumerConfigExtBuilder {
    reading("events", 0, Offset::absolute(offset).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_two_lets_records_pass_as_they_come() {
    let fixture = start().await;
    let client = fixture.client().await;
    create_topic(&client, "events", 1).await;
    upload(&client, "pass", &pass_all()).await;
    send_each(&client, "events", numbered(0..5)).await;
    let mut named = ad_hoc(&[]);
    named.wasm = SmartModuleInvocationWasm::Predefined("pass".to_owned());
    let mut stream = open(&client, through(vec![ad_hoc(&pass_all()), named], &mut from(0))).await;
    let records = take(&mut stream, 5).await;
    assert_eq!(texts(&records), numbered(0..5).collect::<Vec<_>>());
    assert!(records.iter().all(|record| record.timestamp() > 1_600_000_000_000));
    send_each(&client, "events", numbered(5..9)).await;
    assert_eq!(texts(&take(&mut stream, 4).await), numbered(5..9).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_from_the_middle_of_a_batch_gets_no_record_before_and_loses_none_after() {
    let fixture = start().await;
    let client = fixture.client().await;
    create_topic(&client, "events", 1).await;
    send_batch(&client, "events", numbered(0..10)).await.unwrap();
    let mut stream = open(&client, through(vec![ad_hoc(&pass_all())], &mut from(6))).await;
    let records = take(&mut stream, 4).await;
    assert_eq!(texts(&records), numbered(6..10).collect::<Vec<_>>());
    assert_eq!(records[0].offset(), 6);
    // One record for the batch: Fluvio's client would drop it if it carried the batch's own base offset.
    let mut counted = open(&client, through(vec![ad_hoc(&count_calls())], &mut from(6))).await;
    assert!(text(&take(&mut counted, 1).await[0]).starts_with('1'));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_quirk_a_chain_is_fed_from_the_batchs_head() {
    for from_head in [false, true] {
        let fixture = start_with(|config| config.quirks.chain_from_batch_head = from_head).await;
        let client = fixture.client().await;
        create_topic(&client, "events", 1).await;
        send_batch(&client, "events", numbered(0..10)).await.unwrap();
        // Fluvio's client drops what the first call returns with the quirk: it is placed at the batch's head, before the start.
        let mut stream = open(&client, through(vec![ad_hoc(&running_total(0))], &mut from(6))).await;
        if !from_head {
            assert_eq!(total(take(&mut stream, 1).await[0].value()), 4);
        }
        send_each(&client, "events", numbered(10..11)).await;
        assert_eq!(total(take(&mut stream, 1).await[0].value()), if from_head { 11 } else { 5 });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_its_length_does_not_fit_ends_the_stream_without_a_word() {
    let fixture = start().await;
    let client = fixture.client().await;
    create_topic(&client, "events", 1).await;
    send_each(&client, "events", numbered(0..3)).await;
    for (bytes, fits) in [(32_767, true), (32_768, false)] {
        let mut module = ad_hoc(&pass_all());
        module.params.insert("long".to_owned(), "x".repeat(bytes));
        let mut stream = open(&client, through(vec![module], &mut from(0))).await;
        let next = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap();
        assert_eq!(next.is_some_and(|next| next.is_ok()), fits, "{bytes} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finite_read_through_a_silent_chain_ends() {
    let fixture = start().await;
    let client = fixture.client().await;
    create_topic(&client, "events", 1).await;
    send_each(&client, "events", numbered(0..5)).await;
    let stream = open(&client, through(vec![ad_hoc(&drop_all())], from(0).disable_continuous(true))).await;
    assert_eq!(tokio::time::timeout(PATIENCE, stream.count()).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn output_larger_than_the_response_is_sent_next_and_no_batch_is_run_twice() {
    for rerun in [false, true] {
        let fixture = start_with(|config| config.quirks.rerun_on_overflow = rerun).await;
        let client = fixture.client().await;
        create_topic(&client, "events", 1).await;
        send_each(&client, "events", numbered(0..9)).await;
        let config = through(vec![ad_hoc(&count_calls())], from(0).max_bytes(1500));
        let mut stream = open(&client, config).await;
        let calls: String = take(&mut stream, 9).await.iter().map(|record| text(record).remove(0)).collect();
        if rerun {
            assert_ne!(calls, "123456789");
        } else {
            assert_eq!(calls, "123456789");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_over_a_segment_skips_nothing() {
    for jump in [false, true] {
        let fixture = start_with(|config| config.quirks.silent_jump = jump).await;
        let client = fixture.client().await;
        create(&client, "events", segmented(2048)).await;
        send_each(&client, "events", numbered(0..300)).await;
        let mut stream = open(&client, through(vec![ad_hoc(&pass_from_200())], &mut from(0))).await;
        if jump {
            let next = tokio::time::timeout(Duration::from_millis(500), stream.next()).await;
            assert!(next.is_err(), "the stream stands at the end of the log");
        } else {
            assert_eq!(texts(&take(&mut stream, 100).await), numbered(200..300).collect::<Vec<_>>());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn look_back_reads_over_segments_to_the_end() {
    for one_segment in [false, true] {
        let fixture = start_with(|config| config.quirks.look_back_one_segment = one_segment).await;
        let client = fixture.client().await;
        create(&client, "events", segmented(2048)).await;
        send_each(&client, "events", numbered(0..300)).await;
        let seen = async |look_back| {
            let invocation = looking_back(&count_look_back(), look_back);
            let mut stream = open(&client, through(vec![invocation], &mut from(299))).await;
            let record = take(&mut stream, 1).await.remove(0);
            u16::from_be_bytes(record.value().try_into().unwrap())
        };
        let last = seen(Lookback::last(280)).await;
        if one_segment {
            assert!(last < 280, "{last}");
        } else {
            assert_eq!(last, 280);
            assert_eq!(seen(Lookback::last(7)).await, 7);
            assert_eq!(seen(Lookback::age(Duration::from_secs(600), None)).await, 300);
            assert_eq!(seen(Lookback::age(Duration::from_secs(600), Some(3))).await, 3);
            assert_eq!(seen(Lookback::age(Duration::ZERO, None)).await, 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_in_a_chain_reaches_the_consumer() {
    let fixture = start().await;
    let client = fixture.client().await;
    create_topic(&client, "events", 1).await;
    send_each(&client, "events", numbered(0..3)).await;
    let error = async |invocation| {
        let mut stream = open(&client, through(vec![invocation], &mut from(0))).await;
        tokio::time::timeout(PATIENCE, stream.next()).await.unwrap().and_then(Result::err)
    };
    let refused = error(ad_hoc(&refuse_all())).await;
    assert!(
        matches!(&refused, Some(ErrorCode::SmartModuleRuntimeError(e)) if e.hint == "no thanks"),
        "{refused:?}"
    );
    let trapped = error(ad_hoc(&trap())).await;
    assert!(matches!(trapped, Some(ErrorCode::Other(_))), "{trapped:?}");
    let mut unknown = ad_hoc(&[]);
    unknown.wasm = SmartModuleInvocationWasm::Predefined("nobody".to_owned());
    assert!(matches!(error(unknown).await, Some(ErrorCode::SmartModuleNotFound { .. })));
    let rubbish = error(ad_hoc(b"no wasm")).await;
    assert!(matches!(rubbish, Some(ErrorCode::SmartModuleChainInitError(_))), "{rubbish:?}");
    // The connection lives on.
    assert_eq!(all(&client, "events").await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_produce_request_brings_its_own_chain() {
    let fixture = start().await;
    let client = fixture.client().await;
    create_topic(&client, "events", 1).await;
    let send = async |wasm: &[u8], value: &str| {
        let config = TopicProducerConfigBuilder::default().smartmodules(vec![ad_hoc(wasm)]).build().unwrap();
        let producer = client.topic_producer_with_config("events", config).await.unwrap();
        let output = producer.send(RecordKey::NULL, value).await.unwrap();
        producer.flush().await.unwrap();
        output.wait().await.map(|_| ())
    };
    send(&pass_all(), "kept").await.unwrap();
    send(&drop_all(), "dropped").await.unwrap();
    let refused = send(&refuse_all(), "refused").await.unwrap_err().to_string();
    assert!(refused.contains("no thanks"), "{refused}");
    send(&pass_all(), "also kept").await.unwrap();
    let records = all(&client, "events").await;
    assert_eq!(texts(&records), ["kept", "also kept"]);
    assert_eq!(records[1].offset(), 1);
}
