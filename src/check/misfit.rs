//! What is said of conditions that have no meaning.

use super::attribute::{ATTRIBUTES, Attribute, Type};
use super::limits::{MOST_COMM_NAMES, MOST_COMM_PREFIXES, MOST_PATH_PREFIXES, MOST_SET_NUMBERS};
use super::sink::{meant, nearest};
use crate::diag::{Code, Diagnostic, Span, shown};
use crate::syntax::ast::{Expr, Kind, Operator};

pub(super) fn too_many_names(span: Option<Span>) -> Diagnostic {
    let diagnostic = Diagnostic::new(
        Code::E0404,
        format!("more than {MOST_COMM_NAMES} texts that attributes are compared with"),
    );
    match span {
        Some(span) => diagnostic.label(span, "the limit is crossed here"),
        None => diagnostic,
    }
    .help("use prefixes, `starts with` or `under`")
}

pub(super) fn too_many_prefixes(attribute: Attribute, span: Option<Span>) -> Diagnostic {
    let (message, help) = if attribute == Attribute::Comm {
        (
            format!("more than {MOST_COMM_PREFIXES} prefixes of `comm`"),
            "use a set of names, or test `exe`",
        )
    } else {
        (
            format!("more than {MOST_PATH_PREFIXES} prefixes of paths"),
            "name directories further up",
        )
    };
    let diagnostic = Diagnostic::new(Code::E0406, message);
    match span {
        Some(span) => diagnostic.label(span, "this one crosses the limit"),
        None => diagnostic,
    }
    .help(help)
}

pub(super) fn too_many_numbers(span: Span) -> Diagnostic {
    Diagnostic::new(
        Code::E0405,
        format!("more than {MOST_SET_NUMBERS} numbers that attributes are compared with"),
    )
    .label(span, "the limit is crossed here")
    .help("compare with `<` and `>` instead")
}

pub(super) fn not_a_condition(span: Span, what: &str) -> Diagnostic {
    Diagnostic::new(Code::E0301, format!("{what} is not a condition")).label(span, what)
}

pub(super) fn model(name: &str, span: Span) -> Diagnostic {
    Diagnostic::new(
        Code::E0503,
        format!("`{}()`: models are not in this version", shown(name)),
    )
    .label(span, "a model")
    .help("test what the model would look at, such as `runtime_avg` or `wake_rate`")
}

/// What to say about an attribute that is not there.
pub(super) fn unknown_attribute(name: &str, span: Span) -> Diagnostic {
    let names = ATTRIBUTES.iter().map(|about| about.name);
    let alias = match name {
        "name" | "process" | "task" => Some("comm"),
        "path" | "program" | "executable" | "binary" => Some("exe"),
        "priority" | "prio" => Some("nice"),
        "slice" | "service" => Some("cgroup"),
        "kernel_thread" => Some("kthread"),
        _ => None,
    };
    Diagnostic::new(Code::E0201, format!("unknown attribute `{}`", shown(name)))
        .label(span, "no such attribute")
        .maybe_help(
            match alias.filter(|_| nearest(name, names.clone()).is_none()) {
                Some(alias) => Some(format!("did you mean `{alias}`?")),
                None => meant(name, names, "attribute"),
            },
        )
}

pub(super) fn no_attribute(operator: Operator, span: Span, right: &Expr) -> Diagnostic {
    let diagnostic = Diagnostic::new(
        Code::E0314,
        format!("no attribute on the left of `{}`", operator.as_str()),
    )
    .label(span, "expected an attribute");
    let swapped = match operator {
        Operator::Equal => "==",
        Operator::NotEqual => "!=",
        Operator::Less => ">",
        Operator::LessEqual => ">=",
        Operator::Greater => "<",
        Operator::GreaterEqual => "<=",
        _ => return diagnostic,
    };
    match &right.bare().kind {
        Kind::Name(name) if Attribute::by_name(name).is_some() => {
            diagnostic.help(format!("turn it around: `{name} {swapped} …`"))
        }
        _ => diagnostic,
    }
}

pub(super) fn compared_truth(
    name: &str,
    operator: Operator,
    right: &Expr,
    span: Span,
) -> Diagnostic {
    let truth = match (&right.bare().kind, operator) {
        (Kind::Truth(truth), Operator::Equal) => Some(*truth),
        (Kind::Truth(truth), Operator::NotEqual) => Some(!truth),
        _ => None,
    };
    let help = match truth {
        Some(true) => format!("write `{name}`"),
        Some(false) => format!("write `not {name}`"),
        None => format!("write `{name}` or `not {name}`"),
    };
    Diagnostic::new(Code::E0309, format!("`{name}` is a condition by itself"))
        .label(span, "a truth value is not compared")
        .help(help)
}

/// Whether an operator has no meaning for an attribute.
pub(super) fn unfit(attribute: Attribute, operator: Operator, place: Span) -> Option<Diagnostic> {
    let about = attribute.about();
    let is_path = matches!(attribute, Attribute::Exe | Attribute::Cgroup);
    let is_text = about.ty == Type::Text;
    let (fits, help) = match operator {
        Operator::Less | Operator::LessEqual | Operator::Greater | Operator::GreaterEqual => (
            !is_text,
            "texts have no order; use `==`, `in` or `starts with`",
        ),
        Operator::Under => (is_path, "`under` is for paths: `exe` and `cgroup`"),
        Operator::StartsWith => (is_text, "compare numbers with `==`, `<` and `>`"),
        _ => (true, ""),
    };
    (!fits).then(|| {
        Diagnostic::new(
            Code::E0308,
            format!("`{attribute}` has no operator `{}`", operator.as_str()),
        )
        .label(place, format!("`{attribute}` is {}", about.ty.phrase()))
        .help(help)
    })
}
