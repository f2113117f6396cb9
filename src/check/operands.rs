//! What stands on the right of an operator: sets, texts, patterns, values.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::attribute::{Attribute, Type};
use super::conditions::{Conditions, compare};
use super::literals;
use super::misfit::{too_many_names, too_many_numbers, too_many_prefixes};
use super::pattern::{flaw_of_regex, malformed_glob};
use super::policy::{Cond, Test};
use super::sets::{Members, SetValue};
use super::types::{self, Value};
use super::wording;
use crate::diag::{Code, Diagnostic, Span, shown};
use crate::syntax::ast::{Expr, Kind, Operator};
use crate::syntax::print::print_expression;

/// What stands on the right of `in` or `under`.
pub(super) struct Right {
    pub(super) set: SetValue,
    /// The name of the set; none when it is written out.
    pub(super) name: Option<String>,
}

impl Conditions<'_> {
    /// The set on the right of `in`.
    pub(super) fn right_set(
        &mut self,
        left: &str,
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
                        .help(format!("write `{left} {one} {name}`")),
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
            Kind::Binary(Operator::Range, _, low, high) => Some(Right {
                set: types::range(low, high, span, self.scope, self.sink)?.into(),
                name: None,
            }),
            _ => {
                let value = types::value(right, self.scope, self.sink)?;
                self.refuse(
                    Diagnostic::new(
                        Code::E0308,
                        format!("`{}` asks for a set", operator.as_str()),
                    )
                    .label(span, value.phrase())
                    .help(format!("write `{left} {one} {}`", written(right))),
                )
            }
        }
    }

    /// Examines the members of a set of texts that an attribute is compared with.
    pub(super) fn texts(
        &mut self,
        attribute: Attribute,
        operator: Operator,
        right: &Right,
    ) -> Option<()> {
        // A named set is examined once for each use of its kind.
        if let Some(name) = &right.name
            && !self.examined.insert((attribute, name.clone(), operator))
        {
            return Some(());
        }
        let texts = &right.set.texts;
        let problems: Vec<_> = texts
            .iter()
            .filter_map(|(text, span)| literals::unusable(attribute, text, *span))
            .collect();
        self.all(problems)?;
        if let Some((text, span)) = texts.iter().find(|(text, _)| text.contains('*')) {
            self.sink
                .push(wording::star(attribute, operator, text, *span));
        }
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

    /// A set on the right of an operator that asks for texts; `wanted` is what.
    fn right_texts(
        &mut self,
        attribute: Attribute,
        operator: Operator,
        right: &Expr,
        wanted: &str,
    ) -> Option<(Right, Arc<BTreeSet<String>>)> {
        let right = self.right_set(attribute.about().name, Operator::In, right)?;
        if let Members::Text(texts) = &right.set.members {
            let texts = Arc::clone(texts);
            return Some((right, texts));
        }
        let phrase = right.set.members.phrase();
        let numbers = right.set.numbers.first().map(|(_, span)| *span);
        let place = numbers.or(right.set.ranges.first().map(|range| range.span))?;
        self.refuse(
            Diagnostic::new(
                Code::E0301,
                format!("`{}` with {phrase}", operator.as_str()),
            )
            .label(place, format!("expected {wanted}")),
        )
    }

    pub(super) fn under(&mut self, attribute: Attribute, right: &Expr) -> Option<Test> {
        if self.is_set(right) {
            let (right, texts) = self.right_texts(attribute, Operator::Under, right, "a path")?;
            self.texts(attribute, Operator::Under, &right)?;
            return Some(Test::Under(attribute, texts));
        }
        let text = self.text(attribute, Operator::Under, right)?;
        let problem = literals::unusable(attribute, &text, right.span());
        self.all(problem.into_iter().collect())?;
        self.warn_of_star(attribute, Operator::Under, &text, right.span());
        if !self.scope.budget.take_prefixes(attribute, [&text]) {
            return self.refuse(too_many_prefixes(attribute, Some(right.span())));
        }
        Some(Test::Under(attribute, Arc::new(BTreeSet::from([text]))))
    }

    /// The operators that look at a part of a text, or at a pattern of it. Of the
    /// members of a set one is enough; `span` is the whole comparison.
    pub(super) fn part(
        &mut self,
        attribute: Attribute,
        operator: Operator,
        right: &Expr,
        span: Span,
    ) -> Option<Cond> {
        let test = |text: &str| Cond::Test(part_test(attribute, operator, text), span);
        if !self.is_set(right) {
            let text = self.text(attribute, operator, right)?;
            self.examine_part(attribute, operator, &text, right.span())?;
            return Some(test(&text));
        }
        let (right, texts) = self.right_texts(attribute, operator, right, "a text")?;
        // A named set is examined once for each use of its kind.
        let is_new = match right.name {
            Some(name) => self.examined.insert((attribute, name, operator)),
            None => true,
        };
        if is_new {
            let members = right.set.texts.iter();
            let sound: Vec<bool> = members
                .map(|(text, span)| {
                    self.examine_part(attribute, operator, text, *span)
                        .is_some()
                })
                .collect();
            if sound.contains(&false) {
                return None;
            }
        }
        let mut tests: Vec<Cond> = texts.iter().map(|text| test(text)).collect();
        match tests.len() {
            1 => tests.pop(),
            _ => Some(Cond::Or(tests)),
        }
    }

    /// Complains of what cannot be a part of a text, or a pattern of it.
    fn examine_part(
        &mut self,
        attribute: Attribute,
        operator: Operator,
        text: &str,
        span: Span,
    ) -> Option<()> {
        if let Some(problem) = literals::unusable_part(attribute, operator, text, span) {
            return self.refuse(problem);
        }
        match operator {
            Operator::Like => {
                if let Some(wrong) = malformed_glob(text) {
                    let place = (wrong.start, wrong.end);
                    let problem = wording::malformed_glob(text, &wrong, span);
                    self.sink.push_inside(problem, text, place);
                    return None;
                }
                if let Some(problem) = literals::rootless(attribute, text, span) {
                    return self.refuse(problem);
                }
                if let Some(warning) = wording::odd_glob(attribute, text, span) {
                    self.sink.push(warning);
                }
            }
            Operator::Matches => {
                if let Some(flaw) = flaw_of_regex(text) {
                    let place = (flaw.start, flaw.end);
                    let problem = wording::malformed_regex(text, &flaw, span);
                    self.sink.push_inside(problem, text, place);
                    return None;
                }
                if let Some(warning) = wording::odd_regex(text, span) {
                    self.sink.push(warning);
                }
            }
            _ => {
                self.warn_of_star(attribute, operator, text, span);
                let text = text.to_owned();
                if operator == Operator::StartsWith
                    && !self.scope.budget.take_prefixes(attribute, [&text])
                {
                    return self.refuse(too_many_prefixes(attribute, Some(span)));
                }
            }
        }
        Some(())
    }

    fn warn_of_star(&mut self, attribute: Attribute, operator: Operator, text: &str, span: Span) {
        if text.contains('*') {
            self.sink
                .push(wording::star(attribute, operator, text, span));
        }
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
    pub(super) fn compare(
        &mut self,
        attribute: Attribute,
        operator: Operator,
        right: &Expr,
    ) -> Option<Test> {
        let about = attribute.about();
        let at = right.span();
        let is_range = matches!(right.bare().kind, Kind::Binary(Operator::Range, ..));
        if is_range || self.is_set(right) {
            let what = if is_range { "a range" } else { "a set" };
            let instead = match operator {
                Operator::Equal => "in",
                Operator::NotEqual => "not in",
                _ => {
                    let sign = operator.as_str();
                    return self.refuse(
                        Diagnostic::new(Code::E0308, format!("`{sign}` with {what}"))
                            .label(at, what)
                            .help("compare with one value"),
                    );
                }
            };
            return self.refuse(
                Diagnostic::new(
                    Code::E0308,
                    format!("`{}` compares with one value", operator.as_str()),
                )
                .label(at, what)
                .help(format!("write `{attribute} {instead} {}`", written(right))),
            );
        }
        let value = types::value(right, self.scope, self.sink)?;
        match (about.ty, value) {
            (Type::Text, Value::Text(text)) => {
                let problem = literals::unusable(attribute, &text, at);
                self.all(problem.into_iter().collect())?;
                self.warn_of_star(attribute, operator, &text, at);
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
            (ty, other) => {
                let help = match (ty, &other) {
                    (Type::Text, Value::Count(number @ 0..)) if attribute == Attribute::User => {
                        format!("write `uid {} {number}`", operator.as_str())
                    }
                    (Type::Text, other) => literals::quoted(right, other),
                    (Type::Ratio, Value::Count(number)) => literals::percent(*number),
                    (Type::Count, Value::Text(text)) => {
                        literals::named_instead(attribute, operator, text)
                    }
                    _ => format!("compare it, as in `{}`", about.example),
                };
                let problem = format!(
                    "`{attribute}` is {}, compared with {}",
                    ty.phrase(),
                    other.phrase()
                );
                self.refuse(
                    Diagnostic::new(Code::E0301, problem)
                        .label(at, format!("expected {}", ty.phrase()))
                        .help(help),
                )
            }
        }
    }
}

/// The test that one of these operators makes of a text.
fn part_test(attribute: Attribute, operator: Operator, text: &str) -> Test {
    match operator {
        Operator::Like => Test::Like(attribute, text.into()),
        Operator::Matches => Test::Matches(attribute, text.into()),
        Operator::EndsWith => Test::EndsWith(attribute, text.to_owned()),
        Operator::Contains => Test::Contains(attribute, text.to_owned()),
        _ => Test::StartsWith(attribute, text.to_owned()),
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
