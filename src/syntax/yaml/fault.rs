//! Says in words, and with a cure, where the text stopped being YAML.

use granit_parser::ErrorKind;

use super::super::MOST_NESTED;
use crate::diag::{Code, Diagnostic, FileId, Span, shown};

const QUOTE_IT: &str = "put the whole value into single quotes: `'…'`";

/// What the parser found at the offset `at`.
pub(super) fn describe(file: FileId, text: &str, at: usize, kind: &ErrorKind) -> Diagnostic {
    let at = at.min(text.len());
    let rest = text.get(at..).unwrap_or("");
    let width = rest.chars().next().map_or(0, |c| match c {
        '\n' | '\r' => 0,
        c => c.len_utf8(),
    });
    let span = Span::new(file, at, at + width);
    let say = |message: &str, label: &str, help: &str| {
        Diagnostic::new(Code::E0124, message)
            .label(span, label)
            .help(help)
    };
    match kind {
        ErrorKind::RecursionLimitExceeded => Diagnostic::new(
            Code::E0407,
            format!("lists and mappings are nested deeper than {MOST_NESTED}"),
        )
        .label(span, "one level too deep")
        .help("a policy is at most a few levels deep"),
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => tab(file, text, at),
        ErrorKind::CommentInterceptedScalar => Diagnostic::new(
            Code::E0128,
            "a comment in the middle of a value that goes on behind it",
        )
        .label(span, "the value ended above, at the comment")
        .help("delete the comment, or write the expression below `|`, which keeps lines"),
        _ if begins_with_tab(text, at) => tab(file, text, at),
        ErrorKind::DirectiveDisallowed => say(
            "a YAML directive",
            "a policy has none",
            "delete the line; the version of the language is said by `language: 1`",
        ),
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => say(
            "a `:` inside of a value",
            "begins another value",
            &format!(
                "if it belongs to the value above or before it, {QUOTE_IT}; \
                 if it belongs to a key, the line is indented wrongly"
            ),
        ),
        ErrorKind::InvalidTrailingSingleQuotedScalar
        | ErrorKind::InvalidTrailingDoubleQuotedScalar => say(
            "more text behind a closing quote",
            "the value ended before this",
            "put the whole value into single quotes: `'\"a\" == \"b\"'`",
        ),
        ErrorKind::UnexpectedCharacter { character } => say(
            &format!(
                "`{}` at the start of a value",
                shown(&character.to_string())
            ),
            "reserved in YAML",
            QUOTE_IT,
        ),
        ErrorKind::UnclosedQuotedScalar
        | ErrorKind::InvalidQuotedScalarIndent
        | ErrorKind::DocumentIndicatorInQuotedScalar => {
            unclosed(file, text, at).unwrap_or_else(|| {
                say(
                    "a text without an end",
                    "still inside of the text here",
                    "end the text with the quote that it began with",
                )
            })
        }
        ErrorKind::UnknownQuotedScalarEscape
        | ErrorKind::InvalidQuotedScalarHexEscape
        | ErrorKind::InvalidUnicodeEscape => say(
            "an unknown escape in double quotes",
            "",
            "write a `\\` as `\\\\`, or use single quotes, which have no escapes",
        ),
        ErrorKind::UnclosedFlowCollection { open }
        | ErrorKind::MismatchedFlowCollectionEnd { open, .. } => {
            let close = if *open == '[' { ']' } else { '}' };
            say(
                &format!("`{open}` is not closed"),
                &format!("expected `{close}` before this"),
                &format!("add the `{close}`"),
            )
        }
        ErrorKind::MisplacedFlowCollectionEnd => say(
            "a bracket that closes nothing",
            "no bracket is open here",
            "delete it, or put the value into single quotes",
        ),
        ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::ExpectedFlowSequenceSeparator
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping => say(
            "a list or mapping in brackets goes on in a way that it cannot",
            "expected `,` or the closing bracket",
            "put values with blanks or brackets in them into single quotes",
        ),
        ErrorKind::BlockSequenceEntryNotAllowed | ErrorKind::BlockEntryInFlowCollection => say(
            "a list item where none can stand",
            "not here",
            "begin each `- ` on a line of its own, below its key",
        ),
        ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::InvalidIndentation
        | ErrorKind::SimpleKeyExpected
        | ErrorKind::InvalidSimpleKey
        | ErrorKind::ExpectedNodeContent => say(
            "the indentation, or a missing `:`, leaves this line without a place",
            "expected a key and a `:`, indented like its neighbours",
            "indent the keys of one mapping alike, and end each with `:`",
        ),
        other => say(
            &format!("not YAML: {}", tidy(&other.to_string())),
            "",
            "see `edict help language`, \"The YAML form\"",
        ),
    }
}

/// Whether a mistake below the line of an open bracket is that it is not closed.
pub(super) fn may_be_unclosed(text: &str, open: Span, at: usize, kind: &ErrorKind) -> bool {
    let between = text.get(open.start as usize..at).unwrap_or("");
    between.contains('\n')
        && !matches!(
            kind,
            ErrorKind::MisplacedFlowCollectionEnd
                | ErrorKind::RecursionLimitExceeded
                | ErrorKind::UnclosedQuotedScalar
                | ErrorKind::InvalidQuotedScalarIndent
                | ErrorKind::UnknownQuotedScalarEscape
        )
}

/// `[` or `{` without its partner.
pub(super) fn unclosed_bracket(text: &str, open: Span) -> Diagnostic {
    let bracket = open.of(text);
    let close = if bracket == "[" { ']' } else { '}' };
    Diagnostic::new(Code::E0124, format!("`{bracket}` is never closed"))
        .label(open, format!("no `{close}` for this"))
        .help(format!(
            "add the `{close}`; a value that begins with a bracket stands in single quotes"
        ))
}

/// The library's words, fit for one of our sentences.
fn tidy(message: &str) -> String {
    message.replace('`', "'").trim_end_matches('.').to_owned()
}

/// Whether the line of `at` is indented by a tab.
fn begins_with_tab(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or("");
    let line = before.rsplit('\n').next().unwrap_or("");
    line.trim_start_matches([' ', '\t']).is_empty() && line.contains('\t')
}

fn tab(file: FileId, text: &str, at: usize) -> Diagnostic {
    let start = text
        .get(..at)
        .unwrap_or("")
        .rfind('\n')
        .map_or(0, |n| n + 1);
    let behind = text.get(start..).unwrap_or("").find('\t');
    let from = behind.map_or(at, |tab| start + tab);
    let span = Span::new(file, from, if behind.is_some() { from + 1 } else { from });
    Diagnostic::new(Code::E0124, "a tab in the indentation")
        .label(span, "YAML indents by blanks only")
        .help("replace the tab by blanks")
}

/// Where the text that does not end was begun: the last line above `at` that has
/// an odd number of some quote.
fn unclosed(file: FileId, text: &str, at: usize) -> Option<Diagnostic> {
    let before = text.get(..at)?;
    let mut end = before.len();
    for line in before.rsplit('\n') {
        let start = end - line.len();
        if let Some(quote) = ['"', '\'']
            .into_iter()
            .find(|q| line.matches(*q).count() % 2 == 1)
        {
            let from = start + line.rfind(quote)?;
            let to = start + line.trim_end().len();
            return Some(
                Diagnostic::new(Code::E0124, "a text without an end")
                    .label(
                        Span::new(file, from, to.max(from + 1)),
                        format!("no closing `{quote}` for this"),
                    )
                    .help("end the text with the quote that it began with"),
            );
        }
        end = start.checked_sub(1)?;
    }
    None
}
