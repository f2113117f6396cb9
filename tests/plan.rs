//! The middle of the compiler without the kernel: the oracle and the plan, its
//! classes and its clause bitmaps, say the same about every task.
//!
//! Random policies over every attribute and operator, random tasks that nearly
//! miss them; `EDICT_PAIRS` sets how many pairs are tried and `EDICT_SEED` where
//! to begin. `tests/differential.rs` goes on from here to the bytes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

#[path = "support/random.rs"]
#[allow(dead_code, reason = "the fuzz targets use the rest")]
mod random;
#[path = "support/rng.rs"]
mod rng;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use edict::check::{ATTRIBUTES, Attribute, Policy, Type, Value, check_text};
use edict::eval::{self, Residual, Task};
use edict::image::{self, layout};
use edict::plan::{self, AttributePlan, ClassId, Clause, Placement, Plan, Slot};
use rng::Rng;

const TASKS_PER_POLICY: usize = 1_250;

/// Policies that are also lowered twice and emitted.
const EXAMINED: usize = 20;

/// The bank has as much in it as the cost says.
fn costs_what_it_says(plan: &Plan) {
    let image = image::emit(plan).unwrap();
    let head = |at: usize| {
        let bytes = image.bank()[at..at + 4].try_into().unwrap();
        u32::from_le_bytes(bytes) as usize
    };
    let cost = plan::cost(plan);
    let used = |what: &str| {
        let table = cost.tables.iter().find(|table| table.what == what);
        table.unwrap().used
    };
    assert_eq!(head(layout::head::NR_ROWS), cost.rows, "{plan}\n{cost}");
    assert_eq!(head(layout::head::STRIDE), cost.words, "{plan}\n{cost}");
    assert_eq!(head(layout::head::NR_CLAUSES), used("clauses"));
    // Without names the table has one empty slot.
    assert_eq!(head(layout::head::NAME_SLOTS), used("names and ids").max(1));
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} must be a number"))
    })
}

/// The class of what a task has.
fn class(planned: &AttributePlan, task: &Task) -> ClassId {
    match task.value(planned.attribute) {
        None => planned.unknown,
        Some(Value::Text(text)) => planned.class_of_text(text),
        Some(Value::Number(number)) => planned.class_of_number(*number),
        Some(Value::Truth(truth)) => planned.class_of_number(i64::from(*truth)),
    }
}

/// One row for each slot, AND, first set bit.
fn decide<'a>(plan: &'a Plan, task: &Task) -> &'a Clause {
    let words = plan.clauses().len().div_ceil(64);
    let mut all = vec![u64::MAX; words];
    for planned in plan.attributes() {
        let row = planned.row(class(planned, task));
        for (index, word) in all.iter_mut().enumerate() {
            *word &= row.get(index).copied().unwrap_or(0);
        }
    }
    let first = (0..plan.clauses().len())
        .find(|clause| all[clause / 64] >> (clause % 64) & 1 == 1)
        .expect("the clause of `otherwise` always holds");
    &plan.clauses()[first]
}

#[test]
fn oracle_and_plan_agree() {
    let pairs = setting("EDICT_PAIRS", 100_000) as usize;
    let seed = setting("EDICT_SEED", 1);
    let mut rng = Rng::new(seed);
    let mut tried = 0;
    let mut policies = 0;
    let mut otherwise = 0_usize;
    let mut deciding: BTreeMap<Slot, usize> = BTreeMap::new();
    while tried < pairs {
        let (text, policy) = random::policy(&mut rng);
        let plan = plan::lower(&policy).unwrap();
        policies += 1;
        if policies <= EXAMINED {
            assert_eq!(plan, plan::lower(&policy).unwrap(), "{text}");
            costs_what_it_says(&plan);
        }
        for planned in plan.attributes() {
            *deciding.entry(planned.slot).or_default() += 1;
        }
        for _ in 0..TASKS_PER_POLICY {
            let task = random::task(&mut rng);
            let oracle = eval::evaluate(&policy, &task);
            let clause = decide(&plan, &task);
            assert_eq!(
                (clause.rule, clause.tier),
                (oracle.rule, oracle.tier),
                "seed {seed}: the plan and the oracle\n{task:#?}\n{text}\n{plan}"
            );
            otherwise += usize::from(usize::from(oracle.rule.0) + 1 == policy.rules().len());
            tried += 1;
        }
    }
    println!(
        "{tried} pairs over {policies} policies agree; {:.0} % fell to `otherwise`",
        100.0 * otherwise as f64 / tried as f64
    );
    // A generator whose tasks all fall through would prove nothing, nor would
    // one that leaves something out.
    assert!(otherwise * 2 < tried, "the tasks hardly match any rule");
    if pairs >= 50_000 {
        let missing: Vec<String> = Slot::all()
            .filter(|slot| !deciding.contains_key(slot))
            .map(|slot| slot.to_string())
            .collect();
        assert!(missing.is_empty(), "no policy asked for {missing:?}");
    }
}

fn checked(rules: &str) -> Policy {
    let text = format!(
        "language 1\npolicy p {{ }}\ntier a {{ }}\ntier b {{ }}\nrules {{\n{rules}\n  otherwise -> b\n}}\n"
    );
    let checked = check_text("policy", &text);
    checked
        .policy
        .unwrap_or_else(|| panic!("{:#?}", checked.diagnostics))
}

fn lowered(rules: &str) -> Plan {
    plan::lower(&checked(rules)).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn joined(count: usize, word: &str, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect::<Vec<_>>().join(word)
}

/// What the generator never asks, no comparison of two halves can find.
#[test]
fn random_policies_ask_every_attribute_everything() {
    let mut rng = Rng::new(7);
    for about in ATTRIBUTES {
        let name = about.name;
        let asked: Vec<String> = (0..2_000)
            .map(|_| random::atom(&mut rng, about.attribute))
            .collect();
        let operators: &[&str] = match about.ty {
            Type::Bool => &[],
            Type::Text => &[
                "== \"",
                "!= \"",
                "in { \"",
                "in [a-z]",
                "not in [a-z]",
                "starts with \"",
                "starts with { \"",
                "ends with \"",
                "ends with { \"",
                "contains \"",
                "contains { \"",
                "like \"",
                "like { \"",
                "matches \"",
                "matches { \"",
            ],
            _ => &[
                "== ",
                "!= ",
                "< ",
                "<= ",
                "> ",
                ">= ",
                "in { ",
                "not in { ",
                "in [^{]*\\.\\.",
                "not in [^{]*\\.\\.",
            ],
        };
        for operator in operators {
            let pattern = format!("^{} {}", regex::escape(name), operator.replace('{', "\\{"));
            let pattern = regex::Regex::new(&pattern).unwrap();
            assert!(asked.iter().any(|text| pattern.is_match(text)), "{pattern}");
        }
        let is_path = matches!(about.attribute, Attribute::Exe | Attribute::Cgroup);
        let under = |text: &String| text.starts_with(&format!("{name} under "));
        assert_eq!(asked.iter().any(under), is_path, "{name}");
    }
}

#[test]
fn chains_of_comparisons_become_one() {
    let plan = lowered(&format!(
        "when {} -> a",
        joined(9_000, " and ", |n| format!("comm != \"{n}\""))
    ));
    let [clause, otherwise] = plan.clauses() else {
        panic!("{} clauses", plan.clauses().len());
    };
    assert_eq!((clause.literals.len(), otherwise.literals.len()), (1, 0));
    let [planned] = plan.attributes() else {
        panic!("{} attributes", plan.attributes().len());
    };
    assert_eq!(planned.classes(), 2);

    let plan = lowered(&format!(
        "when nice > 3 and ({}) -> a",
        joined(900, " or ", |n| format!("uid == {}", n * 2))
    ));
    assert_eq!(plan.clauses().len(), 2);
    assert_eq!(plan.clauses()[0].literals.len(), 2);
    // A set that all of them may be in says nothing about not being in one.
    let plan = lowered("when comm != \"a\" or exe != \"/a\" -> a");
    assert_eq!(plan.clauses().len(), 3);
}

#[test]
fn patterns_on_what_the_kernel_reads_are_a_slot_of_their_own() {
    let plan = lowered(
        "when comm == \"cc1\" or comm ends with \"plus\" -> a
         when comm like \"*rust*c\" and not (parent.comm matches \"^ma[ks]\") and exe like \"*/b?n/*\" -> a
         when parent.comm == \"make\" or comm starts with \"ab\" -> a
         when comm like \"ld*\" -> a",
    );
    let found: Vec<(String, Placement)> = plan
        .attributes()
        .iter()
        .map(|planned| (planned.slot.to_string(), planned.placement))
        .collect();
    let slot = |name: &str, placement| (name.to_owned(), placement);
    assert_eq!(
        found,
        [
            slot("comm", Placement::Kernel),
            slot("exe", Placement::Agent),
            slot("parent.comm", Placement::Kernel),
            slot("comm patterns", Placement::Agent),
            slot("parent.comm patterns", Placement::Agent),
        ]
    );
    assert_eq!(plan.slot(Slot::COMM_PATTERNS).unwrap().slot.index(), 32);
    assert_eq!(
        plan.slot(Slot::PARENT_COMM_PATTERNS).unwrap().slot.index(),
        33
    );
    // What the kernel has found is not forgotten while the agent is asked.
    let planned = plan.slot(Slot::of(Attribute::Comm)).unwrap();
    let row = planned.row(planned.class_of_text("ld.lld"));
    assert_ne!(row, planned.row(planned.class_of_text("cc")));
}

#[test]
fn what_does_not_fit_names_the_rule() {
    // Two rules that fit, and one that multiplies a long conjunction.
    let long = joined(700, " and ", |n| format!("not (exe starts with \"/{n}-\")"));
    let pairs = joined(9, " and ", |n| {
        format!("(wake_rate > {n} or runtime_avg > {n}us)")
    });
    let text = format!("when nice > 3 -> a\n  when nice < 1 -> a\n  when {long} and {pairs} -> a");
    let policy = checked(&text);
    let problems = plan::lower(&policy).unwrap_err();
    let [problem] = problems.as_slice() else {
        panic!("{problems:#?}");
    };
    assert_eq!(problem.code.as_str(), "E0420");
    assert_eq!(problem.labels[0].span, policy.rules()[2].span);
}

/// What is left of a policy, as a policy of its own.
fn rest_of(policy: &Policy, residual: &Residual) -> Policy {
    let mut rules = String::new();
    for rule in &residual.rules {
        let tier = &policy.tier(rule.tier).unwrap().name;
        let _ = match &rule.text {
            Some(text) => writeln!(rules, "  when {text} -> {tier}"),
            None => writeln!(rules, "  otherwise -> {tier}"),
        };
    }
    let tiers: String = policy
        .tiers()
        .iter()
        .map(|tier| format!("tier {} {{ }}\n", tier.name))
        .collect();
    let text = format!("language 1\npolicy rest {{ }}\n{tiers}rules {{\n{rules}}}\n");
    let checked = check_text("rest", &text);
    checked
        .policy
        .unwrap_or_else(|| panic!("{:#?}\n{text}", checked.diagnostics))
}

/// What is left of a policy is written, read again, and decides as the whole
/// does, whatever the open attributes turn out to be.
#[test]
fn what_is_left_decides_as_the_whole() {
    let rounds = setting("EDICT_RESIDUALS", 100);
    let seed = setting("EDICT_SEED", 1);
    let mut rng = Rng::new(seed);
    let (mut rules, mut left, mut tried) = (0, 0, 0);
    for _ in 0..rounds {
        let (text, policy) = random::policy(&mut rng);
        let plan = plan::lower(&policy).unwrap();
        let asked: Vec<Attribute> = plan
            .attributes()
            .iter()
            .map(|planned| planned.attribute)
            .collect();
        if asked.is_empty() {
            // Only a model was asked.
            continue;
        }
        let closed = random::task(&mut rng);
        let free: Vec<Attribute> = (0..1 + rng.below(3)).map(|_| *rng.pick(&asked)).collect();
        let residual = eval::residual(&policy, &closed, &free);
        let rest = rest_of(&policy, &residual);
        rules += policy.rules().len();
        left += residual.rules.len();
        for _ in 0..40 {
            let mut task = Task::default();
            for (attribute, value) in closed.values() {
                if !free.contains(&attribute) {
                    task.set(attribute, value.clone());
                }
            }
            for attribute in &free {
                if !(attribute.about().may_be_unknown && rng.one_in(6)) {
                    task.set(*attribute, random::value(&mut rng, *attribute));
                }
            }
            let whole = eval::evaluate(&policy, &task);
            let part = eval::evaluate(&rest, &task);
            let part = residual.rules[usize::from(part.rule.0)].rule;
            assert_eq!(
                whole.rule, part,
                "seed {seed}: {free:?}\n{task:#?}\n{text}\n{residual:#?}"
            );
            tried += 1;
        }
    }
    println!("{tried} tasks over {rounds} policies: {left} of {rules} rules are left");
    // If nothing were ever left out, or everything, this would prove little.
    assert!(left * 10 < rules * 9 && left * 10 > rules * 2);
}

/// What people read about a plan: its text, and what it costs. To accept a
/// change: `EDICT_BLESS=1 cargo test --test plan`, then read the difference.
#[test]
fn a_plan_is_printed_with_slots_patterns_and_places() {
    let plan = lowered(
        "  build:   when comm in { \"cc1\", \"rustc\", \"ld\" } or comm ends with \"-ld\" -> a
  shells:  when parent.comm like \"*sh\" and not (cmdline matches \" -c \") -> a
  web:     when exe under \"/usr/sbin\" and unit like \"nginx@*.service\" and unit != \"nginx@9.service\" -> a
  busy:    when cpu_util in 50%..80% and not on_battery -> a
  young:   when age < 1500us and uid in { 0, 1000, 1001 } and user != \"root\" -> a",
    );
    let text = format!("{plan}\n{}", plan::cost(&plan));
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plan.txt");
    if std::env::var_os("EDICT_BLESS").is_some() {
        fs::write(&golden, &text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(&golden).unwrap_or_default());
}
