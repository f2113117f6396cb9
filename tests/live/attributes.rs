//! Every attribute that changes moves its task, and soon.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use edict::check::{Attribute, TierId};
use edict::hooks::classify::FileSystems;
use edict::live::{Attached, LoadOptions, Values};

use crate::lab::{self, Worker};

const SOON: Duration = Duration::from_millis(100);

/// Waits for the tier; prints how long it took.
fn moves(attached: &Attached, what: &str, pid: u32, tier: u8) {
    let took = lab::until(Duration::from_secs(5), || {
        attached
            .inspect(pid)
            .is_ok_and(|found| found.tier == TierId(tier))
    });
    println!("{what}: {took:?}");
    let Some(took) = took else {
        panic!("{what}: still {:?}", attached.inspect(pid));
    };
    assert!(took < SOON, "{what} took {took:?}");
}

fn policy(condition: &str) -> String {
    format!(
        "language 1\npolicy p {{ version = \"1\" }}\n\
         tier no {{ tickets = 100 slice = 5ms }}\ntier yes {{ tickets = 100 slice = 5ms }}\n\
         rules {{\n when {condition} -> yes\n otherwise -> no\n}}\n"
    )
}

#[test]
fn vm_rename_nice_setuid_and_exec_move_a_task() {
    let Some(_machine) = lab::machine("attributes") else {
        return;
    };
    let mut attached = lab::attach(&policy("comm == \"after\""));
    let mut worker = Worker::start("before", "spin");
    moves(&attached, "start", worker.pid, 0);
    worker.say("rename after");
    moves(&attached, "rename", worker.pid, 1);
    worker.say("rename before");
    moves(&attached, "rename back", worker.pid, 0);

    lab::replace(&mut attached, &policy("nice >= 10"));
    moves(&attached, "generation", worker.pid, 0);
    worker.nice(12);
    moves(&attached, "nice", worker.pid, 1);

    lab::replace(&mut attached, &policy("uid == 1234"));
    moves(&attached, "generation", worker.pid, 0);
    worker.say("setuid 1234");
    moves(&attached, "setuid", worker.pid, 1);

    let copy = Path::new("/tmp/edict-exec-target");
    fs::copy(std::env::current_exe().unwrap(), copy).unwrap();
    let mut worker = Worker::start("before", "spin");
    lab::replace(&mut attached, &policy("exe == \"/tmp/edict-exec-target\""));
    moves(&attached, "generation", worker.pid, 0);
    worker.say("exec /tmp/edict-exec-target");
    moves(&attached, "exec", worker.pid, 1);
    drop(worker);

    // Known before the commit, by the walk; inherited after it, by fork.
    let before = Worker::start_from(copy, "early", "spin");
    lab::replace(&mut attached, &policy("exe under \"/tmp\""));
    moves(&attached, "exe known at commit", before.pid, 1);
    let after = Worker::start_from(copy, "late", "spin");
    moves(&attached, "exe of a later process", after.pid, 1);
    attached.detach().unwrap();
    fs::remove_file(copy).unwrap();
}

#[test]
fn vm_a_child_has_its_parents_exe() {
    let Some(_machine) = lab::machine("fork") else {
        return;
    };
    let own = std::env::current_exe().unwrap();
    let attached = lab::attach(&policy(&format!("exe == {:?}", own.to_str().unwrap())));
    let parent = Worker::start("parent", "forks");
    let children = format!("/proc/{0}/task/{0}/children", parent.pid);
    let child = lab::until(Duration::from_secs(5), || {
        fs::read_to_string(&children).is_ok_and(|text| !text.trim().is_empty())
    });
    assert!(child.is_some(), "no child");
    let child: u32 = fs::read_to_string(&children)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    moves(&attached, "exe of a child that does not exec", child, 1);
    attached.detach().unwrap();
}

#[test]
fn vm_moving_between_cgroups_moves_a_task() {
    let Some(_machine) = lab::machine("cgroups") else {
        return;
    };
    let files = FileSystems::new();
    let Some(root) = files.cgroup_mount() else {
        eprintln!("SKIPPED cgroups: no version 2 hierarchy is mounted");
        return;
    };
    let attached = lab::attach(&policy("cgroup under \"/lab/inner\""));
    let worker = Worker::start("worker", "spin");
    let asleep = Worker::start("asleep", "naps 20000 10");
    moves(&attached, "start", worker.pid, 0);

    // Made after the commit.
    let inner = root.join("lab/inner/most");
    fs::create_dir_all(&inner).unwrap();
    fs::write(inner.join("cgroup.procs"), worker.pid.to_string()).unwrap();
    moves(&attached, "move into a new cgroup", worker.pid, 1);
    fs::write(inner.join("cgroup.procs"), asleep.pid.to_string()).unwrap();
    moves(&attached, "move of a sleeper", asleep.pid, 1);
    let beside = root.join("lab/innermost");
    fs::create_dir_all(&beside).unwrap();
    fs::write(beside.join("cgroup.procs"), worker.pid.to_string()).unwrap();
    moves(
        &attached,
        "move to a name with the same beginning",
        worker.pid,
        0,
    );
    fs::write(root.join("cgroup.procs"), asleep.pid.to_string()).unwrap();
    moves(&attached, "move to the root", asleep.pid, 0);
    let found = attached.inspect(asleep.pid).unwrap();
    assert_eq!(found.task.text(Attribute::Cgroup), Some("/"));
    drop((worker, asleep));
    attached.detach().unwrap();
    for path in ["lab/inner/most", "lab/inner", "lab/innermost", "lab"] {
        let _ = lab::until(Duration::from_secs(2), || {
            fs::remove_dir(root.join(path)).is_ok()
        });
    }
}

#[test]
fn vm_behaviour_is_known_after_eight_samples() {
    let Some(_machine) = lab::machine("behaviour") else {
        return;
    };
    let mut attached = lab::attach(&policy("runtime_avg > 30ms"));
    let hog = Worker::start("hog", "spin");
    let napper = Worker::start("napper", "naps 2000 500");
    let took = lab::until(Duration::from_secs(10), || {
        attached
            .inspect(hog.pid)
            .is_ok_and(|found| found.tier == TierId(1))
    });
    println!("a hog is known as one after {took:?}");
    assert!(took.is_some(), "{:?}", attached.inspect(hog.pid));
    let found = attached.inspect(napper.pid).unwrap();
    println!(
        "napper: {:?} {:?}",
        found.task.value(Attribute::RuntimeAvg),
        found.task.value(Attribute::WakeRate)
    );
    assert_eq!(found.tier, TierId(0));

    lab::replace(&mut attached, &policy("wake_rate > 50"));
    let took = lab::until(Duration::from_secs(10), || {
        attached
            .inspect(napper.pid)
            .is_ok_and(|found| found.tier == TierId(1))
    });
    println!("a frequent sleeper is known as one after {took:?}");
    assert!(took.is_some(), "{:?}", attached.inspect(napper.pid));
    assert_eq!(attached.inspect(hog.pid).unwrap().tier, TierId(0));
    attached.detach().unwrap();
}

/// A task that has just woken is judged as one that has: its rate is not that of
/// the time that it slept for.
#[test]
fn vm_a_wake_up_is_recorded_before_it_is_judged() {
    let Some(_machine) = lab::machine("wake-ups") else {
        return;
    };
    // It wakes every 2 ms or so, and once after 80 ms: then the average interval
    // is 15 ms at most, but the last one is 80.
    let attached = lab::attach(
        r#"language 1
policy wakes { version = "1" }
tier often  { tickets = 100   slice = 5ms }
tier seldom { tickets = 100   slice = 5ms }
rules {
  often:  when comm == "bursts" and wake_rate > 25  -> often
  seldom: when comm == "bursts"                     -> seldom
          otherwise                                 -> seldom
}
"#,
    );
    let worker = Worker::start("bursts", "bursts");
    let often = || attached.inspect(worker.pid).unwrap().tier == TierId(0);
    assert!(lab::until(Duration::from_secs(5), often).is_some());
    let hits = || attached.statistics().unwrap().rules[1];
    let before = hits();
    std::thread::sleep(Duration::from_secs(5));
    let seldom = hits() - before;
    println!("taken for one that seldom wakes {seldom} times");
    // About forty long sleeps; a busy host may prolong one.
    assert!(seldom < 10, "{seldom}");
    attached.detach().unwrap();
}

/// Knows what the file systems say, and takes its time to look at all cgroups.
struct SlowWalk {
    files: FileSystems,
    walks: Arc<AtomicU32>,
}

const WALK: Duration = Duration::from_secs(2);

impl Values for SlowWalk {
    fn exe(&self, pid: u32) -> Option<String> {
        self.files.exe(pid)
    }
    fn cgroups(&self) -> Vec<(u64, String)> {
        self.files.cgroups()
    }
    fn cgroup(&self, id: u64) -> Option<String> {
        self.files.cgroup(id)
    }
    fn cgroup_of(&self, pid: u32, id: u64) -> Option<String> {
        self.files.cgroup_of(pid, id)
    }
    fn look_again(&self) {
        self.walks.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(WALK);
        self.files.look_again();
        self.walks.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn vm_a_task_is_explained_while_cgroups_are_looked_at() {
    let Some(_machine) = lab::machine("explained") else {
        return;
    };
    let files = FileSystems::new();
    let Some(root) = files.cgroup_mount().map(Path::to_owned) else {
        eprintln!("SKIPPED explained: no version 2 hierarchy is mounted");
        return;
    };
    let walks = Arc::new(AtomicU32::new(0));
    let mut loaded = edict::live::load(LoadOptions {
        values: Box::new(SlowWalk {
            files,
            walks: Arc::clone(&walks),
        }),
        ..LoadOptions::default()
    })
    .unwrap();
    let image = lab::image(&policy("cgroup under \"/lab.slow\""));
    let prepared = loaded.prepare(&image).unwrap();
    loaded.commit(prepared).unwrap();
    let attached = loaded.attach().unwrap();

    let worker = Worker::start("worker", "naps 5000 100");
    let made = root.join("lab.slow");
    fs::create_dir_all(&made).unwrap();
    fs::write(made.join("cgroup.procs"), worker.pid.to_string()).unwrap();
    let begun = |walks: u32| walks % 2 == 1;
    let walk = || begun(walks.load(Ordering::Relaxed));
    assert!(lab::until(Duration::from_secs(2), walk).is_some());
    // Also what that look is about, from where the task itself says it is.
    let mut asked = Vec::new();
    while walk() {
        let begun = Instant::now();
        let found = attached.inspect(worker.pid).unwrap();
        asked.push(begun.elapsed());
        // The object has not been told: to the policy it is unknown.
        assert_eq!(found.tier, TierId(0));
        std::thread::sleep(Duration::from_millis(5));
    }
    asked.sort();
    println!(
        "explained {} times while cgroups were looked at: {:?} in the middle, {:?} at most",
        asked.len(),
        asked[asked.len() / 2],
        asked[asked.len() - 1]
    );
    assert!(asked.len() > 20);
    // A busy host may take a CPU away for longer, but not most of the time.
    assert!(asked[asked.len() * 9 / 10] < Duration::from_millis(100));
    assert!(asked[asked.len() - 1] < WALK / 2);
    let told = || attached.inspect(worker.pid).unwrap().tier == TierId(1);
    assert!(lab::until(2 * WALK, told).is_some());
    drop(worker);
    attached.detach().unwrap();
    let _ = lab::until(Duration::from_secs(2), || fs::remove_dir(&made).is_ok());
}
