//! Values: literals, constants, checked arithmetic. Units are types: a duration
//! and a number are never one another.

use super::attribute::Type;
use super::schema::{UNITS, Unit};
use super::scope::Scope;
use super::sink::{Sink, meant, nearest};
use crate::diag::{Code, Diagnostic, Span, shown};
use crate::syntax::ast::{Expr, Kind, Operator};

/// Longest text, in bytes.
pub const LONGEST_TEXT: usize = 4_095;

/// A value without a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Count(i64),
    /// Nanoseconds.
    Duration(i64),
    /// Parts per million.
    Ratio(i64),
    Bytes(i64),
    Truth(bool),
}

/// Makes a value of some type out of a number.
type Make = fn(i64) -> Value;

impl Value {
    /// The type with its article.
    pub(super) fn phrase(&self) -> &'static str {
        match self {
            Self::Text(_) => Type::Text.phrase(),
            Self::Count(_) => Type::Count.phrase(),
            Self::Duration(_) => Type::Duration.phrase(),
            Self::Truth(_) => Type::Bool.phrase(),
            Self::Ratio(_) => "a ratio",
            Self::Bytes(_) => "a size",
        }
    }

    /// The type, if attributes can have it.
    pub(super) fn ty(&self) -> Option<Type> {
        Some(match self {
            Self::Text(_) => Type::Text,
            Self::Count(_) => Type::Count,
            Self::Duration(_) => Type::Duration,
            Self::Ratio(_) => Type::Ratio,
            Self::Truth(_) => Type::Bool,
            Self::Bytes(_) => return None,
        })
    }

    fn unit(unit: Unit, value: i64) -> Self {
        match unit {
            Unit::Duration => Self::Duration(value),
            Unit::Ratio => Self::Ratio(value),
            Unit::Bytes => Self::Bytes(value),
        }
    }

    /// The number inside and what makes the type again out of a number.
    fn number(&self) -> Option<(i64, Make)> {
        Some(match self {
            Self::Count(n) => (*n, Self::Count as Make),
            Self::Duration(n) => (*n, Self::Duration),
            Self::Ratio(n) => (*n, Self::Ratio),
            Self::Bytes(n) => (*n, Self::Bytes),
            Self::Text(_) | Self::Truth(_) => return None,
        })
    }
}

/// A duration as one would write it.
pub(super) fn duration(nanos: i64) -> String {
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")];
    for (size, unit) in units {
        if nanos != 0 && nanos % size == 0 {
            return format!("{}{unit}", nanos / size);
        }
    }
    format!("{nanos}ns")
}

/// A number of some type as one would write it.
pub(super) fn number(ty: Type, number: i64) -> String {
    match ty {
        Type::Duration => duration(number),
        Type::Ratio if number % 10_000 == 0 => format!("{}%", number / 10_000),
        Type::Ratio => {
            let (whole, rest) = (number / 10_000, (number % 10_000).unsigned_abs());
            let rest = format!("{rest:04}");
            format!("{whole}.{}%", rest.trim_end_matches('0'))
        }
        _ => number.to_string(),
    }
}

/// A range, both ends inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) ty: Type,
    pub(super) low: i64,
    pub(super) high: i64,
    pub(super) span: Span,
}

/// Evaluates `low..high`. Complains and returns none when that is no range.
pub(super) fn range(
    low: &Expr,
    high: &Expr,
    span: Span,
    scope: &mut Scope,
    sink: &mut Sink,
) -> Option<Range> {
    let (first, last) = (value(low, scope, sink), value(high, scope, sink));
    let (first, last) = (first?, last?);
    let ends = first.number().zip(last.number());
    let ty = first.ty().filter(|ty| last.ty() == Some(*ty));
    if let (Some(((from, _), (to, _))), Some(ty)) = (ends, ty) {
        if from <= to {
            return Some(Range {
                ty,
                low: from,
                high: to,
                span,
            });
        }
        sink.push(
            Diagnostic::new(Code::E0317, "a range that ends before it begins")
                .label(span, "nothing is in it")
                .help(format!("write `{}..{}`", number(ty, to), number(ty, from))),
        );
        return None;
    }
    // `1..2ms`, as people say it.
    if let (
        Kind::Number { value, unit: None },
        Kind::Number {
            unit: Some(unit), ..
        },
    ) = (&low.bare().kind, &high.bare().kind)
    {
        sink.push(
            Diagnostic::new(Code::E0302, "a range whose first end has no unit")
                .label(low.span(), "a number without a unit")
                .help(format!("write `{value}{}`", shown(unit))),
        );
        return None;
    }
    sink.push(
        Diagnostic::new(
            Code::E0301,
            format!("a range from {} to {}", first.phrase(), last.phrase()),
        )
        .label(low.span(), first.phrase())
        .label(high.span(), last.phrase())
        .help("a range goes from one number to another of its type, as `1ms..2ms`"),
    );
    None
}

/// Evaluates an expression that must have a value. Complains and returns none
/// when it has not. `of` names what the value is for, as `` `slice` ``.
pub(super) fn value(expr: &Expr, scope: &mut Scope, sink: &mut Sink) -> Option<Value> {
    let span = expr.span();
    match &expr.kind {
        Kind::Text(text) => {
            if text.len() > LONGEST_TEXT {
                sink.push(
                    Diagnostic::new(Code::E0408, format!("a text of {} bytes", text.len()))
                        .label(span, format!("at most {LONGEST_TEXT} bytes"))
                        .help("no path or name in the kernel is that long"),
                );
                return None;
            }
            Some(Value::Text(text.clone()))
        }
        Kind::Truth(truth) => Some(Value::Truth(*truth)),
        Kind::Number { value, unit } => literal(*value, unit.as_deref(), span, sink),
        Kind::Name(name) => scope.constant(name, span, sink),
        Kind::Group(inner) => value(inner, scope, sink),
        Kind::Negative(inner) => {
            let found = value(inner, scope, sink)?;
            let Some((number, make)) = found.number() else {
                sink.push(not_arithmetic("-", &found, inner.span()));
                return None;
            };
            if let Some(negative) = number.checked_neg() {
                return Some(make(negative));
            }
            sink.push(overflow(span));
            None
        }
        Kind::Binary(operator, _, left, right) => binary(*operator, left, right, span, scope, sink),
        Kind::Set(_) => {
            sink.push(no_value(span, "a set", "a single value is due here"));
            None
        }
        Kind::List(_) => {
            sink.push(no_value(span, "a list", "a single value is due here"));
            None
        }
        Kind::Call(name, _) => {
            sink.push(
                Diagnostic::new(
                    Code::E0301,
                    format!("`{}()` where a value is due", shown(name)),
                )
                .label(span, "not a value")
                .help("a model stands on the left: `NAME() > 80%`"),
            );
            None
        }
        Kind::Not(_) | Kind::All(_) | Kind::Any(_) => {
            sink.push(no_value(
                span,
                "a condition",
                "conditions stand after `when`",
            ));
            None
        }
    }
}

fn no_value(span: Span, what: &str, help: &str) -> Diagnostic {
    Diagnostic::new(Code::E0301, format!("{what} where a value is due"))
        .label(span, what)
        .help(help)
}

/// A number literal.
fn literal(number: u64, unit: Option<&str>, span: Span, sink: &mut Sink) -> Option<Value> {
    let (kind, size) = match unit {
        None => (None, 1),
        Some(unit) => {
            let Some((_, kind, size)) = UNITS.iter().find(|(name, ..)| *name == unit) else {
                sink.push(unknown_unit(number, unit, span));
                return None;
            };
            (Some(*kind), *size)
        }
    };
    let Some(value) = i64::try_from(number).ok().and_then(|n| n.checked_mul(size)) else {
        sink.push(overflow(span));
        return None;
    };
    Some(kind.map_or(Value::Count(value), |kind| Value::unit(kind, value)))
}

fn unknown_unit(number: u64, unit: &str, span: Span) -> Diagnostic {
    let names = UNITS.iter().map(|(name, ..)| *name);
    let spelled = match unit.to_ascii_lowercase().as_str() {
        "µs" | "μs" | "usec" | "usecs" | "microseconds" => Some("us"),
        "msec" | "msecs" | "milliseconds" => Some("ms"),
        "sec" | "secs" | "second" | "seconds" => Some("s"),
        "nsec" | "nsecs" | "nanoseconds" => Some("ns"),
        "k" | "kb" | "kib" => Some("KiB"),
        "mb" | "mib" => Some("MiB"),
        "g" | "gb" | "gib" => Some("GiB"),
        _ => None,
    };
    let seconds = match unit {
        "m" | "min" | "mins" | "minute" | "minutes" => number.checked_mul(60),
        "h" | "hour" | "hours" => number.checked_mul(3_600),
        _ => None,
    };
    if let Some(seconds) = seconds {
        return Diagnostic::new(Code::E0303, format!("unknown unit `{unit}`"))
            .label(span, "")
            .help(format!("did you mean `{seconds}s`?"));
    }
    let spelled = spelled.or_else(|| nearest(unit, names.clone()));
    Diagnostic::new(Code::E0303, format!("unknown unit `{}`", shown(unit)))
        .label(span, "")
        .maybe_help(match spelled {
            Some(unit) => Some(format!("did you mean `{number}{unit}`?")),
            None => meant(unit, names, "unit"),
        })
}

fn overflow(span: Span) -> Diagnostic {
    Diagnostic::new(Code::E0310, "the result is too large to be held")
        .label(span, "overflows 64 bits")
        .help("use smaller numbers")
}

fn not_arithmetic(operator: &str, found: &Value, span: Span) -> Diagnostic {
    Diagnostic::new(
        Code::E0301,
        format!(
            "`{operator}` calculates with numbers, not with {}",
            found.phrase()
        ),
    )
    .label(span, found.phrase())
}

fn binary(
    operator: Operator,
    left: &Expr,
    right: &Expr,
    span: Span,
    scope: &mut Scope,
    sink: &mut Sink,
) -> Option<Value> {
    let sign = operator.as_str();
    if operator == Operator::Range {
        sink.push(no_value(
            span,
            "a range",
            "ranges stand behind `in`, and in sets",
        ));
        return None;
    }
    if operator.is_comparison() {
        sink.push(no_value(
            span,
            "a condition",
            "conditions stand after `when`",
        ));
        return None;
    }
    let (a, b) = (value(left, scope, sink), value(right, scope, sink));
    let (a, b) = (a?, b?);
    let Some((x, make_x)) = a.number() else {
        sink.push(not_arithmetic(sign, &a, left.span()));
        return None;
    };
    let Some((y, make_y)) = b.number() else {
        sink.push(not_arithmetic(sign, &b, right.span()));
        return None;
    };
    let counts = |value: &Value| matches!(value, Value::Count(_));
    let same = std::mem::discriminant(&a) == std::mem::discriminant(&b);
    let (result, make) = match operator {
        Operator::Plus if same => (x.checked_add(y), make_x),
        Operator::Minus if same => (x.checked_sub(y), make_x),
        // A part of something, rounded down.
        Operator::Times if matches!(b, Value::Ratio(_)) => (parts(x, y), make_x),
        Operator::Times if matches!(a, Value::Ratio(_)) => (parts(y, x), make_y),
        Operator::Times if counts(&b) => (x.checked_mul(y), make_x),
        Operator::Times if counts(&a) => (x.checked_mul(y), make_y),
        Operator::Divide if y == 0 => {
            sink.push(
                Diagnostic::new(Code::E0310, "a division by zero").label(right.span(), "is zero"),
            );
            return None;
        }
        Operator::Divide if counts(&b) => (x.checked_div(y), make_x),
        Operator::Divide if same => (x.checked_div(y), Value::Count as Make),
        _ => {
            sink.push(
                Diagnostic::new(
                    Code::E0301,
                    format!("`{sign}` between {} and {}", a.phrase(), b.phrase()),
                )
                .label(left.span(), a.phrase())
                .label(right.span(), b.phrase())
                .help("add and subtract values of one type; multiply and divide by plain numbers"),
            );
            return None;
        }
    };
    if result.is_none() {
        sink.push(overflow(span));
    }
    result.map(make)
}

/// `value` times so many parts per million.
fn parts(value: i64, ratio: i64) -> Option<i64> {
    i64::try_from(i128::from(value) * i128::from(ratio) / 1_000_000).ok()
}
