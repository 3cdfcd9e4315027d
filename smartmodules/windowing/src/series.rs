//! The windows of one key and one definition, of whatever shape.

use serde::{Deserialize, Serialize};

use crate::aligned::Aligned;
use crate::sessions::Sessions;
use crate::{Aggregate, Shape, WindowSettings};

/// What became of a record in one definition.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Added {
    /// Windows that hold its time and had closed.
    pub(crate) missed: u64,
    /// It is in at least one window.
    pub(crate) counted: bool,
    /// Panes or sessions that there are more, or fewer.
    pub(crate) parts: i64,
    /// When the series closes or is due may have changed, or whether it holds anything.
    pub(crate) moved: bool,
}

/// What a final took with it.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Closed {
    /// Panes or sessions that are gone.
    pub(crate) parts: usize,
}

/// One window's result, without the names around it.
#[derive(Debug)]
pub(crate) struct Part<'a, A> {
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    pub(crate) revision: u64,
    pub(crate) last: bool,
    pub(crate) retracted: bool,
    pub(crate) aggregate: &'a A,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "", rename_all = "lowercase")]
pub(crate) enum Series<A: Aggregate> {
    Aligned(Aligned<A>),
    Sessions(Sessions<A>),
}

impl<A: Aggregate> Series<A> {
    pub(crate) fn new(settings: &WindowSettings) -> Self {
        match settings.shape {
            Shape::Tumbling { .. } | Shape::Hopping { .. } => Self::Aligned(Aligned::default()),
            Shape::Session { .. } => Self::Sessions(Sessions::default()),
        }
    }

    /// Adds a record; what is due has to be closed before. Retractions are emitted at once.
    pub(crate) fn add(
        &mut self,
        settings: &WindowSettings,
        time_ms: i64,
        item: &A::Item<'_>,
        now: i64,
        emit: &mut impl FnMut(Part<'_, A>),
    ) -> Added {
        match self {
            Self::Aligned(windows) => windows.add(settings, time_ms, item, now),
            Self::Sessions(sessions) => sessions.add(settings, time_ms, item, now, emit),
        }
    }

    /// Stream time at which the next window is final.
    pub(crate) fn closes_at(&self, settings: &WindowSettings) -> Option<i64> {
        match self {
            Self::Aligned(windows) => windows.closes_at(settings),
            Self::Sessions(sessions) => sessions.closes_at(settings),
        }
    }

    /// Emits the final of the window that closes next.
    pub(crate) fn close_next(
        &mut self,
        settings: &WindowSettings,
        emit: &mut impl FnMut(Part<'_, A>),
    ) -> Closed {
        match self {
            Self::Aligned(windows) => windows.close_next(settings, emit),
            Self::Sessions(sessions) => sessions.close_next(settings, emit),
        }
    }

    /// Time at which what has changed may be emitted; none if nothing has. At once if nothing ever was.
    pub(crate) fn due_at(&self, settings: &WindowSettings) -> Option<i64> {
        let every_ms = settings.every_ms()?;
        let (dirty, emitted_at) = match self {
            Self::Aligned(windows) => (windows.is_dirty(), windows.emitted_at),
            Self::Sessions(sessions) => (sessions.is_dirty(), sessions.emitted_at),
        };
        dirty.then(|| emitted_at.map_or(i64::MIN, |at| at.saturating_add(every_ms)))
    }

    /// Emits every window that has changed.
    pub(crate) fn update(
        &mut self,
        settings: &WindowSettings,
        clock: i64,
        emit: &mut impl FnMut(Part<'_, A>),
    ) {
        match self {
            Self::Aligned(windows) => {
                windows.emitted_at = Some(clock);
                windows.update(settings, emit);
            }
            Self::Sessions(sessions) => {
                sessions.emitted_at = Some(clock);
                sessions.update(settings, emit);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Aligned(windows) => windows.is_empty(),
            Self::Sessions(sessions) => sessions.is_empty(),
        }
    }

    /// Panes or sessions.
    pub(crate) fn parts(&self) -> usize {
        match self {
            Self::Aligned(windows) => windows.parts(),
            Self::Sessions(sessions) => sessions.parts(),
        }
    }
}
