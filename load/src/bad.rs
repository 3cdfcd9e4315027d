//! Clients that no event wants: they send nonsense, too much, too slowly, or do not read.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use hyper::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::crowd::Crowd;
use crate::scenario::Tap;
use crate::send;

/// Between two of them.
const EVERY: Duration = Duration::from_millis(10);
/// Those that are at it at a time.
const AT_ONCE_MAX: usize = 256;
/// How long one that is slow stays.
const SLOW: Duration = Duration::from_secs(5);
/// Bytes of a body that is too large.
const LARGE: usize = 64 * 1024;

const KINDS: &[Kind] = &[
    Kind::NoJson,
    Kind::NoEmoji,
    Kind::TooLarge,
    Kind::BadBatch,
    Kind::HalfHead,
    Kind::NoFrames,
    Kind::NoReader,
    Kind::Gone,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    NoJson,
    NoEmoji,
    TooLarge,
    BadBatch,
    /// Begins a request, and never ends it.
    HalfHead,
    /// Opens a feed, and sends bytes that are no frames.
    NoFrames,
    /// Opens a feed, and does not read.
    NoReader,
    /// Sends a reaction, and is gone before the answer. It names no room of the crowd.
    Gone,
}

/// Bad clients, until the time is over.
pub(crate) async fn flood(crowd: Arc<Crowd>, until: Duration, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let (mut running, mut taps) = (JoinSet::new(), JoinSet::new());
    let mut ticks = tokio::time::interval_at(Instant::now(), EVERY);
    while crowd.now() < until {
        ticks.tick().await;
        while running.try_join_next().is_some() {}
        while taps.try_join_next().is_some() {}
        let room = rng.usize(..crowd.names.len());
        match KINDS.get(rng.usize(..=KINDS.len())) {
            Some(kind) if running.len() < AT_ONCE_MAX => {
                running.spawn(one(Arc::clone(&crowd), *kind, room));
            }
            // One user, far too often: what is accepted counts like any other tap.
            None if taps.len() < AT_ONCE_MAX => {
                crowd.counts.reactions.add(1);
                crowd.counts.taps.add(1);
                let tap = Tap { due: crowd.now(), room, emoji: "🔥", count: 1, user: u32::MAX };
                taps.spawn(send::single(Arc::clone(&crowd), tap));
            }
            _ => {}
        }
    }
    running.shutdown().await;
    // What is stored of these counts, so that their answers are waited for; each comes within a bound.
    while taps.join_next().await.is_some() {}
}

async fn one(crowd: Arc<Crowd>, kind: Kind, room: usize) {
    let path = format!("/v1/rooms/{}/reactions", crowd.names[room]);
    let (path, body) = match kind {
        Kind::NoJson => (path, "{\"emoji\":".to_owned()),
        Kind::NoEmoji => (path, r#"{"emoji":"fire"}"#.to_owned()),
        Kind::TooLarge => (path, "x".repeat(LARGE)),
        Kind::BadBatch => ("/v1/reactions".to_owned(), r#"{"room":1}"#.to_owned()),
        Kind::HalfHead | Kind::NoFrames | Kind::NoReader | Kind::Gone => {
            let said = raw(&crowd, kind, room).await;
            return crowd.bad(format!("{kind:?}: {said}"));
        }
    };
    let said = match crowd.pool.post(&path, body).await {
        Ok((status, answer)) => send::name(status, &answer),
        // A body that is too large is answered before it is read to its end.
        Err(_) if kind == Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE.as_u16().to_string() + " cut",
        Err(error) => error.to_string(),
    };
    crowd.bad(format!("{kind:?}: {said}"));
}

/// What is no proper request.
async fn raw(crowd: &Crowd, kind: Kind, room: usize) -> &'static str {
    let Ok(mut stream) = crowd.target.connect().await else { return "not let in" };
    let (name, host) = (&crowd.names[room], crowd.target.authority());
    let feed = format!(
        "GET /v1/rooms/{name}/feed HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    let head = match kind {
        Kind::HalfHead => "POST /v1/reactions HTTP/1.1\r\nhost: ".to_owned(),
        Kind::Gone => {
            let body = r#"{"emoji":"🔥"}"#;
            format!(
                "POST /v1/rooms/{name}-gone/reactions HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
                 content-length: {}\r\n\r\n{body}",
                body.len()
            )
        }
        _ => feed,
    };
    if stream.write_all(head.as_bytes()).await.is_err() {
        return "cut";
    }
    match kind {
        Kind::Gone => return "gone",
        Kind::NoReader => {
            tokio::time::sleep(SLOW).await;
            return "left";
        }
        // A frame that no client may send: reserved bits, and no mask.
        Kind::NoFrames if stream.write_all(&[0xff; 64]).await.is_err() => return "cut",
        _ => {}
    }
    let mut bytes = [0; 4096];
    let ended = async { while matches!(stream.read(&mut bytes).await, Ok(count) if count > 0) {} };
    match timeout(SLOW, ended).await {
        Ok(()) => "ended by the gateway",
        Err(_) => "still open after 5 s",
    }
}
