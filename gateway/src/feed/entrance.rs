//! The way into a feed: who comes, by which token, and until when.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, close_code};
use axum::http::HeaderMap;
use tokio::time::{Instant, Sleep};

use super::{close, error, message, send};
use crate::App;
use crate::access::{Action, Denied, Grant, TOKEN_BYTES_MAX, token_in_upgrade};
use crate::ingest::{Sender, now_ms};
use crate::problem::Problem;
use crate::room::Room;

/// Close code: another token is needed. From 4000 on they are an application's own (RFC 6455, 7.4.2).
pub(super) const UNAUTHORIZED: u16 = 4401;

/// Close code: the token is good, but not for this.
const FORBIDDEN: u16 = 4403;

/// What an `auth` message takes besides its token, in bytes.
const AUTH_OVERHEAD_BYTES: usize = 512;

/// Longest sleep before the clock is looked at: it may be set while one sleeps.
const CLOCK_LOOK_INTERVAL: Duration = Duration::from_secs(60);

/// What a client shows of who it is with its upgrade: none if it has yet to send a token.
pub(super) type Shown = Option<Result<Arc<Grant>, Denied>>;

/// Looks at the token of an upgrade.
pub(super) fn shown(app: &App, headers: &HeaderMap) -> Shown {
    match token_in_upgrade(headers) {
        None if app.access.needs_token() => None,
        token => Some(app.access.grant_of(token)),
    }
}

/// Largest message that is read, in bytes: where tokens are needed one has to fit.
pub(super) fn message_bytes_max(app: &App) -> usize {
    let limit = app.config.message_limit;
    if app.access.needs_token() { limit.max(TOKEN_BYTES_MAX + AUTH_OVERHEAD_BYTES) } else { limit }
}

/// Lets a client in that may watch the room; closes the socket of one that may not. Until then nothing is sent to it, and
/// nothing but a token is taken from it.
pub(super) async fn admit(
    app: &App,
    room: &Room,
    socket: &mut WebSocket,
    shown: Shown,
) -> Option<Arc<Grant>> {
    let shown = match shown {
        Some(shown) => shown,
        None => first_token(app, socket).await?,
    };
    match shown.and_then(|grant| grant.may(Action::Watch, room.as_str()).map(|()| grant)) {
        Ok(grant) => Some(grant),
        Err(denied) => {
            refuse(app, socket, None, denied).await;
            None
        }
    }
}

/// Says why, and closes.
pub(super) async fn refuse(app: &App, socket: &mut WebSocket, reference: Option<&str>, denied: Denied) {
    let (code, reason) = match denied.is_unauthorized() {
        true => (UNAUTHORIZED, "unauthorized"),
        false => (FORBIDDEN, "forbidden"),
    };
    let answer = error(reference, &Problem::from(denied));
    if send(app, socket, Message::Text(answer.into())).await.is_ok() {
        close(app, socket, code, reason).await;
    }
}

/// The grant of the first message, which has to be a token. None if the client or the gateway goes.
async fn first_token(app: &App, socket: &mut WebSocket) -> Shown {
    let text = tokio::select! {
        () = app.shutdown.cancelled() => {
            close(app, socket, close_code::RESTART, "reconnect elsewhere").await;
            return None;
        }
        text = tokio::time::timeout(app.config.access.auth_timeout, first_text(socket)) => match text {
            Ok(text) => text?,
            Err(_) => return Some(Err(Denied::TokenTimeout)),
        },
    };
    Some(app.access.grant_of(message::first_token(&text).as_deref()))
}

/// The first message; empty if it is none of text. None if the client goes.
async fn first_text(socket: &mut WebSocket) -> Option<String> {
    loop {
        match socket.recv().await?.ok()? {
            Message::Text(text) => return Some(text.as_str().to_owned()),
            Message::Binary(_) => return Some(String::new()),
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Close(_) => return None,
        }
    }
}

/// A grant, and a clock that tells when it is over.
pub(super) struct Pass {
    pub(super) grant: Arc<Grant>,
    address: IpAddr,
    /// None: it holds for ever.
    clock: Option<Pin<Box<Sleep>>>,
}

impl Pass {
    pub(super) fn new(grant: Arc<Grant>, address: IpAddr) -> Self {
        let clock = grant.expires().map(|expires| Box::pin(tokio::time::sleep(nap(expires))));
        Self { grant, address, clock }
    }

    /// The same client with another grant.
    pub(super) fn renewed(&self, grant: Arc<Grant>) -> Self {
        Self::new(grant, self.address)
    }

    /// As the sender of a reaction.
    pub(super) fn sender(&self) -> Sender<'_> {
        Sender { grant: &self.grant, address: self.address }
    }

    /// Returns when the grant is over.
    pub(super) async fn over(&mut self) {
        let (Some(expires), Some(clock)) = (self.grant.expires(), &mut self.clock) else {
            return std::future::pending().await;
        };
        loop {
            clock.as_mut().await;
            if self.grant.is_over(now_ms()) {
                return;
            }
            clock.as_mut().reset(Instant::now() + nap(expires));
        }
    }
}

/// Time until `expires`, or until the clock is looked at again.
fn nap(expires: i64) -> Duration {
    let left = u64::try_from(expires.saturating_sub(now_ms())).unwrap_or(0);
    Duration::from_millis(left).min(CLOCK_LOOK_INTERVAL)
}
