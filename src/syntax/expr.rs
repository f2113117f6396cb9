//! Builds the tree of an expression from the flat list that a front end hands
//! over: operands, prefixes and operators in the order of the text.
//!
//! | binds | operators |
//! |---|---|
//! | tightest | `not` `-` in front of an operand |
//! | | `*` `/` |
//! | | `+` `-` |
//! | | `..` |
//! | | `==` `!=` `<` `<=` `>` `>=` `in` `not in` `under` `starts with` … |
//! | | `and` |
//! | loosest | `or` |
//!
//! The method is Dijkstra's shunting yard: two stacks and no recursion, so the
//! length of a chain costs nothing but memory. What is legal but misread (`a and
//! b or c`, `a < b < c`, `not a == b`) is refused here.

use super::MOST_NESTED;
use super::ast::{Expr, Kind, Operator, Place};
use crate::diag::{Code, Diagnostic, Span, shown};

/// A piece of an expression.
#[derive(Debug)]
pub(super) enum Token {
    /// An operand and how deep it is nested.
    Operand(Expr, usize),
    Not(Span),
    Negative(Span),
    Infix(Infix, Span),
}

/// An operator between operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Infix {
    And,
    Or,
    Binary(Operator),
}

impl Infix {
    fn strength(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Binary(operator) => match operator {
                Operator::Range => 4,
                Operator::Plus | Operator::Minus => 5,
                Operator::Times | Operator::Divide => 6,
                _ => 3,
            },
        }
    }
}

const PREFIX_STRENGTH: u8 = 7;

#[derive(Debug)]
enum Pending {
    Not(Span),
    Negative(Span),
    Infix(Infix, Span),
}

impl Pending {
    fn strength(&self) -> u8 {
        match self {
            Self::Not(_) | Self::Negative(_) => PREFIX_STRENGTH,
            Self::Infix(infix, _) => infix.strength(),
        }
    }
}

struct Yard<'a> {
    text: &'a str,
    operands: Vec<(Expr, usize)>,
    pending: Vec<Pending>,
    diagnostics: &'a mut Vec<Diagnostic>,
    too_deep: bool,
}

/// Builds the tree of one flat list; also tells how deep it is nested. `text` is
/// the file that the spans point into.
pub(super) fn build(
    tokens: Vec<Token>,
    text: &str,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<(Expr, usize)> {
    let mut yard = Yard {
        text,
        operands: Vec::new(),
        pending: Vec::new(),
        diagnostics,
        too_deep: false,
    };
    for token in tokens {
        match token {
            Token::Operand(expr, depth) => yard.operands.push((expr, depth)),
            Token::Not(span) => yard.pending.push(Pending::Not(span)),
            Token::Negative(span) => yard.pending.push(Pending::Negative(span)),
            Token::Infix(infix, span) => {
                while yard
                    .pending
                    .last()
                    .is_some_and(|top| top.strength() >= infix.strength())
                {
                    yard.reduce()?;
                }
                yard.pending.push(Pending::Infix(infix, span));
            }
        }
    }
    while !yard.pending.is_empty() {
        yard.reduce()?;
    }
    let (expr, depth) = yard.operands.pop()?;
    refuse_mixed(&expr, text, diagnostics);
    Some((expr, depth))
}

impl Yard<'_> {
    /// Applies the operator on top of the stack. `None` when an operand is
    /// missing, which the grammar does not let happen.
    fn reduce(&mut self) -> Option<()> {
        let (expr, depth) = match self.pending.pop()? {
            Pending::Not(span) => {
                let (inner, depth) = self.operands.pop()?;
                (prefixed(span, inner, Kind::Not), depth)
            }
            Pending::Negative(span) => {
                let (inner, depth) = self.operands.pop()?;
                (prefixed(span, inner, Kind::Negative), depth)
            }
            Pending::Infix(infix, span) => {
                let (right, right_depth) = self.operands.pop()?;
                let (left, left_depth) = self.operands.pop()?;
                let deepest = left_depth.max(right_depth);
                let place = Place(left.span().to(right.span()));
                match (infix, left.kind) {
                    (Infix::And, Kind::All(mut members)) => {
                        members.push(right);
                        let depth = left_depth.max(right_depth + 1) - 1;
                        (
                            Expr {
                                kind: Kind::All(members),
                                place,
                            },
                            depth,
                        )
                    }
                    (Infix::Or, Kind::Any(mut members)) => {
                        members.push(right);
                        let depth = left_depth.max(right_depth + 1) - 1;
                        (
                            Expr {
                                kind: Kind::Any(members),
                                place,
                            },
                            depth,
                        )
                    }
                    (infix, kind) => {
                        let left = Expr {
                            kind,
                            place: left.place,
                        };
                        let kind = match infix {
                            Infix::And => Kind::All(vec![left, right]),
                            Infix::Or => Kind::Any(vec![left, right]),
                            Infix::Binary(operator) => self.binary(operator, span, left, right),
                        };
                        (Expr { kind, place }, deepest)
                    }
                }
            }
        };
        let depth = depth + 1;
        if depth <= MOST_NESTED {
            self.operands.push((expr, depth));
            return Some(());
        }
        if !self.too_deep {
            self.too_deep = true;
            self.diagnostics.push(
                Diagnostic::new(
                    Code::E0407,
                    format!("operators are nested deeper than {MOST_NESTED}"),
                )
                .label(expr.span(), "one level too deep")
                .help("say it in parts: divide a condition into several rules, a value into constants"),
            );
        }
        // Something small in place of the tree, which is of no use any more.
        let kind = Kind::Truth(false);
        let place = expr.place;
        self.operands.push((Expr { kind, place }, 0));
        Some(())
    }

    fn binary(&mut self, operator: Operator, span: Span, left: Expr, right: Expr) -> Kind {
        let place = Place(span);
        if operator.is_comparison() {
            match left.kind {
                Kind::Not(inner) => return self.negated(operator, span, *inner, right, left.place),
                Kind::Binary(first, at, _, middle) if first.is_comparison() => {
                    self.diagnostics.push(
                        Diagnostic::new(Code::E0104, "comparisons do not chain")
                            .label(span, "the second comparison")
                            .label(at.0, "the first")
                            .help("write two comparisons with `and` between them"),
                    );
                    return Kind::Binary(operator, place, middle, Box::new(right));
                }
                _ => {}
            }
        }
        Kind::Binary(operator, place, Box::new(left), Box::new(right))
    }

    /// `not a == b`: `not` would take only `a`.
    fn negated(
        &mut self,
        operator: Operator,
        span: Span,
        inner: Expr,
        right: Expr,
        not: Place,
    ) -> Kind {
        let whole = not.0.to(right.span());
        let positive = format!(
            "{} {} {}",
            inner.span().of(self.text),
            operator.as_str(),
            right.span().of(self.text)
        );
        let opposite = match operator {
            Operator::Equal => Some("!="),
            Operator::In => Some("not in"),
            _ => None,
        };
        let help = match opposite {
            Some(opposite) => format!(
                "write `{} {opposite} {}`",
                shown(inner.span().of(self.text)),
                shown(right.span().of(self.text))
            ),
            None => format!("write `not ({})`", shown(&positive)),
        };
        self.diagnostics.push(
            Diagnostic::new(
                Code::E0110,
                format!("`not` in front of `{}`", operator.as_str()),
            )
            .label(
                whole,
                format!(
                    "`not` takes only `{}` here",
                    shown(inner.span().of(self.text))
                ),
            )
            .help(help),
        );
        let place = Place(inner.span().to(right.span()));
        let kind = Kind::Binary(operator, Place(span), Box::new(inner), Box::new(right));
        let group = Kind::Group(Box::new(Expr { kind, place }));
        Kind::Not(Box::new(Expr { kind: group, place }))
    }
}

fn prefixed(span: Span, inner: Expr, kind: fn(Box<Expr>) -> Kind) -> Expr {
    let place = Place(span.to(inner.span()));
    Expr {
        kind: kind(Box::new(inner)),
        place,
    }
}

/// Refuses `a and b or c`. `or` binds loosest, so a mixture always has it at the
/// top.
fn refuse_mixed(expr: &Expr, text: &str, diagnostics: &mut Vec<Diagnostic>) {
    let Kind::Any(members) = &expr.kind else {
        return;
    };
    let is_all = |member: &&Expr| matches!(member.kind, Kind::All(_));
    let Some(first) = members.iter().find(is_all) else {
        return;
    };
    let fixed: Vec<String> = members
        .iter()
        .map(|member| {
            let source = member.span().of(text);
            if is_all(&member) {
                format!("({source})")
            } else {
                source.to_owned()
            }
        })
        .collect();
    let fixed = fixed.join(" or ");
    let words: Vec<&str> = fixed.split_whitespace().collect();
    let fixed = words.join(" ");
    let help = if fixed.chars().count() <= 160 && !fixed.contains('#') {
        format!("write `{fixed}` if that is meant, or put the parentheses elsewhere")
    } else {
        "put parentheses around what belongs together".to_owned()
    };
    diagnostics.push(
        Diagnostic::new(Code::E0103, "`and` and `or` are mixed without parentheses")
            .label(first.span(), "does this belong together?")
            .help(help),
    );
}
