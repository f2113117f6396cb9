//! Rounds, on a machine in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use edict::check::{Attribute, Balance, Value, check_text};
use edict::diag::{Code, Diagnostic};
use edict::hooks::balance::{AllowAll, Balancer, Domains, MigrationFeatures, Veto};
use edict::live::{Between, Candidate, Considered, CpuLoad, Load, RawFeatures, Route};
use proptest::prelude::*;

use super::means::{Mean, share};

const MS: u64 = 1_000_000;

fn balance(body: &str) -> Balance {
    let text = format!(
        "language 1\npolicy p {{ }}\ntier a {{ }}\nrules {{ otherwise -> a }}\nbalance {{ {body} }}\n"
    );
    let checked = check_text("policy.edict", &text);
    let diagnostics = checked.diagnostics;
    let policy = checked.policy.unwrap_or_else(|| panic!("{diagnostics:?}"));
    policy.balance().unwrap().clone()
}

#[derive(Debug, Clone)]
struct Job {
    weight: u32,
    cpu: usize,
    /// Where it may run; empty is everywhere.
    allowed: Vec<usize>,
    is_hot: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Move {
    at: u64,
    pid: u32,
    from: usize,
    to: usize,
}

/// CPUs with tasks that never sleep. The first of each CPU runs, the others wait.
#[derive(Default)]
struct Machine {
    now: u64,
    llc: Vec<u32>,
    node: Vec<u32>,
    means: Vec<Mean>,
    jobs: BTreeMap<u32, Job>,
    moves: Vec<Move>,
    features: BTreeMap<u32, RawFeatures>,
    looks: u32,
    broken: bool,
}

impl Machine {
    /// Each node its caches, each cache its number of CPUs.
    fn new(nodes: &[&[u32]]) -> Self {
        let mut machine = Self::default();
        let mut llc = 0;
        for (node, caches) in (0..).zip(nodes) {
            for cpus in *caches {
                for _ in 0..*cpus {
                    machine.llc.push(llc);
                    machine.node.push(node);
                    machine.means.push(Mean::default());
                }
                llc += 1;
            }
        }
        machine
    }

    fn with(mut self, cpu: usize, jobs: u32) -> Self {
        for _ in 0..jobs {
            self.add(cpu, 1024);
        }
        self
    }

    fn add(&mut self, cpu: usize, weight: u32) -> u32 {
        let pid = 100 + u32::try_from(self.jobs.len()).unwrap();
        let job = Job {
            weight,
            cpu,
            allowed: Vec::new(),
            is_hot: false,
        };
        self.jobs.insert(pid, job);
        self.means[cpu].weight += i64::from(weight);
        pid
    }

    fn on(&self, cpu: usize) -> usize {
        self.jobs.values().filter(|job| job.cpu == cpu).count()
    }

    fn on_llc(&self, llc: u32) -> usize {
        let there = |job: &&Job| self.llc[job.cpu] == llc;
        self.jobs.values().filter(there).count()
    }

    fn domain(&self, cpu: usize, between: Between) -> u32 {
        match between {
            Between::Cpus => cpu as u32,
            Between::Caches => self.llc[cpu],
        }
    }

    fn waiting(&self) -> Vec<u32> {
        let mut runs = BTreeSet::new();
        let waits = |job: &Job, runs: &mut BTreeSet<usize>| !runs.insert(job.cpu);
        self.jobs
            .iter()
            .filter(|(_, job)| waits(job, &mut runs))
            .map(|(pid, _)| *pid)
            .collect()
    }

    /// Lets time pass, with a round whenever one is due.
    fn run(&mut self, balancer: &mut Balancer, time: u64) {
        self.run_on(balancer, time, || {
            panic!("nothing but the imbalance matters")
        });
    }

    fn run_on(
        &mut self,
        balancer: &mut Balancer,
        time: u64,
        mut machine: impl FnMut() -> Vec<(Attribute, Value)>,
    ) {
        let end = self.now + time;
        while self.now < end {
            self.now += MS;
            let now = Duration::from_nanos(self.now);
            let _ = balancer.round(now, self, &mut machine);
        }
    }
}

impl Domains for Machine {
    fn look(&mut self) -> Result<Vec<CpuLoad>, Box<Diagnostic>> {
        self.looks += 1;
        if self.broken {
            return Err(Box::new(Diagnostic::new(Code::E0605, "broken")));
        }
        Ok((0..self.llc.len())
            .map(|cpu| {
                self.means[cpu].advance(self.now);
                CpuLoad {
                    cpu: cpu as u32,
                    llc: self.llc[cpu],
                    node: self.node[cpu],
                    load: Load(self.means[cpu].load()),
                    tasks: self.on(cpu) as u32,
                    is_idle: self.on(cpu) == 0,
                }
            })
            .collect())
    }

    fn consider(&mut self, route: &Route) -> Result<Considered, Box<Diagnostic>> {
        let mut considered = Considered::default();
        for pid in self.waiting() {
            let job = &self.jobs[&pid];
            if self.domain(job.cpu, route.between) != route.src {
                continue;
            }
            let there = |cpu: &usize| self.domain(*cpu, route.between) == route.dst;
            let allowed = |cpu: &usize| job.allowed.is_empty() || job.allowed.contains(cpu);
            let mut cpus = (route.dst_cpu as usize..self.llc.len()).chain(0..self.llc.len());
            let Some(cpu) = cpus.find(|cpu| there(cpu) && allowed(cpu)) else {
                continue;
            };
            let both = route.src_load.0 + route.dst_load.0;
            let features = RawFeatures {
                src_dom_load: u64::from(share(route.src_load.0, both)),
                dst_dom_load: u64::from(share(route.dst_load.0, both)),
                cpu_idle: route.cpu_idle,
                cpu_not_idle: route.cpu_not_idle,
                cpu: job.cpu as i32,
                round: route.round,
            };
            self.features.insert(pid, features);
            if job.is_hot {
                considered.hot += 1;
                continue;
            }
            considered.candidates.push(Candidate {
                pid,
                weight: job.weight,
                cpu: cpu as u32,
                features,
            });
        }
        Ok(considered)
    }

    fn migrate(&mut self, _: &Route, tasks: &[Candidate]) -> Result<u32, Box<Diagnostic>> {
        for task in tasks {
            let job = self.jobs.get_mut(&task.pid).unwrap();
            let (from, to) = (job.cpu, task.cpu as usize);
            job.cpu = to;
            let weight = job.weight;
            let part = self.means[from].take(weight);
            self.means[from].weight -= i64::from(weight);
            self.means[to].give(part);
            self.means[to].weight += i64::from(weight);
            let at = self.now;
            let pid = task.pid;
            self.moves.push(Move { at, pid, from, to });
        }
        Ok(tasks.len() as u32)
    }
}

/// Forbids everything, and remembers what it was asked.
struct Never(std::sync::Arc<std::sync::Mutex<Vec<MigrationFeatures>>>);

impl Veto for Never {
    fn allows(&mut self, features: &MigrationFeatures) -> bool {
        self.0.lock().unwrap().push(*features);
        false
    }
}

fn balancer(body: &str) -> Balancer {
    Balancer::new(&balance(body), Box::new(AllowAll), Duration::ZERO).unwrap()
}

const CACHES: &str = "when imbalance > 30% for 40ms -> migrate within node";

#[test]
fn an_imbalance_is_evened_out_after_its_time_and_not_before() {
    let mut machine = Machine::new(&[&[2, 2]])
        .with(0, 3)
        .with(1, 3)
        .with(2, 1)
        .with(3, 1);
    let mut rounds = balancer(CACHES);
    assert_eq!(rounds.period(), Duration::from_millis(10));
    // The loads have to be known; nothing is out of balance at the first look.
    machine.run(&mut rounds, 1_000 * MS);
    assert_eq!(
        (machine.on_llc(0), machine.on_llc(1)),
        (4, 4),
        "{:?}",
        machine.moves
    );
    assert_eq!(machine.moves.len(), 2);
    let first = machine.moves[0].at;
    assert!(first >= 40 * MS, "{first}");
    let apart = machine.moves[1].at - first;
    assert!(apart >= 40 * MS, "one at a time, each after 40 ms: {apart}");
    let counters = rounds.counters();
    assert_eq!(counters.moved, 2);
    assert_eq!(counters.rounds, u64::from(machine.looks));
    assert!(counters.considered >= 2 && counters.vetoed == 0);
    let rule = &rounds.rules()[0];
    assert_eq!((rule.moved, rule.imbalance), (2, 0), "{rule:?}");
}

#[test]
fn below_the_threshold_nothing_moves() {
    let mut machine = Machine::new(&[&[2, 2]])
        .with(0, 3)
        .with(1, 3)
        .with(2, 1)
        .with(3, 1);
    let mut rounds = balancer("when imbalance > 101% for 40ms -> migrate within node");
    machine.run(&mut rounds, 2_000 * MS);
    assert_eq!(machine.moves, []);
    let imbalance = rounds.rules()[0].imbalance;
    assert!((990_000..=1_010_000).contains(&imbalance), "{imbalance}");
    assert_eq!(rounds.counters().considered, 0);
}

#[test]
fn what_stops_holding_begins_anew() {
    let mut machine = Machine::new(&[&[1, 1]]).with(0, 4);
    let mut rounds = balancer("when imbalance > 190% for 100ms -> migrate within node");
    machine.jobs.get_mut(&103).unwrap().allowed = vec![0];
    let loads = |machine: &mut Machine, there: bool| {
        // Somebody else is there for a moment, and breaks the imbalance.
        machine.means[1].weight = if there { 8 * 1024 } else { 0 };
    };
    for _ in 0..20 {
        loads(&mut machine, false);
        machine.run(&mut rounds, 80 * MS);
        loads(&mut machine, true);
        machine.run(&mut rounds, 30 * MS);
    }
    assert_eq!(machine.moves, []);
    loads(&mut machine, false);
    machine.run(&mut rounds, 1_000 * MS);
    assert!(!machine.moves.is_empty());
}

#[test]
fn no_round_moves_more_than_its_part() {
    let mut machine = Machine::new(&[&[1, 1]]).with(0, 100);
    let mut rounds = balancer(&format!("{CACHES} max_moves = 3%"));
    machine.run(&mut rounds, 400 * MS);
    let mut at: BTreeMap<u64, usize> = BTreeMap::new();
    for one in &machine.moves {
        *at.entry(one.at).or_default() += 1;
    }
    assert!(at.len() > 3, "{at:?}");
    assert!(at.values().all(|moves| (1..=3).contains(moves)), "{at:?}");
    let times: Vec<u64> = at.keys().copied().collect();
    assert!(
        times.windows(2).all(|two| two[1] - two[0] >= 40 * MS),
        "{times:?}"
    );

    let mut machine = Machine::new(&[&[1, 1]]).with(0, 100);
    let mut rounds = balancer(&format!("{CACHES} max_moves = 0%"));
    machine.run(&mut rounds, 400 * MS);
    assert_eq!(machine.moves, []);
}

#[test]
fn a_veto_stops_every_move_and_is_counted() {
    let asked = std::sync::Arc::default();
    let never = Never(std::sync::Arc::clone(&asked));
    let mut machine = Machine::new(&[&[1, 1]]).with(0, 6).with(1, 2);
    let mut rounds = Balancer::new(&balance(CACHES), Box::new(never), Duration::ZERO).unwrap();
    machine.run(&mut rounds, 1_000 * MS);
    assert_eq!(machine.moves, []);
    let counters = rounds.counters();
    assert_eq!(counters.moved, 0);
    assert!(counters.vetoed > 0);
    assert_eq!(counters.vetoed, asked.lock().unwrap().len() as u64);
    let last = *asked.lock().unwrap().last().unwrap();
    assert_eq!((last.cpu, last.cpu_idle, last.cpu_not_idle), (0, 0, 2));
    assert!((last.src_dom_load.get() - 0.75).abs() < 1e-3, "{last:?}");
    assert!((last.dst_dom_load.get() - 0.25).abs() < 1e-3, "{last:?}");
}

#[test]
fn features_are_written_in_every_round_whether_a_rule_is_due_or_not() {
    let mut machine = Machine::new(&[&[1, 1]]).with(0, 3).with(1, 1);
    let mut rounds = balancer("when imbalance > 900% for 40ms -> migrate within node");
    machine.run(&mut rounds, 100 * MS);
    assert_eq!(machine.moves, []);
    assert_eq!(machine.features.len(), 2, "the first one runs");
    let round = machine.features[&101].round;
    assert_eq!(u64::from(round), rounds.counters().rounds);
    machine.run(&mut rounds, 10 * MS);
    assert_eq!(machine.features[&101].round, round + 1);
}

#[test]
fn tasks_that_are_hot_or_bound_stay() {
    let mut machine = Machine::new(&[&[1, 1]]).with(0, 8);
    for (pid, job) in &mut machine.jobs {
        match pid % 2 {
            0 => job.is_hot = true,
            _ => job.allowed = vec![0],
        }
    }
    let mut rounds = balancer(CACHES);
    machine.run(&mut rounds, 1_000 * MS);
    assert_eq!(machine.moves, []);
    let counters = rounds.counters();
    assert!(counters.hot > 0);
    assert_eq!(counters.hot, counters.considered);
}

#[test]
fn moves_stay_in_the_node_or_in_the_cache() {
    let mut machine = Machine::new(&[&[2, 2], &[2]]).with(0, 9);
    let mut rounds = balancer(&format!("{CACHES} max_moves = 50%"));
    machine.run(&mut rounds, 2_000 * MS);
    assert_eq!(machine.on_llc(2), 0, "another node");
    assert!(machine.on_llc(1) >= 4);

    let mut machine = Machine::new(&[&[2, 2]]).with(0, 6);
    let mut rounds = balancer("when imbalance > 30% for 40ms -> migrate within llc");
    machine.run(&mut rounds, 2_000 * MS);
    assert_eq!((machine.on(0), machine.on(1), machine.on_llc(1)), (3, 3, 0));
}

#[test]
fn rules_may_ask_for_more_than_the_imbalance() {
    let rule = "when imbalance > 30% and not on_battery for 20ms -> migrate within node";
    let build = || Machine::new(&[&[1, 1]]).with(0, 4);
    for (battery, moved) in [(None, false), (Some(true), false), (Some(false), true)] {
        let mut machine = build();
        let mut rounds = balancer(rule);
        let mut asked = 0;
        machine.run_on(&mut rounds, 2_500 * MS, || {
            asked += 1;
            battery
                .map(|truth| (Attribute::OnBattery, Value::Truth(truth)))
                .into_iter()
                .collect()
        });
        assert_eq!(!machine.moves.is_empty(), moved, "{battery:?}");
        assert_eq!(asked, 3, "once a second");
    }
}

#[test]
fn what_fails_is_tried_again_after_a_pause() {
    let mut machine = Machine::new(&[&[1, 1]]).with(0, 4);
    machine.broken = true;
    let mut rounds = balancer(CACHES);
    machine.run(&mut rounds, 3_500 * MS);
    assert_eq!(machine.looks, 4);
    assert_eq!(rounds.counters().rounds, 0);
    machine.broken = false;
    machine.run(&mut rounds, 2_000 * MS);
    assert!(!machine.moves.is_empty());
}

#[test]
fn a_block_without_rules_has_no_rounds() {
    let none = Balancer::new(
        &balance("max_moves = 1%"),
        Box::new(AllowAll),
        Duration::ZERO,
    );
    assert!(none.is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever the tasks, the caches and the rule: nothing moves before the
    /// condition has held for its time, moves come to an end, and where all
    /// tasks weigh the same, none returns to where it was.
    #[test]
    fn moves_come_late_enough_and_come_to_an_end(
        caches in prop::collection::vec(1_u32..4, 2..5),
        jobs in prop::collection::vec((0_usize..12, prop::sample::select(vec![1024_u32, 1024, 335, 3121])), 1..40),
        threshold in 5_u32..150,
        hold in 0_u64..200,
        max_moves in 1_u32..60,
        alike: bool,
    ) {
        let mut machine = Machine::new(&[&caches]);
        let cpus = machine.llc.len();
        for (cpu, weight) in jobs {
            machine.add(cpu % cpus, if alike { 1024 } else { weight });
        }
        let mut rounds = balancer(&format!(
            "when imbalance > {threshold}% for {hold}ms -> migrate within node max_moves = {max_moves}%"
        ));
        // When the condition began to hold, by the loads of the same machine.
        let mut began: Option<u64> = None;
        for _ in 0..6_000 {
            let before = machine.moves.len();
            machine.run(&mut rounds, MS);
            let rule = &rounds.rules()[0];
            let over = rule.imbalance > i64::from(threshold) * 10_000;
            if machine.moves.len() > before {
                let begun = began.unwrap_or(machine.now);
                prop_assert!(machine.now - begun >= hold * MS, "{:?}", machine.moves);
                began = over.then_some(machine.now);
            } else if !over {
                began = None;
            } else if began.is_none() {
                began = Some(machine.now);
            }
        }
        let late = machine.moves.iter().filter(|one| one.at > 5_500 * MS).count();
        let most = machine.jobs.len() * 2;
        prop_assert!(machine.moves.len() <= most, "{} moves", machine.moves.len());
        if hold < 100 {
            prop_assert_eq!(late, 0, "{:?}", machine.moves);
        }
        let mut left = BTreeSet::new();
        for one in &machine.moves {
            let (from, to) = (machine.llc[one.from], machine.llc[one.to]);
            left.insert((one.pid, from));
            prop_assert!(!alike || !left.contains(&(one.pid, to)), "{:?}", machine.moves);
        }
    }
}
