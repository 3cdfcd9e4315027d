//! Real messages against the types, and the types against the committed file.

use std::path::Path;

use ovation_reaction::{
    Moment as Told, RoomTotals as CountedTotals, Sentiment as Mood, UpdateSource as CountedSource,
    WindowRef as CountedWindow, WindowUpdate as Counted,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use ts_rs::Config;

use super::*;
use ovation_client::Stored;

use crate::feed;
use crate::history;
use crate::hub;
use crate::ingest::Taken;
use crate::pipeline::{self, StageStatus, TaskStatus};
use crate::problem;

/// The committed file.
const FILE: &str = "web/ovation-api.d.ts";

const HEAD: &str = "// What goes over the wire, made of the gateway's types: OVATION_UPDATE=1 cargo test -p ovation-gateway wire";

/// Reads JSON into a type and asserts that it comes out the same, so that no field is missing in the type.
fn assert_reads<T: DeserializeOwned + Serialize>(json: &str) -> T {
    let sent: Value = serde_json::from_str(json).expect("JSON");
    let read: T = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
    assert_eq!(serde_json::to_value(&read).expect("JSON"), sent);
    read
}

#[test]
fn the_committed_types_are_those_of_the_wire() {
    fn declared<T: TS>(config: &Config) -> String {
        format!("{}export {}\n", T::docs().unwrap_or_default(), T::decl(config))
    }
    // JSON has one kind of number.
    let config = Config::new().with_large_int("number");
    let text = [
        format!("{HEAD}\n"),
        declared::<Reaction>(&config),
        declared::<ReactionAccepted>(&config),
        declared::<BatchAnswer>(&config),
        declared::<BatchReject>(&config),
        declared::<Problem>(&config),
        declared::<Snapshot>(&config),
        declared::<ActiveRooms>(&config),
        declared::<ActiveRoom>(&config),
        declared::<WindowUpdate>(&config),
        declared::<Sentiment>(&config),
        declared::<WindowRef>(&config),
        declared::<History>(&config),
        declared::<HistoryWindow>(&config),
        declared::<HistoryStep>(&config),
        declared::<Moments>(&config),
        declared::<Moment>(&config),
        declared::<MomentPeak>(&config),
        declared::<MomentBaseline>(&config),
        declared::<MomentSentiment>(&config),
        declared::<TopicPlace>(&config),
        declared::<Pipeline>(&config),
        declared::<IngestRates>(&config),
        declared::<StageStatus>(&config),
        declared::<TaskStatus>(&config),
        declared::<RejectCounts>(&config),
        declared::<DeadLetter>(&config),
        declared::<RoomTotals>(&config),
        declared::<UpdateSource>(&config),
        declared::<FeedMessage>(&config),
        declared::<ClientMessage>(&config),
        declared::<React>(&config),
    ]
    .join("\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    if std::env::var_os("OVATION_UPDATE").is_some_and(|value| value == "1") {
        std::fs::write(&path, &text).expect("the file can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "{FILE} is not what the types say; run the test with OVATION_UPDATE=1");
}

#[test]
fn a_window_update_is_what_the_stage_writes() {
    let mut update = Counted {
        stage: "reactions".into(),
        epoch: 1,
        seq: 42,
        room: "final-2026".into(),
        window: CountedWindow { name: "10s".into(), kind: "tumbling".into(), start: 0, end: 10_000 },
        revision: 3,
        last: false,
        retracted: false,
        total: 7,
        counts: [("🔥".into(), 5), ("👏".into(), 2)].into(),
        top: vec!["🔥".into(), "👏".into()],
        rate: 0.7,
        users: None,
        sentiment: None,
        room_totals: CountedTotals { reactions: 7, late: 1, duplicates: 2, rejected: 3 },
        source: CountedSource { partition: 0, offset: 1_234 },
    };
    assert_reads::<WindowUpdate>(&serde_json::to_string(&update).expect("JSON"));
    update.retracted = true;
    update.last = true;
    update.users = Some(3);
    update.sentiment = Some(Mood { score: Some(0.5), coverage: 1.0, n: 7 });
    assert!(assert_reads::<WindowUpdate>(&serde_json::to_string(&update).expect("JSON")).retracted);
}

#[test]
fn history_comes_like_this() {
    for step in [None, Some(60_000)] {
        let read = assert_reads::<History>(&history::tests::answer(step));
        let [window] = &read.windows[..] else { panic!("one window") };
        assert_eq!(matches!(window, HistoryWindow::Step(_)), step.is_some());
        assert!(read.next.is_some());
    }
}

#[test]
fn a_moment_is_what_the_stage_writes() {
    let value = hub::moment::tests::moment("final-2026", (1, 3), 40_000, 2);
    // What the tests take for one is one.
    let told: Told<'_> = serde_json::from_str(&value).expect("a moment");
    assert_reads::<Moment>(&serde_json::to_string(&told).expect("JSON"));
    assert_eq!(
        serde_json::to_value(&told).expect("JSON"),
        serde_json::from_str::<Value>(&value).expect("JSON")
    );
}

#[test]
fn moments_come_like_this() {
    let read = assert_reads::<Moments>(&history::moments::tests::answer());
    assert!(matches!(&read.moments[..], [moment] if moment.room == "final-2026" && moment.revision == 2));
    assert!(read.next.is_some());
}

#[test]
fn operators_are_told_like_this() {
    let read = assert_reads::<Pipeline>(&pipeline::tests::told());
    assert!(read.stages.is_some_and(|stages| stages == [pipeline::tests::stage()]));
    let late = r#"{"reason":"late","detail":"x","room":"lobby","window":"10s","windows_missed":1,"event":"{}","stage":"reactions","epoch":1,"seq":2,"source":{"topic":"emoji-events","partition":0,"offset":9}}"#;
    let cut = late
        .replace("\"window\":\"10s\",\"windows_missed\":1,", "\"event_encoding\":\"base64\",\"cut\":true,");
    let rejects = format!(r#"{{"since":7,"total":3,"by_reason":{{"late":3}},"last":[{late},{cut}]}}"#);
    let read = assert_reads::<RejectCounts>(&rejects);
    assert_eq!((read.total, read.last.len(), read.last[1].cut), (3, 2, true));
}

#[test]
fn active_rooms_are_listed_like_this() {
    let read = assert_reads::<ActiveRooms>(&hub::tests::active("final-2026"));
    assert!(matches!(&read.rooms[..], [room] if room.room == "final-2026" && room.open_windows == 1));
}

#[test]
fn the_feed_sends_these_messages() {
    let [snapshot, anew, update, moment] = hub::tests::messages("final-2026");
    let FeedMessage::Snapshot(read) = assert_reads::<FeedMessage>(&snapshot) else { panic!("a snapshot") };
    assert_eq!((read.windows.len(), read.moments.len(), read.open), (1, 1, true));
    assert!(matches!(assert_reads::<FeedMessage>(&moment), FeedMessage::Moment { .. }));
    let read = assert_reads::<FeedMessage>(&anew);
    assert!(matches!(read, FeedMessage::Snapshot(Snapshot { resumed: Some(false), .. })));
    assert!(matches!(assert_reads::<FeedMessage>(&update), FeedMessage::Update { .. }));
    let place = Stored { partition: 0, offset: 7 };
    for is_duplicate in [false, true] {
        let taken = Taken { id: "019a".into(), place, is_duplicate };
        assert_reads::<FeedMessage>(&feed::ack(Some("mine-1"), Some(&taken)));
        assert_reads::<FeedMessage>(&feed::ack(None, Some(&taken)));
    }
    assert_reads::<FeedMessage>(&feed::ack(Some("mine-1"), None));
    let problem = problem::Problem::too_large(7);
    let FeedMessage::Error { problem, .. } = assert_reads(&feed::error(Some("mine-1"), &problem)) else {
        panic!("an error is an error")
    };
    assert_eq!(problem.status, 413);
    assert_reads::<FeedMessage>(r#"{"type":"skipped","count":7}"#);
}

#[test]
fn the_feed_takes_these_messages() {
    let react = React {
        r#ref: Some("mine-1".into()),
        emoji: "🔥".into(),
        count: Some(3),
        user: Some("u1".into()),
        id: Some("019a".into()),
    };
    let text = serde_json::to_string(&ClientMessage::React(react)).expect("JSON");
    let incoming: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(incoming["type"], "react");
    serde_json::from_str::<feed::message::Incoming<'_>>(&text).expect("a message of a client");
}
