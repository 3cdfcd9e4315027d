//! Keys of control records. They begin with U+0001, which no room name can contain, and never reach a sink.

/// First character of every control key.
pub const CONTROL: u8 = 1;
/// A record that only moves stream time.
pub const TICK_KEY: &str = "\u{1}tick";
/// What one call of a module did: source offsets, watermark, open windows.
pub const PROGRESS_KEY: &str = "\u{1}progress";
/// A dead letter on its way to the dead-letter topic.
pub const REJECT_KEY: &str = "\u{1}reject";
/// One piece of a checkpoint.
pub const CHECKPOINT_KEY: &str = "\u{1}checkpoint";
/// Compare-and-set of a fence's memory.
pub const RESYNC_KEY: &str = "\u{1}resync";
/// All that a call of a module answers, in one record: between modules that know of it, and nowhere else.
pub const PACK_KEY: &str = "\u{1}pack";
/// What a module leaves of a record that it has dropped: empty, so that offsets stay contiguous behind it.
pub const SKIP_KEY: &str = "\u{1}skip";
