//! `ovation-moments`: reads the finals of another stage, and finds the moments when a room's crowd did far more than before,
//! under the processor contract.
//!
//! A moment is told when it begins, with each window that it goes on, and when it is over; each record holds all that is known
//! by then. Its clock is the finals of its partition: without them nothing ends.
//!
//! Parameters, all of them optional: `window`, the definition whose finals it looks at (every tumbling one); `baseline`,
//! `warm-up` (windows); `threshold` (deviations); `lift` (times the usual); `min-taps`; `cool-down-ms`, `longest-ms`; `events`,
//! the topic to replay from. The engine adds its own `ovation.*`.

mod detector;
mod room;
mod stage;

pub use detector::{Series, Settings, Step, Usual};
pub use stage::Moments;

#[cfg(target_arch = "wasm32")]
mod shell {
    #![allow(unsafe_code, reason = "exported names are part of the SmartModule ABI")]
    use ovation_processor::Contract;
    use ovation_processor::exports::{self, Cell};

    std::thread_local!(static CELL: Cell<Contract<super::Moments>> = Cell::default());

    #[unsafe(no_mangle)]
    extern "C" fn init(ptr: *mut u8, len: usize, version: i32) -> i32 {
        exports::init(&CELL, ptr, len, version)
    }

    #[unsafe(no_mangle)]
    extern "C" fn array_map(ptr: *mut u8, len: usize, version: i32) -> i32 {
        exports::transform(&CELL, ptr, len, version)
    }
}
