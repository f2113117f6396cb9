//! The object and the policy in force: what changes together.

use std::cmp::Reverse;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::owner::changed_files;
use super::pack::Compiled;
use super::protocol::Response;
use super::recording::{LONGEST, Recording, Recordings};
use super::refusals::needs_restart;
use super::report::{
    Cached, RuleStatus, Status, Step, TaskLine, Tasks, TierStatus, Why, set_shares,
};
use super::rounds::Rounds;
use super::scheduler::Scheduler;
use super::trace::{Begun, Why as Over};
use crate::check::{ATTRIBUTES, Between, RuleId, TierId};
use crate::diag::{Diagnostic, Files};
use crate::eval::{Task, explain};
use crate::hooks::topology::list;
use crate::live::{Ejection, Inspection, Listed, Statistics, TierStatistics};
use crate::reload::{Engine, Rejection, changes};

/// Where the kernel counts how often a scheduler was attached.
const ENABLE_SEQ: &str = "/sys/kernel/sched_ext/enable_seq";
/// Which CPUs there are.
const ONLINE: &str = "/sys/devices/system/cpu/online";

/// So many tasks are listed: an answer of a few megabytes.
const TASKS_MAX: usize = 10_000;

/// The object and the policy in force.
pub(super) struct InForce<S> {
    scheduler: S,
    active: Box<Compiled>,
    /// What was in force before, until somebody asks what has changed.
    before: Option<Box<Compiled>>,
    generation: u64,
    attached: Instant,
    committed: Instant,
    allow_restart: bool,
    /// Why nothing is attached any more, after a restart that failed.
    lost: Option<Box<Diagnostic>>,
    rounds: Rounds,
    recordings: Recordings,
}

/// What is ready to be put in force.
pub(super) enum Ready<P> {
    /// A filled, idle bank.
    Bank(P, Box<Compiled>),
    /// A policy that needs an object of its own.
    Restart(Box<Compiled>),
}

impl<S: Scheduler> InForce<S> {
    pub(super) fn new(
        scheduler: S,
        active: Box<Compiled>,
        generation: u64,
        allow_restart: bool,
    ) -> Self {
        let now = Instant::now();
        let rounds = Rounds::new(&active.policy);
        Self {
            scheduler,
            active,
            rounds,
            before: None,
            generation,
            attached: now,
            committed: now,
            allow_restart,
            lost: None,
            recordings: Recordings::default(),
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn active(&self) -> &Compiled {
        &self.active
    }

    /// What the last commit has changed: `policy.edict changed (tier batch …)`.
    pub(super) fn changes(&mut self) -> String {
        let Some(before) = self.before.take() else {
            return "nothing changed".to_owned();
        };
        format!(
            "{} changed ({})",
            changed_files(&before.files, &self.active.files),
            changes::between(&before.policy, &self.active.policy)
        )
    }

    /// When the next round of balancing is due, if there are any.
    pub(super) fn next_round(&self) -> Option<Instant> {
        self.rounds.next()
    }

    /// Does it, if it is due.
    pub(super) fn round(&mut self) {
        self.rounds.run(&mut self.scheduler);
    }

    pub(super) fn into_scheduler(self) -> S {
        self.scheduler
    }

    /// Why nothing is attached any more, after a restart that failed.
    pub(super) fn lost(&mut self) -> Option<Box<Diagnostic>> {
        self.lost.take()
    }

    pub(super) fn ejection(&mut self) -> Option<Ejection> {
        self.scheduler.ejection()
    }

    /// Why the kernel has thrown the scheduler out, of which policy, and where
    /// the task stood that was not run, if that was it.
    pub(super) fn ejected(&mut self, ejection: &Ejection) -> Diagnostic {
        let mut diagnostic = ejection.diagnostic();
        if let Some(stalled) = ejection.stalled()
            && let Ok(Some(seen)) = self.scheduler.inspect(stalled.pid)
            && seen.comm == stalled.comm
            && seen.generation == self.generation
        {
            let (tier, rule) = (self.tier_name(seen.tier), self.rule_name(seen.rule));
            diagnostic.message += &format!("; it is in tier `{tier}` by rule `{rule}`");
        }
        let digest = self.active.image.digest().to_string();
        diagnostic.message += &format!(
            " (generation {}, digest {})",
            self.generation,
            digest.get(..8).unwrap_or_default()
        );
        diagnostic
    }

    pub(super) fn attach_again(&mut self) -> Result<u64, Box<Diagnostic>> {
        self.recordings.end(Over::Restarted);
        self.generation = self.scheduler.attach_again(&self.active.image)?;
        self.attached = Instant::now();
        self.committed = self.attached;
        Ok(self.generation)
    }

    /// Everything about the object; what is about the files is left empty.
    pub(super) fn status(&mut self) -> Status {
        let statistics = self.scheduler.statistics().unwrap_or_default();
        let since_commit = self.committed.elapsed();
        let image = &self.active.image;
        Status {
            backend: self.scheduler.backend().to_owned(),
            state: String::new(),
            generation: self.generation,
            digest: image.digest().to_string(),
            policy: self.active.policy.name().to_owned(),
            version: self.active.policy.version().map(ToOwned::to_owned),
            path: String::new(),
            enable_seq: fs::read_to_string(ENABLE_SEQ)
                .ok()
                .and_then(|text| text.trim().parse().ok()),
            uptime_s: self.attached.elapsed().as_secs(),
            since_commit_s: since_commit.as_secs(),
            since_commit_us: u64::try_from(since_commit.as_micros()).unwrap_or(u64::MAX),
            rejected: 0,
            last_error: None,
            watching: String::new(),
            agent_pid: std::process::id(),
            cpus: online_cpus(),
            between: self.between().to_owned(),
            tiers: self.tiers(&statistics),
            rules: self.rules(&statistics),
            classifications: statistics.classifications,
            unmatched: statistics.unmatched,
            events_lost: statistics.events_lost,
            interval: None,
            balance: self.rounds.status(&self.active),
        }
    }

    fn between(&self) -> &'static str {
        match self.active.policy.lottery().between {
            Between::Tiers => "tiers",
            Between::Stride => "stride",
            Between::Strict => "strict",
        }
    }

    fn tiers(&self, statistics: &Statistics) -> Vec<TierStatus> {
        let declared = self.active.policy.tiers();
        let none = TierStatistics::default();
        let tiers = self.active.image.tiers().iter().enumerate();
        let mut tiers: Vec<TierStatus> = tiers
            .map(|(index, tier)| {
                let got = statistics.tiers.get(index).unwrap_or(&none);
                let declared = declared.get(index);
                let cpus = declared.and_then(|tier| tier.cpus.as_ref());
                let budget = declared.and_then(|tier| tier.budget);
                TierStatus {
                    name: tier.name.clone(),
                    tickets: tier.tickets,
                    tasks: got.tasks,
                    runnable: got.runnable,
                    runtime_ns: got.runtime_ns,
                    dispatches: got.dispatches,
                    preemptions: got.preemptions,
                    direct: got.direct,
                    overdue: got.overdue,
                    migrations: got.migrations,
                    throttled: got.throttled,
                    strays: got.strays,
                    budget: budget.map(|budget| f64::from(budget.0) / 1e6),
                    cpus: cpus.map(ToString::to_string),
                    ..TierStatus::default()
                }
                .waited(&got.waits)
            })
            .collect();
        set_shares(&mut tiers, self.between());
        tiers
    }

    fn rules(&self, statistics: &Statistics) -> Vec<RuleStatus> {
        let rules = self.active.image.rules().iter().enumerate();
        rules
            .map(|(index, rule)| RuleStatus {
                name: rule.name.clone(),
                tier: self.tier_name(rule.tier),
                hits: statistics.rules.get(index).copied().unwrap_or(0),
            })
            .collect()
    }

    /// All tasks, as far as an answer may hold them.
    pub(super) fn tasks(&mut self) -> Result<Tasks, Box<Diagnostic>> {
        let mut listed = self.scheduler.tasks()?;
        let total = listed.len() as u64;
        listed.sort_by_key(|task| (Reverse(task.runtime_ns), task.pid));
        listed.truncate(TASKS_MAX);
        let line = |task: Listed| {
            let is_current = task.generation == self.generation;
            TaskLine {
                pid: task.pid,
                tgid: task.tgid,
                comm: task.comm,
                tier: is_current.then(|| self.tier_name(task.tier)),
                rule: is_current.then(|| self.rule_name(task.rule)),
                vruntime_ns: task.vtime,
                runtime_ns: task.runtime_ns,
                cpu: task.cpu,
                priority: task.priority,
                weight: task.weight,
                runnable: task.is_runnable,
            }
        };
        Ok(Tasks {
            policy: self.active.policy.name().to_owned(),
            generation: self.generation,
            total,
            tasks: listed.into_iter().map(line).collect(),
        })
    }

    /// Begins a recording of so many milliseconds; the refusal if it cannot.
    pub(super) fn record(&mut self, millis: u32) -> Result<(Begun, Recording), Response> {
        let length = Duration::from_millis(millis.into());
        if length.is_zero() || length > LONGEST {
            let longest = LONGEST.as_secs();
            let why = format!("a recording takes more than 0 and at most {longest} seconds");
            return Err(Response::refused(why));
        }
        if self.recordings.is_on() {
            let why = "somebody else is recording; there is one recording at a time";
            return Err(Response::refused(why));
        }
        let backend = self.scheduler.backend();
        let recorder = match self.scheduler.record() {
            Ok(Some(recorder)) => recorder,
            Ok(None) => {
                let why = format!("the backend `{backend}` decides nothing that could be recorded");
                return Err(Response::refused(why));
            }
            Err(diagnostic) => {
                let code = Some(diagnostic.code.to_string());
                return Err(Response::refused(diagnostic.message.clone()).code(code));
            }
        };
        let recording = self
            .recordings
            .begin(recorder, &self.active, self.generation, length);
        let begun = Begun {
            policy: self.active.policy.name().to_owned(),
            backend: backend.to_owned(),
            at_ns: recording.began_ns(),
            millis,
        };
        Ok((begun, recording))
    }

    /// Ends a recording that is on, for the agent ends.
    pub(super) fn end_recording(&mut self) {
        self.recordings.end(Over::Stopping);
    }

    /// How a task is scheduled, and why.
    pub(super) fn why(&mut self, pid: u32) -> Response {
        let seen = match self.scheduler.inspect(pid) {
            Ok(Some(seen)) => seen,
            Ok(None) => return Response::refused(format!("there is no task {pid}")),
            Err(diagnostic) => {
                return Response::refused(diagnostic.message.clone())
                    .code(Some(diagnostic.code.to_string()));
            }
        };
        if seen.class != "ext" {
            return Response::refused(format!(
                "edict does not schedule task {pid} (`{}`): its scheduling class is {}",
                seen.comm, seen.class
            ));
        }
        match serde_json::to_value(self.explain(&seen)) {
            Ok(value) => Response::done(value),
            Err(error) => Response::refused(error.to_string()),
        }
    }

    fn explain(&self, seen: &Inspection) -> Why {
        let policy = &self.active.policy;
        let files = &self.active.files;
        let explanation = explain(policy, &seen.task);
        let verdict = explanation.verdict;
        let rule = policy.rules().get(usize::from(verdict.rule.0));
        let is_current = seen.generation == self.generation;
        let cached = is_current.then(|| Cached {
            tier: self.tier_name(seen.tier),
            rule: self.rule_name(seen.rule),
            generation: seen.generation,
        });
        let agrees = is_current.then_some(seen.tier == verdict.tier && seen.rule == verdict.rule);
        Why {
            pid: seen.pid,
            tgid: seen.tgid,
            comm: seen.comm.clone(),
            class: seen.class.to_owned(),
            tier: self.tier_name(verdict.tier),
            rule: self.rule_name(verdict.rule),
            file: rule.map_or(String::new(), |rule| files.name(rule.span.file).to_owned()),
            line: rule.map_or(0, |rule| rule.line),
            source: rule.map_or(String::new(), |rule| {
                rule.span.of(files.text(rule.span.file)).to_owned()
            }),
            generation: self.generation,
            attributes: attributes(&seen.task),
            trace: explanation
                .trace
                .into_iter()
                .map(|step| Step {
                    rule: step.name,
                    line: step.line,
                    matched: step.matched,
                    because: step.because,
                })
                .collect(),
            cached,
            agrees,
            perf: seen.perf,
        }
    }

    fn tier_name(&self, tier: TierId) -> String {
        let tier = self.active.policy.tier(tier);
        tier.map_or(String::new(), |tier| tier.name.clone())
    }

    fn rule_name(&self, rule: RuleId) -> String {
        let rule = self.active.policy.rules().get(usize::from(rule.0));
        rule.map_or(String::new(), |rule| rule.name.clone())
    }
}

impl<S: Scheduler> Engine for InForce<S> {
    type Built = Box<Compiled>;
    type Prepared = Ready<S::Prepared>;
    type Committed = ();

    fn prepare(&mut self, built: Box<Compiled>) -> Result<Self::Prepared, Rejection> {
        let restarts = self.active.policy.restarts(&built.policy);
        if !restarts.is_empty() {
            return match self.allow_restart {
                true => Ok(Ready::Restart(built)),
                false => Err(refused(&needs_restart(&restarts))),
            };
        }
        match self.scheduler.prepare(&built.image) {
            Ok(prepared) => Ok(Ready::Bank(prepared, built)),
            Err(diagnostic) => Err(refused(&diagnostic)),
        }
    }

    fn commit(&mut self, ready: Self::Prepared) -> Result<(), Rejection> {
        let built = match ready {
            Ready::Bank(prepared, built) => {
                let scheduler = &mut self.scheduler;
                self.generation = self
                    .recordings
                    .commit(&built, || scheduler.commit(prepared))
                    .map_err(|diagnostic| refused(&diagnostic))?;
                built
            }
            Ready::Restart(built) => {
                if let Err(diagnostic) = self.restart(&built) {
                    return Err(refused(&diagnostic));
                }
                built
            }
        };
        self.committed = Instant::now();
        self.rounds = Rounds::new(&built.policy);
        self.before = Some(std::mem::replace(&mut self.active, built));
        Ok(())
    }
}

impl<S: Scheduler> InForce<S> {
    /// Replaces the object; where the new one does not attach, what was in force
    /// before comes back.
    fn restart(&mut self, built: &Compiled) -> Result<(), Box<Diagnostic>> {
        log::info!("attaching again: the edit needs it");
        self.recordings.end(Over::Restarted);
        match self.scheduler.attach_again(&built.image) {
            Ok(generation) => {
                self.generation = generation;
                self.attached = Instant::now();
                Ok(())
            }
            Err(diagnostic) => {
                if let Err(lost) = self.attach_again() {
                    self.lost = Some(lost);
                }
                Err(diagnostic)
            }
        }
    }
}

fn refused(diagnostic: &Diagnostic) -> Rejection {
    let files = crate::source::SourceSet::default();
    super::pack::rejection(std::slice::from_ref(diagnostic), &files)
}

fn online_cpus() -> u64 {
    let online = fs::read_to_string(ONLINE).unwrap_or_default();
    list(&online).len() as u64
}

fn attributes(task: &Task) -> Map<String, Value> {
    ATTRIBUTES
        .iter()
        .map(|about| {
            let attribute = about.attribute;
            let value = task
                .text(attribute)
                .map(|text| json!(text))
                .or_else(|| task.number(attribute).map(|number| json!(number)))
                .or_else(|| task.truth(attribute).map(|truth| json!(truth)));
            (about.name.to_owned(), value.unwrap_or(Value::Null))
        })
        .collect()
}
