//! The parts of a policy beside tiers, rules and tests.

use std::fmt;

use super::attribute::Attribute;
use super::policy::{Cond, ModelId, Nanos, Ppm, TierId};
use super::schema::Field;
use crate::diag::Span;

/// CPUs of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cpus {
    /// Inclusive ranges of CPU numbers, ascending and apart from each other.
    List(Vec<(u16, u16)>),
    /// Those that share the last-level cache of that number.
    Llc(u16),
    /// Those of the NUMA node of that number.
    Node(u16),
}

/// A `model` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// The path as written, relative to the file of [`Model::span`].
    pub file: String,
    /// The digest that the file must have.
    pub sha256: Option<[u8; 32]>,
    /// What it is given, in this order.
    pub inputs: Vec<Attribute>,
    /// The longest that an answer may take.
    pub budget: Nanos,
    /// What it answers where there is no answer.
    pub missing: Ppm,
}

/// What tasks may not leave when they are moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Domain {
    /// The last-level cache.
    Llc,
    /// The NUMA node.
    Node,
}

/// A rule of the `balance` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalanceRule {
    /// What must hold of the machine.
    pub when: Cond,
    /// For how long.
    pub hold: Nanos,
    /// Where tasks may move then.
    pub within: Domain,
    /// The whole rule.
    pub span: Span,
}

/// The `balance` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// Its rules, in the order of the text; all of them count.
    pub rules: Vec<BalanceRule>,
    /// The largest part of a domain's tasks that one round moves.
    pub max_moves: Ppm,
    /// What is asked about each move.
    pub model: Option<ModelId>,
    /// What its answer has to exceed.
    pub threshold: Ppm,
}

/// One line of `bounds`: how far a field of a tier may be changed.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// The tier.
    pub tier: TierId,
    /// The field.
    pub field: &'static Field,
    /// The least, in the unit of the field: nanoseconds for a duration, parts
    /// per million for a ratio.
    pub low: i64,
    /// The most.
    pub high: i64,
    /// Where it stands.
    pub span: Span,
}

impl PartialEq for Bound {
    fn eq(&self, other: &Self) -> bool {
        (self.tier, self.field.name, self.low, self.high, self.span)
            == (
                other.tier,
                other.field.name,
                other.low,
                other.high,
                other.span,
            )
    }
}

impl Eq for Bound {}

/// The `reward` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reward {
    /// The path as written, relative to the policy.
    pub script: String,
    /// How often it judges.
    pub every: Nanos,
    /// What may be changed.
    pub bounds: Vec<Bound>,
}

/// What programs are remembered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LearnKey {
    /// The path of the program.
    Exe,
    /// The name of the task.
    Comm,
}

/// The `learn` block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Learn {
    /// What programs are remembered by.
    pub key: LearnKey,
    /// How many tasks must have been seen.
    pub min_observations: u32,
    /// How alike they must have behaved.
    pub min_confidence: Ppm,
    /// How long a program that is not seen is kept at hand.
    pub stale: Nanos,
    /// Bytes that are remembered.
    pub limit: u64,
}

/// A field that was given, to compare policies by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// `tier batch`, `lottery`: the block that it belongs to.
    pub block: String,
    /// Its name.
    pub name: &'static str,
    /// Its value, in one spelling for each meaning.
    pub value: String,
    /// Whether it can be changed only by detaching and attaching.
    pub restart: bool,
    /// Where the value stands.
    pub span: Span,
}

/// As it is written in a policy.
impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Llc(number) => write!(f, "llc {number}"),
            Self::Node(number) => write!(f, "node {number}"),
            Self::List(ranges) => {
                for (index, (low, high)) in ranges.iter().enumerate() {
                    if index > 0 {
                        f.write_str(",")?;
                    }
                    if low == high {
                        write!(f, "{low}")?;
                    } else {
                        write!(f, "{low}-{high}")?;
                    }
                }
                Ok(())
            }
        }
    }
}
