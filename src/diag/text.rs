//! Lines, columns, and text made fit to print.

use std::borrow::Cow;
use std::fmt::Write as _;

/// A place as people count: from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The character in the line.
    pub column: u32,
}

/// The lines of one text, found once.
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    /// Finds the lines of `text`.
    pub fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Self { text, starts }
    }

    /// The line, counted from 0, that holds the byte at `offset`.
    pub fn index(&self, offset: usize) -> usize {
        self.starts
            .partition_point(|start| *start <= offset)
            .saturating_sub(1)
    }

    /// Offsets of the first byte of a line and of the byte behind its last one,
    /// the line end left out.
    pub fn bounds(&self, index: usize) -> (usize, usize) {
        let start = self.starts.get(index).copied().unwrap_or(self.text.len());
        let end = match self.starts.get(index + 1) {
            Some(next) => next - 1,
            None => self.text.len(),
        };
        let line = self.text.get(start..end).unwrap_or("");
        (start, start + line.trim_end_matches('\r').len())
    }

    /// Line and column of the byte at `offset`; the end of the text for an
    /// offset behind it.
    pub fn position(&self, offset: usize) -> Position {
        let offset = floor(self.text, offset);
        let index = self.index(offset);
        let start = self.starts.get(index).copied().unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or("");
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Position {
            line: clamp(index + 1),
            column: clamp(before.chars().count() + 1),
        }
    }
}

/// The nearest offset, not above `offset`, at which a character begins.
pub(super) fn floor(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// Longest piece of the user's text that a message repeats, in characters.
const SHOWN: usize = 48;

/// The user's text made fit to stand in a message: shortened in the middle,
/// control and invisible characters written as escapes.
pub fn shown(text: &str) -> Cow<'_, str> {
    if text.len() <= SHOWN && !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let count = text.chars().count();
    let mut out = String::new();
    let mut put = |c: char| {
        if is_hidden(c) {
            let _ = write!(out, "{}", c.escape_unicode());
        } else {
            out.push(c);
        }
    };
    if count <= SHOWN {
        text.chars().for_each(&mut put);
    } else {
        text.chars().take(SHOWN / 2).for_each(&mut put);
        put('…');
        text.chars().skip(count - SHOWN / 2 + 1).for_each(&mut put);
    }
    Cow::Owned(out)
}

/// Foreign text made fit to stand in a line: whole, control and invisible
/// characters written as escapes.
pub fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// Foreign text of several lines, which may stay lines; what [`visible`] escapes
/// else is escaped.
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| matches!(c, '\n' | '\t'))
}

fn escaped(text: &str, is_kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_bad = |c| is_hidden(c) && !is_kept(c);
    if !text.chars().any(is_bad) {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    for c in text.chars() {
        if is_bad(c) {
            let _ = write!(out, "{}", c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Whether a character does something to a terminal other than be seen: control
/// characters, the marks that turn the direction of writing around, and blanks
/// that look like others.
pub(super) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
        || (c != ' ' && c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_and_survive_any_offset() {
        let lines = Lines::new("a\nβγ\r\n");
        let at = |offset| {
            let Position { line, column } = lines.position(offset);
            (line, column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(1), (1, 2));
        assert_eq!(at(2), (2, 1));
        assert_eq!(at(3), (2, 1), "inside a character");
        assert_eq!(at(4), (2, 2));
        assert_eq!(at(8), (3, 1));
        assert_eq!(at(900), (3, 1));
        assert_eq!(lines.bounds(1), (2, 6));
        assert_eq!(Lines::new("").position(0), Position { line: 1, column: 1 });
    }

    #[test]
    fn long_and_hidden_text_is_made_harmless() {
        assert_eq!(shown("nginx"), "nginx");
        assert_eq!(shown("a\u{1b}[31m"), "a\\u{1b}[31m");
        assert_eq!(shown("a\u{a0}b c\u{3000}"), "a\\u{a0}b c\\u{3000}");
        let long = shown(&"é".repeat(400)).into_owned();
        assert_eq!(long.chars().count(), SHOWN);
        assert!(long.contains('…'));
    }

    #[test]
    fn foreign_text_is_escaped_and_never_shortened() {
        assert_eq!(visible("nginx: é"), "nginx: é");
        assert_eq!(
            visible("a\u{1b}[2J\nb\u{202e}"),
            "a\\u{1b}[2J\\u{a}b\\u{202e}"
        );
        assert_eq!(visible_lines("a\u{9b}\n\tb"), "a\\u{9b}\n\tb");
        let long = "x".repeat(400);
        assert_eq!(visible(&long), long);
    }
}
