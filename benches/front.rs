//! How long the front end takes: `cargo bench --bench front --no-default-features`.
//!
//! The best of several runs of parsing and checking: thousands of names, hundreds
//! of rules, and hostile texts. Of the whole verb `edict check`, which reads the
//! files and starts a process as well, the median, and the most memory that it
//! had where there is `/usr/bin/time`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement stops at the first surprise"
)]

#[path = "../tests/support/hostile.rs"]
mod hostile;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use edict::check::check_texts;

fn best(times: usize, mut run: impl FnMut()) -> Duration {
    let once = |_| {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    (0..times).map(once).min().unwrap()
}

fn policy(rules: &str, before: &str) -> String {
    format!(
        "language 1\npolicy p {{ }}\n{before}tier a {{ }}\ntier b {{ }}\nrules {{\n{rules}  otherwise -> a\n}}\n"
    )
}

/// From the policy to clauses and classes: what a reload waits for besides the
/// front end.
fn lowering(text: &str, sets: &str) {
    type Line = fn(usize) -> String;
    let joined = |count: usize, one: Line| {
        let all: Vec<String> = (0..count).map(one).collect();
        policy(&format!("  when {} -> a\n", all.join(" and ")), "")
    };
    let rules = |count: usize, one: Line| policy(&(0..count).map(one).collect::<String>(), "");
    let cases: [(&str, String, &str); 5] = [
        ("lower 16,000 names in 15 sets", text.to_owned(), sets),
        (
            "lower 13,000 `!=` in one rule",
            joined(13_000, |n| format!("comm != \"{n}\"")),
            "",
        ),
        (
            "lower 4,000 `starts with` in one rule",
            joined(4_000, |n| format!("not (exe starts with \"/{n}/\")")),
            "",
        ),
        (
            "lower 500 rules with one name each",
            rules(500, |n| {
                format!("  when comm == \"p{n}\" and nice > {} -> a\n", n % 19)
            }),
            "",
        ),
        (
            "lower 250 rules of alternatives",
            rules(250, |n| {
                format!(
                    "  when (uid > {} or wake_rate < {}) and (nice < {} or cgroup under \"/g{n}\") -> b\n",
                    n * 10,
                    10_000 - n,
                    (n % 18) as i64 - 9
                )
            }),
            "",
        ),
    ];
    for (name, text, sets) in cases {
        let checked = check_texts(&[("policy", text.as_str()), ("sets", sets)]);
        let policy = checked.policy.unwrap();
        let took = best(5, || drop(edict::plan::lower(&policy).unwrap()));
        println!("{name:<38}{took:>10.2?}");
    }
}

/// A rule over four of twenty attributes.
fn every(n: usize) -> String {
    let of = |at: usize| {
        let k = n % 97;
        match (n * 7 + at * 5) % 20 {
            0 => format!("comm == \"p{n}\""),
            1 => format!("exe under \"/opt/p{n}\""),
            2 => format!("nice <= {}", k % 19),
            3 => format!("uid != {n}"),
            4 => "not kthread".to_owned(),
            5 => format!("cgroup under \"/g{n}\""),
            6 => format!("runtime_avg < {}us", k + 1),
            7 => format!("wake_rate > {k}"),
            8 => format!("cmdline starts with \"/usr/bin/p{n} \""),
            9 => format!("pid > {}", k + 1),
            10 => format!("parent.comm == \"make{n}\""),
            11 => format!("gid in {{ {n}, {} }}", n + 1_000),
            12 => format!("user == \"u{n}\""),
            13 => "group_leader".to_owned(),
            14 => format!("unit == \"u{n}.service\""),
            15 => format!("switch_rate > {k}"),
            16 => format!("lat_cri > {}%", k + 1),
            17 => format!("age > {}s", k + 1),
            18 => format!("cpu_util > {}%", k + 1),
            _ => format!("llc != {k}"),
        }
    };
    let parts: Vec<String> = (0..4).map(of).collect();
    format!("  when {} -> b\n", parts.join(" and "))
}

/// How often the whole verb is run.
const RUNS: usize = 20;

/// Runs `edict check` on these files, the first of which is the policy.
fn verb(name: &str, texts: &[(&str, &str)]) {
    let pack = tempfile::tempdir().unwrap();
    for (name, text) in texts {
        fs::write(pack.path().join(name), text).unwrap();
    }
    let policy = pack.path().join(texts[0].0);
    let edict = env!("CARGO_BIN_EXE_edict");
    let timed = Path::new("/usr/bin/time");
    let mut walls = Vec::new();
    let mut peak = 0;
    for _ in 0..RUNS {
        let mut command = match timed.exists() {
            true => Command::new(timed),
            false => Command::new(edict),
        };
        if timed.exists() {
            command.args(["-f", "%M", edict]);
        }
        let start = Instant::now();
        let out = command.arg("check").arg(&policy).output().unwrap();
        walls.push(start.elapsed());
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{said}");
        let kib = said
            .lines()
            .last()
            .and_then(|line| line.trim().parse().ok());
        peak = peak.max(kib.unwrap_or(0));
    }
    walls.sort();
    println!(
        "{name:<36}{:>10.2?}   slowest {:.2?}, {:.1} MB",
        walls[RUNS / 2],
        walls[RUNS - 1],
        f64::from(peak) * 1024.0 / 1e6
    );
}

fn main() {
    // 10 sets of 1,067 names and 5 of 1,066.
    let set = |set: usize| {
        let count = if set < 10 { 1_067 } else { 1_066 };
        let names: Vec<String> = (0..count).map(|n| format!("\"prog{set}-{n}\"")).collect();
        format!("set s{set} = {{ {} }}\n", names.join(", "))
    };
    let sets: String = (0..15).map(set).collect();
    let rule = |n: usize| {
        format!(
            "  when comm in s{n} and nice <= {n} -> {}\n",
            ["a", "b"][n % 2]
        )
    };
    let rules: String = (0..15).map(rule).collect();
    let text = policy(&rules, "include \"sets\"\n");
    let texts = [("policy", text.as_str()), ("sets", sets.as_str())];
    assert!(check_texts(&texts).policy.is_some());
    let took = best(20, || drop(check_texts(&texts)));
    println!(
        "16,000 names in 15 sets ({} KiB)   {took:>10.2?}",
        sets.len() >> 10
    );
    let rules_of_all: String = (0..500).map(every).collect();
    println!("the whole verb `edict check`, median of {RUNS}:");
    verb(
        "  16,000 names in 15 sets",
        &[("policy.edict", &text), ("sets", &sets)],
    );
    verb(
        "  500 rules over 20 attributes",
        &[("policy.edict", &policy(&rules_of_all, ""))],
    );

    let patterned = policy(
        &format!("  when comm like \"*-worker\" or comm matches \"^prog[0-9]+-7\" -> b\n{rules}"),
        "include \"sets\"\n",
    );
    let texts = [("policy", patterned.as_str()), ("sets", sets.as_str())];
    assert!(check_texts(&texts).policy.is_some());
    let took = best(20, || drop(check_texts(&texts)));
    println!("the same, and two patterns          {took:>10.2?}");

    type Line = fn(usize) -> String;
    let kinds: [(&str, Line); 5] = [
        ("500 rules over 20 attributes", every),
        ("500 rules of ranges", |n| {
            format!(
                "  when nice in {}..{} and uid in {{ {n}, {}..{} }} -> a\n",
                (n % 30) as i64 - 19,
                (n % 30) as i64 - 10,
                n * 100,
                n * 100 + 50
            )
        }),
        ("500 rules, 40 with patterns", |n| match n {
            0..6 => format!("  when cmdline contains \"--job={n}\" -> a\n"),
            6..24 => format!("  when exe ends with \"/bin/p{n}\" -> b\n"),
            24..40 => format!("  when cgroup like \"/kubepods.slice/pod{n}-*/??*\" -> b\n"),
            _ => format!("  when comm == \"p{n}\" and nice > {} -> a\n", n % 19),
        }),
        ("200 rules with one name each", |n| {
            format!("  when comm == \"p{n}\" and nice > {} -> a\n", n % 19)
        }),
        ("200 rules of alternatives", |n| {
            format!(
                "  when (uid > {} or wake_rate < {}) and (nice < {} or cgroup under \"/g{n}\") -> b\n",
                n * 10,
                10_000 - n,
                (n % 18) as i64 - 9
            )
        }),
    ];
    for (name, rule) in kinds {
        let count = if name.starts_with('5') { 500 } else { 200 };
        let text = policy(&(0..count).map(rule).collect::<String>(), "");
        assert!(
            check_texts(&[("policy", text.as_str())]).policy.is_some(),
            "{name}"
        );
        let took = best(20, || drop(check_texts(&[("policy", text.as_str())])));
        println!("{name:<36}{took:>10.2?}");
    }

    lowering(&text, &sets);

    for (size, times) in [(2_000, 5), (256 << 10, 1)] {
        let mut all: Vec<(Duration, &str)> = hostile::hostile(size)
            .iter()
            .map(|(name, text)| {
                let took = best(times, || drop(check_texts(&[("hostile", text.as_str())])));
                (took, *name)
            })
            .collect();
        all.sort_by_key(|(took, _)| std::cmp::Reverse(*took));
        println!("hostile texts of {size} bytes, the slowest:");
        for (took, name) in all.iter().take(5) {
            println!("  {name:<34}{took:>10.2?}");
        }
    }
}
