//! The windows against a model that copies every record into every window it belongs to and scans all of them for what is
//! due: slow, and plain to read.

use std::collections::{BTreeMap, VecDeque};

use ovation_windowing::{
    Aggregate, DUE_BYTES_PER_RECORD, DedupSettings, Emission, Shape, StateSize, Update, Verdict,
    WindowSettings, Windows,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Sum(u64);

impl Aggregate for Sum {
    type Item<'a> = u64;
    fn add(&mut self, item: &u64) {
        self.0 += item;
    }
    fn merge(&mut self, other: &Self) {
        self.0 += other.0;
    }
    fn weight(item: &u64) -> u64 {
        *item
    }
}

#[derive(Debug, Clone)]
enum Step {
    Record { key: u8, time: i64, id: u8, weight: u64 },
    Tick(i64),
    Reject { key: u8 },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Out {
    key: String,
    definition: String,
    /// Start, end, and up to when it has lasted.
    window: (i64, i64, i64),
    revision: u64,
    last: bool,
    retracted: bool,
    sum: u64,
    /// Accepted, late, duplicates, rejected.
    totals: (u64, u64, u64, u64),
}

fn out(update: &Update<'_, Sum>) -> Out {
    let totals = update.totals;
    Out {
        key: update.key.to_owned(),
        definition: update.window.name.clone(),
        window: (update.start_ms, update.end_ms, update.lasted_until_ms),
        revision: update.revision,
        last: update.last,
        retracted: update.retracted,
        sum: update.aggregate.0,
        totals: (totals.accepted, totals.late, totals.duplicates, totals.rejected),
    }
}

/// What became of a record: windows missed by definition, or none for a duplicate.
type Fate = Option<Vec<(usize, u64)>>;

fn feed(windows: &mut Windows<Sum>, step: &Step, cost: usize, outs: &mut Vec<Out>) -> Fate {
    let mut emit = |update: Update<'_, Sum>| {
        outs.push(out(&update));
        cost
    };
    match step {
        Step::Record { key, time, id, weight } => {
            let id = (*id < 200).then(|| format!("id{id}"));
            match windows.observe(
                format!("k{key}").as_bytes(),
                *time,
                id.as_deref().map(str::as_bytes),
                weight,
                &mut emit,
            ) {
                Verdict::Counted { missed } => {
                    return Some(missed.iter().map(|missed| (missed.definition, missed.windows)).collect());
                }
                Verdict::Duplicate => {}
                Verdict::TooManyKeys | Verdict::KeyIsNoText => unreachable!("there are four keys"),
            }
        }
        Step::Tick(time) => windows.tick(*time, &mut emit),
        Step::Reject { key } => windows.reject(&format!("k{key}")),
    }
    None
}

#[derive(Debug, Clone)]
struct ModelWindow {
    key: String,
    definition: usize,
    start: i64,
    end: i64,
    sum: u64,
    revision: u64,
    dirty: bool,
}

struct Model {
    settings: Vec<WindowSettings>,
    dedup: DedupSettings,
    idleness: i64,
    cost: usize,
    now: Option<i64>,
    clock: i64,
    quiet_since: Option<i64>,
    ids: VecDeque<(i64, String)>,
    open: Vec<ModelWindow>,
    emitted_at: BTreeMap<(String, usize), i64>,
    totals: BTreeMap<String, (u64, u64, u64, u64)>,
}

impl Model {
    fn emit(&self, window: &ModelWindow, last: bool, retracted: bool, outs: &mut Vec<Out>) {
        outs.push(Out {
            key: window.key.clone(),
            definition: self.settings[window.definition].name.clone(),
            window: (window.start, window.end, self.clock.clamp(window.start, window.end)),
            revision: window.revision,
            last,
            retracted,
            sum: if retracted { 0 } else { window.sum },
            totals: self.totals.get(&window.key).copied().unwrap_or_default(),
        });
    }

    fn closes_at(&self, window: &ModelWindow) -> i64 {
        window.end + self.settings[window.definition].grace_ms
    }

    /// The window that is to be final next, if its time has come.
    fn next_closing(&self, only: Option<(&str, usize)>) -> Option<usize> {
        let now = self.now?;
        let belongs = |window: &ModelWindow| {
            only.is_none_or(|(key, definition)| window.key == key && window.definition == definition)
        };
        (0..self.open.len())
            .filter(|&index| belongs(&self.open[index]) && self.closes_at(&self.open[index]) <= now)
            .min_by_key(|&index| {
                let window = &self.open[index];
                (self.closes_at(window), window.key.clone(), window.definition)
            })
    }

    fn close(&mut self, index: usize, outs: &mut Vec<Out>) {
        let mut window = self.open.remove(index);
        window.revision += 1;
        self.emit(&window, true, false, outs);
        let series = (window.key, window.definition);
        if !self.open.iter().any(|other| (&other.key, other.definition) == (&series.0, series.1)) {
            self.emitted_at.remove(&series);
        }
    }

    fn close_due(&mut self, bytes: &mut usize, outs: &mut Vec<Out>) {
        while *bytes < DUE_BYTES_PER_RECORD
            && let Some(index) = self.next_closing(None)
        {
            self.close(index, outs);
            *bytes += self.cost;
        }
    }

    fn update_due(&mut self, bytes: &mut usize, outs: &mut Vec<Out>) {
        while *bytes < DUE_BYTES_PER_RECORD && self.next_closing(None).is_none() {
            let due = self.open.iter().filter(|window| window.dirty).filter_map(|window| {
                let series = (window.key.clone(), window.definition);
                let every = self.settings[window.definition].every_ms()?;
                let at = self.emitted_at.get(&series).map_or(i64::MIN, |at| at + every);
                (at <= self.clock).then_some((at, series))
            });
            let Some((_, series)) = due.min() else { return };
            let mut order: Vec<usize> = (0..self.open.len())
                .filter(|&index| {
                    let window = &self.open[index];
                    window.dirty && (&window.key, window.definition) == (&series.0, series.1)
                })
                .collect();
            order.sort_by_key(|&index| self.open[index].start);
            for index in order {
                self.open[index].dirty = false;
                self.open[index].revision += 1;
                self.emit(&self.open[index].clone(), false, false, outs);
                *bytes += self.cost;
            }
            self.emitted_at.insert(series, self.clock);
        }
    }

    /// Adds to a definition's windows; answers how many had closed, and whether some took it.
    fn add(
        &mut self,
        key: &str,
        definition: usize,
        time: i64,
        weight: u64,
        outs: &mut Vec<Out>,
    ) -> (u64, bool) {
        let settings = self.settings[definition].clone();
        let (now, dirty) = (self.now.expect("time has moved"), settings.every_ms().is_some());
        let (size, advance) = match settings.shape {
            Shape::Tumbling { size_ms } => (size_ms, size_ms),
            Shape::Hopping { size_ms, advance_ms } => (size_ms, advance_ms),
            Shape::Session { gap_ms } => return self.join(key, definition, (time, gap_ms), weight, outs),
        };
        let (mut missed, mut counted) = (0, false);
        let mut start = (time - size).div_euclid(advance) * advance;
        while start <= time {
            if start + size > time {
                if start + size + settings.grace_ms <= now {
                    missed += 1;
                } else {
                    counted = true;
                    let same = |window: &&mut ModelWindow| {
                        (window.key.as_str(), window.definition, window.start) == (key, definition, start)
                    };
                    match self.open.iter_mut().find(same) {
                        Some(window) => {
                            window.sum += weight;
                            window.dirty = dirty;
                        }
                        None => self.open.push(ModelWindow {
                            key: key.to_owned(),
                            definition,
                            start,
                            end: start + size,
                            sum: weight,
                            revision: 0,
                            dirty,
                        }),
                    }
                }
            }
            start += advance;
        }
        (missed, counted)
    }

    fn join(
        &mut self,
        key: &str,
        definition: usize,
        (time, gap): (i64, i64),
        weight: u64,
        outs: &mut Vec<Out>,
    ) -> (u64, bool) {
        let settings = &self.settings[definition];
        let (mut joined, rest): (Vec<ModelWindow>, Vec<ModelWindow>) =
            std::mem::take(&mut self.open).into_iter().partition(|window| {
                (window.key.as_str(), window.definition) == (key, definition)
                    && window.start < time + gap
                    && time < window.end
            });
        self.open = rest;
        let falls_into_one = joined.iter().any(|window| window.start <= time);
        if !falls_into_one && time + gap + settings.grace_ms <= self.now.expect("time has moved") {
            self.open.extend(joined);
            return (1, false);
        }
        let mut grown = ModelWindow {
            key: key.to_owned(),
            definition,
            start: joined.iter().map(|window| window.start).fold(time, i64::min),
            end: joined.iter().map(|window| window.end).fold(time + gap, i64::max),
            sum: weight + joined.iter().map(|window| window.sum).sum::<u64>(),
            revision: 0,
            dirty: settings.every_ms().is_some(),
        };
        joined.sort_by_key(|window| std::cmp::Reverse(window.start));
        for mut old in joined {
            if old.start == grown.start {
                grown.revision = old.revision;
            } else if old.revision > 0 {
                old.revision += 1;
                self.emit(&old, true, true, outs);
            }
        }
        self.open.push(grown);
        (0, true)
    }

    fn feed(&mut self, step: &Step, outs: &mut Vec<Out>) -> Fate {
        let mut bytes = 0;
        match step {
            Step::Tick(time) => {
                if *time > 0 {
                    self.clock = self.clock.max(*time);
                    let since = *self.quiet_since.get_or_insert(*time);
                    if time - since >= self.idleness {
                        self.now = Some(self.now.map_or(*time, |now| now.max(*time)));
                    }
                }
                self.close_due(&mut bytes, outs);
                self.update_due(&mut bytes, outs);
                None
            }
            Step::Reject { key } => {
                self.totals.entry(format!("k{key}")).or_default().3 += 1;
                None
            }
            Step::Record { key, time, id, weight } => {
                let key = format!("k{key}");
                let now = self.now.map_or(*time, |now| now.max(*time));
                if *id < 200 {
                    let id = format!("{key}/id{id}");
                    let known =
                        |(seen, known): &(i64, String)| *known == id && now - seen <= self.dedup.horizon_ms;
                    if self.ids.iter().any(known) {
                        self.totals.entry(key).or_default().2 += weight;
                        return None;
                    }
                    // Only now is it sure that stream time moves.
                    self.ids.retain(|(seen, _)| now - seen <= self.dedup.horizon_ms);
                    if self.ids.len() == self.dedup.ids_max {
                        self.ids.pop_front();
                    }
                    self.ids.push_back((now, id));
                }
                self.now = Some(now);
                self.clock = self.clock.max(*time);
                self.close_due(&mut bytes, outs);
                let (mut fate, mut counted) = (Vec::new(), false);
                for definition in 0..self.settings.len() {
                    while let Some(index) = self.next_closing(Some((&key, definition))) {
                        self.close(index, outs);
                    }
                    let (missed, some) = self.add(&key, definition, *time, *weight, outs);
                    self.totals.entry(key.clone()).or_default().1 += weight * missed;
                    if missed > 0 {
                        fate.push((definition, missed));
                    }
                    counted |= some;
                }
                if counted {
                    self.totals.entry(key).or_default().0 += weight;
                    self.quiet_since = None;
                }
                self.update_due(&mut bytes, outs);
                Some(fate)
            }
        }
    }
}

fn definition() -> impl Strategy<Value = WindowSettings> {
    let shape = prop_oneof![
        2 => (1i64..60).prop_map(|size_ms| Shape::Tumbling { size_ms }),
        3 => (1i64..60, 1i64..30).prop_map(|(size_ms, advance_ms)| Shape::Hopping {
            size_ms: size_ms.max(advance_ms),
            advance_ms
        }),
        2 => (1i64..40).prop_map(|gap_ms| Shape::Session { gap_ms }),
    ];
    let emit = prop_oneof![
        3 => (0i64..20).prop_map(|every_ms| Emission::Update { every_ms }),
        1 => Just(Emission::Close),
    ];
    (shape, 0i64..40, emit).prop_map(|(shape, grace_ms, emit)| WindowSettings {
        name: String::new(),
        shape,
        grace_ms,
        emit,
    })
}

fn settings() -> impl Strategy<Value = Vec<WindowSettings>> {
    prop::collection::vec(definition(), 1..4).prop_map(|mut all| {
        for (index, settings) in all.iter_mut().enumerate() {
            settings.name = format!("w{index}");
        }
        all
    })
}

/// Records and ticks whose times wander forward, with stragglers and jumps.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Few ids, so that many come again; from 200 on it is none.
    let id = prop_oneof![0u8..12, any::<u8>()];
    let step = prop_oneof![
        8 => (0u8..4, -60i64..40, id, 1u64..5)
            .prop_map(|(key, time, id, weight)| Step::Record { key, time, id, weight }),
        2 => (-20i64..60).prop_map(Step::Tick),
        1 => (0u8..4).prop_map(|key| Step::Reject { key }),
    ];
    prop::collection::vec((step, 0i64..12), 0..140).prop_map(|steps| {
        let mut at = 0;
        let moved = |(step, forward): (Step, i64)| {
            at += forward;
            match step {
                Step::Record { key, time, id, weight } => Step::Record { key, time: at + time, id, weight },
                Step::Tick(time) => Step::Tick(at + time),
                reject @ Step::Reject { .. } => reject,
            }
        };
        steps.into_iter().map(moved).collect()
    })
}

/// Bytes of one result: with the larger ones a record lets few results out, and the rest waits.
const COSTS: [usize; 3] = [0, DUE_BYTES_PER_RECORD / 3, DUE_BYTES_PER_RECORD];

#[test]
fn a_key_that_is_no_text_counts_nowhere() {
    let settings = vec![WindowSettings {
        name: "1s".to_owned(),
        shape: Shape::Tumbling { size_ms: 1_000 },
        grace_ms: 0,
        emit: Emission::Close,
    }];
    let mut windows = Windows::<Sum>::new(settings, DedupSettings::default(), 0).expect("valid settings");
    let verdict = windows.observe(b"\xff", 5, Some(b"id"), &1, &mut |_| 0);
    assert_eq!(verdict, Verdict::KeyIsNoText);
    assert_eq!((windows.stream_time(), windows.size()), (None, StateSize::default()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn windows_do_what_the_model_does_and_a_restart_changes_nothing(
        settings in settings(),
        horizon_ms in 0i64..300,
        ids_max in 1usize..40,
        idleness in 0i64..50,
        cost in prop::sample::select(&COSTS[..]),
        steps in steps(),
        restart_every in 1usize..30,
    ) {
        let dedup = DedupSettings { horizon_ms, ids_max };
        let mut model = Model {
            settings: settings.clone(),
            dedup,
            idleness,
            cost,
            now: None,
            clock: i64::MIN,
            quiet_since: None,
            ids: VecDeque::new(),
            open: Vec::new(),
            emitted_at: BTreeMap::new(),
            totals: BTreeMap::new(),
        };
        let fresh = || Windows::<Sum>::new(settings.clone(), dedup, idleness).expect("valid settings");
        let mut windows = fresh();
        let (mut expected, mut seen) = (Vec::new(), Vec::new());
        for (index, step) in steps.iter().enumerate() {
            let fate = model.feed(step, &mut expected);
            prop_assert_eq!(feed(&mut windows, step, cost, &mut seen), fate, "step {} {:?}", index, step);
            prop_assert_eq!(&seen, &expected, "after step {} {:?}", index, step);
            prop_assert_eq!(windows.open() == 0, model.open.is_empty());
            prop_assert_eq!(windows.size().windows == 0, model.open.is_empty());
            prop_assert_eq!(windows.is_dirty(), model.open.iter().any(|window| window.dirty));
            if index % restart_every == 0 {
                let saved = windows.save().expect("saves");
                let size = windows.size();
                windows = fresh();
                windows.restore(&saved).expect("restores");
                prop_assert_eq!(windows.save().expect("saves"), saved);
                prop_assert_eq!(windows.size(), size);
            }
        }
    }

    #[test]
    fn every_accepted_weight_is_in_the_finals_of_its_windows_or_late_for_them(
        settings in settings(),
        cost in prop::sample::select(&COSTS[..]),
        steps in steps(),
    ) {
        let mut windows = Windows::<Sum>::new(settings.clone(), DedupSettings::default(), 0).expect("valid settings");
        let mut outs = Vec::new();
        // Weight that is due in finals, by definition.
        let mut due = vec![0u64; settings.len()];
        for step in &steps {
            let fate = feed(&mut windows, step, cost, &mut outs);
            if let (Some(missed), Step::Record { time, weight, .. }) = (fate, step) {
                for (definition, settings) in settings.iter().enumerate() {
                    due[definition] += weight * settings.windows_at(*time);
                }
                for (definition, windows) in missed {
                    due[definition] -= weight * windows;
                }
            }
        }
        let mut ticks = 0;
        while windows.open() > 0 {
            feed(&mut windows, &Step::Tick(i64::from(u32::MAX)), cost, &mut outs);
            ticks += 1;
            prop_assert!(ticks < 10_000, "a backlog that does not shrink");
        }
        prop_assert!(!windows.is_dirty());
        prop_assert_eq!(windows.backlog(), 0);
        for (definition, settings) in settings.iter().enumerate() {
            let finals = outs.iter().filter(|out| out.last && out.definition == settings.name);
            prop_assert_eq!(finals.map(|out| out.sum).sum::<u64>(), due[definition], "{:?}", settings);
        }
        // Each window has revisions 1, 2, 3, … and one last result.
        let mut revisions: BTreeMap<(String, String, i64), Vec<(u64, bool)>> = BTreeMap::new();
        for out in &outs {
            let window = (out.key.clone(), out.definition.clone(), out.window.0);
            revisions.entry(window).or_default().push((out.revision, out.last));
        }
        for (window, seen) in revisions {
            let count = seen.len() as u64;
            let expected: Vec<(u64, bool)> = (1..=count).map(|revision| (revision, revision == count)).collect();
            prop_assert_eq!(seen, expected, "{:?}", window);
        }
    }
}
