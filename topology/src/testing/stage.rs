//! One stage of a test, run in several ways.

use bytes::Bytes;
use fluvio_smartmodule::SMARTMODULE_TIMESTAMPS_VERSION as VERSION;
use fluvio_smartmodule::dataplane::record::Record;
use fluvio_smartmodule::dataplane::smartmodule::SmartModuleInput;
use ovation_client::ChainRecord;

use super::case::Outlet;
use super::chain::Chain;
use super::compare::ActualRecord;
use super::host::{Host, OpenFailure};
use super::report::{Disturbance, Mismatch};
use super::sort::{EPOCH, Sorted, Watch, returned, sort};
use crate::checkpoint::{Checkpoint, Choice, choose};
use crate::plan::TaskPlan;

/// Bytes of results and dead letters that a stage may give in a test.
pub const OUTPUT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Places in a test's inputs at which a stage is started again.
const RESTARTS_MAX: usize = 3;

/// How a stage's chain is opened.
#[derive(Debug, Clone)]
pub(super) struct StagePlan {
    task: TaskPlan,
}

/// A record of a stage's source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourceRecord {
    pub(super) key: Option<Bytes>,
    pub(super) value: Bytes,
    /// Milliseconds since 1970.
    pub(super) timestamp: i64,
}

/// What a stage has made of a record.
#[derive(Debug, Default)]
pub(super) struct Taken {
    results: Vec<ChainRecord>,
    letters: Vec<ChainRecord>,
}

impl Taken {
    pub(super) fn of(&self, outlet: Outlet) -> &[ChainRecord] {
        match outlet {
            Outlet::Results => &self.results,
            Outlet::DeadLetters => &self.letters,
        }
    }
}

/// A stage's run.
#[derive(Debug, Default)]
pub(super) struct StageRun {
    /// One for every record that was taken; fewer than there were where the chain has failed.
    pub(super) taken: Vec<Taken>,
    /// What is wrong with the stage, whatever the test expects.
    pub(super) mismatches: Vec<Mismatch>,
}

impl StageRun {
    /// All that an outlet gave, in order.
    pub(super) fn outlet(&self, outlet: Outlet) -> Vec<ActualRecord> {
        flat(&self.taken, outlet).into_iter().map(ActualRecord::new).collect()
    }
}

impl StagePlan {
    pub(super) fn new(task: TaskPlan) -> Self {
        Self { task }
    }

    pub(super) fn name(&self) -> &str {
        &self.task.stage
    }

    pub(super) fn source(&self) -> &str {
        &self.task.source
    }

    /// Topics with what it gives.
    pub(super) fn outlets(&self) -> impl Iterator<Item = (Outlet, &str)> {
        let letters = self.task.dead_letter.as_deref().map(|topic| (Outlet::DeadLetters, topic));
        std::iter::once((Outlet::Results, self.task.sink.as_str())).chain(letters)
    }

    /// Opens its chain at the start of an epoch.
    pub(super) fn open(&self, host: &Host) -> Result<Chain, OpenFailure> {
        self.open_with(host, &self.start(), false)
    }

    fn start(&self) -> Checkpoint {
        let config = self.task.config.clone();
        Checkpoint { config, offset: 0, seq: 0, reject_seq: 0, pieces: Vec::new() }
    }

    fn open_with(&self, host: &Host, from: &Checkpoint, checkpoint_each: bool) -> Result<Chain, OpenFailure> {
        let mut modules = self.task.modules(EPOCH, from);
        if checkpoint_each && let Some(last) = modules.last_mut() {
            last.params.insert("ovation.checkpoint.records".to_owned(), "1".to_owned());
        }
        host.open(modules.iter().map(|module| (module.name.as_str(), &module.params)))
    }

    /// Runs the stage over the records: one a batch, which is what the test is about; then all of them in one batch, and with
    /// restarts, which must not change anything.
    pub(super) fn run(&self, host: &Host, records: &[SourceRecord]) -> StageRun {
        let mut run = StageRun::default();
        if let Err(message) = self.one_by_one(host, records, &mut run) {
            run.mismatches.push(self.failed(message));
            return run;
        }
        let answers = run.taken.as_slice();
        let disturbed =
            [self.in_one_batch(host, records, answers), self.with_restarts(host, records, answers)];
        for found in disturbed {
            run.mismatches.extend(found.unwrap_or_else(|message| vec![self.failed(message)]));
        }
        run
    }

    fn failed(&self, message: String) -> Mismatch {
        Mismatch::Failed { stage: self.name().to_owned(), message }
    }

    fn one_by_one(&self, host: &Host, records: &[SourceRecord], run: &mut StageRun) -> Result<(), String> {
        let mut chain = self.open(host).map_err(|error| error.to_string())?;
        let mut watch = Watch::new(self.name());
        let mut bytes = 0;
        for (offset, record) in records.iter().enumerate() {
            let number = offset + 1;
            let returned = call(&mut chain, offset, std::slice::from_ref(record))
                .map_err(|message| format!("with input {number}: {message}"))?;
            watch.take(&returned);
            let sorted = sort(returned);
            bytes +=
                sorted.results.iter().chain(&sorted.letters).map(|record| record.value.len()).sum::<usize>();
            if bytes > OUTPUT_BYTES_MAX {
                return Err(format!(
                    "with input {number}: it has given {bytes} bytes, and {OUTPUT_BYTES_MAX} are the most in a test"
                ));
            }
            run.taken.push(taken(sorted));
        }
        if let Some(message) = watch.breach() {
            run.mismatches.push(Mismatch::Contract { stage: self.name().to_owned(), message });
        }
        Ok(())
    }

    fn in_one_batch(
        &self,
        host: &Host,
        records: &[SourceRecord],
        answers: &[Taken],
    ) -> Result<Vec<Mismatch>, String> {
        if records.len() < 2 {
            return Ok(Vec::new());
        }
        let mut chain = self.open(host).map_err(|error| error.to_string())?;
        let sorted = call(&mut chain, 0, records)
            .map(sort)
            .map_err(|message| format!("with all inputs in one batch: {message}"))?;
        Ok(self.differences(Disturbance::OneBatch, answers, &[taken(sorted)]))
    }

    /// Makes a checkpoint after each record, and goes on from some of them with new instances.
    fn with_restarts(
        &self,
        host: &Host,
        records: &[SourceRecord],
        answers: &[Taken],
    ) -> Result<Vec<Mismatch>, String> {
        let places = restart_places(records.len());
        let last = places.last().copied().unwrap_or(0);
        let mut chain = self.open_with(host, &self.start(), true).map_err(|error| error.to_string())?;
        let mut disturbed = Vec::with_capacity(last);
        for (number, record) in records.iter().take(last).enumerate() {
            let returned = call(&mut chain, number, std::slice::from_ref(record))
                .map_err(|message| format!("with a checkpoint after each input: {message}"))?;
            let mut sorted = sort(returned);
            let pieces = std::mem::take(&mut sorted.pieces);
            disturbed.push(taken(sorted));
            if !places.contains(&(number + 1)) {
                continue;
            }
            let checkpoint = match choose(&pieces, EPOCH, &self.task.config, u64::MAX, u64::MAX) {
                Choice::Restore(checkpoint) => checkpoint,
                // A stage without state has none to restore.
                Choice::None => continue,
                Choice::Foreign(_) => {
                    return Err("its checkpoint does not name the configuration that it was given".to_owned());
                }
            };
            let found = self.restarted(host, &checkpoint, records, answers)?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(self.differences(Disturbance::Checkpoints, &answers[..last], &disturbed))
    }

    fn restarted(
        &self,
        host: &Host,
        checkpoint: &Checkpoint,
        records: &[SourceRecord],
        answers: &[Taken],
    ) -> Result<Vec<Mismatch>, String> {
        let context = |message: &dyn std::fmt::Display| {
            format!("started again with its checkpoint at offset {}: {message}", checkpoint.offset)
        };
        let from = usize::try_from(checkpoint.offset)
            .ok()
            .filter(|from| *from <= records.len())
            .ok_or_else(|| context(&"there is no such offset"))?;
        let mut chain = self.open_with(host, checkpoint, false).map_err(|error| context(&error))?;
        let mut disturbed = Vec::with_capacity(records.len() - from);
        for (number, record) in records.iter().enumerate().skip(from) {
            let records =
                call(&mut chain, number, std::slice::from_ref(record)).map_err(|error| context(&error))?;
            disturbed.push(taken(sort(records)));
        }
        let disturbance = Disturbance::Restart { offset: checkpoint.offset };
        Ok(self.differences(disturbance, &answers[from..], &disturbed))
    }

    fn differences(&self, disturbance: Disturbance, calm: &[Taken], disturbed: &[Taken]) -> Vec<Mismatch> {
        let outlets = [Outlet::Results, Outlet::DeadLetters].into_iter();
        outlets
            .filter_map(|outlet| {
                let calm = flat(calm, outlet);
                let disturbed = flat(disturbed, outlet);
                (calm != disturbed).then(|| Mismatch::Unstable {
                    stage: self.name().to_owned(),
                    outlet,
                    disturbance,
                    calm: calm.into_iter().map(ActualRecord::new).collect(),
                    disturbed: disturbed.into_iter().map(ActualRecord::new).collect(),
                })
            })
            .collect()
    }
}

fn taken(sorted: Sorted) -> Taken {
    Taken { results: sorted.results, letters: sorted.letters }
}

fn flat(taken: &[Taken], outlet: Outlet) -> Vec<&ChainRecord> {
    taken.iter().flat_map(|taken| taken.of(outlet)).collect()
}

/// Numbers of records after which a stage is started again: spread evenly, never before the first nor after the last one.
fn restart_places(records: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (1..=RESTARTS_MAX)
        .map(|place| records * place / (RESTARTS_MAX + 1))
        .filter(|place| *place > 0)
        .collect();
    places.dedup();
    places
}

/// One call: these records, from this offset on.
fn call(chain: &mut Chain, offset: usize, records: &[SourceRecord]) -> Result<Vec<ChainRecord>, String> {
    let base_timestamp = records.first().map_or(0, |first| first.timestamp);
    let encoded = records.iter().zip(0i64..).map(|(record, delta)| {
        let mut encoded = Record::new(record.value.clone());
        encoded.key = record.key.clone().map(Into::into);
        encoded.preamble.set_offset_delta(delta);
        encoded.preamble.set_timestamp_delta(record.timestamp - base_timestamp);
        encoded
    });
    let mut input = SmartModuleInput::try_from_records(encoded.collect(), VERSION)
        .map_err(|error| format!("failed to encode a batch: {error}"))?;
    input.set_base_offset(i64::try_from(offset).unwrap_or(i64::MAX));
    input.set_base_timestamp(base_timestamp);
    let output = chain.process(input).map_err(|error| error.to_string())?;
    match output.error {
        Some(error) => Err(format!("a SmartModule refused the batch: {}", error.hint)),
        None => Ok(returned(&output.successes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_are_spread_over_the_inputs() {
        assert_eq!(restart_places(0), Vec::<usize>::new());
        assert_eq!(restart_places(1), Vec::<usize>::new());
        assert_eq!(restart_places(2), [1]);
        assert_eq!(restart_places(3), [1, 2]);
        assert_eq!(restart_places(10), [2, 5, 7]);
    }
}
