//! What `status` and `why` say. The names of the fields are a contract: fields
//! are added, never renamed or removed.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The answer to `status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Which backend schedules.
    pub backend: String,
    /// `committed`, `settling`, `building` or `rejected`.
    pub state: String,
    /// The number of the generation in force, from 1.
    pub generation: u64,
    /// SHA-256 of its bank.
    pub digest: String,
    /// The name of its policy.
    pub policy: String,
    /// The version of its policy.
    pub version: Option<String>,
    /// Where the policy is.
    pub path: String,
    /// How often a scheduler was attached since the machine booted: unchanged
    /// for as long as edict has not detached.
    pub enable_seq: Option<u64>,
    /// Seconds since the agent attached.
    pub uptime_s: u64,
    /// Seconds since the generation was committed.
    pub since_commit_s: u64,
    /// How many edits were rejected.
    pub rejected: u64,
    /// Why the content on disk is not in force.
    pub last_error: Option<String>,
    /// `events`, or why there is only the poll.
    pub watching: String,
    /// Process id of the agent.
    pub agent_pid: u32,
    /// The tiers in the order of the policy.
    pub tiers: Vec<TierStatus>,
    /// The rules in the order of the policy.
    pub rules: Vec<RuleStatus>,
    /// Decisions that no rule made.
    pub unmatched: u64,
}

/// One tier, since the last commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TierStatus {
    /// Its name.
    pub name: String,
    /// Tasks in it now.
    pub tasks: u64,
    /// CPU time.
    pub runtime_ns: u64,
    /// How often one of its tasks was given a CPU.
    pub dispatches: u64,
    /// Its tickets.
    pub tickets: u32,
    /// Its part of the CPU time of all tiers, from 0 to 1.
    pub share: f64,
    /// Its part of the tickets of all tiers, from 0 to 1.
    pub ticket_share: f64,
    /// Half of the waits were shorter.
    pub wait_p50_us: u64,
    /// All but one of a hundred waits were shorter.
    pub wait_p99_us: u64,
    /// The longest wait.
    pub wait_max_us: u64,
    /// How often one of its tasks interrupted another.
    pub preemptions: u64,
    /// The largest part of the machine's CPU time that it takes while others
    /// wait, from 0 to 1; null without a budget.
    #[serde(default)]
    pub budget: Option<f64>,
    /// The CPUs that its tasks run on, as in the policy; null for all.
    #[serde(default)]
    pub cpus: Option<String>,
}

/// One rule, since the last commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleStatus {
    /// Its name.
    pub name: String,
    /// The name of its tier.
    pub tier: String,
    /// How often it decided.
    pub hits: u64,
}

/// The answer to `why`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// Thread id.
    pub pid: u32,
    /// Process id.
    pub tgid: u32,
    /// Its name.
    pub comm: String,
    /// The scheduling class, `ext` if edict schedules it.
    pub class: String,
    /// The tier that the policy says.
    pub tier: String,
    /// The rule that says so.
    pub rule: String,
    /// Where the rule stands.
    pub file: String,
    /// Its line, from 1.
    pub line: u32,
    /// The rule as it is written.
    pub source: String,
    /// The generation in force.
    pub generation: u64,
    /// The attributes by name; null is unknown.
    pub attributes: Map<String, Value>,
    /// The rules up to the one that decided.
    pub trace: Vec<Step>,
    /// What the kernel has decided, if it has seen the task in this generation.
    pub cached: Option<Cached>,
    /// Whether both are the same; null if the kernel has not decided yet.
    pub agrees: Option<bool>,
}

/// One rule that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub rule: String,
    /// Its line, from 1.
    pub line: u32,
    /// Whether it matched.
    pub matched: bool,
    /// The tests that made it so.
    pub because: String,
}

/// A decision of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cached {
    /// The tier.
    pub tier: String,
    /// The rule.
    pub rule: String,
    /// The generation that it was made in.
    pub generation: u64,
}

/// The answer to `reload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// `committed`, or `unchanged`.
    pub outcome: String,
    /// The generation in force.
    pub generation: u64,
}
