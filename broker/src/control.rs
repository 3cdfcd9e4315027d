//! The control port: Fluvio's SC API.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::link::versions::{ApiVersionsRequest, ApiVersionsResponse, PlatformVersion};
use fluvio_protocol::{Decoder, Encoder};
use fluvio_sc_schema::core::Spec;
use fluvio_sc_schema::customspu::CustomSpuSpec;
use fluvio_sc_schema::mirror::MirrorSpec;
use fluvio_sc_schema::objects::{
    CreateRequest, DeleteRequest, ListFilter, ListRequest, ListResponse, Metadata as Object,
    ObjectApiCreateRequest, ObjectApiDeleteRequest, ObjectApiListRequest, ObjectApiListResponse,
    ObjectApiUpdateRequest, ObjectApiWatchRequest, UpdateRequest, WatchRequest,
};
use fluvio_sc_schema::partition::PartitionSpec;
use fluvio_sc_schema::smartmodule::SmartModuleSpec;
use fluvio_sc_schema::spg::SpuGroupSpec;
use fluvio_sc_schema::spu::SpuSpec;
use fluvio_sc_schema::store::KeyFilter;
use fluvio_sc_schema::tableformat::TableFormatSpec;
use fluvio_sc_schema::topic::TopicSpec;
use fluvio_sc_schema::{AdminPublicApiKey as Key, AdminSpec, Status, TryEncodableFrom};
use tokio::sync::watch;

use crate::cluster::Cluster;
use crate::config::Limits;
use crate::connection::{Hangup, Outbox, Service};
use crate::frame::{BadRequest, Fields, Request, guarded};
use crate::metadata::Snapshot;
use crate::versions;
use crate::watch as watching;

/// The Fluvio platform whose API this is. Clients refuse what is older than they know.
const PLATFORM_VERSION: semver::Version = semver::Version::new(0, 18, 1);
/// How long a change waits until this connection's watches have been sent it.
const WATCH_PATIENCE: Duration = Duration::from_secs(2);
/// From this version on a request names the kind of its object; before, it is a number.
const NAMED_KINDS: i16 = 11;

const NEWEST: i16 = <ObjectApiCreateRequest as fluvio_protocol::api::Request>::DEFAULT_API_VERSION;

/// Requests of the control port, with the oldest and the newest version spoken.
const VERSIONS: [(Key, i16, i16); 6] = [
    (Key::ApiVersion, 0, 2),
    (Key::Create, NAMED_KINDS, NEWEST),
    (Key::Delete, NAMED_KINDS, NEWEST),
    (Key::List, 15, NEWEST),
    (Key::Watch, 15, NEWEST),
    (Key::Update, NAMED_KINDS, NEWEST),
];

pub(crate) struct ControlService {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) limits: Limits,
}

pub(crate) struct ControlSession {
    outbox: Outbox,
    /// For each watch, the change it has been sent.
    watches: Vec<watch::Receiver<i64>>,
}

impl Service for ControlService {
    type Session = ControlSession;

    fn request_bytes_max(&self, key: u16) -> Option<u32> {
        let (key, ..) = VERSIONS.into_iter().find(|(known, ..)| *known as u16 == key)?;
        Some(match key {
            Key::Create => self.limits.control_request_bytes_max,
            _ => self.limits.small_request_bytes_max,
        })
    }

    fn session(&self, outbox: Outbox) -> ControlSession {
        ControlSession { outbox, watches: Vec::new() }
    }

    async fn handle(&self, session: &mut ControlSession, request: Request) -> Result<(), Hangup> {
        let version = request.header.api_version();
        let key = versions::check(&VERSIONS, |key| key as u16, request.header.api_key(), version)?;
        let frame = match key {
            Key::ApiVersion => request.respond(api_versions(&request)?)?,
            Key::List => self.list(&request)?,
            Key::Watch => {
                self.watch(session, &request)?;
                return Ok(());
            }
            Key::Create => {
                self.check_create_size(&request)?;
                let status = self.create(request.decode()?).await?;
                self.changed(session, &request, status).await?
            }
            Key::Delete => {
                let status = self.delete(request.decode()?).await?;
                self.changed(session, &request, status).await?
            }
            Key::Update => {
                let status = self.update(request.decode()?).await?;
                self.changed(session, &request, status).await?
            }
            Key::Mirroring => return Err(BadRequest::Key(request.header.api_key()).into()),
        };
        session.outbox.send(frame).await
    }
}

fn api_versions(request: &Request) -> Result<ApiVersionsResponse, BadRequest> {
    let _: ApiVersionsRequest = request.decode()?;
    let api_keys = versions::offered(&VERSIONS, |key| key as u16);
    let platform_version = PlatformVersion::new(&PLATFORM_VERSION);
    Ok(ApiVersionsResponse { api_keys, platform_version, ..ApiVersionsResponse::default() })
}

/// What the request is about, if it is about a `T`.
fn about<T>(request: &impl TryEncodableFrom<T>) -> Result<Option<T>, BadRequest> {
    guarded(|| request.downcast().map_err(|error| BadRequest::Malformed(error.to_string())))
}

fn unknown_kind() -> BadRequest {
    BadRequest::Malformed("unknown kind of object".to_owned())
}

impl ControlService {
    /// Only SmartModules are large.
    fn check_create_size(&self, request: &Request) -> Result<(), BadRequest> {
        let kind = Fields(&mut request.body.clone()).string()?;
        if kind != SmartModuleSpec::LABEL && request.body.len() > self.limits.small_request_bytes_max as usize
        {
            return Err(BadRequest::Malformed(format!("{} bytes for a {kind}", request.body.len())));
        }
        Ok(())
    }

    async fn create(&self, request: ObjectApiCreateRequest) -> Result<Status, BadRequest> {
        let cluster = &self.cluster;
        if let Some(create) = about::<CreateRequest<TopicSpec>>(&request)? {
            let (common, spec) = create.parts();
            return Ok(cluster.create_topic(common.name, spec, common.dry_run).await);
        }
        if let Some(create) = about::<CreateRequest<SmartModuleSpec>>(&request)? {
            let (common, spec) = create.parts();
            return Ok(cluster.create_smart_module(common.name, spec, common.dry_run).await);
        }
        if let Some(create) = about::<CreateRequest<TableFormatSpec>>(&request)? {
            let (common, spec) = create.parts();
            return Ok(cluster.create_table_format(common.name, spec, common.dry_run).await);
        }
        Ok(unsupported("creating"))
    }

    async fn delete(&self, request: ObjectApiDeleteRequest) -> Result<Status, BadRequest> {
        let cluster = &self.cluster;
        if let Some(delete) = about::<DeleteRequest<TopicSpec>>(&request)? {
            let force = delete.is_force();
            return Ok(cluster.delete_topic(delete.key(), force).await);
        }
        if let Some(delete) = about::<DeleteRequest<SmartModuleSpec>>(&request)? {
            return Ok(cluster.delete_smart_module(delete.key()).await);
        }
        if let Some(delete) = about::<DeleteRequest<TableFormatSpec>>(&request)? {
            return Ok(cluster.delete_table_format(delete.key()).await);
        }
        Ok(unsupported("deleting"))
    }

    async fn update(&self, request: ObjectApiUpdateRequest) -> Result<Status, BadRequest> {
        if let Some(update) = about::<UpdateRequest<TopicSpec>>(&request)? {
            let action = update.action.clone();
            return Ok(self.cluster.update_topic(update.key(), action).await);
        }
        Ok(unsupported("updating"))
    }

    fn list(&self, request: &Request) -> Result<Bytes, BadRequest> {
        let wanted: ObjectApiListRequest = request.decode()?;
        let cluster = &self.cluster;
        let now = cluster.snapshot();
        if let Some(list) = about::<ListRequest<TopicSpec>>(&wanted)? {
            let mut topics = cluster.topics(&now);
            topics.retain(|topic| {
                topic.spec.is_system() == list.system && list.name_filters.filter(&topic.name)
            });
            return listed(request, topics);
        }
        if let Some(list) = about::<ListRequest<PartitionSpec>>(&wanted)? {
            let mut partitions = cluster.partitions(&now, true);
            partitions.retain(|it| it.spec.system == list.system && list.name_filters.filter(&it.name));
            return listed(request, partitions);
        }
        if let Some(list) = about::<ListRequest<SpuSpec>>(&wanted)? {
            let mut spus = cluster.spus();
            spus.retain(|spu| list.name_filters.filter(&spu.name));
            return listed(request, spus);
        }
        if let Some(list) = about::<ListRequest<SmartModuleSpec>>(&wanted)? {
            let filters: Vec<ListFilter> = list.name_filters.into();
            let names: Vec<String> = filters.into_iter().map(|filter| filter.name).collect();
            return listed(request, cluster.smart_modules(&now, &names, list.summary));
        }
        if let Some(list) = about::<ListRequest<TableFormatSpec>>(&wanted)? {
            let mut formats = cluster.table_formats(&now);
            formats.retain(|format| list.name_filters.filter(&format.name));
            return listed(request, formats);
        }
        if about::<ListRequest<SpuGroupSpec>>(&wanted)?.is_some() {
            return listed::<SpuGroupSpec>(request, Vec::new());
        }
        if about::<ListRequest<CustomSpuSpec>>(&wanted)?.is_some() {
            return listed::<CustomSpuSpec>(request, Vec::new());
        }
        if about::<ListRequest<MirrorSpec>>(&wanted)?.is_some() {
            return listed::<MirrorSpec>(request, Vec::new());
        }
        Err(unknown_kind())
    }

    fn watch(&self, session: &mut ControlSession, request: &Request) -> Result<(), BadRequest> {
        let wanted: ObjectApiWatchRequest = request.decode()?;
        let cluster = self.cluster.clone();
        if about::<WatchRequest<TopicSpec>>(&wanted)?.is_some() {
            self.start_watch(session, request, move |now| cluster.topics(now));
        } else if about::<WatchRequest<PartitionSpec>>(&wanted)?.is_some() {
            self.start_watch(session, request, move |now| cluster.partitions(now, false));
        } else if about::<WatchRequest<SpuSpec>>(&wanted)?.is_some() {
            self.start_watch(session, request, move |_| cluster.spus());
        } else if let Some(watch) = about::<WatchRequest<SmartModuleSpec>>(&wanted)? {
            self.start_watch(session, request, move |now| cluster.smart_modules(now, &[], watch.summary));
        } else if about::<WatchRequest<TableFormatSpec>>(&wanted)?.is_some() {
            self.start_watch(session, request, move |now| cluster.table_formats(now));
        } else if about::<WatchRequest<SpuGroupSpec>>(&wanted)?.is_some() {
            self.start_watch(session, request, |_| Vec::<Object<SpuGroupSpec>>::new());
        } else {
            return Err(unknown_kind());
        }
        Ok(())
    }

    fn start_watch<S>(
        &self,
        session: &mut ControlSession,
        request: &Request,
        list: impl Fn(&Snapshot) -> Vec<Object<S>> + Send + 'static,
    ) where
        S: AdminSpec + Encoder + Decoder + Clone + PartialEq + Send + Sync + 'static,
        S::Status: Encoder + Decoder + Clone + Debug + Send + Sync,
    {
        session.watches.retain(|watch| watch.has_changed().is_ok());
        let (sent, watch) = watch::channel(0);
        session.watches.push(watch);
        let metadata = self.cluster.metadata().clone();
        tokio::spawn(watching::run(metadata, request.header.clone(), session.outbox.clone(), sent, list));
    }

    /// Answers a change once this connection's watches know of it: a client that has created a topic may use it at once.
    async fn changed(
        &self,
        session: &mut ControlSession,
        request: &Request,
        status: Status,
    ) -> Result<Bytes, BadRequest> {
        let epoch = *self.cluster.metadata().changes().borrow();
        let all = async {
            for watch in &mut session.watches {
                // A watch that has ended has nobody to tell.
                let _ = watch.wait_for(|sent| *sent >= epoch).await;
            }
        };
        if status.error_code.is_ok() {
            let _ = tokio::time::timeout(WATCH_PATIENCE, all).await;
        }
        request.respond(status)
    }
}

fn listed<S>(request: &Request, objects: Vec<Object<S>>) -> Result<Bytes, BadRequest>
where
    S: AdminSpec,
    S::Status: Encoder + Decoder + Debug,
{
    let version = request.header.api_version();
    let response = ObjectApiListResponse::try_encode_from(ListResponse::new(objects), version)
        .map_err(|error| BadRequest::Malformed(error.to_string()))?;
    request.respond(response)
}

fn unsupported(doing: &str) -> Status {
    let text = format!("{doing} this kind of object is not supported by the embedded broker");
    Status::new(String::new(), ErrorCode::Other(text.clone()), Some(text))
}
