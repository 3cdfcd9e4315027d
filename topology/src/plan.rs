//! From a stage to its tasks: which chain, with which parameters, from where to where.

use std::collections::BTreeMap;
use std::time::Duration;

use ovation_client::ChainModule;
use serde_json::json;

use crate::checkpoint::Checkpoint;
use crate::modules::{NUMBER, Resolved, hex_digest};
use crate::spec::{ModuleSource, Stage, Topology};

/// Time between two ticks, for a stage without windows of its own.
const DEFAULT_EVERY: Duration = Duration::from_millis(100);

/// The parameter that names the module whose work another one does as well.
const INCLUDES: &str = "ovation.includes";

/// What one task does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskPlan {
    pub(crate) stage: String,
    pub(crate) partition: u32,
    pub(crate) source: String,
    pub(crate) sink: String,
    pub(crate) dead_letter: Option<String>,
    pub(crate) checkpoints: Option<String>,
    /// Time between two ticks while a change waits for one.
    pub(crate) every: Duration,
    /// How long a source has to be quiet before ticks move its stream time.
    pub(crate) idleness: Duration,
    /// Whether ticks can be appended to the source: a fenced one is another stage's outlet, and takes that stage's numbers only.
    pub(crate) ticks: bool,
    /// Hash of what a checkpoint depends on.
    pub(crate) config: String,
    modules: Vec<ChainModule>,
    /// Hashes of the modules' bytes, which the names of some do not hold.
    versions: Vec<String>,
}

/// The tasks of all stages: one for each partition of a stage's source.
pub(crate) fn plan(topology: &Topology, modules: &BTreeMap<String, Resolved>) -> Vec<TaskPlan> {
    plan_of(topology, modules, Joining::Together)
}

/// The same with every module by itself, for whoever says which one is at fault.
pub(crate) fn plan_apart(topology: &Topology, modules: &BTreeMap<String, Resolved>) -> Vec<TaskPlan> {
    plan_of(topology, modules, Joining::Apart)
}

/// What becomes of modules that can do the work of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joining {
    Together,
    Apart,
}

fn plan_of(topology: &Topology, modules: &BTreeMap<String, Resolved>, joining: Joining) -> Vec<TaskPlan> {
    let mut tasks = Vec::new();
    for stage in &topology.stages {
        let config = config_hash(topology, stage);
        let source = topology.topic(&stage.source);
        let used = stage.transforms.iter().filter_map(|transform| modules.get(&transform.uses));
        let versions: Vec<String> = used.map(|module| module.sha256.clone()).collect();
        let partitions = source.map_or(0, |topic| topic.partitions);
        for partition in 0..partitions {
            tasks.push(TaskPlan {
                stage: stage.name.clone(),
                partition,
                source: stage.source.clone(),
                sink: stage.sink.clone(),
                dead_letter: stage.dead_letter.clone(),
                checkpoints: stage.checkpoints.clone(),
                every: stage.every().unwrap_or(DEFAULT_EVERY),
                idleness: idleness(stage),
                ticks: source.is_none_or(|topic| !topic.fence),
                config: config.clone(),
                modules: chain(stage, modules, joining),
                versions: versions.clone(),
            });
        }
    }
    tasks
}

/// The longest of the stage's window transforms.
fn idleness(stage: &Stage) -> Duration {
    let windowed = stage.transforms.iter().filter(|transform| !transform.windows.is_empty());
    windowed.map(|transform| transform.idleness).max().unwrap_or_default()
}

fn chain(stage: &Stage, modules: &BTreeMap<String, Resolved>, joining: Joining) -> Vec<ChainModule> {
    let named =
        |uses: &str| modules.get(uses).map_or_else(|| uses.to_owned(), |found| found.cluster_name.clone());
    let transforms =
        stage.transforms.iter().map(|transform| (transform.uses.as_str(), transform.parameters()));
    // What holds no state has no numbers either: the engine's own module gives them.
    let number = (!stage.is_stateful()).then(|| (NUMBER, BTreeMap::new()));
    let mut uses: Vec<(&str, BTreeMap<String, String>)> = Vec::new();
    for (name, params) in transforms.chain(number) {
        let before = uses.last().filter(|_| joining == Joining::Together);
        match before.and_then(|before| fused(modules, before, (name, &params))) {
            Some(both) => {
                uses.pop();
                uses.push((name, both));
            }
            None => uses.push((name, params)),
        }
    }
    let packs: Vec<bool> =
        uses.iter().map(|(uses, _)| modules.get(*uses).is_some_and(Resolved::packs)).collect();
    let chain = uses.into_iter().enumerate().map(|(at, (uses, mut params))| {
        // Two that know of it hand over their records in one: the broker's engine is slow between modules.
        let mut tell = |name: &str, other: Option<&bool>| {
            if packs[at] && other == Some(&true) {
                params.insert(name.to_owned(), "1".to_owned());
            }
        };
        tell("ovation.unpack", at.checked_sub(1).map(|before| &packs[before]));
        tell("ovation.pack", packs.get(at + 1));
        ChainModule { name: named(uses), params }
    });
    chain.collect()
}

/// The parameters of the second of two modules where it does the work of the first one as well: it says by an export that it can,
/// and gets the parameters of both. A record is then carried into the broker's engine and read once, not twice.
fn fused(
    modules: &BTreeMap<String, Resolved>,
    (first, params): &(&str, BTreeMap<String, String>),
    (second, more): (&str, &BTreeMap<String, String>),
) -> Option<BTreeMap<String, String>> {
    let builtin = modules.get(*first)?.builtin.as_deref()?;
    let agree = params.iter().all(|(name, value)| more.get(name).is_none_or(|other| other == value));
    if !agree || params.contains_key(INCLUDES) || !modules.get(second)?.includes(builtin) {
        return None;
    }
    let mut both = params.clone();
    both.extend(more.clone());
    both.insert(INCLUDES.to_owned(), builtin.to_owned());
    Some(both)
}

/// Hash of what a stage's state depends on, as it stands in its checkpoints: the source, and every module with its parameters
/// and windows. Not the modules' bytes: a module says itself whether it can read an older state, and results do not change
/// because a compiler did.
pub fn config_hash(topology: &Topology, stage: &Stage) -> String {
    let transforms: Vec<_> = stage
        .transforms
        .iter()
        .map(|transform| {
            let module = topology.smartmodule(&transform.uses).map(|module| match &module.source {
                // However the topology's own folder was named to get there.
                ModuleSource::Path(path) => format!("file {:?}", path.file_name().unwrap_or_default()),
                builtin => format!("{builtin:?}"),
            });
            json!({"module": module, "with": transform.parameters()})
        })
        .collect();
    let text = json!({"source": stage.source, "transforms": transforms}).to_string();
    hex_digest(text.as_bytes())[..16].to_owned()
}

impl TaskPlan {
    /// The chain with all its parameters, for a stream from the checkpoint's offset on.
    pub(crate) fn modules(&self, epoch: u64, checkpoint: &Checkpoint) -> Vec<ChainModule> {
        let mut modules = self.modules.clone();
        for module in &mut modules {
            let mut set = |name: &str, value: String| module.params.insert(format!("ovation.{name}"), value);
            set("stage", self.stage.clone());
            set("epoch", epoch.to_string());
            set("source", self.source.clone());
            set("partition", self.partition.to_string());
            set("start", checkpoint.offset.to_string());
            set("config", self.config.clone());
        }
        if let Some(last) = modules.last_mut()
            && !checkpoint.pieces.is_empty()
        {
            let mut set =
                |name: String, value: String| last.params.insert(format!("ovation.checkpoint.{name}"), value);
            set("pieces".to_owned(), checkpoint.pieces.len().to_string());
            set("offset".to_owned(), checkpoint.offset.to_string());
            for (number, data) in checkpoint.pieces.iter().enumerate() {
                set(number.to_string(), data.clone());
            }
        }
        modules
    }
}

#[cfg(test)]
impl TaskPlan {
    pub(crate) fn for_test(stage: &str) -> Self {
        Self {
            stage: stage.to_owned(),
            partition: 0,
            source: "lines".to_owned(),
            sink: "counts".to_owned(),
            dead_letter: None,
            checkpoints: None,
            every: DEFAULT_EVERY,
            idleness: Duration::ZERO,
            ticks: true,
            config: "aa".to_owned(),
            modules: Vec::new(),
            versions: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Transform;

    const WORDS: &str = "
name: words
topics:
  lines:       { partitions: 3 }
  counts:      { partitions: 3, fence: true }
  checkpoints: { partitions: 3 }
smartmodules:
  clean: { builtin: clean }
  count: { builtin: count }
stages:
  words:
    source: lines
    transforms:
      - uses: clean
        with: { case: keep }
      - uses: count
        window: { tumbling: { size: 10s }, grace: 2s, emit: { every: 50ms } }
    sink: counts
    checkpoints: checkpoints
";

    fn planned(text: &str) -> Vec<TaskPlan> {
        let topology = Topology::parse("words.yaml", text).expect("a good topology");
        let modules = ["clean", "count"].map(|name| {
            let resolved = Resolved::named(&format!("{name}-0123abcd"), Vec::new());
            (name.to_owned(), resolved)
        });
        plan(&topology, &BTreeMap::from(modules))
    }

    #[test]
    fn modules_that_know_of_it_hand_over_their_records_packed() {
        let module = |wasm: &[u8]| Resolved::named("module", wasm.to_vec());
        let (packs, plain) =
            (wat::parse_str(r#"(module (func (export "ovation_packs")))"#), b"\0asm\x01\0\0\0");
        let packs = packs.expect("a module");
        let mut stage = Topology::parse("words.yaml", WORDS).expect("a good topology").stages[0].clone();
        let transform = stage.transforms[0].clone();
        stage.transforms = ["one", "two", "plain", "four"]
            .map(|uses| Transform { uses: uses.to_owned(), ..transform.clone() })
            .to_vec();
        let resolved = ["one", "two", "plain", "four"]
            .map(|name| (name.to_owned(), module(if name == "plain" { plain } else { &packs })));
        let told: Vec<_> = chain(&stage, &resolved.into_iter().collect(), Joining::Together)
            .iter()
            .map(|module| ["ovation.unpack", "ovation.pack"].map(|name| module.params.contains_key(name)))
            .collect();
        assert_eq!(told[..4], [[false, true], [true, false], [false, false], [false, false]]);
    }

    #[test]
    fn a_module_does_the_work_of_the_builtin_before_it_where_it_can() {
        let wasm = wat::parse_str(r#"(module (func (export "ovation_includes clean")))"#).expect("a module");
        let topology = Topology::parse("words.yaml", WORDS).expect("a good topology");
        let mut stage = topology.stages[0].clone();
        let resolved = |builtin: Option<&str>| {
            let module = |name: &str, wasm: &[u8]| Resolved::named(name, wasm.to_vec());
            let clean = Resolved { builtin: builtin.map(str::to_owned), ..module("clean-01", b"") };
            BTreeMap::from([("clean".to_owned(), clean), ("count".to_owned(), module("count-01", &wasm))])
        };
        let both = chain(&stage, &resolved(Some("clean")), Joining::Together);
        let names: Vec<&str> = both.iter().map(|module| module.name.as_str()).collect();
        assert_eq!(names, ["count-01"]);
        assert_eq!((both[0].params["case"].as_str(), both[0].params[INCLUDES].as_str()), ("keep", "clean"));
        assert!(both[0].params.contains_key("ovation.windows"));
        assert_eq!(chain(&stage, &resolved(Some("clean")), Joining::Apart).len(), 2);
        // Of the same name on a cluster somebody else's module may be.
        assert_eq!(chain(&stage, &resolved(None), Joining::Together).len(), 2);
        assert_eq!(chain(&stage, &resolved(Some("tidy")), Joining::Together).len(), 2);
        // Both have a say in what this means.
        stage.transforms[1].with.insert("case".to_owned(), "fold".into());
        assert_eq!(chain(&stage, &resolved(Some("clean")), Joining::Together).len(), 2);
    }

    #[test]
    fn there_is_a_task_for_each_source_partition() {
        let tasks = planned(WORDS);
        let partitions: Vec<u32> = tasks.iter().map(|task| task.partition).collect();
        assert_eq!(partitions, [0, 1, 2]);
        assert_eq!(tasks[0].every, Duration::from_millis(50));
    }

    #[test]
    fn a_fenced_source_takes_no_ticks() {
        assert!(planned(WORDS)[0].ticks);
        let text = WORDS.replace("{ partitions: 3 }\n  counts", "{ partitions: 3, fence: true }\n  counts");
        assert!(!planned(&text)[0].ticks);
    }

    #[test]
    fn modules_get_their_parameters_and_the_last_one_its_state() {
        let checkpoint = Checkpoint {
            config: "aa".to_owned(),
            offset: 70,
            seq: 4,
            reject_seq: 0,
            pieces: vec!["one".to_owned(), "two".to_owned()],
        };
        let modules = planned(WORDS)[1].modules(3, &checkpoint);
        assert_eq!(modules[0].name, "clean-0123abcd");
        let first = &modules[0].params;
        assert_eq!(first["case"], "keep");
        assert_eq!(
            (
                first["ovation.stage"].as_str(),
                first["ovation.epoch"].as_str(),
                first["ovation.start"].as_str()
            ),
            ("words", "3", "70")
        );
        assert!(!first.contains_key("ovation.checkpoint.pieces"));
        let last = &modules[1].params;
        assert_eq!(last["ovation.partition"], "1");
        assert_eq!(last["ovation.checkpoint.pieces"], "2");
        assert_eq!(last["ovation.checkpoint.1"], "two");
        assert_eq!(last["ovation.checkpoint.offset"], "70");
        assert_eq!(
            last["ovation.windows"],
            r#"[{"emit":{"update":{"every_ms":50}},"grace_ms":2000,"name":"10s","shape":{"tumbling":{"size_ms":10000}}}]"#
        );
    }

    #[test]
    fn a_module_with_other_bytes_makes_another_task_under_whatever_name() {
        let topology = Topology::parse("words.yaml", WORDS).expect("a good topology");
        let tasks = |wasm: &[u8]| {
            let resolved = |name: &str| Resolved::named(name, wasm.to_vec());
            plan(&topology, &BTreeMap::from(["clean", "count"].map(|name| (name.to_owned(), resolved(name)))))
        };
        assert!(tasks(b"one") == tasks(b"one"));
        assert!(tasks(b"one")[0] != tasks(b"two")[0]);
    }

    #[test]
    fn the_hash_does_not_depend_on_how_the_file_is_named() {
        let text = WORDS.replace("{ builtin: clean }", "{ path: clean.wasm }");
        let hash = |file: &str| {
            let topology = Topology::parse(file, &text).expect("a good topology");
            config_hash(&topology, &topology.stages[0])
        };
        assert_eq!(hash("words.yaml"), hash("/somewhere/else/words.yaml"));
    }

    #[test]
    fn the_hash_changes_with_what_results_depend_on_only() {
        let hash = |text: &str| planned(text)[0].config.clone();
        let before = hash(WORDS);
        assert_eq!(before, hash(&WORDS.replace("name: words", "name: other")));
        assert_ne!(before, hash(&WORDS.replace("size: 10s", "size: 20s")));
        assert_ne!(before, hash(&WORDS.replace("case: keep", "case: fold")));
    }
}
