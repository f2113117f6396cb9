//! Conditions to clauses: disjunctive normal form, in the order of the text.
//!
//! Negation goes down to the tests first (De Morgan). That keeps the meaning
//! under unknown values: a test on an unknown attribute is false and so is its
//! negation, so a formula whose only negations sit at the tests is true exactly
//! when Kleene's three-valued logic makes the original true.
//!
//! On the way, sets that say one thing together become one: `comm != "a" and
//! comm != "b"` is `comm not in { "a", "b" }`, and the same with `==` and `or`.
//! Equal tests are one test, shared by everybody who asks it, so that whoever
//! comes later tells them apart by their address.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::CLAUSES_MAX;
use super::interned::Tests;
use crate::check::{Attribute, Compare, Cond, RuleId, Test, TierId};

/// The most literals that all clauses together may have; the tables have room
/// for no policy that comes near it.
pub(super) const LITERALS_MAX: usize = 262_144;

/// Members up to which a set is joined with others: joining copies them, and a
/// large set is shared by many rules.
const JOINED: usize = 64;

/// A test, or its negation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// The test.
    pub test: Arc<Test>,
    /// Whether the test must fail for the literal to hold.
    pub negated: bool,
}

impl Literal {
    /// The attribute that the test reads.
    pub fn attribute(&self) -> Attribute {
        self.test.attribute()
    }

    /// Its identity, as equal tests are one.
    fn identity(&self) -> (*const Test, bool) {
        (Arc::as_ptr(&self.test), self.negated)
    }
}

/// A conjunction of literals, and the rule it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// The rule.
    pub rule: RuleId,
    /// The tier of the rule.
    pub tier: TierId,
    /// All of these must hold; none means that the clause always does.
    pub literals: Vec<Literal>,
}

/// Why a rule has no clauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TooMany {
    /// There would be more than [`CLAUSES_MAX`].
    Clauses,
    /// There would be more than [`LITERALS_MAX`] in them.
    Literals,
}

/// What the rules before have left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) clauses: usize,
    pub(super) literals: usize,
}

impl Room {
    pub(super) fn new() -> Self {
        Self {
            clauses: CLAUSES_MAX,
            literals: LITERALS_MAX,
        }
    }

    /// Whether so much fits.
    fn fits(self, clauses: usize, literals: usize) -> Result<(), TooMany> {
        if clauses > self.clauses {
            return Err(TooMany::Clauses);
        }
        if literals > self.literals {
            return Err(TooMany::Literals);
        }
        Ok(())
    }

    /// Takes the clauses of a rule.
    pub(super) fn take(&mut self, clauses: &[Vec<Literal>]) {
        self.clauses = self.clauses.saturating_sub(clauses.len());
        self.literals = self.literals.saturating_sub(literals(clauses));
    }
}

fn literals(clauses: &[Vec<Literal>]) -> usize {
    clauses.iter().map(Vec::len).sum()
}

/// The clauses of one condition.
pub(super) fn expand(
    when: Option<&Cond>,
    tests: &mut Tests,
    room: Room,
) -> Result<Vec<Vec<Literal>>, TooMany> {
    let clauses = match when {
        None => vec![Vec::new()],
        Some(cond) => multiply(&form(cond, false, tests), room)?,
    };
    room.fits(clauses.len(), literals(&clauses))?;
    Ok(clauses)
}

/// A condition whose only negations sit at the tests. No member of `All` is an
/// `All`, no member of `Any` an `Any`.
enum Form {
    Literal(Literal),
    All(Vec<Form>),
    Any(Vec<Form>),
}

/// Recursion follows the condition, whose depth the parser bounds.
fn form(cond: &Cond, negated: bool, tests: &mut Tests) -> Form {
    match cond {
        Cond::Not(inner) => form(inner, !negated, tests),
        // Unknown, and so is its negation: it never holds.
        Cond::Model(..) => Form::Any(Vec::new()),
        Cond::Test(test, _) => Form::Literal(Literal {
            test: tests.shared(test),
            negated,
        }),
        Cond::And(parts) | Cond::Or(parts) => {
            let all = matches!(cond, Cond::And(_)) != negated;
            let mut members = Vec::with_capacity(parts.len());
            for part in parts {
                match (form(part, negated, tests), all) {
                    (Form::All(more), true) | (Form::Any(more), false) => members.extend(more),
                    (one, _) => members.push(one),
                }
            }
            let members = join(members, all, tests);
            if all {
                Form::All(members)
            } else {
                Form::Any(members)
            }
        }
    }
}

/// What the sets of several tests are joined into.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Kind {
    Texts,
    Numbers,
    Paths,
}

enum Joined {
    Texts(BTreeSet<String>),
    Numbers(BTreeSet<i64>),
    Paths(BTreeSet<String>),
}

/// The kind of a test whose set may be joined with others.
fn kind(test: &Test) -> Option<(Attribute, Kind)> {
    match test {
        Test::TextIn(attribute, set) if set.len() <= JOINED => Some((*attribute, Kind::Texts)),
        Test::Under(attribute, set) if set.len() <= JOINED => Some((*attribute, Kind::Paths)),
        Test::NumberIn(attribute, set) if set.len() <= JOINED => Some((*attribute, Kind::Numbers)),
        Test::Number(attribute, Compare::Eq, _) => Some((*attribute, Kind::Numbers)),
        _ => None,
    }
}

/// Leaves out what is said twice, and joins what can be said once: to be in none
/// of several sets is to be outside of their union, to be in one of them is to
/// be inside.
fn join(members: Vec<Form>, all: bool, tests: &mut Tests) -> Vec<Form> {
    let mut said = HashSet::new();
    let mut places: HashMap<(Attribute, Kind), usize> = HashMap::new();
    let mut groups: Vec<Vec<Literal>> = Vec::new();
    let mut kept: Vec<Result<usize, Form>> = Vec::new();
    for member in members {
        let Form::Literal(literal) = &member else {
            kept.push(Err(member));
            continue;
        };
        if !said.insert(literal.identity()) {
            continue;
        }
        let Some(kind) = kind(&literal.test).filter(|_| literal.negated == all) else {
            kept.push(Err(member));
            continue;
        };
        let next = groups.len();
        let at = *places.entry(kind).or_insert(next);
        if at == next {
            kept.push(Ok(next));
            groups.push(Vec::new());
        }
        if let Some(group) = groups.get_mut(at) {
            group.push(literal.clone());
        }
    }
    let mut united: Vec<Option<Literal>> = groups
        .into_iter()
        .map(|group| unite(group, tests))
        .collect();
    kept.into_iter()
        .filter_map(|member| match member {
            Err(form) => Some(form),
            Ok(group) => united.get_mut(group)?.take().map(Form::Literal),
        })
        .collect()
}

/// One literal for literals of one kind.
fn unite(group: Vec<Literal>, tests: &mut Tests) -> Option<Literal> {
    let first = group.first()?.clone();
    if group.len() == 1 {
        return Some(first);
    }
    let mut joined: Option<Joined> = None;
    for literal in &group {
        match (&*literal.test, &mut joined) {
            (Test::TextIn(_, more), Some(Joined::Texts(set)))
            | (Test::Under(_, more), Some(Joined::Paths(set))) => set.extend(more.iter().cloned()),
            (Test::NumberIn(_, more), Some(Joined::Numbers(set))) => set.extend(more.iter()),
            (Test::Number(_, _, more), Some(Joined::Numbers(set))) => {
                set.insert(*more);
            }
            (Test::TextIn(_, set), _) => joined = Some(Joined::Texts(BTreeSet::clone(set))),
            (Test::Under(_, set), _) => joined = Some(Joined::Paths(BTreeSet::clone(set))),
            (Test::NumberIn(_, set), _) => joined = Some(Joined::Numbers(BTreeSet::clone(set))),
            (Test::Number(_, _, one), _) => joined = Some(Joined::Numbers(BTreeSet::from([*one]))),
            _ => {}
        }
    }
    let attribute = first.attribute();
    let test = match joined? {
        Joined::Texts(set) => Test::TextIn(attribute, Arc::new(set)),
        Joined::Paths(set) => Test::Under(attribute, Arc::new(set)),
        Joined::Numbers(set) => Test::NumberIn(attribute, Arc::new(set)),
    };
    Some(Literal {
        test: tests.made(test),
        negated: first.negated,
    })
}

/// The alternatives of a form. A chain of `and` is walked once: a member with
/// one alternative is appended in place.
fn multiply(form: &Form, room: Room) -> Result<Vec<Vec<Literal>>, TooMany> {
    match form {
        Form::Literal(literal) => Ok(vec![vec![literal.clone()]]),
        Form::Any(members) => {
            let mut sum = Vec::new();
            for member in members {
                sum.extend(multiply(member, room)?);
                room.fits(sum.len(), literals(&sum))?;
            }
            Ok(sum)
        }
        Form::All(members) => {
            let mut product: Vec<Vec<Literal>> = vec![Vec::new()];
            let mut size = 0;
            for member in members {
                let factors = match member {
                    Form::Literal(literal) => vec![vec![literal.clone()]],
                    other => multiply(other, room)?,
                };
                let count = product.len().saturating_mul(factors.len());
                size = size * factors.len() + product.len() * literals(&factors);
                room.fits(count, size)?;
                if let [only] = factors.as_slice() {
                    for clause in &mut product {
                        clause.extend(only.iter().cloned());
                    }
                    continue;
                }
                product = product
                    .iter()
                    .flat_map(|clause| {
                        factors
                            .iter()
                            .map(move |factor| [clause.as_slice(), factor.as_slice()].concat())
                    })
                    .collect();
            }
            for clause in &mut product {
                let mut said = HashSet::with_capacity(clause.len());
                clause.retain(|literal| said.insert(literal.identity()));
            }
            Ok(product)
        }
    }
}
