//! A first look at the text, before the grammar: are the brackets in pairs, not
//! too deep, and do the texts end?
//!
//! It protects the parser, which descends once per bracket, and it says of a
//! forgotten bracket or quote where it was opened, not where its absence was
//! noticed. It also finds the statements that the parser can go on at after a
//! mistake.

use super::{Escapes, Form, MOST_NESTED};
use crate::diag::{Code, Diagnostic, FileId, Span};

/// What can be seen without knowing the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Open(u8),
    Close(u8),
    /// A text that does not end on its line.
    Unclosed,
    /// The first character of a line that is not blank.
    LineStart,
    /// The `#` of a comment, which goes to the end of its line.
    Comment,
}

/// Walks over the text, without comments and texts, and tells each mark with its
/// offset; stops when told `false`.
pub(super) fn walk(text: &str, mut tell: impl FnMut(usize, Mark) -> bool) {
    let bytes = text.as_bytes();
    let byte = |at: usize| bytes.get(at).copied();
    let to_end_of_line = |from: usize| {
        let rest = text.get(from..).unwrap_or("");
        rest.find('\n').map_or(text.len(), |found| from + found)
    };
    let mut at = 0;
    let mut fresh = true;
    while let Some(c) = byte(at) {
        if fresh && !c.is_ascii_whitespace() {
            fresh = false;
            if !tell(at, Mark::LineStart) {
                return;
            }
        }
        let mut next = at + 1;
        let go_on = match c {
            b'\n' => {
                fresh = true;
                true
            }
            b'#' => {
                next = to_end_of_line(at);
                tell(at, Mark::Comment)
            }
            // A comment of another language; the parser refuses it by name.
            b'/' if byte(at + 1) == Some(b'/') => {
                next = to_end_of_line(at);
                true
            }
            b'"' => {
                let mut end = at + 1;
                loop {
                    match byte(end) {
                        Some(b'\\') if !matches!(byte(end + 1), None | Some(b'\n')) => end += 2,
                        Some(b'"') => {
                            next = end + 1;
                            break true;
                        }
                        None | Some(b'\n') => {
                            next = end;
                            break tell(at, Mark::Unclosed);
                        }
                        Some(_) => end += 1,
                    }
                }
            }
            b'(' | b'[' | b'{' => tell(at, Mark::Open(c)),
            b')' | b']' | b'}' => tell(at, Mark::Close(c)),
            _ => true,
        };
        if !go_on {
            return;
        }
        at = next;
    }
}

/// What is wrong with the brackets and texts.
#[derive(Debug)]
pub(super) enum Flaw {
    /// The text must not be given to the grammar.
    Unfit(Vec<Diagnostic>),
    /// A bracket has no partner.
    Unpaired(Box<Diagnostic>),
}

/// Whether a character turns the direction of writing around.
pub(super) fn turns(c: char) -> bool {
    matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character does something other than be seen: what comes after it
/// may be shown on another line, over what stands before it, or not at all. A tab
/// and a line break are such characters too.
pub(super) fn commands(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Refuses characters that must not stand in a policy as they are: a NUL, which
/// ends names in the kernel; the marks that turn the direction of writing around,
/// and what starts a new line on a screen, but not here, or commands a terminal.
/// They make a text read as something else than it is: a rule behind a lone
/// carriage return would look like one, and be a part of the comment before it.
pub(super) fn hidden(file: FileId, text: &str, escapes: &Escapes<'_>) -> Vec<Diagnostic> {
    let bytes = text.as_bytes();
    let is_hidden = |(at, c): &(usize, char)| match c {
        '\t' | '\n' => false,
        '\r' => bytes.get(at + 1) != Some(&b'\n'),
        c => commands(*c) || turns(*c),
    };
    text.char_indices()
        .filter(is_hidden)
        .take(MOST_UNFIT)
        .map(|(at, c)| {
            let span = Span::new(file, at, at + c.len_utf8());
            let escape = c.escape_unicode();
            let in_a_text = || format!("in a text, write it as {}", escapes.of(at, c));
            match c {
                '\0' => Diagnostic::new(Code::E0101, "a NUL character in the policy")
                    .label(span, "a byte that is 0")
                    .help("delete it; no name in the kernel contains it"),
                '\r' => Diagnostic::new(Code::E0101, "a carriage return inside of a line")
                    .label(span, "no line ends here, though it may be shown so")
                    .help(format!("write a line break instead; {}", in_a_text())),
                c if turns(c) => Diagnostic::new(
                    Code::E0315,
                    format!("the character `{escape}` changes how the text around it is shown"),
                )
                .label(span, "turns the direction of writing")
                .help(format!("delete it; {}", in_a_text())),
                _ => Diagnostic::new(
                    Code::E0101,
                    format!("the control character `{escape}` in the policy"),
                )
                .label(span, "cannot be seen")
                .help(format!("delete it; {}", in_a_text())),
            }
        })
        .collect()
}

/// Diagnostics about texts that the grammar must not see.
const MOST_UNFIT: usize = 16;

/// Looks at brackets and texts.
pub(super) fn scan(file: FileId, text: &str) -> Result<(), Flaw> {
    let mut unfit = hidden(file, text, &Escapes::new(Form::Native, text));
    if !unfit.is_empty() {
        return Err(Flaw::Unfit(unfit));
    }
    let mut unpaired = None;
    let mut open: Vec<(usize, u8)> = Vec::new();
    let one = |at: usize| Span::new(file, at, at + 1);
    walk(text, |at, mark| {
        match mark {
            Mark::LineStart | Mark::Comment => {}
            Mark::Unclosed => {
                let line = text.get(at..).unwrap_or("").lines().next().unwrap_or("");
                let end = at + line.trim_end().len();
                unfit.push(
                    Diagnostic::new(Code::E0107, "a text without an end")
                        .label(Span::new(file, at, end), "no `\"` on this line")
                        .help("end the text with `\"`; write a line break in it as `\\n`"),
                );
            }
            Mark::Open(bracket) => {
                open.push((at, bracket));
                if open.len() > MOST_NESTED {
                    unfit.push(
                        Diagnostic::new(
                            Code::E0407,
                            format!("brackets are nested deeper than {MOST_NESTED}"),
                        )
                        .label(one(at), "one level too deep")
                        .help("divide the condition into several rules"),
                    );
                    return false;
                }
            }
            Mark::Close(bracket) => match open.pop() {
                Some((_, opened)) if closing(opened) == bracket => {}
                Some((from, opened)) if unpaired.is_none() => {
                    let (opened, due) = (char::from(opened), char::from(closing(opened)));
                    let bracket = char::from(bracket);
                    unpaired = Some(
                        Diagnostic::new(
                            Code::E0101,
                            format!("expected `{due}`, found `{bracket}`"),
                        )
                        .label(one(at), format!("expected `{due}`"))
                        .label(one(from), format!("to close this `{opened}`")),
                    );
                }
                None if unpaired.is_none() => {
                    let bracket = char::from(bracket);
                    unpaired = Some(
                        Diagnostic::new(Code::E0101, format!("`{bracket}` closes nothing"))
                            .label(one(at), "no bracket is open here")
                            .help("delete it, or look for one too many above"),
                    );
                }
                _ => {}
            },
        }
        unfit.len() < MOST_UNFIT
    });
    if unpaired.is_none()
        && let Some((at, bracket)) = open.pop()
    {
        let due = char::from(closing(bracket));
        let bracket = char::from(bracket);
        unpaired = Some(
            Diagnostic::new(Code::E0101, format!("`{bracket}` is never closed"))
                .label(one(at), format!("no `{due}` for this"))
                .help(format!("add the `{due}`")),
        );
    }
    if !unfit.is_empty() {
        return Err(Flaw::Unfit(unfit));
    }
    unpaired.map_or(Ok(()), |diagnostic| {
        Err(Flaw::Unpaired(Box::new(diagnostic)))
    })
}

fn closing(bracket: u8) -> u8 {
    match bracket {
        b'(' => b')',
        b'[' => b']',
        _ => b'}',
    }
}

/// Where the comments are, in the order of the text, without the blanks at their
/// ends.
pub(super) fn comments(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    walk(text, |at, mark| {
        if mark == Mark::Comment {
            let line = text.get(at..).unwrap_or("").lines().next().unwrap_or("");
            found.push(at..at + line.trim_end().len());
        }
        true
    });
    found
}

/// Words that only a statement at the top of a file starts with.
pub(super) const TOP: [&str; 14] = [
    "language", "policy", "include", "const", "set", "tier", "rules", "lottery", "model",
    "balance", "learn", "reward", "test", "override",
];

/// The offset, behind `after`, of the next statement at the top of the file. The
/// brackets must be in pairs.
pub(super) fn next_statement(text: &str, after: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut found = None;
    walk(text, |at, mark| {
        match mark {
            Mark::Open(_) => depth += 1,
            Mark::Close(_) => depth = depth.saturating_sub(1),
            Mark::LineStart if depth == 0 && at > after => {
                let rest = text.get(at..).unwrap_or("");
                let word: &str = rest
                    .split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
                    .next()
                    .unwrap_or("");
                if TOP.contains(&word) {
                    found = Some(at);
                }
            }
            _ => {}
        }
        found.is_none()
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> Vec<(Code, u32)> {
        let found = match scan(FileId(0), text) {
            Ok(()) => Vec::new(),
            Err(Flaw::Unfit(found)) => found,
            Err(Flaw::Unpaired(found)) => vec![*found],
        };
        let place = |d: &Diagnostic| (d.code, d.labels[0].span.start);
        found.iter().map(place).collect()
    }

    #[test]
    fn brackets_pair_up_outside_texts_and_comments() {
        assert_eq!(codes("{ [ ( \")\" ) ] } # }"), []);
        assert_eq!(codes("a { b"), [(Code::E0101, 2)]);
        assert_eq!(codes("a }"), [(Code::E0101, 2)]);
        assert_eq!(codes("{ ( }"), [(Code::E0101, 4)]);
        assert_eq!(codes("\"a\\\"b\""), []);
        assert_eq!(
            codes("x \"a\ny \"b\\"),
            [(Code::E0107, 2), (Code::E0107, 7)]
        );
    }

    #[test]
    fn hidden_characters_are_refused_wherever_they_stand() {
        assert_eq!(codes("a \"x\0\""), [(Code::E0101, 4)]);
        assert_eq!(codes("a # \0"), [(Code::E0101, 4)]);
        assert_eq!(codes("a # \u{202E}b"), [(Code::E0315, 4)]);
        assert_eq!(codes("\"\u{2066}\""), [(Code::E0315, 1)]);
        assert_eq!(codes(&"\0".repeat(100)).len(), MOST_UNFIT);
        assert_eq!(codes("# keep\rroot: x"), [(Code::E0101, 6)]);
        assert_eq!(codes("# a\r"), [(Code::E0101, 3)]);
        assert_eq!(codes("# a\r\r\n"), [(Code::E0101, 3)]);
        assert_eq!(codes("# a\tb\r\nc\r\n"), []);
        for c in [
            '\u{1B}', '\u{7}', '\u{C}', '\u{7F}', '\u{85}', '\u{2028}', '\u{2029}',
        ] {
            assert_eq!(codes(&format!("# {c}")), [(Code::E0101, 2)]);
            assert_eq!(codes(&format!("\"{c}\"")), [(Code::E0101, 1)]);
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |n: usize| format!("{}{}", "(".repeat(n), ")".repeat(n));
        assert_eq!(codes(&nested(64)), []);
        assert_eq!(codes(&nested(65)), [(Code::E0407, 64)]);
        assert_eq!(codes(&"[".repeat(5_000)), [(Code::E0407, 64)]);
    }

    #[test]
    fn statements_are_found_outside_brackets_only() {
        let text = "tier a {\nset\n}\nrules: x\nset b = {}\n";
        assert_eq!(next_statement(text, 0), Some(15));
        assert_eq!(next_statement(text, 15), Some(24));
        assert_eq!(next_statement(text, 24), None);
    }
}
