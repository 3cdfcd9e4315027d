//! The hub, fed by hand.

use super::moment::tests::moment;
use super::update::tests::{TEXT, message, record};
use super::*;
use crate::form::Reach;

const ALL: Taste = Taste { form: TEXT, finals_only: false };

fn hub(rooms_max: usize) -> Arc<Hub> {
    let mut config = Config::new(ovation_client::Cluster::new("127.0.0.1:1"));
    config.rooms_max = rooms_max;
    config.resume_updates_per_room = 3;
    Hub::new(&config, Arc::new(RoomSettings::new(&config.rooms)))
}

fn apply(hub: &Hub, room: &str, seq: u64, start: i64, revision: u64, is_final: bool) {
    let value = record(room, (1, seq), start, revision, is_final);
    hub.apply(Update::read(0, value.as_bytes()).expect("a good record"));
}

fn apply_moment(hub: &Hub, room: &str, seq: u64, start: i64, revision: u64) {
    let value = moment(room, (1, seq), start, revision);
    hub.apply_moment(Moment::read(0, value.as_bytes()).expect("a good record"));
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("JSON")
}

fn seqs(updates: &[Arc<Update>]) -> Vec<u64> {
    updates.iter().map(|update| update.place.seq).collect()
}

/// Numbers of what a client with a cursor gets.
fn resumed(hub: &Hub, room: &str, seq: u64) -> Option<Vec<u64>> {
    match hub.resume(room, &Cursor::at(0, Place::new(1, seq))) {
        Resumed::Updates(updates, mark) => {
            assert_eq!(mark, hub.mark(room));
            Some(seqs(&updates))
        }
        Resumed::Older | Resumed::Ahead => None,
    }
}

/// The list of active rooms, with one.
pub(crate) fn active(room: &str) -> String {
    let hub = hub(10);
    hub.begin(0, Place::new(1, 0));
    apply(&hub, room, 1, 0, 1, false);
    format!(r#"{{"rooms":{}}}"#, hub.rooms(|_| true))
}

/// What a client of a room with one window and a moment gets first, what one gets that could not resume, an update, and more
/// of the moment.
pub(crate) fn messages(room: &str) -> [String; 4] {
    let hub = hub(10);
    hub.begin(0, Place::new(1, 0));
    apply(&hub, room, 1, 0, 1, false);
    apply_moment(&hub, room, 1, 0, 1);
    let (first, mark) = hub.snapshot(room, ALL, None);
    let (anew, _) = hub.snapshot(room, ALL, Some(false));
    apply(&hub, room, 2, 0, 2, false);
    apply_moment(&hub, room, 2, 0, 2);
    let Next::Updates { updates, .. } = hub.next(room, mark, false) else { panic!("an update") };
    let [update, moment] = [0, 1].map(|at: usize| updates[at].bytes(TEXT));
    [first, anew, update, moment].map(|event| message(&event).to_string())
}

#[test]
fn a_client_gets_a_snapshot_and_then_each_update_once() {
    let hub = hub(10);
    hub.begin(0, Place::new(1, 0));
    apply(&hub, "a", 1, 0, 1, true);
    apply(&hub, "a", 2, 10_000, 2, false);
    let (seat, mut changed) = hub.enter("a");
    let (snapshot, mark) = hub.snapshot("a", ALL, None);
    let snapshot = message(&snapshot);
    assert_eq!(snapshot["windows"].as_array().map(Vec::len), Some(2));
    assert_eq!(snapshot["room_totals"]["reactions"], 2);
    assert_eq!(snapshot["watching"], 1);
    assert_eq!(snapshot.get("resumed"), None);
    apply(&hub, "b", 3, 10_000, 1, false);
    assert_eq!(changed.has_changed().ok(), Some(false), "another room");
    apply(&hub, "a", 4, 10_000, 3, false);
    apply(&hub, "a", 4, 10_000, 3, false);
    assert!(changed.has_changed().is_ok_and(|changed| changed));
    changed.mark_unchanged();
    let Next::Updates { updates, skipped, mark } = hub.next("a", mark, false) else { panic!("known") };
    assert_eq!((seqs(&updates), skipped), (vec![4], 0));
    let Next::Updates { updates, .. } = hub.next("a", mark, false) else { panic!("known") };
    assert!(updates.is_empty());
    drop(seat);
    assert_eq!(json(&hub.object("a"))["watching"], 0);
}

#[test]
fn a_snapshot_is_made_once_for_all_who_come_and_anew_for_an_update() {
    let hub = hub(10);
    let _seat = hub.enter("a");
    apply(&hub, "a", 1, 0, 1, false);
    let (one, mark) = hub.snapshot("a", ALL, None);
    let (other, same) = hub.snapshot("a", ALL, None);
    assert_eq!((one.as_ptr(), mark), (other.as_ptr(), same));
    let finals = Taste { finals_only: true, ..ALL };
    assert_eq!(message(&hub.snapshot("a", finals, None).0)["windows"], json("[]"));
    assert_eq!(message(&hub.snapshot("a", ALL, Some(false)).0)["resumed"], false);
    apply(&hub, "a", 2, 0, 2, true);
    let (later, _) = hub.snapshot("a", ALL, None);
    assert_eq!(message(&later)["windows"][0]["revision"], 2);
    assert_eq!(message(&hub.snapshot("a", finals, None).0)["windows"][0]["revision"], 2);
}

#[test]
fn a_client_with_a_cursor_gets_what_it_missed_and_nothing_that_it_may_have_missed() {
    let hub = hub(10);
    hub.begin(0, Place::new(1, 0));
    let _seat = hub.enter("a");
    let cursor = message(&hub.snapshot("a", ALL, None).0)["cursor"].as_str().map(str::to_owned);
    let cursor = Cursor::decode(&cursor.expect("text")).expect("a cursor");
    assert_eq!(cursor, Cursor::at(0, Place::new(1, 0)));
    for seq in 1..=3 {
        apply(&hub, "a", seq, 0, seq, false);
    }
    assert_eq!(resumed(&hub, "a", 0), Some(vec![1, 2, 3]));
    apply(&hub, "a", 4, 0, 4, false);
    assert_eq!(resumed(&hub, "a", 0), Some(vec![4]), "the others are superseded");
    assert_eq!(resumed(&hub, "a", 3), Some(vec![4]));
    assert!(matches!(hub.resume("a", &Cursor::at(0, Place::new(1, 5))), Resumed::Ahead));
    assert!(matches!(hub.resume("a", &Cursor::default()), Resumed::Older));
}

#[test]
fn a_reader_that_is_behind_skips_what_is_superseded_and_no_final() {
    let hub = hub(10);
    let _seat = hub.enter("a");
    let mark = hub.mark("a");
    for window in 0..50 {
        apply(&hub, "a", 2 * window + 1, window as i64 * 10_000, 1, false);
        apply(&hub, "a", 2 * window + 2, window as i64 * 10_000, 2, true);
    }
    apply(&hub, "a", 101, 1_000_000, 1, false);
    let Next::Updates { updates, skipped, mark: now } = hub.next("a", mark, true) else { panic!("known") };
    assert_eq!(updates.len() as u64 + skipped, 101);
    assert_eq!(updates.iter().filter(|update| update.is_final).count(), 50);
    assert_eq!((updates.len(), now), (51, hub.mark("a")));
    for window in 50..70 {
        apply(&hub, "a", 2 * window + 2, window as i64 * 10_000, 2, true);
    }
    assert!(matches!(hub.next("a", mark, true), Next::Unknown { skipped: 121 }), "a final is gone");
}

#[test]
fn a_reader_of_many_rooms_gets_each_update_of_them_once() {
    let hub = hub(10);
    hub.begin(0, Place::new(1, 0));
    hub.begin(1, Place::new(1, 0));
    apply(&hub, "a", 1, 0, 1, true);
    apply(&hub, "b", 2, 0, 1, false);
    let (mark, cursor) = hub.mark_of_all();
    apply(&hub, "b", 3, 0, 2, false);
    // Its snapshots come one after the other, and tell of the same time.
    let many = Taste { form: Form { reach: Reach::Topic, ..TEXT }, finals_only: false };
    let snapshot = |room: &str| message(&hub.snapshot_at(room, many, mark, &cursor.encode(), None));
    assert_eq!(snapshot("a")["windows"].as_array().map(Vec::len), Some(1));
    assert_eq!(snapshot("b")["windows"], json("[]"), "the update comes");
    apply(&hub, "c", 4, 0, 1, false);
    let other = record("b", (1, 1), 0, 3, false);
    hub.apply(Update::read(1, other.as_bytes()).expect("a good record"));
    let covers = |room: &str| room != "c";
    let Next::Updates { updates, skipped, .. } = hub.next_of_all(mark, false, covers) else {
        panic!("known")
    };
    assert_eq!((seqs(&updates), skipped), (vec![3, 1], 0));
    let Next::Updates { updates: fewer, skipped, .. } = hub.next_of_all(mark, true, covers) else {
        panic!("known")
    };
    assert_eq!((seqs(&fewer), skipped), (vec![1], 1));
    let read = message(&updates[0].bytes(many.form))["cursor"].as_str().map(str::to_owned);
    let read = Cursor::decode(&read.expect("text")).expect("a cursor");
    let Resumed::Updates(rest, _) = hub.resume_all(&read, covers) else { panic!("known") };
    assert_eq!(seqs(&rest), [1], "its cursor covers both partitions");
    assert!(matches!(hub.resume_all(&Cursor::at(0, Place::new(1, 3)), covers), Resumed::Older));
}

/// Revisions of the moments in a list of updates, where they are none.
fn told(updates: &[Arc<Update>]) -> Vec<Option<u64>> {
    updates.iter().map(|update| update.moment().map(|moment| moment.revision)).collect()
}

fn cursor_of(update: &Update, form: Form) -> Cursor {
    let cursor = message(&update.bytes(form))["cursor"].as_str().map(str::to_owned);
    Cursor::decode(&cursor.expect("text")).expect("a cursor")
}

#[test]
fn a_moment_goes_out_among_the_updates_and_is_never_skipped() {
    let hub = hub(10);
    hub.begin(0, Place::new(1, 0));
    let (_seat, changed) = hub.enter("a");
    apply(&hub, "a", 1, 0, 1, false);
    let (mark, (of_all, _)) = (hub.mark("a"), hub.mark_of_all());
    apply_moment(&hub, "a", 1, 0, 1);
    assert!(changed.has_changed().is_ok_and(|changed| changed));
    apply(&hub, "a", 2, 0, 2, false);
    apply_moment(&hub, "a", 2, 0, 2);
    apply_moment(&hub, "a", 2, 0, 2);
    apply_moment(&hub, "a", 1, 0, 1);
    let expected = [Some(1), None, Some(2)];
    let Next::Updates { updates, skipped, .. } = hub.next("a", mark, false) else { panic!("known") };
    assert_eq!((told(&updates), skipped), (expected.to_vec(), 0), "repeats are none");
    assert_eq!(cursor_of(&updates[0], TEXT), Cursor::at(0, Place::new(1, 1)));
    assert_eq!(cursor_of(&updates[2], TEXT), Cursor::at(0, Place::new(1, 2)));
    assert!(updates.iter().filter(|update| ALL.takes(update)).count() == 3);
    let finals = Taste { finals_only: true, ..ALL };
    assert_eq!(updates.iter().filter(|update| finals.takes(update)).count(), 2, "moments are for everybody");
    let Next::Updates { updates, .. } = hub.next_of_all(of_all, false, |_| true) else { panic!("known") };
    assert_eq!(told(&updates), expected);
    // Far behind, when all but the windows and the last moments is forgotten.
    for seq in 3..=50 {
        apply(&hub, "a", seq, 0, seq, false);
    }
    let Next::Updates { updates, skipped, .. } = hub.next("a", mark, true) else { panic!("known") };
    assert_eq!((told(&updates), skipped), (vec![Some(2), None], 49), "the latest of it");
}

#[test]
fn a_snapshot_has_the_last_moments_and_what_the_room_takes() {
    let hub = hub(10);
    let _seat = hub.enter("a");
    assert_eq!(message(&hub.snapshot("a", ALL, None).0)["moments"], json("[]"));
    for number in (1..=20).rev() {
        apply_moment(&hub, "a", 21 - number, number as i64 * 100_000, 1);
    }
    let (mark, cursor) = hub.mark_of_all();
    apply_moment(&hub, "a", 21, 2_000_000, 2);
    let snapshot = message(&hub.snapshot("a", ALL, None).0);
    let starts = |snapshot: &serde_json::Value| -> Vec<i64> {
        let moments = snapshot["moments"].as_array().expect("a list").iter();
        moments.map(|moment| moment["start"].as_i64().expect("ms") / 100_000).collect()
    };
    assert_eq!(starts(&snapshot), (5..=20).collect::<Vec<_>>(), "the last 16, oldest first");
    assert_eq!(snapshot["moments"][15]["revision"], 2);
    assert_eq!((&snapshot["open"], &snapshot["emoji"]), (&true.into(), &serde_json::Value::Null));
    assert_eq!(json(&hub.object("a"))["moments"].as_array().map(Vec::len), Some(16));
    // Of a reader of many, who gets the last one as a message.
    let before = message(&hub.snapshot_at("a", ALL, mark, &cursor.encode(), None));
    assert_eq!(starts(&before), (5..=19).collect::<Vec<_>>());
    hub.reset(0);
    assert_eq!(starts(&json(&hub.object("a"))).len(), 16, "they are of another topic");
    hub.forget_moments(0);
    assert_eq!(json(&hub.object("a"))["moments"], json("[]"));
}

#[test]
fn who_resumes_gets_the_moments_of_the_last_minutes_again() {
    let hub = hub(10);
    hub.begin(0, Place::new(1, 0));
    apply(&hub, "a", 1, 0, 1, false);
    let now = now_ms();
    apply_moment(&hub, "a", 1, now - 2 * MOMENTS_AGAIN_MS, 1);
    apply_moment(&hub, "a", 2, now - MOMENTS_AGAIN_MS / 2, 3);
    apply_moment(&hub, "b", 3, now - 30_000, 1);
    apply(&hub, "a", 2, 0, 2, true);
    let cursor = Cursor::at(0, Place::new(1, 1));
    let Resumed::Updates(updates, mark) = hub.resume("a", &cursor) else { panic!("known") };
    assert_eq!((told(&updates), mark), (vec![None, Some(3)], hub.mark("a")));
    let many = Form { reach: Reach::Topic, ..TEXT };
    assert_eq!(cursor_of(&updates[1], TEXT), Cursor::at(0, Place::new(1, 2)), "behind all that was missed");
    let Resumed::Updates(same, _) = hub.resume("a", &cursor) else { panic!("known") };
    assert_eq!(same[1].bytes(many).as_ptr(), updates[1].bytes(many).as_ptr(), "made once for all");
    let Resumed::Updates(updates, _) = hub.resume_all(&cursor, |_| true) else { panic!("known") };
    assert_eq!(told(&updates), [None, Some(3), Some(1)]);
    let Resumed::Updates(updates, _) = hub.resume_all(&cursor, |room| room == "b") else { panic!("known") };
    assert_eq!(told(&updates), [Some(1)]);
}

#[test]
fn a_room_that_a_moment_told_of_first_knows_what_was_before_the_hubs_time() {
    let hub = hub(10);
    apply_moment(&hub, "a", 1, 0, 1);
    let _seat = hub.enter("b");
    hub.begin(0, Place::new(1, 4));
    apply(&hub, "a", 5, 0, 5, false);
    apply(&hub, "b", 6, 0, 6, false);
    for room in ["a", "b"] {
        assert_eq!(resumed(&hub, room, 3), None, "seq 4 was never here");
    }
    assert_eq!(resumed(&hub, "a", 4), Some(vec![5]));
    assert_eq!(hub.active(|_| true), ["b".into(), "a".into()]);
}

#[test]
fn an_update_says_how_many_watch() {
    let hub = hub(10);
    let seats = [hub.enter("a"), hub.enter("a")];
    let mark = hub.mark("a");
    apply(&hub, "a", 1, 0, 1, false);
    drop(seats);
    let Next::Updates { updates, .. } = hub.next("a", mark, false) else { panic!("known") };
    assert_eq!(message(&updates[0].bytes(TEXT))["watching"], 2);
}

#[test]
fn rooms_are_bounded_and_a_forgotten_one_is_not_resumed() {
    let hub = hub(2);
    hub.begin(0, Place::new(1, 0));
    apply(&hub, "a", 1, 0, 1, false);
    apply(&hub, "b", 2, 0, 1, false);
    let seat = hub.enter("a");
    apply(&hub, "c", 3, 0, 1, false);
    let rooms = json(&hub.rooms(|_| true));
    let names: Vec<_> = rooms.as_array().expect("a list").iter().map(|room| room["room"].clone()).collect();
    assert_eq!(names, ["c", "a"], "the room that is watched stays");
    assert_eq!(json(&hub.rooms(|room| room == "a")).as_array().map(Vec::len), Some(1));
    drop(seat);
    let _seat = hub.enter("b");
    assert_eq!(resumed(&hub, "b", 1), None);
    assert_eq!(resumed(&hub, "b", 2), Some(vec![]), "it had read all that was forgotten");
}

#[test]
fn a_log_that_was_made_anew_sends_its_readers_to_a_snapshot() {
    let hub = hub(10);
    let (_seat, changed) = hub.enter("a");
    apply(&hub, "a", 7, 0, 1, false);
    let (mark, (of_all, _)) = (hub.mark("a"), hub.mark_of_all());
    hub.reset(0);
    assert!(changed.has_changed().is_ok_and(|changed| changed));
    assert!(matches!(hub.next("a", mark, false), Next::Unknown { .. }));
    assert!(matches!(hub.next_of_all(of_all, false, |_| true), Next::Unknown { .. }));
    apply(&hub, "a", 1, 0, 1, false);
    let (snapshot, mark) = hub.snapshot("a", ALL, None);
    assert_eq!(message(&snapshot)["windows"][0]["seq"], 1);
    assert!(matches!(hub.next("a", mark, false), Next::Updates { updates, .. } if updates.is_empty()));
}

#[test]
fn a_room_without_reactions_is_empty_not_unknown() {
    let snapshot = json(&hub(2).object("nobody"));
    assert_eq!(snapshot["room"], "nobody");
    assert_eq!(snapshot["windows"], serde_json::json!([]));
    assert_eq!(snapshot["room_totals"]["reactions"], 0);
}
