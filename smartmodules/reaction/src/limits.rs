//! Bounds of an event. Each is the one number that the gateway, the SmartModules and the documentation mean.

/// Most taps in one reaction, where nobody says otherwise: a client batches its own taps up to this.
pub const COUNT_MAX: u64 = 100;
/// As far as `count-max` can be raised: one event that counts more is no crowd.
pub const COUNT_CEILING: u64 = 10_000;
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

/// The bounds that one topology sets. All but the count can only be lowered: tables and dead letters are sized by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most taps in one reaction: `count-max`, up to [`COUNT_CEILING`].
    pub count_max: u64,
    /// Longest room name, in bytes: `room-bytes-max`.
    pub room_bytes_max: usize,
    /// Longest id, in bytes: `id-bytes-max`. At least 36, because ids that gateways give are UUIDs.
    pub id_bytes_max: usize,
    /// Longest user, in bytes: `user-bytes-max`.
    pub user_bytes_max: usize,
    /// Longest event value, in bytes: `event-bytes-max`. At least 512, which an event with everything fits in.
    pub event_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            count_max: COUNT_MAX,
            room_bytes_max: ROOM_BYTES_MAX,
            id_bytes_max: ID_BYTES_MAX,
            user_bytes_max: USER_BYTES_MAX,
            event_bytes_max: EVENT_BYTES_MAX,
        }
    }
}
