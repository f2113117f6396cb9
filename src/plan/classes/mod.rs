//! Values to equivalence classes, classes to clause bitmaps.
//!
//! For each slot the distinct tests of the policy are numbered; the *signature*
//! of a value is the set of tests that hold for it. Two values with one signature
//! are in one class. Signatures are never enumerated: text is parted at the names
//! and prefixes that the policy mentions (prefixes nest, so one sweep over their
//! sorted ends gives every interval), numbers at the ends of the compared ranges,
//! and text that conditions look inside of by the answers that one automaton for
//! all of them can give.
//!
//! `under "/a"` is the name `/a` and the prefix `/a/`; nothing else needs paths.

mod bits;
mod numbers;
mod patterns;
mod texts;

use std::collections::HashMap;
use std::sync::Arc;

use super::clauses::Clause;
use super::slot::{Placement, Slot};
use crate::check::{Attribute, Test, TooComplex, Type};
use bits::{disjoint, has, ones, set, subset, unite};
use numbers::{LISTED_AS_INTERVALS, partition_numbers};
use patterns::partition_patterns;
use texts::partition_texts;

pub use bits::Bits;
pub use numbers::Numbers;
pub use patterns::PatternTexts;
pub use texts::Texts;

/// Position of a class in [`AttributePlan::rows`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClassId(pub u32);

/// How the values of an attribute become classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Partition {
    /// By names and prefixes.
    Text(Texts),
    /// By names, and an automaton for everything else.
    Pattern(PatternTexts),
    /// By intervals.
    Number(Numbers),
}

/// What is planned for one attribute, or for the patterns on one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributePlan {
    /// Where its rows go.
    pub slot: Slot,
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

impl AttributePlan {
    /// The class of a text. A value that no task can have, or that has another
    /// type, is as good as unknown.
    pub fn class_of_text(&self, value: &str) -> ClassId {
        match &self.partition {
            Partition::Text(texts) => texts.class(value),
            Partition::Pattern(texts) => texts.class(value).unwrap_or(self.unknown),
            Partition::Number(_) => self.unknown,
        }
    }

    /// The class of a number: a count as it is, a duration in nanoseconds, a
    /// ratio in parts per million, a truth value as 0 or 1. A value of another
    /// type is as good as unknown.
    pub fn class_of_number(&self, value: i64) -> ClassId {
        match &self.partition {
            Partition::Number(numbers) => numbers.class(value),
            Partition::Text(_) | Partition::Pattern(_) => self.unknown,
        }
    }

    /// The clauses that hold for a class, or do not ask.
    pub fn row(&self, class: ClassId) -> &[u64] {
        let row = self.rows.get(class.0 as usize);
        row.map_or(&[], |row| row.as_slice())
    }

    /// How many classes known values have.
    pub fn classes(&self) -> usize {
        // The last row is that of what is not known.
        self.rows.len().saturating_sub(1)
    }
}

/// Plans every slot that some clause reads, in their order.
///
/// # Errors
///
/// The first slot whose patterns are too complex for one automaton.
pub(super) fn partition_all(clauses: &[Clause]) -> Result<Vec<AttributePlan>, (Slot, TooComplex)> {
    let mut asked: Vec<Option<Tests<'_>>> = Slot::all().map(|_| None).collect();
    for (index, clause) in clauses.iter().enumerate() {
        let mut literals: HashMap<Slot, (Bits, Bits)> = HashMap::new();
        for literal in &clause.literals {
            let slot = Slot::of_test(&literal.test);
            let Some(tests) = asked.get_mut(slot.index()) else {
                continue;
            };
            let number = tests.get_or_insert_default().number(&literal.test);
            let (held, failed) = literals.entry(slot).or_default();
            set(if literal.negated { failed } else { held }, number);
        }
        for (slot, literals) in literals {
            if let Some(Some(tests)) = asked.get_mut(slot.index()) {
                tests.ask(index, literals);
            }
        }
    }
    let planned = Slot::all().zip(asked);
    planned
        .filter_map(|(slot, tests)| {
            let planned = partition(slot, &tests?, clauses.len());
            Some(planned.map_err(|problem| (slot, problem)))
        })
        .collect()
}

/// The distinct tests of one slot, and who asks them.
#[derive(Default)]
struct Tests<'a> {
    tests: Vec<&'a Arc<Test>>,
    /// Equal tests are one, so their address tells them apart.
    numbers: HashMap<*const Test, usize>,
    groups: Vec<Group>,
    /// Which group asks for these to hold and those to fail.
    asking: HashMap<(Bits, Bits), usize>,
    /// All clauses that ask something.
    askers: Bits,
}

/// Clauses that ask the same.
struct Group {
    held: Bits,
    failed: Bits,
    clauses: Bits,
}

impl<'a> Tests<'a> {
    fn number(&mut self, test: &'a Arc<Test>) -> usize {
        let next = self.tests.len();
        let number = *self.numbers.entry(Arc::as_ptr(test)).or_insert(next);
        if number == next {
            self.tests.push(test);
        }
        number
    }

    fn ask(&mut self, clause: usize, literals: (Bits, Bits)) {
        let next = self.groups.len();
        let at = *self.asking.entry(literals.clone()).or_insert(next);
        if at == next {
            let (held, failed) = literals;
            self.groups.push(Group {
                held,
                failed,
                clauses: Bits::new(),
            });
        }
        if let Some(group) = self.groups.get_mut(at) {
            set(&mut group.clauses, clause);
        }
        set(&mut self.askers, clause);
    }

    /// The row of each signature.
    fn rows(&self, signatures: &[Bits], indifferent: &Bits) -> Vec<Bits> {
        // A group that asks for a test to hold is looked at where one holds.
        let mut by_test: HashMap<usize, Vec<&Group>> = HashMap::new();
        let mut anyway: Vec<&Group> = Vec::new();
        for group in &self.groups {
            match ones(&group.held).next() {
                Some(test) => by_test.entry(test).or_default().push(group),
                None => anyway.push(group),
            }
        }
        let row = |signature: &Bits| {
            let mut row = indifferent.clone();
            let candidates = ones(signature)
                .filter_map(|test| by_test.get(&test))
                .flatten();
            for group in candidates.chain(&anyway) {
                if subset(&group.held, signature) && disjoint(&group.failed, signature) {
                    unite(&mut row, &group.clauses);
                }
            }
            row
        };
        signatures.iter().map(row).collect()
    }
}

fn partition(slot: Slot, tests: &Tests<'_>, clauses: usize) -> Result<AttributePlan, TooComplex> {
    let attribute = slot.attribute();
    let mut classes = Classes::default();
    let plain: Vec<&Test> = tests.tests.iter().map(|test| &***test).collect();
    let partition = match attribute.about().ty {
        Type::Text if tests.tests.iter().any(|test| test.is_pattern()) => {
            Partition::Pattern(partition_patterns(&tests.tests, &mut classes)?)
        }
        Type::Text => Partition::Text(partition_texts(&plain, &mut classes)),
        Type::Count | Type::Duration | Type::Ratio | Type::Bool => {
            let listed = if attribute == Attribute::Uid {
                LISTED_AS_INTERVALS
            } else {
                usize::MAX
            };
            Partition::Number(partition_numbers(&plain, listed, &mut classes))
        }
    };

    let mut indifferent = Bits::new();
    for clause in (0..clauses).filter(|clause| !has(&tests.askers, *clause)) {
        set(&mut indifferent, clause);
    }
    let mut rows = tests.rows(&classes.signatures, &indifferent);
    let unknown = ClassId(u32::try_from(rows.len()).unwrap_or(u32::MAX));
    rows.push(indifferent);

    Ok(AttributePlan {
        slot,
        attribute,
        placement: slot.placement(),
        partition,
        unknown,
        rows,
    })
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
