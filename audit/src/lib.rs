//! The audit: are the stored results what the stored reactions make?
//!
//! Two checks that know nothing of each other, over one partition at a time and in bounded memory:
//!
//! - **Replay**: the stage's own modules run natively over the raw log, and every result and dead letter is compared, byte for
//!   byte, with what is stored under its number.
//! - **Conservation**: plain adding up, from the stored records alone. Whatever was accepted is in finals, in windows that are
//!   still open, or late; or it is a duplicate, or rejected with a dead letter. Only where a stage counts reactions.
//!
//! [`check`] is the core, over any [`Feed`] of records; [`audit`] reads them from a cluster.
#![forbid(unsafe_code)]

mod books;
mod check;
mod difference;
mod facts;
mod feed;
mod ids;
mod outlet;
mod partition;
mod read;
mod replay;
mod report;
mod subject;
mod table;

pub use check::check;
pub use difference::{Difference, Kind};
pub use feed::{Feed, Unchecked};
pub use partition::Place;
pub use read::{Options, audit};
pub use report::{PartitionReport, Report, RoomLine, StageReport, WindowLine};
pub use subject::{Definition, Subject};
pub use table::table;
