//! Settings of a window definition, as they arrive in a SmartModule's parameters.

use serde::{Deserialize, Serialize};

/// How records are assigned to windows. Times are milliseconds of record time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Shape {
    /// Side by side, each of this size, aligned to 1970.
    Tumbling {
        /// Length of a window.
        size_ms: i64,
    },
    /// Overlapping: one of this size begins at every multiple of `advance_ms`.
    Hopping {
        /// Length of a window.
        size_ms: i64,
        /// From one window's start to the next one's.
        advance_ms: i64,
    },
    /// As long as records keep coming less than `gap_ms` apart.
    Session {
        /// Quiet time that ends a session.
        gap_ms: i64,
    },
}

/// When results are emitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Emission {
    /// Running results of what changed, and a final.
    Update {
        /// Least time between two rounds of updates of one key and definition; 0 emits every change.
        every_ms: i64,
    },
    /// The final alone.
    Close,
}

/// One window definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowSettings {
    /// Name in every update of this definition, e.g. `10s`.
    pub name: String,
    /// Which records a window holds.
    pub shape: Shape,
    /// How long after its end a window still takes records.
    #[serde(default)]
    pub grace_ms: i64,
    /// When its results come.
    #[serde(default)]
    pub emit: Emission,
}

impl Default for Emission {
    /// Ten updates a second.
    fn default() -> Self {
        Self::Update { every_ms: 100 }
    }
}

/// A window definition that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// No definition was given.
    #[error("at least one window is needed")]
    NoWindow,
    /// More definitions than [`WindowSettings::DEFINITIONS_MAX`].
    #[error("{0} windows are more than the {max} that one stage may have", max = WindowSettings::DEFINITIONS_MAX)]
    TooMany(usize),
    /// A length is zero, negative, or longer than [`WindowSettings::TIME_MS_MAX`].
    #[error("window {name:?}: {field} {value_ms} ms is not within {least_ms} ms and 366 days")]
    Interval {
        /// Name of the definition.
        name: String,
        /// `size`, `advance`, `gap`, `grace` or `every`.
        field: &'static str,
        /// The value it asked for.
        value_ms: i64,
        /// The least that works.
        least_ms: i64,
    },
    /// A hopping window whose windows leave holes between them.
    #[error("window {name:?}: the advance of {advance_ms} ms is longer than the size of {size_ms} ms")]
    Holes {
        /// Name of the definition.
        name: String,
        /// Its advance.
        advance_ms: i64,
        /// Its size.
        size_ms: i64,
    },
    /// Too many panes, or too many windows at a time.
    #[error(
        "window {name:?}: it would be kept in {panes} slices, more than {max}; take an advance that divides the size, \
         a longer advance, or less grace", max = WindowSettings::PANES_MAX
    )]
    Panes {
        /// Name of the definition.
        name: String,
        /// Panes that one key would need.
        panes: i64,
    },
    /// Two definitions have one name: their updates could not be told apart.
    #[error("two windows are named {0:?}")]
    SameName(String),
}

impl WindowSettings {
    /// Longest size, advance, gap, grace and interval: 366 days, so that sums of times stay far from overflow.
    pub const TIME_MS_MAX: i64 = 366 * 24 * 60 * 60 * 1000;
    /// Most panes that the open windows of one key may span.
    pub const PANES_MAX: i64 = 10_000;
    /// Most definitions of one stage: each costs every record a look-up.
    pub const DEFINITIONS_MAX: usize = 16;

    /// Checks a set of definitions that share one stage.
    ///
    /// # Errors
    /// The first definition that cannot work.
    pub fn check(all: &[Self]) -> Result<(), SettingsError> {
        if all.is_empty() {
            return Err(SettingsError::NoWindow);
        }
        if all.len() > Self::DEFINITIONS_MAX {
            return Err(SettingsError::TooMany(all.len()));
        }
        for (index, one) in all.iter().enumerate() {
            one.check_times()?;
            if all[..index].iter().any(|other| other.name == one.name) {
                return Err(SettingsError::SameName(one.name.clone()));
            }
        }
        Ok(())
    }

    fn check_times(&self) -> Result<(), SettingsError> {
        let mut times = vec![("grace", self.grace_ms, 0)];
        match self.shape {
            Shape::Tumbling { size_ms } => times.push(("size", size_ms, 1)),
            Shape::Hopping { size_ms, advance_ms } => {
                times.extend([("size", size_ms, 1), ("advance", advance_ms, 1)]);
            }
            Shape::Session { gap_ms } => times.push(("gap", gap_ms, 1)),
        }
        if let Emission::Update { every_ms } = self.emit {
            times.push(("every", every_ms, 0));
        }
        for (field, value_ms, least_ms) in times {
            if !(least_ms..=Self::TIME_MS_MAX).contains(&value_ms) {
                return Err(SettingsError::Interval { name: self.name.clone(), field, value_ms, least_ms });
            }
        }
        if let Shape::Hopping { size_ms, advance_ms } = self.shape
            && advance_ms > size_ms
        {
            return Err(SettingsError::Holes { name: self.name.clone(), advance_ms, size_ms });
        }
        let step_ms = match self.shape {
            Shape::Session { gap_ms } => gap_ms,
            Shape::Tumbling { .. } | Shape::Hopping { .. } => self.pane_ms(),
        };
        let panes = (self.span_ms() + self.grace_ms) / step_ms;
        if panes > Self::PANES_MAX {
            return Err(SettingsError::Panes { name: self.name.clone(), panes });
        }
        Ok(())
    }

    /// Length of a window; of a session, the shortest it can be.
    #[must_use]
    pub fn span_ms(&self) -> i64 {
        match self.shape {
            Shape::Tumbling { size_ms } | Shape::Hopping { size_ms, .. } => size_ms,
            Shape::Session { gap_ms } => gap_ms,
        }
    }

    /// From one aligned window's start to the next one's.
    #[must_use]
    pub fn advance_ms(&self) -> i64 {
        match self.shape {
            Shape::Tumbling { size_ms } => size_ms,
            Shape::Hopping { advance_ms, .. } => advance_ms,
            Shape::Session { gap_ms } => gap_ms,
        }
    }

    /// Length of a pane: the longest slice of time that no aligned window's edge cuts.
    #[must_use]
    pub fn pane_ms(&self) -> i64 {
        match self.shape {
            Shape::Tumbling { size_ms } => size_ms,
            Shape::Hopping { size_ms, advance_ms } => gcd(size_ms, advance_ms),
            Shape::Session { gap_ms } => gap_ms,
        }
    }

    /// Stream time from which on a window that ends at `end_ms` takes nothing more.
    #[must_use]
    pub fn closes_at(&self, end_ms: i64) -> i64 {
        end_ms.saturating_add(self.grace_ms)
    }

    /// The windows that hold a record of this time: 1 but for hopping windows.
    #[must_use]
    pub fn windows_at(&self, time_ms: i64) -> u64 {
        match self.shape {
            Shape::Tumbling { .. } | Shape::Session { .. } => 1,
            Shape::Hopping { size_ms, advance_ms } => {
                let last = time_ms.div_euclid(advance_ms);
                let before = (time_ms - size_ms).div_euclid(advance_ms);
                last.abs_diff(before)
            }
        }
    }

    /// `tumbling`, `hopping` or `session`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.shape {
            Shape::Tumbling { .. } => "tumbling",
            Shape::Hopping { .. } => "hopping",
            Shape::Session { .. } => "session",
        }
    }

    /// Least time between two rounds of updates; none where finals alone are emitted.
    #[must_use]
    pub fn every_ms(&self) -> Option<i64> {
        match self.emit {
            Emission::Update { every_ms } => Some(every_ms),
            Emission::Close => None,
        }
    }
}

/// Greatest common divisor of two positive numbers.
fn gcd(mut a: i64, mut b: i64) -> i64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
