//! Lays out an expression: on the line if it fits and was not broken, else over
//! several.
//!
//! Lines end in front of `and` and `or`, and between the members of sets and
//! lists; nowhere else. Where the author ended one of these, it stays ended; where
//! a line would be too long, it is ended at the outermost place that helps. So the
//! outcome, laid out again, is the same.

use std::cell::Cell;
use std::ops::Range;

use super::super::ast::{Expr, Kind};
use super::super::print::between;
use super::super::scan;
use super::WIDTH;
use super::lines::{Line, width};

/// Up to this column an operand of several lines may begin behind others.
const LATE: usize = 60;

/// A comment, and what became of it.
#[derive(Debug)]
pub(super) struct Comment {
    pub(super) at: Range<usize>,
    /// It moves above its statement.
    pub(super) moved: Cell<bool>,
    /// A layout has written it.
    pub(super) taken: Cell<bool>,
}

/// The text that is laid out, and its comments.
#[derive(Debug)]
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
    pub(super) comments: Vec<Comment>,
}

/// What stands between two words where a line may end.
#[derive(Debug, Default)]
pub(super) struct Gap<'a> {
    pub(super) comments: Vec<Remark<'a>>,
    /// The author ended a line here.
    pub(super) has_break: bool,
    /// There is a blank line behind the last comment.
    pub(super) has_blank: bool,
}

/// A comment in a gap.
#[derive(Debug)]
pub(super) struct Remark<'a> {
    pub(super) text: &'a str,
    /// It follows something on its line.
    pub(super) is_behind: bool,
    /// There is a blank line above it.
    pub(super) has_blank: bool,
}

impl<'a> Source<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let comment = |at| Comment {
            at,
            moved: Cell::new(false),
            taken: Cell::new(false),
        };
        Self {
            text,
            comments: scan::comments(text).into_iter().map(comment).collect(),
        }
    }

    pub(super) fn slice(&self, from: usize, to: usize) -> &'a str {
        self.text.get(from..to).unwrap_or("")
    }

    /// The comments that begin between two offsets.
    pub(super) fn comments_in(&self, from: usize, to: usize) -> &[Comment] {
        let first = self.comments.partition_point(|c| c.at.start < from);
        let last = self.comments.partition_point(|c| c.at.start < to);
        self.comments.get(first..last).unwrap_or(&[])
    }

    /// What stands between two offsets. The comments in it count as written.
    pub(super) fn gap(&self, from: usize, to: usize) -> Gap<'a> {
        let mut gap = Gap::default();
        let mut at = from;
        for comment in self.comments_in(from, to) {
            let before = self.slice(at, comment.at.start);
            gap.has_break = true;
            if !comment.moved.get() {
                comment.taken.set(true);
                gap.comments.push(Remark {
                    text: self.slice(comment.at.start, comment.at.end),
                    is_behind: at == from && !before.contains('\n'),
                    has_blank: has_blank_line(before),
                });
            }
            at = comment.at.end;
        }
        let rest = self.slice(at, to);
        gap.has_break |= rest.contains('\n');
        gap.has_blank = has_blank_line(rest);
        gap
    }

    /// Whether the author wrote a set or list over several lines.
    fn is_open(&self, expr: &Expr, members: &[Expr]) -> bool {
        let (start, end) = ends(expr);
        let mut from = start + 1;
        for member in members {
            let (first, last) = ends(member);
            if self.is_broken(from, first) {
                return true;
            }
            from = last;
        }
        let rest = end.saturating_sub(1);
        match members {
            [] => self.comments_in(from, rest).iter().any(|c| !c.moved.get()),
            _ => self.is_broken(from, rest),
        }
    }

    fn is_broken(&self, from: usize, to: usize) -> bool {
        self.slice(from, to).contains('\n')
    }

    /// Writes an expression on one line. `false` if it has to take several; with
    /// `always` it never has to.
    pub(super) fn flat(&self, expr: &Expr, always: bool, out: &mut String) -> bool {
        match &expr.kind {
            Kind::Text(_) | Kind::Number { .. } | Kind::Truth(_) | Kind::Name(_) => {
                out.push_str(expr.span().of(self.text));
                true
            }
            Kind::Call(name, arguments) => {
                out.push_str(name);
                out.push('(');
                self.join(arguments, ", ", true, out);
                out.push(')');
                true
            }
            Kind::Set(members) | Kind::List(members) => {
                if !always && self.is_open(expr, members) {
                    return false;
                }
                let (open, close) = match (&expr.kind, members.is_empty()) {
                    (Kind::Set(_), true) => ("{ ", "}"),
                    (Kind::Set(_), false) => ("{ ", " }"),
                    _ => ("[", "]"),
                };
                out.push_str(open);
                let done = self.join(members, ", ", always, out);
                out.push_str(close);
                done
            }
            Kind::Group(inner) => {
                out.push('(');
                let done = self.flat(inner, always, out);
                out.push(')');
                done
            }
            Kind::Not(inner) => {
                out.push_str("not ");
                self.flat(inner, always, out)
            }
            Kind::Negative(inner) => {
                out.push('-');
                self.flat(inner, always, out)
            }
            Kind::All(members) => {
                (always || !self.is_chain_broken(members))
                    && self.join(members, " and ", always, out)
            }
            Kind::Any(members) => {
                (always || !self.is_chain_broken(members))
                    && self.join(members, " or ", always, out)
            }
            Kind::Binary(operator, _, left, right) => {
                self.flat(left, always, out) && {
                    out.push_str(&between(*operator, left, right));
                    self.flat(right, always, out)
                }
            }
        }
    }

    fn join(&self, members: &[Expr], between: &str, always: bool, out: &mut String) -> bool {
        members.iter().enumerate().all(|(index, member)| {
            if index > 0 {
                out.push_str(between);
            }
            self.flat(member, always, out)
        })
    }

    fn is_chain_broken(&self, members: &[Expr]) -> bool {
        members.windows(2).any(|pair| match pair {
            [one, next] => self.is_broken(ends(one).1, ends(next).0),
            _ => false,
        })
    }
}

/// Whether there is a line in a text, first and last left out, that is empty.
fn has_blank_line(text: &str) -> bool {
    let mut lines = text.split('\n').skip(1).peekable();
    while let Some(line) = lines.next() {
        if lines.peek().is_some() && line.trim().is_empty() {
            return true;
        }
    }
    false
}

/// Offsets of an expression.
pub(super) fn ends(expr: &Expr) -> (usize, usize) {
    let span = expr.span();
    (span.start as usize, span.end as usize)
}

/// Where lines begin that an expression is continued on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Margins {
    /// The bracket that closes a set or list.
    pub(super) close: usize,
    /// `and` and `or`.
    pub(super) word: usize,
}

/// Lines under way.
#[derive(Debug)]
pub(super) struct Layout<'s, 'a> {
    source: &'s Source<'a>,
    done: Vec<Line>,
    line: Line,
}

impl<'s, 'a> Layout<'s, 'a> {
    /// Begins with a line that has `start` already.
    pub(super) fn new(source: &'s Source<'a>, indent: usize, start: String) -> Self {
        Self {
            source,
            done: Vec::new(),
            line: Line::new(indent, start),
        }
    }

    pub(super) fn finish(mut self) -> Vec<Line> {
        self.done.push(self.line);
        self.done
    }

    pub(super) fn push(&mut self, text: &str) {
        self.line.text.push_str(text);
    }

    pub(super) fn column(&self) -> usize {
        self.line.end()
    }

    /// Goes to a new line.
    pub(super) fn turn(&mut self, indent: usize) {
        let text = self.line.text.trim_end().len();
        self.line.text.truncate(text);
        let done = std::mem::replace(&mut self.line, Line::new(indent, ""));
        self.done.push(done);
    }

    /// Writes the comments of a gap. Where there were any, the line must end.
    pub(super) fn comments(&mut self, gap: &Gap<'_>, indent: usize) -> bool {
        for remark in &gap.comments {
            if remark.is_behind && self.line.comment.is_none() {
                self.line.comment = Some(remark.text.to_owned());
                continue;
            }
            self.turn(indent);
            if remark.has_blank {
                self.done.push(Line::default());
            }
            self.line.comment = Some(remark.text.to_owned());
        }
        !gap.comments.is_empty()
    }

    /// Writes an expression, which is followed by `after` columns more.
    pub(super) fn expression(&mut self, expr: &Expr, margins: Margins, after: usize) {
        let mut flat = String::new();
        let is_flat = self.source.flat(expr, false, &mut flat);
        if is_flat && self.column() + width(&flat) + after <= WIDTH {
            self.push(&flat);
            return;
        }
        match &expr.kind {
            Kind::All(members) => self.chain(members, "and ", margins, after),
            Kind::Any(members) => self.chain(members, "or ", margins, after),
            Kind::Set(members) => self.members(expr, members, ("{", "}"), margins.close),
            Kind::List(members) => self.members(expr, members, ("[", "]"), margins.close),
            Kind::Group(inner) => {
                let word = margins.word + 2;
                self.push("(");
                self.expression(inner, Margins { word, ..margins }, after + 1);
                self.push(")");
            }
            Kind::Not(inner) => {
                self.push("not ");
                self.expression(inner, margins, after);
            }
            Kind::Negative(inner) => {
                self.push("-");
                self.expression(inner, margins, after);
            }
            Kind::Binary(operator, _, left, right) => {
                self.expression(left, margins, 0);
                self.push(&between(*operator, left, right));
                self.expression(right, margins, after);
            }
            Kind::Text(_)
            | Kind::Number { .. }
            | Kind::Truth(_)
            | Kind::Name(_)
            | Kind::Call(..) => self.push(&flat),
        }
    }

    fn chain(&mut self, members: &[Expr], word: &str, margins: Margins, after: usize) {
        let mut from = None;
        for (index, member) in members.iter().enumerate() {
            let is_last = index + 1 == members.len();
            let after = if is_last { after } else { 0 };
            let (start, end) = ends(member);
            if let Some(from) = from {
                let gap = self.source.gap(from, start);
                let has_comments = self.comments(&gap, margins.word);
                let mut flat = String::new();
                let fits = if self.source.flat(member, false, &mut flat) {
                    self.column() + 1 + word.len() + width(&flat) + after <= WIDTH
                } else {
                    self.column() <= LATE
                };
                if has_comments || gap.has_break || !fits {
                    self.turn(margins.word);
                } else {
                    self.push(" ");
                }
                self.push(word);
            }
            self.expression(member, margins, after);
            from = Some(end);
        }
    }

    /// A set or list over several lines.
    fn members(&mut self, expr: &Expr, members: &[Expr], brackets: (&str, &str), indent: usize) {
        let inner = indent + 2;
        let (start, end) = ends(expr);
        let mut from = start + 1;
        self.push(brackets.0);
        for (index, member) in members.iter().enumerate() {
            let (first, last) = ends(member);
            let gap = self.source.gap(from, first);
            let has_comments = self.comments(&gap, inner);
            let mut flat = String::new();
            let fits = self.source.flat(member, false, &mut flat)
                && self.column() + " ,".len() + width(&flat) <= WIDTH;
            if index == 0 || has_comments || gap.has_break || !fits {
                self.turn(inner);
                if gap.has_blank && (index > 0 || has_comments) {
                    self.done.push(Line::default());
                }
            } else {
                self.push(" ");
            }
            let margins = Margins {
                close: inner,
                word: inner + 2,
            };
            self.expression(member, margins, 1);
            self.push(",");
            from = last;
        }
        let gap = self.source.gap(from, end.saturating_sub(1));
        self.comments(&gap, inner);
        self.turn(indent);
        self.push(brackets.1);
    }
}
