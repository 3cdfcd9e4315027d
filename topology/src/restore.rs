//! Finds out where a task goes on: what its outlets hold, and which checkpoint they confirm.

use ovation_client::{Cluster, Record, bounds, read_tail};
use tracing::info;

use crate::checkpoint::{Checkpoint, Choice, choose, newest_epoch, pieces};
use crate::control::Numbered;
use crate::failure::Failure;
use crate::fence::Place;
use crate::plan::TaskPlan;

/// Records of an outlet that are looked at for the largest number: with two engines at work the last record need not
/// have it (docs/fluvio.md 20).
const OUTLET_TAIL: u32 = 32;
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
    /// The source's high watermark.
    pub(crate) high_watermark: i64,
}

/// Reads outlets, source and checkpoints.
pub(crate) async fn restore(cluster: &Cluster, plan: &TaskPlan) -> Result<Restored, Failure> {
    let stored = last_stored(cluster, plan, &plan.sink).await?;
    let stored_reject = match &plan.dead_letter {
        Some(topic) => last_stored(cluster, plan, topic).await?,
        None => Place::default(),
    };
    let source = bounds(cluster, &plan.source, plan.partition).await?;
    let found = look_back(cluster, plan, stored, stored_reject).await?;
    let (epoch, checkpoint) = match found {
        (epoch, Choice::Restore(checkpoint)) => (epoch, Some(checkpoint)),
        (epoch, Choice::None) => (epoch, None),
        (_, Choice::Foreign(config)) => return Err(foreign(plan, &config)),
    };
    let has_results = stored.epoch == epoch || stored_reject.epoch == epoch;
    let is_new = checkpoint.is_none();
    let checkpoint = match checkpoint {
        Some(checkpoint) if checkpoint.offset < source.start => {
            return Err(lost(plan, checkpoint.offset, source.start));
        }
        Some(checkpoint) if checkpoint.offset > source.end => {
            return Err(beyond(plan, checkpoint.offset, source.end));
        }
        Some(checkpoint) => checkpoint,
        None if has_results && source.start > 0 => return Err(lost(plan, 0, source.start)),
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
    Ok(Restored { epoch, checkpoint, is_new, stored, stored_reject, high_watermark: source.end })
}

/// The last number that an outlet of the stage holds; zeros if it holds nothing.
pub(crate) async fn last_stored(cluster: &Cluster, plan: &TaskPlan, topic: &str) -> Result<Place, Failure> {
    let tail = read_tail(cluster, topic, plan.partition, OUTLET_TAIL).await?;
    match highest(&tail, &plan.stage) {
        Ok(place) => Ok(place),
        Err(stranger) => Err(Failure::Stop(format!(
            "failed to go on with stage {:?}: partition {} of topic {topic:?} holds results of stage {stranger:?}, and \
             a sink belongs to one stage; use another topic, or begin a new epoch with `ovation topology reset`",
            plan.stage, plan.partition
        ))),
    }
}

/// The largest number among the records; an error names the stage that wrote the largest one, if it is another.
fn highest(records: &[Record], stage: &str) -> Result<Place, String> {
    let numbered = records.iter().filter_map(|record| serde_json::from_slice::<Numbered>(&record.value).ok());
    let place = |numbered: &Numbered| Place { epoch: numbered.epoch, seq: numbered.seq };
    match numbered.max_by_key(place) {
        None => Ok(Place::default()),
        Some(last) if last.stage == stage => Ok(place(&last)),
        Some(last) => Err(last.stage),
    }
}

/// The epoch, and the checkpoint to begin with: looks further and further back until one is found or there are no more.
async fn look_back(
    cluster: &Cluster,
    plan: &TaskPlan,
    stored: Place,
    stored_reject: Place,
) -> Result<(u64, Choice), Failure> {
    let outlets = stored.epoch.max(stored_reject.epoch).max(1);
    let Some(topic) = &plan.checkpoints else { return Ok((outlets, Choice::None)) };
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
            return Ok((epoch, choice));
        }
        count = count.saturating_mul(LOOK_GROWTH);
    }
}

fn foreign(plan: &TaskPlan, config: &str) -> Failure {
    Failure::Stop(format!(
        "failed to go on with stage {:?}, partition {}: its newest checkpoint was made with another configuration ({config}, \
         now {}), and old state under new settings would give wrong numbers; go back to the old settings, or begin a new \
         epoch with `ovation topology reset`",
        plan.stage, plan.partition, plan.config
    ))
}

fn lost(plan: &TaskPlan, from: i64, start: i64) -> Failure {
    Failure::Stop(format!(
        "failed to go on with stage {:?}: offsets {from} to {} of partition {} of {:?} are needed, and retention has removed \
         them; begin a new epoch with `ovation topology reset`",
        plan.stage,
        start - 1,
        plan.partition,
        plan.source
    ))
}

fn beyond(plan: &TaskPlan, offset: i64, end: i64) -> Failure {
    Failure::Stop(format!(
        "failed to go on with stage {:?}: its checkpoint stands at offset {offset} of partition {} of {:?}, and the topic ends \
         at {end}: the broker has lost records, or is another one; begin a new epoch with `ovation topology reset`",
        plan.stage, plan.partition, plan.source
    ))
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
        assert_eq!(highest(&tail, "words"), Ok(Place { epoch: 2, seq: 2 }));
        assert_eq!(highest(&[], "words"), Ok(Place::default()));
    }

    #[test]
    fn another_stages_results_are_not_taken_for_ours() {
        let tail = [record(0, "words", 1, 7), record(1, "letters", 1, 9)];
        assert_eq!(highest(&tail, "words"), Err("letters".to_owned()));
    }
}
