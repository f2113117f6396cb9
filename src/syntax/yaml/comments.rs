//! Comments, from one form to the other.
//!
//! A comment is no part of the tree. It is carried over by its place: in front of
//! the statement that it stood in front of or in the middle of, or behind the one that
//! ended on its line.

use std::collections::VecDeque;
use std::fmt::Write as _;

use crate::diag::{FileId, Span};
use crate::syntax::ast::{Ast, Block, Definition, Expr, Kind, Place, Statement};
use crate::syntax::{Form, print};

/// A comment to carry over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Where it begins, in the text that the tree is of.
    pub at: u32,
    /// Where the text on its line in front of it ends; none when it has a line of
    /// its own.
    pub behind: Option<u32>,
    /// Whether an empty line stands above it.
    pub after_gap: bool,
    /// Whether an empty line stands below it.
    pub before_gap: bool,
    /// With its `#`.
    pub text: String,
}

/// Those of some comments that are not printed yet.
#[derive(Debug)]
pub(super) struct Pending {
    comments: VecDeque<Comment>,
    /// How much was printed when a comment was put behind something: a second one
    /// there would become a part of the first.
    behind_at: usize,
}

impl Pending {
    pub(super) fn new(comments: &[Comment]) -> Self {
        Self {
            comments: comments.iter().cloned().collect(),
            behind_at: 0,
        }
    }

    /// Prints what stands before an offset, each on a line of its own.
    pub(super) fn before(&mut self, at: u32, indent: usize, out: &mut String) {
        while self.comments.front().is_some_and(|comment| comment.at < at)
            && let Some(comment) = self.comments.pop_front()
        {
            let is_first = out.is_empty() || out.ends_with("\n\n") || out.ends_with(":\n");
            if comment.after_gap && !is_first {
                out.push('\n');
            }
            // Writing to a string does not fail.
            let _ = writeln!(out, "{}{}", " ".repeat(indent), comment.text);
            if comment.before_gap {
                out.push('\n');
            }
        }
    }

    /// Prints what stands before an offset, but for the comment right above it.
    pub(super) fn before_gap(&mut self, at: u32, out: &mut String) {
        let before = self.comments.iter().take_while(|comment| comment.at < at);
        let before: Vec<&Comment> = before.collect();
        if let Some(last) = before.iter().rfind(|comment| comment.before_gap) {
            self.before(last.at + 1, 0, out);
        }
    }

    /// Whether a comment stands in a piece of the text.
    pub(super) fn inside(&self, span: Span) -> bool {
        self.comments
            .iter()
            .any(|c| span.start < c.at && c.at < span.end)
    }

    /// Prints the comment behind what ends at an offset and was just printed,
    /// unless that is in a block scalar, which would take it in.
    pub(super) fn behind(&mut self, end: u32, out: &mut String) {
        let is_behind =
            |comment: &Comment| comment.behind.is_some_and(|at| at == end || at == end + 1);
        let line = out.trim_end_matches('\n').rsplit('\n').next().unwrap_or("");
        let is_in_scalar = line.ends_with(">-")
            || out
                .trim_end()
                .lines()
                .rev()
                .take(32)
                .any(|line| line.ends_with(">-"));
        if is_in_scalar || self.behind_at == out.len() {
            return;
        }
        let at = self.comments.iter().position(is_behind);
        if let Some(comment) = at.and_then(|at| self.comments.remove(at)) {
            out.truncate(out.trim_end_matches('\n').len());
            out.push_str("  ");
            out.push_str(&comment.text);
            out.push('\n');
            self.behind_at = out.len();
        }
    }
}

/// What stands before this offset goes in front of a statement: what is in the
/// middle of it too, where it has no inner lines.
pub(super) fn lead(statement: &Statement) -> u32 {
    match statement {
        Statement::Block(block) => block.place.0.start,
        Statement::Definition(definition)
            if matches!(definition.value.kind, Kind::Set(_) | Kind::List(_)) =>
        {
            definition.place.0.start
        }
        other => other.last().end,
    }
}

/// The comments of a text in either form, in the order of the text.
pub fn comments(form: Form, text: &str) -> Vec<Comment> {
    let found: Vec<(usize, String)> = match form {
        Form::Native => native(text)
            .into_iter()
            .map(|(start, end)| (start, text.get(start..end).unwrap_or("").to_owned()))
            .collect(),
        Form::Yaml => super::understood(FileId(0), text)
            .comments
            .into_iter()
            .map(|(span, text)| (span.start as usize, text))
            .collect(),
    };
    let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let comment = |(start, said): (usize, String)| {
        let before = text.get(..start).unwrap_or("");
        let line = before.rfind('\n').map_or(0, |at| at + 1);
        let kept = before.get(line..).unwrap_or("").trim_end();
        let above = before.get(..line).unwrap_or("").lines().next_back();
        let below = text.get(start..).unwrap_or("").lines().nth(1);
        let is_blank = |line: Option<&str>| line.is_some_and(|line| line.trim().is_empty());
        Comment {
            at: number(start),
            behind: (!kept.is_empty()).then(|| number(line + kept.len())),
            after_gap: kept.is_empty() && is_blank(above),
            before_gap: kept.is_empty() && is_blank(below),
            text: said,
        }
    };
    found.into_iter().map(comment).collect()
}

/// Where the comments of the block form are: behind a `#` that is in no text.
fn native(text: &str) -> Vec<(usize, usize)> {
    let mut out = Vec::new();
    let mut from = 0;
    for line in text.split_inclusive('\n') {
        let mut inside = false;
        let mut escaped = false;
        for (at, c) in line.char_indices() {
            match c {
                '"' if !escaped => inside = !inside,
                '#' if !inside => {
                    out.push((from + at, from + line.trim_end().len()));
                    break;
                }
                _ => {}
            }
            escaped = inside && c == '\\' && !escaped;
        }
        from += line.len();
    }
    out
}

/// The block form of a tree, with comments.
pub fn print_native(ast: &Ast, comments: &[Comment]) -> String {
    let mut printer = Native {
        out: String::new(),
        comments: Pending::new(comments),
    };
    let mut previous: Option<&Statement> = None;
    for statement in &ast.statements {
        let is_block = |s: &Statement| matches!(s, Statement::Block(_));
        if previous.is_some_and(|before| is_block(before) || is_block(statement)) {
            printer.out.push('\n');
        }
        printer.statement(statement, 0);
        previous = Some(statement);
    }
    printer.comments.before(u32::MAX, 0, &mut printer.out);
    printer.out
}

struct Native {
    out: String,
    comments: Pending,
}

impl Native {
    fn line(&mut self, depth: usize, text: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.out, "{}{text}", "  ".repeat(depth));
    }

    fn statement(&mut self, statement: &Statement, depth: usize) {
        self.comments
            .before(lead(statement), 2 * depth, &mut self.out);
        match statement {
            Statement::Block(block) if !block.statements.is_empty() => {
                let head = print::print(&alone(Statement::Block(Block {
                    statements: Vec::new(),
                    ..block.clone()
                })));
                self.line(depth, head.trim_end().trim_end_matches(" }"));
                for inner in &block.statements {
                    self.statement(inner, depth + 1);
                }
                self.line(depth, "}");
            }
            Statement::Definition(Definition {
                word, name, value, ..
            }) if self.comments.inside(value.span()) => {
                let head = format!("{} {} =", word.text, name.text);
                self.with_members(&head, value, depth);
            }
            other => {
                let text = print::print(&alone(other.clone()));
                self.line(depth, text.trim_end());
            }
        }
        self.comments.behind(statement.last().end, &mut self.out);
    }

    /// A set with comments between its members.
    fn with_members(&mut self, head: &str, value: &Expr, depth: usize) {
        let (Kind::Set(members) | Kind::List(members)) = &value.kind else {
            let value = print::print_expression(value);
            return self.line(depth, &format!("{head} {value}"));
        };
        let is_set = matches!(value.kind, Kind::Set(_));
        self.line(depth, &format!("{head} {}", if is_set { '{' } else { '[' }));
        for member in members {
            self.comments
                .before(member.span().start, 2 * depth + 2, &mut self.out);
            let text = print::print_expression(member);
            self.line(depth + 1, &format!("{text},"));
            self.comments.behind(member.span().end, &mut self.out);
        }
        self.line(depth, if is_set { "}" } else { "]" });
    }
}

fn alone(statement: Statement) -> Ast {
    Ast {
        place: Place(statement.span()),
        statements: vec![statement],
    }
}
