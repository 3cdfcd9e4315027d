//! History from a real log, on an embedded broker; and results for the tests of the modules.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use ovation_broker::Broker;
use ovation_client::fluvio::metadata::topic::TopicSpec;
use ovation_client::{Admin, Cluster, Producer, ProducerOptions, Record};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::History;

use super::query::{Format, Query};
use super::result::{Final, Found};
use super::step::Steps;
use super::write::Writer;
use crate::{App, Config, Hooks, router};

/// A final as the stage writes it, of a window given as name, kind, start and end.
pub(super) fn final_of(room: &str, epoch: u64, seq: u64, window: (&str, &str, i64, i64)) -> String {
    let (name, kind, start, end) = window;
    format!(
        r#"{{"stage":"reactions","epoch":{epoch},"seq":{seq},"room":"{room}","window":{{"name":"{name}","kind":"{kind}","start":{start},"end":{end}}},"revision":2,"final":true,"total":1,"counts":{{"🔥":1}},"users":null,"sentiment":{{"score":0.5,"coverage":1.0,"n":1}},"top":["🔥"],"rate":0.1,"room_totals":{{"reactions":1,"late":0,"duplicates":0,"rejected":0}},"source":{{"partition":0,"offset":7}}}}"#
    )
}

/// The same, read for a room.
pub(super) fn found(value: &str, room: &str) -> Found {
    let value = value.as_bytes().to_vec().into();
    Found::read(&Record { partition: 0, offset: 0, timestamp: -1, key: None, value }, room).expect("a result")
}

/// An answer with one window, which says how to go on.
pub(crate) fn answer(step: Option<i64>) -> String {
    let value = final_of("a", 1, 1, ("10s", "tumbling", 0, 10_000));
    let window = Final::read(value.as_bytes()).expect("a final");
    let query = Query { from: 0, to: 10, window: None, step, limit: 1, after: None, format: Format::Json };
    let mut writer = Writer::begin("a", &query);
    match step.map(Steps::new) {
        None => writer.window(value.as_bytes(), &window),
        Some(mut steps) => {
            assert_eq!(steps.take(&window), None);
            steps.finish().into_iter().for_each(|step| writer.step(step));
        }
    }
    writer.end(Some("?after=x"));
    String::from_utf8(writer.take()).expect("UTF-8")
}

/// Longest that a step of a test may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// When the log begins; a whole minute.
const BASE: i64 = 1_784_491_200_000;

/// Windows of 10 s in the first epoch, and those of which the second tells.
const FIRST: i64 = 400;
const SECOND: Range<i64> = 371..480;

/// Records that a request of these tests reads: far fewer than there are.
const RECORDS_MAX: u64 = 1_500;

/// Results of an epoch as the stage writes them: two rooms, updates, finals of 10 s and of 1 m.
fn epoch(epoch: u64, windows: Range<i64>) -> Vec<String> {
    let mut log = Vec::new();
    let mut push = |room: &str, name: &str, index: i64, size: i64, is_final: bool| {
        let start = BASE + index * size;
        let value = final_of(room, epoch, log.len() as u64 + 1, (name, "tumbling", start, start + size));
        let total = format!("\"total\":{}", 1 + index % 7);
        log.push(
            value.replace("\"total\":1", &total).replace("\"final\":true", &format!("\"final\":{is_final}")),
        );
    };
    for index in windows {
        for room in ["a", "b", "a"] {
            push(room, "10s", index, 10_000, false);
            push(room, "1m", index / 6, 60_000, false);
        }
        for room in ["a", "b"] {
            push(room, "10s", index, 10_000, true);
        }
        if index % 6 == 5 {
            for room in ["b", "a"] {
                push(room, "1m", index / 6, 60_000, true);
            }
        }
    }
    log
}

/// A gateway on a broker with such a log in one partition.
struct Served {
    router: Router,
    log: Vec<Value>,
    _broker: Broker,
    _folder: tempfile::TempDir,
}

impl Served {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = ovation_broker::Config::new(folder.path());
        config.control = "127.0.0.1:0".parse().expect("an address");
        config.spu = "127.0.0.1:0".parse().expect("an address");
        let broker = Broker::start(config).await.expect("a broker");
        let cluster = Cluster::new(broker.control_addr().to_string());
        let mut config = Config::new(cluster.clone());
        let topic = config.aggregates_topic.clone();
        Admin::new(&cluster).create(&topic, TopicSpec::new_computed(1, 1, None)).await.expect("a topic");
        let producer = Producer::open(cluster, &topic, ProducerOptions::default());
        producer.ready(PATIENCE).await.expect("ready");
        let mut values = [epoch(1, 0..FIRST), epoch(2, SECOND)].concat();
        // Two writers: results that changed places, and some that are there twice.
        for at in (100..values.len() - 10).step_by(97) {
            if values[at].contains("\"epoch\":1") == values[at + 3].contains("\"epoch\":1") {
                values.swap(at, at + 3);
            }
        }
        let again = values[200..230].to_vec();
        values.splice(230..230, again);
        for batch in values.chunks(50) {
            let batch = batch.iter().map(|value| (Some(b"a".to_vec()), value.clone().into_bytes())).collect();
            producer.send_batch(batch).await.expect("stored");
        }
        config.history = History {
            records_max: RECORDS_MAX,
            disorder_max: 20,
            grace_max: Duration::from_secs(2),
            settle: Duration::from_secs(60),
            ..History::default()
        };
        let app = App::new(config, Hooks::default(), CancellationToken::new());
        let log = values.iter().map(|value| serde_json::from_str(value).expect("JSON")).collect();
        Self { router: router::router(Arc::clone(&app)), log, _broker: broker, _folder: folder }
    }

    async fn get(&self, query: &str) -> String {
        let request =
            Request::get(format!("/v1/rooms/a/history{query}")).body(Body::empty()).expect("a request");
        let asked = self.router.clone().oneshot(request);
        let response = tokio::time::timeout(PATIENCE, asked).await.expect("in time").expect("infallible");
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 24).await.expect("a whole body");
        let text = String::from_utf8(body.to_vec()).expect("UTF-8");
        assert_eq!(status, StatusCode::OK, "{text}");
        text
    }

    /// The windows of all answers, and how many answers there were.
    async fn all(&self, query: &str) -> (Vec<Value>, usize) {
        let (mut windows, mut query, mut answers) = (Vec::new(), query.to_owned(), 0);
        loop {
            let answer: Value = serde_json::from_str(&self.get(&query).await).expect("JSON");
            windows.extend(answer["windows"].as_array().expect("a list").iter().cloned());
            answers += 1;
            assert!(answers < 1_000, "it gets on");
            let Some(next) = answer["next"].as_str() else { return (windows, answers) };
            query = next.to_owned();
        }
    }

    /// What is to come: finals of the room by their numbers, each once, and of each window those of the newest epoch that tells of it.
    fn expected(&self, starts: Range<i64>, name: Option<&str>) -> Vec<Value> {
        let of_room = |value: &&Value| {
            let start = value["window"]["start"].as_i64().expect("a number");
            value["room"] == "a"
                && starts.contains(&start)
                && name.is_none_or(|name| value["window"]["name"] == name)
        };
        let mut values: Vec<_> = self.log.iter().filter(of_room).cloned().collect();
        values.sort_by_key(|value| (value["epoch"].as_u64(), value["seq"].as_u64()));
        values.dedup();
        let is_void = |value: &Value| {
            values.iter().any(|other| {
                other["window"] == value["window"] && other["epoch"].as_u64() > value["epoch"].as_u64()
            })
        };
        values.iter().filter(|value| value["final"] == true && !is_void(value)).cloned().collect()
    }
}

#[tokio::test]
async fn a_log_with_two_epochs_is_answered_to_the_last_window() {
    let served = Served::start().await;
    let end = BASE + SECOND.end * 10_000;
    let (windows, answers) = served.all(&format!("?from={BASE}&to={end}")).await;
    assert_eq!(windows, served.expected(BASE..end, None));
    assert!(answers > 1, "more is read than one request may");
    let (by_ten, _) = served.all(&format!("?from={BASE}&to={end}&limit=10")).await;
    assert_eq!(by_ten, windows, "however it is cut");

    // Where the range begins is found: what a request may read would not do from the beginning, nor to the end.
    for (first, count, name) in
        [(0, 5, "10s"), (200, 20, "10s"), (199, 1, "1m"), (300, 30, "1m"), (365, 20, "10s"), (450, 29, "10s")]
    {
        let (from, to) = (BASE + first * 10_000, BASE + (first + count) * 10_000);
        let (windows, answers) = served.all(&format!("?from={from}&to={to}&window={name}")).await;
        assert_eq!(windows, served.expected(from..to, Some(name)), "{first} {count} {name}");
        assert_eq!(answers, 1, "{first} {count} {name}");
        assert_eq!(served.all(&format!("?from={from}&to={to}")).await.0, served.expected(from..to, None));
    }
    let (nothing, _) = served.all(&format!("?from={}&to={BASE}", BASE - 10_000)).await;
    assert!(nothing.is_empty());

    let (steps, _) = served.all(&format!("?from={BASE}&to={end}&window=10s&step=5m")).await;
    let mut sums = std::collections::BTreeMap::<i64, (u64, u64)>::new();
    for window in served.expected(BASE..end, Some("10s")) {
        let start = window["window"]["start"].as_i64().expect("a number").div_euclid(300_000) * 300_000;
        let sum = sums.entry(start).or_default();
        *sum = (sum.0 + window["total"].as_u64().expect("a number"), sum.1 + 1);
    }
    let mut stepped = std::collections::BTreeMap::<i64, (u64, u64)>::new();
    for step in steps {
        let sum = stepped.entry(step["window"]["start"].as_i64().expect("a number")).or_default();
        let number = |name: &str| step[name].as_u64().expect("a number");
        *sum = (sum.0 + number("total"), sum.1 + number("windows"));
    }
    assert_eq!(stepped, sums);

    let text = served.get(&format!("?from={BASE}&to={}&window=10s&format=csv", BASE + 50_000)).await;
    assert_eq!(text.lines().count(), 1 + 5, "{text}");
}
