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
//! negation of one, as rules are evaluated. Attributes are taken to be
//! independent: what follows from knowing that only programs have an `exe` is
//! not found.

use std::collections::{BTreeMap, BTreeSet};

use super::attribute::Attribute;
use super::partition::{Bits, Partition, partitions, spend};
use super::policy::Cond;

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
}

/// A conjunction: the classes allowed for each attribute that it tests.
type Conjunction = BTreeMap<Attribute, Bits>;

/// A part of the space: the classes allowed for each attribute.
type Region = BTreeMap<Attribute, Bits>;

/// Analyses rules given by their conditions, in order; none for `otherwise`.
pub(super) fn analyse(rules: &[Option<&Cond>]) -> Vec<Finding> {
    let mut left = WHOLE_BUDGET;
    let Some(space) = partitions(rules.iter().copied().flatten(), &mut left) else {
        return Vec::new();
    };
    let boxes: Option<Vec<Vec<Conjunction>>> = rules
        .iter()
        .map(|cond| {
            cond.map_or(Some(Vec::new()), |cond| {
                expand(cond, true, &space, &mut left)
            })
        })
        .collect();
    let Some(boxes) = boxes else {
        return Vec::new();
    };
    let everything: Region = space
        .iter()
        .map(|(attribute, partition)| (*attribute, Bits::all(partition.len())))
        .collect();
    let mut findings = Vec::new();
    // Boxes of the rules above that are sound.
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
        let all: Vec<_> = own.iter().map(|one| (index, one)).collect();
        if search.covered(&everything, &all) == Some(true) {
            findings.push(Finding::Always(index));
            continue;
        }
        search.used.clear();
        if search.all_covered(&everything, own, &above) == Some(true) {
            let by = search.fewest(&everything, own, &above);
            let equal = match by.as_slice() {
                [one] => boxes.get(*one).is_some_and(|other| {
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

/// Writes a condition (or its negation) as alternatives of conjunctions, those
/// that cannot be left out. None when that is more work than is left.
fn expand(
    cond: &Cond,
    wanted: bool,
    space: &BTreeMap<Attribute, Partition<'_>>,
    left: &mut usize,
) -> Option<Vec<Conjunction>> {
    Some(match cond {
        Cond::Not(inner) => expand(inner, !wanted, space, left)?,
        // What a model says cannot be foreseen.
        Cond::Model(..) => return None,
        Cond::Test(test, _) => {
            let attribute = test.attribute();
            let mask = space
                .get(&attribute)
                .map_or_else(|| Bits::none(0), |partition| partition.mask(test, wanted));
            if mask.is_empty() {
                Vec::new()
            } else {
                vec![Conjunction::from([(attribute, mask)])]
            }
        }
        Cond::And(members) | Cond::Or(members) => {
            let all = matches!(cond, Cond::And(_)) == wanted;
            let mut out = if all {
                vec![Conjunction::new()]
            } else {
                Vec::new()
            };
            for member in members {
                let more = expand(member, wanted, space, left)?;
                if all {
                    let size = |some: &[Conjunction]| -> usize { some.iter().map(words).sum() };
                    let (one, other) = (size(&out), size(&more));
                    let copied = one.saturating_mul(more.len());
                    spend(left, copied.saturating_add(other.saturating_mul(out.len())))?;
                    out = out
                        .iter()
                        .flat_map(|a| more.iter().filter_map(move |b| both(a, b)))
                        .collect();
                } else {
                    out.extend(more);
                }
            }
            out
        }
    })
}

/// How much work it is to copy a conjunction.
fn words(conjunction: &Conjunction) -> usize {
    conjunction.values().map(|mask| mask.words() + 16).sum()
}

/// The conjunction of two, if it can hold.
fn both(a: &Conjunction, b: &Conjunction) -> Option<Conjunction> {
    let mut out = a.clone();
    for (attribute, mask) in b {
        let met = out
            .get(attribute)
            .map_or_else(|| mask.clone(), |own| own.and(mask));
        if met.is_empty() {
            return None;
        }
        out.insert(*attribute, met);
    }
    Some(out)
}

struct Search {
    budget: usize,
    /// The rules whose boxes took something away.
    used: BTreeSet<usize>,
}

impl Search {
    /// Whether all boxes of a rule are covered; none when the budget is used up.
    fn all_covered(
        &mut self,
        everything: &Region,
        own: &[Conjunction],
        above: &[(usize, &Conjunction)],
    ) -> Option<bool> {
        for one in own {
            let mut region = everything.clone();
            region.extend(
                one.iter()
                    .map(|(attribute, mask)| (*attribute, mask.clone())),
            );
            if !self.covered(&region, above)? {
                return Some(false);
            }
        }
        Some(true)
    }

    /// Whether a part of the space is covered by boxes. The recursion is as deep
    /// as there are boxes at most.
    fn covered(&mut self, region: &Region, above: &[(usize, &Conjunction)]) -> Option<bool> {
        let mut rest = above;
        let (rule, first) = loop {
            let Some(((rule, first), others)) = rest.split_first() else {
                return Some(false);
            };
            rest = others;
            let mut meets = true;
            for (attribute, mask) in *first {
                self.budget = self.budget.checked_sub(mask.words().max(1))?;
                if !region.get(attribute).is_some_and(|own| own.meets(mask)) {
                    meets = false;
                    break;
                }
            }
            if meets {
                break (*rule, *first);
            }
        };
        self.used.insert(rule);
        // Outside of the box in one attribute, inside in those before it: these
        // parts do not overlap, and what is left at the end is the box.
        let mut inside = region.clone();
        for (attribute, mask) in first {
            let Some(own) = inside.get(attribute) else {
                continue;
            };
            let outside = own.without(mask);
            let met = own.and(mask);
            if !outside.is_empty() {
                let mut part = inside.clone();
                part.insert(*attribute, outside);
                let cost: usize = part.values().map(Bits::words).sum();
                self.budget = self.budget.checked_sub(cost)?;
                if !self.covered(&part, rest)? {
                    return Some(false);
                }
            }
            inside.insert(*attribute, met);
        }
        Some(true)
    }

    /// As few of the rules above as cover a rule that is covered by all.
    fn fewest(
        &mut self,
        everything: &Region,
        own: &[Conjunction],
        above: &[(usize, &Conjunction)],
    ) -> Vec<usize> {
        let candidates: Vec<usize> = std::mem::take(&mut self.used).into_iter().collect();
        let only = |rules: &[usize]| -> Vec<(usize, &Conjunction)> {
            let rules: BTreeSet<usize> = rules.iter().copied().collect();
            above
                .iter()
                .filter(|(rule, _)| rules.contains(rule))
                .copied()
                .collect()
        };
        for rule in &candidates {
            if spend(&mut self.budget, above.len()).is_none() {
                return candidates;
            }
            if self.all_covered(everything, own, &only(&[*rule])) == Some(true) {
                return vec![*rule];
            }
        }
        let mut kept = candidates.clone();
        for rule in candidates {
            if spend(&mut self.budget, above.len().saturating_mul(16)).is_none() {
                break;
            }
            let fewer: Vec<usize> = kept.iter().copied().filter(|r| *r != rule).collect();
            if self.all_covered(everything, own, &only(&fewer)) == Some(true) {
                kept = fewer;
            }
        }
        kept
    }
}

#[cfg(test)]
mod brute;

#[cfg(test)]
mod tests {
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
