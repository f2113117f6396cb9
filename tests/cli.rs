//! The command line as a contract: exit codes, JSON shapes, texts.
//!
//! The golden files in `tests/cli/` hold what people read. To accept a change:
//! `EDICT_BLESS=1 cargo test --test cli`, then read the diff.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

#[path = "cli/codes.rs"]
mod codes;
#[path = "cli/edict.rs"]
mod edict;
#[path = "cli/input.rs"]
mod input;
#[path = "cli/output.rs"]
mod output;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use edict::{BROKEN, Desk, EDICT, GOOD, WARNS, golden};
use serde_json::Value;

/// Every verb, as `--help` lists them.
const VERBS: &[&str] = &[
    "check",
    "test",
    "fmt",
    "eval",
    "plan",
    "translate",
    "schema",
    "diff",
    "snapshot",
    "new",
    "run",
    "status",
    "why",
    "trace",
    "reload",
    "stop",
    "doctor",
    "explain",
    "completions",
    "man",
    "help",
];

/// The verbs that need an agent, with arguments that are fine.
const SERVED: [&[&str]; 6] = [
    &["run", "good.edict"],
    &["status"],
    &["why", "1"],
    &["trace"],
    &["reload"],
    &["stop"],
];

#[test]
fn help_texts() {
    let desk = Desk::new();
    let mut all = desk.run(&["--help"]).done();
    for &verb in VERBS {
        all.push_str(&format!("\n===== edict {verb} --help\n\n"));
        all.push_str(&desk.run(&[verb, "--help"]).done());
    }
    golden("help.txt", &all);
    for &verb in VERBS {
        assert_eq!(
            desk.run(&["help", verb]).done(),
            desk.run(&[verb, "--help"]).done(),
            "`edict help {verb}`"
        );
    }
}

#[test]
fn without_a_verb_it_says_what_there_is() {
    let desk = Desk::new();
    let out = desk.run(&[]);
    assert_eq!(out.code, 1);
    assert!(out.stderr.contains("Usage: edict"), "{}", out.stderr);
    assert_eq!(
        desk.run(&["--version"]).done(),
        format!("edict {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn wrong_arguments_are_a_plain_failure() {
    let desk = Desk::new();
    for args in [
        &["frobnicate"][..],
        &["check"],
        &["why", "0"],
        &["why", "init"],
        &["trace", "--seconds", "0"],
        &["trace", "--seconds", "601"],
        &["trace", "--to", "html"],
        &["run", "good.edict", "--backend", "magic"],
        &["help", "frobnicate"],
        &["explain", "E9999"],
        &["eval", "good.edict", "--task", "com=x"],
    ] {
        let out = desk.run(args);
        assert_eq!(out.code, 1, "{args:?}: {}", out.stderr);
        assert!(!out.stderr.is_empty(), "{args:?}");
        assert_eq!(out.stdout, "", "{args:?}");
    }
}

#[test]
fn check_says_ok_or_everything_that_is_wrong() {
    let desk = Desk::new();
    assert_eq!(
        desk.run(&["check", "good.edict"]).done(),
        "ok: good.edict: policy web 1.0, 3 tiers, 4 rules\n"
    );
    assert_eq!(
        desk.run(&["check", "--format", "plain", "good.edict"])
            .done(),
        ""
    );
    let out = desk.run(&["check", "good.edict", "broken.edict"]);
    assert_eq!(out.code, 3);
    assert_eq!(out.stderr, "");
    golden("check.txt", &out.stdout);
}

#[test]
fn check_takes_a_directory_for_its_policy() {
    let desk = Desk::new();
    desk.write("pack/policy.edict", GOOD);
    assert!(
        desk.run(&["check", "pack"])
            .done()
            .starts_with("ok: pack: ")
    );
    assert_eq!(
        desk.run(&["check", "."]).code,
        3,
        "there is no policy.edict here"
    );
}

#[test]
fn check_reads_standard_input() {
    let desk = Desk::new();
    assert_eq!(desk.run_with(&["check", "-"], GOOD).code, 0);
    let out = desk.run_with(&["check", "--format", "plain", "-"], BROKEN);
    assert_eq!(out.code, 3);
    assert!(out.stdout.starts_with("<stdin>:"), "{}", out.stdout);
    assert_eq!(
        desk.run_with(&["check", "-"], &" ".repeat(300 << 10)).code,
        3
    );
}

#[test]
fn check_as_json() {
    let desk = Desk::new();
    let good = desk.json(&["check", "good.edict"], 0);
    assert_eq!(good["ok"], true);
    assert_eq!(good["diagnostics"], serde_json::json!([]));

    let bad = desk.json(&["check", "broken.edict"], 3);
    assert_eq!(bad["ok"], false);
    let first = &bad["diagnostics"][0];
    assert_eq!(first["code"], "E0202");
    assert_eq!(first["severity"], "error");
    assert!(first["message"].is_string());
    assert!(first["help"].is_string());
    let label = &first["labels"][0];
    assert_eq!(label["file"], "broken.edict");
    assert_eq!(label["line"], 5);
    for key in ["column", "start", "end"] {
        assert!(label[key].is_u64(), "{key}");
    }
    assert!(label["text"].is_string());
}

#[test]
fn warnings_fail_only_when_they_are_denied() {
    let desk = Desk::new();
    desk.write("warns.edict", WARNS);
    assert_eq!(desk.run(&["check", "warns.edict"]).code, 0);
    let document = desk.json(&["check", "warns.edict"], 0);
    assert_eq!(document["ok"], true);
    assert_eq!(document["diagnostics"][0]["severity"], "warning");
    let document = desk.json(&["check", "--deny-warnings", "warns.edict"], 3);
    assert_eq!(document["ok"], false);
}

#[test]
fn a_policy_that_is_not_valid_is_code_3_everywhere() {
    let desk = Desk::new();
    for args in [
        &["eval", "broken.edict", "--task", "nice=1"][..],
        &["plan", "broken.edict"],
        &["check", "missing.edict"],
        &["eval", "missing.edict"],
    ] {
        assert_eq!(desk.run(args).code, 3, "{args:?}");
        let document = desk.json(args, 3);
        assert_eq!(document["ok"], false, "{args:?}");
        assert!(document["diagnostics"][0]["code"].is_string(), "{args:?}");
    }
}

#[test]
fn eval_says_the_tier_and_why() {
    let desk = Desk::new();
    let task = "comm=nginx nice=-5 cgroup=/a/b";
    golden(
        "eval.txt",
        &[
            desk.run(&["eval", "good.edict", "--task", task]).done(),
            desk.run(&[
                "eval",
                "good.edict",
                "--task",
                "comm=\"Web Content\" uid=1000",
            ])
            .done(),
            desk.run(&["eval", "good.edict"]).done(),
        ]
        .join("\n"),
    );
    assert_eq!(
        desk.run(&["eval", "--format", "plain", "good.edict", "--task", task])
            .done(),
        "critical\tedge\n"
    );
    let document = desk.json(&["eval", "good.edict", "--task", task], 0);
    assert_eq!(document["tier"], "critical");
    assert_eq!(document["rule"], "edge");
    assert_eq!(document["line"], 9);
    let step = &document["trace"][0];
    assert_eq!(step["rule"], "edge");
    assert_eq!(step["matched"], true);
    assert!(step["because"].is_string());
}

#[test]
fn eval_gives_a_reason_for_every_kind_of_condition() {
    let desk = Desk::new();
    desk.write(
        "kinds.edict",
        r#"language 1
policy kinds { }
tier a { }
tier b { }
model oracle { file = "oracle.onnx"   inputs = [runtime_avg] }
rules {
  linkers: when comm ends with "-ld" or comm contains "lld"                -> b
  ninja:   when cmdline like "*/ninja *"                                   -> b
  units:   when unit matches "^user@[0-9]+[.]service$"                     -> a
  python:  when cmdline matches "\\bpython3? -m (pytest|unittest)\\b"      -> b
  tools:   when exe starts with { "/opt/a/", "/opt/b/" }                   -> b
  short:   when runtime_avg in 1ms..2500us and not (comm like "kworker*")  -> a
  busy:    when cpu_util > 80% or psi.cpu in 10%..30%                      -> b
  people:  when uid in { 0, 1000..1999 } and user != "root"                -> a
  learned: when oracle() > 80%                                             -> a
           otherwise                                                       -> b
}
"#,
    );
    // That nobody runs the model is said on standard error.
    let eval = |task: &str| desk.run(&["eval", "kinds.edict", "--task", task]).stdout;
    golden(
        "reasons.txt",
        &[
            eval("comm=ld.lld"),
            eval("comm=cc1 cmdline='/usr/bin/ninja -C out'"),
            eval(
                "comm=cc1 cmdline=ninja unit=nginx.service runtime_avg=3ms cpu_util=80% \
                 psi.cpu=12.5% uid=1000 user=ann",
            ),
            eval(
                "comm=cc1 cmdline=ninja unit=user@1.service runtime_avg=2ms cpu_util=5%",
            ),
            eval(
                "comm=cc1 cmdline=ninja unit=a.slice runtime_avg=2ms cpu_util=5% psi.cpu=9% uid=2000",
            ),
            eval(
                "comm=kworker/1:0 unit=a.slice runtime_avg=2ms cpu_util=5% psi.cpu=9% uid=0 user=root",
            ),
        ]
        .join("\n"),
    );
}

#[test]
fn eval_names_what_is_wrong_with_the_task() {
    let desk = Desk::new();
    let out = desk.run(&["eval", "good.edict", "--task", "nicee=1"]);
    assert_eq!(
        out.stderr,
        "edict: there is no attribute `nicee`\n  help: did you mean `nice`?\n"
    );
    let document = desk.json(&["eval", "good.edict", "--task", "runtime_avg=2"], 1);
    assert_eq!(document["error"], "`runtime_avg` is a duration");
}

#[test]
fn plan_prints_the_same_digest_every_time() {
    let desk = Desk::new();
    let text = desk.run(&["plan", "good.edict"]).done();
    let document = desk.json(&["plan", "good.edict"], 0);
    let digest = document["digest"].as_str().unwrap();
    assert_eq!(digest.len(), 64);
    assert!(text.ends_with(&format!("digest {digest}\n")), "{text}");
    assert_eq!(document["policy"], "web");
    assert_eq!(document["tiers"][0]["name"], "critical");
    assert_eq!(document["rules"][0]["tier"], "critical");
    assert_eq!(document["attributes"][0]["name"], "comm");
    assert_eq!(document["attributes"][0]["evaluated"], "kernel");
}

#[test]
fn explain_knows_every_attribute_and_code_it_lists() {
    let desk = Desk::new();
    let all = desk.json(&["explain"], 0);
    let names = |list: &str, key: &str| -> Vec<String> {
        let list = all[list].as_array().unwrap().iter();
        list.map(|item| item[key].as_str().unwrap().to_owned())
            .collect()
    };
    let attributes = names("attributes", "name");
    assert!(attributes.contains(&"runtime_avg".to_owned()));
    for attribute in attributes {
        let page = desk.run(&["explain", &attribute]).done();
        assert!(page.contains("  example  when "), "{page}");
        assert_eq!(
            desk.json(&["explain", &attribute], 0)["attribute"],
            *attribute
        );
    }
    for code in names("codes", "code").iter().take(5) {
        let page = desk.run(&["explain", &code.to_lowercase()]).done();
        assert!(page.starts_with(&format!("# {code}: ")), "{page}");
        assert_eq!(desk.json(&["explain", code], 0)["code"], **code);
    }
    for word in ["like", "under", "not", "group"] {
        let out = desk.run(&["explain", word]);
        assert_eq!(out.code, 1);
        assert!(out.stderr.contains("`edict help language`"), "{word}");
        assert!(!out.stderr.contains("did you mean"), "{word}");
    }
    let out = desk.run(&["explain", "runtime_agv"]);
    assert_eq!(out.code, 1);
    assert!(
        out.stderr.contains("did you mean `runtime_avg`?"),
        "{}",
        out.stderr
    );
}

#[test]
fn help_language_prints_the_reference() {
    let desk = Desk::new();
    let reference = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/grammar/README.md"));
    assert_eq!(desk.run(&["help", "language"]).done(), reference.unwrap());
    let out = desk.run(&["help", "langauge"]);
    assert!(
        out.stderr.contains("did you mean `language`?"),
        "{}",
        out.stderr
    );
}

#[test]
fn completions_for_every_shell() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = desk.run(&["completions", shell]).done();
        assert!(
            script.contains("edict") && script.contains("deny-warnings"),
            "{shell}"
        );
    }
}

#[test]
fn doctor_says_what_there_is_and_what_to_do() {
    let desk = Desk::new();
    let text = desk.run(&["doctor"]).done();
    for word in ["feature", "kernel", "BTF", "sched_ext", "permission"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let document = desk.json(&["doctor"], 0);
    assert!(document["ok"].is_boolean());
    for finding in document["findings"].as_array().unwrap() {
        assert!(finding["feature"].is_string());
        let verdict = finding["verdict"].as_str().unwrap();
        assert!(
            ["good", "poor", "missing", "unknown"].contains(&verdict),
            "{verdict}"
        );
        if verdict != "good" {
            assert!(finding["cure"].is_string(), "{finding}");
        }
    }
}

#[test]
fn what_needs_no_root_works_without() {
    let desk = Desk::new();
    if !rustix::process::geteuid().is_root() {
        return; // Then every other test has shown it.
    }
    if !desk.is_open_to_others() {
        eprintln!("SKIPPED: user 65534 cannot reach {EDICT}");
        return;
    }
    for args in [
        &["check", "good.edict"][..],
        &["test", "good.edict"],
        &["eval", "good.edict", "--task", "comm=nginx nice=0"],
        &["plan", "good.edict"],
        &["diff", "good.edict", "good.edict"],
        &["snapshot", "--seconds", "0"],
        &["man"],
        &["doctor"],
        &["explain", "comm"],
        &["help", "language"],
    ] {
        let status = desk.command(args).uid(65534).gid(65534).output().unwrap();
        assert_eq!(
            status.status.code(),
            Some(0),
            "{args:?}: {}",
            String::from_utf8_lossy(&status.stderr)
        );
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let desk = Desk::new();
    for args in [
        &["explain"][..],
        &["help", "language"],
        &["completions", "bash"],
        &["check", "good.edict"],
        &["check", "--cost", "--overlaps", "good.edict"],
        &["test", "--coverage", "good.edict"],
        &["plan", "good.edict"],
        &["diff", "good.edict", "other.edict"],
        &["snapshot", "--seconds", "0", "--format", "json"],
        &["man", "run"],
        &["--help"],
    ] {
        desk.write("other.edict", &GOOD.replace("800", "900"));
        let mut child = desk
            .command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut stderr = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut stderr)
            .unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{args:?}: {stderr}");
        assert_eq!(stderr, "", "{args:?}");
    }
}

#[test]
fn colours_only_where_they_are_wanted() {
    let desk = Desk::new();
    let escape = '\u{1b}';
    let plain = desk.run(&["check", "broken.edict"]);
    assert!(!plain.stdout.contains(escape), "a pipe is no terminal");
    let always = desk.run(&["check", "--color", "always", "broken.edict"]);
    assert!(always.stdout.contains(escape));

    let on_terminal = |environment: &str, args: &str| -> Option<String> {
        let output = Command::new("script")
            .args([
                "-qec",
                &format!("{environment} {EDICT} {args}"),
                "/dev/null",
            ])
            .current_dir(desk.dir())
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .stdin(Stdio::null())
            .output()
            .ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Some(colored) = on_terminal("", "check broken.edict") else {
        eprintln!("SKIPPED: there is no `script` to make a terminal with");
        return;
    };
    assert!(colored.contains(escape), "{colored}");
    for (environment, args) in [
        ("NO_COLOR=1", "check broken.edict"),
        ("TERM=dumb", "check broken.edict"),
        ("", "check --color never broken.edict"),
        ("", "check --format plain broken.edict"),
        ("", "check --format json broken.edict"),
    ] {
        let text = on_terminal(environment, args).unwrap();
        assert!(!text.contains(escape), "{environment} {args}: {text}");
        assert!(text.contains("E0202"), "{environment} {args}: {text}");
    }
}

#[cfg(not(feature = "live"))]
#[test]
fn without_the_kernel_half_the_served_verbs_say_so() {
    let desk = Desk::new();
    for args in SERVED {
        let out = desk.run(args);
        assert_eq!(out.code, 4, "{args:?}");
        assert!(out.stderr.contains("E0610"), "{args:?}: {}", out.stderr);
        assert_eq!(desk.json(args, 4)["diagnostics"][0]["code"], "E0610");
    }
}

#[cfg(feature = "live")]
#[test]
fn without_an_agent_the_served_verbs_say_so() {
    let desk = Desk::new();
    for args in SERVED.iter().skip(1) {
        let out = desk.run(args);
        assert_eq!(out.code, 1, "{args:?}");
        assert!(out.stderr.contains("E0609"), "{args:?}: {}", out.stderr);
        assert!(out.stderr.contains("edict run POLICY"), "{args:?}");
        assert_eq!(desk.json(args, 1)["diagnostics"][0]["code"], "E0609");
    }
}

#[cfg(feature = "live")]
#[test]
fn run_refuses_what_is_not_there_by_name() {
    let desk = Desk::new();
    for backend in ["attr", "observe"] {
        let out = desk.run(&["run", "good.edict", "--backend", backend]);
        assert_eq!(out.code, 4);
        assert!(out.stderr.contains("E0611"), "{}", out.stderr);
        assert!(
            out.stderr.contains(&format!("`{backend}`")),
            "{}",
            out.stderr
        );
    }
    assert_eq!(desk.run(&["run", "broken.edict"]).code, 3);
    if fs::exists("/sys/kernel/sched_ext").unwrap_or(false) {
        return; // Then it would run.
    }
    let out = desk.run(&["run", "good.edict"]);
    assert_eq!(out.code, 4);
    assert!(out.stderr.contains("E060"), "{}", out.stderr);
    assert!(out.stderr.contains("help: "), "{}", out.stderr);
}

#[test]
fn json_is_one_document_whatever_happens() {
    let desk = Desk::new();
    for args in [
        &["check", "broken.edict"][..],
        &["eval", "good.edict"],
        &["eval", "good.edict", "--task", "x"],
        &["plan", "good.edict"],
        &["test", "good.edict"],
        &["test", "missing.edict"],
        &["diff", "good.edict", "broken.edict"],
        &["diff", "good.edict", "good.edict", "--snapshot", "no"],
        &["snapshot", "--seconds", "0"],
        &["snapshot", "-o", "no/such/place", "--seconds", "0"],
        &["new", "good.edict"],
        &["man", "nothing"],
        &["explain", "nothing"],
        &["doctor"],
        &["status"],
    ] {
        let mut args = args.to_vec();
        args.extend(["--format", "json"]);
        let out = desk.run(&args);
        let document: Value = serde_json::from_str(&out.stdout)
            .unwrap_or_else(|error| panic!("{args:?}: {error}: {}", out.stdout));
        assert!(document.is_object(), "{args:?}");
        assert_eq!(out.stderr, "", "{args:?}");
    }
}

#[test]
fn no_argument_makes_it_panic() {
    let desk = Desk::new();
    let mut file = fs::File::create(desk.dir().join("noise.edict")).unwrap();
    file.write_all(&[0xff, 0x00, 0x80, b'{', 0x1b]).unwrap();
    for args in [
        &["check", "noise.edict"][..],
        &["check", ""],
        &["check", "/dev/null"],
        &["check", "/proc/self/mem"],
        &["eval", "good.edict", "--task", "comm=\u{0}\u{1b}ü\"'"],
        &["eval", "good.edict", "--task", "nice=99999999999999999999"],
        &[
            "eval",
            "good.edict",
            "--task",
            "runtime_avg=9223372036854775807s",
        ],
        &["explain", "ü"],
    ] {
        let args: Vec<&str> = args.iter().map(|arg| arg.trim_matches('\u{0}')).collect();
        let args: Vec<&str> = args
            .into_iter()
            .filter(|arg| !arg.contains('\u{0}'))
            .collect();
        let out = desk.run(&args);
        assert!(
            matches!(out.code, 0 | 1 | 3),
            "{args:?}: {} {}",
            out.code,
            out.stderr
        );
        assert!(!out.stderr.contains("panicked"), "{args:?}: {}", out.stderr);
    }
}
