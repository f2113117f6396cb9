//! The YAML form: YAML to the same tree that the block form has, and back.
//!
//! YAML is read as YAML (`node`), then as a policy: `sections` knows the keys at
//! the top, `rules` the lists below them, `value` what stands behind a key.
//! Expressions are parsed by the grammar of the block form. Each node of the tree
//! has its place in the YAML text (`scalar`), so that everything behind this stage
//! can point at it without knowing in which form it was written.
//!
//! YAML forgives much, and programs disagree about what it means. This reader
//! takes the narrow part that everybody reads alike and refuses the rest by name.

mod body;
mod comments;
mod fault;
mod keys;
mod node;
mod print;
mod print_rules;
mod respell;
mod rules;
mod scalar;
mod scalars;
mod sections;
mod value;

use super::ast::{Ast, Place};
use super::{Escapes, Form, Parsed, scan};
use crate::diag::{Code, Diagnostic, FileId, Severity, Span};
use node::{Content, Node};

pub use comments::{Comment, comments, print_native};
pub use keys::{TEXT_FIELDS, TOP};
pub use print::{Untranslatable, grouped, print};
pub use respell::respell;
pub use scalars::escape;

/// Diagnostics reported in one run.
const MOST_DIAGNOSTICS: usize = 64;

/// Turns YAML nodes into statements.
struct Lower<'a> {
    file: FileId,
    text: &'a str,
    /// Where the comments are.
    comments: Vec<Span>,
    /// Those of expressions, which are a part of the value to YAML.
    inner_comments: Vec<(Span, String)>,
    diagnostics: Vec<Diagnostic>,
    /// Whether the tree would lack something.
    broken: bool,
}

/// Parses the YAML form of one file. Pure; never panics.
pub(super) fn parse(file: FileId, text: &str) -> Parsed {
    let Understood {
        parsed, is_broken, ..
    } = understood(file, text);
    Parsed {
        ast: parsed.ast.filter(|_| !is_broken),
        diagnostics: parsed.diagnostics,
    }
}

/// What can be understood of a text with mistakes in it, as long as it is YAML:
/// a tree that lacks what is wrong. Good for finding more mistakes, and for
/// nothing else.
pub fn salvage(file: FileId, text: &str) -> Option<Ast> {
    understood(file, text).parsed.ast
}

/// Start and end of each scalar of a text, in its order, and whether it stands in
/// double quotes. The text may have characters that YAML does not; as much is
/// found as is YAML without them.
pub(super) fn scalars(text: &str) -> Vec<(usize, usize, bool)> {
    let stand_in = |c: char| match c {
        '\n' | '\t' => c.to_string(),
        c if scalars::is_hidden(c) => "x".repeat(c.len_utf8()),
        c => c.to_string(),
    };
    let text: String = text.chars().map(stand_in).collect();
    let mut found = Vec::new();
    if let Some(root) = node::read(FileId(0), &text).root {
        collect(&root, &mut found);
    }
    found.sort_unstable();
    found
}

/// Recursion follows the nodes, whose depth the reader bounds.
fn collect(node: &Node, found: &mut Vec<(usize, usize, bool)>) {
    match &node.content {
        Content::Empty | Content::Refused => {}
        Content::Scalar(_, style) => {
            let (start, end) = (node.span.start as usize, node.span.end as usize);
            found.push((start, end, *style == node::Style::Double));
        }
        Content::Sequence(items) => items.iter().for_each(|item| collect(item, found)),
        Content::Mapping(pairs) => pairs.iter().for_each(|(key, value)| {
            collect(key, found);
            collect(value, found);
        }),
    }
}

/// As much as is understood.
struct Understood {
    parsed: Parsed,
    /// Whether something is missing in the tree.
    is_broken: bool,
    /// The comments, those inside of expressions too, in the order of the text.
    comments: Vec<(Span, String)>,
}

fn understood(file: FileId, text: &str) -> Understood {
    let hidden = scan::hidden(file, text, &Escapes::new(Form::Yaml, text));
    if !hidden.is_empty() {
        let parsed = Parsed {
            ast: None,
            diagnostics: hidden,
        };
        return Understood {
            parsed,
            is_broken: true,
            comments: Vec::new(),
        };
    }
    let read = node::read(file, text);
    let mut lower = Lower {
        file,
        text,
        comments: read.comments,
        inner_comments: Vec::new(),
        diagnostics: read.diagnostics,
        broken: read.broken,
    };
    let mut statements = Vec::new();
    let is_mapping = |root: &Node| matches!(root.content, Content::Mapping(_));
    if !read.root.as_ref().is_some_and(is_mapping) && is_block_form(text) {
        lower.broken = true;
        lower.diagnostics = vec![block_form(file, text)];
    } else if let Some(root) = &read.root {
        lower.root(root, &mut statements);
    }
    let Lower {
        diagnostics,
        broken,
        comments,
        inner_comments,
        ..
    } = lower;
    let comments = comments
        .into_iter()
        .map(|span| (span, span.of(text).trim_end().to_owned()));
    let mut comments: Vec<(Span, String)> = comments.chain(inner_comments).collect();
    comments.sort_by_key(|(span, _)| span.start);
    let has_tree = read.root.is_some() || !broken;
    let parsed = Parsed {
        ast: has_tree.then(|| Ast {
            statements,
            place: Place(Span::new(file, 0, text.len())),
        }),
        diagnostics: bounded(diagnostics),
    };
    Understood {
        parsed,
        is_broken: broken,
        comments,
    }
}

/// In the order of the text, and not more than anybody reads.
fn bounded(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.sort_by_key(|diagnostic| diagnostic.labels.first().map(|label| label.span.start));
    if diagnostics.len() > MOST_DIAGNOSTICS {
        let more = diagnostics.len() - MOST_DIAGNOSTICS;
        diagnostics.truncate(MOST_DIAGNOSTICS);
        let code = diagnostics.last().map_or(Code::E0124, |last| last.code);
        diagnostics.push(
            Diagnostic::new(code, format!("{more} more diagnostics are not shown"))
                .severity(Severity::Note),
        );
    }
    diagnostics
}

/// The first line that says something.
fn first_line(text: &str) -> Option<(usize, &str)> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let said = line.trim_start_matches('\u{FEFF}').trim();
        if !said.is_empty() && !said.starts_with('#') {
            return Some((at + line.find(said).unwrap_or(0), said));
        }
        at += line.len();
    }
    None
}

/// Whether a text begins as the block form does.
fn is_block_form(text: &str) -> bool {
    first_line(text).is_some_and(|(_, line)| {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or("");
        scan::TOP.contains(&first)
            && words
                .next()
                .is_some_and(|second| !second.starts_with(['#', ':']))
    })
}

fn block_form(file: FileId, text: &str) -> Diagnostic {
    let (at, line) = first_line(text).unwrap_or((0, ""));
    Diagnostic::new(Code::E0127, "the block form in a file whose name says YAML")
        .label(Span::new(file, at, at + line.len()), "not YAML")
        .help("name the file `policy.edict`; `edict translate --to yaml` then makes YAML of it")
}

/// Whether a text that comes without a name is in the YAML form.
pub(super) fn looks_like_yaml(text: &str) -> bool {
    first_line(text).is_some_and(|(_, line)| {
        let word = line.split(':').next().unwrap_or("");
        line == "---"
            || (TOP.contains(&word)
                && line
                    .get(word.len() + 1..)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')))
    })
}

impl Lower<'_> {
    /// A complaint after which the tree lacks something.
    fn refuse(&mut self, diagnostic: Diagnostic) {
        self.broken = true;
        self.diagnostics.push(diagnostic);
    }

    /// `what` is of another shape than it should be.
    fn shape(&mut self, node: &Node, what: &str, due: &str) {
        if matches!(node.content, Content::Refused) {
            self.broken = true;
            return;
        }
        let found = node.content.phrase();
        if matches!(node.content, Content::Empty) {
            return self.refuse(
                Diagnostic::new(Code::E0129, format!("{what} has no value"))
                    .label(self.spot(node.span), format!("expected {due}"))
                    .help("write a value behind the `:`, or leave the key out"),
            );
        }
        let is_block = !node.span.of(self.text).starts_with(['[', '{']);
        let help = match &node.content {
            Content::Sequence(_) if due == "an expression" && is_block => {
                "write the conditions behind the key, with `and` or `or` between them"
            }
            Content::Mapping(_) | Content::Sequence(_) if due == "an expression" => {
                "an expression that begins with a bracket stands in single quotes: `'…'`"
            }
            _ if due == "a list" => "begin each item with `- `, below the key",
            _ if due == "a mapping" => "write keys below it, each with a `:` and a value",
            _ if due == "a value" => "write one value, or a list of values",
            _ => "see `edict help language`, \"The YAML form\"",
        };
        self.refuse(
            Diagnostic::new(Code::E0127, format!("{what} is {due}, not {found}"))
                .label(self.first(node.span), found)
                .help(help),
        );
    }

    /// A place of no width, made wide enough to be underlined.
    fn spot(&self, span: Span) -> Span {
        let at = span.start as usize;
        match self.text.get(..at).and_then(|t| t.chars().next_back()) {
            Some(before) if span.start == span.end && before != '\n' => {
                Span::new(self.file, at - before.len_utf8(), at)
            }
            _ => span,
        }
    }

    /// The first line of a place: a whole block is too much to underline.
    fn first(&self, span: Span) -> Span {
        let line = span.of(self.text).lines().next().unwrap_or("").trim_end();
        let start = span.start as usize;
        Span::new(self.file, start, start + line.len())
    }
}

#[cfg(test)]
mod tests;
