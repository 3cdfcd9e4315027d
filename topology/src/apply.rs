use std::time::{Duration, Instant};

use ovation_client::{Admin, Cluster, Error as ClientError, bounds};
use tracing::{debug, info, warn};

use crate::changes::{Action, Change, Deed, Growth, Kind, Step, steps};
use crate::modules::{ModuleError, Modules};
use crate::spec::{Topic, Topology};

/// From the creation of a topic until all its partitions are served: a real cluster may take a minute (docs/fluvio.md 33).
const SERVED_DEADLINE: Duration = Duration::from_secs(90);
/// It is said that it takes longer than this.
const SERVED_SOON: Duration = Duration::from_secs(5);
/// Between two looks at the partitions.
const SERVED_INTERVAL: Duration = Duration::from_millis(100);

/// Why a cluster cannot be made to look like a topology. No topic that was there has been changed or deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// A SmartModule's bytes cannot be had.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// The cluster cannot be reached, or said no.
    #[error(transparent)]
    Cluster(#[from] ClientError),
    /// Something is there that can be neither used nor changed.
    #[error("{}", refusals(.0))]
    Refused(Vec<Change>),
    /// A partition does not come up.
    #[error("failed to see partition {partition} of topic {topic:?} served within {waited:?}: {reason}")]
    Unserved {
        /// Topic.
        topic: String,
        /// The first partition that does not answer.
        partition: u32,
        /// How long it was waited for.
        waited: Duration,
        /// Its last answer.
        reason: ClientError,
    },
}

fn refusals(changes: &[Change]) -> String {
    let sentence =
        |change: &Change| format!("failed to use {} {:?}: {}", change.kind, change.name, change.detail);
    changes.iter().map(sentence).collect::<Vec<_>>().join("\n")
}

/// Says what [`apply_growing`] would do, in its order; changes nothing.
///
/// # Errors
///
/// [`ApplyError::Module`] or [`ApplyError::Cluster`].
pub async fn plan_changes(
    cluster: &Cluster,
    topology: &Topology,
    modules: &dyn Modules,
) -> Result<Vec<Change>, ApplyError> {
    let steps = steps(&Admin::new(cluster), topology, modules, Growth::Allowed).await?;
    Ok(steps.into_iter().map(|step| step.change).collect())
}

/// Makes the cluster hold what the topology needs: SmartModules first, then topics, and waits until every partition is
/// served. What is there and fits is kept, so it can be done again at any time, and by several processes at once. Answers
/// what it has found and done. A topic with fewer partitions is refused, see [`apply_growing`].
///
/// # Errors
///
/// An [`ApplyError`]; see there.
pub async fn apply(
    cluster: &Cluster,
    topology: &Topology,
    modules: &dyn Modules,
) -> Result<Vec<Change>, ApplyError> {
    apply_with(cluster, topology, modules, Growth::Refused).await
}

/// As [`apply`], adds partitions to topics that have fewer. Keys move between partitions then, so it is for one process at a time
/// and for somebody who has seen the plan.
///
/// # Errors
///
/// An [`ApplyError`]; see there.
pub async fn apply_growing(
    cluster: &Cluster,
    topology: &Topology,
    modules: &dyn Modules,
) -> Result<Vec<Change>, ApplyError> {
    apply_with(cluster, topology, modules, Growth::Allowed).await
}

async fn apply_with(
    cluster: &Cluster,
    topology: &Topology,
    modules: &dyn Modules,
    growth: Growth,
) -> Result<Vec<Change>, ApplyError> {
    let admin = Admin::new(cluster);
    let steps = steps(&admin, topology, modules, growth).await?;
    let refused: Vec<Change> = steps
        .iter()
        .map(|step| &step.change)
        .filter(|change| change.action == Action::Refuse)
        .cloned()
        .collect();
    if !refused.is_empty() {
        return Err(ApplyError::Refused(refused));
    }
    let mut done = Vec::new();
    for step in steps {
        done.push(make(&admin, topology, modules, step).await?);
    }
    for topic in &topology.topics {
        wait_served(cluster, topic).await?;
    }
    info!(?done, topology = topology.name, "the cluster holds what the topology needs");
    Ok(done)
}

/// Makes one change. Another process may be quicker, with the same topology or with another one: then what it has made is
/// looked at anew.
async fn make(
    admin: &Admin,
    topology: &Topology,
    modules: &dyn Modules,
    step: Step,
) -> Result<Change, ApplyError> {
    let Err(error) = carry_out(admin, &step).await else { return Ok(step.change) };
    let again = steps(admin, topology, modules, Growth::Refused).await?;
    let same =
        |other: &Step| (other.change.kind, &other.change.name) == (step.change.kind, &step.change.name);
    match again.into_iter().find(same) {
        Some(found) if found.change.action == Action::Keep => {
            debug!(name = step.change.name, %error, "somebody else was quicker");
            Ok(found.change)
        }
        Some(found) if found.change.action == Action::Refuse => Err(ApplyError::Refused(vec![found.change])),
        _ => Err(error.into()),
    }
}

async fn carry_out(admin: &Admin, step: &Step) -> Result<(), ClientError> {
    let name = &step.change.name;
    if step.change.kind == Kind::SmartModule && step.change.action == Action::Change {
        info!(module = name, "replacing a SmartModule by another version of it");
    }
    match &step.deed {
        Deed::Nothing => Ok(()),
        Deed::PutModule(spec) => admin.create(name, spec.clone()).await,
        Deed::PutTopic(spec) => admin.create(name, spec.clone()).await,
        Deed::AddPartitions(count) => admin.add_partitions(name, *count).await,
        Deed::PutTableFormat { spec, replaces } => {
            if *replaces {
                admin.delete_table_format(name).await?;
            }
            admin.create(name, spec.clone()).await
        }
    }
}

/// Waits until every partition answers. What the cluster says of a partition's state is not asked: a real one may call it
/// offline for good while its leader serves it (docs/fluvio.md 33).
async fn wait_served(cluster: &Cluster, topic: &Topic) -> Result<(), ApplyError> {
    let since = Instant::now();
    let mut has_said = false;
    let mut partition = 0;
    while partition < topic.partitions {
        let Err(reason) = bounds(cluster, &topic.name, partition).await else {
            partition += 1;
            continue;
        };
        if since.elapsed() > SERVED_DEADLINE {
            let (topic, waited) = (topic.name.clone(), SERVED_DEADLINE);
            return Err(ApplyError::Unserved { topic, partition, waited, reason });
        }
        if since.elapsed() > SERVED_SOON && !has_said {
            has_said = true;
            warn!(topic = topic.name, partition, %reason, "waiting until the cluster serves the topic");
        }
        tokio::time::sleep(SERVED_INTERVAL).await;
    }
    Ok(())
}
