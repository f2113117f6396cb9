//! Conditions to clauses: disjunctive normal form, in the order of the text.
//!
//! Negation goes down to the tests first (De Morgan). That keeps the meaning
//! under unknown values: a test on an unknown attribute is false and so is its
//! negation, so a formula whose only negations sit at the tests is true exactly
//! when Kleene's three-valued logic makes the original true.

use crate::check::{Attribute, Cond, RuleId, Test, TierId};

/// A test, or its negation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// The test.
    pub test: Test,
    /// Whether the test must fail for the literal to hold.
    pub negated: bool,
}

impl Literal {
    /// The attribute that the test reads.
    pub fn attribute(&self) -> Attribute {
        self.test.attribute()
    }
}

/// A conjunction of literals, and the rule it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// The rule.
    pub rule: RuleId,
    /// The tier of the rule.
    pub tier: TierId,
    /// All of these must hold; none means that the clause always does.
    pub literals: Vec<Literal>,
}

/// The clauses of one condition, or `None` when there are more than `room`.
pub(super) fn expand(when: Option<&Cond>, room: usize) -> Option<Vec<Vec<Literal>>> {
    let clauses = match when {
        None => vec![Vec::new()],
        Some(cond) => disjunction(cond, false, room)?,
    };
    (clauses.len() <= room).then_some(clauses)
}

fn disjunction(cond: &Cond, negated: bool, room: usize) -> Option<Vec<Vec<Literal>>> {
    match cond {
        Cond::Not(inner) => disjunction(inner, !negated, room),
        // Unknown, and so is its negation.
        Cond::Model(..) => Some(Vec::new()),
        Cond::Test(test, _) => Some(vec![vec![Literal {
            test: test.clone(),
            negated,
        }]]),
        Cond::And(parts) if !negated => product(parts, negated, room),
        Cond::Or(parts) if negated => product(parts, negated, room),
        Cond::And(parts) | Cond::Or(parts) => {
            let mut sum = Vec::new();
            for part in parts {
                sum.extend(disjunction(part, negated, room)?);
                if sum.len() > room {
                    return None;
                }
            }
            Some(sum)
        }
    }
}

fn product(parts: &[Cond], negated: bool, room: usize) -> Option<Vec<Vec<Literal>>> {
    let mut clauses: Vec<Vec<Literal>> = vec![Vec::new()];
    for part in parts {
        let factors = disjunction(part, negated, room)?;
        if clauses.len().saturating_mul(factors.len()) > room {
            return None;
        }
        clauses = clauses
            .iter()
            .flat_map(|clause| {
                factors.iter().map(move |factor| {
                    let mut joined = clause.clone();
                    for literal in factor {
                        if !joined.contains(literal) {
                            joined.push(literal.clone());
                        }
                    }
                    joined
                })
            })
            .collect();
    }
    Some(clauses)
}
