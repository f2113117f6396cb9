//! What can still be understood of a text that has mistakes in it.
//!
//! The grammar stops at the first mistake of a statement at the top. So that one
//! run shows the others too, each rule or field with a mistake is blanked out,
//! at the same length so that every place stays what it is, and the rest is
//! parsed again, a bounded number of times. The tree that comes of it lacks what
//! was blanked out: it is good for finding more mistakes, and for nothing else.

use std::ops::Range;

use super::ast::Ast;
use super::scan::{self, Mark};
use super::{MOST_NESTED, native};
use crate::diag::{Code, Diagnostic, FileId};

/// Times that a text is parsed again.
const MOST_PASSES: usize = 12;
/// Bytes that are parsed in all passes together.
const MOST_BYTES: usize = 256 << 10;
/// A text with so many mistakes is to be mended before more are looked for.
const MOST_MISTAKES: usize = 8;

/// What was understood, and what was found wrong on the way. Pure; never panics.
pub fn salvage(file: FileId, text: &str) -> (Option<Ast>, Vec<Diagnostic>) {
    let mut found: Vec<Diagnostic> = Vec::new();
    if scan::scan(file, text).is_err() {
        return (None, found);
    }
    let mut left = text.to_owned();
    let passes = MOST_BYTES.checked_div(text.len()).unwrap_or(0);
    for _ in 0..passes.min(MOST_PASSES) {
        let parsed = native::parse(file, &left);
        let mistakes: Vec<usize> = parsed
            .diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.code == Code::E0101)
            .filter_map(|diagnostic| diagnostic.labels.first())
            .map(|label| label.span.start as usize)
            .collect();
        for diagnostic in parsed.diagnostics {
            if !found.contains(&diagnostic) {
                found.push(diagnostic);
            }
        }
        if parsed.ast.is_some() {
            return (parsed.ast, found);
        }
        if mistakes.len() > MOST_MISTAKES {
            break;
        }
        let before = left.clone();
        for at in mistakes {
            left = blanked(&left, &statement_at(&left, at));
        }
        if left == before {
            break;
        }
    }
    (None, found)
}

/// The text with blanks instead of a piece, line breaks kept.
fn blanked(text: &str, piece: &Range<usize>) -> String {
    let blank = |(at, c): (usize, char)| {
        let inside = piece.contains(&at) && c != '\n';
        let (kept, blanks) = if inside {
            (None, c.len_utf8())
        } else {
            (Some(c), 0)
        };
        std::iter::repeat_n(' ', blanks).chain(kept)
    };
    text.char_indices().flat_map(blank).collect()
}

/// The statement around an offset: a rule or a field of a block, or else all
/// that stands in the block, or a whole statement at the top.
fn statement_at(text: &str, at: usize) -> Range<usize> {
    let mut open: Vec<usize> = Vec::with_capacity(MOST_NESTED);
    // The block around the offset, and the statement in it.
    let mut inner: Option<usize> = None;
    let mut start: Option<usize> = None;
    let mut top = 0;
    let mut end = None;
    scan::walk(text, |here, mark| {
        let behind = here > at;
        match mark {
            Mark::Open(_) => open.push(here),
            Mark::Close(_) => {
                open.pop();
                let closed = open.is_empty();
                if here >= at && closed && inner.is_some() {
                    end = Some(here);
                    return false;
                }
                if closed {
                    (inner, start) = (None, None);
                }
            }
            Mark::LineStart if begins_statement(text, here, open.len()) => {
                if behind && (open.is_empty() || (open.len() == 1 && start.is_some())) {
                    end = Some(here);
                    return false;
                }
                // What is wrong at the very start of a statement may be the end of
                // the one above.
                match open.len() {
                    0 => top = here,
                    1 if here == at && start.is_some() => {}
                    1 => start = Some(here),
                    _ => {}
                }
            }
            _ => {}
        }
        if !behind {
            inner = open.first().map(|open| open + 1);
        }
        true
    });
    let from = match (start, inner) {
        (Some(start), Some(_)) => start,
        (None, Some(inner)) => inner,
        _ => top,
    };
    let end = end.unwrap_or(text.len());
    let word = text.get(top..).unwrap_or("");
    let is_definition = ["set ", "const "].iter().any(|def| word.starts_with(def));
    // Where nothing is between them, the mistake is the bracket itself.
    if !is_definition
        && text
            .get(from..end)
            .is_some_and(|piece| !piece.trim().is_empty())
    {
        from..end
    } else {
        let bracket = usize::from(text.get(end..).is_some_and(|rest| rest.starts_with('}')));
        top..end.saturating_add(bracket)
    }
}

/// Whether a line begins a statement, and is not the rest of one.
fn begins_statement(text: &str, at: usize, depth: usize) -> bool {
    let line = text.get(at..).unwrap_or("").lines().next().unwrap_or("");
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let rest = line.trim_start_matches(is_part);
    let word = line.get(..line.len() - rest.len()).unwrap_or("");
    if depth == 0 {
        return scan::TOP.contains(&word);
    }
    let rest = rest.trim_start();
    let assigns = rest.starts_with(':') || (rest.starts_with('=') && !rest.starts_with("=="));
    matches!(
        word,
        "when" | "otherwise" | "use" | "expect" | "task" | "bounds"
    ) || (!word.is_empty() && assigns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::ast::Statement;

    fn of(text: &str) -> (Vec<(usize, usize)>, Vec<u32>) {
        let (ast, found) = salvage(FileId(0), text);
        let sizes = ast.map_or_else(Vec::new, |ast| {
            let size = |(index, statement): (usize, &Statement)| match statement {
                Statement::Block(block) => (index, block.statements.len()),
                _ => (index, 0),
            };
            ast.statements.iter().enumerate().map(size).collect()
        });
        let places = found.iter().map(|d| d.labels[0].span.start);
        (sizes, places.collect())
    }

    #[test]
    fn each_broken_rule_is_found_and_the_others_are_kept() {
        let text = "rules {\n  a: when x an y -> b\n  when x\n    or y -> b\n  c: whn z -> b\n  otherwise -> b\n}\ntier b { }\n";
        let (sizes, places) = of(text);
        assert_eq!(sizes, [(0, 2), (1, 0)]);
        let an = text.find("an y").unwrap();
        assert!(places.contains(&u32::try_from(an).unwrap()), "{places:?}");
        assert!(places.len() >= 2, "{places:?}");
    }

    #[test]
    fn one_line_blocks_and_tops_are_left_out_as_a_whole() {
        let (sizes, places) = of("tier a { slice 5 x }\ntier b { slice = 5 }\n");
        assert_eq!(sizes, [(0, 0), (1, 1)]);
        assert_eq!(places.len(), 1);
        let (sizes, _) = of("tier b { slice = 5 }\nset x = = { 1 }\nconst y = 3\n");
        assert_eq!(sizes.len(), 2);
        let (sizes, _) = of("set x = { 1 \"y\" }\nconst y = 3 4\ntier b { slice = 5 }\n");
        assert_eq!(sizes, [(0, 1)]);
    }

    #[test]
    fn places_stay_what_they_are() {
        let text = "é \"ü\"\nab";
        let piece = blanked(text, &(0..7));
        assert_eq!(piece.len(), text.len());
        assert_eq!(piece.trim_start(), "ab");
    }

    #[test]
    fn hopeless_texts_are_given_up() {
        for text in [
            "{",
            "}",
            "= = =",
            "a b c d e f g",
            "\"",
            "rules { ( }",
            "->",
            "rules {->}",
        ] {
            let (_, found) = salvage(FileId(0), text);
            assert!(found.len() < 64, "{text}");
        }
    }
}
