//! Whether boxes cover a part of the space.

use std::collections::BTreeSet;

use super::super::bits::Bits;
use super::super::partition::spend;
use super::boxes::{Conjunction, Region};

pub(super) struct Search {
    pub(super) budget: usize,
    /// The rules whose boxes took something away.
    pub(super) used: BTreeSet<usize>,
}

impl Search {
    /// Whether all boxes of a rule are covered; none when the budget is used up.
    pub(super) fn all_covered(
        &mut self,
        everything: &Region,
        own: &[Conjunction],
        above: &[(usize, &Conjunction)],
    ) -> Option<bool> {
        for one in own {
            if !self.covered(&one.within(everything), above)? {
                return Some(false);
            }
        }
        Some(true)
    }

    /// Whether a part of the space is covered by boxes.
    pub(super) fn covered(
        &mut self,
        region: &Region,
        above: &[(usize, &Conjunction)],
    ) -> Option<bool> {
        self.uncovered(region, above).map(|rest| rest.is_none())
    }

    /// A part of a region that no box covers, none inside when all of it is
    /// covered; none outside when the budget is used up. The recursion is as deep
    /// as there are boxes at most.
    pub(super) fn uncovered(
        &mut self,
        region: &Region,
        above: &[(usize, &Conjunction)],
    ) -> Option<Option<Region>> {
        let mut rest = above;
        let (rule, first) = loop {
            let Some(((rule, first), others)) = rest.split_first() else {
                return Some(Some(region.clone()));
            };
            rest = others;
            if self.meets(region, first)? {
                break (*rule, *first);
            }
        };
        self.used.insert(rule);
        // Outside of the box in one attribute, inside in those before it: these
        // parts do not overlap, and what is left at the end is the box.
        let mut inside = region.clone();
        for (attribute, mask) in &first.masks {
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
                if let Some(found) = self.uncovered(&part, rest)? {
                    return Some(Some(found));
                }
            }
            inside.insert(*attribute, met);
        }
        Some(None)
    }

    /// Whether a box and a region have a point in common; none when the budget is
    /// used up.
    pub(super) fn meets(&mut self, region: &Region, one: &Conjunction) -> Option<bool> {
        for (attribute, mask) in &one.masks {
            self.budget = self.budget.checked_sub(mask.words().max(1))?;
            if !region.get(attribute).is_some_and(|own| own.meets(mask)) {
                return Some(false);
            }
        }
        Some(true)
    }

    /// As few of the rules above as cover a rule that is covered by all.
    pub(super) fn fewest(
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
