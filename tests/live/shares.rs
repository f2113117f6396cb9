//! Who gets how much: between the tiers, and within one.

use std::time::Duration;

use crate::lab::{self, Host, Worker};

const THREE_TIERS: &str = r#"language 1
policy three { version = "1" }
tier critical { tickets = 800   slice = 3ms    max_wait = 30ms }
tier regular  { tickets = 100   slice = 6ms    max_wait = 1s }
tier batch    { tickets = 20    slice = 20ms   max_wait = 500ms }
rules {
  c: when comm == "critical" -> critical
  b: when comm == "batch"    -> batch
  otherwise                  -> regular
}
"#;

#[test]
fn vm_tiers_get_their_tickets_and_nobody_waits_too_long() {
    let Some(_machine) = lab::machine("tickets") else {
        return;
    };
    let attached = lab::attach(THREE_TIERS);
    let names = ["critical", "regular", "batch"];
    let workers: Vec<(usize, Worker)> = (0..9)
        .map(|index| (index % 3, Worker::start(names[index % 3], "spin")))
        .collect();
    std::thread::sleep(Duration::from_secs(1));

    let host = Host::watch();
    let before: Vec<Duration> = workers
        .iter()
        .map(|(_, worker)| worker.cpu_time())
        .collect();
    std::thread::sleep(Duration::from_secs(20));
    let mut used = [0.0; 3];
    for ((tier, worker), before) in workers.iter().zip(before) {
        used[*tier] += (worker.cpu_time() - before).as_secs_f64();
    }
    let stolen = host.worst();
    let statistics = attached.statistics().unwrap();
    let total: f64 = used.iter().sum();
    println!("the host kept a CPU away for up to {stolen:?}");
    for (tier, (tickets, limit)) in [(800.0, 30), (100.0, 1000), (20.0, 500)].iter().enumerate() {
        let share = used[tier] / total * 100.0;
        let due = tickets / 920.0 * 100.0;
        let counted = &statistics.tiers[tier];
        println!(
            "{:9} {share:6.2} % of CPU time, {due:6.2} % of tickets; waited {} us at most, {} us in 99 %; {} of {} runs overdue",
            names[tier],
            counted.waits.longest_us(),
            counted.waits.quantile_us(990),
            counted.overdue,
            counted.dispatches,
        );
        assert!((share - due).abs() < 3.0, "{} got {share}", names[tier]);
        // What the host took away may come twice: before and after a slice.
        let allowed = Duration::from_millis(limit + 20) + 2 * stolen;
        assert!(
            Duration::from_micros(counted.waits.longest_us()) < allowed,
            "{} waited {} us",
            names[tier],
            counted.waits.longest_us()
        );
    }
    // Two threads each.
    assert_eq!(statistics.tiers[0].tasks, 6);
    assert_eq!(statistics.tiers[2].tasks, 6);
    assert_eq!(statistics.unmatched, 0);
    assert!(attached.ejection().is_none());
    attached.detach().unwrap();
}

const ONE_TIER: &str = r#"language 1
policy one { version = "1" }
tier all { tickets = 100   slice = 5ms }
rules { otherwise -> all }
"#;

#[test]
fn vm_nice_weighs_within_a_tier() {
    let Some(_machine) = lab::machine("nice") else {
        return;
    };
    let attached = lab::attach(
        r#"language 1
policy plain { version = "1" }
tier all { tickets = 100   slice = 10ms }
rules { otherwise -> all }
"#,
    );
    let first = Worker::start("batch", "spin");
    let second = Worker::start("batch", "spin");
    second.nice(5);
    first.pin(1);
    second.pin(1);
    std::thread::sleep(Duration::from_secs(1));
    let due = 1024.0 / 335.0;
    let measure = || {
        let before = (first.cpu_time(), second.cpu_time());
        std::thread::sleep(Duration::from_secs(20));
        let used = (first.cpu_time() - before.0, second.cpu_time() - before.1);
        let ratio = used.0.as_secs_f64() / used.1.as_secs_f64();
        println!("nice 0 : nice 5 = {ratio:.4}, the kernel's weights say {due:.4}; {used:?}");
        (ratio / due - 1.0).abs() < 0.03
    };
    // Once more, for a host that stops a CPU for as long as a second.
    assert!(measure() || measure());
    // One that has a CPU for itself is of the same queue, and not of their race.
    let free = Worker::start("batch", "spin");
    std::thread::sleep(Duration::from_secs(1));
    assert!(measure() || measure());
    drop(free);
    attached.detach().unwrap();
}

/// To end and to begin anew, over and over, is not to be new.
#[test]
fn vm_a_chain_of_forks_has_the_part_of_one() {
    let Some(_machine) = lab::machine("a chain of forks") else {
        return;
    };
    let attached = lab::attach(ONE_TIER);
    let hog = Worker::start("hog", "spin");
    hog.pin(1);
    let chain = Worker::start("chain", "chain 8000");
    chain.pin(1);
    std::thread::sleep(Duration::from_secs(1));
    let before = hog.cpu_time();
    std::thread::sleep(Duration::from_secs(5));
    let part = (hog.cpu_time() - before).as_secs_f64() / 5.0;
    println!("beside the chain one task has {part:.3} of the CPU");
    assert!(part > 0.4, "{part}");
    assert!(part < 0.9, "there is no chain: {part}");
    std::thread::sleep(Duration::from_secs(3));
    attached.detach().unwrap();
}

/// Light tasks take the clock along while they wait for each other; who runs
/// meanwhile on another CPU has not waited for that, and gets nothing for it.
#[test]
fn vm_light_tasks_lend_nobody_priority() {
    let Some(_machine) = lab::machine("light tasks") else {
        return;
    };
    let attached = lab::attach(ONE_TIER);
    let hog = Worker::start("hog", "spin");
    hog.pin(0);
    let light: Vec<Worker> = (0..2).map(|_| Worker::start("light", "spin")).collect();
    for worker in &light {
        worker.nice(19);
        worker.pin(1);
    }
    std::thread::sleep(Duration::from_secs(2));
    let naps = Worker::start("naps", "naps 3000 300");
    naps.pin(0);
    std::thread::sleep(Duration::from_millis(200));
    let before = naps.cpu_time();
    std::thread::sleep(Duration::from_secs(5));
    let used = naps.cpu_time() - before;
    println!("one that naps ran {used:?} of 5 s");
    // 0.3 ms each time, and two slices of the other one in between at most.
    assert!(used > Duration::from_millis(60), "{used:?}");
    attached.detach().unwrap();
}

#[test]
fn vm_strict_serves_the_first_tier_alone() {
    let Some(_machine) = lab::machine("strict") else {
        return;
    };
    let attached = lab::attach(
        r#"language 1
policy strict { version = "1" }
tier first  { tickets = 1     slice = 5ms }
tier others { tickets = 100   slice = 5ms   max_wait = 1s }
rules {
  f: when comm == "first" -> first
  otherwise               -> others
}
lottery { between = strict }
"#,
    );
    let first: Vec<Worker> = (0..lab::cpus())
        .map(|_| Worker::start("first", "spin"))
        .collect();
    let other = Worker::start("other", "spin");
    std::thread::sleep(Duration::from_secs(5));
    let used: f64 = first
        .iter()
        .map(|worker| worker.cpu_time().as_secs_f64())
        .sum();
    let rest = other.cpu_time().as_secs_f64();
    println!("first {used:.3} s, other {rest:.3} s, although it waits at most 1 s");
    assert!(rest < 0.1 * used);
    assert!(rest > 0.0);
    attached.detach().unwrap();
}
