//! Finds out where a task goes on: what its outlets hold, and which checkpoint they confirm.

use ovation_client::{Cluster, Error as ClientError, Record, bounds, read_tail};
use tracing::info;

use crate::checkpoint::{Checkpoint, Choice, choose, newest_epoch, pieces};
use crate::control::Numbered;
use crate::failure::Failure;
use crate::fence::Place;
use crate::plan::TaskPlan;

/// Records of an outlet that are looked at for the largest number: with two engines at work the last record need not
/// have it (docs/fluvio.md 20).
pub(crate) const OUTLET_TAIL: u32 = 32;
/// Records of a checkpoint partition that are looked at first; each further look takes more.
const FIRST_LOOK: u32 = 64;
const LOOK_GROWTH: u32 = 8;

/// Where a task goes on.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) epoch: u64,
    pub(crate) checkpoint: Checkpoint,
    /// The checkpoint is a start that nobody has written down yet.
    pub(crate) is_new: bool,
    /// Last stored result.
    pub(crate) stored: Place,
    /// Last stored dead letter.
    pub(crate) stored_reject: Place,
    /// The oldest source offset that is there.
    pub(crate) source_start: i64,
    /// The source's high watermark.
    pub(crate) high_watermark: i64,
    /// Everything below this offset of the checkpoint partition was there to be looked at.
    pub(crate) checkpoints_end: i64,
}

impl Restored {
    /// Whether the source holds nothing that is to be processed.
    pub(crate) fn is_caught_up(&self) -> bool {
        self.checkpoint.offset >= self.high_watermark
    }

    /// Source offset to open the stream at. A chain that has nothing to read says nothing (docs/fluvio.md 9). Where a tick
    /// cannot make it speak it is given the last record again, which its last module skips, and answers.
    pub(crate) fn opening(&self, ticks: bool) -> i64 {
        let Checkpoint { offset, .. } = self.checkpoint;
        let speaks = ticks || !self.is_caught_up() || offset <= self.source_start;
        if speaks { offset } else { offset - 1 }
    }

    /// Whether no answer can be waited for: nothing to process, no ticks, and no record to give again.
    pub(crate) fn is_mute(&self, ticks: bool) -> bool {
        !ticks && self.is_caught_up() && self.opening(ticks) == self.checkpoint.offset
    }

    /// Number of the last stored result of the epoch.
    pub(crate) fn stored_seq(&self) -> u64 {
        if self.stored.epoch == self.epoch { self.stored.seq } else { 0 }
    }

    /// Number of the last stored dead letter of the epoch.
    pub(crate) fn stored_reject_seq(&self) -> u64 {
        if self.stored_reject.epoch == self.epoch { self.stored_reject.seq } else { 0 }
    }
}

/// Reads outlets, source and checkpoints.
pub(crate) async fn restore(cluster: &Cluster, plan: &TaskPlan) -> Result<Restored, Failure> {
    let way_out = WayOut { cluster, plan };
    let sink = last_of(cluster, &plan.sink, plan.partition).await?;
    let letters = match &plan.dead_letter {
        Some(topic) => last_of(cluster, topic, plan.partition).await?,
        None => None,
    };
    let source = bounds(cluster, &plan.source, plan.partition).await?;
    let found = look_back(cluster, plan, place_of(sink.as_ref()), place_of(letters.as_ref())).await?;
    let epoch = found.epoch;
    let stored = own(sink, &way_out, &plan.sink, epoch)?;
    let stored_reject = own(letters, &way_out, plan.dead_letter.as_deref().unwrap_or_default(), epoch)?;
    let checkpoint = match found.choice {
        Choice::Restore(checkpoint) => Some(checkpoint),
        Choice::None => None,
        Choice::Foreign(config) => return Err(way_out.foreign(&config)),
    };
    let has_results = stored.epoch == epoch || stored_reject.epoch == epoch;
    let is_new = checkpoint.is_none();
    let checkpoint = match checkpoint {
        Some(checkpoint) if checkpoint.offset < source.start => {
            return Err(way_out.lost(checkpoint.offset, source.start));
        }
        Some(checkpoint) if checkpoint.offset > source.end => {
            return Err(way_out.beyond(checkpoint.offset, source.end));
        }
        Some(checkpoint) => checkpoint,
        None if has_results && source.start > 0 => return Err(way_out.lost(0, source.start)),
        // A start is written down before the first result: whoever made these, nobody knows with which settings.
        None if has_results && plan.checkpoints.is_some() => return Err(way_out.forgotten(epoch)),
        None => Checkpoint {
            config: plan.config.clone(),
            offset: source.start,
            seq: 0,
            reject_seq: 0,
            pieces: Vec::new(),
        },
    };
    info!(
        stage = plan.stage,
        partition = plan.partition,
        epoch,
        offset = checkpoint.offset,
        seq = checkpoint.seq,
        stored = stored.seq,
        "going on from here"
    );
    Ok(Restored {
        epoch,
        checkpoint,
        is_new,
        stored,
        stored_reject,
        source_start: source.start,
        high_watermark: source.end,
        checkpoints_end: found.checkpoints_end,
    })
}

/// The last number that an outlet of the stage holds; zeros if it holds nothing.
pub(crate) async fn last_stored(
    cluster: &Cluster,
    plan: &TaskPlan,
    topic: &str,
    epoch: u64,
) -> Result<Place, Failure> {
    let last = last_of(cluster, topic, plan.partition).await?;
    own(last, &WayOut { cluster, plan }, topic, epoch)
}

/// The largest number in an outlet's partition, whichever stage made it.
pub(crate) async fn last_of(
    cluster: &Cluster,
    topic: &str,
    partition: u32,
) -> Result<Option<Numbered>, ClientError> {
    Ok(highest(&read_tail(cluster, topic, partition, OUTLET_TAIL).await?))
}

pub(crate) fn place_of(last: Option<&Numbered>) -> Place {
    last.map_or(Place::default(), |last| Place { epoch: last.epoch, seq: last.seq })
}

/// Its place, if the stage made it, or if it is of an older epoch, which does not matter any more.
fn own(last: Option<Numbered>, way_out: &WayOut<'_>, topic: &str, epoch: u64) -> Result<Place, Failure> {
    match last {
        Some(last) if last.stage != way_out.plan.stage && last.epoch >= epoch => {
            Err(way_out.stranger(topic, &last.stage))
        }
        last => Ok(place_of(last.as_ref())),
    }
}

/// The largest number among the records.
fn highest(records: &[Record]) -> Option<Numbered> {
    let numbered = records.iter().filter_map(|record| serde_json::from_slice::<Numbered>(&record.value).ok());
    numbered.max_by_key(|numbered| (numbered.epoch, numbered.seq))
}

/// What a checkpoint partition says.
pub(crate) struct Found {
    /// The present epoch, from 1.
    pub(crate) epoch: u64,
    /// The checkpoint to begin with.
    pub(crate) choice: Choice,
    /// End of the partition before it was read.
    pub(crate) checkpoints_end: i64,
}

/// Looks further and further back until a checkpoint is found or there are no more.
pub(crate) async fn look_back(
    cluster: &Cluster,
    plan: &TaskPlan,
    stored: Place,
    stored_reject: Place,
) -> Result<Found, ClientError> {
    let outlets = stored.epoch.max(stored_reject.epoch).max(1);
    let Some(topic) = &plan.checkpoints else {
        return Ok(Found { epoch: outlets, choice: Choice::None, checkpoints_end: 0 });
    };
    let held = bounds(cluster, topic, plan.partition).await?;
    let mut count = FIRST_LOOK;
    loop {
        let records = read_tail(cluster, topic, plan.partition, count).await?;
        let pieces = pieces(&records, &plan.stage, plan.partition);
        let epoch = newest_epoch(&pieces).unwrap_or(0).max(outlets);
        let seq_in = |place: Place| if place.epoch == epoch { place.seq } else { 0 };
        let choice = choose(&pieces, epoch, &plan.config, seq_in(stored), seq_in(stored_reject));
        let exhausted = i64::from(count) >= held.end - held.start;
        if choice != Choice::None || exhausted {
            return Ok(Found { epoch, choice, checkpoints_end: held.end });
        }
        count = count.saturating_mul(LOOK_GROWTH);
    }
}

/// Sentences for what needs somebody's decision, with the command that is the way out.
struct WayOut<'a> {
    cluster: &'a Cluster,
    plan: &'a TaskPlan,
}

impl WayOut<'_> {
    fn command(&self) -> String {
        reset_command(self.cluster, &self.plan.stage)
    }

    fn stranger(&self, topic: &str, stage: &str) -> Failure {
        Failure::Stop(format!(
            "failed to go on with stage {:?}: partition {} of topic {topic:?} holds results of stage {stage:?}, and a sink \
             belongs to one stage; use another topic, or {}",
            self.plan.stage,
            self.plan.partition,
            self.command()
        ))
    }

    fn foreign(&self, config: &str) -> Failure {
        Failure::Stop(format!(
            "failed to go on with stage {:?}, partition {}: its checkpoints were made with another configuration ({config}, \
             now {}), and old state under new settings would give wrong numbers; go back to the old settings, or {}",
            self.plan.stage,
            self.plan.partition,
            self.plan.config,
            self.command()
        ))
    }

    fn forgotten(&self, epoch: u64) -> Failure {
        Failure::Stop(format!(
            "failed to go on with stage {:?}: its sink has results of epoch {epoch} in partition {}, and the checkpoint topic \
             {:?} knows nothing of that epoch (it is another topic than before, or has lost it), so nobody knows which \
             settings made them; go back to the old checkpoint topic, or {}",
            self.plan.stage,
            self.plan.partition,
            self.plan.checkpoints.as_deref().unwrap_or_default(),
            self.command()
        ))
    }

    fn lost(&self, from: i64, start: i64) -> Failure {
        Failure::Stop(format!(
            "failed to go on with stage {:?}: offsets {from} to {} of partition {} of {:?} are needed, and retention has \
             removed them; {}",
            self.plan.stage,
            start - 1,
            self.plan.partition,
            self.plan.source,
            self.command()
        ))
    }

    fn beyond(&self, offset: i64, end: i64) -> Failure {
        Failure::Stop(format!(
            "failed to go on with stage {:?}: its checkpoint stands at offset {offset} of partition {} of {:?}, and the topic \
             ends at {end}: the broker has lost records, or is another one; {}",
            self.plan.stage,
            self.plan.partition,
            self.plan.source,
            self.command()
        ))
    }
}

/// The way out of what only somebody's decision can mend.
fn reset_command(cluster: &Cluster, stage: &str) -> String {
    format!(
        "begin a new epoch with `ovation topology reset --cluster {} --stage {stage} --yes` (without --yes it says what it \
         would do; add the --topology of this engine)",
        cluster.endpoint()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: i64, stage: &str, epoch: u64, seq: u64) -> Record {
        let value = serde_json::json!({"stage": stage, "epoch": epoch, "seq": seq}).to_string();
        Record { partition: 0, offset, timestamp: 0, key: None, value: value.into() }
    }

    #[test]
    fn the_largest_number_counts_not_the_last_one() {
        let tail = [record(0, "words", 1, 7), record(1, "words", 2, 2), record(2, "words", 2, 1)];
        assert_eq!(place_of(highest(&tail).as_ref()), Place { epoch: 2, seq: 2 });
        assert_eq!(place_of(highest(&[]).as_ref()), Place::default());
    }

    fn restored(offset: i64, source: std::ops::Range<i64>) -> Restored {
        let config = "aa".to_owned();
        Restored {
            epoch: 1,
            checkpoint: Checkpoint { config, offset, seq: 0, reject_seq: 0, pieces: Vec::new() },
            is_new: false,
            stored: Place::default(),
            stored_reject: Place::default(),
            source_start: source.start,
            high_watermark: source.end,
            checkpoints_end: 0,
        }
    }

    #[test]
    fn a_chain_without_ticks_is_given_the_last_record_again_where_there_is_one() {
        let opened = |offset, source, ticks| {
            let restored = restored(offset, source);
            (restored.opening(ticks), restored.is_mute(ticks))
        };
        assert_eq!(opened(7, 0..7, true), (7, false), "a tick makes it answer");
        assert_eq!(opened(7, 0..7, false), (6, false));
        assert_eq!(opened(5, 0..7, false), (5, false), "it has something to read");
        assert_eq!(opened(0, 0..0, false), (0, true), "an empty source");
        assert_eq!(opened(7, 7..7, false), (7, true), "retention took it all");
        assert_eq!(opened(7, 7..9, false), (7, false));
    }

    #[test]
    fn another_stages_results_are_taken_for_ours_in_no_epoch_that_counts() {
        let cluster = Cluster::new("localhost:9003");
        let plan = TaskPlan::for_test("words");
        let way_out = WayOut { cluster: &cluster, plan: &plan };
        let last = || highest(&[record(0, "words", 1, 7), record(1, "letters", 1, 9)]);
        let Err(Failure::Stop(error)) = own(last(), &way_out, "counts", 1) else {
            panic!("another stage's sink")
        };
        assert!(
            error.contains("ovation topology reset --cluster localhost:9003 --stage words --yes"),
            "{error}"
        );
        assert!(error.contains("\"letters\""), "{error}");
        assert!(own(last(), &way_out, "counts", 2).is_ok(), "a reset has left it behind");
    }
}
