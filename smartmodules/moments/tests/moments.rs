//! The stage as the broker runs it, natively: finals in, moments out.

use ovation_moments::Moments;
use ovation_processor::native::{Answered, call};
use ovation_processor::{Contract, Params, Transform};
use serde_json::{Value, json};

const SIZE: i64 = 10_000;
const USUAL: [(&str, u64); 2] = [("👏", 8), ("😭", 2)];

/// The final of a room's window number `at`.
fn last(room: &str, at: i64, counts: &[(&str, u64)]) -> (String, String) {
    let counts: serde_json::Map<String, Value> =
        counts.iter().map(|(emoji, taps)| ((*emoji).to_owned(), json!(taps))).collect();
    let total: u64 = counts.values().filter_map(Value::as_u64).sum();
    let value = json!({
        "stage": "reactions", "epoch": 1, "seq": at + 1, "room": room,
        "window": {"name": "10s", "kind": "tumbling", "start": at * SIZE, "end": (at + 1) * SIZE},
        "revision": 2, "final": true, "total": total, "counts": counts, "top": [], "rate": 0.0, "users": total / 2,
        "sentiment": null, "room_totals": {"reactions": 0, "late": 0, "duplicates": 0, "rejected": 0},
        "source": {"partition": 0, "offset": 1_000 + at},
    });
    (room.to_owned(), value.to_string())
}

fn open(params: &[(&str, &str)]) -> Contract<Moments> {
    Contract::open(&Params::from_iter(params.iter().copied())).expect("opens")
}

fn run(module: &mut Contract<Moments>, offset: i64, records: &[(String, String)]) -> Vec<Answered> {
    let records: Vec<(&str, &str)> =
        records.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    call(module, offset, 0, &records).expect("no error from a transform")
}

fn results(answer: &[Answered]) -> Vec<Value> {
    answer.iter().filter(|record| record.tag().is_none()).map(Answered::json).collect()
}

fn tagged(answer: &[Answered], tag: &str) -> Vec<Value> {
    answer.iter().filter(|record| record.tag() == Some(tag)).map(Answered::json).collect()
}

/// Six usual windows, then a goal that takes two, then two usual ones.
fn goal(room: &str) -> Vec<(String, String)> {
    let mut finals: Vec<_> = (0..6).map(|at| last(room, at, &USUAL)).collect();
    finals.push(last(room, 6, &[("⚽", 60), ("👏", 20)]));
    finals.push(last(room, 7, &[("⚽", 100), ("🔥", 40)]));
    finals.extend((8..10).map(|at| last(room, at, &USUAL)));
    finals
}

#[test]
fn a_goal_by_hand() {
    let answer = run(&mut open(&[]), 40, &goal("final"));
    let moments = results(&answer);
    let told: Vec<_> = moments
        .iter()
        .map(|moment| (&moment["revision"], &moment["final"], &moment["source"]["offset"]))
        .collect();
    assert_eq!(
        told,
        [
            (&json!(1), &json!(false), &json!(46)),
            (&json!(2), &json!(false), &json!(47)),
            (&json!(3), &json!(true), &json!(48)),
        ]
    );
    // 10 taps in 10 s were usual, all with a score: (8 × 0.521 − 2 × 0.093) ÷ 10 = 0.398. During: 160 × 0.622 for ⚽, 20 × 0.521
    // for 👏, 40 × 0.140 for 🔥, by 220: 0.525. Score: 2·√140.375 − 2·√10.375 = 17.3.
    let expected = json!({
        "stage": "adhoc", "epoch": 1, "seq": 3, "room": "final", "id": "final:10s:60000", "window": "10s", "revision": 3,
        "final": true, "start": 60_000, "end": 80_000, "total": 220,
        "peak": {"start": 70_000, "total": 140, "rate": 14.0, "users": 70}, "baseline": {"rate": 1.0},
        "lift": 14.0, "score": 17.3, "leading": "⚽", "counts": {"⚽": 160, "👏": 20, "🔥": 40},
        "sentiment": {"before": 0.398, "during": 0.525, "shift": 0.127},
        "replay": {"topic": "emoji-events", "partition": 0, "offset": 1_004},
        "source": {"partition": 0, "offset": 48},
    });
    assert_eq!(moments[2], expected);
    assert!(tagged(&answer, "reject").is_empty());
}

#[test]
fn a_moment_ends_when_others_show_that_its_room_is_silent() {
    let mut finals = goal("final");
    finals.truncate(7);
    finals.push(last("lobby", 7, &USUAL));
    finals.push(last("lobby", 8, &USUAL));
    let moments = results(&run(&mut open(&[]), 0, &finals));
    assert_eq!((moments.len(), &moments[0]["final"], &moments[1]["final"]), (2, &json!(false), &json!(true)));
    assert_eq!((&moments[1]["room"], &moments[1]["end"]), (&json!("final"), &json!(70_000)));
    // Its own next final shows it, too.
    let mut finals = goal("final");
    finals.truncate(7);
    finals.push(last("final", 20, &USUAL));
    let moments = results(&run(&mut open(&[]), 0, &finals));
    assert_eq!((moments.len(), &moments[1]["final"], &moments[1]["end"]), (2, &json!(true), &json!(70_000)));
}

#[test]
fn rooms_do_not_mix() {
    let (one, other) = (goal("one"), goal("other"));
    let mixed: Vec<_> =
        one.iter().zip(&other).flat_map(|(one, other)| [one.clone(), other.clone()]).collect();
    let moments = results(&run(&mut open(&[]), 0, &mixed));
    let of = |room: &str| moments.iter().filter(|moment| moment["room"] == room).count();
    assert_eq!((moments.len(), of("one"), of("other")), (6, 3, 3));
}

#[test]
fn what_is_no_tumbling_final_says_nothing_and_what_is_no_result_is_a_dead_letter() {
    let mut finals = goal("final");
    for (_, value) in &mut finals[..8] {
        *value = value.replace("\"final\":true", "\"final\":false");
    }
    finals[8].1 = finals[8].1.replace("tumbling", "hopping");
    finals[9].1 = "not JSON".to_owned();
    let answer = run(&mut open(&[]), 0, &finals);
    assert!(results(&answer).is_empty());
    let letters = tagged(&answer, "reject");
    assert_eq!(
        (letters.len(), &letters[0]["reason"], &letters[0]["event"]),
        (1, &json!("malformed"), &json!("not JSON"))
    );
}

#[test]
fn only_the_definition_that_is_named_is_looked_at() {
    assert!(results(&run(&mut open(&[("window", "1m")]), 0, &goal("final"))).is_empty());
    assert_eq!(results(&run(&mut open(&[("window", "10s")]), 0, &goal("final"))).len(), 3);
}

#[test]
fn finals_that_come_again_or_late_change_nothing() {
    let plain = results(&run(&mut open(&[]), 0, &goal("final")));
    let mut twice = goal("final");
    twice.insert(7, twice[2].clone());
    twice.insert(8, twice[6].clone());
    let strip = |moments: Vec<Value>| -> Vec<Value> {
        moments
            .into_iter()
            .map(|mut moment| {
                moment
                    .as_object_mut()
                    .map(|fields| fields.remove("source"))
                    .map(|_| moment.clone())
                    .unwrap_or_default()
            })
            .collect()
    };
    assert_eq!(strip(results(&run(&mut open(&[]), 0, &twice))), strip(plain));
}

#[test]
fn batches_and_restarts_make_no_difference() {
    let finals: Vec<_> = ["a", "b"].iter().flat_map(|room| goal(room)).collect();
    let whole = results(&run(&mut open(&[]), 0, &finals));
    for cut in 1..finals.len() {
        let records = cut.to_string();
        let mut module =
            open(&[("ovation.checkpoint.records", &records), ("ovation.checkpoint.interval-ms", "86400000")]);
        let answer = run(&mut module, 0, &finals[..cut]);
        let pieces = tagged(&answer, "checkpoint");
        let [piece] = pieces.as_slice() else { panic!("one piece: {pieces:?}") };
        let mut all = results(&answer);
        let data = piece["data"].as_str().expect("text");
        let mut restored = open(&[("ovation.checkpoint.pieces", "1"), ("ovation.checkpoint.0", data)]);
        let rest = cut as i64;
        all.extend(results(&run(&mut restored, rest, &finals[cut..])));
        assert_eq!(all, whole, "cut at {cut}");
    }
}

#[test]
fn parameters_out_of_bounds_are_refused_by_name() {
    for (name, value) in [
        ("baseline", "2"),
        ("baseline", "361"),
        ("warm-up", "31"),
        ("threshold", "0"),
        ("threshold", "NaN"),
        ("lift", "much"),
        ("min-taps", "0"),
        ("cool-down-ms", "-1"),
        ("longest-ms", "0"),
    ] {
        let error = Contract::<Moments>::open(&Params::from_iter([(name, value)])).expect_err("refused");
        assert!(error.contains(name), "{error}");
    }
}
