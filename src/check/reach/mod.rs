//! Finds rules that cannot be meant as they are written: whose condition never
//! holds, always holds, or holds only for tasks that rules above have taken.
//!
//! The analysis is exact. With the values of each attribute divided into classes
//! ([`super::partition`]), a task is a point in a finite space with one
//! coordinate for each attribute, and a clause is a box in it. A rule is
//! unreachable when its boxes are covered by those of the rules above; the search
//! takes one box above after the other away and follows what is left. It has a
//! budget; a rule that is not decided within it is not reported.
//!
//! An unknown value is a coordinate of its own, in which no test holds and no
//! negation of one, as rules are evaluated. What a model will say is not known
//! here: a rule that asks one is never said to hold for certain. Attributes are taken to be
//! independent: what follows from knowing that only programs have an `exe` is
//! not found.

mod boxes;
mod search;
mod witness;

pub use witness::{Difference, Differences, Values, differences, overlaps, task_text, witness};

use std::collections::BTreeSet;

use super::partition::{partitions, patterns};
use super::pattern::TooComplex;
use super::policy::Cond;
use crate::diag::Span;
use boxes::{Conjunction, Models, everything, expand};
use search::Search;

/// Words of bit sets that the search may touch for one rule.
const BUDGET: usize = 2_000_000;
/// And for all rules together.
const WHOLE_BUDGET: usize = 40_000_000;

/// What is wrong with a rule, given by its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// Its condition never holds.
    Never(usize),
    /// Its condition always holds.
    Always(usize),
    /// Every task it would match is taken by these, in the order of the text;
    /// and whether it is a single one, which matches no others.
    Unreachable(usize, Vec<usize>, bool),
    /// The pattern at this place asks for too much, so nothing else was found.
    TooComplex(Span, TooComplex),
}

/// Analyses rules given by their conditions, in order; none for `otherwise`.
pub(super) fn analyse(rules: &[Option<&Cond>]) -> Vec<Finding> {
    let mut left = WHOLE_BUDGET;
    let conds = || rules.iter().copied().flatten();
    let patterns = match patterns(conds()) {
        Ok(patterns) => patterns,
        Err((span, problem)) => return vec![Finding::TooComplex(span, problem)],
    };
    let Some(space) = partitions(conds(), &patterns, false, &mut left) else {
        return Vec::new();
    };
    let boxes: Option<Vec<Vec<Conjunction>>> = rules
        .iter()
        .map(|cond| {
            cond.map_or(Some(Vec::new()), |cond| {
                expand(cond, true, Models::Unforeseen, &space, &mut left)
            })
        })
        .collect();
    let Some(boxes) = boxes else {
        return Vec::new();
    };
    let everything = everything(&space);
    let mut findings = Vec::new();
    // Boxes of the rules above that are sound and certain.
    let mut above: Vec<(usize, &Conjunction)> = Vec::new();
    for (index, own) in boxes.iter().enumerate() {
        if rules.get(index).is_none_or(Option::is_none) {
            continue;
        }
        if own.is_empty() {
            findings.push(Finding::Never(index));
            continue;
        }
        let mut search = Search {
            budget: BUDGET.min(left),
            used: BTreeSet::new(),
        };
        let all: Vec<_> = own
            .iter()
            .filter(|one| !one.unsure)
            .map(|one| (index, one))
            .collect();
        if search.covered(&everything, &all) == Some(true) {
            findings.push(Finding::Always(index));
            continue;
        }
        search.used.clear();
        if search.all_covered(&everything, own, &above) == Some(true) {
            let by = search.fewest(&everything, own, &above);
            let equal = match by.as_slice() {
                [one] if all.len() == own.len() => boxes.get(*one).is_some_and(|other| {
                    search.all_covered(&everything, other, &all) == Some(true)
                }),
                _ => false,
            };
            findings.push(Finding::Unreachable(index, by, equal));
        } else {
            above.extend(all);
        }
        left = left.saturating_sub(BUDGET.min(left).saturating_sub(search.budget));
    }
    findings
}

#[cfg(test)]
mod brute;

#[cfg(test)]
mod tests {
    use super::super::attribute::Attribute;
    use super::super::policy::{Compare, Test};
    use super::*;
    use crate::diag::Span;

    fn number(attribute: Attribute, compare: Compare, value: i64) -> Cond {
        Cond::Test(Test::Number(attribute, compare, value), Span::default())
    }

    fn nice(compare: Compare, value: i64) -> Cond {
        number(Attribute::Nice, compare, value)
    }

    fn kthread() -> Cond {
        Cond::Test(Test::IsTrue(Attribute::Kthread), Span::default())
    }

    fn not(cond: Cond) -> Cond {
        Cond::Not(Box::new(cond))
    }

    fn analysed(conds: &[Cond]) -> Vec<Finding> {
        let mut rules: Vec<Option<&Cond>> = conds.iter().map(Some).collect();
        rules.push(None);
        analyse(&rules)
    }

    #[test]
    fn a_rule_may_be_covered_by_several_above() {
        let rules = [
            nice(Compare::Lt, 0),
            kthread(),
            nice(Compare::Ge, 0),
            nice(Compare::Eq, 5),
        ];
        assert_eq!(analysed(&rules), [Finding::Unreachable(3, vec![2], false)]);
        let rules = [
            Cond::And(vec![kthread(), nice(Compare::Gt, 3)]),
            nice(Compare::Lt, -5),
            not(kthread()),
            nice(Compare::Gt, 10),
        ];
        assert_eq!(
            analysed(&rules),
            [Finding::Unreachable(3, vec![0, 2], false)]
        );
    }

    #[test]
    fn contradictions_and_tautologies_are_told_apart() {
        let never = Cond::And(vec![nice(Compare::Lt, 0), nice(Compare::Gt, 5)]);
        let always = Cond::Or(vec![nice(Compare::Lt, 0), nice(Compare::Ge, 0)]);
        assert_eq!(
            analysed(&[never, always]),
            [Finding::Never(0), Finding::Always(1)]
        );
    }

    #[test]
    fn what_is_unknown_escapes_a_test_and_its_negation() {
        let slow = || number(Attribute::RuntimeAvg, Compare::Gt, 5);
        assert_eq!(analysed(&[Cond::Or(vec![slow(), not(slow())])]), []);
        assert_eq!(analysed(&[slow(), not(slow()), kthread()]), []);
        // Without an unknown value the third has nothing left.
        let rules = [kthread(), not(kthread()), slow()];
        assert_eq!(
            analysed(&rules),
            [Finding::Unreachable(2, vec![0, 1], false)]
        );
    }

    #[test]
    fn many_rules_are_decided_within_the_budget() {
        let rules: Vec<Cond> = (0..512)
            .map(|n| {
                Cond::And(vec![
                    number(Attribute::Uid, Compare::Gt, n * 10),
                    number(Attribute::WakeRate, Compare::Lt, 10_000 - n),
                    nice(Compare::Lt, n % 20),
                ])
            })
            .collect();
        let _ = analysed(&rules);
    }
}
