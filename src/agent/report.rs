//! What `status` and `why` say. The names of the fields are a contract: fields
//! are added, never renamed or removed.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::interval::Interval;
use crate::live::Waits;

/// The answer to `status`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
    /// The same in microseconds: the time that the counters are about.
    pub since_commit_us: u64,
    /// How many edits were rejected.
    pub rejected: u64,
    /// Why the content on disk is not in force.
    pub last_error: Option<String>,
    /// `events`, or why there is only the poll.
    pub watching: String,
    /// Process id of the agent.
    pub agent_pid: u32,
    /// How many CPUs are online.
    pub cpus: u64,
    /// How the next tier is chosen: `tiers` (a lottery), `stride` or `strict`.
    pub between: String,
    /// The tiers in the order of the policy.
    pub tiers: Vec<TierStatus>,
    /// The rules in the order of the policy.
    pub rules: Vec<RuleStatus>,
    /// How often a task was given a tier.
    pub classifications: u64,
    /// Decisions that no rule made.
    pub unmatched: u64,
    /// Questions of the object that did not reach the agent.
    pub events_lost: u64,
    /// What happened since the status before this one, where several are
    /// printed one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// What became of the `balance` block; null without one.
    pub balance: Option<BalanceStatus>,
}

/// The rounds of balancing, since the last commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BalanceStatus {
    /// Looks at the loads.
    pub rounds: u64,
    /// Waiting tasks that could have been moved when a rule was due.
    pub considered: u64,
    /// Of those, the ones that stayed because they ran a moment ago.
    pub hot: u64,
    /// Of those, the ones that a model kept from moving.
    pub vetoed: u64,
    /// Of those, the ones that were moved.
    pub moved: u64,
    /// The rules of the block, in the order of the text.
    pub rules: Vec<BalanceRuleStatus>,
}

/// A rule of `balance`, since the last commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BalanceRuleStatus {
    /// As it is written.
    pub rule: String,
    /// Where tasks move: `llc` or `node`.
    pub within: String,
    /// How far the domains were apart at the last look, those of the cache or
    /// node where it was the farthest; 1 is as much as the mean of their loads.
    pub imbalance: f64,
    /// In how many rounds its condition had held for its time.
    pub due: u64,
    /// How many tasks were moved for it.
    pub moved: u64,
}

/// One tier, since the last commit or in an interval.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TierStatus {
    /// Its name.
    pub name: String,
    /// Tasks in it now.
    pub tasks: u64,
    /// Those of them that run or wait for a CPU now.
    pub runnable: u64,
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
    /// Its part of the tickets of those tiers that ran, or wait now: what it
    /// gets if it always has something to run. None if it had nothing to run,
    /// or if tickets do not count.
    pub due: Option<f64>,
    /// Half of the waits were not longer.
    pub wait_p50_us: u64,
    /// Nine of ten waits were not longer.
    pub wait_p90_us: u64,
    /// All but one of a hundred waits were not longer.
    pub wait_p99_us: u64,
    /// All but one of a thousand waits were not longer.
    pub wait_p999_us: u64,
    /// The longest wait.
    pub wait_max_us: u64,
    /// The waits by their length: buckets that end at powers of two, up to the
    /// last that has any.
    pub wait_histogram: Vec<WaitBucket>,
    /// How often one of its tasks interrupted another.
    pub preemptions: u64,
    /// Runs that began on an idle CPU.
    pub direct: u64,
    /// Runs that began because `max_wait` was near.
    pub overdue: u64,
    /// Runs that began under another cache than the last.
    pub migrations: u64,
    /// How often its budget kept it from a draw.
    pub throttled: u64,
    /// How often a task was queued that none of its CPUs is allowed to.
    pub strays: u64,
    /// The largest part of the machine's CPU time that it takes while others
    /// wait, from 0 to 1; null without a budget.
    #[serde(default)]
    pub budget: Option<f64>,
    /// The CPUs that its tasks run on, as in the policy; null for all.
    #[serde(default)]
    pub cpus: Option<String>,
}

impl TierStatus {
    /// Tells how long its tasks waited.
    #[must_use]
    pub fn waited(self, waits: &Waits) -> Self {
        Self {
            wait_p50_us: waits.quantile_us(500),
            wait_p90_us: waits.quantile_us(900),
            wait_p99_us: waits.quantile_us(990),
            wait_p999_us: waits.quantile_us(999),
            wait_max_us: waits.longest_us(),
            wait_histogram: waits
                .buckets()
                .map(|(below_us, count)| WaitBucket { below_us, count })
                .collect(),
            ..self
        }
    }

    /// How long its tasks waited, as counts.
    pub fn waits(&self) -> Waits {
        let counts = self.wait_histogram.iter().map(|bucket| bucket.count);
        Waits::new(counts, self.wait_max_us)
    }

    /// Whether it had something to run.
    pub fn is_active(&self) -> bool {
        self.runtime_ns > 0 || self.dispatches > 0 || self.runnable > 0
    }
}

/// Fills in what each tier got of the whole, and what was due to it; under
/// `strict` tickets do not count.
pub fn set_shares(tiers: &mut [TierStatus], between: &str) {
    let sum = |of: &dyn Fn(&TierStatus) -> u64| tiers.iter().map(of).sum::<u64>();
    let runtime = sum(&|tier| tier.runtime_ns);
    let tickets = sum(&|tier| tier.tickets.into());
    let active = sum(&|tier| u64::from(tier.tickets) * u64::from(tier.is_active()));
    for tier in tiers {
        tier.share = part(tier.runtime_ns, runtime);
        tier.ticket_share = part(tier.tickets.into(), tickets);
        let is_due = tier.is_active() && between != "strict";
        tier.due = is_due.then(|| part(tier.tickets.into(), active));
    }
}

fn part(of: u64, all: u64) -> f64 {
    match all {
        0 => 0.0,
        all => of as f64 / all as f64,
    }
}

/// Waits of about the same length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitBucket {
    /// They were shorter than that; null: however long.
    pub below_us: Option<u64>,
    /// How many there were.
    pub count: u64,
}

/// One rule, since the last commit or in an interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleStatus {
    /// Its name.
    pub name: String,
    /// The name of its tier.
    pub tier: String,
    /// How often it decided.
    pub hits: u64,
}

/// The answer to `tasks`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tasks {
    /// The name of the policy in force.
    pub policy: String,
    /// The number of the generation in force.
    pub generation: u64,
    /// How many tasks there are; there may be more than are listed.
    pub total: u64,
    /// The tasks with the most CPU time, the first of all first.
    pub tasks: Vec<TaskLine>,
}

/// One task of many.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskLine {
    /// Thread id.
    pub pid: u32,
    /// Process id.
    pub tgid: u32,
    /// Its name.
    pub comm: String,
    /// Its tier; null as long as it has not run since the last commit.
    pub tier: Option<String>,
    /// The rule that took it.
    pub rule: Option<String>,
    /// Where it stands on the virtual clock of its tier.
    pub vruntime_ns: u64,
    /// CPU time since its birth.
    pub runtime_ns: u64,
    /// The CPU that it runs on, or ran on last.
    pub cpu: u32,
    /// The kernel's priority: 100 to 139, 120 at nice 0.
    pub priority: u32,
    /// The weight of its nice value, 100 at nice 0.
    pub weight: u32,
    /// Whether it runs or waits for a CPU.
    pub runnable: bool,
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
    /// The performance level that its CPU is asked for, of 1024.
    pub perf: u32,
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
