//! Stage 4: the intermediate form between a policy and the bytes in the kernel.
//!
//! A [`Policy`] is made of conditions; the kernel wants tables. The plan is the
//! step between: rules become an ordered list of *clauses* (disjunctive normal
//! form), the values of each attribute are parted into *equivalence classes*
//! (values that every condition treats alike), and each class gets a *row*: bit
//! i is set when clause i holds, or does not ask, for the values of that class.
//! Classifying a task is then one row per attribute, AND, first set bit.
//!
//! The method is the bit-vector packet classification of Lakshman and Stiliadis
//! (SIGCOMM 1998) over the equivalence classes of Gupta and McKeown's recursive
//! flow classification (SIGCOMM 1999).
//!
//! Lowering is pure: the same policy gives the same plan. It knows nothing of
//! memory layouts (that is [`crate::image`]) and evaluates no task (that is
//! [`crate::eval`], which shares no code with it on purpose).

mod classes;
mod clauses;
pub mod cost;
mod interned;
mod print;
mod slot;

pub use classes::{AttributePlan, Bits, ClassId, Numbers, Partition, PatternTexts, Texts};
pub use clauses::{Clause, Literal};
pub use cost::{Cost, cost};
pub use slot::{Placement, Slot};

use crate::check::{Lottery, Nanos, Policy, RuleId, Tier, TierId};
use crate::diag::{Code, Diagnostic, Span};
use clauses::{LITERALS_MAX, Room, TooMany};
use interned::Tests;

/// The most clauses a policy may expand to.
pub const CLAUSES_MAX: usize = 1024;

/// A rule as the later stages need it: what it is called and where it sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleInfo {
    /// Its name.
    pub name: String,
    /// Its line, counted from 1.
    pub line: u32,
    /// Its tier.
    pub tier: TierId,
}

/// A lowered policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    name: String,
    version: Option<String>,
    watchdog: Nanos,
    tiers: Vec<Tier>,
    rules: Vec<RuleInfo>,
    /// Where each rule stands.
    spans: Vec<Span>,
    lottery: Lottery,
    balanced: bool,
    clauses: Vec<Clause>,
    attributes: Vec<AttributePlan>,
}

impl Plan {
    /// The name of the policy.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version of the policy.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// How long the kernel lets a runnable task wait before it throws the
    /// scheduler out.
    pub fn watchdog(&self) -> Nanos {
        self.watchdog
    }

    /// The tiers, in the order of the policy.
    pub fn tiers(&self) -> &[Tier] {
        &self.tiers
    }

    /// The rules, in the order of the policy; `otherwise` is the last.
    pub fn rules(&self) -> &[RuleInfo] {
        &self.rules
    }

    /// How the next tier is chosen.
    pub fn lottery(&self) -> Lottery {
        self.lottery
    }

    /// Whether rules of `balance` say what moves between caches.
    pub fn is_balanced(&self) -> bool {
        self.balanced
    }

    /// The clauses, in order; the last one asks nothing.
    pub fn clauses(&self) -> &[Clause] {
        &self.clauses
    }

    /// What the policy uses, in the order of the slots.
    pub fn attributes(&self) -> &[AttributePlan] {
        &self.attributes
    }

    /// The plan of one slot; none when no rule asks for it.
    pub fn slot(&self, slot: Slot) -> Option<&AttributePlan> {
        self.attributes.iter().find(|planned| planned.slot == slot)
    }

    /// Where a rule stands.
    pub fn rule_span(&self, rule: RuleId) -> Option<Span> {
        self.spans.get(usize::from(rule.0)).copied()
    }

    /// The plan of the first `count` rules and `otherwise`: what a stage that has
    /// no room for the whole asks for, to find the rule that crosses the limit.
    #[must_use]
    pub fn of_first_rules(&self, count: usize) -> Self {
        let otherwise = self.rules.len().saturating_sub(1);
        let of_these = |clause: &&Clause| {
            let rule = usize::from(clause.rule.0);
            rule < count || rule == otherwise
        };
        let clauses: Vec<Clause> = self.clauses.iter().filter(of_these).cloned().collect();
        // Fewer tests are no more complex than all of them were.
        let attributes = classes::partition_all(&clauses).unwrap_or_default();
        Self {
            clauses,
            attributes,
            ..self.clone()
        }
    }
}

/// Lowers a policy.
///
/// # Errors
///
/// When the expansion crosses [`CLAUSES_MAX`], when it repeats too many
/// conditions on the way, or when the patterns on one attribute are too complex.
/// The label is on the rule that crossed the limit.
pub fn lower(policy: &Policy) -> Result<Plan, Vec<Diagnostic>> {
    let mut tests = Tests::default();
    let mut room = Room::new();
    let mut clauses = Vec::new();
    for (index, rule) in policy.rules().iter().enumerate() {
        let id = RuleId(u16::try_from(index).unwrap_or(u16::MAX));
        let expanded = clauses::expand(rule.when.as_ref(), &mut tests, room)
            .map_err(|problem| vec![too_many(problem, rule.span)])?;
        room.take(&expanded);
        clauses.extend(expanded.into_iter().map(|literals| Clause {
            rule: id,
            tier: rule.tier,
            literals,
        }));
    }
    let attributes = classes::partition_all(&clauses)
        .map_err(|(slot, _)| vec![too_complex(policy, &clauses, slot)])?;
    let info = |rule: &crate::check::Rule| RuleInfo {
        name: rule.name.clone(),
        line: rule.line,
        tier: rule.tier,
    };
    Ok(Plan {
        name: policy.name().to_owned(),
        version: policy.version().map(str::to_owned),
        watchdog: policy.watchdog(),
        tiers: policy.tiers().to_vec(),
        rules: policy.rules().iter().map(info).collect(),
        spans: policy.rules().iter().map(|rule| rule.span).collect(),
        lottery: policy.lottery(),
        balanced: policy.balance().is_some(),
        clauses,
        attributes,
    })
}

fn too_many(problem: TooMany, rule: Span) -> Diagnostic {
    match problem {
        TooMany::Clauses => Diagnostic::new(
            Code::E0403,
            format!("the rules expand to more than {CLAUSES_MAX} clauses"),
        )
        .label(rule, "this rule crosses the limit")
        .help("use a set instead of a chain of `or`, or split the rule"),
        TooMany::Literals => Diagnostic::new(
            Code::E0420,
            format!("the clauses of the rules repeat more than {LITERALS_MAX} comparisons"),
        )
        .label(rule, "this rule crosses the limit")
        .help("use sets instead of chains of comparisons, or split the rule"),
    }
}

/// The rule with which the patterns on an attribute become too complex. The
/// checker builds the same automata, so this is the last line.
fn too_complex(policy: &Policy, clauses: &[Clause], slot: Slot) -> Diagnostic {
    let attribute = slot.attribute();
    let (mut fit, mut exceed) = (0, policy.rules().len());
    while exceed - fit > 1 {
        let middle = fit + (exceed - fit) / 2;
        let end = clauses.partition_point(|clause| usize::from(clause.rule.0) < middle);
        match classes::partition_all(clauses.get(..end).unwrap_or_default()) {
            Ok(_) => fit = middle,
            Err(_) => exceed = middle,
        }
    }
    let diagnostic = Diagnostic::new(
        Code::E0412,
        format!("the patterns on `{attribute}` have too many combinations"),
    )
    .help("join patterns that lead to one tier, or use names and prefixes in their place");
    match policy.rules().get(fit) {
        Some(rule) => diagnostic.label(rule.span, "this rule crosses the limit"),
        None => diagnostic,
    }
}
