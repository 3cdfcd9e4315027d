//! What a connection is doing, and since when.
//!
//! Seen from two sides: bytes as they pass the [`Wire`](super::wire::Wire), requests as they pass the service. hyper
//! is in between and does not tell.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Bytes a second that a client has to take of an answer, once its own buffers are full.
const WRITE_RATE_MIN: u64 = 1024;

/// The activity of one connection. Times are in ms from its begin, and 0 is "never".
#[derive(Debug)]
pub(crate) struct Activity {
    begun: Instant,
    /// Requests whose head was read, and whose body or answer has not been let go yet.
    underway: AtomicUsize,
    /// Requests so far.
    requests: AtomicU64,
    /// When the last request ended, or the connection began.
    idle_since: AtomicU64,
    /// When the first byte of a head was read that is not complete.
    head_since: AtomicU64,
    /// Whether a body was let go before its end, and hyper may not know yet: what follows on the wire is not a head.
    body_left: AtomicBool,
    /// Answers with a next piece that hyper does not take, as the client has no window open for it.
    answers: AtomicUsize,
    /// When one of them last got on.
    answers_moved: AtomicU64,
    /// When a write first had to wait, of those that are not flushed.
    write_since: AtomicU64,
    /// Bytes written since then.
    written: AtomicU64,
    /// Whether nothing is left to write: the last thing done was a flush, which comes when all is written.
    flushed: AtomicBool,
    /// Whether the socket is to be reset at its end, so that the system drops what the client does not read.
    reset: AtomicBool,
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// At least one request is under way.
    Busy,
    /// A part of a head is there, for this long.
    Head(Duration),
    /// Nothing is under way, for this long.
    Idle(Duration),
}

impl Activity {
    /// The activity of a connection that begins now.
    pub(crate) fn begin() -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            underway: AtomicUsize::new(0),
            requests: AtomicU64::new(0),
            idle_since: AtomicU64::new(1),
            head_since: AtomicU64::new(0),
            body_left: AtomicBool::new(false),
            answers: AtomicUsize::new(0),
            answers_moved: AtomicU64::new(0),
            write_since: AtomicU64::new(0),
            written: AtomicU64::new(0),
            flushed: AtomicBool::new(true),
            reset: AtomicBool::new(false),
        })
    }

    /// Ms since the begin; never 0.
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    fn since(&self, time: &AtomicU64) -> Duration {
        Duration::from_millis(self.now().saturating_sub(time.load(Ordering::Acquire)))
    }

    /// Bytes were read.
    pub(crate) fn read(&self) {
        if self.underway.load(Ordering::Acquire) == 0 && self.head_since.load(Ordering::Acquire) == 0 {
            self.head_since.store(self.now(), Ordering::Release);
        }
    }

    /// Bytes of a head had been read before the last request ended.
    pub(crate) fn read_before(&self) {
        self.head_since.store(self.idle_since.load(Ordering::Acquire), Ordering::Release);
    }

    /// Bytes were written.
    pub(crate) fn wrote(&self, count: usize) {
        self.flushed.store(false, Ordering::Release);
        if self.write_since.load(Ordering::Relaxed) != 0 {
            self.written.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// A write has to wait for the client.
    pub(crate) fn blocked(&self) {
        self.flushed.store(false, Ordering::Release);
        if self.write_since.load(Ordering::Relaxed) == 0 {
            self.written.store(0, Ordering::Relaxed);
            self.write_since.store(self.now(), Ordering::Release);
        }
    }

    /// All is written.
    pub(crate) fn flushed(&self) {
        self.flushed.store(true, Ordering::Release);
        self.write_since.store(0, Ordering::Release);
    }

    /// What it is doing.
    pub(crate) fn standing(&self) -> Standing {
        if self.underway.load(Ordering::Acquire) > 0 {
            Standing::Busy
        } else if self.head_since.load(Ordering::Acquire) > 0 {
            Standing::Head(self.since(&self.head_since))
        } else {
            Standing::Idle(self.since(&self.idle_since))
        }
    }

    /// How long nothing has been under way: bytes that are no request do not count.
    pub(crate) fn idle(&self) -> Option<Duration> {
        (self.underway.load(Ordering::Acquire) == 0).then(|| self.since(&self.idle_since))
    }

    /// Whether it had a request yet.
    pub(crate) fn is_known(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 0
    }

    /// Whether a body was let go before its end, and hyper learns of it when it is polled next.
    pub(crate) fn has_left_body(&self) -> bool {
        self.body_left.load(Ordering::Acquire) && self.underway.load(Ordering::Acquire) == 0
    }

    /// hyper learned of it, and goes on: it has read the body to its end. Else it would have ended the connection.
    pub(crate) fn pass_body(&self) {
        if self.flushed.load(Ordering::Acquire) {
            self.body_left.store(false, Ordering::Release);
        }
    }

    /// Whether all bytes are written, and the next one read begins a head.
    pub(crate) fn is_between_requests(&self) -> bool {
        self.flushed.load(Ordering::Acquire) && !self.body_left.load(Ordering::Acquire)
    }

    /// Whether the client takes its bytes too slowly.
    pub(crate) fn is_blocked(&self, timeout: Duration) -> bool {
        let bought = Duration::from_secs(self.written.load(Ordering::Relaxed) / WRITE_RATE_MIN);
        self.write_since.load(Ordering::Acquire) > 0
            && self.since(&self.write_since) >= timeout.saturating_add(bought)
    }

    /// Whether the client reads, but opens no window for its answers.
    pub(crate) fn is_starved(&self, timeout: Duration) -> bool {
        self.answers.load(Ordering::Acquire) > 0 && self.since(&self.answers_moved) >= timeout
    }

    /// Lets the socket be reset at its end.
    pub(crate) fn reset(&self) {
        self.reset.store(true, Ordering::Release);
    }

    /// Whether the socket is to be reset at its end.
    pub(crate) fn is_reset(&self) -> bool {
        self.reset.load(Ordering::Acquire)
    }
}

/// A request under way, or a part of it: its handler and answer, or its body.
pub(crate) struct Underway(Arc<Activity>);

impl Underway {
    /// A request whose head was just read.
    pub(crate) fn begin(activity: &Arc<Activity>) -> Self {
        activity.underway.fetch_add(1, Ordering::AcqRel);
        activity.requests.fetch_add(1, Ordering::Relaxed);
        activity.head_since.store(0, Ordering::Release);
        // That a head was read means that what came before it is dealt with.
        activity.body_left.store(false, Ordering::Release);
        Self(Arc::clone(activity))
    }

    /// Another part of the same request.
    pub(crate) fn part(&self) -> Self {
        self.0.underway.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(&self.0))
    }

    /// The body is let go before its end.
    pub(crate) fn leave_body(&self) {
        self.0.body_left.store(true, Ordering::Release);
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        // The time first: who sees no request sees since when.
        self.0.idle_since.store(self.0.now(), Ordering::Release);
        self.0.underway.fetch_sub(1, Ordering::AcqRel);
    }
}

/// An answer on its way to the client.
pub(crate) struct Answering {
    activity: Arc<Activity>,
    /// Whether it waits for the client, and not for its own next piece.
    waits: bool,
}

impl Answering {
    /// The answer of a request is ready.
    pub(crate) fn begin(underway: &Underway) -> Self {
        let mut answering = Self { activity: Arc::clone(&underway.0), waits: false };
        answering.moved(true);
        answering
    }

    /// The client's turn, or its own.
    pub(crate) fn moved(&mut self, waits: bool) {
        self.activity.answers_moved.store(self.activity.now(), Ordering::Release);
        match (self.waits, waits) {
            (false, true) => {
                self.activity.answers.fetch_add(1, Ordering::AcqRel);
            }
            (true, false) => {
                self.activity.answers.fetch_sub(1, Ordering::AcqRel);
            }
            (false, false) | (true, true) => {}
        }
        self.waits = waits;
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.moved(false);
    }
}
