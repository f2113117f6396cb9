//! The agent without a kernel: real policies, real files, the real socket and
//! the real command line; the object is a list in memory.
#![cfg(feature = "live")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

#[path = "serving/pretend.rs"]
mod pretend;
#[path = "serving/recordings.rs"]
mod recordings;
#[path = "serving/statistics.rs"]
mod statistics;

use std::fs;
use std::os::unix::fs::symlink;
use std::thread;
use std::time::{Duration, Instant};

use edict::agent::{Compiled, Ending, attached_line};
use edict::diag::Code;
use edict::live::Ejection;
use pretend::{Served, policy};
use serde_json::json;

#[test]
fn status_has_the_promised_shape() {
    let served = Served::start();
    let status = served.json(&["status"], 0);
    assert_eq!(status["backend"], "pretend");
    assert_eq!(status["state"], "committed");
    assert_eq!(status["generation"], 1);
    assert_eq!(status["digest"].as_str().unwrap().len(), 64);
    assert_eq!(status["policy"], "web");
    assert_eq!(status["last_error"], json!(null));
    assert!(status.get("enable_seq").is_some());
    let tier = &status["tiers"][0];
    assert_eq!(tier["name"], "critical");
    assert_eq!(tier["tickets"], 800);
    assert_eq!(tier["runtime_ns"], 3_000_000_000_u64);
    assert_eq!(tier["share"], 0.75);
    for key in ["tasks", "dispatches", "wait_p50_us", "wait_p99_us"] {
        assert!(tier[key].is_u64(), "{key}");
    }
    assert_eq!(
        status["rules"][0],
        json!({"name": "edge", "tier": "critical", "hits": 7})
    );
    let text = served.edict(&["status"]).done();
    assert!(text.contains("critical"), "{text}");
    assert!(text.contains("75.0%"), "{text}");
}

#[test]
fn tasks_are_moved_by_the_rules_of_the_policy_in_force() {
    let served = Served::start();
    let status = served.json(&["status"], 0);
    assert_eq!(
        status["balance"],
        json!(null),
        "the policy has no such block"
    );

    let rule = "when imbalance > 50%\n    for 60ms -> migrate within node";
    let with = |rule: &str| format!("{}balance {{\n  {rule}\n}}\n", policy(800));
    served.write("policy.edict", &with(rule));
    let status = served.wait("the moves", |status| status["balance"]["moved"] == 2);
    let balance = &status["balance"];
    assert_eq!(balance["vetoed"], 0);
    assert!(balance["rounds"].as_u64().unwrap() >= 5, "{balance}");
    // Five and one, then four and two: the candidates and one that is hot each.
    assert_eq!(balance["considered"], 5 + 4);
    assert_eq!(balance["hot"], 2);
    let rule = &balance["rules"][0];
    assert_eq!(
        rule["rule"],
        "when imbalance > 50% for 60ms -> migrate within node"
    );
    assert_eq!((&rule["within"], &rule["due"]), (&json!("node"), &json!(2)));
    let status = served.wait("balance", |status| {
        status["balance"]["rules"][0]["imbalance"] == 0.0
    });
    assert_eq!(status["balance"]["moved"], 2, "three and three");
    let text = served.edict(&["status"]).done();
    assert!(text.contains("2 moved"), "{text}");

    // Another policy begins anew.
    served.write(
        "policy.edict",
        &with("when imbalance > 50% for 1s -> migrate within llc"),
    );
    let status = served.wait("the other policy", |status| {
        status["balance"]["rules"][0]["within"] == "llc"
    });
    assert_eq!(status["balance"]["moved"], 0);
}

#[test]
fn why_tells_the_story_of_one_task() {
    let served = Served::start();
    let why = served.json(&["why", "100"], 0);
    assert_eq!(why["pid"], 100);
    assert_eq!(why["comm"], "nginx");
    assert_eq!(why["tier"], "critical");
    assert_eq!(why["rule"], "edge");
    assert_eq!(why["line"], 7);
    assert_eq!(why["generation"], 1);
    assert_eq!(why["attributes"]["nice"], -5);
    assert_eq!(why["attributes"]["exe"], json!(null));
    assert_eq!(why["trace"][0]["rule"], "edge");
    assert_eq!(why["trace"][0]["matched"], true);
    assert_eq!(why["agrees"], true);
    assert_eq!(why["perf"], 1024);
    let text = served.edict(&["why", "100"]).done();
    assert!(text.contains("nginx (100) is in tier critical"), "{text}");
    assert!(text.contains("edge:  when comm == \"nginx\""), "{text}");

    let none = served.edict(&["why", "999"]);
    assert_eq!(none.code, 1);
    assert_eq!(none.stderr, "edict: there is no task 999\n");
    let realtime = served.edict(&["why", "200"]);
    assert_eq!(realtime.code, 1);
    assert_eq!(
        realtime.stderr,
        "edict: edict does not schedule task 200 (`migration/0`): its scheduling class is rt\n"
    );
    assert_eq!(served.json(&["why", "999"], 1)["ok"], false);
}

#[test]
fn what_a_task_calls_itself_cannot_command_a_terminal() {
    let served = Served::start();
    for color in ["never", "always"] {
        let text = served.edict(&["why", "300", "--color", color]).done();
        assert!(!text.contains("\u{1b}[2J"), "{text:?}");
        assert!(text.contains("\\u{1b}[2J\\u{202e}x"), "{text}");
        assert!(
            text.contains("exe          /tmp/a\\u{a}  by rule edge\\u{9b}2J\n"),
            "{text}"
        );
        assert!(text.contains("comm is \"\\u{1b}[2J"), "{text}");
    }
    let why = served.json(&["why", "300"], 0);
    assert_eq!(why["comm"], "\u{1b}[2J\u{202e}x");
    assert_eq!(why["attributes"]["exe"], "/tmp/a\n  by rule edge\u{9b}2J");
}

#[test]
fn an_edit_becomes_a_generation() {
    let served = Served::start();
    served.write("policy.edict", &policy(20));
    let status = served.wait("the edit", |status| status["generation"] == 2);
    assert_eq!(status["tiers"][0]["tickets"], 20);
    assert_eq!(status["state"], "committed");
    let reloaded = served.json(&["reload"], 0);
    assert_eq!(reloaded, json!({"outcome": "unchanged", "generation": 2}));
}

#[test]
fn an_edit_is_in_force_soon_after_the_settling() {
    let served = Served::start();
    let mut times = Vec::new();
    for n in 0..10 {
        thread::sleep(Duration::from_millis(150));
        let saved = Instant::now();
        served.write("policy.edict", &policy(20 + n));
        served.wait_commits(n + 1);
        times.push(saved.elapsed());
    }
    times.sort();
    println!("save to commit, 100 ms of it settling: {times:?}");
    assert!(times[5] < Duration::from_millis(1_000), "{times:?}");
}

#[test]
fn reload_answers_with_the_outcome() {
    let served = Served::start();
    served.write("policy.edict", &policy(20));
    let reloaded = served.json(&["reload"], 0);
    assert_eq!(reloaded["generation"], 2);
    served.write("policy.edict", "language 1\n");
    let out = served.edict(&["reload"]);
    assert_eq!(out.code, 3);
    assert!(
        out.stderr
            .starts_with("edict: kept generation 2: the edit is not valid\n")
    );
    assert!(out.stderr.contains("E0214"), "{}", out.stderr);
    assert_eq!(served.json(&["reload"], 3)["ok"], false);
    let status = served.json(&["status"], 0);
    assert_eq!(status["state"], "rejected");
    assert_eq!(status["rejected"], 1);
    assert!(
        status["last_error"]
            .as_str()
            .unwrap()
            .contains("policy.edict:1")
    );
    served.write("policy.edict", &policy(20));
    assert_eq!(served.json(&["reload"], 0)["generation"], 2);
    assert_eq!(served.json(&["status"], 0)["last_error"], json!(null));
}

#[test]
fn what_this_version_cannot_carry_out_changes_nothing() {
    let served = Served::start();
    let learn = "learn { key = comm }\n";
    served.write("policy.edict", &format!("{}{learn}", policy(20)));
    let out = served.edict(&["reload"]);
    assert_eq!(out.code, 3, "{}", out.stderr);
    assert!(
        out.stderr
            .starts_with("edict: kept generation 1: this version cannot carry the edit out\n"),
        "{}",
        out.stderr
    );
    assert!(out.stderr.contains("E0506"), "{}", out.stderr);
    let status = served.json(&["status"], 0);
    assert_eq!(status["generation"], 1);
    assert_eq!(status["tiers"][0]["tickets"], 800);

    // Without the block the same edit is taken.
    served.write("policy.edict", &policy(20));
    assert_eq!(served.json(&["reload"], 0)["generation"], 2);
}

#[test]
fn what_needs_a_restart_is_refused_whole() {
    let served = Served::start();
    let patient = policy(20).replace("policy web {", "policy web { watchdog = 10s ");
    assert_ne!(patient, policy(20));
    served.write("policy.edict", &patient);
    let out = served.edict(&["reload"]);
    assert_eq!(out.code, 4, "{}", out.stderr);
    assert!(
        out.stderr
            .starts_with("edict: kept generation 1: the edit needs a restart\n"),
        "{}",
        out.stderr
    );
    assert!(
        out.stderr.contains("`watchdog` of `policy`"),
        "{}",
        out.stderr
    );
    let status = served.json(&["status"], 0);
    assert_eq!(status["generation"], 1);
    assert_eq!(status["tiers"][0]["tickets"], 800);

    // The default in other words is no change.
    let same = policy(20).replace("policy web {", "policy web { watchdog = 20_000ms ");
    served.write("policy.edict", &same);
    assert_eq!(served.json(&["reload"], 0)["generation"], 2);
}

#[test]
fn what_needs_a_restart_is_taken_where_that_is_allowed() {
    let served = Served::start_with(true);
    let patient = policy(20).replace("policy web {", "policy web { watchdog = 10s ");
    served.write("policy.edict", &patient);
    let answer = served.json(&["reload"], 0);
    assert_eq!(answer["outcome"], "committed");
    assert_eq!(answer["generation"], 2);
    assert_eq!(served.attached_again(), 1);

    // One that the kernel refuses leaves what was in force, attached again.
    served.refuse_attaching(1);
    served.write("policy.edict", &patient.replace("10s", "12s"));
    assert_eq!(served.edict(&["reload"]).code, 4);
    assert_eq!(served.json(&["status"], 0)["backend"], "pretend");
    assert_eq!(served.attached_again(), 3);
}

#[test]
fn what_the_kernel_refuses_changes_nothing() {
    let served = Served::start();
    served.write("policy.edict", &policy(666));
    let out = served.edict(&["reload"]);
    assert_eq!(out.code, 4, "{}", out.stderr);
    assert!(
        out.stderr
            .contains("kept generation 1: the kernel refused the edit")
    );
    let status = served.json(&["status"], 0);
    assert_eq!(status["generation"], 1);
    assert_eq!(status["tiers"][0]["tickets"], 800);
}

#[test]
fn limits_of_tiers_are_put_in_force_and_shown() {
    let served = Served::start();
    let limited = policy(20).replace(
        "tickets = 20 }",
        "tickets = 20   cpus = \"0,1022-1023\"   budget = 30%   perf = 50% }",
    );
    served.write("policy.edict", &limited);
    assert_eq!(served.json(&["reload"], 0)["generation"], 2);
    let tiers = &served.json(&["status"], 0)["tiers"];
    assert_eq!(tiers[0]["cpus"], "0,1022-1023");
    assert_eq!(tiers[0]["budget"], 0.3);
    assert_eq!(
        (&tiers[1]["cpus"], &tiers[1]["budget"]),
        (&json!(null), &json!(null))
    );
    let text = served.edict(&["status"]).done();
    assert!(text.contains("30.0%  0,1022-1023\n"), "{text}");
}

/// Whether the CPUs are there is known where the policy is put in force.
#[test]
fn cpus_that_are_not_there_are_a_warning() {
    let warnings = |cpus: &str| {
        let cpus = format!("tickets = 20   cpus = \"{cpus}\" }}");
        let text = policy(20).replace("tickets = 20 }", &cpus);
        let checked = edict::check::check_text("policy.edict", &text);
        assert_eq!(checked.diagnostics, []);
        let compiled = Compiled::new(checked).unwrap_or_else(|(wrong, _)| panic!("{wrong:?}"));
        compiled.warnings()
    };
    assert_eq!(warnings("llc 0"), "");
    let none = warnings("1022-1023");
    assert!(
        none.contains("W0601") && none.contains("1022-1023 are not online"),
        "{none}"
    );
    assert!(
        none.contains("`critical` has no CPU on this machine"),
        "{none}"
    );
}

#[test]
fn the_first_line_of_the_log_says_what_is_in_force() {
    let checked = edict::check::check_text("policy.edict", &policy(20));
    let compiled = Compiled::new(checked).unwrap_or_else(|(wrong, _)| panic!("{wrong:?}"));
    let line = attached_line("sched_ext", 1, &compiled);
    let (text, digest) = line.split_at(line.len() - 9);
    assert_eq!(
        text,
        "attached: backend sched_ext, generation 1, policy web 1.0 (2 tiers, 2 rules, digest "
    );
    assert!(
        compiled
            .image
            .digest()
            .to_string()
            .starts_with(digest.trim_end_matches(')'))
    );
}

#[test]
fn stop_is_answered_when_it_has_stopped() {
    let mut served = Served::start();
    assert_eq!(served.edict(&["stop"]).done(), "stopped\n");
    assert_eq!(served.ending(), Ending::Stopped);
    assert_eq!(served.edict(&["status"]).code, 1);
}

#[test]
fn an_ejection_ends_the_agent_and_names_the_digest() {
    let mut served = Served::start();
    served.eject(Ejection {
        reason: "runnable task stall".into(),
        message: "nginx[100] failed to run for 30.100s".into(),
        ..Ejection::new(1026, 0)
    });
    match served.ending() {
        Ending::Ejected(why) => {
            assert_eq!(why.code, Code::E0630);
            let (said, digest) = why.message.split_at(why.message.len() - 9);
            assert_eq!(
                said,
                "`nginx` (100) waited 30.100 s for a CPU, longer than the kernel's watchdog \
                 allows; it is in tier `critical` by rule `edge` (generation 1, digest "
            );
            assert!(digest.ends_with(')'), "{digest}");
            assert!(why.help.is_some_and(|help| help.contains("`max_wait`")));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_cpu_that_comes_when_nothing_can_be_attached_is_said_so() {
    let mut served = Served::start();
    served.refuse_attaching(1);
    served.eject(Ejection {
        reason: "unregistered from the main kernel".into(),
        message: "cpu 1 going offline, exiting scheduler".into(),
        ..Ejection::new(66, 1 << 32 | 1 << 48)
    });
    match served.ending() {
        Ending::Ejected(why) => {
            assert_eq!(why.code, Code::E0633);
            assert_eq!(
                why.message,
                "unregistered from the main kernel: cpu 1 going offline, exiting scheduler, \
                 and attaching again failed: the kernel refused the object"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_cpu_that_comes_or_goes_attaches_again() {
    let served = Served::start();
    served.write("policy.edict", &policy(20));
    served.wait("the edit", |status| status["generation"] == 2);
    served.eject(Ejection::new(66, 1 << 32 | 1 << 48));
    served.wait("the next attachment", |status| status["generation"] == 3);
    served.write("policy.edict", &policy(30));
    served.wait("the next edit", |status| status["generation"] == 4);
}

#[test]
fn a_set_in_another_file_is_part_of_the_policy() {
    let served = Served::with(|dir| {
        fs::create_dir(dir.join("sets")).unwrap();
        fs::write(dir.join("sets/edge.edict"), "set edge = { \"nginx\" }\n").unwrap();
        let text = policy(100)
            .replace("language 1\n", "language 1\ninclude \"sets/edge.edict\"\n")
            .replace("comm == \"nginx\"", "comm in edge");
        fs::write(dir.join("policy.edict"), text).unwrap();
    });
    assert_eq!(served.json(&["why", "100"], 0)["tier"], "critical");
    served.write("sets/edge.edict", "set edge = { \"envoy\" }\n");
    served.wait("the edit of the set", |status| status["generation"] == 2);
    assert_eq!(served.json(&["why", "100"], 0)["tier"], "regular");
}

#[test]
fn a_config_map_swap_reaches_the_policy() {
    let served = Served::with(|dir| {
        fs::create_dir(dir.join("..v1")).unwrap();
        fs::write(dir.join("..v1/policy.edict"), policy(100)).unwrap();
        symlink("..v1", dir.join("..data")).unwrap();
        symlink("..data/policy.edict", dir.join("policy.edict")).unwrap();
    });
    for n in 2..=3 {
        let dir = served.dir();
        fs::create_dir(dir.join(format!("..v{n}"))).unwrap();
        fs::write(dir.join(format!("..v{n}/policy.edict")), policy(100 * n)).unwrap();
        symlink(format!("..v{n}"), dir.join("..data_tmp")).unwrap();
        fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
        served.wait("the swap", |status| status["generation"] == n);
    }
}

#[test]
fn a_replaced_directory_is_still_watched() {
    let served = Served::start();
    for n in 0..2 {
        let next = served.dir().with_file_name("next");
        fs::create_dir(&next).unwrap();
        fs::write(next.join("policy.edict"), policy(200 + n)).unwrap();
        let old = served.dir().with_file_name(format!("old{n}"));
        fs::rename(served.dir(), old).unwrap();
        fs::rename(&next, served.dir()).unwrap();
        let first = u64::from(2 + 2 * n);
        served.wait("the new directory", |status| status["generation"] == first);
        served.write("policy.edict", &policy(300 + n));
        served.wait("an edit in it", |status| status["generation"] == first + 1);
    }
}

#[test]
fn a_busy_neighbour_of_the_directory_delays_nothing() {
    let served = Served::start();
    let noise = served.dir().with_file_name("noise");
    let until = Instant::now() + Duration::from_secs(3);
    let neighbour = thread::spawn(move || {
        while Instant::now() < until {
            fs::write(&noise, "x").unwrap();
            fs::remove_file(&noise).unwrap();
            thread::sleep(Duration::from_millis(10));
        }
    });
    thread::sleep(Duration::from_millis(300));
    let saved = Instant::now();
    served.write("policy.edict", &policy(20));
    served.wait("the edit", |status| status["generation"] == 2);
    let took = saved.elapsed();
    assert!(took < Duration::from_millis(1_500), "{took:?}");
    neighbour.join().unwrap();
}

#[test]
fn of_hundreds_of_saves_the_last_wins_and_a_half_written_one_never() {
    let served = Served::start();
    for n in 1..=300 {
        served.write("policy.edict", &policy(n));
    }
    served.wait("the last save", |status| {
        status["tiers"][0]["tickets"] == 300
    });
    let status = served.json(&["status"], 0);
    assert_eq!(status["rejected"], 0);
    assert!(status["generation"].as_u64().unwrap() < 20);
}

#[test]
fn asking_goes_on_while_the_policy_cannot_be_read() {
    let served = Served::start();
    fs::remove_dir_all(served.dir()).unwrap();
    let status = served.wait("the report", |status| status["state"] == "rejected");
    assert_eq!(status["generation"], 1);
    assert!(
        status["last_error"].as_str().unwrap().starts_with("E0001"),
        "{status}"
    );
    assert_eq!(served.edict(&["reload"]).code, 3);
    fs::create_dir(served.dir()).unwrap();
    served.write("policy.edict", &policy(20));
    served.wait("the return", |status| status["generation"] == 2);
}
