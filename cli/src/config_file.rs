//! The configuration file: its values become the defaults of the command's options, so flags and environment win.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, FromArgMatches};

use crate::args::Ovation;
use crate::failure::Failure;

/// Reads the command line, the environment and the file that they name.
pub(crate) fn read_args() -> Result<Ovation, Failure> {
    read_args_from(std::env::args_os().collect(), std::env::var_os("OVATION_CONFIG").map(PathBuf::from))
}

fn read_args_from(args: Vec<OsString>, from_environment: Option<PathBuf>) -> Result<Ovation, Failure> {
    let mut command = Ovation::command();
    if let Some(file) = file_in(&args).or(from_environment) {
        command = with_defaults(command, &file)?;
    }
    let matches = command.try_get_matches_from(args).map_err(Failure::CommandLine)?;
    Ovation::from_arg_matches(&matches).map_err(Failure::CommandLine)
}

/// The file that `--config` names, looked for ahead of the real parse because the parse needs its content.
fn file_in(args: &[OsString]) -> Option<PathBuf> {
    args.iter().enumerate().find_map(|(index, arg)| {
        let text = arg.to_str()?;
        match text.strip_prefix("--config") {
            Some("") => args.get(index + 1).map(PathBuf::from),
            Some(rest) => rest.strip_prefix('=').map(PathBuf::from),
            None => None,
        }
    })
}

fn with_defaults(command: clap::Command, file: &Path) -> Result<clap::Command, Failure> {
    let invalid = |detail: String| Failure::Invalid(format!("{}: {detail}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| invalid(error.to_string()))?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| invalid(error.to_string()))?;
    let known = options(&command);
    let mut defaults = Vec::new();
    for (key, value) in table {
        if !known.contains(&key) {
            return Err(invalid(format!("there is no option {key:?}; the options are {}", known.join(", "))));
        }
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Boolean(flag) => flag.to_string(),
            toml::Value::Integer(number) => number.to_string(),
            _ => return Err(invalid(format!("{key} should be a text, a number, true or false"))),
        };
        defaults.push((key, value));
    }
    Ok(set_defaults(command, &defaults))
}

/// Every long option of every command, but the one that names the file.
fn options(command: &clap::Command) -> Vec<String> {
    let mut names: Vec<String> = command
        .get_arguments()
        .filter_map(|arg| arg.get_long().map(str::to_owned))
        .chain(command.get_subcommands().flat_map(options))
        .filter(|name| name != "config")
        .collect();
    names.sort();
    names.dedup();
    names
}

fn set_defaults(command: clap::Command, defaults: &[(String, String)]) -> clap::Command {
    let command = command.mut_args(|arg| {
        let default = defaults.iter().find(|(name, _)| arg.get_long() == Some(name));
        match default {
            Some((_, value)) => arg.default_value(value.clone()),
            None => arg,
        }
    });
    command.mut_subcommands(|sub| set_defaults(sub, defaults))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Command;

    fn read(toml: &str, args: &[&str]) -> Result<Ovation, String> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), toml).expect("writes");
        let mut line: Vec<OsString> = ["ovation"].iter().chain(args).map(OsString::from).collect();
        line.extend([OsString::from("--config"), file.path().into()]);
        read_args_from(line, None).map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_file_gives_defaults_and_a_flag_wins() {
        let file = "http = \"127.0.0.1:1\"\ndata = \"elsewhere\"\nfsync = true\n";
        let Command::Run(args) = read(file, &["run", "--http", "127.0.0.1:2"]).expect("reads").command else {
            panic!("another command");
        };
        assert_eq!(args.http.http.port(), 2);
        assert_eq!(args.embedded.data, PathBuf::from("elsewhere"));
        assert!(args.embedded.fsync);
    }

    #[test]
    fn mistakes_in_the_file_are_named() {
        let unknown = read("htpp = \"x\"", &["run"]).expect_err("refused");
        assert!(unknown.contains("no option \"htpp\"") && unknown.contains("http"), "{unknown}");
        assert!(read("http = [1]", &["run"]).expect_err("refused").contains("should be a text"));
        assert!(read("http", &["run"]).is_err());
        assert!(read("http = \"nowhere\"", &["run"]).is_err());
    }
}
