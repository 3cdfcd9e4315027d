//! What would have to change on a cluster so that it holds what a topology needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use ovation_client::Admin;
use ovation_client::fluvio::metadata::smartmodule::SmartModuleSpec;
use ovation_client::fluvio::metadata::tableformat::TableFormatSpec;
use ovation_client::fluvio::metadata::topic::{CleanupPolicy, TopicSpec};
use serde::Serialize;

use crate::apply::ApplyError;
use crate::cluster_specs::{gunzip, module_spec, table_format_spec, topic_spec};
use crate::modules::{FENCE, Modules, Resolved, resolve, resolve_fence};
use crate::quantity::{show_duration, show_size};
use crate::spec::{TableFormat, Topic, Topology};

/// How long Fluvio keeps the records of a topic that was created without a retention.
const RETENTION_DEFAULT: Duration = Duration::from_secs(7 * 86_400);

/// One thing that a topology needs, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What kind of thing.
    pub kind: Kind,
    /// Its name on the cluster.
    pub name: String,
    /// What becomes of it.
    pub action: Action,
    /// What it is, or why; for people.
    pub detail: String,
    /// What cannot be changed where it is, and stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A kind of thing on a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kind {
    /// A SmartModule.
    SmartModule,
    /// A topic.
    Topic,
    /// A table format.
    TableFormat,
}

/// What becomes of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Action {
    /// It is not there.
    Create,
    /// It is there and can be made right.
    Change,
    /// It is there and fits.
    Keep,
    /// It is there and can be neither used nor changed. Nothing is done while there is one of these.
    Refuse,
}

/// Whether a topic may be given more partitions. Keys move between them then, and two processes that do it at once add twice as
/// many: it is for somebody who has decided it, not for everybody who starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Growth {
    Allowed,
    Refused,
}

/// A change with what it takes to make it.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) change: Change,
    pub(crate) deed: Deed,
}

/// What it takes.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    Nothing,
    PutModule(SmartModuleSpec),
    PutTopic(TopicSpec),
    AddPartitions(u32),
    PutTableFormat { spec: TableFormatSpec, replaces: bool },
}

/// What the cluster has of what a topology names.
pub(crate) struct Found {
    topics: BTreeMap<String, TopicSpec>,
    modules: BTreeMap<String, SmartModuleSpec>,
    table_formats: BTreeMap<String, TableFormatSpec>,
}

/// Everything that a topology needs: SmartModules first, because a topic's fence has to be there before it.
pub(crate) async fn steps(
    admin: &Admin,
    topology: &Topology,
    modules: &dyn Modules,
    growth: Growth,
) -> Result<Vec<Step>, ApplyError> {
    let mut wanted: BTreeMap<String, Resolved> = BTreeMap::new();
    let fence = match topology.topics.iter().any(|topic| topic.fence) {
        true => Some(resolve_fence(modules)?),
        false => None,
    };
    // Two names of a topology may stand for the same bytes.
    for module in resolve(topology, modules)?.into_values().chain(fence) {
        wanted.insert(module.cluster_name.clone(), module);
    }
    let found = find(admin, topology, wanted.keys()).await?;
    let mut steps = Vec::new();
    let named: BTreeSet<&str> =
        topology.smartmodules.iter().filter_map(|module| module.published.as_deref()).collect();
    for module in wanted.values() {
        let is_named = module.cluster_name == FENCE || named.contains(module.cluster_name.as_str());
        steps.push(module_step(module, is_named, found.modules.get(&module.cluster_name)));
    }
    for topic in &topology.topics {
        steps.push(topic_step(topic, found.topics.get(&topic.name), growth));
    }
    for format in &topology.table_formats {
        steps.push(table_format_step(format, found.table_formats.get(&format.name)));
    }
    Ok(steps)
}

/// Looks for each thing by itself: a list of everything holds every SmartModule's bytes.
async fn find(
    admin: &Admin,
    topology: &Topology,
    modules: impl Iterator<Item = &String>,
) -> Result<Found, ApplyError> {
    let mut found =
        Found { topics: BTreeMap::new(), modules: BTreeMap::new(), table_formats: BTreeMap::new() };
    for name in modules {
        let there = admin.list::<SmartModuleSpec>(Some(name)).await?;
        // Filters match parts of names.
        found.modules.extend(there.into_iter().filter(|it| &it.name == name).map(|it| (it.name, it.spec)));
    }
    let topics: BTreeSet<&str> = topology.topics.iter().map(|topic| topic.name.as_str()).collect();
    let there = admin.list::<TopicSpec>(None).await?;
    found.topics.extend(
        there.into_iter().filter(|it| topics.contains(it.name.as_str())).map(|it| (it.name, it.spec)),
    );
    if !topology.table_formats.is_empty() {
        let there = admin.list::<TableFormatSpec>(None).await?;
        found.table_formats.extend(there.into_iter().map(|it| (it.name, it.spec)));
    }
    Ok(found)
}

fn step(kind: Kind, name: &str, action: Action, detail: String, deed: Deed) -> Step {
    let change = Change { kind, name: name.to_owned(), action, detail, note: None };
    Step { change, deed }
}

/// `is_named`: the name does not hold a hash of the bytes, so they may differ.
fn module_step(module: &Resolved, is_named: bool, found: Option<&SmartModuleSpec>) -> Step {
    let size = show_kb(module.wasm.len());
    let name = &module.cluster_name;
    let spec = || module_spec(&module.wasm);
    match found {
        None => step(Kind::SmartModule, name, Action::Create, size, Deed::PutModule(spec())),
        // A cluster that keeps the bytes to itself is believed.
        Some(found)
            if !is_named
                || found.wasm.payload.is_empty()
                || gunzip(&found.wasm.payload, module.wasm.len()) == module.wasm =>
        {
            step(Kind::SmartModule, name, Action::Keep, size, Deed::Nothing)
        }
        Some(_) => {
            let detail = format!(
                "{size}, another version of it; what runs keeps the old one until it is opened again"
            );
            step(Kind::SmartModule, name, Action::Change, detail, Deed::PutModule(spec()))
        }
    }
}

fn topic_step(topic: &Topic, found: Option<&TopicSpec>, growth: Growth) -> Step {
    let Some(found) = found else {
        return step(
            Kind::Topic,
            &topic.name,
            Action::Create,
            describe_topic(topic),
            Deed::PutTopic(topic_spec(topic)),
        );
    };
    let uses = found.get_deduplication().map(|deduplication| deduplication.filter.transform.uses.as_str());
    let refuse = |detail: String| step(Kind::Topic, &topic.name, Action::Refuse, detail, Deed::Nothing);
    if topic.fence && uses != Some(FENCE) {
        let found = match uses {
            None => "without one".to_owned(),
            Some(other) => format!("with the deduplication {other:?}"),
        };
        return refuse(format!(
            "it has to be fenced and is there {found}; a topic's deduplication cannot be changed, so delete the topic or \
             give it another name"
        ));
    }
    let (has, wants) = (found.partitions(), topic.partitions);
    let mut step = match has.cmp(&wants) {
        std::cmp::Ordering::Greater => {
            return refuse(format!(
                "it has {has} partitions, the topology says {wants}; partitions cannot be taken away, so change the topology, \
                 or give the topic another name"
            ));
        }
        std::cmp::Ordering::Less if growth == Growth::Refused => {
            return refuse(format!(
                "it has {}, the topology says {wants}; `ovation topology apply` adds them, and `plan` says what \
                 that means",
                show_partitions(has)
            ));
        }
        std::cmp::Ordering::Less => {
            let detail = format!(
                "{} more, {wants} instead of {has}: a key may get another one, where its windows and totals begin \
                 anew; restart gateways and engines that run",
                show_partitions(wants - has)
            );
            step(Kind::Topic, &topic.name, Action::Change, detail, Deed::AddPartitions(wants - has))
        }
        std::cmp::Ordering::Equal => {
            step(Kind::Topic, &topic.name, Action::Keep, describe_topic(topic), Deed::Nothing)
        }
    };
    step.change.note = note(topic, found);
    step
}

/// What a topic keeps although the topology says otherwise.
fn note(topic: &Topic, found: &TopicSpec) -> Option<String> {
    let mut stays = Vec::new();
    let time = found.get_clean_policy().map_or(RETENTION_DEFAULT, |policy| match policy {
        CleanupPolicy::Segment(policy) => Duration::from_secs(policy.time_in_seconds.into()),
    });
    if let Some(wants) = topic.retention.time.filter(|wants| time.as_secs() != wants.as_secs()) {
        stays.push(format!(
            "{} of records (the topology says {})",
            show_duration(time),
            show_duration(wants)
        ));
    }
    let size = found.get_storage().and_then(|storage| storage.max_partition_size);
    if let Some(wants) = topic.retention.size.filter(|wants| size != Some(*wants)) {
        let has = size.map_or_else(|| "as much as comes to".to_owned(), show_size);
        stays.push(format!("{has} a partition (the topology says {})", show_size(wants)));
    }
    if !topic.fence && found.get_deduplication().is_some() {
        stays.push("its deduplication (the topology has no fence there)".to_owned());
    }
    (!stays.is_empty())
        .then(|| format!("keeps {}: Fluvio cannot change that of a topic that is there", stays.join(" and ")))
}

fn table_format_step(format: &TableFormat, found: Option<&TableFormatSpec>) -> Step {
    let spec = table_format_spec(format);
    let detail = match format.columns.len() {
        1 => "1 column".to_owned(),
        count => format!("{count} columns"),
    };
    let (action, deed) = match found {
        None => (Action::Create, Deed::PutTableFormat { spec, replaces: false }),
        Some(found) if *found == spec => (Action::Keep, Deed::Nothing),
        Some(_) => (Action::Change, Deed::PutTableFormat { spec, replaces: true }),
    };
    step(Kind::TableFormat, &format.name, action, detail, deed)
}

/// `4 partitions, 7d, fenced`.
pub(crate) fn describe_topic(topic: &Topic) -> String {
    let mut parts = vec![show_partitions(topic.partitions)];
    parts.extend(topic.retention.time.map(|time| format!("kept {}", show_duration(time))));
    parts.extend(topic.retention.size.map(|size| format!("up to {} a partition", show_size(size))));
    parts.extend(topic.fence.then(|| "fenced".to_owned()));
    parts.join(", ")
}

pub(crate) fn show_partitions(count: u32) -> String {
    if count == 1 { "1 partition".to_owned() } else { format!("{count} partitions") }
}

fn show_kb(bytes: usize) -> String {
    format!("{} kB", bytes.div_ceil(1000))
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Kind::SmartModule => "SmartModule",
            Kind::Topic => "topic",
            Kind::TableFormat => "table format",
        })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Action::Create => "create",
            Action::Change => "change",
            Action::Keep => "keep",
            Action::Refuse => "refuse",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Column, Retention};

    fn topic(partitions: u32, fence: bool, secs: u64) -> Topic {
        let retention = Retention { time: Some(Duration::from_secs(secs)), size: Some(8 << 20) };
        Topic { name: "lines".to_owned(), partitions, retention, fence }
    }

    fn judged(wants: &Topic, has: &Topic) -> Change {
        topic_step(wants, Some(&topic_spec(has)), Growth::Allowed).change
    }

    #[test]
    fn a_topic_is_created_kept_grown_or_refused() {
        let wants = topic(4, true, 60);
        assert_eq!(topic_step(&wants, None, Growth::Allowed).change.action, Action::Create);
        let kept = judged(&wants, &wants);
        assert_eq!((kept.action, kept.note), (Action::Keep, None));
        assert_eq!(kept.detail, "4 partitions, kept 1m, up to 8MiB a partition, fenced");
        let small = topic_spec(&topic(1, true, 60));
        let grown = topic_step(&wants, Some(&small), Growth::Allowed);
        assert_eq!(grown.change.action, Action::Change);
        assert!(matches!(grown.deed, Deed::AddPartitions(3)));
        let start = topic_step(&wants, Some(&small), Growth::Refused).change;
        assert_eq!(start.action, Action::Refuse);
        assert!(start.detail.contains("`ovation topology apply` adds them"), "{}", start.detail);
        let shrunk = judged(&wants, &topic(8, true, 60));
        assert_eq!(shrunk.action, Action::Refuse);
        assert!(
            shrunk
                .detail
                .starts_with("it has 8 partitions, the topology says 4; partitions cannot be taken away")
        );
        let bare = judged(&wants, &topic(4, false, 60));
        assert_eq!(bare.action, Action::Refuse);
        assert!(bare.detail.starts_with("it has to be fenced and is there without one"));
    }

    #[test]
    fn what_a_topic_keeps_is_said() {
        let mut has = topic(4, true, 120);
        has.retention.size = Some(4 << 20);
        let kept = judged(&topic(4, false, 60), &has);
        assert_eq!(kept.action, Action::Keep);
        assert_eq!(
            kept.note.as_deref(),
            Some(
                "keeps 2m of records (the topology says 1m) and 4MiB a partition (the topology says 8MiB) and its \
                 deduplication (the topology has no fence there): Fluvio cannot change that of a topic that is there"
            )
        );
    }

    #[test]
    fn a_topic_without_a_retention_has_fluvios_own() {
        let bare = Topic { retention: Retention::default(), ..topic(4, true, 60) };
        assert_eq!(judged(&bare, &bare).note, None);
        let kept = judged(&topic(4, true, 60), &bare).note;
        let said = "keeps 7d of records (the topology says 1m) and as much as comes to a partition (the topology says 8MiB)";
        assert!(kept.is_some_and(|note| note.starts_with(said)));
        let week =
            Topic { retention: Retention { time: Some(RETENTION_DEFAULT), size: None }, ..bare.clone() };
        assert_eq!(judged(&week, &bare).note, None);
    }

    #[test]
    fn a_module_with_a_name_of_its_own_is_replaced_by_another_version() {
        let resolved = |bytes: &[u8]| Resolved::named("room", bytes.to_vec());
        let Deed::PutModule(found) = module_step(&resolved(b"one"), true, None).deed else {
            panic!("created")
        };
        assert_eq!(module_step(&resolved(b"one"), true, Some(&found)).change.action, Action::Keep);
        assert_eq!(module_step(&resolved(b"two"), true, Some(&found)).change.action, Action::Change);
        assert_eq!(
            module_step(&resolved(b"two"), false, Some(&found)).change.action,
            Action::Keep,
            "by its hash"
        );
    }

    #[test]
    fn a_table_format_follows_the_topology() {
        let format = |key: &str| TableFormat {
            name: "mood".to_owned(),
            columns: vec![Column { key: key.to_owned(), header: None, primary: true }],
        };
        let found = table_format_spec(&format("room"));
        assert_eq!(table_format_step(&format("room"), Some(&found)).change.action, Action::Keep);
        assert_eq!(table_format_step(&format("total"), Some(&found)).change.action, Action::Change);
        assert_eq!(table_format_step(&format("room"), None).change.action, Action::Create);
    }
}
