//! `ovation top`: the counters of running processes, each second, on a terminal or as lines.

mod plain;
mod scrape;
mod screen;
mod table;
mod view;

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use futures_util::future::join_all;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use self::scrape::Scrape;
use self::screen::{Screen, Wish};
use self::view::{Look, View, view};
use crate::failure::Failure;
use crate::live::Target;
use crate::{parts, say, signals};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// Processes to look at: the page or the admin address of a gateway, the status port of an engine or a broker.
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:8080")]
    urls: Vec<String>,

    /// Look twice, a second apart, print what was seen, and end.
    #[arg(long)]
    once: bool,

    /// Print an object a line instead.
    #[arg(long)]
    json: bool,
}

/// `ovation top`. Where standard output is no terminal, a block of lines each second.
pub(crate) async fn top(args: TopArgs) -> Result<(), Failure> {
    let targets = args.urls.iter().map(|url| Target::parse(url)).collect::<Result<Vec<_>, _>>()?;
    let mut watch = Watch::begin(targets).await?;
    let stop = signals::stop_token()?;
    if args.once || args.json || !std::io::stdout().is_terminal() {
        return print(&mut watch, &args, &stop).await;
    }
    let mut screen = Screen::new(say::wants_colours());
    let mut terminal = ratatui::try_init().map_err(|error| Failure::part("the terminal view", &error))?;
    let outcome = show(&mut watch, &mut terminal, &mut screen, &stop).await;
    // Also after an error: a terminal that stays raw is of no use to anybody.
    ratatui::restore();
    outcome.map_err(|error| Failure::Part(format!("draw on the terminal: {error}")))
}

/// Prints until the end, or once.
async fn print(watch: &mut Watch, args: &TopArgs, stop: &CancellationToken) -> Result<(), Failure> {
    loop {
        let Some(view) = stop.run_until_cancelled(watch.next()).await else { return Ok(()) };
        let text = if args.json {
            // Numbers and texts always serialise.
            format!("{}\n", serde_json::to_string(&view).unwrap_or_default())
        } else {
            plain::lines(&view)
        };
        let mut out = std::io::stdout();
        // Whoever read it has seen enough.
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() || args.once {
            return Ok(());
        }
    }
}

/// Draws until somebody has seen enough.
async fn show(
    watch: &mut Watch,
    terminal: &mut ratatui::DefaultTerminal,
    screen: &mut Screen,
    stop: &CancellationToken,
) -> std::io::Result<()> {
    let listening = CancellationToken::new();
    let _ends = listening.clone().drop_guard();
    let mut wishes = screen::listen(listening);
    let mut view: Option<View> = None;
    loop {
        terminal.draw(|frame| screen.draw(frame, view.as_ref()))?;
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            next = watch.next() => view = Some(next),
            wish = wishes.recv() => match wish {
                None | Some(Wish::End) => return Ok(()),
                Some(Wish::Scroll(by)) => screen.scroll(by),
                Some(Wish::Draw) => {}
            },
        }
    }
}

/// Looks at the processes again and again.
struct Watch {
    targets: Vec<Target>,
    urls: Vec<String>,
    beat: tokio::time::Interval,
    last: Vec<Look>,
    at: Instant,
}

impl Watch {
    /// Looks for the first time. One that answers is enough; the others may come.
    async fn begin(targets: Vec<Target>) -> Result<Self, Failure> {
        let (at, last) = (Instant::now(), look(&targets).await);
        if let Some(Err(error)) = last.first().filter(|_| last.iter().all(Result::is_err)) {
            return Err(Failure::Part(parts::error_text(error)));
        }
        let mut beat = tokio::time::interval(INTERVAL);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.reset();
        Ok(Self { urls: targets.iter().map(Target::url).collect(), targets, beat, last, at })
    }

    /// The next second. Safe to be dropped and called again.
    async fn next(&mut self) -> View {
        self.beat.tick().await;
        let (at, now) = (Instant::now(), look(&self.targets).await);
        let seconds = at.duration_since(self.at).as_secs_f64();
        let view = view(&self.urls, &self.last, &now, seconds, time_ms());
        (self.last, self.at) = (now, at);
        view
    }
}

async fn look(targets: &[Target]) -> Vec<Look> {
    let one = async |target: &Target| {
        let text = target.get().await.map_err(|failure| failure.to_string())?;
        Scrape::read(&text)
    };
    join_all(targets.iter().map(one)).await
}

fn time_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
