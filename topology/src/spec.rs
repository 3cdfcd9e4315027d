use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::check;
use crate::problem::SpecError;

/// A topology that was checked: topics, SmartModules, and the stages that lead from topic to topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// Name, for people.
    pub name: String,
    /// Topics in the order of the file.
    pub topics: Vec<Topic>,
    /// SmartModules in the order of the file.
    pub smartmodules: Vec<SmartModule>,
    /// Stages in the order of the file.
    pub stages: Vec<Stage>,
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
    /// Windows, for a SmartModule that counts in windows.
    pub windows: Vec<Window>,
}

/// A window definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Name, part of every result; the size as written if the topology gives none.
    pub name: String,
    /// Shape and size.
    pub kind: WindowKind,
    /// How long a window waits for stragglers after its end, in stream time.
    pub grace: Duration,
    /// Time between two updates of a window that changes.
    pub every: Duration,
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
}

impl Topology {
    /// Reads a topology. `name` is the file's name, for messages, and where relative paths begin.
    ///
    /// # Errors
    ///
    /// A [`SpecError`] with everything that is wrong and where, as far as it can be seen at once.
    pub fn parse(name: &str, text: &str) -> Result<Self, SpecError> {
        check::parse(name, text)
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
    /// Whether it holds state between records: its results are numbered, and have to be fenced.
    pub fn is_stateful(&self) -> bool {
        self.transforms.iter().any(|transform| !transform.windows.is_empty())
    }

    /// Topics that this stage writes numbered records to.
    pub fn outlets(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.sink.as_str()).chain(self.dead_letter.as_deref())
    }

    /// The smallest time between two updates of any window.
    pub fn every(&self) -> Option<Duration> {
        self.transforms.iter().flat_map(|transform| &transform.windows).map(|window| window.every).min()
    }
}
