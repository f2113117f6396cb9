//! Texts that look like others: letters of several scripts mixed so that one
//! passes for another (`nginх` with a Cyrillic `х`), and characters that nobody
//! sees. A name that is written in one script, whichever it is, is fine.
//!
//! The definitions are those of Unicode's technical standard 39: a text is
//! mixed when no single script has all of its characters (section 5.1), and a
//! character is confusable by the data of section 4. Marks that turn the
//! direction of writing are refused before this, anywhere in a file.

use unicode_security::MixedScript as _;
use unicode_security::confusable_detection::skeleton;

use super::sink::Sink;
use crate::diag::{Code, Diagnostic, Files, Span};
use crate::syntax::ast::{Block, Expr, Kind, Statement, Title};
use crate::syntax::{Ast, Escapes, Form};

/// Warns of every text in a file that is not what it looks like.
pub(super) fn examine(ast: &Ast, files: &dyn Files, sink: &mut Sink) {
    let (name, text) = (files.name(ast.file()), files.text(ast.file()));
    if !text.is_ascii() {
        let escapes = Escapes::new(Form::of(name, text), text);
        let file = File { text, escapes };
        statements(&ast.statements, &file, sink);
    }
}

/// What a text is judged by.
struct File<'a> {
    text: &'a str,
    escapes: Escapes<'a>,
}

/// Recursion follows the tree, whose depth the parser bounds.
fn statements(statements: &[Statement], file: &File<'_>, sink: &mut Sink) {
    for statement in statements {
        match statement {
            Statement::Block(block) => self::block(block, file, sink),
            Statement::Definition(definition) => expression(&definition.value, file, sink),
            Statement::Field(field) => expression(&field.value, file, sink),
            Statement::Rule(rule) => {
                let parts = rule.when.iter().chain(&rule.hold);
                parts.for_each(|part| expression(part, file, sink));
            }
            Statement::Directive(directive) => expression(&directive.value, file, sink),
            Statement::Use(_) | Statement::Expect(_) => {}
        }
    }
}

fn block(block: &Block, file: &File<'_>, sink: &mut Sink) {
    for title in &block.titles {
        if let Title::Text(text, place) = title {
            judge(text, place.0, file, sink);
        }
    }
    statements(&block.statements, file, sink);
}

fn expression(expr: &Expr, file: &File<'_>, sink: &mut Sink) {
    match &expr.kind {
        Kind::Text(text) => judge(text, expr.span(), file, sink),
        Kind::Number { .. } | Kind::Truth(_) | Kind::Name(_) => {}
        Kind::Call(_, members)
        | Kind::Set(members)
        | Kind::List(members)
        | Kind::All(members)
        | Kind::Any(members) => members.iter().for_each(|m| expression(m, file, sink)),
        Kind::Group(inner) | Kind::Not(inner) | Kind::Negative(inner) => {
            expression(inner, file, sink);
        }
        Kind::Binary(_, _, left, right) => {
            expression(left, file, sink);
            expression(right, file, sink);
        }
    }
}

fn judge(text: &str, span: Span, file: &File<'_>, sink: &mut Sink) {
    if text.is_ascii() {
        return;
    }
    // Written as `\u{…}` it cannot be taken for something else.
    let plain = |c: char| Some(span.start as usize + span.of(file.text).find(c)?);
    let invisible = |c: char| match is_invisible(c) {
        true => Some((plain(c)?, c)),
        false => None,
    };
    if let Some((at, hidden)) = text.chars().find_map(invisible) {
        let escape = hidden.escape_unicode();
        sink.push(
            Diagnostic::new(
                Code::W0210,
                format!("the text has a character in it that nobody sees, `{escape}`"),
            )
            .label(span, "has more characters than it shows")
            .help(format!(
                "delete it, or write it as {}",
                file.escapes.of(at, hidden)
            )),
        );
        return;
    }
    // Parts of a path are names of their own.
    let Some(part) = text.split('/').find(|part| !part.is_single_script()) else {
        return;
    };
    let posing = part.chars().find_map(|c| {
        let like = looks_like_ascii(c)?;
        Some((plain(c)?, c, like))
    });
    let Some((at, c, like)) = posing else {
        return;
    };
    let escape = c.escape_unicode();
    sink.push(
        Diagnostic::new(
            Code::W0210,
            format!("`{c}` in this text is not the letter `{like}`"),
        )
        .label(span, format!("`{escape}` among letters of another script"))
        .help(format!(
            "write `{like}`, or {} if it is meant",
            file.escapes.of(at, c)
        )),
    );
}

/// The ASCII letter that a character passes for.
fn looks_like_ascii(c: char) -> Option<char> {
    if c.is_ascii() {
        return None;
    }
    let text = c.to_string();
    let mut like = skeleton(&text);
    match (like.next(), like.next()) {
        (Some(like), None) if like.is_ascii_alphanumeric() => Some(like),
        _ => None,
    }
}

/// Characters that take no room and join nothing.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{AD}' | '\u{180E}' | '\u{200B}' | '\u{2060}'..='\u{2064}' | '\u{3164}' | '\u{FEFF}' | '\u{FFA0}' | '\u{E0000}'..='\u{E007F}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_pass_for_others() {
        assert_eq!(looks_like_ascii('х'), Some('x'));
        assert_eq!(looks_like_ascii('а'), Some('a'));
        assert_eq!(looks_like_ascii('é'), None);
        assert_eq!(looks_like_ascii('ж'), None);
        assert_eq!(looks_like_ascii('x'), None);
    }

    #[test]
    fn one_script_is_fine() {
        for text in [
            "nginx",
            "café",
            "компилятор",
            "編集者",
            "größe-2",
            "日本語カナ",
        ] {
            assert!(text.is_single_script(), "{text}");
        }
        assert!(!"nginх".is_single_script());
    }
}
