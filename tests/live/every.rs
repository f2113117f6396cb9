//! Every attribute tells a real task from another, and a task that execs is
//! known again soon.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use edict::check::{Attribute, TierId, Value};
use edict::hooks::classify::FileSystems;
use edict::hooks::topology::Topology;
use edict::live::Attached;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, unlinkat};

use crate::lab::{self, Worker};

const PATIENCE: Duration = Duration::from_secs(15);
const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn policy(condition: &str) -> String {
    format!(
        "language 1\npolicy p {{ version = \"1\" }}\n\
         tier no {{ tickets = 100 slice = 5ms }}\ntier yes {{ tickets = 100 slice = 5ms }}\n\
         rules {{\n when {condition} -> yes\n otherwise -> no\n}}\n"
    )
}

/// Waits until the kernel says that the condition holds for the task, or not;
/// then what the agent reads must say the same.
fn holds(attached: &Attached, condition: &str, pid: u32, expected: bool) {
    let tier = TierId(u8::from(expected));
    let took = lab::until(PATIENCE, || {
        attached.inspect(pid).is_ok_and(|found| found.tier == tier)
    });
    println!("{condition}: {expected} after {took:?}");
    assert!(
        took.is_some(),
        "{condition}, expected {expected}: {:#?}",
        attached.inspect(pid)
    );
}

/// Puts a condition in force and holds it against tasks.
fn ask(attached: &mut Attached, condition: &str, tasks: &[(u32, bool)]) {
    lab::replace(attached, &policy(condition));
    for (pid, expected) in tasks {
        holds(attached, condition, *pid, *expected);
    }
}

/// The value that `why` shows.
fn shown(attached: &Attached, pid: u32, attribute: Attribute) -> Option<Value> {
    let found = attached.inspect(pid).unwrap();
    found.task.value(attribute).cloned()
}

fn number(attached: &Attached, pid: u32, attribute: Attribute) -> Option<i64> {
    attached.inspect(pid).unwrap().task.number(attribute)
}

fn child_of(pid: u32) -> u32 {
    let children = format!("/proc/{pid}/task/{pid}/children");
    let read = || fs::read_to_string(&children).ok()?.trim().parse().ok();
    lab::until(PATIENCE, || read().is_some()).expect("no child");
    read().unwrap()
}

#[test]
fn vm_every_attribute_of_the_kernel_tells_tasks_apart() {
    let Some(_machine) = lab::machine("kernel attributes") else {
        return;
    };
    let mut attached = lab::attach(&policy("pid == 1"));
    let mut one = Worker::start("one", "spin");
    let other = Worker::start("other", "spin");
    let (a, b) = (one.pid, other.pid);
    let own = std::process::id();

    ask(
        &mut attached,
        &format!("pid == {a}"),
        &[(a, true), (b, false)],
    );
    ask(
        &mut attached,
        &format!("tgid in {{ {b} }}"),
        &[(a, false), (b, true)],
    );
    ask(
        &mut attached,
        &format!("ppid == {own}"),
        &[(a, true), (own, false)],
    );
    let comm = fs::read_to_string("/proc/self/comm").unwrap();
    let comm = comm.trim();
    ask(
        &mut attached,
        &format!(
            "parent.comm == {comm:?} and parent.comm starts with \"{}\"",
            &comm[..2]
        ),
        &[(a, true), (own, false)],
    );
    assert_eq!(
        shown(&attached, a, Attribute::ParentComm),
        Some(Value::Text(comm.into()))
    );

    ask(&mut attached, "gid == 4321", &[(a, false)]);
    one.say("setgid 4321");
    holds(&attached, "gid", a, true);
    holds(&attached, "gid", b, false);

    // A thread of its process, but not the first.
    let threads = fs::read_dir(format!("/proc/{a}/task")).unwrap();
    let thread = threads
        .filter_map(|thread| thread.unwrap().file_name().to_str()?.parse().ok())
        .find(|tid| *tid != a)
        .expect("a worker has a thread that reads");
    ask(&mut attached, "group_leader", &[(a, true), (thread, false)]);
    ask(
        &mut attached,
        &format!("pid == {thread}"),
        &[(a, false), (thread, true)],
    );
    ask(
        &mut attached,
        &format!("tgid == {a}"),
        &[(a, true), (thread, true)],
    );

    let apart = Worker::start("apart", "unshares");
    let inside = child_of(apart.pid);
    let link = fs::read_link(format!("/proc/{inside}/ns/pid")).unwrap();
    let inode: i64 = link
        .to_str()
        .and_then(|link| link.strip_prefix("pid:[")?.strip_suffix(']')?.parse().ok())
        .unwrap();
    ask(
        &mut attached,
        &format!("ns.pid == {inode}"),
        &[(inside, true), (apart.pid, false), (a, false)],
    );

    let topology = Topology::read();
    for cpu in 0..lab::cpus() {
        let place = topology.place(cpu).unwrap();
        one.pin(cpu);
        std::thread::sleep(Duration::from_millis(100));
        ask(
            &mut attached,
            &format!("llc == {} and node == {}", place.llc, place.node),
            &[(a, true)],
        );
    }
    ask(
        &mut attached,
        "llc >= 60000 or node >= 60000",
        &[(a, false)],
    );

    let young = Worker::start("young", "spin");
    ask(&mut attached, "age < 4s", &[(young.pid, true), (a, false)]);
    holds(&attached, "age, later", young.pid, false);
    assert!(number(&attached, a, Attribute::Age).unwrap() > 4_000_000_000);
    attached.detach().unwrap();
}

#[test]
fn vm_every_behaviour_is_known_after_a_while() {
    let Some(_machine) = lab::machine("every behaviour") else {
        return;
    };
    let mut attached = lab::attach(&policy("sleep_avg > 1ms and sleep_avg < 1s"));
    let napper = Worker::start("napper", "naps 3000 300");
    let hog = Worker::start("hog", "spin");
    let (n, h) = (napper.pid, hog.pid);
    holds(&attached, "sleep_avg", n, true);
    holds(&attached, "sleep_avg", h, false);
    ask(&mut attached, "switch_rate > 20", &[(n, true)]);
    ask(&mut attached, "runtime_dev < 50ms", &[(n, true)]);
    ask(&mut attached, "lat_cri > 20%", &[(n, true), (h, false)]);
    for attribute in [
        Attribute::RuntimeAvg,
        Attribute::RuntimeDev,
        Attribute::WakeRate,
        Attribute::SwitchRate,
        Attribute::LatCri,
        Attribute::SleepAvg,
    ] {
        let value = number(&attached, n, attribute);
        println!("{attribute} {value:?}");
        assert!(value.is_some(), "{attribute}");
    }
    // The formula of bpf/behaviour.bpf.h, from what is shown.
    let found = attached.inspect(n).unwrap().task;
    let of = |attribute| found.number(attribute).unwrap();
    let brief = 1_000_000 * 4_000_000 / (4_000_000 + of(Attribute::RuntimeAvg));
    let often = 1_000_000 * of(Attribute::WakeRate) / (of(Attribute::WakeRate) + 20);
    let expected = brief * often / 1_000_000;
    assert!((of(Attribute::LatCri) - expected).abs() <= 1, "{found:?}");
    attached.detach().unwrap();
}

#[test]
fn vm_every_attribute_of_the_agent_tells_tasks_apart() {
    let Some(_machine) = lab::machine("agent attributes") else {
        return;
    };
    if !Path::new("/etc/passwd").exists() {
        fs::write("/etc/passwd", "root:x:0:0:root:/:/bin/sh\n").unwrap();
    }
    let mut attached = lab::attach(&policy("comm like \"be*re\""));
    let mut one = Worker::start("before", "spin");
    let other = Worker::start("other", "spin");
    let (a, b) = (one.pid, other.pid);
    // Patterns on names, also beside what the kernel looks up of them itself.
    holds(&attached, "comm like", a, true);
    holds(&attached, "comm like", b, false);
    one.say("rename behind");
    holds(&attached, "comm like, renamed", a, false);
    ask(
        &mut attached,
        "comm starts with \"be\" and comm matches \"h.nd$\"",
        &[(a, true), (b, false)],
    );
    one.say("rename beyond");
    holds(&attached, "comm matches, renamed", a, false);
    let comm = fs::read_to_string("/proc/self/comm").unwrap();
    let end = &comm.trim()[1..];
    ask(
        &mut attached,
        &format!("parent.comm ends with {end:?}"),
        &[(a, true), (std::process::id(), false)],
    );

    let own = std::env::current_exe().unwrap();
    let name = own.file_name().unwrap().to_str().unwrap();
    ask(
        &mut attached,
        &format!("cmdline contains {name:?}"),
        &[(a, true), (1, false)],
    );
    ask(
        &mut attached,
        &format!("exe like \"*/{name}\""),
        &[(a, true), (1, false)],
    );

    ask(&mut attached, "user == \"root\"", &[(a, true), (b, true)]);
    one.say("setuid 64321");
    holds(&attached, "user without a name", a, false);
    lab::replace(&mut attached, &policy("user == \"later\""));
    holds(&attached, "user without a name yet", a, false);
    let users = fs::read_to_string("/etc/passwd").unwrap();
    fs::write(
        "/etc/passwd",
        format!("{users}later:x:64321:0::/:/bin/sh\n"),
    )
    .unwrap();
    holds(&attached, "user that has got a name", a, true);
    fs::write("/etc/passwd", users.replace("later", "gone")).unwrap();
    holds(&attached, "user that has lost it", a, false);
    ask(
        &mut attached,
        "user in { \"root\", \"nobody-here\" }",
        &[(a, false), (b, true)],
    );

    let files = FileSystems::new();
    if let Some(root) = files.cgroup_mount() {
        let made = |path: &str| {
            let path = root.join(path);
            fs::create_dir_all(&path).unwrap();
            path
        };
        let enter = |path: &Path, pid: u32| {
            fs::write(path.join("cgroup.procs"), pid.to_string()).unwrap();
        };
        ask(&mut attached, "unit == \"web.service\"", &[(a, false)]);
        // Made while the policy is in force.
        let unit = made("lab.slice/web.service/workers");
        enter(&unit, a);
        holds(&attached, "unit", a, true);
        let scope = made(&format!("lab.slice/docker-{ID}.scope"));
        enter(&scope, b);
        let container = format!("container == {ID:?}");
        ask(&mut attached, &container, &[(a, false), (b, true)]);
        ask(&mut attached, "container == \"\"", &[(a, true), (b, false)]);
        ask(
            &mut attached,
            "cgroup under \"/lab.slice\" and unit ends with \".scope\"",
            &[(a, false), (b, true)],
        );
        enter(root, a);
        enter(root, b);
        holds(&attached, "unit, left", b, false);
        for path in [
            unit.clone(),
            unit.parent().unwrap().into(),
            scope,
            root.join("lab.slice"),
        ] {
            let _ = lab::until(Duration::from_secs(2), || fs::remove_dir(&path).is_ok());
        }
    } else {
        eprintln!("SKIPPED cgroups: no version 2 hierarchy is mounted");
    }
    drop((one, other));
    attached.detach().unwrap();
}

#[test]
fn vm_the_machine_as_a_whole_tells_times_apart() {
    let Some(_machine) = lab::machine("system attributes") else {
        return;
    };
    let cpus = lab::cpus();
    let mut attached = lab::attach(&policy(&format!("ncpu == {cpus}")));
    let worker = Worker::start("worker", "naps 20000 100");
    let pid = worker.pid;
    holds(&attached, "ncpu", pid, true);
    ask(&mut attached, &format!("ncpu > {cpus}"), &[(pid, false)]);
    ask(&mut attached, "not on_battery", &[(pid, true)]);
    ask(
        &mut attached,
        "load < 100000% and psi.cpu < 100%",
        &[(pid, true)],
    );
    ask(&mut attached, "cpu_util > 80%", &[]);
    let hogs: Vec<Worker> = (0..cpus).map(|_| Worker::start("hog", "spin")).collect();
    holds(&attached, "cpu_util, busy", pid, true);
    drop(hogs);
    holds(&attached, "cpu_util, idle", pid, false);
    println!("{:?}", shown(&attached, pid, Attribute::CpuUtil));
    for attribute in [
        Attribute::CpuUtil,
        Attribute::Load,
        Attribute::Imbalance,
        Attribute::OnBattery,
        Attribute::Ncpu,
    ] {
        assert!(shown(&attached, pid, attribute).is_some(), "{attribute}");
    }
    attached.detach().unwrap();
}

/// How long after an exec the task is in the tier that its new program means.
#[test]
fn vm_a_task_that_execs_is_known_again_soon() {
    let Some(_machine) = lab::machine("exec") else {
        return;
    };
    let programs: Vec<PathBuf> = ["/tmp/edict-runs-a", "/tmp/edict-runs-b"]
        .map(PathBuf::from)
        .into();
    for program in &programs {
        fs::copy(std::env::current_exe().unwrap(), program).unwrap();
    }
    let policy = |condition: &dyn Fn(&str) -> String| {
        format!(
            "language 1\npolicy p {{ version = \"1\" }}\n\
             tier unknown {{}}\ntier a {{}}\ntier b {{}}\n\
             rules {{\n when {} -> a\n when {} -> b\n otherwise -> unknown\n}}\n",
            condition("a"),
            condition("b")
        )
    };
    let by_exe = policy(&|which| format!("exe == \"/tmp/edict-runs-{which}\""));
    let by_cmdline = policy(&|which| format!("cmdline like \"*-{which}\""));
    let by_all = policy(&|which| {
        format!(
            "exe ends with \"-{which}\" and cmdline contains \"runs-{which}\" and comm like \"*s-{which}\""
        )
    });
    let mut attached = lab::attach(&by_exe);
    for (what, text) in [
        ("exe", by_exe),
        ("cmdline", by_cmdline),
        ("exe, cmdline and a pattern on comm", by_all),
    ] {
        lab::replace(&mut attached, &text);
        let mut worker = Worker::start_from(&programs[0], "", "spin");
        let link = PathBuf::from(format!("/proc/{}/exe", worker.pid));
        let mut took = Vec::new();
        for turn in 0..50 {
            let which = 1 - turn % 2;
            worker.say(&format!("exec {}", programs[which].display()));
            let begun = Instant::now();
            while fs::read_link(&link).unwrap() != programs[which] {
                assert!(begun.elapsed() < PATIENCE, "it does not exec");
                std::thread::sleep(Duration::from_micros(200));
            }
            let tier = TierId(1 + which as u8);
            let after = lab::until(PATIENCE, || {
                attached
                    .inspect(worker.pid)
                    .is_ok_and(|found| found.tier == tier)
            });
            took.push(after.unwrap_or_else(|| panic!("{:#?}", attached.inspect(worker.pid))));
        }
        took.sort();
        println!(
            "{what}: known {:?} after exec in the middle of 50, {:?} at most",
            took[25], took[49]
        );
        // Emulated CPUs, and a host that may be busy with something else.
        assert!(took[25] < Duration::from_millis(200), "{took:?}");
        assert!(took[49] < Duration::from_secs(2), "{took:?}");
    }
    attached.detach().unwrap();
    for program in &programs {
        fs::remove_file(program).unwrap();
    }
}

/// Deeper than a path may be long, where no path leads: it is still below.
#[test]
fn vm_no_depth_hides_a_cgroup() {
    let Some(_machine) = lab::machine("deep cgroups") else {
        return;
    };
    let files = FileSystems::new();
    let Some(root) = files.cgroup_mount() else {
        eprintln!("SKIPPED deep cgroups: no version 2 hierarchy is mounted");
        return;
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = |at: &OwnedFd, name: &str| openat(at, name, flags, Mode::empty()).unwrap();
    let name = "n".repeat(250);
    let mut branch = vec![openat(CWD, root, flags, Mode::empty()).unwrap()];
    let worker = Worker::start("deep", "naps 5000 100");
    let mut attached = lab::attach(&policy(&format!("cgroup under \"/{name}\"")));
    holds(&attached, "not below it", worker.pid, false);
    for _ in 0..40 {
        let last = branch.last().unwrap();
        mkdirat(last, name.as_str(), Mode::RWXU).unwrap();
        branch.push(open(last, &name));
    }
    let enter = |at: &OwnedFd| {
        let procs = openat(at, "cgroup.procs", OFlags::WRONLY, Mode::empty()).unwrap();
        rustix::io::write(&procs, worker.pid.to_string().as_bytes()).unwrap();
    };
    enter(branch.last().unwrap());
    holds(&attached, "far below it", worker.pid, true);
    lab::replace(&mut attached, &policy(&format!("cgroup under \"/{name}\"")));
    holds(&attached, "far below it, known before", worker.pid, true);
    enter(&branch[0]);
    holds(&attached, "not below it any more", worker.pid, false);
    drop(worker);
    attached.detach().unwrap();
    while branch.len() > 1 {
        branch.pop();
        let above = branch.last().unwrap();
        let gone = || unlinkat(above, name.as_str(), AtFlags::REMOVEDIR).is_ok();
        assert!(lab::until(Duration::from_secs(5), gone).is_some());
    }
}
