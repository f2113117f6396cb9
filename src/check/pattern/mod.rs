//! Tests that look inside of texts, as automata.
//!
//! Whether two tests can hold together, and which texts all tests of a policy
//! treat alike, is asked by the analysis and by the compiler. For names and
//! prefixes sorting answers it ([`super::partition`]); for `ends with`,
//! `contains`, `like` and `matches` it takes automata. Each such test becomes a
//! small deterministic one over bytes. They run side by side, together with the
//! names and the prefixes that the policy lists, and a walk over all combinations
//! of states that can be reached finds every *signature*, a set of tests that
//! hold for one text, with a shortest text that has it ([`walk`]).
//!
//! Automata that count, or many that look for something anywhere, multiply. The
//! walk has a limit; beyond it a policy is refused, because the kernel would need
//! a row for each signature as well.

mod automaton;
mod expression;
mod glob;

mod walk;

use std::collections::HashMap;

use super::attribute::Attribute;
use super::literals::COMM_BYTES;
use super::policy::Test;
use super::types::LONGEST_TEXT;
use automaton::Automaton;

pub use expression::exact as exact_regex;
pub(super) use expression::{Flaw, flaw as flaw_of_regex};
pub(super) use glob::{Malformed, malformed as malformed_glob};

/// What automata may take.
#[derive(Debug)]
pub(super) struct Effort {
    /// Bytes of all automata.
    bytes: usize,
    /// Steps of single automata on a walk.
    steps: usize,
    /// Places on the way to names.
    places: usize,
}

impl Effort {
    /// For all attributes of a policy.
    pub(super) fn of_policy() -> Self {
        let one = Self::default();
        Self {
            bytes: 2 * one.bytes,
            steps: 2 * one.steps,
            places: one.places,
        }
    }
}

/// For one attribute.
impl Default for Effort {
    fn default() -> Self {
        Self {
            bytes: 3 << 19,
            steps: 4_000_000,
            places: 4_000_000,
        }
    }
}

/// Texts that every test treats alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextClass {
    /// The tests that hold, by their position: bit `i % 64` of word `i / 64`;
    /// trailing words that are zero are cut.
    pub signature: Vec<u64>,
    /// A shortest value of the attribute that is in the class; none when only
    /// texts are that no task has.
    pub witness: Option<String>,
}

/// Why tests cannot be divided into classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooComplex {
    /// The automaton of the test at this position is too large.
    Alone(usize),
    /// The tests have too many combinations; the last pattern among them.
    Together(usize),
}

/// The tests of one text attribute, and the classes of its values.
#[derive(Debug, Clone)]
pub struct Patterns {
    tests: Vec<Test>,
    automata: Vec<Automaton>,
    classes: Vec<TextClass>,
    numbers: HashMap<Vec<u64>, usize>,
}

/// Tests say everything; the rest follows from them.
impl PartialEq for Patterns {
    fn eq(&self, other: &Self) -> bool {
        self.tests == other.tests
    }
}

impl Eq for Patterns {}

impl Patterns {
    /// Divides all texts into classes by tests of one text attribute. A test that
    /// is given twice counts twice.
    ///
    /// # Errors
    ///
    /// When an automaton, or the walk over all of them, would take more than tens
    /// of milliseconds or a few MiB.
    pub fn build(tests: &[&Test]) -> Result<Self, TooComplex> {
        Self::made(tests, &mut Effort::default())
    }

    /// The same, with what is left for this and other attributes.
    pub(super) fn within(tests: &[&Test], left: &mut Effort) -> Result<Self, TooComplex> {
        let most = Effort::default();
        let given = Effort {
            bytes: most.bytes.min(left.bytes),
            steps: most.steps.min(left.steps),
            places: most.places.min(left.places),
        };
        let mut own = Effort { ..given };
        let made = Self::made(tests, &mut own);
        left.bytes -= given.bytes - own.bytes;
        left.steps -= given.steps - own.steps;
        left.places -= given.places - own.places;
        made
    }

    fn made(tests: &[&Test], left: &mut Effort) -> Result<Self, TooComplex> {
        let mut automata = Vec::new();
        let mut endings = Vec::new();
        let mut last = 0;
        for (index, test) in tests.iter().enumerate() {
            if !test.is_pattern() {
                continue;
            }
            last = index;
            if let Test::EndsWith(_, ending) = test {
                endings.push((index, ending.as_str()));
                continue;
            }
            let made = Automaton::of(index, test, &mut left.bytes);
            automata.push(made.ok_or(TooComplex::Alone(index))?);
        }
        if !endings.is_empty() {
            let made = Automaton::of_endings(&endings, &mut left.bytes);
            automata.push(made.ok_or(TooComplex::Together(last))?);
        }
        let domain = tests
            .first()
            .map_or(Attribute::Comm, |test| test.attribute());
        let classes =
            walk::classes(tests, &automata, domain, left).ok_or(TooComplex::Together(last))?;
        let numbers = classes
            .iter()
            .enumerate()
            .map(|(number, class)| (class.signature.clone(), number))
            .collect();
        Ok(Self {
            tests: tests.iter().map(|test| (*test).clone()).collect(),
            automata,
            classes,
            numbers,
        })
    }

    /// The classes; every text is in one of them.
    pub fn classes(&self) -> &[TextClass] {
        &self.classes
    }

    /// The tests that hold for a text, as in [`TextClass::signature`].
    pub fn signature(&self, text: &str) -> Vec<u64> {
        let mut signature = Vec::new();
        for (index, test) in self.tests.iter().enumerate() {
            let holds = match test {
                Test::TextIn(_, texts) => texts.contains(text),
                Test::StartsWith(_, prefix) => text.starts_with(prefix.as_str()),
                Test::Under(_, paths) => is_under(text, |path| paths.contains(path)),
                _ => false,
            };
            if holds {
                set(&mut signature, index);
            }
        }
        for automaton in &self.automata {
            automaton.holding(automaton.run(text), |index| set(&mut signature, index));
        }
        signature
    }

    /// The class of a text, by its position in [`Patterns::classes`].
    pub fn class(&self, text: &str) -> Option<usize> {
        self.numbers.get(&self.signature(text)).copied()
    }
}

/// Whether a path, or one above it, is listed.
fn is_under(text: &str, listed: impl Fn(&str) -> bool) -> bool {
    let above = text.match_indices('/').map(|(at, _)| at);
    listed(text)
        || above
            .filter_map(|at| text.get(..at.max(1)))
            .any(|path| path.starts_with('/') && listed(path))
}

/// Sets a bit of a signature.
fn set(signature: &mut Vec<u64>, index: usize) {
    if signature.len() <= index / 64 {
        signature.resize(index / 64 + 1, 0);
    }
    if let Some(word) = signature.get_mut(index / 64) {
        *word |= 1 << (index % 64);
    }
}

/// A part of a path: not empty, not `.` and not `..`.
const PART: &str = r"(?:[^/\x00.]|\.[^/\x00.]|\.\.[^/\x00])[^/\x00]*";

/// The texts that an attribute can have as its value, as an expression, and how
/// many bytes they have at most.
fn domain(attribute: Attribute) -> (String, usize) {
    let any = || r"[^\x00]*".to_owned();
    match attribute {
        Attribute::Comm | Attribute::ParentComm => (any(), COMM_BYTES),
        Attribute::Exe | Attribute::Cgroup => (format!("/(?:{PART}(?:/{PART})*)?"), LONGEST_TEXT),
        _ => (any(), LONGEST_TEXT),
    }
}

#[cfg(test)]
mod tests;
