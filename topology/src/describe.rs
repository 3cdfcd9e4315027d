//! What a topology is, for people and for tools that draw.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::changes::describe_topic;
use crate::modules::{ModuleError, Modules, NUMBER, Resolved, resolve};
use crate::quantity::show_duration;
use crate::spec::{Emit, ModuleSource, Stage, Topology, Transform, Window, WindowKind};

/// A topology with what its parts are on a cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Description {
    /// Name of the topology.
    pub name: String,
    /// Topics in the order of the file.
    pub topics: Vec<TopicDescription>,
    /// SmartModules in the order of the file, then the engine's own.
    pub smartmodules: Vec<ModuleDescription>,
    /// Stages in the order of the file.
    pub stages: Vec<StageDescription>,
    /// Table formats by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub table_formats: Vec<String>,
    /// Names of the tests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<String>,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TopicDescription {
    /// Name on the cluster.
    pub name: String,
    /// Number of partitions.
    pub partitions: u32,
    /// Age at which records may go, in seconds.
    pub retention_seconds: Option<u64>,
    /// Size of a partition above which old records may go.
    pub retention_bytes: Option<u64>,
    /// Whether the broker refuses what does not continue what is stored.
    pub fence: bool,
    #[serde(skip)]
    about: String,
}

/// A SmartModule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModuleDescription {
    /// Name in the topology.
    pub name: String,
    /// Name on the cluster, which says the version by a hash of the bytes, unless the topology gives one.
    pub cluster_name: String,
    /// SHA-256 of its bytes, as hexadecimal digits.
    pub sha256: String,
    /// How many bytes it has.
    pub bytes: usize,
    /// Where it comes from: `builtin NAME` or `path FILE`.
    pub source: String,
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageDescription {
    /// Name of the stage.
    pub name: String,
    /// Topic that it reads.
    pub source: String,
    /// Its steps in order.
    pub transforms: Vec<TransformDescription>,
    /// Topic of its results.
    pub sink: String,
    /// Topic of its dead letters.
    pub dead_letter: Option<String>,
    /// Topic of its checkpoints.
    pub checkpoints: Option<String>,
    /// Hash of what its state depends on, as it stands in its checkpoints.
    pub config: String,
    /// Counters of the stage while it runs; none where nobody asked for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live: Option<Vec<Counter>>,
}

/// A counter of a stage that runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Counter {
    /// What is counted, for programs.
    pub name: String,
    /// The same for people.
    #[serde(skip)]
    pub title: String,
    /// How much; text for a state.
    pub value: serde_json::Value,
    /// The same for people, with its unit.
    #[serde(skip)]
    pub shown: String,
}

/// A step of a stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TransformDescription {
    /// Name of the SmartModule in the topology.
    pub uses: String,
    /// Parameters.
    #[serde(rename = "with", skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Windows that it counts in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<WindowDescription>,
    /// After how much quiet the clock takes over, in ms; for one with windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idleness_ms: Option<u64>,
}

/// A window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WindowDescription {
    /// Name, part of every result.
    pub name: String,
    /// Shape, size, grace and emission in words.
    pub about: String,
}

/// Says what a topology is.
///
/// # Errors
///
/// A [`ModuleError`] if a SmartModule's bytes cannot be had.
pub fn describe(topology: &Topology, modules: &dyn Modules) -> Result<Description, ModuleError> {
    let resolved = resolve(topology, modules)?;
    let topics = topology.topics.iter().map(|topic| TopicDescription {
        name: topic.name.clone(),
        partitions: topic.partitions,
        retention_seconds: topic.retention.time.map(|time| time.as_secs()),
        retention_bytes: topic.retention.size,
        fence: topic.fence,
        about: describe_topic(topic),
    });
    let smartmodules = topology.smartmodules.iter().filter_map(|module| {
        let source = match &module.source {
            ModuleSource::Builtin(name) => format!("builtin {name}"),
            ModuleSource::Path(path) => format!("path {}", path.display()),
        };
        Some(describe_module(&module.name, source, resolved.get(&module.name)?))
    });
    let number =
        resolved.get(NUMBER).map(|module| describe_module(NUMBER, "of the engine".to_owned(), module));
    Ok(Description {
        name: topology.name.clone(),
        topics: topics.collect(),
        smartmodules: smartmodules.chain(number).collect(),
        stages: topology.stages.iter().map(|stage| describe_stage(topology, stage)).collect(),
        table_formats: topology.table_formats.iter().map(|format| format.name.clone()).collect(),
        tests: topology.tests.iter().map(|test| test.name.clone()).collect(),
    })
}

fn describe_module(name: &str, source: String, resolved: &Resolved) -> ModuleDescription {
    ModuleDescription {
        name: name.to_owned(),
        cluster_name: resolved.cluster_name.clone(),
        sha256: resolved.sha256.clone(),
        bytes: resolved.wasm.len(),
        source,
    }
}

fn describe_stage(topology: &Topology, stage: &Stage) -> StageDescription {
    let number = (!stage.is_stateful()).then(|| TransformDescription {
        uses: NUMBER.to_owned(),
        parameters: BTreeMap::new(),
        windows: Vec::new(),
        idleness_ms: None,
    });
    StageDescription {
        name: stage.name.clone(),
        source: stage.source.clone(),
        transforms: stage.transforms.iter().map(describe_transform).chain(number).collect(),
        sink: stage.sink.clone(),
        dead_letter: stage.dead_letter.clone(),
        checkpoints: stage.checkpoints.clone(),
        config: crate::plan::config_hash(topology, stage),
        live: None,
    }
}

fn describe_transform(transform: &Transform) -> TransformDescription {
    let idleness = u64::try_from(transform.idleness.as_millis()).unwrap_or(u64::MAX);
    TransformDescription {
        uses: transform.uses.clone(),
        parameters: transform.with.clone(),
        windows: transform
            .windows
            .iter()
            .map(|window| WindowDescription { name: window.name.clone(), about: describe_window(window) })
            .collect(),
        idleness_ms: (!transform.windows.is_empty()).then_some(idleness),
    }
}

fn describe_window(window: &Window) -> String {
    let shape = match window.kind {
        WindowKind::Tumbling { size } => format!("tumbling {}", show_duration(size)),
        WindowKind::Hopping { size, advance } => {
            format!("hopping {} every {}", show_duration(size), show_duration(advance))
        }
        WindowKind::Session { gap } => format!("session, gap {}", show_duration(gap)),
    };
    let emit = match window.emit {
        Emit::Update { every } => format!("update every {}", show_duration(every)),
        Emit::Close => "finals alone".to_owned(),
    };
    format!("{shape}, grace {}, {emit}", show_duration(window.grace))
}

impl Description {
    /// As a page of text.
    pub fn text(&self) -> String {
        let mut out = format!("topology {}\n", self.name);
        let rows = self.topics.iter().map(|topic| vec![topic.name.clone(), topic.about.clone()]);
        section(&mut out, "topics", rows.collect());
        let rows = self.smartmodules.iter().map(|module| {
            let size = format!("{} kB", module.bytes.div_ceil(1000));
            vec![module.name.clone(), module.cluster_name.clone(), size, module.source.clone()]
        });
        section(&mut out, "SmartModules", rows.collect());
        for stage in &self.stages {
            let mut rows = vec![vec!["source".to_owned(), stage.source.clone()]];
            for (index, transform) in stage.transforms.iter().enumerate() {
                rows.push(vec![format!("{}", index + 1), transform.headline()]);
                let window =
                    |window: &WindowDescription| format!("  window {}: {}", window.name, window.about);
                rows.extend(transform.windows.iter().map(|it| vec![String::new(), window(it)]));
            }
            rows.push(vec!["sink".to_owned(), stage.sink.clone()]);
            let topics = [("dead letters", &stage.dead_letter), ("checkpoints", &stage.checkpoints)];
            rows.extend(
                topics.into_iter().filter_map(|(name, topic)| Some(vec![name.to_owned(), topic.clone()?])),
            );
            for counter in stage.live.iter().flatten() {
                rows.push(vec![counter.title.clone(), counter.shown.clone()]);
            }
            section(&mut out, &format!("stage {}", stage.name), rows);
        }
        for (title, names) in [("table formats", &self.table_formats), ("tests", &self.tests)] {
            section(&mut out, title, names.iter().map(|name| vec![name.clone()]).collect());
        }
        out
    }

    /// As a Mermaid flowchart.
    pub fn mermaid(&self) -> String {
        let mut out = "flowchart LR\n".to_owned();
        for (index, topic) in self.topics.iter().enumerate() {
            let _ = writeln!(out, "  t{index}[(\"{}\")]", escape_mermaid(&topic.name));
        }
        for (index, stage) in self.stages.iter().enumerate() {
            let lines: Vec<String> = stage.lines().iter().map(|line| escape_mermaid(line)).collect();
            let _ = writeln!(out, "  s{index}[\"{}\"]", lines.join("<br/>"));
        }
        for (index, stage) in self.stages.iter().enumerate() {
            let stage_id = format!("s{index}");
            for (topic, label, is_source) in stage.edges() {
                let topic = self.topic_id(topic);
                let _ = match (label, is_source) {
                    (_, true) => writeln!(out, "  {topic} --> {stage_id}"),
                    ("", false) => writeln!(out, "  {stage_id} --> {topic}"),
                    (label, false) => writeln!(out, "  {stage_id} -. {label} .-> {topic}"),
                };
            }
        }
        out
    }

    /// As a Graphviz graph.
    pub fn dot(&self) -> String {
        let mut out =
            format!("digraph \"{}\" {{\n  rankdir=LR;\n  node [shape=box];\n", escape_dot(&self.name));
        for (index, topic) in self.topics.iter().enumerate() {
            let _ = writeln!(out, "  t{index} [label=\"{}\", shape=cylinder];", escape_dot(&topic.name));
        }
        for (index, stage) in self.stages.iter().enumerate() {
            let lines: Vec<String> = stage.lines().iter().map(|line| escape_dot(line)).collect();
            let _ = writeln!(out, "  s{index} [label=\"{}\"];", lines.join("\\n"));
        }
        for (index, stage) in self.stages.iter().enumerate() {
            for (topic, label, is_source) in stage.edges() {
                let topic = self.topic_id(topic);
                let _ = match (label, is_source) {
                    (_, true) => writeln!(out, "  {topic} -> s{index};"),
                    ("", false) => writeln!(out, "  s{index} -> {topic};"),
                    (label, false) => {
                        writeln!(out, "  s{index} -> {topic} [label=\"{label}\", style=dotted];")
                    }
                };
            }
        }
        out.push_str("}\n");
        out
    }

    fn topic_id(&self, name: &str) -> String {
        let index = self.topics.iter().position(|topic| topic.name == name).unwrap_or_default();
        format!("t{index}")
    }
}

impl StageDescription {
    /// What a picture says of it.
    fn lines(&self) -> Vec<String> {
        let chain: Vec<&str> = self.transforms.iter().map(|transform| transform.uses.as_str()).collect();
        let mut lines = vec![self.name.clone(), chain.join(" ▸ ")];
        let windows = self.transforms.iter().flat_map(|transform| &transform.windows);
        lines.extend(windows.map(|window| format!("{}: {}", window.name, window.about)));
        lines.extend(
            self.live.iter().flatten().map(|counter| format!("{}: {}", counter.title, counter.shown)),
        );
        lines
    }

    /// Topics that it touches, with what a picture says of them, and whether they are read.
    fn edges(&self) -> Vec<(&str, &'static str, bool)> {
        let mut edges = vec![(self.source.as_str(), "", true), (self.sink.as_str(), "", false)];
        edges.extend(self.dead_letter.as_deref().map(|topic| (topic, "dead letters", false)));
        edges.extend(self.checkpoints.as_deref().map(|topic| (topic, "checkpoints", false)));
        edges
    }
}

impl TransformDescription {
    /// `validate (skin-tones=keep)`, and what else fits on its line.
    fn headline(&self) -> String {
        let mut out = self.uses.clone();
        if !self.parameters.is_empty() {
            let parameters: Vec<_> =
                self.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let _ = write!(out, " ({})", parameters.join(", "));
        }
        if self.uses == NUMBER {
            out.push_str(": numbers the results");
        }
        if let Some(idleness) = self.idleness_ms {
            let _ = write!(out, ", idleness {}", show_duration(std::time::Duration::from_millis(idleness)));
        }
        out
    }
}

/// A heading and rows in columns; nothing where there are none.
fn section(out: &mut String, title: &str, rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{title}");
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        let _ = writeln!(out, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

fn escape_mermaid(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "#quot;").replace('<', "&lt;").replace('>', "&gt;")
}

fn escape_dot(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
