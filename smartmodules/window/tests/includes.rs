//! A window that does the work of `validate` as well answers as the two do one after the other.

use ovation_processor::{Batch, Contract, Output, Params, Transform};
use ovation_validate::Validate;
use ovation_window::Window;
use proptest::prelude::*;
use proptest::sample::select;

const T0: i64 = 1_795_426_840_000;

#[derive(Debug, Clone)]
struct Produced {
    key: Option<String>,
    value: Vec<u8>,
}

fn params(more: &[(&str, &str)]) -> Params {
    let windows = r#"[{"name":"1s","shape":{"tumbling":{"size_ms":1000}},"grace_ms":200,"emit":{"update":{"every_ms":100}}},
        {"name":"2s","shape":{"hopping":{"size_ms":2000,"advance_ms":500}},"grace_ms":0,"emit":{"update":{"every_ms":100}}}]"#;
    let all = [("ovation.windows", windows), ("ovation.checkpoint.records", "7"), ("future-ms", "3000")];
    all.iter().chain(more).copied().collect()
}

/// Both ways, batch by batch; the records of each batch begin at the next offset.
struct Both {
    validate: Validate,
    window: Contract<Window>,
    included: Contract<Window>,
    offset: i64,
}

impl Both {
    fn open(more: &[(&str, &str)]) -> Self {
        let apart = params(more);
        let together = params(&[more, &[("ovation.includes", "ovation-validate")]].concat());
        Self {
            validate: Validate::open(&apart).expect("opens"),
            window: Contract::open(&apart).expect("opens"),
            included: Contract::open(&together).expect("opens"),
            offset: 0,
        }
    }

    /// The answers of one after the other, and of the one.
    fn answers(&mut self, timestamp: i64, records: &[Produced]) -> [Vec<u8>; 2] {
        let mut input = Output::default();
        for (delta, record) in records.iter().enumerate() {
            input.push(
                delta as i64,
                delta as i64 * 3,
                record.key.as_deref().map(str::as_bytes),
                &record.value,
            );
        }
        let input = input.finish(None, 0);
        let valid = answer(&mut self.validate, self.offset, timestamp, &input);
        let apart = answer(&mut self.window, self.offset, timestamp, &valid);
        let together = answer(&mut self.included, self.offset, timestamp, &input);
        self.offset += records.len() as i64;
        [apart, together]
    }
}

fn answer(module: &mut impl Transform, offset: i64, timestamp: i64, input: &[u8]) -> Vec<u8> {
    let batch = Batch::from_records(offset, timestamp, input).expect("own bytes");
    let mut out = Output::default();
    module.transform(&batch, &mut out).expect("neither refuses a batch");
    out.finish(None, 0)
}

/// A field as it may come: mostly well, at times missing or of another kind.
fn field(
    name: &'static str,
    usual: impl Strategy<Value = String> + 'static,
) -> impl Strategy<Value = Option<String>> {
    let odd = select(vec!["null", "7", "\"\"", "-1", "1.5", "[]", "\"a b\"", "\"\\u0041\"", "\"\u{7f}\""]);
    prop_oneof![
        20 => usual.prop_map(Some),
        2 => Just(None),
        1 => odd.prop_map(|odd| Some(odd.to_owned())),
    ]
    .prop_map(move |value| value.map(|value| format!("\"{name}\":{value}")))
}

fn text(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(of).prop_map(|text| format!("\"{text}\""))
}

fn event() -> impl Strategy<Value = String> {
    let fields = (
        field("id", (0..40_u32).prop_map(|id| format!("\"id-{id}\""))),
        field("room", text(&["one", "two", "three", "bad room"])),
        field("emoji", text(&["🔥", "❤", "❤\u{fe0f}", "👍🏽", "🏳\u{fe0f}\u{200d}🌈", "fire", "🔥🔥"])),
        field("count", (0..200_u64).prop_map(|count| count.to_string())),
        field("user", text(&["ann", "bob", "zoë", "a\\\"b"])),
        field("ts", (-4_000..4_000_i64).prop_map(|at| (T0 + at).to_string())),
    );
    let separator = select(vec![",", ", ", " , "]);
    (fields, separator).prop_map(|((id, room, emoji, count, user, ts), separator)| {
        let fields: Vec<String> = [id, room, emoji, count, user, ts].into_iter().flatten().collect();
        format!("{{{}}}", fields.join(separator))
    })
}

fn record() -> impl Strategy<Value = Produced> {
    let key = prop_oneof![
        12 => select(vec!["one", "two", "three"]).prop_map(|room| Some(room.to_owned())),
        1 => select(vec!["\u{1}reject", "\u{1}skip", "\u{1}pack", "\u{1}progress", "\u{1}", "\u{1}tick", ""])
            .prop_map(|key| Some(key.to_owned())),
        1 => Just(None),
    ];
    let usual = (event(), key.clone(), any::<bool>()).prop_map(|(value, key, own)| {
        // Most are under the key of their room.
        let room =
            ["one", "two", "three"].into_iter().find(|room| value.contains(&format!("\"room\":\"{room}\"")));
        let key = if own { key } else { room.map(str::to_owned).or(key) };
        Produced { key, value: value.into_bytes() }
    });
    let reject = r#"{"reason":"malformed","detail":"","event":"x"}"#;
    let odd = (key, select(vec!["", "{}", "[1]", "\u{feff}{}", reject]))
        .prop_map(|(key, value)| Produced { key, value: value.into() });
    let tick = (-4_000..8_000_i64, any::<bool>()).prop_map(|(at, known)| Produced {
        key: known.then(|| "\u{1}tick".to_owned()),
        value: format!("{{\"tick\":{}}}", T0 + at).into_bytes(),
    });
    let no_text = Just(Produced { key: Some("one".to_owned()), value: vec![b'{', 0xff] });
    prop_oneof![24 => usual, 2 => odd, 2 => tick, 1 => no_text]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn one_module_answers_as_the_two(
        batches in proptest::collection::vec((proptest::collection::vec(record(), 0..30), any::<bool>()), 1..8),
        rules in select(vec![&[][..], &[("skin-tones", "fold")], &[("count-max", "50"), ("room-bytes-max", "3")]]),
    ) {
        let mut both = Both::open(rules);
        for (records, timed) in &batches {
            let [apart, together] = both.answers(if *timed { T0 } else { 0 }, records);
            prop_assert!(apart == together, "{}\n{}", String::from_utf8_lossy(&apart), String::from_utf8_lossy(&together));
        }
    }
}

#[test]
fn what_it_cannot_do_is_said() {
    let error =
        Contract::<Window>::open(&params(&[("ovation.includes", "ovation-room")])).expect_err("no such work");
    assert!(error.contains("ovation-room"), "{error}");
    let both = [("ovation.includes", "ovation-validate"), ("count-max", "many")];
    let error = Contract::<Window>::open(&params(&both)).expect_err("no number");
    assert!(error.contains("count-max") && error.contains("many"), "{error}");
}
