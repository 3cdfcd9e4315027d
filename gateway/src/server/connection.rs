//! The life of one connection.
//!
//! hyper keeps some 12 KB for each connection that it serves. Most connections are idle most of the time, so between
//! requests the socket is taken back from hyper, and waits alone: it is parked. The first bytes of the next request
//! end that.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep};

use super::Shared;
use super::activity::{Activity, Standing};
use super::counts::{Counted, count};
use super::preface::{Protocol, protocol};
use super::room::{Place, YIELD_AFTER};
use super::service::service;
use super::wire::Wire;
use crate::network::Peer;

/// How long a connection has to be idle before it is parked. One in use is not worth it.
const PARK_AFTER: Duration = Duration::from_millis(100);

/// How often a connection that is served is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long an HTTP/2 client that is told to go may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// One connection.
pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    pub(crate) activity: Arc<Activity>,
    pub(crate) peer: Peer,
    pub(crate) _place: Place,
    pub(crate) _open: Counted,
}

/// How waiting for bytes ended.
enum Waited {
    Bytes,
    Late,
    /// The client is gone, or has to go.
    Over,
}

/// What is to be done with a connection that was looked at.
enum Verdict {
    LookAgain(Duration),
    Park,
    Cut,
}

impl Connection {
    /// Serves it to its end, or until it is something else than HTTP.
    pub(crate) async fn run(self, mut wire: Wire) {
        match self.first_bytes(&mut wire).await {
            Protocol::Unknown => return,
            Protocol::Http2 => return Box::pin(self.http2(wire)).await,
            Protocol::Http1 => {}
        }
        loop {
            // Boxed, so that a parked connection does not hold the space.
            let Some(kept) = Box::pin(self.http1(wire)).await else { return };
            wire = kept;
            if !wire.unread().is_empty() {
                // A part of the next head had come with the last request.
                self.activity.read_before();
                continue;
            }
            let _parked = Counted::new(&self.shared.counts, |counts| &counts.parked);
            let idle = self.activity.idle().unwrap_or_default();
            let patience = self.shared.limits.idle_timeout.saturating_sub(idle);
            match self.wait(&mut wire, patience).await {
                Waited::Bytes => {}
                Waited::Late | Waited::Over => return,
            }
        }
    }

    /// Waits until the first bytes tell what the client speaks; unknown: they did not.
    async fn first_bytes(&self, wire: &mut Wire) -> Protocol {
        let timeout = self.shared.limits.header_timeout;
        loop {
            let patience = match self.activity.standing() {
                Standing::Head(time) => timeout.saturating_sub(time),
                Standing::Busy | Standing::Idle(_) => timeout,
            };
            match self.wait(wire, patience).await {
                Waited::Bytes => match protocol(wire.unread()) {
                    Protocol::Unknown => {}
                    known => return known,
                },
                Waited::Late => {
                    count(&self.shared.counts.header_timeouts);
                    return Protocol::Unknown;
                }
                Waited::Over => return Protocol::Unknown,
            }
        }
    }

    /// Waits for bytes, without a buffer.
    async fn wait(&self, wire: &mut Wire, patience: Duration) -> Waited {
        let shared = &*self.shared;
        let wanted = async {
            sleep(YIELD_AFTER).await;
            shared.room.wanted().await;
        };
        tokio::select! {
            biased;
            count = wire.peek() => match count {
                Ok(1..) => Waited::Bytes,
                Ok(0) | Err(_) => Waited::Over,
            },
            () = shared.shutdown.cancelled() => Waited::Over,
            () = sleep(patience) => Waited::Late,
            () = wanted => {
                count(&shared.counts.closed_under_pressure);
                Waited::Over
            }
        }
    }

    /// Serves HTTP/1 until the connection is idle; none: it has ended, or was upgraded.
    async fn http1(&self, wire: Wire) -> Option<Wire> {
        let shared = &*self.shared;
        let service = service(shared.router.clone(), self.peer, Arc::clone(&self.activity));
        let mut http = shared.http1.serve_connection(TokioIo::new(wire), service).with_upgrades();
        let mut look = pin!(sleep(PARK_AFTER));
        let (mut draining, mut may_yield) = (false, false);
        loop {
            tokio::select! {
                biased;
                ended = self.serve(&mut http, draining) => match ended {
                    Some(Ok(())) => return None,
                    Some(Err(error)) => {
                        tracing::debug!(%error, "connection ended early");
                        return None;
                    }
                    None => return parked(http.into_parts()?),
                },
                () = shared.cut.cancelled() => return None,
                () = shared.shutdown.cancelled(), if !draining => {
                    draining = true;
                    Pin::new(&mut http).graceful_shutdown();
                }
                () = shared.room.wanted(), if may_yield => {
                    if matches!(self.activity.standing(), Standing::Head(time) if time >= YIELD_AFTER) {
                        count(&shared.counts.closed_under_pressure);
                        return None;
                    }
                    may_yield = false;
                    shared.room.pass_on();
                }
                () = look.as_mut() => {
                    let standing = self.activity.standing();
                    match self.judge(standing) {
                        Verdict::Cut => return None,
                        Verdict::Park if !draining => return parked(http.into_parts()?),
                        Verdict::Park => look.as_mut().reset(Instant::now() + LOOK),
                        Verdict::LookAgain(pause) => look.as_mut().reset(Instant::now() + pause),
                    }
                    may_yield = matches!(standing, Standing::Head(time) if time >= YIELD_AFTER);
                }
            }
        }
    }

    /// Polls `http` to its end; none: until it is between two requests and in the way.
    async fn serve<F: Future + Unpin>(&self, http: &mut F, draining: bool) -> Option<F::Output> {
        poll_fn(|context| {
            let learns = self.activity.has_left_body();
            if let Poll::Ready(ended) = Pin::new(&mut *http).poll(context) {
                return Poll::Ready(Some(ended));
            }
            if learns {
                self.activity.pass_body();
            }
            if !draining && self.is_in_the_way() { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    }

    /// Whether it is between two requests, and holds buffers that too many hold already.
    fn is_in_the_way(&self) -> bool {
        let limits = &self.shared.limits;
        self.shared.counts.served() > u64::try_from(limits.buffered_max).unwrap_or(u64::MAX)
            && matches!(self.activity.standing(), Standing::Idle(_))
            && self.activity.is_between_requests()
    }

    /// What is to be done with an HTTP/1 connection.
    fn judge(&self, standing: Standing) -> Verdict {
        let (limits, counts) = (&self.shared.limits, &self.shared.counts);
        if self.activity.is_blocked(limits.write_timeout) {
            count(&counts.write_timeouts);
            self.activity.reset();
            return Verdict::Cut;
        }
        match standing {
            Standing::Busy => Verdict::LookAgain(LOOK),
            Standing::Idle(time) if time < PARK_AFTER => Verdict::LookAgain(PARK_AFTER.saturating_sub(time)),
            Standing::Idle(_) if self.activity.is_between_requests() => Verdict::Park,
            // Idle, and yet not all is written or read.
            Standing::Idle(time) | Standing::Head(time) if time >= limits.header_timeout => {
                count(&counts.header_timeouts);
                Verdict::Cut
            }
            Standing::Idle(time) | Standing::Head(time) => {
                Verdict::LookAgain(limits.header_timeout.saturating_sub(time).min(LOOK))
            }
        }
    }

    /// Serves HTTP/2 to its end. Such connections are not parked: their state is in the protocol.
    async fn http2(&self, wire: Wire) {
        let shared = &*self.shared;
        let (limits, counts) = (&shared.limits, &shared.counts);
        let service = service(shared.router.clone(), self.peer, Arc::clone(&self.activity));
        let mut http = pin!(shared.http2.serve_connection(TokioIo::new(wire), service));
        let mut look = pin!(sleep(LOOK.min(limits.header_timeout)));
        // Since when it is to go.
        let mut closing: Option<Instant> = None;
        let (mut draining, mut may_yield) = (false, false);
        loop {
            tokio::select! {
                biased;
                ended = &mut http => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "connection ended early");
                    }
                    return;
                }
                () = shared.cut.cancelled() => return,
                () = shared.shutdown.cancelled(), if !draining => {
                    draining = true;
                    http.as_mut().graceful_shutdown();
                }
                () = shared.room.wanted(), if may_yield && closing.is_none() => {
                    if self.activity.idle().is_some_and(|time| time >= YIELD_AFTER) {
                        count(&counts.closed_under_pressure);
                        closing = Some(Instant::now());
                        http.as_mut().graceful_shutdown();
                    } else {
                        shared.room.pass_on();
                    }
                }
                () = look.as_mut() => {}
            }
            if self.activity.is_blocked(limits.write_timeout)
                || self.activity.is_starved(limits.write_timeout)
            {
                count(&counts.write_timeouts);
                self.activity.reset();
                return;
            }
            if closing.is_some_and(|since| since.elapsed() >= GOODBYE) {
                return;
            }
            let idle = self.activity.idle();
            may_yield = idle.is_some_and(|time| time >= YIELD_AFTER);
            let patience = match self.activity.is_known() {
                true => limits.idle_timeout,
                false => limits.header_timeout,
            };
            if closing.is_none() && idle.is_some_and(|time| time >= patience) {
                closing = Some(Instant::now());
                http.as_mut().graceful_shutdown();
            }
            let rest = idle.map_or(LOOK, |time| patience.saturating_sub(time));
            let pause = if closing.is_some() { GOODBYE } else { rest };
            look.as_mut().reset(Instant::now() + pause.min(LOOK).max(PARK_AFTER));
        }
    }
}

/// Takes the socket back from hyper, with what hyper had read of the next request.
fn parked<S>(parts: http1::Parts<TokioIo<Wire>, S>) -> Option<Wire> {
    let mut wire = parts.io.into_inner();
    wire.put_back(&parts.read_buf);
    Some(wire)
}
