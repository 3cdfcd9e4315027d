//! A run: everybody comes, taps, watches, and goes home; then what was acknowledged is looked for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hyper::StatusCode;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::bad;
use crate::book::{Gaps, Seen};
use crate::crowd::Crowd;
use crate::message::{History, Room};
use crate::people::{By, WAITING_MAX, Watcher};
use crate::report::{Asked, FORMAT, Numbers, Point, Report, RoomReport, Totals};
use crate::scenario::{Arrival, Join, Plan, Scenario, Tap, room_name};
use crate::send;
use crate::target::{NoAnswer, Target};
use crate::usage::usage;

/// Requests on their way; what comes beyond is not sent, and counted.
const ON_THEIR_WAY_MAX: usize = 20_000;
/// How long a gateway may take to be ready.
const READY: Duration = Duration::from_secs(10);
/// How long watchers may take to come.
const COMING: Duration = Duration::from_secs(60);
/// How long the last answers may take.
const LAST_ANSWERS: Duration = Duration::from_secs(12);
/// How long the last windows may take to become final, since something moved.
const LAST_FINALS: Duration = Duration::from_secs(60);
/// Between two looks at what moves slowly.
const LOOK: Duration = Duration::from_millis(250);
/// Between two looks at which taps are due.
const DUE: Duration = Duration::from_millis(2);
/// A page of history is asked for again so often.
const TRIES: u32 = 20;
/// Window starts may lie so far before the run, and behind it.
const HISTORY_MARGIN_MS: u64 = 3_600_000;

/// How a run is made.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What the crowd does.
    pub plan: Plan,
    /// Where.
    pub target: Target,
    /// Its name: rooms begin with it.
    pub run: String,
    /// The process under load, if it is on this machine: its memory and processor time are told.
    pub pid: Option<u32>,
}

/// A run that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The gateway is not there, or not ready.
    #[error("failed to find a gateway that is ready at {0}: {1}")]
    NotReady(String, String),
    /// What is counted cannot be read.
    #[error("failed to read what was counted in room {0}: {1}")]
    Unread(String, String),
}

/// Where a run is.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// Watchers come.
    Coming {
        /// So many are there.
        there: u64,
        /// Of so many.
        of: usize,
    },
    /// A second of taps is over.
    Second(Box<Point>),
    /// The last windows become final.
    Settling {
        /// Rooms with open windows.
        rooms: usize,
    },
}

type Watching = JoinHandle<(usize, Seen)>;

/// The taps that watchers of each room send, in turn.
struct Sockets {
    rooms: Vec<Vec<mpsc::Sender<Tap>>>,
    turn: usize,
}

impl Sockets {
    /// Gives a tap to somebody in its room; gives it back where nobody takes it.
    fn send(&mut self, tap: Tap) -> Result<(), Tap> {
        let people = &self.rooms[tap.room];
        if people.is_empty() {
            return Err(tap);
        }
        self.turn = self.turn.wrapping_add(1);
        people[self.turn % people.len()].try_send(tap).map_err(|error| error.into_inner())
    }
}

impl Setup {
    /// Makes the run, and tells where it is.
    ///
    /// # Errors
    ///
    /// [`RunError`] if the gateway is not ready, or does not tell what it counted. What fails in between stands in the report.
    pub async fn run(self, tell: impl Fn(Progress) + Send + Sync + 'static) -> Result<Report, RunError> {
        let plan = &self.plan;
        let names: Vec<String> = (0..plan.rooms).map(|room| room_name(plan, &self.run, room)).collect();
        let ids = format!("{}-{}", self.run, plan.part.number);
        let crowd = Arc::new(Crowd::new(self.target.clone(), ids, names, Instant::now()));
        self.wait_ready(&crowd).await?;
        let tell = Arc::new(tell);

        let joins = plan.joins();
        let (mut sockets, mut watching) =
            (Sockets { rooms: vec![Vec::new(); plan.rooms], turn: 0 }, Vec::new());
        let (before, during): (Vec<Join>, Vec<Join>) = joins.into_iter().partition(|join| !join.during);
        self.come(&crowd, &before, &mut sockets, &mut watching, &*tell).await;

        let begin = crowd.now();
        let began_ms = now_ms();
        let mut later = Vec::new();
        for join in &during {
            let (crowd, join) = (Arc::clone(&crowd), *join);
            later.push(tokio::spawn(async move {
                sleep((begin + join.at).saturating_sub(crowd.now())).await;
                let by = if join.events { By::Events } else { By::Socket(mpsc::channel(1).1) };
                Watcher::new(crowd, join.room).watch(by).await
            }));
        }
        watching.append(&mut later);
        let taps_over = CancellationToken::new();
        let series = self.series(&crowd, begin, &taps_over, Arc::clone(&tell));
        let flood = (plan.scenario == Scenario::Flood).then(|| {
            let until = begin + plan.duration;
            AbortOnDropHandle::new(tokio::spawn(bad::flood(Arc::clone(&crowd), until, plan.seed)))
        });
        self.taps(&crowd, begin, sockets).await;
        if let Some(flood) = flood {
            // It ends by itself, with the last tap.
            let _ = flood.await;
        }
        let rooms = self.settle(&crowd, began_ms, &*tell).await?;
        // Results of the last windows are on their way to the screens.
        sleep(LOOK * 4).await;
        taps_over.cancel();
        let series = series.await.unwrap_or_default();
        let seconds = (crowd.now() - begin).as_secs_f64();
        let (gaps, repeats) = go_home(&crowd, watching).await;
        Ok(self.report(&crowd, Outcome { began_ms, seconds, series, rooms, gaps, repeats }))
    }

    /// Waits for a gateway that has just been started.
    async fn wait_ready(&self, crowd: &Crowd) -> Result<(), RunError> {
        let mut why = String::new();
        while crowd.now() < READY {
            match crowd.pool.get("/readyz").await {
                Ok((StatusCode::OK, _)) => return Ok(()),
                Ok((status, body)) => {
                    why = format!("/readyz answers {status}: {}", String::from_utf8_lossy(&body));
                }
                Err(error) => why = error.to_string(),
            }
            sleep(LOOK).await;
        }
        Err(RunError::NotReady(self.target.authority(), why))
    }

    /// Watchers come one after the other, before the first tap.
    async fn come(
        &self,
        crowd: &Arc<Crowd>,
        joins: &[Join],
        sockets: &mut Sockets,
        watching: &mut Vec<Watching>,
        tell: &(impl Fn(Progress) + Sync),
    ) {
        let there = || crowd.counts.watching.load(Ordering::Relaxed);
        let mut told = Duration::ZERO;
        let mut coming = |crowd: &Crowd| {
            if crowd.now() > told + LOOK {
                told = crowd.now();
                tell(Progress::Coming { there: there(), of: joins.len() });
            }
        };
        for join in joins {
            sleep(join.at.saturating_sub(crowd.now())).await;
            let by = if join.events {
                By::Events
            } else {
                let (sender, taps) = mpsc::channel(WAITING_MAX);
                sockets.rooms[join.room].push(sender);
                By::Socket(taps)
            };
            watching.push(tokio::spawn(Watcher::new(Arc::clone(crowd), join.room).watch(by)));
            coming(crowd);
        }
        let until = crowd.now() + COMING;
        while there() < joins.len() as u64 && crowd.now() < until {
            sleep(LOOK).await;
            coming(crowd);
        }
    }

    /// Sends what is due, when it is due, whatever became of what was sent before.
    async fn taps(&self, crowd: &Arc<Crowd>, begin: Duration, mut sockets: Sockets) {
        let places = Arc::new(Semaphore::new(ON_THEIR_WAY_MAX));
        let mut requests = JoinSet::new();
        for arrival in self.plan.arrivals() {
            let due = begin + arrival.due();
            while crowd.now() < due {
                sleep(DUE.min(due - crowd.now().min(due))).await;
            }
            while requests.try_join_next().is_some() {}
            let at = |tap: Tap| Tap { due: begin + tap.due, ..tap };
            crowd.counts.reactions.add(arrival.taps().len() as u64);
            crowd.counts.taps.add(arrival.taps().iter().map(|tap| u64::from(tap.count)).sum());
            let (single, taps) = match arrival {
                Arrival::Socket(tap) => match sockets.send(at(tap)) {
                    Ok(()) => continue,
                    // Nobody watches there by a socket: it is sent by itself.
                    Err(tap) if sockets.rooms[tap.room].is_empty() => (Some(tap), Vec::new()),
                    Err(tap) => {
                        crowd.counts.unsent_taps.add(tap.count.into());
                        continue;
                    }
                },
                Arrival::Single(tap) => (Some(at(tap)), Vec::new()),
                Arrival::Batch(_, taps) => (None, taps),
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                let taps = taps.iter().chain(&single).map(|tap| u64::from(tap.count)).sum();
                crowd.counts.unsent_taps.add(taps);
                continue;
            };
            let crowd = Arc::clone(crowd);
            requests.spawn(async move {
                match single {
                    Some(tap) => send::single(crowd, tap).await,
                    None => send::batch(crowd, due, taps).await,
                }
                drop(place);
            });
        }
        let answers = async { while requests.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_ANSWERS, answers).await;
        self.socket_answers(crowd).await;
    }

    /// Waits until everything that was sent is answered.
    async fn socket_answers(&self, crowd: &Crowd) {
        let until = crowd.now() + LAST_ANSWERS;
        let counts = &crowd.counts;
        let ended = || {
            [&counts.acked_taps, &counts.refused_taps, &counts.unknown_taps, &counts.unsent_taps]
                .iter()
                .map(|count| count.get())
                .sum::<u64>()
        };
        while ended() < counts.taps.get() && crowd.now() < until {
            sleep(LOOK).await;
        }
    }

    /// A point each second, until it is over.
    fn series(
        &self,
        crowd: &Arc<Crowd>,
        begin: Duration,
        over: &CancellationToken,
        tell: Arc<impl Fn(Progress) + Send + Sync + 'static>,
    ) -> JoinHandle<Vec<Point>> {
        let (crowd, over) = (Arc::clone(crowd), over.clone());
        let pid = self.pid.map(|pid| pid.to_string());
        let last = (begin + self.plan.duration).as_secs();
        tokio::spawn(async move {
            let counts = &crowd.counts;
            let read = || [counts.taps.get(), counts.acked_taps.get(), counts.deliveries.get()];
            let (mut points, mut before) = (Vec::new(), read());
            let used = || pid.as_deref().and_then(usage);
            let mut usage_before = used();
            let mut looks = tokio::time::interval(LOOK);
            looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            let mut next = begin + Duration::from_secs(1);
            loop {
                tokio::select! {
                    () = over.cancelled() => return points,
                    _ = looks.tick() => {}
                }
                counts.unseen.add(look(&crowd));
                if crowd.now() < next {
                    continue;
                }
                let (now, usage) = (read(), used());
                let [taps, acked_taps, deliveries] = std::array::from_fn(|at| now[at] - before[at]);
                let meters = &crowd.meters;
                let acked = [&meters.single, &meters.batch, &meters.socket].map(|meter| meter.second());
                let acked_ms =
                    acked.into_iter().flatten().reduce(|one, two| [one[0].max(two[0]), one[1].max(two[1])]);
                let spent = usage
                    .zip(usage_before)
                    .map(|(now, before)| now.processor.saturating_sub(before.processor));
                let point = Point {
                    second: (next - begin).as_secs() - 1,
                    taps,
                    acked_taps,
                    deliveries,
                    watching: counts.watching.load(Ordering::Relaxed),
                    acked_ms,
                    screen_ms: meters.screen.second(),
                    lag_ms: meters.lag.second(),
                    memory_bytes: usage.map(|usage| usage.memory_bytes),
                    processor: spent.map(|spent| spent.as_secs_f64()),
                };
                (before, usage_before) = (now, usage);
                if next.as_secs() <= last {
                    tell(Progress::Second(Box::new(point.clone())));
                }
                points.push(point);
                next += Duration::from_secs(1);
            }
        })
    }

    /// Waits until the windows of the run are final, and reads what they hold.
    async fn settle(
        &self,
        crowd: &Arc<Crowd>,
        began_ms: u64,
        tell: &(impl Fn(Progress) + Sync),
    ) -> Result<Vec<RoomReport>, RunError> {
        let mut moved = crowd.now();
        let mut waiting: Vec<(usize, u64)> = (0..crowd.names.len()).map(|room| (room, u64::MAX)).collect();
        let mut known: BTreeMap<usize, Totals> = BTreeMap::new();
        while !waiting.is_empty() && crowd.now() < moved + LAST_FINALS {
            tell(Progress::Settling { rooms: waiting.len() });
            let mut still = Vec::new();
            for (room, counted_before) in waiting {
                let now = self.room(crowd, room).await?;
                let counted = now.room_totals.reactions + now.room_totals.late;
                if counted != counted_before {
                    moved = crowd.now();
                }
                let is_behind = counted < crowd.books[room].books().acked;
                if is_behind || now.windows.iter().any(|window| !window.last) {
                    still.push((room, counted));
                }
                known.insert(room, now.room_totals);
            }
            waiting = still;
            if !waiting.is_empty() {
                sleep(LOOK * 2).await;
            }
        }
        let mut rooms = Vec::new();
        for (room, totals) in known {
            let history = self.history(crowd, room, began_ms).await?;
            let books = crowd.books[room].books();
            let name = crowd.names[room].clone();
            let (acked, unknown, watched) = (books.acked, books.unknown, books.windows);
            rooms.push(RoomReport { room: name, acked, unknown, totals, history, watched });
        }
        Ok(rooms)
    }

    async fn room(&self, crowd: &Crowd, room: usize) -> Result<Room, RunError> {
        let name = &crowd.names[room];
        let body = again(crowd, name, &format!("/v1/rooms/{name}")).await?;
        serde_json::from_slice(&body).map_err(|error| RunError::Unread(name.clone(), error.to_string()))
    }

    /// Taps of the finals in the topic, by tumbling definition.
    async fn history(
        &self,
        crowd: &Crowd,
        room: usize,
        began_ms: u64,
    ) -> Result<BTreeMap<String, u64>, RunError> {
        let name = &crowd.names[room];
        let (from, to) = (began_ms.saturating_sub(HISTORY_MARGIN_MS), now_ms() + HISTORY_MARGIN_MS);
        let path = format!("/v1/rooms/{name}/history");
        let mut query = format!("?from={from}&to={to}&format=json");
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        loop {
            let body = again(crowd, name, &format!("{path}{query}")).await?;
            let page: History<'_> = serde_json::from_slice(&body)
                .map_err(|error| RunError::Unread(name.clone(), error.to_string()))?;
            for past in page.windows.iter().filter(|past| past.window.kind == "tumbling") {
                *sums.entry(past.window.name.to_string()).or_default() += past.total;
            }
            match page.next.as_deref().and_then(|next| next.find('?').map(|at| next[at..].to_owned())) {
                Some(next) => query = next,
                None => return Ok(sums),
            }
        }
    }

    fn report(&self, crowd: &Crowd, outcome: Outcome) -> Report {
        let plan = &self.plan;
        let (counts, meters) = (&crowd.counts, &crowd.meters);
        let times = [
            ("single", &meters.single),
            ("batch", &meters.batch),
            ("socket", &meters.socket),
            ("screen", &meters.screen),
            ("join", &meters.join),
            ("lag", &meters.lag),
        ];
        let mut report = Report {
            format: FORMAT,
            run: self.run.clone(),
            asked: Asked {
                scenario: plan.scenario.name().to_owned(),
                rate: plan.rate,
                watchers: plan.watchers,
                rooms: plan.rooms,
                duration_seconds: plan.duration.as_secs_f64(),
                mix: [plan.mix.single, plan.mix.batch, plan.mix.socket],
                events_share: plan.events_share,
                seed: plan.seed,
                parts: plan.part.of,
            },
            parts: vec![plan.part.number],
            version: env!("CARGO_PKG_VERSION").to_owned(),
            began_ms: outcome.began_ms,
            seconds: outcome.seconds,
            counts: Numbers {
                reactions: counts.reactions.get(),
                taps: counts.taps.get(),
                acked_reactions: counts.acked_reactions.get(),
                acked_taps: counts.acked_taps.get(),
                refused_taps: counts.refused_taps.get(),
                unknown_taps: counts.unknown_taps.get(),
                unsent_taps: counts.unsent_taps.get(),
                watching_max: outcome.series.iter().map(|point| point.watching).max().unwrap_or(0),
                deliveries: counts.deliveries.get(),
                delivered_bytes: counts.delivered_bytes.get(),
                moments: counts.moments.get(),
                skipped: counts.skipped.get(),
                gaps: outcome.gaps.results,
                gaps_final: outcome.gaps.finals,
                repeats: outcome.repeats,
                reconnects: counts.reconnects.get(),
                failed_joins: counts.failed_joins.get(),
                unseen: counts.unseen.get(),
            },
            times: times.map(|(kind, meter)| (kind.to_owned(), meter.times())).into(),
            refusals: crowd.refusals(),
            bad_clients: crowd.bad_answers(),
            series: outcome.series,
            rooms: outcome.rooms,
            broken: Vec::new(),
        };
        report.judge();
        report
    }
}

/// What a run came to, before it is judged.
struct Outcome {
    began_ms: u64,
    seconds: f64,
    series: Vec<Point>,
    rooms: Vec<RoomReport>,
    gaps: Gaps,
    repeats: u64,
}

fn look(crowd: &Crowd) -> u64 {
    crowd.books.iter().map(|book| book.look(&crowd.meters.screen, crowd.now())).sum()
}

/// Everybody goes home, and tells what was missed.
async fn go_home(crowd: &Crowd, watching: Vec<Watching>) -> (Gaps, u64) {
    crowd.over.cancel();
    let mut all = Vec::new();
    for watcher in watching {
        // A watcher that panicked has nothing to tell.
        all.extend(watcher.await.ok());
    }
    let (mut gaps, mut repeats) = (Gaps::default(), 0);
    for (room, seen) in all {
        repeats += seen.repeats;
        let own = seen.gaps(&crowd.books[room]);
        gaps.results += own.results;
        gaps.finals += own.finals;
    }
    (gaps, repeats)
}

/// Asks until there is an answer: a gateway reads few histories at a time.
async fn again(crowd: &Crowd, room: &str, path: &str) -> Result<bytes::Bytes, RunError> {
    let mut why = String::new();
    for _ in 0..TRIES {
        match crowd.pool.get(path).await {
            Ok((StatusCode::OK, body)) => return Ok(body),
            Ok((status, answer)) => why = send::name(status, &answer),
            Err(error @ NoAnswer::Request(_)) => {
                return Err(RunError::Unread(room.to_owned(), error.to_string()));
            }
            Err(error) => why = error.to_string(),
        }
        sleep(LOOK * 2).await;
    }
    Err(RunError::Unread(room.to_owned(), why))
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
