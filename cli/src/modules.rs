//! Where the engine finds the SmartModules that ship with the program.

use std::borrow::Cow;

use ovation_topology::Modules;

/// The embedded ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Builtin;

impl Modules for Builtin {
    fn wasm(&self, builtin: &str) -> Option<Cow<'_, [u8]>> {
        ovation_wasm::builtin(builtin).map(Cow::Borrowed)
    }

    fn names(&self) -> Vec<String> {
        ovation_wasm::BUILTINS.iter().map(|name| (*name).to_owned()).collect()
    }
}
