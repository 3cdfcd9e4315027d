//! How the stages hang together.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use crate::document::Document;
use crate::spec::{Stage, Topology};

impl Check<'_> {
    /// Stages that read, in the end, what they write themselves: such a stage would never come to rest.
    pub(super) fn cycles(&mut self, document: &Document, topology: &Topology) {
        let mut told: BTreeSet<Vec<&str>> = BTreeSet::new();
        for stage in &topology.stages {
            // One that reads its own sink was told of already.
            let Some(way) = way_back(stage, &topology.stages).filter(|way| way.len() > 1) else { continue };
            let mut members = way.clone();
            members.sort_unstable();
            if !told.insert(members) {
                continue;
            }
            let docs = document.stages.0.iter().flat_map(|stages| &stages.0);
            let doc = docs.filter(|(name, _)| name.value == stage.name).find_map(|(_, doc)| doc.as_ref());
            let Some(source) = doc.and_then(|doc| doc.value.source.0.as_ref()) else { continue };
            let message = format!(
                "stage {:?} reads what comes of its own results: {} → {}",
                stage.name,
                way.join(" → "),
                stage.name
            );
            let help = "the stages have to lead from topic to topic without a way back".to_owned();
            self.problem(source.place, message, Some(help));
        }
    }

    /// What nothing uses is most likely a mistake, and harmless.
    pub(super) fn unused(&mut self, document: &Document, topology: &Topology) {
        for (name, module) in document.smartmodules.iter().flat_map(|modules| &modules.0) {
            let is_published = module.as_ref().is_some_and(|module| module.value.name.is_some());
            let mut uses = topology.stages.iter().flat_map(|stage| &stage.transforms);
            if !is_published && !uses.any(|transform| transform.uses == name.value) {
                let help = "give it a `name` if it is there for people on the command line".to_owned();
                self.warning(
                    name.place,
                    format!("no stage uses the SmartModule {:?}", name.value),
                    Some(help),
                );
            }
        }
        let used = |topic: &str| {
            topology.stages.iter().any(|stage| {
                stage.source == topic
                    || stage.outlets().any(|outlet| outlet == topic)
                    || stage.checkpoints.as_deref() == Some(topic)
            })
        };
        for (name, topic) in document.topics.0.iter().flat_map(|topics| &topics.0) {
            let is_external = topic.as_ref().is_some_and(|topic| topic.external == Some(true));
            if !is_external && !used(&name.value) {
                let help = "say `external: true` if it is there for other programs".to_owned();
                self.warning(
                    name.place,
                    format!("no stage reads or writes the topic {:?}", name.value),
                    Some(help),
                );
            }
        }
    }
}

/// The stages from this one to the one that it reads from in the end, if that is itself. The shortest such way.
fn way_back<'t>(start: &'t Stage, stages: &'t [Stage]) -> Option<Vec<&'t str>> {
    let next = |from: &'t Stage| {
        stages.iter().filter(move |stage| from.outlets().any(|outlet| outlet == stage.source))
    };
    let mut before: BTreeMap<&str, &str> = BTreeMap::new();
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(stage) = queue.pop_front() {
        for follower in next(stage) {
            if follower.name == start.name {
                let mut way = vec![stage.name.as_str()];
                while let Some(earlier) = way.last().filter(|name| **name != start.name) {
                    way.push(before.get(earlier)?);
                }
                way.reverse();
                return Some(way);
            }
            if !before.contains_key(follower.name.as_str()) {
                before.insert(&follower.name, &stage.name);
                queue.push_back(follower);
            }
        }
    }
    None
}
