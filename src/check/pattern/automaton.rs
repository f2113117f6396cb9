//! One pattern as a deterministic automaton over bytes.

use regex_automata::Anchored;
use regex_automata::MatchKind;
use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_syntax::hir::{Dot, Hir, Repetition};

use super::super::policy::Test;
use super::glob;

/// What the parts of one automaton may take, in bytes: at most this, and at most
/// what is left for all of them.
const MOST: usize = 1 << 20;
/// Brackets inside of each other in a regular expression.
pub(super) const MOST_NESTED: u32 = 64;

/// A state of an automaton; none once the test holds whatever follows.
pub(super) type At = Option<StateID>;

/// An automaton for one pattern test, or for what a value can be.
#[derive(Debug, Clone)]
pub(super) struct Automaton {
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

impl Automaton {
    /// The automaton of a pattern; none when it would be too large. Takes its
    /// size from `left`.
    pub(super) fn of(test: &Test, left: &mut usize) -> Option<Self> {
        let literal = |text: &str| Hir::literal(text.as_bytes().to_vec());
        // Where a literal or a glob begins, a character begins: bytes will do.
        // An empty match inside of a character is none, so a regular expression
        // follows whole characters.
        let (expression, anywhere) = match test {
            Test::EndsWith(_, suffix) => (vec![many(Dot::AnyByte), literal(suffix)], false),
            Test::Contains(_, part) => (vec![many(Dot::AnyByte), literal(part)], true),
            Test::Like(_, glob) => (vec![glob::expression(glob)?], false),
            Test::Matches(_, regex) => (vec![many(Dot::AnyChar), parse(regex).ok()?], true),
            _ => return None,
        };
        Self::build(&Hir::concat(expression), anywhere, left)
    }

    /// The automaton of the texts that fit an expression as a whole.
    pub(super) fn whole(regex: &str) -> Option<Self> {
        Self::build(&parse(regex).ok()?, false, &mut MOST.clone())
    }

    fn build(expression: &Hir, anywhere: bool, left: &mut usize) -> Option<Self> {
        let limit = MOST.min(*left);
        // What fails has cost as much as it may take.
        *left = left.saturating_sub(limit);
        let nfa = thompson::Compiler::new()
            .configure(
                thompson::Config::new()
                    .utf8(false)
                    .which_captures(WhichCaptures::None)
                    .nfa_size_limit(Some(limit / 4)),
            )
            .build_from_hir(expression)
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
        *left = left.saturating_add(limit.saturating_sub(dfa.memory_usage()));
        let start = dfa
            .start_state(&start::Config::new().anchored(Anchored::Yes))
            .ok()?;
        Some(Self {
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

    /// Whether it holds for a text.
    pub(super) fn accepts(&self, text: &str) -> bool {
        let mut at = self.start();
        for byte in text.bytes() {
            at = self.step(at, byte);
            if at.is_none() {
                break;
            }
        }
        self.holds(at)
    }

    /// Bytes of one number are one to the automaton.
    pub(super) fn byte_class(&self, byte: u8) -> u8 {
        self.dfa.byte_classes().get(byte)
    }
}
