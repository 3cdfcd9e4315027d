//! Which records a person gets to see.

use ovation_room::Room;
use ovation_shell::{Batch, Output, Params, Transform};

#[test]
fn records_of_the_rooms_pass_as_they_came_and_no_others() {
    let mut input = Output::default();
    let records: [(Option<&[u8]>, &[u8]); 5] = [
        (Some(b"lobby"), b"{ }"),
        (Some(b"lobby2"), b"2"),
        (None, b"3"),
        (Some(b"\x01tick"), b"4"),
        (Some(b"final-2026"), b"5"),
    ];
    for (delta, (key, value)) in records.iter().enumerate() {
        input.push(delta as i64, 9 * delta as i64, *key, value);
    }
    let input = input.finish(None, 0);
    let batch = Batch::from_records(100, 7, &input).expect("a batch");
    let params = Params::from_iter([("room", "final-2026,lobby,\u{1}tick")]);
    let mut output = Output::default();
    Room::open(&params).expect("opens").transform(&batch, &mut output).expect("passes");
    let output = output.finish(None, 0);
    let passed = Batch::from_records(100, 7, &output).expect("a batch");
    let passed: Vec<_> = passed.records().map(|record| record.expect("a record")).collect();
    let given: Vec<_> = batch.records().map(|record| record.expect("a record")).collect();
    assert_eq!(passed, [given[0], given[4]]);
}

#[test]
fn without_a_room_it_does_not_open() {
    let error = Room::open(&Params::default()).expect_err("refused");
    assert!(error.contains("-e room=final-2026"), "{error}");
}
