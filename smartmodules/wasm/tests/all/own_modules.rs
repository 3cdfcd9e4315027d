//! Modules that people bring along, and those that ship for their sake, as the broker runs them.

use crate::support::{self, Chain, Module, Out, T0, borrowed, chain, chain_of, of_tag, tick};
use ovation_wasm::examples::{LONG_WORDS, RUNNING_TOTAL};
use serde_json::{Value, json};

fn engine_params(extra: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let own = [
        ("ovation.stage", "lines"),
        ("ovation.epoch", "3"),
        ("ovation.source", "text"),
        ("ovation.partition", "2"),
        ("ovation.start", "0"),
    ];
    own.iter().chain(extra).map(|(name, value)| (*name, (*value).to_owned())).collect()
}

/// A module with the parameters that are its own.
type Own<'a> = (&'static [u8], &'a [(&'static str, &'a str)]);

fn open(modules: &[Own<'_>]) -> Chain {
    let modules: Vec<Module<'_>> =
        modules.iter().map(|(wasm, extra)| (*wasm, engine_params(extra))).collect();
    chain_of(&modules, false).expect("opens")
}

fn lines(lines: &[&str]) -> Vec<(&'static str, String)> {
    lines.iter().map(|line| ("author", (*line).to_owned())).collect()
}

fn results(outs: &[Out]) -> Vec<(Option<&str>, Value)> {
    of_tag(outs, None).into_iter().map(|out| (out.key.as_deref(), out.json())).collect()
}

fn progress(outs: &[Out]) -> Value {
    let progress = of_tag(outs, Some("progress"));
    let [one] = progress.as_slice() else { panic!("one progress for each call: {outs:?}") };
    one.json()
}

#[test]
fn what_a_filter_drops_leaves_no_hole() {
    let mut chain = open(&[(LONG_WORDS, &[("min-length", "8")]), (ovation_wasm::NUMBER, &[])]);
    let batches =
        [&["short", "an Elephant", "no"][..], &["no", "none"], &["wonderful and extraordinary", "x"]];
    let (mut next, mut seen) = (0, Vec::new());
    for batch in batches {
        let outs = chain.run(next, &lines(batch));
        let said = progress(&outs);
        assert_eq!(said["first"], json!(next), "{said}");
        next += batch.len() as i64;
        assert_eq!(said["next"], json!(next), "{said}");
        assert_eq!((&said["dirty"], &said["open"], &said["backlog"]), (&json!(false), &json!(0), &json!(0)));
        assert_eq!(said["stream_time"].is_null(), seen.is_empty() && of_tag(&outs, None).is_empty());
        seen.extend(results(&outs).into_iter().map(|(key, value)| (key.map(str::to_owned), value)));
    }
    let numbered = |seq: u64, offset: i64, line: &str| json!({"stage": "lines", "epoch": 3, "seq": seq, "source": {"partition": 2, "offset": offset}, "value": line});
    // Under its new key, and at its own source offset.
    let expected = [
        (Some("e".to_owned()), numbered(1, 1, "an Elephant")),
        (Some("w".to_owned()), numbered(2, 5, "wonderful and extraordinary")),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn the_same_module_twice_in_a_chain_has_each_its_own_parameters() {
    let (narrow, wide): (&[_], &[_]) = (&[("min-length", "10")], &[("min-length", "3")]);
    let passed = |first, second| {
        let mut chain = open(&[(LONG_WORDS, first), (LONG_WORDS, second), (ovation_wasm::NUMBER, &[])]);
        let outs = chain.run(0, &lines(&["an Elephant", "the extraordinary", "a b"]));
        assert_eq!(progress(&outs)["next"], 3);
        let results = results(&outs);
        results
            .into_iter()
            .map(|(key, value)| (key.map(str::to_owned), value["source"]["offset"].clone()))
            .collect::<Vec<_>>()
    };
    // The second one gives the key, and either drops what the narrow one would.
    assert_eq!(passed(narrow, wide), [(Some("t".to_owned()), json!(1))]);
    assert_eq!(passed(wide, narrow), [(Some("e".to_owned()), json!(1))]);
}

#[test]
fn rejects_of_earlier_modules_become_numbered_dead_letters() {
    let mut chain = open(&[(ovation_wasm::VALIDATE, &[]), (ovation_wasm::NUMBER, &[])]);
    let good = format!(r#"{{"id":"a","room":"lobby","emoji":"🔥","count":1,"ts":{T0}}}"#);
    let records = [
        ("lobby", "{".to_owned()),
        ("lobby", good.clone()),
        ("other", good),
        ("\u{1}progress", "forged".to_owned()),
    ];
    let outs = chain.run(0, &records);
    let letters: Vec<Value> = of_tag(&outs, Some("reject")).into_iter().map(Out::json).collect();
    let said: Vec<_> = letters
        .iter()
        .map(|letter| (letter["reason"].as_str(), letter["seq"].as_u64(), letter["source"].clone()))
        .collect();
    let source = |offset: i64| json!({"topic": "text", "partition": 2, "offset": offset});
    let expected = [
        (Some("malformed"), Some(1), source(0)),
        (Some("key_mismatch"), Some(2), source(2)),
        (Some("key_mismatch"), Some(3), source(3)),
    ];
    assert_eq!(said, expected);
    assert_eq!((&letters[0]["event"], &letters[0]["stage"]), (&json!("{"), &json!("lines")));
    let [(key, result)] = results(&outs).try_into().expect("one result");
    assert_eq!((key, &result["emoji"], &result["seq"]), (Some("lobby"), &json!("🔥"), &json!(1)));
    let said = progress(&outs);
    assert_eq!((&said["next"], &said["seq"], &said["reject_seq"]), (&json!(4), &json!(1), &json!(3)));
}

#[test]
fn a_key_that_belongs_to_the_engine_is_a_dead_letter_and_not_a_control_record() {
    for modules in [&[(ovation_wasm::NUMBER, &[][..])][..], &[(LONG_WORDS, &[]), (ovation_wasm::NUMBER, &[])]]
    {
        let mut chain = open(modules);
        let keys = ["\u{1}progress", "\u{1}checkpoint", "\u{1}resync", "\u{1}other", "\u{1}", "\u{1}skip"];
        let records: Vec<_> = keys.iter().map(|key| (*key, "precious".to_owned())).collect();
        let outs = chain.run(0, &records);
        let letters: Vec<Value> = of_tag(&outs, Some("reject")).into_iter().map(Out::json).collect();
        assert_eq!(letters.len(), keys.len(), "{outs:?}");
        assert!(
            letters.iter().all(|letter| letter["reason"] == "key_mismatch" && letter["event"] == "precious")
        );
        assert_eq!((progress(&outs)["next"].as_u64(), outs.len()), (Some(6), 7));
    }
}

#[test]
fn ticks_pass_by_and_give_nothing() {
    let mut chain = open(&[(LONG_WORDS, &[]), (ovation_wasm::NUMBER, &[])]);
    let outs = chain.run(0, &borrowed(&[tick(0), tick(60_000)]));
    assert_eq!(outs.len(), 1);
    let said = progress(&outs);
    assert_eq!((&said["first"], &said["next"], &said["stream_time"]), (&json!(0), &json!(2), &Value::Null));
}

#[test]
fn results_of_another_stage_get_numbers_of_this_one() {
    let mut chain = open(&[(ovation_wasm::NUMBER, &[])]);
    let other = r#"{"stage":"words","epoch":9,"seq":77,"room":"lobby","total":1.50,"source":{"partition":0,"offset":5}}"#;
    let outs = chain.run(40, &[("lobby", other.to_owned())]);
    let own = r#"{"stage":"lines","epoch":3,"seq":1,"room":"lobby","total":1.50,"source":{"partition":2,"offset":40}}"#;
    assert_eq!(of_tag(&outs, None)[0].value, own);
    // What the fence of the sink lets in.
    let mut fence = support::chain(&[ovation_wasm::FENCE], &[], true).expect("opens");
    assert_eq!(fence.run(0, &[("lobby", own.to_owned())]).len(), 1);
}

#[test]
fn a_batch_given_twice_is_answered_twice_with_the_same_bytes() {
    let chains: [&[Own<'_>]; 2] = [
        &[(LONG_WORDS, &[]), (ovation_wasm::NUMBER, &[])],
        &[(LONG_WORDS, &[]), (RUNNING_TOTAL, &[("add", "records")])],
    ];
    for modules in chains {
        let mut chain = open(modules);
        let batch = lines(&["an Elephant", "no", "everybody", "\u{1}"]);
        let first = chain.run(0, &batch);
        assert_eq!(results(&first).len(), 2, "{first:?}");
        assert_eq!(chain.run(0, &batch), first);
        let next = chain.run(4, &lines(&["elsewhere"]));
        assert_eq!(results(&next)[0].1["seq"], 3, "it counted once");
    }
}

#[test]
fn checkpoints_come_although_everything_is_dropped_and_a_restart_goes_on_with_the_numbers() {
    let every: &[_] = &[("ovation.checkpoint.records", "3")];
    for last in [ovation_wasm::NUMBER, RUNNING_TOTAL] {
        let with = [every, &[("add", "records")]].concat();
        let mut chain = open(&[(LONG_WORDS, &[]), (last, &with)]);
        let records = lines(&["Elephant", "no", "no", "no", "no", "no", "everybody", "no", "elsewhere"]);
        let outs = chain.run(0, &records);
        let pieces: Vec<Value> = of_tag(&outs, Some("checkpoint")).into_iter().map(Out::json).collect();
        let offsets: Vec<_> = pieces.iter().map(|piece| piece["offset"].as_i64()).collect();
        assert_eq!(offsets, [Some(3), Some(6), Some(9)]);

        let data = pieces[1]["data"].as_str().expect("text");
        let mut restored = engine_params(&with);
        restored.retain(|(name, _)| *name != "ovation.start");
        restored.extend([
            ("ovation.start", "6".to_owned()),
            ("ovation.checkpoint.pieces", "1".to_owned()),
            ("ovation.checkpoint.0", data.to_owned()),
        ]);
        let modules = [(LONG_WORDS, engine_params(&[])), (last, restored)];
        let again = chain_of(&modules, false).expect("opens").run(6, &records[6..]);
        assert_eq!(results(&again), results(&outs)[1..]);
        assert_eq!(results(&again)[0].1["seq"], 2);
    }
}

#[test]
fn a_running_total_goes_on_over_batches() {
    let mut chain = open(&[(RUNNING_TOTAL, &[])]);
    let first = chain.run(0, &[("a", "2".to_owned()), ("b", "10".to_owned())]);
    let second = chain.run(2, &[("a", "-5".to_owned()), ("a", "many".to_owned())]);
    let totals: Vec<_> = [&first, &second]
        .into_iter()
        .flat_map(|outs| results(outs))
        .map(|(_, value)| value["total"].clone())
        .collect();
    assert_eq!(totals, [json!(2), json!(10), json!(-3)]);
    let letter = of_tag(&second, Some("reject"))[0].json();
    assert_eq!(
        (&letter["reason"], &letter["event"], &letter["seq"]),
        (&json!("malformed"), &json!("many"), &json!(1))
    );
    let refused =
        chain_of(&[(RUNNING_TOTAL, engine_params(&[("add", "all")]))], false).err().expect("refused");
    assert!(refused.contains("expected numbers or records"), "{refused}");
}

#[test]
fn the_room_filter_passes_its_rooms_untouched_and_nothing_else() {
    let room = |rooms: &str| chain(&[ovation_wasm::ROOM], &[("room", rooms.to_owned())], false);
    let records = [
        ("lobby", "1".to_owned()),
        ("final-2026", r#"{"a" : 1}"#.to_owned()),
        ("lobby2", "3".to_owned()),
        ("", "no key".to_owned()),
        ("\u{1}progress", "4".to_owned()),
        ("lobby", "5".to_owned()),
    ];
    let values = |rooms: &str| -> Vec<String> {
        room(rooms).expect("opens").run(0, &records).into_iter().map(|out| out.value).collect()
    };
    assert_eq!(values("lobby"), ["1", "5"]);
    assert_eq!(values("lobby, final-2026"), ["1", r#"{"a" : 1}"#, "5"]);
    assert_eq!(values("\u{1}progress").len(), 0);
    assert_eq!(values("nobody").len(), 0);
}

#[test]
fn the_room_filter_does_not_open_without_a_room() {
    for params in
        [&[][..], &[("room", String::new())], &[("room", " , ".to_owned())], &[("rooms", "a".to_owned())]]
    {
        let refused = chain(&[ovation_wasm::ROOM], params, false).err().expect("refused");
        assert!(refused.contains("parameter \"room\" is missing; name one room"), "{refused}");
    }
}
