//! One client on a WebSocket: what it gets, what it says, and how it ends.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use ovation_reaction::Draft;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::choice::{Choice, Rooms, Scope};
use super::crowd::Member;
use super::end::End;
use super::entrance::Pass;
use super::frames::{Frames, Said};
use super::line::{Line, Sent};
use super::message::{Asked, Heard};
use super::reading::Reading;
use super::{ack, error, message};
use crate::App;
use crate::access::Grant;
use crate::form::{Codec, Form, close_frame, ping_frame, pong_frame};
use crate::hub::Taste;
use crate::metrics::Way;
use crate::problem::Problem;

/// Bytes read at once.
const READ_BYTES: usize = 4 * 1024;

/// How long a closed client may take to say goodbye.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// A WebSocket: messages of one client in, and its way out.
pub(super) struct Socket {
    pub(super) line: Arc<Line>,
    pub(super) frames: Frames,
    pub(super) form: Form,
}

impl Socket {
    /// The next message. A ping is answered by the way. None if nothing more comes.
    pub(super) async fn hear(&mut self) -> Result<Said, End> {
        loop {
            match self.frames.next().map_err(End::Broken)? {
                Some(Said::Ping(payload)) => {
                    self.send(pong_frame(&payload));
                    return Ok(Said::Pong);
                }
                Some(said) => return Ok(said),
                None => {}
            }
            self.line.socket().readable().await.map_err(|_| End::Gone)?;
            self.read()?;
        }
    }

    /// Reads what is there. Not a part of the task, which would hold the space.
    fn read(&mut self) -> Result<(), End> {
        let mut bytes = [0; READ_BYTES];
        match self.line.socket().try_read(&mut bytes) {
            Ok(0) => Err(End::Gone),
            Ok(count) => {
                self.frames.push(&bytes[..count]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(_) => Err(End::Gone),
        }
    }

    /// Sends bytes after those that wait. Whether the client is gone shows elsewhere.
    pub(super) fn send(&self, frame: Bytes) {
        self.line.send(frame);
    }

    /// Sends a message that is JSON.
    pub(super) fn tell(&self, message: &str) {
        self.send(self.form.write(message, None));
    }

    /// Says why it ends, and waits a moment for the client to take it and to say goodbye.
    pub(super) async fn close(mut self, end: End, patience: Duration) {
        let frame = match end {
            End::Gone => return,
            End::Closed(code) => close_frame(code, ""),
            end => {
                let (code, reason) = end.code();
                close_frame(Some(code), reason)
            }
        };
        let mut sent = self.line.close(frame);
        let until = Instant::now() + patience;
        while sent == Sent::Blocked {
            let writable = tokio::time::timeout_at(until, self.line.socket().writable());
            if !matches!(writable.await, Ok(Ok(()))) {
                self.line.reset();
                return;
            }
            sent = self.line.pump(false, false);
        }
        if sent == Sent::Gone || matches!(end, End::Closed(_) | End::Broken(_)) {
            return;
        }
        let goodbye = async {
            while let Ok(said) = self.hear().await {
                if matches!(said, Said::Close(_)) {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(CLOSE_WAIT, goodbye).await;
    }
}

/// One client of the feed.
pub(super) struct Client {
    app: Arc<App>,
    /// Its place in the crowd, which goes before its seat in the room: that one is the line's.
    member: Option<Member>,
    pass: Pass,
    rooms: Rooms,
    every: Option<Duration>,
    taste: Taste,
    changed: watch::Receiver<u64>,
    /// Answers to its reactions, as the broker acknowledges them.
    answers: FuturesUnordered<BoxFuture<'static, String>>,
    /// When it was last heard of.
    heard: Instant,
}

/// What a client brings.
pub(super) struct Arrival {
    pub(super) line: Arc<Line>,
    pub(super) pass: Pass,
    pub(super) scope: Scope,
    pub(super) choice: Choice,
    pub(super) taste: Taste,
}

impl Client {
    pub(super) async fn new(app: Arc<App>, arrival: Arrival) -> Self {
        let Arrival { line, pass, scope, mut choice, taste } = arrival;
        let (rooms, after) = (scope.rooms.clone(), choice.take_after(None));
        let (reading, changed) = Reading::begin(&app, scope, taste, choice.every.is_none(), after).await;
        let member = match (&rooms, choice.every) {
            (Rooms::One(room), None) => Some(app.crowds.join(room, taste, &line, &changed)),
            _ => None,
        };
        line.read_by(reading);
        Self {
            app,
            member,
            pass,
            rooms,
            every: choice.every,
            taste,
            changed,
            answers: FuturesUnordered::new(),
            heard: Instant::now(),
        }
    }

    /// Serves the client, and says why that ended. Then nothing more is handed to it, and it counts as watching until it is closed.
    pub(super) async fn run(&mut self, socket: &mut Socket) -> End {
        let Err(end) = self.converse(socket).await;
        self.member = None;
        end
    }

    async fn converse(&mut self, socket: &mut Socket) -> Result<Infallible, End> {
        let app = Arc::clone(&self.app);
        let mut ping = tokio::time::interval(app.config.ping_interval);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // A client with a pace of its own is looked after by the clock, one that the crowd does not serve by the hub's word.
        let is_pushed = self.member.is_some();
        let is_told = !is_pushed && self.every.is_none();
        let mut pace = self.every.map(tokio::time::interval);
        if let Some(pace) = &mut pace {
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        // With a pace nothing is read between its times, whatever calls.
        let may_read = pace.is_none();
        let line = Arc::clone(&socket.line);
        loop {
            let due = line.due(app.config.write_timeout);
            let may_hear = self.answers.len() < app.config.client_in_flight_max && !line.is_full();
            tokio::select! {
                () = app.shutdown.cancelled() => return Err(Box::pin(self.drain(socket)).await),
                () = self.pass.over() => return Err(End::Expired),
                () = line.called() => pump(&line, may_read, is_pushed)?,
                _ = line.socket().writable(), if due.is_some() => pump(&line, may_read, is_pushed)?,
                () = until(due) => return Err(End::Slow),
                told = self.changed.changed(), if is_told => {
                    // The hub outlives its clients.
                    if told.is_err() { return Err(End::Restart) }
                    pump(&line, true, false)?;
                }
                () = tick(&mut pace) => pump(&line, true, false)?,
                Some(answer) = self.answers.next(), if !self.answers.is_empty() => socket.tell(&answer),
                said = socket.hear(), if may_hear => self.hear(socket, said?)?,
                _ = ping.tick() => {
                    if self.heard.elapsed() > app.config.ping_interval * 2 {
                        return Err(End::Silent);
                    }
                    socket.send(ping_frame());
                }
            }
        }
    }

    /// Takes a message of the client.
    fn hear(&mut self, socket: &Socket, said: Said) -> Result<(), End> {
        self.heard = Instant::now();
        let text = match said {
            Said::Text(text) => text,
            Said::Binary(bytes) if self.taste.form.codec == Codec::MessagePack => {
                match message::unpacked(&bytes) {
                    Some(text) => text,
                    None => {
                        socket.tell(&error(None, &Problem::bad_request("this is no MessagePack")));
                        return Ok(());
                    }
                }
            }
            Said::Binary(_) => {
                let problem = Problem::bad_request("messages are JSON text, not binary");
                socket.tell(&error(None, &problem));
                return Ok(());
            }
            Said::Ping(_) | Said::Pong => return Ok(()),
            Said::Close(code) => return Err(End::Closed(code)),
        };
        match message::hear(&self.app.config, &text) {
            Ok(Heard { reference, asked: Asked::Reaction(draft) }) => {
                self.answers.push(self.react(*draft, reference))
            }
            Ok(Heard { reference, asked: Asked::Renewal(token) }) => {
                return self.renew(socket, token.as_deref(), reference.as_deref());
            }
            Err(answer) => socket.tell(&answer),
        }
        Ok(())
    }

    /// Sends a reaction on its way; what comes of it is the answer.
    fn react(&self, draft: Draft<'_>, reference: Option<String>) -> BoxFuture<'static, String> {
        let draft = match &self.rooms {
            Rooms::One(room) => Draft { room: Some(room.to_string().into()), ..draft },
            // A feed of many rooms takes reactions that name theirs.
            Rooms::Named(_) | Rooms::Covered => draft,
        };
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
    fn renew(&mut self, socket: &Socket, token: Option<&str>, reference: Option<&str>) -> Result<(), End> {
        let scope = |grant: Arc<Grant>| Scope::new(self.rooms.clone(), grant);
        match self.app.access.grant_of(token).and_then(scope) {
            Ok(scope) => {
                self.pass = self.pass.renewed(Arc::clone(&scope.grant));
                socket.line.with_reading(|reading| reading.renew(scope));
                // Without a `ref` nobody waits for an answer.
                if let Some(reference) = reference {
                    socket.tell(&ack(Some(reference), None));
                }
                Ok(())
            }
            Err(denied) => {
                let end = End::of(&denied);
                socket.tell(&error(reference, &Problem::from(denied)));
                Err(end)
            }
        }
    }

    /// Sends the client elsewhere, after a moment of its own, and with the answers that it waits for.
    async fn drain(&mut self, socket: &mut Socket) -> End {
        let moment = self.app.config.drain_spread.mul_f64(super::chance());
        let mut leave = Box::pin(tokio::time::sleep(moment));
        let line = Arc::clone(&socket.line);
        loop {
            tokio::select! {
                () = &mut leave, if self.answers.is_empty() => return End::Restart,
                Some(answer) = self.answers.next(), if !self.answers.is_empty() => socket.tell(&answer),
                () = line.called() => {
                    if pump(&line, self.every.is_none(), self.member.is_some()).is_err() {
                        return End::Gone;
                    }
                }
                said = socket.hear() => match said {
                    // What it asks for now is for the next gateway.
                    Ok(Said::Close(code)) => return End::Closed(code),
                    Ok(_) => {}
                    Err(end) => return end,
                },
            }
        }
    }
}

fn pump(line: &Line, may_read: bool, is_pushed: bool) -> Result<(), End> {
    match line.pump(may_read, is_pushed) {
        Sent::All | Sent::Blocked => Ok(()),
        Sent::Gone => Err(End::Gone),
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

async fn tick(pace: &mut Option<tokio::time::Interval>) {
    match pace {
        Some(pace) => drop(pace.tick().await),
        None => std::future::pending().await,
    }
}
