//! The feed of a real gateway on a real broker, with results written by hand: what clients get that come, go, lag and come back.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;
use tungstenite::Message;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::stage::{Client, PATIENCE, Stage, beside, get};

/// The code with which a client is closed; what comes before is let go.
fn closed(client: &mut Client) -> CloseCode {
    loop {
        match client.0.read().unwrap() {
            Message::Close(Some(frame)) => return frame.code,
            Message::Close(None) => panic!("no code"),
            _ => {}
        }
    }
}

fn seqs(messages: &[Value]) -> Vec<u64> {
    messages.iter().filter_map(|message| message["update"]["seq"].as_u64()).collect()
}

fn finals(messages: &[Value]) -> Vec<u64> {
    let finals = messages.iter().filter(|message| message["update"]["final"] == true);
    finals.map(|message| message["update"]["seq"].as_u64().unwrap()).collect()
}

fn windows(snapshot: &Value) -> Vec<u64> {
    snapshot["windows"].as_array().unwrap().iter().map(|window| window["seq"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_resumes_from_the_topic_what_no_gateway_knows_any_more() {
    let stage = Stage::start().await;
    stage.write(&[("a", 1, 0, 1, false)]).await;
    let first = stage.gateway(|_| ()).await;
    let address = first.address;
    let cursor = beside(move || {
        let snapshot = Client::connect(address, "/v1/rooms/a/feed").next();
        assert_eq!(windows(&snapshot), [1]);
        snapshot["cursor"].as_str().unwrap().to_owned()
    })
    .await;
    first.end().await;
    // Far more finals than a gateway keeps; each window has a revision before, and others are in between.
    let mut results = Vec::new();
    for window in 0..300 {
        let seq = 2 + window * 3;
        results.push(("a", seq, window * 10, 2, false));
        results.push(("b", seq + 1, window * 10, 1, true));
        results.push(("a", seq + 2, window * 10, 3, true));
    }
    stage.write(&results).await;
    let second = stage
        .gateway(|config| {
            config.tail_records = 50;
            config.finals_per_room = 5;
            config.resume_updates_per_room = 4;
        })
        .await;
    let address = second.address;
    let (one, many) = beside(move || {
        let one = Client::connect(address, &format!("/v1/rooms/a/feed?after={cursor}")).until(901);
        let many = Client::connect(address, &format!("/v1/feed?rooms=a,b&after={cursor}")).until(901);
        (one, many)
    })
    .await;
    let expected: Vec<u64> = (0..300).map(|window| 4 + window * 3).collect();
    assert_eq!(finals(&one), expected, "every final, once and in order");
    assert!(one.iter().all(|message| message["type"] != "snapshot"));
    let expected: Vec<u64> = (0..300).flat_map(|window| [3 + window * 3, 4 + window * 3]).collect();
    assert_eq!(finals(&many), expected);
    // Interrupted in the middle of that.
    let cursor = many[99]["cursor"].as_str().unwrap().to_owned();
    let path = format!("/v1/feed?rooms=b,a&after={cursor}");
    let rest = beside(move || Client::connect(address, &path).until(901)).await;
    assert_eq!(finals(&rest), expected[finals(&many[..100]).len()..]);
    second.end().await;
    stage.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_that_finds_the_way_free_again_keeps_no_client_from_the_rest() {
    let stage = Stage::start().await;
    let windows: Vec<_> = (1..=600).map(|window| ("a", window, window * 10, 1, true)).collect();
    stage.write(&windows).await;
    let gateway = stage
        .gateway(|config| {
            config.finals_per_room = 600;
            config.connections.unsent_bytes_max = 4_096;
        })
        .await;
    let address = gateway.address;
    let seen = beside(move || {
        // The first ping comes at once, while the client is given what it missed: in one of a few cases in between.
        let path = "/v1/rooms/a/feed?after=eyIwIjpbMSwwXX0";
        (0..40).map(|_| Client::connect(address, path).until(600).len()).collect::<Vec<_>>()
    })
    .await;
    assert_eq!(seen, [600; 40]);
    gateway.end().await;
    stage.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_cannot_be_resumed_gets_a_snapshot_that_says_so() {
    let stage = Stage::start().await;
    // The log begins late: what was before has been removed.
    stage.write(&[("a", 500, 0, 7, true), ("a", 501, 10, 1, false)]).await;
    let gateway = stage.gateway(|_| ()).await;
    let address = gateway.address;
    beside(move || {
        // Epoch 1, seq 100 of partition 0; and one that is ahead of the topic.
        for cursor in ["eyIwIjpbMSwxMDBdfQ", "eyIwIjpbMSw5OTldfQ", "nonsense"] {
            for path in ["/v1/rooms/a/feed", "/v1/feed"] {
                let rooms = if path == "/v1/feed" { "&rooms=a" } else { "" };
                let snapshot = Client::connect(address, &format!("{path}?after={cursor}{rooms}")).next();
                assert_eq!((&snapshot["type"], &snapshot["resumed"]), (&"snapshot".into(), &false.into()));
                assert_eq!(windows(&snapshot), [500, 501], "{cursor} {path}");
            }
        }
        assert_eq!(Client::connect(address, "/v1/rooms/a/feed").next().get("resumed"), None);
    })
    .await;
    gateway.end().await;
    stage.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repeats_and_disorder_in_the_topic_reach_no_client() {
    let stage = Stage::start().await;
    stage.write(&[("a", 2, 0, 2, false), ("a", 1, 0, 1, false), ("a", 2, 0, 2, false)]).await;
    let gateway = stage.gateway(|_| ()).await;
    let address = gateway.address;
    let mut client = beside(move || Client::connect(address, "/v1/rooms/a/feed")).await;
    let (snapshot, mut client) = beside(move || (client.next(), client)).await;
    assert_eq!(windows(&snapshot), [2]);
    stage.write(&[("a", 4, 0, 4, true), ("a", 3, 0, 3, false), ("a", 4, 0, 4, true)]).await;
    stage.write(&[("a", 2, 0, 2, false), ("a", 5, 10, 1, false)]).await;
    let seen = beside(move || client.until(5)).await;
    assert_eq!(seqs(&seen), [3, 4, 5]);
    gateway.end().await;
    stage.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_misses_what_is_superseded_and_no_final_and_nobody_else_anything() {
    let stage = Stage::start().await;
    let gateway = stage.gateway(|config| config.connections.unsent_bytes_max = 4_096).await;
    let address = gateway.address;
    let (mut slow, mut quick) = beside(move || {
        let [mut slow, mut quick] = [0, 1].map(|_| Client::connect(address, "/v1/rooms/a/feed"));
        slow.next();
        quick.next();
        (slow, quick)
    })
    .await;
    // Ten windows of many revisions: far more than what is on its way to a client that does not read.
    let mut all = Vec::new();
    for window in 0..10 {
        for revision in 1..=2_000 {
            all.push(("a", window * 2_000 + revision, window * 10, revision, revision == 2_000));
        }
    }
    let last = all.len() as u64;
    let reader = tokio::task::spawn_blocking(move || quick.until(last));
    for some in all.chunks(20) {
        stage.write(some).await;
    }
    let quick = reader.await.unwrap();
    let expected: Vec<u64> = (1..=10).map(|window| window * 2_000).collect();
    assert_eq!(finals(&quick), expected);
    let slow = beside(move || slow.until(last)).await;
    assert_eq!(finals(&slow), expected);
    let skipped: u64 = slow.iter().filter_map(|message| message["count"].as_u64()).sum();
    assert!(skipped > 1_000, "{skipped}");
    assert_eq!(seqs(&slow).len() as u64 + skipped, last, "each update came or was skipped");
    let numbers = seqs(&slow);
    assert!(numbers.is_sorted() && numbers.iter().collect::<BTreeSet<_>>().len() == numbers.len());
    gateway.end().await;
    stage.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_closed_with_a_code_that_says_so() {
    let stage = Stage::start().await;
    let gateway = stage
        .gateway(|config| {
            config.write_timeout = Duration::from_millis(500);
            config.connections.unsent_bytes_max = 4_096;
        })
        .await;
    let address = gateway.address;
    let mut client = beside(move || {
        let mut client = Client::connect(address, "/v1/rooms/a/feed");
        client.next();
        client
    })
    .await;
    let started = Instant::now();
    let mut seq = 0;
    // Until the client's own buffers are full, and the gateway has lost its patience.
    loop {
        let metrics = beside(move || get(address, "/metrics")).await;
        if metrics.contains("ovation_feeds_ended_total{why=\"slow\"} 1") {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{metrics}");
        let some: Vec<_> = (1..=200).map(|more| ("a", seq + more, seq + more, 1, true)).collect();
        stage.write(&some).await;
        seq += 200;
    }
    let code = beside(move || closed(&mut client)).await;
    assert_eq!(u16::from(code), 4408);
    gateway.end().await;
    stage.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_end_clients_are_sent_elsewhere_over_a_while() {
    let stage = Stage::start().await;
    let gateway = stage
        .gateway(|config| {
            config.drain = Duration::from_secs(4);
            config.drain_spread = Duration::from_secs(1);
        })
        .await;
    let address = gateway.address;
    let clients: Vec<Client> = beside(move || {
        let paths = (0..40).map(|client| format!("/v1/rooms/r{}/feed", client % 3));
        let mut clients: Vec<_> = paths.map(|path| Client::connect(address, &path)).collect();
        clients.iter_mut().for_each(|client| drop(client.next()));
        clients
    })
    .await;
    let started = Instant::now();
    gateway.shutdown.cancel();
    let closing =
        clients.into_iter().map(|mut client| beside(move || (closed(&mut client), started.elapsed())));
    let closed = futures_util::future::join_all(closing).await;
    assert!(closed.iter().all(|(code, _)| *code == CloseCode::Restart));
    let times: Vec<_> = closed.iter().map(|(_, time)| *time).collect();
    let spread = *times.iter().max().unwrap() - *times.iter().min().unwrap();
    assert!(spread > Duration::from_millis(400), "{spread:?}");
    gateway.ended.await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(4), "nobody was cut");
    stage.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_client_gets_what_it_chose() {
    let stage = Stage::start().await;
    stage.write(&[("a", 1, 0, 1, true), ("b", 2, 0, 1, false)]).await;
    let gateway = stage.gateway(|_| ()).await;
    let address = gateway.address;
    let mut clients = beside(move || {
        let paths = [
            "/v1/rooms/a/feed",
            "/v1/rooms/a/feed?emit=final",
            "/v1/rooms/a/feed?fields=total",
            "/v1/rooms/a/feed?every=1s",
            "/v1/feed?rooms=a,b",
            "/v1/feed?rooms=*&emit=final",
        ];
        paths.map(|path| Client::connect(address, path))
    })
    .await;
    let first = |client: &mut Client| windows(&client.next());
    let (firsts, mut clients) = beside(move || {
        let mut firsts: Vec<_> = clients.iter_mut().map(first).collect();
        firsts.push(first(&mut clients[4]));
        firsts.push(first(&mut clients[5]));
        (firsts, clients)
    })
    .await;
    assert_eq!(firsts[..4], [vec![1], vec![1], vec![1], vec![1]]);
    // Of two rooms each, in some order.
    assert_eq!(BTreeSet::from([&firsts[4], &firsts[6]]), BTreeSet::from([&vec![1], &vec![2]]));
    assert_eq!(BTreeSet::from([&firsts[5], &firsts[7]]), BTreeSet::from([&vec![1], &vec![]]));
    stage.write(&[("a", 3, 10, 1, false), ("a", 4, 10, 2, false), ("b", 5, 0, 2, true)]).await;
    stage.write(&[("a", 6, 10, 3, true)]).await;
    let seen = beside(move || clients.each_mut().map(|client| client.until(6))).await;
    assert_eq!(seqs(&seen[0]), [3, 4, 6]);
    assert_eq!(seqs(&seen[1]), [6]);
    let [total, other] = [&seen[2][2]["update"]["total"], &seen[2][2]["update"]["counts"]];
    assert_eq!((total, other), (&3.into(), &Value::Null));
    // Mostly 6 alone: its time may come between two of them.
    assert!(seqs(&seen[3]).len() < 3, "what it would have got meanwhile has been superseded: {:?}", seen[3]);
    assert!(seen[3].iter().all(|message| message["type"] != "skipped"), "as it wished");
    assert_eq!(seqs(&seen[4]), [3, 4, 5, 6]);
    assert_eq!(seqs(&seen[5]), [5, 6]);
    gateway.end().await;
    stage.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_seen_more_than_this_gateway_waits_for_it() {
    let stage = Stage::start().await;
    stage.write(&[("a", 1, 0, 1, false)]).await;
    let gateway = stage.gateway(|_| ()).await;
    let address = gateway.address;
    // Epoch 1, seq 2: another gateway has read it already.
    let seen = tokio::task::spawn_blocking(move || {
        let mut client = Client::connect(address, "/v1/rooms/a/feed?after=eyIwIjpbMSwyXX0");
        client.until(3)
    });
    stage.write(&[("a", 2, 0, 2, false), ("a", 3, 0, 3, false)]).await;
    let seen = seen.await.unwrap();
    assert_eq!((seqs(&seen), seen.len()), (vec![3], 1), "no snapshot, and nothing twice");
    gateway.end().await;
    stage.broker.shutdown().await;
}
