//! Where output goes, and how it may look there.

use std::borrow::Cow;
use std::cell::Cell;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::OnceLock;

use serde::Serialize;

use super::{Color, Format};
use crate::diag::{visible, visible_lines};

/// Standard output and standard error.
pub(super) struct Terminal {
    format: Format,
    color_results: bool,
    color_errors: bool,
    width: usize,
    lost: OnceLock<io::Error>,
    unread: Cell<bool>,
    in_lines: Cell<bool>,
}

/// Columns where nothing is known.
const WIDTH: usize = 80;

impl Terminal {
    pub(super) fn new(format: Format, color: Color) -> Self {
        let by_environment = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|value| value != "dumb");
        let decide = |is_terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && by_environment,
        };
        Self {
            format,
            color_results: decide(io::stdout().is_terminal()),
            color_errors: decide(io::stderr().is_terminal()),
            width: width(),
            lost: OnceLock::new(),
            unread: Cell::new(false),
            in_lines: Cell::new(false),
        }
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    pub(super) fn colors_results(&self) -> bool {
        self.color_results
    }

    pub(super) fn colors_errors(&self) -> bool {
        self.color_errors
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// A result for people. Whatever is in it, lines and the colours of edict
    /// are all that a terminal is told.
    pub(super) fn print(&self, text: &str) {
        self.write(&harmless(text, self.color_results));
    }

    /// A result as it is. A reader that has gone away has had enough; anything
    /// else that keeps a result from its reader is a failure.
    fn write(&self, text: &str) {
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.unread.set(true),
            Err(error) => {
                let _ = self.lost.set(error);
            }
        }
    }

    /// Whether nobody reads the results any more.
    pub(super) fn is_unread(&self) -> bool {
        self.unread.get() || self.lost.get().is_some()
    }

    /// From now on each document is a line, because there will be many.
    pub(super) fn one_document_a_line(&self) {
        self.in_lines.set(true);
    }

    /// Why a result did not reach its reader.
    pub(super) fn lost(&self) -> Option<&io::Error> {
        self.lost.get()
    }

    /// A result for programs: one document.
    pub(super) fn json(&self, value: &impl Serialize) {
        if self.in_lines.get() {
            self.json_line(value);
            return;
        }
        // Only maps with keys that are no strings could fail.
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        self.write(&format!("{text}\n"));
    }

    /// A document that is already written out: not a character is changed.
    pub(super) fn document(&self, text: &str) {
        self.write(text);
    }

    /// A result for programs that is one of many: one document a line.
    pub(super) fn json_line(&self, value: &impl Serialize) {
        let text = serde_json::to_string(value).unwrap_or_default();
        self.write(&format!("{text}\n"));
    }

    /// A text that is the whole result: as it is, or in a document.
    pub(super) fn text(&self, text: &str) {
        match self.format {
            Format::Json => self.json(&serde_json::json!({ "text": text })),
            Format::Human | Format::Plain => self.print(text),
        }
    }

    /// A complaint.
    pub(super) fn complain(&self, text: &str) {
        let text = harmless(text, self.color_errors);
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    /// Text in bold, where colours are used.
    pub(super) fn bold(&self, text: &str) -> String {
        self.styled("1", text)
    }

    /// Text that stands back, where colours are used.
    pub(super) fn dim(&self, text: &str) -> String {
        self.styled("2", text)
    }

    /// Text that is good news, where colours are used.
    pub(super) fn green(&self, text: &str) -> String {
        self.styled("32", text)
    }

    /// Text that is bad news, where colours are used.
    pub(super) fn red(&self, text: &str) -> String {
        self.styled("31", text)
    }

    fn styled(&self, style: &str, text: &str) -> String {
        let text = visible(text);
        match self.color_results {
            true => format!("\u{1b}[{style}m{text}\u{1b}[0m"),
            false => text.into_owned(),
        }
    }
}

/// Text for a terminal: lines, tabs and, where they are used, colours stay; any
/// other character that a terminal obeys is written as an escape.
///
/// The last line of defence: who prints a foreign value makes it [`visible`]
/// first, because only there it is known not to have lines or colours.
fn harmless(text: &str, has_colors: bool) -> Cow<'_, str> {
    if !has_colors || !text.contains('\u{1b}') {
        return visible_lines(text);
    }
    let mut out = String::new();
    for (index, piece) in text.split('\u{1b}').enumerate() {
        let color = piece.strip_prefix('[').and_then(|rest| {
            let end = rest.find(|c: char| !(c.is_ascii_digit() || c == ';'))?;
            rest.get(end..)?.starts_with('m').then_some(())
        });
        match (index, color) {
            (0, _) => {}
            (_, Some(())) => out.push('\u{1b}'),
            (_, None) => out.push_str(&visible("\u{1b}")),
        }
        out.push_str(&visible_lines(piece));
    }
    Cow::Owned(out)
}

/// `COLUMNS`, else what the terminal says, else 80.
fn width() -> usize {
    if let Some(columns) = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok())
        .filter(|columns| (20..=1_000).contains(columns))
    {
        return columns;
    }
    rustix::termios::tcgetwinsize(io::stderr())
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns >= 20)
        .unwrap_or(WIDTH)
}

/// Rows with aligned columns, two spaces apart. Numbers go to the right.
pub(super) fn table(head: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    use unicode_width::UnicodeWidthStr;
    let mut widths: Vec<usize> = head.iter().map(|(title, _)| title.width()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let titles: Vec<String> = head.iter().map(|(title, _)| (*title).to_owned()).collect();
    let mut out = String::new();
    for row in std::iter::once(&titles).chain(rows) {
        let mut line = String::new();
        for ((cell, width), (_, align)) in row.iter().zip(&widths).zip(head) {
            let gap = " ".repeat(width.saturating_sub(cell.width()));
            match align {
                Align::Left => line.extend([cell.as_str(), &gap, "  "]),
                Align::Right => line.extend([&gap, cell.as_str(), "  "]),
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// On which side of its column a cell stands.
#[derive(Debug, Clone, Copy)]
pub(super) enum Align {
    Left,
    Right,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_told_lines_and_colours_only() {
        assert_eq!(harmless("a\tb\n", false), "a\tb\n");
        assert_eq!(harmless("\u{1b}[31mx", false), "\\u{1b}[31mx");
        assert_eq!(
            harmless("\u{1b}[1;31mx\u{1b}[0m\n", true),
            "\u{1b}[1;31mx\u{1b}[0m\n"
        );
        assert_eq!(
            harmless("\u{1b}[2J\u{1b}]0;t\u{7}\u{1b}", true),
            "\\u{1b}[2J\\u{1b}]0;t\\u{7}\\u{1b}"
        );
        let terminal = Terminal::new(Format::Human, Color::Always);
        assert_eq!(
            terminal.bold("a\u{1b}[2J\nb"),
            "\u{1b}[1ma\\u{1b}[2J\\u{a}b\u{1b}[0m"
        );
    }

    #[test]
    fn columns_are_aligned_by_what_is_seen() {
        let text = table(
            &[("name", Align::Left), ("n", Align::Right)],
            &[
                vec!["ä".into(), "1".into()],
                vec!["latency".into(), "1000".into()],
            ],
        );
        assert_eq!(text, "name        n\nä           1\nlatency  1000\n");
    }
}
