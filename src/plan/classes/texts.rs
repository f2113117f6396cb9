//! Text: names, and the intervals that prefixes cut.

use std::collections::BTreeMap;

use super::bits::{Bits, set, unite};
use super::{ClassId, Classes};
use crate::check::Test;

/// The classes of a text attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Texts {
    /// Values that the policy names.
    pub exact: BTreeMap<String, ClassId>,
    /// First values (as bytes) of the intervals that prefixes make, ascending,
    /// each with the class of the values from there to the next one.
    pub bounds: Vec<(Vec<u8>, ClassId)>,
    /// The class of all other values.
    pub default: ClassId,
}

impl Texts {
    /// The class of a value.
    pub fn class(&self, value: &str) -> ClassId {
        if let Some(class) = self.exact.get(value) {
            return *class;
        }
        self.interval(value)
    }

    /// The class that the prefixes alone give.
    fn interval(&self, value: &str) -> ClassId {
        let at = self
            .bounds
            .partition_point(|(bound, _)| bound.as_slice() <= value.as_bytes());
        match at.checked_sub(1).and_then(|at| self.bounds.get(at)) {
            Some((_, class)) => *class,
            None => self.default,
        }
    }
}

pub(super) fn partition_texts(tests: &[&Test], classes: &mut Classes) -> Texts {
    let default = classes.of(&Bits::new());
    let mut names: BTreeMap<&str, Bits> = BTreeMap::new();
    let mut prefixes: BTreeMap<Vec<u8>, Bits> = BTreeMap::new();

    for (number, test) in tests.iter().enumerate() {
        match test {
            Test::TextIn(_, members) => {
                for member in members.iter() {
                    set(names.entry(member).or_default(), number);
                }
            }
            Test::StartsWith(_, prefix) => {
                set(
                    prefixes.entry(prefix.clone().into_bytes()).or_default(),
                    number,
                );
            }
            Test::Under(_, members) => {
                for member in members.iter() {
                    set(names.entry(member).or_default(), number);
                    let mut prefix = member.trim_end_matches('/').as_bytes().to_vec();
                    prefix.push(b'/');
                    set(prefixes.entry(prefix).or_default(), number);
                }
            }
            Test::EndsWith(..)
            | Test::Contains(..)
            | Test::Like(..)
            | Test::Matches(..)
            | Test::Number(..)
            | Test::NumberIn(..)
            | Test::IsTrue(_) => {}
        }
    }

    let intervals = sweep(&prefixes);
    let bounds = intervals
        .iter()
        .map(|(bound, signature)| (bound.clone(), classes.of(signature)))
        .collect();
    let exact = names
        .into_iter()
        .map(|(name, mut signature)| {
            let at = intervals.partition_point(|(bound, _)| bound.as_slice() <= name.as_bytes());
            if let Some((_, inherited)) = at.checked_sub(1).and_then(|at| intervals.get(at)) {
                unite(&mut signature, inherited);
            }
            (name.to_owned(), classes.of(&signature))
        })
        .collect();
    Texts {
        exact,
        bounds,
        default,
    }
}

/// The intervals that nested prefixes cut the values into: first value and
/// signature of each, ascending. Before the first the signature is empty.
fn sweep(prefixes: &BTreeMap<Vec<u8>, Bits>) -> Vec<(Vec<u8>, Bits)> {
    let mut intervals: Vec<(Vec<u8>, Bits)> = Vec::new();
    // Prefixes that are open, outermost first: end (none: to the last value)
    // and the signature within.
    let mut open: Vec<(Option<Vec<u8>>, Bits)> = Vec::new();

    let close = |open: &mut Vec<(Option<Vec<u8>>, Bits)>,
                 intervals: &mut Vec<(Vec<u8>, Bits)>,
                 until: Option<&[u8]>| {
        while let Some((Some(end), _)) = open.last() {
            if until.is_some_and(|until| end.as_slice() > until) {
                break;
            }
            let end = end.clone();
            open.pop();
            let outer = open.last().map(|(_, s)| s.clone()).unwrap_or_default();
            push_interval(intervals, end, outer);
        }
    };
    for (prefix, own) in prefixes {
        close(&mut open, &mut intervals, Some(prefix));
        let mut signature = open.last().map(|(_, s)| s.clone()).unwrap_or_default();
        unite(&mut signature, own);
        push_interval(&mut intervals, prefix.clone(), signature.clone());
        open.push((successor(prefix), signature));
    }
    close(&mut open, &mut intervals, None);
    intervals
}

/// An interval that ends where the next begins leaves nothing between.
fn push_interval(intervals: &mut Vec<(Vec<u8>, Bits)>, bound: Vec<u8>, signature: Bits) {
    match intervals.last_mut() {
        Some((last, replaced)) if *last == bound => *replaced = signature,
        _ => intervals.push((bound, signature)),
    }
}

/// The first value after all those that begin with `prefix`.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::bits::has;
    use super::*;
    use crate::check::Attribute;

    fn members(names: &[&str]) -> Arc<BTreeSet<String>> {
        Arc::new(names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn signature(texts: &Texts, classes: &Classes, value: &str) -> Bits {
        classes.signatures[texts.class(value).0 as usize].clone()
    }

    #[test]
    fn nested_prefixes_and_names_give_the_innermost_class() {
        let tests = [
            Test::StartsWith(Attribute::Comm, "a".into()),
            Test::StartsWith(Attribute::Comm, "ab".into()),
            Test::TextIn(Attribute::Comm, members(&["abc", "z"])),
        ];
        let mut classes = Classes::default();
        let texts = partition_texts(&tests.iter().collect::<Vec<_>>(), &mut classes);
        for (value, expected) in [
            ("", 0b000),
            ("a", 0b001),
            ("aa", 0b001),
            ("ab", 0b011),
            ("abc", 0b111),
            ("abcd", 0b011),
            ("ac", 0b001),
            ("b", 0b000),
            ("z", 0b100),
            ("zz", 0b000),
        ] {
            let bits = signature(&texts, &classes, value)
                .first()
                .copied()
                .unwrap_or(0);
            assert_eq!(bits, expected, "{value}");
        }
    }

    #[test]
    fn under_is_component_wise() {
        let tests = [Test::Under(Attribute::Cgroup, members(&["/a/b"]))];
        let mut classes = Classes::default();
        let texts = partition_texts(&tests.iter().collect::<Vec<_>>(), &mut classes);
        for (value, expected) in [
            ("/a/b", true),
            ("/a/b/c", true),
            ("/a/bc", false),
            ("/a", false),
            ("/", false),
        ] {
            assert_eq!(
                has(&signature(&texts, &classes, value), 0),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn everything_is_under_the_root() {
        let tests = [Test::Under(Attribute::Cgroup, members(&["/"]))];
        let mut classes = Classes::default();
        let texts = partition_texts(&tests.iter().collect::<Vec<_>>(), &mut classes);
        for value in ["/", "/a", "/a/b"] {
            assert!(has(&signature(&texts, &classes, value), 0), "{value}");
        }
    }

    proptest! {
        #[test]
        fn texts_agree_with_matching(
            prefixes in prop::collection::vec("[ab/]{0,4}", 0..5),
            names in prop::collection::btree_set("[ab/]{0,4}", 0..5),
            value in "[ab/]{0,5}",
        ) {
            let mut tests: Vec<Test> = prefixes
                .iter()
                .map(|prefix| Test::StartsWith(Attribute::Comm, prefix.clone()))
                .collect();
            tests.push(Test::TextIn(Attribute::Comm, Arc::new(names.clone())));
            let mut classes = Classes::default();
            let texts = partition_texts(&tests.iter().collect::<Vec<_>>(), &mut classes);
            let bits = signature(&texts, &classes, &value);
            for (index, prefix) in prefixes.iter().enumerate() {
                prop_assert_eq!(has(&bits, index), value.starts_with(prefix.as_str()));
            }
            prop_assert_eq!(has(&bits, prefixes.len()), names.contains(&value));
        }
    }
}
