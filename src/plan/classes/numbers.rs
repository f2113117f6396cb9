//! Numbers: intervals, and ids that are listed one by one.

use std::collections::BTreeMap;

use super::bits::{Bits, set, unite, unset};
use super::{ClassId, Classes};
use crate::check::{Compare, Test};

/// The classes of a number or truth attribute (false is 0, true is 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers {
    /// Values that the policy lists, when there are too many to be intervals.
    pub exact: BTreeMap<i64, ClassId>,
    /// First values of the intervals, ascending, each with its class.
    pub bounds: Vec<(i64, ClassId)>,
    /// The class of the values before the first bound.
    pub default: ClassId,
}

impl Numbers {
    /// The class of a value.
    pub fn class(&self, value: i64) -> ClassId {
        if let Some(class) = self.exact.get(&value) {
            return *class;
        }
        let at = self.bounds.partition_point(|(bound, _)| *bound <= value);
        match at.checked_sub(1).and_then(|at| self.bounds.get(at)) {
            Some((_, class)) => *class,
            None => self.default,
        }
    }
}

/// How many listed ids are still looked up as intervals; above that they are
/// hashed like names. Five steps of a search cost about what a hash does.
pub(super) const LISTED_AS_INTERVALS: usize = 16;

/// Parts numbers at the ends of the compared ranges; values that tests list one
/// by one are kept apart when there are more than `listed_max` of them.
pub(super) fn partition_numbers(
    tests: &[&Test],
    listed_max: usize,
    classes: &mut Classes,
) -> Numbers {
    let mut listed: BTreeMap<i64, Bits> = BTreeMap::new();
    for (number, test) in tests.iter().enumerate() {
        match test {
            Test::Number(_, Compare::Eq, value) => set(listed.entry(*value).or_default(), number),
            Test::NumberIn(_, members) => {
                for member in members.iter() {
                    set(listed.entry(*member).or_default(), number);
                }
            }
            _ => {}
        }
    }
    let apart = listed.len() > listed_max;
    if !apart {
        listed.clear();
    }

    // Each test is a union of ranges; a range contributes where it begins and
    // ends, and a counter per test says whether it is open.
    let mut edges: BTreeMap<i64, Vec<(usize, bool)>> = BTreeMap::new();
    let mut first = Bits::new();
    for (number, test) in tests.iter().enumerate() {
        let mut range = |from: Option<i64>, last: i64| {
            match from {
                Some(from) => edges.entry(from).or_default().push((number, true)),
                None => set(&mut first, number),
            }
            if let Some(end) = last.checked_add(1) {
                edges.entry(end).or_default().push((number, false));
            }
        };
        match test {
            Test::Number(_, Compare::Eq, _) | Test::NumberIn(..) if apart => {}
            Test::Number(_, Compare::Eq, value) => range(Some(*value), *value),
            Test::Number(_, Compare::Lt, value) => {
                if let Some(last) = value.checked_sub(1) {
                    range(None, last);
                }
            }
            Test::Number(_, Compare::Le, value) => range(None, *value),
            Test::Number(_, Compare::Gt, value) => {
                if let Some(from) = value.checked_add(1) {
                    range(Some(from), i64::MAX);
                }
            }
            Test::Number(_, Compare::Ge, value) => range(Some(*value), i64::MAX),
            Test::NumberIn(_, members) => {
                for member in members.iter() {
                    range(Some(*member), *member);
                }
            }
            Test::IsTrue(_) => range(Some(1), i64::MAX),
            _ => {}
        }
    }

    let default = classes.of(&first);
    let mut signature = first.clone();
    let mut intervals: Vec<(i64, Bits)> = Vec::new();
    let mut bounds: Vec<(i64, ClassId)> = Vec::new();
    let mut before = default;
    for (bound, changes) in edges {
        // A range may end where the next of the same test begins.
        for (number, _) in changes.iter().filter(|(_, opens)| !opens) {
            unset(&mut signature, *number);
        }
        for (number, _) in changes.iter().filter(|(_, opens)| *opens) {
            set(&mut signature, *number);
        }
        let class = classes.of(&signature);
        if class != before {
            bounds.push((bound, class));
            intervals.push((bound, signature.clone()));
            before = class;
        }
    }
    let exact = listed
        .into_iter()
        .map(|(value, mut listed)| {
            let at = intervals.partition_point(|(bound, _)| *bound <= value);
            let compared = match at.checked_sub(1).and_then(|at| intervals.get(at)) {
                Some((_, signature)) => signature,
                None => &first,
            };
            unite(&mut listed, compared);
            (value, classes.of(&listed))
        })
        .collect();
    Numbers {
        exact,
        bounds,
        default,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::bits::has;
    use super::*;
    use crate::check::Attribute;

    fn compares() -> impl Strategy<Value = Compare> {
        prop_oneof![
            Just(Compare::Eq),
            Just(Compare::Lt),
            Just(Compare::Le),
            Just(Compare::Gt),
            Just(Compare::Ge)
        ]
    }

    fn edge() -> impl Strategy<Value = i64> {
        prop_oneof![-4i64..5, Just(i64::MIN), Just(i64::MAX), Just(i64::MAX - 1)]
    }

    proptest! {
        #[test]
        fn numbers_agree_with_comparing(
            compared in prop::collection::vec((compares(), edge()), 0..6),
            listed in prop::collection::btree_set(edge(), 0..6),
            listed_max in 0usize..8,
            value in edge(),
        ) {
            let mut tests: Vec<Test> = compared
                .iter()
                .map(|(compare, with)| Test::Number(Attribute::Uid, *compare, *with))
                .collect();
            tests.push(Test::NumberIn(Attribute::Uid, Arc::new(listed.clone())));
            let mut classes = Classes::default();
            let numbers =
                partition_numbers(&tests.iter().collect::<Vec<_>>(), listed_max, &mut classes);
            let bits = &classes.signatures[numbers.class(value).0 as usize];
            for (index, (compare, with)) in compared.iter().enumerate() {
                let holds = match compare {
                    Compare::Eq => value == *with,
                    Compare::Lt => value < *with,
                    Compare::Le => value <= *with,
                    Compare::Gt => value > *with,
                    Compare::Ge => value >= *with,
                };
                prop_assert_eq!(has(bits, index), holds);
            }
            prop_assert_eq!(has(bits, compared.len()), listed.contains(&value));
        }
    }
}
