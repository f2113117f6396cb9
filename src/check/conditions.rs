//! Types conditions: from an expression after `when` to a [`Cond`].
//!
//! This file follows the tree; what stands on the right of an operator is read in
//! [`super::operands`].

use std::collections::HashSet;
use std::sync::Arc;

use super::attribute::{Attribute, Type};
use super::literals;
use super::misfit::{
    called_attribute, compared_truth, function, model_alone, model_compared, no_attribute,
    not_a_condition, unfit, unknown_attribute,
};
use super::operands::Right;
use super::policy::{Compare, Cond, ModelId, Test};
use super::scope::Scope;
use super::sets::Members;
use super::sink::Sink;
use super::types::{self, Range, Value};
use crate::diag::{Code, Diagnostic, Span};
use crate::syntax::ast::{Expr, Kind, Operator};

/// What typing a condition needs to know.
pub(super) struct Conditions<'a> {
    pub(super) scope: &'a mut Scope,
    pub(super) sink: &'a mut Sink,
    /// Named sets whose members were examined, for each attribute and operator.
    pub(super) examined: &'a mut HashSet<(Attribute, String, Operator)>,
}

/// What stands on the left of an operator.
enum Left {
    Attribute(Attribute),
    Model(ModelId, String),
}

impl Conditions<'_> {
    /// Types a condition; complains and returns none when it has no meaning.
    /// Recursion follows the tree, whose depth the parser bounds.
    pub(super) fn condition(&mut self, expr: &Expr) -> Option<Cond> {
        let span = expr.span();
        match &expr.kind {
            Kind::Group(inner) => self.condition(inner),
            Kind::Not(inner) => Some(Cond::Not(Box::new(self.condition(inner)?))),
            Kind::All(members) => self.members(members).map(Cond::And),
            Kind::Any(members) => self.members(members).map(Cond::Or),
            Kind::Name(name) => self.truth(name, span),
            Kind::Call(name, arguments) => {
                self.model(name, arguments, span)?;
                self.refuse(model_alone(name, span))
            }
            Kind::Truth(truth) => {
                let help = if *truth {
                    "a rule for every task is written `otherwise -> TIER`"
                } else {
                    "delete the rule; no task would match it"
                };
                self.sink
                    .push(not_a_condition(span, "a truth value").help(help));
                None
            }
            Kind::Binary(operator, place, left, right) if operator.is_comparison() => {
                self.comparison(*operator, place.0, left, right, span)
            }
            Kind::Text(_) => self.refuse(not_a_condition(span, "a text")),
            Kind::Number { .. } | Kind::Negative(_) | Kind::Binary(..) => {
                self.refuse(not_a_condition(span, "a value"))
            }
            Kind::Set(_) | Kind::List(_) => self.refuse(not_a_condition(span, "a set")),
        }
    }

    pub(super) fn refuse<T>(&mut self, diagnostic: Diagnostic) -> Option<T> {
        self.sink.push(diagnostic);
        None
    }

    fn members(&mut self, members: &[Expr]) -> Option<Vec<Cond>> {
        // Every member is typed, to find every mistake.
        let typed: Vec<_> = members.iter().map(|m| self.condition(m)).collect();
        typed.into_iter().collect()
    }

    /// A name that stands alone.
    fn truth(&mut self, name: &str, span: Span) -> Option<Cond> {
        let Some(attribute) = Attribute::by_name(name) else {
            if self.scope.knows(name) {
                // Counted as used, so that one mistake is one diagnostic.
                let _ = self.scope.set(name);
                return self.refuse(
                    not_a_condition(span, "a constant or a set")
                        .help(format!("compare an attribute with it: `comm in {name}`")),
                );
            }
            return self.refuse(unknown_attribute(name, span));
        };
        let about = attribute.about();
        if about.ty == Type::Bool {
            return Some(Cond::Test(Test::IsTrue(attribute), span));
        }
        self.refuse(
            Diagnostic::new(Code::E0301, format!("`{name}` alone is not a condition"))
                .label(span, about.ty.phrase())
                .help(format!("compare it, as in `{}`", about.example)),
        )
    }

    /// A model, which is read like a function without arguments.
    fn model(&mut self, name: &str, arguments: &[Expr], span: Span) -> Option<ModelId> {
        let Some(id) = self.scope.model(name) else {
            let problem = function(name, arguments, span)
                .or_else(|| called_attribute(name, span))
                .unwrap_or_else(|| self.scope.unknown_model(name, span));
            return self.refuse(problem);
        };
        let Some(first) = arguments.first() else {
            return Some(id);
        };
        let last = arguments.last().unwrap_or(first);
        self.refuse(
            Diagnostic::new(
                Code::E0321,
                format!("the model `{name}` takes no arguments"),
            )
            .label(first.span().to(last.span()), "not needed")
            .help(format!(
                "write `{name}()`; what it looks at is named in its block"
            )),
        )
    }

    fn comparison(
        &mut self,
        operator: Operator,
        place: Span,
        left: &Expr,
        right: &Expr,
        span: Span,
    ) -> Option<Cond> {
        let attribute = match self.left(operator, left, right)? {
            Left::Attribute(attribute) => attribute,
            Left::Model(id, name) => {
                return self.asked(id, &name, operator, place, right, span);
            }
        };
        let about = attribute.about();
        if about.ty == Type::Bool {
            return self.refuse(compared_truth(about.name, operator, right, span));
        }
        if let Some(problem) = unfit(attribute, operator, place) {
            return self.refuse(problem);
        }
        if let Some(problem) = self.other_attribute(right) {
            return self.refuse(problem);
        }
        let cond = match operator {
            Operator::In | Operator::NotIn => {
                let set = self.right_set(about.name, operator, right)?;
                self.membership(attribute, operator, &set, right.span(), span)?
            }
            Operator::Under => Cond::Test(self.under(attribute, right)?, span),
            Operator::StartsWith
            | Operator::EndsWith
            | Operator::Contains
            | Operator::Like
            | Operator::Matches => self.part(attribute, operator, right, span)?,
            _ => Cond::Test(self.compare(attribute, operator, right)?, span),
        };
        Some(match operator {
            Operator::NotEqual | Operator::NotIn => Cond::Not(Box::new(cond)),
            _ => cond,
        })
    }

    /// What stands on the left of an operator.
    fn left(&mut self, operator: Operator, left: &Expr, right: &Expr) -> Option<Left> {
        let span = left.span();
        match &left.bare().kind {
            Kind::Name(name) => {
                if let Some(attribute) = Attribute::by_name(name) {
                    return Some(Left::Attribute(attribute));
                }
                if self.scope.model(name).is_some() {
                    return self.refuse(
                        Diagnostic::new(Code::E0321, format!("`{name}` is a model"))
                            .label(span, "is asked with brackets")
                            .help(format!("write `{name}()`")),
                    );
                }
                if self.scope.knows(name) {
                    let _ = self.scope.set(name);
                    return self.refuse(no_attribute(operator, span, right));
                }
                self.refuse(unknown_attribute(name, span))
            }
            Kind::Call(name, arguments) => {
                let id = self.model(name, arguments, span)?;
                Some(Left::Model(id, name.clone()))
            }
            _ => self.refuse(no_attribute(operator, span, right)),
        }
    }

    /// What a model says, compared with a ratio, or with a range of them.
    fn asked(
        &mut self,
        id: ModelId,
        name: &str,
        operator: Operator,
        place: Span,
        right: &Expr,
        span: Span,
    ) -> Option<Cond> {
        let model = |compare, number| Cond::Model(id, compare, number, span);
        let at = right.span();
        if matches!(operator, Operator::In | Operator::NotIn) {
            let Kind::Binary(Operator::Range, _, low, high) = &right.bare().kind else {
                return self.refuse(model_compared(name, operator, place));
            };
            let range = types::range(low, high, at, self.scope, self.sink)?;
            if range.ty != Type::Ratio {
                return self.refuse(literals::no_ratio(name, range.ty.phrase(), at));
            }
            let cond = Cond::And(vec![
                model(Compare::Ge, range.low),
                model(Compare::Le, range.high),
            ]);
            return Some(match operator {
                Operator::NotIn => Cond::Not(Box::new(cond)),
                _ => cond,
            });
        }
        if !is_order(operator) {
            return self.refuse(model_compared(name, operator, place));
        }
        if let Some(problem) = self.other_attribute(right) {
            return self.refuse(problem);
        }
        let number = match types::value(right, self.scope, self.sink)? {
            Value::Ratio(number) => number,
            other => return self.refuse(literals::no_ratio(name, other.phrase(), at)),
        };
        let range = (0, 1_000_000);
        if let Some(problem) =
            literals::always_in(name, Type::Ratio, range, true, operator, number, at)
        {
            return self.refuse(problem);
        }
        let cond = model(compare(operator), number);
        Some(match operator {
            Operator::NotEqual => Cond::Not(Box::new(cond)),
            _ => cond,
        })
    }

    /// An attribute on the right, where a value is due.
    fn other_attribute(&mut self, right: &Expr) -> Option<Diagnostic> {
        let Kind::Name(name) = &right.bare().kind else {
            return None;
        };
        let known = Attribute::by_name(name).is_some();
        (known && !self.scope.knows(name)).then(|| {
            Diagnostic::new(
                Code::E0301,
                format!("a comparison with the attribute `{name}`"),
            )
            .label(right.span(), "an attribute")
            .help("compare an attribute with a value, not with another attribute")
        })
    }

    /// `in` with a set of the right type.
    fn membership(
        &mut self,
        attribute: Attribute,
        operator: Operator,
        right: &Right,
        at: Span,
        span: Span,
    ) -> Option<Cond> {
        let about = attribute.about();
        match (about.ty, &right.set.members) {
            (Type::Text, Members::Text(texts)) => {
                self.texts(attribute, operator, right)?;
                Some(Cond::Test(Test::TextIn(attribute, Arc::clone(texts)), span))
            }
            (ty, Members::Numbers(of, numbers)) if ty == *of => {
                self.numbers(attribute, right, numbers, at, span)
            }
            (Type::Duration, Members::Numbers(Type::Count, _)) => {
                let single = right.set.numbers.first().copied();
                let ranges = right.set.ranges.iter();
                let first = single.into_iter().chain(ranges.map(|r| (r.low, r.span)));
                let (number, place) = first.min_by_key(|(_, span)| span.start)?;
                let range = about.range?;
                self.refuse(literals::bare_number(about.name, number, range, place))
            }
            (Type::Ratio, Members::Numbers(Type::Count, _)) => {
                let help = match right.set.ranges.first() {
                    Some(range) => format!("write `{}%..{}%`", range.low, range.high),
                    None => "write the members in percent, as `80%`".to_owned(),
                };
                self.refuse(
                    Diagnostic::new(
                        Code::E0301,
                        format!("`{attribute}` is a ratio, compared with plain numbers"),
                    )
                    .label(at, "numbers without `%`")
                    .help(help),
                )
            }
            (ty, members) => self.refuse(
                Diagnostic::new(
                    Code::E0301,
                    format!(
                        "`{attribute}` is {}, compared with {}",
                        ty.phrase(),
                        members.phrase()
                    ),
                )
                .label(at, members.phrase())
                .help(format!("compare it, as in `{}`", about.example)),
            ),
        }
    }

    /// A number among numbers and ranges.
    fn numbers(
        &mut self,
        attribute: Attribute,
        right: &Right,
        numbers: &Arc<std::collections::BTreeSet<i64>>,
        at: Span,
        span: Span,
    ) -> Option<Cond> {
        let (set, ranges) = (&right.set, joined(&right.set.ranges));
        let mut problems: Vec<_> = set
            .numbers
            .iter()
            .filter_map(|(number, span)| literals::outside(attribute, *number, *span))
            .collect();
        problems.extend(
            set.ranges
                .iter()
                .filter_map(|range| literals::range_outside(attribute, range)),
        );
        self.all(problems)?;
        let ends = ranges.iter().flat_map(|(low, high)| [low, high]);
        if !self
            .scope
            .budget
            .take_compared(attribute, numbers.iter().chain(ends))
        {
            return self.refuse(super::misfit::too_many_numbers(at));
        }
        let test = |test| Cond::Test(test, span);
        let bounds = attribute.about().range.unwrap_or((i64::MIN, i64::MAX));
        let mut parts = Vec::new();
        if !numbers.is_empty() {
            parts.push(test(Test::NumberIn(attribute, Arc::clone(numbers))));
        }
        for (low, high) in ranges {
            let from = test(Test::Number(attribute, Compare::Ge, low));
            let to = test(Test::Number(attribute, Compare::Le, high));
            parts.push(match (low == bounds.0, high == bounds.1) {
                _ if low == high => test(Test::Number(attribute, Compare::Eq, low)),
                (true, false) => to,
                (_, true) => from,
                (false, false) => Cond::And(vec![from, to]),
            });
        }
        match parts.len() {
            1 => parts.pop(),
            _ => Some(Cond::Or(parts)),
        }
    }

    /// Complains of everything; `None` if there was anything.
    pub(super) fn all(&mut self, problems: Vec<Diagnostic>) -> Option<()> {
        let none = problems.is_empty();
        problems
            .into_iter()
            .for_each(|problem| self.sink.push(problem));
        none.then_some(())
    }
}

/// Ranges in order, those that touch as one.
fn joined(ranges: &[Range]) -> Vec<(i64, i64)> {
    let mut sorted: Vec<(i64, i64)> = ranges.iter().map(|r| (r.low, r.high)).collect();
    sorted.sort_unstable();
    let mut out: Vec<(i64, i64)> = Vec::new();
    for (low, high) in sorted {
        match out.last_mut() {
            Some((_, last)) if low <= last.saturating_add(1) => *last = high.max(*last),
            _ => out.push((low, high)),
        }
    }
    out
}

fn is_order(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::Equal
            | Operator::NotEqual
            | Operator::Less
            | Operator::LessEqual
            | Operator::Greater
            | Operator::GreaterEqual
    )
}

pub(super) fn compare(operator: Operator) -> Compare {
    match operator {
        Operator::Less => Compare::Lt,
        Operator::LessEqual => Compare::Le,
        Operator::Greater => Compare::Gt,
        Operator::GreaterEqual => Compare::Ge,
        _ => Compare::Eq,
    }
}
