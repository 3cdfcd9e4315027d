//! Moments from a real log, on an embedded broker.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use ovation_broker::Broker;
use ovation_client::fluvio::metadata::topic::TopicSpec;
use ovation_client::{Admin, Cluster, Producer, ProducerOptions};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::super::config::History;
use super::*;
use crate::hub::moment::Moment;
use crate::hub::moment::tests::moment;
use crate::{App, Config, Hooks, router};

/// Longest that a step of a test may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer with one moment.
pub(crate) fn answer() -> String {
    let value = moment("final-2026", (1, 3), 40_000, 2);
    let moment = Moment::read(0, value.as_bytes()).expect("a good record");
    let query = Query::read(Params::default(), &HeaderMap::new(), 3_600_000, &History::default());
    let query = query.unwrap_or_else(|problem| panic!("{problem:?}"));
    let text = write::answer("final-2026", &query, &[moment], Some("?after=x"));
    String::from_utf8(text).expect("UTF-8")
}

struct Served {
    router: Router,
    producer: Option<Producer>,
    _broker: Broker,
    _folder: tempfile::TempDir,
}

impl Served {
    /// A gateway on a broker, with a topic of one partition if one is wanted.
    async fn start(has_topic: bool, history: History) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = ovation_broker::Config::new(folder.path());
        config.control = "127.0.0.1:0".parse().expect("an address");
        config.spu = "127.0.0.1:0".parse().expect("an address");
        let broker = Broker::start(config).await.expect("a broker");
        let cluster = Cluster::new(broker.control_addr().to_string());
        let mut config = Config::new(cluster.clone());
        config.history = history;
        let mut producer = None;
        if let Some(topic) = config.moments_topic.as_ref().filter(|_| has_topic) {
            Admin::new(&cluster).create(topic, TopicSpec::new_computed(1, 1, None)).await.expect("a topic");
            let opened = Producer::open(cluster, topic, ProducerOptions::default());
            opened.ready(PATIENCE).await.expect("ready");
            producer = Some(opened);
        }
        let app = App::new(config, Hooks::default(), CancellationToken::new());
        Self { router: router::router(Arc::clone(&app)), producer, _broker: broker, _folder: folder }
    }

    async fn write(&self, values: Vec<String>) {
        let producer = self.producer.as_ref().expect("a topic");
        let records = values.into_iter().map(|value| (Some(b"a".to_vec()), value.into_bytes())).collect();
        producer.send_batch(records).await.expect("stored");
    }

    async fn get(&self, query: &str) -> String {
        let request =
            Request::get(format!("/v1/rooms/a/moments{query}")).body(Body::empty()).expect("a request");
        let asked = self.router.clone().oneshot(request);
        let response = tokio::time::timeout(PATIENCE, asked).await.expect("in time").expect("infallible");
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 24).await.expect("a whole body");
        let text = String::from_utf8(body.to_vec()).expect("UTF-8");
        assert_eq!(status, StatusCode::OK, "{text}");
        text
    }

    /// Starts and revisions of all moments, however many answers they come in; and how many these are.
    async fn all(&self, query: &str) -> (Vec<(i64, u64)>, usize) {
        let (mut moments, mut query, mut answers) = (Vec::new(), query.to_owned(), 0);
        loop {
            let answer: Value = serde_json::from_str(&self.get(&query).await).expect("JSON");
            for moment in answer["moments"].as_array().expect("a list") {
                assert_eq!(moment["room"], "a");
                moments.push((
                    moment["start"].as_i64().expect("ms"),
                    moment["revision"].as_u64().expect("a number"),
                ));
            }
            answers += 1;
            assert!(answers < 100, "it gets on");
            let Some(next) = answer["next"].as_str() else { return (moments, answers) };
            query = next.to_owned();
        }
    }
}

#[tokio::test]
async fn each_moment_comes_once_in_its_latest_revision_however_the_log_has_them() {
    let served = Served::start(true, History::default()).await;
    let mut values = Vec::new();
    for number in 0..20_u64 {
        let start = number as i64 * 100_000;
        values.push(moment("a", (1, 3 * number + 1), start, 1));
        values.push(moment("b", (1, 3 * number + 2), start, 5));
        values.push(moment("a", (1, 3 * number + 3), start, 2));
    }
    values.swap(0, 2);
    values.push(moment("a", (1, 1), 0, 1));
    values.push("no moment".into());
    // After a reset the newer epoch is the truth.
    values.push(moment("a", (2, 1), 100_000, 1));
    served.write(values).await;
    let mut expected: Vec<_> = (0..20).map(|number| (number * 100_000, 2)).collect();
    expected[1].1 = 1;
    assert_eq!(served.all("?from=0&to=2000000").await, (expected.clone(), 1));
    assert_eq!(served.all("?from=0&to=2000000&limit=3").await, (expected.clone(), 7));
    assert_eq!(served.all("?from=0&to=2000000&limit=20").await, (expected.clone(), 1), "no more is left");
    assert_eq!(served.all("?from=100000&to=400000").await.0, expected[1..4]);
    assert!(served.all("?from=2000000&to=3000000").await.0.is_empty());
    let csv = served.get("?from=0&to=2000000&limit=2&format=csv").await;
    let rows: Vec<&str> = csv.lines().collect();
    assert_eq!(rows.len(), 4, "{csv}");
    assert_eq!(
        rows[1],
        "a:10s:0,10s,1970-01-01T00:00:00.000Z,1970-01-01T00:00:20.000Z,0,20000,2,false,5321,⚽,0,4000,400,1204,31,12.9,14.2,0.31,0.62,"
    );
    assert!(rows[3].starts_with("?from=0&to=2000000&limit=2&format=csv&after="), "{}", rows[3]);
    assert!(rows[3].contains(",next,"));
}

#[tokio::test]
async fn what_lies_before_the_end_that_is_read_is_not_found() {
    let history = History { moments_records_max: 5, ..History::default() };
    let served = Served::start(true, history).await;
    served
        .write((0..20).map(|number| moment("a", (1, number + 1), number as i64 * 1_000, 1)).collect())
        .await;
    let starts: Vec<i64> = served.all("?from=0&to=100000").await.0.iter().map(|(start, _)| *start).collect();
    assert_eq!(starts, [15_000, 16_000, 17_000, 18_000, 19_000]);
}

#[tokio::test]
async fn without_a_topic_there_are_no_moments() {
    let served = Served::start(false, History::default()).await;
    assert_eq!(served.all("?from=0&to=1000").await, (vec![], 1));
    assert_eq!(served.get("?format=csv").await.lines().count(), 1, "the header");
}
