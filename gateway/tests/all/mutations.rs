//! Whatever strangers send is answered, never with a panic, and what is taken is what it should be: damaged copies of
//! `gateway/fuzz/seeds`. The same through cargo-fuzz, for longer: `gateway/fuzz`.

use std::fs;
use std::path::{Path, PathBuf};

use ovation_gateway::fuzzing;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

/// What JSON, headers, tokens and encodings are sensitive to.
const BITS: [&[u8]; 36] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"true",
    b"-1",
    b"0",
    b"1e309",
    b"1.5",
    b"99999999999999999999",
    b"\n",
    b"\r\n",
    b"\x00",
    b"\x1f\x8b",
    b"\xff",
    b"\xc3",
    b"\xef\xb8\x8f",
    b"\xf0\x9f\x94\xa5",
    b".",
    b"*",
    b"=",
    b"-----BEGIN ",
    b"://",
    b";q=0",
    b" ",
    b"\t",
    b"\"id\":\"x\",",
    b"::ffff:",
    b"\x0c",
];

/// One damage.
#[derive(Debug, Clone)]
enum Damage {
    Insert(Index, Vec<u8>),
    Drop(Index, usize),
    Change(Index, u8),
    Repeat(Index, usize, usize),
    Swap(Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<Index>;
    let bit = prop_oneof![
        prop::sample::select(BITS.to_vec()).prop_map(<[u8]>::to_vec),
        prop::collection::vec(any::<u8>(), 0..8)
    ];
    prop_oneof![
        (index(), bit).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (index(), 1..40_usize).prop_map(|(at, count)| Damage::Drop(at, count)),
        (index(), any::<u8>()).prop_map(|(at, byte)| Damage::Change(at, byte)),
        (index(), 1..60_usize, 1..40_usize).prop_map(|(at, count, times)| Damage::Repeat(at, count, times)),
        (index(), index()).prop_map(|(one, other)| Damage::Swap(one, other)),
    ]
}

fn damaged(mut bytes: Vec<u8>, damage: &Damage) -> Vec<u8> {
    let end = bytes.len();
    match damage {
        Damage::Insert(at, inserted) => {
            let at = at.index(end + 1);
            bytes.splice(at..at, inserted.iter().copied());
        }
        Damage::Drop(at, count) => {
            let at = at.index(end + 1);
            bytes.drain(at..end.min(at + count));
        }
        Damage::Change(at, byte) if end > 0 => bytes[at.index(end)] = *byte,
        Damage::Repeat(at, count, times) => {
            let at = at.index(end + 1);
            let repeated = bytes[at..end.min(at + count)].repeat(*times);
            bytes.splice(at..at, repeated);
        }
        Damage::Swap(one, other) if end > 0 => bytes.swap(one.index(end), other.index(end)),
        Damage::Change(..) | Damage::Swap(..) => {}
    }
    bytes
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

/// Gives `target` its seeds, of which some have to be taken and some not, and damaged copies of them.
fn check(name: &str, target: fn(&[u8]) -> bool) {
    let seeds: Vec<Vec<u8>> =
        files(&folder("seeds").join(name)).iter().map(|file| fs::read(file).expect("a seed")).collect();
    let taken = seeds.iter().filter(|seed| target(seed)).count();
    assert!((1..seeds.len()).contains(&taken), "{taken} of {} seeds are taken", seeds.len());
    let config = ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() };
    let inputs = (any::<Index>(), prop::collection::vec(damage(), 1..6));
    let outcome = TestRunner::new(config).run(&inputs, |(seed, damages)| {
        let seed = seeds[seed.index(seeds.len())].clone();
        target(&damages.iter().fold(seed, damaged));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

macro_rules! targets {
    ($($target:ident)*) => {
        const TARGETS: &[&str] = &[$(stringify!($target)),*];
        $(
            #[test]
            fn $target() {
                check(stringify!($target), fuzzing::$target);
            }
        )*
    };
}

targets!(batch body choice cursor frames headers keys letter message moment preface reaction rules settings token update);

#[test]
fn every_fuzz_target_is_among_them() {
    let stems = files(&folder("fuzz_targets"))
        .into_iter()
        .filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned()));
    assert_eq!(stems.collect::<Vec<_>>(), TARGETS);
}
