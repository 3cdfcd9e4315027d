//! Those who watch a room, and those of them who tap over the same socket.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::StatusCode;
use hyper::header::ACCEPT;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message as Frame};

use crate::book::Seen;
use crate::crowd::Crowd;
use crate::message::Message;
use crate::scenario::Tap;
use crate::target::NoAnswer;

/// Taps that wait for a socket.
pub(crate) const WAITING_MAX: usize = 256;
/// From the request for a feed to its first message.
const JOIN: Duration = Duration::from_secs(30);
/// Before a connection that broke is made anew.
const AGAIN: Duration = Duration::from_millis(500);
/// What a socket reads at once: little, as there are thousands.
const READ_BYTES: usize = 8 * 1024;
/// Bytes of a line of events.
const LINE_BYTES_MAX: usize = 1024 * 1024;

#[derive(Debug, thiserror::Error)]
enum Break {
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    #[error(transparent)]
    Socket(#[from] Box<tungstenite::Error>),
    #[error("failed to read: {0}")]
    Read(#[from] hyper::Error),
    #[error("answered {0}")]
    Status(StatusCode),
    #[error("failed to understand a message: {0}")]
    Message(#[from] serde_json::Error),
    #[error("nothing came within 30 s")]
    Late,
    #[error("the gateway ended it")]
    Ended,
}

impl From<tungstenite::Error> for Break {
    fn from(error: tungstenite::Error) -> Self {
        Self::Socket(Box::new(error))
    }
}

/// How somebody watches.
pub(crate) enum By {
    /// Over a WebSocket, with the taps that are to be sent over it.
    Socket(mpsc::Receiver<Tap>),
    /// By server-sent events.
    Events,
}

/// Somebody who watches a room.
pub(crate) struct Watcher {
    crowd: Arc<Crowd>,
    room: usize,
    seen: Seen,
    cursor: String,
    /// Since the connection was made.
    began: Duration,
    has_come: bool,
    /// Reactions that are not answered.
    sent: HashMap<u64, Tap>,
    references: u64,
}

type Socket = WebSocketStream<TcpStream>;

impl Watcher {
    pub(crate) fn new(crowd: Arc<Crowd>, room: usize) -> Self {
        Self {
            crowd,
            room,
            seen: Seen::default(),
            cursor: String::new(),
            began: Duration::ZERO,
            has_come: false,
            sent: HashMap::new(),
            references: 0,
        }
    }

    /// Watches until all go home.
    pub(crate) async fn watch(mut self, mut by: By) -> (usize, Seen) {
        let crowd = Arc::clone(&self.crowd);
        loop {
            let watching = async {
                match &mut by {
                    By::Socket(taps) => self.socket(taps).await,
                    By::Events => self.events().await,
                }
            };
            let watched = tokio::select! {
                () = crowd.over.cancelled() => break,
                watched = watching => watched,
            };
            self.broke(watched);
            tokio::select! {
                () = crowd.over.cancelled() => break,
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
        self.end(by)
    }

    fn path(&self, kind: &str) -> String {
        let after = if self.cursor.is_empty() { String::new() } else { format!("?after={}", self.cursor) };
        format!("/v1/rooms/{}/{kind}{after}", self.crowd.names[self.room])
    }

    async fn socket(&mut self, taps: &mut mpsc::Receiver<Tap>) -> Result<(), Break> {
        let crowd = Arc::clone(&self.crowd);
        self.began = crowd.now();
        let stream = crowd.target.connect().await?;
        let (parts, ()) =
            crowd.target.request(&self.path("feed")).body(()).map_err(NoAnswer::from)?.into_parts();
        let mut request = format!("ws://{}{}", crowd.target.authority(), parts.uri).into_client_request()?;
        request.headers_mut().extend(parts.headers);
        let config = WebSocketConfig::default().read_buffer_size(READ_BYTES).write_buffer_size(0);
        let opening = tokio_tungstenite::client_async_with_config(request, stream, Some(config));
        let (mut socket, _) = tokio::time::timeout(JOIN, opening).await.map_err(|_| Break::Late)??;
        self.is_open();
        let mut no_more_taps = false;
        loop {
            tokio::select! {
                frame = socket.next() => match frame.ok_or(Break::Ended)?? {
                    Frame::Text(text) => self.hear(&text)?,
                    Frame::Close(_) => return Err(Break::Ended),
                    _ => {}
                },
                tap = taps.recv(), if !no_more_taps => match tap {
                    Some(tap) => self.send(&mut socket, tap).await?,
                    None => no_more_taps = true,
                },
            }
        }
    }

    /// The connection stands: who resumes gets nothing before there is something new.
    fn is_open(&mut self) {
        if !self.cursor.is_empty() {
            self.has_come = true;
            self.crowd.counts.watching.fetch_add(1, Ordering::Relaxed);
            self.seen.resumed(&self.crowd.books[self.room], self.crowd.now());
        }
    }

    async fn send(&mut self, socket: &mut Socket, tap: Tap) -> Result<(), Break> {
        self.references += 1;
        let body = self.crowd.body(&tap, Some(&self.references.to_string()), false);
        self.sent.insert(self.references, tap);
        self.crowd.meters.lag.record(self.crowd.now().saturating_sub(tap.due));
        Ok(socket.send(Frame::text(body)).await?)
    }

    async fn events(&mut self) -> Result<(), Break> {
        let crowd = Arc::clone(&self.crowd);
        self.began = crowd.now();
        let mut sender = crowd.target.open().await?;
        let request = crowd.target.request(&self.path("events")).header(ACCEPT, "text/event-stream");
        let request = request.body(Full::default()).map_err(NoAnswer::from)?;
        let answer =
            tokio::time::timeout(JOIN, sender.send_request(request)).await.map_err(|_| Break::Late)??;
        if answer.status() != StatusCode::OK {
            return Err(Break::Status(answer.status()));
        }
        self.is_open();
        let (mut body, mut line) = (answer.into_body(), Vec::new());
        while let Some(frame) = body.frame().await {
            let Ok(bytes) = frame?.into_data() else { continue };
            for part in bytes.split_inclusive(|byte| *byte == b'\n') {
                line.extend_from_slice(part);
                if line.ends_with(b"\n") {
                    if let Some(data) = line.strip_prefix(b"data:") {
                        self.hear(std::str::from_utf8(data).unwrap_or_default())?;
                    }
                    line.clear();
                } else if line.len() > LINE_BYTES_MAX {
                    return Err(Break::Ended);
                }
            }
        }
        Err(Break::Ended)
    }

    fn hear(&mut self, text: &str) -> Result<(), Break> {
        let crowd = &*self.crowd;
        let now = crowd.now();
        let message: Message<'_> = serde_json::from_str(text)?;
        if let Some(cursor) = &message.cursor {
            self.cursor.clear();
            self.cursor.push_str(cursor);
            if !self.has_come {
                self.has_come = true;
                crowd.meters.join.record(now.saturating_sub(self.began));
                crowd.counts.watching.fetch_add(1, Ordering::Relaxed);
                self.seen.came(&crowd.books[self.room]);
            }
        }
        crowd.counts.delivered_bytes.add(text.len() as u64);
        match &*message.kind {
            "update" => {
                crowd.counts.deliveries.add(1);
                if let Some(update) = &message.update {
                    self.seen.update(&crowd.books[self.room], update, now);
                }
            }
            "snapshot" if message.resumed == Some(false) => self.seen.came(&crowd.books[self.room]),
            "moment" => crowd.counts.moments.add(1),
            "skipped" => {
                crowd.counts.skipped.add(message.count.unwrap_or(0));
                self.seen.skipped(message.count.unwrap_or(0));
            }
            "ack" | "error" => {
                let reference = message.reference.as_deref().and_then(|text| text.parse().ok());
                if let Some(tap) = reference.and_then(|number: u64| self.sent.remove(&number)) {
                    match message.problem {
                        None => {
                            crowd.meters.socket.record(now.saturating_sub(tap.due));
                            crowd.acked(&tap);
                        }
                        // The broker may have it.
                        Some(problem) if problem.status >= 500 => crowd.unknown(&tap, problem.name()),
                        Some(problem) => crowd.refused(&tap, problem.name()),
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn broke(&mut self, how: Result<(), Break>) {
        let why = how.err().map_or_else(String::new, |error| error.to_string());
        if self.has_come {
            self.has_come = false;
            self.crowd.counts.watching.fetch_sub(1, Ordering::Relaxed);
            self.crowd.counts.reconnects.add(1);
            self.seen.left(&self.crowd.books[self.room]);
        } else {
            self.crowd.counts.failed_joins.add(1);
        }
        self.crowd.failed(format!("feed: {why}"));
        for (_, tap) in self.sent.drain() {
            self.crowd.unknown(&tap, format!("connection lost: {why}"));
        }
    }

    fn end(mut self, by: By) -> (usize, Seen) {
        if self.has_come {
            self.crowd.counts.watching.fetch_sub(1, Ordering::Relaxed);
            self.seen.left(&self.crowd.books[self.room]);
        }
        for (_, tap) in self.sent.drain() {
            self.crowd.unknown(&tap, "not answered".to_owned());
        }
        if let By::Socket(mut taps) = by {
            while let Ok(tap) = taps.try_recv() {
                self.crowd.counts.unsent_taps.add(tap.count.into());
            }
        }
        (self.room, self.seen)
    }
}
