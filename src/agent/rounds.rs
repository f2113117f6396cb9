//! The rounds of balancing, by the clock of the agent.

use std::time::Instant;

use log::{info, warn};

use super::pack::Compiled;
use super::report::{BalanceRuleStatus, BalanceStatus};
use super::scheduler::Scheduler;
use crate::check::Policy;
use crate::diag::Files;
use crate::hooks::balance::{AllowAll, Balancer};
use crate::hooks::classify::FileSystems;
use crate::live::{Between, Values};

/// What the policy in force has of it.
pub(super) struct Rounds {
    balancer: Option<Balancer>,
    begun: Instant,
    /// Reads what rules ask for beyond the loads.
    machine: FileSystems,
    /// Whether the last round failed: what goes on failing is reported once.
    fails: bool,
}

impl Rounds {
    /// Begins anew: conditions have to hold for all of their time under this
    /// policy.
    pub(super) fn new(policy: &Policy) -> Self {
        // `run` refuses a policy with a model, so nothing forbids a move.
        let start = |balance| Balancer::new(balance, Box::new(AllowAll), Default::default());
        Self {
            balancer: policy.balance().and_then(start),
            begun: Instant::now(),
            machine: FileSystems::new(),
            fails: false,
        }
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        let next = self.balancer.as_ref()?.next();
        self.begun.checked_add(next)
    }

    /// One round, if it is due.
    pub(super) fn run(&mut self, scheduler: &mut impl Scheduler) {
        let Some(balancer) = &mut self.balancer else {
            return;
        };
        let now = self.begun.elapsed();
        let Some(domains) = scheduler.domains() else {
            balancer.pause(now);
            return;
        };
        let machine = &mut self.machine;
        let outcome = balancer.round(now, domains, &mut || machine.system());
        match &outcome {
            Ok(()) if self.fails => info!("tasks are moved between domains again"),
            Ok(()) => {}
            Err(_) if self.fails => {}
            Err(diagnostic) => warn!("no task is moved: {}", diagnostic.message),
        }
        self.fails = outcome.is_err();
    }

    pub(super) fn status(&self, active: &Compiled) -> Option<BalanceStatus> {
        let balancer = self.balancer.as_ref()?;
        let counters = balancer.counters();
        let rules = balancer.rules().iter().map(|state| {
            let span = state.rule().span;
            let text = span.of(active.files.text(span.file));
            let within = match state.between() {
                Between::Cpus => "llc",
                Between::Caches => "node",
            };
            BalanceRuleStatus {
                rule: text.split_whitespace().collect::<Vec<_>>().join(" "),
                within: within.to_owned(),
                imbalance: state.imbalance as f64 / 1e6,
                due: state.due,
                moved: state.moved,
            }
        });
        Some(BalanceStatus {
            rounds: counters.rounds,
            considered: counters.considered,
            hot: counters.hot,
            vetoed: counters.vetoed,
            moved: counters.moved,
            rules: rules.collect(),
        })
    }
}
