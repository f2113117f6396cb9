//! Where policies and arguments come from: standard input, limits, mistakes.

use serde_json::Value;

use super::edict::{BROKEN, Desk, GOOD, WARNS};

/// A policy that the checker accepts and whose rows do not fit into a bank.
pub fn too_many_rows() -> String {
    // Each name stands in two clauses, and no two names in the same two, so no
    // two of them share a row.
    let names = |n: u32, apart: [u32; 3]| {
        let pairs = apart.map(|d| format!("\"/{n}.{d}\", \"/{}.{d}\"", n + d));
        format!("{{ {} }}", pairs.join(", "))
    };
    let clause = |n: u32| {
        format!(
            "comm in {} and exe in {} and cgroup in {}",
            names(n, [1, 2, 3]),
            names(n, [4, 5, 6]),
            names(n, [7, 8, 9])
        )
    };
    let rules: String = (0..500)
        .map(|n| {
            format!(
                "  r{n}: when ({}) or ({}) -> a\n",
                clause(2 * n),
                clause(2 * n + 1)
            )
        })
        .collect();
    format!(
        "language 1\npolicy p {{}}\ntier a {{}}\ntier b {{}}\nrules {{\n{rules}  otherwise -> b\n}}\n"
    )
}

#[test]
fn what_does_not_fit_into_a_bank_is_refused_by_every_verb() {
    let desk = Desk::new();
    let text = too_many_rows();
    desk.write("huge.edict", &text);
    let checked = edict::check::check_text("huge", &text);
    assert!(checked.policy.is_some(), "{:?}", checked.diagnostics);
    for verb in ["check", "eval", "plan"] {
        let document = desk.json(&[verb, "huge.edict"], 3);
        let problem = &document["diagnostics"][0];
        assert_eq!(problem["code"], "E0409", "{verb}");
        // Half of the rules fit, and the next does not.
        let line = problem["labels"][0]["line"].as_u64().unwrap();
        let fit: Vec<&str> = text.lines().take(line as usize - 1).collect();
        let end = "  otherwise -> b\n}\n";
        let fits = edict::check::check_text("fits", &format!("{}\n{end}", fit.join("\n")));
        let one = |line: u64| text.lines().nth(line as usize - 1).unwrap();
        assert!(one(line).trim().starts_with('r'), "{}", one(line));
        let plan = edict::plan::lower(&fits.policy.unwrap()).unwrap();
        assert!(edict::image::emit(&plan).is_ok());
    }
}

#[test]
fn standard_input_is_judged_as_a_file_is() {
    let desk = Desk::new();
    for (input, code) in [
        (b"language 1\n\xff".as_slice(), "E0007"),
        (&[b' '; 300 << 10], "E0006"),
        (b"", "E0008"),
    ] {
        desk.write_bytes("same.edict", input);
        let file = desk.json(&["check", "same.edict"], 3);
        assert_eq!(file["diagnostics"][0]["code"], code);
        for verb in ["check", "eval", "plan"] {
            let out = desk.run_with_bytes(&[verb, "-", "--format", "json"], input);
            assert_eq!(out.code, 3, "{verb} {code}");
            let document: Value = serde_json::from_str(&out.stdout).unwrap();
            assert_eq!(document["diagnostics"][0]["code"], code, "{verb}");
        }
        let args = ["check", "broken.edict", "-", "--format", "json"];
        let out = desk.run_with_bytes(&args, input);
        let document: Value = serde_json::from_str(&out.stdout).unwrap();
        let all = document["diagnostics"].as_array().unwrap();
        assert_eq!(all[0]["code"], "E0202");
        assert_eq!(all[all.len() - 1]["code"], code);
    }
    let out = desk.run_with_bytes(&["check", "-"], b"language 1\n\xff");
    assert!(out.stdout.contains("<stdin>:2:1"), "{}", out.stdout);
    let out = desk.run_with(&["check", "-", "-"], GOOD);
    assert_eq!(out.code, 1);
    assert!(out.stderr.contains("`-` is given twice"), "{}", out.stderr);
    let out = desk.run_with(&["check", "-", "good.edict"], BROKEN);
    assert_eq!(out.code, 3);
}

#[test]
fn wrong_arguments_are_a_document_too() {
    let desk = Desk::new();
    for args in [
        &["frobnicate"][..],
        &[],
        &["check"],
        &["why", "init"],
        &["run", "good.edict", "--backend", "magic"],
        &["help", "frobnicate"],
        &["check", "-", "-"],
    ] {
        let document = desk.json(args, 1);
        assert_eq!(document["ok"], false, "{args:?}");
        let error = document["error"].as_str();
        assert!(error.is_some_and(|text| !text.is_empty()), "{args:?}");
        assert!(document.get("help").is_some(), "{args:?}");
    }
    let document = desk.json(&["status", "--sockett", "x"], 1);
    assert_eq!(document["error"], "unexpected argument '--sockett' found");
    let out = desk.run(&["--format=json", "check"]);
    assert!(serde_json::from_str::<Value>(&out.stdout).is_ok());
    assert_eq!(out.stderr, "");
}

#[cfg(feature = "live")]
#[test]
fn run_needs_a_file_and_status_a_socket() {
    let desk = Desk::new();
    let out = desk.run_with(&["run", "-"], GOOD);
    assert_eq!(out.code, 1);
    assert!(out.stderr.starts_with("edict: run needs a file"));
    let args = ["status", "--socket", "good.edict"];
    let out = desk.run(&args);
    assert_eq!(out.code, 1);
    assert!(
        out.stderr.contains("`good.edict` is not a socket"),
        "{}",
        out.stderr
    );
    assert_eq!(desk.json(&args, 1)["diagnostics"][0]["code"], "E0609");
}

#[cfg(feature = "live")]
#[test]
fn an_answer_without_end_is_not_awaited() {
    use std::io::Write;
    let desk = Desk::new();
    let socket = std::os::unix::net::UnixListener::bind(desk.dir().join("control.sock")).unwrap();
    let agent = std::thread::spawn(move || {
        let (mut client, _) = socket.accept().unwrap();
        let flood = vec![b' '; 1 << 20];
        while client.write_all(&flood).is_ok() {}
    });
    let out = desk.run(&["status"]);
    agent.join().unwrap();
    assert_eq!(out.code, 1);
    assert!(
        out.stderr.contains("the answer is longer than 16 MiB"),
        "{}",
        out.stderr
    );
}

#[test]
fn texts_are_documents_too() {
    let desk = Desk::new();
    for args in [
        &["--help"][..],
        &["--version"],
        &["check", "--help"],
        &["help"],
        &["help", "run"],
        &["help", "language"],
        &["completions", "bash"],
    ] {
        let document = desk.json(args, 0);
        let text = desk.run(args).done();
        assert_eq!(document["text"], text, "{args:?}");
    }
}

#[test]
fn it_is_said_when_warnings_are_the_reason() {
    let desk = Desk::new();
    desk.write("warns.edict", WARNS);
    let denied = "warnings are denied (--deny-warnings)\n";
    let args = ["check", "--deny-warnings", "warns.edict", "good.edict"];
    let out = desk.run(&args);
    assert_eq!(out.code, 3);
    assert!(out.stdout.ends_with(&format!("not ok: {denied}")));
    let out = desk.run(&[&args[..], &["--format", "plain"]].concat());
    assert_eq!((out.code, out.stderr), (3, format!("edict: {denied}")));
    let out = desk.run(&["check", "--deny-warnings", "broken.edict"]);
    assert!(!out.stdout.contains(denied));
}

#[test]
fn plan_tells_programs_what_it_tells_people() {
    let desk = Desk::new();
    let document = desk.json(&["plan", "good.edict"], 0);
    assert_eq!(document["between"], "tiers");
    let tier = &document["tiers"][0];
    assert_eq!(tier["order"], "vtime");
    assert_eq!(tier["preempt"], serde_json::json!(["batch"]));
    assert_eq!(document["tiers"][2]["max_wait_ns"], 500_000_000);
    let text = document["text"].as_str().unwrap();
    for attribute in document["attributes"].as_array().unwrap() {
        let name = attribute["name"].as_str().unwrap();
        let line = text.lines().find(|line| line.trim().starts_with(name));
        let count = format!(" {} class", attribute["classes"]);
        assert!(line.unwrap().contains(&count), "{name}: {text}");
    }
}

#[test]
fn explain_knows_blocks_fields_and_statements() {
    let desk = Desk::new();
    for topic in ["tickets", "tier.tickets"] {
        let page = desk.run(&["explain", topic]).done();
        assert!(page.starts_with("tier.tickets: the share of CPU"), "{page}");
        assert!(page.contains("a number from 1 to 1000000"), "{page}");
        assert_eq!(desk.json(&["explain", topic], 0)["field"], "tickets");
    }
    let page = desk.run(&["explain", "slice"]).done();
    assert!(page.contains("a duration from 100us to 100ms"), "{page}");
    for field in desk.json(&["explain"], 0)["fields"].as_array().unwrap() {
        let name = field["name"].as_str().unwrap();
        let topic = format!("{}.{name}", field["block"].as_str().unwrap());
        assert_eq!(desk.json(&["explain", &topic], 0)["field"], name);
    }
    for (list, key) in [("blocks", "block"), ("statements", "statement")] {
        for listed in desk.json(&["explain"], 0)[list].as_array().unwrap() {
            let name = listed["name"].as_str().unwrap();
            let about = desk.json(&["explain", name], 0);
            assert_eq!(about[key], name);
            let page = desk.run(&["explain", name]).done();
            assert!(page.contains(about["example"].as_str().unwrap()), "{page}");
        }
    }
    let out = desk.run(&["explain", "tier.tickts"]);
    assert!(
        out.stderr.contains("did you mean `tier.tickets`?"),
        "{}",
        out.stderr
    );
    for (topic, not) in [
        (
            "balance.model",
            "checked, but not carried out by this version",
        ),
        ("model.file", "none, it must be given"),
        ("balance.model", "checked, but not carried out"),
    ] {
        let page = desk.run(&["explain", topic]).done();
        assert!(page.contains(not), "{page}");
    }
}
