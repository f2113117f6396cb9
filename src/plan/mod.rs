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
mod place;
mod print;

pub use classes::{AttributePlan, ClassId, Numbers, Partition, Texts};
pub use clauses::{Clause, Literal};
pub use place::Placement;

use crate::check::{Lottery, Policy, RuleId, Tier, TierId};
use crate::diag::{Code, Diagnostic};

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
    tiers: Vec<Tier>,
    rules: Vec<RuleInfo>,
    lottery: Lottery,
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

    /// The clauses, in order; the last one asks nothing.
    pub fn clauses(&self) -> &[Clause] {
        &self.clauses
    }

    /// The attributes that the policy uses, in the order of their definition.
    pub fn attributes(&self) -> &[AttributePlan] {
        &self.attributes
    }
}

/// Lowers a policy.
///
/// # Errors
///
/// When the expansion crosses [`CLAUSES_MAX`]; the label is on the rule that
/// crossed it.
pub fn lower(policy: &Policy) -> Result<Plan, Vec<Diagnostic>> {
    let mut clauses = Vec::new();
    let mut rules = Vec::with_capacity(policy.rules().len());

    for (index, rule) in policy.rules().iter().enumerate() {
        let id = RuleId(u16::try_from(index).unwrap_or(u16::MAX));
        let room = CLAUSES_MAX - clauses.len();
        match clauses::expand(rule.when.as_ref(), room) {
            Some(expanded) => clauses.extend(expanded.into_iter().map(|literals| Clause {
                rule: id,
                tier: rule.tier,
                literals,
            })),
            None => {
                return Err(vec![
                    Diagnostic::new(
                        Code::E0403,
                        format!("the rules expand to more than {CLAUSES_MAX} clauses"),
                    )
                    .label(rule.span, "this rule crosses the limit")
                    .help("use a set instead of a chain of `or`, or split the rule"),
                ]);
            }
        }
        rules.push(RuleInfo {
            name: rule.name.clone(),
            line: rule.line,
            tier: rule.tier,
        });
    }

    let attributes = classes::partition_all(&clauses);
    Ok(Plan {
        name: policy.name().to_owned(),
        version: policy.version().map(str::to_owned),
        tiers: policy.tiers().to_vec(),
        rules,
        lottery: policy.lottery(),
        clauses,
        attributes,
    })
}
