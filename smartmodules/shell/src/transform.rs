//! A module as a function over batches, and the slot that holds it between calls.

use std::io::Cursor;

use fluvio_smartmodule::dataplane::core::{Decoder, Encoder};
use fluvio_smartmodule::dataplane::smartmodule::{
    SmartModuleInitErrorStatus, SmartModuleInitInput, SmartModuleInitOutput, SmartModuleInitRuntimeError,
    SmartModuleKind, SmartModuleLookbackErrorStatus, SmartModuleLookbackOutput,
    SmartModuleLookbackRuntimeError, SmartModuleTransformErrorStatus, SmartModuleTransformRuntimeError,
};

use crate::{Batch, Output, Params};

/// A module's refusal of a whole batch: nothing of it goes on, and the client sees the text.
///
/// Only a fence may refuse. Every other module turns bad input into a tagged reject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

/// A SmartModule's logic, over batches.
pub trait Transform: Sized {
    /// Opens the module with its parameters.
    ///
    /// # Errors
    /// A sentence that the client of the stream gets to see.
    fn open(params: &Params) -> Result<Self, String>;

    /// Answers one batch.
    ///
    /// # Errors
    /// See [`Failure`].
    fn transform(&mut self, batch: &Batch<'_>, out: &mut Output) -> Result<(), Failure>;

    /// Takes the last records of the log, before the first batch, where a module is opened with look-back.
    fn look_back(&mut self, _batch: &Batch<'_>) {}
}

/// Holds a module between calls: bytes in, bytes out, a status for the engine. Free of unsafe code, so that the whole
/// way from the engine's bytes and back is tested natively.
#[derive(Debug)]
pub struct Slot<T> {
    module: Option<T>,
    /// Answer of the last call; the engine copies it after the call returns.
    answer: Vec<u8>,
    packing: Packing,
}

/// What the engine says of a module's neighbours in its chain.
#[derive(Debug, Clone, Copy, Default)]
struct Packing {
    /// The one before hands over its answers packed: `ovation.unpack`.
    before: bool,
    /// The one behind takes them packed: `ovation.pack`.
    behind: bool,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { module: None, answer: Vec::new(), packing: Packing::default() }
    }
}

impl<T: Transform> Slot<T> {
    /// Bytes that the last call answered with.
    #[must_use]
    pub fn answer(&self) -> &[u8] {
        &self.answer
    }

    /// Opens the module from an encoded `SmartModuleInitInput`. 0, or a negative status.
    pub fn init(&mut self, input: &[u8], version: i16) -> i32 {
        self.answer.clear();
        let mut decoded = SmartModuleInitInput::default();
        if decoded.decode(&mut Cursor::new(input), version).is_err() {
            return SmartModuleInitErrorStatus::DecodingInput as i32;
        }
        let params = params_of(&decoded);
        match T::open(&params) {
            Ok(module) => {
                let is_set = |name: &str| params.get(name).is_some();
                self.packing = Packing { before: is_set("ovation.unpack"), behind: is_set("ovation.pack") };
                self.module = Some(module);
                0
            }
            Err(hint) => {
                let error = SmartModuleInitRuntimeError { hint };
                match (SmartModuleInitOutput { error }).encode(&mut self.answer, version) {
                    Ok(()) => SmartModuleInitErrorStatus::InitError as i32,
                    Err(_) => SmartModuleInitErrorStatus::EncodingOutput as i32,
                }
            }
        }
    }

    /// Answers an encoded `SmartModuleInput`. The number of records, or a negative status.
    pub fn transform(&mut self, input: &[u8], version: i16) -> i32 {
        self.answer.clear();
        let packing = self.packing;
        let batch = Batch::decode(input, version);
        let batch = if packing.before { batch.and_then(|batch| batch.unpacked()) } else { batch };
        let Ok(batch) = batch else {
            return SmartModuleTransformErrorStatus::DecodingBaseInput as i32;
        };
        let Some(module) = self.opened() else {
            return SmartModuleTransformErrorStatus::ParsingExtraParams as i32;
        };
        let mut out = Output::default();
        let error = module.transform(&batch, &mut out).err().map(|failure| {
            out = Output::default();
            SmartModuleTransformRuntimeError {
                hint: failure.0,
                offset: batch.base_offset,
                kind: SmartModuleKind::Filter,
                ..Default::default()
            }
        });
        if packing.behind && error.is_none() {
            out = out.packed();
        }
        let count = out.len();
        self.answer = out.finish(error.as_ref(), version);
        i32::try_from(count).unwrap_or(SmartModuleTransformErrorStatus::EncodingOutput as i32)
    }

    /// Shows the module the end of the log. 0, or a negative status.
    pub fn look_back(&mut self, input: &[u8], version: i16) -> i32 {
        self.answer.clear();
        let Ok(batch) = Batch::decode(input, version) else {
            return SmartModuleLookbackErrorStatus::DecodingBaseInput as i32;
        };
        let Some(module) = self.opened() else {
            let hint = "the module was not opened".to_owned();
            let error = SmartModuleLookbackRuntimeError { hint, ..Default::default() };
            return match (SmartModuleLookbackOutput { error }).encode(&mut self.answer, version) {
                Ok(()) => SmartModuleLookbackErrorStatus::PropagatedError as i32,
                Err(_) => SmartModuleLookbackErrorStatus::EncodingOutput as i32,
            };
        };
        module.look_back(&batch);
        0
    }

    /// The module; one that was never given parameters opens with none.
    fn opened(&mut self) -> Option<&mut T> {
        if self.module.is_none() {
            self.module = T::open(&Params::default()).ok();
        }
        self.module.as_mut()
    }
}

fn params_of(input: &SmartModuleInitInput) -> Params {
    // The type gives no iterator over its names; its encoding does.
    let mut bytes = Vec::new();
    let mut map = std::collections::BTreeMap::<String, String>::new();
    if input.params.encode(&mut bytes, 0).is_ok() {
        let _ = map.decode(&mut Cursor::new(bytes), 0);
    }
    map.into_iter().collect()
}
