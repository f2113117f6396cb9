//! A checked policy. If a [`Policy`] exists, it is valid.
//!
//! INVARIANT: a `Policy` is made only by [`crate::check::check`]: every name in
//! it is resolved, every literal has the type and the range its place asks for,
//! every limit holds, the tiers are not empty and the last rule is `otherwise`.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::attribute::Attribute;
use super::units;
use crate::diag::{Diagnostic, Span};

pub use super::parts::*;

/// Position of a tier in [`Policy::tiers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TierId(pub u8);

/// Position of a rule in [`Policy::rules`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(pub u16);

/// Position of a model in the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelId(pub u8);

/// Nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Nanos(pub u64);

/// Parts per million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ppm(pub u32);

/// As it is written in a policy, `12.5%`.
impl fmt::Display for Ppm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&units::ratio(i64::from(self.0)))
    }
}

/// In which order the tasks of one tier run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// By virtual time, weighted by nice.
    Vtime,
    /// By time of arrival.
    Fifo,
    /// By a lottery, weighted by nice.
    Lottery,
}

impl Order {
    /// As it is written in a policy.
    pub fn word(self) -> &'static str {
        match self {
            Self::Vtime => "vtime",
            Self::Fifo => "fifo",
            Self::Lottery => "lottery",
        }
    }
}

/// How the next tier is chosen among those that have something to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Between {
    /// A lottery by tickets.
    Tiers,
    /// In turns, as frequent as the tickets are many.
    Stride,
    /// Always the first tier in the order of the policy.
    Strict,
}

impl Between {
    /// As it is written in a policy.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tiers => "tiers",
            Self::Stride => "stride",
            Self::Strict => "strict",
        }
    }
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
    /// The CPUs that its tasks run on; none means all.
    pub cpus: Option<Cpus>,
    /// Whether tasks of other tiers are kept off the CPUs of a core while one of
    /// its tasks runs there.
    pub exclusive: bool,
    /// The performance level that a CPU is asked for.
    pub perf: Option<Ppm>,
    /// The largest part of the machine's CPU time.
    pub budget: Option<Ppm>,
    /// CPU time that may be taken at once beyond the budget; there is one when
    /// there is a budget.
    pub burst: Option<Nanos>,
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
    /// Text ends with this.
    EndsWith(Attribute, String),
    /// Text has this inside.
    Contains(Attribute, String),
    /// Text fits a glob, as a whole: `*` any characters, `?` one, `[a-z]` and
    /// `[!a-z]` one of a class, `\\` the next one itself.
    Like(Attribute, Arc<str>),
    /// Text has a part that a regular expression fits (the syntax of the crate
    /// `regex`, which matches in linear time). As it is written; what it means is
    /// [`super::exact_regex`].
    Matches(Attribute, Arc<str>),
    /// A number compared (Count as is, Duration in nanoseconds, Ratio in parts
    /// per million).
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
            | Self::EndsWith(attribute, _)
            | Self::Contains(attribute, _)
            | Self::Like(attribute, _)
            | Self::Matches(attribute, _)
            | Self::Number(attribute, _, _)
            | Self::NumberIn(attribute, _)
            | Self::IsTrue(attribute) => *attribute,
        }
    }

    /// Whether it looks inside of a text, further than names and prefixes do.
    pub fn is_pattern(&self) -> bool {
        matches!(
            self,
            Self::EndsWith(..) | Self::Contains(..) | Self::Like(..) | Self::Matches(..)
        )
    }
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Of a text.
    Text(String),
    /// Of a number: a count as it is, a duration in nanoseconds, a ratio in
    /// parts per million.
    Number(i64),
    /// Of a truth value.
    Truth(bool),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Truth(truth)
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
    /// What a model says, compared with parts per million, and where that
    /// stands. Unknown while no engine runs the model.
    Model(ModelId, Compare, i64, Span),
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its label; unlabelled rules are called `line N`, the last one `otherwise`
    /// unless it has a label. In a group, `GROUP.LABEL` and `GROUP line N`. No two rules
    /// are called the same.
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

impl Rule {
    /// Whether its text gives it a name. The last rule is called `otherwise`
    /// without one.
    pub fn is_labelled(&self) -> bool {
        // A label has no blank in it.
        !self.name.contains(' ')
    }
}

/// The `lottery` block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lottery {
    /// How the next tier is chosen.
    pub between: Between,
    /// How far back what a tier took or missed counts.
    pub refill: Nanos,
    /// Whether leaving a slice early is made up for.
    pub compensate: bool,
    /// The seed of the draws; 0 takes one from the clock.
    pub seed: u64,
}

/// One `test` block: a task, and where the policy must send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestCase {
    /// What it is called.
    pub name: String,
    /// What is known of the task; everything else is unknown.
    pub values: Vec<(Attribute, Value)>,
    /// The tier that is expected.
    pub tier: TierId,
    /// The rule that is expected to decide, if that matters.
    pub rule: Option<RuleId>,
    /// The `expect` statement.
    pub span: Span,
    /// The line of the block, counted from 1, in the file of
    /// [`TestCase::span`].
    pub line: u32,
}

/// A valid policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub(super) name: String,
    pub(super) version: Option<String>,
    pub(super) kernel: Option<(u32, u32)>,
    pub(super) watchdog: Nanos,
    pub(super) tiers: Vec<Tier>,
    pub(super) rules: Vec<Rule>,
    pub(super) lottery: Lottery,
    pub(super) models: Vec<Model>,
    pub(super) balance: Option<Balance>,
    pub(super) reward: Option<Reward>,
    pub(super) learn: Option<Learn>,
    pub(super) tests: Vec<TestCase>,
    pub(super) unready: Vec<Diagnostic>,
    pub(super) settings: Vec<Setting>,
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

    /// How long the kernel lets a runnable task wait before it throws the
    /// scheduler out.
    pub fn watchdog(&self) -> Nanos {
        self.watchdog
    }

    /// The fields that `other` changes and that can be changed only by detaching
    /// and attaching, as `` `watchdog` of `policy` ``.
    pub fn restarts(&self, other: &Self) -> Vec<String> {
        let changed = [("watchdog", self.watchdog != other.watchdog)];
        changed
            .into_iter()
            .filter(|(_, changed)| *changed)
            .map(|(field, _)| format!("`{field}` of `policy`"))
            .collect()
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

    /// The `test` blocks in the order of the text.
    pub fn tests(&self) -> &[TestCase] {
        &self.tests
    }

    /// The `lottery` block, or its defaults.
    pub fn lottery(&self) -> Lottery {
        self.lottery
    }

    /// The models in the order of the text; at most 16.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// The model of that position.
    pub fn model(&self, id: ModelId) -> Option<&Model> {
        self.models.get(usize::from(id.0))
    }

    /// The `balance` block.
    pub fn balance(&self) -> Option<&Balance> {
        self.balance.as_ref()
    }

    /// The `reward` block.
    pub fn reward(&self) -> Option<&Reward> {
        self.reward.as_ref()
    }

    /// The `learn` block.
    pub fn learn(&self) -> Option<Learn> {
        self.learn
    }

    /// Every field that was given, overrides included, in the order of the
    /// tables.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// What this version cannot carry out, one error for each block or field
    /// with its place. Such a policy is valid; to put it in force would be to do
    /// something else than it says.
    pub fn unready(&self) -> &[Diagnostic] {
        &self.unready
    }
}
