//! Settings from the file and from the topic, and the admin calls, on an embedded broker.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use ovation_broker::Broker;
use ovation_client::fluvio::metadata::topic::TopicSpec;
use ovation_client::{Admin, Cluster, ProducerOptions};
use serde_json::{Value, json};
use std::sync::Arc;
use tower::ServiceExt as _;

use super::follow::Follower;
use super::*;

/// Longest that a step of a test may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const TOPIC: &str = "emoji-rooms";

const FILE: &str = r#"
    [[room]]
    match = "final-*"
    emoji = ["🔥", "👍"]

    [[room]]
    match = "closed"
    open = false
"#;

fn rooms(topic: Option<&str>) -> Rooms {
    let rules = RoomRules::parse(FILE).expect("rules");
    Rooms { rules, topic: topic.map(str::to_owned), ..Rooms::default() }
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("in time")
}

/// A broker in this process, on free ports.
struct Embedded {
    broker: Broker,
    _folder: tempfile::TempDir,
}

impl Embedded {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = ovation_broker::Config::new(folder.path());
        config.control = "127.0.0.1:0".parse().expect("an address");
        config.spu = "127.0.0.1:0".parse().expect("an address");
        Self { broker: Broker::start(config).await.expect("a broker"), _folder: folder }
    }

    fn cluster(&self) -> Cluster {
        Cluster::new(self.broker.control_addr().to_string())
    }

    async fn create(&self, partitions: u32) {
        let spec = TopicSpec::new_computed(partitions, 1, None);
        Admin::new(&self.cluster()).create(TOPIC, spec).await.expect("a topic");
    }
}

/// What of a gateway has to do with rooms.
struct Gateway {
    settings: Arc<RoomSettings>,
    router: Router,
    follower: Follower,
}

impl Gateway {
    fn start(cluster: Cluster, rooms: &Rooms) -> Self {
        let settings = Arc::new(RoomSettings::new(rooms));
        let may = |headers: &axum::http::HeaderMap, room: Option<&Room>| {
            let by = headers.get("x-who").map(|who| who.to_str().expect("text").to_owned());
            by.filter(|by| by == "ann" || room.is_some_and(|room| room.as_str() == by))
                .ok_or_else(|| Problem::bad_request("who are you?"))
        };
        let router = admin::router(Arc::clone(&settings), Arc::new(may));
        let follower = Follower::start(cluster, rooms, Arc::clone(&settings));
        Self { settings, router, follower }
    }

    /// With a topic that has been read.
    async fn read(cluster: Cluster) -> Self {
        let gateway = Self::start(cluster, &rooms(Some(TOPIC)));
        in_time(gateway.settings.standing.wait(Phase::Read)).await;
        gateway
    }

    async fn call_as(&self, who: &str, method: Method, room: &str, body: &str) -> (StatusCode, Value) {
        let request =
            Request::builder().method(method).uri(format!("/admin/rooms{room}")).header("x-who", who);
        let request = request.body(Body::from(body.to_owned())).expect("a request");
        let response = in_time(self.router.clone().oneshot(request)).await.expect("infallible");
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        (status, serde_json::from_slice(&body).expect("JSON"))
    }

    async fn call(&self, method: Method, room: &str, body: &str) -> (StatusCode, Value) {
        self.call_as("ann", method, room, body).await
    }

    /// Waits until as much is applied as at another one.
    async fn catch_up(&self, other: &Self) {
        let until = *other.settings.applied.borrow();
        let mut applied = self.settings.applied.subscribe();
        in_time(applied.wait_for(|next| *next >= until)).await.expect("the sender is here");
    }
}

fn name(problem: &Value) -> &str {
    problem["type"].as_str().expect("text").rsplit(':').next().expect("a name")
}

#[test]
fn rules_own_settings_and_nothing_at_all() {
    let settings = RoomSettings::new(&rooms(None));
    assert_eq!(settings.check("lobby", "👎"), Ok(()));
    assert_eq!(settings.check("closed", "🔥"), Err(Refusal::Closed));
    assert_eq!(settings.check("final-1", "👍🏽"), Ok(()));
    assert_eq!(settings.check("final-1", "👎"), Err(Refusal::NotAllowed { named: vec!["🔥", "👍"], all: 2 }));
    let own = |json: &str| Own::read(json.as_bytes()).expect("settings");
    settings.apply("final-1", own(r#"{"open":false}"#), 0);
    assert_eq!(settings.check("final-1", "🔥"), Err(Refusal::Closed));
    settings.apply("final-1", own(r#"{"open":true}"#), 1);
    assert_eq!(settings.check("final-1", "🔥"), Ok(()));
    assert!(settings.check("final-1", "👎").is_err(), "the file's list still holds");
    settings.apply("final-1", own(r#"{"emoji":"all"}"#), 2);
    assert_eq!(settings.check("final-1", "👎"), Ok(()));
    settings.apply("closed", own(r#"{"open":true,"emoji":["👎"]}"#), 3);
    assert_eq!(settings.check("closed", "👎"), Ok(()));
    assert!(settings.check("closed", "🔥").is_err());
    settings.apply("closed", own("{}"), 4);
    assert_eq!(settings.check("closed", "👎"), Err(Refusal::Closed));
}

#[test]
fn a_refusal_names_some_of_what_is_taken() {
    let settings = RoomSettings::new(&Rooms::default());
    let hands = [
        "👍", "👎", "👏", "👋", "🙏", "✋", "✌", "👌", "🤞", "🤟", "🤘", "🤙", "👈", "👉", "👆", "👇", "☝",
        "✊", "👊", "🤛", "🤜", "🙌",
    ];
    settings.apply(
        "hands",
        Own::read(json!({ "emoji": hands }).to_string().as_bytes()).expect("settings"),
        0,
    );
    let refusal = settings.check("hands", "🔥").expect_err("refused");
    let problem: Value = serde_json::from_str(&Problem::room_refuses(&refusal).to_json()).expect("JSON");
    assert_eq!((name(&problem), &problem["status"]), ("emoji-not-allowed", &json!(422)));
    let detail = problem["detail"].as_str().expect("text");
    assert!(detail.contains("👍 👎") && detail.ends_with("🤛 and 2 more"), "{detail}");
    let closed: Value =
        serde_json::from_str(&Problem::room_refuses(&Refusal::Closed).to_json()).expect("JSON");
    assert_eq!((name(&closed), &closed["status"]), ("reactions-closed", &json!(409)));
}

#[test]
fn the_table_has_its_bound() {
    let settings = RoomSettings::new(&Rooms { own_max: 2, ..Rooms::default() });
    let closed = || Own::read(br#"{"open":false}"#).expect("settings");
    for (offset, room) in (0..).zip(["a", "b", "c"]) {
        settings.apply(room, closed(), offset);
    }
    assert_eq!(settings.own_rooms("", 10), ["a", "b"]);
    assert!(settings.has_place_for("a") && !settings.has_place_for("c"));
    settings.apply("a", Own::none("ann"), 3);
    settings.apply("c", closed(), 4);
    assert_eq!(settings.own_rooms("", 10), ["b", "c"]);
    assert_eq!(
        (settings.own_rooms("b", 10), settings.own_rooms("", 1)),
        (vec!["c".to_owned()], vec!["b".to_owned()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_holds_at_once_here_soon_elsewhere_and_after_a_restart() {
    let embedded = Embedded::start().await;
    embedded.create(1).await;
    let (one, two) = (Gateway::read(embedded.cluster()).await, Gateway::read(embedded.cluster()).await);
    assert!(one.settings.part().ready);

    for n in 0..20 {
        let body = format!(r#"{{"open":{},"emoji":["👏","❤"]}}"#, n % 2 == 0);
        let (status, shown) = one.call(Method::PUT, "/final-1", &body).await;
        assert_eq!((status, &shown["open"]), (StatusCode::OK, &json!(n % 2 == 0)), "{shown}");
        assert_eq!(one.settings.check("final-1", "❤️").is_ok(), n % 2 == 0);
    }
    let (_, shown) = one.call(Method::GET, "/final-1", "").await;
    assert_eq!(
        (&shown["emoji"], &shown["rule"], &shown["own"]["by"]),
        (&json!(["👏", "❤️"]), &json!("final-*"), &json!("ann"))
    );
    two.catch_up(&one).await;
    assert_eq!(two.call(Method::GET, "/final-1", "").await.1, shown);
    assert_eq!(two.settings.check("final-1", "👏"), Err(Refusal::Closed));

    let (status, _) = two.call(Method::PUT, "/lobby", r#"{"open":false}"#).await;
    assert_eq!(status, StatusCode::OK);
    one.catch_up(&two).await;
    let (_, list) = one.call(Method::GET, "", "").await;
    let names: Vec<&Value> =
        list["rooms"].as_array().expect("a list").iter().map(|room| &room["room"]).collect();
    assert_eq!(names, ["final-1", "lobby"]);

    let (status, shown) = one.call(Method::DELETE, "/final-1", "").await;
    assert_eq!(
        (status, shown),
        (StatusCode::OK, json!({"room":"final-1","open":true,"emoji":["🔥","👍"],"rule":"final-*"}))
    );

    one.follower.stop().await;
    let again = Gateway::read(embedded.cluster()).await;
    assert_eq!(again.settings.check("lobby", "🔥"), Err(Refusal::Closed));
    assert_eq!(again.settings.check("final-1", "🔥"), Ok(()));
    assert_eq!(again.settings.own_rooms("", 10), ["lobby"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_say_nothing_are_passed_over() {
    let embedded = Embedded::start().await;
    embedded.create(1).await;
    let producer = Producer::open(embedded.cluster(), TOPIC, ProducerOptions::default());
    producer.ready(PATIENCE).await.expect("ready");
    for (key, value) in [
        (Some("lobby"), r#"{"open":false}"#),
        (Some("lobby"), "not JSON"),
        (Some("a b"), r#"{"open":false}"#),
        (None, r#"{"open":false}"#),
        (Some("hall"), r#"{"open":"no"}"#),
    ] {
        producer
            .send(key.map(|key| key.as_bytes().to_vec()), value.as_bytes().to_vec())
            .await
            .expect("stored");
    }
    let gateway = Gateway::read(embedded.cluster()).await;
    assert_eq!(*gateway.settings.applied.borrow(), 5);
    assert_eq!(gateway.settings.own_rooms("", 10), ["lobby"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_topic_the_file_alone_counts_until_there_is_one() {
    let embedded = Embedded::start().await;
    let gateway = Gateway::start(embedded.cluster(), &rooms(Some(TOPIC)));
    in_time(gateway.settings.standing.wait(Phase::Absent)).await;
    let part = gateway.settings.part();
    assert!(part.ready && part.detail.contains(TOPIC), "{part:?}");
    assert_eq!(gateway.settings.check("closed", "🔥"), Err(Refusal::Closed));
    let (status, problem) = gateway.call(Method::PUT, "/lobby", r#"{"open":false}"#).await;
    assert_eq!((status, name(&problem)), (StatusCode::NOT_IMPLEMENTED, "rooms-fixed"));
    embedded.create(1).await;
    in_time(gateway.settings.standing.wait(Phase::Read)).await;
    let (status, problem) = gateway.call(Method::PUT, "/lobby", r#"{"open":false}"#).await;
    assert_eq!(status, StatusCode::OK, "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn until_the_topic_is_read_nothing_is_let_through() {
    let gateway = Gateway::start(Cluster::new("127.0.0.1:1"), &rooms(Some(TOPIC)));
    assert_eq!(gateway.settings.check("lobby", "🔥"), Err(Refusal::Unread));
    assert!(!gateway.settings.part().ready);
    let (status, problem) = gateway.call(Method::DELETE, "/lobby", "").await;
    assert_eq!((status, name(&problem)), (StatusCode::SERVICE_UNAVAILABLE, "rooms-unread"));
    in_time(gateway.follower.stop()).await;

    let embedded = Embedded::start().await;
    embedded.create(2).await;
    let gateway = Gateway::start(embedded.cluster(), &rooms(Some(TOPIC)));
    let mut state = gateway.settings.standing.part(0);
    let told = async {
        while !state.detail.contains("2 partitions") {
            tokio::task::yield_now().await;
            state = gateway.settings.standing.part(0);
        }
    };
    in_time(told).await;
    assert!(!gateway.settings.part().ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_mistakes_are_problems() {
    let embedded = Embedded::start().await;
    embedded.create(1).await;
    let gateway = Gateway::read(embedded.cluster()).await;
    let long = format!(r#"{{"open":true{}}}"#, " ".repeat(70_000));
    for (room, body, status, problem) in [
        ("/lobby", "{", 400, "malformed-json"),
        ("/lobby", "{}", 422, "malformed"),
        ("/lobby", r#"{"opne":true}"#, 422, "malformed"),
        ("/lobby", r#"{"emoji":["fire"]}"#, 422, "bad-emoji-list"),
        ("/lobby", r#"{"emoji":[]}"#, 422, "bad-emoji-list"),
        ("/lobby", long.as_str(), 413, "too-large"),
        ("/a%20b", r#"{"open":true}"#, 422, "bad-room"),
    ] {
        let (answered, said) = gateway.call(Method::PUT, room, body).await;
        assert_eq!((answered.as_u16(), name(&said)), (status, problem), "{body:.40}");
    }
    let (status, _) = gateway.call(Method::POST, "/lobby", "").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    for (who, method, room) in [
        ("bob", Method::PUT, "/lobby"),
        ("bob", Method::DELETE, "/lobby"),
        ("bob", Method::GET, "/lobby"),
        ("lobby", Method::GET, ""),
    ] {
        let (status, said) = gateway.call_as(who, method, room, r#"{"open":false}"#).await;
        assert_eq!((status, &said["detail"]), (StatusCode::BAD_REQUEST, &json!("who are you?")));
    }
    let (status, _) = gateway.call_as("lobby", Method::PUT, "/lobby", r#"{"open":false}"#).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(gateway.settings.own_rooms("", 10), ["lobby"]);
}
