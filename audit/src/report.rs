use std::collections::BTreeMap;

use serde::Serialize;

use crate::Difference;

/// What an audit has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether everything agrees.
    pub clean: bool,
    /// By stage.
    pub stages: Vec<StageReport>,
    /// Stages that were left out, and why.
    pub left_out: Vec<String>,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StageReport {
    /// Its name.
    pub stage: String,
    /// By partition.
    pub partitions: Vec<PartitionReport>,
    /// By room, by name.
    pub rooms: Vec<RoomLine>,
    /// All rooms.
    pub total: RoomLine,
}

/// One partition of one stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionReport {
    /// Its number.
    pub partition: u32,
    /// Epoch that was audited, the newest one.
    pub epoch: u64,
    /// First source offset of the epoch.
    pub first: i64,
    /// Offset after the last source record when the audit began.
    pub end: i64,
    /// Results that have to be there.
    pub results: u64,
    /// Dead letters that have to be there.
    pub dead_letters: u64,
    /// Results and dead letters of records that came after the audit had begun.
    pub in_flight: u64,
    /// Records that stand behind a higher number: no difference, readers order by number.
    pub inversions: u64,
    /// Ids that came again after the dedup horizon and counted again.
    pub recurred: u64,
    /// What does not agree.
    pub differences: Vec<Difference>,
    /// Sums of its rooms.
    #[serde(skip)]
    pub rooms: Vec<RoomLine>,
}

/// A room's sums.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RoomLine {
    /// Its name; empty for events whose room is not known.
    pub room: String,
    /// Taps of valid reactions, duplicates among them.
    pub taps: u64,
    /// Taps of reactions whose id was known.
    pub duplicates: u64,
    /// Events that were refused.
    pub rejected: u64,
    /// By window definition.
    pub windows: Vec<WindowLine>,
}

/// A room's sums for one window definition, in taps times windows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(into = "WindowLineDocument")]
pub struct WindowLine {
    /// Name of the definition.
    pub window: String,
    /// Taps that are no duplicates, once for each window that holds them.
    pub places: u64,
    /// In final results.
    pub finals: u64,
    /// In windows that are still open.
    pub open: u64,
    /// For windows that had closed.
    pub late: u64,
}

/// The same with its difference, as JSON has it.
#[derive(Serialize)]
struct WindowLineDocument {
    window: String,
    places: u64,
    finals: u64,
    open: u64,
    late: u64,
    difference: i64,
}

impl From<WindowLine> for WindowLineDocument {
    fn from(line: WindowLine) -> Self {
        let difference = line.difference();
        let WindowLine { window, places, finals, open, late } = line;
        Self { window, places, finals, open, late, difference }
    }
}

impl RoomLine {
    pub(crate) fn new(room: &str) -> Self {
        Self { room: room.to_owned(), ..Self::default() }
    }

    /// The largest difference of its windows.
    pub fn difference(&self) -> i64 {
        self.windows.iter().map(WindowLine::difference).max_by_key(|one| one.unsigned_abs()).unwrap_or(0)
    }

    fn add(&mut self, other: &Self) {
        self.taps = self.taps.saturating_add(other.taps);
        self.duplicates = self.duplicates.saturating_add(other.duplicates);
        self.rejected = self.rejected.saturating_add(other.rejected);
        if self.windows.is_empty() {
            self.windows = other.windows.iter().map(|window| WindowLine::new(&window.window)).collect();
        }
        for (mine, other) in self.windows.iter_mut().zip(&other.windows) {
            mine.places = mine.places.saturating_add(other.places);
            mine.finals = mine.finals.saturating_add(other.finals);
            mine.open = mine.open.saturating_add(other.open);
            mine.late = mine.late.saturating_add(other.late);
        }
    }
}

impl WindowLine {
    pub(crate) fn new(window: &str) -> Self {
        Self { window: window.to_owned(), ..Self::default() }
    }

    /// What is missing in finals, open and late; negative if there is too much.
    pub fn difference(&self) -> i64 {
        let accounted = i128::from(self.finals) + i128::from(self.open) + i128::from(self.late);
        let difference = i128::from(self.places) - accounted;
        i64::try_from(difference).unwrap_or(if difference > 0 { i64::MAX } else { i64::MIN })
    }
}

impl StageReport {
    /// Puts the partitions of a stage together.
    pub(crate) fn new(stage: &str, mut partitions: Vec<PartitionReport>) -> Self {
        let mut rooms = BTreeMap::<String, RoomLine>::new();
        let mut total = RoomLine::new("total");
        for line in partitions.iter_mut().flat_map(|partition| std::mem::take(&mut partition.rooms)) {
            total.add(&line);
            // A room lives in one partition, but an event with the wrong key may name it in another one.
            match rooms.get_mut(&line.room) {
                Some(known) => known.add(&line),
                None => {
                    rooms.insert(line.room.clone(), line);
                }
            }
        }
        Self { stage: stage.to_owned(), partitions, rooms: rooms.into_values().collect(), total }
    }

    /// Whether everything agrees.
    pub fn clean(&self) -> bool {
        self.partitions.iter().all(|partition| partition.differences.is_empty())
    }
}
