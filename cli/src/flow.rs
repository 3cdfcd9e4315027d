//! Where the stages read and write, and where they stand: what the gateway tells operators of the engine beside it.

use std::sync::{Arc, PoisonError, RwLock};

use ovation_gateway::{StageStatus, TaskStatus};
use ovation_topology::{TaskStatus as Task, Topology};

/// A stage's way.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Way {
    stage: String,
    source: String,
    sink: String,
}

/// The ways of the stages that run, in the topology's order. A reload may change them.
#[derive(Debug, Clone)]
pub(crate) struct Flow(Arc<RwLock<Vec<Way>>>);

impl Flow {
    /// Those of a topology.
    pub(crate) fn of(topology: &Topology) -> Self {
        Self(Arc::new(RwLock::new(ways(topology))))
    }

    /// The engine has gone over to another topology.
    pub(crate) fn change(&self, topology: &Topology) {
        // The list is replaced whole, so a panic elsewhere is no reason to stop.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = ways(topology);
    }

    /// Where each stage stands.
    pub(crate) fn stages(&self, tasks: &[Task]) -> Vec<StageStatus> {
        let ways = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let stage = |way: &Way| StageStatus {
            stage: way.stage.clone(),
            source: way.source.clone(),
            sink: way.sink.clone(),
            partitions: tasks.iter().filter(|task| task.stage == way.stage).map(status).collect(),
        };
        ways.iter().map(stage).collect()
    }
}

fn ways(topology: &Topology) -> Vec<Way> {
    let stages = topology.stages.iter();
    let way = stages.map(|stage| Way {
        stage: stage.name.clone(),
        source: stage.source.clone(),
        sink: stage.sink.clone(),
    });
    way.collect()
}

fn status(task: &Task) -> TaskStatus {
    TaskStatus {
        partition: task.partition,
        state: task.state.to_string(),
        role: task.role.to_string(),
        error: task.error.clone(),
        offset: task.offset,
        lag: task.lag(),
        watermark: task.watermark,
        checkpoint_at: task.checkpoint_at,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn each_stage_is_told_with_its_topics_and_its_tasks() {
        let shipped = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../topology.yaml"));
        let topology = crate::parts::topology(shipped).unwrap_or_else(|failure| panic!("{failure}"));
        let flow = Flow::of(&topology);
        let mut task = Task::new("reactions", 2);
        (task.offset, task.high_watermark) = (7, 9);
        let stages = flow.stages(&[task, Task::new("another", 0)]);
        assert_eq!(stages.len(), topology.stages.len());
        let told = (&*stages[0].stage, &*stages[0].source, &*stages[0].sink);
        assert_eq!(told, ("reactions", "emoji-events", "emoji-aggregates"));
        let [task] = &stages[0].partitions[..] else { panic!("one task: {stages:?}") };
        assert_eq!((task.partition, &*task.state, task.offset, task.lag), (2, "starting", 7, 2));
        flow.change(&Topology { stages: Vec::new(), ..topology });
        assert!(flow.stages(&[]).is_empty());
    }
}
