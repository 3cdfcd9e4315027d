//! SmartModules, compiled once, and opened as chains as often as it takes.
//!
//! Fluvio's own engine compiles every module anew for every chain, which takes longer than a hundred tests. This is the same
//! host around the same compiler: what a module imports, exports and is given is as in fluvio-smartengine 0.50.1, and
//! `tests/all/testing_host.rs` compares what comes out, byte for byte.

use std::collections::BTreeMap;

use fluvio_smartmodule::dataplane::smartmodule::SmartModuleExtraParams;
use wasi_common::WasiCtx;
use wasi_common::sync::WasiCtxBuilder;
use wasmtime::{
    Caller, Config, Engine, Extern, InstancePre, Linker, Memory, Module, OptLevel, ResourceLimiter, Store,
};

use super::chain::{Chain, Link};

/// Memory that a module may take, in bytes, as in a broker.
const MEMORY_BYTES_MAX: usize = 1_000_000_000;
/// Import by which a module says where its answer is.
const COPY_RECORDS: &str = "copy_records";

/// Compiled SmartModules, by name.
pub struct Host {
    engine: Result<Engine, String>,
    modules: BTreeMap<String, Result<InstancePre<Context>, String>>,
}

/// Why a chain cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to open SmartModule {number} of the chain: {message}", number = transform + 1)]
pub struct OpenFailure {
    /// Which of its modules, from 0.
    pub transform: usize,
    /// What is wrong with it.
    pub message: String,
}

/// What a chain's modules share.
pub(super) struct Context {
    limits: MemoryLimit,
    wasi: WasiCtx,
    /// Where the module that was called last has left its answer.
    pub(super) answer: Option<Answer>,
}

/// Where a module has left its answer, in its memory.
#[derive(Clone, Copy)]
pub(super) struct Answer {
    pub(super) memory: Memory,
    pub(super) ptr: u32,
    pub(super) len: u32,
}

struct MemoryLimit;

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > MEMORY_BYTES_MAX || maximum.is_some_and(|maximum| desired > maximum) {
            return Err(wasmtime::Error::msg(format!(
                "it asked for {desired} bytes of memory, and {MEMORY_BYTES_MAX} are the most"
            )));
        }
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

impl Host {
    /// Compiles modules, each on a thread of its own: compiling is nearly all that a run of tests takes. What is wrong with one
    /// of them is said where a chain is opened with it.
    pub fn compile<'a>(modules: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut config = Config::default();
        // As in a broker; it also ends a module that never answers.
        config.consume_fuel(true);
        // What is compiled runs for milliseconds and takes a second to be compiled: a third less this way. Results are the same.
        config.cranelift_opt_level(OptLevel::None);
        let engine = Engine::new(&config)
            .map_err(|error| format!("WebAssembly cannot be run on this machine: {}", error.root_cause()));
        let modules = std::thread::scope(|scope| {
            let threads: Vec<_> = modules
                .into_iter()
                .map(|(name, wasm)| (name.to_owned(), scope.spawn(|| compile(&engine, wasm))))
                .collect();
            let died = |_| Err("the compiler panicked".to_owned());
            threads.into_iter().map(|(name, thread)| (name, thread.join().unwrap_or_else(died))).collect()
        });
        Self { engine, modules }
    }

    /// New instances of these modules, opened with these parameters.
    ///
    /// # Errors
    ///
    /// An [`OpenFailure`] for the first module that cannot be had, is no SmartModule, or refuses its parameters.
    pub fn open<'a>(
        &self,
        chain: impl IntoIterator<Item = (&'a str, &'a BTreeMap<String, String>)>,
    ) -> Result<Chain, OpenFailure> {
        let engine = self.engine.as_ref();
        let engine = engine.map_err(|message| OpenFailure { transform: 0, message: message.clone() })?;
        let wasi = WasiCtxBuilder::new().build();
        let mut store = Store::new(engine, Context { limits: MemoryLimit, wasi, answer: None });
        store.limiter(|context| &mut context.limits);
        let mut links = Vec::new();
        for (transform, (name, params)) in chain.into_iter().enumerate() {
            let link = self.link(&mut store, name, params);
            links.push(link.map_err(|message| OpenFailure { transform, message })?);
        }
        Ok(Chain::new(store, links))
    }

    fn link(
        &self,
        store: &mut Store<Context>,
        name: &str,
        params: &BTreeMap<String, String>,
    ) -> Result<Link, String> {
        let found = self.modules.get(name).ok_or_else(|| format!("there is no SmartModule {name:?}"))?;
        let module = found.as_ref().map_err(Clone::clone)?;
        let mut link = Link::instantiate(store, module)?;
        link.init(store, SmartModuleExtraParams::from(params.clone()))?;
        Ok(link)
    }
}

/// Compiles one module and ties it to what the host gives.
fn compile(engine: &Result<Engine, String>, wasm: &[u8]) -> Result<InstancePre<Context>, String> {
    let engine = engine.as_ref().map_err(Clone::clone)?;
    let module = Module::new(engine, wasm)
        .map_err(|error| format!("not a WebAssembly module: {}", error.root_cause()))?;
    // Whatever module name it is imported from.
    let Some(import) = module.imports().find(|import| import.name() == COPY_RECORDS) else {
        return Err(format!("not a SmartModule: it does not import {COPY_RECORDS}"));
    };
    let mut linker = Linker::new(engine);
    let tied = wasi_common::sync::add_to_linker(&mut linker, |context: &mut Context| &mut context.wasi)
        .and_then(|()| linker.func_wrap(import.module(), COPY_RECORDS, copy_records).map(drop))
        .and_then(|()| linker.instantiate_pre(&module));
    tied.map_err(|error| format!("not a SmartModule: {}", error.root_cause()))
}

/// Remembers where the answer is. It is read when the call has returned.
fn copy_records(mut caller: Caller<'_, Context>, ptr: i32, len: i32) -> wasmtime::Result<()> {
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
        return Err(wasmtime::Error::msg("it exports no memory"));
    };
    let answer = Answer { memory, ptr: ptr.cast_unsigned(), len: len.cast_unsigned() };
    caller.data_mut().answer = Some(answer);
    Ok(())
}

impl std::fmt::Debug for Host {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Host").field("modules", &self.modules.keys()).finish_non_exhaustive()
    }
}
