//! Whatever is done to a log, the audit finds it, and says where.

use crate::support::{Later, Topics, garbage, tap, tick};
use ovation_audit::{Difference, Kind, PartitionReport, Place};
use ovation_client::Record;
use serde_json::{Value, json};

/// A log with a bit of everything: hopping and session windows, partial lateness, a retraction, duplicates, rejects.
fn busy() -> Topics {
    let mut events = Vec::new();
    for n in 0..200i64 {
        let room = ["lobby", "final", "side"][(n % 3) as usize];
        let at = n * 60 + (n / 50) * 1_500;
        events.push(tap(
            room,
            ["🔥", "❤", "👏🏽"][(n % 7 % 3) as usize],
            1 + n as u64 % 5,
            at,
            Some(&format!("id{n}")),
        ));
        match n % 20 {
            3 => events.push(tap(room, "🔥", 2, at, Some(&format!("id{n}")))),
            // In time for the last hopping window only.
            7 => events.push(tap(room, "👏", 1, at - 1_800, None)),
            11 => events.push(tap(room, "👏", 3, at - 9_000, None)),
            13 => events.push(garbage(room, b"{", at)),
            14 => events.push(garbage(room, br#"{"room":"lobby","emoji":"fire"}"#, at)),
            15 => events.push(garbage("\u{1}reject", b"{}", at)),
            16 => events.push(garbage(room, &[0xff, 0xfe], at)),
            17 => events.push(tick(at + 40)),
            _ => {}
        }
    }
    // Two sessions that a third reaction joins, after the later one was published.
    for (at, id) in
        [(40_000, "a"), (40_900, "b"), (41_000, "c"), (41_300, "d"), (40_450, "joins"), (40_100, "e")]
    {
        events.push(tap("joined", "🔥", 1, at, Some(id)));
    }
    events.extend([tick(41_400), tick(60_000), tick(60_500), tick(61_000)]);
    let mut topics = Topics::default();
    topics.run(1, &events, &[1, 5, 30, 2]);
    topics
}

fn value(record: &Record) -> Value {
    serde_json::from_slice(&record.value).unwrap_or_default()
}

/// Index of the middle one of the records that fit.
fn pick(records: &[Record], fits: impl Fn(&Value) -> bool) -> usize {
    let found: Vec<usize> = records
        .iter()
        .enumerate()
        .filter(|(_, record)| fits(&value(record)))
        .map(|(index, _)| index)
        .collect();
    found[found.len() / 2]
}

/// The kinds of what was found.
fn kinds(report: &PartitionReport) -> Vec<Kind> {
    report.differences.iter().map(|difference| difference.kind).collect()
}

/// Writes a stored record anew.
fn rewrite(record: &mut Record, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&record.value).expect("JSON");
    change(&mut value);
    record.value = value.to_string().into();
}

fn of_kind(report: &PartitionReport, kind: Kind) -> &Difference {
    report.differences.iter().find(|difference| difference.kind == kind).unwrap_or_else(|| {
        panic!("no {kind:?} among {:#?}", report.differences);
    })
}

#[test]
fn an_honest_log_is_clean_and_adds_up() {
    let topics = busy();
    let report = topics.audit();
    assert_eq!(report.differences, []);
    assert_eq!(
        (report.results, report.dead_letters),
        (topics.sink.len() as u64, topics.letters.len() as u64)
    );
    let sum = |of: fn(&ovation_audit::WindowLine) -> u64| -> Vec<u64> {
        (0..4).map(|window| report.rooms.iter().map(|room| of(&room.windows[window])).sum()).collect()
    };
    assert_eq!(sum(|window| window.open), [0; 4], "the last ticks have closed all windows");
    assert!(sum(|window| window.late).iter().all(|late| *late > 0), "each definition has late ones");
    assert_eq!(
        sum(|window| window.places)[1],
        3 * sum(|window| window.places)[0],
        "3 s windows every second"
    );
    let duplicates: u64 = report.rooms.iter().map(|room| room.duplicates).sum();
    assert_eq!(duplicates, 10 * 2);
    let rejected: u64 = report.rooms.iter().map(|room| room.rejected).sum();
    assert_eq!(rejected, 4 * 10);
    assert!(
        topics.sink.iter().any(|record| value(record)["retracted"] == json!(true)),
        "a session was retracted"
    );
    assert!(topics.letters.iter().any(|record| value(record)["windows_missed"] == json!(2)), "partly late");
}

#[test]
fn a_lost_final_is_missing_and_its_taps_too() {
    let mut topics = busy();
    let lost =
        pick(&topics.sink, |value| value["final"] == json!(true) && value["window"]["name"] == "hopping");
    let lost = value(&topics.sink.remove(lost));
    let report = topics.audit();
    assert_eq!(kinds(&report), [Kind::Missing, Kind::Conservation]);
    let missing = of_kind(&report, Kind::Missing);
    assert_eq!(missing.seq, lost["seq"].as_u64());
    assert_eq!(missing.source_offset, lost["source"]["offset"].as_i64());
    let room = report.rooms.iter().find(|room| room.room == lost["room"]).expect("its room");
    assert_eq!(room.windows[1].difference(), lost["total"].as_i64().expect("a number"));
    assert_eq!(room.windows[0].difference(), 0, "the other definitions agree");
}

#[test]
fn a_lost_running_update_is_missing() {
    let mut topics = busy();
    let lost = pick(&topics.sink, |value| value["final"] == json!(false));
    topics.sink.remove(lost);
    assert_eq!(kinds(&topics.audit()), [Kind::Missing]);
}

#[test]
fn a_repeated_result_is_named_with_its_offset() {
    let mut topics = busy();
    let end = topics.sink.len() as i64;
    let again = topics.sink[40].clone();
    topics.sink.push(Record { offset: end, ..again });
    let report = topics.audit();
    assert_eq!(kinds(&report), [Kind::Repeated]);
    let repeated = of_kind(&report, Kind::Repeated);
    assert_eq!((repeated.seq, repeated.offset), (Some(41), Some(end)));
}

#[test]
fn a_changed_count_is_shown() {
    let mut topics = busy();
    let changed = pick(&topics.sink, |value| {
        value["final"] == json!(true) && value["total"] != json!(0) && value["window"]["name"] == "session"
    });
    rewrite(&mut topics.sink[changed], |value| {
        value["total"] = json!(value["total"].as_u64().expect("taps") + 1)
    });
    let report = topics.audit();
    assert_eq!(kinds(&report), [Kind::Changed, Kind::Conservation]);
    let found = of_kind(&report, Kind::Changed);
    assert_eq!(found.offset, Some(changed as i64));
    assert_ne!(found.expected, found.found);
}

#[test]
fn a_retraction_that_keeps_its_taps_is_found_by_both_checks() {
    let mut topics = busy();
    let retracted = pick(&topics.sink, |value| value["retracted"] == json!(true));
    rewrite(&mut topics.sink[retracted], |value| value["total"] = json!(1));
    assert_eq!(kinds(&topics.audit()), [Kind::Changed, Kind::Conservation]);
}

#[test]
fn changed_totals_of_a_room_are_found_by_both_checks() {
    let mut topics = busy();
    let changed = topics.sink.len() - 1;
    rewrite(&mut topics.sink[changed], |value| value["room_totals"]["duplicates"] = json!(777));
    let report = topics.audit();
    assert_eq!(kinds(&report), [Kind::Changed, Kind::Totals]);
    assert!(of_kind(&report, Kind::Totals).found.as_deref().is_some_and(|found| found.contains("777")));
}

#[test]
fn a_missing_dead_letter_is_found_by_both_checks() {
    let mut topics = busy();
    let lost = pick(&topics.letters, |value| value["reason"] == "unknown_emoji");
    let lost = value(&topics.letters.remove(lost));
    let report = topics.audit();
    assert_eq!(kinds(&report), [Kind::Missing, Kind::NoLetter]);
    assert_eq!(of_kind(&report, Kind::NoLetter).source_offset, lost["source"]["offset"].as_i64());
}

#[test]
fn a_missing_late_letter_leaves_taps_unexplained() {
    let mut topics = busy();
    let lost = pick(&topics.letters, |value| value["windows_missed"] == json!(2));
    topics.letters.remove(lost);
    let found = kinds(&topics.audit());
    assert!(found.contains(&Kind::Missing) && found.contains(&Kind::Conservation), "{found:?}");
    assert!(found.contains(&Kind::Totals), "the room's own totals count it: {found:?}");
}

#[test]
fn a_forged_dead_letter_is_found() {
    let mut topics = busy();
    let (offset, seq) = (topics.letters.len() as i64, topics.letters.len() + 1);
    let mut forged = topics.letters[3].clone();
    rewrite(&mut forged, |value| value["seq"] = json!(seq));
    topics.letters.push(Record { offset, ..forged });
    let report = topics.audit();
    assert!(kinds(&report).contains(&Kind::Unexpected) && kinds(&report).contains(&Kind::WrongLetter));
    assert_eq!(of_kind(&report, Kind::Unexpected).offset, Some(offset));
}

#[test]
fn a_dead_letter_with_another_reason_or_event_is_found_by_both_checks() {
    for (field, text) in [("reason", "bad_room"), ("event", "{\"something\":\"else\"}")] {
        let mut topics = busy();
        let changed = pick(&topics.letters, |value| value["reason"] == "malformed");
        rewrite(&mut topics.letters[changed], |value| value[field] = json!(text));
        assert_eq!(kinds(&topics.audit()), [Kind::Changed, Kind::WrongLetter], "{field}");
    }
}

#[test]
fn a_forged_final_is_found_by_both_checks() {
    let mut topics = busy();
    let (offset, seq) = (topics.sink.len() as i64, topics.sink.len() + 1);
    let mut forged = topics.sink[topics.sink.len() - 1].clone();
    rewrite(&mut forged, |value| {
        value["seq"] = json!(seq);
        value["total"] = json!(1_000);
    });
    topics.sink.push(Record { offset, ..forged });
    let report = topics.audit();
    assert_eq!(kinds(&report), [Kind::Unexpected, Kind::Conservation]);
    assert_eq!(of_kind(&report, Kind::Unexpected).seq, Some(seq as u64));
}

#[test]
fn a_reaction_that_vanished_from_the_source_is_found() {
    let mut topics = busy();
    let place = topics.place();
    let gone = pick(&topics.source, |value| value["room"] == "final");
    topics.source.remove(gone);
    let report = topics.audit_at(place, Later::default());
    let found = kinds(&report);
    assert!(found.contains(&Kind::Changed) && found.contains(&Kind::Conservation), "{found:?}");
    let first = of_kind(&report, Kind::Changed).source_offset.expect("where");
    assert!(first >= gone as i64, "nothing before it differs");
}

#[test]
fn something_else_in_the_sink_is_found() {
    for foreign in [json!("hello"), json!({"stage": "other", "epoch": 1, "seq": 1, "source": {"offset": 1}})]
    {
        let mut topics = busy();
        let (offset, value) = (topics.sink.len() as i64, foreign.to_string().into());
        topics.sink.push(Record { partition: 0, offset, timestamp: 0, key: None, value });
        assert_eq!(kinds(&topics.audit()), [Kind::Foreign]);
    }
}

#[test]
fn an_inversion_is_noted_and_no_difference() {
    let mut topics = busy();
    topics.sink.swap(20, 21);
    let report = topics.audit();
    assert_eq!((report.differences, report.inversions), (vec![], 1));
}

#[test]
fn a_tail_that_comes_in_time_is_waited_for_and_one_that_does_not_is_behind() {
    let mut topics = busy();
    let place = topics.place();
    let tail = topics.sink.split_off(topics.sink.len() - 30);
    let letters = topics.letters.split_off(topics.letters.len() - 5);
    let first = value(&tail[0])["seq"].as_u64();
    let came = Later { sink: tail.clone(), letters: letters.clone() };
    assert_eq!(topics.audit_at(place.clone(), came).differences, []);
    let late = Later { sink: Vec::new(), letters };
    let report = topics.audit_at(place, late);
    let behind = of_kind(&report, Kind::Behind);
    assert_eq!((behind.seq, behind.count), (first, 30));
}

#[test]
fn what_is_stored_after_the_audit_began_is_in_flight() {
    let topics = busy();
    let whole = topics.place();
    let source = 0..whole.source.end - 100;
    // Results whose records are within the range may have been stored after it was taken.
    let ends = |records: &[Record]| {
        records.iter().filter(|one| value(one)["source"]["offset"].as_i64() < Some(source.end)).count() as i64
    };
    let (sink, letters) = (0..ends(&topics.sink) - 10, 0..ends(&topics.letters) - 2);
    let later = Later {
        sink: topics.sink[sink.end as usize..].to_vec(),
        letters: topics.letters[letters.end as usize..].to_vec(),
    };
    let report = topics.audit_at(Place { source, sink, letters, ..whole }, later);
    assert_eq!(report.differences, []);
    let open: u64 = report.rooms.iter().flat_map(|room| &room.windows).map(|window| window.open).sum();
    assert!(open > 0, "windows of a running system are open");
}

#[test]
fn a_new_epoch_is_audited_alone() {
    let mut topics = busy();
    let (start, old) = (topics.source.len() as i64, topics.sink.len());
    // What the older epoch holds is not looked at, whatever was done to it.
    rewrite(&mut topics.sink[5], |value| value["total"] = json!(99));
    let events: Vec<_> = (0..40).map(|n| tap("lobby", "🔥", 1, 70_000 + n * 50, None)).collect();
    topics.run(2, &events, &[7]);
    let place = Place { epoch: 2, source: start..topics.source.len() as i64, ..topics.place() };
    let report = topics.audit_at(place.clone(), Later::default());
    assert_eq!(report.differences, []);
    assert_eq!(report.rooms[0].taps, 40);
    topics.sink.remove(old + 3);
    assert_eq!(kinds(&topics.audit_at(place, Later::default())), [Kind::Missing]);
}
