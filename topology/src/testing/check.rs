//! Whether the chains of a topology open: its real modules with their real parameters.

use std::collections::BTreeMap;

use super::host::Host;
use super::stage::StagePlan;
use crate::modules::{Modules, NUMBER, Resolved, resolve_builtin, resolve_one};
use crate::plan::{TaskPlan, plan, plan_apart};
use crate::spec::{Stage, Topology};

/// Export of a module that numbers its results under the processor contract: one record may become several, or none.
const NUMBERS: &str = "array_map";

/// A transform of a stage that does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stage {stage:?}, transform {number} ({uses}): {message}", number = transform + 1)]
pub struct ChainProblem {
    /// Name of the stage.
    pub stage: String,
    /// Which of its transforms, from 0.
    pub transform: usize,
    /// The SmartModule that it uses.
    pub uses: String,
    /// What is wrong and what was expected.
    pub message: String,
}

/// Compiles every SmartModule that the topology's stages use, and opens every stage's chain with the parameters that the first
/// task of a first epoch gives it. Each stage has one problem at most: the first of its transforms that does not open, or that
/// keeps state which the topology does not know of.
pub fn check_chains(topology: &Topology, modules: &dyn Modules) -> Vec<ChainProblem> {
    Chains::compile(topology, modules).problems(topology)
}

/// The chains of a topology, ready to be opened.
#[derive(Debug)]
pub(super) struct Chains {
    pub(super) host: Host,
    /// One for every stage, in the order of the file.
    pub(super) stages: Vec<StagePlan>,
    /// The same with every module by itself.
    apart: Vec<StagePlan>,
    /// SmartModules whose bytes cannot be had, by their name in the topology.
    missing: BTreeMap<String, String>,
}

impl Chains {
    pub(super) fn compile(topology: &Topology, modules: &dyn Modules) -> Self {
        let used = |name: &str| {
            topology.stages.iter().flat_map(|stage| &stage.transforms).any(|transform| transform.uses == name)
        };
        let (mut resolved, mut missing) = (BTreeMap::<String, Resolved>::new(), BTreeMap::new());
        for module in topology.smartmodules.iter().filter(|module| used(&module.name)) {
            match resolve_one(module, modules) {
                Ok(found) => drop(resolved.insert(module.name.clone(), found)),
                Err(error) => drop(missing.insert(module.name.clone(), error.to_string())),
            }
        }
        if topology.stages.iter().any(|stage| !stage.is_stateful()) {
            match resolve_builtin(NUMBER, modules) {
                Ok(found) => drop(resolved.insert(NUMBER.to_owned(), found)),
                Err(error) => drop(missing.insert(NUMBER.to_owned(), error.to_string())),
            }
        }
        let named: BTreeMap<&str, &[u8]> =
            resolved.values().map(|found| (found.cluster_name.as_str(), found.wasm.as_slice())).collect();
        let host = Host::compile(named);
        // A test is about one partition.
        let first = |task: &TaskPlan| task.partition == 0;
        let plans = |tasks: Vec<TaskPlan>| tasks.into_iter().filter(first).map(StagePlan::new).collect();
        let (stages, apart) = (plans(plan(topology, &resolved)), plans(plan_apart(topology, &resolved)));
        Self { host, stages, apart, missing }
    }

    pub(super) fn stage(&self, name: &str) -> Option<&StagePlan> {
        self.stages.iter().find(|stage| stage.name() == name)
    }

    pub(super) fn problems(&self, topology: &Topology) -> Vec<ChainProblem> {
        topology
            .stages
            .iter()
            .filter_map(|stage| {
                // What the engine puts behind the stage's own modules counts as one more transform.
                let number = (!stage.is_stateful()).then_some(NUMBER);
                let uses: Vec<&str> =
                    stage.transforms.iter().map(|transform| transform.uses.as_str()).chain(number).collect();
                let problem = |transform: usize, message: String| {
                    let uses = uses.get(transform).copied().unwrap_or_default().to_owned();
                    ChainProblem { stage: stage.name.clone(), transform, uses, message }
                };
                let missing = uses
                    .iter()
                    .enumerate()
                    .find_map(|(number, used)| Some(problem(number, self.missing.get(*used)?.clone())));
                if missing.is_some() {
                    return missing;
                }
                let plan = self.apart.iter().find(|plan| plan.name() == stage.name)?;
                match plan.open(&self.host) {
                    Ok(chain) => unsaid(stage, chain.exports()).map(|(at, why)| problem(at, why)),
                    Err(failure) => Some(problem(failure.transform, reason(&failure.message))),
                }
            })
            .collect()
    }
}

/// A module whose export does not fit what the topology says of its state.
///
/// One that numbers what it returns, unsaid: the engine would put its own numbering behind it, every result would have two
/// numbers, and the module's state would be in no checkpoint. One that is said to and does not: nothing would be numbered.
fn unsaid(stage: &Stage, exports: impl Iterator<Item = &'static str>) -> Option<(usize, String)> {
    stage.transforms.iter().zip(exports).enumerate().find_map(|(at, (transform, export))| {
        let message = match (transform.stateful, export == NUMBERS) {
            (true, true) | (false, false) => return None,
            (false, true) => format!(
                "it keeps state and numbers what it returns, as it exports {NUMBERS}; expected a window here, or `stateful: \
                 true` where `smartmodules` names it"
            ),
            (true, false) if !transform.windows.is_empty() => {
                format!("it does not count in windows, as it exports {export} and not {NUMBERS}; expected no window here")
            }
            (true, false) => format!(
                "it keeps no state, as it exports {export} and not {NUMBERS}; expected no `stateful: true` where \
                 `smartmodules` names it"
            ),
        };
        Some((at, message))
    })
}

/// A module begins its refusal with "failed to open NAME: ", and the place of the problem says that already.
fn reason(message: &str) -> String {
    let refusal = message.strip_prefix("failed to open ").and_then(|rest| rest.split_once(": "));
    refusal.map_or(message, |(_, why)| why).to_owned()
}
