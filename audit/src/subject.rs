use std::collections::BTreeMap;
use std::time::Duration;

use ovation_reaction::Rules;
use ovation_shell::Params;
use ovation_topology::{ModuleSource, Stage, Topology, Transform, WindowKind, config_hash};
use ovation_windowing::DedupSettings;

use crate::Unchecked;

/// The modules that the audit can run itself, in the order of their chain: those of a stage that counts reactions.
const COUNTING: [&str; 2] = ["ovation-validate", "ovation-window"];
/// And the one of a stage that finds moments in its results.
const MOMENTS: [&str; 1] = ["ovation-moments"];

/// A stage as the audit sees it.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Its name.
    pub stage: String,
    /// Topic of raw events.
    pub source: String,
    /// Topic of results.
    pub sink: String,
    /// Topic of dead letters.
    pub dead_letter: Option<String>,
    /// Topic that says where its epochs begin.
    pub checkpoints: Option<String>,
    /// Partitions of the source, and of the others.
    pub partitions: u32,
    /// Hash of its configuration, as in its checkpoints.
    pub config: String,
    /// Its windows; none where it counts nothing.
    pub definitions: Vec<Definition>,
    pub(crate) rules: Rules,
    pub(crate) dedup: DedupSettings,
    chain: Modules<BTreeMap<String, String>>,
}

/// The modules of a stage, each with its parameters.
#[derive(Debug, Clone)]
pub(crate) enum Modules<P> {
    /// `validate` and `window`: what they make can be added up, too.
    Counting(P, P),
    /// `moments`.
    Moments(P),
}

/// A window definition: what it takes to know how many windows hold a time.
#[derive(Debug, Clone)]
pub struct Definition {
    /// Its name in every result.
    pub name: String,
    /// Size and advance in ms, of windows that overlap.
    hopping: Option<(i64, i64)>,
}

impl Definition {
    /// How many of its windows hold a reaction of this time.
    pub fn windows_at(&self, time_ms: i64) -> u64 {
        let Some((size, advance)) = self.hopping else { return 1 };
        // Starts s with s <= time < s + size, at multiples of the advance.
        let (last, before) = (time_ms.div_euclid(advance), (time_ms - size).div_euclid(advance));
        last.abs_diff(before)
    }
}

impl Subject {
    /// What the audit has to know of a stage.
    ///
    /// # Errors
    ///
    /// [`Unchecked`] if it has other modules than the audit can run.
    pub fn of(topology: &Topology, stage: &Stage) -> Result<Self, Unchecked> {
        let unknown = |why: String| Unchecked(format!("stage {:?} cannot be audited: {why}", stage.name));
        let builtin = |transform: &Transform| match topology.smartmodule(&transform.uses)?.source.clone() {
            ModuleSource::Builtin(name) => Some(name),
            ModuleSource::Path(_) => None,
        };
        let names: Vec<Option<String>> = stage.transforms.iter().map(builtin).collect();
        let is = |chain: &[&str]| names.iter().map(Option::as_deref).eq(chain.iter().map(|name| Some(*name)));
        let mut subject = Self {
            stage: stage.name.clone(),
            source: stage.source.clone(),
            sink: stage.sink.clone(),
            dead_letter: stage.dead_letter.clone(),
            checkpoints: stage.checkpoints.clone(),
            partitions: topology.topic(&stage.source).map_or(0, |topic| topic.partitions),
            config: config_hash(topology, stage),
            definitions: Vec::new(),
            rules: Rules::default(),
            dedup: DedupSettings::default(),
            chain: Modules::Moments(BTreeMap::new()),
        };
        match stage.transforms.as_slice() {
            [validate, window] if is(&COUNTING) => subject.count(validate, window).map_err(unknown)?,
            [moments] if is(&MOMENTS) => subject.chain = Modules::Moments(moments.parameters()),
            _ => {
                return Err(unknown(format!(
                    "the audit runs the builtin modules {} by {}, or {}, and no others",
                    COUNTING[0], COUNTING[1], MOMENTS[0]
                )));
            }
        }
        Ok(subject)
    }

    /// Takes the settings of a stage that counts reactions.
    fn count(&mut self, validate: &Transform, window: &Transform) -> Result<(), String> {
        if window.windows.is_empty() {
            return Err("it names no window".to_owned());
        }
        let params = Params::from_iter(validate.parameters());
        let bad = |error: ovation_shell::ParamError| error.to_string();
        self.rules = Rules::read(|name| params.get(name))?;
        let params = Params::from_iter(window.parameters());
        let usual = DedupSettings::default();
        self.dedup = DedupSettings {
            horizon_ms: params.parse("dedup.horizon-ms", usual.horizon_ms, "milliseconds").map_err(bad)?,
            ids_max: params.parse("dedup.ids", usual.ids_max, "a number of ids").map_err(bad)?,
        };
        self.definitions = window.windows.iter().map(definition).collect::<Result<_, _>>()?;
        self.chain = Modules::Counting(validate.parameters(), window.parameters());
        Ok(())
    }

    /// Whether its results can be added up.
    pub(crate) fn counts(&self) -> bool {
        matches!(self.chain, Modules::Counting(..))
    }

    /// Parameters of its modules, as a task of this epoch and partition gets them that starts at `start`.
    pub(crate) fn params(&self, epoch: u64, partition: u32, start: i64) -> Modules<Params> {
        let own = [
            ("ovation.stage", self.stage.clone()),
            ("ovation.epoch", epoch.to_string()),
            ("ovation.source", self.source.clone()),
            ("ovation.partition", partition.to_string()),
            ("ovation.start", start.to_string()),
            ("ovation.config", self.config.clone()),
            // The audit begins at the beginning: checkpoints, on which no result depends, would only cost time.
            ("ovation.checkpoint.records", u64::MAX.to_string()),
            ("ovation.checkpoint.interval-ms", i64::MAX.to_string()),
        ];
        let with = |params: &BTreeMap<String, String>| {
            let own = own.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
            params.clone().into_iter().chain(own).collect::<Params>()
        };
        match &self.chain {
            Modules::Counting(validate, window) => Modules::Counting(with(validate), with(window)),
            Modules::Moments(moments) => Modules::Moments(with(moments)),
        }
    }
}

fn definition(window: &ovation_topology::Window) -> Result<Definition, String> {
    let hopping = match window.kind {
        WindowKind::Tumbling { .. } | WindowKind::Session { .. } => None,
        WindowKind::Hopping { size, advance } => Some((ms(size), ms(advance).max(1))),
        _ => return Err(format!("window {:?} has a shape that the audit does not know", window.name)),
    };
    Ok(Definition { name: window.name.clone(), hopping })
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_window_that_holds_a_time_is_counted() {
        for (size, advance) in [(3_000, 1_000), (2_500, 1_000), (1_000, 1_000), (7, 3)] {
            let definition = Definition { name: "hopping".to_owned(), hopping: Some((size, advance)) };
            for time in [0, 1, 999, 1_000, 2_499, 2_500, 123_456] {
                let starts = (-10..200_000i64).map(|number| number * advance);
                let holding = starts.filter(|start| (*start..start + size).contains(&time)).count();
                assert_eq!(definition.windows_at(time), holding as u64, "{time} in {size}/{advance}");
            }
        }
    }
}
