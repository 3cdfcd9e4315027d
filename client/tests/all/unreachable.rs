//! What a caller is told when there is no broker.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use ovation_client::{Cluster, Error, FollowOptions, From, ProduceError, Producer, ProducerOptions, follow};

/// HOST:PORT that nobody listens on.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_refused_connection_is_one_clear_sentence() {
    let endpoint = nobody();
    let Err(error) = Cluster::new(&endpoint).connect().await else {
        panic!("connected to nobody");
    };
    assert_eq!(
        error.to_string(),
        format!("failed to reach a Fluvio cluster at {endpoint}: connection refused")
    );
}

#[tokio::test]
async fn a_server_that_stays_silent_is_given_up_after_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    let cluster = Cluster::new(&endpoint).connect_deadline(Duration::from_millis(200));
    let Err(error) = cluster.connect().await else {
        panic!("connected to a silent server");
    };
    assert!(
        matches!(&error, Error::Unreachable { reason, .. } if reason.contains("no answer within")),
        "{error}"
    );
}

#[tokio::test]
async fn a_producer_without_a_broker_refuses_at_once() {
    let producer = Producer::open(Cluster::new(nobody()), "emoji-events", ProducerOptions::default());
    assert!(!producer.is_ready());
    let error = producer.ready(Duration::from_millis(300)).await.unwrap_err();
    assert!(error.to_string().contains("connection refused"), "{error}");
    let asked = Instant::now();
    let error = producer.send(None, b"{}".to_vec()).await.unwrap_err();
    assert!(matches!(error, ProduceError::Unavailable { .. }), "{error}");
    assert!(asked.elapsed() < Duration::from_secs(1), "a send has to fail fast");
}

#[tokio::test]
async fn a_follower_reports_each_failed_attempt_and_does_not_end() {
    let mut stream =
        follow(Cluster::new(nobody()), "emoji-events", 0, From::Beginning, FollowOptions::default());
    for _ in 0..2 {
        let item = stream.next().await.expect("a follower never ends");
        assert!(matches!(item, Err(Error::Unreachable { .. })));
    }
}
