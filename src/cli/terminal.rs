//! Where output goes, and how it may look there.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::{Color, Format};

/// Standard output and standard error.
pub(super) struct Terminal {
    format: Format,
    color_results: bool,
    color_errors: bool,
    width: usize,
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

    /// A result. A reader that has gone away has had enough.
    pub(super) fn print(&self, text: &str) {
        let mut out = io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// A result for programs: one document.
    pub(super) fn json(&self, value: &impl Serialize) {
        // Only maps with keys that are no strings could fail.
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        self.print(&format!("{text}\n"));
    }

    /// A complaint.
    pub(super) fn complain(&self, text: &str) {
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
        match self.color_results {
            true => format!("\u{1b}[{style}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
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
    #[cfg_attr(
        not(any(feature = "live", test)),
        expect(dead_code, reason = "only what an agent tells has numbers")
    )]
    Right,
}

#[cfg(test)]
mod tests {
    use super::*;

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
