//! The feed as server-sent events: the same messages, for whoever only reads.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::choice::{Choice, Scope};
use super::entrance::Pass;
use super::reading::Reading;
use crate::App;
use crate::accept;
use crate::form::{Carrier, Codec, Form, GZIP_BEGIN};

/// Where a browser says what it has read.
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Proxies that gather an answer before they pass it on are told not to (nginx).
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// When a client comes back after an interruption that nobody announced.
const RETRY_MS: u64 = 2_000;

/// A stream of events to one client.
struct Events {
    app: Arc<App>,
    reading: Reading,
    changed: watch::Receiver<u64>,
    pass: Pass,
    form: Form,
    ready: VecDeque<Bytes>,
    pace: Option<Interval>,
    /// A comment now and then keeps proxies from closing what is quiet, and shows when the client is gone.
    ping: Interval,
    has_begun: bool,
    is_over: bool,
    _place: OwnedSemaphorePermit,
    _task: TaskTrackerToken,
}

/// The answer: events until the client goes, or the gateway.
pub(super) async fn answer(
    app: Arc<App>,
    mut choice: Choice,
    scope: Scope,
    pass: Pass,
    headers: &HeaderMap,
    place: OwnedSemaphorePermit,
    task: TaskTrackerToken,
) -> Response {
    let packed = accept::takes_gzip(headers);
    let last = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty());
    let after = choice.take_after(last);
    let taste = choice.taste(Carrier::Event, Codec::Json, packed);
    let (reading, changed) = Reading::begin(&app, scope, taste, choice.every.is_none(), after).await;
    let events = Events {
        reading,
        changed,
        pass,
        form: taste.form,
        ready: VecDeque::new(),
        pace: choice.every.map(interval),
        ping: interval(app.config.ping_interval),
        has_begun: false,
        is_over: false,
        app,
        _place: place,
        _task: task,
    };
    let pieces = stream::unfold(events, async |mut events: Events| {
        let piece = events.next().await?;
        Some((Ok::<_, Infallible>(piece), events))
    });
    let mut answer = Body::from_stream(pieces).into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

fn interval(time: Duration) -> Interval {
    let mut interval = tokio::time::interval(time);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

impl Events {
    /// The next piece of the stream. It is asked for when the client has taken what was before, so a slow one gets what is
    /// newest then.
    async fn next(&mut self) -> Option<Bytes> {
        if !self.has_begun {
            self.has_begun = true;
            if self.form.packed {
                self.ready.push_back(Bytes::from_static(GZIP_BEGIN));
            }
            self.ready.push_back(self.form.event(&format!("retry: {RETRY_MS}\n\n")));
            self.reading.next(false, &mut self.ready);
            if let Some(pace) = &mut self.pace {
                pace.reset();
            }
            self.ping.reset();
        }
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(piece);
            }
            if self.is_over {
                return None;
            }
            // With a pace of its own it hears of updates from the clock alone.
            let is_told = self.pace.is_none();
            if is_told || self.reading.is_opening() {
                self.reading.next(false, &mut self.ready);
                if !self.ready.is_empty() {
                    continue;
                }
            }
            tokio::select! {
                biased;
                () = self.app.shutdown.cancelled() => self.leave(),
                () = self.pass.over() => self.is_over = true,
                told = self.changed.changed(), if is_told => self.is_over = told.is_err(),
                () = tick(&mut self.pace) => self.reading.next(true, &mut self.ready),
                _ = self.ping.tick() => self.ready.push_back(self.form.event(":\n\n")),
            }
        }
    }

    /// Sends the client elsewhere, after a moment of its own.
    fn leave(&mut self) {
        let moment = self.app.config.drain_spread.mul_f64(super::chance());
        self.ready.push_back(self.form.event(&format!("retry: {}\n\n", moment.as_millis())));
        self.is_over = true;
    }
}

async fn tick(pace: &mut Option<Interval>) {
    match pace {
        Some(pace) => drop(pace.tick().await),
        None => std::future::pending().await,
    }
}
