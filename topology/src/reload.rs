//! What a changed topology means for the stages that run. No I/O.

use crate::plan::TaskPlan;

/// What [`Engine::reload`](crate::Engine::reload) did, by the names of the stages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Nothing has changed for them, and they were left alone.
    pub kept: Vec<String>,
    /// They go on from their last checkpoint, with other settings or modules.
    pub restarted: Vec<String>,
    /// They are new.
    pub started: Vec<String>,
    /// They are in the topology no longer.
    pub stopped: Vec<String>,
}

impl Reloaded {
    /// Whether any stage was touched.
    pub fn has_changes(&self) -> bool {
        !(self.restarted.is_empty() && self.started.is_empty() && self.stopped.is_empty())
    }

    /// Compares what runs with what is wanted. A stage is the same if all its tasks are: chain with parameters and module
    /// names, which carry the hash of their bytes, topics, windows and partitions.
    pub(crate) fn compare<'a>(running: impl Iterator<Item = &'a StagePlan>, wanted: &[StagePlan]) -> Self {
        let running: Vec<_> = running.collect();
        let mut reloaded = Self::default();
        for stage in wanted {
            let list = match running.iter().find(|before| before.stage == stage.stage) {
                Some(before) if before.tasks == stage.tasks => &mut reloaded.kept,
                Some(_) => &mut reloaded.restarted,
                None => &mut reloaded.started,
            };
            list.push(stage.stage.clone());
        }
        let is_gone = |before: &&&StagePlan| !wanted.iter().any(|stage| stage.stage == before.stage);
        reloaded.stopped = running.iter().filter(is_gone).map(|before| before.stage.clone()).collect();
        reloaded
    }
}

/// A stage's tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StagePlan {
    pub(crate) stage: String,
    pub(crate) tasks: Vec<TaskPlan>,
}

/// Tasks by their stage, in the order in which they came.
pub(crate) fn by_stage(tasks: Vec<TaskPlan>) -> Vec<StagePlan> {
    let mut stages: Vec<StagePlan> = Vec::new();
    for task in tasks {
        match stages.iter_mut().find(|stage| stage.stage == task.stage) {
            Some(stage) => stage.tasks.push(task),
            None => stages.push(StagePlan { stage: task.stage.clone(), tasks: vec![task] }),
        }
    }
    stages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stages(names: &[&str]) -> Vec<StagePlan> {
        by_stage(names.iter().map(|name| TaskPlan::for_test(name)).collect())
    }

    #[test]
    fn only_what_differs_is_touched() {
        let running = stages(&["words", "letters", "lines"]);
        let mut wanted = stages(&["pages", "words", "letters"]);
        wanted[2].tasks[0].config = "bb".to_owned();
        let reloaded = Reloaded::compare(running.iter(), &wanted);
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let expected = Reloaded {
            kept: names(&["words"]),
            restarted: names(&["letters"]),
            started: names(&["pages"]),
            stopped: names(&["lines"]),
        };
        assert_eq!(reloaded, expected);
        assert!(reloaded.has_changes());
    }

    #[test]
    fn another_order_is_no_change_and_another_partition_is() {
        let running = stages(&["words", "letters"]);
        assert!(!Reloaded::compare(running.iter(), &stages(&["letters", "words"])).has_changes());
        let more = stages(&["words", "words", "letters"]);
        assert_eq!(Reloaded::compare(running.iter(), &more).restarted, ["words"]);
    }
}
