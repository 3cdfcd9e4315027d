//! How far a gateway is with reading the rooms' own settings.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use crate::health::Part;

/// Where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// There is no topic by configuration.
    Fixed,
    /// The topic is looked for.
    Looking,
    /// The broker has no such topic.
    Absent,
    /// The topic is read for the first time.
    Reading,
    /// It was read once, and is followed.
    Read,
}

/// The state, for those who wait for it and for `/readyz`.
pub(super) struct Standing {
    topic: String,
    state: watch::Sender<(Phase, String)>,
    /// Whether what is known can be acted upon, for whom every nanosecond counts.
    known: AtomicBool,
}

impl Standing {
    pub(super) fn new(topic: Option<&str>) -> Self {
        let phase = if topic.is_some() { Phase::Looking } else { Phase::Fixed };
        Self {
            topic: topic.unwrap_or_default().to_owned(),
            state: watch::Sender::new((phase, String::new())),
            known: AtomicBool::new(phase == Phase::Fixed),
        }
    }

    /// Whether reactions can be judged.
    pub(super) fn is_known(&self) -> bool {
        self.known.load(Ordering::Acquire)
    }

    pub(super) fn phase(&self) -> Phase {
        self.state.borrow().0
    }

    /// The next phase; what went wrong before it is forgotten.
    pub(super) fn enter(&self, phase: Phase) {
        let known = match phase {
            Phase::Fixed | Phase::Absent | Phase::Read => true,
            Phase::Looking | Phase::Reading => false,
        };
        self.known.store(known, Ordering::Release);
        self.state.send_if_modified(|state| {
            let changed = state.0 != phase || !state.1.is_empty();
            *state = (phase, String::new());
            changed
        });
    }

    /// Something goes wrong; what is known stays known.
    pub(super) fn trouble(&self, trouble: String) {
        self.state.send_modify(|state| state.1 = trouble);
    }

    /// All is well again.
    pub(super) fn mended(&self) {
        self.state.send_if_modified(|state| !std::mem::take(&mut state.1).is_empty());
    }

    pub(super) fn part(&self, rooms: usize) -> Part {
        let (phase, trouble) = self.state.borrow().clone();
        let topic = &self.topic;
        let detail = match phase {
            _ if !trouble.is_empty() => trouble,
            Phase::Fixed => "set by the file alone".to_owned(),
            Phase::Absent => format!("there is no topic {topic}: set by the file alone"),
            Phase::Looking => format!("looking for topic {topic}"),
            Phase::Reading => format!("reading topic {topic}"),
            Phase::Read => format!("{rooms} with settings of their own"),
        };
        Part { name: "rooms".into(), ready: self.is_known(), detail }
    }

    /// Waits until reactions can be judged.
    pub(super) async fn ready(&self) {
        // The sender is here, so this ends by what it waits for alone.
        let _ = self.state.subscribe().wait_for(|_| self.is_known()).await;
    }

    /// Waits for a phase.
    #[cfg(test)]
    pub(super) async fn wait(&self, phase: Phase) {
        let mut state = self.state.subscribe();
        let _ = state.wait_for(|state| state.0 == phase).await.expect("the sender is here");
    }
}
