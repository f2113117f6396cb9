//! The one layout of a policy: text in, the same policy in the house style out.
//!
//! The tree decides what stands where; the author decides where a line ends, as
//! far as the style leaves it open. So a set that was written over several lines
//! stays over several lines, and a block on one line stays on one while it fits.
//! Blanks, indentation and alignment are the style's alone:
//!
//! - two columns for each level, at most [`WIDTH`] columns where words allow it;
//! - in a block of rules the labels, the conditions and the `->` stand below each
//!   other; neighbouring fields and definitions share the column of their `=`;
//!   neighbouring blocks on one line become a table;
//! - a condition that is too long goes on in front of `and` or `or`; a set that is
//!   too long has its members filled into lines, each followed by a comma;
//! - comments and single blank lines stay. A comment where no line can end, as
//!   behind `tier`, moves above its statement.
//!
//! Literals are copied as they were written: `5_000` is not `5000`, and `"\u{e9}"`
//! not `"é"`.
//!
//! [`fmt`] trusts nothing of this: it parses what it wrote and refuses to return a
//! text that says something else, or whose comments are others.

mod align;
mod lay;
mod lines;
mod rows;

use super::{Ast, parse, scan};
use crate::diag::{Code, Diagnostic, FileId};

/// The columns that a line may fill.
pub const WIDTH: usize = 100;

/// The text in the house style; what it says is unchanged. A text that is in the
/// style already is returned as it is.
///
/// # Errors
/// What is wrong with the text, if it does not parse. If the outcome would not be
/// the same policy with the same comments, which is a mistake of this module,
/// E0113.
pub fn fmt(file: FileId, text: &str) -> Result<String, Vec<Diagnostic>> {
    let parsed = parse(file, text);
    let Some(ast) = parsed
        .ast
        .filter(|_| parsed.diagnostics.iter().all(|d| !d.is_error()))
    else {
        return Err(parsed.diagnostics);
    };
    let out = lines::write(rows::file(&ast, text));
    verify(file, text, &ast, &out).map_err(|diagnostic| vec![*diagnostic])?;
    Ok(out)
}

/// Whether `out` says what `text` says, comments included.
fn verify(file: FileId, text: &str, ast: &Ast, out: &str) -> Result<(), Box<Diagnostic>> {
    let comments = |text: &str| -> Vec<String> {
        let places = scan::comments(text);
        let texts = places.into_iter().map(|at| text.get(at).unwrap_or(""));
        texts.map(str::to_owned).collect()
    };
    let again = parse(file, out);
    let lost = if again.ast.as_ref() != Some(ast) {
        "the policy"
    } else if comments(out) != comments(text) {
        "the comments"
    } else {
        return Ok(());
    };
    Err(Box::new(
        Diagnostic::new(
            Code::E0113,
            format!("formatting would change {lost}; nothing was written"),
        )
        .help("this is a mistake in edict; please report it with the policy"),
    ))
}

#[cfg(test)]
mod tests;
