//! What the program says: results on standard output, logs on standard error, colours only where a person looks.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use ovation_topology::SpecError;
use tracing_subscriber::EnvFilter;

/// Without a filter: what went wrong, from every part.
const LOG_DEFAULT: &str = "warn";

/// A line for the user.
pub(crate) fn line(text: impl Display) {
    // A reader that went away is no reason to stop.
    let _ = writeln!(std::io::stdout(), "{text}");
    let _ = std::io::stdout().flush();
}

/// The Fluvio client tells of every connection, and calls a closed one an error; whoever wants that names it.
const CLIENT_QUIET: &str = "fluvio=off,fluvio_socket=off";

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: an object a line, with the fields at its top.
    Json,
}

/// Logs to standard error.
pub(crate) fn start_logging(filter: Option<&str>, format: LogFormat) {
    let asked = filter.unwrap_or(LOG_DEFAULT);
    let whole = if asked.contains("fluvio") { asked.to_owned() } else { format!("{asked},{CLIENT_QUIET}") };
    let filter = EnvFilter::try_new(whole).unwrap_or_else(|error| {
        eprintln!("ovation: --log: {error}; logging {LOG_DEFAULT}");
        EnvFilter::new(LOG_DEFAULT)
    });
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

/// Columns of a terminal whose width nobody told.
const WIDTH: usize = 100;

/// Shows what is wrong with a topology, on standard error.
pub(crate) fn mistakes(error: &SpecError) {
    let width = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(WIDTH);
    let colours = wants_colours() && std::io::stderr().is_terminal();
    eprintln!("{}", error.render(colours, width));
}

/// Whether nobody asked for none.
pub(crate) fn wants_colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Colours, as a terminal is told of them.
pub(crate) const PLAIN: &str = "";
pub(crate) const RED: &str = "\u{1b}[31m";
pub(crate) const GREEN: &str = "\u{1b}[32m";
pub(crate) const YELLOW: &str = "\u{1b}[33m";

/// The text in a colour, if standard output is a terminal and nobody asked for none (NO_COLOR).
pub(crate) fn coloured(colour: &str, text: &str) -> String {
    if colour.is_empty() || !wants_colours() || !std::io::stdout().is_terminal() {
        return text.to_owned();
    }
    format!("{colour}{text}\u{1b}[0m")
}
