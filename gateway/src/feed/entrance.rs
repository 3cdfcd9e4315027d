//! The way into a feed: who comes, by which token, and until when.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use tokio::time::{Instant, Sleep};

use super::client::Socket;
use super::end::End;
use super::frames::Said;
use super::{error, message};
use crate::App;
use crate::access::{Denied, Grant, TOKEN_BYTES_MAX, token_in_upgrade};
use crate::form::Codec;
use crate::ingest::{Sender, now_ms};
use crate::problem::Problem;

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

/// Lets a client in that is allowed to; one that is not is told why. Until then nothing is sent to it, and nothing but a
/// token is taken from it.
pub(super) async fn admit<T>(
    app: &App,
    socket: &mut Socket,
    shown: Shown,
    allow: impl FnOnce(Arc<Grant>) -> Result<T, Denied>,
) -> Result<T, End> {
    let shown = match shown {
        Some(shown) => shown,
        None => first_token(app, socket).await?,
    };
    shown.and_then(allow).map_err(|denied| {
        let end = End::of(&denied);
        socket.tell(&error(None, &Problem::from(denied)));
        end
    })
}

/// The grant of the first message, which has to be a token.
async fn first_token(app: &App, socket: &mut Socket) -> Result<Result<Arc<Grant>, Denied>, End> {
    let text = tokio::select! {
        () = app.shutdown.cancelled() => return Err(End::Restart),
        text = tokio::time::timeout(app.config.access.auth_timeout, first_text(socket)) => match text {
            Ok(text) => text?,
            Err(_) => return Ok(Err(Denied::TokenTimeout)),
        },
    };
    Ok(app.access.grant_of(message::first_token(&text).as_deref()))
}

/// The first message; empty if it is none of text.
async fn first_text(socket: &mut Socket) -> Result<String, End> {
    loop {
        match socket.hear().await? {
            Said::Text(text) => return Ok(text),
            Said::Binary(bytes) if socket.form.codec == Codec::MessagePack => {
                return Ok(message::unpacked(&bytes).unwrap_or_default());
            }
            Said::Binary(_) => return Ok(String::new()),
            Said::Ping(_) | Said::Pong => {}
            Said::Close(code) => return Err(End::Closed(code)),
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
