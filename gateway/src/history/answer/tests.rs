//! Answers made of records, in the states in which a log can be.

use std::collections::{BTreeMap, HashSet};

use ovation_client::Cluster;
use proptest::prelude::*;
use serde_json::Value;

use super::super::query::Format;
use super::super::tests::final_of;
use super::*;

fn log() -> Log {
    let topic = "emoji-aggregates".to_owned();
    Log { cluster: Cluster::new("127.0.0.1:1"), topic, partition: 0, room: "a".to_owned() }
}

fn query(step: Option<i64>, limit: u32) -> Query {
    Query { from: 0, to: 1_000_000, window: None, step, limit, after: None, format: Format::Json }
}

fn records(values: &[String], first: i64) -> Vec<Record> {
    let record = |(offset, value): (i64, &String)| Record {
        partition: 0,
        offset,
        timestamp: -1,
        key: None,
        value: value.clone().into(),
    };
    (first..).zip(values).map(record).collect()
}

/// Answers from these batches as [`Answer`] does, page by page: each page reads everything again, as the scan of a log would from
/// before its place on.
fn pages(query: &Query, renewed: &Renewed, epochs: &[(u64, Vec<Vec<Record>>)]) -> Vec<Value> {
    let (log, config) = (log(), History { early_results_max: 8, ..History::default() });
    let (mut answers, mut after): (Vec<Value>, Option<Place>) = (Vec::new(), None);
    loop {
        assert!(answers.len() < 1_000, "it gets on");
        let mut pages = Pages {
            query: query.clone(),
            config: config.clone(),
            renewed: renewed.clone(),
            writer: Writer::begin("a", query),
            steps: query.step.map(Steps::new),
            written: 0,
            read: 0,
            until: until(config.deadline),
            last: None,
        };
        let mut cut = false;
        for (epoch, batches) in
            epochs.iter().filter(|(epoch, _)| after.is_none_or(|place| *epoch >= place.epoch))
        {
            let mut order = Order::new(config.early_results_max);
            let begin = after.filter(|place| place.epoch == *epoch);
            if let Some(place) = begin {
                order.start_at(place.after());
            }
            let passed = Passed::new(query.to, &config);
            let mut reading = Reading { scan: log.scan(0..1), order, passed, is_begun: begin.is_some() };
            cut = batches.iter().any(|batch| pages.take(&mut reading, &log, batch) == Flow::Cut)
                || pages.give_up(&mut reading) == Flow::Cut;
            if cut {
                break;
            }
        }
        for step in pages.steps.iter_mut().flat_map(Steps::finish) {
            pages.writer.step(step);
        }
        pages.writer.end(cut.then_some("more"));
        answers.push(serde_json::from_slice(&pages.writer.take()).expect("JSON"));
        if !cut {
            return answers;
        }
        after = pages.last;
    }
}

fn windows(answers: &[Value]) -> Vec<(String, i64, u64)> {
    let windows = answers.iter().flat_map(|answer| answer["windows"].as_array().expect("a list"));
    let of = |window: &Value| {
        let place = &window["window"];
        let name = place["name"].as_str().expect("a name").to_owned();
        (name, place["start"].as_i64().expect("a start"), window["total"].as_u64().expect("a total"))
    };
    windows.map(of).collect()
}

#[test]
fn finals_of_the_room_in_the_range_and_nothing_else() {
    let values = [
        final_of("a", 1, 1, ("10s", "tumbling", 0, 10)),
        final_of("b", 1, 2, ("10s", "tumbling", 0, 10)),
        final_of("a", 1, 3, ("10s", "tumbling", 10, 20)).replace("\"final\":true", "\"final\":false"),
        final_of("a", 1, 4, ("10s", "tumbling", 10, 20)),
        final_of("a", 1, 5, ("visit", "session", 3, 20)).replace("\"total\"", "\"retracted\":true,\"total\""),
        "not a result".to_owned(),
        final_of("a", 1, 6, ("30s", "tumbling", 0, 30)),
        final_of("a", 1, 7, ("10s", "tumbling", 20, 30)),
    ];
    let epochs = [(1, vec![records(&values, 0)])];
    let found = |query: &Query| windows(&pages(query, &Renewed::new(), &epochs));
    let all =
        [("10s", 0), ("10s", 10), ("30s", 0), ("10s", 20)].map(|(name, start)| (name.to_owned(), start, 1));
    assert_eq!(found(&query(None, 10)), all);
    assert_eq!(found(&query(None, 1)), all, "page by page");
    assert_eq!(found(&Query { to: 20, window: Some("10s".into()), ..query(None, 10) }), all[..2]);
    assert_eq!(found(&Query { from: 1, ..query(None, 10) }), [all[1].clone(), all[3].clone()]);
    let steps = [("10s", 0, 2), ("10s", 20, 1), ("30s", 0, 1)];
    let mut stepped = found(&query(Some(20), 10));
    stepped.sort();
    assert_eq!(stepped, steps.map(|(name, start, total)| (name.to_owned(), start, total)));
}

#[test]
fn a_window_comes_as_it_stands_in_the_topic() {
    let value = final_of("a", 1, 1, ("10s", "tumbling", 0, 10));
    let answers =
        pages(&query(None, 10), &Renewed::new(), &[(1, vec![records(&[format!(" {value}\n")], 0)])]);
    assert_eq!(answers[0]["windows"][0], serde_json::from_str::<Value>(&value).expect("JSON"));
    assert_eq!(answers[0]["next"], Value::Null);
}

#[test]
fn a_newer_epoch_takes_the_place_of_an_older_one() {
    let old = [0, 10, 20]
        .map(|start| final_of("a", 1, start as u64 / 10 + 1, ("10s", "tumbling", start, start + 10)));
    let new = [10, 20].map(|start| {
        final_of("a", 2, start as u64 / 10, ("10s", "tumbling", start, start + 10))
            .replace("\"total\":1", "\"total\":5")
    });
    let epochs = [(1, vec![records(&old, 0)]), (2, vec![records(&new, 3)])];
    let renewed = [10, 20].map(|start| (("10s".into(), start), 2)).into();
    let found = windows(&pages(&query(None, 10), &renewed, &epochs));
    assert_eq!(found, [(0, 1), (10, 5), (20, 5)].map(|(start, total)| ("10s".to_owned(), start, total)));
}

#[test]
fn a_missing_result_is_waited_for_and_then_given_up() {
    let seqs = (2..40).filter(|seq| *seq != 20);
    let values: Vec<_> = seqs
        .map(|seq| final_of("a", 1, seq, ("10s", "tumbling", seq as i64 * 10, seq as i64 * 10 + 10)))
        .collect();
    let found = windows(&pages(&query(None, 100), &Renewed::new(), &[(1, vec![records(&values, 0)])]));
    assert_eq!(found.len(), 37);
}

proptest! {
    /// A log as it may be: two rooms, three definitions, updates between finals, pieces of it twice, and results that changed places.
    #[test]
    fn each_final_comes_once_and_in_order_whatever_the_log_is_like(
        closes in prop::collection::vec((0..3_usize, 1..4_i64, any::<bool>(), any::<bool>()), 1..120),
        swaps in prop::collection::vec((0..200_usize, 1..4_usize), 0..10),
        repeats in prop::collection::vec((0..200_usize, 1..10_usize), 0..4),
        size in 1..20_usize, limit in 1..8_u32, step in prop::option::of(1..40_i64),
    ) {
        let (names, sizes) = (["10s", "30s", "visit"], [10, 30, 7]);
        let mut next = [0_i64; 3];
        let mut log = Vec::new();
        let mut expected = Vec::new();
        for (which, gap, is_mine, is_updated) in &closes {
            let room = if *is_mine { "a" } else { "b" };
            let kind = if *which == 2 { "session" } else { "tumbling" };
            let start = next[*which];
            next[*which] += gap * sizes[*which];
            let window = (names[*which], kind, start, start + sizes[*which]);
            if *is_updated {
                log.push(final_of(room, 1, log.len() as u64 + 1, window).replace("\"final\":true", "\"final\":false"));
            }
            log.push(final_of(room, 1, log.len() as u64 + 1, window));
            if *is_mine {
                expected.push((names[*which].to_owned(), start, 1_u64));
            }
        }
        // The first stays first: nothing is known of what is before it.
        let mut moved = HashSet::new();
        for (at, by) in swaps {
            let (at, other) = (1 + at % log.len(), 1 + at % log.len() + by);
            if other < log.len() && moved.insert(at) && moved.insert(other) {
                log.swap(at, other);
            }
        }
        for (at, length) in repeats {
            let at = at % log.len();
            let again = log[at..log.len().min(at + length)].to_vec();
            log.extend(again);
        }
        let batches: Vec<_> = records(&log, 0).chunks(size).map(<[Record]>::to_vec).collect();
        let found = windows(&pages(&query(None, limit), &Renewed::new(), &[(1, batches.clone())]));
        prop_assert_eq!(&found, &expected);

        let Some(step) = step else { return Ok(()) };
        let answers = pages(&query(Some(step), limit), &Renewed::new(), &[(1, batches)]);
        let mut sums = BTreeMap::<(String, i64), u64>::new();
        for (name, start, total) in expected {
            let start = if name == "visit" { start } else { start.div_euclid(step) * step };
            *sums.entry((name, start)).or_default() += total;
        }
        let mut stepped = BTreeMap::<(String, i64), u64>::new();
        for (name, start, total) in windows(&answers) {
            *stepped.entry((name, start)).or_default() += total;
        }
        prop_assert_eq!(stepped, sums, "a step in two answers is to be added up");
        for answer in &answers {
            let shown: Vec<_> = windows(std::slice::from_ref(answer));
            prop_assert!(shown.len() <= limit as usize);
            let each: HashSet<_> = shown.iter().map(|(name, start, _)| (name, start)).collect();
            prop_assert_eq!(each.len(), shown.len(), "a step comes once in an answer");
        }
    }
}
