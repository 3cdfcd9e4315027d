//! What has to hold for what is sent to ingest: bodies, batches, reactions.

use std::net::Ipv4Addr;

use async_compression::Level;
use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZstdEncoder};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use ovation_reaction::{Draft, Event, Origin, parse};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::io::AsyncWriteExt as _;

use super::body::{self, Encoding, Taken};
use super::many::items;
use super::{Admitted, Checked, Sender, json, key, now_ms};
use crate::access::{self, Action};
use crate::fuzzing::{APP, RUNTIME, is_told};
use crate::problem::Problem;

/// Items in a batch: few, so that too many are soon there.
const ITEMS_MAX: usize = 20;

/// A body: small, so that too large ones are soon there.
const TAKEN: Taken = Taken { lines: true, bytes_max: 1_024, inflated_bytes_max: 4_096 };

/// One reaction, as a body.
pub fn reaction(bytes: &[u8]) -> bool {
    let depth_max = APP.config.ingest.json_depth_max;
    let draft: Draft<'_> = match json::read(bytes, depth_max) {
        Ok(draft) => draft,
        Err(problem) => {
            is_told(&problem);
            return false;
        }
    };
    if let Ok(value) = serde_json::from_slice(bytes) {
        assert!(depth_of(&value) <= depth_max, "it is nested deeper than is said");
    }
    let room = draft.room.clone().unwrap_or("lobby".into());
    let draft = Draft { room: Some(room), ..draft };
    is_judged(draft.clone(), None) | is_judged(draft, Some("from-the-header"))
}

fn depth_of(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth_of).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth_of).max().unwrap_or(0),
        _ => 0,
    }
}

/// Judges a reaction of everybody, and of a user with a token.
pub(crate) fn is_judged(draft: Draft<'_>, key: Option<&str>) -> bool {
    let mut taken = false;
    for grant in access::fuzzing::grants() {
        let sender = Sender { grant, address: Ipv4Addr::LOCALHOST.into() };
        match APP.admit(sender, draft.clone(), key) {
            Ok(Admitted { reaction, .. }) => {
                is_stored(sender, &reaction);
                taken = true;
            }
            Err(problem) => is_told(&problem),
        }
    }
    taken
}

/// What is admitted is what the broker's own judge takes, and is what its sender and its room allow.
fn is_stored(sender: Sender<'_>, reaction: &Checked) {
    let key = Some(reaction.room.as_bytes());
    let origin = Origin { key, timestamp: Some(now_ms()), partition: 3, offset: 4 };
    let parsed = match parse(&reaction.event, &origin, &APP.config.ingest.rules) {
        Ok(Event::Reaction(parsed)) => parsed,
        other => panic!("{reaction:?} is admitted, but is {other:?}"),
    };
    assert_eq!(
        (&*parsed.id, &*parsed.room, parsed.emoji, parsed.count, parsed.user.as_deref()),
        (&*reaction.id, &*reaction.room, reaction.emoji, reaction.count, reaction.user.as_deref())
    );
    // What needs escapes is for the JSON parser.
    let is_escaped = |text: &str| text.contains(['"', '\\']);
    let is_plain = !is_escaped(&reaction.id) && !reaction.user.as_deref().is_some_and(is_escaped);
    assert_eq!(parsed.is_written(&reaction.event), is_plain, "{reaction:?}");
    assert!(sender.grant.may(Action::React, &reaction.room).is_ok());
    assert!(sender.grant.user().is_none_or(|user| reaction.user.as_deref() == Some(user)));
    assert_eq!(APP.rooms.check(&reaction.room, reaction.emoji), Ok(()));
}

/// A batch, as an array or as lines.
pub fn batch(bytes: &[u8]) -> bool {
    let split = match items(bytes, ITEMS_MAX) {
        Ok(split) => split,
        Err(problem) => {
            is_told(&problem);
            return false;
        }
    };
    assert!(split.len() <= ITEMS_MAX);
    assert!(split.iter().all(|item| !item.is_empty() && item.trim_ascii() == *item));
    assert!(split.iter().map(|item| item.len()).sum::<usize>() <= bytes.len());
    let is_array = bytes.trim_ascii_start().starts_with(b"[");
    let other = if is_array { as_lines(&split) } else { as_array(&split) };
    let mut taken = false;
    if let Some(other) = other {
        let again =
            items(&other, ITEMS_MAX).unwrap_or_else(|problem| panic!("{problem:?} in the other form"));
        assert_eq!(again.len(), split.len());
        for (index, (one, two)) in split.iter().zip(again).enumerate() {
            let (one, two) = (verdict(one, index), verdict(two, index));
            taken |= one.is_ok();
            // Time goes on between the two.
            if !matches!((&one, &two), (Err("past" | "future"), _) | (_, Err("past" | "future"))) {
                assert_eq!(one, two, "an item is the same in both forms");
            }
        }
    } else {
        split.iter().enumerate().for_each(|(index, item)| drop(verdict(item, index)));
    }
    taken
}

/// The items of an array, as lines; none where the first would be an array itself.
fn as_lines(items: &[&[u8]]) -> Option<Vec<u8>> {
    // A JSON string has no line break in it.
    let line = |item: &&[u8]| -> Vec<u8> {
        item.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect()
    };
    let is_split = !items.first()?.starts_with(b"[");
    is_split.then(|| items.iter().map(line).collect::<Vec<_>>().join(&b"\r\n"[..]))
}

/// Lines as an array; none where one of them is no JSON.
fn as_array(items: &[&[u8]]) -> Option<Vec<u8>> {
    let is_json = |item: &&[u8]| serde_json::from_slice::<&RawValue>(item).is_ok();
    items.iter().all(is_json).then(|| [b"[", &*items.join(&b" ,\n"[..]), b"]"].concat())
}

/// What becomes of an item: its id, room, emoji, count and user, or the name of its problem.
type Verdict = Result<(String, String, &'static str, u64, Option<String>), &'static str>;

fn verdict(item: &[u8], index: usize) -> Verdict {
    let [everyone, _] = access::fuzzing::grants();
    let sender = Sender { grant: everyone, address: Ipv4Addr::LOCALHOST.into() };
    match super::many::admitted(&APP, sender, item, index, Some("key")) {
        Ok(Admitted { reaction, .. }) => {
            is_stored(sender, &reaction);
            Ok((reaction.id, reaction.room, reaction.emoji, reaction.count, reaction.user))
        }
        Err(problem) => {
            is_told(&problem);
            Err(problem.kind().name)
        }
    }
}

/// A body: its encoding, the size of the pieces that it comes in, and its bytes; as they are, and compressed.
pub fn body(bytes: &[u8]) -> bool {
    let [encoding, piece, bytes @ ..] = bytes else { return false };
    let encoding = ["identity", "gzip", "zstd", "br"][usize::from(encoding % 4)];
    let read = |bytes: &[u8]| read(encoding, usize::from(*piece) + 1, bytes);

    let taken = read(bytes);
    if encoding == "identity" {
        assert_eq!(taken.as_deref().ok(), (bytes.len() <= TAKEN.bytes_max).then_some(bytes));
        return taken.is_ok();
    }
    if let Ok(packed) = RUNTIME.block_on(packed(encoding, bytes)) {
        let is_taken = packed.len() <= TAKEN.bytes_max && bytes.len() <= TAKEN.inflated_bytes_max;
        assert_eq!(read(&packed).as_deref().ok(), is_taken.then_some(bytes));
        let end = packed.len() * usize::from(*piece) / 256;
        assert!(end == 0 || read(&packed[..end]).is_err(), "{encoding} that breaks off at {end}");
        let twice = [&*packed, &*packed].concat();
        if is_taken && encoding != "br" && twice.len() <= TAKEN.bytes_max {
            let whole = [bytes, bytes].concat();
            let is_taken = whole.len() <= TAKEN.inflated_bytes_max;
            assert_eq!(read(&twice).ok(), is_taken.then_some(whole.into()), "members follow each other");
        }
    }
    taken.is_ok()
}

/// Reads a body that comes in pieces.
fn read(encoding: &'static str, piece: usize, bytes: &[u8]) -> Result<Bytes, Problem> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    let pieces: Vec<Result<Bytes, std::io::Error>> =
        bytes.chunks(piece).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let body = Body::from_stream(futures_util::stream::iter(pieces));
    let read = RUNTIME.block_on(body::read(TAKEN, &APP.config.ingest, &APP.decoders, &headers, body));
    match &read {
        Ok(whole) => {
            assert!(whole.len() <= TAKEN.inflated_bytes_max);
        }
        Err(problem) => is_told(problem),
    }
    read
}

async fn packed(encoding: &str, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    macro_rules! pack {
        ($encoder:ident) => {{
            let mut encoder = $encoder::with_quality(Vec::new(), Level::Fastest);
            encoder.write_all(bytes).await?;
            encoder.shutdown().await?;
            Ok(encoder.into_inner())
        }};
    }
    match encoding {
        "gzip" => pack!(GzipEncoder),
        "zstd" => pack!(ZstdEncoder),
        _ => pack!(BrotliEncoder),
    }
}

/// Headers that ingest looks at; says whether there is a key.
pub(crate) fn headers(headers: &HeaderMap) -> bool {
    if let Err(problem) = Encoding::of(headers) {
        is_told(&problem);
    }
    match key::key_in(headers) {
        Ok(Some(key)) => {
            // As the id of a reaction it is judged as any other.
            let draft = Draft { emoji: Some("🔥".into()), room: Some("lobby".into()), ..Draft::default() };
            is_judged(draft, Some(key))
        }
        Ok(None) => false,
        Err(problem) => {
            is_told(&problem);
            false
        }
    }
}
