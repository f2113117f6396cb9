//! Sets: their members, and what cannot be one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::attribute::Type;
use super::limits::MOST_SET_NUMBERS;
use super::scope::Scope;
use super::sink::Sink;
use super::types::{self, Range, Value};
use crate::diag::{Code, Diagnostic, Span, shown};
use crate::syntax::ast::{Expr, Kind, Operator};

/// The members of a set; all of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Members {
    Text(Arc<BTreeSet<String>>),
    /// Of this type: those that stand alone. Ranges are in [`SetValue::ranges`].
    Numbers(Type, Arc<BTreeSet<i64>>),
}

impl Members {
    /// The type with its article.
    pub(super) fn phrase(&self) -> &'static str {
        match self {
            Self::Text(_) => "a set of texts",
            Self::Numbers(Type::Duration, _) => "a set of durations",
            Self::Numbers(Type::Ratio, _) => "a set of ratios",
            Self::Numbers(..) => "a set of numbers",
        }
    }
}

/// A set and where each of its members stands.
#[derive(Debug, Clone)]
pub(super) struct SetValue {
    pub(super) members: Members,
    pub(super) texts: Arc<Vec<(String, Span)>>,
    pub(super) numbers: Arc<Vec<(i64, Span)>>,
    pub(super) ranges: Arc<Vec<Range>>,
}

impl From<Range> for SetValue {
    fn from(range: Range) -> Self {
        Self {
            members: Members::Numbers(range.ty, Arc::default()),
            texts: Arc::default(),
            numbers: Arc::default(),
            ranges: Arc::new(vec![range]),
        }
    }
}

impl Scope {
    /// The members of a set that is written out.
    pub(super) fn literal_set(
        &mut self,
        members: &[Expr],
        span: Span,
        sink: &mut Sink,
    ) -> Option<SetValue> {
        if members.is_empty() {
            sink.push(
                Diagnostic::new(Code::E0311, "an empty set")
                    .label(span, "has no members")
                    .help("no task is in it; name at least one member"),
            );
            return None;
        }
        let mut texts: Vec<(String, Span)> = Vec::new();
        let mut numbers: Vec<(i64, Span)> = Vec::new();
        let mut ranges: Vec<Range> = Vec::new();
        let mut first: Option<(Type, &'static str, Span)> = None;
        let mut sound = true;
        for member in members {
            let at = member.span();
            if let Some(problem) = self.not_a_member(member) {
                sink.push(problem);
                sound = false;
                continue;
            }
            let found = match &member.bare().kind {
                Kind::Binary(Operator::Range, _, low, high) => {
                    types::range(low, high, at, self, sink).map(Found::Range)
                }
                _ => types::value(member, self, sink).map(Found::Value),
            };
            let Some(found) = found else {
                sound = false;
                continue;
            };
            let phrase = found.phrase();
            let ty = found.ty().filter(|ty| *ty != Type::Bool);
            let Some(ty) = ty else {
                sink.push(
                    Diagnostic::new(Code::E0311, format!("{phrase} cannot be a member of a set"))
                        .label(at, "expected a text or a number"),
                );
                sound = false;
                continue;
            };
            if let Some((kind, other, place)) = &first
                && *kind != ty
            {
                sink.push(
                    Diagnostic::new(Code::E0311, "a set of several types")
                        .label(at, phrase)
                        .label(*place, *other)
                        .help("make one set for each type"),
                );
                sound = false;
                continue;
            }
            match found {
                Found::Value(Value::Text(text)) => texts.push((text, at)),
                Found::Value(Value::Count(n) | Value::Duration(n) | Value::Ratio(n)) => {
                    numbers.push((n, at));
                }
                Found::Value(Value::Bytes(_) | Value::Truth(_)) => {}
                Found::Range(range) => ranges.push(range),
            }
            first.get_or_insert((ty, phrase, at));
        }
        let (ty, ..) = first?;
        repeated(&texts, |text| format!("\"{}\"", shown(text)), sink);
        repeated(&numbers, |number| types::number(ty, *number), sink);
        covered(ty, &numbers, &ranges, sink);
        if !sound {
            return None;
        }
        if !self.budget.take_numbers(numbers.len() + ranges.len()) {
            sink.push(
                Diagnostic::new(
                    Code::E0405,
                    format!("more than {MOST_SET_NUMBERS} numbers in sets"),
                )
                .label(span, "this set crosses the limit")
                .help("join neighbours to ranges, as `1000..1999`"),
            );
            return None;
        }
        let members = match ty {
            Type::Text => Members::Text(Arc::new(
                texts.iter().map(|(text, _)| text.clone()).collect(),
            )),
            _ => Members::Numbers(ty, Arc::new(numbers.iter().map(|(n, _)| *n).collect())),
        };
        Some(SetValue {
            members,
            texts: Arc::new(texts),
            numbers: Arc::new(numbers),
            ranges: Arc::new(ranges),
        })
    }

    /// Sets inside sets, which people expect to work.
    fn not_a_member(&mut self, member: &Expr) -> Option<Diagnostic> {
        let span = member.span();
        match &member.bare().kind {
            Kind::Name(name) => {
                self.set(name)?;
                Some(
                    Diagnostic::new(Code::E0311, "a set inside a set")
                        .label(span, "a set")
                        .help("test the sets one by one: `comm in a or comm in b`"),
                )
            }
            Kind::Set(_) | Kind::List(_) => Some(
                Diagnostic::new(Code::E0311, "a set inside a set")
                    .label(span, "a set")
                    .help("write all members into one set"),
            ),
            _ => None,
        }
    }
}

/// A member.
enum Found {
    Value(Value),
    Range(Range),
}

impl Found {
    fn ty(&self) -> Option<Type> {
        match self {
            Self::Value(value) => value.ty(),
            Self::Range(range) => Some(range.ty),
        }
    }

    fn phrase(&self) -> &'static str {
        match self {
            Self::Value(value) => value.phrase(),
            Self::Range(range) => match range.ty {
                Type::Duration => "a range of durations",
                Type::Ratio => "a range of ratios",
                _ => "a range of numbers",
            },
        }
    }
}

/// Warns of members that are given twice.
fn repeated<T: Ord>(members: &[(T, Span)], show: impl Fn(&T) -> String, sink: &mut Sink) {
    let mut seen: BTreeMap<&T, Span> = BTreeMap::new();
    for (member, span) in members {
        if let Some(first) = seen.insert(member, *span) {
            sink.push(
                Diagnostic::new(
                    Code::W0203,
                    format!("`{}` is in the set twice", show(member)),
                )
                .label(*span, "again")
                .label(first, "first here")
                .help("delete one of the two"),
            );
        }
    }
}

/// Warns of members that a range has as well.
fn covered(ty: Type, numbers: &[(i64, Span)], ranges: &[Range], sink: &mut Sink) {
    let mut sorted: Vec<&Range> = ranges.iter().collect();
    sorted.sort_by_key(|range| (range.low, range.high));
    let mut twice = |low: i64, span: Span, other: Span| {
        sink.push(
            Diagnostic::new(
                Code::W0203,
                format!("`{}` is in the set twice", types::number(ty, low)),
            )
            .label(span, "again")
            .label(other, "in this range")
            .help("delete one of the two, or join them"),
        );
    };
    let mut widest: Option<&Range> = None;
    for range in &sorted {
        if let Some(other) = widest.filter(|other| range.low <= other.high) {
            twice(range.low, range.span, other.span);
        }
        if widest.is_none_or(|other| range.high > other.high) {
            widest = Some(range);
        }
    }
    for (number, span) in numbers {
        let before = sorted.partition_point(|range| range.low <= *number);
        let holds = |range: &&&Range| range.high >= *number;
        if let Some(range) = sorted
            .get(..before)
            .unwrap_or(&[])
            .iter()
            .rev()
            .take(8)
            .find(holds)
        {
            twice(*number, *span, range.span);
        }
    }
}
