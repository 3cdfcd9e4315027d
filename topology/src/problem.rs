use std::fmt;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, NamedSource, Severity, SourceSpan};
use serde_saphyr::Location;

/// What is wrong with a topology: every problem that was found, each with its place.
///
/// `Display` is one line a problem, `FILE:LINE:COLUMN: what`; [`render`](SpecError::render) shows the lines, underlined.
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

    /// Each problem with its line, underlined, and then how many there are. `colours` for a terminal that has them; `width` in
    /// characters.
    pub fn render(&self, colours: bool, width: usize) -> String {
        let theme = if colours { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(width).with_context_lines(1);
        let mut out = String::new();
        for problem in &self.problems {
            // Writing into memory cannot fail.
            let _ = handler.render_report(&mut out, &Shown { problem, source: &self.source });
            out.push('\n');
        }
        let count = |is_warning| self.problems.iter().filter(|it| it.is_warning == is_warning).count();
        let counts = [(count(false), "mistake"), (count(true), "warning")];
        let told = counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| match count {
            1 => format!("1 {what}"),
            count => format!("{count} {what}s"),
        });
        out.push_str(&format!("{}: {}", self.source.name(), told.collect::<Vec<_>>().join(", ")));
        out
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

    /// Gives a problem with a line and no bytes the ones at its line and column.
    pub(crate) fn found_in(mut self, text: &str) -> Self {
        let line_index = usize::try_from(self.line).unwrap_or(0).wrapping_sub(1);
        let column_index = usize::try_from(self.column).unwrap_or(0).saturating_sub(1);
        if self.span.is_none()
            && let Some(line) = text.split_inclusive('\n').nth(line_index)
        {
            let start: usize = text.split_inclusive('\n').take(line_index).map(str::len).sum();
            let within: usize = line.chars().take(column_index).map(char::len_utf8).sum();
            let at = (start + within).min(text.len().saturating_sub(1));
            self.span = Some(SourceSpan::new(at.into(), 1));
        }
        self
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

/// A problem beside the file that it is in.
#[derive(Debug)]
struct Shown<'a> {
    problem: &'a Problem,
    source: &'a NamedSource<String>,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.problem.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn severity(&self) -> Option<Severity> {
        Some(if self.problem.is_warning { Severity::Warning } else { Severity::Error })
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        // Without a place there is nothing to show of it.
        self.problem.span.map(|_| self.source as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan> + '_>> {
        let span = self.problem.span?;
        Some(Box::new(std::iter::once(miette::LabeledSpan::underline(span))))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.problem.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
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
