use fluvio_protocol::{Decoder, Encoder};
use fluvio_sc_schema::objects::{ListFilter, ListRequest, ListResponse, Metadata, ObjectApiListRequest};
use fluvio_sc_schema::partition::PartitionSpec;
use fluvio_sc_schema::spu::SpuSpec;
use fluvio_sc_schema::topic::TopicSpec;
use fluvio_sc_schema::{AdminSpec, TryEncodableFrom};

use crate::cluster::Cluster;
use crate::error::Error;
use crate::link::Link;

/// Where a topic's partitions are, at the moment of asking.
pub(crate) struct Entry {
    /// Number of partitions that the topic is made of.
    pub(crate) partitions: u32,
    /// HOST:PORT of each partition's leader; `None` while it has none.
    leaders: Vec<Option<String>>,
}

impl Entry {
    /// HOST:PORT of the partition's leader.
    pub(crate) fn leader(&self, topic: &str, partition: u32) -> Result<&str, Error> {
        usize::try_from(partition)
            .ok()
            .and_then(|index| self.leaders.get(index))
            .and_then(Option::as_deref)
            .ok_or_else(|| Error::NoPartition { topic: topic.to_owned(), partition })
    }
}

/// Asks the control port for a topic, its partitions and the servers that lead them.
///
/// A request each, on a connection that is closed again: the watches that the `fluvio` crate keeps instead do not
/// come back once the control side was away (FLUVIO.md 27).
pub(crate) async fn look_up(cluster: &Cluster, topic: &str) -> Result<Entry, Error> {
    let link = Link::open(cluster, cluster.endpoint()).await?;
    let topics = list::<TopicSpec>(cluster, &link, vec![ListFilter::from(topic.to_owned())]).await?;
    // Filters of a real cluster match parts of names.
    let spec = topics
        .into_iter()
        .find(|found| found.name == topic)
        .ok_or_else(|| Error::NoTopic(topic.to_owned()))?
        .spec;
    let partitions = spec.partitions();
    let placed = list::<PartitionSpec>(cluster, &link, Vec::new()).await?;
    let servers = list::<SpuSpec>(cluster, &link, Vec::new()).await?;
    let leaders = (0..partitions)
        .map(|partition| {
            let key = format!("{topic}-{partition}");
            let leader = placed.iter().find(|found| found.name == key)?.spec.leader;
            let server = servers.iter().find(|found| found.spec.id == leader)?;
            Some(server.spec.public_endpoint.addr())
        })
        .collect();
    Ok(Entry { partitions, leaders })
}

async fn list<S>(cluster: &Cluster, link: &Link, filters: Vec<ListFilter>) -> Result<Vec<Metadata<S>>, Error>
where
    S: AdminSpec,
    S::Status: Encoder + Decoder + std::fmt::Debug,
{
    let what = format!("list {}", S::LABEL);
    let refused = |reason: String| Error::Refused { what: what.clone(), reason };
    let version = link
        .socket()
        .lookup_version::<ObjectApiListRequest>()
        .ok_or_else(|| refused(format!("{} does not know this request", link.endpoint())))?;
    let request = ObjectApiListRequest::try_encode_from(ListRequest::<S>::new(filters, false), version)
        .map_err(|error| refused(error.to_string()))?;
    let answer = link.ask(&what, cluster.deadline_to_answer(), request).await?;
    let listed: Option<ListResponse<S>> = answer.downcast().map_err(|error| refused(error.to_string()))?;
    Ok(listed.ok_or_else(|| refused("the answer lists something else".to_owned()))?.inner())
}
