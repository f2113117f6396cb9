//! `--watch`: a run for each change, whatever state the files are in.

use std::fs;
use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::edict::{BROKEN, Desk, GOOD};

/// A watching edict that prints one document a line.
struct Watching {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watching {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .args(["--format", "json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn next(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap()
    }

    fn interrupt(mut self) -> i32 {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::INT).unwrap();
        let began = Instant::now();
        let code = self.child.wait().unwrap().code().unwrap();
        assert!(began.elapsed() < Duration::from_secs(5));
        code
    }
}

#[test]
fn every_change_is_checked_and_the_last_run_decides() {
    let desk = Desk::new();
    desk.write("pack/policy.edict", GOOD);
    let mut watching = Watching::start(desk.command(&["check", "--watch", "pack"]));
    assert_eq!(watching.next()["ok"], true);
    // Rewritten in place, moved into place, gone, back.
    desk.write("pack/policy.edict", BROKEN);
    assert_eq!(watching.next()["diagnostics"][0]["code"], "E0202");
    desk.write("beside", GOOD);
    let policy = desk.dir().join("pack/policy.edict");
    fs::rename(desk.dir().join("beside"), &policy).unwrap();
    assert_eq!(watching.next()["ok"], true);
    fs::remove_file(&policy).unwrap();
    assert_eq!(watching.next()["diagnostics"][0]["code"], "E0003");
    desk.write("pack/policy.edict", BROKEN);
    assert_eq!(watching.next()["ok"], false);
    assert_eq!(watching.interrupt(), 3);
}

#[test]
fn an_included_file_counts_and_the_same_text_does_not() {
    let desk = Desk::new();
    let including = GOOD.replace("tier critical", "include \"sets.edict\"\ntier critical");
    let including = including.replace("{ \"nginx\", \"envoy\" }", "edge");
    desk.write("policy.edict", &including);
    desk.write("sets.edict", "set edge = { \"nginx\" }\n");
    let mut watching = Watching::start(desk.command(&["check", "--watch", "policy.edict"]));
    assert_eq!(watching.next()["ok"], true);
    desk.write("policy.edict", &including);
    std::thread::sleep(Duration::from_millis(700));
    desk.write("sets.edict", "set edges = { \"nginx\" }\n");
    let document = watching.next();
    assert_eq!(
        document["ok"], false,
        "the run for the same text is left out"
    );
    assert_eq!(document["diagnostics"][0]["code"], "E0208");
    assert_eq!(watching.interrupt(), 3);
}

#[test]
fn tests_are_run_again_and_the_last_run_decides() {
    let desk = Desk::new();
    let test = |tier: &str| {
        let task = "task { comm = \"bash\" nice = 0 kthread = false cgroup = \"/\" }";
        format!("{GOOD}test \"bash\" {{ {task} expect {tier} }}\n")
    };
    desk.write("tested.edict", &test("batch"));
    let mut watching = Watching::start(desk.command(&["test", "--watch", "tested.edict"]));
    assert_eq!(watching.next()["failed"], 1);
    // Half written: shown, and no end.
    desk.write("tested.edict", &test("batch")[..500]);
    assert_eq!(watching.next()["diagnostics"][0]["severity"], "error");
    desk.write("tested.edict", &test("regular"));
    let document = watching.next();
    assert_eq!(
        (&document["passed"], &document["ok"]),
        (&1.into(), &true.into())
    );
    desk.write("tested.edict", &test("critical"));
    assert_eq!(watching.next()["failed"], 1);
    assert_eq!(watching.interrupt(), 2);
}

#[test]
fn runs_are_told_apart() {
    let desk = Desk::new();
    let mut child = desk
        .command(&["check", "--watch", "good.edict"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert!(next().starts_with("ok: good.edict"));
    desk.write("good.edict", BROKEN);
    assert_eq!(next(), "");
    let line = next();
    assert!(
        line.starts_with("── run 2: good.edict changed ──"),
        "{line}"
    );
    let pid = i32::try_from(child.id()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(3));
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert_eq!(stderr, "watching 1 file; Ctrl-C ends\n");
}

#[test]
fn a_reader_that_goes_away_ends_it() {
    let desk = Desk::new();
    let mut child = desk
        .command(&["check", "--watch", "good.edict"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut line).unwrap();
    drop(reader);
    desk.write("good.edict", BROKEN);
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn standard_input_cannot_be_watched() {
    let desk = Desk::new();
    for verb in ["check", "test"] {
        let out = desk.run_with(&[verb, "--watch", "-"], GOOD);
        assert_eq!(out.code, 1, "{verb}");
        assert!(
            out.stderr.starts_with("edict: --watch needs files"),
            "{verb}"
        );
    }
}
