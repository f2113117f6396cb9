//! Tasks that try to have what is not theirs: nobody waits past the promise, the
//! kernel ejects nobody, and the agent answers.

use std::fs;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use edict::check::TierId;
use edict::hooks::classify::FileSystems;
use edict::live::Attached;

use crate::lab::{self, Host, Worker};

/// Half of the time for everybody, half for those that misbehave. A pattern on
/// names makes every new name a question to the agent.
const POLICY: &str = r#"language 1
policy besieged { version = "1" }
tier guarded { tickets = 100   slice = 3ms   max_wait = 100ms }
tier siege   { tickets = 100   slice = 3ms   max_wait = 1s }
rules {
  kept:   when cgroup under "/lab.kept"  -> guarded
  many:   when comm like "siege*"        -> siege
          otherwise                      -> guarded
}
"#;

static GO: AtomicBool = AtomicBool::new(false);

/// A worker was told to begin.
pub fn go() {
    GO.store(true, Ordering::Relaxed);
}

/// What a worker does, as often as it comes round.
pub fn misbehave(kind: &str, number: u64) {
    const TURN: Duration = Duration::from_millis(1);
    let begun = Instant::now();
    match kind {
        // A name that nobody has had.
        "renames" => {
            let mut turn = number;
            while begun.elapsed() < TURN {
                turn = turn
                    .wrapping_mul(0x5851_f42d_4c95_7f2d)
                    .wrapping_add(begun.elapsed().as_nanos() as u64);
                lab::rename(&format!("siege{:010x}", turn >> 24));
                // Looked at when it is queued.
                std::thread::yield_now();
            }
        }
        // Elsewhere, and elsewhere again.
        "flaps" => {
            let all = (1 << lab::cpus().min(63)) - 1;
            for cpu in 0..lab::cpus().min(63) {
                lab::pin_to(0, 1 << cpu);
                lab::spin(TURN / 8);
                lab::pin_to(0, all);
            }
        }
        // So many children at a time, each for two milliseconds.
        "bomb" => {
            let mut alive = 0;
            loop {
                while alive < number && lab::fork(|| lab::spin(2 * TURN)).is_some() {
                    alive += 1;
                }
                while lab::reap() {
                    alive -= 1;
                }
                std::thread::yield_now();
            }
        }
        // A task that forks and ends, over and over, for so many milliseconds.
        "chain" => {
            fn link(until: Instant) {
                lab::spin(Duration::from_millis(4));
                if Instant::now() < until {
                    lab::fork(|| link(until));
                }
            }
            // Where it was pinned to, and not before.
            std::thread::sleep(200 * TURN);
            let until = Instant::now() + Duration::from_millis(number);
            lab::fork(|| link(until));
            std::thread::sleep(Duration::from_millis(number));
        }
        // So many threads that never end, once they are told.
        "crowd" => {
            static THREADS: Once = Once::new();
            let turn = || {
                if GO.load(Ordering::Relaxed) {
                    lab::spin(TURN);
                } else {
                    std::thread::sleep(100 * TURN);
                }
            };
            THREADS.call_once(|| {
                for _ in 1..number {
                    let thread = std::thread::Builder::new().stack_size(64 << 10);
                    thread
                        .spawn(move || {
                            loop {
                                turn()
                            }
                        })
                        .unwrap();
                }
            });
            turn();
        }
        _ => std::thread::sleep(TURN),
    }
}

/// Everybody that has to be served meanwhile.
struct Guarded {
    pinned: Vec<Worker>,
    naps: Vec<Worker>,
    before: Vec<Duration>,
    sequence: String,
}

impl Guarded {
    fn start() -> Self {
        let pinned: Vec<Worker> = (0..lab::cpus())
            .map(|cpu| {
                let worker = Worker::start("guarded", "spin");
                worker.pin(cpu);
                worker
            })
            .collect();
        let naps = (0..2)
            .map(|_| Worker::start("guarded", "naps 4000 300"))
            .collect();
        let before = pinned.iter().map(Worker::cpu_time).collect();
        Self {
            pinned,
            naps,
            before,
            sequence: lab::sched_ext("enable_seq"),
        }
    }

    /// Lets a siege go on, and asks the agent meanwhile; what it took to answer.
    fn outlast(&self, attached: &Attached, time: Duration, mut also: impl FnMut()) -> Duration {
        let begun = Instant::now();
        let mut slowest = Duration::ZERO;
        while begun.elapsed() < time {
            let asked = Instant::now();
            attached.statistics().unwrap();
            let pid = self.pinned[0].pid;
            assert_eq!(attached.inspect(pid).unwrap().tier, TierId(0));
            slowest = slowest.max(asked.elapsed());
            also();
            std::thread::sleep(Duration::from_millis(200));
        }
        slowest
    }

    /// Nobody waited too long, and everybody ran.
    fn check(self, attached: &Attached, what: &str, slowest: Duration, host: Host, time: Duration) {
        let stolen = host.worst();
        let statistics = attached.statistics().unwrap();
        println!("{what}: asked for {slowest:?} at most; the host took up to {stolen:?}");
        for (tier, name, promise) in [(0, "guarded", 100), (1, "siege", 1000)] {
            let counted = &statistics.tiers[tier];
            let waited = Duration::from_micros(counted.waits.longest_us());
            println!(
                "  {name}: {} runs, {} overdue, waited {waited:?} at most, {} us in 99 %",
                counted.dispatches,
                counted.overdue,
                counted.waits.quantile_us(990)
            );
            // A slice of whoever runs, and a tick to notice.
            let allowed = Duration::from_millis(promise + 3 + 17) + 2 * stolen;
            assert!(waited < allowed, "{what}: {name} waited {waited:?}");
        }
        let ran = |tier: usize| statistics.tiers[tier].runtime_ns as f64;
        let taken = ran(1) / (ran(0) + ran(1));
        println!("  the siege took {:.1} %", taken * 100.0);
        assert!(taken < 0.53, "{what}: the siege took {taken} of its half");
        for (worker, before) in self.pinned.iter().zip(&self.before) {
            let used = worker.cpu_time() - *before;
            println!("  a guarded task got {used:?} of {time:?}");
            assert!(used > time / 4, "{what}: a guarded task got {used:?}");
        }
        assert!(
            self.naps
                .iter()
                .all(|worker| worker.cpu_time() > Duration::ZERO)
        );
        assert!(attached.ejection().is_none(), "{:?}", attached.ejection());
        assert_eq!(lab::sched_ext("enable_seq"), self.sequence);
        assert_eq!(lab::sched_ext("state"), "enabled");
        assert!(slowest < Duration::from_secs(1) + 2 * stolen, "{slowest:?}");
    }
}

/// Six of a kind against everybody.
fn siege(what: &str, workers: &[(&str, usize)], time: Duration, also: impl FnMut(&Attached)) {
    let mut also = also;
    let attached = lab::attach(POLICY);
    let guarded = Guarded::start();
    let siege: Vec<Worker> = workers
        .iter()
        .flat_map(|(does, count)| (0..*count).map(move |_| Worker::start("siege", does)))
        .collect();
    let host = Host::watch();
    let slowest = guarded.outlast(&attached, time, || also(&attached));
    guarded.check(&attached, what, slowest, host, time);
    drop(siege);
    attached.detach().unwrap();
}

#[test]
fn vm_yielding_and_sleeping_before_the_slice_ends_gain_nothing() {
    let Some(_machine) = lab::machine("yields") else {
        return;
    };
    let workers = [("yields", 4), ("naps 50 2800", 4)];
    siege("yields and sleeps", &workers, lab::soak(12), |_| {});
}

/// Nor do they gain anything from those of their own tier, on one CPU: two that
/// just compute have the part of two, whatever the others do.
#[test]
fn vm_tricks_gain_nothing_within_a_tier() {
    let Some(_machine) = lab::machine("tricks") else {
        return;
    };
    let attached = lab::attach(
        r#"language 1
policy one { version = "1" }
tier all { tickets = 100   slice = 3ms }
rules { otherwise -> all }
"#,
    );
    let time = lab::soak(10);
    let chain = format!("chain {}", time.as_millis() + 4000);
    let honest: Vec<Worker> = (0..2).map(|_| Worker::start("honest", "spin")).collect();
    let tricks: Vec<Worker> = ["yields", "naps 50 2800", "naps 3000 2900", &chain]
        .iter()
        .map(|does| Worker::start("trick", does))
        .collect();
    for worker in honest.iter().chain(&tricks) {
        worker.pin(1);
    }
    std::thread::sleep(Duration::from_secs(1));
    let used =
        |workers: &[Worker]| -> Vec<Duration> { workers.iter().map(Worker::cpu_time).collect() };
    let before = (used(&honest), used(&tricks));
    std::thread::sleep(time);
    let parts = |workers: &[Worker], before: &[Duration]| -> Vec<f64> {
        let since = used(workers).into_iter().zip(before);
        since
            .map(|(now, before)| (now - *before).as_secs_f64() / time.as_secs_f64())
            .collect()
    };
    let (honest_parts, trick_parts) = (parts(&honest, &before.0), parts(&tricks, &before.1));
    println!(
        "of one CPU, two that compute have {honest_parts:.3?}; yields, two that sleep before their slice ends, a chain of forks: {trick_parts:.3?}"
    );
    for part in honest_parts {
        // A sixth, and something for what the others leave and the host takes.
        assert!(part > 1.0 / 6.0 - 0.015, "{part}");
    }
    drop((honest, tricks));
    attached.detach().unwrap();
}

#[test]
fn vm_a_bounded_fork_bomb_keeps_nobody_waiting() {
    let Some(_machine) = lab::machine("fork bomb") else {
        return;
    };
    siege("fork bomb", &[("bomb 40", 3)], lab::soak(12), |_| {});
}

/// New names push out names, not what is known of cgroups.
#[test]
fn vm_a_storm_of_names_hides_no_cgroup() {
    let Some(_machine) = lab::machine("names") else {
        return;
    };
    let files = FileSystems::new();
    let kept = files.cgroup_mount().map(|root| root.join("lab.kept"));
    // A name that the rule on names would take.
    let worker = Worker::start("siege-kept", "naps 20000 100");
    if let Some(kept) = &kept {
        fs::create_dir_all(kept).unwrap();
        fs::write(kept.join("cgroup.procs"), worker.pid.to_string()).unwrap();
    }
    let mut asked = 0;
    siege("names", &[("renames", 4)], lab::soak(15), |attached| {
        let tier = attached.inspect(worker.pid).unwrap().tier;
        let in_place = kept.is_none() || tier == TierId(0);
        // The first look may come before the agent's.
        assert!(in_place || asked < 5, "its cgroup is not known any more");
        asked += 1;
    });
    drop(worker);
    if let Some(kept) = kept {
        let gone = lab::until(Duration::from_secs(2), || fs::remove_dir(&kept).is_ok());
        assert!(gone.is_some());
    }
}

/// To be changed while it waits is not to begin again.
#[test]
fn vm_flapping_affinity_keeps_nobody_waiting() {
    let Some(_machine) = lab::machine("affinity") else {
        return;
    };
    let attached = lab::attach(
        r#"language 1
policy flaps { version = "1" }
tier big   { tickets = 10000   slice = 10ms }
tier small { tickets = 1       slice = 5ms    max_wait = 150ms }
rules {
  s: when comm == "small" -> small
  otherwise               -> big
}
"#,
    );
    let hogs: Vec<Worker> = (0..2 * lab::cpus())
        .map(|_| Worker::start("big", "spin"))
        .collect();
    let flaps: Vec<Worker> = (0..2).map(|_| Worker::start("big", "flaps")).collect();
    let small: Vec<Worker> = (0..2).map(|_| Worker::start("small", "spin")).collect();
    let host = Host::watch();
    let time = lab::soak(10);
    let before: Vec<Duration> = small.iter().map(Worker::cpu_time).collect();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // From outside, most often while they wait in a queue.
        scope.spawn(|| {
            for cpu in (0..lab::cpus()).cycle() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                small.iter().for_each(|worker| worker.pin(cpu));
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
    });
    let stolen = host.worst();
    let statistics = attached.statistics().unwrap();
    let counted = &statistics.tiers[1];
    let waited = Duration::from_micros(counted.waits.longest_us());
    println!(
        "flapped: {} runs, {} overdue, waited {waited:?} at most; the host took up to {stolen:?}",
        counted.dispatches, counted.overdue
    );
    for (worker, before) in small.iter().zip(before) {
        let used = worker.cpu_time() - before;
        println!("  one got {used:?}");
        assert!(used > time / 1000, "{used:?}");
    }
    assert!(
        waited < Duration::from_millis(180) + 2 * stolen,
        "{waited:?}"
    );
    assert!(attached.ejection().is_none(), "{:?}", attached.ejection());
    drop((hogs, flaps, small));
    attached.detach().unwrap();
}

#[test]
fn vm_five_hundred_runnable_tasks_keep_nobody_waiting() {
    let Some(_machine) = lab::machine("a crowd") else {
        return;
    };
    // Each of them has a slice within its second, or nearly.
    let many = if std::env::var_os("EDICT_SOAK").is_some() {
        2000
    } else {
        500
    };
    let attached = lab::attach(&POLICY.replace("max_wait = 1s", "max_wait = 4s"));
    let guarded = Guarded::start();
    let mut crowd: Vec<Worker> = (0..4)
        .map(|_| Worker::start("siege", &format!("crowd {}", many / 4)))
        .collect();
    let there = || attached.statistics().unwrap().tiers[1].tasks >= many;
    assert!(lab::until(Duration::from_secs(60), there).is_some());
    crowd.iter_mut().for_each(|worker| worker.say("go"));
    std::thread::sleep(Duration::from_secs(1));
    let host = Host::watch();
    let time = lab::soak(15);
    let slowest = guarded.outlast(&attached, time, || {});
    let stolen = host.worst();
    let statistics = attached.statistics().unwrap();
    println!("{many} tasks: asked for {slowest:?} at most; the host took up to {stolen:?}");
    println!("{:?}", statistics.tiers);
    assert!(statistics.tiers[1].tasks >= many, "{:?}", statistics.tiers);
    let waited = Duration::from_micros(statistics.tiers[0].waits.longest_us());
    assert!(
        waited < Duration::from_millis(120) + 2 * stolen,
        "{waited:?}"
    );
    for (worker, before) in guarded.pinned.iter().zip(&guarded.before) {
        let used = worker.cpu_time() - *before;
        println!("  a guarded task got {used:?} of {time:?}");
        assert!(used > time / 10, "{used:?}");
    }
    assert!(attached.ejection().is_none(), "{:?}", attached.ejection());
    assert_eq!(lab::sched_ext("enable_seq"), guarded.sequence);
    drop((crowd, guarded));
    attached.detach().unwrap();
}
