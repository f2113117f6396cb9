//! What is said of patterns: malformed ones, and those that are probably meant to
//! be of another kind.

use super::attribute::Attribute;
use super::pattern::{Flaw, Malformed};
use crate::diag::{Code, Diagnostic, Span, shown};
use crate::syntax::ast::Operator;
use crate::syntax::print::print_text;

pub(super) fn malformed_glob(glob: &str, wrong: &Malformed, span: Span) -> Diagnostic {
    Diagnostic::new(
        Code::E0319,
        format!("`{}` is not a pattern of `like`", shown(glob)),
    )
    .label(span, wrong.what)
    .help(wrong.cure)
}

pub(super) fn malformed_regex(regex: &str, flaw: &Flaw, span: Span) -> Diagnostic {
    let diagnostic = Diagnostic::new(
        Code::E0320,
        format!("`{}` is not a regular expression", shown(regex)),
    )
    .label(span, flaw.what.as_str());
    match flaw.cure {
        Some(cure) => diagnostic.help(cure),
        None => {
            diagnostic.help("the syntax is that of the Rust crate `regex`, which is like RE2's")
        }
    }
}

/// A `*` where it is an ordinary character.
pub(super) fn star(attribute: Attribute, operator: Operator, text: &str, span: Span) -> Diagnostic {
    let sign = operator.as_str();
    let glob = match operator {
        Operator::StartsWith => format!("{}*", text.trim_end_matches('*')),
        Operator::EndsWith => format!("*{}", text.trim_start_matches('*')),
        Operator::Contains => format!("*{}*", text.trim_matches('*')),
        _ => text.to_owned(),
    };
    let glob = shown(&print_text(&glob)).into_owned();
    let help = match operator {
        Operator::Under if text.len() > 2 && text.ends_with("/*") => {
            let path = text.trim_end_matches('*').trim_end_matches('/');
            format!("write `{attribute} under {}`", shown(&print_text(path)))
        }
        Operator::NotEqual | Operator::NotIn => format!("write `not ({attribute} like {glob})`"),
        _ => format!("write `{attribute} like {glob}`"),
    };
    Diagnostic::new(
        Code::W0207,
        format!("`*` is an ordinary character behind `{sign}`"),
    )
    .label(span, "a pattern?")
    .help(help)
}

/// A glob that has no wildcard, or is a regular expression.
pub(super) fn odd_glob(attribute: Attribute, glob: &str, span: Span) -> Option<Diagnostic> {
    let anchored = glob.starts_with('^') || (glob.ends_with('$') && glob.len() > 1);
    if glob.contains(".*") || glob.contains(".+") || anchored {
        return Some(
            Diagnostic::new(
                Code::W0206,
                "a pattern of `like` that looks like a regular expression",
            )
            .label(span, "`.`, `+`, `^` and `$` are ordinary characters here")
            .help(format!(
                "write `{attribute} matches {}`, or use `*` alone for any text",
                shown(&print_text(glob))
            )),
        );
    }
    let plain = !glob.contains(['*', '?', '[', '\\']);
    plain.then(|| {
        Diagnostic::new(Code::W0205, "a pattern without a wildcard")
            .label(span, "fits one text only")
            .help(format!(
                "write `{attribute} == {}`",
                shown(&print_text(glob))
            ))
    })
}

/// A regular expression that is a glob.
pub(super) fn odd_regex(regex: &str, span: Span) -> Option<Diagnostic> {
    let glob = regex.ends_with("/*") || regex.contains("/*/") || regex.contains("/*.");
    glob.then(|| {
        Diagnostic::new(
            Code::W0206,
            "a regular expression that looks like a pattern of `like`",
        )
        .label(span, "`/*` is any number of `/` here")
        .help("write `like`, or `.*` for any text")
    })
}
