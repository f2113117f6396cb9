//! Every attribute that changes moves its task, and soon.

use std::fs;
use std::path::Path;
use std::time::Duration;

use edict::check::{Attribute, TierId};
use edict::live::Attached;

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
    let files = edict::hooks::classify::FileSystems::new();
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
