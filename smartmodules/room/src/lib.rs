//! `ovation-room`: passes the records of some rooms, untouched, for people who read a topic with the `fluvio` CLI:
//! `fluvio consume emoji-aggregates --smartmodule ovation-room -e room=final-2026`.
//!
//! Parameters: `room`, one room or several with commas between them. It is no part of a stage: what it drops leaves holes in
//! the offsets, and over a whole segment without a record of its rooms a stream jumps to the end (docs/fluvio.md 22).

use std::collections::BTreeSet;

use ovation_shell::{Batch, CONTROL, Failure, Output, Params, Transform};

/// The module.
#[derive(Debug)]
pub struct Room {
    rooms: BTreeSet<Vec<u8>>,
}

impl Transform for Room {
    fn open(params: &Params) -> Result<Self, String> {
        let listed = params.get("room").unwrap_or_default().split(',').map(str::trim);
        let rooms: BTreeSet<_> =
            listed.filter(|room| !room.is_empty()).map(|room| room.as_bytes().to_vec()).collect();
        if rooms.is_empty() {
            return Err("failed to open room: parameter \"room\" is missing; name one room, or several \
                        with commas between them: -e room=final-2026"
                .to_owned());
        }
        Ok(Self { rooms })
    }

    fn transform(&mut self, batch: &Batch<'_>, out: &mut Output) -> Result<(), Failure> {
        for record in batch.records() {
            let record = record.map_err(|error| Failure(error.to_string()))?;
            // A room's name cannot begin with U+0001; what a person writes into a parameter can.
            if let Some(key) = record.key
                && key.first() != Some(&CONTROL)
                && self.rooms.contains(key)
            {
                out.pass(&record);
            }
        }
        Ok(())
    }
}

#[cfg(target_arch = "wasm32")]
mod shell {
    #![allow(unsafe_code, reason = "exported names are part of the SmartModule ABI")]
    use ovation_shell::exports::{self, Cell};

    std::thread_local!(static CELL: Cell<super::Room> = Cell::default());

    #[unsafe(no_mangle)]
    extern "C" fn init(ptr: *mut u8, len: usize, version: i32) -> i32 {
        exports::init(&CELL, ptr, len, version)
    }

    #[unsafe(no_mangle)]
    extern "C" fn filter(ptr: *mut u8, len: usize, version: i32) -> i32 {
        exports::transform(&CELL, ptr, len, version)
    }
}
