//! Cures in the spelling of the YAML form.
//!
//! The checker says how things are written in the block form. For a YAML file the
//! same cure is spelled differently: "write `slice: 5ms`", not "write `slice =
//! 5ms`".

use super::print;
use crate::diag::{FileId, Span};
use crate::syntax::ast::{Ast, Block, Name, Place, Statement};
use crate::syntax::native;

/// A help text with each piece in backticks that is a statement of the block form
/// spelled as YAML.
pub fn respell(help: &str) -> String {
    let mut out = String::with_capacity(help.len());
    for (index, piece) in help.split('`').enumerate() {
        if index > 0 {
            out.push('`');
        }
        let spelled = if index % 2 == 1 {
            statement(piece)
        } else {
            None
        };
        out.push_str(spelled.as_deref().unwrap_or(piece));
    }
    out
}

/// Stands for an ellipsis while a cure is parsed.
const BLANK: &str = "X__X";

/// One statement as YAML on one line.
fn statement(text: &str) -> Option<String> {
    // What stands for something else is no word of the language, but its shape is.
    let whole = text.replace('…', BLANK);
    let parsed = native::parse(FileId(0), &whole);
    if !parsed.diagnostics.is_empty() {
        return None;
    }
    let statements = parsed.ast?.statements;
    let [one] = statements.as_slice() else {
        return None;
    };
    let inner = |word: &str| {
        let place = Place(Span::default());
        Statement::Block(Block {
            word: Name {
                text: word.to_owned(),
                place,
            },
            titles: Vec::new(),
            statements: vec![one.clone()],
            place,
        })
    };
    let (holder, skip) = match one {
        Statement::Field(_) => (inner("lottery"), "lottery:\n  "),
        Statement::Rule(_) | Statement::Use(_) => (inner("rules"), "rules:\n  "),
        Statement::Directive(_) => (one.clone(), ""),
        Statement::Definition(_) => (one.clone(), ""),
        _ => return None,
    };
    let ast = Ast {
        statements: vec![holder],
        place: Place(Span::default()),
    };
    let yaml = print(&ast, &[]).ok()?;
    let yaml = yaml.strip_prefix(skip)?.trim_end();
    let lines: Vec<&str> = yaml.lines().map(str::trim).collect();
    match lines.as_slice() {
        [one] => Some(one.replace(BLANK, "…")),
        [first, second] if first.ends_with(':') => {
            Some(format!("{first} {{ {second} }}").replace(BLANK, "…"))
        }
        _ => None,
    }
}
