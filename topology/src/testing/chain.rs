//! A chain of instances, and the calls into them.

use std::io::Cursor;

use fluvio_smartmodule::SMARTMODULE_TIMESTAMPS_VERSION as VERSION;
use fluvio_smartmodule::dataplane::core::{Decoder, Encoder};
use fluvio_smartmodule::dataplane::smartmodule::{
    SmartModuleExtraParams, SmartModuleInitErrorStatus, SmartModuleInitInput, SmartModuleInitOutput,
    SmartModuleInput, SmartModuleOutput, SmartModuleTransformErrorStatus,
};
use wasmtime::{Func, Instance, InstancePre, Memory, Store, Trap, TypedFunc};

use super::host::Context;

/// Instructions that one call may take: far more than the calls that a broker could keep up with, and few enough that a
/// module which never answers ends within a minute or so.
const CALL_FUEL: u64 = 50_000_000_000;
/// Bytes that one call may answer with, as in a stage's stream.
const ANSWER_BYTES_MAX: u32 = 64 * 1024 * 1024;

/// What a module may be called by, in the order that Fluvio looks for it.
const TRANSFORMS: [&str; 4] = ["filter", "map", "filter_map", "array_map"];

/// Every call: address and bytes of the input, version of its encoding; a negative answer is an error.
type Call = TypedFunc<(i32, i32, i32), i32>;

/// Instances of SmartModules, one behind the other, with the state that they keep between calls.
pub struct Chain {
    store: Store<Context>,
    links: Vec<Link>,
}

/// Why a chain has not answered. Its state is of no more use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("SmartModule {number} of the chain {message}", number = transform + 1)]
pub struct CallFailure {
    /// Which of its modules, from 0.
    pub transform: usize,
    /// What it did.
    pub message: String,
}

impl Chain {
    pub(super) fn new(store: Store<Context>, links: Vec<Link>) -> Self {
        Self { store, links }
    }

    /// What each of its modules is called by, in their order.
    pub(super) fn exports(&self) -> impl Iterator<Item = &'static str> {
        self.links.iter().map(|link| link.export)
    }

    /// Runs a batch through all modules. As in a broker, a module that refuses a batch ends the call, with what it had
    /// returned by then.
    ///
    /// # Errors
    ///
    /// A [`CallFailure`] where a module traps, or answers what is no answer.
    pub fn process(&mut self, input: SmartModuleInput) -> Result<SmartModuleOutput, CallFailure> {
        let (base_offset, base_timestamp) = (input.base_offset(), input.base_timestamp());
        let Some(last) = self.links.len().checked_sub(1) else {
            return Err(CallFailure { transform: 0, message: "is missing: there are none".to_owned() });
        };
        let mut input = input;
        for (transform, link) in self.links.iter_mut().enumerate() {
            let failure = |message| CallFailure { transform, message };
            let output = link.transform(&mut self.store, &input).map_err(failure)?;
            if output.error.is_some() || transform == last {
                return Ok(output);
            }
            input = SmartModuleInput::try_from_records(output.successes, VERSION)
                .map_err(|error| failure(format!("returned what cannot be encoded: {error}")))?;
            input.set_base_offset(base_offset);
            input.set_base_timestamp(base_timestamp);
        }
        Ok(SmartModuleOutput::default())
    }
}

/// One instance of a chain.
pub(super) struct Link {
    memory: Memory,
    alloc: TypedFunc<i32, i32>,
    init: Option<Call>,
    /// What it is called by.
    export: &'static str,
    transform: Call,
}

impl Link {
    pub(super) fn instantiate(
        store: &mut Store<Context>,
        module: &InstancePre<Context>,
    ) -> Result<Self, String> {
        let no = |what: String| format!("not a SmartModule: {what}");
        refuel(store);
        let instance = module
            .instantiate(&mut *store)
            .map_err(|error| format!("failed to instantiate it: {}", cause(&error)))?;
        let memory = instance
            .get_memory(&mut *store, "memory")
            .ok_or_else(|| no("it exports no memory".to_owned()))?;
        let alloc = instance
            .get_typed_func(&mut *store, "alloc")
            .map_err(|_| no("it exports no function alloc(i32) -> i32".to_owned()))?;
        let init = function(store, &instance, "init").transpose().map_err(no)?;
        let found = TRANSFORMS.iter().find_map(|name| Some((*name, function(store, &instance, name)?)));
        let Some((export, transform)) = found else {
            let state = match instance.get_func(&mut *store, "aggregate") {
                Some(_) => "; a stage cannot use its aggregate, whose state is in no checkpoint",
                None => "",
            };
            return Err(no(format!("it exports none of {}{state}", TRANSFORMS.join(", "))));
        };
        Ok(Self { memory, alloc, init, export, transform: transform.map_err(no)? })
    }

    /// Opens it with its parameters, if it takes any.
    pub(super) fn init(
        &mut self,
        store: &mut Store<Context>,
        params: SmartModuleExtraParams,
    ) -> Result<(), String> {
        let Some(init) = self.init.clone() else { return Ok(()) };
        let status = self.call(store, &init, &SmartModuleInitInput { params })?;
        if status >= 0 {
            return Ok(());
        }
        let error = SmartModuleInitErrorStatus::try_from(status).unwrap_or_default();
        if !matches!(error, SmartModuleInitErrorStatus::InitError) {
            return Err(format!("init answered {status}: {error}"));
        }
        let output: SmartModuleInitOutput = self.answer(store)?;
        Err(output.error.hint)
    }

    fn transform(
        &mut self,
        store: &mut Store<Context>,
        input: &SmartModuleInput,
    ) -> Result<SmartModuleOutput, String> {
        let transform = self.transform.clone();
        let status = self.call(store, &transform, input)?;
        if status < 0 {
            let error = SmartModuleTransformErrorStatus::try_from(status).unwrap_or_default();
            return Err(format!("answered {status}: {error}"));
        }
        self.answer(store)
    }

    /// Copies the input into the module's memory and calls it.
    fn call(&self, store: &mut Store<Context>, call: &Call, input: &impl Encoder) -> Result<i32, String> {
        let mut bytes = Vec::new();
        input.encode(&mut bytes, VERSION).map_err(|error| format!("cannot be given its input: {error}"))?;
        let length =
            i32::try_from(bytes.len()).map_err(|_| "cannot be given an input of this size".to_owned())?;
        store.data_mut().answer = None;
        refuel(store);
        let ptr = self
            .alloc
            .call(&mut *store, length)
            .map_err(|error| format!("failed to allocate {length} bytes: {}", cause(&error)))?;
        let place = usize::try_from(ptr.cast_unsigned()).unwrap_or(usize::MAX);
        self.memory
            .write(&mut *store, place, &bytes)
            .map_err(|_| format!("allocated {length} bytes outside its memory"))?;
        call.call(&mut *store, (ptr, length, i32::from(VERSION)))
            .map_err(|error| format!("failed: {}", cause(&error)))
    }

    /// What the last call has answered.
    fn answer<T: Decoder + Default>(&self, store: &Store<Context>) -> Result<T, String> {
        let mut bytes = Vec::new();
        if let Some(answer) = store.data().answer {
            if answer.len > ANSWER_BYTES_MAX {
                return Err(format!(
                    "answered with {} bytes, and {ANSWER_BYTES_MAX} are the most that a stage's stream takes",
                    answer.len
                ));
            }
            let outside = || "left its answer outside its memory".to_owned();
            let from = usize::try_from(answer.ptr).map_err(|_| outside())?;
            let len = usize::try_from(answer.len).map_err(|_| outside())?;
            let memory = answer.memory.data(store);
            bytes = memory.get(from..).and_then(|rest| rest.get(..len)).ok_or_else(outside)?.to_vec();
        }
        let mut decoded = T::default();
        decoded
            .decode(&mut Cursor::new(bytes), VERSION)
            .map_err(|error| format!("answered what cannot be decoded: {error}"))?;
        Ok(decoded)
    }
}

/// An exported function; `Err` if it is none that can be called.
fn function(store: &mut Store<Context>, instance: &Instance, name: &str) -> Option<Result<Call, String>> {
    let function: Func = instance.get_func(&mut *store, name)?;
    let typed = function.typed(&*store);
    Some(typed.map_err(|_| format!("its function {name} is not of the type (i32, i32, i32) -> i32")))
}

fn refuel(store: &mut Store<Context>) {
    // It fails only for an engine that counts no fuel.
    let _ = store.set_fuel(CALL_FUEL);
}

/// What a person wants to know of an error: no backtrace of addresses.
fn cause(error: &wasmtime::Error) -> String {
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => format!("no answer after {CALL_FUEL} instructions"),
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Chain").field("modules", &self.links.len()).finish_non_exhaustive()
    }
}
