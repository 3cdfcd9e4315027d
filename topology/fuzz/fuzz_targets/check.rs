//! Whatever stands in a topology file is answered, with problems that can be shown, and never with a panic.
#![no_main]

use std::borrow::Cow;

use libfuzzer_sys::fuzz_target;
use ovation_topology::{Modules, Topology, describe};

/// Every builtin is there.
struct All;

impl Modules for All {
    fn wasm(&self, _: &str) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(b"\0asm"))
    }
}

fuzz_target!(|text: &str| {
    match Topology::check("topology.yaml", text, &All) {
        Ok(checked) => {
            if let Ok(described) = describe(&checked.topology, &All) {
                let _ = (described.text(), described.mermaid(), described.dot());
            }
        }
        Err(error) => assert!(!error.problems().is_empty() && !error.render(false, 80).is_empty()),
    }
});
