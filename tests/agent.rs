//! The real `edict` on a real sched_ext kernel, as an operator meets it.
//!
//! Takes over the scheduling of the machine it runs on, so it is meant for a
//! virtual machine (`scripts/test --only vm`). Anywhere else each test says why
//! it is skipped.
#![cfg(feature = "live")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

#[path = "agent/lab.rs"]
mod lab;
#[path = "agent/recording.rs"]
mod recording;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use edict::agent::metrics::{self, Metrics};
use lab::{Hog, Lab, Load, policy, sched_ext};
use rustix::process::Signal;
use scx_stats::StatsClient;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn vm_an_operator_starts_asks_edits_and_stops() {
    let Some(mut lab) = Lab::start("vm_an_operator_starts_asks_edits_and_stops") else {
        return;
    };
    assert_eq!(sched_ext("state"), "enabled");
    assert!(sched_ext("root/ops").starts_with("edict"));
    assert!(
        lab.log()
            .contains("attached: backend sched_ext, generation 1, policy lab 1.0")
    );
    let enable_seq = sched_ext("enable_seq");
    let status = lab.status();
    assert_eq!(status["backend"], "sched_ext");
    assert_eq!(status["enable_seq"].to_string(), enable_seq);

    // A second one is refused, and the first does not notice.
    let second = lab.edict(&["run", &lab.pack()]);
    assert_eq!(second.code, 4, "{}", second.stderr);
    assert!(second.stderr.contains("E0608"), "{}", second.stderr);
    assert!(
        second.stderr.contains(&lab.pid().to_string()),
        "{}",
        second.stderr
    );

    // Why is the hog where it is?
    let hog = Hog::start();
    let why = lab.wait_why(hog.tid(), "batch");
    assert_eq!(why["comm"], "edict-hog");
    assert_eq!(why["rule"], "hog");
    assert_eq!(why["agrees"], true, "{why}");
    let text = lab.edict(&["why", &hog.tid().to_string()]);
    println!("{}", text.stdout);
    assert!(
        text.stdout.contains("hog: when comm == \"edict-hog\""),
        "{}",
        text.stdout
    );
    for (pid, wanted) in [(1, 0), (2, 0), (4_000_000, 1)] {
        assert_eq!(
            lab.edict(&["why", &pid.to_string()]).code,
            wanted,
            "why {pid}"
        );
    }
    if let Some(realtime) = lab::realtime_task() {
        let out = lab.edict(&["why", &realtime.to_string()]);
        assert_eq!(out.code, 1);
        assert!(out.stderr.contains("scheduling class is"), "{}", out.stderr);
    }

    // An edit moves a running task within a second: half of the times at
    // least, where a machine emulates another and does other work besides.
    let mut times = Vec::new();
    for n in 0..5 {
        let tier = if n % 2 == 0 { "critical" } else { "batch" };
        let saved = Instant::now();
        lab.write(&policy(100).replace(
            "\"edict-hog\" -> batch",
            &format!("\"edict-hog\" -> {tier}"),
        ));
        let why = lab.wait_why(hog.tid(), tier);
        times.push(saved.elapsed());
        assert_eq!(why["generation"], n + 2);
        assert_eq!(why["agrees"], true, "{why}");
    }
    assert_eq!(
        lab.log().matches("rule hog changed").count(),
        5,
        "{}",
        lab.log()
    );
    times.sort();
    println!("a running task changed its tier so long after the save: {times:?}");
    assert!(times[2] < ms(1_000), "{times:?}");

    // SIGHUP and `reload`.
    lab.signal(Signal::HUP);
    thread::sleep(ms(500));
    assert_eq!(lab.status()["generation"], 6, "nothing has changed");
    lab.write(&policy(150));
    let reloaded = lab.edict(&["reload", "--format", "json"]);
    assert_eq!(reloaded.code, 0, "{}", reloaded.stderr);
    assert_eq!(lab.status()["generation"], 7);
    lab.wait_why(hog.tid(), "batch");

    println!("{}", lab.edict(&["status"]).stdout);
    the_counters_reach_everybody(&lab, hog.tid());
    // `--stats 1` prints one a second, and a quick machine is here sooner.
    let asked = Instant::now();
    while lab.stats().matches(" CPUs in 1.").count() < 2 {
        assert!(asked.elapsed() < ms(10_000), "{}", lab.stats());
        thread::sleep(ms(50));
    }
    assert_eq!(sched_ext("enable_seq"), enable_seq, "nothing was detached");

    // SIGTERM gives the machine back within a second.
    let begun = Instant::now();
    lab.signal(Signal::TERM);
    while sched_ext("state") != "disabled" {
        assert!(begun.elapsed() < ms(1_000), "{}", sched_ext("state"));
        thread::sleep(ms(2));
    }
    let detached = begun.elapsed();
    let code = lab.wait_exit();
    println!(
        "SIGTERM to detached: {detached:?}, to exit: {:?}",
        begun.elapsed()
    );
    assert_eq!(code, Some(0), "{}", lab.log());
    assert!(lab.log().contains("detached"), "{}", lab.log());
    assert!(hog.is_running());
}

#[test]
fn vm_two_hundred_edits_under_load_and_ten_that_are_bad() {
    let Some(mut lab) = Lab::start("vm_two_hundred_edits_under_load_and_ten_that_are_bad") else {
        return;
    };
    let enable_seq = sched_ext("enable_seq");
    let nr_rejected = sched_ext("nr_rejected");

    // Latency without load first.
    let mut latencies = Vec::new();
    for n in 0..10 {
        thread::sleep(ms(150));
        let saved = Instant::now();
        lab.write(&policy(1_000 + n));
        lab.wait_generation(u64::from(n) + 2);
        latencies.push(saved.elapsed());
    }
    report("save to status, idle", latencies);
    report("save to commit, idle, as logged", lab.logged_latencies());
    println!("{}", lab.log().lines().last().unwrap_or_default());
    let idle_lines = lab.log().lines().count();

    let load = Load::start(8);
    let mut latencies = Vec::new();
    for n in 0..200 {
        let saved = Instant::now();
        lab.write(&policy(2_000 + n));
        let status = lab.wait_generation(u64::from(n) + 12);
        latencies.push(saved.elapsed());
        assert_eq!(
            status["tiers"][1]["tickets"],
            2_000 + n,
            "the content that was saved"
        );
    }
    report("save to status, under load", latencies);
    println!("{}", lab.log().lines().last().unwrap_or_default());
    report(
        "save to commit, under load, as logged",
        lab.logged_latencies_from(idle_lines),
    );
    let exchanged = load.stop();
    println!("the load exchanged {exchanged} messages meanwhile");
    assert!(exchanged > 0);
    assert_eq!(sched_ext("enable_seq"), enable_seq, "nothing was detached");
    assert_eq!(sched_ext("nr_rejected"), nr_rejected);
    assert_eq!(lab.status()["rejected"], 0);

    // A burst: the last content wins, with few generations.
    for n in 0..1_000 {
        lab.write(&policy(3_000 + n));
    }
    let status = lab.wait_status("the last of 1,000 saves", |status| {
        status["tiers"][1]["tickets"] == 3_999
    });
    let generation = status["generation"].as_u64().unwrap();
    println!("1,000 rapid saves made {} generations", generation - 211);
    assert!(generation - 211 <= 20);

    // What is bad is reported once each, and changes nothing.
    let bad: [(&str, &dyn Fn(&Lab)); 12] = [
        ("a typo", &|lab| {
            lab.write(&policy(1).replace("-> batch", "-> bach"))
        }),
        ("empty", &|lab| lab.write("")),
        ("half written", &|lab| {
            let text = policy(1);
            lab.write(text.split_at(text.len() / 2).0);
        }),
        ("deleted", &|lab| fs::remove_file(lab.file()).unwrap()),
        ("not UTF-8", &|lab| {
            fs::write(lab.file(), [b'l', 0xff, 0xfe]).unwrap();
        }),
        ("no otherwise", &|lab| {
            lab.write(&policy(1).replace("otherwise -> regular", ""));
        }),
        ("renamed over", &|lab| {
            let other = lab.file().with_extension("tmp");
            fs::write(&other, "GARBAGE").unwrap();
            fs::rename(other, lab.file()).unwrap();
        }),
        ("a dangling link", &|lab| {
            fs::remove_file(lab.file()).unwrap();
            symlink("nowhere", lab.file()).unwrap();
        }),
        ("a directory", &|lab| {
            fs::remove_file(lab.file()).unwrap();
            fs::create_dir(lab.file()).unwrap();
        }),
        ("too large", &|lab| {
            fs::remove_dir(lab.file()).unwrap();
            fs::write(lab.file(), "# comment\n".repeat(60_000)).unwrap();
        }),
        ("writable by others", &|lab| {
            lab.write(&policy(1));
            fs::set_permissions(lab.file(), fs::Permissions::from_mode(0o666)).unwrap();
        }),
        ("another language", &|lab| {
            fs::remove_file(lab.file()).unwrap();
            lab.write("apiVersion: v1\nkind: ConfigMap\n");
        }),
    ];
    let before = lab.log().matches("kept generation").count();
    for (index, (what, make)) in bad.iter().enumerate() {
        make(&lab);
        let status = lab.wait_status(what, |status| status["rejected"] == index + 1);
        assert_eq!(status["generation"], generation, "{what}");
        assert_eq!(status["state"], "rejected", "{what}");
        println!("{what}: {}", status["last_error"]);
    }
    // The poll and further events do not repeat anything.
    lab.touch("unrelated");
    thread::sleep(ms(6_000));
    let reported = lab.log().matches("kept generation").count() - before;
    assert_eq!(reported, bad.len(), "{}", lab.log());
    lab.write(&policy(3_999));
    let status = lab.wait_status("the good text", |status| status["last_error"].is_null());
    assert_eq!(
        status["generation"], generation,
        "the content that runs is no edit"
    );

    assert_eq!(sched_ext("enable_seq"), enable_seq, "nothing was detached");
    assert_eq!(sched_ext("nr_rejected"), nr_rejected);
    assert_eq!(lab.edict(&["stop"]).stdout, "stopped\n");
    assert_eq!(lab.wait_exit(), Some(0));
    assert_eq!(sched_ext("state"), "disabled");
}

#[test]
fn vm_neither_a_kill_nor_hostile_clients_hurt() {
    let Some(mut lab) = Lab::start("vm_neither_a_kill_nor_hostile_clients_hurt") else {
        return;
    };
    // Slow ones, silent ones, one that never reads, one that sends rubbish.
    let mut clients: Vec<UnixStream> = Vec::new();
    for n in 0..14 {
        let Ok(mut client) = UnixStream::connect(lab.socket()) else {
            continue;
        };
        let _ = client.set_write_timeout(Some(ms(200)));
        let _ = client.set_read_timeout(Some(ms(200)));
        let _ = match n % 4 {
            0 => client.write_all(b"{\"verb\":"),
            1 => client.write_all(&[0xff; 100_000]),
            2 => client.write_all(&b"{\"verb\":\"status\"}\n".repeat(5_000)),
            _ => Ok(()),
        };
        clients.push(client);
    }
    let saved = Instant::now();
    lab.write(&policy(500));
    lab.wait_log("generation 2", ms(5_000));
    println!(
        "an edit beside 14 hostile clients was logged {:?} after the save",
        saved.elapsed()
    );
    let status = lab.wait_status("an answer beside them", |status| status["generation"] == 2);
    assert_eq!(status["rejected"], 0);
    // A megabyte without a newline is cut off.
    let mut client = UnixStream::connect(lab.socket()).unwrap();
    client.set_read_timeout(Some(ms(10_000))).unwrap();
    let _ = client.write_all(&vec![b'x'; 1 << 20]);
    let mut answer = String::new();
    let _ = client.read_to_string(&mut answer);
    assert!(
        answer.is_empty() || answer.contains("at most 65536 bytes"),
        "{answer}"
    );
    drop(clients);

    // Killed: the kernel's own scheduler is back, and the next edict starts over the remains.
    let begun = Instant::now();
    lab.signal(Signal::KILL);
    assert_eq!(lab.wait_exit(), None);
    while sched_ext("state") != "disabled" {
        assert!(begun.elapsed() < ms(10_000), "{}", sched_ext("state"));
        thread::sleep(ms(5));
    }
    println!("SIGKILL to disabled: {:?}", begun.elapsed());
    assert!(lab.socket().exists(), "a killed agent leaves its socket");
    assert_eq!(lab.edict(&["status"]).code, 1);
    lab.restart();
    assert_eq!(lab.status()["generation"], 1);
    assert_eq!(sched_ext("state"), "enabled");
    lab.signal(Signal::INT);
    assert_eq!(lab.wait_exit(), Some(0));
    assert!(!lab.socket().exists());
    assert_eq!(sched_ext("state"), "disabled");
}

#[test]
fn vm_a_cpu_that_goes_changes_nothing_and_an_ejection_ends_it() {
    let Some(mut lab) = Lab::start("vm_a_cpu_that_goes_changes_nothing_and_an_ejection_ends_it")
    else {
        return;
    };
    lab.write(&policy(300));
    lab.wait_generation(2);
    let online = "/sys/devices/system/cpu/cpu1/online";
    let seq = sched_ext("enable_seq");
    if fs::write(online, "0").is_ok() {
        lab.wait_status("one CPU", |status| status["cpus"] == 1);
        lab.write(&policy(350));
        let status = lab.wait_generation(3);
        assert_eq!(status["tiers"][1]["tickets"], 350);
        fs::write(online, "1").unwrap();
        lab.wait_status("two CPUs", |status| status["cpus"] == 2);
        lab.write(&policy(400));
        lab.wait_generation(4);
        // Not attached again.
        assert_eq!(sched_ext("enable_seq"), seq);
        println!("{}", lab.log());
    } else {
        eprintln!("SKIPPED a part: there is no second CPU to take away");
    }
    // The kernel takes the watchdog's patience when a scheduler is attached.
    let before = lab.status()["generation"].as_u64().unwrap();
    let seq: u64 = sched_ext("enable_seq").parse().unwrap();
    lab.write(&policy(400).replace("policy lab {", "policy lab { watchdog = 10s "));
    let status = lab.wait_generation(before + 1);
    assert_eq!(status["enable_seq"], seq + 1, "{}", lab.log());
    assert_eq!(sched_ext("state"), "enabled");

    // Tasks that nobody lets run: not on a CPU that a real-time task keeps. The
    // kernel throws the scheduler out, and edict says whom it was about.
    if let Some(line) = stall(&lab) {
        println!("{line}");
        assert!(
            line.contains("E0630") && line.contains(" waited "),
            "{line}"
        );
        assert!(line.contains("by rule `"), "{line}");
        assert!(lab.log().contains("what to do: "), "{}", lab.log());
        // Tiers and queues, as `ops.dump` prints them.
        let log = lab.log();
        let looked = log.split("what the scheduler looked like").nth(1);
        let looked = looked.unwrap_or_default();
        for part in ["edict: generation ", "tier 2: ", "cache 0: queued "] {
            assert!(looked.contains(part), "{part}: {log}");
        }
        assert_eq!(lab.wait_exit(), Some(4));
        lab.restart();
    }

    // Alt-SysRq-S: the kernel's own way to throw a scheduler out.
    fs::write("/proc/sysrq-trigger", "S").unwrap();
    assert_eq!(lab.wait_exit(), Some(4), "{}", lab.log());
    assert_eq!(sched_ext("state"), "disabled");
    let log = lab.log();
    let line = log
        .lines()
        .find(|line| line.contains("ejected by the kernel"));
    println!("{}", line.unwrap_or_default());
    assert!(
        line.is_some_and(|line| line.contains("E0632") && line.contains("digest")),
        "{log}"
    );
    assert!(log.contains("`edict explain E0632` says more"), "{log}");
}

/// Provokes a stall; the line that says so, or none where it cannot be provoked:
/// kernels from 7.0 on keep a part of each CPU free of real-time tasks.
fn stall(lab: &Lab) -> Option<String> {
    let limit = "/proc/sys/kernel/sched_rt_runtime_us";
    let before = fs::read_to_string(limit).ok()?;
    fs::write(limit, "-1").ok()?;
    lab.write(&policy(410).replace("policy lab {", "policy lab { watchdog = 8s "));
    lab.wait_status("the short patience", |status| {
        status["tiers"][1]["tickets"] == 410
    });
    let spin = |command: &[&str]| {
        std::process::Command::new("taskset")
            .args(["-c", "1"])
            .args(command)
            .args(["sh", "-c", "while :; do :; done"])
            .spawn()
    };
    let mut spinning = Vec::new();
    spinning.extend(spin(&["nice", "-n", "1"]).ok());
    thread::sleep(ms(500));
    spinning.extend(spin(&["chrt", "-f", "50"]).ok());
    let until = Instant::now() + ms(40_000);
    let mut line = None;
    while line.is_none() && spinning.len() == 2 && Instant::now() < until {
        thread::sleep(ms(100));
        let log = lab.log();
        let found = log
            .lines()
            .find(|line| line.contains("ejected by the kernel"));
        line = found.map(ToOwned::to_owned);
    }
    for mut child in spinning {
        let _ = child.kill();
        let _ = child.wait();
    }
    let _ = fs::write(limit, before);
    if line.is_none() {
        eprintln!("SKIPPED a part: this kernel lets tasks run beside a real-time task");
    }
    line
}

/// The field's own client, the list of tasks and Prometheus, against the object
/// in the kernel.
fn the_counters_reach_everybody(lab: &Lab, hog: u32) {
    let mut client = StatsClient::new().connect(Some(30_000)).unwrap();
    let mode = fs::metadata(metrics::PATH).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let _: Metrics = client.request("stats", vec![]).unwrap();
    thread::sleep(ms(2_000));
    let seen: Metrics = client.request("stats", vec![]).unwrap();
    let batch = &seen.tiers["batch"];
    println!("scx_stats: {:.2} CPUs used, {batch:?}", seen.cpus_used);
    assert_eq!(seen.generation, 7);
    // The hog keeps one of the CPUs busy, whatever the others do.
    assert!(seen.cpus_used > 0.5 && seen.cpus_used < 1.2 * seen.cpus as f64);
    assert!(batch.runnable >= 1 && batch.share > 25.0, "{batch:?}");
    assert!(batch.due > 0.0 && batch.dispatches > 0, "{batch:?}");

    let out = lab.edict(&["status", "--tasks", "20", "--format", "json"]);
    assert_eq!(out.code, 0, "{}", out.stderr);
    let list: serde_json::Value = serde_json::from_str(&out.stdout).unwrap();
    assert!(list["total"].as_u64().unwrap() > 10, "{list}");
    let tasks = list["tasks"].as_array().unwrap();
    let line = tasks.iter().find(|task| task["pid"] == hog);
    let line = line.unwrap_or_else(|| panic!("the hog is not among the busiest: {list}"));
    println!("{line}");
    assert_eq!(line["tier"], "batch");
    assert_eq!(line["comm"], "edict-hog");
    assert_eq!(line["priority"], 120);
    assert_eq!(line["weight"], 100);
    assert_eq!(line["runnable"], true);
    assert!(line["runtime_ns"].as_u64().unwrap() > 500_000_000, "{line}");
    assert!(line["vruntime_ns"].as_u64().unwrap() > 0, "{line}");
    println!("{}", lab.edict(&["status", "--tasks", "5"]).stdout);
    let text = lab.edict(&["status", "--prometheus"]).stdout;
    assert!(
        text.contains("edict_tier_wait_seconds_bucket{tier=\"batch\",le=\"+Inf\"}"),
        "{text}"
    );
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: usize| times.get((times.len() * percent / 100).min(times.len() - 1));
    if let (Some(half), Some(most), Some(worst)) = (at(50), at(99), times.last()) {
        println!(
            "{what}: p50 {half:.1?}, p99 {most:.1?}, max {worst:.1?} of {}",
            times.len()
        );
    }
}
