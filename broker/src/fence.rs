//! A topic's deduplication: one SmartModule per partition that judges what is produced. Its memory is rebuilt
//! from the log by look-back, and must never be ahead of the log.

use std::collections::BTreeMap;

use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::record::Record;
use fluvio_sc_schema::topic::Deduplication;
use fluvio_smartmodule::dataplane::smartmodule::{Lookback, SmartModuleExtraParams};
use fluvio_spu_schema::COMMON_VERSION;
use fluvio_spu_schema::server::smartmodule::{
    SmartModuleInvocation, SmartModuleInvocationWasm, SmartModuleKind,
};

use crate::batch::Batch;
use crate::chain::{Chain, Chains};
use crate::config::Quirks;
use crate::log::Log;
use crate::records::{self, RecordView};

#[derive(Debug)]
pub(crate) struct Fence {
    invocation: SmartModuleInvocation,
    /// None until first used, and when its memory cannot be trusted.
    chain: Option<Chain>,
    quirks: Quirks,
}

impl Fence {
    pub(crate) fn new(deduplication: &Deduplication, quirks: Quirks) -> Fence {
        let bounds = &deduplication.bounds;
        let transform = &deduplication.filter.transform;
        // The parameters that Fluvio gives a deduplication filter beside the topic's own.
        let mut params = BTreeMap::from([("count".to_owned(), bounds.count.to_string())]);
        params.extend(bounds.age.map(|age| ("age".to_owned(), age.as_millis().to_string())));
        params.extend(transform.with.clone());
        let look_back = Lookback { last: bounds.count, age: bounds.age };
        let invocation = SmartModuleInvocation {
            wasm: SmartModuleInvocationWasm::Predefined(transform.uses.clone()),
            kind: SmartModuleKind::Filter,
            params: SmartModuleExtraParams::new(params, Some(look_back)),
            name: Some(transform.uses.clone()),
        };
        Fence { invocation, chain: None, quirks }
    }

    /// Builds the instance and its memory, if they are not there.
    pub(crate) fn open(&mut self, chains: &Chains, log: &Log) -> Result<&mut Chain, ErrorCode> {
        if self.chain.is_none() {
            let mut chain = chains
                .build(vec![self.invocation.clone()], COMMON_VERSION)?
                .ok_or(ErrorCode::DeduplicationSmartModuleNotLoaded)?;
            chain.look_back(log, log.end())?;
            self.chain = Some(chain);
        }
        self.chain.as_mut().ok_or(ErrorCode::DeduplicationSmartModuleNotLoaded)
    }

    /// Forgets everything: the next use looks back over the log again.
    pub(crate) fn forget(&mut self) {
        self.chain = None;
    }

    /// What of `batches` may be stored. An error means that nothing may.
    pub(crate) fn judge(
        &mut self,
        chains: &Chains,
        log: &Log,
        batches: &[Batch],
    ) -> Result<Vec<Batch>, ErrorCode> {
        let result = self.run(chains, log, batches);
        match &result {
            Ok(_) => {}
            // The module said no to a record. If it had let others pass before, it remembers what is not stored.
            Err((_, clean)) if *clean || self.quirks.fence_before_write => {}
            Err(_) => self.forget(),
        }
        result.map_err(|(code, _)| code)
    }

    fn run(
        &mut self,
        chains: &Chains,
        log: &Log,
        batches: &[Batch],
    ) -> Result<Vec<Batch>, (ErrorCode, bool)> {
        let holes = self.quirks.dedup_holes;
        let opaque = self.quirks.opaque_refusal;
        let max = log.settings().decompressed_bytes_max;
        let chain = self.open(chains, log).map_err(|code| (code, true))?;
        let mut kept = Vec::with_capacity(batches.len());
        let mut next = log.end();
        for (index, batch) in batches.iter().enumerate() {
            let bad = |error: &dyn std::fmt::Display| (ErrorCode::Other(error.to_string()), false);
            let plain = batch.plain_records(max).map_err(|error| bad(&error))?;
            let output =
                chain.process(plain.to_vec(), next, batch.first_timestamp()).map_err(|code| (code, false))?;
            if let Some(error) = output.error {
                let clean = index == 0 && output.records.is_empty();
                let code = if opaque {
                    ErrorCode::StorageError
                } else {
                    ErrorCode::SmartModuleRuntimeError(Box::new(error))
                };
                return Err((code, clean));
            }
            let views = records::parse(&plain).map_err(|error| bad(&error))?;
            if let Some(batch) = keep(batch, &views, output.records, holes).map_err(|error| bad(&error))? {
                next += i64::from(batch.last_delta()) + 1;
                kept.push(batch);
            }
        }
        Ok(kept)
    }
}

/// The batch to store: as it came if the module let all of it pass, else a new one with dense offsets.
fn keep(
    batch: &Batch,
    views: &[RecordView<'_>],
    mut passed: Vec<Record>,
    holes: bool,
) -> Result<Option<Batch>, crate::batch::BadBatch> {
    let same = |(view, record): (&RecordView<'_>, &Record)| {
        view.value == record.value.as_ref() && view.key == record.key.as_deref().map(|key| &key[..])
    };
    if views.len() == passed.len() && views.iter().zip(&passed).all(same) {
        return Ok(Some(batch.clone()));
    }
    if passed.is_empty() {
        return Ok(None);
    }
    if holes {
        return Batch::of(batch, 0, batch.last_delta(), &passed).map(Some);
    }
    for (index, record) in passed.iter_mut().enumerate() {
        record.preamble.set_offset_delta(index as i64);
    }
    Batch::of(batch, 0, passed.len() as i32 - 1, &passed).map(Some)
}
