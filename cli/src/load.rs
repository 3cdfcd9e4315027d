//! `ovation load`: a crowd from the command line.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ovation_load::{Mix, Part, Plan, Point, Progress, Report, Scenario, Setup, Target};

use crate::args::duration;
use crate::failure::Failure;
use crate::{files, say};

pub(crate) const EXAMPLES: &str = "\
Examples:
  ovation load --rate 5000 --watchers 500 --duration 30s
  ovation load --scenario match --rate 20000 --watchers 2000 --duration 10m --html match.html
  ovation load --scenario stampede --watchers 5000
Two processes, one crowd:
  ovation load --run final --part 1/2 --json 1.json & ovation load --run final --part 2/2 --json 2.json & wait
  ovation load --merge 1.json --merge 2.json --html final.html";

/// Files that are open beside those of watchers: requests, and what the program itself needs.
const OTHER_FILES: u64 = 600;
/// Most rooms, watchers and taps a second of one process.
const ROOMS_MAX: usize = 10_000;
const WATCHERS_MAX: usize = 100_000;
const RATE_MAX: f64 = 1_000_000.0;
const DURATION_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Without a terminal a line of progress comes this often.
const LINE_EVERY_SECONDS: u64 = 10;
const REPORT_BYTES_MAX: u64 = 256 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScenarioArg {
    /// The same rate all the time, all rooms alike.
    Steady,
    /// A football match in fast motion: goals, half-time, chants; one hot room among many.
    Match,
    /// Everybody who watches joins within three seconds, in the middle of the run.
    Stampede,
    /// As steady, beside clients that send nonsense, too much, too slowly, or do not read.
    Flood,
}

impl From<ScenarioArg> for Scenario {
    fn from(scenario: ScenarioArg) -> Self {
        match scenario {
            ScenarioArg::Steady => Self::Steady,
            ScenarioArg::Match => Self::Match,
            ScenarioArg::Stampede => Self::Stampede,
            ScenarioArg::Flood => Self::Flood,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// The gateway.
    #[arg(long, env = "OVATION_TARGET", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    target: String,

    /// What the crowd does.
    #[arg(long, env = "OVATION_SCENARIO", value_name = "NAME", default_value = "steady")]
    scenario: ScenarioArg,

    /// Taps a second, on average over the run.
    #[arg(long, env = "OVATION_RATE", value_name = "TAPS/S", default_value = "1000")]
    rate: f64,

    /// People who watch; by WebSocket they also send their share of the taps.
    #[arg(long, env = "OVATION_WATCHERS", value_name = "NUMBER", default_value = "100")]
    watchers: usize,

    /// Rooms, made for the run. In a match the first one is hot: it has six of ten taps and watchers.
    #[arg(long, env = "OVATION_LOAD_ROOMS", value_name = "NUMBER", default_value = "20")]
    rooms: usize,

    /// From the first tap to the last, e.g. 20s or 10m.
    #[arg(long, env = "OVATION_DURATION", value_name = "DURATION", default_value = "20s", value_parser = duration)]
    duration: Duration,

    /// How taps get in: shares of requests with one reaction, requests with many, and the watchers' sockets.
    #[arg(
        long,
        env = "OVATION_MIX",
        value_name = "SHARES",
        default_value = "single=5,batch=65,socket=30",
        value_parser = mix
    )]
    mix: Mix,

    /// Share of watchers that take server-sent events, from 0 to 1.
    #[arg(long, env = "OVATION_EVENTS_SHARE", value_name = "SHARE", default_value = "0.2")]
    events_share: f64,

    /// Makes the crowd what it is: the same seed, the same taps at the same times.
    #[arg(long, env = "OVATION_SEED", value_name = "NUMBER", default_value = "7")]
    seed: u64,

    /// Token for gateways with --keys.
    #[arg(long, env = "OVATION_LOAD_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,

    /// Process under load on this machine, whose memory and processor time are reported.
    #[arg(long, env = "OVATION_LOAD_PID", value_name = "PID")]
    pid: Option<u32>,

    /// Name of the run, which its rooms begin with; a new one is made up otherwise. Rooms that exist cannot be judged.
    #[arg(long, env = "OVATION_LOAD_RUN", value_name = "NAME", value_parser = run_name)]
    run: Option<String>,

    /// Which of several processes this is that make one crowd together, under the same --run: 1/3, 2/3, 3/3.
    #[arg(long, env = "OVATION_PART", value_name = "N/OF", default_value = "1/1", value_parser = part)]
    part: Part,

    /// Write the report as JSON.
    #[arg(long, env = "OVATION_LOAD_JSON", value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write the report as a page with plots, in one file.
    #[arg(long, env = "OVATION_LOAD_HTML", value_name = "FILE")]
    html: Option<PathBuf>,

    /// Do not send anything: make one report of those that the parts of a run wrote with --json.
    #[arg(long, value_name = "FILE")]
    merge: Vec<PathBuf>,
}

/// `single=5,batch=65,socket=30`; a way that is not named has no share.
fn mix(text: &str) -> Result<Mix, String> {
    let mut mix = Mix { single: 0.0, batch: 0.0, socket: 0.0 };
    for item in text.split(',') {
        let wrong = || format!("{item:?} is no share; expected single=5,batch=65,socket=30");
        let (way, share) = item.trim().split_once('=').ok_or_else(wrong)?;
        let share: f64 =
            share.parse().ok().filter(|share: &f64| share.is_finite() && *share >= 0.0).ok_or_else(wrong)?;
        match way {
            "single" => mix.single = share,
            "batch" => mix.batch = share,
            "socket" => mix.socket = share,
            _ => return Err(wrong()),
        }
    }
    if mix.single + mix.batch + mix.socket > 0.0 { Ok(mix) } else { Err("all shares are 0".to_owned()) }
}

/// `2/3`.
fn part(text: &str) -> Result<Part, String> {
    let wrong = || format!("{text:?} is no part; expected 1/3, 2/3 or 3/3 for three processes");
    let (number, of) = text.split_once('/').ok_or_else(wrong)?;
    let (number, of) = (number.parse().map_err(|_| wrong())?, of.parse().map_err(|_| wrong())?);
    if number == 0 || number > of { Err(wrong()) } else { Ok(Part { number, of }) }
}

/// What a room's name may begin with.
fn run_name(text: &str) -> Result<String, String> {
    let is_good = (1..=24).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_good {
        Ok(text.to_owned())
    } else {
        Err("expected up to 24 letters, digits and hyphens".to_owned())
    }
}

/// Makes a crowd, or one report of several.
pub(crate) async fn load(args: LoadArgs) -> Result<(), Failure> {
    let report = if args.merge.is_empty() { run(&args).await? } else { merged(&args.merge)? };
    if let Some(file) = &args.json {
        let json =
            serde_json::to_string(&report).map_err(|error| Failure::Part(format!("write JSON: {error}")))?;
        write(file, &json)?;
    }
    if let Some(file) = &args.html {
        write(file, &ovation_load::page(&report).map_err(|error| Failure::Invalid(error.to_string()))?)?;
    }
    let colour = if report.broken.is_empty() { say::GREEN } else { say::RED };
    let verdict = if !report.is_whole() {
        "one part of a crowd: merge the reports of all"
    } else if report.broken.is_empty() {
        "kept: nothing lost, nothing twice"
    } else {
        "broken: see above"
    };
    say::line(format_args!("{}\n  {}", ovation_load::text(&report), say::coloured(colour, verdict)));
    if report.broken.is_empty() { Ok(()) } else { Err(Failure::Difference) }
}

async fn run(args: &LoadArgs) -> Result<Report, Failure> {
    let target =
        Target::new(&args.target, args.token.clone()).map_err(|error| Failure::Invalid(error.to_string()))?;
    let within = |what: &str, is_good: bool, expected: String| {
        if is_good { Ok(()) } else { Err(Failure::Invalid(format!("{what}: expected {expected}"))) }
    };
    within(
        "--rate",
        args.rate > 0.0 && args.rate <= RATE_MAX,
        format!("more than 0, and at most {RATE_MAX}"),
    )?;
    within("--rooms", (1..=ROOMS_MAX).contains(&args.rooms), format!("1 to {ROOMS_MAX}"))?;
    within("--watchers", args.watchers <= WATCHERS_MAX, format!("at most {WATCHERS_MAX}"))?;
    within("--events-share", (0.0..=1.0).contains(&args.events_share), "0 to 1".to_owned())?;
    within(
        "--duration",
        (Duration::from_secs(1)..=DURATION_MAX).contains(&args.duration),
        "1s to 24h".to_owned(),
    )?;
    within(
        "--part",
        args.part.of == 1 || args.run.is_some(),
        "--run, with the same name for all parts".to_owned(),
    )?;
    let plan = Plan {
        scenario: args.scenario.into(),
        rate: args.rate,
        duration: args.duration,
        rooms: args.rooms,
        watchers: args.watchers,
        events_share: args.events_share,
        mix: args.mix,
        seed: args.seed,
        part: args.part,
    };
    let needed = args.watchers as u64 / u64::from(args.part.of) + OTHER_FILES;
    files::allow(needed).map_err(|allowed| {
        Failure::Invalid(format!(
            "{needed} open files are needed, and {allowed} are allowed: raise the limit (ulimit -n {needed}), or split the crowd by --part"
        ))
    })?;
    let run = args.run.clone().unwrap_or_else(new_name);
    let display = Display::new(args.duration);
    let setup = Setup { plan, target, run, pid: args.pid };
    setup.run(move |progress| display.show(&progress)).await.map_err(|error| match error {
        ovation_load::RunError::NotReady(..) => Failure::Invalid(error.to_string()),
        ovation_load::RunError::Unread(..) => {
            let text = error.to_string();
            Failure::Part(text.strip_prefix("failed to ").unwrap_or(&text).to_owned())
        }
    })
}

/// A name that no run had: the time.
fn new_name() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}", since.as_millis())
}

fn merged(files: &[PathBuf]) -> Result<Report, Failure> {
    let read = |file: &PathBuf| {
        let wrong = |error: String| {
            Failure::Invalid(format!("failed to read the report {}: {error}", file.display()))
        };
        let size = std::fs::metadata(file).map_err(|error| wrong(error.to_string()))?.len();
        if size > REPORT_BYTES_MAX {
            return Err(wrong(format!("it has {size} bytes, and a report at most {REPORT_BYTES_MAX}")));
        }
        let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
    };
    let reports = files.iter().map(read).collect::<Result<Vec<Report>, Failure>>()?;
    Report::merge(reports).map_err(|error| Failure::Invalid(error.to_string()))
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text).map_err(|error| Failure::Part(format!("write {}: {error}", file.display())))
}

/// Tells where a run is: a bar in a terminal, lines elsewhere.
struct Display {
    bar: Option<ProgressBar>,
}

impl Display {
    fn new(duration: Duration) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(duration.as_secs()), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{elapsed_precise} [{bar:20}] {msg}");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar }
    }

    fn show(&self, progress: &Progress) {
        let (place, is_due, text) = match progress {
            Progress::Coming { there, of } => {
                (0, there == &(*of as u64), format!("{there} of {of} watchers are there"))
            }
            Progress::Second(point) => {
                let is_due = (point.second + 1).is_multiple_of(LINE_EVERY_SECONDS);
                (point.second + 1, is_due, second(point))
            }
            Progress::Settling { rooms } => {
                (u64::MAX, false, format!("{rooms} rooms have windows that are not final"))
            }
        };
        match &self.bar {
            Some(bar) => {
                bar.set_position(place.min(bar.length().unwrap_or(place)));
                bar.set_message(text);
            }
            None if is_due => eprintln!("{place:>5} s  {text}"),
            None => {}
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn second(point: &Point) -> String {
    let times = |name: &str, times: Option<[f64; 2]>| {
        times.map_or_else(String::new, |[p50, p99]| format!(" · {name} {p50:.0}/{p99:.0} ms"))
    };
    format!(
        "{} taps/s, {} acknowledged · {} watchers, {} updates/s{}{}",
        point.taps,
        point.acked_taps,
        point.watching,
        point.deliveries,
        times("acknowledged p50/p99", point.acked_ms),
        times("on screen", point.screen_ms)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_parts_are_read() {
        assert_eq!(mix("single=1,socket=2"), Ok(Mix { single: 1.0, batch: 0.0, socket: 2.0 }));
        for wrong in ["", "single", "single=x", "mail=1", "single=-1", "single=0", "single=inf"] {
            assert!(mix(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(part("2/3"), Ok(Part { number: 2, of: 3 }));
        for wrong in ["", "1", "0/1", "4/3", "a/b", "1/"] {
            assert!(part(wrong).is_err(), "{wrong:?}");
        }
        assert!(run_name("final-2026").is_ok() && run_name("a b").is_err() && run_name("").is_err());
    }

    #[test]
    fn two_reports_of_nothing_are_refused() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "{}").expect("writes");
        let error = merged(&[file.path().to_owned()]).expect_err("no report").to_string();
        assert!(error.contains("missing field"), "{error}");
    }
}
