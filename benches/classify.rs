//! What a classification costs in the kernel, and what a compilation costs in
//! the agent.
//!
//! Classification runs through `BPF_PROG_RUN` on this machine's own kernel,
//! with the BPF JIT, over 512 tasks that all differ. Every sample times the
//! loop with the classifier and the same loop without it, and the difference is
//! the cost. The cases are interleaved, so that a slow moment of the machine
//! falls on all of them. A sample is the mean of its tasks: the p99 is that of
//! the samples, not of single classifications.
//!
//! `cargo bench --bench classify`, as root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::time::Instant;

use edict::check::{Attribute, check_text};
use edict::eval::{Task, evaluate};
use edict::{image, plan};
use support::facts::Facts;
use support::proof::Proof;
use support::rng::Rng;

const SAMPLES: usize = 200;
const ROUNDS: usize = 64;
/// Few enough to stay in the cache, as a task's own facts are when it runs.
const TASKS: usize = 512;
const COMPILES: usize = 21;

struct Case {
    what: String,
    text: String,
    facts: Vec<Facts>,
    image: image::Image,
    /// Nanoseconds per classification, one per sample.
    samples: Vec<f64>,
    /// Milliseconds per compilation.
    compiles: Vec<f64>,
}

fn name(index: usize) -> String {
    format!("worker-{index}")
}

/// A policy with that many rules and names in which seven attributes are used
/// by rules that tell values apart, and tasks that fall on rules evenly.
///
/// A policy compares durations and rates with `thresholds` different values.
fn case(rules: usize, names: usize, thresholds: usize) -> Case {
    let sets = rules.div_ceil(2).min(15);
    let mut text = String::from("language 1\npolicy bench {}\n");
    for set in 0..sets {
        let members: Vec<String> = (set..names)
            .step_by(sets)
            .map(|index| format!("{:?}", name(index)))
            .collect();
        let _ = writeln!(
            text,
            "set s{set} = {{ \"only-{set}\", {} }}",
            members.join(", ")
        );
    }
    text +=
        "tier a { tickets = 800 }\ntier b { tickets = 100 }\ntier c { tickets = 20 }\nrules {\n";
    for rule in 0..rules - 1 {
        let tier = ["a", "b", "c"][rule % 3];
        let set = rule % sets;
        let condition = match rule % 5 {
            0 => format!("comm in s{set} and uid == {}", 1000 + rule),
            1 => format!("comm in s{set} and cgroup under \"/slice-{rule}\" and nice <= 5"),
            2 => format!("nice > 5 and uid == {} and not kthread", 1000 + rule),
            3 => format!(
                "comm in s{set} and runtime_avg < {}us and wake_rate > {rule}",
                100 + rule
            ),
            _ => format!(
                "cgroup under \"/slice-{rule}\" and wake_rate < {}",
                1000 + rule
            ),
        };
        let _ = writeln!(text, "r{rule}: when {condition} -> {tier}");
    }
    text += "otherwise -> c\n}\n";

    let compiled = compile(&text);
    let host = support::host::HostBank::new(&compiled.1);
    let mut rng = Rng::new(7);
    let facts = (0..TASKS)
        .map(|_| {
            let rule = rng.below(rules);
            Task::default()
                .with(Attribute::Comm, name(rng.below(names * 2)))
                .with(Attribute::Nice, rng.below(40) as i64 - 20)
                .with(Attribute::Uid, 1000 + rule as i64)
                .with(Attribute::Kthread, rng.one_in(8))
                .with(
                    Attribute::Cgroup,
                    format!("/slice-{rule}/unit-{}", rng.below(9)),
                )
                .with(Attribute::RuntimeAvg, rng.below(400_000) as i64)
                .with(Attribute::WakeRate, rng.below(2 * rules + 10) as i64)
        })
        .map(|task| {
            let facts = Facts::new(&task, &compiled.1);
            // The benchmark must not time a wrong answer.
            let verdict = evaluate(&compiled.0, &task);
            assert_eq!(
                host.classify(&facts),
                Some((verdict.rule.0, verdict.tier.0))
            );
            facts
        })
        .collect();
    Case {
        what: format!("{rules} rules, {names} names, {thresholds} thresholds"),
        text,
        facts,
        image: compiled.1,
        samples: Vec::new(),
        compiles: Vec::new(),
    }
}

fn compile(text: &str) -> (edict::check::Policy, image::Image) {
    let checked = check_text("bench.edict", text);
    let Some(policy) = checked.policy else {
        panic!("{:#?}\n{text}", checked.diagnostics);
    };
    let image = image::emit(&plan::lower(&policy).unwrap()).unwrap();
    (policy, image)
}

fn percentile(samples: &mut [f64], percent: usize) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[(samples.len() - 1) * percent / 100]
}

fn main() {
    if let Some(why) = support::proof::missing() {
        eprintln!("SKIPPED: the classifier cannot run in this kernel: {why}");
        return;
    }
    let mut cases: Vec<Case> = [
        (5, 10, 4),
        (20, 10, 4),
        (200, 10, 4),
        (20, 1_000, 4),
        (20, 15_000, 4),
        (200, 10, 200),
        (500, 15_000, 500),
    ]
    .into_iter()
    .map(|(rules, names, thresholds)| case(rules, names, thresholds))
    .collect();
    let proof = Proof::load();

    for _ in 0..COMPILES {
        for case in &mut cases {
            let start = Instant::now();
            let compiled = compile(&case.text);
            case.compiles.push(start.elapsed().as_secs_f64() * 1e3);
            drop(compiled);
        }
    }
    for sample in 0..SAMPLES {
        for (index, case) in cases.iter_mut().enumerate() {
            let bank = ((sample + index) % 2) as u32;
            proof.fill(bank, &case.image);
            let (with, without) = proof.time(bank, &case.facts, ROUNDS);
            case.samples.push(with - without);
        }
    }

    println!(
        "{:<40} {:>10} {:>8} {:>8} {:>12} {:>10}",
        "seven attributes", "median ns", "p99 ns", "ratio", "compile ms", "p99 ms"
    );
    let smallest = percentile(&mut cases[0].samples, 50);
    for case in &mut cases {
        let median = percentile(&mut case.samples, 50);
        println!(
            "{:<40} {:>10.1} {:>8.1} {:>8.2} {:>12.2} {:>10.2}",
            case.what,
            median,
            percentile(&mut case.samples, 99),
            median / smallest,
            percentile(&mut case.compiles, 50),
            percentile(&mut case.compiles, 99),
        );
    }
}
