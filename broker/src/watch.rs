//! Watches: a client is sent all objects of a kind, then what changes.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Debug;
use std::sync::Arc;

use fluvio_protocol::api::RequestHeader;
use fluvio_protocol::{Decoder, Encoder};
use fluvio_sc_schema::message::Message;
use fluvio_sc_schema::objects::{Metadata as Object, MetadataUpdate, ObjectApiWatchResponse, WatchResponse};
use fluvio_sc_schema::{AdminSpec, TryEncodableFrom};
use tokio::sync::watch;

use crate::connection::Outbox;
use crate::frame::respond;
use crate::metadata::{Metadata, Snapshot};

/// Sends all objects that `list` makes of a snapshot, then differences, until the connection ends. `sent` is told
/// which change the client has been sent.
pub(crate) async fn run<S>(
    metadata: Arc<Metadata>,
    header: RequestHeader,
    outbox: Outbox,
    sent: watch::Sender<i64>,
    list: impl Fn(&Snapshot) -> Vec<Object<S>> + Send + 'static,
) where
    S: AdminSpec + Encoder + Decoder + Clone + PartialEq + Send + Sync + 'static,
    S::Status: Encoder + Decoder + Clone + Debug + Send + Sync,
{
    let mut changes = metadata.changes();
    let mut known: Option<BTreeMap<String, Object<S>>> = None;
    loop {
        let epoch = *changes.borrow_and_update();
        let objects = list(&metadata.snapshot());
        let update = match &known {
            None => Some(MetadataUpdate::with_all(epoch, objects.clone())),
            Some(known) => {
                let changes = differences(known, &objects);
                (!changes.is_empty()).then(|| MetadataUpdate::with_changes(epoch, changes))
            }
        };
        known = Some(objects.into_iter().map(|object| (object.name.clone(), object)).collect());
        if let Some(update) = update {
            let encoded =
                ObjectApiWatchResponse::try_encode_from(WatchResponse::new(update), header.api_version());
            let Some(frame) = encoded.ok().and_then(|response| respond(&header, response).ok()) else {
                tracing::error!(kind = S::LABEL, "encoding a watch response failed");
                return;
            };
            if outbox.send(frame).await.is_err() {
                return;
            }
        }
        sent.send_replace(epoch);
        tokio::select! {
            () = outbox.ending().cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

fn differences<S>(known: &BTreeMap<String, Object<S>>, objects: &[Object<S>]) -> Vec<Message<Object<S>>>
where
    S: AdminSpec + Encoder + Decoder + Clone + PartialEq,
    S::Status: Encoder + Decoder + Clone + Debug,
{
    let changed = objects
        .iter()
        .filter(|object| known.get(&object.name).is_none_or(|before| before.spec != object.spec))
        .cloned()
        .map(Message::update);
    let names: HashSet<&str> = objects.iter().map(|object| object.name.as_str()).collect();
    let gone =
        known.values().filter(|before| !names.contains(before.name.as_str())).cloned().map(Message::delete);
    changed.chain(gone).collect()
}
