//! The ways of choosing who is next, and what bounds them: lottery and stride
//! in figures, seeds, compensation, budgets, performance levels.

use std::time::Duration;

use libbpf_rs::{MapCore, MapFlags, MapHandle};

use crate::lab::{self, Host, Worker};

/// What each of some workers used in a while, in seconds.
pub fn used_in(workers: &[Worker], time: Duration) -> Vec<f64> {
    let read = || -> Vec<Duration> { workers.iter().map(Worker::cpu_time_of_all).collect() };
    let precise = || -> Vec<Duration> { workers.iter().map(Worker::cpu_time).collect() };
    let before = (read(), precise());
    std::thread::sleep(time);
    let after = (read(), precise());
    // The exact figure of those without children; hundredths of the others.
    let used = |a: &Vec<Duration>, b: &Vec<Duration>| -> Vec<f64> {
        a.iter()
            .zip(b)
            .map(|(a, b)| (*b - *a).as_secs_f64())
            .collect()
    };
    let (all, own) = (used(&before.0, &after.0), used(&before.1, &after.1));
    all.into_iter()
        .zip(own)
        .map(|(all, own)| if all - own > 0.1 { all } else { own })
        .collect()
}

/// Jain's index of fairness: 1 is equal, 1/n is everything for one.
pub fn jain(used: &[f64]) -> f64 {
    let sum: f64 = used.iter().sum();
    let squares: f64 = used.iter().map(|used| used * used).sum();
    sum * sum / (used.len() as f64 * squares)
}

/// Shares of three tiers, in points.
fn points(used: &[f64]) -> [f64; 3] {
    let all: f64 = used.iter().sum();
    let mut shares = [0.0; 3];
    for (index, used) in used.iter().enumerate() {
        shares[index % 3] += used / all * 100.0;
    }
    shares
}

const DUE: [f64; 3] = [800.0 / 9.2, 100.0 / 9.2, 20.0 / 9.2];
const NAMES: [&str; 3] = ["critical", "regular", "batch"];

fn three(between: &str) -> String {
    format!(
        r#"language 1
policy three {{ version = "1" }}
tier critical {{ tickets = 800   slice = 3ms }}
tier regular  {{ tickets = 100   slice = 3ms }}
tier batch    {{ tickets = 20    slice = 5ms }}
tier rest     {{ tickets = 100 }}
rules {{
  c: when comm == "critical" -> critical
  r: when comm == "regular"  -> regular
  b: when comm == "batch"    -> batch
  otherwise                  -> rest
}}
lottery {{ between = {between} }}
"#
    )
}

/// The worst that a tier is away from its tickets, in points, but for what the
/// host may have charged to one of them by stopping its CPU.
fn off(workers: &[Worker], time: Duration, what: &str) -> f64 {
    let host = Host::watch();
    let shares = points(&used_in(workers, time));
    let stolen = host.worst().as_secs_f64();
    let stolen = stolen / (time.as_secs_f64() * f64::from(lab::cpus())) * 100.0;
    let worst = shares
        .iter()
        .zip(DUE)
        .map(|(got, due)| (got - due).abs())
        .fold(0.0, f64::max);
    println!("{what}: {shares:.3?} points for {DUE:.3?}, off by {worst:.3}; the host {stolen:.3}");
    worst - stolen
}

#[test]
fn vm_lottery_and_stride_share_by_tickets() {
    let Some(_machine) = lab::machine("shares in figures") else {
        return;
    };
    let mut attached = lab::attach(&three("tiers"));
    let workers: Vec<Worker> = (0..9)
        .map(|index| Worker::start(NAMES[index % 3], "spin"))
        .collect();
    std::thread::sleep(Duration::from_secs(1));
    let time = Duration::from_secs(30);
    // Once more, for a host that stops a CPU for as long as a second.
    assert!((0..2).any(|_| off(&workers, time, "lottery") < 1.0));
    lab::replace(&mut attached, &three("stride"));
    std::thread::sleep(Duration::from_secs(2));
    assert!((0..2).any(|_| off(&workers, time, "stride") < 0.2));
    assert!(attached.ejection().is_none());
    attached.detach().unwrap();
}

/// The same where tasks of each tier sleep, fork and are pinned: as long as
/// there is something to run in each, on each CPU.
#[test]
fn vm_shares_hold_for_tasks_that_sleep_fork_and_are_pinned() {
    let Some(_machine) = lab::machine("shares of restless tasks") else {
        return;
    };
    let mut attached = lab::attach(&three("tiers"));
    let mut workers = Vec::new();
    for does in ["naps 2000 8000", "breeds 5000"] {
        workers.extend(NAMES.map(|name| Worker::start(name, does)));
    }
    for cpu in 0..lab::cpus() {
        for name in NAMES {
            let worker = Worker::start(name, "spin");
            worker.pin(cpu);
            workers.push(worker);
        }
    }
    std::thread::sleep(Duration::from_secs(1));
    let time = Duration::from_secs(20);
    assert!((0..2).any(|_| off(&workers, time, "lottery, restless") < 1.0));
    lab::replace(&mut attached, &three("stride"));
    std::thread::sleep(Duration::from_secs(2));
    assert!((0..2).any(|_| off(&workers, time, "stride, restless") < 0.5));
    attached.detach().unwrap();
}

#[test]
fn vm_equal_hogs_get_the_same() {
    let Some(_machine) = lab::machine("equal hogs") else {
        return;
    };
    let policy = |order: &str| {
        format!(
            r#"language 1
policy equal {{ version = "1" }}
tier all {{ tickets = 100   slice = 3ms   order = {order} }}
rules {{ otherwise -> all }}
"#
        )
    };
    let mut attached = lab::attach(&policy("vtime"));
    let hogs = |does: &str, pinned: bool| -> Vec<Worker> {
        (0..8)
            .map(|index| {
                let worker = Worker::start("hog", does);
                if pinned {
                    worker.pin(index % lab::cpus());
                }
                worker
            })
            .collect()
    };
    for (does, pinned) in [
        ("spin", false),
        ("spin", true),
        ("naps 1000 20000", false),
        ("breeds 20000", false),
    ] {
        let workers = hogs(does, pinned);
        std::thread::sleep(Duration::from_secs(1));
        let fair = (0..2).any(|_| {
            let used = used_in(&workers, Duration::from_secs(10));
            println!("{does}, pinned {pinned}: {:.4} of {used:.2?}", jain(&used));
            jain(&used) >= 0.98
        });
        assert!(fair, "{does}");
    }
    lab::replace(&mut attached, &policy("lottery"));
    let workers = hogs("spin", false);
    std::thread::sleep(Duration::from_secs(1));
    let used = used_in(&workers, Duration::from_secs(20));
    println!("by lottery: {:.4} of {used:.2?}", jain(&used));
    assert!(jain(&used) >= 0.98);
    attached.detach().unwrap();
}

#[test]
fn vm_a_lottery_within_a_tier_weighs_nice() {
    let Some(_machine) = lab::machine("lottery within a tier") else {
        return;
    };
    let attached = lab::attach(
        r#"language 1
policy raffle { version = "1" }
tier all { tickets = 100   slice = 2ms   order = lottery }
rules { otherwise -> all }
"#,
    );
    let weights = [3121.0, 1024.0, 335.0];
    let workers: Vec<Worker> = [-5, 0, 5]
        .iter()
        .map(|nice| {
            let worker = Worker::start("ticket", "spin");
            worker.nice(*nice);
            worker.pin(1);
            worker
        })
        .collect();
    std::thread::sleep(Duration::from_secs(1));
    let near = (0..2).any(|_| {
        let used = used_in(&workers, Duration::from_secs(20));
        let all: f64 = used.iter().sum();
        let sum: f64 = weights.iter().sum();
        // Some 5,000 draws: four deviations are 2.6 points at most.
        used.iter().zip(weights).all(|(used, weight)| {
            let (got, due) = (used / all * 100.0, weight / sum * 100.0);
            println!("{got:.2} points for {due:.2}");
            (got - due).abs() < 2.6
        })
    });
    assert!(near);
    assert!(attached.ejection().is_none());
    attached.detach().unwrap();
}

/// Without compensation a win is a win, however little of it is used.
#[test]
fn vm_compensation_is_a_choice() {
    let Some(_machine) = lab::machine("compensation") else {
        return;
    };
    let policy = |compensate: bool| {
        format!(
            r#"language 1
policy yields {{ version = "1" }}
tier early {{ tickets = 100   slice = 20ms }}
tier late  {{ tickets = 100   slice = 20ms }}
rules {{
  e: when comm == "early" -> early
  otherwise               -> late
}}
lottery {{ compensate = {compensate} }}
"#
        )
    };
    let mut attached = lab::attach(&policy(true));
    let mut workers: Vec<Worker> = (0..4)
        .map(|_| Worker::start("early", "yields 4000"))
        .collect();
    workers.extend((0..4).map(|_| Worker::start("late", "spin")));
    let share = || {
        std::thread::sleep(Duration::from_secs(2));
        let used = used_in(&workers, Duration::from_secs(15));
        used[..4].iter().sum::<f64>() / used.iter().sum::<f64>()
    };
    let with = share();
    lab::replace(&mut attached, &policy(false));
    let without = share();
    println!("who yields early gets {with:.3} with compensation, {without:.3} without");
    assert!((with - 0.5).abs() < 0.06, "{with}");
    // A fifth of each slice is a sixth of the time.
    assert!(without < 0.3, "{without}");
    attached.detach().unwrap();
}

#[test]
fn vm_a_budget_is_a_ceiling_only_while_others_wait() {
    let Some(_machine) = lab::machine("budget") else {
        return;
    };
    let policy = |between: &str| {
        format!(
            r#"language 1
policy budget {{ version = "1" }}
tier capped {{ tickets = 900   slice = 3ms   budget = 30%   burst = 20ms   preempt = [rest] }}
tier rest   {{ tickets = 100   slice = 3ms }}
rules {{
  c: when comm == "capped" -> capped
  otherwise                -> rest
}}
lottery {{ between = {between} }}
"#
        )
    };
    let mut attached = lab::attach(&policy("tiers"));
    let capped: Vec<Worker> = (0..4).map(|_| Worker::start("capped", "spin")).collect();
    // One that would interrupt the others, budget or not.
    let wakes = Worker::start("capped", "naps 1000 1000");
    for between in ["tiers", "stride", "strict"] {
        lab::replace(&mut attached, &policy(between));
        let rest: Vec<Worker> = (0..4).map(|_| Worker::start("rest", "spin")).collect();
        std::thread::sleep(Duration::from_secs(2));
        let fair = (0..2).any(|_| {
            let before = wakes.cpu_time();
            let others: Vec<Duration> = rest.iter().map(Worker::cpu_time).collect();
            let used: f64 = used_in(&capped, Duration::from_secs(10))
                .iter()
                .sum::<f64>()
                + (wakes.cpu_time() - before).as_secs_f64();
            let others: f64 = rest
                .iter()
                .zip(others)
                .map(|(worker, before)| (worker.cpu_time() - before).as_secs_f64())
                .sum();
            let share = used / (used + others) * 100.0;
            println!("{between}: capped at 30 % it gets {share:.2} %");
            (share - 30.0).abs() < 2.0
        });
        assert!(fair, "{between}");
        let throttled = attached.statistics().unwrap().tiers[0].throttled;
        assert!(throttled > 100, "{throttled}");
        drop(rest);
        std::thread::sleep(Duration::from_millis(500));
        let alone: f64 = used_in(&capped, Duration::from_secs(5)).iter().sum();
        println!("{between}: alone four of them run {alone:.2} s of CPU time in 5 s");
        assert!(alone > 4.0 * f64::from(lab::cpus()));
    }
    assert!(attached.ejection().is_none());
    attached.detach().unwrap();
}

/// The map of that name that was made last.
fn map(name: &str) -> MapHandle {
    let id = libbpf_rs::query::MapInfoIter::default()
        .filter(|map| map.name.to_string_lossy() == name)
        .map(|map| map.id)
        .max();
    MapHandle::from_map_id(id.unwrap()).unwrap()
}

/// The states of the generators: the first word of each CPU's entry.
fn generators() -> Vec<u64> {
    let map = map("edict_cpus");
    (0..lab::cpus())
        .map(|cpu| {
            let entry = map
                .lookup(&cpu.to_ne_bytes(), MapFlags::ANY)
                .unwrap()
                .unwrap();
            u64::from_ne_bytes(entry[..8].try_into().unwrap())
        })
        .collect()
}

#[test]
fn vm_a_seed_begins_the_same_draws_again() {
    let Some(_machine) = lab::machine("seed") else {
        return;
    };
    // Nothing is attached, so nobody draws in between.
    let mut loaded = lab::load();
    let mut commit = |seed: u64| {
        let text = three(&format!("tiers   seed = {seed}"));
        let prepared = loaded.prepare(&lab::image(&text)).unwrap();
        loaded.commit(prepared).unwrap();
        generators()
    };
    let first = commit(7);
    let other = commit(8);
    assert!(first.iter().all(|state| *state != 0));
    assert!(
        first.iter().zip(&other).all(|(a, b)| a != b),
        "{first:x?} {other:x?}"
    );
    // Without one they go on.
    assert_eq!(commit(0), other);
    assert_eq!(commit(7), first);
}

#[test]
fn vm_perf_asks_the_cpu_for_its_level() {
    let Some(_machine) = lab::machine("performance") else {
        return;
    };
    let mut attached = lab::attach(
        r#"language 1
policy paced { version = "1" }
tier slow { tickets = 100   slice = 5ms   perf = 25% }
tier fast { tickets = 100   slice = 5ms }
rules {
  s: when comm == "slow" -> slow
  otherwise              -> fast
}
"#,
    );
    let slow = Worker::start("slow", "spin");
    let fast = Worker::start("fast", "spin");
    slow.pin(0);
    fast.pin(1);
    // Who looks is a task of the fast tier, and must not be where the slow one is.
    lab::pin(0, 1);
    let looks = |attached: &edict::live::Attached, slowly: u32| {
        let level = |pid| attached.inspect(pid).unwrap().perf;
        let seen = (0..50)
            .filter(|_| {
                std::thread::sleep(Duration::from_millis(20));
                level(slow.pid) == slowly && level(fast.pid) == 1024
            })
            .count();
        println!("{seen} of 50 looks saw {slowly} and 1024");
        seen
    };
    let paced = looks(&attached, 256);
    // A policy without levels takes them back.
    lab::replace(&mut attached, &three("tiers"));
    let unpaced = looks(&attached, 1024);
    lab::unpin(0);
    // Others run there for moments too; what matters is what stays.
    assert!(paced > 30);
    assert!(unpaced > 45);
    attached.detach().unwrap();
}
