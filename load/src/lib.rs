//! Crowds on demand: what audiences do, as a function of a seed, and a crowd that does it to a gateway and keeps books of what
//! became of every tap.
//!
//! Load is open-loop: when a tap is due is fixed beforehand, and its time counts from there, so a slow server shows as a long
//! time and not as less load.
#![forbid(unsafe_code)]

mod bad;
mod book;
mod chance;
mod crowd;
mod football;
mod measure;
mod message;
mod page;
mod people;
mod report;
mod run;
mod scenario;
mod send;
mod target;
mod text;
mod trace;
mod usage;

pub use football::{Match, STEP_S};
pub use measure::{HistogramError, Times};
pub use page::{PageError, page};
pub use report::{Asked, MergeError, Numbers, Point, Report, RoomReport, Totals};
pub use run::{Progress, RunError, Setup};
pub use scenario::{Mix, Part, Plan, Scenario};
pub use target::{Target, TargetError};
pub use text::text;
pub use trace::{Label, Taps, Trace, TraceError};
pub use usage::{Usage, usage};
