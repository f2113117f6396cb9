//! CPUs that come and go, and a scheduler that stays.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use edict::check::{Attribute, TierId};

use crate::lab::{self, Host, Worker};

const SWITCH: &str = "/sys/devices/system/cpu/cpu1/online";

/// Two tiers three to one, and one for when a CPU is away. The kernel's threads
/// go first: a CPU goes only as fast as those of RCU are served.
const POLICY: &str = r#"language 1
policy hotplug { version = "1" }
tier alone { tickets = 100   slice = 5ms    preempt = [many, few] }
tier many  { tickets = 300   slice = 5ms    max_wait = 200ms }
tier few   { tickets = 100   slice = 5ms    max_wait = 200ms }
rules {
  k: when kthread                      -> alone
  a: when comm == "watch" and ncpu < 2 -> alone
  m: when comm == "many"               -> many
  otherwise                            -> few
}
"#;

/// The switch of a CPU that can be taken away.
fn switch(test: &str) -> bool {
    let there = Path::new(SWITCH).exists();
    if !there {
        eprintln!("SKIPPED {test}: {SWITCH} is not there");
    }
    settle();
    there
}

/// While the kernel (6.18) still frees the maps of the object before, which goes
/// on for a while after it is closed, a CPU that went was seen never to arrive:
/// it, the worker that frees and the tracing RCU all waited.
fn settle() {
    std::thread::sleep(Duration::from_secs(5));
}

fn turn(on: bool) -> Duration {
    let begun = Instant::now();
    fs::write(SWITCH, if on { "1" } else { "0" }).unwrap();
    begun.elapsed()
}

/// Brings it back, whatever happens.
struct Back;

impl Drop for Back {
    fn drop(&mut self) {
        let _ = fs::write(SWITCH, "1");
    }
}

#[test]
fn vm_a_cpu_that_comes_and_goes_loses_nothing() {
    let Some(_machine) = lab::machine("hotplug") else {
        return;
    };
    if !switch("hotplug") {
        return;
    }
    let attached = lab::attach(POLICY);
    let _back = Back;
    let sequence = lab::sched_ext("enable_seq");
    let generation = attached.generation();

    let watch = Worker::start("watch", "naps 20000 100");
    let load: Vec<(usize, Worker)> = (0..8)
        .map(|index| {
            let name = ["many", "few"][index % 2];
            (index % 2, Worker::start(name, "spin"))
        })
        .collect();
    // Its affinity is widened when its CPU goes; so it is narrowed each time.
    let pinned = Worker::start("few", "spin");
    let naps: Vec<Worker> = (0..4)
        .map(|_| Worker::start("few", "naps 3000 300"))
        .collect();
    std::thread::sleep(Duration::from_secs(1));

    let host = Host::watch();
    let before: Vec<Duration> = load.iter().map(|(_, worker)| worker.cpu_time()).collect();
    let (mut off, mut on, mut asked, mut noticed) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let begun = Instant::now();
    while begun.elapsed() < lab::soak(20) {
        pinned.pin(1);
        std::thread::sleep(Duration::from_millis(300));
        off.push(turn(false));
        let went = pinned.cpu_time();
        let tier = |tier| attached.inspect(watch.pid).unwrap().tier == TierId(tier);
        // Within a second or so: `ncpu` is another number.
        noticed.push(lab::until(Duration::from_secs(5), || tier(0)).expect("still two CPUs"));
        let status = Instant::now();
        attached.statistics().unwrap();
        asked.push(status.elapsed());
        let moved = lab::until(Duration::from_secs(5), || {
            pinned.cpu_time() > went + Duration::from_millis(1)
        });
        assert!(moved.is_some(), "what was pinned to the CPU does not run");
        on.push(turn(true));
        noticed.push(lab::until(Duration::from_secs(5), || tier(2)).expect("still one CPU"));
        assert!(attached.ejection().is_none(), "{:?}", attached.ejection());
        let rest = Duration::from_millis(1000);
        std::thread::sleep(rest.saturating_sub(status.elapsed()));
    }
    let stolen = host.worst();

    let mut used = [0.0; 2];
    for ((tier, worker), before) in load.iter().zip(before) {
        let time = (worker.cpu_time() - before).as_secs_f64();
        assert!(time > 0.05, "a {} got {time} s", ["many", "few"][*tier]);
        used[*tier] += time;
    }
    let worst = |times: &[Duration]| times.iter().max().copied().unwrap();
    println!(
        "{} times away and back: off in {:?}, on in {:?}, known after {:?}, statistics in {:?}, at most",
        off.len(),
        worst(&off),
        worst(&on),
        worst(&noticed),
        worst(&asked)
    );
    // The tier of the hogs that nap and the one that is pinned is `few` too.
    let (many, few) = (used[0], used[1]);
    println!("many {many:.2} s, few {few:.2} s; the host took up to {stolen:?}");
    assert!(many > 2.0 * few, "shares are lost");
    assert_eq!(lab::sched_ext("enable_seq"), sequence);
    assert_eq!(lab::sched_ext("nr_rejected"), "0");
    assert_eq!(lab::sched_ext("state"), "enabled");
    assert_eq!(attached.generation(), generation);

    let statistics = attached.statistics().unwrap();
    for tier in 1..3 {
        let waited = Duration::from_micros(statistics.tiers[tier].waits.longest_us());
        println!("tier {tier} waited {waited:?} at most");
        // While a CPU goes the kernel stops all of them, more than once.
        let stopped = worst(&off) + worst(&on);
        assert!(waited < Duration::from_millis(220) + 2 * stolen + stopped);
    }
    drop((load, naps, pinned, watch));
    attached.detach().unwrap();
}

/// With the CPU that it is queued for its whole affinity goes: it runs elsewhere,
/// also where it would have waited for long.
#[test]
fn vm_what_waits_for_a_cpu_that_goes_is_moved() {
    let Some(_machine) = lab::machine("hotplug with a queue") else {
        return;
    };
    if !switch("hotplug with a queue") {
        return;
    }
    let attached = lab::attach(
        r#"language 1
policy queue { version = "1" }
tier big   { tickets = 1000   slice = 20ms }
tier small { tickets = 1      slice = 5ms   order = fifo }
rules {
  s: when comm == "small" -> small
  otherwise               -> big
}
"#,
    );
    let _back = Back;
    let hogs: Vec<Worker> = (0..6).map(|_| Worker::start("big", "spin")).collect();
    let queued: Vec<Worker> = (0..6)
        .map(|index| {
            let name = ["small", "big"][index % 2];
            let worker = Worker::start(name, "spin");
            worker.pin(1);
            worker
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    let before: Vec<Duration> = queued.iter().map(Worker::cpu_time).collect();
    let took = turn(false);
    println!("off in {took:?}");
    // Nothing that cannot leave holds up the CPU until it is overdue.
    assert!(took < Duration::from_secs(3), "{took:?}");
    let ran = lab::until(Duration::from_secs(15), || {
        let ran = |(worker, before): (&Worker, &Duration)| worker.cpu_time() > *before;
        queued.iter().zip(&before).all(ran)
    });
    println!("all that were pinned there ran again within {ran:?}");
    assert!(ran.is_some(), "{:?}", attached.statistics());
    turn(true);
    assert!(attached.ejection().is_none(), "{:?}", attached.ejection());
    drop((hogs, queued));
    attached.detach().unwrap();
}

/// The CPU that was away when the object was loaded counts when it comes, and has
/// its place.
#[test]
fn vm_a_cpu_that_comes_after_the_attachment_is_used() {
    let Some(_machine) = lab::machine("a CPU that comes") else {
        return;
    };
    if !switch("a CPU that comes") {
        return;
    }
    let _back = Back;
    turn(false);
    let mut loaded = lab::load();
    let prepared = loaded.prepare(&lab::image(POLICY)).unwrap();
    loaded.commit(prepared).unwrap();
    // Between loading and attaching it is there for a moment.
    turn(true);
    turn(false);
    let attached = loaded.attach().unwrap();
    let watch = Worker::start("watch", "naps 20000 100");
    let hogs: Vec<Worker> = (0..2).map(|_| Worker::start("many", "spin")).collect();
    let alone = || attached.inspect(watch.pid).unwrap().tier == TierId(0);
    assert!(lab::until(Duration::from_secs(5), alone).is_some());
    turn(true);
    assert!(lab::until(Duration::from_secs(5), || !alone()).is_some());
    for hog in &hogs {
        hog.pin(1);
    }
    let before: Vec<Duration> = hogs.iter().map(Worker::cpu_time).collect();
    std::thread::sleep(Duration::from_secs(2));
    for (hog, before) in hogs.iter().zip(before) {
        let used = hog.cpu_time() - before;
        println!("on the CPU that came: {used:?}");
        assert!(used > Duration::from_millis(300));
        let place = edict::hooks::topology::Topology::read().place(1).unwrap();
        let task = attached.inspect(hog.pid).unwrap().task;
        assert_eq!(task.number(Attribute::Llc), Some(i64::from(place.llc)));
    }
    assert!(attached.ejection().is_none());
    drop((hogs, watch));
    attached.detach().unwrap();
}

/// Without swap the kernel hibernates as far as that: it freezes all tasks, takes
/// all CPUs but one away, makes its image, finds nowhere to write it, and comes back.
#[test]
fn vm_a_machine_that_hibernates_keeps_its_policy() {
    let Some(_machine) = lab::machine("hibernation") else {
        return;
    };
    const STATE: &str = "/sys/power/state";
    let lines = |file: &str| fs::read_to_string(file).unwrap_or_default();
    // Only where nobody loses anything if it should go further.
    let apt = lines(STATE).contains("disk") && lines("/proc/swaps").lines().count() < 2;
    // 7.3.4 does not come back, whoever schedules.
    let returns = !lines("/proc/sys/kernel/osrelease").starts_with("7.3.");
    if !apt || !returns || !Path::new("/lab/tests").is_dir() {
        eprintln!("SKIPPED hibernation: not the lab, or it has swap, or does not come back");
        return;
    }
    settle();
    let attached = lab::attach(POLICY);
    let (sequence, generation) = (lab::sched_ext("enable_seq"), attached.generation());
    let workers: Vec<Worker> = ["many", "few", "many", "few"]
        .map(|name| Worker::start(name, "spin"))
        .into_iter()
        .chain((0..4).map(|_| Worker::start("few", "naps 3000 300")))
        .collect();
    workers[1].pin(lab::cpus() - 1);
    std::thread::sleep(Duration::from_secs(1));

    let begun = Instant::now();
    let written = fs::write(STATE, "disk");
    let away = begun.elapsed();
    assert!(written.is_err(), "it has hibernated");
    let used: Vec<Duration> = workers.iter().map(Worker::cpu_time).collect();
    let again = lab::until(Duration::from_secs(5), || {
        let mut since = workers.iter().zip(&used);
        since.all(|(worker, used)| worker.cpu_time() > *used + Duration::from_micros(500))
    });
    println!("away for {away:?}; everybody ran again within {again:?}");
    assert!(again.is_some(), "somebody does not run any more");
    assert_eq!(lab::sched_ext("state"), "enabled");
    assert_eq!(lab::sched_ext("enable_seq"), sequence);
    assert_eq!(attached.generation(), generation);
    assert!(attached.ejection().is_none(), "{:?}", attached.ejection());
    let tier = |worker: &Worker| attached.inspect(worker.pid).unwrap().tier;
    assert_eq!(
        (tier(&workers[0]), tier(&workers[1])),
        (TierId(1), TierId(2))
    );
    drop(workers);
    attached.detach().unwrap();
}
