//! From the YAML as written to a topology that holds together.

mod flow;
mod modules;
mod stages;
mod tables;
mod tests;
mod windows;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_saphyr::{Error as YamlError, Location};

use crate::document::{Document, TopicDoc};
use crate::modules::Modules;
use crate::problem::{Problem, SpecError};
use crate::quantity::{DURATION, SIZE, parse_duration, parse_size};
use crate::read::{At, Environment, Read, Reader};
use crate::spec::{Checked, Places, Retention, Topic, Topology};
use crate::yaml::Node;

/// Above this, sums of times could overflow somewhere.
const DURATION_MAX: Duration = Duration::from_secs(366 * 86_400);
/// Partitions of a topic at most: each one is a task.
const PARTITIONS_MAX: u32 = 1024;
/// Fluvio counts in seconds.
const RETENTION_MIN: Duration = Duration::from_secs(1);
/// Fluvio's own bound on names.
const NAME_BYTES_MAX: usize = 200;
/// A file at most: a topology with every test that one could want has a hundredth of it.
const FILE_BYTES_MAX: usize = 4 << 20;

/// Reads and checks a topology. Without `modules` it is not looked at whether the SmartModules are there.
pub(crate) fn check(
    file: &str,
    text: &str,
    environment: Environment<'_>,
    modules: Option<&dyn Modules>,
) -> Result<Checked, SpecError> {
    let refused = |problem: Problem| SpecError::new(file, text, vec![problem]);
    if text.len() > FILE_BYTES_MAX {
        let message = format!("the file has {} bytes; expected at most {FILE_BYTES_MAX}", text.len());
        return Err(refused(Problem::new(file, None, message, None)));
    }
    let tree = Node::read(text).map_err(|error| refused(yaml_problem(file, text, &error)))?;
    let reader = Reader { file, text, environment, problems: Vec::new() };
    let mut check = Check { reader, modules, warnings: Vec::new(), places: Places::default() };
    let topology = Document::read(&tree, &mut check.reader).map(|document| check.topology(&document));
    let Check { reader, warnings, places, .. } = check;
    match topology {
        Some(topology) if reader.problems.is_empty() => {
            let warnings = (!warnings.is_empty()).then(|| SpecError::new(file, text, warnings));
            Ok(Checked { topology, warnings, places, file: file.to_owned(), text: text.to_owned() })
        }
        _ => Err(SpecError::new(file, text, reader.problems)),
    }
}

/// The problem that stopped the YAML itself from being read.
fn yaml_problem(file: &str, text: &str, error: &YamlError) -> Problem {
    let error = error.without_snippet();
    let options = serde_saphyr::render_options! { snippets: serde_saphyr::SnippetMode::Off };
    let message = error.render_with_options(options);
    let place = error.location();
    // The place is told beside the message.
    let said = place.map(|place| format!(" at line {}, column {}", place.line(), place.column()));
    let message = match said.and_then(|said| message.strip_suffix(&said)) {
        Some(message) => message.to_owned(),
        None => message,
    };
    let line = place.and_then(|place| text.lines().nth(usize::try_from(place.line()).ok()?.checked_sub(1)?));
    let help = line.filter(|line| line.contains("${")).map(|_| {
        "between `{` and `}`, a value with `${NAME}` in it stands in quotes: \"${NAME}\"".to_owned()
    });
    Problem::new(file, place, message, help).found_in(text)
}

/// What is known while a document is checked.
pub(super) struct Check<'a> {
    reader: Reader<'a>,
    modules: Option<&'a dyn Modules>,
    warnings: Vec<Problem>,
    places: Places,
}

impl Check<'_> {
    fn problem(&mut self, place: Location, message: String, help: Option<String>) {
        self.reader.problem(place, message, help);
    }

    fn warning(&mut self, place: Location, message: String, help: Option<String>) {
        self.warnings.push(Problem::new(self.reader.file, Some(place), message, help).warning());
    }

    fn topology(&mut self, document: &Document) -> Topology {
        let empty = Default::default();
        let topic_docs = document.topics.0.as_ref().unwrap_or(&empty);
        let topics = topic_docs.0.iter().map(|(name, topic)| self.topic(name, topic.as_ref())).collect();
        let smartmodules = self.smartmodules(document.smartmodules.as_ref());
        let table_formats = self.table_formats(document.table_formats.as_ref());
        let stages = self.stages(document);
        let tests = self.tests(document);
        let topology = Topology {
            name: document.name.0.as_ref().map(|name| name.value.clone()).unwrap_or_default(),
            topics,
            smartmodules,
            stages,
            table_formats,
            tests,
        };
        if let Some(stages) = &document.stages.0
            && stages.0.is_empty()
            && let Some(name) = &document.name.0
        {
            let message = "a topology needs at least one stage under `stages`".to_owned();
            self.problem(name.place, message, None);
        }
        self.cycles(document, &topology);
        self.unused(document, &topology);
        topology
    }

    fn name(&mut self, name: &At<String>, of: &str) {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let text = &name.value;
        let edges = text.starts_with('-') || text.ends_with('-');
        if text.is_empty() || text.len() > NAME_BYTES_MAX || edges || !text.bytes().all(fits) {
            self.problem(
                name.place,
                format!("{text:?} cannot be the name of {of}; expected lower-case letters, digits and inner hyphens"),
                None,
            );
        }
    }

    fn topic(&mut self, name: &At<String>, topic: Option<&TopicDoc>) -> Topic {
        self.name(name, "a topic");
        let partitions = topic.and_then(|topic| topic.partitions.0.as_ref());
        if let Some(partitions) = partitions
            && !(1..=PARTITIONS_MAX).contains(&partitions.value.0)
        {
            let message = format!("a topic has 1 to {PARTITIONS_MAX} partitions, not {}", partitions.value.0);
            self.problem(partitions.place, message, None);
        }
        let retention = topic.and_then(|topic| topic.retention.as_ref());
        let time = retention.and_then(|retention| retention.time.as_ref());
        let time = time.and_then(|time| self.duration(time, RETENTION_MIN));
        let size = retention.and_then(|retention| retention.size.as_ref()).and_then(|size| {
            let parsed = parse_size(&size.value).filter(|bytes| *bytes > 0);
            if parsed.is_none() {
                self.problem(size.place, format!("{:?} is not {SIZE}", size.value), None);
            }
            parsed
        });
        Topic {
            name: name.value.clone(),
            partitions: partitions.map_or(0, |partitions| partitions.value.0),
            retention: Retention { time, size },
            fence: topic.is_some_and(|topic| topic.fence == Some(true)),
        }
    }

    fn duration(&mut self, text: &At<String>, least: Duration) -> Option<Duration> {
        match parse_duration(&text.value) {
            None => self.problem(text.place, format!("{:?} is not {DURATION}", text.value), None),
            Some(duration) if duration < least => self.problem(
                text.place,
                format!("{} is too short; expected at least {least:?}", text.value),
                None,
            ),
            Some(duration) if duration > DURATION_MAX => {
                self.problem(text.place, format!("{} is too long; expected at most 366d", text.value), None)
            }
            fitting => return fitting,
        }
        None
    }

    /// A path as seen from the topology's own folder.
    fn beside(&self, path: &str) -> PathBuf {
        Path::new(self.reader.file).parent().unwrap_or(Path::new("")).join(path)
    }
}
