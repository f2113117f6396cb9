//! How much a policy may ask for. The tables in the kernel have fixed sizes;
//! what does not fit is said here, at the item that crossed the limit.

use std::collections::HashSet;

use super::policy::Cond;

/// Tiers in a policy.
pub const MOST_TIERS: usize = 16;
/// Rules, `otherwise` included.
pub const MOST_RULES: usize = 512;
/// Clauses: the rules written as alternatives of conjunctions.
pub const MOST_CLAUSES: u64 = 1_024;
/// Different task names that rules compare `comm` with.
pub const MOST_COMM_NAMES: usize = 65_536;
/// Different prefixes that rules compare `comm` with.
pub const MOST_COMM_PREFIXES: usize = 512;
/// Numbers in all sets together.
pub const MOST_SET_NUMBERS: usize = 4_096;

/// What was taken so far.
#[derive(Debug, Default)]
pub(super) struct Budget {
    comm_names: HashSet<String>,
    comm_prefixes: HashSet<String>,
    numbers: usize,
}

impl Budget {
    /// Takes task names; `false` when they do not fit.
    pub(super) fn take_names<'a>(&mut self, names: impl IntoIterator<Item = &'a String>) -> bool {
        for name in names {
            if self.comm_names.len() > MOST_COMM_NAMES {
                break;
            }
            if !self.comm_names.contains(name) {
                self.comm_names.insert(name.clone());
            }
        }
        self.comm_names.len() <= MOST_COMM_NAMES
    }

    /// Takes a prefix of task names; `false` when it does not fit.
    pub(super) fn take_prefix(&mut self, prefix: &str) -> bool {
        if self.comm_prefixes.len() <= MOST_COMM_PREFIXES {
            self.comm_prefixes.insert(prefix.to_owned());
        }
        self.comm_prefixes.len() <= MOST_COMM_PREFIXES
    }

    /// Takes members of a set of numbers; `false` when they do not fit.
    pub(super) fn take_numbers(&mut self, count: usize) -> bool {
        self.numbers = self.numbers.saturating_add(count);
        self.numbers <= MOST_SET_NUMBERS
    }
}

/// How many clauses a condition (or its negation) becomes, without building
/// them: alternatives add up, conjunctions multiply, saturating.
pub(super) fn clauses(cond: &Cond, negated: bool) -> u64 {
    match cond {
        Cond::Test(..) => 1,
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
    use super::super::attribute::Attribute;
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
