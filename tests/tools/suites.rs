//! `edict test`: outcomes, coverage, and everything that ships.

use std::fs;
use std::path::PathBuf;

use super::edict::{Desk, GOOD, golden};

/// Two tests that pass, two that fail, one rule that no test reaches.
const TESTED: &str = r#"
test "nginx at default nice is critical" {
  task { comm = "nginx" nice = 0 kthread = false }
  expect critical by edge
}
test "a niced nginx is not" {
  task { comm = "nginx" nice = 10 kthread = false cgroup = "/" }
  expect batch by polite
}
test "a shell is regular" {
  task { comm = "bash" nice = 12 kthread = false cgroup = "/user.slice" }
  expect regular
}
test "envoy is polite" {
  task { comm = "envoy" nice = -5 kthread = false }
  expect batch by polite
}
"#;

fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("tested.edict", &format!("{GOOD}{TESTED}"));
    let (passing, _) = TESTED.split_at(TESTED.find("test \"a shell").unwrap());
    desk.write("passing.edict", &format!("{GOOD}{passing}"));
    desk
}

#[test]
fn failures_are_shown_with_the_reason() {
    let desk = desk();
    let out = desk.run(&["test", "tested.edict"]);
    assert_eq!((out.code, out.stderr.as_str()), (2, ""));
    golden("test.txt", &out.stdout);
    let out = desk.run(&["test", "--format", "plain", "tested.edict"]);
    assert_eq!(out.code, 2);
    assert!(
        out.stdout
            .starts_with("tested.edict:15: passed: nginx at default nice is critical\n")
    );
    let failed = "tested.edict:25:3: error[E0620]: the test `a shell is regular` failed";
    assert!(out.stdout.contains(failed), "{}", out.stdout);
    assert!(
        out.stdout.contains("\n  tried: polite: nice is 12, >= 10"),
        "{}",
        out.stdout
    );
}

#[test]
fn the_command_that_repeats_a_failure_repeats_it() {
    let desk = desk();
    let document = desk.json(&["test", "tested.edict"], 2);
    let case = &document["cases"][2];
    let out = desk.run(&["test", "tested.edict", "--format", "plain"]);
    let help = out
        .stdout
        .lines()
        .find(|line| line.contains("edict eval"))
        .unwrap();
    let (_, task) = help.split_once("--task '").unwrap();
    let task = task.strip_suffix('\'').unwrap();
    let alone = desk.json(&["eval", "tested.edict", "--task", task], 0);
    assert_eq!(alone["tier"], case["got"]["tier"]);
    assert_eq!(alone["rule"], case["got"]["rule"]);
    assert_eq!(alone["trace"], case["trace"]);
}

#[test]
fn outcomes_as_json() {
    let desk = desk();
    let document = desk.json(&["test", "tested.edict"], 2);
    assert_eq!(document["ok"], false);
    assert_eq!(
        (&document["passed"], &document["failed"]),
        (&2.into(), &2.into())
    );
    assert_eq!(document["coverage"]["rules"], 2);
    assert_eq!(document["coverage"]["total"], 4);
    assert!(document["coverage"].get("uncovered").is_none());
    let case = &document["cases"][3];
    assert_eq!(case["name"], "envoy is polite");
    assert_eq!(
        (&case["file"], &case["line"]),
        (&"tested.edict".into(), &27.into())
    );
    assert_eq!(case["passed"], false);
    assert_eq!(case["task"]["nice"], -5);
    assert_eq!(case["expected"]["tier"], "batch");
    assert_eq!(case["expected"]["rule"], "polite");
    assert_eq!(case["got"]["rule"], "edge");
    assert_eq!(case["trace"][0]["matched"], true);
    assert!(document["cases"][0].get("trace").is_none());
    let good = desk.json(&["test", "passing.edict"], 0);
    assert_eq!(good["ok"], true);
}

#[test]
fn coverage_names_what_no_test_reaches() {
    let desk = desk();
    let text = desk.run(&["test", "--coverage", "passing.edict"]).done();
    golden("coverage.txt", &text);
    let document = desk.json(&["test", "--coverage", "passing.edict"], 0);
    let coverage = &document["coverage"];
    let rules: Vec<&str> = coverage["uncovered"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["rule"].as_str().unwrap())
        .collect();
    assert_eq!(rules, ["backups", "otherwise"]);
    assert_eq!(coverage["uncovered"][0]["line"], 10);
    assert_eq!(
        (&coverage["members"], &coverage["members_total"]),
        (&1.into(), &2.into())
    );
    let missed = &coverage["uncovered_members"][0];
    assert_eq!(missed["members"], serde_json::json!(["envoy"]));
    assert_eq!(
        (&missed["rule"], &missed["attribute"]),
        (&"edge".into(), &"comm".into())
    );
}

#[test]
fn a_minimum_that_is_not_reached_is_a_failure() {
    let desk = desk();
    let code = |minimum: &str| desk.run(&["test", minimum, "passing.edict"]).code;
    assert_eq!(code("--coverage=50"), 0);
    assert_eq!(code("--coverage=51%"), 2);
    assert_eq!(code("--coverage=100"), 2);
    for wrong in [
        "--coverage=101",
        "--coverage=-1",
        "--coverage=x",
        "--coverage=",
    ] {
        assert_eq!(code(wrong), 1, "{wrong}");
    }
    let document = desk.json(&["test", "--coverage=100", "passing.edict"], 2);
    assert_eq!(document["diagnostics"][0]["code"], "E0621");
    assert_eq!(document["failed"], 0);
    let out = desk.run(&["test", "--coverage=100", "passing.edict"]);
    assert!(
        out.stderr
            .contains("`passing.edict`: 50% of the rules are covered, 100% are asked for"),
        "{}",
        out.stderr
    );
}

#[test]
fn a_policy_without_tests_says_so() {
    let desk = desk();
    let said = desk.run(&["test", "good.edict"]).done();
    assert!(said.contains("the policy has no tests"), "{said}");
    assert_eq!(desk.run(&["test", "--coverage=1", "good.edict"]).code, 2);
    let document = desk.json(&["test", "good.edict"], 0);
    assert_eq!(document["cases"], serde_json::json!([]));
}

#[test]
fn tests_can_be_chosen_by_name() {
    let desk = desk();
    let said = desk
        .run(&["test", "--filter", "nginx", "tested.edict"])
        .done();
    assert_eq!(said, "ok: tested.edict: 2 tests passed, 2 left out\n");
    assert_eq!(
        desk.json(&["test", "--filter", "nginx", "tested.edict"], 0)["left_out"],
        2
    );
    let out = desk.run(&["test", "--filter", "ngnix", "tested.edict"]);
    assert_eq!(out.code, 1);
    assert!(
        out.stderr.contains("no test has `ngnix` in its name"),
        "{}",
        out.stderr
    );
}

#[test]
fn a_policy_that_is_not_valid_has_no_tests_to_run() {
    let desk = desk();
    let out = desk.run(&["test", "broken.edict", "passing.edict"]);
    assert_eq!(out.code, 3);
    assert!(out.stderr.contains("E0202"), "{}", out.stderr);
    assert!(
        out.stdout.contains("ok: passing.edict"),
        "the other is tested all the same"
    );
    let document = desk.json(&["test", "broken.edict", "tested.edict"], 3);
    assert_eq!(document["diagnostics"][0]["code"], "E0202");
    assert_eq!(document["passed"], 2);
    assert_eq!(desk.run(&["test", "missing.edict"]).code, 3);
    assert_eq!(
        desk.run_with(&["test", "-"], &format!("{GOOD}{TESTED}"))
            .code,
        2
    );
}

#[test]
fn everything_that_ships_is_tested_whole() {
    let desk = Desk::new();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut policies: Vec<PathBuf> = Vec::new();
    for directory in ["policies", "examples"] {
        for entry in fs::read_dir(root.join(directory)).unwrap() {
            let path = entry.unwrap().path();
            let is_policy = |name: &str| path.join(name).exists();
            let is_pack = is_policy("policy.edict") || is_policy("policy.yaml");
            let is_file = path
                .extension()
                .is_some_and(|e| e == "edict" || e == "yaml");
            if is_pack || is_file {
                policies.push(path);
            }
        }
    }
    assert!(policies.len() >= 4);
    for policy in policies {
        let args = ["test", "--coverage=100", policy.to_str().unwrap()];
        let out = desk.run(&args);
        assert_eq!(
            out.code,
            0,
            "{}\n{}{}",
            policy.display(),
            out.stdout,
            out.stderr
        );
        assert!(!out.stdout.contains("has no tests"), "{}", policy.display());
    }
}

#[test]
fn what_is_left_of_a_policy_is_a_policy() {
    let desk = Desk::new();
    let task = "comm=nginx kthread=false";
    let args = [
        "eval",
        "good.edict",
        "--task",
        task,
        "--unknown",
        "nice,cgroup",
    ];
    let rules = desk.run(&args).done();
    assert_eq!(
        rules,
        "edge:    when nice <= 0                   -> critical\n\
         backups: when cgroup under \"/batch.slice\" -> batch\n\
         polite:  when nice >= 10                  -> batch\n\
         \x20        otherwise                        -> regular\n"
    );
    let (head, _) = GOOD.split_once("rules {").unwrap();
    desk.write("rest.edict", &format!("{head}rules {{\n{rules}}}\n"));
    desk.run(&["check", "rest.edict"]).done();
    for known in [
        "nice=-1",
        "nice=0 cgroup=/batch.slice",
        "nice=12",
        "nice=3 cgroup=/x",
        "",
    ] {
        let whole = desk.json(
            &["eval", "good.edict", "--task", &format!("{task} {known}")],
            0,
        );
        let rest = desk.json(&["eval", "rest.edict", "--task", known], 0);
        assert_eq!(
            (&whole["tier"], &whole["rule"]),
            (&rest["tier"], &rest["rule"]),
            "{known}"
        );
    }
    let document = desk.json(&args, 0);
    assert_eq!(document["rules"][0]["when"], "nice <= 0");
    assert_eq!(document["rules"][3]["when"], serde_json::Value::Null);
    assert_eq!(document["rules"][1]["line"], 10);
    for wrong in [
        &["--unknown", "comm"][..],
        &["--unknown", "nicee"],
        &["--unknown", ""],
    ] {
        let args = [&["eval", "good.edict", "--task", task][..], wrong].concat();
        assert_eq!(desk.run(&args).code, 1, "{wrong:?}");
    }
}

#[test]
fn check_says_what_a_kernel_lacks_and_what_a_policy_costs() {
    let desk = Desk::new();
    assert_eq!(
        desk.run(&["check", "--kernel", "6.16", "good.edict"]).code,
        0
    );
    let document = desk.json(&["check", "--kernel", "6.8", "good.edict"], 3);
    assert_eq!(document["diagnostics"][0]["code"], "E0241");
    for wrong in ["6", "six", "6.1.2", "-6.1", ""] {
        assert_eq!(
            desk.run(&["check", "--kernel", wrong, "good.edict"]).code,
            1,
            "{wrong}"
        );
    }
    let text = desk.run(&["check", "--cost", "good.edict"]).done();
    assert!(
        text.contains("bytes of a bank; a classification looks up 4 rows"),
        "{text}"
    );
    let document = desk.json(&["check", "--cost", "good.edict"], 0);
    let cost = &document["costs"][0];
    assert_eq!(cost["path"], "good.edict");
    assert_eq!(cost["look_ups"], 4);
    assert_eq!(cost["attributes"][0]["slot"], "comm");
    let cgroup = cost["attributes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|a| a["slot"] == "cgroup");
    assert_eq!(cgroup.unwrap()["agent_asked"], "for each new cgroup");
    assert!(
        desk.json(&["check", "good.edict"], 0)
            .get("costs")
            .is_none()
    );
}

#[test]
fn what_is_not_carried_out_is_a_note() {
    let desk = Desk::new();
    desk.write("later.edict", &format!("{GOOD}learn {{ stale = 90s }}\n"));
    let out = desk.run(&["check", "--deny-warnings", "later.edict"]);
    assert_eq!(out.code, 0, "{}", out.stdout);
    let document = desk.json(&["check", "later.edict"], 0);
    assert_eq!(document["diagnostics"][0]["severity"], "note");
    assert_eq!(document["diagnostics"][0]["code"], "E0506");
}
