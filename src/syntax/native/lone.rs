//! One expression by itself: what stands in a value of the YAML form.

use pest::Parser as _;

use super::{Builder, Grammar, Rule};
use crate::diag::{Code, Diagnostic, FileId, Span};
use crate::syntax::ast::Expr;
use crate::syntax::scan;

/// Parses a text that is one expression. Places are offsets in `text`.
pub(in crate::syntax) fn parse_expression(
    file: FileId,
    text: &str,
) -> (Option<Expr>, Vec<Diagnostic>) {
    match scan::scan(file, text) {
        Ok(()) => {}
        Err(scan::Flaw::Unfit(found)) => return (None, found),
        Err(scan::Flaw::Unpaired(found)) => return (None, vec![*found]),
    }
    let mut builder = Builder {
        file,
        base: 0,
        text,
        diagnostics: Vec::new(),
    };
    let expr = match Grammar::parse(Rule::lone, text) {
        Ok(mut pairs) => pairs
            .next()
            .and_then(|lone| lone.into_inner().next())
            .and_then(|expression| builder.expression(expression)),
        Err(error) => {
            let found = builder.unexpected(&error);
            builder.diagnostics.push(in_a_value(found, text));
            None
        }
    };
    // What stands in place of a tree that is too deep means nothing.
    let too_deep = |found: &Diagnostic| found.code == Code::E0407;
    let expr = expr.filter(|_| !builder.diagnostics.iter().any(too_deep));
    (expr, builder.diagnostics)
}

/// A value is not a file, and holds no statements.
fn in_a_value(mut found: Diagnostic, text: &str) -> Diagnostic {
    found.message = found
        .message
        .replace("the end of the file", "the end of the value");
    let at = found
        .labels
        .first()
        .map_or(0, |label| label.span.start as usize);
    for label in &mut found.labels {
        label.text = label.text.replace("a statement", "the end of the value");
        // Nothing can be underlined behind the last character.
        if label.span.start as usize >= text.len() && !text.is_empty() {
            let last = text
                .trim_end()
                .char_indices()
                .next_back()
                .map_or(0, |(at, _)| at);
            label.span = Span::new(label.span.file, last, text.trim_end().len());
        }
    }
    if found.code == Code::E0101 && text.get(at..).is_some_and(|rest| rest.starts_with("->")) {
        found.help = Some("write the tier on a line of its own: `tier: NAME`".to_owned());
    }
    found
}
