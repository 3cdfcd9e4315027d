use std::fmt;

use miette::{Diagnostic, NamedSource, Severity, SourceSpan};
use serde_saphyr::Location;

/// What is wrong with a topology: every problem that was found, each with its place.
///
/// `Display` is one line a problem, `FILE:LINE:COLUMN: what`; as a [`Diagnostic`] it shows the lines, underlined.
#[derive(Debug, Clone)]
pub struct SpecError {
    source: NamedSource<String>,
    problems: Vec<Problem>,
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone)]
pub struct Problem {
    /// What is wrong and what was expected.
    pub message: String,
    /// What would be right, where that can be guessed.
    pub help: Option<String>,
    /// Line, from 1; 0 when the problem has no place.
    pub line: u64,
    /// Column, from 1, in characters.
    pub column: u64,
    /// Whether the topology works all the same.
    pub is_warning: bool,
    file: String,
    span: Option<SourceSpan>,
}

impl SpecError {
    pub(crate) fn new(file: &str, text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| (problem.line, problem.column));
        Self { source: NamedSource::new(file, text.to_owned()).with_language("YAML"), problems }
    }

    /// The problems in the order of their places.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl Problem {
    pub(crate) fn new(file: &str, place: Option<Location>, message: String, help: Option<String>) -> Self {
        let span = place.and_then(|place| {
            let start = usize::try_from(place.span().byte_offset()?).ok()?;
            let length = place.span().byte_len().and_then(|length| usize::try_from(length).ok());
            Some(SourceSpan::new(start.into(), length.unwrap_or(1).max(1)))
        });
        Self {
            message,
            help,
            line: place.map_or(0, |place| place.line()),
            column: place.map_or(0, |place| place.column()),
            is_warning: false,
            file: file.to_owned(),
            span,
        }
    }

    pub(crate) fn warning(self) -> Self {
        Self { is_warning: true, ..self }
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let are_warnings = self.problems.iter().all(|problem| problem.is_warning);
        match self.problems.as_slice() {
            [only] if are_warnings => write!(formatter, "the topology works, but: {only}"),
            [only] => write!(formatter, "failed to use the topology: {only}"),
            several => {
                match are_warnings {
                    true => write!(formatter, "the topology works, with {} warnings", several.len())?,
                    false => write!(formatter, "failed to use the topology: {} problems", several.len())?,
                }
                several.iter().try_for_each(|problem| write!(formatter, "\n  {problem}"))
            }
        }
    }
}

impl std::error::Error for SpecError {}

fn severity(is_warning: bool) -> Option<Severity> {
    Some(if is_warning { Severity::Warning } else { Severity::Error })
}

impl Diagnostic for SpecError {
    fn severity(&self) -> Option<Severity> {
        severity(self.problems.iter().all(|problem| problem.is_warning))
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        Some(&self.source)
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        // A single problem is shown as the error itself.
        if self.problems.len() == 1 {
            return None;
        }
        Some(Box::new(self.problems.iter().map(|problem| problem as &dyn Diagnostic)))
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan> + '_>> {
        match self.problems.as_slice() {
            [only] => only.labels(),
            _ => None,
        }
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        match self.problems.as_slice() {
            [only] => only.help(),
            _ => None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.file)?;
        if self.line > 0 {
            write!(formatter, ":{}:{}", self.line, self.column)?;
        }
        write!(formatter, ": {}", self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn severity(&self) -> Option<Severity> {
        severity(self.is_warning)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan> + '_>> {
        let span = self.span?;
        Some(Box::new(std::iter::once(miette::LabeledSpan::at(span, "here"))))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }
}
