//! Stage 5: the exact bytes of a bank, from a plan.
//!
//! One [`Image`] is one `struct edict_bank` (see `bpf/intf.h`), plus what the
//! agent needs to tell the object the classes that it evaluates. The bytes are a
//! pure function of the plan: no clock, no randomness, no address; the same
//! policy text gives the same [`Image::digest`] on every machine.
//!
//! Unused parts of a bank are zero, except empty name slots, which hold a key
//! that no task can have. Row 0 is all ones: the row of an attribute that the
//! policy does not use.

mod bytes;
mod head;
pub mod layout;
mod names;
mod rows;

use sha2::{Digest as _, Sha256};

use crate::check::{Attribute, Nanos, RuleId};
use crate::diag::{Code, Diagnostic};
use crate::plan::{AttributePlan, ClassId, Partition, Placement, Plan, RuleInfo, Slot};
use bytes::Bytes;
use layout::{attr, bank, clause};
use rows::Rows;

/// SHA-256 of the bytes of a bank.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// A tier as statistics and messages need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierInfo {
    /// Its name.
    pub name: String,
    /// Its tickets.
    pub tickets: u32,
    /// Nanoseconds.
    pub slice_ns: u64,
    /// Nanoseconds, if it promises.
    pub max_wait_ns: Option<u64>,
}

/// The classes of what the agent evaluates, as rows of the bank.
#[derive(Debug, Clone)]
struct AgentTable {
    /// How values become classes.
    planned: AttributePlan,
    rows: Vec<u32>,
    unknown: u32,
}

/// The compiled policy.
#[derive(Clone)]
pub struct Image {
    bank: Vec<u8>,
    digest: Digest,
    /// Bit per slot.
    uses: u64,
    policy_name: String,
    policy_version: Option<String>,
    watchdog: Nanos,
    tiers: Vec<TierInfo>,
    rules: Vec<RuleInfo>,
    agent: Vec<AgentTable>,
}

impl Image {
    /// The bytes of one `struct edict_bank`.
    pub fn bank(&self) -> &[u8] {
        &self.bank
    }

    /// The identity of those bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether some rule reads the attribute.
    pub fn uses(&self, attribute: Attribute) -> bool {
        Slot::all().any(|slot| slot.attribute() == attribute && self.uses_slot(slot))
    }

    /// Whether some rule asks what the slot answers.
    pub fn uses_slot(&self, slot: Slot) -> bool {
        self.uses & bit(slot) != 0
    }

    /// The row for a text that the agent evaluates; [`layout::ROW_UNKNOWN`] for
    /// a slot that the policy does not use or the kernel evaluates.
    pub fn agent_row(&self, slot: impl Into<Slot>, value: &str) -> u32 {
        self.row_of(slot.into(), |planned| planned.class_of_text(value))
    }

    /// The row for a number that the agent evaluates, a truth value as 0 or 1;
    /// [`layout::ROW_UNKNOWN`] as above.
    pub fn agent_row_of_number(&self, slot: impl Into<Slot>, value: i64) -> u32 {
        self.row_of(slot.into(), |planned| planned.class_of_number(value))
    }

    fn row_of(&self, slot: Slot, class: impl Fn(&AttributePlan) -> ClassId) -> u32 {
        let Some(table) = self.agent.iter().find(|t| t.planned.slot == slot) else {
            return layout::ROW_UNKNOWN;
        };
        let row = table.rows.get(class(&table.planned).0 as usize);
        row.copied().unwrap_or(table.unknown)
    }

    /// The name of the policy.
    pub fn policy_name(&self) -> &str {
        &self.policy_name
    }

    /// The version of the policy.
    pub fn policy_version(&self) -> Option<&str> {
        self.policy_version.as_deref()
    }

    /// How long the kernel lets a runnable task wait before it throws the
    /// scheduler out: no part of a bank, but given when the object is loaded.
    pub fn watchdog(&self) -> Nanos {
        self.watchdog
    }

    /// The tiers; a tier's position is its number in the kernel.
    pub fn tiers(&self) -> &[TierInfo] {
        &self.tiers
    }

    /// The rules; `otherwise` is the last.
    pub fn rules(&self) -> &[RuleInfo] {
        &self.rules
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Image")
            .field("policy", &self.policy_name)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// A bound that no value of any attribute reaches: a century and a half in
/// nanoseconds. Half of the range, so that a difference never overflows.
const UNREACHED: i64 = i64::MAX / 2;

fn bit(slot: Slot) -> u64 {
    1 << slot.index()
}

/// Emits the bank of a plan.
///
/// # Errors
///
/// When the plan has more classes, names or intervals than a bank holds; the
/// label is on the rule that crosses the limit.
pub fn emit(plan: &Plan) -> Result<Image, Vec<Diagnostic>> {
    emit_whole(plan).map_err(|problem| vec![at_rule(plan, problem)])
}

/// Puts a label on the rule with which a plan becomes too large: what the first
/// rules need grows with each of them, so it is found by halving.
fn at_rule(plan: &Plan, problem: TooLarge) -> Diagnostic {
    let (mut fit, mut exceed) = (0, plan.rules().len());
    let mut problem = problem;
    while exceed - fit > 1 {
        let middle = fit + (exceed - fit) / 2;
        match emit_whole(&plan.of_first_rules(middle)) {
            Ok(_) => fit = middle,
            Err(earlier) => (exceed, problem) = (middle, earlier),
        }
    }
    let rule = u16::try_from(fit)
        .ok()
        .and_then(|rule| plan.rule_span(RuleId(rule)));
    let diagnostic = problem.diagnostic();
    match rule {
        Some(span) => diagnostic.label(span, "this rule crosses the limit"),
        None => diagnostic,
    }
}

/// What a bank has no room for.
struct TooLarge {
    attribute: Attribute,
    what: &'static str,
}

impl TooLarge {
    fn diagnostic(&self) -> Diagnostic {
        let Self { attribute, what } = self;
        Diagnostic::new(
            Code::E0409,
            format!("the conditions on `{attribute}` need more {what} than a policy may have"),
        )
        .help(format!(
            "let fewer rules tell values of `{attribute}` apart, for example by joining sets that go to one tier"
        ))
    }
}

fn emit_whole(plan: &Plan) -> Result<Image, TooLarge> {
    let words = plan.clauses().len().div_ceil(64);
    let mut rows = Rows::new(plan.clauses().len());
    let mut bytes = Bytes::new(bank::SIZE);
    let mut agent = Vec::new();
    let mut uses = 0;
    let mut next_bound = 0_usize;
    let mut next_prefix = 0_usize;
    let mut others = 0_usize;
    let mut exact: Vec<(names::Key, u16)> = Vec::new();

    for planned in plan.attributes() {
        let numbered: Vec<u32> = planned.rows.iter().map(|row| rows.intern(row)).collect();
        if rows.words() > layout::ROW_WORDS_MAX || rows.len() > layout::ROWS_MAX {
            return Err(too_large(planned.attribute, "classes"));
        }
        let row = |class: ClassId| numbered.get(class.0 as usize).copied().unwrap_or_default();
        uses |= bit(planned.slot);
        if planned.slot.index() >= layout::OWN_PLACE {
            // There are fewer slots than a byte can number.
            bytes.u8(layout::head::OTHER + others, planned.slot.index() as u8);
            others += 1;
        }
        let at = layout::head::ATTR + planned.slot.index() * attr::SIZE;
        bytes.u32(at + attr::ROW_UNKNOWN, row(planned.unknown));

        let kind = match (planned.placement, &planned.partition) {
            (Placement::Agent, _) => layout::kind::TOLD,
            (Placement::Kernel, Partition::Number(_)) => layout::kind::NUMBER,
            (Placement::Kernel, Partition::Text(_) | Partition::Pattern(_)) => layout::kind::TEXT,
        };
        bytes.u32(at + attr::KIND, kind);
        match (&planned.partition, planned.placement) {
            (_, Placement::Agent) => {
                agent.push(AgentTable {
                    unknown: row(planned.unknown),
                    planned: AttributePlan {
                        rows: Vec::new(),
                        ..planned.clone()
                    },
                    rows: numbered,
                });
            }
            // Patterns are the agent's.
            (Partition::Pattern(_), Placement::Kernel) => {}
            (Partition::Text(texts), Placement::Kernel) => {
                bytes.u32(at + attr::ROW_DEFAULT, row(texts.default));
                bytes.u32(at + attr::EXACT, narrow(texts.exact.len()));
                exact.extend(texts.exact.iter().map(|(name, class)| {
                    let key = names::name_key(planned.attribute, name);
                    (key, narrow16(row(*class)))
                }));
                bytes.u32(at + attr::BOUNDS_FIRST, narrow(next_prefix));
                write_top(&mut bytes, at, texts.bounds.len());
                if next_prefix + texts.bounds.len() > layout::PREFIX_BOUNDS_MAX {
                    return Err(too_large(planned.attribute, "prefixes"));
                }
                for (bound, class) in &texts.bounds {
                    write_prefix(&mut bytes, next_prefix, bound, row(*class));
                    next_prefix += 1;
                }
            }
            (Partition::Number(numbers), Placement::Kernel) => {
                bytes.u32(at + attr::ROW_DEFAULT, row(numbers.default));
                bytes.u32(at + attr::EXACT, narrow(numbers.exact.len()));
                exact.extend(numbers.exact.iter().map(|(number, class)| {
                    let key = names::id_key(planned.attribute, *number);
                    (key, narrow16(row(*class)))
                }));
                bytes.u32(at + attr::BOUNDS_FIRST, narrow(next_bound));
                write_top(&mut bytes, at, numbers.bounds.len());
                let filled = match numbers.bounds.len() {
                    0 => 0,
                    count => (count + 1).next_power_of_two() - 1,
                };
                if next_bound + filled > layout::BOUNDS_MAX {
                    return Err(too_large(planned.attribute, "intervals"));
                }
                let last = numbers
                    .bounds
                    .last()
                    .map_or(numbers.default, |(_, class)| *class);
                let filler = std::iter::repeat((UNREACHED, last));
                let real = numbers.bounds.iter().copied();
                for (bound, class) in real.chain(filler).take(filled) {
                    // The kernel subtracts; that must not overflow.
                    let bound = bound.clamp(-UNREACHED, UNREACHED);
                    bytes.i64(bank::BOUND + next_bound * 8, bound);
                    bytes.u16(bank::BOUND_ROW + next_bound * 2, narrow16(row(class)));
                    next_bound += 1;
                }
            }
        }
    }
    write_names(&mut bytes, &exact)?;

    head::write(&mut bytes, plan, uses, words, rows.len());
    bytes.u32(layout::head::NR_OTHERS, narrow(others));
    for (index, planned) in plan.clauses().iter().enumerate() {
        let at = bank::CLAUSE + index * clause::SIZE;
        bytes.u16(at + clause::RULE, planned.rule.0);
        bytes.u8(at + clause::TIER, planned.tier.0);
    }
    for (index, word) in rows.iter().enumerate() {
        bytes.u64(bank::WORD + index * 8, word);
    }

    let bank = bytes.finish();
    let digest = Digest(Sha256::digest(&bank).into());
    Ok(Image {
        bank,
        digest,
        uses,
        policy_name: plan.name().to_owned(),
        policy_version: plan.version().map(str::to_owned),
        watchdog: plan.watchdog(),
        tiers: plan
            .tiers()
            .iter()
            .map(|tier| TierInfo {
                name: tier.name.clone(),
                tickets: tier.tickets,
                slice_ns: tier.slice.0,
                max_wait_ns: tier.max_wait.map(|wait| wait.0),
            })
            .collect(),
        rules: plan.rules().to_vec(),
        agent,
    })
}

fn write_names(bytes: &mut Bytes, entries: &[(names::Key, u16)]) -> Result<(), TooLarge> {
    let table = names::build(entries).ok_or_else(|| too_large(Attribute::Comm, "names and ids"))?;
    bytes.u64(layout::head::NAME_SEED, table.seed);
    bytes.u32(
        layout::head::NAME_BUCKETS,
        narrow(table.displacements.len()),
    );
    bytes.u32(layout::head::NAME_SLOTS, narrow(table.slots.len()));
    for (index, displacement) in table.displacements.iter().enumerate() {
        bytes.u16(bank::NAME_DISPLACEMENT + index * 2, *displacement);
    }
    for (index, ([low, high], row)) in table.slots.iter().enumerate() {
        bytes.u64(bank::NAME_KEY + index * 16, *low);
        bytes.u64(bank::NAME_KEY + index * 16 + 8, *high);
        bytes.u16(bank::NAME_ROW + index * 2, *row);
    }
    Ok(())
}

fn write_prefix(bytes: &mut Bytes, index: usize, bound: &[u8], row: u32) {
    let mut padded = [0; layout::COMM_LEN];
    for (to, from) in padded.iter_mut().zip(bound) {
        *to = *from;
    }
    let number = u128::from_be_bytes(padded);
    bytes.u64(bank::PREFIX_BOUND + index * 16, (number >> 64) as u64);
    bytes.u64(bank::PREFIX_BOUND + index * 16 + 8, number as u64);
    bytes.u16(bank::PREFIX_ROW + index * 2, narrow16(row));
}

fn write_top(bytes: &mut Bytes, at: usize, count: usize) {
    bytes.u32(at + attr::BOUNDS_COUNT, narrow(count));
    let top = match count.checked_ilog2() {
        Some(log) => 1 << log,
        None => 0,
    };
    bytes.u32(at + attr::BOUNDS_TOP, top);
}

/// Every number that goes through here is bounded by a limit of the layout.
fn narrow(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn narrow16(value: u32) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

fn too_large(attribute: Attribute, what: &'static str) -> TooLarge {
    TooLarge { attribute, what }
}
