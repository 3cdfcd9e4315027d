//! Events as clients send them, good and bad.

use ovation_reaction::{
    COUNT_MAX, Event, Form, Origin, Parsed, Reason, Rules, parse, parse_with_form, room_is_valid,
};
use proptest::prelude::*;

const NOW: i64 = 1_795_426_840_542;

fn origin(key: &str) -> Origin<'_> {
    Origin { key: Some(key.as_bytes()), timestamp: Some(NOW), partition: 3, offset: 41 }
}

fn reason(value: &[u8]) -> Reason {
    parse(value, &origin("lobby"), &Rules::default()).expect_err("refused").reason
}

fn canonical_json(value: &str, key: &str) -> String {
    match parse(value.as_bytes(), &origin(key), &Rules::default()).expect("accepted") {
        Event::Reaction(reaction) => serde_json::to_string(&reaction).expect("serialises"),
        Event::Tick(time) => format!("tick {time}"),
    }
}

#[test]
fn a_full_event_keeps_its_form() {
    let event =
        format!(r#"{{"id":"0199","room":"final-2026","emoji":"🔥","count":3,"user":"u1","ts":{NOW}}}"#);
    assert_eq!(canonical_json(&event, "final-2026"), event);
}

#[test]
fn what_is_missing_comes_from_the_record() {
    let expected = format!(r#"{{"id":"3:41","room":"lobby","emoji":"❤️","count":1,"ts":{NOW}}}"#);
    assert_eq!(canonical_json(r#"{"room":"lobby","emoji":"❤"}"#, "lobby"), expected);
}

#[test]
fn a_tick_is_judged_by_its_record() {
    assert_eq!(canonical_json(&format!(r#"{{"tick":{NOW}}}"#), "\u{1}tick"), format!("tick {NOW}"));
    assert_eq!(reason(format!(r#"{{"tick":{}}}"#, NOW + 5_001).as_bytes()), Reason::Future);
    assert_eq!(reason(br#"{"tick":-1}"#), Reason::BadTime);
}

#[test]
fn every_refusal_has_its_reason() {
    let long = "x".repeat(65);
    for (value, expected) in [
        ("", Reason::Malformed),
        ("[]", Reason::Malformed),
        ("{", Reason::Malformed),
        (r#"{"emoji":"🔥"}"#, Reason::Malformed),
        (r#"{"room":"lobby"}"#, Reason::Malformed),
        (r#"{"room":"lobby","emoji":7}"#, Reason::Malformed),
        (r#"{"room":"lobby","emoji":"\ud83d"}"#, Reason::Malformed),
        (r#"{"room":"lobby","room":"lobby","emoji":"🔥"}"#, Reason::Malformed),
        (r#"{"room":"a b","emoji":"🔥"}"#, Reason::BadRoom),
        (r#"{"room":"","emoji":"🔥"}"#, Reason::BadRoom),
        (r#"{"room":"other","emoji":"🔥"}"#, Reason::KeyMismatch),
        (r#"{"room":"lobby","emoji":"fire"}"#, Reason::UnknownEmoji),
        (r#"{"room":"lobby","emoji":"🔥","count":0}"#, Reason::BadCount),
        (r#"{"room":"lobby","emoji":"🔥","count":101}"#, Reason::BadCount),
        (r#"{"room":"lobby","emoji":"🔥","count":9223372036854775808}"#, Reason::BadCount),
        (r#"{"room":"lobby","emoji":"🔥","count":1.5}"#, Reason::BadCount),
        (r#"{"room":"lobby","emoji":"🔥","id":""}"#, Reason::BadId),
        (r#"{"room":"lobby","emoji":"🔥","user":"a\u0000"}"#, Reason::BadUser),
        (r#"{"room":"lobby","emoji":"🔥","ts":-1}"#, Reason::BadTime),
        (r#"{"room":"lobby","emoji":"🔥","ts":1e400}"#, Reason::Malformed),
        (r#"{"room":"lobby","emoji":"🔥","ts":253402300799999}"#, Reason::Future),
    ] {
        assert_eq!(reason(value.as_bytes()), expected, "{value}");
    }
    assert_eq!(reason(format!(r#"{{"room":"lobby","emoji":"🔥","id":"{long}"}}"#).as_bytes()), Reason::BadId);
    assert_eq!(reason(&[0xff]), Reason::Malformed);
    assert_eq!(reason(&[b' '; 5000]), Reason::TooLarge);
}

#[test]
fn a_record_without_a_time_needs_an_event_with_one() {
    let origin = Origin { timestamp: None, ..origin("lobby") };
    let refused = parse(br#"{"room":"lobby","emoji":"\ud83d\udd25"}"#, &origin, &Rules::default());
    assert_eq!(refused.expect_err("refused").reason, Reason::NoTime);
    assert!(parse(br#"{"room":"lobby","emoji":"\ud83d\udd25","ts":5}"#, &origin, &Rules::default()).is_ok());
}

#[test]
fn a_refusal_names_its_room_where_it_can() {
    let refused = parse(br#"{"room":"lobby","emoji":"x"}"#, &origin("lobby"), &Rules::default());
    assert_eq!(refused.expect_err("refused").room.as_deref(), Some("lobby"));
}

#[test]
fn codes_are_distinct() {
    let codes: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    assert_eq!(codes.len(), Reason::ALL.len());
}

/// Fields in any order, present or not, right or wrong, with and without spaces; some with a letter changed or lost.
fn event() -> impl Strategy<Value = String> {
    let field = |name: &'static str, values: &'static [&'static str]| {
        prop::option::weighted(0.9, prop::sample::select(values)).prop_map(move |value| Some((name, value?)))
    };
    let fields = (
        field(
            "id",
            &[
                r#""r1""#,
                r#""0199-long-enough-for-two-words""#,
                r#""ü""#,
                r#""""#,
                r#""a\\u0020""#,
                "\"\u{1}\"",
                "null",
                "7",
            ],
        ),
        field("room", &[r#""a""#, r#""a""#, r#""b.c""#, r#""/""#, r#""""#, r#""\\u0061""#]),
        field("emoji", &[r#""🎉""#, r#""🎉""#, r#""❤""#, "\"❤\u{fe0f}\"", r#""x""#, r#""""#]),
        field(
            "count",
            &["1", "1", "100", "101", "0", "01", "1.0", "-1", "1e1", "null", "99999999999999999999", ""],
        ),
        field("user", &[r#""u1""#, r#""a\\\"b""#, "\"\u{7f}\"", "null", r#"{"a":[1]}"#]),
        field("ts", &["0", "1795426840000", "1795426840000", "253402300800000", "9223372036854775808", "-0"]),
        prop::option::weighted(0.1, Just(("tick", "5"))),
        prop::option::weighted(0.1, Just(("other", "[{}]"))),
        prop::option::weighted(0.1, Just(("ts", "7"))),
    );
    let fields = fields.prop_map(|(a, b, c, d, e, f, g, h, i)| {
        [a, b, c, d, e, f, g, h, i].into_iter().flatten().collect::<Vec<_>>()
    });
    let order = prop_oneof![3 => fields.clone(), 1 => fields.prop_shuffle()];
    let space = || prop::sample::select(&["", "", "", " ", "  "][..]);
    let damage = prop::option::weighted(0.2, (any::<prop::sample::Index>(), prop::option::of(any::<char>())));
    (order, space(), space(), prop::sample::select(&["", "", "", ",", " ", "}"][..]), damage).prop_map(
        |(fields, colon, comma, end, damage)| {
            let fields: Vec<_> =
                fields.iter().map(|(name, value)| format!(r#""{name}":{colon}{value}"#)).collect();
            let mut text = format!("{{{}}}{end}", fields.join(&format!(",{comma}")));
            if let Some((index, with)) = damage {
                let at = text.floor_char_boundary(index.index(text.len()));
                text.remove(at);
                if let Some(with) = with {
                    text.insert(at, with);
                }
            }
            text
        },
    )
}

proptest! {
    #[test]
    fn no_bytes_panic(value in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&value, &origin("lobby"), &Rules::default());
    }

    #[test]
    fn plain_events_are_judged_as_the_parser_judges_them(event in event()) {
        // A space in front makes the same JSON one for the parser.
        let spaced = format!(" {event}");
        for key in ["a", "b.c", "\u{1}tick"] {
            let (short, long) = (
                parse_with_form(event.as_bytes(), &origin(key), &Rules::default()),
                parse_with_form(spaced.as_bytes(), &origin(key), &Rules::default()),
            );
            match (&short, &long) {
                (Ok(short), Ok(long)) => prop_assert_eq!(&short.event, &long.event),
                // Where in the text the parser gave up differs.
                (Err(short), Err(long)) => {
                    prop_assert_eq!((short.reason, &short.room), (long.reason, &long.room));
                }
                _ => prop_assert!(false, "{short:?} {long:?}"),
            }
            let Ok(Parsed { event: Event::Reaction(reaction), form }) = short else { continue };
            let canonical = serde_json::to_string(&reaction).expect("serialises");
            match form {
                Form::Canonical => prop_assert_eq!(&canonical, &event),
                Form::Countless(at) => {
                    let (before, behind) = event.split_at(at);
                    prop_assert_eq!(&canonical, &format!(r#"{before},"count":1{behind}"#));
                }
                Form::Free => prop_assert!(canonical != event || event.contains('\\')),
            }
            prop_assert!(reaction.is_written(canonical.as_bytes()) || canonical.contains('\\'));
            prop_assert_eq!(reaction.is_written(event.as_bytes()), form == Form::Canonical);
            prop_assert!(!reaction.is_written(spaced.as_bytes()));
        }
    }

    #[test]
    fn a_canonical_event_is_its_own_canonical_form(
        room in "[a-zA-Z0-9][a-zA-Z0-9._~-]{0,63}",
        id in "[^\\p{Cc}]{1,16}",
        count in 1..=COUNT_MAX,
        ts in 0..=NOW,
    ) {
        prop_assert!(room_is_valid(&room));
        let id = serde_json::to_string(&id).expect("serialises");
        let event = format!(r#"{{"id":{id},"room":"{room}","emoji":"🎉","count":{count},"ts":{ts}}}"#);
        let once = canonical_json(&event, &room);
        prop_assert_eq!(canonical_json(&once, &room), once);
    }
}

#[test]
fn an_array_is_no_event() {
    let array = r#"[null,"id","lobby","🔥",1,null,5]"#;
    let refused = parse(array.as_bytes(), &origin("lobby"), &Rules::default()).expect_err("refused");
    assert_eq!(refused.reason, Reason::Malformed);
}

proptest! {
    #[test]
    fn the_event_is_what_serde_writes(
        id in "\\PC{1,20}", user in proptest::option::of("\\PC{1,20}"), count in 1..=COUNT_MAX, ts in 0..1_000_000_000_000_i64,
    ) {
        let reaction = ovation_reaction::Reaction {
            id: id.into(),
            room: "lobby".into(),
            emoji: "🔥",
            count,
            user: user.map(Into::into),
            ts,
        };
        prop_assert_eq!(reaction.to_event(), serde_json::to_vec(&reaction).expect("serialises"));
    }
}
