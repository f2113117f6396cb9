//! Caches, cores and the CPUs of a tier: who runs where. These tests want a
//! machine with two last-level caches, some of them also cores of two threads
//! (`scripts/vm --topology 2llc-smt`), and say so where there is none.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use edict::hooks::topology::Topology;

use crate::lab::{self, Host, Worker};

const ONE_TIER: &str = r#"language 1
policy one { version = "1" }
tier all { tickets = 100   slice = 5ms }
rules { otherwise -> all }
"#;

/// The CPUs under each cache, of which there are two or more.
pub struct Caches {
    topology: Topology,
    pub cpus: BTreeMap<u32, Vec<u32>>,
}

impl Caches {
    pub fn of(test: &str) -> Option<Self> {
        let topology = Topology::read();
        let mut cpus = BTreeMap::<u32, Vec<u32>>::new();
        for (cpu, place) in topology.places() {
            cpus.entry(place.llc).or_default().push(cpu);
        }
        if cpus.len() < 2 {
            eprintln!("SKIPPED {test}: one last-level cache");
            return None;
        }
        Some(Self { topology, cpus })
    }

    fn llc(&self, cpu: u32) -> u32 {
        self.topology.place(cpu).unwrap().llc
    }

    fn mask(&self, llc: u32) -> u64 {
        self.cpus[&llc].iter().fold(0, |mask, cpu| mask | 1 << cpu)
    }
}

pub fn hogs(name: &str, number: u32) -> Vec<Worker> {
    (0..number).map(|_| Worker::start(name, "spin")).collect()
}

fn used_by(workers: &[Worker]) -> Vec<Duration> {
    workers.iter().map(Worker::cpu_time).collect()
}

/// How much CPU time each used while `time` passed, in parts of that time.
pub fn parts(workers: &[Worker], time: Duration) -> Vec<f64> {
    let begun = Instant::now();
    let before = used_by(workers);
    std::thread::sleep(time);
    let elapsed = begun.elapsed().as_secs_f64();
    used_by(workers)
        .iter()
        .zip(before)
        .map(|(used, before)| (*used - before).as_secs_f64() / elapsed)
        .collect()
}

#[test]
fn vm_domains_tickets_hold_over_two_caches() {
    let Some(_machine) = lab::machine("tickets over two caches") else {
        return;
    };
    let Some(caches) = Caches::of("tickets over two caches") else {
        return;
    };
    let attached = lab::attach(
        r#"language 1
policy three { version = "1" }
tier critical { tickets = 800   slice = 6ms    max_wait = 300ms }
tier regular  { tickets = 100   slice = 12ms   max_wait = 4s }
tier batch    { tickets = 20    slice = 20ms   max_wait = 4s }
rules {
  c: when comm == "critical" -> critical
  b: when comm == "batch"    -> batch
  otherwise                  -> regular
}
"#,
    );
    let names = ["critical", "regular", "batch"];
    // More of each than CPUs, so that a share is not bounded by their number.
    let workers = names.map(|name| hogs(name, lab::cpus() + 2));
    std::thread::sleep(Duration::from_secs(1));
    for (name, workers) in names.iter().zip(&workers) {
        let mut under = BTreeMap::<u32, u32>::new();
        for worker in workers {
            *under.entry(caches.llc(worker.processor())).or_default() += 1;
        }
        println!("{name}: tasks under each cache {under:?}");
        assert_eq!(under.len(), caches.cpus.len(), "not spread: {under:?}");
    }
    let before = workers.each_ref().map(|workers| used_by(workers));
    std::thread::sleep(Duration::from_secs(20));
    let used: Vec<f64> = workers
        .iter()
        .zip(before)
        .map(|(workers, before)| {
            let after = used_by(workers);
            let used = after
                .iter()
                .zip(before)
                .map(|(after, before)| *after - before);
            used.sum::<Duration>().as_secs_f64()
        })
        .collect();
    let total: f64 = used.iter().sum();
    for ((name, used), tickets) in names.iter().zip(used).zip([800.0, 100.0, 20.0]) {
        let (share, due) = (used / total * 100.0, tickets / 9.2);
        println!("{name:9} {share:6.2} % of CPU time, {due:6.2} % of tickets");
        assert!((share - due).abs() < 3.0, "{name} got {share}");
        assert!(share > due / 2.0, "{name} got {share}");
    }
    assert!(attached.ejection().is_none());
    attached.detach().unwrap();
}

#[test]
fn vm_domains_nice_weighs_under_each_cache() {
    let Some(_machine) = lab::machine("nice under each cache") else {
        return;
    };
    let Some(caches) = Caches::of("nice under each cache") else {
        return;
    };
    let attached = lab::attach(ONE_TIER);
    // Two on one CPU of each cache: its clock alone decides.
    let pairs: Vec<(Worker, Worker)> = caches
        .cpus
        .values()
        .map(|cpus| {
            let pair = (Worker::start("n", "spin"), Worker::start("n", "spin"));
            pair.1.nice(5);
            pair.0.pin(cpus[0]);
            pair.1.pin(cpus[0]);
            pair
        })
        .collect();
    std::thread::sleep(Duration::from_secs(1));
    let due = 1024.0 / 335.0;
    let measure = || {
        let used = |pair: &(Worker, Worker)| (pair.0.cpu_time(), pair.1.cpu_time());
        let before: Vec<_> = pairs.iter().map(used).collect();
        std::thread::sleep(Duration::from_secs(20));
        pairs.iter().zip(before).all(|(pair, before)| {
            let after = used(pair);
            let ratio = (after.0 - before.0).as_secs_f64() / (after.1 - before.1).as_secs_f64();
            println!("nice 0 : nice 5 = {ratio:.4}, the kernel's weights say {due:.4}");
            (ratio / due - 1.0).abs() < 0.03
        })
    };
    // Once more, for a host that stops a CPU for as long as a second.
    assert!(measure() || measure());
    attached.detach().unwrap();
}

#[test]
fn vm_domains_no_cpu_idles_while_tasks_wait() {
    let Some(_machine) = lab::machine("work conservation") else {
        return;
    };
    let Some(caches) = Caches::of("work conservation") else {
        return;
    };
    let attached = lab::attach(
        r#"language 1
policy two { version = "1" }
tier first  { tickets = 900   slice = 5ms }
tier second { tickets = 100   slice = 5ms }
rules { f: when comm == "first" -> first   otherwise -> second }
"#,
    );
    // Everything is queued under one cache; then it may run anywhere.
    let crowd = caches.mask(0);
    let workers: Vec<Worker> = (0..lab::cpus())
        .map(|index| {
            let worker = Worker::start(["first", "second"][index as usize % 2], "spin");
            lab::pin_to(worker.pid, crowd);
            worker
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    let crowded: f64 = parts(&workers, Duration::from_secs(2)).iter().sum();
    println!("{crowded:.2} CPUs used while all are kept under one cache");
    assert!(crowded < f64::from(crowd.count_ones()) + 0.2);
    for worker in &workers {
        lab::pin_to(worker.pid, u64::MAX);
    }
    let spread = lab::until(Duration::from_secs(5), || {
        parts(&workers, Duration::from_millis(500))
            .iter()
            .all(|part| *part > 0.8)
    });
    println!("each had a CPU of its own after {spread:?}");
    assert!(spread.is_some());
    // Again, for a host that takes a CPU away for a while.
    let alone = |workers: &[Worker], time| {
        (0..3).any(|_| {
            let parts = self::parts(workers, Duration::from_secs(time));
            println!("parts of a CPU that each got: {parts:.2?}");
            parts.iter().all(|part| *part > 0.9)
        })
    };
    assert!(alone(&workers, 5));
    // One of each tier is alone under its cache, and gets all of a CPU as well.
    drop(workers);
    let pair = [
        Worker::start("first", "spin"),
        Worker::start("second", "spin"),
    ];
    std::thread::sleep(Duration::from_millis(500));
    assert!(alone(&pair, 3));
    let statistics = attached.statistics().unwrap();
    assert!(attached.ejection().is_none());
    println!("{:?}", statistics.tiers);
    attached.detach().unwrap();
}

#[test]
fn vm_domains_pinned_tasks_do_not_wait_too_long() {
    let Some(_machine) = lab::machine("pinned under two caches") else {
        return;
    };
    let Some(caches) = Caches::of("pinned under two caches") else {
        return;
    };
    let attached = lab::attach(
        r#"language 1
policy pinned { version = "1" }
tier big   { tickets = 10000   slice = 20ms }
tier small { tickets = 1       slice = 5ms    max_wait = 250ms }
rules { s: when comm == "small" -> small   otherwise -> big }
"#,
    );
    let hogs = hogs("big", 2 * lab::cpus());
    let pinned: Vec<Worker> = caches
        .cpus
        .values()
        .map(|cpus| {
            let worker = Worker::start("small", "spin");
            worker.pin(*cpus.last().unwrap());
            worker
        })
        .collect();
    let host = Host::watch();
    let parts = parts(&pinned, Duration::from_secs(8));
    let stolen = host.worst();
    let statistics = attached.statistics().unwrap();
    let waited = Duration::from_micros(statistics.tiers[1].waits.longest_us());
    println!(
        "parts of a CPU {parts:.4?}; waited {waited:?} at most; the host took up to {stolen:?}"
    );
    assert!(parts.iter().all(|part| *part > 0.005));
    assert!(waited < Duration::from_millis(270) + 2 * stolen);
    drop(hogs);
    attached.detach().unwrap();
}

#[test]
fn vm_domains_a_tier_stays_on_its_cpus() {
    let Some(_machine) = lab::machine("cpus of a tier") else {
        return;
    };
    let Some(caches) = Caches::of("cpus of a tier") else {
        return;
    };
    let attached = lab::attach(
        r#"language 1
policy confined { version = "1" }
tier kept   { tickets = 100    slice = 5ms   cpus = "1-2" }
tier cached { tickets = 10     slice = 5ms   cpus = "llc 1"   max_wait = 100ms }
tier free   { tickets = 1000   slice = 5ms   preempt = [kept] }
rules {
  k: when comm == "kept"   -> kept
  c: when comm == "cached" -> cached
  otherwise                -> free
}
"#,
    );
    let kept: Vec<Worker> = (0..4)
        .map(|index| Worker::start("kept", ["spin", "naps 3000 500"][index % 2]))
        .collect();
    let cached: Vec<Worker> = (0..4)
        .map(|index| Worker::start("cached", ["spin", "naps 3000 500"][index % 2]))
        .collect();
    let free = hogs("free", lab::cpus());
    // Its affinity leaves it none of its tier's CPUs.
    let stray = Worker::start("kept", "spin");
    stray.pin(0);
    // It comes into the tier while it runs, and must leave the CPU for it.
    let mut comes = Worker::start("comes", "spin");
    std::thread::sleep(Duration::from_millis(500));
    comes.say("rename kept");
    std::thread::sleep(Duration::from_millis(500));

    let before = used_by(&kept);
    let stray_before = stray.cpu_time();
    let mut samples = BTreeMap::<(&str, u32), u32>::new();
    for _ in 0..400 {
        for worker in kept.iter().chain([&comes]) {
            *samples.entry(("kept", worker.processor())).or_default() += 1;
        }
        for worker in &cached {
            *samples.entry(("cached", worker.processor())).or_default() += 1;
        }
        for worker in &free {
            *samples.entry(("free", worker.processor())).or_default() += 1;
        }
        assert_eq!(stray.processor(), 0);
        std::thread::sleep(Duration::from_millis(10));
    }
    println!("seen on each CPU: {samples:?}");
    for ((name, cpu), _) in samples.iter().filter(|((name, _), _)| *name != "free") {
        match *name {
            "kept" => assert!([1, 2].contains(cpu), "{name} on {cpu}"),
            _ => assert_eq!(caches.llc(*cpu), 1, "{name} on {cpu}"),
        }
    }
    let everywhere = samples.keys().filter(|(name, _)| *name == "free").count();
    assert!(
        everywhere > 2,
        "the others were everywhere before this one ran"
    );
    for (worker, before) in kept.iter().zip(before) {
        assert!(worker.cpu_time() > before);
    }
    let used = stray.cpu_time() - stray_before;
    let statistics = attached.statistics().unwrap();
    println!(
        "the stray ran {used:?}, counted {} times; kept waited {} us at most",
        statistics.tiers[0].strays,
        statistics.tiers[0].waits.longest_us()
    );
    assert!(used > Duration::from_millis(20));
    assert!(statistics.tiers[0].strays > 0);
    // By the draws of its CPU, not since it had waited too long.
    assert_eq!(statistics.tiers[0].overdue, 0);
    assert_eq!(statistics.tiers[2].strays, 0);
    assert!(attached.ejection().is_none());
    attached.detach().unwrap();
}

/// What every CPU switched to, and when in seconds, by the kernel's own trace.
fn switches(time: Duration) -> Vec<(f64, u32, u32)> {
    let tracing = std::path::Path::new("/sys/kernel/tracing");
    let set = |file: &str, value: &str| std::fs::write(tracing.join(file), value).unwrap();
    set("tracing_on", "0");
    set("trace_clock", "global");
    set("buffer_size_kb", "4096");
    set("trace", "");
    set("events/sched/sched_switch/enable", "1");
    set("tracing_on", "1");
    std::thread::sleep(time);
    set("tracing_on", "0");
    set("events/sched/sched_switch/enable", "0");
    let text = std::fs::read_to_string(tracing.join("trace")).unwrap();
    text.lines()
        .filter_map(|line| {
            // `hog-99 [001] d..2. 12.345678: sched_switch: … next_pid=7 …`
            let (head, tail) = line.split_once(": sched_switch: ")?;
            let cpu = head.split_once('[')?.1.split_once(']')?.0;
            let next = tail.split_once("next_pid=")?.1.split(' ').next()?;
            let at = head.rsplit(' ').next()?;
            Some((at.parse().ok()?, cpu.parse().ok()?, next.parse().ok()?))
        })
        .collect()
}

/// How long tasks of `alone` ran, on any CPU, and how much of that beside a
/// task of `other` on the same core.
fn beside(topology: &Topology, alone: &[Worker], other: &[Worker], time: Duration) -> (f64, f64) {
    let is = |workers: &[Worker], pid: Option<&u32>| {
        pid.is_some_and(|pid| workers.iter().any(|worker| worker.pid == *pid))
    };
    let mut running = BTreeMap::<u32, u32>::new();
    let (mut ran, mut together) = (0.0, 0.0);
    let mut last = None;
    for (at, cpu, next) in switches(time) {
        let passed = at - last.replace(at).unwrap_or(at);
        for (cpu, _) in running.iter().filter(|(_, pid)| is(alone, Some(pid))) {
            ran += passed;
            let mut siblings = topology.siblings(*cpu).iter();
            if siblings.any(|sibling| is(other, running.get(sibling))) {
                together += passed;
            }
        }
        running.insert(cpu, next);
    }
    (ran, together)
}

#[test]
fn vm_domains_an_exclusive_tier_shares_its_core_with_no_other() {
    let Some(_machine) = lab::machine("exclusive") else {
        return;
    };
    let topology = Topology::read();
    if topology
        .places()
        .all(|(cpu, _)| topology.siblings(cpu).is_empty())
    {
        eprintln!("SKIPPED exclusive: cores of one thread");
        return;
    }
    let policy = |exclusive: bool| {
        format!(
            r#"language 1
policy exclusive {{ version = "1" }}
tier alone {{ tickets = 100   slice = 100ms   exclusive = {exclusive} }}
tier other {{ tickets = 100   slice = 100ms }}
tier rest  {{ tickets = 100   slice = 5ms }}
rules {{
  a: when comm == "alone" -> alone
  o: when comm == "other" -> other
  otherwise               -> rest
}}
"#
        )
    };
    let mut attached = lab::attach(&policy(false));
    let alone = hogs("alone", lab::cpus());
    let other = hogs("other", lab::cpus());
    std::thread::sleep(Duration::from_secs(1));
    let (ran, met) = beside(&topology, &alone, &other, Duration::from_secs(4));
    println!("without it: {met:.3} s of {ran:.3} s beside another tier");
    let without = met / ran;
    assert!(without > 0.2, "they would not meet anyway");

    lab::replace(&mut attached, &policy(true));
    std::thread::sleep(Duration::from_secs(1));
    let before = (used_by(&alone), used_by(&other));
    let (ran, met) = beside(&topology, &alone, &other, Duration::from_secs(8));
    let sum = |after: Vec<Duration>, before: &[Duration]| {
        let used = after
            .iter()
            .zip(before)
            .map(|(after, before)| *after - *before);
        used.sum::<Duration>().as_secs_f64()
    };
    let used = (
        sum(used_by(&alone), &before.0),
        sum(used_by(&other), &before.1),
    );
    println!("with it: {met:.3} s of {ran:.3} s; CPU time of the tiers {used:.2?} s");
    assert!(ran > 2.0);
    // An interrupt takes as long as the host keeps the other CPU from running.
    assert!(met / ran < without / 3.0, "{met} of {ran}");
    // Neither takes the cores for itself.
    let share = used.0 / (used.0 + used.1);
    assert!((0.25..0.75).contains(&share), "{share}");
    assert!(attached.ejection().is_none());
    attached.detach().unwrap();
}

#[test]
fn vm_domains_a_waking_task_goes_back_to_its_cpu() {
    let Some(_machine) = lab::machine("previous CPU") else {
        return;
    };
    let Some(_caches) = Caches::of("previous CPU") else {
        return;
    };
    let attached = lab::attach(ONE_TIER);
    let worker = Worker::start("wakes", "naps 4000 300");
    std::thread::sleep(Duration::from_millis(500));
    let (mut moves, mut last) = (0, worker.processor());
    for _ in 0..400 {
        std::thread::sleep(Duration::from_millis(8));
        let now = worker.processor();
        moves += u32::from(now != last);
        last = now;
    }
    println!("in 400 looks it was on another CPU {moves} times");
    // This test itself wakes up beside it now and then.
    assert!(moves < 60, "{moves}");
    attached.detach().unwrap();
}

#[test]
fn vm_domains_a_storm_of_forks_spreads_and_ends() {
    let Some(_machine) = lab::machine("fork storm") else {
        return;
    };
    let Some(caches) = Caches::of("fork storm") else {
        return;
    };
    let attached = lab::attach(ONE_TIER);
    let hogs = hogs("hog", lab::cpus());
    let begun = Instant::now();
    let threads: Vec<_> = (0..500)
        .map(|_| {
            std::thread::spawn(|| {
                let until = Instant::now() + Duration::from_millis(5);
                while Instant::now() < until {
                    std::hint::spin_loop();
                }
                lab::this_cpu()
            })
        })
        .collect();
    let mut under = BTreeMap::<u32, u32>::new();
    for thread in threads {
        *under.entry(caches.llc(thread.join().unwrap())).or_default() += 1;
    }
    println!(
        "500 threads ended under {under:?} after {:?}",
        begun.elapsed()
    );
    assert!(under.values().all(|number| *number > 100), "{under:?}");
    assert_eq!(under.len(), caches.cpus.len());
    let parts = parts(&hogs, Duration::from_secs(2));
    assert!(parts.iter().all(|part| *part > 0.5), "{parts:?}");
    assert!(attached.ejection().is_none());
    attached.detach().unwrap();
}

/// Tiers that are confined, are not, and are exclusive, while tasks run and
/// nap: what one policy queued, the next one serves.
#[test]
fn vm_domains_policies_change_while_tasks_run() {
    let Some(_machine) = lab::machine("changing confinement") else {
        return;
    };
    let Some(_caches) = Caches::of("changing confinement") else {
        return;
    };
    let text = |more: &str, order: &str| {
        format!(
            r#"language 1
policy changes {{ version = "1" }}
tier a {{ tickets = 100   slice = 3ms   {more} }}
tier b {{ tickets = 100   slice = 5ms   order = {order} }}
rules {{ a: when comm == "a" -> a   otherwise -> b }}
"#
        )
    };
    let images = [
        text("", "vtime"),
        text("cpus = \"0-1\"", "fifo"),
        text("exclusive = true", "vtime"),
        text("cpus = \"llc 1\"   exclusive = true", "fifo"),
    ]
    .map(|text| lab::image(&text));
    let mut attached = lab::attach(&text("", "vtime"));
    let sequence = lab::sched_ext("enable_seq");
    let workers: Vec<Worker> = (0..2 * lab::cpus() as usize)
        .map(|index| {
            Worker::start(
                ["a", "b"][index % 2],
                ["spin", "naps 2000 800"][index / 2 % 2],
            )
        })
        .collect();
    for round in 0..40 {
        let prepared = attached.prepare(&images[round % 4]).unwrap();
        attached.commit(prepared).unwrap();
        std::thread::sleep(Duration::from_millis(60));
    }
    let before = used_by(&workers);
    // Well before the five seconds after which anything is due.
    let took = lab::until(Duration::from_millis(3000), || {
        used_by(&workers)
            .iter()
            .zip(&before)
            .all(|(now, before)| *now > *before + Duration::from_millis(10))
    });
    println!("every task went on within {took:?}");
    assert!(took.is_some(), "{:?}", attached.statistics());
    assert!(attached.ejection().is_none());
    assert_eq!(lab::sched_ext("enable_seq"), sequence);
    attached.detach().unwrap();
}
