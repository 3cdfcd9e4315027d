//! `ovation-window`: counts reactions in windows of record time, under the processor contract.
//!
//! Parameters: `ovation.windows` (JSON, see [`ovation_processor::WindowSettings`]), `dedup.horizon-ms`, `dedup.ids`; the
//! engine adds its own `ovation.*`. With `ovation.includes=ovation-validate` it does the work of that module as well, and takes its
//! parameters: each event is read once, and the broker's engine carries it once.

mod counts;
mod stage;

pub use counts::{Counts, Taps};
pub use stage::{Reactions, Window};

#[cfg(target_arch = "wasm32")]
mod shell {
    #![allow(unsafe_code, reason = "exported names are part of the SmartModule ABI")]
    use ovation_processor::Contract;
    use ovation_processor::exports::{self, Cell};

    std::thread_local!(static CELL: Cell<Contract<super::Window>> = Cell::default());

    #[unsafe(no_mangle)]
    extern "C" fn init(ptr: *mut u8, len: usize, version: i32) -> i32 {
        exports::init(&CELL, ptr, len, version)
    }

    /// Says by its name what the module can do beside its own work. Never called.
    #[unsafe(export_name = "ovation_includes ovation-validate")]
    extern "C" fn includes_validate() {}

    #[unsafe(no_mangle)]
    extern "C" fn array_map(ptr: *mut u8, len: usize, version: i32) -> i32 {
        exports::transform(&CELL, ptr, len, version)
    }
}
