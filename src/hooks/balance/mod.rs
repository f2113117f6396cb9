//! The rounds of the `balance` block: when tasks move between domains, and which.
//!
//! ```text
//!   look ─▶ loads ─▶ groups ─▶ imbalance ─▶ condition ─▶ held for its `for`?
//!                      │                                       │ yes
//!                      ▼                                       ▼
//!                   consider ─▶ features ───────────▶ veto ─▶ move
//! ```
//!
//! A round looks at the load of every CPU, groups them into domains (the CPUs of
//! each cache for rules `within llc`, the caches of each node for rules `within
//! node`), and asks each rule about each group, with the imbalance of that group.
//! Where a condition has held without a break for its `for`, tasks that wait in
//! the most loaded domain are moved to the least loaded one: at most `max_moves`
//! of its tasks, none that ran a moment ago, none that would only change which
//! domain has more, and none that the veto forbids. After that the condition has
//! to hold for its `for` again.
//!
//! In every round the object writes down, at each task that could be moved, what
//! a model would be asked with, whether a rule is due or not.
//!
//! This decides; the object measures and moves. It reads no clock: who runs the
//! rounds says what time it is. What it does not do: it moves nothing that runs,
//! and nothing from one node to another.

mod domains;
mod features;
mod hold;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::check::{Attribute, Balance, BalanceRule, Cond, Domain as Within, Value};
use crate::diag::Diagnostic;
use crate::eval::{Task, Truth, truth};
use crate::live::{Between, Candidate, Considered, CpuLoad, Route};

pub use domains::{Domain, Group, Scales, groups, most_moves};
pub use features::{MigrationFeatures, NotANumber, Part};
pub use hold::Hold;

/// The shortest and the longest time between two rounds.
const PERIODS: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));
/// How often the machine is asked for more than its loads.
const SAMPLE: Duration = Duration::from_secs(1);
/// How long nothing is tried after something has failed.
const PAUSE: Duration = Duration::from_secs(1);

/// What a round needs of the object.
pub trait Domains {
    /// The load of each CPU that is online.
    fn look(&mut self) -> Result<Vec<CpuLoad>, Box<Diagnostic>>;

    /// The tasks that could go that way. Writes their features down at each.
    fn consider(&mut self, route: &Route) -> Result<Considered, Box<Diagnostic>>;

    /// Moves tasks; returns how many were still waiting and have moved.
    fn migrate(&mut self, route: &Route, tasks: &[Candidate]) -> Result<u32, Box<Diagnostic>>;
}

#[cfg(feature = "live")]
impl Domains for crate::live::Attached {
    fn look(&mut self) -> Result<Vec<CpuLoad>, Box<Diagnostic>> {
        Self::look(self).map_err(|error| Box::new(error.diagnostic()))
    }

    fn consider(&mut self, route: &Route) -> Result<Considered, Box<Diagnostic>> {
        Self::consider(self, route).map_err(|error| Box::new(error.diagnostic()))
    }

    fn migrate(&mut self, route: &Route, tasks: &[Candidate]) -> Result<u32, Box<Diagnostic>> {
        Self::migrate(self, route, tasks).map_err(|error| Box::new(error.diagnostic()))
    }
}

/// What may forbid a move.
pub trait Veto: Send {
    /// Whether the move may be made.
    fn allows(&mut self, move_: &MigrationFeatures) -> bool;
}

/// Forbids nothing: what a policy without a model has.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowAll;

impl Veto for AllowAll {
    fn allows(&mut self, _: &MigrationFeatures) -> bool {
        true
    }
}

/// What has happened so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Looks at the loads.
    pub rounds: u64,
    /// Waiting tasks that could have been moved when a rule was due.
    pub considered: u64,
    /// Of those, the ones that stayed because they ran a moment ago.
    pub hot: u64,
    /// Of those, the ones whose move was forbidden.
    pub vetoed: u64,
    /// Of those, the ones that were moved.
    pub moved: u64,
}

/// A rule, and what has become of it.
#[derive(Debug, Clone)]
pub struct RuleState {
    rule: BalanceRule,
    /// Of each group, by its number.
    holds: BTreeMap<u32, Hold>,
    /// At the last look, of the group where it is greatest; in parts per million.
    pub imbalance: i64,
    /// Rounds in which it was due, for some group.
    pub due: u64,
    /// Tasks that were moved because of it.
    pub moved: u64,
}

/// Carries out a `balance` block.
pub struct Balancer {
    rules: Vec<RuleState>,
    max_moves: crate::check::Ppm,
    veto: Box<dyn Veto>,
    period: Duration,
    next: Duration,
    asks_the_machine: bool,
    machine: Task,
    sampled: Option<Duration>,
    round: u32,
    counters: Counters,
}

impl std::fmt::Debug for Balancer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Balancer")
            .field("rules", &self.rules)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl Balancer {
    /// None if the block has no rules. The first round is at `now`.
    pub fn new(balance: &Balance, veto: Box<dyn Veto>, now: Duration) -> Option<Self> {
        let shortest = balance.rules.iter().map(|rule| rule.hold.0).min()?;
        let period = Duration::from_nanos(shortest / 4).clamp(PERIODS.0, PERIODS.1);
        let rules = balance.rules.iter().map(|rule| RuleState {
            rule: rule.clone(),
            holds: BTreeMap::new(),
            imbalance: 0,
            due: 0,
            moved: 0,
        });
        Some(Self {
            rules: rules.collect(),
            max_moves: balance.max_moves,
            veto,
            period,
            next: now,
            asks_the_machine: balance.rules.iter().any(|rule| asks_more(&rule.when)),
            machine: Task::default(),
            sampled: None,
            round: 0,
            counters: Counters::default(),
        })
    }

    /// When the next round is due.
    pub fn next(&self) -> Duration {
        self.next
    }

    /// The time from one round to the next.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// What has happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The rules, in the order of the text.
    pub fn rules(&self) -> &[RuleState] {
        &self.rules
    }

    /// One round at `now`, if it is due. `machine` tells what is known of the
    /// machine as a whole; it is asked once a second, if the rules want more
    /// than the imbalance.
    ///
    /// # Errors
    ///
    /// What the object could not do. The next round is a second later then.
    pub fn round(
        &mut self,
        now: Duration,
        domains: &mut dyn Domains,
        machine: &mut dyn FnMut() -> Vec<(Attribute, Value)>,
    ) -> Result<(), Box<Diagnostic>> {
        if now < self.next {
            return Ok(());
        }
        self.next = now + self.period;
        if self.asks_the_machine
            && self
                .sampled
                .is_none_or(|at| now.saturating_sub(at) >= SAMPLE)
        {
            self.sampled = Some(now);
            self.machine = Task::default();
            for (attribute, value) in machine() {
                self.machine.set(attribute, value);
            }
        }
        let outcome = self.look(now, domains);
        if outcome.is_err() {
            self.pause(now);
        }
        outcome
    }

    /// No round for a second.
    pub fn pause(&mut self, now: Duration) {
        self.next = now + PAUSE;
    }

    fn look(&mut self, now: Duration, domains: &mut dyn Domains) -> Result<(), Box<Diagnostic>> {
        let cpus = domains.look()?;
        self.counters.rounds += 1;
        // 0 stands for a task that was never considered.
        self.round = self.round.wrapping_add(1).max(1);
        for rule in &mut self.rules {
            rule.imbalance = 0;
        }
        for between in [Between::Cpus, Between::Caches] {
            if !self.rules.iter().any(|rule| rule.between() == between) {
                continue;
            }
            for group in groups(&cpus, between) {
                let due = self.ask(now, &group, between);
                self.attend(now, &group, between, &due, &cpus, domains)?;
            }
        }
        Ok(())
    }

    /// The rules that are due for a group.
    fn ask(&mut self, now: Duration, group: &Group, between: Between) -> Vec<usize> {
        let imbalance = group.imbalance();
        self.machine.set(Attribute::Imbalance, imbalance);
        let now = nanos(now);
        let period = nanos(self.period);
        let mut due = Vec::new();
        for (index, rule) in self.rules.iter_mut().enumerate() {
            if rule.between() != between {
                continue;
            }
            rule.imbalance = rule.imbalance.max(imbalance);
            let holds = truth(&rule.rule.when, &self.machine) == Truth::True;
            let time = rule.rule.hold.0;
            let gap = time.max(4 * period);
            let hold = rule.holds.entry(group.number).or_default();
            if hold.see(now, holds, time, gap) {
                due.push(index);
            }
        }
        due
    }

    /// Considers the tasks of a group, and moves some if a rule is due.
    fn attend(
        &mut self,
        now: Duration,
        group: &Group,
        between: Between,
        due: &[usize],
        cpus: &[CpuLoad],
        domains: &mut dyn Domains,
    ) -> Result<(), Box<Diagnostic>> {
        let Some((src, dst)) = group.route() else {
            return Ok(());
        };
        let count = |idle: bool| {
            let found = cpus.iter().filter(|cpu| cpu.is_idle == idle).count();
            i32::try_from(found).unwrap_or(i32::MAX)
        };
        let route = Route {
            round: self.round,
            between,
            src: src.number,
            dst: dst.number,
            dst_cpu: dst.idlest,
            src_load: src.load,
            dst_load: dst.load,
            cpu_idle: count(true),
            cpu_not_idle: count(false),
        };
        let considered = domains.consider(&route)?;
        let Some(first) = due.first() else {
            return Ok(());
        };
        for index in due {
            if let Some(rule) = self.rules.get_mut(*index) {
                rule.due += 1;
            }
        }
        let chosen = self.choose(src, dst, &considered);
        if chosen.is_empty() {
            return Ok(());
        }
        let moved = u64::from(domains.migrate(&route, &chosen)?);
        self.counters.moved += moved;
        if let Some(rule) = self.rules.get_mut(*first) {
            rule.moved += moved;
        }
        if moved > 0 {
            for index in due {
                let rule = self.rules.get_mut(*index);
                if let Some(hold) = rule.and_then(|rule| rule.holds.get_mut(&group.number)) {
                    hold.restart(nanos(now));
                }
            }
        }
        Ok(())
    }

    /// Which of the tasks go.
    fn choose(&mut self, src: &Domain, dst: &Domain, considered: &Considered) -> Vec<Candidate> {
        let hot = u64::from(considered.hot);
        self.counters.hot += hot;
        self.counters.considered += hot + considered.candidates.len() as u64;
        let most = most_moves(src, self.max_moves);
        let mut scales = Scales::new(src, dst);
        let mut chosen = Vec::new();
        for task in &considered.candidates {
            if chosen.len() as u64 >= most {
                break;
            }
            if !scales.improves(task) {
                continue;
            }
            if self.veto.allows(&task.features.into()) {
                scales.moved(task);
                chosen.push(*task);
            } else {
                self.counters.vetoed += 1;
            }
        }
        chosen
    }
}

impl RuleState {
    /// What the rule moves tasks between.
    pub fn between(&self) -> Between {
        match self.rule.within {
            Within::Llc => Between::Cpus,
            Within::Node => Between::Caches,
        }
    }

    /// The rule.
    pub fn rule(&self) -> &BalanceRule {
        &self.rule
    }
}

/// Whether a condition is about more than the imbalance.
fn asks_more(cond: &Cond) -> bool {
    match cond {
        Cond::And(parts) | Cond::Or(parts) => parts.iter().any(asks_more),
        Cond::Not(inner) => asks_more(inner),
        Cond::Test(test, _) => test.attribute() != Attribute::Imbalance,
        Cond::Model(..) => false,
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
