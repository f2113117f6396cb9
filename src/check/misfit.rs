//! What is said of conditions that have no meaning.

use super::attribute::{ATTRIBUTES, Attribute, Type};
use super::limits::{MOST_COMM_NAMES, MOST_COMM_PREFIXES, MOST_PATH_PREFIXES, MOST_SET_NUMBERS};
use super::pattern::TooComplex;
use super::sink::{meant, nearest};
use crate::diag::{Code, Diagnostic, Span, shown};
use crate::syntax::ast::{Expr, Kind, Operator};
use crate::syntax::print::print_expression;

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
    let is_name = matches!(attribute, Attribute::Comm | Attribute::ParentComm);
    let (message, help) = if is_name {
        (
            format!("more than {MOST_COMM_PREFIXES} prefixes of `{attribute}`"),
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

/// An attribute with brackets.
pub(super) fn called_attribute(name: &str, span: Span) -> Option<Diagnostic> {
    let attribute = Attribute::by_name(name)?;
    Some(
        Diagnostic::new(Code::E0322, format!("`{attribute}` is not a function"))
            .label(span, "an attribute")
            .help(format!("write `{attribute}` without brackets")),
    )
}

pub(super) fn model_alone(name: &str, span: Span) -> Diagnostic {
    Diagnostic::new(
        Code::E0321,
        format!("the model `{name}` alone is not a condition"),
    )
    .label(span, "a ratio")
    .help(format!("compare it, as in `{name}() > 80%`"))
}

pub(super) fn model_compared(name: &str, operator: Operator, place: Span) -> Diagnostic {
    Diagnostic::new(
        Code::E0308,
        format!("`{name}()` has no operator `{}`", operator.as_str()),
    )
    .label(place, "a model says a ratio")
    .help(format!(
        "compare it, as in `{name}() > 80%`, or `{name}() in 20%..80%`"
    ))
}

/// Functions and methods of other languages that are operators here.
const FUNCTIONS: [(&str, &str); 25] = [
    ("startswith", "starts with"),
    ("hasprefix", "starts with"),
    ("beginswith", "starts with"),
    ("prefix", "starts with"),
    ("endswith", "ends with"),
    ("hassuffix", "ends with"),
    ("suffix", "ends with"),
    ("contains", "contains"),
    ("includes", "contains"),
    ("has", "contains"),
    ("matches", "matches"),
    ("match", "matches"),
    ("regex", "matches"),
    ("regexp", "matches"),
    ("search", "matches"),
    ("regexmatch", "matches"),
    ("re", "matches"),
    ("glob", "like"),
    ("fnmatch", "like"),
    ("like", "like"),
    ("isunder", "under"),
    ("under", "under"),
    ("equals", "=="),
    ("eq", "=="),
    ("oneof", "in"),
];

/// A call of a function, or of a method of an attribute, that other languages
/// have.
pub(super) fn function(name: &str, arguments: &[Expr], span: Span) -> Option<Diagnostic> {
    let (object, method) = match name.rsplit_once('.') {
        Some((object, method)) if Attribute::by_name(object).is_some() => (Some(object), method),
        // `re.match(…)`, of a library.
        Some((_, method)) => (None, method),
        None => (None, name),
    };
    // Libraries put the pattern first.
    let is_attribute = |expr: &Expr| matches!(&expr.bare().kind, Kind::Name(name) if Attribute::by_name(name).is_some());
    let plain = method.to_ascii_lowercase().replace(['_', '-'], "");
    let operator = FUNCTIONS.iter().find(|(known, _)| *known == plain);
    let written = |expr: &Expr| shown(&print_expression(expr)).into_owned();
    let help = match (operator, object, arguments) {
        (Some((_, operator)), Some(object), [value]) => {
            format!("write `{object} {operator} {}`", written(value))
        }
        (Some((_, operator)), None, [value, left] | [left, value]) if is_attribute(left) => {
            format!("write `{} {operator} {}`", written(left), written(value))
        }
        (Some((_, operator)), ..) => format!("write it as an operator: `comm {operator} …`"),
        (None, Some(object), _) => {
            format!("compare `{object}` by an operator: `==`, `in`, `starts with`, `like` …")
        }
        (None, None, _) if matches!(plain.as_str(), "lower" | "upper" | "tolower" | "casefold") => {
            "write `comm matches \"(?i)^nginx$\"`, which leaves case out of account".to_owned()
        }
        (None, None, _) if matches!(plain.as_str(), "len" | "length" | "size") => {
            "write `comm like \"????*\"` for at least four characters".to_owned()
        }
        (None, None, _) => return None,
    };
    Some(
        Diagnostic::new(Code::E0322, "the language has no functions")
            .label(span, "a call")
            .help(help),
    )
}

/// Patterns that would take too much.
pub(super) fn too_complex(span: Span, problem: TooComplex) -> Diagnostic {
    match problem {
        TooComplex::Alone(_) => Diagnostic::new(Code::E0411, "a pattern that is too complex")
            .label(span, "becomes too large a table")
            .help("avoid counted repetitions (`.{100}`) and many `?`; say less"),
        TooComplex::Together(_) => Diagnostic::new(
            Code::E0412,
            "the patterns of one attribute are too many together",
        )
        .label(span, "with those above, too many combinations")
        .help(
            "each pattern that may be anywhere in a text doubles them: use `starts with`, \
             `ends with` or sets where they will do, and join alternatives to one `matches \"a|b\"`",
        ),
    }
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
        Operator::Less | Operator::LessEqual | Operator::Greater | Operator::GreaterEqual => {
            (!is_text, "texts have no order; use `==`, `in` or `like`")
        }
        Operator::Under => (is_path, "`under` is for paths: `exe` and `cgroup`"),
        Operator::StartsWith
        | Operator::EndsWith
        | Operator::Contains
        | Operator::Like
        | Operator::Matches => (is_text, "compare numbers with `==`, `<`, `>` and `in 1..5`"),
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
