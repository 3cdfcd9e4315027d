//! What the broker knows beside records: topics, SmartModules, table formats. Kept in the data folder, and
//! watched by clients.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use fluvio_protocol::ByteBuf;
use fluvio_sc_schema::smartmodule::{
    SmartModuleMetadata, SmartModulePackageKey, SmartModuleSpec, SmartModuleWasm,
};
use fluvio_sc_schema::tableformat::TableFormatSpec;
use fluvio_sc_schema::topic::TopicSpec;
use fluvio_types::defaults::CONSUMER_STORAGE_TOPIC;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::error::Error;
use crate::folder::{Folder, replace_file};

/// Version of `metadata.json`.
const FORMAT: u32 = 1;

/// Everything known at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    pub(crate) topics: BTreeMap<String, TopicSpec>,
    pub(crate) smart_modules: BTreeMap<String, SmartModule>,
    pub(crate) table_formats: BTreeMap<String, TableFormatSpec>,
}

impl Snapshot {
    /// A SmartModule by its name, or by a package name as `fluvio hub` gives them: `group/name@version`.
    pub(crate) fn smart_module(&self, name: &str) -> Option<&SmartModule> {
        self.smart_modules.get(name).or_else(|| {
            let key = SmartModulePackageKey::from_qualified_name(name).ok()?;
            let matching = self.smart_modules.iter().find(|(name, module)| {
                key.is_match(name, module.spec.meta.as_ref().map(|meta| &meta.package))
            });
            matching.map(|(_, module)| module)
        })
    }
}

/// A SmartModule with its gzipped WASM.
#[derive(Debug, Clone)]
pub(crate) struct SmartModule {
    pub(crate) spec: SmartModuleSpec,
    /// Name of its file in the SmartModules' folder.
    file: String,
}

#[derive(Debug)]
pub(crate) struct Metadata {
    folder: Arc<Folder>,
    current: RwLock<Arc<Snapshot>>,
    /// Counts changes, and wakes the watches.
    epoch: watch::Sender<i64>,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
}

/// `metadata.json`.
#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    topics: BTreeMap<String, TopicSpec>,
    smart_modules: BTreeMap<String, SmartModuleEntry>,
    table_formats: BTreeMap<String, TableFormatSpec>,
}

#[derive(Serialize, Deserialize)]
struct SmartModuleEntry {
    file: String,
    package: Option<SmartModuleMetadata>,
}

impl Metadata {
    /// Reads what the folder holds.
    pub(crate) fn open(folder: Arc<Folder>) -> Result<Metadata, Error> {
        let path = folder.metadata();
        let mut snapshot = match fs::read(&path) {
            Ok(bytes) => load(&folder, &path, &bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Snapshot::default(),
            Err(source) => return Err(Error::DataNotWritable { path, source }),
        };
        // Managed consumer offsets need this topic in the clients' watches (fluvio 0.50.1, consumer/mod.rs).
        snapshot.topics.entry(CONSUMER_STORAGE_TOPIC.to_owned()).or_insert_with(|| {
            let mut spec = TopicSpec::new_computed(1, 1, None);
            spec.set_system(true);
            spec
        });
        let metadata = Metadata {
            folder,
            current: RwLock::new(Arc::new(snapshot)),
            epoch: watch::Sender::new(1),
            changing: tokio::sync::Mutex::new(()),
        };
        let snapshot = metadata.snapshot();
        metadata.save(&snapshot).map_err(|source| Error::DataNotWritable { path, source })?;
        metadata.drop_unused_files(&snapshot);
        Ok(metadata)
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Wakes at every change, with the number of changes.
    pub(crate) fn changes(&self) -> watch::Receiver<i64> {
        self.epoch.subscribe()
    }

    /// Waits until no other change is going on. Hold it over check and [`Metadata::commit`].
    pub(crate) async fn begin(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// Makes `next` durable, then visible. Returns its epoch.
    pub(crate) async fn commit(self: &Arc<Self>, next: Snapshot) -> io::Result<i64> {
        let metadata = self.clone();
        tokio::task::spawn_blocking(move || {
            let next = Arc::new(next);
            metadata.save(&next)?;
            *metadata.current.write().unwrap_or_else(PoisonError::into_inner) = next.clone();
            let mut epoch = 0;
            metadata.epoch.send_modify(|number| {
                *number += 1;
                epoch = *number;
            });
            metadata.drop_unused_files(&next);
            Ok(epoch)
        })
        .await
        .map_err(io::Error::other)?
    }

    /// Writes a SmartModule's WASM to a file of its own; [`Metadata::commit`] makes it count.
    pub(crate) async fn store_smart_module(
        self: &Arc<Self>,
        spec: SmartModuleSpec,
    ) -> io::Result<SmartModule> {
        let metadata = self.clone();
        tokio::task::spawn_blocking(move || {
            let dir = metadata.folder.smart_modules();
            let number =
                numbered_files(&dir)?.into_iter().map(|(number, _)| number).max().map_or(0, |last| last + 1);
            let file = format!("{number}.wasm.gz");
            replace_file(&dir.join(&file), &spec.wasm.payload)?;
            Ok(SmartModule { spec, file })
        })
        .await
        .map_err(io::Error::other)?
    }

    fn save(&self, snapshot: &Snapshot) -> io::Result<()> {
        let document = Document {
            format: FORMAT,
            topics: snapshot.topics.clone(),
            smart_modules: snapshot
                .smart_modules
                .iter()
                .map(|(name, module)| {
                    (
                        name.clone(),
                        SmartModuleEntry { file: module.file.clone(), package: module.spec.meta.clone() },
                    )
                })
                .collect(),
            table_formats: snapshot.table_formats.clone(),
        };
        replace_file(&self.folder.metadata(), &serde_json::to_vec_pretty(&document)?)
    }

    /// Removes WASM that no SmartModule uses any more. Left-overs are tried again next time.
    fn drop_unused_files(&self, snapshot: &Snapshot) {
        let dir = self.folder.smart_modules();
        for (_, name) in numbered_files(&dir).unwrap_or_default() {
            if !snapshot.smart_modules.values().any(|module| module.file == name) {
                let _ = fs::remove_file(dir.join(name));
            }
        }
    }
}

fn load(folder: &Folder, path: &Path, bytes: &[u8]) -> Result<Snapshot, Error> {
    let corrupt = |path: PathBuf, detail: String| Error::Corrupt { path, detail };
    let document: Document =
        serde_json::from_slice(bytes).map_err(|error| corrupt(path.to_owned(), error.to_string()))?;
    if document.format != FORMAT {
        return Err(corrupt(
            path.to_owned(),
            format!("format {} is unknown to this version", document.format),
        ));
    }
    let mut smart_modules = BTreeMap::new();
    for (name, entry) in document.smart_modules {
        let path = folder.smart_modules().join(&entry.file);
        let wasm = fs::read(&path).map_err(|error| corrupt(path, error.to_string()))?;
        let wasm = SmartModuleWasm { payload: ByteBuf::from(wasm), ..SmartModuleWasm::default() };
        let spec = SmartModuleSpec { meta: entry.package, summary: None, wasm };
        smart_modules.insert(name, SmartModule { spec, file: entry.file });
    }
    Ok(Snapshot { topics: document.topics, smart_modules, table_formats: document.table_formats })
}

fn numbered_files(dir: &Path) -> io::Result<Vec<(u64, String)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        let number = name.strip_suffix(".wasm.gz").and_then(|number| number.parse().ok());
        files.extend(number.map(|number| (number, name)));
    }
    Ok(files)
}
