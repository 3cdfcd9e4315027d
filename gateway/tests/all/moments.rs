//! Moments of a real gateway on a real broker, written by hand: who gets them, how often, and what happens where there are none.

use std::time::{SystemTime, UNIX_EPOCH};

use ovation_client::Producer;
use serde_json::Value;

use crate::stage::{Client, Stage, beside, get, make};

const TOPIC: &str = "emoji-moments";

/// A moment: (room, seq, start in seconds from now, revision).
type Told<'a> = (&'a str, u64, i64, u64);

/// Ms since 1970, of a time that all of a test has in common.
fn at(base: i64, seconds: i64) -> i64 {
    base + seconds * 1_000
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

async fn tell(producer: &Producer, base: i64, moments: &[Told<'_>]) {
    let records = moments.iter().map(|&(room, seq, start, revision)| {
        let (start, end) = (at(base, start), at(base, start + 10));
        let value = format!(
            r#"{{"stage":"moments","epoch":1,"seq":{seq},"room":"{room}","id":"{room}:10s:{start}","window":"10s","revision":{revision},"final":false,"start":{start},"end":{end},"total":9,"counts":{{"⚽":9}},"source":{{"partition":0,"offset":{seq}}}}}"#
        );
        (Some(room.as_bytes().to_vec()), value.into_bytes())
    });
    for answer in producer.send_all(records.collect()).await {
        answer.unwrap();
    }
}

/// Numbers and revisions of the moments among some messages.
fn moments(messages: &[Value]) -> Vec<(u64, u64)> {
    messages
        .iter()
        .filter(|message| message["type"] == "moment")
        .map(|message| of(&message["moment"]))
        .collect()
}

fn of(moment: &Value) -> (u64, u64) {
    (moment["seq"].as_u64().unwrap(), moment["revision"].as_u64().unwrap())
}

/// The same of a snapshot.
fn shown(snapshot: &Value) -> Vec<(u64, u64)> {
    assert_eq!(snapshot["type"], "snapshot", "{snapshot}");
    snapshot["moments"].as_array().unwrap().iter().map(of).collect()
}

fn is_moment(seq: u64) -> impl Fn(&Value) -> bool {
    move |message| message["type"] == "moment" && message["moment"]["seq"] == seq
}

#[tokio::test(flavor = "multi_thread")]
async fn moments_reach_everybody_once_whatever_the_log_does() {
    let stage = Stage::start().await;
    let producer = make(&stage.cluster, TOPIC).await;
    let base = now();
    stage.write(&[("a", 1, 0, 1, false)]).await;
    // Disorder and repeats, from before the gateway.
    tell(&producer, base, &[("a", 2, -60, 2), ("a", 1, -60, 1), ("a", 2, -60, 2)]).await;
    let gateway = stage.gateway(|_| ()).await;
    let address = gateway.address;
    let paths = [
        "/v1/rooms/a/feed",
        "/v1/rooms/a/feed?emit=final&fields=total",
        "/v1/rooms/a/feed?every=50ms",
        "/v1/feed?rooms=a",
        "/v1/feed?rooms=*",
    ];
    let mut clients = beside(move || {
        paths.map(|path| {
            let mut client = Client::connect(address, path);
            assert_eq!(shown(&client.next()), [(2, 2)], "{path}");
            client
        })
    })
    .await;
    tell(&producer, base, &[("a", 4, -30, 1), ("a", 3, -60, 3), ("a", 4, -30, 1)]).await;
    tell(&producer, base, &[("b", 5, -30, 1), ("a", 2, -60, 2), ("a", 6, -30, 2)]).await;
    let seen = beside(move || clients.each_mut().map(|client| client.until_one(is_moment(6)))).await;
    for (path, seen) in paths.iter().zip(&seen) {
        let all = [(3, 3), (4, 1), (5, 1), (6, 2)];
        let expected: Vec<_> = all.into_iter().filter(|(seq, _)| *seq != 5 || path.ends_with('*')).collect();
        assert_eq!(moments(seen), expected, "{path}");
        assert!(
            seen.iter().all(|message| message["cursor"] == "eyIwIjpbMSwxXX0"),
            "all that was read: {seen:?}"
        );
        let whole = &seen.last().unwrap()["moment"];
        assert_eq!((&whole["total"], &whole["counts"]["⚽"]), (&9.into(), &9.into()), "as it stands");
    }
    let snapshot = beside(move || Client::connect(address, "/v1/rooms/a/feed").next()).await;
    assert_eq!(shown(&snapshot), [(3, 3), (6, 2)], "oldest first, the latest of each");
    let asked = beside(move || get(address, "/v1/rooms/a/moments")).await;
    let (_, asked) = asked.split_once("\r\n\r\n").unwrap();
    let asked: Value = serde_json::from_str(asked).unwrap();
    assert_eq!(asked["moments"].as_array().unwrap().iter().map(of).collect::<Vec<_>>(), [(3, 3), (6, 2)]);
    gateway.end().await;
    stage.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_gets_the_moments_of_the_last_minutes_again() {
    let stage = Stage::start().await;
    let producer = make(&stage.cluster, TOPIC).await;
    let base = now();
    stage.write(&[("a", 1, 0, 1, false)]).await;
    let first = stage.gateway(|_| ()).await;
    let address = first.address;
    let cursor = beside(move || {
        Client::connect(address, "/v1/rooms/a/feed").next()["cursor"].as_str().unwrap().to_owned()
    })
    .await;
    first.end().await;
    tell(&producer, base, &[("a", 1, -3_600, 1), ("a", 2, -120, 1), ("b", 3, -90, 1), ("a", 4, -120, 2)])
        .await;
    let mut results = Vec::new();
    for window in 0..40 {
        results.push(("a", 2 + window, window * 10, 1, true));
    }
    stage.write(&results).await;
    // Of one room from memory, and from the topic; and of many.
    for (finals_per_room, rooms) in [(60, ""), (5, ""), (60, "?rooms=a,b&"), (5, "?rooms=a,b&")] {
        let second = stage
            .gateway(|config| {
                config.finals_per_room = finals_per_room;
                config.resume_updates_per_room = 4;
            })
            .await;
        let (address, cursor) = (second.address, cursor.clone());
        let path = match rooms {
            "" => format!("/v1/rooms/a/feed?after={cursor}"),
            rooms => format!("/v1/feed{rooms}after={cursor}"),
        };
        let is_many = !rooms.is_empty();
        let last = if is_many { 3 } else { 4 };
        let seen = beside(move || Client::connect(address, &path).until_one(is_moment(last))).await;
        let updates = seen.iter().filter(|message| message["type"] == "update").count();
        assert_eq!((updates, seen[0]["type"].as_str()), (40, Some("update")), "{finals_per_room} {rooms}");
        let expected = if is_many { vec![(4, 2), (3, 1)] } else { vec![(4, 2)] };
        assert_eq!(moments(&seen), expected, "behind what was missed, and not what is long over");
        // It goes on behind them.
        let cursor = seen.last().unwrap()["cursor"].as_str().unwrap().to_owned();
        let path = format!("/v1/rooms/a/feed?after={cursor}");
        let rest = beside(move || Client::connect(address, &path).next()).await;
        assert_eq!(moments(&[rest]), [(4, 2)], "nothing but those again");
        second.end().await;
    }
    stage.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_the_topic_works_and_finds_it_when_it_is_there() {
    let stage = Stage::start().await;
    let gateway = stage.gateway(|_| ()).await;
    let address = gateway.address;
    let mut client = beside(move || {
        let mut client = Client::connect(address, "/v1/rooms/a/feed");
        assert!(shown(&client.next()).is_empty());
        assert!(get(address, "/v1/rooms/a/moments").contains(r#""moments":[],"next":null"#));
        assert!(
            get(address, "/readyz")
                .contains(r#""name":"moments","ready":true,"detail":"there is no moment topic""#)
        );
        client
    })
    .await;
    stage.write(&[("a", 1, 0, 1, false)]).await;
    let producer = make(&stage.cluster, TOPIC).await;
    tell(&producer, now(), &[("a", 1, 0, 1)]).await;
    let seen = beside(move || client.until_one(is_moment(1))).await;
    assert_eq!(moments(&seen), [(1, 1)]);
    gateway.end().await;
    let unset = stage.gateway(|config| config.moments_topic = None).await;
    let address = unset.address;
    let snapshot = beside(move || Client::connect(address, "/v1/rooms/a/feed").next()).await;
    assert!(shown(&snapshot).is_empty(), "by configuration");
    unset.end().await;
    stage.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_misses_no_moment() {
    let stage = Stage::start().await;
    let producer = make(&stage.cluster, TOPIC).await;
    let gateway = stage.gateway(|config| config.connections.unsent_bytes_max = 4_096).await;
    let address = gateway.address;
    let mut slow = beside(move || {
        let mut slow = Client::connect(address, "/v1/rooms/a/feed");
        slow.next();
        slow
    })
    .await;
    let base = now();
    let mut seq = 0;
    for moment in 1..=8 {
        for _ in 0..20 {
            let some: Vec<_> = (1..=50).map(|more| ("a", seq + more, 0, seq + more, false)).collect();
            stage.write(&some).await;
            seq += 50;
        }
        tell(&producer, base, &[("a", moment, moment as i64 * 60, 1)]).await;
    }
    let seen = beside(move || slow.until_one(is_moment(8))).await;
    assert_eq!(moments(&seen), (1..=8).map(|seq| (seq, 1)).collect::<Vec<_>>());
    let skipped: u64 = seen.iter().filter_map(|message| message["count"].as_u64()).sum();
    assert!(skipped > 1_000, "it was slow: {skipped}");
    gateway.end().await;
    stage.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_say_how_many_watch_and_snapshots_what_a_room_takes() {
    let stage = Stage::start().await;
    let rules =
        "[[room]]\nmatch = \"closed\"\nopen = false\n\n[[room]]\nmatch = \"a\"\nemoji = [\"🔥\", \"⚽\"]\n";
    let gateway =
        stage.gateway(|config| config.rooms.rules = ovation_gateway::RoomRules::parse(rules).unwrap()).await;
    let address = gateway.address;
    let mut clients = beside(move || {
        let mut clients = [0, 1, 2].map(|_| Client::connect(address, "/v1/rooms/a/feed"));
        for client in &mut clients {
            let snapshot = client.next();
            assert_eq!(
                (&snapshot["open"], &snapshot["emoji"]),
                (&true.into(), &serde_json::json!(["🔥", "⚽"]))
            );
        }
        let closed = Client::connect(address, "/v1/rooms/closed/feed").next();
        assert_eq!((&closed["open"], &closed["emoji"]), (&false.into(), &Value::Null));
        assert!(get(address, "/v1/rooms/closed").contains(r#""open":false,"emoji":null"#));
        clients
    })
    .await;
    stage.write(&[("a", 1, 0, 1, true)]).await;
    let seen = beside(move || clients.each_mut().map(|client| client.until(1))).await;
    assert!(seen.iter().all(|seen| seen.last().unwrap()["watching"] == 3), "{seen:?}");
    gateway.end().await;
    stage.broker.shutdown().await;
}
