//! The C side of a SmartModule: how the engine's pointers become slices.
#![allow(unsafe_code, reason = "the SmartModule ABI is pointers into the module's memory")]

use std::cell::RefCell;
use std::thread::LocalKey;

use crate::{Slot, Transform};

// Named as an import, so that the linker needs no flag to leave it open.
#[link(wasm_import_module = "env")]
unsafe extern "C" {
    /// Told by the engine to every module: where in the module's memory the answer lies.
    fn copy_records(ptr: i32, len: i32);
}

/// Memory for the engine to copy an input into; given back by the call that reads it.
#[unsafe(no_mangle)]
pub extern "C" fn alloc(len: usize) -> *mut u8 {
    let mut buffer = Vec::<u8>::with_capacity(len);
    let ptr = buffer.as_mut_ptr();
    std::mem::forget(buffer);
    ptr
}

/// Says by its name, to whoever opens a chain, that the module packs and unpacks records as `ovation.pack` and `ovation.unpack`
/// tell it. Never called.
#[unsafe(no_mangle)]
pub extern "C" fn ovation_packs() {}

/// A module's slot.
pub type Cell<T> = RefCell<Slot<T>>;

/// One call: takes the input over, runs `call`, and shows the engine where the answer is. The answer stays in the slot until
/// the next call, because the engine copies it only after this one returned.
fn run<T: Transform>(
    cell: &'static LocalKey<Cell<T>>,
    ptr: *mut u8,
    len: usize,
    call: impl FnOnce(&mut Slot<T>, &[u8]) -> i32,
) -> i32 {
    // SAFETY: the engine got `ptr` from `alloc(len)` and filled all of it.
    let input = unsafe { Vec::from_raw_parts(ptr, len, len) };
    cell.with_borrow_mut(|slot| {
        let status = call(slot, &input);
        let answer = slot.answer();
        // SAFETY: only tells the engine an address and a length within this module's memory.
        unsafe { copy_records(answer.as_ptr() as i32, answer.len() as i32) };
        status
    })
}

/// Body of a module's `init` export.
pub fn init<T: Transform>(cell: &'static LocalKey<Cell<T>>, ptr: *mut u8, len: usize, version: i32) -> i32 {
    run(cell, ptr, len, |slot, input| slot.init(input, version as i16))
}

/// Body of a module's `filter`, `map` or `array_map` export.
pub fn transform<T: Transform>(
    cell: &'static LocalKey<Cell<T>>,
    ptr: *mut u8,
    len: usize,
    version: i32,
) -> i32 {
    run(cell, ptr, len, |slot, input| slot.transform(input, version as i16))
}

/// Body of a module's `look_back` export.
pub fn look_back<T: Transform>(
    cell: &'static LocalKey<Cell<T>>,
    ptr: *mut u8,
    len: usize,
    version: i32,
) -> i32 {
    run(cell, ptr, len, |slot, input| slot.look_back(input, version as i16))
}
