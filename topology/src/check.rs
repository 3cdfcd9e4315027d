//! From the YAML as written to a topology that holds together.

mod windows;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_saphyr::{Error as YamlError, Location, Spanned};

use crate::document::{Document, Entries, ModuleDoc, StageDoc, TopicDoc, TransformDoc};
use crate::problem::{Problem, SpecError};
use crate::quantity::{DURATION, SIZE, parse_duration, parse_size};
use crate::spec::{ModuleSource, Retention, SmartModule, Stage, Topic, Topology, Transform};

/// Above this, sums of times could overflow somewhere.
const DURATION_MAX: Duration = Duration::from_secs(366 * 86_400);
/// Partitions of a topic at most: each one is a task.
const PARTITIONS_MAX: u32 = 1024;
/// Fluvio's own bound on names.
const NAME_BYTES_MAX: usize = 200;

pub(crate) fn parse(file: &str, text: &str) -> Result<Topology, SpecError> {
    let options = serde_saphyr::options! { with_snippet: false };
    let document: Document = match serde_saphyr::from_str_with_options(text, options) {
        Ok(document) => document,
        Err(error) => return Err(SpecError::new(file, text, vec![yaml_problem(file, &error)])),
    };
    let mut check = Check { file, problems: Vec::new() };
    let topology = check.topology(document);
    if check.problems.is_empty() { Ok(topology) } else { Err(SpecError::new(file, text, check.problems)) }
}

/// The problem that stopped the YAML itself from being read.
fn yaml_problem(file: &str, error: &YamlError) -> Problem {
    let error = error.without_snippet();
    let place = error.location();
    let (message, help) = match error {
        YamlError::SerdeUnknownField { field, expected, .. } => (
            format!("unknown key {field:?}; expected {}", one_of(expected.iter().copied())),
            did_you_mean(field, expected.iter().copied()),
        ),
        YamlError::SerdeMissingField { field, .. } => (format!("the key {field:?} is missing"), None),
        YamlError::SerdeInvalidType { unexpected, expected, .. } => {
            (format!("expected {expected}, found {unexpected}"), None)
        }
        YamlError::DuplicateMappingKey { key: Some(key), .. } => {
            (format!("the key {key:?} appears twice"), None)
        }
        other => {
            let options = serde_saphyr::render_options! { snippets: serde_saphyr::SnippetMode::Off };
            (other.render_with_options(options), None)
        }
    };
    Problem::new(file, place, message, help)
}

/// "a", "a or b", "one of a, b, c".
fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    match names.as_slice() {
        [] => "nothing here".to_owned(),
        [one] => format!("`{one}`"),
        [one, other] => format!("`{one}` or `{other}`"),
        more => format!("one of `{}`", more.join("`, `")),
    }
}

/// The known name that was most likely meant.
fn did_you_mean<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|name| (strsim::damerau_levenshtein(written, name), name))
        .filter(|(distance, name)| *distance <= (name.len().max(written.len()) / 3).max(1))
        .min()
        .map(|(_, name)| format!("did you mean `{name}`?"))
}

struct Check<'a> {
    file: &'a str,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn problem(&mut self, place: Location, message: String, help: Option<String>) {
        self.problems.push(Problem::new(self.file, Some(place), message, help));
    }

    fn topology(&mut self, document: Document) -> Topology {
        let topics: Vec<Topic> =
            document.topics.0.iter().map(|(name, topic)| self.topic(name, topic)).collect();
        let smartmodules: Vec<SmartModule> = document
            .smartmodules
            .0
            .iter()
            .filter_map(|(name, module)| self.smartmodule(name, module))
            .collect();
        let mut roles = Roles::default();
        let mut stages = Vec::new();
        for (name, stage) in &document.stages.0 {
            self.name(name, "a stage");
            let names: Vec<&str> =
                document.smartmodules.0.iter().map(|(name, _)| name.value.as_str()).collect();
            stages.push(self.stage(name, stage, &topics, &names, &mut roles));
        }
        if stages.is_empty() {
            self.problem(
                document.name.referenced,
                "a topology needs at least one stage under `stages`".to_owned(),
                None,
            );
        }
        Topology { name: document.name.value, topics, smartmodules, stages }
    }

    fn name(&mut self, name: &Spanned<String>, of: &str) {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let text = &name.value;
        let edges = text.starts_with('-') || text.ends_with('-');
        if text.is_empty() || text.len() > NAME_BYTES_MAX || edges || !text.bytes().all(fits) {
            self.problem(
                name.referenced,
                format!("{text:?} cannot be the name of {of}; expected lower-case letters, digits and inner hyphens"),
                None,
            );
        }
    }

    fn topic(&mut self, name: &Spanned<String>, topic: &TopicDoc) -> Topic {
        self.name(name, "a topic");
        if !(1..=PARTITIONS_MAX).contains(&topic.partitions.value) {
            self.problem(
                topic.partitions.referenced,
                format!("a topic has 1 to {PARTITIONS_MAX} partitions, not {}", topic.partitions.value),
                None,
            );
        }
        let time = topic.retention.time.as_ref().and_then(|time| self.duration(time, Duration::from_secs(1)));
        let size = topic.retention.size.as_ref().and_then(|size| {
            let parsed = parse_size(&size.value).filter(|bytes| *bytes > 0);
            if parsed.is_none() {
                self.problem(size.referenced, format!("{:?} is not {SIZE}", size.value), None);
            }
            parsed
        });
        Topic {
            name: name.value.clone(),
            partitions: topic.partitions.value,
            retention: Retention { time, size },
            fence: topic.fence,
        }
    }

    fn duration(&mut self, text: &Spanned<String>, least: Duration) -> Option<Duration> {
        match parse_duration(&text.value) {
            None => self.problem(text.referenced, format!("{:?} is not {DURATION}", text.value), None),
            Some(duration) if duration < least => self.problem(
                text.referenced,
                format!("{} is too short; expected at least {least:?}", text.value),
                None,
            ),
            Some(duration) if duration > DURATION_MAX => self.problem(
                text.referenced,
                format!("{} is too long; expected at most 366d", text.value),
                None,
            ),
            fitting => return fitting,
        }
        None
    }

    fn smartmodule(&mut self, name: &Spanned<String>, module: &Spanned<ModuleDoc>) -> Option<SmartModule> {
        self.name(name, "a SmartModule");
        let source = match (&module.value.builtin, &module.value.path) {
            (Some(builtin), None) => ModuleSource::Builtin(builtin.value.clone()),
            (None, Some(path)) => ModuleSource::Path(self.beside(&path.value)),
            _ => {
                let message = format!("SmartModule {:?} needs either `builtin` or `path`", name.value);
                self.problem(name.referenced, message, None);
                return None;
            }
        };
        Some(SmartModule { name: name.value.clone(), source })
    }

    /// A path as seen from the topology's own folder.
    fn beside(&self, path: &str) -> PathBuf {
        Path::new(self.file).parent().unwrap_or(Path::new("")).join(path)
    }

    fn stage(
        &mut self,
        name: &Spanned<String>,
        spanned: &Spanned<StageDoc>,
        topics: &[Topic],
        modules: &[&str],
        roles: &mut Roles,
    ) -> Stage {
        let document = &spanned.value;
        let transforms = self.transforms(name, &document.transforms, modules);
        let stage = Stage {
            name: name.value.clone(),
            source: document.source.value.clone(),
            transforms,
            sink: document.sink.value.clone(),
            dead_letter: document.dead_letter.as_ref().map(|topic| topic.value.clone()),
            checkpoints: document.checkpoints.as_ref().map(|topic| topic.value.clone()),
        };
        let source = self.known_topic(&document.source, topics);
        self.outlet(name, Role::Sink, &document.sink, source, topics, roles, stage.is_stateful());
        if let Some(topic) = &document.dead_letter {
            self.outlet(name, Role::DeadLetter, topic, source, topics, roles, stage.is_stateful());
        }
        match &document.checkpoints {
            Some(topic) => self.outlet(name, Role::Checkpoints, topic, source, topics, roles, false),
            None if stage.is_stateful() => self.problem(
                name.referenced,
                format!("stage {:?} counts in windows, so it needs a topic for `checkpoints`", name.value),
                None,
            ),
            None => {}
        }
        stage
    }

    fn known_topic<'t>(&mut self, name: &Spanned<String>, topics: &'t [Topic]) -> Option<&'t Topic> {
        let found = topics.iter().find(|topic| topic.name == name.value);
        if found.is_none() {
            let help = did_you_mean(&name.value, topics.iter().map(|topic| topic.name.as_str()));
            let message = format!("there is no topic {:?} under `topics`", name.value);
            self.problem(name.referenced, message, help);
        }
        found
    }

    /// A topic that a stage writes to.
    #[expect(clippy::too_many_arguments, reason = "all of it is context of the one check")]
    fn outlet(
        &mut self,
        stage: &Spanned<String>,
        role: Role,
        name: &Spanned<String>,
        source: Option<&Topic>,
        topics: &[Topic],
        roles: &mut Roles,
        fenced: bool,
    ) {
        let Some(topic) = self.known_topic(name, topics) else { return };
        if let Some(source) = source {
            if source.name == topic.name {
                let message = format!("stage {:?} writes to its own source {:?}", stage.value, topic.name);
                self.problem(name.referenced, message, None);
            } else if source.partitions != topic.partitions {
                self.problem(
                    name.referenced,
                    format!(
                        "the {role} {:?} has {} partitions and the source {:?} has {}; expected the same number, \
                         because partition n of the source is written to partition n of the {role}",
                        topic.name, topic.partitions, source.name, source.partitions
                    ),
                    None,
                );
            }
        }
        if fenced && !topic.fence {
            self.problem(
                name.referenced,
                format!(
                    "stage {:?} counts in windows, so its {role} {:?} has to be fenced",
                    stage.value, topic.name
                ),
                Some(format!("add `fence: true` to topic `{}`", topic.name)),
            );
        }
        if let Some((other, other_role)) = roles.claim(&topic.name, &stage.value, role) {
            self.problem(
                name.referenced,
                format!(
                    "topic {:?} cannot be the {role} of stage {:?}: it is the {other_role} of stage {other:?} already",
                    topic.name, stage.value
                ),
                Some("a topic that is written to belongs to one stage".to_owned()),
            );
        }
    }

    fn transforms(
        &mut self,
        stage: &Spanned<String>,
        documents: &[TransformDoc],
        modules: &[&str],
    ) -> Vec<Transform> {
        if documents.is_empty() {
            self.problem(stage.referenced, format!("stage {:?} has no transforms", stage.value), None);
        }
        let last = documents.len().saturating_sub(1);
        let mut transforms = Vec::new();
        for (index, document) in documents.iter().enumerate() {
            let uses = &document.uses;
            if !modules.contains(&uses.value.as_str()) {
                let help = did_you_mean(&uses.value, modules.iter().copied());
                let message = format!("there is no SmartModule {:?} under `smartmodules`", uses.value);
                self.problem(uses.referenced, message, help);
            }
            let place = document.window.as_ref().map(|window| window.referenced);
            if let Some(place) = place.or(document.windows.as_ref().map(|windows| windows.referenced))
                && index != last
            {
                let message = "only the last transform of a stage can have a window".to_owned();
                self.problem(place, message, None);
            }
            let (windows, idleness) = self.windows(document);
            transforms.push(Transform {
                uses: uses.value.clone(),
                with: self.parameters(&document.with),
                windows,
                idleness,
            });
        }
        transforms
    }

    fn parameters(&mut self, with: &Entries<crate::document::Scalar>) -> BTreeMap<String, String> {
        let mut parameters = BTreeMap::new();
        for (name, value) in &with.0 {
            if name.value.starts_with("ovation.") {
                let message = format!("the parameter {:?} is set by the engine itself", name.value);
                self.problem(name.referenced, message, None);
            }
            // A longer one would end the stream without a word (docs/fluvio.md 15).
            if value.0.len() > PARAMETER_BYTES_MAX {
                let message = format!(
                    "the parameter {:?} has {} bytes; expected at most {PARAMETER_BYTES_MAX}",
                    name.value,
                    value.0.len()
                );
                self.problem(name.referenced, message, None);
            }
            parameters.insert(name.value.clone(), value.0.clone());
        }
        parameters
    }
}

/// docs/fluvio.md 15: 32,767 bytes and no more.
const PARAMETER_BYTES_MAX: usize = 30_000;

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
