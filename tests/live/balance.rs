//! Balancing on a machine with two caches (`scripts/vm --topology 2llc`): an
//! imbalance made on purpose, by tasks that were bound to one cache and are let
//! go. The CPUs of the other cache have something to run, so none of them comes
//! for more by itself.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use edict::check::{Balance, check_text};
use edict::hooks::balance::{AllowAll, Balancer, MigrationFeatures, Veto};
use edict::live::{Attached, Between, CpuLoad, Load, ONE, Route, imbalance_of_caches};

use crate::lab::{self, Worker};

const MS: fn(u64) -> Duration = Duration::from_millis;

fn policy(balance: &str) -> String {
    format!(
        "language 1\npolicy balanced {{ version = \"1\" }}\n\
         tier work  {{ tickets = 100   slice = 4ms   max_wait = 200ms }}\n\
         tier other {{ tickets = 100   slice = 4ms }}\n\
         rules {{ w: when comm starts with \"work\" -> work\n otherwise -> other }}\n\
         balance {{ {balance} }}\n"
    )
}

fn block(text: &str) -> Balance {
    let checked = check_text("policy.edict", text);
    checked.policy.unwrap().balance().unwrap().clone()
}

/// The CPUs of each cache; none where there are not two with two each.
fn caches(attached: &Attached) -> Option<[Vec<u32>; 2]> {
    let cpus = attached.look().unwrap();
    let of = |llc| -> Vec<u32> {
        let there = cpus.iter().filter(|cpu| cpu.llc == llc);
        there.map(|cpu| cpu.cpu).collect()
    };
    let (first, second) = (of(0), of(1));
    (first.len() >= 2 && second.len() >= 2).then_some([first, second])
}

/// Runnable tasks for each cache: three for each CPU of the first, one for each
/// of the second. Then all may run anywhere.
fn uneven(caches: &[Vec<u32>; 2]) -> Vec<Worker> {
    let mut workers = Vec::new();
    for (cpus, each) in caches.iter().zip([3, 1]) {
        for cpu in cpus {
            for _ in 0..each {
                let worker = Worker::start("work", "spin");
                worker.pin(*cpu);
                workers.push(worker);
            }
        }
    }
    // The loads have to be known: several half-lives.
    std::thread::sleep(MS(400));
    for worker in &workers {
        lab::pin_to(worker.pid, u64::MAX);
    }
    workers
}

/// How many workers are under each cache, by the CPU that they ran on last.
fn spread(workers: &[Worker], caches: &[Vec<u32>; 2]) -> [usize; 2] {
    let on = |cpus: &[u32]| {
        let there = |worker: &&Worker| cpus.contains(&lab::last_cpu(worker.pid));
        workers.iter().filter(there).count()
    };
    [on(&caches[0]), on(&caches[1])]
}

/// Rounds for so long; when the first task was moved, and how many by then.
fn rounds(balancer: &mut Balancer, attached: &mut Attached, time: Duration) -> Option<Duration> {
    let begun = Instant::now();
    let mut first = None;
    while begun.elapsed() < time {
        let before = balancer.counters().moved;
        let now = begun.elapsed();
        balancer.round(now, attached, &mut Vec::new).unwrap();
        if balancer.counters().moved > before && first.is_none() {
            first = Some(now);
        }
        std::thread::sleep(MS(1));
    }
    first
}

fn balancer(text: &str, veto: Box<dyn Veto>) -> Balancer {
    Balancer::new(&block(text), veto, Duration::ZERO).unwrap()
}

fn show(cpus: &[CpuLoad]) -> String {
    let one = |cpu: &CpuLoad| {
        format!(
            "{}:{:.2}/{}",
            cpu.cpu,
            cpu.load.0 as f64 / 65_536.0,
            cpu.tasks
        )
    };
    cpus.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// One object for all of it: loading it takes longer than each part.
#[test]
fn vm_domains_balance_between_caches() {
    let Some(_machine) = lab::machine("balancing between caches") else {
        return;
    };
    let mut attached = lab::attach(&policy(""));
    let Some(caches) = caches(&attached) else {
        eprintln!("SKIPPED balancing between caches: needs two with two CPUs each");
        return;
    };
    let parts: [(&str, fn(&mut Attached, &[Vec<u32>; 2])); 6] = [
        ("features", features_are_those_of_the_round),
        ("threshold", below_the_threshold_moves_nothing),
        ("veto", a_veto_stops_every_move),
        ("evening out", evens_out_after_its_time_and_not_before),
        ("max_moves", no_round_moves_more_than_its_part),
        ("promises", promises_survive_a_move),
    ];
    for (name, part) in parts {
        print!("{name}: ");
        part(&mut attached, &caches);
        assert!(attached.ejection().is_none());
    }
    attached.detach().unwrap();
}

#[test]
fn vm_balance_loads_are_what_runs() {
    let Some(_machine) = lab::machine("loads") else {
        return;
    };
    let attached = lab::attach(&policy(
        "when imbalance > 100% for 1s -> migrate within node",
    ));
    let cpus = lab::cpus();
    let idle = attached.look().unwrap();
    println!("idle: {}", show(&idle));
    assert_eq!(idle.len(), cpus as usize);
    let mut workers = Vec::new();
    for _ in 0..3 {
        let worker = Worker::start("work", "spin");
        worker.pin(0);
        workers.push(worker);
    }
    workers[2].nice(5); // 335 of 1024
    std::thread::sleep(MS(600));
    let busy = attached.look().unwrap();
    println!("2.33 on CPU 0: {}", show(&busy));
    let load = |cpus: &[CpuLoad], cpu: usize| cpus[cpu].load.0 as f64 / 65_536.0;
    assert!((2.25..2.9).contains(&load(&busy, 0)), "{}", show(&busy));
    assert!(!busy[0].is_idle && busy[0].tasks >= 3);
    // One that naps for as long as it spins: between nothing and one.
    let nap = Worker::start("work", "naps 5000 5000");
    nap.pin(1);
    let mut sum = 0.0;
    for _ in 0..20 {
        std::thread::sleep(MS(50));
        sum += load(&attached.look().unwrap(), 1) / 20.0;
    }
    println!("napping on CPU 1: {sum:.2}");
    assert!((0.2..0.95).contains(&sum));
    // Who is gone leaves nothing behind.
    drop(nap);
    drop(workers);
    std::thread::sleep(MS(1_000));
    let after = attached.look().unwrap();
    println!("gone: {}", show(&after));
    let tasks: u32 = after.iter().map(|cpu| cpu.tasks).sum();
    assert!(tasks <= 4, "{}", show(&after));
    assert!(load(&after, 0) < 0.8, "{}", show(&after));
    attached.detach().unwrap();
}

fn evens_out_after_its_time_and_not_before(attached: &mut Attached, caches: &[Vec<u32>; 2]) {
    let text = policy("when imbalance > 20% for 400ms -> migrate within node");
    let workers = uneven(caches);
    println!("before: {:?}", spread(&workers, caches));
    let before = spread(&workers, caches);
    assert!(before[0] >= 2 * before[1], "{before:?}");
    let mut balancer = balancer(&text, Box::new(AllowAll));
    let first = rounds(&mut balancer, attached, MS(5_000));
    let counters = balancer.counters();
    let look = attached.look().unwrap();
    let after = spread(&workers, caches);
    println!(
        "first move after {first:?}; {counters:?}; {after:?}; {}",
        show(&look)
    );
    assert!(first.unwrap() >= MS(400), "{first:?}");
    let due = (before[0] - before[1]) as u64 / 2;
    // A CPU that had nothing to run for a moment may have come for one itself.
    assert!(counters.moved >= 1, "{counters:?}");
    assert!(counters.moved <= due + 3, "back and forth: {counters:?}");
    assert!(after[0].abs_diff(after[1]) <= 2, "{after:?}");
    assert!(imbalance_of_caches(&look) < 500_000, "{}", show(&look));
}

fn below_the_threshold_moves_nothing(attached: &mut Attached, caches: &[Vec<u32>; 2]) {
    let text = policy("when imbalance > 190% for 100ms -> migrate within node");
    let workers = uneven(caches);
    let mut balancer = balancer(&text, Box::new(AllowAll));
    rounds(&mut balancer, attached, MS(2_000));
    let after = spread(&workers, caches);
    let imbalance = balancer.rules()[0].imbalance;
    println!(
        "{:?}; {after:?}; imbalance {imbalance}",
        balancer.counters()
    );
    assert_eq!(balancer.counters().moved, 0);
    assert_eq!(balancer.counters().considered, 0);
}

/// Forbids everything, and remembers what it was asked.
struct Never(Arc<Mutex<Vec<MigrationFeatures>>>);

impl Veto for Never {
    fn allows(&mut self, features: &MigrationFeatures) -> bool {
        self.0.lock().unwrap().push(*features);
        false
    }
}

fn a_veto_stops_every_move(attached: &mut Attached, caches: &[Vec<u32>; 2]) {
    let text = policy("when imbalance > 40% for 100ms -> migrate within node");
    let workers = uneven(caches);
    let asked = Arc::default();
    let mut balancer = balancer(&text, Box::new(Never(Arc::clone(&asked))));
    rounds(&mut balancer, attached, MS(2_000));
    let counters = balancer.counters();
    let after = spread(&workers, caches);
    println!(
        "{counters:?}; {after:?}; {:?}",
        asked.lock().unwrap().last()
    );
    assert_eq!(counters.moved, 0);
    assert!(counters.vetoed > 0);
    assert_eq!(counters.vetoed, asked.lock().unwrap().len() as u64);
    for features in asked.lock().unwrap().iter() {
        let (src, dst) = (features.src_dom_load.get(), features.dst_dom_load.get());
        assert!(src > dst && (src + dst - 1.0).abs() < 1e-4, "{features:?}");
        assert!(caches[0].contains(&features.cpu), "{features:?}");
        assert_eq!(features.cpu_idle + features.cpu_not_idle, lab::cpus());
    }
}

fn features_are_those_of_the_round(attached: &mut Attached, caches: &[Vec<u32>; 2]) {
    let workers = uneven(caches);
    let mut seen = 0;
    for round in 1..=50 {
        let cpus = attached.look().unwrap();
        let mean = |llc: &[u32]| {
            let of = cpus.iter().filter(|cpu| llc.contains(&cpu.cpu));
            Load(of.map(|cpu| cpu.load.0).sum::<u64>() / llc.len() as u64)
        };
        let idle = cpus.iter().filter(|cpu| cpu.is_idle).count() as i32;
        let route = Route {
            round,
            between: Between::Caches,
            src: 0,
            dst: 1,
            dst_cpu: caches[1][0],
            src_load: mean(&caches[0]),
            dst_load: mean(&caches[1]),
            cpu_idle: idle,
            cpu_not_idle: cpus.len() as i32 - idle,
        };
        let both = route.src_load.0 + route.dst_load.0;
        let considered = attached.consider(&route).unwrap();
        for candidate in &considered.candidates {
            let Ok(features) = attached.features(candidate.pid) else {
                continue;
            };
            assert_eq!(features, candidate.features);
            assert_eq!(features.round, round);
            assert_eq!(features.src_dom_load, route.src_load.0 * 65_536 / both);
            assert_eq!(features.dst_dom_load, route.dst_load.0 * 65_536 / both);
            assert_eq!(features.cpu_idle, idle);
            assert_eq!(features.cpu_not_idle, cpus.len() as i32 - idle);
            assert!(caches[0].contains(&(features.cpu as u32)), "{features:?}");
            if workers.iter().any(|worker| worker.pid == candidate.pid) {
                assert_eq!(candidate.weight, 1024);
                seen += 1;
            }
        }
        std::thread::sleep(MS(5));
    }
    println!("{seen} candidates in 50 rounds");
    assert!(seen >= 50, "{seen}");
    assert!(attached.features(u32::MAX >> 10).is_err());
}

fn no_round_moves_more_than_its_part(attached: &mut Attached, caches: &[Vec<u32>; 2]) {
    let text = policy("when imbalance > 20% for 300ms -> migrate within node max_moves = 34%");
    let mut workers = uneven(caches);
    // More of them, so that the part is more than one.
    for _ in 0..6 {
        let worker = Worker::start("work", "spin");
        lab::pin_to(worker.pid, mask(&caches[0]));
        workers.push(worker);
    }
    std::thread::sleep(MS(400));
    for worker in &workers {
        lab::pin_to(worker.pid, u64::MAX);
    }
    let mut balancer = balancer(&text, Box::new(AllowAll));
    let begun = Instant::now();
    let mut moves: Vec<(Duration, u64, u32)> = Vec::new();
    while begun.elapsed() < MS(3_000) {
        let before = balancer.counters().moved;
        let tasks: u32 = attached
            .look()
            .unwrap()
            .iter()
            .filter(|cpu| cpu.llc == 0)
            .map(|cpu| cpu.tasks)
            .sum();
        let now = begun.elapsed();
        balancer.round(now, attached, &mut Vec::new).unwrap();
        let moved = balancer.counters().moved - before;
        if moved > 0 {
            moves.push((now, moved, tasks));
        }
        std::thread::sleep(MS(1));
    }
    println!("{moves:?}; {:?}", spread(&workers, caches));
    assert!(moves.iter().map(|(_, moved, _)| moved).sum::<u64>() >= 2);
    for (_, moved, tasks) in &moves {
        assert!(
            *moved <= u64::from((tasks + 2) * 34 / 100).max(1),
            "{moves:?}"
        );
    }
    for two in moves.windows(2) {
        assert!(two[1].0 - two[0].0 >= MS(300), "{moves:?}");
    }
}

fn mask(cpus: &[u32]) -> u64 {
    cpus.iter().fold(0, |mask, cpu| mask | 1 << cpu)
}

/// The CPUs of a cache share their queues, so what is uneven between them seldom
/// lasts: the moves themselves are what is tried here.
#[test]
fn vm_balance_within_a_cache_moves_between_its_cpus() {
    let Some(_machine) = lab::machine("within a cache") else {
        return;
    };
    let attached = lab::attach(&policy(""));
    let cpus = attached.look().unwrap();
    let of_cache = cpus.iter().filter(|cpu| cpu.llc == 0);
    let cache: Vec<u32> = of_cache.map(|cpu| cpu.cpu).collect();
    let [src, dst, ..] = cache[..] else {
        eprintln!("SKIPPED within a cache: needs a cache with two CPUs");
        return;
    };
    let start = |mask: u64| {
        let worker = Worker::start("work", "spin");
        lab::pin_to(worker.pid, mask);
        worker
    };
    let bound: Vec<Worker> = (0..2).map(|_| start(mask(&[src]))).collect();
    let free: Vec<Worker> = (0..3).map(|_| start(mask(&[src, dst]))).collect();
    let busy = start(mask(&[dst]));
    std::thread::sleep(MS(400));
    let (mut moved, mut arrived) = (0, 0);
    for round in 1..=200 {
        let route = Route {
            round,
            between: Between::Cpus,
            src,
            dst,
            dst_cpu: dst,
            src_load: Load(5 * ONE),
            dst_load: Load(ONE),
            cpu_idle: 0,
            cpu_not_idle: cpus.len() as i32,
        };
        let found = attached.consider(&route).unwrap().candidates;
        for candidate in &found {
            let is_bound = |worker: &Worker| worker.pid == candidate.pid;
            assert!(!bound.iter().any(is_bound), "{candidate:?}");
            assert!(!is_bound(&busy), "it is not of that CPU");
            assert_eq!((candidate.cpu, candidate.features.cpu), (dst, src as i32));
        }
        let Some(first) = found.first() else {
            std::thread::sleep(MS(3));
            continue;
        };
        if attached
            .migrate(&route, std::slice::from_ref(first))
            .unwrap()
            == 1
        {
            moved += 1;
            let there = || lab::last_cpu(first.pid) == dst;
            arrived += u32::from(lab::until(MS(200), there).is_some());
        }
    }
    println!("{moved} moved, {arrived} seen to arrive");
    assert!(moved >= 10, "{moved}");
    assert!(arrived * 10 >= moved * 9, "{arrived} of {moved}");
    // To move one that is bound would have had us thrown out.
    assert!(attached.ejection().is_none());
    drop(free);
    attached.detach().unwrap();
}

fn promises_survive_a_move(attached: &mut Attached, caches: &[Vec<u32>; 2]) {
    let text = policy("when imbalance > 10% for 0ms -> migrate within node max_moves = 50%");
    let workers = uneven(caches);
    let mut balancer = balancer(&text, Box::new(AllowAll));
    // Let go and bound again, so that there is something to move all the time.
    let begun = Instant::now();
    while begun.elapsed() < MS(4_000) {
        let now = begun.elapsed();
        let to = usize::from(now.as_millis() / 500 % 2 == 1);
        if now.as_millis() % 500 < 20 {
            for worker in &workers[..4] {
                lab::pin_to(worker.pid, mask(&caches[to]));
                lab::pin_to(worker.pid, u64::MAX);
            }
        }
        balancer.round(now, attached, &mut Vec::new).unwrap();
        std::thread::sleep(MS(2));
    }
    let statistics = attached.statistics().unwrap();
    let worst = Duration::from_micros(statistics.tiers[0].waits.longest_us());
    println!("{:?}; the longest wait {worst:?}", balancer.counters());
    assert!(balancer.counters().moved > 0);
    assert!(attached.ejection().is_none());
    // What the host takes from a guest is in it too.
    assert!(worst < MS(600), "{worst:?}");
}
