//! Settings of a window definition, as they arrive in a SmartModule's parameters.

use serde::{Deserialize, Serialize};

/// How records are assigned to windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WindowKind {
    /// Fixed size, aligned to the epoch, not overlapping.
    Tumbling,
}

/// One window definition. Times are milliseconds of record time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowSettings {
    /// Name in every update of this definition, e.g. `10s`.
    pub name: String,
    /// Kind of window.
    pub kind: WindowKind,
    /// Length of a window.
    pub size_ms: i64,
    /// How long after its end a window still takes records.
    #[serde(default)]
    pub grace_ms: i64,
    /// Least stream time between two updates of one window; 0 emits every change.
    #[serde(default = "default_every_ms")]
    pub every_ms: i64,
}

fn default_every_ms() -> i64 {
    100
}

/// A window definition that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// No definition was given.
    #[error("at least one window is needed")]
    NoWindow,
    /// The size is zero, negative, or longer than [`WindowSettings::SIZE_MS_MAX`].
    #[error("window {name:?}: size {size_ms} ms is not within 1 ms and 366 days")]
    Size {
        /// Name of the definition.
        name: String,
        /// The size it asked for.
        size_ms: i64,
    },
    /// Grace or emission interval is negative or longer than [`WindowSettings::SIZE_MS_MAX`].
    #[error("window {name:?}: {field} {value_ms} ms is not within 0 and 366 days")]
    Interval {
        /// Name of the definition.
        name: String,
        /// `grace` or `every`.
        field: &'static str,
        /// The value it asked for.
        value_ms: i64,
    },
    /// Two definitions have one name: their updates could not be told apart.
    #[error("two windows are named {0:?}")]
    SameName(String),
}

impl WindowSettings {
    /// Longest size, grace and interval: 366 days, so that sums of times stay far from overflow.
    pub const SIZE_MS_MAX: i64 = 366 * 24 * 60 * 60 * 1000;

    /// Checks a set of definitions that share one stage.
    ///
    /// # Errors
    /// The first definition that cannot work.
    pub fn check(all: &[Self]) -> Result<(), SettingsError> {
        if all.is_empty() {
            return Err(SettingsError::NoWindow);
        }
        for (index, one) in all.iter().enumerate() {
            if !(1..=Self::SIZE_MS_MAX).contains(&one.size_ms) {
                return Err(SettingsError::Size { name: one.name.clone(), size_ms: one.size_ms });
            }
            for (field, value_ms) in [("grace", one.grace_ms), ("every", one.every_ms)] {
                if !(0..=Self::SIZE_MS_MAX).contains(&value_ms) {
                    return Err(SettingsError::Interval { name: one.name.clone(), field, value_ms });
                }
            }
            if all[..index].iter().any(|other| other.name == one.name) {
                return Err(SettingsError::SameName(one.name.clone()));
            }
        }
        Ok(())
    }

    /// Start of the window that `time_ms` falls into.
    #[must_use]
    pub fn start_of(&self, time_ms: i64) -> i64 {
        time_ms - time_ms.rem_euclid(self.size_ms)
    }

    /// Stream time from which on the window that starts at `start_ms` takes nothing more.
    #[must_use]
    pub fn closes_at(&self, start_ms: i64) -> i64 {
        start_ms.saturating_add(self.size_ms).saturating_add(self.grace_ms)
    }
}
