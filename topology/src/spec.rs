use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use serde_saphyr::Location;

use crate::check;
use crate::modules::Modules;
use crate::problem::{Problem, SpecError};
use crate::testing::{ChainProblem, TestCase};

/// A topology that was checked: topics, SmartModules, and the stages that lead from topic to topic.
#[derive(Debug, Clone, PartialEq)]
pub struct Topology {
    /// Name, for people.
    pub name: String,
    /// Topics in the order of the file.
    pub topics: Vec<Topic>,
    /// SmartModules in the order of the file.
    pub smartmodules: Vec<SmartModule>,
    /// Stages in the order of the file.
    pub stages: Vec<Stage>,
    /// Table formats in the order of the file.
    pub table_formats: Vec<TableFormat>,
    /// Tests in the order of the file.
    pub tests: Vec<TestCase>,
}

/// How a Fluvio client shows records as a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFormat {
    /// Its name on the cluster.
    pub name: String,
    /// Columns from left to right.
    pub columns: Vec<Column>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Which field of the record's JSON object it shows.
    pub key: String,
    /// Its heading.
    pub header: Option<String>,
    /// Whether a record with the same value here takes the row over.
    pub primary: bool,
}

/// A topology that holds together, with what its author may want to know.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The topology.
    pub topology: Topology,
    /// What works and is most likely not meant.
    pub warnings: Option<SpecError>,
    pub(crate) places: Places,
    pub(crate) file: String,
    pub(crate) text: String,
}

/// Where the steps of the stages stand in the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places(BTreeMap<(String, usize), Location>);

impl Places {
    pub(crate) fn add(&mut self, stage: &str, transform: usize, place: Location) {
        self.0.insert((stage.to_owned(), transform), place);
    }
}

impl Checked {
    /// What stands in the file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The chains that do not open, as an error that shows their transforms in the file.
    pub fn chain_errors(&self, problems: Vec<ChainProblem>) -> SpecError {
        let shown = problems.into_iter().map(|ChainProblem { stage, transform, message, .. }| {
            let place = self.places.0.get(&(stage, transform)).copied();
            Problem::new(&self.file, place, message, None)
        });
        SpecError::new(&self.file, &self.text, shown.collect())
    }
}

/// A topic that has to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name on the cluster.
    pub name: String,
    /// Number of partitions, at least 1.
    pub partitions: u32,
    /// How long records are kept.
    pub retention: Retention,
    /// Whether the broker itself refuses what does not continue what is stored.
    pub fence: bool,
}

/// How long a topic keeps its records; the broker's own defaults where nothing is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Age at which records may go; whole seconds count.
    pub time: Option<Duration>,
    /// Bytes per partition above which old records may go.
    pub size: Option<u64>,
}

/// A SmartModule under the name that the topology gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmartModule {
    /// Name that `uses` refers to.
    pub name: String,
    /// Where its bytes come from.
    pub source: ModuleSource,
    /// Its name on the cluster, where the topology gives one; else the name holds a hash of the bytes.
    pub published: Option<String>,
    /// Whether it keeps state of its own, under the processor contract.
    pub stateful: bool,
}

/// Where a SmartModule's bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModuleSource {
    /// One that ships with the program.
    Builtin(String),
    /// A `.wasm` file; a relative path begins at the topology's own folder.
    Path(PathBuf),
}

/// A chain of SmartModules from a source topic to a sink topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Name, unique in the topology; part of every result.
    pub name: String,
    /// Topic that is read.
    pub source: String,
    /// SmartModules in order; the last one may hold state.
    pub transforms: Vec<Transform>,
    /// Topic for results.
    pub sink: String,
    /// Topic for what was rejected or came too late.
    pub dead_letter: Option<String>,
    /// Topic for the state that a restart begins with.
    pub checkpoints: Option<String>,
}

/// A step of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transform {
    /// Name of a SmartModule of the topology.
    pub uses: String,
    /// Parameters, as text.
    pub with: BTreeMap<String, String>,
    /// Whether it holds state between records: because it counts in windows, or says so.
    pub stateful: bool,
    /// Windows, for a SmartModule that counts in windows.
    pub windows: Vec<Window>,
    /// How far stream time stays behind the clock where only ticks move it: how late the records of a source that is not
    /// idle may be behind the clock without being taken for stragglers.
    pub idleness: Duration,
}

/// A window definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Name, part of every result; made of the times as written if the topology gives none.
    pub name: String,
    /// Shape and size.
    pub kind: WindowKind,
    /// How long a window waits for stragglers after its end, in stream time.
    pub grace: Duration,
    /// When results come.
    pub emit: Emit,
}

/// Shape of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WindowKind {
    /// Windows side by side, each of this size.
    Tumbling {
        /// Time that a window spans.
        size: Duration,
    },
    /// Overlapping windows.
    Hopping {
        /// Time that a window spans.
        size: Duration,
        /// Time from one window's start to the next one's.
        advance: Duration,
    },
    /// Windows that last while records keep coming.
    Session {
        /// Quiet time that ends a session.
        gap: Duration,
    },
}

/// When a window's results come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emit {
    /// Running results, and a final.
    Update {
        /// Least time between two updates.
        every: Duration,
    },
    /// The final alone.
    Close,
}

impl Topology {
    /// Reads a topology. `name` is the file's name, for messages, and where relative paths begin.
    ///
    /// # Errors
    ///
    /// A [`SpecError`] with everything that is wrong and where, as far as it can be seen at once.
    pub fn parse(name: &str, text: &str) -> Result<Self, SpecError> {
        check::check(name, text, &environment, None).map(|checked| checked.topology)
    }

    /// As [`parse`](Topology::parse), looks also whether the SmartModules are there, and keeps what is only doubtful.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn check(name: &str, text: &str, modules: &dyn Modules) -> Result<Checked, SpecError> {
        check::check(name, text, &environment, Some(modules))
    }

    /// The JSON Schema of the file, for editors.
    pub fn schema() -> Value {
        crate::document::schema()
    }

    /// The topic of that name.
    pub fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.iter().find(|topic| topic.name == name)
    }

    /// The SmartModule of that name.
    pub fn smartmodule(&self, name: &str) -> Option<&SmartModule> {
        self.smartmodules.iter().find(|module| module.name == name)
    }
}

impl Stage {
    /// Whether it holds state between records.
    pub fn is_stateful(&self) -> bool {
        self.transforms.iter().any(|transform| transform.stateful)
    }

    /// Whether it counts in windows.
    pub fn has_windows(&self) -> bool {
        self.transforms.iter().any(|transform| !transform.windows.is_empty())
    }

    /// Topics that this stage writes numbered records to.
    pub fn outlets(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.sink.as_str()).chain(self.dead_letter.as_deref())
    }

    /// The smallest time between two updates of any window that has some.
    pub fn every(&self) -> Option<Duration> {
        let windows = self.transforms.iter().flat_map(|transform| &transform.windows);
        windows.filter_map(Window::every).min()
    }
}

impl Window {
    /// Least time between two updates; none where finals alone are emitted.
    pub fn every(&self) -> Option<Duration> {
        match self.emit {
            Emit::Update { every } => Some(every),
            Emit::Close => None,
        }
    }

    /// The definition as a SmartModule gets it.
    fn parameter(&self) -> Value {
        let shape = match self.kind {
            WindowKind::Tumbling { size } => json!({"tumbling": {"size_ms": ms(size)}}),
            WindowKind::Hopping { size, advance } => {
                json!({"hopping": {"size_ms": ms(size), "advance_ms": ms(advance)}})
            }
            WindowKind::Session { gap } => json!({"session": {"gap_ms": ms(gap)}}),
        };
        let emit = match self.emit {
            Emit::Update { every } => json!({"update": {"every_ms": ms(every)}}),
            Emit::Close => json!("close"),
        };
        json!({"name": self.name, "shape": shape, "grace_ms": ms(self.grace), "emit": emit})
    }
}

impl Transform {
    /// What the SmartModule is told, whichever task runs it: its own parameters, `ovation.windows` and
    /// `ovation.idleness-ms`.
    pub fn parameters(&self) -> BTreeMap<String, String> {
        let mut parameters = self.with.clone();
        if !self.windows.is_empty() {
            let windows: Vec<Value> = self.windows.iter().map(Window::parameter).collect();
            parameters.insert("ovation.windows".to_owned(), json!(windows).to_string());
            parameters.insert("ovation.idleness-ms".to_owned(), ms(self.idleness).to_string());
        }
        parameters
    }
}

/// Where `${NAME}` in a topology finds its value.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
