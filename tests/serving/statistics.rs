//! The counters on their way to those who read them: `status`, what watches,
//! and the field's tools, whose own client is used here.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use edict::agent::metrics::{self, Metrics};
use edict::agent::protocol::Response;
use edict::agent::socket::{Asked, Deadlines};
use edict::live::{TierStatistics, Waits};
use scx_stats::{StatsClient, StatsErrno, StatsRequest};
use serde_json::{Value, json};

use crate::pretend::{Served, policy};

/// What a tier did, in milliseconds and runs.
fn did(runtime_ms: u64, dispatches: u64, waits: Waits) -> TierStatistics {
    TierStatistics {
        runtime_ns: runtime_ms * 1_000_000,
        dispatches,
        runnable: 2,
        preemptions: 5,
        direct: 6,
        overdue: 7,
        migrations: 8,
        throttled: 9,
        strays: 10,
        waits,
        ..TierStatistics::default()
    }
}

#[test]
fn every_counter_has_its_place_in_the_document() {
    let served = Served::start();
    served.count(vec![did(500, 30, Waits::new([0, 90, 0, 9, 1], 12))]);
    let status = served.json(&["status"], 0);
    let tier = &status["tiers"][0];
    for (key, value) in [
        ("tasks", 3),
        ("runnable", 2),
        ("runtime_ns", 3_500_000_000_u64),
        ("dispatches", 530),
        ("preemptions", 5),
        ("direct", 6),
        ("overdue", 7),
        ("migrations", 8),
        ("throttled", 9),
        ("strays", 10),
        ("wait_p50_us", 2),
        ("wait_p90_us", 2),
        ("wait_p99_us", 8),
        ("wait_p999_us", 12),
        ("wait_max_us", 12),
    ] {
        assert_eq!(tier[key], value, "{key}");
    }
    assert_eq!(
        tier["wait_histogram"],
        json!([
            {"below_us": 1, "count": 0},
            {"below_us": 2, "count": 90},
            {"below_us": 4, "count": 0},
            {"below_us": 8, "count": 9},
            {"below_us": 16, "count": 1},
        ])
    );
    // 800 and 100 tickets, and both had something to run.
    assert_eq!(tier["due"], 800.0 / 900.0);
    assert_eq!(status["between"], "tiers");
    assert!(status["cpus"].as_u64().unwrap() >= 1);
    assert!(status.get("interval").is_none(), "{status}");
    let text = served.edict(&["status"]).done();
    for word in ["p99.9", "due", "throttled", "strays", "overdue", "migrated"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn a_watch_prints_what_happened_since() {
    let served = Served::start();
    served.count(vec![
        did(0, 0, Waits::new([7], 1)),
        TierStatistics::default(),
    ]);
    let mut watch = Command::new(env!("CARGO_BIN_EXE_edict"))
        .args(["status", "--watch", "--format", "json", "--socket"])
        .arg(served.socket())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let first = next();
    assert!(first.get("interval").is_none(), "{first}");
    served.count(vec![
        did(200, 50, Waits::new([7, 0, 0, 0, 4], 15)),
        did(600, 10, Waits::default()),
    ]);
    let second = next();
    let interval = &second["interval"];
    let seconds = interval["seconds"].as_f64().unwrap();
    assert!((0.5..10.0).contains(&seconds), "{seconds}");
    let tier = &interval["tiers"][0];
    assert_eq!(tier["dispatches"], 50);
    assert_eq!(tier["share"], 0.25);
    assert_eq!(tier["wait_p50_us"], 15);
    let used = interval["cpus_used"].as_f64().unwrap();
    assert!((used * seconds - 0.8).abs() < 1e-6, "{used} of {seconds} s");
    // Totals go on.
    assert_eq!(second["tiers"][0]["dispatches"], 550);
    // Nothing has happened since.
    let third = next();
    assert_eq!(third["interval"]["tiers"][0]["dispatches"], 0);
    assert_eq!(third["interval"]["rules"][0]["hits"], 0);
    // Another generation counts from its commit.
    served.write("policy.edict", &policy(20));
    served.wait_commits(1);
    let fourth = next();
    assert_eq!(fourth["generation"], 2);
    assert_eq!(fourth["interval"]["tiers"][0]["dispatches"], 550);
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn intervals_of_nothing_are_refused_with_the_usage() {
    let served = Served::start();
    for args in [
        &["run", "p", "--stats", "0"][..],
        &["run", "p", "--stats", "-1"],
        &["run", "--stats=x", "p"],
        &["status", "--watch", "0"],
        &["status", "--watch=-5"],
        &["status", "--watch", "86401"],
    ] {
        let out = served.edict(args);
        assert_eq!(out.code, 1, "{args:?}");
        for said in [
            "a number of seconds, from 1 to 86400",
            &format!("Usage: edict {}", args[0]),
        ] {
            assert!(out.stderr.contains(said), "{args:?}: {}", out.stderr);
        }
        let document = served.json(args, 1);
        assert_eq!(document["ok"], false);
        let help = document["help"].as_str().unwrap();
        assert!(help.contains("Usage: edict"), "{document}");
    }
}

#[test]
fn the_tasks_with_the_most_time_are_listed() {
    let served = Served::start();
    let list = served.json(&["status", "--tasks"], 0);
    assert_eq!(list["total"], 3);
    assert_eq!(list["generation"], 1);
    let pids: Vec<u64> = list["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["pid"].as_u64().unwrap())
        .collect();
    assert_eq!(pids, [100, 300, 101]);
    let first = &list["tasks"][0];
    for (key, value) in [
        ("tier", json!("critical")),
        ("rule", json!("edge")),
        ("vruntime_ns", json!(7_000_100)),
        ("cpu", json!(3)),
        ("priority", json!(115)),
        ("runnable", json!(true)),
    ] {
        assert_eq!(first[key], value, "{key}");
    }
    // It has not run since the commit, so nobody has said its tier.
    assert_eq!(list["tasks"][1]["tier"], json!(null));
    let text = served.edict(&["status", "--tasks", "3"]).done();
    assert!(text.contains("web, generation 1  3 of 3 tasks"), "{text}");
    assert!(text.contains("pid  vruntime  cpu  priority"), "{text}");
    assert!(
        text.contains("\\u{1b}[2Jx") && !text.contains('\u{1b}'),
        "{text:?}"
    );
    assert_eq!(served.edict(&["status", "--tasks", "0"]).code, 1);
    assert_eq!(
        served.json(&["status", "--tasks", "1"], 0)["tasks"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

fn client(served: &Served) -> StatsClient {
    StatsClient::new()
        .set_path(served.metrics())
        .connect(Some(10_000))
        .unwrap()
}

#[test]
fn the_client_of_the_field_reads_us() {
    let served = Served::start();
    let mut client = client(&served);
    let first: Metrics = client.request("stats", vec![]).unwrap();
    assert_eq!(first.policy, "web");
    assert_eq!(first.generation, 1);
    let tier = &first.tiers["critical"];
    assert_eq!(
        (tier.tickets, tier.dispatches, tier.share),
        (800, 500, 75.0)
    );
    assert_eq!(first.rules["edge"].hits, 7);
    assert_eq!(first.rules["edge"].tier, "critical");

    // Shares and waits are of the time since this client asked.
    served.count(vec![
        did(100, 50, Waits::new([0, 0, 0, 5], 6)),
        did(300, 10, Waits::default()),
    ]);
    let target = vec![("target".to_owned(), "top".to_owned())];
    let second: Metrics = client.request("stats", target).unwrap();
    let tier = &second.tiers["critical"];
    assert_eq!(
        (tier.dispatches, tier.share, tier.wait_p50_us),
        (550, 25.0, 6)
    );
    assert!((second.cpus_used * second.interval - 0.4).abs() < 1e-6);
    let mode = fs::metadata(served.metrics()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_meta_data_describes_every_number() {
    let served = Served::start();
    let mut client = client(&served);
    let meta: BTreeMap<String, Value> = client.request("stats_meta", vec![]).unwrap();
    let names: Vec<&str> = meta.keys().map(String::as_str).collect();
    assert_eq!(names, ["Metrics", "RuleMetrics", "TierMetrics"]);
    assert_eq!(meta["Metrics"]["top"], "true");
    assert_eq!(meta["TierMetrics"]["user"]["_om_label"], "tier");
    // What a generic client does: every field of the answer has a description.
    let answer: Value = client.request("stats", vec![]).unwrap();
    let described = |of: &str, value: &Value| {
        for (key, value) in value.as_object().unwrap() {
            let field = &meta[of]["fields"][key];
            assert!(field["desc"].is_string(), "{of}.{key}");
            match field["datum"].as_str() {
                Some("u64") => assert!(value.is_u64(), "{of}.{key}"),
                Some("float") => assert!(value.is_f64(), "{of}.{key}"),
                Some("string") => assert!(value.is_string(), "{of}.{key}"),
                _ => assert!(field["dict"]["datum"]["struct"].is_string(), "{of}.{key}"),
            }
        }
    };
    described("Metrics", &answer);
    described("TierMetrics", &answer["tiers"]["regular"]);
    described("RuleMetrics", &answer["rules"]["edge"]);
}

#[test]
fn what_the_field_does_not_ask_is_an_error_and_no_end() {
    let served = Served::start();
    let mut client = client(&served);
    for (request, args) in [
        ("dance", vec![]),
        ("stats", vec![("target".to_owned(), "layer".to_owned())]),
    ] {
        let error = client.request::<Value>(request, args).unwrap_err();
        let errno = error.downcast_ref::<StatsErrno>().unwrap();
        assert_eq!(errno.0, 22, "{error:?}");
    }
    let whole = StatsRequest::new("stats", vec![]);
    client.send_request::<Metrics>(&whole).unwrap();

    // Rubbish, a line without an end, and a crowd: the agent goes on.
    let ask = |bytes: &[u8]| {
        let mut stream = UnixStream::connect(served.metrics()).unwrap();
        let patience = Some(Duration::from_secs(10));
        stream.set_read_timeout(patience).unwrap();
        let _ = stream.write_all(bytes);
        let mut answer = String::new();
        let _ = BufReader::new(stream).read_line(&mut answer);
        answer
    };
    for (bytes, said) in [
        (&b"\xff{}\n"[..], "not a request"),
        (&vec![b'x'; 70_000], "at most 65536 bytes"),
    ] {
        let answer: Value = serde_json::from_str(&ask(bytes)).unwrap();
        assert_eq!(answer["errno"], 22);
        let text = answer["args"]["resp"].as_str().unwrap();
        assert!(text.contains(said), "{text}");
    }
    let crowd: Vec<_> = (0..40)
        .map(|_| UnixStream::connect(served.metrics()).unwrap())
        .collect();
    let answer = ask(b"{\"req\":\"stats\"}\n");
    assert!(answer.contains("clients are being served"), "{answer}");
    assert_eq!(served.json(&["status"], 0)["state"], "committed");
    drop(crowd);
    client.send_request::<Metrics>(&whole).unwrap();
}

#[test]
fn a_place_that_is_taken_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scx/root/stats");
    let serve = || {
        metrics::serve(&path, metrics::DEADLINES, |asked: Asked| {
            let _ = asked.answer.try_send(Response::refused("no"));
            true
        })
    };
    let why_not = || serve().map(|_| ()).unwrap_err().to_string();
    fs::create_dir_all(path.parent().unwrap()).unwrap();

    // Another scheduler's, with nobody at its door.
    let other = UnixListener::bind(&path).unwrap();
    assert_eq!(why_not(), "another program listens there");
    drop(other);
    // One that was killed.
    let server = serve().unwrap();
    assert!(path.exists());
    drop(server);
    assert!(!path.exists());

    fs::write(&path, "mine").unwrap();
    assert_eq!(why_not(), "something that is no socket is there");
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    fs::remove_file(&path).unwrap();

    let open = fs::Permissions::from_mode(0o777);
    fs::set_permissions(path.parent().unwrap(), open).unwrap();
    assert_eq!(why_not(), "others may write its directory");
}

#[test]
fn a_client_that_asks_now_and_then_keeps_its_place_and_a_slow_line_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stats");
    let deadlines = Deadlines {
        idle: Duration::from_secs(20),
        request: Duration::from_millis(200),
        ..metrics::DEADLINES
    };
    let _server = metrics::serve(&path, deadlines, |asked: Asked| {
        let _ = asked.answer.try_send(Response::refused("no"));
        true
    })
    .unwrap();
    let mut patient = UnixStream::connect(&path).unwrap();
    let mut slow = UnixStream::connect(&path).unwrap();
    slow.write_all(b"{").unwrap();
    std::thread::sleep(Duration::from_millis(600));
    let _ = slow.write_all(b"}\n");
    let mut rest = String::new();
    let _ = slow.read_to_string(&mut rest);
    assert_eq!(rest, "");
    patient.write_all(b"{\"req\":\"stats\"}\n").unwrap();
    let mut answer = String::new();
    BufReader::new(patient).read_line(&mut answer).unwrap();
    assert_eq!(answer, "{\"errno\":22,\"args\":{\"resp\":\"no\"}}\n");
}
