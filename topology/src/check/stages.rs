//! Stages: what they read, write and run.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Check, PARTITIONS_MAX, RETENTION_MIN};
use crate::changes::show_partitions;
use crate::document::{Document, StageDoc, TransformDoc};
use crate::quantity::parse_duration;
use crate::read::{At, Entries, Plain, did_you_mean};
use crate::spec::{Stage, Transform};

/// docs/fluvio.md 15: 32,767 bytes and no more.
const PARAMETER_BYTES_MAX: usize = 30_000;
/// Stages at most: each costs a chain for each partition of its source.
const STAGES_MAX: usize = 256;
/// Steps of a stage at most: each record passes through all of them.
const TRANSFORMS_MAX: usize = 32;
/// Parameter of a module that drops duplicates: how long it remembers them, in ms or as a duration.
const DEDUP_HORIZON: &str = "dedup.horizon-ms";

/// A topic as the file has it.
#[derive(Debug, Clone, Copy)]
struct TopicInfo {
    /// None where that could not be read.
    partitions: Option<u32>,
    fence: bool,
    retention: Option<Duration>,
}

/// What a stage's checks look things up in.
struct Context<'d> {
    /// None where `topics` could not be read: then nothing is said of a topic that is not there.
    topics: Option<BTreeMap<&'d str, TopicInfo>>,
    modules: Vec<&'d str>,
    stateful: Vec<&'d str>,
    roles: Roles,
}

impl Check<'_> {
    pub(super) fn stages(&mut self, document: &Document) -> Vec<Stage> {
        let topics = document.topics.0.as_ref().map(|topics| {
            topics
                .0
                .iter()
                .map(|(name, topic)| {
                    let topic = topic.as_ref();
                    let partitions = topic.and_then(|topic| topic.partitions.0.as_ref());
                    let retention = topic.and_then(|topic| topic.retention.as_ref()?.time.as_ref());
                    let info = TopicInfo {
                        // What is said of one mistake is not said again of what follows from it.
                        partitions: partitions
                            .map(|partitions| partitions.value.0)
                            .filter(|partitions| (1..=PARTITIONS_MAX).contains(partitions)),
                        // Of a topic that could not be read nothing more is said.
                        fence: topic.is_none_or(|topic| topic.fence == Some(true)),
                        retention: retention
                            .and_then(|time| parse_duration(&time.value))
                            .filter(|time| *time >= RETENTION_MIN),
                    };
                    (name.value.as_str(), info)
                })
                .collect()
        });
        let modules = document.smartmodules.iter().flat_map(|modules| &modules.0);
        let mut context = Context {
            topics,
            modules: document.smartmodules.iter().flat_map(Entries::names).collect(),
            stateful: modules
                .filter(|(_, module)| {
                    module.as_ref().is_some_and(|module| module.value.stateful == Some(true))
                })
                .map(|(name, _)| name.value.as_str())
                .collect(),
            roles: Roles::default(),
        };
        let documents = document.stages.0.iter().flat_map(|stages| &stages.0);
        let mut stages = Vec::new();
        for (index, (name, stage)) in documents.enumerate() {
            if index == STAGES_MAX {
                let message = format!("a topology has at most {STAGES_MAX} stages");
                self.problem(name.place, message, None);
            }
            self.name(name, "a stage");
            if let Some(stage) = stage {
                stages.push(self.stage(name, &stage.value, &mut context));
            }
        }
        self.sources(document, &stages);
        self.check_clocks(document, &stages);
        stages
    }

    fn stage(&mut self, name: &At<String>, document: &StageDoc, context: &mut Context<'_>) -> Stage {
        let transforms = match &document.transforms.0 {
            Some(transforms) => self.transforms(name, transforms, context),
            None => Vec::new(),
        };
        let text = |topic: Option<&At<String>>| topic.map(|topic| topic.value.clone());
        let stage = Stage {
            name: name.value.clone(),
            source: text(document.source.0.as_ref()).unwrap_or_default(),
            transforms,
            sink: text(document.sink.0.as_ref()).unwrap_or_default(),
            dead_letter: text(document.dead_letter.as_ref()),
            checkpoints: text(document.checkpoints.as_ref()),
        };
        let source = document.source.0.as_ref();
        let source = source.and_then(|source| Some((source.value.as_str(), self.topic_of(source, context)?)));
        for (role, topic) in [
            (Role::Sink, document.sink.0.as_ref()),
            (Role::DeadLetter, document.dead_letter.as_ref()),
            (Role::Checkpoints, document.checkpoints.as_ref()),
        ] {
            if let Some(topic) = topic {
                self.outlet(&stage, role, topic, source, context);
            }
        }
        if document.dead_letter.is_none() {
            let message = format!(
                "stage {:?} has no `dead-letter`: what it cannot take or comes too late is dropped",
                name.value
            );
            let help = "name a fenced topic for it, so that nothing is lost without a word".to_owned();
            self.warning(name.place, message, Some(help));
        }
        if document.checkpoints.is_none() {
            let message = format!("stage {:?} needs a topic for `checkpoints`", name.value);
            let help = "a restart goes on from there; several stages may share one".to_owned();
            self.problem(name.place, message, Some(help));
        }
        if let Some((topic, info)) = source {
            self.retention(document, topic, info);
        }
        stage
    }

    fn topic_of(&mut self, name: &At<String>, context: &Context<'_>) -> Option<TopicInfo> {
        let topics = context.topics.as_ref()?;
        let found = topics.get(name.value.as_str()).copied();
        if found.is_none() {
            let help = did_you_mean(&name.value, topics.keys().copied());
            let message = format!("there is no topic {:?} under `topics`", name.value);
            self.problem(name.place, message, help);
        }
        found
    }

    /// A topic that a stage writes to.
    fn outlet(
        &mut self,
        stage: &Stage,
        role: Role,
        name: &At<String>,
        source: Option<(&str, TopicInfo)>,
        context: &mut Context<'_>,
    ) {
        let Some(topic) = self.topic_of(name, context) else { return };
        if let Some((source, info)) = source {
            if source == name.value {
                let message = format!("stage {:?} writes to its own source {source:?}", stage.name);
                self.problem(name.place, message, None);
            } else if let (Some(ours), Some(theirs)) = (topic.partitions, info.partitions)
                && ours != theirs
            {
                let message = format!(
                    "the {role} {:?} has {} and the source {source:?} has {theirs}; expected the same \
                     number, because partition n of the source is written to partition n of the {role}",
                    name.value,
                    show_partitions(ours)
                );
                self.problem(name.place, message, None);
            }
        }
        if role != Role::Checkpoints && !topic.fence {
            let message = format!(
                "stage {:?} numbers what it writes, so its {role} {:?} has to be fenced",
                stage.name, name.value
            );
            let help = format!("add `fence: true` to topic `{}`", name.value);
            self.problem(name.place, message, Some(help));
        }
        if let Some((other, other_role)) = context.roles.claim(&name.value, &stage.name, role) {
            let message = format!(
                "topic {:?} cannot be the {role} of stage {:?}: it is the {other_role} of stage {other:?} already",
                name.value, stage.name
            );
            let help = "a topic that is written to belongs to one stage".to_owned();
            self.problem(name.place, message, Some(help));
        }
    }

    /// What a restart needs must not be gone: source records as far back as a window waits, and ids as long as duplicates
    /// are told.
    fn retention(&mut self, document: &StageDoc, source: &str, info: TopicInfo) {
        let Some(retention) = info.retention else { return };
        for transform in document.transforms.0.iter().flatten() {
            let listed = transform.windows.iter().flat_map(|list| &list.value);
            for window in transform.window.iter().chain(listed) {
                let Some(grace) = &window.value.grace else { continue };
                if parse_duration(&grace.value).is_some_and(|time| time > retention) {
                    let message = format!(
                        "a grace of {} is longer than the source {source:?} keeps its records ({})",
                        grace.value,
                        crate::quantity::show_duration(retention)
                    );
                    let help = format!("keep topic `{source}` for longer, or wait for less");
                    self.problem(grace.place, message, Some(help));
                }
            }
            for (name, value) in transform.with.iter().flat_map(|with| &with.0) {
                let Some(value) = value.as_ref().filter(|_| name.value == DEDUP_HORIZON) else { continue };
                let horizon = value.value.0.parse().ok().map(Duration::from_millis);
                if horizon.is_some_and(|horizon| horizon > retention) {
                    let message = format!(
                        "a dedup horizon of {} ms is longer than the source {source:?} keeps its records ({})",
                        value.value.0,
                        crate::quantity::show_duration(retention)
                    );
                    let help = format!("keep topic `{source}` for longer, or remember ids for less");
                    self.problem(value.place, message, Some(help));
                }
            }
        }
    }

    fn transforms(
        &mut self,
        stage: &At<String>,
        documents: &[TransformDoc],
        context: &Context<'_>,
    ) -> Vec<Transform> {
        if !(1..=TRANSFORMS_MAX).contains(&documents.len()) {
            let message = match documents.len() {
                0 => format!("stage {:?} has no transforms", stage.value),
                more => format!(
                    "stage {:?} has {more} transforms; expected at most {TRANSFORMS_MAX}",
                    stage.value
                ),
            };
            self.problem(stage.place, message, None);
        }
        let last = documents.len().saturating_sub(1);
        let mut transforms = Vec::new();
        for (index, document) in documents.iter().enumerate() {
            let uses = document.uses.0.as_ref();
            if let Some(uses) = uses {
                self.places.add(&stage.value, index, uses.place);
                if !context.modules.contains(&uses.value.as_str()) {
                    let help = did_you_mean(&uses.value, context.modules.iter().copied());
                    let message = format!("there is no SmartModule {:?} under `smartmodules`", uses.value);
                    self.problem(uses.place, message, help);
                }
            }
            let stateful = uses.is_some_and(|uses| context.stateful.contains(&uses.value.as_str()));
            let window = document.window.as_ref().map(|window| window.place);
            if let Some(place) = window.or(document.windows.as_ref().map(|windows| windows.place))
                && index != last
            {
                let message = "only the last transform of a stage can have a window".to_owned();
                self.problem(place, message, None);
            } else if stateful
                && index != last
                && let Some(uses) = uses
            {
                let message = "only the last transform of a stage can be stateful".to_owned();
                self.problem(uses.place, message, None);
            }
            let (windows, idleness) = self.windows(document);
            transforms.push(Transform {
                uses: uses.map(|uses| uses.value.clone()).unwrap_or_default(),
                with: self.parameters(document.with.as_ref()),
                stateful: stateful || !windows.is_empty(),
                windows,
                idleness,
            });
        }
        transforms
    }

    fn parameters(&mut self, with: Option<&Entries<At<Plain>>>) -> BTreeMap<String, String> {
        let mut parameters = BTreeMap::new();
        for (name, value) in with.iter().flat_map(|with| &with.0) {
            if name.value.starts_with("ovation.") {
                let message = format!("the parameter {:?} is set by the engine itself", name.value);
                self.problem(name.place, message, None);
            }
            let Some(Plain(value)) = value.as_ref().map(|value| &value.value) else { continue };
            // A longer one would end the stream without a word (docs/fluvio.md 15).
            if value.len() > PARAMETER_BYTES_MAX {
                let message = format!(
                    "the parameter {:?} has {} bytes; expected at most {PARAMETER_BYTES_MAX}",
                    name.value,
                    value.len()
                );
                self.problem(name.place, message, None);
            }
            parameters.insert(name.value.clone(), value.clone());
        }
        parameters
    }

    /// Checkpoints are the engine's own.
    fn sources(&mut self, document: &Document, stages: &[Stage]) {
        for (_, doc) in document.stages.0.iter().flat_map(|stages| &stages.0) {
            let Some(source) = doc.as_ref().and_then(|doc| doc.value.source.0.as_ref()) else { continue };
            if stages.iter().any(|stage| stage.checkpoints.as_ref() == Some(&source.value)) {
                let message = format!("topic {:?} holds checkpoints, and no stage can read it", source.value);
                self.problem(source.place, message, None);
            }
        }
    }

    /// Windows over another stage's results have no clock of their own.
    fn check_clocks(&mut self, document: &Document, stages: &[Stage]) {
        let docs = document.stages.0.iter().flat_map(|stages| &stages.0);
        for (name, doc) in docs {
            let Some(stage) = stages.iter().find(|stage| stage.name == name.value) else { continue };
            let before = stages.iter().find(|other| {
                other.name != stage.name && other.outlets().any(|outlet| outlet == stage.source)
            });
            let Some(before) = before.filter(|_| stage.has_windows()) else { continue };
            let Some(source) = doc.as_ref().and_then(|doc| doc.value.source.0.as_ref()) else { continue };
            let message = format!(
                "stage {:?} counts results of stage {:?} in windows, and their time moves with these results alone",
                stage.name, before.name
            );
            // docs/fluvio.md 37.
            let help = "its last windows stay open until the next result comes, and on a Fluvio cluster records of a fenced \
                        topic have no time of their own: its SmartModule has to find the time in the value"
                .to_owned();
            self.warning(source.place, message, Some(help));
        }
    }
}

/// What a stage writes to a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Sink,
    DeadLetter,
    Checkpoints,
}

impl std::fmt::Display for Role {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Role::Sink => "sink",
            Role::DeadLetter => "dead-letter topic",
            Role::Checkpoints => "checkpoint topic",
        })
    }
}

/// Which stage writes what to which topic.
#[derive(Default)]
struct Roles(Vec<(String, String, Role)>);

impl Roles {
    /// Takes a topic for a stage, or says who has it. Checkpoints of several stages may share a topic: they carry the
    /// stage's name, and nothing fences them.
    fn claim(&mut self, topic: &str, stage: &str, role: Role) -> Option<(String, Role)> {
        let shares = |(_, _, other): &&(String, String, Role)| !(role == Role::Checkpoints && *other == role);
        let taken = self.0.iter().filter(|(name, _, _)| name == topic).find(shares);
        if let Some((_, other, role)) = taken {
            return Some((other.clone(), *role));
        }
        self.0.push((topic.to_owned(), stage.to_owned(), role));
        None
    }
}
