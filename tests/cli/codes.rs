//! What verbs say of their own accord, in every format: the codes that no text of
//! a policy produces by itself. Those that one does are in `tests/ui`, those of
//! the kernel in `tests/environment`.

use super::edict::{Desk, GOOD, golden};
use super::input::too_many_rows;

/// Runs a command in each format, and compares all that it says.
fn says(desk: &Desk, code: &str, args: &[&str], exit: i32) {
    let mut text = format!("$ edict {}\n", args.join(" "));
    for format in ["human", "plain", "json"] {
        let out = desk.run(&[args, &["--format", format]].concat());
        assert_eq!(out.code, exit, "{code} {format}: {}", out.stderr);
        text += &format!("--- {format}\n{}{}", out.stdout, out.stderr);
    }
    assert!(text.contains(code), "{text}");
    let place = format!("{}/", desk.dir().display());
    golden(&format!("codes/{code}.txt"), &text.replace(&place, ""));
}

#[test]
fn every_refusal_of_a_verb_is_said_in_every_format() {
    let desk = Desk::new();
    desk.write("policy.yaml", "language: 1\npolicy: { name: p }\n");
    desk.write("twice.edict", "language 1\ntier a { }\ntier a { }\n");
    desk.write("rows.edict", &too_many_rows());
    desk.write("product.edict", &long_product());
    let test = "\ntest \"nginx is slow\" { task { comm = \"nginx\" nice = 0 } expect batch }\n";
    desk.write("failing.edict", &format!("{GOOD}{test}"));
    desk.write("now.json", "{ \"version\": 1,\n  \"tasks\": 3 }\n");
    let cases: [(&str, &[&str], i32); 8] = [
        (
            "E0014",
            &["translate", "--to", "yaml", "good.edict", "-o", "x.edict"],
            1,
        ),
        ("E0132", &["fmt", "policy.yaml"], 3),
        ("E0133", &["translate", "--to", "yaml", "twice.edict"], 3),
        ("E0409", &["plan", "rows.edict"], 3),
        ("E0420", &["plan", "product.edict"], 3),
        ("E0620", &["test", "failing.edict"], 2),
        ("E0621", &["test", "--coverage=100", "good.edict"], 2),
        (
            "E0622",
            &[
                "diff",
                "good.edict",
                "failing.edict",
                "--snapshot",
                "now.json",
            ],
            1,
        ),
    ];
    for (code, args, exit) in cases {
        says(&desk, code, args, exit);
    }
}

/// A policy whose clauses, written out, have more comparisons than the tables take.
fn long_product() -> String {
    let joined = |count: usize, one: fn(usize) -> String| {
        let all: Vec<String> = (0..count).map(one).collect();
        all.join("\n    and ")
    };
    let long = joined(700, |n| format!("not (exe starts with \"/{n}-\")"));
    let pairs = joined(9, |n| format!("(wake_rate > {n} or runtime_avg > {n}us)"));
    format!(
        "language 1\npolicy p {{}}\ntier a {{}}\ntier b {{}}\nrules {{\n  long: when {long}\n    and {pairs} -> a\n  otherwise -> b\n}}\n"
    )
}

#[cfg(feature = "live")]
#[test]
fn what_needs_an_agent_is_refused_in_every_format() {
    let desk = Desk::new();
    says(&desk, "E0609", &["status", "--socket", "none.sock"], 1);
    says(
        &desk,
        "E0611",
        &["run", "--backend", "attr", "good.edict"],
        4,
    );
}

#[cfg(not(feature = "live"))]
#[test]
fn what_is_not_built_in_is_refused_in_every_format() {
    says(&Desk::new(), "E0610", &["status"], 4);
}
