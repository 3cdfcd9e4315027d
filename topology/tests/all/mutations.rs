//! Whatever stands in a topology file is answered, and never with a panic: damaged copies of the shipped file. The same through
//! cargo-fuzz, for longer: `topology/fuzz`.

use std::borrow::Cow;

use ovation_topology::{Modules, Topology};
use proptest::prelude::*;
use proptest::sample::Index;

const SHIPPED: &str = include_str!("../../../topology.yaml");

/// Every builtin is there.
struct All;

impl Modules for All {
    fn wasm(&self, _: &str) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(b"\0asm"))
    }
}

/// One damage.
#[derive(Debug, Clone)]
enum Damage {
    DropLine(Index),
    RepeatLine(Index),
    SwapLines(Index, Index),
    Indent(Index, usize),
    Insert(Index, String),
    Drop(Index, usize),
    ReplaceWord(Index, String),
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<Index>;
    // What YAML, the environment, durations and names are sensitive to.
    let bits = prop::sample::select(vec![
        ":",
        "- ",
        "{",
        "}",
        "[",
        "]",
        "&a ",
        "*a",
        "<<: ",
        "!!str ",
        "|",
        ">",
        "\"",
        "'",
        "#",
        "\t",
        "\n",
        "\r\n",
        "---\n",
        "...",
        "${",
        "${A",
        "${A:-b}",
        "$${",
        "~",
        "null",
        "true",
        "@10s",
        "@",
        "9999999999999999999999",
        "-1",
        "1e309",
        ".inf",
        "0x",
        "\u{0}",
        "\u{feff}",
        "🔥",
        "\u{1}",
        "10s",
        "10 years",
        "é",
    ]);
    let bit = prop_oneof![bits.prop_map(str::to_owned), ".{0,8}"];
    prop_oneof![
        index().prop_map(Damage::DropLine),
        index().prop_map(Damage::RepeatLine),
        (index(), index()).prop_map(|(a, b)| Damage::SwapLines(a, b)),
        (index(), 0..8_usize).prop_map(|(line, by)| Damage::Indent(line, by)),
        (index(), bit.clone()).prop_map(|(at, text)| Damage::Insert(at, text)),
        (index(), 1..40_usize).prop_map(|(at, count)| Damage::Drop(at, count)),
        (index(), bit).prop_map(|(word, text)| Damage::ReplaceWord(word, text)),
    ]
}

fn damaged(text: &str, damage: &Damage) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        lines.push(String::new());
    }
    let count = lines.len();
    let characters: Vec<char> = text.chars().collect();
    match damage {
        Damage::DropLine(line) => drop(lines.remove(line.index(count))),
        Damage::RepeatLine(line) => lines.insert(line.index(count), lines[line.index(count)].clone()),
        Damage::SwapLines(a, b) => lines.swap(a.index(count), b.index(count)),
        Damage::Indent(line, by) => {
            let line = &mut lines[line.index(count)];
            *line = format!("{}{}", " ".repeat(*by), line.trim_start());
        }
        Damage::Insert(at, inserted) => {
            let at = at.index(characters.len() + 1);
            let (before, after) = characters.split_at(at);
            return before.iter().collect::<String>() + inserted + &after.iter().collect::<String>();
        }
        Damage::Drop(at, dropped) => {
            let at = at.index(characters.len() + 1);
            let end = (at + dropped).min(characters.len());
            return characters[..at].iter().chain(&characters[end..]).collect();
        }
        Damage::ReplaceWord(word, other) => {
            let words: Vec<&str> = text.split_inclusive([' ', '\n']).collect();
            if words.is_empty() {
                return other.clone();
            }
            let chosen = word.index(words.len());
            let one = |(index, word): (usize, &&str)| {
                if index == chosen { format!("{other} ") } else { (*word).to_owned() }
            };
            return words.iter().enumerate().map(one).collect();
        }
    }
    lines.join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_file_is_answered(damages in prop::collection::vec(damage(), 1..6)) {
        let text = damages.iter().fold(SHIPPED.to_owned(), |text, one| damaged(&text, one));
        match Topology::check("topology.yaml", &text, &All) {
            Ok(checked) => {
                // What holds together can be described, whatever it is.
                let described = ovation_topology::describe(&checked.topology, &All);
                if let Ok(described) = described {
                    let _ = (described.text(), described.mermaid(), described.dot());
                }
            }
            Err(error) => {
                prop_assert!(!error.problems().is_empty());
                let lines = text.lines().count() as u64 + 1;
                for problem in error.problems() {
                    prop_assert!(problem.line <= lines, "{problem}");
                    prop_assert!(!problem.message.is_empty());
                }
                prop_assert!(error.render(true, 80).contains("mistake"));
            }
        }
    }
}
