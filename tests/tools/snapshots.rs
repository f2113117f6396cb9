//! `edict snapshot`: what is seen, who may see it, and where it is written.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::edict::Desk;

/// The document, of a window of 50 ms unless another is asked for.
fn taken(desk: &Desk, more: &[&str]) -> Value {
    let mut args = vec!["snapshot", "--seconds", "0.05"];
    args.extend(more);
    desk.json(&args, 0)
}

#[test]
fn it_sees_this_process() {
    let desk = Desk::new();
    let document = taken(&desk, &[]);
    assert_eq!(document["version"], 1);
    assert_eq!(document["window_ns"], 50_000_000);
    assert!(document["host"]["ncpu"].as_u64().unwrap() >= 1);
    assert!(document["system"]["ncpu"].as_u64().unwrap() >= 1);
    let time = document["time"].as_str().unwrap();
    assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
    let tasks = document["tasks"].as_array().unwrap();
    let pids: Vec<u64> = tasks.iter().map(|t| t["pid"].as_u64().unwrap()).collect();
    assert!(pids.is_sorted());
    let own = tasks
        .iter()
        .find(|t| t["pid"] == std::process::id())
        .unwrap();
    let attributes = &own["attributes"];
    assert_eq!(attributes["tgid"], own["tgid"]);
    assert_eq!(attributes["kthread"], false);
    assert_eq!(attributes["group_leader"], true);
    assert!(attributes["exe"].as_str().unwrap().contains("tools-"));
    for name in ["comm", "cmdline", "uid", "gid", "nice", "age", "ppid"] {
        assert!(attributes.get(name).is_some(), "{name}");
    }
    // The snapshot itself waits; this test waits for it too.
    let share = own["share"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&share), "{share}");
}

#[test]
fn one_task_a_line_and_a_closing_line_for_people() {
    let desk = Desk::new();
    let out = desk.run(&["snapshot", "--seconds", "0"]);
    assert_eq!(out.code, 0);
    let tasks = out.stdout.lines().filter(|line| line.contains("\"tgid\":"));
    let count = tasks.count();
    assert!(
        out.stderr.starts_with(&format!("{count} task")),
        "{}",
        out.stderr
    );
    let document: Value = serde_json::from_str(&out.stdout).unwrap();
    assert_eq!(document["tasks"].as_array().unwrap().len(), count);
}

#[test]
fn attributes_can_be_left_out() {
    let desk = Desk::new();
    let document = taken(&desk, &["--without", "cmdline,exe", "--without", "load"]);
    assert!(document["system"].get("load").is_none());
    for task in document["tasks"].as_array().unwrap() {
        assert!(task["attributes"].get("cmdline").is_none());
        assert!(task["attributes"].get("exe").is_none());
    }
    let out = desk.run(&["snapshot", "--without", "cmdlin"]);
    assert_eq!(out.code, 1);
    assert!(
        out.stderr.contains("did you mean `cmdline`?"),
        "{}",
        out.stderr
    );
}

#[test]
fn the_file_is_the_owners_and_is_replaced_whole() {
    let desk = Desk::new();
    let path = desk.dir().join("now.json");
    let args = ["snapshot", "--seconds", "0", "-o", "now.json"];
    let out = desk.run(&args);
    assert_eq!((out.code, out.stdout.as_str()), (0, ""));
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let first = fs::read_to_string(&path).unwrap();
    assert_eq!(desk.run(&args).code, 0);
    assert_ne!(fs::read_to_string(&path).unwrap(), first);
    // Not even a file that everybody could read shows it to them.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(desk.run(&args).code, 0);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let out = desk.run(&["snapshot", "--seconds", "0", "-o", "-"]);
    assert!(out.stdout.starts_with('{'), "{}", out.stdout);
    let names: Vec<_> = fs::read_dir(desk.dir()).unwrap().flatten().collect();
    assert_eq!(names.len(), 3, "nothing is left beside it: {names:?}");
}

#[test]
fn what_cannot_be_written_is_a_failure() {
    let desk = Desk::new();
    fs::create_dir(desk.dir().join("directory")).unwrap();
    for target in ["/dev/full", "directory", "no/such.json", "/proc/now.json"] {
        let args = ["snapshot", "--seconds", "0", "-o", target];
        let out = desk.run(&args);
        assert_eq!(out.code, 1, "{target}: {}", out.stderr);
        assert!(
            out.stderr
                .starts_with(&format!("edict: cannot write `{target}`")),
            "{target}: {}",
            out.stderr
        );
        assert_eq!(desk.json(&args, 1)["ok"], false);
    }
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = desk.command(&["snapshot", "--seconds", "0"]);
    assert_eq!(
        command.stdout(full).output().unwrap().status.code(),
        Some(1)
    );
    for seconds in ["-1", "nan", "inf", "9999999", "x", ""] {
        let out = desk.run(&["snapshot", "--seconds", seconds]);
        assert_eq!(out.code, 1, "{seconds}");
    }
}

#[test]
fn without_root_less_is_known_and_it_is_said() {
    let desk = Desk::new();
    if !rustix::process::geteuid().is_root() || !desk.is_open_to_others() {
        eprintln!("SKIPPED: only root can stop being root");
        return;
    }
    let mut command = desk.command(&["snapshot", "--seconds", "0"]);
    let out = command.uid(65534).gid(65534).output().unwrap();
    assert!(out.status.success());
    let document: Value = serde_json::from_slice(&out.stdout).unwrap();
    let unreadable = document["unreadable"]["exe"].as_u64().unwrap();
    assert!(unreadable >= 1);
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert!(
        stderr.contains(&format!("exe of {unreadable}")) && stderr.contains("root sees more"),
        "{stderr}"
    );
    let own = document["tasks"].as_array().unwrap().iter();
    let own = own
        .clone()
        .find(|t| t["pid"] == std::process::id())
        .unwrap();
    assert!(own["attributes"].get("exe").is_none(), "another user's");
    assert!(own["attributes"]["comm"].is_string());
}

#[test]
fn thousands_of_threads_are_no_burden() {
    let desk = Desk::new();
    let (send, stop) = std::sync::mpsc::channel::<()>();
    let stop = std::sync::Arc::new(std::sync::Mutex::new(stop));
    let threads: Vec<_> = (0..2_000)
        .map_while(|_| {
            let stop = std::sync::Arc::clone(&stop);
            std::thread::Builder::new()
                .stack_size(64 << 10)
                .spawn(move || {
                    let _ = stop.lock().map(|stop| stop.recv());
                })
                .ok()
        })
        .collect();
    let began = Instant::now();
    let document = desk.json(&["snapshot", "--seconds", "0"], 0);
    let took = began.elapsed();
    drop(send);
    for thread in &threads {
        thread.thread().unpark();
    }
    let seen = document["tasks"].as_array().unwrap().iter();
    let seen = seen
        .filter(|task| task["tgid"] == std::process::id())
        .count();
    println!("{seen} threads of this process in {took:?}, not optimised");
    assert!(seen >= threads.len(), "{seen} of {}", threads.len());
    // Generous: the machine may be busy.
    assert!(took < Duration::from_secs(10), "{took:?}");
    for thread in threads {
        thread.join().unwrap();
    }
}
