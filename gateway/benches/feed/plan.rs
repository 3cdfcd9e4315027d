//! What is measured, and how large: the flags.

use std::str::FromStr;
use std::time::Duration;

/// Bounds on what flags may ask for: a machine's loopback takes no more, or nobody would wait for it.
const CLIENTS_MAX: usize = 14_000;
const RATE_MAX: u32 = 1_000;
const SECONDS_MAX: u64 = 120;
const ROUNDS_MAX: usize = 50;

/// Files that a process of the bench has open besides its clients' sockets.
const OWN_FILES: usize = 200;

/// Which measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Deliveries per core-second.
    Cost,
    /// From acknowledgement to client.
    Latency,
    /// Memory of so many clients that wait.
    Idle(usize),
}

/// Everything that flags say.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) measure: Measure,
    pub(crate) rounds: usize,
    /// Length of a turn.
    pub(crate) time: Duration,
    pub(crate) clients: usize,
    /// Updates a second.
    pub(crate) rate: u32,
    /// Whether nchan takes turns, too.
    pub(crate) nchan: bool,
    /// Share of clients that stop to read.
    pub(crate) stalled: Option<f64>,
    /// Where medians are written.
    pub(crate) json: Option<String>,
}

impl Plan {
    pub(crate) fn from_args(args: &[String]) -> Self {
        let has = |flag: &str| args.iter().any(|arg| arg == flag);
        let stalled = number::<f64>(args, "--stalled");
        let measure = match (number(args, "--idle"), has("--latency") || stalled.is_some()) {
            (Some(clients), _) => Measure::Idle(clients),
            (None, true) => Measure::Latency,
            (None, false) => Measure::Cost,
        };
        // A turn with stalled readers has to be longer than the gateway's patience with them.
        let (rounds, seconds, clients, rate) = match (measure, stalled) {
            (Measure::Cost | Measure::Idle(_), _) => (5, 4, 1_000, 30),
            (Measure::Latency, None) => (3, 8, 5_000, 10),
            (Measure::Latency, Some(_)) => (3, 20, 5_000, 10),
        };
        let plan = Self {
            measure,
            rounds: number(args, "--rounds").unwrap_or(rounds).clamp(1, ROUNDS_MAX),
            time: Duration::from_secs(number(args, "--seconds").unwrap_or(seconds).clamp(1, SECONDS_MAX)),
            clients: number(args, "--clients").unwrap_or(clients),
            rate: number(args, "--rate").unwrap_or(rate).clamp(1, RATE_MAX),
            nchan: has("--nchan"),
            stalled,
            json: value(args, "--json"),
        };
        assert!((1..=CLIENTS_MAX).contains(&plan.clients), "--clients takes 1 to {CLIENTS_MAX}");
        assert!(
            plan.stalled.is_none_or(|share| (0.0..1.0).contains(&share)),
            "--stalled takes 0.0 to below 1.0"
        );
        plan
    }

    /// Updates of a turn.
    pub(crate) fn updates(&self) -> usize {
        self.rate as usize * self.time.as_secs() as usize
    }

    /// Says what is missing before anything is started.
    pub(crate) fn check_files(&self) {
        let clients = match self.measure {
            Measure::Idle(clients) => {
                assert!((1..=CLIENTS_MAX).contains(&clients), "--idle takes 1 to {CLIENTS_MAX}");
                clients
            }
            Measure::Cost | Measure::Latency => self.clients,
        };
        let needed = clients + OWN_FILES;
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        let limit = line.split_whitespace().next().unwrap();
        let is_enough = limit == "unlimited" || limit.parse::<usize>().unwrap() >= needed;
        assert!(
            is_enough,
            "{clients} clients need {needed} files in a process, and {limit} are allowed: ulimit -n {needed}"
        );
    }
}

/// What follows `flag`.
pub(crate) fn value(args: &[String], flag: &str) -> Option<String> {
    let place = args.iter().position(|arg| arg == flag)?;
    Some(args.get(place + 1).unwrap_or_else(|| panic!("{flag} takes a value")).clone())
}

/// What follows `flag`, as a number.
pub(crate) fn number<T: FromStr>(args: &[String], flag: &str) -> Option<T> {
    let text = value(args, flag)?;
    Some(text.parse().unwrap_or_else(|_| panic!("{flag} takes a number, not {text}")))
}
