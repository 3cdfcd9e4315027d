//! Modules that hand over their records packed answer as those that hand them over one by one.

mod support;

use serde_json::Value;
use support::{Chain, Out, T0, chain_of, tick};

fn open(packed: bool) -> Chain {
    let params = |own: &'static str| {
        let mut params =
            vec![("ovation.stage", "reactions".to_owned()), ("ovation.checkpoint.records", "7".to_owned())];
        if packed {
            params.push((own, "1".to_owned()));
        }
        params
    };
    let modules =
        [(ovation_wasm::VALIDATE, params("ovation.pack")), (ovation_wasm::WINDOW, params("ovation.unpack"))];
    chain_of(&modules, false).expect("opens")
}

/// An answer without the memory that the module has taken, the one thing that may differ.
fn told(out: &Out) -> (Option<String>, Value) {
    let mut value = out.json();
    if let Some(state) = value.get_mut("state").and_then(Value::as_object_mut) {
        state.remove("bytes");
    }
    (out.key.clone(), value)
}

#[test]
fn packed_records_give_the_same_answers() {
    let (mut packed, mut apart) = (open(true), open(false));
    let mut offset = 0;
    for call in 0..40_i64 {
        let at = T0 + call * 700;
        let reaction =
            |n: i64| format!(r#"{{"id":"r{n}","room":"lobby","emoji":"🔥","user":"u{n}","ts":{at}}}"#);
        let (tick_key, tick) = tick(call * 700);
        let all = [
            ("lobby", reaction(call)),
            ("lobby", format!(r#"{{"id":"again","room":"lobby","emoji":"❤","count":2,"ts":{at}}}"#)),
            ("lobby", r#"{"room":"lobby","emoji":"x"}"#.to_owned()),
            ("", "no JSON".to_owned()),
            // Nobody but a module packs records.
            ("\u{1}pack", reaction(-call)),
            (&*tick_key, tick),
            ("late", format!(r#"{{"room":"late","emoji":"🎉","ts":{}}}"#, at - 20_000)),
        ];
        let records = &all[..call as usize % (all.len() + 1)];
        let answers = [&mut packed, &mut apart].map(|chain| chain.run(offset, records));
        let [packed, apart] = answers.map(|answer| answer.iter().map(told).collect::<Vec<_>>());
        assert_eq!(packed, apart, "call {call}");
        assert!(!packed.is_empty());
        offset += records.len() as i64;
    }
}
