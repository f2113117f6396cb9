//! A checked policy. If a [`Policy`] exists, it is valid.
//!
//! INVARIANT: a `Policy` is made only by [`crate::check::check`]: every name in
//! it is resolved, every literal has the type and the range its place asks for,
//! every limit holds, the tiers are not empty and the last rule is `otherwise`.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::attribute::Attribute;
use crate::diag::Span;

/// Position of a tier in [`Policy::tiers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TierId(pub u8);

/// Position of a rule in [`Policy::rules`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(pub u16);

/// Nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Nanos(pub u64);

/// In which order the tasks of one tier run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// By virtual time, weighted by nice.
    Vtime,
    /// By time of arrival.
    Fifo,
}

/// How the next tier is chosen among those that have something to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Between {
    /// A lottery by tickets.
    Tiers,
    /// Always the first tier in the order of the policy.
    Strict,
}

/// One tier, every field resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// Its share of CPU time against the other tiers that have something to run.
    pub tickets: u32,
    /// How long a task runs before the next is chosen.
    pub slice: Nanos,
    /// In which order its tasks run.
    pub order: Order,
    /// The tiers that a waking task of this one may interrupt.
    pub preempt: Vec<TierId>,
    /// The longest that a runnable task may wait; none means no promise.
    pub max_wait: Option<Nanos>,
}

/// How two numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compare {
    /// `==`
    Eq,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

/// One test of one attribute, fully typed. `!=` and `not in` are [`Cond::Not`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// Text equals one of these (`==` has one member).
    TextIn(Attribute, Arc<BTreeSet<String>>),
    /// Text begins with this.
    StartsWith(Attribute, String),
    /// A path equals one of these or lies below it, component by component.
    Under(Attribute, Arc<BTreeSet<String>>),
    /// A number compared (Count as is, Duration in nanoseconds).
    Number(Attribute, Compare, i64),
    /// A number is one of these.
    NumberIn(Attribute, Arc<BTreeSet<i64>>),
    /// A truth value is true.
    IsTrue(Attribute),
}

impl Test {
    /// The attribute that the test reads.
    pub fn attribute(&self) -> Attribute {
        match self {
            Self::TextIn(attribute, _)
            | Self::StartsWith(attribute, _)
            | Self::Under(attribute, _)
            | Self::Number(attribute, _, _)
            | Self::NumberIn(attribute, _)
            | Self::IsTrue(attribute) => *attribute,
        }
    }
}

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cond {
    /// All of these.
    And(Vec<Cond>),
    /// Any of these.
    Or(Vec<Cond>),
    /// Not this.
    Not(Box<Cond>),
    /// A test, and where it stands.
    Test(Test, Span),
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its label; unlabelled rules are called `line N`, the last one `otherwise`
    /// unless it has a label.
    pub name: String,
    /// What it asks; none for `otherwise`.
    pub when: Option<Cond>,
    /// Where it sends a task.
    pub tier: TierId,
    /// The whole rule.
    pub span: Span,
    /// Its line, counted from 1, in the file of [`Rule::span`].
    pub line: u32,
}

/// The `lottery` block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lottery {
    /// How the next tier is chosen.
    pub between: Between,
}

/// A valid policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub(super) name: String,
    pub(super) version: Option<String>,
    pub(super) kernel: Option<(u32, u32)>,
    pub(super) tiers: Vec<Tier>,
    pub(super) rules: Vec<Rule>,
    pub(super) lottery: Lottery,
}

impl Policy {
    /// The name in the `policy` block.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version in the `policy` block.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The oldest kernel that the policy is meant for, as major and minor
    /// version.
    pub fn kernel(&self) -> Option<(u32, u32)> {
        self.kernel
    }

    /// The tiers in the order of the text; 1 to 16.
    pub fn tiers(&self) -> &[Tier] {
        &self.tiers
    }

    /// The tier of that position.
    pub fn tier(&self, id: TierId) -> Option<&Tier> {
        self.tiers.get(usize::from(id.0))
    }

    /// The rules in the order of the text, `otherwise` last.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The `lottery` block, or its defaults.
    pub fn lottery(&self) -> Lottery {
        self.lottery
    }
}
