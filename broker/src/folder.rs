//! The data folder: who may use it, and how its small files are written.
//!
//! `lock`, `metadata.json`, `consumer-offsets.json`, `smartmodules/N.wasm.gz`,
//! `topics/NAME/PARTITION/BASE_OFFSET.log`, `deleted/` (on its way out).

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;

#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    /// Held as long as the broker runs; the operating system lets go of it however the process ends.
    _lock: File,
}

impl Folder {
    /// Creates the folder if need be and takes it for this process.
    pub(crate) fn open(root: &Path) -> Result<Folder, Error> {
        let not_writable = |source| Error::DataNotWritable { path: root.to_owned(), source };
        fs::create_dir_all(root).map_err(not_writable)?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(root.join("lock"))
            .map_err(not_writable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::DataLocked { path: root.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(not_writable(source)),
        }
        let folder = Folder { root: root.to_owned(), _lock: lock };
        for dir in [folder.topics(), folder.smart_modules(), folder.deleted()] {
            fs::create_dir_all(dir).map_err(not_writable)?;
        }
        folder.empty_deleted().map_err(not_writable)?;
        Ok(folder)
    }

    pub(crate) fn metadata(&self) -> PathBuf {
        self.root.join("metadata.json")
    }

    pub(crate) fn consumer_offsets(&self) -> PathBuf {
        self.root.join("consumer-offsets.json")
    }

    pub(crate) fn smart_modules(&self) -> PathBuf {
        self.root.join("smartmodules")
    }

    fn topics(&self) -> PathBuf {
        self.root.join("topics")
    }

    fn deleted(&self) -> PathBuf {
        self.root.join("deleted")
    }

    pub(crate) fn topic(&self, topic: &str) -> PathBuf {
        self.topics().join(topic)
    }

    pub(crate) fn partition(&self, topic: &str, partition: u32) -> PathBuf {
        self.topic(topic).join(partition.to_string())
    }

    /// Takes a topic's records out of the way in one step, then removes them.
    pub(crate) fn discard_topic(&self, topic: &str) -> io::Result<()> {
        let from = self.topic(topic);
        if !from.exists() {
            return Ok(());
        }
        let mut number = 0;
        let to = loop {
            let to = self.deleted().join(format!("{topic}.{number}"));
            if !to.exists() {
                break to;
            }
            number += 1;
        };
        fs::rename(&from, &to)?;
        sync_dir(&self.topics())?;
        fs::remove_dir_all(to)
    }

    fn empty_deleted(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.deleted())? {
            fs::remove_dir_all(entry?.path())?;
        }
        Ok(())
    }
}

/// Replaces a file in one step: after a crash it holds the old contents or the new, on disk.
pub(crate) fn replace_file(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    let mut file = File::create(&temporary)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
