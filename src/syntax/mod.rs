//! Stage 2: from text to a tree.
//!
//! [`parse`] turns one file into an [`Ast`] that says exactly what the text says,
//! each node with its place, or into diagnostics. It knows shapes only: what a
//! block is called and which fields it has is the next stage's business, so a
//! misspelt field is not a syntax error.
//!
//! The text is hostile until shown otherwise. Brackets are counted before the
//! grammar runs, so no nesting can exhaust the stack; chains become flat lists,
//! so no length can either; after a mistake the parser goes on at the next
//! statement, a bounded number of times.
//!
//! Spellings of other languages (`&&`, `5 ms`, `'text'`) are understood well
//! enough to be refused with the right spelling.

pub mod ast;
mod escapes;
mod expr;
pub mod fmt;
mod guess;
mod native;
pub mod print;
mod salvage;
mod scan;
pub mod yaml;

use crate::diag::{Code, Diagnostic, FileId};
use crate::source::Include;

pub use ast::Ast;
pub use escapes::Escapes;
/// The words that cannot be names.
pub use native::RESERVED;
pub use salvage::salvage;

/// How deep brackets and operators may be nested.
pub const MOST_NESTED: usize = 64;

/// The outcome of [`parse`].
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The tree; none when the text has no shape. It may come together with
    /// errors, when what was meant was clear.
    pub ast: Option<Ast>,
    /// What is wrong, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// The forms in which a policy can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Blocks in braces.
    Native,
    /// YAML.
    Yaml,
}

impl Form {
    /// The form of the file `name`: YAML when the name ends in `.yaml` or `.yml`.
    /// A text that has no name of its own (`<stdin>`) is judged by how it begins.
    pub fn of(name: &str, text: &str) -> Self {
        let is_yaml = match name.rsplit_once('.') {
            Some((_, extension)) => matches!(extension, "yaml" | "yml"),
            None => name.starts_with('<') && yaml::looks_like_yaml(text),
        };
        if is_yaml { Self::Yaml } else { Self::Native }
    }
}

/// Parses one file in the form that its name says. Pure; never panics.
pub fn parse_named(file: FileId, name: &str, text: &str) -> Parsed {
    parse_as(Form::of(name, text), file, text)
}

/// Parses one file in a form. Pure; never panics.
pub fn parse_as(form: Form, file: FileId, text: &str) -> Parsed {
    match form {
        Form::Native => parse(file, text),
        Form::Yaml => yaml::parse(file, text),
    }
}

/// Parses the block form of one file. Pure; never panics.
pub fn parse(file: FileId, text: &str) -> Parsed {
    let mut parsed = parse_block_form(file, text);
    let is_broken = parsed.diagnostics.iter().any(Diagnostic::is_error);
    if let Some(yaml) = is_broken.then(|| guess::yaml(file, text)).flatten() {
        return Parsed {
            ast: None,
            diagnostics: vec![yaml],
        };
    }
    parsed.diagnostics.extend(guess::includes(file, text));
    parsed
}

fn parse_block_form(file: FileId, text: &str) -> Parsed {
    let refused = |diagnostics| Parsed {
        ast: None,
        diagnostics,
    };
    match scan::scan(file, text) {
        Ok(()) => native::parse(file, text),
        Err(scan::Flaw::Unfit(diagnostics)) => refused(diagnostics),
        Err(scan::Flaw::Unpaired(diagnostic)) => {
            // What is wrong above a bracket may be why it has no partner.
            let place = |diagnostic: &Diagnostic| diagnostic.labels.first().map(|l| l.span.start);
            let mut found = native::parse(file, text).diagnostics;
            // Brackets in a comment or text of another language are not meant.
            let foreign = |other: &Diagnostic| {
                matches!(other.code, Code::E0106 | Code::E0112)
                    && other.labels.first().is_some_and(|outer| {
                        let mut labels = diagnostic.labels.iter();
                        labels.any(|inner| {
                            outer.span.start <= inner.span.start && inner.span.end <= outer.span.end
                        })
                    })
            };
            if found.iter().any(foreign) {
                return refused(found);
            }
            found.retain(|other| place(other) < place(&diagnostic));
            match found.iter_mut().find(|other| other.code == Code::E0101) {
                Some(first) => opened(first, &diagnostic, text),
                None => found.push(*diagnostic),
            }
            refused(found)
        }
    }
}

/// Adds where the bracket was opened that may be the reason for what follows it.
fn opened(unexpected: &mut Diagnostic, unpaired: &Diagnostic, text: &str) {
    let Some(open) = unpaired.labels.last().map(|label| label.span) else {
        return;
    };
    let close = match text.get(open.start as usize..open.end as usize) {
        Some("(") => ')',
        Some("[") => ']',
        _ => return,
    };
    let follows = unexpected
        .labels
        .first()
        .is_some_and(|label| open.start < label.span.start);
    if follows {
        let mut more = unexpected.clone().label(open, "this is not closed");
        if more.help.is_none() {
            more = more.help(format!("add the `{close}`"));
        }
        *unexpected = more;
    }
}

/// The files that a tree includes, in the order of the text.
pub fn includes(ast: &Ast) -> Vec<Include> {
    let directives = ast
        .statements
        .iter()
        .filter_map(|statement| match statement {
            ast::Statement::Directive(directive) if directive.word.text == "include" => {
                Some(directive)
            }
            _ => None,
        });
    directives
        .filter_map(|directive| match &directive.value.kind {
            ast::Kind::Text(path) => Some(Include {
                path: path.clone(),
                span: directive.value.span(),
            }),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests;
