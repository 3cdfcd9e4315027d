//! What a user gets when things go wrong: one clear text, and the right exit code.

use std::fmt;
use std::process::ExitCode;

use ovation_topology::SpecError;

use crate::say;

/// Why a command ends early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line itself, or a request for help.
    #[error("{0}")]
    CommandLine(clap::Error),
    /// Something given cannot work.
    #[error("{0}")]
    Invalid(String),
    /// The topology file has mistakes.
    #[error("{0}")]
    Topology(Box<SpecError>),
    /// A part failed.
    #[error("failed to {0}")]
    Part(String),
    /// Something cannot be used as it is; what and why has been said.
    #[error("something there can be neither used nor changed")]
    Refused,
    /// A check did not pass; what was found has been said.
    #[error("a difference was found")]
    Difference,
}

impl Failure {
    /// A part that did not start: "failed to start X: why".
    pub(crate) fn part(what: &str, error: &impl fmt::Display) -> Self {
        Self::Part(format!("start {what}: {error}"))
    }

    /// Tells the user, and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::CommandLine(error) => {
                // Help and version are asked for and go to standard output; mistakes go to standard error.
                let _ = error.print();
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
            }
            Self::Topology(error) => {
                say::mistakes(&error);
                ExitCode::from(2)
            }
            Self::Invalid(_) => {
                eprintln!("ovation: {self}");
                ExitCode::from(2)
            }
            Self::Part(_) => {
                eprintln!("ovation: {self}");
                ExitCode::FAILURE
            }
            Self::Refused => ExitCode::from(2),
            Self::Difference => ExitCode::FAILURE,
        }
    }
}
