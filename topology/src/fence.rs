//! What to do when a numbered record was not acknowledged: a small state machine without any I/O.
//!
//! In Fluvio a fence's memory moves before the write and apart from it (docs/fluvio.md 19 to 21), so neither an acknowledgement
//! nor a refusal says what is stored. Only the log does.

/// A place in the numbering of one outlet partition. Orders by epoch, then by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Place {
    /// Counts resets.
    pub(crate) epoch: u64,
    /// Number of the last record; 0 for none.
    pub(crate) seq: u64,
}

/// What the fence said it expects next, taken from its error's text.
pub(crate) fn expected_by_fence(refusal: &str) -> Option<Place> {
    let (_, rest) = refusal.split_once("fence: expected epoch ")?;
    let (epoch, rest) = rest.split_once(" seq ")?;
    let digits = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    Some(Place { epoch: epoch.parse().ok()?, seq: rest[..digits].parse().ok()? })
}

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// Everything is stored.
    Stored,
    /// The log holds numbers that this task did not send: another engine writes.
    Overtaken,
}

/// Which of an outlet's numbers may be this task's own work.
#[derive(Debug)]
pub(crate) struct Sent {
    last: u64,
}

impl Sent {
    /// `stored` is where the task began: nobody asks whose those are.
    pub(crate) fn new(stored: u64) -> Self {
        Self { last: stored }
    }

    /// A batch up to here was stored, or may have been: it was not acknowledged, and not refused.
    pub(crate) fn reach(&mut self, last: u64) {
        self.last = self.last.max(last);
    }

    /// Whether a log that ends with this number was written to by somebody else. A refusal alone does not tell: a fence may
    /// be ahead of its log, or have forgotten it.
    pub(crate) fn is_foreign(&self, stored: u64) -> bool {
        stored > self.last
    }
}

/// How far from the log a fence's memory is looked for when its refusals say nothing: more numbers than one batch has.
const FENCE_SEARCH_MAX: u64 = 4_096;

/// What a fence that does not continue the log's last number `to` may remember, the likely first: the batch that was just
/// refused, nothing, numbers above (a write that failed), numbers below (it was set back by somebody who was late).
pub(crate) fn guesses(to: u64, last_sent: u64) -> impl Iterator<Item = u64> {
    let near = (1..=FENCE_SEARCH_MAX).flat_map(move |far| [Some(to + far), to.checked_sub(far)]);
    [last_sent, 0].into_iter().chain(near.flatten()).filter(move |guess| *guess != to)
}

/// The next thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send what is not stored yet.
    Send,
    /// The fence remembers something else than the log holds: wait, and look again.
    Wait,
    /// It has had its time: set its memory from here to there. Both are places of the fence's epoch.
    Resync { from: Place, to: u64 },
    /// Somebody has begun a newer epoch: this task is of the past.
    Superseded(Place),
}

/// How often the log is read again before a fence's memory is set right. A write that is on its way arrives within these.
const LOOKS_BEFORE_RESYNC: u32 = 5;

/// Follows one refusal, or a row of them, until something is stored again.
#[derive(Debug, Default)]
pub(crate) struct Reconciliation {
    looks: u32,
    last: Option<(Place, Place)>,
    silent: u32,
    silent_at: Option<Place>,
}

impl Reconciliation {
    /// Counts a refusal without a word; whether there were so many, with the log standing still, that the fence must remember
    /// something else than the log holds.
    pub(crate) fn is_stuck(&mut self, stored: Place) -> bool {
        if self.silent_at != Some(stored) {
            self.silent_at = Some(stored);
            self.silent = 0;
        }
        self.silent += 1;
        self.silent >= LOOKS_BEFORE_RESYNC
    }

    /// What to do, given the epoch of this task, what the log holds, and what the fence last said it expects (if it was
    /// the fence that said no).
    pub(crate) fn step(&mut self, epoch: u64, stored: Place, expected: Option<Place>) -> Step {
        if stored.epoch > epoch {
            return Step::Superseded(stored);
        }
        let Some(expected) = expected else { return Step::Send };
        let remembered = expected.seq.saturating_sub(1);
        let stored_seq = if stored.epoch == expected.epoch { stored.seq } else { 0 };
        if remembered == stored_seq {
            // Fence and log agree: what was sent did not continue the log, and what is left does.
            return Step::Send;
        }
        if self.last != Some((stored, expected)) {
            self.last = Some((stored, expected));
            self.looks = 0;
        }
        self.looks += 1;
        if self.looks < LOOKS_BEFORE_RESYNC {
            return Step::Wait;
        }
        self.looks = 0;
        Step::Resync { from: Place { epoch: expected.epoch, seq: remembered }, to: stored_seq }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place(epoch: u64, seq: u64) -> Place {
        Place { epoch, seq }
    }

    #[test]
    fn the_number_a_fence_expects_is_read_from_its_error() {
        let text = "SmartModule transform error fence: expected epoch 1 seq 42, got epoch 1 seq 40\n\nSmartModule Info:";
        assert_eq!(expected_by_fence(text), Some(place(1, 42)));
        assert_eq!(expected_by_fence("fence: expected epoch 2 seq 1"), Some(place(2, 1)));
        assert_eq!(expected_by_fence("fence: expected epoch x seq 1"), None);
        assert_eq!(expected_by_fence("disk full"), None);
    }

    #[test]
    fn a_replay_goes_on_with_what_the_log_lacks() {
        assert_eq!(Reconciliation::default().step(1, place(1, 41), Some(place(1, 42))), Step::Send);
    }

    #[test]
    fn a_lost_acknowledgement_goes_on_with_what_the_log_lacks() {
        assert_eq!(Reconciliation::default().step(1, place(1, 41), None), Step::Send);
    }

    #[test]
    fn a_fence_ahead_of_its_log_is_given_time_and_then_set_back() {
        let mut reconciliation = Reconciliation::default();
        for _ in 1..LOOKS_BEFORE_RESYNC {
            assert_eq!(reconciliation.step(1, place(1, 41), Some(place(1, 50))), Step::Wait);
        }
        assert_eq!(
            reconciliation.step(1, place(1, 41), Some(place(1, 50))),
            Step::Resync { from: place(1, 49), to: 41 }
        );
    }

    #[test]
    fn a_fence_that_has_forgotten_its_log_is_reminded() {
        // docs/fluvio.md 21: its look-back reads one segment, which may just have begun.
        let mut reconciliation = Reconciliation::default();
        let step = std::iter::repeat_with(|| reconciliation.step(1, place(1, 41), Some(place(1, 1))))
            .find(|step| *step != Step::Wait);
        assert_eq!(step, Some(Step::Resync { from: place(1, 0), to: 41 }));
    }

    #[test]
    fn a_log_that_moves_restarts_the_wait() {
        let mut reconciliation = Reconciliation::default();
        for seq in 40..60 {
            let step = reconciliation.step(1, place(1, seq), Some(place(1, 100)));
            assert_eq!(step, Step::Wait, "stored {seq}");
        }
    }

    #[test]
    fn an_epoch_that_only_the_fence_knows_is_forgotten() {
        let mut reconciliation = Reconciliation::default();
        let step = std::iter::repeat_with(|| reconciliation.step(2, place(1, 9), Some(place(2, 4))))
            .find(|step| *step != Step::Wait);
        assert_eq!(step, Some(Step::Resync { from: place(2, 3), to: 0 }));
    }

    #[test]
    fn a_resync_that_came_late_is_followed_by_another_one() {
        // Decided when the log ended at 41 and the fence remembered 49. Then the process stood still, another engine set the
        // fence right and stored up to 49: the comparison holds, and the fence is set back.
        let mut reconciliation = Reconciliation::default();
        let decided = std::iter::repeat_with(|| reconciliation.step(1, place(1, 41), Some(place(1, 50))))
            .find(|step| *step != Step::Wait);
        assert_eq!(decided, Some(Step::Resync { from: place(1, 49), to: 41 }));
        // The log is read again with what the fence expects by now, and nothing is sent before both agree.
        let next = std::iter::repeat_with(|| reconciliation.step(1, place(1, 49), Some(place(1, 42))))
            .find(|step| *step != Step::Wait);
        assert_eq!(next, Some(Step::Resync { from: place(1, 41), to: 49 }));
        assert_eq!(reconciliation.step(1, place(1, 49), Some(place(1, 50))), Step::Send);
    }

    #[test]
    fn numbers_beyond_what_was_sent_are_somebody_elses() {
        let mut sent = Sent::new(40);
        assert!(!sent.is_foreign(40));
        assert!(sent.is_foreign(41), "the batch from 41 on was refused, and 41 is there");
        sent.reach(44);
        assert!(!sent.is_foreign(44), "a batch without an answer may have arrived");
        assert!(sent.is_foreign(45));
    }

    #[test]
    fn a_silent_fence_is_guessed_from_near_to_far_on_both_sides() {
        assert_eq!(guesses(41, 50).take(6).collect::<Vec<_>>(), [50, 0, 42, 40, 43, 39]);
        assert_eq!(guesses(0, 3).take(4).collect::<Vec<_>>(), [3, 1, 2, 3], "never what the log says");
    }

    #[test]
    fn a_newer_epoch_in_the_log_ends_the_task() {
        let step = Reconciliation::default().step(1, place(2, 3), Some(place(2, 4)));
        assert_eq!(step, Step::Superseded(place(2, 3)));
    }

    /// A fence and a log, as badly as Fluvio keeps them.
    #[derive(Debug, Default)]
    struct Broker {
        memory: u64,
        log: Vec<u64>,
    }

    impl Broker {
        fn end(&self) -> u64 {
            self.log.last().copied().unwrap_or(0)
        }

        /// Stores a batch or says what it expects; `torn`: the memory moves and the write fails.
        fn produce(&mut self, batch: &[u64], torn: bool) -> Result<(), Option<Place>> {
            if batch.first() != Some(&(self.memory + 1)) {
                return Err(Some(place(1, self.memory + 1)));
            }
            self.memory += batch.len() as u64;
            if torn {
                return Err(None);
            }
            self.log.extend(batch);
            Ok(())
        }
    }

    proptest! {
        /// Whatever tears, whoever else writes in between, and however long this engine stands still between a decision and
        /// the deed: the log ends up with each number once, in order.
        #[test]
        fn the_log_gets_each_number_once(faults in prop::collection::vec((0..10u8, 1..5usize, 0..4u8), 1..60)) {
            let mut broker = Broker::default();
            let mut faults = faults.into_iter();
            let mut pending: Vec<u64> = (1..=40).collect();
            let mut reconciliation = Reconciliation::default();
            let mut refusal = None;
            for _ in 0..2_000 {
                if pending.is_empty() {
                    break;
                }
                let stored = place(1, broker.end());
                pending.retain(|seq| *seq > stored.seq);
                match reconciliation.step(1, stored, refusal) {
                    Step::Send if !pending.is_empty() => {
                        let (fault, size, rival) = faults.next().unwrap_or((9, 3, 9));
                        if rival == 0 {
                            // Another engine, which knows the log as well, is quicker.
                            let _ = broker.produce(&[broker.end() + 1], fault < 2);
                        }
                        let batch: Vec<u64> = pending.iter().copied().take(size).collect();
                        refusal = match broker.produce(&batch, fault < 4) {
                            Ok(()) => None,
                            Err(refusal) => refusal,
                        };
                    }
                    Step::Send => {}
                    Step::Wait => {
                        // Asking again gives the same answer.
                        refusal = Some(place(1, broker.memory + 1));
                    }
                    Step::Resync { from, to } => {
                        let (_, _, rival) = faults.next().unwrap_or((9, 3, 9));
                        if rival == 1 {
                            // Another engine does the same first, and goes on until the fence remembers `from` again.
                            broker.memory = to;
                            while broker.memory < from.seq {
                                let _ = broker.produce(&[broker.end() + 1], false);
                            }
                        }
                        refusal = Some(place(1, broker.memory + 1));
                        if broker.memory == from.seq {
                            broker.memory = to;
                            refusal = Some(place(1, to + 1));
                        }
                    }
                    Step::Superseded(_) => unreachable!("there is one epoch"),
                }
            }
            prop_assert!(broker.log.len() >= 40, "{} stored", broker.log.len());
            let whole: Vec<u64> = (1..=broker.log.len() as u64).collect();
            prop_assert_eq!(&broker.log, &whole);
        }
    }
}
