use std::ops::Range;
use std::time::{Duration, Instant};

use ovation_client::{Cluster, Record, Scan, bounds, read_tail};
use ovation_topology::{CHECKPOINT_KEY, Stage, Topology};
use serde::Deserialize;

use crate::{Feed, Place, Report, StageReport, Subject, Unchecked, check};

/// Between two looks at the end of a topic that is waited for.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// Records at the end of a topic that are searched for the newest epoch.
const TAIL_RECORDS: u32 = 64;

/// How to audit.
#[derive(Debug, Clone)]
pub struct Options {
    /// This stage alone.
    pub stage: Option<String>,
    /// How long results and dead letters that have to be there are waited for, since the last one that came.
    pub wait: Duration,
}

/// What a record of an outlet, or a piece of a checkpoint, says of its origin.
#[derive(Deserialize)]
struct Origin {
    stage: String,
    epoch: u64,
    seq: u64,
}

/// A piece of a checkpoint, without its data.
#[derive(Debug, Deserialize)]
struct Piece {
    stage: String,
    partition: u32,
    epoch: u64,
    config: String,
    /// 0 for the one that marks an epoch's start.
    pieces: u32,
    offset: i64,
}

/// Audits the stages of a topology on a cluster, up to where their source topics end now. `progress` is told the partition, how many
/// source records were read, and how many there are.
///
/// # Errors
///
/// [`Unchecked`] if the cluster is away, records are gone, or no stage can be audited.
pub async fn audit(
    cluster: &Cluster,
    topology: &Topology,
    options: &Options,
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Result<Report, Unchecked> {
    let (subjects, left_out) = subjects(topology, options)?;
    let mut stages = Vec::new();
    for subject in subjects {
        let mut places = Vec::new();
        for partition in 0..subject.partitions {
            places.push(place(cluster, &subject, partition).await?);
        }
        let mut partitions = Vec::new();
        for place in places {
            let name = format!("{}/{}", subject.stage, place.partition);
            let records = place.source.end.abs_diff(place.source.start);
            let feed = |topic: &str, range: Range<i64>, contiguous: bool| {
                TopicFeed::new(cluster, topic, place.partition, range, contiguous, options.wait)
            };
            let source = feed(&subject.source, place.source.clone(), true);
            let sink = feed(&subject.sink, place.sink.clone(), false);
            let letters =
                feed(subject.dead_letter.as_deref().unwrap_or_default(), place.letters.clone(), false);
            let mut seen = |seen: u64| progress(&name, seen, records);
            partitions.push(check(&subject, place.clone(), source, sink, letters, &mut seen).await?);
        }
        stages.push(StageReport::new(&subject.stage, partitions));
    }
    Ok(Report { clean: stages.iter().all(StageReport::clean), stages, left_out })
}

/// The stages to audit, and the reasons of those that are left out.
fn subjects(topology: &Topology, options: &Options) -> Result<(Vec<Subject>, Vec<String>), Unchecked> {
    let wanted = |stage: &&Stage| options.stage.as_ref().is_none_or(|name| &stage.name == name);
    let (mut subjects, mut left_out) = (Vec::new(), Vec::new());
    for stage in topology.stages.iter().filter(wanted) {
        match Subject::of(topology, stage) {
            Ok(subject) => subjects.push(subject),
            Err(Unchecked(why)) => left_out.push(why),
        }
    }
    if !subjects.is_empty() {
        return Ok((subjects, left_out));
    }
    Err(Unchecked(match (&options.stage, left_out.first()) {
        (_, Some(why)) => why.clone(),
        (Some(name), None) => {
            let names: Vec<&str> = topology.stages.iter().map(|stage| stage.name.as_str()).collect();
            format!("there is no stage {name:?}; the topology has {}", names.join(", "))
        }
        (None, None) => "the topology has no stage".to_owned(),
    }))
}

/// Where the epoch of a partition begins, and where everything ends now.
async fn place(cluster: &Cluster, subject: &Subject, partition: u32) -> Result<Place, Unchecked> {
    let sink = bounds(cluster, &subject.sink, partition).await?;
    let letters = match &subject.dead_letter {
        Some(topic) => bounds(cluster, topic, partition).await?,
        None => 0..0,
    };
    let source = bounds(cluster, &subject.source, partition).await?;
    let mut epoch = 0;
    for topic in [Some(&subject.sink), subject.dead_letter.as_ref()].into_iter().flatten() {
        let tail = read_tail(cluster, topic, partition, TAIL_RECORDS).await?;
        let origins = tail.iter().filter_map(|record| serde_json::from_slice::<Origin>(&record.value).ok());
        let own = origins.filter(|origin| origin.stage == subject.stage).map(|origin| origin.epoch);
        epoch = own.max().unwrap_or(0).max(epoch);
    }
    let start = match &subject.checkpoints {
        Some(topic) => epoch_start(cluster, subject, topic, partition, &mut epoch).await?,
        None => None,
    };
    let where_ = format!("partition {partition} of {}", subject.source);
    let first = match start {
        Some(start) if start < source.start => return Err(gone(&where_, start, source.start)),
        Some(start) if start > source.end => {
            return Err(Unchecked(format!(
                "epoch {epoch} of stage {:?} began at offset {start} of {where_}, which ends at {}: the broker has lost records, \
                 or is another one",
                subject.stage, source.end
            )));
        }
        Some(start) => start,
        // It has not run yet.
        None if epoch == 0 => source.start,
        None if epoch > 1 => {
            return Err(Unchecked(format!(
                "nothing says where epoch {epoch} of stage {:?} began in {where_}: its checkpoints are gone",
                subject.stage
            )));
        }
        None if source.start > 0 => return Err(gone(&where_, 0, source.start)),
        None => 0,
    };
    let place = Place { partition, epoch: epoch.max(1), source: first..source.end, sink, letters };
    begins(cluster, &subject.sink, &place, &place.sink).await?;
    if let Some(topic) = &subject.dead_letter {
        begins(cluster, topic, &place, &place.letters).await?;
    }
    Ok(place)
}

/// Makes sure that an outlet still holds the epoch's first record, if retention has taken any.
async fn begins(cluster: &Cluster, topic: &str, place: &Place, held: &Range<i64>) -> Result<(), Unchecked> {
    if held.start == 0 {
        return Ok(());
    }
    let mut scan = Scan::new(cluster, topic, place.partition, held.clone(), false);
    let first = scan.next().await?.and_then(|records| records.into_iter().next());
    let origin = first.and_then(|record| serde_json::from_slice::<Origin>(&record.value).ok());
    match origin {
        Some(origin) if origin.epoch < place.epoch || origin.seq == 1 => Ok(()),
        _ => Err(gone(&format!("partition {} of {topic}", place.partition), 0, held.start)),
    }
}

fn gone(of: &str, from: i64, start: i64) -> Unchecked {
    Unchecked(format!(
        "offsets {from} to {} of {of} are needed, and retention has removed them; a new epoch, by `ovation topology reset`, can \
         be audited from its start",
        start - 1
    ))
}

/// The source offset that the newest epoch began at; raises `epoch` to it.
async fn epoch_start(
    cluster: &Cluster,
    subject: &Subject,
    topic: &str,
    partition: u32,
    epoch: &mut u64,
) -> Result<Option<i64>, Unchecked> {
    let own = |records: Vec<Record>| {
        let keyed = records.into_iter().filter(|one| one.key.as_deref() == Some(CHECKPOINT_KEY.as_bytes()));
        let pieces = keyed.filter_map(|record| serde_json::from_slice::<Piece>(&record.value).ok());
        pieces
            .filter(|piece| piece.stage == subject.stage && piece.partition == partition)
            .collect::<Vec<_>>()
    };
    let tail = own(read_tail(cluster, topic, partition, TAIL_RECORDS).await?);
    if let Some(newest) = tail.iter().max_by_key(|piece| piece.epoch)
        && newest.epoch >= *epoch
    {
        *epoch = newest.epoch;
        if newest.config != subject.config {
            return Err(Unchecked(format!(
                "stage {:?} runs with another configuration ({}) than the topology given here ({}); audit it with the topology that \
                 it runs with",
                subject.stage, newest.config, subject.config
            )));
        }
    }
    if tail.is_empty() {
        return Ok(None);
    }
    // Epochs begin once: from the beginning on it is mostly the first record.
    let held = bounds(cluster, topic, partition).await?;
    let mut scan = Scan::new(cluster, topic, partition, held, true);
    while let Some(records) = scan.next().await? {
        let start = own(records).into_iter().find(|piece| piece.epoch == *epoch && piece.pieces == 0);
        if let Some(start) = start {
            return Ok(Some(start.offset));
        }
    }
    Ok(None)
}

/// One partition of a topic.
struct TopicFeed {
    cluster: Cluster,
    topic: String,
    partition: u32,
    scan: Scan,
    end: i64,
    wait: Duration,
}

impl TopicFeed {
    fn new(
        cluster: &Cluster,
        topic: &str,
        partition: u32,
        range: Range<i64>,
        contiguous: bool,
        wait: Duration,
    ) -> Self {
        let end = range.end;
        let scan = Scan::new(cluster, topic, partition, range, contiguous);
        Self { cluster: cluster.clone(), topic: topic.to_owned(), partition, scan, end, wait }
    }
}

impl Feed for TopicFeed {
    async fn next(&mut self) -> Result<Option<Vec<Record>>, Unchecked> {
        Ok(self.scan.next().await?)
    }

    async fn more(&mut self) -> Result<bool, Unchecked> {
        let since = Instant::now();
        loop {
            let held = bounds(&self.cluster, &self.topic, self.partition).await?;
            if held.end > self.end {
                let range = self.end..held.end;
                self.end = held.end;
                self.scan = Scan::new(&self.cluster, &self.topic, self.partition, range, false);
                return Ok(true);
            }
            let left = self.wait.saturating_sub(since.elapsed());
            if left.is_zero() {
                return Ok(false);
            }
            tokio::time::sleep(LOOK_INTERVAL.min(left)).await;
        }
    }
}
