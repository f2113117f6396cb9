//! Values to equivalence classes, classes to clause bitmaps.
//!
//! For each attribute the distinct tests of the policy are numbered; the
//! *signature* of a value is the set of tests that hold for it. Two values with
//! one signature are in one class. Signatures are never enumerated: text is
//! parted at the names and prefixes that the policy mentions (prefixes nest, so
//! one sweep over their sorted ends gives every interval), numbers at the ends
//! of the compared ranges.
//!
//! `under "/a"` is the name `/a` and the prefix `/a/`; nothing else needs paths.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::clauses::Clause;
use super::place::{Placement, place};
use crate::check::{ATTRIBUTES, Attribute, Compare, Test, Type};

/// Position of a class in [`AttributePlan::rows`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClassId(pub u32);

/// A set of small numbers, as words of 64 bits; trailing zero words are cut.
pub type Bits = Vec<u64>;

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

/// How the values of an attribute become classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Partition {
    /// By names and prefixes.
    Text(Texts),
    /// By intervals.
    Number(Numbers),
}

/// What is planned for one attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributePlan {
    /// The attribute.
    pub attribute: Attribute,
    /// Who evaluates it.
    pub placement: Placement,
    /// Values to classes.
    pub partition: Partition,
    /// The class of an unknown value.
    pub unknown: ClassId,
    /// Per class, the clauses that hold or do not ask: bit i is clause i.
    pub rows: Vec<Bits>,
}

/// Plans every attribute that some clause reads.
pub(super) fn partition_all(clauses: &[Clause]) -> Vec<AttributePlan> {
    ATTRIBUTES
        .iter()
        .filter_map(|about| {
            let used = clauses.iter().any(|clause| {
                clause
                    .literals
                    .iter()
                    .any(|l| l.attribute() == about.attribute)
            });
            used.then(|| partition(about.attribute, about.ty, clauses))
        })
        .collect()
}

/// Identity of a test: sets are shared, so their address is enough and a second
/// set with the same members merely makes one more test.
#[derive(PartialEq, Eq, Hash)]
enum TestKey {
    Texts(usize),
    StartsWith(String),
    Under(usize),
    Number(Compare, i64),
    Numbers(usize),
    IsTrue,
}

fn key(test: &Test) -> TestKey {
    match test {
        Test::TextIn(_, set) => TestKey::Texts(Arc::as_ptr(set) as usize),
        Test::Under(_, set) => TestKey::Under(Arc::as_ptr(set) as usize),
        Test::NumberIn(_, set) => TestKey::Numbers(Arc::as_ptr(set) as usize),
        Test::StartsWith(_, prefix) => TestKey::StartsWith(prefix.clone()),
        Test::Number(_, compare, value) => TestKey::Number(*compare, *value),
        Test::IsTrue(_) => TestKey::IsTrue,
    }
}

/// The distinct tests of one attribute, and who uses them.
struct Tests<'a> {
    tests: Vec<&'a Test>,
    /// Per clause that asks: (clause, its literals as test number and negation).
    askers: Vec<(usize, Vec<(usize, bool)>)>,
    /// Clauses that do not ask.
    indifferent: Bits,
}

fn partition(attribute: Attribute, ty: Type, clauses: &[Clause]) -> AttributePlan {
    let tests = number_tests(attribute, clauses);
    let mut classes = Classes::default();
    let partition = match ty {
        Type::Text => Partition::Text(partition_texts(&tests.tests, &mut classes)),
        Type::Count | Type::Duration | Type::Bool => {
            let listed = if attribute == Attribute::Uid {
                LISTED_AS_INTERVALS
            } else {
                usize::MAX
            };
            Partition::Number(partition_numbers(&tests.tests, listed, &mut classes))
        }
    };

    let mut rows: Vec<Bits> = classes
        .signatures
        .iter()
        .map(|signature| row(&tests, |test| has(signature, test)))
        .collect();
    let unknown = ClassId(u32::try_from(rows.len()).unwrap_or(u32::MAX));
    rows.push(tests.indifferent);

    AttributePlan {
        attribute,
        placement: place(attribute),
        partition,
        unknown,
        rows,
    }
}

fn number_tests(attribute: Attribute, clauses: &[Clause]) -> Tests<'_> {
    let mut numbers: HashMap<TestKey, usize> = HashMap::new();
    let mut tests = Vec::new();
    let mut askers = Vec::new();
    let mut indifferent = Bits::new();

    for (index, clause) in clauses.iter().enumerate() {
        let mut literals = Vec::new();
        for literal in &clause.literals {
            if literal.attribute() != attribute {
                continue;
            }
            let number = *numbers.entry(key(&literal.test)).or_insert_with(|| {
                tests.push(&literal.test);
                tests.len() - 1
            });
            literals.push((number, literal.negated));
        }
        if literals.is_empty() {
            set(&mut indifferent, index);
        } else {
            askers.push((index, literals));
        }
    }
    Tests {
        tests,
        askers,
        indifferent,
    }
}

fn row(tests: &Tests<'_>, holds: impl Fn(usize) -> bool) -> Bits {
    let mut row = tests.indifferent.clone();
    for (clause, literals) in &tests.askers {
        if literals
            .iter()
            .all(|(test, negated)| holds(*test) != *negated)
        {
            set(&mut row, *clause);
        }
    }
    row
}

/// Signatures seen so far; the class of a signature is its position.
#[derive(Default)]
struct Classes {
    signatures: Vec<Bits>,
    of: HashMap<Bits, ClassId>,
}

impl Classes {
    fn of(&mut self, signature: &Bits) -> ClassId {
        if let Some(class) = self.of.get(signature) {
            return *class;
        }
        let class = ClassId(u32::try_from(self.signatures.len()).unwrap_or(u32::MAX));
        self.signatures.push(signature.clone());
        self.of.insert(signature.clone(), class);
        class
    }
}

fn partition_texts(tests: &[&Test], classes: &mut Classes) -> Texts {
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
            Test::Number(..) | Test::NumberIn(..) | Test::IsTrue(_) => {}
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

/// How many listed ids are still looked up as intervals; above that they are
/// hashed like names. Five steps of a search cost about what a hash does.
const LISTED_AS_INTERVALS: usize = 16;

/// Parts numbers at the ends of the compared ranges; values that tests list one
/// by one are kept apart when there are more than `listed_max` of them.
fn partition_numbers(tests: &[&Test], listed_max: usize, classes: &mut Classes) -> Numbers {
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
            Test::TextIn(..) | Test::StartsWith(..) | Test::Under(..) => {}
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

fn set(bits: &mut Bits, index: usize) {
    let word = index / 64;
    if bits.len() <= word {
        bits.resize(word + 1, 0);
    }
    if let Some(word) = bits.get_mut(word) {
        *word |= 1 << (index % 64);
    }
}

fn unset(bits: &mut Bits, index: usize) {
    if let Some(word) = bits.get_mut(index / 64) {
        *word &= !(1 << (index % 64));
    }
    while bits.last() == Some(&0) {
        bits.pop();
    }
}

fn has(bits: &Bits, index: usize) -> bool {
    bits.get(index / 64)
        .is_some_and(|word| word >> (index % 64) & 1 == 1)
}

fn unite(bits: &mut Bits, other: &Bits) {
    if bits.len() < other.len() {
        bits.resize(other.len(), 0);
    }
    for (word, more) in bits.iter_mut().zip(other) {
        *word |= more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

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
