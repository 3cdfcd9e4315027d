use fluvio_sc_schema::partition::PartitionSpec;
use fluvio_sc_schema::spu::SpuSpec;
use fluvio_sc_schema::topic::TopicSpec;

use crate::admin::Admin;
use crate::cluster::Cluster;
use crate::error::Error;
use crate::exchange::Exchange;
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
    fn leader(&self, topic: &str, partition: u32) -> Result<&str, Error> {
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
/// come back once the control side was away (docs/fluvio.md 27).
pub(crate) async fn look_up(cluster: &Cluster, topic: &str) -> Result<Entry, Error> {
    let admin = Admin::new(cluster);
    let topics = admin.list::<TopicSpec>(Some(topic)).await?;
    let spec = topics
        .into_iter()
        .find(|found| found.name == topic)
        .ok_or_else(|| Error::NoTopic(topic.to_owned()))?
        .spec;
    let partitions = spec.partitions();
    let placed = admin.list::<PartitionSpec>(None).await?;
    let servers = admin.list::<SpuSpec>(None).await?;
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

/// A connection to the server that leads the partition now, for one request after the other.
pub(crate) async fn leader_exchange(
    cluster: &Cluster,
    topic: &str,
    partition: u32,
) -> Result<Exchange, Error> {
    let entry = look_up(cluster, topic).await?;
    Exchange::open(cluster, entry.leader(topic, partition)?).await
}

/// A connection to the server that leads the partition now, for streams.
pub(crate) async fn leader_link(cluster: &Cluster, topic: &str, partition: u32) -> Result<Link, Error> {
    let entry = look_up(cluster, topic).await?;
    Link::open(cluster, entry.leader(topic, partition)?).await
}
