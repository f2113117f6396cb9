//! Who gets a core, and which cache a first tier may have: two tasks on one core
//! where one tier shares its core with no other, and a tier served alone.

use std::time::Duration;

use edict::hooks::topology::Topology;

use crate::lab::{self, Worker};

/// The two CPUs of one core.
fn core(test: &str) -> Option<[u32; 2]> {
    let topology = Topology::read();
    let found = topology.places().find_map(|(cpu, _)| {
        let sibling = *topology.siblings(cpu).first()?;
        Some([cpu, sibling])
    });
    if found.is_none() {
        eprintln!("SKIPPED {test}: cores of one thread");
    }
    found
}

fn policy(alone: &str) -> String {
    format!(
        r#"language 1
policy cores {{ version = "1" }}
tier alone {{ tickets = 100   slice = 20ms   exclusive = true }}
tier plain {{ tickets = 100   slice = 20ms   {alone} }}
tier rest  {{ tickets = 100   slice = 5ms }}
rules {{
  a: when comm == "alone" -> alone
  p: when comm == "plain" -> plain
  otherwise               -> rest
}}
"#
    )
}

/// CPU time of two tasks while `time` passed.
fn race(one: &Worker, other: &Worker, time: Duration) -> (f64, f64) {
    let before = (one.cpu_time(), other.cpu_time());
    std::thread::sleep(time);
    (
        (one.cpu_time() - before.0).as_secs_f64(),
        (other.cpu_time() - before.1).as_secs_f64(),
    )
}

/// Whatever CPUs of the core the two may use, equal tickets are equal halves.
#[test]
fn vm_domains_cores_an_exclusive_tier_and_a_plain_one_share_a_core_by_tickets() {
    let Some(_machine) = lab::machine("one core") else {
        return;
    };
    let Some(core) = core("one core") else {
        return;
    };
    let both = 1 << core[0] | 1 << core[1];
    let attached = lab::attach(&policy(""));
    let alone = Worker::start("alone", "spin");
    let plain = Worker::start("plain", "spin");
    let cases = [
        ("both on both", both, both),
        ("each on its own", 1 << core[0], 1 << core[1]),
        ("the exclusive one on both", both, 1 << core[1]),
        ("the plain one on both", 1 << core[0], both),
    ];
    let mut uneven = Vec::new();
    for (what, of_alone, of_plain) in cases {
        lab::pin_to(alone.pid, of_alone);
        lab::pin_to(plain.pid, of_plain);
        std::thread::sleep(Duration::from_millis(300));
        let used = race(&alone, &plain, Duration::from_secs(4));
        let share = used.0 / (used.0 + used.1);
        println!("{what}: {used:.2?} s, the exclusive one {share:.3}");
        if !(0.3..0.7).contains(&share) || used.0 + used.1 < 2.0 {
            uneven.push((what, used));
        }
    }
    assert!(uneven.is_empty(), "{uneven:?}");
    assert!(attached.ejection().is_none());
    attached.detach().unwrap();
}

/// What naps does not take the core whenever it wakes: it waits its turn.
#[test]
fn vm_domains_cores_a_waking_exclusive_task_draws_for_its_core() {
    let Some(_machine) = lab::machine("waking on a core") else {
        return;
    };
    let Some(core) = core("waking on a core") else {
        return;
    };
    let both = 1 << core[0] | 1 << core[1];
    let attached = lab::attach(&policy(""));
    let plain = Worker::start("plain", "spin");
    let alone = Worker::start("alone", "naps 1000 10000");
    lab::pin_to(alone.pid, both);
    lab::pin_to(plain.pid, both);
    std::thread::sleep(Duration::from_millis(500));
    let used = race(&alone, &plain, Duration::from_secs(4));
    println!(
        "the exclusive task that naps {:.2} s, the hog {:.2} s",
        used.0, used.1
    );
    assert!(used.1 > 1.2, "{used:?}");
    assert!(used.0 > 0.4, "{used:?}");
    attached.detach().unwrap();
}

/// Going before another tier holds for a core as it does for a CPU.
#[test]
fn vm_domains_cores_what_may_interrupt_an_exclusive_tier_gets_its_core() {
    let Some(_machine) = lab::machine("interrupting a core") else {
        return;
    };
    let Some(core) = core("interrupting a core") else {
        return;
    };
    let both = 1 << core[0] | 1 << core[1];
    let attached = lab::attach(&policy("preempt = [alone]"));
    let alone = Worker::start("alone", "spin");
    let plain = Worker::start("plain", "naps 2000 8000");
    lab::pin_to(alone.pid, both);
    lab::pin_to(plain.pid, both);
    std::thread::sleep(Duration::from_millis(500));
    let used = race(&plain, &alone, Duration::from_secs(4));
    println!(
        "what interrupts {:.2} s, the exclusive hog {:.2} s",
        used.0, used.1
    );
    // Eight of ten milliseconds, and what the host takes.
    assert!(used.0 > 2.0, "{used:?}");
    assert!(used.1 > 0.2, "{used:?}");
    attached.detach().unwrap();
}

/// The first tier is served alone on all CPUs, wherever its tasks are queued.
#[test]
fn vm_domains_cores_strict_goes_before_a_cache() {
    let Some(_machine) = lab::machine("strict over caches") else {
        return;
    };
    let topology = Topology::read();
    let under = |llc: u32| {
        let cpus = topology.places().filter(|(_, place)| place.llc == llc);
        cpus.fold(0_u64, |mask, (cpu, _)| mask | 1 << cpu)
    };
    if under(1) == 0 {
        eprintln!("SKIPPED strict over caches: one last-level cache");
        return;
    }
    let attached = lab::attach(
        r#"language 1
policy strict { version = "1" }
tier rest   { tickets = 1   slice = 5ms }
tier first  { tickets = 1   slice = 5ms }
tier second { tickets = 1   slice = 5ms }
rules {
  f: when comm == "first"  -> first
  s: when comm == "second" -> second
  otherwise                -> rest
}
lottery { between = strict }
"#,
    );
    let many = |name: &str, llc: u32| -> Vec<Worker> {
        let workers = (0..lab::cpus()).map(|_| Worker::start(name, "spin"));
        workers
            .inspect(|worker| lab::pin_to(worker.pid, under(llc)))
            .collect()
    };
    let second = many("second", 1);
    let first = many("first", 0);
    for worker in first.iter().chain(&second) {
        lab::pin_to(worker.pid, u64::MAX);
    }
    std::thread::sleep(Duration::from_millis(500));
    let used = |workers: &[Worker]| -> f64 {
        let all = workers.iter().map(|worker| worker.cpu_time().as_secs_f64());
        all.sum()
    };
    let before = (used(&first), used(&second));
    std::thread::sleep(Duration::from_secs(4));
    let used = (used(&first) - before.0, used(&second) - before.1);
    println!("the first tier {:.2} s, the second {:.2} s", used.0, used.1);
    assert!(used.1 < 0.15 * used.0, "{used:?}");
    attached.detach().unwrap();
}
