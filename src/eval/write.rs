//! Conditions back to the language: what a condition says, as a tree that the
//! printer can write.
//!
//! A negated test is written with the operator that says so, where there is one:
//! `!=` and `not in`, and the opposite comparison of a number.

use super::residual::Form;
use crate::check::{Attribute, Compare, Test, Type};
use crate::syntax::ast::{Expr, Kind, Operator, Place};

/// Parts per million in one percent.
const PERCENT: u64 = 10_000;

/// A condition as it would be written.
pub(super) fn expression(form: &Form) -> Expr {
    match form {
        Form::True => expr(Kind::Truth(true)),
        Form::False => expr(Kind::Truth(false)),
        Form::Test(test, negated, _) => written(test, *negated),
        Form::All(members) => expr(Kind::All(members.iter().map(member).collect())),
        Form::Any(members) => expr(Kind::Any(members.iter().map(member).collect())),
    }
}

/// `and` is not mixed with `or` without parentheses.
fn member(form: &Form) -> Expr {
    let inner = expression(form);
    match form {
        Form::All(_) | Form::Any(_) => group(inner),
        _ => inner,
    }
}

fn expr(kind: Kind) -> Expr {
    Expr {
        kind,
        place: Place::default(),
    }
}

fn group(inner: Expr) -> Expr {
    expr(Kind::Group(Box::new(inner)))
}

fn written(test: &Test, negated: bool) -> Expr {
    let attribute = test.attribute();
    let is = |operator, value| binary(attribute, operator, value);
    let turned = |inner: Expr| match negated {
        true => expr(Kind::Not(Box::new(group(inner)))),
        false => inner,
    };
    match test {
        Test::TextIn(_, names) => match (one(names.iter()), negated) {
            (Some(name), false) => is(Operator::Equal, text(name)),
            (Some(name), true) => is(Operator::NotEqual, text(name)),
            (None, false) => is(Operator::In, set(names.iter().map(|name| text(name)))),
            (None, true) => is(Operator::NotIn, set(names.iter().map(|name| text(name)))),
        },
        Test::NumberIn(_, numbers) => {
            let members = numbers.iter().map(|member| number(attribute, *member));
            is(
                match negated {
                    false => Operator::In,
                    true => Operator::NotIn,
                },
                set(members),
            )
        }
        Test::Number(_, compare, value) => {
            let operator = match (compare, negated) {
                (Compare::Eq, false) => Operator::Equal,
                (Compare::Eq, true) => Operator::NotEqual,
                (Compare::Lt, false) | (Compare::Ge, true) => Operator::Less,
                (Compare::Le, false) | (Compare::Gt, true) => Operator::LessEqual,
                (Compare::Gt, false) | (Compare::Le, true) => Operator::Greater,
                (Compare::Ge, false) | (Compare::Lt, true) => Operator::GreaterEqual,
            };
            is(operator, number(attribute, *value))
        }
        Test::Under(_, paths) => turned(is(
            Operator::Under,
            match one(paths.iter()) {
                Some(path) => text(path),
                None => set(paths.iter().map(|path| text(path))),
            },
        )),
        Test::StartsWith(_, prefix) => turned(is(Operator::StartsWith, text(prefix))),
        Test::EndsWith(_, suffix) => turned(is(Operator::EndsWith, text(suffix))),
        Test::Contains(_, part) => turned(is(Operator::Contains, text(part))),
        Test::Like(_, glob) => turned(is(Operator::Like, text(glob))),
        Test::Matches(_, regex) => turned(is(Operator::Matches, text(regex))),
        Test::IsTrue(_) => match negated {
            true => expr(Kind::Not(Box::new(name(attribute)))),
            false => name(attribute),
        },
    }
}

/// The only member.
fn one<'a>(mut members: impl Iterator<Item = &'a String>) -> Option<&'a str> {
    let first = members.next()?;
    members.next().is_none().then_some(first)
}

fn binary(attribute: Attribute, operator: Operator, value: Expr) -> Expr {
    joined(operator, name(attribute), value)
}

fn joined(operator: Operator, left: Expr, right: Expr) -> Expr {
    let (left, right) = (Box::new(left), Box::new(right));
    expr(Kind::Binary(operator, Place::default(), left, right))
}

fn name(attribute: Attribute) -> Expr {
    expr(Kind::Name(attribute.about().name.to_owned()))
}

fn text(text: &str) -> Expr {
    expr(Kind::Text(text.to_owned()))
}

fn set(members: impl Iterator<Item = Expr>) -> Expr {
    expr(Kind::Set(members.collect()))
}

/// A number in the largest unit that is exact.
fn number(attribute: Attribute, value: i64) -> Expr {
    let size = value.unsigned_abs();
    let whole = match attribute.about().ty {
        Type::Duration => duration(size),
        Type::Ratio => ratio(size),
        Type::Text | Type::Count | Type::Bool => literal(size, None),
    };
    match value < 0 {
        true => expr(Kind::Negative(Box::new(match &whole.kind {
            Kind::Number { .. } => whole,
            _ => group(whole),
        }))),
        false => whole,
    }
}

fn literal(value: u64, unit: Option<&str>) -> Expr {
    let unit = unit.map(str::to_owned);
    expr(Kind::Number { value, unit })
}

fn duration(nanos: u64) -> Expr {
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")];
    let exact = |(size, _): &&(u64, &str)| nanos != 0 && nanos.is_multiple_of(*size);
    match units.iter().find(exact) {
        Some((size, unit)) => literal(nanos / size, Some(unit)),
        None => literal(nanos, Some("ns")),
    }
}

/// Whole percents, and the rest as a part of them, for no literal is finer.
fn ratio(parts: u64) -> Expr {
    let percent = |value| literal(value, Some("%"));
    let (whole, rest) = (parts / PERCENT, parts % PERCENT);
    let rest = || joined(Operator::Divide, percent(rest), literal(PERCENT, None));
    match (whole, parts % PERCENT) {
        (_, 0) => percent(whole),
        (0, _) => rest(),
        _ => joined(Operator::Plus, percent(whole), rest()),
    }
}
