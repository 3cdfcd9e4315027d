//! A line: one client's way out. Whoever has something for the client writes it to the socket straight; what the socket does
//! not take waits here, and the client's own task sends it on.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::reading::Reading;
use crate::hub::Mark;
use crate::server::Wire;

/// Messages in one write.
const WRITE_SLICES_MAX: usize = 64;

/// Answers and pongs that wait for a client that does not read; beyond, it is not heard.
const OWN_FRAMES_MAX: usize = 64;

/// Bytes a second that a client has to take, once its patience is used up.
const WRITE_RATE_MIN: u64 = 1_024;

/// Longest time that a client can buy: what waits for it is held so long.
const BOUGHT_MAX: Duration = Duration::from_secs(60);

/// One client's way out.
pub(super) struct Line {
    wire: Wire,
    out: Mutex<Out>,
    /// Rings when the client's own task has something to send.
    bell: Notify,
}

struct Out {
    /// Where it is, while it has everything and the crowd hands over what comes next. Then nothing waits. What the crowd looks
    /// at stands together, as it is the first to look after a while.
    pushed_to: Option<Mark>,
    /// Nothing goes any more.
    is_over: bool,
    /// What goes next. Of the first some bytes may be gone already.
    waiting: VecDeque<Bytes>,
    /// Since when something waits for the client, and how much it has taken since then.
    blocked: Option<(Instant, u64)>,
    reading: Option<Reading>,
}

impl Out {
    /// The client's own task goes on from where the crowd has led it.
    fn take_over(&mut self) {
        if let (Some(mark), Some(reading)) = (self.pushed_to.take(), &mut self.reading) {
            reading.advance(mark);
        }
    }
}

/// What came of writing all that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// It has all.
    All,
    /// The client has to read first.
    Blocked,
    /// The client is gone.
    Gone,
}

/// What the crowd hands over: messages that come after a mark, and the mark behind them.
pub(super) struct Handed<'a> {
    /// The messages to this taste, as they go to a socket.
    pub(super) frames: &'a [Bytes],
    pub(super) from: Mark,
    pub(super) to: Mark,
}

impl Line {
    pub(super) fn new(wire: Wire) -> Self {
        let out =
            Out { pushed_to: None, is_over: false, waiting: VecDeque::new(), blocked: None, reading: None };
        Self { wire, out: Mutex::new(out), bell: Notify::new() }
    }

    pub(super) fn socket(&self) -> &TcpStream {
        self.wire.socket()
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        // A panic elsewhere may have left a message half written: the line is of no more use.
        self.out.lock().unwrap_or_else(|poisoned: PoisonError<MutexGuard<'_, Out>>| {
            let mut out = poisoned.into_inner();
            out.is_over = true;
            out
        })
    }

    /// Begins to send what there is to read.
    pub(super) fn read_by(&self, reading: Reading) {
        self.out().reading = Some(reading);
        self.bell.notify_one();
    }

    /// Changes what is read.
    pub(super) fn with_reading(&self, change: impl FnOnce(&mut Reading)) {
        if let Some(reading) = &mut self.out().reading {
            change(reading);
        }
    }

    /// Returns when the client's own task has something to send.
    pub(super) async fn called(&self) {
        self.bell.notified().await;
    }

    /// Takes a message for this client alone: an answer, a ping.
    pub(super) fn send(&self, frame: Bytes) -> Sent {
        let mut out = self.out();
        if out.is_over {
            return Sent::Gone;
        }
        out.waiting.push_back(frame);
        let was_blocked = out.blocked.is_some();
        let sent = self.flush(&mut out);
        match sent {
            Sent::Blocked => out.take_over(),
            // Nobody waits for the socket any more, and there may be more to read for it.
            Sent::All if was_blocked => self.bell.notify_one(),
            Sent::All | Sent::Gone => {}
        }
        sent
    }

    /// Whether so much waits for the client that it is not heard until it reads.
    pub(super) fn is_full(&self) -> bool {
        self.out().waiting.len() > OWN_FRAMES_MAX
    }

    /// Takes updates from the crowd, if this is what comes next for the client; true if they went out. Else its own task sees
    /// to it.
    pub(super) fn push(&self, handed: &Handed<'_>) -> bool {
        let mut out = self.out();
        let Some(mark) = out.pushed_to else { return false };
        if mark.tick >= handed.to.tick {
            return false;
        }
        if mark == handed.from && self.hand(&mut out, handed) {
            return !handed.frames.is_empty();
        }
        out.take_over();
        self.bell.notify_one();
        false
    }

    /// Writes what was handed over; false if nothing of it went, and it is to be asked for again. What the socket does not take
    /// of a part waits: a message that has begun has to be ended.
    fn hand(&self, out: &mut Out, handed: &Handed<'_>) -> bool {
        let written = match handed.frames {
            [] => Ok(0),
            // Straight to the system: what the runtime knows of the socket would be one more thing to fetch.
            [frame] => match SockRef::from(self.socket()).send(frame) {
                // It has to know that the socket is full.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.socket().try_write(frame),
                sent => sent,
            },
            frames => {
                let slices = slices(frames.iter());
                self.socket().try_write_vectored(&slices)
            }
        };
        let mut written = match written {
            Ok(written) => written,
            Err(error) => {
                out.is_over = error.kind() != io::ErrorKind::WouldBlock;
                if !out.is_over {
                    out.blocked.get_or_insert((Instant::now(), 0));
                }
                return false;
            }
        };
        out.pushed_to = Some(handed.to);
        for frame in handed.frames {
            if written >= frame.len() {
                written -= frame.len();
                continue;
            }
            out.waiting.push_back(frame.slice(written..));
            written = 0;
        }
        if !out.waiting.is_empty() {
            out.take_over();
            out.blocked.get_or_insert((Instant::now(), 0));
            self.bell.notify_one();
        }
        true
    }

    /// Sends what waits, then what there is to read if `may_read`, as much as the socket takes. With `is_pushed` the crowd goes
    /// on once the client has everything.
    pub(super) fn pump(&self, may_read: bool, is_pushed: bool) -> Sent {
        let mut out = self.out();
        out.take_over();
        let mut is_slow = out.blocked.is_some();
        loop {
            match self.flush(&mut out) {
                Sent::All => {}
                other => return other,
            }
            let out = &mut *out;
            let Some(reading) = out.reading.as_mut().filter(|_| may_read) else { return Sent::All };
            reading.next(is_slow, &mut out.waiting);
            if out.waiting.is_empty() {
                // An update that comes from here on finds the line open, as it is still locked.
                out.pushed_to = is_pushed.then(|| reading.mark());
                return Sent::All;
            }
            is_slow = false;
        }
    }

    fn flush(&self, out: &mut Out) -> Sent {
        if out.is_over {
            return Sent::Gone;
        }
        while !out.waiting.is_empty() {
            let written = {
                let slices = slices(out.waiting.iter());
                self.socket().try_write_vectored(&slices)
            };
            let mut written = match written {
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    out.blocked.get_or_insert((Instant::now(), 0));
                    return Sent::Blocked;
                }
                Err(_) => {
                    out.is_over = true;
                    return Sent::Gone;
                }
            };
            if let Some((_, taken)) = &mut out.blocked {
                *taken += written as u64;
            }
            while let Some(first) = out.waiting.front_mut() {
                if written < first.len() {
                    first.advance(written);
                    break;
                }
                written -= first.len();
                out.waiting.pop_front();
            }
        }
        out.waiting = VecDeque::new();
        // It may have refused what was handed over: then nothing is read for it before it takes more, as that would get old.
        if out.blocked.is_some() && self.socket().try_io(Interest::WRITABLE, || Ok(())).is_err() {
            return Sent::Blocked;
        }
        out.blocked = None;
        Sent::All
    }

    /// Until when the client has to take what waits for it: `patience`, and longer if it takes some of it.
    pub(super) fn due(&self, patience: Duration) -> Option<Instant> {
        let (since, taken) = self.out().blocked?;
        let bought = Duration::from_secs(taken / WRITE_RATE_MIN).min(BOUGHT_MAX);
        Some(since + patience + bought)
    }

    /// Takes the last message. Nothing is read any more, and what was not begun is not sent.
    pub(super) fn close(&self, frame: Bytes) -> Sent {
        let mut out = self.out();
        out.reading = None;
        out.pushed_to = None;
        // The first may have begun.
        if out.blocked.is_some() {
            out.waiting.truncate(1);
        }
        out.waiting.push_back(frame);
        self.flush(&mut out)
    }

    /// Lets the socket be reset at its end, so that the system drops what the client does not read.
    pub(super) fn reset(&self) {
        self.wire.reset();
    }
}

fn slices<'a>(frames: impl Iterator<Item = &'a Bytes>) -> Vec<IoSlice<'a>> {
    frames.take(WRITE_SLICES_MAX).map(|frame| IoSlice::new(frame)).collect()
}
