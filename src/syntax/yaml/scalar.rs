//! Which byte of a scalar's value came from where in the file.
//!
//! An expression in a scalar is parsed as the text that YAML makes of it, with
//! quotes and escapes resolved and lines folded; what is found in it is then
//! told in terms of the file. So the value is decoded here a second time, with
//! the places; should the outcome ever differ from what the YAML parser said,
//! the place of the whole scalar stands for each of its parts.

use super::node::Style;
use crate::diag::Span;
use crate::syntax::ast::{Expr, Kind};

/// From offsets in a value to places in the file.
#[derive(Debug)]
pub(super) struct Places {
    whole: Span,
    map: Map,
}

#[derive(Debug)]
enum Map {
    /// The value stands in the file as it is, from this offset on.
    Direct(u32),
    /// Start and end of each byte of the value.
    Bytes(Vec<(u32, u32)>),
    /// Not known.
    Whole,
}

impl Places {
    /// The places of `value`, which stands at `span` of `text`.
    pub(super) fn new(value: &str, style: Style, span: Span, text: &str) -> Self {
        let raw = span.of(text);
        let map = if raw == value {
            Map::Direct(span.start)
        } else {
            let indent = indentation(text, span.start as usize);
            let mut decoder = Decoder {
                base: span.start,
                value: String::new(),
                map: Vec::new(),
            };
            match style {
                Style::Plain => decoder.folded(raw, 0, Escapes::None),
                Style::Single => decoder.folded(inner(raw), 1, Escapes::Single),
                Style::Double => decoder.folded(inner(raw), 1, Escapes::Double),
                Style::Literal => decoder.block(raw, indent, false),
                Style::Folded => decoder.block(raw, indent, true),
            }
            decoder.finish(value)
        };
        Self { whole: span, map }
    }

    /// The place in the file of a place in the value.
    pub(super) fn of(&self, span: Span) -> Span {
        let mut out = self.whole;
        match &self.map {
            Map::Whole => {}
            Map::Direct(base) => {
                out.start = base.saturating_add(span.start);
                out.end = base.saturating_add(span.end);
            }
            Map::Bytes(bytes) => {
                let starts = bytes.get(span.start as usize).map(|(start, _)| *start);
                let before = |at: u32| {
                    let at = (at as usize).checked_sub(1)?;
                    bytes.get(at).map(|(_, end)| *end)
                };
                // Behind the last byte is the end of the value.
                let ends = bytes.last().map_or(out.end, |(_, end)| *end);
                out.start = starts.unwrap_or(ends);
                out.end = before(span.end).unwrap_or(out.start).max(out.start);
            }
        }
        out
    }

    /// Moves an expression into the file. Recursion follows the tree, whose
    /// depth the parser bounds.
    pub(super) fn settle(&self, expr: &mut Expr) {
        expr.place.0 = self.of(expr.place.0);
        match &mut expr.kind {
            Kind::Text(_) | Kind::Number { .. } | Kind::Truth(_) | Kind::Name(_) => {}
            Kind::Call(_, members)
            | Kind::Set(members)
            | Kind::List(members)
            | Kind::All(members)
            | Kind::Any(members) => members.iter_mut().for_each(|member| self.settle(member)),
            Kind::Group(inner) | Kind::Not(inner) | Kind::Negative(inner) => self.settle(inner),
            Kind::Binary(_, place, left, right) => {
                place.0 = self.of(place.0);
                self.settle(left);
                self.settle(right);
            }
        }
    }
}

/// The blanks in front of the offset on its line.
fn indentation(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or("");
    let line = before.rsplit('\n').next().unwrap_or("");
    line.len() - line.trim_end_matches(' ').len()
}

/// Without the quotes.
fn inner(raw: &str) -> &str {
    raw.get(1..raw.len().saturating_sub(1)).unwrap_or("")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escapes {
    None,
    Single,
    Double,
}

struct Decoder {
    base: u32,
    value: String,
    map: Vec<(u32, u32)>,
}

impl Decoder {
    /// Adds a character that stands at `from..to` of the raw text.
    fn push(&mut self, c: char, from: usize, to: usize) {
        let place = |at: usize| {
            self.base
                .saturating_add(u32::try_from(at).unwrap_or(u32::MAX))
        };
        let (start, end) = (place(from), place(to));
        self.value.push(c);
        // A character that stands for itself has a place for each byte, or half
        // of a character could be underlined.
        self.map
            .extend(std::iter::repeat_n((start, end), c.len_utf8()));
    }

    /// The value that was found, if it is the one that was expected.
    fn finish(mut self, value: &str) -> Map {
        // How many line breaks end a block scalar is said in its head.
        let end = self.map.last().map_or(self.base, |(_, end)| *end);
        while self.value.len() < value.len()
            && value
                .get(self.value.len()..)
                .is_some_and(|rest| rest.starts_with('\n'))
        {
            self.value.push('\n');
            self.map.push((end, end));
        }
        if self.value == value {
            Map::Bytes(self.map)
        } else {
            Map::Whole
        }
    }

    /// Plain and quoted scalars: a line break is a blank, an empty line is a
    /// line break, the blanks around are nothing. `shift` is where `raw` begins.
    fn folded(&mut self, raw: &str, shift: usize, escapes: Escapes) {
        let mut at = 0;
        while let Some(c) = raw.get(at..).and_then(|rest| rest.chars().next()) {
            let rest = raw.get(at..).unwrap_or("");
            if matches!(c, ' ' | '\t' | '\r' | '\n') {
                let blanks = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
                let run = rest.get(..blanks).unwrap_or("");
                self.blanks(run, shift + at);
                at += blanks;
                continue;
            }
            let (c, length) = match (escapes, c) {
                (Escapes::Single, '\'') => ('\'', 2),
                (Escapes::Double, '\\') => match escape(rest) {
                    Some((Some(c), length)) => (c, length),
                    Some((None, length)) => {
                        at += length;
                        continue;
                    }
                    // The value will differ, and the whole stand for its parts.
                    None => return,
                },
                (_, c) => (c, c.len_utf8()),
            };
            self.push(c, shift + at, shift + at + length);
            at += length;
        }
    }

    fn blanks(&mut self, run: &str, from: usize) {
        let breaks = run.matches('\n').count();
        match breaks {
            0 => {
                for (at, c) in run.char_indices() {
                    self.push(c, from + at, from + at + 1);
                }
            }
            1 => self.push(' ', from, from + run.len()),
            _ => (1..breaks).for_each(|_| self.push('\n', from, from + run.len())),
        }
    }

    /// Block scalars: without the indentation; folded ones also join lines.
    fn block(&mut self, raw: &str, indent: usize, fold: bool) {
        let mut from = 0;
        let mut previous: Option<(usize, bool)> = None;
        let mut empty = 0;
        for (index, line) in raw.split('\n').enumerate() {
            let strip = if index == 0 { 0 } else { indent };
            let blanks = line.len() - line.trim_start_matches(' ').len();
            let skip = strip.min(blanks);
            let body = line.get(skip..).unwrap_or("").trim_end_matches('\r');
            let start = from + skip;
            let gap = previous.map_or(from, |(end, _)| end);
            let is_more = body.starts_with([' ', '\t']);
            if body.is_empty() {
                empty += 1;
            } else {
                if let Some((_, was_more)) = previous {
                    if fold && !is_more && !was_more {
                        if empty == 0 {
                            self.push(' ', gap, start);
                        }
                        (0..empty).for_each(|_| self.push('\n', gap, start));
                    } else {
                        (0..=empty).for_each(|_| self.push('\n', gap, start));
                    }
                }
                empty = 0;
                for (at, c) in body.char_indices() {
                    self.push(c, start + at, start + at + c.len_utf8());
                }
                previous = Some((start + body.len(), is_more));
            }
            from += line.len() + 1;
        }
    }
}

/// The character that an escape in double quotes stands for, none for an escaped
/// line break, and how long it is.
fn escape(rest: &str) -> Option<(Option<char>, usize)> {
    let c = rest.chars().nth(1)?;
    let hex = |digits: usize| {
        let value = u32::from_str_radix(rest.get(2..2 + digits)?, 16).ok()?;
        Some((Some(char::from_u32(value)?), 2 + digits))
    };
    let plain = |c: char| Some((Some(c), 2));
    match c {
        '"' | '\\' | '/' | ' ' | '\t' => plain(c),
        '0' => plain('\0'),
        'a' => plain('\u{7}'),
        'b' => plain('\u{8}'),
        't' => plain('\t'),
        'n' => plain('\n'),
        'v' => plain('\u{b}'),
        'f' => plain('\u{c}'),
        'r' => plain('\r'),
        'e' => plain('\u{1b}'),
        'N' => plain('\u{85}'),
        '_' => plain('\u{a0}'),
        'L' => plain('\u{2028}'),
        'P' => plain('\u{2029}'),
        'x' => hex(2),
        'u' => hex(4),
        'U' => hex(8),
        '\n' => {
            let behind = rest.get(2..)?;
            let blanks = behind.len() - behind.trim_start_matches([' ', '\t']).len();
            Some((None, 2 + blanks))
        }
        _ => None,
    }
}
