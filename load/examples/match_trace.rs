//! Writes the trace of a match: `cargo run -p ovation-load --example match_trace -- SEED MURMUR FOLDER`.

use std::path::PathBuf;
use std::process::ExitCode;

use ovation_load::Match;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [seed, murmur, folder] = arguments.as_slice() else {
        eprintln!("expected a seed, the murmur in taps per second, and a folder");
        return ExitCode::FAILURE;
    };
    let (Ok(seed), Ok(murmur)) = (seed.parse(), murmur.parse()) else {
        eprintln!("expected a whole number as the seed, and a number as the murmur");
        return ExitCode::FAILURE;
    };
    let (trace, folder) = (Match { seed, murmur }.trace(), PathBuf::from(folder));
    for (name, text) in [("match.csv", trace.taps_csv()), ("match-labels.csv", trace.labels_csv())] {
        if let Err(error) = std::fs::write(folder.join(name), text) {
            eprintln!("failed to write {name} in {}: {error}", folder.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
