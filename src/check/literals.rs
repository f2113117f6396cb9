//! Which texts and numbers an attribute can be compared with. A condition that
//! no task could ever meet is a mistake, not a condition.

use super::attribute::{Attribute, Type};
use super::partition::may_be_unknown;
use super::types::{self, Value};
use crate::diag::{Code, Diagnostic, Span, shown};
use crate::syntax::ast::{Expr, Kind, Operator};
use crate::syntax::print::print_text;

/// Bytes of a task's name that the kernel keeps (`TASK_COMM_LEN` less the NUL).
pub const COMM_BYTES: usize = 15;

/// Says why no task has this text as the value of the attribute.
pub(super) fn unusable(attribute: Attribute, text: &str, span: Span) -> Option<Diagnostic> {
    match attribute {
        Attribute::Comm if text.is_empty() => Some(
            Diagnostic::new(Code::E0315, "no task has an empty name")
                .label(span, "is empty")
                .help("write the name of a task"),
        ),
        Attribute::Comm => too_long(text, span),
        Attribute::Exe | Attribute::Cgroup => malformed(attribute, text, span),
        _ => None,
    }
}

/// Says why no task has a value that starts with this text.
pub(super) fn unusable_prefix(attribute: Attribute, text: &str, span: Span) -> Option<Diagnostic> {
    if text.is_empty() {
        return Some(
            Diagnostic::new(Code::E0315, "every text starts with an empty text")
                .label(span, "is empty")
                .help("write what the text starts with"),
        );
    }
    match attribute {
        Attribute::Comm => too_long(text, span),
        Attribute::Exe | Attribute::Cgroup => {
            let inner = text.split('/').rev().skip(1);
            let odd = text.contains("//") || inner.clone().any(|part| matches!(part, "." | ".."));
            (!text.starts_with('/') || odd).then(|| no_path(attribute, text, span, true))
        }
        _ => None,
    }
}

fn too_long(text: &str, span: Span) -> Option<Diagnostic> {
    (text.len() > COMM_BYTES).then(|| {
        let mut kept = COMM_BYTES;
        while !text.is_char_boundary(kept) {
            kept -= 1;
        }
        let kept = text.get(..kept).unwrap_or("");
        Diagnostic::new(
            Code::E0306,
            format!("`{}` is longer than a task's name can be", shown(text)),
        )
        .label(
            span,
            format!("{} bytes; the kernel keeps {COMM_BYTES}", text.len()),
        )
        .help(format!(
            "test `exe`, which is the whole path, or compare with what the kernel keeps: `{}`",
            shown(&print_text(kept))
        ))
    })
}

fn malformed(attribute: Attribute, text: &str, span: Span) -> Option<Diagnostic> {
    let proper = text == "/"
        || text
            .strip_prefix('/')
            .is_some_and(|rest| rest.split('/').all(|part| !matches!(part, "" | "." | "..")));
    (!proper).then(|| no_path(attribute, text, span, false))
}

/// `prefix` tells that a path has to start with the text only.
fn no_path(attribute: Attribute, text: &str, span: Span, prefix: bool) -> Diagnostic {
    let problem = if text.is_empty() {
        "a path is not empty"
    } else if !text.starts_with('/') {
        "a path starts with `/`"
    } else if text.contains("//") {
        "a path has no empty part"
    } else if text.ends_with('/') && !prefix {
        "a path does not end with `/`"
    } else {
        "a path has no `.` or `..` part"
    };
    let help = if text.is_empty() {
        "write the whole path; `/` is the topmost".to_owned()
    } else if attribute == Attribute::Exe && !text.contains('/') && !prefix {
        // The name of a program; where it is cannot be guessed.
        let name = if text.len() <= COMM_BYTES {
            format!("test `comm`, as `comm == {}`, or ", print_text(text))
        } else {
            String::new()
        };
        format!("{name}write the whole path")
    } else {
        format!("write `{}`", shown(&print_text(&normal(text, prefix))))
    };
    Diagnostic::new(
        Code::E0307,
        format!(
            "`{}` is not a path that `{attribute}` can have",
            shown(text)
        ),
    )
    .label(span, problem)
    .help(help)
}

/// The path that was probably meant, or what it starts with.
fn normal(text: &str, prefix: bool) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let end = if prefix && text.ends_with('/') && !parts.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{}{end}", parts.join("/"))
}

/// Says that a comparison with this number always has the same outcome.
pub(super) fn always(
    attribute: Attribute,
    operator: Operator,
    number: i64,
    at: Span,
) -> Option<Diagnostic> {
    let (low, high) = attribute.about().range?;
    let outcome = match operator {
        Operator::Equal if !(low..=high).contains(&number) => false,
        Operator::NotEqual if !(low..=high).contains(&number) => true,
        Operator::Less if number > high => true,
        Operator::Less if number <= low => false,
        Operator::LessEqual if number >= high => true,
        Operator::LessEqual if number < low => false,
        Operator::Greater if number < low => true,
        Operator::Greater if number >= high => false,
        Operator::GreaterEqual if number <= low => true,
        Operator::GreaterEqual if number > high => false,
        _ => return None,
    };
    let unsure = outcome && may_be_unknown(attribute);
    if unsure && (low..=high).contains(&number) {
        // It asks whether the value is known.
        return None;
    }
    let verdict = match (outcome, unsure) {
        (true, true) => "true of every value",
        (true, false) => "always true",
        (false, _) => "always false",
    };
    let cure = "leave this comparison out, or correct the number";
    Some(
        Diagnostic::new(Code::E0305, format!("a comparison that is {verdict}"))
            .label(at, range_text(attribute, low, high))
            .help(cure),
    )
}

/// Says that a member of a set is out of the attribute's range.
pub(super) fn outside(attribute: Attribute, number: i64, span: Span) -> Option<Diagnostic> {
    let (low, high) = attribute.about().range?;
    (!(low..=high).contains(&number)).then(|| {
        Diagnostic::new(Code::E0305, "a member that no task can match".to_owned())
            .label(span, range_text(attribute, low, high))
            .help("delete the member, or correct the number")
    })
}

fn range_text(attribute: Attribute, low: i64, high: i64) -> String {
    let show = |number| match attribute.about().ty {
        Type::Duration => types::duration(number),
        _ => number.to_string(),
    };
    if high == i64::MAX {
        format!("`{attribute}` is at least {}", show(low))
    } else {
        format!("`{attribute}` is from {} to {}", show(low), show(high))
    }
}

/// Says that a number needs a unit; `range` is what the duration may be.
pub(super) fn bare_number(name: &str, number: i64, range: (i64, i64), span: Span) -> Diagnostic {
    let fits = number
        .checked_mul(1_000_000)
        .is_some_and(|nanos| (range.0..=range.1).contains(&nanos));
    let which = "whichever of `ns`, `us`, `ms`, `s` is meant";
    Diagnostic::new(Code::E0302, format!("`{name}` is a duration"))
        .label(span, "a number without a unit")
        .help(if fits {
            format!("write `{number}ms`, or {which}")
        } else {
            format!("write a unit behind it, {which}")
        })
}

/// The help for a value that should have been a text.
pub(super) fn quoted(expr: &Expr, value: &Value) -> String {
    match (&expr.bare().kind, value) {
        (Kind::Number { value, unit }, _) => {
            format!("write `\"{value}{}\"`", unit.clone().unwrap_or_default())
        }
        (_, Value::Truth(truth)) => format!("write `\"{truth}\"`"),
        _ => "write the text in double quotes".to_owned(),
    }
}
