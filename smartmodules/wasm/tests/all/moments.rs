//! The two stages of the reaction topology in Fluvio's own SmartModule engine, over the committed match: they find, byte for byte,
//! the moments that they find natively (`load/tests/moments.rs`), whatever the batches and after a restart.

use std::path::PathBuf;

use crate::support::{Chain, Out, chain, of_tag};
use ovation_load::Trace;

const BEGAN_MS: i64 = 1_795_426_800_000;
const COUNT_MAX: u64 = 100;
const BATCH: usize = 500;

fn committed(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../load/traces");
    std::fs::read_to_string(folder.join(name)).expect("a committed file")
}

fn reactions() -> Vec<(&'static str, String)> {
    let trace = Trace::read(&committed("match.csv"), &committed("match-labels.csv")).expect("a trace");
    trace.reactions("match", BEGAN_MS, COUNT_MAX).into_iter().map(|event| ("match", event)).collect()
}

/// Everything that comes of records, in batches of these sizes.
fn run(
    chain: &mut Chain,
    first: usize,
    records: &[(&str, String)],
    mut size: impl FnMut() -> usize,
) -> Vec<Out> {
    let (mut at, mut outs) = (0, Vec::new());
    while at < records.len() {
        let end = (at + size()).min(records.len());
        outs.extend(chain.run((first + at) as i64, &records[at..end]));
        at = end;
    }
    outs
}

fn results(outs: &[Out]) -> Vec<String> {
    of_tag(outs, None).into_iter().map(|out| out.value.clone()).collect()
}

#[test]
fn the_committed_match_has_the_committed_moments() {
    let mut window = chain(&[ovation_wasm::WINDOW], &[], false).expect("opens");
    let updates = results(&run(&mut window, 0, &reactions(), || BATCH));
    let updates: Vec<(&str, String)> = updates.into_iter().map(|update| ("match", update)).collect();

    let mut size = 1;
    let uneven = || {
        size = size * 7 % 211 + 1;
        size
    };
    let every = [
        ("ovation.checkpoint.records", "1000".to_owned()),
        ("ovation.checkpoint.interval-ms", "86400000".to_owned()),
    ];
    let mut moments = chain(&[ovation_wasm::MOMENTS], &every, false).expect("opens");
    let outs = run(&mut moments, 0, &updates, uneven);
    let found = results(&outs);
    let over: Vec<&str> =
        found.iter().map(String::as_str).filter(|moment| moment.contains(r#""final":true"#)).collect();
    let expected = committed("match-moments.jsonl");
    assert_eq!(over, expected.lines().collect::<Vec<_>>());

    let pieces = of_tag(&outs, Some("checkpoint"));
    assert!(pieces.len() >= 3, "{}", pieces.len());
    for piece in pieces {
        let piece = piece.json();
        let offset = piece["offset"].as_i64().expect("an offset");
        let data = piece["data"].as_str().expect("text").to_owned();
        let restored = [("ovation.checkpoint.pieces", "1".to_owned()), ("ovation.checkpoint.0", data)];
        let mut moments = chain(&[ovation_wasm::MOMENTS], &restored, false).expect("opens");
        let rest = results(&run(&mut moments, offset as usize, &updates[offset as usize..], || BATCH));
        assert_eq!(rest, found[found.len() - rest.len()..], "restart at {offset}");
        assert_eq!(piece["seq"].as_u64(), Some((found.len() - rest.len()) as u64), "restart at {offset}");
    }
}
