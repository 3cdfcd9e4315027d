//! A report for a terminal.

use std::fmt::Write as _;

use crate::measure::Times;
use crate::report::Report;

/// What is measured, and how it is called.
pub(crate) const KINDS: [(&str, &str); 6] = [
    ("single", "tap → acknowledged, one a request"),
    ("batch", "tap → acknowledged, many a request"),
    ("socket", "tap → acknowledged, WebSocket"),
    ("screen", "tap → on screen"),
    ("join", "request → first message of a feed"),
    ("lag", "due → sent: the crowd's own lateness"),
];

/// A number with commas.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time in ms, with as many digits as say something.
pub(crate) fn ms(ms: f64) -> String {
    if ms < 10.0 { format!("{ms:.2}") } else { format!("{ms:.1}") }
}

/// Times with some in them, by name.
pub(crate) fn measured(report: &Report) -> impl Iterator<Item = (&'static str, &Times)> {
    let times = |(kind, name): (&str, &'static str)| {
        Some((name, report.times.get(kind).filter(|one| one.count > 0)?))
    };
    KINDS.into_iter().filter_map(times)
}

/// What was sent and what became of it, line by line: a word and what is said about it.
pub(crate) fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let counts = &report.counts;
    let seconds = report.asked.duration_seconds.max(1.0);
    let whole = |count: u64| number(count);
    let a_second = |count: u64| number((count as f64 / seconds) as u64);
    let mut facts = vec![
        (
            "taps",
            format!(
                "{} due ({} a second, in {} reactions) · {} acknowledged · {} refused · {} unknown · {} not sent",
                whole(counts.taps),
                a_second(counts.taps),
                whole(counts.reactions),
                whole(counts.acked_taps),
                whole(counts.refused_taps),
                whole(counts.unknown_taps),
                whole(counts.unsent_taps)
            ),
        ),
        (
            "watchers",
            format!(
                "{} at most · {} updates ({} a second, {:.1} MB/s) · {} moments · {} told as skipped · {} reconnects · {} failed to join",
                whole(counts.watching_max),
                whole(counts.deliveries),
                a_second(counts.deliveries),
                counts.delivered_bytes as f64 / seconds / 1e6,
                whole(counts.moments),
                whole(counts.skipped),
                whole(counts.reconnects),
                whole(counts.failed_joins)
            ),
        ),
        (
            "order",
            format!(
                "{} gaps ({} of finals) · {} repeats · {} taps on no screen",
                counts.gaps + counts.gaps_final,
                counts.gaps_final,
                counts.repeats,
                counts.unseen
            ),
        ),
    ];
    if report.is_whole() {
        let reactions: u64 = report.rooms.iter().map(|room| room.totals.reactions).sum();
        let late: u64 = report.rooms.iter().map(|room| room.totals.late).sum();
        let finals: u64 = report.rooms.iter().filter_map(|room| room.history.values().max()).sum();
        facts.push((
            "books",
            format!(
                "{} acknowledged = {} in windows + {} late, and {} in the finals of the topic, over {} rooms",
                whole(report.rooms.iter().map(|room| room.acked).sum()),
                whole(reactions),
                whole(late),
                whole(finals),
                report.rooms.len()
            ),
        ));
    } else {
        facts.push(("books", format!("part of {}: to be judged when all are merged", report.asked.parts)));
    }
    let memory: Vec<u64> = report.series.iter().filter_map(|point| point.memory_bytes).collect();
    if let (Some(most), Some(last)) = (memory.iter().max(), memory.last()) {
        let processor: f64 = report.series.iter().filter_map(|point| point.processor).sum();
        facts.push((
            "server",
            format!(
                "{:.0} MB at most, {:.0} MB at the end · {processor:.1} processor seconds",
                *most as f64 / 1e6,
                *last as f64 / 1e6
            ),
        ));
    }
    facts
}

/// First line of a report.
pub(crate) fn title(report: &Report) -> String {
    let asked = &report.asked;
    format!(
        "{}: {} taps/s on average for {} s, {} watchers, {} rooms; seed {}, run {}",
        asked.scenario,
        number(asked.rate as u64),
        asked.duration_seconds,
        number(asked.watchers as u64),
        asked.rooms,
        asked.seed,
        report.run
    )
}

/// A report in lines, for people.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut text = format!("{}\n", title(report));
    for (word, fact) in facts(report) {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {word:9} {fact}");
    }
    let _ = writeln!(
        text,
        "\n  {:38} {:>9} {:>9} {:>9} {:>9} {:>9} {:>12}",
        "ms", "p50", "p90", "p99", "p99.9", "max", "count"
    );
    for (name, times) in measured(report) {
        let [p50, p90, p99, p999, max] =
            [times.p50_ms, times.p90_ms, times.p99_ms, times.p999_ms, times.max_ms].map(ms);
        let count = number(times.count);
        let _ = writeln!(text, "  {name:38} {p50:>9} {p90:>9} {p99:>9} {p999:>9} {max:>9} {count:>12}");
    }
    for (title, table) in [
        ("refused or failed", &report.refusals),
        ("bad clients, and what became of them", &report.bad_clients),
    ] {
        if !table.is_empty() {
            let _ = writeln!(text, "\n  {title}");
        }
        for (what, count) in table {
            let _ = writeln!(text, "  {:>12} {what}", number(*count));
        }
    }
    if !report.broken.is_empty() {
        text.push_str("\n  broken\n");
    }
    for fault in &report.broken {
        let _ = writeln!(text, "    {fault}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas() {
        assert_eq!([0, 999, 1_000, 12_345_678].map(number), ["0", "999", "1,000", "12,345,678"]);
    }
}
