//! The modules as the broker runs them: real WASM in Fluvio's own SmartModule engine.

use std::collections::BTreeMap;

use crate::support::{Chain, Out, T0, borrowed, chain, of_tag, tick};
use fluvio_protocol::record::Record;
use serde_json::{Value, json};

fn reactions(extra: &[(&str, String)]) -> Chain {
    let windows = r#"[{"name":"10s","shape":{"tumbling":{"size_ms":10000}},"grace_ms":2000,"emit":{"update":{"every_ms":100}}}]"#;
    let mut params = vec![
        ("ovation.stage", "reactions".to_owned()),
        ("ovation.epoch", "1".to_owned()),
        ("ovation.source", "emoji-events".to_owned()),
        ("ovation.partition", "0".to_owned()),
        ("ovation.config", "c0ffee".to_owned()),
        ("ovation.idleness-ms", "0".to_owned()),
        ("ovation.windows", windows.to_owned()),
    ];
    params.extend_from_slice(extra);
    chain(&[ovation_wasm::VALIDATE, ovation_wasm::WINDOW], &params, false).expect("opens")
}

fn tap(room: &str, emoji: &str, count: u64, at_ms: i64, id: &str) -> (String, String) {
    let ts = T0 + at_ms;
    let event = format!(r#"{{"id":"{id}","room":"{room}","emoji":"{emoji}","count":{count},"ts":{ts}}}"#);
    (room.to_owned(), event)
}

#[test]
fn taps_become_updates_and_a_final() {
    let mut chain = reactions(&[("future-ms", "60000".to_owned())]);
    let outs = chain.run(
        7,
        &borrowed(&[
            tap("lobby", "🔥", 2, 0, "a"),
            tap("lobby", "❤", 1, 50, "b"),
            tap("lobby", "❤\u{fe0f}", 1, 100, "c"),
        ]),
    );
    let results: Vec<Value> = of_tag(&outs, None).iter().map(|out| out.json()).collect();
    assert_eq!(results.len(), 2, "one at once, one when 100 ms have passed: {outs:?}");
    assert_eq!(results[0]["counts"], json!({"🔥": 2}));
    assert_eq!(results[0]["source"], json!({"partition": 0, "offset": 7}));
    // The third tap lets the second update out, and is in it.
    assert_eq!(results[1]["counts"], json!({"❤️": 2, "🔥": 2}));
    assert_eq!(results[1]["revision"], 2);
    let progress = outs.last().expect("every call answers");
    assert_eq!(progress.tag(), Some("progress"));
    let progress = progress.json();
    assert_eq!((&progress["first"], &progress["next"], &progress["seq"]), (&json!(7), &json!(10), &json!(2)));
    assert_eq!((&progress["dirty"], &progress["open"]), (&json!(false), &json!(1)));

    let outs = chain.run(10, &borrowed(&[tick(200), tick(11_999), tick(12_000)]));
    let results: Vec<Value> = of_tag(&outs, None).iter().map(|out| out.json()).collect();
    let [last] = results.as_slice() else {
        panic!("nothing had changed, so there is the final alone: {outs:?}")
    };
    assert_eq!(last["final"], json!(true));
    assert_eq!(last["total"], 4);
    assert_eq!(last["seq"], 3);
    assert_eq!(last["window"], json!({"name":"10s","kind":"tumbling","start":T0,"end":T0 + 10_000}));
    assert_eq!(last["room_totals"], json!({"reactions": 4, "late": 0, "duplicates": 0, "rejected": 0}));
    assert_eq!(of_tag(&outs, Some("progress"))[0].json()["open"], 0);
}

#[test]
fn what_does_not_count_is_numbered_and_says_why() {
    let mut chain = reactions(&[("future-ms", "60000".to_owned())]);
    let records = [
        tap("lobby", "🔥", 1, 30_000, "a"),
        tap("lobby", "🔥", 3, 0, "late"),
        tap("lobby", "🔥", 1, 30_000, "a"),
        tap("lobby", "fire", 1, 0, "x"),
        ("other".to_owned(), tap("lobby", "🔥", 1, 0, "y").1),
        ("\u{1}reject".to_owned(), json!({"reason":"forged"}).to_string()),
        ("lobby".to_owned(), "{".to_owned()),
    ];
    let outs = chain.run(0, &borrowed(&records));
    let letters: Vec<Value> = of_tag(&outs, Some("reject")).iter().map(|out| out.json()).collect();
    let reasons: Vec<&str> = letters.iter().filter_map(|letter| letter["reason"].as_str()).collect();
    assert_eq!(reasons, ["late", "unknown_emoji", "key_mismatch", "key_mismatch", "malformed"]);
    for (index, letter) in letters.iter().enumerate() {
        assert_eq!(letter["seq"], json!(index + 1));
        assert_eq!(letter["stage"], "reactions");
        assert_eq!(letter["source"]["topic"], "emoji-events");
    }
    assert_eq!(letters[0]["source"]["offset"], 1);
    assert_eq!(letters[4]["event"], "{");
    let outs = chain.run(7, &borrowed(&[tick(60_000)]));
    let last = of_tag(&outs, None)[0].json();
    assert_eq!(last["room_totals"], json!({"reactions": 1, "late": 3, "duplicates": 1, "rejected": 2}));
}

#[test]
fn a_reaction_from_the_far_future_is_rejected_and_moves_no_time() {
    let mut chain = reactions(&[]);
    let day = 86_400_000;
    let (key, value) = tap("lobby", "🔥", 1, day, "future");
    // The same as the parser reads it, with a key that the canonical form has not.
    let spaced = (key.clone(), value.replace('{', "{ "));
    let records =
        [(key, value), spaced, ("\u{1}tick".to_owned(), tick(day).1), tap("lobby", "🔥", 2, 0, "now")];
    let outs = chain.run(0, &borrowed(&records));
    let letters: Vec<Value> = of_tag(&outs, Some("reject")).into_iter().map(Out::json).collect();
    assert_eq!(letters.len(), 3);
    assert!(letters.iter().all(|letter| letter["reason"] == "future"), "{letters:?}");
    let progress = of_tag(&outs, Some("progress"))[0].json();
    assert_eq!(progress["stream_time"], json!(T0));
    let totals = of_tag(&outs, None)[0].json()["room_totals"].clone();
    assert_eq!(totals, json!({"reactions": 2, "late": 0, "duplicates": 0, "rejected": 2}));
}

#[test]
fn a_batch_given_twice_is_answered_twice_with_the_same_bytes() {
    let mut chain = reactions(&[]);
    let records = borrowed_static();
    let first = chain.run(0, &borrowed(&records));
    assert_eq!(chain.run(0, &borrowed(&records)), first);
    let next = chain.run(records.len() as i64, &borrowed(&[tick(4_000)]));
    assert_eq!(of_tag(&next, Some("progress"))[0].json()["first"], json!(records.len()));
}

fn borrowed_static() -> Vec<(String, String)> {
    (0..20).map(|n| tap("lobby", "🔥", 1, n * 40, &format!("id{n}"))).collect()
}

#[test]
fn a_stream_that_starts_within_a_batch_skips_what_is_below() {
    let mut chain = reactions(&[("ovation.start", "5".to_owned())]);
    let outs = chain.run(0, &borrowed(&borrowed_static()));
    let progress = of_tag(&outs, Some("progress"))[0].json();
    assert_eq!((&progress["first"], &progress["next"]), (&json!(5), &json!(20)));
    assert_eq!(of_tag(&outs, None)[0].json()["source"]["offset"], 5);
}

#[test]
fn a_gap_shows_in_the_progress() {
    let mut chain = reactions(&[("ovation.start", "0".to_owned())]);
    chain.run(0, &borrowed(&[tick(1)]));
    let outs = chain.run(5, &borrowed(&[tick(2)]));
    assert_eq!(of_tag(&outs, Some("progress"))[0].json()["first"], 5);
}

/// A day in many rooms, with repeats and late ones: enough for windows, dedup and checkpoints to matter.
fn long_run() -> Vec<(String, String)> {
    let emoji = ["🔥", "❤", "👍🏽", "nope"];
    let mut state = 7u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    (0..3_000)
        .map(|n| {
            let at = n * 3 + random(800) as i64;
            let room = format!("room{}", random(5));
            match random(20) {
                0 => tick(at),
                _ => {
                    let id = format!("id{}", random(2_500));
                    let (room, event) = tap(&room, emoji[random(4) as usize], 1 + random(3), at, &id);
                    (room, event.replace(r#","ts""#, &format!(r#","user":"u{}","ts""#, random(50))))
                }
            }
        })
        .collect()
}

fn results(outs: &[Out]) -> Vec<Out> {
    outs.iter().filter(|out| matches!(out.tag(), None | Some("reject"))).cloned().collect()
}

#[test]
fn results_do_not_depend_on_batches_or_restarts() {
    let windows = json!([
        {"name": "1s", "shape": {"tumbling": {"size_ms": 1000}}, "grace_ms": 200, "emit": {"update": {"every_ms": 100}}},
        {"name": "hop", "shape": {"hopping": {"size_ms": 900, "advance_ms": 60}}, "grace_ms": 100, "emit": "close"},
        {"name": "rush", "shape": {"session": {"gap_ms": 45}}, "grace_ms": 50, "emit": {"update": {"every_ms": 20}}},
    ]);
    let extra = [
        ("future-ms", "60000".to_owned()),
        ("ovation.checkpoint.records", "100".to_owned()),
        ("ovation.windows", windows.to_string()),
        ("ovation.idleness-ms", "30".to_owned()),
    ];
    let records = long_run();
    let whole = reactions(&extra).run(0, &borrowed(&records));
    let expected = results(&whole);
    let of_kind = |kind: &str, field: &str| {
        let found = expected.iter().filter(|out| out.tag().is_none()).map(|out| out.json());
        found.filter(|update| update["window"]["kind"] == kind && update[field] == json!(true)).count()
    };
    assert!(of_kind("tumbling", "final") > 20 && of_kind("hopping", "final") > 200);
    assert!(of_kind("session", "final") > 20 && of_kind("session", "retracted") > 5);

    let mut chain = reactions(&extra);
    let (mut seen, mut at, mut size) = (Vec::new(), 0, 1);
    let mut pieces: BTreeMap<i64, Vec<Value>> = BTreeMap::new();
    while at < records.len() {
        let end = (at + size).min(records.len());
        let outs = chain.run(at as i64, &borrowed(&records[at..end]));
        for out in of_tag(&outs, Some("checkpoint")) {
            let piece = out.json();
            pieces.entry(piece["offset"].as_i64().expect("an offset")).or_default().push(piece);
        }
        seen.extend(results(&outs));
        (at, size) = (end, size * 7 % 211 + 1);
    }
    assert_eq!(seen, expected, "batch boundaries show in the results");
    assert!(pieces.len() >= 25, "{}", pieces.len());

    for (offset, pieces) in pieces.iter().step_by(4) {
        let mut restored: Vec<(&str, String)> = extra.to_vec();
        let names: Vec<String> =
            (0..pieces.len()).map(|piece| format!("ovation.checkpoint.{piece}")).collect();
        for (name, piece) in names.iter().zip(pieces) {
            let data = piece["data"].as_str().expect("text");
            assert!(data.len() <= 30_000);
            restored.push((name, data.to_owned()));
        }
        restored.push(("ovation.checkpoint.pieces", pieces.len().to_string()));
        restored.push(("ovation.start", offset.to_string()));
        let outs = reactions(&restored).run(*offset, &borrowed(&records[*offset as usize..]));
        let replayed = results(&outs);
        assert_eq!(replayed, expected[expected.len() - replayed.len()..], "restart at {offset}");
        let (seq, reject_seq) = (&pieces[0]["seq"], &pieces[0]["reject_seq"]);
        let before = seq.as_u64().zip(reject_seq.as_u64()).map(|(seq, rejects)| (seq + rejects) as usize);
        assert_eq!(before, Some(expected.len() - replayed.len()), "restart at {offset}");
    }
}

#[test]
fn several_windows_count_the_same_reactions_each_in_its_way() {
    let windows = json!([
        {"name": "minute", "shape": {"hopping": {"size_ms": 60_000, "advance_ms": 20_000}}, "emit": "close"},
        {"name": "rush", "shape": {"session": {"gap_ms": 5_000}}, "emit": {"update": {"every_ms": 0}}},
    ]);
    let mut chain =
        reactions(&[("future-ms", "600000".to_owned()), ("ovation.windows", windows.to_string())]);
    let outs = chain.run(
        0,
        &borrowed(&[
            tap("lobby", "🔥", 1, 6_000, "a"),
            // Joins the session before it, which so begins earlier.
            tap("lobby", "🔥", 2, 2_000, "b"),
            tap("lobby", "🔥", 4, 25_000, "c"),
            // One of its three windows has closed, and no session is left for it.
            tap("lobby", "🔥", 8, 1_000, "d"),
            tick(200_000),
        ]),
    );
    let sum = |name: &str| -> u64 {
        let results = of_tag(&outs, None).into_iter().map(Out::json);
        let finals =
            results.filter(|update| update["window"]["name"] == name && update["final"] == json!(true));
        finals.filter_map(|update| update["total"].as_u64()).sum()
    };
    // Times three windows, but for what the fourth one missed.
    assert_eq!(sum("minute"), 3 * 15 - 8);
    assert_eq!(sum("rush"), 7);
    let retracted: Vec<Value> = of_tag(&outs, None)
        .into_iter()
        .map(Out::json)
        .filter(|update| update["retracted"] == json!(true))
        .collect();
    let [retracted] = retracted.as_slice() else { panic!("one session has moved its start: {outs:?}") };
    assert_eq!(retracted["window"]["start"], json!(T0 + 6_000));
    assert_eq!(
        (&retracted["final"], &retracted["total"], &retracted["counts"]),
        (&json!(true), &json!(0), &json!({}))
    );
    let letters: Vec<Value> = of_tag(&outs, Some("reject")).into_iter().map(Out::json).collect();
    let missed: Vec<_> =
        letters.iter().map(|letter| (&letter["window"], &letter["windows_missed"])).collect();
    assert_eq!(missed, [(&json!("minute"), &json!(1)), (&json!("rush"), &json!(1))]);
    assert!(letters.iter().all(|letter| letter["reason"] == "late" && letter["source"]["offset"] == 3));
    let last = of_tag(&outs, None).last().expect("a final").json();
    assert_eq!(last["room_totals"], json!({"reactions": 15, "late": 16, "duplicates": 0, "rejected": 0}));
}

#[test]
fn what_is_due_at_once_comes_in_portions_that_no_answer_is_too_small_for() {
    let windows = json!([{"name": "1s", "shape": {"tumbling": {"size_ms": 1000}}, "emit": "close"}]);
    let mut chain = reactions(&[("ovation.windows", windows.to_string())]);
    let rooms = 2_000;
    let taps: Vec<_> = (0..rooms).map(|n| tap(&format!("room{n}"), "🔥", 1, 0, "a")).collect();
    assert_eq!(of_tag(&chain.run(0, &borrowed(&taps)), None).len(), 0);
    let (mut finals, mut ticks, mut backlog) = (0, 0, u64::MAX);
    while backlog > 0 {
        let outs = chain.run(rooms + ticks, &borrowed(&[tick(5_000)]));
        let bytes: usize = of_tag(&outs, None).iter().map(|out| out.value.len()).sum();
        assert!(bytes < 16 * 1024, "{bytes}");
        finals += of_tag(&outs, None).len();
        backlog = of_tag(&outs, Some("progress"))[0].json()["backlog"].as_u64().expect("a number");
        ticks += 1;
    }
    assert_eq!(finals as i64, rooms);
    assert!(ticks > 20, "{ticks}");
}

/// Bytes of a module's memory for each thing that it keeps, as the README has them.
#[test]
#[expect(clippy::print_stdout, reason = "the figures are worth reading")]
fn state_size_is_reported_and_stays_within_what_is_promised() {
    let state = |outs: &[Out]| of_tag(outs, Some("progress"))[0].json()["state"].clone();
    let bytes = |state: &Value| state["bytes"].as_u64().expect("bytes");
    let quiet = [("ovation.checkpoint.records", "10000000".to_owned()), ("dedup.ids", "100000".to_owned())];

    let mut ids = reactions(&quiet);
    let before = bytes(&state(&ids.run(0, &borrowed(&[tap("lobby", "🔥", 1, 0, "first")]))));
    let count = 60_000;
    let mut after = Value::Null;
    for batch in 0..count / 1_000 {
        let taps: Vec<_> = (0..1_000).map(|n| tap("lobby", "🔥", 1, 0, &format!("{batch}-{n}"))).collect();
        after = state(&ids.run(1 + batch * 1_000, &borrowed(&taps)));
    }
    assert_eq!(after["ids"], json!(count + 1));
    let per_id = (bytes(&after) - before) / count as u64;

    let mut rooms = reactions(&quiet);
    let count = 20_000;
    for batch in 0..count / 1_000 {
        let taps: Vec<_> = (0..1_000).map(|n| tap(&format!("room-{batch}-{n}"), "🔥", 1, 0, "x")).collect();
        after = state(&rooms.run(batch * 1_000, &borrowed(&taps)));
    }
    assert_eq!((&after["keys"], &after["windows"]), (&json!(count), &json!(count)));
    let per_open_room = (bytes(&after) - before) / count as u64;
    println!("{per_id} bytes an id, {per_open_room} bytes a room with one open window (and its one id)");
    assert!(per_id <= 100, "{per_id}");
    assert!(per_open_room <= 1_500, "{per_open_room}");
}

#[test]
fn a_large_state_goes_in_pieces_below_the_parameter_limit() {
    let mut chain = reactions(&[("ovation.checkpoint.records", "3000".to_owned())]);
    let records: Vec<_> = (0..3_000).map(|n| tap(&format!("room{n}"), "🔥", 1, 0, &format!("{n}"))).collect();
    let outs = chain.run(0, &borrowed(&records));
    let pieces = of_tag(&outs, Some("checkpoint"));
    assert!(pieces.len() > 5, "{}", pieces.len());
    let mut params: Vec<(String, String)> = pieces
        .iter()
        .enumerate()
        .map(|(index, piece)| {
            (format!("ovation.checkpoint.{index}"), piece.json()["data"].as_str().expect("text").to_owned())
        })
        .collect();
    params.push(("ovation.checkpoint.pieces".to_owned(), pieces.len().to_string()));
    let params: Vec<(&str, String)> =
        params.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let outs = reactions(&params).run(3_000, &borrowed(&[tap("room7", "🔥", 1, 200, "again")]));
    let update = of_tag(&outs, None)[0].json();
    assert_eq!((&update["total"], &update["seq"]), (&json!(2), &json!(3_001)));
}

#[test]
fn parameters_that_make_no_sense_are_refused_at_opening() {
    let open =
        |wasm, name, value: &str| chain(&[wasm], &[(name, value.to_owned())], false).err().expect("refused");
    assert!(open(ovation_wasm::VALIDATE, "skin-tones", "blue").contains("keep or fold"));
    assert!(open(ovation_wasm::WINDOW, "ovation.windows", "[]").contains("at least one window"));
    assert!(open(ovation_wasm::WINDOW, "ovation.checkpoint.pieces", "2").contains("missing"));
}

fn numbered(epoch: u64, seqs: impl IntoIterator<Item = u64>) -> Vec<(&'static str, String)> {
    seqs.into_iter()
        .map(|seq| {
            ("room", json!({"stage":"s","epoch":epoch,"seq":seq,"source":{"partition":0}}).to_string())
        })
        .collect()
}

fn fence() -> Chain {
    chain(&[ovation_wasm::FENCE], &[], true).expect("opens")
}

#[test]
fn the_fence_lets_in_what_continues_and_refuses_the_rest_whole() {
    let mut fence = fence();
    assert_eq!(
        fence.call(0, &numbered(1, [2])).err().as_deref(),
        Some("fence: expected epoch 1 seq 1, got epoch 1 seq 2")
    );
    assert_eq!(fence.run(0, &numbered(1, 1..=3)).len(), 3);
    for refused in
        [numbered(1, [3]), numbered(1, [5]), numbered(1, [4, 6]), numbered(1, [1]), numbered(2, [4])]
    {
        assert!(
            fence.call(3, &refused).expect_err("refused").contains("expected epoch 1 seq"),
            "{refused:?}"
        );
    }
    assert_eq!(fence.run(3, &numbered(1, 4..=5)).len(), 2, "a refusal leaves no trace");
    assert_eq!(fence.run(5, &numbered(2, 1..=2)).len(), 2, "a newer epoch starts at 1");
    assert!(fence.call(7, &numbered(1, [6])).is_err(), "an older epoch is over");
    assert!(fence.call(7, &[("room", "{}".to_owned())]).is_err());
}

#[test]
fn the_fence_learns_from_the_end_of_the_log() {
    let mut fence = fence();
    let last: Vec<Record> = numbered(3, [40, 41]).into_iter().map(|(_, value)| Record::new(value)).collect();
    let runtime = tokio_free_block_on(fence.0.look_back(|_| {
        let last = last.clone();
        async move { Ok(last) }
    }));
    runtime.expect("looks back");
    assert!(fence.call(42, &numbered(3, [41])).is_err());
    assert_eq!(fence.run(42, &numbered(3, [42])).len(), 1);
}

#[test]
fn a_resync_is_compare_and_set_and_is_not_stored() {
    let mut fence = fence();
    fence.run(0, &numbered(1, 1..=9));
    let resync = |from: u64, to: u64| {
        vec![("\u{1}resync", json!({"stage":"s","epoch":1,"from":from,"to":to}).to_string())]
    };
    assert!(fence.call(9, &resync(8, 5)).expect_err("refused").contains("expected epoch 1 seq 10"));
    assert!(fence.run(9, &resync(9, 5)).is_empty());
    assert_eq!(fence.run(9, &numbered(1, [6])).len(), 1);
    assert!(fence.run(9, &resync(6, 0)).is_empty());
    assert!(fence.call(9, &resync(4, 9)).is_err(), "it remembers nothing");
    assert!(fence.run(9, &resync(0, 8)).is_empty(), "a fence whose look-back found nothing");
    assert_eq!(fence.run(9, &numbered(1, [9])).len(), 1);
    assert!(fence.run(9, &resync(9, 0)).is_empty());
    assert_eq!(fence.run(9, &numbered(1, [1])).len(), 1);
}

#[test]
fn words_are_counted_by_the_same_contract() {
    let windows = r#"[{"name":"w","shape":{"tumbling":{"size_ms":1000}},"emit":{"update":{"every_ms":0}}}]"#;
    let params = [("ovation.windows", windows.to_owned())];
    let mut chain = chain(&[ovation_wasm::WORD_COUNT], &params, false).expect("opens");
    let outs = chain.run(0, &[("page", "To be or not to be".to_owned()), ("\u{1}tick", tick(1_000).1)]);
    let last = of_tag(&outs, None).last().expect("a final").json();
    assert_eq!(last["words"], json!({"to": 2, "be": 2, "or": 1, "not": 1}));
    assert_eq!((&last["final"], &last["seq"]), (&json!(true), &json!(2)));
}

/// The engine's look-back is async for the sake of storage; here it never waits.
fn tokio_free_block_on<F: std::future::Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => unreachable!("nothing to wait for"),
    }
}
