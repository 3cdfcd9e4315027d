//! The traps of docs/fluvio.md that can lose or double something: each is shown to work on who does not know it (Fluvio's own
//! client, a plain SmartModule, a producer that takes answers at their word), and then not to work on the engine.
//!
//! On an embedded broker with its quirks, and on a real cluster as well when `OVATION_TEST_CLUSTER` names one. Where the
//! real one has to be killed or paused for it, `OVATION_TEST_SPU_PIDFILE` (file with the process id of its one SPU) and
//! `OVATION_TEST_SPU_START` (command that starts it again) say how.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![expect(clippy::print_stdout, reason = "what a trap looked like is worth reading")]

#[allow(dead_code, reason = "each test file needs a part of it")]
#[path = "../all/support/mod.rs"]
mod support;

#[allow(dead_code, unreachable_pub, reason = "shared with the broker's tests")]
#[path = "../../../broker/tests/all/common/modules.rs"]
mod modules;

mod ground;
mod naive;

mod cut_parameter;
mod fence_ahead;
mod hanging_producer;
mod inversion;
mod lost_state;
mod mid_batch;
mod rerun;
mod segment_start;
mod silent_gap;
mod silent_segment;
