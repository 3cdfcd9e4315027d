//! Consumer offsets that the broker keeps for consumers.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::record::ReplicaKey;
use fluvio_spu_schema::server::consumer_offset::ConsumerOffset;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::folder::{Folder, replace_file};

/// Format of `consumer-offsets.json`.
const FORMAT: u32 = 1;

#[derive(Debug)]
pub(crate) struct ConsumerOffsets {
    path: PathBuf,
    max: usize,
    entries: Mutex<BTreeMap<(ReplicaKey, String), Entry>>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Of the last record consumed.
    offset: i64,
    /// Seconds since 1970.
    modified: u64,
}

#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    consumers: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    consumer: String,
    topic: String,
    partition: u32,
    offset: i64,
    modified: u64,
}

impl ConsumerOffsets {
    /// Reads what the folder holds. At most `max` offsets are kept.
    pub(crate) fn open(folder: &Folder, max: usize) -> Result<ConsumerOffsets, Error> {
        let path = folder.consumer_offsets();
        let entries = match fs::read(&path) {
            Ok(bytes) => {
                let document: Document = serde_json::from_slice(&bytes)
                    .map_err(|error| Error::Corrupt { path: path.clone(), detail: error.to_string() })?;
                if document.format != FORMAT {
                    let detail = format!("format {} is unknown to this version", document.format);
                    return Err(Error::Corrupt { path, detail });
                }
                document.consumers.into_iter().map(Row::into_entry).collect()
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(Error::DataNotWritable { path, source }),
        };
        Ok(ConsumerOffsets { path, max, entries: Mutex::new(entries) })
    }

    pub(crate) fn get(&self, replica: &ReplicaKey, consumer: &str) -> Option<i64> {
        self.entries().get(&(replica.clone(), consumer.to_owned())).map(|entry| entry.offset)
    }

    /// Those of one partition or all, of one consumer or all.
    pub(crate) fn list(&self, replica: Option<&ReplicaKey>, consumer: Option<&str>) -> Vec<ConsumerOffset> {
        self.entries()
            .iter()
            .filter(|((key, id), _)| {
                replica.is_none_or(|replica| replica == key) && consumer.is_none_or(|name| name == id)
            })
            .map(|((key, id), entry)| ConsumerOffset::new(id, key.clone(), entry.offset, entry.modified))
            .collect()
    }

    /// Stores an offset, on disk before this returns.
    pub(crate) async fn put(
        self: &Arc<Self>,
        key: ReplicaKey,
        consumer: String,
        offset: i64,
    ) -> Result<(), ErrorCode> {
        self.change(move |entries, max| {
            if entries.len() >= max && !entries.contains_key(&(key.clone(), consumer.clone())) {
                return Err(ErrorCode::Other(format!("the broker keeps at most {max} consumer offsets")));
            }
            let modified = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            entries.insert((key, consumer), Entry { offset, modified });
            Ok(())
        })
        .await
    }

    /// Removes an offset.
    pub(crate) async fn delete(self: &Arc<Self>, key: ReplicaKey, consumer: String) -> Result<(), ErrorCode> {
        self.change(move |entries, _| {
            entries.remove(&(key, consumer));
            Ok(())
        })
        .await
    }

    /// Removes all offsets of a topic.
    pub(crate) async fn delete_topic(self: &Arc<Self>, topic: String) -> Result<(), ErrorCode> {
        self.change(move |entries, _| {
            entries.retain(|(key, _), _| key.topic != topic);
            Ok(())
        })
        .await
    }

    async fn change(
        self: &Arc<Self>,
        change: impl FnOnce(&mut BTreeMap<(ReplicaKey, String), Entry>, usize) -> Result<(), ErrorCode>
        + Send
        + 'static,
    ) -> Result<(), ErrorCode> {
        let offsets = self.clone();
        let failed = |error: io::Error| ErrorCode::OffsetFlushRequestError(error.to_string());
        tokio::task::spawn_blocking(move || {
            let mut entries = offsets.entries();
            let mut next = entries.clone();
            change(&mut next, offsets.max)?;
            let consumers = next.iter().map(|(key, entry)| Row::new(key, *entry)).collect();
            let bytes = serde_json::to_vec(&Document { format: FORMAT, consumers }).map_err(io::Error::from);
            bytes.and_then(|bytes| replace_file(&offsets.path, &bytes)).map_err(failed)?;
            *entries = next;
            Ok(())
        })
        .await
        .map_err(|error| failed(io::Error::other(error)))?
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, BTreeMap<(ReplicaKey, String), Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Row {
    fn new((key, consumer): &(ReplicaKey, String), entry: Entry) -> Row {
        Row {
            consumer: consumer.clone(),
            topic: key.topic.clone(),
            partition: key.partition,
            offset: entry.offset,
            modified: entry.modified,
        }
    }

    fn into_entry(self) -> ((ReplicaKey, String), Entry) {
        let key = ReplicaKey::new(self.topic, self.partition);
        ((key, self.consumer), Entry { offset: self.offset, modified: self.modified })
    }
}
