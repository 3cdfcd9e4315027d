use std::time::Duration;

use fluvio_protocol::api::Request;
use fluvio_protocol::{Decoder, Encoder};
use fluvio_sc_schema::objects::{
    CommonCreateRequest, CreateRequest, DeleteRequest, ListFilter, ListRequest, ListResponse, Metadata,
    ObjectApiCreateRequest, ObjectApiDeleteRequest, ObjectApiListRequest, ObjectApiUpdateRequest,
    UpdateRequest,
};
use fluvio_sc_schema::tableformat::TableFormatSpec;
use fluvio_sc_schema::topic::{AddPartition, TopicSpec, UpdateTopicAction};
use fluvio_sc_schema::{AdminSpec, CreatableAdminSpec, Status, TryEncodableFrom};
use tracing::debug;

use crate::cluster::Cluster;
use crate::error::Error;
use crate::link::Link;

/// How often a list is asked for. A real cluster was seen to leave one unanswered for good, on a connection of its own as well
/// as among watches, while others were answered at once: what helps is to ask again on another connection.
const LIST_ATTEMPTS: u32 = 4;
/// How long a list is waited for before it is asked for again.
const LIST_PATIENCE: Duration = Duration::from_secs(3);

/// Lists and creates things on the control port. Each request has a connection of its own.
#[derive(Debug, Clone)]
pub struct Admin {
    cluster: Cluster,
}

impl Admin {
    /// For the cluster, whether or not it can be reached now.
    pub fn new(cluster: &Cluster) -> Self {
        Self { cluster: cluster.clone() }
    }

    /// Everything of a kind, or what has `name` in its name: filters of a real cluster match parts.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`], [`Error::Deadline`] or [`Error::Refused`].
    pub async fn list<S>(&self, name: Option<&str>) -> Result<Vec<Metadata<S>>, Error>
    where
        S: AdminSpec,
        S::Status: Encoder + Decoder + std::fmt::Debug,
    {
        let patience = LIST_PATIENCE.min(self.cluster.deadline_to_answer());
        for _ in 1..LIST_ATTEMPTS {
            match self.list_once(name, patience).await {
                Err(Error::Deadline { what, .. }) => debug!(what, "asking again"),
                answered => return answered,
            }
        }
        self.list_once(name, patience).await
    }

    async fn list_once<S>(&self, name: Option<&str>, deadline: Duration) -> Result<Vec<Metadata<S>>, Error>
    where
        S: AdminSpec,
        S::Status: Encoder + Decoder + std::fmt::Debug,
    {
        let what = format!("list {}s", S::LABEL);
        let refused = |reason: String| Error::Refused { what: what.clone(), reason };
        let link = self.link().await?;
        let version = link.socket().lookup_version::<ObjectApiListRequest>();
        let version = version.ok_or_else(|| refused(unknown(&link)))?;
        let filters: Vec<ListFilter> =
            name.map(|name| ListFilter::from(name.to_owned())).into_iter().collect();
        let request = ObjectApiListRequest::try_encode_from(ListRequest::<S>::new(filters, false), version)
            .map_err(|error| refused(error.to_string()))?;
        let answer = link.ask(&what, deadline, request).await?;
        let listed: Option<ListResponse<S>> =
            answer.downcast().map_err(|error| refused(error.to_string()))?;
        Ok(listed.ok_or_else(|| refused("the answer lists something else".to_owned()))?.inner())
    }

    /// Creates a thing. A SmartModule of that name is replaced in silence (docs/fluvio.md 18), a topic is not.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`], [`Error::Deadline`] or [`Error::Refused`].
    pub async fn create<S>(&self, name: &str, spec: S) -> Result<(), Error>
    where
        S: CreatableAdminSpec + Sync + Send,
    {
        let common = CommonCreateRequest { name: name.to_owned(), ..Default::default() };
        let what = format!("create {} {name:?}", S::LABEL);
        self.change::<ObjectApiCreateRequest, _>(&what, CreateRequest::new(common, spec)).await
    }

    /// Adds partitions to a topic. They cannot be taken away again.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`], [`Error::Deadline`] or [`Error::Refused`].
    pub async fn add_partitions(&self, topic: &str, count: u32) -> Result<(), Error> {
        let action = UpdateTopicAction::AddPartition(AddPartition { count });
        let update = UpdateRequest::<TopicSpec>::new(topic.to_owned(), action);
        self.change::<ObjectApiUpdateRequest, _>(&format!("add partitions to topic {topic:?}"), update).await
    }

    /// Deletes a table format, which holds no data.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`], [`Error::Deadline`] or [`Error::Refused`].
    pub async fn delete_table_format(&self, name: &str) -> Result<(), Error> {
        let delete = DeleteRequest::<TableFormatSpec>::new(name.to_owned());
        self.change::<ObjectApiDeleteRequest, _>(&format!("delete table format {name:?}"), delete).await
    }

    async fn change<R, C>(&self, what: &str, change: C) -> Result<(), Error>
    where
        R: Request<Response = Status> + TryEncodableFrom<C> + Send + Sync,
    {
        let refused = |reason: String| Error::Refused { what: what.to_owned(), reason };
        let link = self.link().await?;
        let version = link.socket().lookup_version::<R>().ok_or_else(|| refused(unknown(&link)))?;
        let request = R::try_encode_from(change, version).map_err(|error| refused(error.to_string()))?;
        let status = link.ask(what, self.cluster.deadline_to_answer(), request).await?;
        status.as_result().map_err(|error| refused(error.to_string()))
    }

    async fn link(&self) -> Result<Link, Error> {
        Link::open(&self.cluster, self.cluster.endpoint()).await
    }
}

fn unknown(link: &Link) -> String {
    format!("{} does not know this request", link.endpoint())
}
