//! The topology engine: reads a topology, makes a cluster look like it, and runs its stages.
//!
//! A stage is a chain of SmartModules that runs in the broker. The engine holds one task per stage and source partition;
//! it carries what the chain returns to the sink, the dead-letter topic and the checkpoint topic, and sees to it that every
//! result is stored once, whatever breaks: the last module numbers its results, the sink's fence refuses what does not
//! continue them, and a restart begins with a checkpoint that the sink confirms.
//!
//! It knows streams, windows and numbers, and nothing of what the records mean.
#![forbid(unsafe_code)]

mod apply;
mod carry;
mod changes;
mod check;
mod checkpoint;
mod cluster_specs;
mod control;
mod describe;
mod document;
mod engine;
mod failure;
mod fence;
mod lookout;
mod modules;
mod outlet;
mod partitions;
mod plan;
mod problem;
mod quantity;
mod read;
mod reload;
mod reset;
mod restore;
mod router;
mod seek;
mod spec;
mod standby;
mod status;
mod task;
pub mod testing;
mod tick;
mod yaml;

pub use apply::{ApplyError, apply, apply_growing, plan_changes};
pub use changes::{Action, Change, Kind};
pub use control::{CHECKPOINT_KEY, PROGRESS_KEY, REJECT_KEY, RESYNC_KEY, TICK_KEY};
pub use describe::{
    Counter, Description, ModuleDescription, StageDescription, TopicDescription, TransformDescription,
    WindowDescription, describe,
};
pub use engine::{Engine, EngineError, EngineOptions};
pub use modules::{FENCE, ModuleError, Modules, NUMBER};
pub use partitions::{Partitions, PartitionsError};
pub use plan::config_hash;
pub use problem::{Problem, SpecError};
pub use reload::Reloaded;
pub use reset::{PartitionReset, ResetError, ResetFrom, plan_reset, reset};
pub use spec::{
    Checked, Column, Emit, ModuleSource, Retention, SmartModule, Stage, TableFormat, Topic, Topology,
    Transform, Window, WindowKind,
};
pub use status::{Cause, Restarts, StateSize, TaskRole, TaskState, TaskStatus, Times};
