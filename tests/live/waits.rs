//! Nobody is forgotten: pinned tasks, kernel threads, the order of arrival,
//! and wake-ups that may interrupt.

use std::time::{Duration, Instant};

use crate::lab::{self, Host, Worker};

const PREEMPTING: &str = r#"language 1
policy preempting { version = "1" }
tier critical { tickets = 100   slice = 3ms    preempt = [batch] }
tier batch    { tickets = 100   slice = 100ms }
rules {
  c: when comm == "critical" -> critical
  b: when comm == "batch"    -> batch
  otherwise                  -> critical
}
"#;

#[test]
fn vm_a_critical_task_interrupts_batch() {
    let Some(_machine) = lab::machine("preemption") else {
        return;
    };
    let attached = lab::attach(PREEMPTING);
    let hogs: Vec<Worker> = (0..2 * lab::cpus())
        .map(|_| Worker::start("batch", "spin"))
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    let host = Host::watch();
    lab::rename("critical");
    let mut late: Vec<Duration> = (0..300)
        .map(|_| {
            let begun = Instant::now();
            std::thread::sleep(Duration::from_millis(5));
            begun.elapsed() - Duration::from_millis(5)
        })
        .collect();
    lab::rename("tests");
    late.sort();
    let stolen = host.worst();
    let statistics = attached.statistics().unwrap();
    println!(
        "woken after {:?} in the middle, {:?} in 95 %, {:?} at most; the host took up to {stolen:?}; {} preemptions",
        late[150], late[285], late[299], statistics.tiers[0].preemptions
    );
    assert!(late[150] < Duration::from_millis(5), "{:?}", late[150]);
    assert!(late[285] < Duration::from_millis(20) + stolen);
    assert!(statistics.tiers[0].preemptions > 0);
    drop(hogs);
    attached.detach().unwrap();
}

/// What has interrupted another is no better protected than any other task.
#[test]
fn vm_a_critical_task_interrupts_what_interrupted_batch() {
    let Some(_machine) = lab::machine("preemption in two steps") else {
        return;
    };
    let attached = lab::attach(
        r#"language 1
policy steps { version = "1" }
tier critical { tickets = 100   slice = 3ms     preempt = [middle, batch] }
tier middle   { tickets = 100   slice = 100ms   preempt = [batch] }
tier batch    { tickets = 100   slice = 100ms }
rules {
  m: when comm == "middle" -> middle
  b: when comm == "batch"  -> batch
  otherwise                -> critical
}
"#,
    );
    let hogs: Vec<Worker> = (0..lab::cpus())
        .map(|_| Worker::start("batch", "spin"))
        .collect();
    // Each wakes, interrupts a hog and works for long.
    let middle: Vec<Worker> = (0..lab::cpus())
        .map(|_| Worker::start("middle", "naps 1000 60000"))
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    let host = Host::watch();
    let mut late: Vec<Duration> = (0..300)
        .map(|_| {
            let begun = Instant::now();
            std::thread::sleep(Duration::from_millis(5));
            begun.elapsed() - Duration::from_millis(5)
        })
        .collect();
    late.sort();
    let stolen = host.worst();
    let tiers = attached.statistics().unwrap().tiers;
    println!(
        "woken after {:?} in the middle, {:?} in 95 %, {:?} at most; the host took up to {stolen:?}; preemptions {} and {}",
        late[150], late[285], late[299], tiers[0].preemptions, tiers[1].preemptions
    );
    assert!(tiers[1].preemptions > 0);
    assert!(late[150] < Duration::from_millis(5), "{:?}", late[150]);
    assert!(late[285] < Duration::from_millis(20) + stolen);
    drop((hogs, middle));
    attached.detach().unwrap();
}

#[test]
fn vm_pinned_tasks_and_kernel_threads_are_served_under_saturation() {
    let Some(_machine) = lab::machine("pinned") else {
        return;
    };
    let attached = lab::attach(
        r#"language 1
policy pinned { version = "1" }
tier big   { tickets = 10000   slice = 20ms }
tier small { tickets = 1       slice = 5ms    max_wait = 200ms }
rules {
  s: when comm == "small" -> small
  otherwise               -> big
}
"#,
    );
    let hogs: Vec<Worker> = (0..4 * lab::cpus())
        .map(|_| Worker::start("big", "spin"))
        .collect();
    let pinned: Vec<Worker> = (0..lab::cpus())
        .map(|cpu| {
            let worker = Worker::start("small", "spin");
            worker.pin(cpu);
            worker
        })
        .collect();
    let host = Host::watch();
    let before: Vec<Duration> = pinned.iter().map(Worker::cpu_time).collect();
    for round in 0..12 {
        std::thread::sleep(Duration::from_millis(500));
        // Exiting tasks, and affinity that changes while tasks are queued.
        drop(Worker::start("exits", "spin"));
        pinned[0].pin(round % lab::cpus());
    }
    let stolen = host.worst();
    for (worker, before) in pinned.iter().zip(before) {
        let used = worker.cpu_time() - before;
        println!("a pinned task got {used:?}");
        assert!(used > Duration::from_millis(20));
    }
    let statistics = attached.statistics().unwrap();
    let waited = Duration::from_micros(statistics.tiers[1].waits.longest_us());
    println!(
        "{} runs, {} overdue, waited {waited:?} at most; the host took up to {stolen:?}",
        statistics.tiers[1].dispatches, statistics.tiers[1].overdue
    );
    assert!(waited < Duration::from_millis(220) + 2 * stolen);
    assert!(attached.ejection().is_none());
    assert_eq!(lab::sched_ext("state"), "enabled");
    drop(hogs);
    attached.detach().unwrap();
}

/// A real-time task that keeps a CPU takes the CPU, not the tasks that were
/// on it: they share what is left, and no one waits past its limit.
#[test]
fn vm_what_a_real_time_task_interrupts_goes_on_elsewhere() {
    let Some(_machine) = lab::machine("realtime") else {
        return;
    };
    let attached = lab::attach(
        r#"language 1
policy realtime { version = "1" }
tier first { tickets = 100   slice = 5ms   preempt = [line]   max_wait = 50ms }
tier line  { tickets = 100   slice = 5ms   max_wait = 200ms }
rules {
  f: when comm == "first" -> first
  otherwise               -> line
}
"#,
    );
    // It goes before the others, and must not wait behind what it cannot pass.
    let first = Worker::start("first", "naps 2000 200");
    let workers: Vec<Worker> = (0..lab::cpus())
        .map(|_| Worker::start("line", "spin"))
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    let mut worst = Duration::ZERO;
    for round in 0..3 {
        let before: Vec<Duration> = workers.iter().map(Worker::cpu_time).collect();
        let napped = first.cpu_time();
        let taken = lab::occupy(round % lab::cpus(), Duration::from_millis(800));
        let used: Vec<Duration> = workers
            .iter()
            .zip(before)
            .map(|(worker, before)| worker.cpu_time() - before)
            .collect();
        let napped = first.cpu_time() - napped;
        println!(
            "in {taken:?} without one CPU the workers ran {used:?}, the first tier {napped:?}"
        );
        // A tenth of what its naps leave it, the host's delays included.
        assert!(napped > taken / 110, "{napped:?}");
        // An equal part of the other CPUs; half of that is asked.
        let part = taken * (lab::cpus() - 1) / lab::cpus() / 2;
        worst = worst.max(part.saturating_sub(used.iter().copied().min().unwrap()));
    }
    assert_eq!(worst, Duration::ZERO);
    assert!(attached.ejection().is_none());
    attached.detach().unwrap();
}

/// A task that waits when a policy takes its CPU from its tier is not left to
/// wait for the CPUs that the tier has now.
#[test]
fn vm_a_waiting_task_is_served_when_its_tier_moves_away() {
    let Some(_machine) = lab::machine("confined while waiting") else {
        return;
    };
    let policy = |cpus: &str| {
        format!(
            r#"language 1
policy moves {{ version = "1" }}
tier rest  {{ tickets = 1   slice = 5ms }}
tier first {{ tickets = 1   slice = 5ms }}
tier last  {{ tickets = 1   slice = 5ms   {cpus} }}
rules {{
  f: when comm == "first" -> first
  l: when comm == "last"  -> last
  otherwise               -> rest
}}
lottery {{ between = strict }}
"#
        )
    };
    let mut attached = lab::attach(&policy(""));
    let last = Worker::start("last", "spin");
    last.pin(0);
    let hogs: Vec<Worker> = (0..2 * lab::cpus())
        .map(|_| Worker::start("first", "spin"))
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    let before = last.cpu_time();
    lab::replace(&mut attached, &policy("cpus = \"1\""));
    let took = lab::until(Duration::from_millis(1500), || {
        last.cpu_time() > before + Duration::from_millis(1)
    });
    println!("it ran within {took:?}");
    assert!(took.is_some(), "{:?}", attached.statistics());
    drop(hogs);
    attached.detach().unwrap();
}

/// With one CPU's worth of hogs in order of arrival, each gets its turn:
/// nobody runs twice before everybody has run once, so all get the same,
/// whatever their nice value.
#[test]
fn vm_fifo_ignores_nice() {
    let Some(_machine) = lab::machine("fifo") else {
        return;
    };
    let attached = lab::attach(
        r#"language 1
policy fifo { version = "1" }
tier line { tickets = 100   slice = 5ms   order = fifo }
rules { otherwise -> line }
"#,
    );
    let workers: Vec<Worker> = [0, 10, 19]
        .iter()
        .map(|nice| {
            let worker = Worker::start("line", "spin");
            worker.nice(*nice);
            worker.pin(1);
            worker
        })
        .collect();
    std::thread::sleep(Duration::from_secs(1));
    let before: Vec<Duration> = workers.iter().map(Worker::cpu_time).collect();
    std::thread::sleep(Duration::from_secs(8));
    let used: Vec<f64> = workers
        .iter()
        .zip(before)
        .map(|(worker, before)| (worker.cpu_time() - before).as_secs_f64())
        .collect();
    println!("nice 0, 10 and 19 got {used:?} s");
    let mean = used.iter().sum::<f64>() / 3.0;
    assert!(used.iter().all(|used| (used / mean - 1.0).abs() < 0.1));
    attached.detach().unwrap();
}
