//! Whatever happens, what the stage made of it passes.

use crate::support::{Later, Raw, T0, Topics, garbage, tap, tick};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Tap { room: usize, emoji: usize, count: u64, behind_ms: i64, id: Option<u8>, timed: bool },
    Garbage(usize),
    Tick(i64),
    Pause(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..3usize, 0..4usize, 1..5u64, prop_oneof![6 => 0..300i64, 3 => 0..2_500i64, 1 => 0..20_000i64],
               prop::option::of(0..40u8), any::<bool>())
            .prop_map(|(room, emoji, count, behind_ms, id, timed)| Step::Tap { room, emoji, count, behind_ms, id, timed }),
        2 => (0..7usize).prop_map(Step::Garbage),
        3 => (0..400i64).prop_map(Step::Tick),
        1 => (500..6_000i64).prop_map(Step::Pause),
    ]
}

fn events(steps: &[Step]) -> Vec<Raw> {
    let mut now = 30_000;
    let mut events = Vec::new();
    for step in steps {
        now += 40;
        match step {
            Step::Tap { room, emoji, count, behind_ms, id, timed } => {
                let room = ["lobby", "final", "side"][*room];
                let emoji = ["🔥", "❤", "👏🏽", "🏳️‍🌈"][*emoji];
                let id = id.map(|id| format!("id{id}"));
                let mut event = tap(room, emoji, *count, now - behind_ms, id.as_deref());
                event.time = if *timed { T0 + now } else { -1 };
                events.push(event);
            }
            Step::Garbage(kind) => events.push(match kind {
                0 => garbage("lobby", b"{", now),
                1 => garbage("lobby", br#"{"room":"lobby","emoji":"x"}"#, now),
                2 => garbage("lobby", &[0xff], now),
                3 => garbage("\u{1}checkpoint", b"{}", now),
                4 => garbage("side", &tap("lobby", "🔥", 1, now, None).value, now),
                5 => Raw { time: T0, ..tap("final", "🔥", 1, now, None) },
                // An id that looks like another record's place.
                _ => tap("final", "🔥", 1, now, Some("0:30")),
            }),
            Step::Tick(ahead) => events.push(tick(now + ahead)),
            Step::Pause(length) => now += length,
        }
    }
    events
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn random_logs_are_clean(
        steps in prop::collection::vec(step(), 1..250),
        sizes in prop::collection::vec(1..40usize, 1..6),
        ends in (0..=100i64, 0..=100i64),
    ) {
        let mut topics = Topics::default();
        topics.run(1, &events(&steps), &sizes);
        prop_assert_eq!(topics.audit().differences, vec![]);

        // The same of a part of it, with outlets that lag behind.
        let mut place = topics.place();
        place.source.end = place.source.end * ends.0 / 100;
        let made = |records: &[ovation_client::Record]| {
            let of = |record: &ovation_client::Record| {
                let value: serde_json::Value = serde_json::from_slice(&record.value).expect("JSON");
                value["source"]["offset"].as_i64().expect("an offset")
            };
            records.iter().filter(|record| of(record) < place.source.end).count() as i64
        };
        (place.sink.end, place.letters.end) = (made(&topics.sink) * ends.1 / 100, made(&topics.letters) * ends.1 / 100);
        let later = Later {
            sink: topics.sink[place.sink.end as usize..].to_vec(),
            letters: topics.letters[place.letters.end as usize..].to_vec(),
        };
        prop_assert_eq!(topics.audit_at(place, later).differences, vec![]);
    }
}

#[test]
fn a_duplicate_ahead_of_stream_time_makes_no_other_id_forgotten() {
    // The horizon is 3 s. The third tap is a duplicate, so its time does not become stream time; the fourth comes within the
    // horizon of the first.
    let mut topics = Topics::default();
    let taps = [("old", 0), ("young", 2_000), ("young", 4_000), ("old", 2_000)];
    let events: Vec<Raw> = taps.map(|(id, at)| tap("lobby", "🔥", 1, at, Some(id))).into();
    topics.run(1, &events, &[2]);
    let report = topics.audit();
    assert_eq!(report.differences, vec![]);
    assert_eq!((report.rooms[0].taps, report.rooms[0].duplicates), (4, 2));
}
