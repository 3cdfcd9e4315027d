//! SmartModules, and whether they are there.

use super::Check;
use crate::document::ModuleDoc;
use crate::modules::{FENCE, NUMBER, is_wasm, read_module};
use crate::read::{At, Entries, did_you_mean};
use crate::spec::{ModuleSource, SmartModule};

impl Check<'_> {
    pub(super) fn smartmodules(&mut self, documents: Option<&Entries<At<ModuleDoc>>>) -> Vec<SmartModule> {
        let mut modules: Vec<SmartModule> = Vec::new();
        for (name, document) in documents.iter().flat_map(|documents| &documents.0) {
            self.name(name, "a SmartModule");
            let Some(module) = document.as_ref().and_then(|document| self.smartmodule(name, document)) else {
                continue;
            };
            if let Some(published) = document.as_ref().and_then(|document| document.value.name.as_ref()) {
                self.name(published, "a SmartModule");
                if published.value == FENCE || published.value == NUMBER {
                    let message =
                        format!("the name {:?} belongs to the engine's own module", published.value);
                    self.problem(published.place, message, None);
                }
                if modules.iter().any(|other| other.published.as_ref() == Some(&published.value)) {
                    let message =
                        format!("two SmartModules have the name {:?} on the cluster", published.value);
                    self.problem(published.place, message, None);
                }
            }
            modules.push(module);
        }
        modules
    }

    fn smartmodule(&mut self, name: &At<String>, document: &At<ModuleDoc>) -> Option<SmartModule> {
        let module = &document.value;
        let source = match (&module.builtin, &module.path) {
            (Some(builtin), None) => {
                self.builtin(builtin);
                ModuleSource::Builtin(builtin.value.clone())
            }
            (None, Some(path)) => {
                self.module_file(path);
                ModuleSource::Path(self.beside(&path.value))
            }
            _ => {
                let message = format!("SmartModule {:?} needs either `builtin` or `path`", name.value);
                let help = "for example `{ builtin: ovation-window }` or `{ path: mine.wasm }`".to_owned();
                self.problem(name.place, message, Some(help));
                return None;
            }
        };
        Some(SmartModule {
            name: name.value.clone(),
            source,
            published: module.name.as_ref().map(|name| name.value.clone()),
            stateful: module.stateful == Some(true),
        })
    }

    fn builtin(&mut self, builtin: &At<String>) {
        let Some(modules) = self.modules else { return };
        if modules.wasm(&builtin.value).is_none() {
            let known = modules.names();
            let help = did_you_mean(&builtin.value, known.iter().map(String::as_str))
                .or_else(|| (!known.is_empty()).then(|| format!("there are {}", known.join(", "))));
            self.problem(builtin.place, format!("there is no builtin SmartModule {:?}", builtin.value), help);
        }
    }

    fn module_file(&mut self, path: &At<String>) {
        if self.modules.is_none() {
            return;
        }
        let file = self.beside(&path.value);
        match read_module(&file) {
            Err(error) => {
                let message = format!("the SmartModule {} cannot be read: {error}", file.display());
                let help = "a relative path begins at the topology's own folder".to_owned();
                self.problem(path.place, message, Some(help));
            }
            Ok(bytes) if !is_wasm(&bytes) => {
                self.problem(path.place, format!("{} is not a WebAssembly module", file.display()), None);
            }
            Ok(_) => {}
        }
    }
}
