use std::fmt::Write;

use crate::{Report, RoomLine, StageReport};

/// Rooms that are shown where not all are asked for.
const ROOMS_SHOWN: usize = 20;

/// Columns of the room, which stand in its first line only, and all columns.
const ROOM_COLUMNS: usize = 4;
const HEAD: [&str; 10] =
    ["room", "taps", "duplicates", "rejected", "window", "places", "finals", "open", "late", "difference"];

/// The report for people: the rooms with differences and the busiest ones (or all of them), the totals, what differs, and a verdict.
#[must_use]
pub fn table(report: &Report, all: bool) -> String {
    let mut text = String::new();
    for stage in &report.stages {
        head(&mut text, stage);
        rooms(&mut text, stage, all);
        for difference in stage.partitions.iter().flat_map(|partition| &partition.differences) {
            let _ = writeln!(text, "difference: {difference}");
        }
        text.push('\n');
    }
    for why in &report.left_out {
        let _ = writeln!(text, "left out: {why}");
    }
    text.push_str(&verdict(report));
    text.push('\n');
    text
}

fn head(text: &mut String, stage: &StageReport) {
    let sum = |count: fn(&crate::PartitionReport) -> u64| stage.partitions.iter().map(count).sum::<u64>();
    let epoch = match (
        stage.partitions.iter().map(|partition| partition.epoch).min(),
        stage.partitions.iter().map(|partition| partition.epoch).max(),
    ) {
        (Some(least), Some(most)) if least != most => format!("epochs {least} to {most}"),
        (Some(least), _) => format!("epoch {least}"),
        _ => "no epoch".to_owned(),
    };
    let records = sum(|partition| partition.end.abs_diff(partition.first));
    let _ = writeln!(
        text,
        "stage {}, {epoch}: {records} source records in {} partitions make {} results and {} dead letters",
        stage.stage,
        stage.partitions.len(),
        sum(|partition| partition.results),
        sum(|partition| partition.dead_letters),
    );
    for (count, what) in [
        (sum(|partition| partition.in_flight), "stored since the audit began, and not looked at"),
        (
            sum(|partition| partition.inversions),
            "stored behind a higher number: no difference, readers order by number",
        ),
        (
            sum(|partition| partition.recurred),
            "ids that came again after the dedup horizon, and counted again",
        ),
    ] {
        if count > 0 {
            let _ = writeln!(text, "  {count} {what}");
        }
    }
}

fn rooms(text: &mut String, stage: &StageReport, all: bool) {
    // Of a stage that counts nothing there is nothing to add up.
    if stage.rooms.is_empty() {
        return;
    }
    let mut order: Vec<&RoomLine> = stage.rooms.iter().collect();
    order.sort_by_key(|room| std::cmp::Reverse((room.difference().unsigned_abs(), room.taps)));
    let shown = if all { order.len() } else { order.len().min(ROOMS_SHOWN) };
    let mut rows: Vec<[String; HEAD.len()]> = vec![HEAD.map(str::to_owned)];
    for room in order.iter().take(shown).copied().chain([&stage.total]) {
        rows.extend(lines(room));
    }
    let mut widths = [0; HEAD.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let last = rows.len() - stage.total.windows.len().max(1);
    for (number, row) in rows.iter().enumerate() {
        if number == last && shown < order.len() {
            let _ = writeln!(text, "… and {} rooms more; --all shows them", order.len() - shown);
        }
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            // Names to the left, numbers to the right.
            let _ = match column {
                0 | ROOM_COLUMNS => write!(line, "{cell:<width$}  "),
                _ => write!(line, "{cell:>width$}  "),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// A line for each window definition; what belongs to the room stands in the first.
fn lines(room: &RoomLine) -> Vec<[String; HEAD.len()]> {
    let name = if room.room.is_empty() { "(no room)" } else { &room.room };
    let mut own =
        [name.to_owned(), room.taps.to_string(), room.duplicates.to_string(), room.rejected.to_string()];
    let mut rows = Vec::new();
    for window in &room.windows {
        let [name, taps, duplicates, rejected] = std::mem::take(&mut own);
        let numbers =
            [window.places, window.finals, window.open, window.late].map(|number| number.to_string());
        let [places, finals, open, late] = numbers;
        let difference = window.difference().to_string();
        rows.push([
            name,
            taps,
            duplicates,
            rejected,
            window.window.clone(),
            places,
            finals,
            open,
            late,
            difference,
        ]);
    }
    rows
}

/// One sentence.
fn verdict(report: &Report) -> String {
    let differences = || {
        let partitions = report.stages.iter().flat_map(|stage| &stage.partitions);
        partitions.flat_map(|partition| &partition.differences)
    };
    match differences().next() {
        None => "no difference: every result and dead letter is what the source makes, and the sums agree"
            .to_owned(),
        Some(first) => {
            let count: u64 = differences().map(|difference| difference.count).sum();
            let noun = if count == 1 { "difference" } else { "differences" };
            let whole = first.to_string();
            format!("{count} {noun}; the first: {}", whole.lines().next().unwrap_or_default())
        }
    }
}
