//! How much a policy may ask for. The tables in the kernel have fixed sizes;
//! what does not fit is said here, at the item that crossed the limit.

use std::collections::{HashMap, HashSet};

use super::attribute::Attribute;
use super::policy::Cond;

/// Tiers in a policy.
pub const MOST_TIERS: usize = 16;
/// Rules, `otherwise` included.
pub const MOST_RULES: usize = 512;
/// Clauses: the rules written as alternatives of conjunctions.
pub const MOST_CLAUSES: u64 = 1_024;
/// Different texts that rules compare attributes with.
pub const MOST_COMM_NAMES: usize = 65_536;
/// Different prefixes that rules compare `comm` with, and `parent.comm`.
pub const MOST_COMM_PREFIXES: usize = 512;
/// Different prefixes, `under` included, that rules compare all other attributes
/// with.
pub const MOST_PATH_PREFIXES: usize = 16_384;
/// Numbers in all sets together, and different ones that rules compare with.
pub const MOST_SET_NUMBERS: usize = 4_096;

/// What was taken so far.
#[derive(Debug, Default)]
pub(super) struct Budget {
    names: HashMap<Attribute, HashSet<String>>,
    prefixes: HashMap<Attribute, HashSet<String>>,
    compared: HashSet<(Attribute, i64)>,
    numbers: usize,
}

impl Budget {
    /// Takes texts that an attribute is compared with; `false` when they do not
    /// fit.
    pub(super) fn take_names<'a>(
        &mut self,
        attribute: Attribute,
        names: impl IntoIterator<Item = &'a String>,
    ) -> bool {
        let others = total(&self.names, |other| other != attribute);
        let room = MOST_COMM_NAMES.saturating_sub(others);
        take(self.names.entry(attribute).or_default(), names, room)
    }

    /// Takes prefixes of an attribute, paths of `under` among them; `false` when
    /// they do not fit.
    pub(super) fn take_prefixes<'a>(
        &mut self,
        attribute: Attribute,
        prefixes: impl IntoIterator<Item = &'a String>,
    ) -> bool {
        let is_name = |attribute| matches!(attribute, Attribute::Comm | Attribute::ParentComm);
        let room = if is_name(attribute) {
            MOST_COMM_PREFIXES
        } else {
            let others = total(&self.prefixes, |other| {
                other != attribute && !is_name(other)
            });
            MOST_PATH_PREFIXES.saturating_sub(others)
        };
        take(self.prefixes.entry(attribute).or_default(), prefixes, room)
    }

    /// Takes members of a set of numbers; `false` when they do not fit.
    pub(super) fn take_numbers(&mut self, count: usize) -> bool {
        self.numbers = self.numbers.saturating_add(count);
        self.numbers <= MOST_SET_NUMBERS
    }

    /// Takes numbers that an attribute is compared with; `false` when they do
    /// not fit.
    pub(super) fn take_compared<'a>(
        &mut self,
        attribute: Attribute,
        numbers: impl IntoIterator<Item = &'a i64>,
    ) -> bool {
        for number in numbers {
            if self.compared.len() > MOST_SET_NUMBERS {
                break;
            }
            self.compared.insert((attribute, *number));
        }
        self.compared.len() <= MOST_SET_NUMBERS
    }
}

/// How many texts there are for the attributes that count.
fn total(texts: &HashMap<Attribute, HashSet<String>>, counts: impl Fn(Attribute) -> bool) -> usize {
    let counted = texts.iter().filter(|(attribute, _)| counts(**attribute));
    counted.map(|(_, texts)| texts.len()).sum()
}

/// Adds texts, as long as there is room.
fn take<'a>(
    known: &mut HashSet<String>,
    more: impl IntoIterator<Item = &'a String>,
    room: usize,
) -> bool {
    for text in more {
        if known.len() > room {
            break;
        }
        if !known.contains(text) {
            known.insert(text.clone());
        }
    }
    known.len() <= room
}

/// How many clauses a condition (or its negation) becomes, without building
/// them: alternatives add up, conjunctions multiply, saturating.
pub(super) fn clauses(cond: &Cond, negated: bool) -> u64 {
    match cond {
        Cond::Test(..) | Cond::Model(..) => 1,
        Cond::Not(inner) => clauses(inner, !negated),
        Cond::And(members) | Cond::Or(members) => {
            let counts = members.iter().map(|member| clauses(member, negated));
            if matches!(cond, Cond::And(_)) == negated {
                counts.fold(0, u64::saturating_add)
            } else {
                counts.fold(1, u64::saturating_mul)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::policy::Test;
    use super::*;
    use crate::diag::Span;

    #[test]
    fn clauses_are_counted_without_being_built() {
        let test = || Cond::Test(Test::IsTrue(Attribute::Kthread), Span::default());
        let pair = || Cond::Or(vec![test(), test()]);
        assert_eq!(clauses(&test(), true), 1);
        assert_eq!(clauses(&Cond::And(vec![pair(), pair(), pair()]), false), 8);
        assert_eq!(clauses(&Cond::And(vec![pair(), pair(), pair()]), true), 3);
        let many = Cond::And((0..200).map(|_| pair()).collect());
        assert_eq!(clauses(&many, false), u64::MAX);
        assert_eq!(clauses(&Cond::Not(Box::new(many)), false), 200);
    }
}
