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

mod bits;
mod numbers;
mod texts;

use std::collections::HashMap;
use std::sync::Arc;

use super::clauses::Clause;
use super::place::{Placement, place};
use crate::check::{ATTRIBUTES, Attribute, Compare, Test, Type};
use bits::{has, set};
use numbers::{LISTED_AS_INTERVALS, partition_numbers};
use texts::partition_texts;

pub use bits::Bits;
pub use numbers::Numbers;
pub use texts::Texts;

/// Position of a class in [`AttributePlan::rows`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClassId(pub u32);

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
    EndsWith(String),
    Contains(String),
    Like(Arc<str>),
    Matches(Arc<str>),
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
        Test::EndsWith(_, suffix) => TestKey::EndsWith(suffix.clone()),
        Test::Contains(_, part) => TestKey::Contains(part.clone()),
        Test::Like(_, glob) => TestKey::Like(Arc::clone(glob)),
        Test::Matches(_, regex) => TestKey::Matches(Arc::clone(regex)),
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
        Type::Count | Type::Duration | Type::Ratio | Type::Bool => {
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
