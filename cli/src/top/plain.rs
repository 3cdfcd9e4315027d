//! The view as lines of text, for pipes, logs and `--once`.

use chrono::{DateTime, SecondsFormat};

use super::table::{Row, tables};
use super::view::View;

/// Columns of a line: what fits beside a log's own prefix on most screens.
const WIDTH: usize = 140;

/// A block of lines that ends with an empty one.
pub(super) fn lines(view: &View) -> String {
    let time = DateTime::from_timestamp_millis(view.time).unwrap_or_default();
    let mut text = format!("ovation top  {}\n", time.to_rfc3339_opts(SecondsFormat::Secs, true));
    for table in tables(view) {
        text.push_str(&format!("{}\n", table.title));
        for row in table.fit(WIDTH - 2) {
            text.push_str(&format!("  {}\n", line(&row)));
        }
    }
    text.push('\n');
    text
}

fn line(row: &Row) -> String {
    let text: String = row.cells.iter().map(|cell| cell.text.as_str()).collect();
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::table::tests::full;

    #[test]
    fn a_block_says_when_and_has_every_table_without_colours() {
        let text = lines(&full());
        assert!(text.starts_with("ovation top  2026-11-23T09:40:40Z\nProcesses\n"), "{text}");
        for title in ["Way in", "Broker and chain", "Engine", "Way out", "Rejects", "Topics"] {
            assert!(text.lines().any(|line| line == title), "{title} in\n{text}");
        }
        assert!(text.contains("  reason  letters/s  letters\n  late    0          3\n"), "{text}");
        assert!(!text.contains('\u{1b}') && text.lines().all(|line| line == line.trim_end()), "{text}");
    }
}
