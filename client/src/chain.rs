use std::collections::BTreeMap;

use bytes::Bytes;
use fluvio::{
    SmartModuleContextData, SmartModuleExtraParams, SmartModuleInvocation, SmartModuleInvocationWasm,
    SmartModuleKind,
};

use crate::batches::{Batches, Opening};
use crate::cluster::Cluster;
use crate::error::Error;

/// What one call of a chain may return at most. Output over it is thrown away and the batch is run again through
/// the same instance (docs/fluvio.md 2), or the rest of the log is skipped (22).
const MAX_BYTES: i32 = 64 * 1024 * 1024;

/// Bytes of a parameter's name or value that arrive whole: its length has 15 bits, and a longer one is encoded with a cut
/// length, so that the broker cannot read the request and hangs up (docs/fluvio.md 15).
const PARAM_BYTES_MAX: usize = 32_767;

/// One SmartModule of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainModule {
    /// Name of the SmartModule on the cluster.
    pub name: String,
    /// Its parameters; names and values have 32,767 bytes at most.
    pub params: BTreeMap<String, String>,
}

/// What a chain returned. There is no offset: the ones that Fluvio gives for outputs mean nothing (docs/fluvio.md 23).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainRecord {
    /// The key's bytes, if it has one.
    pub key: Option<Bytes>,
    /// The value's bytes.
    pub value: Bytes,
}

/// What SmartModules in the broker make of one partition, on a connection of its own.
///
/// It never reconnects: a new stream means new instances without their state (docs/fluvio.md 3), so whoever holds it
/// decides from where to open the next one.
pub struct ChainStream {
    batches: Batches,
}

impl ChainStream {
    /// Opens a chain over `topic`'s `partition` from `offset` on. The chain is given the batch that holds `offset`
    /// from its head (docs/fluvio.md 8).
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`], [`Error::Deadline`] or [`Error::Refused`], the latter also for a parameter that is too long;
    /// what is wrong with a SmartModule itself is only told by the first [`next`](ChainStream::next).
    pub async fn open(
        cluster: &Cluster,
        topic: &str,
        partition: u32,
        offset: i64,
        modules: &[ChainModule],
    ) -> Result<Self, Error> {
        if let Some(reason) = modules.iter().find_map(too_long) {
            let what = format!("open a stream of partition {partition} of topic {topic}");
            return Err(Error::Refused { what, reason });
        }
        let opening = Opening {
            topic,
            partition,
            offset,
            max_bytes: MAX_BYTES,
            modules: modules.iter().map(invocation).collect(),
        };
        let batches = Batches::open(cluster, opening).await?;
        Ok(Self { batches })
    }

    /// The outputs of the broker's next answer, in order; waits for ever while the chain has nothing to say. Safe to be
    /// dropped and called again.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] when the stream has ended, for whatever reason.
    pub async fn next(&mut self) -> Result<Vec<ChainRecord>, Error> {
        let mut batch = Some(self.batches.next().await?);
        let mut outputs = Vec::new();
        while let Some(next) = batch {
            outputs.extend(next.own_records().into_iter().map(|record| ChainRecord {
                key: record.key.as_ref().map(|key| (**key).clone()),
                value: (*record.value).clone(),
            }));
            batch = self.batches.ready();
        }
        Ok(outputs)
    }
}

/// Says which of the module's parameters cannot be sent, if there is one.
fn too_long(module: &ChainModule) -> Option<String> {
    let length = |(name, value): &(&String, &String)| name.len().max(value.len());
    let (name, value) = module.params.iter().find(|param| length(param) > PARAM_BYTES_MAX)?;
    Some(format!(
        "parameter {name:?} of SmartModule {:?} has {} bytes, and {PARAM_BYTES_MAX} are the most that Fluvio carries",
        module.name,
        value.len().max(name.len()),
    ))
}

fn invocation(module: &ChainModule) -> SmartModuleInvocation {
    SmartModuleInvocation {
        wasm: SmartModuleInvocationWasm::Predefined(module.name.clone()),
        kind: SmartModuleKind::Generic(SmartModuleContextData::None),
        params: SmartModuleExtraParams::from(module.params.clone()),
        name: Some(module.name.clone()),
    }
}
