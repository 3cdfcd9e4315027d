//! Whether everything that began before a time has been read.

use std::collections::BTreeMap;

use super::config::History;
use super::result::Found;

/// Definitions that are kept in mind: more than one stage has. With more of them the log is read to its end.
const DEFINITIONS_MAX: usize = 64;

/// Follows the results of one epoch, in order, until no window of the room that begins before `to` can come any more.
///
/// Of one room and definition, finals come in the order of their starts, so one from `to` on says that all before are there. A
/// room that has gone quiet has none; then stream time decides, which other rooms move: a window of fixed length is final once
/// its end and its grace are over.
#[derive(Debug)]
pub(super) struct Passed {
    to: i64,
    grace_ms: i64,
    settle_ms: i64,
    stream_time: i64,
    definitions: BTreeMap<Box<str>, Definition>,
}

#[derive(Debug, Default)]
struct Definition {
    /// Length of its windows, if they have one.
    span_ms: Option<i64>,
    /// A final of the room from `to` on was there.
    is_passed: bool,
}

impl Passed {
    pub(super) fn new(to: i64, config: &History) -> Self {
        Self {
            to,
            grace_ms: ms(config.grace_max),
            settle_ms: ms(config.settle),
            stream_time: i64::MIN,
            definitions: BTreeMap::new(),
        }
    }

    /// Takes a result of the partition.
    pub(super) fn take(&mut self, found: &Found) {
        self.stream_time = self.stream_time.max(found.stream_time());
        if !self.definitions.contains_key(&found.name) && self.definitions.len() <= DEFINITIONS_MAX {
            self.definitions.insert(found.name.clone(), Definition::default());
        }
        let Some(definition) = self.definitions.get_mut(&found.name) else { return };
        if found.is_aligned {
            let span = found.end.saturating_sub(found.start);
            definition.span_ms = Some(definition.span_ms.map_or(span, |known| known.max(span)));
        }
        let is_last = found.is_final && !found.retracted && found.value.is_some();
        definition.is_passed |= is_last && found.start >= self.to;
    }

    /// Whether all is there: of the one definition that is asked for, or of all.
    pub(super) fn is_over(&self, window: Option<&str>) -> bool {
        match window {
            Some(name) => self.definitions.get(name).is_some_and(|definition| self.is_passed(definition)),
            None => {
                self.definitions.len() <= DEFINITIONS_MAX
                    && self.stream_time >= self.to.saturating_add(self.settle_ms)
                    && self.definitions.values().all(|definition| self.is_passed(definition))
            }
        }
    }

    fn is_passed(&self, definition: &Definition) -> bool {
        let ends = |span: i64| self.to.saturating_add(span).saturating_add(self.grace_ms);
        definition.is_passed || definition.span_ms.is_some_and(|span| self.stream_time >= ends(span))
    }
}

/// Whole ms.
pub(super) fn ms(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::{final_of, found};
    use super::*;

    fn config() -> History {
        History {
            grace_max: Duration::from_millis(5),
            settle: Duration::from_millis(50),
            ..History::default()
        }
    }

    #[test]
    fn a_final_from_the_end_on_says_that_a_definition_is_over() {
        let mut passed = Passed::new(100, &config());
        passed.take(&found(&final_of("a", 1, 1, ("10", "tumbling", 90, 100)), "a"));
        assert!(!passed.is_over(Some("10")));
        passed.take(&found(&final_of("b", 1, 2, ("10", "tumbling", 100, 110)), "a"));
        assert!(!passed.is_over(Some("10")), "another room's");
        passed.take(&found(&final_of("a", 1, 3, ("10", "tumbling", 100, 110)), "a"));
        assert!(passed.is_over(Some("10")));
        assert!(!passed.is_over(None), "others may not have shown up");
    }

    #[test]
    fn of_a_quiet_room_stream_time_tells_and_of_a_session_it_does_not() {
        let mut passed = Passed::new(100, &config());
        passed.take(&found(&final_of("a", 1, 1, ("10", "tumbling", 90, 100)), "a"));
        passed.take(&found(&final_of("b", 1, 2, ("10", "tumbling", 140, 150)), "a"));
        assert!(passed.is_over(Some("10")) && passed.is_over(None));
        passed.take(&found(&final_of("b", 1, 3, ("visit", "session", 0, 150)), "a"));
        assert!(!passed.is_over(Some("visit")) && !passed.is_over(None) && passed.is_over(Some("10")));
        assert!(!passed.is_over(Some("never seen")));
    }
}
