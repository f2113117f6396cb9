//! Values as YAML text: without quotes where that is safe, and with them else.

use super::value::{is_ambiguous, is_plain_text};
use crate::syntax::ast::{Expr, Kind, Operator};
use crate::syntax::print::print_expression;
use crate::syntax::scan::{commands, turns};

/// Columns that a line should not exceed.
pub(super) const WIDTH: usize = 100;

/// A text in double quotes.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_hidden(c) => out.push_str(&escape(c)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A character as an escape in double quotes.
pub fn escape(c: char) -> String {
    let number = u32::from(c);
    match number {
        0..=0xFF => format!("\\x{number:02x}"),
        0x100..=0xFFFF => format!("\\u{number:04x}"),
        _ => format!("\\U{number:08x}"),
    }
}

/// What some program would not show, or would take for the end of a line, and
/// what YAML does not take as it is.
pub(super) fn is_hidden(c: char) -> bool {
    commands(c) || turns(c) || matches!(c, '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}')
}

/// A word as a key or a name.
pub(super) fn word(text: &str) -> String {
    if is_ambiguous(text) {
        quoted(text)
    } else {
        text.to_owned()
    }
}

/// A sentence, where any scalar is a text.
pub(super) fn sentence(text: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || " -_/.,+()=%".contains(c);
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !text.ends_with(' ')
        && text.chars().all(is_safe)
        && !is_ambiguous(text)
        && !matches!(text, "true" | "false");
    if is_plain {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// The text of an expression; what is hidden in its texts is written as escapes.
fn expression(expr: &Expr) -> String {
    let text = print_expression(expr);
    if !text.contains(is_hidden) {
        return text;
    }
    let mut out = String::new();
    for c in text.chars() {
        if is_hidden(c) {
            out.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether YAML takes a text without quotes as it is.
fn is_plain(text: &str) -> bool {
    let mut chars = text.chars();
    let starts = match chars.next() {
        Some('-') => chars
            .next()
            .is_some_and(|c| c.is_ascii_alphanumeric() || c == '('),
        Some(c) => c.is_ascii_alphanumeric() || matches!(c, '(' | '_'),
        None => false,
    };
    starts
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with([':', ' '])
        && !is_ambiguous(text)
}

/// Where the words of an expression may part lines: not inside of texts.
fn lines(text: &str, width: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut inside = false;
    let mut escaped = false;
    for c in text.chars() {
        match c {
            '"' if !escaped => inside = !inside,
            ' ' if !inside => {
                pieces.push(String::new());
                continue;
            }
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        if let Some(last) = pieces.last_mut() {
            last.push(c);
        }
    }
    let mut out: Vec<String> = Vec::new();
    for piece in pieces {
        match out.last_mut() {
            Some(line) if line.chars().count() + piece.chars().count() < width => {
                line.push(' ');
                line.push_str(&piece);
            }
            _ => out.push(piece),
        }
    }
    out
}

/// A folded block; `indent` is that of the key.
fn folded(text: &str, indent: usize) -> String {
    let blanks = " ".repeat(indent + 2);
    let width = WIDTH.saturating_sub(indent + 2);
    let lines: Vec<String> = lines(text, width.max(20))
        .into_iter()
        .map(|line| format!("\n{blanks}{line}"))
        .collect();
    format!(">-{}", lines.concat())
}

/// A condition behind a key of `used` columns: quotes do not matter there.
pub(super) fn condition(expr: &Expr, indent: usize, used: usize) -> String {
    let text = expression(expr);
    if used + text.chars().count() > WIDTH {
        folded(&text, indent)
    } else if is_plain(&text) {
        text
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// The value of a field or constant, but for lists.
pub(super) fn value(expr: &Expr, indent: usize, used: usize) -> String {
    if let Kind::Text(text) = &expr.kind {
        return quoted(text);
    }
    let text = expression(expr);
    if is_plain(&text) && used + text.chars().count() <= WIDTH {
        text
    } else {
        folded(&text, indent)
    }
}

/// Whether an expression is a number, a range of numbers or a truth value: where
/// texts stand, it needs no mark.
fn is_literal(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Number { unit, .. } => unit
            .as_deref()
            .is_none_or(|unit| super::value::UNITS.contains(&unit)),
        Kind::Truth(_) => true,
        Kind::Negative(inner) => matches!(inner.kind, Kind::Number { .. }) && is_literal(inner),
        Kind::Binary(Operator::Range, _, low, high) => {
            is_literal(low)
                && is_literal(high)
                && !matches!(low.kind, Kind::Truth(_) | Kind::Binary(..))
                && !matches!(high.kind, Kind::Truth(_) | Kind::Binary(..))
        }
        _ => false,
    }
}

/// A value where texts stand.
pub(super) fn text(expr: &Expr, indent: usize, used: usize) -> String {
    match &expr.kind {
        Kind::Text(text) if is_plain_text(text) => text.clone(),
        Kind::Text(text) => quoted(text),
        _ if is_literal(expr) => expression(expr),
        _ => {
            let text = format!("= {}", expression(expr));
            // The `=` is as good a start as a letter.
            let rest = text.get(2..).unwrap_or("");
            let is_safe = !rest.contains(": ") && !rest.contains(" #") && !rest.ends_with(':');
            if is_safe && used + text.chars().count() <= WIDTH {
                text
            } else {
                folded(&text, indent)
            }
        }
    }
}

/// Whether a value can stand in `[…]`.
pub(super) fn fits_in_brackets(text: &str) -> bool {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "_./@+=~^%-()".contains(c);
    let is_quoted = text.starts_with('"') && !text.contains('\n');
    is_quoted || (text.chars().all(is_safe) && !text.is_empty())
}
