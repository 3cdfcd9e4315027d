//! Watches the topology file and the modules that it names, and takes a change over while everything runs.
//!
//! It looks now and then instead of being told: that works on every file system, and whatever an editor or a linker does to
//! the file.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ovation_client::Cluster;
use ovation_topology::{Checked, Engine, ModuleSource, Reloaded, Topology};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::flow::Flow;
use crate::modules::Builtin;
use crate::{parts, say, topology};

/// Between two looks at the files.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// A cluster that does not take the topology, perhaps because it is away, is asked again after this long.
const APPLY_AGAIN: Duration = Duration::from_secs(5);

/// What a change is taken over to.
pub(crate) struct Live {
    pub(crate) cluster: Cluster,
    pub(crate) engine: Arc<Engine>,
    /// Source and sink that the gateway of this process serves, if it has one.
    pub(crate) served: Option<Served>,
    /// Where the stages read and write, for those who look at the pipeline.
    pub(crate) flow: Flow,
}

/// The topics of a gateway, which it keeps as long as it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Served {
    source: String,
    sink: String,
}

impl Served {
    /// Those of the first stage.
    pub(crate) fn of(topology: &Topology) -> Option<Self> {
        let stage = topology.stages.first()?;
        Some(Self { source: stage.source.clone(), sink: stage.sink.clone() })
    }
}

/// The files, and what is known of them.
pub(crate) struct Watch {
    file: PathBuf,
    files: Vec<Stamped>,
    settling: Settling,
}

/// Reads and checks a topology file, as a start does; what changes from then on is noticed.
pub(crate) fn open(file: &Path) -> Result<(Topology, Watch), Failure> {
    let found = Found::read(file, &[]);
    let topology = told(found.topology?);
    let watch = Watch { file: file.to_owned(), files: found.files, settling: Settling::new(found.hash) };
    Ok((topology, watch))
}

impl Watch {
    /// Takes changes over until `stop` is cancelled.
    pub(crate) async fn run(mut self, live: Live, stop: CancellationToken) {
        let mut beat = tokio::time::interval(LOOK_INTERVAL);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut refused: Option<Refused> = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = beat.tick() => {}
            }
            match tokio::task::block_in_place(|| self.look()) {
                Some(Ok(topology)) => refused = live.take(topology, None).await,
                Some(Err(failure)) => {
                    refused = None;
                    keep(failure);
                }
                None => {
                    if let Some(again) = refused.take_if(|refused| refused.since.elapsed() > APPLY_AGAIN) {
                        refused = live.take(again.topology, Some(&again.said)).await;
                    }
                }
            }
        }
    }

    /// The topology, if there is another content that stays.
    fn look(&mut self) -> Option<Result<Topology, Failure>> {
        if self.settling.is_settled() && self.files.iter().all(Stamped::is_unchanged) {
            return None;
        }
        let found = Found::read(&self.file, &self.files);
        self.files = found.files;
        if !self.settling.is_news(found.hash) {
            return None;
        }
        // A chain that does not open on the cluster would stop its stage; here it costs nothing.
        Some(found.topology.and_then(|checked| {
            topology::open_chains(&checked)?;
            Ok(told(checked))
        }))
    }
}

/// The topology, after its warnings were told.
fn told(checked: Checked) -> Topology {
    checked.warnings.iter().for_each(say::mistakes);
    checked.topology
}

/// Decides when a content is to be taken: when two looks in a row have found the same, because an editor or a linker may
/// still be writing, and only once. No I/O.
#[derive(Debug)]
struct Settling {
    taken: u64,
    seen: u64,
}

impl Settling {
    fn new(taken: u64) -> Self {
        Self { taken, seen: taken }
    }

    /// Whether the last look has found what was taken last.
    fn is_settled(&self) -> bool {
        self.seen == self.taken
    }

    /// Whether what was found is to be taken now.
    fn is_news(&mut self, found: u64) -> bool {
        let stays = self.seen == found;
        self.seen = found;
        let is_news = stays && !self.is_settled();
        if is_news {
            self.taken = found;
        }
        is_news
    }
}

/// A file as it was when it was read last.
#[derive(Debug, Clone)]
struct Stamped {
    path: PathBuf,
    stamp: Option<Stamp>,
}

/// Length and time of the last change.
type Stamp = (u64, Option<SystemTime>);

impl Stamped {
    fn new(path: PathBuf) -> Self {
        let stamp = stamp(&path);
        Self { path, stamp }
    }

    fn is_unchanged(&self) -> bool {
        self.stamp == stamp(&self.path)
    }
}

/// None where the file is not there.
fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok()))
}

/// What one look at the files has found.
struct Found {
    files: Vec<Stamped>,
    /// Of every content.
    hash: u64,
    topology: Result<Checked, Failure>,
}

impl Found {
    /// Reads the topology and the modules that it names; where it cannot be read, those that it named before.
    fn read(file: &Path, before: &[Stamped]) -> Self {
        let mut hasher = DefaultHasher::new();
        // Stamped before they are read: what is written in between is noticed by the next look.
        let mut files = vec![Stamped::new(file.to_owned())];
        let text = parts::topology_text(file);
        text.as_ref().ok().hash(&mut hasher);
        let topology = text.and_then(|text| topology::read(file, &text));
        match &topology {
            Ok(checked) => {
                let paths = checked.topology.smartmodules.iter().filter_map(|module| match &module.source {
                    ModuleSource::Path(path) => Some(path.clone()),
                    _ => None,
                });
                files.extend(paths.map(Stamped::new));
            }
            Err(_) => files.extend(before.iter().skip(1).map(|file| Stamped::new(file.path.clone()))),
        }
        for module in &files[1..] {
            std::fs::read(&module.path).ok().hash(&mut hasher);
        }
        Self { files, hash: hasher.finish(), topology }
    }
}

/// A topology that the cluster did not take.
struct Refused {
    topology: Topology,
    said: String,
    since: Instant,
}

impl Live {
    /// Makes the cluster and the engine look like the topology. What the cluster does not take is answered, to be tried again;
    /// a reason that was `said` is not said again.
    async fn take(&self, topology: Topology, said: Option<&str>) -> Option<Refused> {
        if let Err(failure) = parts::apply(&self.cluster, &topology).await {
            let text = failure.to_string();
            if said != Some(text.as_str()) {
                keep(failure);
            }
            return Some(Refused { topology, said: text, since: Instant::now() });
        }
        match self.engine.reload(&topology, &Builtin).await {
            Ok(reloaded) => {
                self.flow.change(&topology);
                say::line(format_args!("topology  reloaded: {}", sentence(&reloaded)));
                self.say_served(&topology);
            }
            Err(error) => keep(Failure::Invalid(format!("failed to reload the engine: {error}"))),
        }
        None
    }

    fn say_served(&self, topology: &Topology) {
        let (Some(served), now) = (&self.served, Served::of(topology)) else { return };
        let Some(now) = now.filter(|now| now != served) else { return };
        say::line(format_args!(
            "gateway   still serves {} and {}: start ovation again to serve {} and {}",
            served.source, served.sink, now.source, now.sink
        ));
    }
}

/// Says why a content is not taken, as a start would.
fn keep(failure: Failure) {
    // Its exit code is for a start.
    let _ = failure.report();
    eprintln!("ovation: keeping the last good topology");
}

/// `stage words restarted, stage lines kept`.
fn sentence(reloaded: &Reloaded) -> String {
    let Reloaded { kept, restarted, started, stopped } = reloaded;
    let stages = [(restarted, "restarted"), (started, "started"), (stopped, "stopped"), (kept, "kept")];
    let words = stages
        .into_iter()
        .flat_map(|(names, what)| names.iter().map(move |name| format!("stage {name} {what}")));
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
name: words
topics:
  lines:       { partitions: 1 }
  counts:      { partitions: 1, fence: true }
  checkpoints: { partitions: 1 }
smartmodules:
  count: { path: count.wasm }
stages:
  words:
    source: lines
    transforms:
      - uses: count
        window: { tumbling: { size: 10s } }
    sink: counts
    checkpoints: checkpoints
";

    #[test]
    fn a_content_is_taken_once_and_only_if_it_stays() {
        let mut settling = Settling::new(1);
        let news: Vec<bool> = [1, 2, 3, 3, 3, 1, 3, 1, 1].map(|found| settling.is_news(found)).into();
        assert_eq!(news, [false, false, false, true, false, false, false, false, true]);
    }

    #[test]
    fn files_are_taken_when_they_stay_and_a_broken_one_is_told_once() {
        // Versions of a module that differ in a section that nobody reads.
        let version = |name: &[u8]| {
            let section = [&[0, name.len() as u8 + 1, name.len() as u8], name].concat();
            [ovation_wasm::WORD_COUNT, &section].concat()
        };
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("words.yaml");
        let module = folder.path().join("count.wasm");
        std::fs::write(&file, TEXT).expect("writes");
        std::fs::write(&module, version(b"one")).expect("writes");
        let (_, mut watch) = open(&file).expect("a good topology");
        assert!(watch.look().is_none(), "nothing has changed");

        // Half of it is there, then all of it.
        std::fs::write(&module, &version(b"two")[..1000]).expect("writes");
        assert!(watch.look().is_none());
        std::fs::write(&module, version(b"two")).expect("writes");
        assert!(watch.look().is_none());
        assert!(watch.look().expect("it stays").is_ok());
        assert!(watch.look().is_none());

        std::fs::write(&file, "name: [").expect("writes");
        assert!(watch.look().is_none());
        assert!(matches!(watch.look(), Some(Err(Failure::Topology(_)))));
        assert!(watch.look().is_none());
        // A module of the last good topology is still watched.
        std::fs::write(&module, version(b"three")).expect("writes");
        assert!(watch.look().is_none());
        assert!(watch.look().is_some());

        // One that is WebAssembly by its first bytes alone does not get as far as a cluster.
        std::fs::write(&file, TEXT).expect("writes");
        std::fs::write(&module, b"\0asm").expect("writes");
        assert!(watch.look().is_none());
        assert!(matches!(watch.look(), Some(Err(Failure::Topology(_)))));
        std::fs::write(&module, version(b"three")).expect("writes");

        std::fs::remove_file(&file).expect("removes");
        assert!(watch.look().is_none());
        assert!(matches!(watch.look(), Some(Err(Failure::Invalid(_)))));
        std::fs::write(&file, TEXT).expect("writes");
        assert!(watch.look().is_none());
        assert!(watch.look().expect("it stays").is_ok());
    }

    #[test]
    fn what_became_of_each_stage_is_said() {
        let reloaded = Reloaded {
            kept: vec!["lines".to_owned()],
            restarted: vec!["words".to_owned()],
            ..Reloaded::default()
        };
        assert_eq!(sentence(&reloaded), "stage words restarted, stage lines kept");
    }
}
