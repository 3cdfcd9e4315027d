//! The feed: a WebSocket, both ways. Updates out, reactions in.

mod entrance;
pub(crate) mod fuzzing;
pub(crate) mod message;

use std::sync::Arc;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt as _, StreamExt as _};
use ovation_reaction::Draft;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::task::task_tracker::TaskTrackerToken;

use self::entrance::{Pass, UNAUTHORIZED};
use self::message::{Asked, Heard};
use crate::access::{Action, Address, Grant, PROTOCOL};
use crate::cursor::Cursor;
use crate::hub::{Update, Watch};
use crate::ingest::Taken;
use crate::metrics::Way;
use crate::problem::Problem;
use crate::room::Room;
use crate::{App, wire};

/// Updates that go out in one write when several wait.
const WRITE_UPDATES_MAX: usize = 32;

/// How the client asks to begin.
#[derive(Deserialize)]
pub(crate) struct Begin {
    /// Cursor to resume after.
    after: Option<String>,
}

/// Follow a room, and react in it: a WebSocket.
///
/// First comes a snapshot, or what came after the cursor; then every update. Messages are JSON objects, one each.
#[utoipa::path(
    get,
    operation_id = "feed",
    path = "/v1/rooms/{room}/feed",
    tag = "rooms",
    params(Room, ("after" = Option<String>, Query, nullable = false, description = "Cursor to resume after.")),
    responses(
        (status = 101, description = "The feed begins."),
        (status = "default", description = "A problem.", body = wire::Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Address(address): Address,
    room: Room,
    headers: HeaderMap,
    begin: Result<Query<Begin>, axum::extract::rejection::QueryRejection>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let Query(begin) = begin.map_err(|error| Problem::bad_request(error.body_text()))?;
    let upgrade = upgrade.map_err(|error| Problem::no_websocket(error.status(), error.body_text()))?;
    let place = Arc::clone(&app.seats).try_acquire_owned().map_err(|_| Problem::too_many_clients())?;
    let cursor = begin.after.as_deref().and_then(Cursor::decode);
    let shown = entrance::shown(&app, &headers);
    let limit = entrance::message_bytes_max(&app);
    // Held from here on, so that the drain waits also for a feed that is just being upgraded.
    let task = app.tasks.token();
    let upgrade = upgrade.protocols([PROTOCOL]).max_message_size(limit).max_frame_size(limit);
    Ok(upgrade.on_upgrade(async move |mut socket| {
        let cut = app.cut.clone();
        let visit = async move {
            let Some(grant) = entrance::admit(&app, &room, &mut socket, shown).await else { return };
            Client::new(app, room, socket, Pass::new(grant, address), cursor, place, task).run().await;
        };
        cut.run_until_cancelled(visit).await;
    }))
}

/// The client is gone, or is closed: nothing more to send.
struct Gone;

/// One client of the feed.
struct Client {
    app: Arc<App>,
    room: Arc<Room>,
    socket: WebSocket,
    pass: Pass,
    watch: Watch,
    /// Answers to its reactions, as the broker acknowledges them.
    answers: FuturesUnordered<BoxFuture<'static, String>>,
    /// When it was last heard of.
    heard: Instant,
    _place: OwnedSemaphorePermit,
    _task: TaskTrackerToken,
}

impl Client {
    fn new(
        app: Arc<App>,
        room: Room,
        socket: WebSocket,
        pass: Pass,
        cursor: Option<Cursor>,
        place: OwnedSemaphorePermit,
        task: TaskTrackerToken,
    ) -> Self {
        let watch = app.hub.watch(room.as_str(), cursor.as_ref());
        Self {
            app,
            room: Arc::new(room),
            socket,
            pass,
            watch,
            answers: FuturesUnordered::new(),
            heard: Instant::now(),
            _place: place,
            _task: task,
        }
    }

    async fn run(mut self) {
        // Gone is how every feed ends.
        let Err(Gone) = self.converse().await;
    }

    async fn converse(&mut self) -> Result<std::convert::Infallible, Gone> {
        self.begin().await?;
        let app = Arc::clone(&self.app);
        let mut ping = tokio::time::interval(app.config.ping_interval);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let may_read = self.answers.len() < app.config.client_in_flight_max;
            tokio::select! {
                () = app.shutdown.cancelled() => {
                    return Err(self.end(close_code::RESTART, "reconnect elsewhere").await);
                }
                () = self.pass.over() => return Err(self.end(UNAUTHORIZED, "token expired").await),
                update = self.watch.updates.recv() => match update {
                    Ok(update) => self.send_updates(update).await?,
                    Err(RecvError::Lagged(count)) => self.skip(count).await?,
                    // The topic was made anew.
                    Err(RecvError::Closed) => {
                        self.watch = app.hub.watch(self.room.as_str(), None);
                        self.begin().await?;
                    }
                },
                Some(answer) = self.answers.next(), if !self.answers.is_empty() => {
                    self.send(Message::Text(answer.into())).await?;
                }
                message = self.socket.recv(), if may_read => match message {
                    Some(Ok(message)) => self.hear(message).await?,
                    Some(Err(error)) => return Err(self.fail(&error).await),
                    None => return Err(Gone),
                },
                _ = ping.tick() => {
                    if self.heard.elapsed() > app.config.ping_interval * 2 {
                        return Err(self.close(close_code::POLICY, "no answer to pings").await);
                    }
                    self.send(Message::Ping(bytes::Bytes::new())).await?;
                }
            }
        }
    }

    /// Sends the snapshot, or what the client missed.
    async fn begin(&mut self) -> Result<(), Gone> {
        for message in std::mem::take(&mut self.watch.first) {
            self.send(Message::Text(message)).await?;
        }
        Ok(())
    }

    /// Sends an update and those that wait behind it, in one write.
    async fn send_updates(&mut self, first: Arc<Update>) -> Result<(), Gone> {
        let mut messages = vec![first.message.clone()];
        let mut skipped = None;
        while messages.len() < WRITE_UPDATES_MAX {
            match self.watch.updates.try_recv() {
                Ok(update) => messages.push(update.message.clone()),
                Err(TryRecvError::Lagged(count)) => {
                    skipped = Some(count);
                    break;
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        let write = async {
            for message in messages {
                self.socket.feed(Message::Text(message)).await?;
            }
            self.socket.flush().await
        };
        match tokio::time::timeout(self.app.config.write_timeout, write).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Err(Gone),
        }
        match skipped {
            Some(count) => self.skip(count).await,
            None => Ok(()),
        }
    }

    /// The client was too slow for `count` updates: it goes on with the state as it is now, finals included.
    async fn skip(&mut self, count: u64) -> Result<(), Gone> {
        self.watch = self.app.hub.watch(self.room.as_str(), None);
        self.send(Message::Text(format!(r#"{{"type":"skipped","count":{count}}}"#).into())).await?;
        self.begin().await
    }

    /// Takes a message of the client.
    async fn hear(&mut self, message: Message) -> Result<(), Gone> {
        self.heard = Instant::now();
        let problem = match message {
            Message::Text(text) => match message::hear(&self.app.config, &text) {
                Ok(Heard { reference, asked: Asked::Reaction(draft) }) => {
                    self.answers.push(self.react(*draft, reference));
                    return Ok(());
                }
                Ok(Heard { reference, asked: Asked::Renewal(token) }) => {
                    return self.renew(token.as_deref(), reference.as_deref()).await;
                }
                Err(answer) => answer,
            },
            Message::Binary(_) => error(None, &Problem::bad_request("messages are JSON text, not binary")),
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Close(_) => {
                // The answer to it goes out with this flush.
                let _ = tokio::time::timeout(self.app.config.write_timeout, self.socket.flush()).await;
                return Err(Gone);
            }
        };
        self.send(Message::Text(problem.into())).await
    }

    /// Sends a reaction on its way; what comes of it is the answer.
    fn react(&self, draft: Draft<'_>, reference: Option<String>) -> BoxFuture<'static, String> {
        let draft = Draft { room: Some(self.room.as_str().into()), ..draft };
        let admitted = self.app.admit(self.pass.sender(), draft, None);
        let app = Arc::clone(&self.app);
        Box::pin(async move {
            match app.take(Way::Feed, admitted.map(|admitted| admitted.reaction)).await {
                Ok(taken) => ack(reference.as_deref(), Some(&taken)),
                Err(problem) => error(reference.as_deref(), &problem),
            }
        })
    }

    /// Goes on with another token, before or after what the old one would have allowed.
    async fn renew(&mut self, token: Option<&str>, reference: Option<&str>) -> Result<(), Gone> {
        let watching = |grant: Arc<Grant>| grant.may(Action::Watch, self.room.as_str()).map(|()| grant);
        match self.app.access.grant_of(token).and_then(watching) {
            Ok(grant) => {
                self.pass = self.pass.renewed(grant);
                // Without a `ref` nobody waits for an answer.
                match reference {
                    Some(reference) => self.send(Message::Text(ack(Some(reference), None).into())).await,
                    None => Ok(()),
                }
            }
            Err(denied) => {
                entrance::refuse(&self.app, &mut self.socket, reference, denied).await;
                Err(Gone)
            }
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        send(&self.app, &mut self.socket, message).await
    }

    /// Answers what is on its way, then closes.
    async fn end(&mut self, code: u16, reason: &'static str) -> Gone {
        while let Some(answer) = self.answers.next().await {
            if let Err(gone) = self.send(Message::Text(answer.into())).await {
                return gone;
            }
        }
        self.close(code, reason).await
    }

    /// The client broke the protocol or the limit, or its connection broke.
    async fn fail(&mut self, error: &axum::Error) -> Gone {
        let mut source = std::error::Error::source(error);
        let mut too_large = false;
        while let Some(cause) = source {
            // tungstenite is axum's own business; its text is all there is to see here.
            too_large |= cause.to_string().contains("too long") || cause.to_string().contains("too big");
            source = cause.source();
        }
        match too_large {
            true => self.close(close_code::SIZE, "message too large").await,
            false => self.close(close_code::PROTOCOL, "protocol error").await,
        }
    }

    async fn close(&mut self, code: u16, reason: &'static str) -> Gone {
        close(&self.app, &mut self.socket, code, reason).await;
        Gone
    }
}

/// Sends a message to a client that takes it in time.
async fn send(app: &App, socket: &mut WebSocket, message: Message) -> Result<(), Gone> {
    match tokio::time::timeout(app.config.write_timeout, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Gone),
    }
}

/// Closes a socket, with the reason.
async fn close(app: &App, socket: &mut WebSocket, code: u16, reason: &'static str) {
    let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
    if send(app, socket, Message::Close(Some(frame))).await.is_ok() {
        // A client that answers gets a clean end; one that does not is not waited for beyond the timeout.
        let answer = async { while let Some(Ok(_)) = socket.recv().await {} };
        let _ = tokio::time::timeout(CLOSE_WAIT, answer).await;
    }
}

/// How long a closed client may take to say goodbye.
const CLOSE_WAIT: std::time::Duration = std::time::Duration::from_secs(1);

pub(crate) fn ack(reference: Option<&str>, taken: Option<&Taken>) -> String {
    #[derive(Serialize)]
    struct Ack<'a> {
        r#type: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        r#ref: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        duplicate: bool,
    }
    let ack = Ack {
        r#type: "ack",
        r#ref: reference,
        id: taken.map(|taken| &*taken.id),
        duplicate: taken.is_some_and(|taken| taken.is_duplicate),
    };
    // Strings always serialise.
    serde_json::to_string(&ack).unwrap_or_default()
}

pub(crate) fn error(reference: Option<&str>, problem: &Problem) -> String {
    #[derive(Serialize)]
    struct Failure<'a> {
        r#type: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        r#ref: Option<&'a str>,
        problem: Box<RawValue>,
    }
    let problem = RawValue::from_string(problem.to_json()).unwrap_or_default();
    serde_json::to_string(&Failure { r#type: "error", r#ref: reference, problem }).unwrap_or_default()
}
