//! The windows against a model that keeps every record and scans for what is due: slow, and plain to read.

use std::collections::{BTreeMap, VecDeque};

use ovation_windowing::{Aggregate, DedupSettings, Update, WindowKind, WindowSettings, Windows};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Sum(u64);

impl Aggregate for Sum {
    type Item<'a> = u64;
    fn add(&mut self, item: &u64) {
        self.0 += item;
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

/// key, definition, start, revision, last, sum, (accepted, late, duplicates, rejected)
type Out = (String, String, i64, u64, bool, u64, (u64, u64, u64, u64));

fn out(update: &Update<'_, Sum>) -> Out {
    let totals = update.totals;
    assert_eq!(update.end_ms, update.start_ms + update.window.size_ms);
    (
        update.key.to_owned(),
        update.window.name.clone(),
        update.start_ms,
        update.revision,
        update.last,
        update.aggregate.0,
        (totals.accepted, totals.late, totals.duplicates, totals.rejected),
    )
}

fn feed(windows: &mut Windows<Sum>, step: &Step, outs: &mut Vec<Out>) {
    let mut emit = |update: Update<'_, Sum>| outs.push(out(&update));
    match step {
        Step::Record { key, time, id, weight } => {
            let id = (*id < 200).then(|| format!("id{id}"));
            windows.observe(&format!("k{key}"), *time, id.as_deref(), weight, &mut emit);
        }
        Step::Tick(time) => windows.advance(*time, &mut emit),
        Step::Reject { key } => windows.reject(&format!("k{key}")),
    }
}

#[derive(Default, Clone)]
struct ModelWindow {
    sum: u64,
    revision: u64,
    emitted_at: Option<i64>,
    dirty: bool,
}

struct Model {
    settings: Vec<WindowSettings>,
    dedup: DedupSettings,
    now: Option<i64>,
    ids: VecDeque<(i64, String)>,
    open: BTreeMap<(String, i64, usize), ModelWindow>,
    totals: BTreeMap<String, (u64, u64, u64, u64)>,
}

impl Model {
    fn emit(&mut self, place: &(String, i64, usize), last: bool, outs: &mut Vec<Out>) {
        let now = self.now.expect("time moved");
        let window = self.open.get_mut(place).expect("open");
        window.dirty = false;
        window.emitted_at = Some(now);
        window.revision += 1;
        outs.push((
            place.0.clone(),
            self.settings[place.2].name.clone(),
            place.1,
            window.revision,
            last,
            window.sum,
            self.totals.get(&place.0).copied().unwrap_or_default(),
        ));
        if last {
            self.open.remove(place);
        }
    }

    fn advance(&mut self, time: i64, outs: &mut Vec<Out>) {
        if self.now.is_some_and(|now| now >= time) {
            return;
        }
        self.now = Some(time);
        let mut closing: Vec<_> = self
            .open
            .keys()
            .map(|place| (self.settings[place.2].closes_at(place.1), place.clone()))
            .filter(|(at, _)| *at <= time)
            .collect();
        closing.sort();
        for (_, place) in closing {
            self.emit(&place, true, outs);
        }
        let mut due: Vec<_> = self
            .open
            .iter()
            .filter(|(_, window)| window.dirty)
            .map(|(place, window)| {
                (
                    window.emitted_at.expect("dirty after the first") + self.settings[place.2].every_ms,
                    place.clone(),
                )
            })
            .filter(|(at, _)| *at <= time)
            .collect();
        due.sort();
        for (_, place) in due {
            self.emit(&place, false, outs);
        }
    }

    fn feed(&mut self, step: &Step, outs: &mut Vec<Out>) {
        match step {
            Step::Tick(time) => self.advance(*time, outs),
            Step::Reject { key } => self.totals.entry(format!("k{key}")).or_default().3 += 1,
            Step::Record { key, time, id, weight } => {
                let key = format!("k{key}");
                let now = self.now.map_or(*time, |now| now.max(*time));
                if *id < 200 {
                    let id = format!("{key}/id{id}");
                    self.ids.retain(|(seen, _)| now - seen <= self.dedup.horizon_ms);
                    if self.ids.iter().any(|(_, known)| *known == id) {
                        self.totals.entry(key).or_default().2 += weight;
                        return;
                    }
                    if self.ids.len() == self.dedup.ids_max {
                        self.ids.pop_front();
                    }
                    self.ids.push_back((now, id));
                }
                self.advance(*time, outs);
                let mut in_time = Vec::new();
                for (index, settings) in self.settings.iter().enumerate() {
                    let start = time.div_euclid(settings.size_ms) * settings.size_ms;
                    if start + settings.size_ms + settings.grace_ms > now {
                        in_time.push((index, start, settings.every_ms));
                    }
                }
                let totals = self.totals.entry(key.clone()).or_default();
                totals.1 += weight * (self.settings.len() - in_time.len()) as u64;
                totals.0 += if in_time.is_empty() { 0 } else { *weight };
                for (index, start, every) in in_time {
                    let place = (key.clone(), start, index);
                    let window = self.open.entry(place.clone()).or_default();
                    window.sum += weight;
                    let was_dirty = std::mem::replace(&mut window.dirty, true);
                    if !was_dirty && window.emitted_at.is_none_or(|at| at + every <= now) {
                        self.emit(&place, false, outs);
                    }
                }
            }
        }
    }
}

fn settings() -> impl Strategy<Value = Vec<WindowSettings>> {
    prop::collection::vec((1i64..60, 0i64..40, 0i64..20), 1..3).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(index, (size_ms, grace_ms, every_ms))| WindowSettings {
                name: format!("w{index}"),
                kind: WindowKind::Tumbling,
                size_ms,
                grace_ms,
                every_ms,
            })
            .collect()
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0u8..4, -100i64..400, any::<u8>(), 1u64..5)
            .prop_map(|(key, time, id, weight)| Step::Record { key, time, id, weight }),
        2 => (-100i64..400).prop_map(Step::Tick),
        1 => (0u8..4).prop_map(|key| Step::Reject { key }),
    ];
    prop::collection::vec(step, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn windows_do_what_the_model_does_and_a_restart_changes_nothing(
        settings in settings(),
        horizon_ms in 0i64..300,
        ids_max in 1usize..40,
        steps in steps(),
        restart_every in 1usize..30,
    ) {
        let dedup = DedupSettings { horizon_ms, ids_max };
        let mut model = Model {
            settings: settings.clone(),
            dedup,
            now: None,
            ids: VecDeque::new(),
            open: BTreeMap::new(),
            totals: BTreeMap::new(),
        };
        let mut windows = Windows::<Sum>::new(settings.clone(), dedup).expect("valid settings");
        let (mut expected, mut seen) = (Vec::new(), Vec::new());
        for (index, step) in steps.iter().enumerate() {
            model.feed(step, &mut expected);
            feed(&mut windows, step, &mut seen);
            prop_assert_eq!(&seen, &expected, "after step {} {:?}", index, step);
            prop_assert_eq!(windows.open(), model.open.len());
            prop_assert_eq!(windows.is_dirty(), model.open.values().any(|window| window.dirty));
            if index % restart_every == 0 {
                let saved = windows.save().expect("saves");
                windows = Windows::new(settings.clone(), dedup).expect("valid settings");
                windows.restore(&saved).expect("restores");
                prop_assert_eq!(windows.save().expect("saves"), saved);
            }
        }
    }

    #[test]
    fn every_accepted_weight_is_in_exactly_one_final_per_definition(settings in settings(), steps in steps()) {
        let dedup = DedupSettings::default();
        let mut windows = Windows::<Sum>::new(settings.clone(), dedup).expect("valid settings");
        let mut outs = Vec::new();
        for step in &steps {
            feed(&mut windows, step, &mut outs);
        }
        windows.advance(i64::from(u32::MAX), &mut |update| outs.push(out(&update)));
        prop_assert_eq!(windows.open(), 0);
        prop_assert!(!windows.is_dirty());
        let definitions = settings.len() as u64;
        let finals: u64 = outs.iter().filter(|update| update.4).map(|update| update.5).sum();
        let (mut late, mut duplicates) = (0, 0);
        for key in 0..4 {
            let totals = windows.totals(&format!("k{key}")).unwrap_or_default();
            late += totals.late;
            duplicates += totals.duplicates;
        }
        let fed: u64 = steps.iter().map(|step| match step { Step::Record { weight, .. } => *weight, _ => 0 }).sum();
        prop_assert_eq!(finals + late + duplicates * definitions, fed * definitions);
    }
}
