//! What the analysis shows is confirmed by the evaluator: a task that a rule
//! takes, a task that two rules both ask for, a task that two policies treat
//! differently. And what tasks show, the analysis has found.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use edict::check::{
    Attribute, Policy, RuleId, Value, check_text, differences, overlaps, task_text, witness,
};
use edict::cli::parse_task;
use edict::diag::Severity;
use edict::eval::{Task, evaluate};

#[path = "support/rng.rs"]
#[allow(dead_code, reason = "each test crate uses a part of it")]
mod rng;
use rng::Rng;

/// Comparisons close to each other.
const ATOMS: &[&str] = &[
    "comm == \"a\"",
    "comm in { \"a\", \"ab\", \"b\" }",
    "comm starts with \"a\"",
    "comm ends with \"b\"",
    "comm contains \"ba\"",
    "comm like \"?b*\"",
    "comm matches \"^(ab)+$\"",
    "cmdline like \"*/ninja *\"",
    "cmdline contains \"-C\"",
    "cmdline matches \"\\\\bninja\\\\b\"",
    "cgroup under \"/a\"",
    "cgroup == \"/a/b\"",
    "cgroup ends with \"b\"",
    "nice < 0",
    "nice in -5..5",
    "nice not in { 3, 7..9 }",
    "runtime_avg in 1ms..2ms",
    "runtime_avg > 1500us",
    "cpu_util > 80%",
    "cpu_util in 50%..80%",
    "kthread",
    "on_battery",
    "unit == \"nginx.service\"",
    "unit like \"*.service\"",
];

fn condition(rng: &mut Rng, depth: usize) -> String {
    let atom = |rng: &mut Rng| {
        let atom = ATOMS[rng.below(ATOMS.len())];
        match rng.below(4) {
            0 => format!("not ({atom})"),
            _ => atom.to_owned(),
        }
    };
    if depth == 0 || rng.below(3) == 0 {
        return atom(rng);
    }
    let sign = [" and ", " or "][rng.below(2)];
    let members: Vec<String> = (0..2 + rng.below(2))
        .map(|_| format!("({})", condition(rng, depth - 1)))
        .collect();
    members.join(sign)
}

fn text(rules: &[(String, &str)]) -> String {
    let rules: String = rules
        .iter()
        .map(|(when, tier)| format!("  when {when} -> {tier}\n"))
        .collect();
    format!(
        "language 1\npolicy p {{ }}\ntier x {{ }}\ntier y {{ }}\ntier z {{ }}\nrules {{\n{rules}  otherwise -> x\n}}\n"
    )
}

fn any_rules(rng: &mut Rng) -> Vec<(String, &'static str)> {
    (0..1 + rng.below(5))
        .map(|_| (condition(rng, 2), ["x", "y", "z"][rng.below(3)]))
        .collect()
}

fn checked(rules: &[(String, &str)]) -> Option<Policy> {
    check_text("policy", &text(rules)).policy
}

/// A policy of some of the rules: those that are refused are left out.
fn any_policy(rng: &mut Rng) -> (Vec<(String, &'static str)>, Policy) {
    loop {
        let mut rules = any_rules(rng);
        while !rules.is_empty() {
            if let Some(policy) = checked(&rules) {
                return (rules, policy);
            }
            rules.remove(rng.below(rules.len()));
        }
    }
}

fn any_task(rng: &mut Rng) -> Task {
    let texts = |rng: &mut Rng, all: &[&str]| Value::from(all[rng.below(all.len())]);
    let numbers = |rng: &mut Rng, all: &[i64]| Value::from(all[rng.below(all.len())]);
    let mut task = Task::default();
    let names = ["a", "b", "ab", "abab", "ba", "xb", "xbay", "c"];
    task.set(Attribute::Comm, texts(rng, &names));
    task.set(
        Attribute::Nice,
        numbers(rng, &[-20, -6, -5, -1, 0, 3, 5, 6, 7, 9, 10]),
    );
    task.set(Attribute::Kthread, Value::Truth(rng.below(2) == 0));
    let lines = [
        "/usr/bin/ninja -C x",
        "ninja",
        "x/ninja y",
        "-C",
        "xninja",
        "",
    ];
    let groups = ["/", "/a", "/a/b", "/ab", "/b", "/a/bc"];
    let units = ["", "nginx.service", "x.service", "user.slice"];
    let known: [(Attribute, Value); 6] = [
        (Attribute::Cmdline, texts(rng, &lines)),
        (Attribute::Cgroup, texts(rng, &groups)),
        (Attribute::Unit, texts(rng, &units)),
        (
            Attribute::RuntimeAvg,
            numbers(
                rng,
                &[0, 1_000_000, 1_500_000, 1_500_001, 2_000_000, 2_000_001],
            ),
        ),
        (
            Attribute::CpuUtil,
            numbers(rng, &[0, 500_000, 800_000, 800_001, 1_000_000]),
        ),
        (Attribute::OnBattery, Value::Truth(rng.below(2) == 0)),
    ];
    for (attribute, value) in known {
        if rng.below(4) > 0 {
            task.set(attribute, value);
        }
    }
    task
}

fn task(values: &[(Attribute, Value)]) -> Task {
    let written = task_text(values);
    let read = parse_task(&written).unwrap_or_else(|error| panic!("{written}: {error:?}"));
    let mut task = Task::default();
    for (attribute, value) in values {
        task.set(*attribute, value.clone());
    }
    assert_eq!(read, task, "{written}");
    task
}

fn id(index: usize) -> RuleId {
    RuleId(u16::try_from(index).unwrap())
}

#[test]
fn the_task_of_a_rule_is_taken_by_it() {
    let mut rng = Rng::new(1);
    for _ in 0..60 {
        let (rules, policy) = any_policy(&mut rng);
        for index in 0..policy.rules().len() {
            // `otherwise` may be left with nothing.
            let Some(values) = witness(&policy, id(index)) else {
                assert_eq!(index, policy.rules().len() - 1, "{}", text(&rules));
                continue;
            };
            let found = evaluate(&policy, &task(&values));
            assert_eq!(found.rule, id(index), "{values:?} {}", text(&rules));
        }
    }
}

#[test]
fn overlaps_are_those_that_tasks_show() {
    let mut rng = Rng::new(2);
    for _ in 0..40 {
        let (rules, policy) = any_policy(&mut rng);
        // Each rule by itself; one that always holds is not asked.
        let alone: Vec<Option<Policy>> = rules
            .iter()
            .map(|(when, _)| checked(&[(when.clone(), "y")]))
            .collect();
        let matches = |rule: usize, task: &Task| {
            let alone = alone[rule].as_ref();
            alone.is_some_and(|policy| evaluate(policy, task).rule == id(0))
        };
        let mut pairs = Vec::new();
        for overlap in overlaps(&policy) {
            assert_eq!(
                overlap.severity,
                Severity::Warning,
                "all pairs are looked at"
            );
            let at = |label: usize| {
                let span = overlap.labels[label].span;
                let rules = policy.rules();
                rules.iter().position(|rule| rule.span == span).unwrap()
            };
            let (lower, upper) = (at(0), at(1));
            let help = overlap.help.unwrap();
            let written = help.split_once('`').unwrap().1.strip_suffix('`').unwrap();
            let task = parse_task(written).unwrap();
            assert_eq!(
                evaluate(&policy, &task).rule,
                id(upper),
                "{written} {}",
                text(&rules)
            );
            assert!(matches(lower, &task), "{written} {}", text(&rules));
            pairs.push((upper, lower));
        }
        for _ in 0..100 {
            let task = any_task(&mut rng);
            let upper = usize::from(evaluate(&policy, &task).rule.0);
            for lower in upper + 1..rules.len() {
                let (first, second) = (&policy.rules()[upper], &policy.rules()[lower]);
                if first.tier != second.tier && matches(lower, &task) {
                    assert!(pairs.contains(&(upper, lower)), "{task:?} {}", text(&rules));
                }
            }
        }
    }
}

#[test]
fn differences_are_those_that_tasks_show() {
    let mut rng = Rng::new(3);
    for _ in 0..40 {
        let (rules, old) = any_policy(&mut rng);
        let mut changed = rules.clone();
        let at = rng.below(changed.len());
        match rng.below(3) {
            0 => changed[at].0 = condition(&mut rng, 1),
            1 => changed[at].1 = ["x", "y", "z"][rng.below(3)],
            _ => drop(changed.remove(at)),
        }
        let Some(new) = checked(&changed) else {
            continue;
        };
        let said = differences(&old, &new, usize::MAX);
        assert!(said.complete);
        let tier = |policy: &Policy, task: &Task| {
            let tier = policy.tier(evaluate(policy, task).tier).unwrap();
            tier.name.clone()
        };
        let mut pairs = Vec::new();
        for difference in said.found {
            let task = task(&difference.values);
            assert_eq!(evaluate(&old, &task).rule, difference.old_rule);
            assert_eq!(evaluate(&new, &task).rule, difference.new_rule);
            assert_ne!(tier(&old, &task), tier(&new, &task));
            pairs.push((difference.old_rule, difference.new_rule));
        }
        for _ in 0..200 {
            let task = any_task(&mut rng);
            if tier(&old, &task) != tier(&new, &task) {
                let pair = (evaluate(&old, &task).rule, evaluate(&new, &task).rule);
                let both = format!("{}{}", text(&rules), text(&changed));
                assert!(pairs.contains(&pair), "{task:?} {both}");
            }
        }
    }
}

#[test]
fn a_limit_is_told() {
    let policy = |tiers: [&str; 2]| {
        checked(&[
            ("nice < 0".to_owned(), tiers[0]),
            ("nice > 5".to_owned(), tiers[1]),
        ])
        .unwrap()
    };
    let (old, new) = (policy(["y", "z"]), policy(["z", "y"]));
    let all = differences(&old, &new, 10);
    assert_eq!((all.found.len(), all.complete), (2, true));
    let some = differences(&old, &new, 1);
    assert_eq!((some.found.len(), some.complete), (1, false));
    assert_eq!(differences(&old, &old, 10).found, []);
}
