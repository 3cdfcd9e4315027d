//! The view as tables: the same for a terminal and for plain lines. A narrow one leaves the least important columns out.

use super::view::{Broker, Latency, Process, Rejected, Task, Topic, View, WayIn, WayOut};

/// Between two columns.
const GAP: usize = 2;

/// How a cell is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Mood {
    #[default]
    Plain,
    Good,
    /// Worth a look.
    Odd,
    Bad,
}

/// A value, as it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) mood: Mood,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, mood: Mood::Plain }
    }
}

/// A column's name, and how long it stays as space gets scarce: 0 always.
type Column = (&'static str, u8);

/// A title, columns and rows.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) title: String,
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

/// A line of a table that was fitted to a width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) cells: Vec<Cell>,
    pub(super) is_head: bool,
}

impl Table {
    fn new(title: &str, columns: &[Column], rows: Vec<Vec<Cell>>) -> Self {
        Self { title: title.to_owned(), columns: columns.to_vec(), rows }
    }

    /// Lines whose cells are padded to their columns, none longer than `width`.
    pub(super) fn fit(&self, width: usize) -> Vec<Row> {
        let wide = |place: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(place)).map(|cell| letters(&cell.text));
            cells.chain([letters(self.columns[place].0)]).max().unwrap_or(0)
        };
        let mut kept: Vec<usize> = (0..self.columns.len()).collect();
        let taken = |kept: &[usize]| kept.iter().map(|place| wide(*place) + GAP).sum::<usize>();
        while taken(&kept) > width + GAP
            && let Some(least) = kept
                .iter()
                .copied()
                .filter(|place| self.columns[*place].1 > 0)
                .max_by_key(|place| (self.columns[*place].1, *place))
        {
            kept.retain(|place| *place != least);
        }
        let head = Row {
            cells: kept.iter().map(|place| Cell::from(self.columns[*place].0.to_owned())).collect(),
            is_head: true,
        };
        let rows = self.rows.iter().map(|row| Row {
            cells: kept.iter().map(|place| row.get(*place).cloned().unwrap_or_default()).collect(),
            is_head: false,
        });
        let mut lines: Vec<Row> = std::iter::once(head).chain(rows).collect();
        for line in &mut lines {
            let mut left = width;
            for (number, (cell, place)) in line.cells.iter_mut().zip(&kept).enumerate() {
                let is_last = number + 1 == kept.len();
                let space = (wide(*place) + if is_last { 0 } else { GAP }).min(left);
                left -= space;
                let short: String = cell.text.chars().take(space).collect();
                let missing = if is_last { 0 } else { space - letters(&short) };
                cell.text = format!("{short}{}", " ".repeat(missing));
            }
        }
        lines
    }
}

fn letters(text: &str) -> usize {
    text.chars().count()
}

/// All tables of a view, in the order of a reaction's way.
pub(super) fn tables(view: &View) -> Vec<Table> {
    let mut tables = vec![processes(&view.processes)];
    tables.extend(view.way_in.as_ref().map(way_in));
    tables.extend(view.broker.as_ref().map(broker));
    if !view.tasks.is_empty() {
        tables.push(engine(&view.tasks, view.processes.len() > 1));
    }
    tables.extend(view.way_out.as_ref().map(way_out));
    if !view.rejects.is_empty() {
        tables.push(rejects(&view.rejects));
    }
    if !view.topics.is_empty() {
        tables.push(topics(&view.topics));
    }
    tables
}

fn processes(processes: &[Process]) -> Table {
    let row = |(number, process): (usize, &Process)| {
        let state = match &process.error {
            Some(error) => Cell { text: error.clone(), mood: Mood::Bad },
            None if process.not_ready.is_empty() => Cell { text: "ready".to_owned(), mood: Mood::Good },
            None => Cell { text: format!("not ready: {}", process.not_ready.join(", ")), mood: Mood::Bad },
        };
        let text = |value: Option<String>| Cell::from(value.unwrap_or_else(none));
        vec![
            number.to_string().into(),
            process.url.clone().into(),
            text(process.version.clone()),
            text(process.cpu_cores.map(|cores| format!("{:.0}%", cores * 100.0))),
            text(process.resident_bytes.map(bytes)),
            state,
        ]
    };
    let columns = [("#", 2), ("process", 0), ("version", 5), ("cpu", 3), ("memory", 4), ("state", 0)];
    Table::new("Processes", &columns, processes.iter().enumerate().map(row).collect())
}

fn way_in(way: &WayIn) -> Table {
    let columns = [
        ("taps/s", 0),
        ("accepted/s", 1),
        ("refused/s", 3),
        ("again/s", 6),
        ("ack p50", 4),
        ("ack p99", 2),
        ("requests/s", 5),
        ("connections", 7),
    ];
    let row = vec![
        rate(way.taps_per_s).into(),
        rate(way.accepted_per_s).into(),
        odd(way.refused_per_s),
        rate(way.duplicates_per_s).into(),
        time(way.ack.p50).into(),
        time(way.ack.p99).into(),
        rate(way.requests_per_s).into(),
        count(way.connections).into(),
    ];
    Table::new("Way in", &columns, vec![row])
}

fn broker(broker: &Broker) -> Table {
    let columns = [
        ("appended/s", 0),
        ("bytes/s", 4),
        ("produce p99", 2),
        ("chain records/s", 1),
        ("chain p99", 3),
        ("streamed/s", 5),
        ("streams", 7),
        ("fenced/s", 6),
        ("disk errors", 3),
        ("connections", 8),
    ];
    let errors = Cell {
        text: count(broker.storage_errors),
        mood: if broker.storage_errors > 0.0 { Mood::Bad } else { Mood::Plain },
    };
    let row = vec![
        rate(broker.appended_per_s).into(),
        bytes(broker.appended_bytes_per_s).into(),
        time(broker.produce.p99).into(),
        rate(broker.chain_records_per_s).into(),
        time(broker.chain.p99).into(),
        rate(broker.streamed_per_s).into(),
        count(broker.streams).into(),
        odd(broker.fence_refusals_per_s),
        errors,
        count(broker.connections).into(),
    ];
    Table::new("Broker and chain", &columns, vec![row])
}

fn engine(tasks: &[Task], are_many: bool) -> Table {
    let columns = [
        ("#", if are_many { 1 } else { 9 }),
        ("stage", 0),
        ("part", 0),
        ("state", 0),
        ("role", 5),
        ("records/s", 1),
        ("results/s", 2),
        ("lag", 0),
        ("behind", 4),
        ("checkpoint", 3),
        ("store p99", 6),
        ("restarts", 7),
    ];
    let row = |task: &Task| {
        let state = match (task.state.as_str(), task.ready) {
            ("running", true) => Cell { text: "running".to_owned(), mood: Mood::Good },
            ("running", false) => Cell { text: "catching up".to_owned(), mood: Mood::Odd },
            ("stopped", _) => Cell { text: "stopped".to_owned(), mood: Mood::Bad },
            (other, _) => Cell { text: other.to_owned(), mood: Mood::Odd },
        };
        let Latency { p99, .. } = task.produce;
        let restarts = Cell {
            text: count(task.restarts),
            mood: if task.restarts > 0.0 { Mood::Odd } else { Mood::Plain },
        };
        vec![
            task.process.to_string().into(),
            task.stage.clone().into(),
            task.partition.clone().into(),
            state,
            task.role.to_owned().into(),
            rate(task.records_per_s).into(),
            rate(task.results_per_s).into(),
            count(task.lag_records).into(),
            time(task.watermark_lag_s).into(),
            time(task.checkpoint_age_s).into(),
            time(p99).into(),
            restarts,
        ]
    };
    Table::new("Engine", &columns, tasks.iter().map(row).collect())
}

fn way_out(way: &WayOut) -> Table {
    let columns = [
        ("deliveries/s", 0),
        ("clients", 0),
        ("of", 6),
        ("behind/s", 4),
        ("skipped/s", 2),
        ("delay p50", 5),
        ("delay p99", 3),
        ("rooms", 7),
    ];
    let row = vec![
        rate(way.deliveries_per_s).into(),
        count(way.clients).into(),
        count(way.clients_max).into(),
        rate(way.behind_per_s).into(),
        odd(way.skipped_per_s),
        time(way.delay.p50).into(),
        time(way.delay.p99).into(),
        count(way.rooms).into(),
    ];
    Table::new("Way out", &columns, vec![row])
}

fn rejects(rejects: &[Rejected]) -> Table {
    let row = |one: &Rejected| vec![one.reason.clone().into(), odd(one.per_s), Cell::from(count(one.total))];
    let columns = [("reason", 0), ("letters/s", 0), ("letters", 1)];
    Table::new("Rejects", &columns, rejects.iter().map(row).collect())
}

fn topics(topics: &[Topic]) -> Table {
    let columns = [
        ("topic", 0),
        ("appended/s", 0),
        ("bytes/s", 4),
        ("chain/s", 3),
        ("streamed/s", 2),
        ("streams", 6),
        ("records", 5),
        ("size", 1),
        ("fenced", 7),
    ];
    let row = |topic: &Topic| {
        vec![
            topic.topic.clone().into(),
            rate(topic.appended_per_s).into(),
            bytes(topic.appended_bytes_per_s).into(),
            rate(topic.chain_records_per_s).into(),
            rate(topic.streamed_per_s).into(),
            count(topic.streams).into(),
            count(topic.records).into(),
            bytes(topic.bytes).into(),
            count(topic.fence_refusals).into(),
        ]
    };
    Table::new("Topics", &columns, topics.iter().map(row).collect())
}

fn none() -> String {
    "–".to_owned()
}

/// A rate that should be none.
fn odd(per_second: f64) -> Cell {
    Cell { text: rate(per_second), mood: if per_second > 0.0 { Mood::Odd } else { Mood::Plain } }
}

fn rate(per_second: f64) -> String {
    if per_second > 0.0 && per_second < 10.0 { format!("{per_second:.1}") } else { count(per_second) }
}

fn count(number: f64) -> String {
    match number {
        large if large >= 10_000_000.0 => format!("{:.1}M", large / 1e6),
        large if large >= 100_000.0 => format!("{:.0}k", large / 1e3),
        small => format!("{small:.0}"),
    }
}

fn bytes(number: f64) -> String {
    match number {
        large if large >= 1e9 => format!("{:.1} GB", large / 1e9),
        large if large >= 1e6 => format!("{:.1} MB", large / 1e6),
        large if large >= 1e3 => format!("{:.1} kB", large / 1e3),
        small => format!("{small:.0} B"),
    }
}

fn time(seconds: Option<f64>) -> String {
    match seconds {
        None => none(),
        Some(long) if long >= 3_600.0 => format!("{:.1} h", long / 3_600.0),
        Some(long) if long >= 120.0 => format!("{:.0} min", long / 60.0),
        Some(long) if long >= 1.0 => format!("{long:.1} s"),
        Some(short) if short >= 0.001 => format!("{:.1} ms", short * 1e3),
        Some(short) => format!("{:.0} µs", short * 1e6),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A view with something in every table.
    pub(in crate::top) fn full() -> View {
        View {
            time: 1_795_426_840_542,
            processes: vec![
                Process {
                    url: "http://127.0.0.1:8080/metrics".to_owned(),
                    version: Some("0.1.0".to_owned()),
                    cpu_cores: Some(0.42),
                    resident_bytes: Some(123_456_789.0),
                    ..Process::default()
                },
                Process {
                    url: "http://127.0.0.1:9100/metrics".to_owned(),
                    error: Some("failed to read it".to_owned()),
                    ..Process::default()
                },
            ],
            way_in: Some(WayIn {
                taps_per_s: 1234.4,
                accepted_per_s: 812.0,
                refused_per_s: 0.5,
                ..WayIn::default()
            }),
            broker: Some(Broker { appended_per_s: 900.0, storage_errors: 1.0, ..Broker::default() }),
            tasks: vec![Task {
                stage: "reactions".to_owned(),
                partition: "0".to_owned(),
                state: "stopped".to_owned(),
                role: "active",
                lag_records: 123_456.0,
                checkpoint_age_s: Some(7.25),
                ..Task::default()
            }],
            way_out: Some(WayOut { clients: 20_000.0, deliveries_per_s: 4e7, ..WayOut::default() }),
            rejects: vec![Rejected { reason: "late".to_owned(), total: 3.0, per_s: 0.0 }],
            topics: vec![Topic { topic: "emoji-events".to_owned(), bytes: 2e6, ..Topic::default() }],
        }
    }

    fn texts(table: &Table, width: usize) -> Vec<String> {
        let line = |row: &Row| row.cells.iter().map(|cell| cell.text.as_str()).collect();
        table.fit(width).iter().map(line).collect()
    }

    #[test]
    fn a_narrow_table_keeps_what_matters_and_no_line_is_too_long() {
        let tables = tables(&full());
        let engine = tables.iter().find(|table| table.title == "Engine").expect("a table");
        let [head, row] = &texts(engine, 200)[..] else { panic!("two lines") };
        assert!(head.starts_with("#  stage      part  state"), "{head}");
        assert!(row.contains("stopped") && row.contains("123k") && row.contains("7.2 s"), "{row}");
        let [head, row] = &texts(engine, 36)[..] else { panic!("two lines") };
        assert_eq!(
            (head.as_str(), row.as_str()),
            ("#  stage      part  state    lag", "0  reactions  0     stopped  123k")
        );
        for width in 0..140 {
            for line in tables.iter().flat_map(|table| texts(table, width)) {
                assert!(letters(&line) <= width, "{line:?} in {width}");
            }
        }
    }

    #[test]
    fn numbers_are_short_and_have_units() {
        assert_eq!(
            [0.0, 0.25, 9.94, 812.4, 123_456.0, 4e7].map(rate),
            ["0", "0.2", "9.9", "812", "123k", "40.0M"]
        );
        let times = [None, Some(0.000_25), Some(0.012), Some(7.25), Some(300.0), Some(9_000.0)].map(time);
        assert_eq!(times, ["–", "250 µs", "12.0 ms", "7.2 s", "5 min", "2.5 h"]);
        assert_eq!([12.0, 2_500.0, 2e6, 3e9].map(bytes), ["12 B", "2.5 kB", "2.0 MB", "3.0 GB"]);
    }
}
