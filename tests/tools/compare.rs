//! `edict diff`: by meaning, on the tasks of a snapshot, and with wrong input.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;

use serde_json::{Value, json};

use super::edict::{Desk, GOOD, golden};

/// Two tasks that a change of `nginx` moves, one that it does not.
fn snapshot() -> Value {
    let task = |pid: u32, comm: &str, nice: i64, runtime: u64| {
        json!({
            "pid": pid, "tgid": pid, "runtime_ns": runtime * 10, "window_runtime_ns": runtime,
            "share": 0.1,
            "attributes": { "comm": comm, "nice": nice, "kthread": false, "cgroup": "/x" },
        })
    };
    json!({
        "version": 1,
        "time": "2026-11-21T15:30:00Z",
        "host": { "kernel": "6.18.0", "ncpu": 4, "llcs": 1 },
        "window_ns": 1_000_000_000u64,
        "system": { "ncpu": 4 },
        "unreadable": {},
        "tasks": [
            task(10, "nginx", 0, 600_000),
            task(11, "nginx", -5, 200_000),
            task(12, "bash", 0, 100_000),
            task(13, "ni\u{1b}[2Jce", 15, 100_000),
        ],
    })
}

fn desk() -> Desk {
    let desk = Desk::new();
    let new = GOOD
        .replace("\"nginx\", \"envoy\"", "\"envoy\", \"caddy\"")
        .replace("nice >= 10", "nice >= 16")
        .replace("tickets = 20 ", "tickets = 40 ");
    desk.write("new.edict", &new);
    desk.write("now.json", &snapshot().to_string());
    desk
}

#[test]
fn the_same_is_no_difference_however_it_is_written() {
    let desk = desk();
    let text = GOOD
        .replace("edge: ", "border: ")
        .replace("slice = 3ms", "slice = 3000us");
    desk.write("same.edict", &text);
    for more in [&[][..], &["--exit-code"], &["--snapshot", "now.json"]] {
        let args = [&["diff", "good.edict", "same.edict"][..], more].concat();
        let said = desk.run(&args).done();
        assert!(said.contains("no difference"), "{said}");
        assert_eq!(desk.json(&args, 0)["differ"], false);
    }
}

#[test]
fn tasks_that_would_move_are_counted() {
    let desk = desk();
    let args = ["diff", "good.edict", "new.edict", "--snapshot", "now.json"];
    golden("diff.txt", &desk.run(&args).done());
    let document = desk.json(&args, 0);
    assert_eq!(document["differ"], true);
    assert_eq!(document["moved"]["tasks"], 3);
    assert_eq!(document["moved"]["share"], 0.9);
    let first = &document["moves"][0];
    assert_eq!(first["from"], "critical");
    assert_eq!(first["to"], "regular");
    assert_eq!(first["old_rule"], "edge");
    assert_eq!(first["new_rule"], "otherwise");
    assert_eq!(first["tasks"], 2);
    assert_eq!(first["examples"][0], json!({ "pid": 10, "comm": "nginx" }));
    let change = &document["blocks"]["changed"][0];
    assert_eq!(change["field"], "tickets");
    assert_eq!(
        (&change["old"], &change["new"]),
        (&json!("20"), &json!("40"))
    );
    let code = |args: &[&str]| desk.run(args).code;
    assert_eq!(code(&[&args[..], &["--exit-code"]].concat()), 2);
    assert_eq!(code(&["diff", "good.edict", "new.edict", "--exit-code"]), 2);
}

#[test]
fn without_a_snapshot_a_task_is_found_for_each_pair_of_rules() {
    let desk = desk();
    let args = ["diff", "good.edict", "new.edict"];
    golden("diff-witnesses.txt", &desk.run(&args).done());
    let document = desk.json(&args, 0);
    assert_eq!(document["complete"], true);
    let witnesses = document["witnesses"].as_array().unwrap();
    assert!(witnesses.len() >= 3);
    for witness in witnesses {
        let task = witness["task"].as_str().unwrap();
        for (policy, tier, rule) in [
            ("good.edict", "from", "old_rule"),
            ("new.edict", "to", "new_rule"),
        ] {
            let said = desk.json(&["eval", policy, "--task", task], 0);
            assert_eq!(said["tier"], witness[tier], "{task}");
            assert_eq!(said["rule"], witness[rule], "{task}");
        }
        assert_ne!(witness["from"], witness["to"]);
    }
}

#[test]
fn overlaps_are_shown_with_a_task_that_meets_both() {
    let desk = desk();
    let document = desk.json(&["check", "--overlaps", "good.edict"], 0);
    let first = &document["diagnostics"][0];
    assert_eq!(first["code"], "W0204");
    assert_eq!(first["severity"], "warning");
    let help = first["help"].as_str().unwrap();
    let task = help.split('`').nth(1).unwrap();
    let said = desk.json(&["eval", "good.edict", "--task", task], 0);
    assert_eq!(said["rule"], "edge", "the upper rule decides: {task}");
    let denied = ["check", "--overlaps", "--deny-warnings", "good.edict"];
    assert_eq!(desk.run(&denied).code, 3);
    assert_eq!(
        desk.run(&["check", "--deny-warnings", "good.edict"]).code,
        0
    );
}

#[test]
fn a_snapshot_of_this_machine_can_be_used_at_once() {
    let desk = desk();
    desk.run(&["snapshot", "--seconds", "0", "-o", "live.json"]);
    let args = ["diff", "good.edict", "new.edict", "--snapshot", "live.json"];
    let document = desk.json(&args, 0);
    let tasks = document["snapshot"]["tasks"].as_u64().unwrap();
    assert!(tasks > 1);
    // Two packs that ship, over what runs here.
    let pack = |name: &str| format!("{}/policies/{name}", env!("CARGO_MANIFEST_DIR"));
    let (base, desktop) = (pack("base"), pack("desktop"));
    let args = ["diff", &base, &desktop, "--snapshot", "live.json"];
    let document = desk.json(&args, 0);
    assert_eq!(document["differ"], true);
    assert_eq!(document["snapshot"]["tasks"], tasks);
    assert!(document["moved"]["tasks"].as_u64().unwrap() <= tasks);
    let share = document["moved"]["share"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&share), "{share}");
}

#[test]
fn one_of_the_three_may_be_standard_input() {
    let desk = desk();
    let out = desk.run_with(&["diff", "-", "new.edict"], GOOD);
    assert_eq!(out.code, 0, "{}", out.stderr);
    let args = ["diff", "good.edict", "new.edict", "--snapshot", "-"];
    let out = desk.run_with(&args, &snapshot().to_string());
    assert!(out.stdout.contains("3 of 4 tasks"), "{}", out.stdout);
    let out = desk.run_with(&["diff", "-", "new.edict", "--snapshot", "-"], "");
    assert_eq!(out.code, 1);
    assert!(out.stderr.contains("`-` is given twice"), "{}", out.stderr);
}

#[test]
fn what_is_no_snapshot_is_named_with_its_place() {
    let desk = desk();
    let text = snapshot().to_string();
    let pretty = serde_json::to_string_pretty(&snapshot()).unwrap();
    let line = 1 + pretty
        .lines()
        .position(|l| l.contains("\"nice\": 15"))
        .unwrap();
    desk.write("cut.json", &text[..text.len() / 2]);
    desk.write(
        "nice.json",
        &pretty.replace("\"nice\": 15", "\"nice\": 150"),
    );
    desk.write(
        "later.json",
        &text.replace("\"version\":1", "\"version\":7"),
    );
    desk.write("empty.json", "");
    desk.write_bytes("bytes.json", b"{\"version\":\xff}");
    desk.write("secret.json", &text);
    fs::create_dir(desk.dir().join("directory")).unwrap();
    for (file, message) in [
        ("cut.json", "EOF while parsing"),
        ("nice.json", "`nice` cannot be 150"),
        ("later.json", "it has version 7; this edict reads 1"),
        ("empty.json", "EOF while parsing"),
        ("bytes.json", "the byte at offset 11 is not UTF-8"),
        ("good.edict", "expected value"),
        ("missing.json", "there is no such file"),
        ("directory", "it is a directory"),
        ("/dev/null", "EOF while parsing"),
        ("/dev/zero", "it is longer than 256 MiB"),
        ("/proc/self/mem", "cannot read"),
    ] {
        let args = ["diff", "good.edict", "new.edict", "--snapshot", file];
        let out = desk.run(&args);
        assert_eq!((out.code, out.stdout.as_str()), (1, ""), "{file}");
        assert!(out.stderr.contains("E0622"), "{file}: {}", out.stderr);
        let document = desk.json(&args, 1);
        let first = &document["diagnostics"][0];
        let said = first["message"].as_str().unwrap();
        assert!(said.contains(message), "{file}: {said}");
        if file == "nice.json" {
            assert_eq!(first["labels"][0]["line"], line);
            assert_eq!(first["labels"][0]["file"], "nice.json");
        }
    }
    let path = desk.dir().join("secret.json");
    fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    let args = [
        "diff",
        "good.edict",
        "new.edict",
        "--snapshot",
        "secret.json",
    ];
    let mut command = desk.command(&args);
    if rustix::process::geteuid().is_root() {
        if !desk.is_open_to_others() {
            eprintln!("SKIPPED: user 65534 cannot reach the binary");
            return;
        }
        command.uid(65534).gid(65534);
    }
    let out = command.output().unwrap();
    assert_eq!(out.status.code(), Some(1));
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert!(stderr.contains("no permission"), "{stderr}");
}

#[test]
fn a_policy_that_is_not_valid_cannot_be_compared() {
    let desk = desk();
    for args in [
        ["diff", "broken.edict", "good.edict"],
        ["diff", "good.edict", "broken.edict"],
        ["diff", "good.edict", "missing.edict"],
    ] {
        assert_eq!(desk.run(&args).code, 3, "{args:?}");
        assert_eq!(desk.json(&args, 3)["ok"], false);
    }
}
