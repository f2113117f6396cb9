//! Text that conditions look inside of: an automaton, and names beside it.
//!
//! The patterns, prefixes and paths on one attribute are one automaton
//! ([`crate::check::Patterns`]), which reads a value once and knows which of them
//! hold. What it can answer is finite and found when it is built, so every answer
//! has a class. Names are kept apart, each with the class that it has, because
//! thousands of them would make the automaton large and it would not find them
//! faster.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::bits::{Bits, ones, set, unite};
use super::{ClassId, Classes};
use crate::check::{Patterns, Test, TooComplex};

/// The classes of a text whose patterns are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternTexts {
    /// Values that the policy names.
    pub exact: BTreeMap<String, ClassId>,
    /// The class of each answer of the automaton.
    of: HashMap<Bits, ClassId>,
    automaton: Automaton,
}

impl PatternTexts {
    /// The class of a value; none for one that no task can have.
    pub fn class(&self, value: &str) -> Option<ClassId> {
        if let Some(class) = self.exact.get(value) {
            return Some(*class);
        }
        self.of.get(&self.automaton.answer(value)).copied()
    }

    /// How many different answers the automaton has.
    pub fn answers(&self) -> usize {
        self.of.len()
    }

    /// The tests that the automaton decides.
    pub fn tests(&self) -> &[Arc<Test>] {
        &self.automaton.tests
    }
}

/// The automaton, and which of the attribute's tests its own are.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Automaton {
    patterns: Arc<Patterns>,
    tests: Vec<Arc<Test>>,
    numbers: Vec<usize>,
}

impl Automaton {
    /// The tests that hold for a value, by their numbers among all tests.
    fn answer(&self, value: &str) -> Bits {
        self.translated(&self.patterns.signature(value))
    }

    /// The automaton's own numbers of tests, as those of all tests.
    fn translated(&self, own: &Bits) -> Bits {
        let mut bits = Bits::new();
        for number in ones(own).filter_map(|own| self.numbers.get(own)) {
            set(&mut bits, *number);
        }
        bits
    }
}

pub(super) fn partition_patterns(
    tests: &[&Arc<Test>],
    classes: &mut Classes,
) -> Result<PatternTexts, TooComplex> {
    let is_names = |test: &Test| matches!(test, Test::TextIn(..));
    let numbers: Vec<usize> = (0..tests.len())
        .filter(|number| tests.get(*number).is_some_and(|test| !is_names(test)))
        .collect();
    let own: Vec<Arc<Test>> = numbers
        .iter()
        .filter_map(|number| tests.get(*number).map(|test| Arc::clone(test)))
        .collect();
    let plain: Vec<&Test> = own.iter().map(|test| &**test).collect();
    let automaton = Automaton {
        patterns: Arc::new(Patterns::build(&plain)?),
        tests: own,
        numbers,
    };

    let mut of = HashMap::new();
    for possible in automaton.patterns.classes() {
        let answer = automaton.translated(&possible.signature);
        let class = classes.of(&answer);
        of.insert(answer, class);
    }

    let mut names: BTreeMap<&str, Bits> = BTreeMap::new();
    for (number, test) in tests.iter().enumerate() {
        if let Test::TextIn(_, members) = &***test {
            for member in members.iter() {
                set(names.entry(member).or_default(), number);
            }
        }
    }
    let exact = names
        .into_iter()
        .map(|(name, mut signature)| {
            unite(&mut signature, &automaton.answer(name));
            (name.to_owned(), classes.of(&signature))
        })
        .collect();
    Ok(PatternTexts {
        exact,
        of,
        automaton,
    })
}
