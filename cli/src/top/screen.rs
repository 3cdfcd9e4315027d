//! The view on a terminal.

use std::time::Duration;

use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::table::{Mood, Row, tables};
use super::view::View;

/// Between two looks at whether the terminal is still wanted.
const LISTEN: Duration = Duration::from_millis(100);
/// Keys that wait to be taken.
const KEYS_MAX: usize = 16;

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    End,
    /// So many lines on, or back.
    Scroll(i32),
    /// The terminal has another size.
    Draw,
}

/// What an event of the terminal asks for, if anything.
fn wish(event: &Event) -> Option<Wish> {
    match event {
        Event::Resize(..) => Some(Wish::Draw),
        Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. }) => match code {
            KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => Some(Wish::End),
            KeyCode::Char('q') | KeyCode::Esc => Some(Wish::End),
            KeyCode::Down | KeyCode::Char('j') => Some(Wish::Scroll(1)),
            KeyCode::Up | KeyCode::Char('k') => Some(Wish::Scroll(-1)),
            KeyCode::PageDown | KeyCode::Char(' ') => Some(Wish::Scroll(10)),
            KeyCode::PageUp => Some(Wish::Scroll(-10)),
            _ => None,
        },
        _ => None,
    }
}

/// Listens to the keyboard, on a thread of its own, until `end`.
pub(super) fn listen(end: CancellationToken) -> mpsc::Receiver<Wish> {
    let (tell, wishes) = mpsc::channel(KEYS_MAX);
    tokio::task::spawn_blocking(move || {
        while !end.is_cancelled() {
            // A terminal that cannot be read any more has nobody in front of it.
            let wish = match event::poll(LISTEN) {
                Ok(false) => continue,
                Ok(true) => event::read().map_or(Some(Wish::End), |event| wish(&event)),
                Err(_) => Some(Wish::End),
            };
            if let Some(wish) = wish
                && tell.blocking_send(wish).is_err()
            {
                return;
            }
        }
    });
    wishes
}

/// How the view is drawn.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// Lines that are scrolled past.
    scrolled: usize,
    /// Whether nobody asked for none.
    colours: bool,
}

impl Screen {
    pub(super) fn new(colours: bool) -> Self {
        Self { scrolled: 0, colours }
    }

    /// Scrolls; the next drawing sees to the ends.
    pub(super) fn scroll(&mut self, by: i32) {
        self.scrolled = self.scrolled.saturating_add_signed(by as isize);
    }

    pub(super) fn draw(&mut self, frame: &mut Frame<'_>, view: Option<&View>) {
        let [body, foot] = Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(frame.area());
        let lines = match view {
            Some(view) => self.lines(view, body.width.into()),
            None => vec![Line::raw("looking …")],
        };
        self.scrolled = self.scrolled.min(lines.len().saturating_sub(body.height.into()));
        let hidden = lines.len().saturating_sub(self.scrolled + usize::from(body.height));
        let shown: Vec<_> = lines.into_iter().skip(self.scrolled).take(body.height.into()).collect();
        frame.render_widget(Paragraph::new(shown), body);
        let more = if hidden > 0 { format!("  ↓ {hidden} more lines") } else { String::new() };
        let dim = self.style(Style::new().add_modifier(Modifier::DIM));
        frame.render_widget(Line::styled(format!("q ends  ↑↓ scroll{more}"), dim), foot);
    }

    fn lines(&self, view: &View, width: usize) -> Vec<Line<'static>> {
        let mut lines = Vec::new();
        for table in tables(view) {
            if !lines.is_empty() {
                lines.push(Line::default());
            }
            let bold = Style::new().add_modifier(Modifier::BOLD);
            lines.push(Line::styled(table.title.clone(), self.style(bold.fg(Color::Cyan))));
            lines.extend(table.fit(width).iter().map(|row| self.line(row)));
        }
        lines
    }

    fn line(&self, row: &Row) -> Line<'static> {
        let span = |cell: &super::table::Cell| {
            let style = match cell.mood {
                _ if row.is_head => Style::new().add_modifier(Modifier::DIM),
                Mood::Plain => Style::new(),
                Mood::Good => Style::new().fg(Color::Green),
                Mood::Odd => Style::new().fg(Color::Yellow),
                Mood::Bad => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
            };
            Span::styled(cell.text.clone(), self.style(style))
        };
        Line::from(row.cells.iter().map(span).collect::<Vec<_>>())
    }

    fn style(&self, style: Style) -> Style {
        if self.colours { style } else { Style::new() }
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::buffer::Buffer;

    use super::*;
    use crate::top::table::tests::full;

    fn drawn(screen: &mut Screen, width: u16, height: u16) -> (Vec<String>, Buffer) {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal.draw(|frame| screen.draw(frame, Some(&full()))).expect("draws");
        let buffer = terminal.backend().buffer().clone();
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        ((0..height).map(line).collect(), buffer)
    }

    fn has_colours(buffer: &Buffer) -> bool {
        buffer.content().iter().any(|cell| cell.fg != Color::Reset)
    }

    #[test]
    fn a_wide_terminal_shows_everything_in_colours() {
        let mut screen = Screen { colours: true, ..Screen::default() };
        let (lines, buffer) = drawn(&mut screen, 120, 40);
        for title in ["Processes", "Way in", "Broker and chain", "Engine", "Way out", "Rejects", "Topics"] {
            assert!(lines.iter().any(|line| line == title), "{title} in {lines:#?}");
        }
        assert!(lines[39].starts_with("q ends") && !lines[39].contains("more"), "{lines:#?}");
        let stopped = lines.iter().position(|line| line.contains("stopped")).expect("a task") as u16;
        let column = lines[usize::from(stopped)].find("stopped").expect("a state") as u16;
        assert_eq!(buffer[(column, stopped)].fg, Color::Red);
        screen.colours = false;
        assert!(has_colours(&buffer) && !has_colours(&drawn(&mut screen, 120, 40).1));
    }

    #[test]
    fn a_small_terminal_shows_the_first_lines_and_scrolls() {
        let mut screen = Screen::default();
        let (lines, _) = drawn(&mut screen, 40, 10);
        assert_eq!(lines[0], "Processes");
        assert!(lines[9].contains("more lines"), "{lines:#?}");
        screen.scroll(1_000);
        let (lines, _) = drawn(&mut screen, 40, 10);
        assert!(lines[8].contains("emoji-events") && !lines[9].contains("more"), "{lines:#?}");
        screen.scroll(-1);
        assert!(drawn(&mut screen, 40, 10).0[9].contains("1 more lines"));
        screen.scroll(-1_000);
        assert_eq!(drawn(&mut screen, 40, 10).0[0], "Processes");
        for (width, height) in [(1, 1), (3, 2), (10, 3), (250, 1)] {
            drawn(&mut screen, width, height);
        }
    }

    #[test]
    fn keys_end_and_scroll() {
        let key = |code, modifiers| wish(&Event::Key(KeyEvent::new(code, modifiers)));
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::NONE), Some(Wish::End));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Wish::End));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::NONE), None);
        assert_eq!(key(KeyCode::Down, KeyModifiers::NONE), Some(Wish::Scroll(1)));
        assert_eq!(wish(&Event::Resize(1, 1)), Some(Wish::Draw));
    }
}
