//! Which texts and numbers an attribute can be compared with. A condition that
//! no task could ever meet is a mistake, not a condition.

use super::attribute::{Attribute, Type};
use super::partition::may_be_unknown;
use super::types::{self, Range, Value};
use crate::diag::{Code, Diagnostic, Span, shown};
use crate::syntax::ast::{Expr, Kind, Operator};
use crate::syntax::print::print_text;

/// Bytes of a task's name that the kernel keeps (`TASK_COMM_LEN` less the NUL).
pub const COMM_BYTES: usize = 15;

/// Says why no task has this text as the value of the attribute.
pub(super) fn unusable(attribute: Attribute, text: &str, span: Span) -> Option<Diagnostic> {
    let empty = |message: &str, help: &str| {
        Diagnostic::new(Code::E0315, message)
            .label(span, "is empty")
            .help(help)
    };
    match attribute {
        Attribute::Comm | Attribute::ParentComm if text.is_empty() => Some(empty(
            "an empty name, which is seldom meant",
            "write the name of a task; only one that renamed itself to nothing has none",
        )),
        Attribute::Comm | Attribute::ParentComm => too_long(attribute, text, span),
        Attribute::Exe | Attribute::Cgroup => malformed(attribute, text, span),
        Attribute::User if text.is_empty() => Some(empty(
            "no user has an empty name",
            "write the name of a user",
        )),
        Attribute::User => user(text, span),
        Attribute::Unit => unit(text, span),
        Attribute::Container => container(text, span),
        _ => None,
    }
}

/// Says why no task has a value of which this text is such a part.
pub(super) fn unusable_part(
    attribute: Attribute,
    operator: Operator,
    text: &str,
    span: Span,
) -> Option<Diagnostic> {
    if text.is_empty() {
        let (message, help) = match operator {
            Operator::StartsWith => (
                "every text starts with an empty text",
                "write what the text starts with",
            ),
            Operator::EndsWith => (
                "every text ends with an empty text",
                "write what the text ends with",
            ),
            Operator::Contains => (
                "every text contains an empty text",
                "write what the text contains",
            ),
            Operator::Matches => (
                "every text matches an empty expression",
                "write what the text matches",
            ),
            _ => (
                "no text but an empty one is like an empty pattern",
                "write what the text is like; `*` is any text",
            ),
        };
        let problem = Diagnostic::new(Code::E0315, message).label(span, "is empty");
        return Some(problem.help(help));
    }
    if matches!(operator, Operator::Like | Operator::Matches) {
        return None;
    }
    match attribute {
        Attribute::Comm | Attribute::ParentComm => too_long(attribute, text, span),
        Attribute::Exe | Attribute::Cgroup => {
            let mut parts: Vec<&str> = text.split('/').collect();
            // Both ends may be a piece of a longer part.
            let begins = operator == Operator::StartsWith;
            let ends = operator == Operator::EndsWith;
            if !ends {
                parts.pop();
            }
            let inner = parts.get(usize::from(!begins)..).unwrap_or(&[]);
            let odd = text.contains("//") || inner.iter().any(|part| matches!(*part, "." | ".."));
            let slash = ends && text.len() > 1 && text.ends_with('/');
            let wrong = odd || slash || (begins && !text.starts_with('/'));
            wrong.then(|| no_path(attribute, text, span, operator))
        }
        _ => None,
    }
}

/// Says that a glob asks for a path that does not begin at the root.
pub(super) fn rootless(attribute: Attribute, glob: &str, span: Span) -> Option<Diagnostic> {
    let is_path = matches!(attribute, Attribute::Exe | Attribute::Cgroup);
    let open = glob.starts_with(['/', '*', '?', '[', '\\']);
    (is_path && !open).then(|| {
        Diagnostic::new(
            Code::E0307,
            format!(
                "`{}` is not a path that `{attribute}` can have",
                shown(glob)
            ),
        )
        .label(span, "a path starts with `/`")
        .help(format!(
            "write `{}`",
            shown(&print_text(&format!("*/{glob}")))
        ))
    })
}

/// What users may be called is up to the machine; but a number is an id.
fn user(text: &str, span: Span) -> Option<Diagnostic> {
    let problem = |what: &str, help: String| {
        Diagnostic::new(Code::E0318, format!("`{}` is no user name", shown(text)))
            .label(span, what)
            .help(help)
    };
    if text.parse::<u32>().is_ok() {
        return Some(problem("a number", format!("write `uid == {text}`")));
    }
    let odd = text.contains(|c: char| matches!(c, ':' | '/') || c.is_whitespace());
    odd.then(|| {
        problem(
            "has a blank, `:` or `/` in it",
            "write the name as `id -un` prints it".to_owned(),
        )
    })
}

/// The kinds of unit that hold tasks.
const UNITS: [&str; 3] = [".service", ".scope", ".slice"];

fn unit(text: &str, span: Span) -> Option<Diagnostic> {
    let problem = |what: &str, help: String| {
        Diagnostic::new(
            Code::E0318,
            format!("`{}` is no unit that holds tasks", shown(text)),
        )
        .label(span, what)
        .help(help)
    };
    if text.contains('/') {
        let path = format!("/{}", text.trim_matches('/'));
        let help = format!("write `cgroup under {}`", shown(&print_text(&path)));
        return Some(problem("a path", help));
    }
    if text.is_empty()
        || UNITS
            .iter()
            .any(|kind| text.ends_with(kind) && text != *kind)
    {
        return None;
    }
    let kinds = ".socket .timer .target .mount .path .device .swap .automount";
    let stem = match text.rsplit_once('.') {
        Some((stem, kind)) if kinds.split(' ').any(|known| known.get(1..) == Some(kind)) => stem,
        _ => text,
    };
    let what = if stem == text {
        "has no kind of unit at its end"
    } else {
        "a unit of a kind without tasks"
    };
    let meant = shown(&print_text(&format!("{stem}.service"))).into_owned();
    Some(problem(
        what,
        format!("write `{meant}`, or `.scope` or `.slice` at its end"),
    ))
}

/// Digits of a container's id, and of its short form.
const CONTAINER_DIGITS: [usize; 2] = [64, 12];

/// Most runtimes know a container by an id, some by a name.
fn container(text: &str, span: Span) -> Option<Diagnostic> {
    let problem = |what: String, help: &str| {
        Diagnostic::new(
            Code::E0318,
            format!("`{}` is no id of a container", shown(text)),
        )
        .label(span, what)
        .help(help)
    };
    if text.contains(['/', ':']) {
        return Some(problem(
            "has a `/` or `:` in it".to_owned(),
            "write the id alone; an image is not known here",
        ));
    }
    let [whole, short] = CONTAINER_DIGITS;
    let is_digit = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    (text.len() == short && text.chars().all(is_digit)).then(|| {
        problem(
            format!("{short} digits; an id has {whole}"),
            &format!("write `container starts with {}`", print_text(text)),
        )
    })
}

fn too_long(attribute: Attribute, text: &str, span: Span) -> Option<Diagnostic> {
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
        .help(match attribute {
            Attribute::Comm => format!(
                "test `exe`, which is the whole path, or compare with what the kernel keeps: `{}`",
                shown(&print_text(kept))
            ),
            _ => format!(
                "compare with what the kernel keeps: `{}`",
                shown(&print_text(kept))
            ),
        })
    })
}

fn malformed(attribute: Attribute, text: &str, span: Span) -> Option<Diagnostic> {
    let proper = text == "/"
        || text
            .strip_prefix('/')
            .is_some_and(|rest| rest.split('/').all(|part| !matches!(part, "" | "." | "..")));
    (!proper).then(|| no_path(attribute, text, span, Operator::Equal))
}

/// `operator` tells which part of a path the text has to be.
fn no_path(attribute: Attribute, text: &str, span: Span, operator: Operator) -> Diagnostic {
    let prefix = operator == Operator::StartsWith;
    let inside = matches!(operator, Operator::EndsWith | Operator::Contains);
    let problem = if text.is_empty() {
        "a path is not empty"
    } else if !text.starts_with('/') && !inside {
        "a path starts with `/`"
    } else if text.contains("//") {
        "a path has no empty part"
    } else if text.ends_with('/') && !prefix && operator != Operator::Contains {
        "a path does not end with `/`"
    } else {
        "a path has no `.` or `..` part"
    };
    let help = if text.is_empty() {
        "write the whole path; `/` is the topmost".to_owned()
    } else if attribute == Attribute::Exe && !text.contains('/') && operator == Operator::Equal {
        // The name of a program; where it is cannot be guessed.
        let name = if text.len() <= COMM_BYTES {
            format!("test `comm`, as `comm == {}`, or ", print_text(text))
        } else {
            String::new()
        };
        let end = format!("/{text}");
        format!("{name}write `exe ends with {}`", shown(&print_text(&end)))
    } else if inside {
        "write a part of a path as the kernel tells it".to_owned()
    } else {
        format!("write `{}`", shown(&print_text(&normal(text, prefix))))
    };
    Diagnostic::new(
        Code::E0307,
        format!(
            "`{}` is not {} path that `{attribute}` can have",
            shown(text),
            if inside { "in a" } else { "a" }
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
    let about = attribute.about();
    let unsure = may_be_unknown(attribute);
    always_in(
        about.name,
        about.ty,
        about.range?,
        unsure,
        operator,
        number,
        at,
    )
}

/// The same for anything that has a name, a type and a range, and that may be
/// unknown or not.
pub(super) fn always_in(
    name: &str,
    ty: Type,
    (low, high): (i64, i64),
    may_be_unknown: bool,
    operator: Operator,
    number: i64,
    at: Span,
) -> Option<Diagnostic> {
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
    let unsure = outcome && may_be_unknown;
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
            .label(at, range_text(name, ty, low, high))
            .help(cure),
    )
}

/// Says that a range is not within that of the attribute.
pub(super) fn range_outside(attribute: Attribute, range: &Range) -> Option<Diagnostic> {
    let about = attribute.about();
    let (low, high) = about.range?;
    let within = |number: i64| (low..=high).contains(&number);
    let (message, help) = if range.high < low || range.low > high {
        (
            "a range that no task is in",
            "delete the range, or correct the numbers".to_owned(),
        )
    } else if !within(range.low) || !within(range.high) {
        let number = |number: i64| types::number(about.ty, number.clamp(low, high));
        (
            "a range that goes beyond what can be",
            format!("write `{}..{}`", number(range.low), number(range.high)),
        )
    } else if (range.low, range.high) == (low, high) && !may_be_unknown(attribute) {
        (
            "a range that every task is in",
            "leave this comparison out, or correct the numbers".to_owned(),
        )
    } else {
        return None;
    };
    Some(
        Diagnostic::new(Code::E0305, message)
            .label(range.span, range_text(about.name, about.ty, low, high))
            .help(help),
    )
}

/// Says that a member of a set is out of the attribute's range.
pub(super) fn outside(attribute: Attribute, number: i64, span: Span) -> Option<Diagnostic> {
    let (low, high) = attribute.about().range?;
    (!(low..=high).contains(&number)).then(|| {
        Diagnostic::new(Code::E0305, "a member that no task can match".to_owned())
            .label(
                span,
                range_text(attribute.about().name, attribute.about().ty, low, high),
            )
            .help("delete the member, or correct the number")
    })
}

fn range_text(name: &str, ty: Type, low: i64, high: i64) -> String {
    let show = |number| types::number(ty, number);
    if high == i64::MAX {
        format!("`{name}` is at least {}", show(low))
    } else {
        format!("`{name}` is from {} to {}", show(low), show(high))
    }
}

/// Says that a model is compared with something else than a ratio.
pub(super) fn no_ratio(name: &str, phrase: &str, at: Span) -> Diagnostic {
    Diagnostic::new(
        Code::E0301,
        format!("`{name}()` is a ratio, compared with {phrase}"),
    )
    .label(at, "expected a ratio")
    .help(format!("compare it, as in `{name}() > 80%`"))
}

/// The help for a number that should have been a ratio.
pub(super) fn percent(number: i64) -> String {
    match number {
        0..=100 => format!("write `{number}%`"),
        _ => "write it in percent, as `80%`".to_owned(),
    }
}

/// The help for a text that is compared with a number.
pub(super) fn named_instead(attribute: Attribute, operator: Operator, text: &str) -> String {
    let sign = operator.as_str();
    match attribute {
        Attribute::Uid => format!("write `user {sign} {}`", shown(&print_text(text))),
        Attribute::Gid => "write the number of the group; `getent group` tells it".to_owned(),
        _ if text.parse::<i64>().is_ok() => format!("write `{text}` without quotes"),
        _ => format!("compare it, as in `{}`", attribute.about().example),
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
