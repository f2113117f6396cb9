//! `edict trace` against a recording in memory.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use edict::check::{RuleId, TierId};
use edict::live::{Happening, How, Stretch};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::pretend::{BEGAN_NS, Out, Served, policy};

/// nginx has a CPU for so many ms.
fn ran(generation: u64, from_ms: u64, to_ms: u64) -> Happening {
    Happening::Ran(Stretch {
        begun_ns: BEGAN_NS + from_ms * 1_000_000,
        ended_ns: BEGAN_NS + to_ms * 1_000_000,
        waited_ns: 250_000,
        cpu: 0,
        pid: 100,
        tgid: 100,
        comm: "nginx".into(),
        tier: TierId(0),
        rule: RuleId(0),
        how: How::Drawn,
        generation,
        is_runnable: true,
        is_resumed: false,
        is_cut: false,
    })
}

/// A recording that does not end by itself.
fn begin(served: &Served) -> BufReader<UnixStream> {
    let mut stream = UnixStream::connect(served.socket()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
        .write_all(b"{\"verb\":\"trace\",\"millis\":600000}\n")
        .unwrap();
    served.wait_recording(true);
    BufReader::new(stream)
}

fn hear(conversation: &mut BufReader<UnixStream>) -> Value {
    let mut line = String::new();
    conversation.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

#[test]
fn a_recording_becomes_a_file_that_a_viewer_opens() {
    let served = Served::start();
    served.happens(vec![ran(1, 1, 4), ran(1, 4, 9)]);
    let out = served.edict(&["trace", "--seconds", "0.2"]);
    assert_eq!((out.code, out.stdout.as_str()), (0, ""), "{}", out.stderr);
    assert_eq!(
        out.stderr,
        "recording policy web for 0.2 s; Ctrl-C ends it\n\
         2 runs of 1 task in 0.0 s, written to `edict-trace.json`; open it at \
         https://ui.perfetto.dev\n\
         3 more were lost: they came faster than they could be taken away\n"
    );
    let trace: Value = serde_json::from_str(&served.read("edict-trace.json")).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let runs: Vec<&Value> = events.iter().filter(|event| event["ph"] == "X").collect();
    assert_eq!(runs.len(), 2);
    assert_eq!(
        (&runs[1]["ts"], &runs[1]["dur"]),
        (&json!(4000.0), &json!(5000.0))
    );
    assert_eq!(runs[0]["cat"], "critical");
    assert_eq!(runs[0]["args"]["rule"], "edge");
    let file = served.dir().with_file_name("edict-trace.json");
    let mode = std::fs::metadata(file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    served.wait_recording(false);

    // A program is told in a document.
    let summary = served.json(&["trace", "--seconds", "0.05", "-o", "b.json"], 0);
    assert_eq!(
        summary,
        json!({
            "ok": true, "output": "b.json", "seconds": 0.02, "runs": 0, "tasks": 0,
            "commits": 0, "ended": "time", "lost": 3,
        })
    );
}

#[test]
fn records_are_written_as_they_are_with_the_names_of_their_generation() {
    let served = Served::start();
    let child = served.spawn(&["trace", "--to", "records", "-o", "-"]);
    served.wait_recording(true);
    served.happens(vec![ran(1, 1, 4)]);
    // The edit takes a tier and a rule of another name.
    let renamed = policy(20)
        .replace("critical", "first")
        .replace("edge:", "front:");
    served.write("policy.edict", &renamed);
    served.wait("the edit", |status| status["generation"] == 2);
    served.happens(vec![ran(2, 6, 7)]);
    std::thread::sleep(Duration::from_millis(100));
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::INT).unwrap();
    let out = Out::from(child.wait_with_output().unwrap());
    assert_eq!(out.code, 0, "{}", out.stderr);
    let lines: Vec<Value> = out
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let types: Vec<&str> = lines.iter().map(|l| l["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["begun", "run", "committed", "run", "ended"]);
    assert_eq!(
        (&lines[1]["tier"], &lines[1]["rule"]),
        (&json!("critical"), &json!("edge"))
    );
    assert_eq!(
        (&lines[3]["tier"], &lines[3]["rule"]),
        (&json!("first"), &json!("front"))
    );
    assert_eq!(lines[4]["why"], "enough", "Ctrl-C writes what there is");
    served.wait_recording(false);
}

#[test]
fn there_is_one_recording_at_a_time_and_it_goes_with_its_client() {
    let served = Served::start();
    let first = begin(&served);
    let second = served.edict(&["trace", "--seconds", "1"]);
    assert_eq!(second.code, 1);
    assert_eq!(
        second.stderr,
        "edict: somebody else is recording; there is one recording at a time\n"
    );
    assert_eq!(served.json(&["trace"], 1)["ok"], false);
    // Everything else goes on beside it.
    served.write("policy.edict", &policy(20));
    assert_eq!(served.json(&["reload"], 0)["generation"], 2);
    drop(first);
    served.wait_recording(false);
    assert_eq!(served.edict(&["trace", "--seconds", "0.05"]).code, 0);
}

#[test]
fn a_conversation_goes_on_after_a_recording() {
    let served = Served::start();
    let mut conversation = begin(&served);
    assert_eq!(hear(&mut conversation)["result"]["begun"]["policy"], "web");
    assert_eq!(
        hear(&mut conversation)["result"]["names"]["tiers"],
        json!(["critical", "regular"])
    );
    // A line now and then, though nothing happens.
    assert_eq!(hear(&mut conversation)["result"]["runs"], json!([]));
    conversation
        .get_mut()
        .write_all(b"{\"verb\":\"enough\"}\n{\"verb\":\"status\"}\n")
        .unwrap();
    let begun = Instant::now();
    loop {
        let line = hear(&mut conversation);
        if line["result"]["ended"]["why"] == "enough" {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{line}");
    }
    assert_eq!(
        hear(&mut conversation)["result"],
        json!({ "recording": false })
    );
    assert_eq!(hear(&mut conversation)["result"]["policy"], "web");
}

#[test]
fn an_agent_that_ends_ends_the_recording() {
    let served = Served::start();
    let child = served.spawn(&["trace", "--seconds", "600", "-o", "t.json"]);
    served.wait_recording(true);
    served.happens(vec![ran(1, 1, 4)]);
    assert_eq!(served.edict(&["stop"]).code, 0);
    let out = Out::from(child.wait_with_output().unwrap());
    assert_eq!(out.code, 0, "{}", out.stderr);
    assert!(
        out.stderr.contains("ended early: the agent was stopped\n"),
        "{}",
        out.stderr
    );
    assert!(served.read("t.json").contains("\"name\":\"nginx\""));
}

#[test]
fn what_cannot_be_recorded_or_written_is_said_at_once() {
    let served = Served::start();
    for (path, why) in [
        ("no/such/t.json", "there is no such directory"),
        ("pack", "it is a directory"),
    ] {
        let out = served.edict(&["trace", "--seconds", "600", "-o", path]);
        assert_eq!(out.code, 1);
        assert_eq!(out.stderr, format!("edict: cannot write `{path}`: {why}\n"));
    }
    let mut stream = UnixStream::connect(served.socket()).unwrap();
    stream
        .write_all(b"{\"verb\":\"trace\",\"millis\":0}\n")
        .unwrap();
    let refused = hear(&mut BufReader::new(stream));
    assert_eq!(
        refused["message"],
        "a recording takes more than 0 and at most 600 seconds"
    );
}
