//! Walks all states that texts lead the tests of one attribute to, shortest texts
//! first.
//!
//! A state is what the automata of the patterns are in, and where the text stands
//! among the names and prefixes that tests list: on the way to one of them, or
//! off every way, with the prefixes it has passed. On the way to a name there is
//! one text for each place, so names add to the number of states and do not
//! multiply it; off it, only patterns do.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use super::super::attribute::Attribute;
use super::super::policy::Test;
use super::automaton::{At, Automaton};
use super::{Effort, TextClass, domain, set};

/// Classes of one attribute.
const MOST_CLASSES: usize = 1 << 14;

/// The tests that hold at a name, and those that hold for what begins with it.
#[derive(Debug, Default)]
struct Marks {
    here: Vec<usize>,
    inside: Vec<usize>,
}

/// Where a text stands among the listed ones: those from `low` to `high` begin
/// with it. None when no listed text does.
type Way = Option<(usize, usize)>;

struct State {
    /// What the automata are in.
    inner: u32,
    /// The prefixes that were passed.
    passed: u32,
    way: Way,
    depth: usize,
    /// The state before, and the byte that led here.
    before: Option<(usize, u8)>,
}

/// What the automata are in, and what follows from it for a text that ends here.
struct Inner {
    at: Box<[At]>,
    holds: Vec<u64>,
    is_text: bool,
    is_value: bool,
    /// The state after each class of bytes, as far as it was asked for.
    next: Vec<Option<u32>>,
}

/// Bytes that no automaton tells apart, the most readable first.
struct Alphabet {
    class_of: Vec<usize>,
    classes: Vec<Vec<u8>>,
}

impl Alphabet {
    fn new(automata: &[&Automaton]) -> Self {
        let mut bytes: Vec<u8> = (0..=u8::MAX).collect();
        bytes.sort_by_key(|byte| match byte {
            b'a'..=b'z' => 0,
            b'0'..=b'9' => 1,
            b'A'..=b'Z' => 2,
            b'-' | b'.' | b'/' | b'_' => 3,
            0x21..=0x7e => 4,
            b' ' => 5,
            0x80.. => 6,
            _ => 7,
        });
        let mut known: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut alphabet = Self {
            class_of: vec![0; 256],
            classes: Vec::new(),
        };
        for byte in bytes {
            let all = automata.iter().map(|a| a.byte_class(byte)).collect();
            let class = *known.entry(all).or_insert_with(|| {
                alphabet.classes.push(Vec::new());
                alphabet.classes.len() - 1
            });
            if let Some(members) = alphabet.classes.get_mut(class) {
                members.push(byte);
            }
            if let Some(of) = alphabet.class_of.get_mut(usize::from(byte)) {
                *of = class;
            }
        }
        alphabet
    }
}

struct Walk<'a> {
    /// Whether it is text, whether it can be a value, and the patterns.
    automata: Vec<&'a Automaton>,
    alphabet: Alphabet,
    listed: Vec<(Vec<u8>, Marks)>,
    longest: usize,
    inner: Vec<Inner>,
    inner_ids: HashMap<Box<[At]>, u32>,
    passed: Vec<Vec<u64>>,
    passed_ids: HashMap<Vec<u64>, u32>,
    states: Vec<State>,
    queue: VecDeque<usize>,
    /// Classes of bytes that no state with these automata and prefixes has left
    /// the listed texts by.
    remaining: HashMap<(u32, u32), Vec<usize>>,
    off: HashSet<(u32, u32)>,
    left: &'a mut Effort,
}

/// The classes of all texts, in the order of their shortest ones; none when the
/// limits are crossed.
pub(super) fn classes(
    tests: &[&Test],
    patterns: &[Automaton],
    attribute: Attribute,
    left: &mut Effort,
) -> Option<Vec<TextClass>> {
    let (domain, longest) = domain(attribute);
    let text = Automaton::whole("(?s:.)*")?;
    let value = Automaton::whole(&domain)?;
    let mut automata = vec![&text, &value];
    automata.extend(patterns);
    let walk = Walk {
        alphabet: Alphabet::new(&automata),
        automata,
        listed: listed(tests),
        longest,
        inner: Vec::new(),
        inner_ids: HashMap::new(),
        passed: Vec::new(),
        passed_ids: HashMap::new(),
        states: Vec::new(),
        queue: VecDeque::new(),
        remaining: HashMap::new(),
        off: HashSet::new(),
        left,
    };
    walk.run()
}

/// The names and prefixes that tests list, in the order of their bytes.
fn listed(tests: &[&Test]) -> Vec<(Vec<u8>, Marks)> {
    let mut all: BTreeMap<Vec<u8>, Marks> = BTreeMap::new();
    for (index, test) in tests.iter().enumerate() {
        match test {
            Test::TextIn(_, texts) => {
                for text in texts.iter() {
                    let marks = all.entry(text.as_bytes().to_vec()).or_default();
                    marks.here.push(index);
                }
            }
            Test::StartsWith(_, prefix) => {
                let marks = all.entry(prefix.as_bytes().to_vec()).or_default();
                marks.inside.push(index);
            }
            Test::Under(_, paths) => {
                for path in paths.iter() {
                    let marks = all.entry(path.as_bytes().to_vec()).or_default();
                    marks.here.push(index);
                    let inside = format!("{}/", path.trim_end_matches('/'));
                    all.entry(inside.into_bytes())
                        .or_default()
                        .inside
                        .push(index);
                }
            }
            _ => {}
        }
    }
    all.into_iter().collect()
}

impl Walk<'_> {
    fn run(mut self) -> Option<Vec<TextClass>> {
        let start: Box<[At]> = self.automata.iter().map(|a| a.start()).collect();
        let inner = self.enter(start);
        let passed = self.pass(Vec::new(), (0, self.listed.len()), 0);
        self.states.push(State {
            inner,
            passed,
            way: Some((0, self.listed.len())),
            depth: 0,
            before: None,
        });
        self.queue.push_back(0);
        let mut numbers: HashMap<Vec<u64>, usize> = HashMap::new();
        let mut found: Vec<(Vec<u64>, Option<usize>)> = Vec::new();
        while let Some(current) = self.queue.pop_front() {
            if let Some((signature, is_value)) = self.ends_here(current) {
                let number = *numbers.entry(signature).or_insert_with_key(|signature| {
                    found.push((signature.clone(), None));
                    found.len() - 1
                });
                if found.len() > MOST_CLASSES {
                    return None;
                }
                // The empty text is the shortest, and the least telling.
                if let Some((_, witness)) = found.get_mut(number)
                    && is_value
                    && witness.is_none_or(|witness| witness == 0)
                {
                    *witness = Some(current);
                }
            }
            self.follow(current)?;
        }
        let classes = found.into_iter().map(|(signature, witness)| TextClass {
            signature,
            witness: witness.and_then(|state| self.text(state)),
        });
        Some(classes.collect())
    }

    /// The signature of the text of a state, and whether it can be a value; none
    /// when it is no text.
    fn ends_here(&self, state: usize) -> Option<(Vec<u64>, bool)> {
        let state = self.states.get(state)?;
        let inner = self.inner.get(state.inner as usize)?;
        if !inner.is_text {
            return None;
        }
        let mut signature = inner.holds.clone();
        unite(&mut signature, self.passed.get(state.passed as usize)?);
        if let Some((low, _)) = state.way
            && let Some((text, marks)) = self.listed.get(low)
            && text.len() == state.depth
        {
            marks
                .here
                .iter()
                .for_each(|test| set(&mut signature, *test));
        }
        Some((signature, inner.is_value && state.depth <= self.longest))
    }

    /// Adds the states that follow one; none when that is too much.
    fn follow(&mut self, current: usize) -> Option<()> {
        let state = self.states.get(current)?;
        let (inner, passed, depth, way) = (state.inner, state.passed, state.depth, state.way);
        let mut taken: Vec<u8> = Vec::new();
        if let Some((low, high)) = way {
            let mut from = low;
            while from < high {
                let (text, _) = self.listed.get(from)?;
                let Some(byte) = text.get(depth).copied() else {
                    from += 1;
                    continue;
                };
                let rest = self.listed.get(from..high)?;
                let count = rest.partition_point(|(text, _)| text.get(depth) <= Some(&byte));
                let inside = (from, from + count);
                from += count;
                taken.push(byte);
                self.left.places = self.left.places.checked_sub(1)?;
                let class = self.alphabet.class_of.get(usize::from(byte)).copied()?;
                let Some(next) = self.step(inner, class)? else {
                    continue;
                };
                let before = self.passed.get(passed as usize)?.clone();
                let passed = self.pass(before, inside, depth + 1);
                self.push(next, passed, Some(inside), depth + 1, (current, byte));
            }
        }
        let all = || (0..self.alphabet.classes.len()).collect();
        let remaining = self.remaining.entry((inner, passed)).or_insert_with(all);
        if remaining.is_empty() {
            return Some(());
        }
        let classes = std::mem::take(remaining);
        let mut left = Vec::new();
        for class in classes {
            let bytes = self.alphabet.classes.get(class)?;
            let Some(byte) = bytes.iter().copied().find(|byte| !taken.contains(byte)) else {
                left.push(class);
                continue;
            };
            if let Some(next) = self.step(inner, class)?
                && self.off.insert((next, passed))
            {
                self.push(next, passed, None, depth + 1, (current, byte));
            }
        }
        self.remaining.insert((inner, passed), left);
        Some(())
    }

    fn push(&mut self, inner: u32, passed: u32, way: Way, depth: usize, before: (usize, u8)) {
        self.queue.push_back(self.states.len());
        self.states.push(State {
            inner,
            passed,
            way,
            depth,
            before: Some(before),
        });
    }

    /// The number of the prefixes that a text has passed that stands at `way`.
    fn pass(&mut self, mut before: Vec<u64>, way: (usize, usize), depth: usize) -> u32 {
        if let Some((text, marks)) = self.listed.get(way.0)
            && text.len() == depth
        {
            marks.inside.iter().for_each(|test| set(&mut before, *test));
        }
        let next = u32::try_from(self.passed.len()).unwrap_or(u32::MAX);
        *self.passed_ids.entry(before).or_insert_with_key(|passed| {
            self.passed.push(passed.clone());
            next
        })
    }

    /// What the automata are in after a byte of a class; none inside when that
    /// leads to no text, none outside when there were too many steps.
    fn step(&mut self, inner: u32, class: usize) -> Option<Option<u32>> {
        let from = self.inner.get(inner as usize)?;
        let next = match from.next.get(class).copied().flatten() {
            Some(next) => next,
            None => {
                let work = self.automata.len() + 4;
                self.left.steps = self.left.steps.checked_sub(work)?;
                let byte = *self.alphabet.classes.get(class)?.first()?;
                let at = self.automata.iter().zip(from.at.iter());
                let next = self.enter(at.map(|(a, at)| a.step(*at, byte)).collect());
                let from = self.inner.get_mut(inner as usize)?;
                *from.next.get_mut(class)? = Some(next);
                next
            }
        };
        let text = self.automata.first()?;
        let at = *self.inner.get(next as usize)?.at.first()?;
        Some((!text.is_lost(at)).then_some(next))
    }

    /// The number of what the automata are in.
    fn enter(&mut self, at: Box<[At]>) -> u32 {
        if let Some(known) = self.inner_ids.get(&at) {
            return *known;
        }
        let mut both = self.automata.iter().zip(at.iter());
        let mut truth = || both.next().is_some_and(|(a, at)| a.holds(*at));
        let (is_text, is_value) = (truth(), truth());
        let mut holds = Vec::new();
        for (automaton, at) in both {
            automaton.holding(*at, |test| set(&mut holds, test));
        }
        let number = u32::try_from(self.inner.len()).unwrap_or(u32::MAX);
        self.inner_ids.insert(at.clone(), number);
        self.inner.push(Inner {
            at,
            holds,
            is_text,
            is_value,
            next: vec![None; self.alphabet.classes.len()],
        });
        number
    }

    /// The text that leads to a state.
    fn text(&self, state: usize) -> Option<String> {
        let mut bytes = Vec::new();
        let mut at = self.states.get(state)?;
        while let Some((before, byte)) = at.before {
            bytes.push(byte);
            at = self.states.get(before)?;
        }
        bytes.reverse();
        String::from_utf8(bytes).ok()
    }
}

fn unite(signature: &mut Vec<u64>, other: &[u64]) {
    if signature.len() < other.len() {
        signature.resize(other.len(), 0);
    }
    for (word, more) in signature.iter_mut().zip(other) {
        *word |= more;
    }
}
