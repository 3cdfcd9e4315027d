//! Bounds of an event. Each is the one number that the gateway, the SmartModules and the documentation mean.

/// Most taps in one reaction: a client batches its own taps up to this.
pub const COUNT_MAX: u64 = 100;
/// Longest room name, in bytes.
pub const ROOM_BYTES_MAX: usize = 64;
/// Longest id, in bytes: a UUID with room to spare.
pub const ID_BYTES_MAX: usize = 64;
/// Longest user, in bytes.
pub const USER_BYTES_MAX: usize = 64;
/// Longest event value, in bytes, on the source topic.
pub const EVENT_BYTES_MAX: usize = 4096;
/// How far a reaction's time may lie after its record's own time, in ms, where nobody says otherwise.
pub const FUTURE_MS_DEFAULT: i64 = 5_000;
/// Last moment of the year 9999, in ms since 1970.
pub const TIME_MS_MAX: i64 = 253_402_300_799_999;
