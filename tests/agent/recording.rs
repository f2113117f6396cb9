//! `edict trace` of the object in the kernel.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::lab::{Hog, Lab, Load, policy};
use super::ms;

#[test]
fn vm_a_recording_tells_who_ran_and_why() {
    let Some(lab) = Lab::start("vm_a_recording_tells_who_ran_and_why") else {
        return;
    };
    let hog = Hog::start();
    lab.wait_why(hog.tid(), "batch");
    a_task_that_never_stops_is_in_it(&lab, &hog);
    a_busy_machine_and_a_commit(&lab, &hog);
    it_is_off_when_its_client_is_gone(&lab);
    assert!(hog.is_running());
}

/// The hog has a CPU to itself, and keeps it at the end of each slice.
fn a_task_that_never_stops_is_in_it(lab: &Lab, hog: &Hog) {
    let path = lab.place("quiet.json");
    let out = lab.edict(&["trace", "--seconds", "2", "-o", &path]);
    assert_eq!(out.code, 0, "{}", out.stderr);
    println!("{}", out.stderr);
    let trace: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(trace["otherData"]["lost"], 0, "{}", out.stderr);
    let events = trace["traceEvents"].as_array().unwrap();
    let named = |name: &str| events.iter().any(|event| event["args"]["name"] == name);
    assert!(named("CPUs") && named("CPU 0"), "{}", events[0]);

    let number = |value: &Value| value.as_f64().unwrap();
    let runs: Vec<&Value> = events.iter().filter(|event| event["ph"] == "X").collect();
    let mut free: BTreeMap<u64, f64> = BTreeMap::new();
    for run in &runs {
        let (begun, lasted) = (number(&run["ts"]), number(&run["dur"]));
        let free = free.entry(run["tid"].as_u64().unwrap()).or_default();
        assert!(lasted >= 0.0 && begun >= *free - 0.001, "{run}");
        assert!(begun + lasted < 2_500_000.0, "{run}");
        *free = begun + lasted;
    }
    let hogs: Vec<&&Value> = runs
        .iter()
        .filter(|run| run["args"]["pid"] == hog.tid())
        .collect();
    let ran: f64 = hogs.iter().map(|run| number(&run["dur"])).sum();
    println!(
        "{} runs of the hog, {ran:.0} us of 2 s: {}",
        hogs.len(),
        hogs[1]
    );
    assert!((1_500_000.0..2_100_000.0).contains(&ran), "{ran}");
    assert!(hogs.len() > 20, "one for each slice");
    for run in &hogs {
        assert_eq!(run["name"], "edict-hog");
        assert_eq!(run["cat"], "batch");
        assert_eq!(run["args"]["tier"], "batch");
        assert_eq!(run["args"]["rule"], "hog");
        assert_eq!(run["args"]["generation"], 1);
        assert_eq!(run["args"]["then"], "runnable");
        assert!(number(&run["dur"]) < 100_000.0, "{run}");
    }
    assert_eq!(hogs[0]["args"]["cut"], true, "it ran already");
    assert!(hogs[1]["args"]["cut"].is_null());
    // How many CPUs its tier had.
    let had: Vec<f64> = events
        .iter()
        .filter(|event| event["ph"] == "C" && event["name"] == "batch: CPUs")
        .map(|event| number(&event["args"]["CPUs"]))
        .collect();
    let mean = had.iter().sum::<f64>() / had.len() as f64;
    assert!((0.7..1.2).contains(&mean), "{mean}");
}

/// Under load there are waits, and an edit is put in force beside the recording.
fn a_busy_machine_and_a_commit(lab: &Lab, hog: &Hog) {
    let load = Load::start(4);
    let path = lab.place("busy.ndjson");
    let args = ["trace", "--seconds", "2", "--to", "records", "-o", &path];
    let child = lab.command(&args).stderr(Stdio::piped()).spawn().unwrap();
    thread::sleep(ms(700));
    lab.write(&policy(150));
    lab.wait_generation(2);
    let out = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
    println!("{stderr}");
    assert!(out.status.success(), "{stderr}");
    load.stop();
    let lines: Vec<Value> = std::fs::read_to_string(&path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |kind: &'static str| lines.iter().filter(move |line| line["type"] == kind);
    let number = |value: &Value| value.as_u64().unwrap();
    let began = number(&of("begun").next().unwrap()["at_ns"]);
    let ended = of("ended").next().unwrap();
    let length = number(&ended["at_ns"]) - began;
    println!("{length} ns, {ended}");
    assert_eq!(ended["why"], "time");
    assert!((1_900_000_000..4_000_000_000).contains(&length));

    let commit = of("committed").next().expect("the commit is recorded");
    assert_eq!(commit["generation"], 2);
    let mut tiers: BTreeMap<String, (u64, u64, u64)> = BTreeMap::new();
    for run in of("run") {
        let (begun, ended) = (number(&run["begun_ns"]), number(&run["ended_ns"]));
        assert!(began <= begun && begun <= ended, "{run}");
        let waited = number(&run["waited_ns"]);
        assert!(waited < 30_000_000_000, "{run}");
        assert!(["drawn", "direct", "preempt", "due"].contains(&run["how"].as_str().unwrap()));
        let tier = tiers
            .entry(run["tier"].as_str().unwrap_or_default().to_owned())
            .or_default();
        tier.0 += 1;
        tier.1 += ended - begun;
        tier.2 = tier.2.max(waited);
        if run["generation"] == 2 {
            // A decision of the new policy cannot be older than it.
            assert!(ended >= number(&commit["at_ns"]) - 1_000_000, "{run}");
        }
    }
    println!("tier: (runs, ns, longest wait): {tiers:?}");
    assert!(
        tiers["regular"].0 > 100 && tiers["regular"].2 > 0,
        "{tiers:?}"
    );
    assert!(tiers["batch"].1 > 0, "{tiers:?}");
    let all: u64 = tiers.values().map(|(_, ran, _)| ran).sum();
    let cpus = lab.status()["cpus"].as_u64().unwrap();
    // Nothing else is recorded twice; what was lost is not there.
    assert!(all <= length * cpus + length / 10, "{all} of {length}");
    if ended["lost"] == 0 {
        assert!(all > length * cpus / 2, "{all} of {length}");
    }
    let generations: Vec<u64> = of("run")
        .filter(|run| run["pid"] == hog.tid())
        .map(|run| number(&run["generation"]))
        .collect();
    assert!(generations.contains(&1) && generations.contains(&2));
}

/// Killed clients, and those that end, leave nothing on.
fn it_is_off_when_its_client_is_gone(lab: &Lab) {
    let path = lab.place("gone.json");
    let mut child = lab
        .command(&["trace", "--seconds", "600", "-o", &path])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let refused = |text: &str| text.contains("somebody else is recording");
    let until = Instant::now() + Duration::from_secs(20);
    while !refused(&lab.edict(&["trace", "--seconds", "0.01", "-o", "-"]).stderr) {
        assert!(Instant::now() < until, "it does not begin");
        thread::sleep(ms(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    thread::sleep(ms(500));
    let out = lab.edict(&["trace", "--seconds", "0.05", "-o", "-"]);
    assert_eq!(out.code, 0, "{}", out.stderr);
    let trace: Value = serde_json::from_str(&out.stdout).unwrap();
    // Nothing of the recordings before is left in it.
    let runs = trace["traceEvents"].as_array().unwrap().iter();
    for run in runs.filter(|event| event["ph"] == "X") {
        assert!(run["ts"].as_f64().unwrap() >= 0.0, "{run}");
    }
    assert!(!std::path::Path::new(&path).exists());
}
