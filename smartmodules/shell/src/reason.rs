//! Reasons that any module may have to refuse a record: stable codes, as they stand in dead letters.

/// The key may not be used.
pub const KEY_MISMATCH: &str = "key_mismatch";
/// The value is not what the module reads.
pub const MALFORMED: &str = "malformed";
/// Every window that holds the record's time had closed, or some of them.
pub const LATE: &str = "late";
/// The module keeps as many keys as it may.
pub const TOO_MANY_KEYS: &str = "too_many_keys";

/// What a dead letter says of a key that begins with U+0001.
pub const RESERVED_KEY: &str = "keys that begin with U+0001 are reserved";
