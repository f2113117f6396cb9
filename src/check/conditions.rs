//! Types conditions: from an expression after `when` to a [`Cond`].

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::attribute::{Attribute, Type};
use super::literals;
use super::misfit::{
    compared_truth, model, no_attribute, not_a_condition, too_many_names, too_many_numbers,
    too_many_prefixes, unfit, unknown_attribute,
};
use super::policy::{Compare, Cond, Test};
use super::scope::{Members, Scope, SetValue};
use super::sink::Sink;
use super::types::{self, Value};
use crate::diag::{Code, Diagnostic, Span, shown};
use crate::syntax::ast::{Expr, Kind, Operator};
use crate::syntax::print::print_expression;

/// What typing a condition needs to know.
pub(super) struct Conditions<'a> {
    pub(super) scope: &'a mut Scope,
    pub(super) sink: &'a mut Sink,
    /// Named sets whose members were examined, for each attribute and operator.
    pub(super) examined: &'a mut HashSet<(Attribute, String, Operator)>,
}

/// What stands on the right of `in` or `under`.
struct Right {
    set: SetValue,
    /// The name of the set; none when it is written out.
    name: Option<String>,
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
            Kind::Call(name, _) => {
                self.sink.push(model(name, span));
                None
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

    fn refuse<T>(&mut self, diagnostic: Diagnostic) -> Option<T> {
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

    fn comparison(
        &mut self,
        operator: Operator,
        place: Span,
        left: &Expr,
        right: &Expr,
        span: Span,
    ) -> Option<Cond> {
        let attribute = self.left(operator, left, right);
        if matches!(
            operator,
            Operator::Like | Operator::Matches | Operator::Contains | Operator::EndsWith
        ) {
            return self.refuse(
                Diagnostic::new(
                    Code::E0502,
                    format!("the operator `{}` is not in this version", operator.as_str()),
                )
                .label(place, "")
                .help("texts are compared by `==`, `!=`, `in`, `not in` and `starts with`, paths also by `under`"),
            );
        }
        let attribute = attribute?;
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
                let set = self.right_set(attribute, operator, right)?;
                Cond::Test(
                    self.membership(attribute, operator, &set, right.span())?,
                    span,
                )
            }
            Operator::Under => Cond::Test(self.under(attribute, right)?, span),
            Operator::StartsWith => Cond::Test(self.starts_with(attribute, right)?, span),
            _ => Cond::Test(self.compare(attribute, operator, right)?, span),
        };
        Some(match operator {
            Operator::NotEqual | Operator::NotIn => Cond::Not(Box::new(cond)),
            _ => cond,
        })
    }

    /// The attribute on the left of an operator.
    fn left(&mut self, operator: Operator, left: &Expr, right: &Expr) -> Option<Attribute> {
        let span = left.span();
        match &left.bare().kind {
            Kind::Name(name) => {
                if let Some(attribute) = Attribute::by_name(name) {
                    return Some(attribute);
                }
                if self.scope.knows(name) {
                    let _ = self.scope.set(name);
                    return self.refuse(no_attribute(operator, span, right));
                }
                self.refuse(unknown_attribute(name, span))
            }
            Kind::Call(name, _) => self.refuse(model(name, span)),
            _ => self.refuse(no_attribute(operator, span, right)),
        }
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

    /// The set on the right of `in`.
    fn right_set(
        &mut self,
        attribute: Attribute,
        operator: Operator,
        right: &Expr,
    ) -> Option<Right> {
        let span = right.span();
        let one = if operator == Operator::In { "==" } else { "!=" };
        match &right.bare().kind {
            Kind::Set(members) => Some(Right {
                set: self.scope.literal_set(members, span, self.sink)?,
                name: None,
            }),
            Kind::Name(name) => match self.scope.set(name) {
                Some(set) => Some(Right {
                    set: set?,
                    name: Some(name.clone()),
                }),
                None if self.scope.knows(name) => {
                    let value = self.scope.constant(name, span, self.sink)?;
                    self.refuse(
                        Diagnostic::new(
                            Code::E0308,
                            format!("`{}` asks for a set", operator.as_str()),
                        )
                        .label(span, value.phrase())
                        .help(format!("write `{attribute} {one} {name}`")),
                    )
                }
                None => {
                    let unknown = self.scope.unknown(name, span);
                    self.refuse(unknown)
                }
            },
            Kind::List(_) => self.refuse(
                Diagnostic::new(Code::E0308, "a set is written in braces")
                    .label(span, "a list")
                    .help(format!("write `{}`", braced(right))),
            ),
            Kind::Binary(Operator::Range, _, low, high) => {
                let help = match (&low.bare().kind, &high.bare().kind) {
                    (
                        Kind::Number {
                            value: low,
                            unit: a,
                        },
                        Kind::Number {
                            value: high,
                            unit: b,
                        },
                    ) => {
                        let unit = |unit: &Option<String>| unit.clone().unwrap_or_default();
                        format!(
                            "write `{attribute} >= {low}{} and {attribute} <= {high}{}`",
                            unit(a),
                            unit(b)
                        )
                    }
                    _ => format!("write `{attribute} >= … and {attribute} <= …`"),
                };
                self.refuse(
                    Diagnostic::new(Code::E0502, "ranges in conditions are not in this version")
                        .label(span, "a range")
                        .help(help),
                )
            }
            _ => {
                let value = types::value(right, self.scope, self.sink)?;
                self.refuse(
                    Diagnostic::new(
                        Code::E0308,
                        format!("`{}` asks for a set", operator.as_str()),
                    )
                    .label(span, value.phrase())
                    .help(format!("write `{attribute} {one} {}`", written(right))),
                )
            }
        }
    }

    /// `in` with a set of the right type.
    fn membership(
        &mut self,
        attribute: Attribute,
        operator: Operator,
        right: &Right,
        at: Span,
    ) -> Option<Test> {
        let about = attribute.about();
        match (about.ty, &right.set.members) {
            (Type::Text, Members::Text(texts)) => {
                self.texts(attribute, operator, right)?;
                Some(Test::TextIn(attribute, Arc::clone(texts)))
            }
            (Type::Count, Members::Count(numbers))
            | (Type::Duration, Members::Duration(numbers)) => {
                let problems: Vec<_> = right
                    .set
                    .numbers
                    .iter()
                    .filter_map(|(number, span)| literals::outside(attribute, *number, *span))
                    .collect();
                self.all(problems)?;
                let compared = numbers.iter();
                if !self.scope.budget.take_compared(attribute, compared) {
                    return self.refuse(too_many_numbers(at));
                }
                Some(Test::NumberIn(attribute, Arc::clone(numbers)))
            }
            (Type::Duration, Members::Count(_)) => {
                let (number, span) = right.set.numbers.first()?;
                let range = about.range?;
                self.refuse(literals::bare_number(about.name, *number, range, *span))
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

    /// Complains of everything; `None` if there was anything.
    fn all(&mut self, problems: Vec<Diagnostic>) -> Option<()> {
        let none = problems.is_empty();
        problems
            .into_iter()
            .for_each(|problem| self.sink.push(problem));
        none.then_some(())
    }

    /// Examines the members of a set of texts that an attribute is compared with.
    fn texts(&mut self, attribute: Attribute, operator: Operator, right: &Right) -> Option<()> {
        // A named set is examined once for each use of its kind.
        if let Some(name) = &right.name
            && !self.examined.insert((attribute, name.clone(), operator))
        {
            return Some(());
        }
        let problems: Vec<_> = right
            .set
            .texts
            .iter()
            .filter_map(|(text, span)| literals::unusable(attribute, text, *span))
            .collect();
        self.all(problems)?;
        let names = || right.set.texts.iter().map(|(text, _)| text);
        let span = right.set.texts.first().map(|(_, span)| *span);
        if !self.scope.budget.take_names(attribute, names()) {
            return self.refuse(too_many_names(span));
        }
        if operator == Operator::Under && !self.scope.budget.take_prefixes(attribute, names()) {
            return self.refuse(too_many_prefixes(attribute, span));
        }
        Some(())
    }

    fn under(&mut self, attribute: Attribute, right: &Expr) -> Option<Test> {
        if self.is_set(right) {
            let right = self.right_set(attribute, Operator::In, right)?;
            let Members::Text(texts) = &right.set.members else {
                let phrase = right.set.members.phrase();
                return self.refuse(
                    Diagnostic::new(Code::E0301, format!("`under` with {phrase}"))
                        .label(right.set.numbers.first()?.1, "expected a path"),
                );
            };
            self.texts(attribute, Operator::Under, &right)?;
            return Some(Test::Under(attribute, Arc::clone(texts)));
        }
        let text = self.text(attribute, Operator::Under, right)?;
        let problem = literals::unusable(attribute, &text, right.span());
        self.all(problem.into_iter().collect())?;
        if !self.scope.budget.take_prefixes(attribute, [&text]) {
            return self.refuse(too_many_prefixes(attribute, Some(right.span())));
        }
        Some(Test::Under(attribute, Arc::new(BTreeSet::from([text]))))
    }

    fn starts_with(&mut self, attribute: Attribute, right: &Expr) -> Option<Test> {
        let span = right.span();
        if self.is_set(right) {
            return self.refuse(
                Diagnostic::new(Code::E0308, "`starts with` asks for one text")
                    .label(span, "a set")
                    .help(format!(
                        "write the prefixes one by one: `{attribute} starts with … or {attribute} starts with …`"
                    )),
            );
        }
        let text = self.text(attribute, Operator::StartsWith, right)?;
        let problem = literals::unusable_prefix(attribute, &text, span);
        self.all(problem.into_iter().collect())?;
        if !self.scope.budget.take_prefixes(attribute, [&text]) {
            return self.refuse(too_many_prefixes(attribute, Some(span)));
        }
        Some(Test::StartsWith(attribute, text))
    }

    fn is_set(&mut self, right: &Expr) -> bool {
        match &right.bare().kind {
            Kind::Set(_) => true,
            Kind::Name(name) => self.scope.set(name).is_some(),
            _ => false,
        }
    }

    /// A single text on the right.
    fn text(&mut self, attribute: Attribute, operator: Operator, right: &Expr) -> Option<String> {
        match types::value(right, self.scope, self.sink)? {
            Value::Text(text) => Some(text),
            other => self.refuse(
                Diagnostic::new(
                    Code::E0301,
                    format!(
                        "`{attribute} {}` with {}",
                        operator.as_str(),
                        other.phrase()
                    ),
                )
                .label(right.span(), "expected a text")
                .help(literals::quoted(right, &other)),
            ),
        }
    }

    /// A comparison with one value.
    fn compare(&mut self, attribute: Attribute, operator: Operator, right: &Expr) -> Option<Test> {
        let about = attribute.about();
        let at = right.span();
        if self.is_set(right) {
            let instead = match operator {
                Operator::Equal => "in",
                Operator::NotEqual => "not in",
                _ => {
                    return self.refuse(
                        Diagnostic::new(Code::E0308, format!("`{}` with a set", operator.as_str()))
                            .label(at, "a set")
                            .help("compare with one value"),
                    );
                }
            };
            return self.refuse(
                Diagnostic::new(
                    Code::E0308,
                    format!("`{}` compares with one value", operator.as_str()),
                )
                .label(at, "a set")
                .help(format!("write `{attribute} {instead} {}`", written(right))),
            );
        }
        let value = types::value(right, self.scope, self.sink)?;
        match (about.ty, value) {
            (Type::Text, Value::Text(text)) => {
                let problem = literals::unusable(attribute, &text, at);
                self.all(problem.into_iter().collect())?;
                if !self.scope.budget.take_names(attribute, [&text]) {
                    return self.refuse(too_many_names(Some(at)));
                }
                Some(Test::TextIn(attribute, Arc::new(BTreeSet::from([text]))))
            }
            (Type::Count, Value::Count(number))
            | (Type::Duration, Value::Duration(number))
            | (Type::Ratio, Value::Ratio(number)) => {
                if let Some(problem) = literals::always(attribute, operator, number, at) {
                    return self.refuse(problem);
                }
                if !self.scope.budget.take_compared(attribute, [&number]) {
                    return self.refuse(too_many_numbers(at));
                }
                Some(Test::Number(attribute, compare(operator), number))
            }
            (Type::Duration, Value::Count(number)) => {
                let range = about.range?;
                self.refuse(literals::bare_number(about.name, number, range, at))
            }
            (ty, other) => self.refuse(
                Diagnostic::new(
                    Code::E0301,
                    format!(
                        "`{attribute}` is {}, compared with {}",
                        ty.phrase(),
                        other.phrase()
                    ),
                )
                .label(at, format!("expected {}", ty.phrase()))
                .help(if ty == Type::Text {
                    literals::quoted(right, &other)
                } else {
                    format!("compare it, as in `{}`", about.example)
                }),
            ),
        }
    }
}

/// An expression as it may stand in a help.
fn written(expr: &Expr) -> String {
    shown(&print_expression(expr)).into_owned()
}

/// A list, written as a set.
fn braced(expr: &Expr) -> String {
    let list = print_expression(expr);
    let members = list.trim_start_matches('[').trim_end_matches(']');
    shown(&format!("{{ {members} }}")).into_owned()
}

fn compare(operator: Operator) -> Compare {
    match operator {
        Operator::Less => Compare::Lt,
        Operator::LessEqual => Compare::Le,
        Operator::Greater => Compare::Gt,
        Operator::GreaterEqual => Compare::Ge,
        _ => Compare::Eq,
    }
}
