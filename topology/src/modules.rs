use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::spec::{ModuleSource, SmartModule, Topology};

/// Name of the fence, on the cluster and as a builtin. It is stable, because a topic's deduplication cannot be changed
/// later (docs/fluvio.md 25).
pub const FENCE: &str = "ovation-fence";

/// The builtin that the engine puts at the end of a stage without state, so that its results are numbered like all others.
pub const NUMBER: &str = "ovation-number";

/// The SmartModules that ship with the program.
pub trait Modules: Send + Sync {
    /// The WebAssembly of a builtin; `None` if there is none of that name.
    fn wasm(&self, builtin: &str) -> Option<Cow<'_, [u8]>>;

    /// Names of the builtins, for whoever has mistyped one.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

impl<F> Modules for F
where
    F: Fn(&str) -> Option<Cow<'static, [u8]>> + Send + Sync,
{
    fn wasm(&self, builtin: &str) -> Option<Cow<'_, [u8]>> {
        self(builtin)
    }
}

/// Why the bytes of a SmartModule cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModuleError {
    /// No builtin of that name.
    #[error("failed to find the builtin SmartModule {0:?}")]
    NoBuiltin(String),
    /// The file cannot be read.
    #[error("failed to read SmartModule {name:?} from {path}: {reason}", path = path.display())]
    Unreadable {
        /// Name in the topology.
        name: String,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        reason: std::io::Error,
    },
    /// The file is something else.
    #[error("failed to use {path} as SmartModule {name:?}: it is not a WebAssembly module", path = path.display())]
    NotWasm {
        /// Name in the topology.
        name: String,
        /// The file.
        path: PathBuf,
    },
}

/// A SmartModule with its name on the cluster.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    pub(crate) cluster_name: String,
    /// Name of the builtin, if it is one of this program.
    pub(crate) builtin: Option<String>,
    /// SHA-256 of the bytes, as hexadecimal digits.
    pub(crate) sha256: String,
    pub(crate) wasm: Vec<u8>,
}

impl Resolved {
    /// A module under a name that does not depend on its bytes.
    pub(crate) fn named(cluster_name: &str, wasm: Vec<u8>) -> Self {
        Self { cluster_name: cluster_name.to_owned(), builtin: None, sha256: hex_digest(&wasm), wasm }
    }

    /// Whether it can do the work of a builtin that stands in front of it as well.
    pub(crate) fn includes(&self, builtin: &str) -> bool {
        exports(&self.wasm, &format!("ovation_includes {builtin}")).unwrap_or(false)
    }

    /// Whether it packs and unpacks records where it is told to, as modules of this project's shell do.
    pub(crate) fn packs(&self) -> bool {
        exports(&self.wasm, "ovation_packs").unwrap_or(false)
    }
}

/// The bytes of every SmartModule of a topology, by its name there.
pub(crate) fn resolve(
    topology: &Topology,
    modules: &dyn Modules,
) -> Result<BTreeMap<String, Resolved>, ModuleError> {
    let mut resolved = BTreeMap::new();
    for module in &topology.smartmodules {
        resolved.insert(module.name.clone(), resolve_one(module, modules)?);
    }
    if topology.stages.iter().any(|stage| !stage.is_stateful()) {
        resolved.insert(NUMBER.to_owned(), resolve_builtin(NUMBER, modules)?);
    }
    Ok(resolved)
}

/// A builtin of the engine's own.
pub(crate) fn resolve_builtin(name: &str, modules: &dyn Modules) -> Result<Resolved, ModuleError> {
    let module = SmartModule {
        name: name.to_owned(),
        source: ModuleSource::Builtin(name.to_owned()),
        published: None,
        stateful: true,
    };
    resolve_one(&module, modules)
}

/// The fence's bytes, under its one name.
pub(crate) fn resolve_fence(modules: &dyn Modules) -> Result<Resolved, ModuleError> {
    let wasm = modules.wasm(FENCE).ok_or_else(|| ModuleError::NoBuiltin(FENCE.to_owned()))?;
    Ok(Resolved::named(FENCE, wasm.into_owned()))
}

/// The bytes of one SmartModule.
pub(crate) fn resolve_one(module: &SmartModule, modules: &dyn Modules) -> Result<Resolved, ModuleError> {
    let builtin = match &module.source {
        ModuleSource::Builtin(builtin) if module.published.is_none() => Some(builtin.clone()),
        _ => None,
    };
    let (stem, wasm) = match &module.source {
        ModuleSource::Builtin(builtin) => {
            let wasm = modules.wasm(builtin).ok_or_else(|| ModuleError::NoBuiltin(builtin.clone()))?;
            (builtin.clone(), wasm.into_owned())
        }
        ModuleSource::Path(path) => {
            let wasm = read_module(path).map_err(|reason| ModuleError::Unreadable {
                name: module.name.clone(),
                path: path.clone(),
                reason,
            })?;
            if !is_wasm(&wasm) {
                return Err(ModuleError::NotWasm { name: module.name.clone(), path: path.clone() });
            }
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or(&module.name);
            (cluster_stem(stem), wasm)
        }
    };
    let sha256 = hex_digest(&wasm);
    // docs/fluvio.md 18: creating a SmartModule under a name that exists replaces it in silence.
    let hashed = || format!("{stem}-{}", &sha256[..8]);
    let cluster_name = module.published.clone().unwrap_or_else(hashed);
    Ok(Resolved { cluster_name, builtin, sha256, wasm })
}

/// Bytes of a SmartModule at most: Fluvio's own are a few hundred kB.
const MODULE_BYTES_MAX: u64 = 64 << 20;

/// The bytes of a `.wasm` file. Nothing else is read: a device has no end.
pub(crate) fn read_module(path: &Path) -> std::io::Result<Vec<u8>> {
    let found = std::fs::metadata(path)?;
    if !found.is_file() {
        return Err(std::io::Error::other("it is not a file"));
    }
    if found.len() > MODULE_BYTES_MAX {
        let text = format!("it has {} bytes; expected at most {MODULE_BYTES_MAX}", found.len());
        return Err(std::io::Error::other(text));
    }
    std::fs::read(path)
}

/// Whether these are the bytes of a WebAssembly module, by their first ones.
pub(crate) fn is_wasm(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\0asm")
}

/// Whether a module exports something under this name; none where its bytes are damaged.
fn exports(wasm: &[u8], name: &str) -> Option<bool> {
    const HEADER_BYTES: usize = 8;
    const EXPORTS: u8 = 7;
    let mut module = Bytes(wasm.get(HEADER_BYTES..)?);
    while let Some(section) = module.byte() {
        let length = module.number()?;
        let mut content = Bytes(module.take(length)?);
        if section == EXPORTS {
            for _ in 0..content.number()? {
                let length = content.number()?;
                if content.take(length)? == name.as_bytes() {
                    return Some(true);
                }
                // Its kind, and its index among those of its kind.
                content.byte()?;
                content.number()?;
            }
        }
    }
    Some(false)
}

/// WebAssembly's binary format, as far as the names of exports need it.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    /// Seven bits a byte, least significant first.
    fn number(&mut self) -> Option<usize> {
        let mut number = 0;
        for shift in (0..u32::BITS).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(number).ok();
            }
        }
        None
    }
}

/// A file's name in the letters that Fluvio allows.
fn cluster_stem(stem: &str) -> String {
    let letters = stem.chars().map(|letter| match letter.to_ascii_lowercase() {
        fits @ ('a'..='z' | '0'..='9') => fits,
        _ => '-',
    });
    letters.collect::<String>().trim_matches('-').to_owned()
}

/// SHA-256 in lower-case hexadecimal digits.
pub(crate) fn hex_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
