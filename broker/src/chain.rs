//! SmartModule chains: built from what a request names, run over batches. Everything here blocks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::link::smartmodule::SmartModuleTransformRuntimeError;
use fluvio_protocol::record::Record;
use fluvio_smartengine::{
    EngineError, Lookback, SmartEngine, SmartModuleChainBuilder, SmartModuleChainInstance,
};
use fluvio_smartengine::{SmartModuleConfig, SmartModuleInitialData};
use fluvio_smartmodule::dataplane::smartmodule::SmartModuleInput;
use fluvio_spu_schema::server::smartmodule::{
    SmartModuleContextData, SmartModuleInvocation, SmartModuleInvocationWasm, SmartModuleKind,
};

use crate::codec;
use crate::config::{Limits, Quirks};
use crate::log::{Log, ReadError};
use crate::metadata::Metadata;

/// Builds chains.
#[derive(Debug)]
pub(crate) struct Chains {
    engine: SmartEngine,
    metadata: Arc<Metadata>,
    limits: Limits,
    quirks: Quirks,
}

impl Chains {
    pub(crate) fn new(metadata: Arc<Metadata>, limits: Limits, quirks: Quirks) -> Chains {
        Chains { engine: SmartEngine::new(), metadata, limits, quirks }
    }

    /// Compiles and initialises a chain: tens of milliseconds a module. None if nothing is invoked.
    pub(crate) fn build(
        &self,
        invocations: Vec<SmartModuleInvocation>,
        version: i16,
    ) -> Result<Option<Chain>, ErrorCode> {
        if invocations.is_empty() {
            return Ok(None);
        }
        if invocations.len() > self.limits.chain_modules_max {
            return Err(invalid(
                format!("a chain has at most {} SmartModules", self.limits.chain_modules_max),
                None,
            ));
        }
        let mut builder = SmartModuleChainBuilder::default();
        builder.set_store_memory_limit(self.limits.chain_memory_bytes_max);
        for invocation in invocations {
            self.add(&mut builder, invocation, version)?;
        }
        let engine = &self.engine;
        let inner =
            guarded("initialising", || builder.initialize(engine))?.map_err(|error| init_error(&error))?;
        Ok(Some(Chain { inner, quirks: self.quirks }))
    }

    fn add(
        &self,
        builder: &mut SmartModuleChainBuilder,
        invocation: SmartModuleInvocation,
        version: i16,
    ) -> Result<(), ErrorCode> {
        let (gzipped, name) = match invocation.wasm {
            SmartModuleInvocationWasm::AdHoc(gzipped) => (gzipped, invocation.name),
            SmartModuleInvocationWasm::Predefined(name) => {
                let snapshot = self.metadata.snapshot();
                let Some(module) = snapshot.smart_module(&name) else {
                    return Err(ErrorCode::SmartModuleNotFound { name });
                };
                (module.spec.wasm.payload.to_vec(), Some(name))
            }
        };
        let wasm = codec::gunzip(&gzipped, self.limits.decompressed_bytes_max)
            .map_err(|error| invalid(format!("not gzipped WASM: {error}"), name.clone()))?;
        let initial_data = match invocation.kind {
            SmartModuleKind::Aggregate { accumulator }
            | SmartModuleKind::Generic(SmartModuleContextData::Aggregate { accumulator }) => {
                SmartModuleInitialData::with_aggregate(accumulator)
            }
            _ => SmartModuleInitialData::default(),
        };
        let look_back = invocation.params.lookback().map(Lookback::from);
        let config = SmartModuleConfig::builder()
            .smartmodule_names(vec![name.clone().unwrap_or_default()])
            .params(invocation.params)
            .version(version)
            .lookback(look_back)
            .initial_data(initial_data)
            .build()
            .map_err(|error| invalid(error.to_string(), name))?;
        builder.add_smart_module(config, wasm);
        Ok(())
    }
}

/// A chain with its state.
#[derive(Debug)]
pub(crate) struct Chain {
    inner: SmartModuleChainInstance,
    quirks: Quirks,
}

/// What a chain made of one batch.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) records: Vec<Record>,
    /// Where a record stopped it; `records` are those before.
    pub(crate) error: Option<SmartModuleTransformRuntimeError>,
}

impl Chain {
    /// Shows the chain the records before `end` that it asked to see.
    pub(crate) fn look_back(&mut self, log: &Log, end: i64) -> Result<(), ErrorCode> {
        let one_segment = self.quirks.look_back_one_segment;
        let inner = &mut self.inner;
        // The engine asks through a future; the answer is always ready, so this never waits.
        let handle = tokio::runtime::Handle::current();
        guarded("looking back", || {
            handle.block_on(inner.look_back(|wanted| {
                let records = read_back(log, wanted, end, one_segment).map_err(anyhow::Error::from);
                std::future::ready(records)
            }))
        })?
        .map_err(|error| ErrorCode::SmartModuleLookBackError(error.root_cause().to_string()))
    }

    /// Runs one batch of decompressed records. After an error that this returns (not one in the output) the chain
    /// is of no more use.
    pub(crate) fn process(
        &mut self,
        plain: Vec<u8>,
        base_offset: i64,
        base_time: i64,
    ) -> Result<Output, ErrorCode> {
        let inner = &mut self.inner;
        let input = SmartModuleInput::new(plain, base_offset, base_time);
        let output = guarded("running", || inner.process(input))?
            .map_err(|error| ErrorCode::Other(format!("SmartModule chain failed: {error}")))?;
        Ok(Output { records: output.successes, error: output.error })
    }
}

fn read_back(log: &Log, wanted: Lookback, end: i64, one_segment: bool) -> Result<Vec<Record>, ReadError> {
    let since = |age: Duration| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(now.saturating_sub(age).as_millis()).unwrap_or(i64::MAX)
    };
    match wanted {
        Lookback::Last(count) if one_segment => {
            let from = end.saturating_sub(i64::try_from(count).unwrap_or(i64::MAX)).clamp(log.start(), end);
            log.records_between(from, None, end.min(log.segment_end(from)))
        }
        Lookback::Last(count) => log.last_records(count, None, end),
        Lookback::Age { age, last: 0 } => log.records_since(since(age), end),
        Lookback::Age { age, last } => log.last_records(last, Some(since(age)), end),
    }
}

fn invalid(error: String, name: Option<String>) -> ErrorCode {
    ErrorCode::SmartModuleInvalid { error, name }
}

fn init_error(error: &anyhow::Error) -> ErrorCode {
    match error.downcast_ref() {
        Some(EngineError::StoreMemoryExceeded { requested, max, .. }) => {
            ErrorCode::SmartModuleMemoryLimitExceeded { requested: *requested as u64, max: *max as u64 }
        }
        _ => ErrorCode::SmartModuleChainInitError(format!("{error:#}")),
    }
}

/// A module decides what the engine decodes, and the engine's decoders panic on some lengths.
fn guarded<T>(doing: &str, run: impl FnOnce() -> T) -> Result<T, ErrorCode> {
    catch_unwind(AssertUnwindSafe(run))
        .map_err(|_| ErrorCode::Other(format!("{doing} the SmartModule chain panicked")))
}
