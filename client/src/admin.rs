use fluvio_protocol::{Decoder, Encoder};
use fluvio_sc_schema::objects::{
    CommonCreateRequest, CreateRequest, ListFilter, ListRequest, ListResponse, Metadata,
    ObjectApiCreateRequest, ObjectApiListRequest,
};
use fluvio_sc_schema::{AdminSpec, CreatableAdminSpec, TryEncodableFrom};

use crate::cluster::Cluster;
use crate::error::Error;
use crate::link::Link;

/// Lists and creates things on the control port, on a connection that carries nothing else.
///
/// `fluvio`'s own admin client shares its connection with watches, and on a real cluster a request among their updates was
/// seen to stay unanswered for good.
pub struct Admin {
    link: Link,
    cluster: Cluster,
}

impl Admin {
    /// Connects.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`].
    pub async fn connect(cluster: &Cluster) -> Result<Self, Error> {
        Ok(Self { link: Link::open(cluster, cluster.endpoint()).await?, cluster: cluster.clone() })
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
        let what = format!("list {}s", S::LABEL);
        let refused = |reason: String| Error::Refused { what: what.clone(), reason };
        let version = self.link.socket().lookup_version::<ObjectApiListRequest>();
        let version = version.ok_or_else(|| refused(self.unknown()))?;
        let filters: Vec<ListFilter> =
            name.map(|name| ListFilter::from(name.to_owned())).into_iter().collect();
        let request = ObjectApiListRequest::try_encode_from(ListRequest::<S>::new(filters, false), version)
            .map_err(|error| refused(error.to_string()))?;
        let answer = self.link.ask(&what, self.cluster.deadline_to_answer(), request).await?;
        let listed: Option<ListResponse<S>> =
            answer.downcast().map_err(|error| refused(error.to_string()))?;
        Ok(listed.ok_or_else(|| refused("the answer lists something else".to_owned()))?.inner())
    }

    /// Creates a thing. A SmartModule of that name is replaced in silence (FLUVIO.md 18), a topic is not.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`], [`Error::Deadline`] or [`Error::Refused`].
    pub async fn create<S>(&self, name: &str, spec: S) -> Result<(), Error>
    where
        S: CreatableAdminSpec + Sync + Send,
    {
        let what = format!("create {} {name:?}", S::LABEL);
        let refused = |reason: String| Error::Refused { what: what.clone(), reason };
        let version = self.link.socket().lookup_version::<ObjectApiCreateRequest>();
        let version = version.ok_or_else(|| refused(self.unknown()))?;
        let common = CommonCreateRequest { name: name.to_owned(), ..Default::default() };
        let request = ObjectApiCreateRequest::try_encode_from(CreateRequest::new(common, spec), version)
            .map_err(|error| refused(error.to_string()))?;
        let status = self.link.ask(&what, self.cluster.deadline_to_answer(), request).await?;
        status.as_result().map_err(|error| refused(error.to_string()))
    }

    fn unknown(&self) -> String {
        format!("{} does not know this request", self.link.endpoint())
    }
}
