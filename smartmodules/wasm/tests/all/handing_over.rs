//! Whichever way records get from `validate` to `window`, the chain answers the same: one by one, packed, or read once by a module that
//! does the work of both.

use crate::support::{Chain, Out, T0, chain_of, tick};
use serde_json::Value;

/// A module, and what it is told beside what all are told.
type Told<'a> = (&'a [u8], Option<(&'static str, &'static str)>);

fn open(modules: &[Told<'_>]) -> Chain {
    let modules: Vec<_> = modules
        .iter()
        .map(|(wasm, own)| {
            let common = [("ovation.stage", "reactions"), ("ovation.checkpoint.records", "7")];
            let params = common.into_iter().chain(*own).map(|(name, value)| (name, value.to_owned()));
            (*wasm, params.collect())
        })
        .collect();
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
fn every_way_from_one_module_to_the_next_gives_the_same_answers() {
    use ovation_wasm::{VALIDATE, WINDOW};
    let mut chains = [
        open(&[(VALIDATE, None), (WINDOW, None)]),
        open(&[(VALIDATE, Some(("ovation.pack", "1"))), (WINDOW, Some(("ovation.unpack", "1")))]),
        open(&[(WINDOW, Some(("ovation.includes", "ovation-validate")))]),
    ];
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
        let answers = chains.each_mut().map(|chain| chain.run(offset, records));
        let [apart, packed, together] = answers.map(|answer| answer.iter().map(told).collect::<Vec<_>>());
        assert_eq!(packed, apart, "call {call}");
        assert_eq!(together, apart, "call {call}");
        assert!(!apart.is_empty());
        offset += records.len() as i64;
    }
}
