//! One pattern as a deterministic automaton over bytes.

use regex_automata::Anchored;
use regex_automata::MatchKind;
use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_syntax::hir::{Dot, Hir, Repetition};

use super::super::policy::Test;
use super::expression::exact;
use super::glob;

/// What the parts of one automaton may take, in bytes: at most this, and at most
/// what is left for all of them.
const MOST: usize = 512 << 10;
/// Brackets inside of each other in a regular expression.
pub(super) const MOST_NESTED: u32 = 64;

/// A state of an automaton; none once the test holds whatever follows.
pub(super) type At = Option<StateID>;

/// An automaton for a pattern test, for all tests of endings, or for what a value
/// can be.
#[derive(Debug, Clone)]
pub(super) struct Automaton {
    /// The tests, by their position.
    tests: Vec<usize>,
    dfa: dense::DFA<Vec<u32>>,
    start: StateID,
    /// Whether a match anywhere decides; otherwise the whole text counts.
    anywhere: bool,
}

/// Any number of these.
pub(super) fn many(dot: Dot) -> Hir {
    Hir::repetition(Repetition {
        min: 0,
        max: None,
        greedy: true,
        sub: Box::new(Hir::dot(dot)),
    })
}

/// Parses a regular expression as the crate `regex` does.
pub(super) fn parse(regex: &str) -> Result<Hir, Box<regex_syntax::Error>> {
    regex_syntax::ParserBuilder::new()
        .nest_limit(MOST_NESTED)
        .build()
        .parse(regex)
        .map_err(Box::new)
}

fn literal(text: &str) -> Hir {
    Hir::literal(text.as_bytes().to_vec())
}

impl Automaton {
    /// The automaton of the pattern at a position; none when it would be too
    /// large. Takes its size from `left`.
    pub(super) fn of(index: usize, test: &Test, left: &mut usize) -> Option<Self> {
        // Where a literal or a glob begins, a character begins: bytes will do.
        // An empty match inside of a character is none, so a regular expression
        // follows whole characters.
        let (expression, anywhere) = match test {
            Test::Contains(_, part) => (vec![many(Dot::AnyByte), literal(part)], true),
            Test::Like(_, glob) => (vec![glob::expression(glob)?], false),
            Test::Matches(_, regex) => (vec![many(Dot::AnyChar), parse(&exact(regex)).ok()?], true),
            _ => return None,
        };
        Self::build(&[Hir::concat(expression)], vec![index], anywhere, left)
    }

    /// The one automaton of all endings, each of the test at a position. Side by
    /// side they would be looked at one by one in every step.
    pub(super) fn of_endings(endings: &[(usize, &str)], left: &mut usize) -> Option<Self> {
        let each =
            |(_, ending): &(usize, &str)| Hir::concat(vec![many(Dot::AnyByte), literal(ending)]);
        let expressions: Vec<Hir> = endings.iter().map(each).collect();
        let tests = endings.iter().map(|(index, _)| *index).collect();
        Self::build(&expressions, tests, false, left)
    }

    /// The automaton of the texts that fit an expression as a whole.
    pub(super) fn whole(regex: &str) -> Option<Self> {
        let expression = parse(regex).ok()?;
        Self::build(&[expression], vec![0], false, &mut MOST.clone())
    }

    fn build(
        expressions: &[Hir],
        tests: Vec<usize>,
        anywhere: bool,
        left: &mut usize,
    ) -> Option<Self> {
        // Endings are many in one.
        let limit = MOST.saturating_mul(expressions.len()).min(*left);
        // What fails has cost as much as it may take.
        *left = left.saturating_sub(limit);
        let nfa = thompson::Compiler::new()
            .configure(
                thompson::Config::new()
                    .utf8(false)
                    .which_captures(WhichCaptures::None)
                    .nfa_size_limit(Some(limit / 2)),
            )
            .build_many_from_hir(expressions)
            .ok()?;
        let dfa = dense::Builder::new()
            .configure(
                dense::Config::new()
                    .match_kind(MatchKind::All)
                    .start_kind(StartKind::Anchored)
                    .accelerate(false)
                    .dfa_size_limit(Some(limit))
                    .determinize_size_limit(Some(limit)),
            )
            .build_from_nfa(&nfa)
            .ok()?;
        let used = dfa.memory_usage().saturating_add(nfa.memory_usage());
        *left = left.saturating_add(limit.saturating_sub(used));
        let start = dfa
            .start_state(&start::Config::new().anchored(Anchored::Yes))
            .ok()?;
        Some(Self {
            tests,
            dfa,
            start,
            anywhere,
        })
    }

    pub(super) fn start(&self) -> At {
        Some(self.start)
    }

    /// A match is seen one byte late, so that what looks ahead can.
    pub(super) fn step(&self, at: At, byte: u8) -> At {
        let next = self.dfa.next_state(at?, byte);
        (!(self.anywhere && self.dfa.is_match_state(next))).then_some(next)
    }

    /// Whether the test holds for a text that ends here.
    pub(super) fn holds(&self, at: At) -> bool {
        at.is_none_or(|at| self.dfa.is_match_state(self.dfa.next_eoi_state(at)))
    }

    /// Whether nothing that follows can make it hold.
    pub(super) fn is_lost(&self, at: At) -> bool {
        at.is_some_and(|at| self.dfa.is_dead_state(at))
    }

    /// The tests that hold for a text that ends here.
    pub(super) fn holding(&self, at: At, mut each: impl FnMut(usize)) {
        let Some(at) = at else {
            return self.tests.iter().copied().for_each(each);
        };
        let end = self.dfa.next_eoi_state(at);
        if self.dfa.is_match_state(end) {
            for found in 0..self.dfa.match_len(end) {
                let pattern = self.dfa.match_pattern(end, found);
                self.tests.get(pattern.as_usize()).copied().map(&mut each);
            }
        }
    }

    /// Where a text leads to.
    pub(super) fn run(&self, text: &str) -> At {
        text.bytes()
            .fold(self.start(), |at, byte| self.step(at, byte))
    }

    /// Bytes of one number are one to the automaton.
    pub(super) fn byte_class(&self, byte: u8) -> u8 {
        self.dfa.byte_classes().get(byte)
    }
}
