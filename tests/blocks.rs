//! Blocks: what becomes of them in the policy.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use edict::check::{
    Attribute, Cpus, Domain, Order, Ppm, RuleId, TierId, Value, check_text, check_texts,
};
use edict::diag::{Diagnostic, Files, Severity};
use edict::eval::{Task, evaluate};
use proptest::prelude::*;

/// A policy in several files: everything that an included file brings.
#[test]
fn tests_groups_overrides_and_models_are_typed() {
    let root = r#"language 1
policy web { }
include "base.edict"
const base = 3ms
override tier batch { tickets = 30   max_wait = 400ms }
tier critical { tickets = 800 }
rules {
  use web
  polite: when nice >= limit -> batch
  otherwise -> regular
}
test "nginx" {
  task { comm = "nginx" nice = 0 kthread = false runtime_avg = base cpu_util = 12% }
  expect critical by web.edge
}
test "the rest" { task { } expect regular by otherwise }
"#;
    let base = r#"tier regular { }
tier batch { tickets = 20   slice = 20ms }
const limit = 10
rules web {
  edge: when comm == "nginx" -> critical
  use logs
  when comm == "apache2" -> critical
}
rules logs {
  rotate: when comm == "logrotate" -> batch
}
test "logrotate" { task { comm = "logrotate" } expect batch by logs.rotate }
"#;
    let checked = check_texts(&[("policy.edict", root), ("base.edict", base)]);
    assert_eq!(checked.diagnostics, []);
    let policy = checked.policy.unwrap();
    let tiers: Vec<&str> = policy.tiers().iter().map(|t| t.name.as_str()).collect();
    assert_eq!(tiers, ["regular", "batch", "critical"]);
    let batch = &policy.tiers()[1];
    assert_eq!((batch.tickets, batch.slice.0), (30, 20_000_000));
    assert_eq!(batch.max_wait.map(|wait| wait.0), Some(400_000_000));
    let rules: Vec<(&str, u32)> = policy
        .rules()
        .iter()
        .map(|rule| (rule.name.as_str(), rule.line))
        .collect();
    assert_eq!(
        rules,
        [
            ("web.edge", 5),
            ("logs.rotate", 10),
            ("web line 7", 7),
            ("polite", 9),
            ("otherwise", 10),
        ]
    );
    assert_eq!(
        checked.files.name(policy.rules()[1].span.file),
        "base.edict"
    );

    let tests = policy.tests();
    let names: Vec<&str> = tests.iter().map(|test| test.name.as_str()).collect();
    assert_eq!(names, ["logrotate", "nginx", "the rest"]);
    assert_eq!((tests[0].tier, tests[0].rule), (TierId(1), Some(RuleId(1))));
    assert_eq!((tests[1].line, tests[1].rule), (12, Some(RuleId(0))));
    assert_eq!(tests[2].rule, Some(RuleId(4)));
    assert_eq!(
        tests[1].values,
        [
            (Attribute::Comm, Value::from("nginx")),
            (Attribute::Nice, Value::from(0)),
            (Attribute::Kthread, Value::from(false)),
            (Attribute::RuntimeAvg, Value::from(3_000_000)),
            (Attribute::CpuUtil, Value::from(120_000)),
        ]
    );
}

/// What no engine carries out is typed all the same, and listed.
#[test]
fn what_is_not_carried_out_is_typed_and_listed() {
    let text = r#"language 1
policy web { }
tier critical { tickets = 800   cpus = "8,0-3"   exclusive = true   perf = 80%   budget = 50%   burst = 20ms }
tier batch { order = lottery   slice = 20ms }
model mover {
  file = "mover.onnx"
  inputs = [cpu_util, load, on_battery]
}
rules { when nice < 0 -> critical   otherwise -> batch }
balance {
  when imbalance > 15% for 40ms -> migrate within llc
  max_moves = 3%
  model = mover
}
reward { script = "r.rhai" bounds { critical.tickets = 400..1600 batch.slice = 5ms..40ms } }
learn { min_confidence = 70% limit = 1MiB }
lottery { compensate = false seed = 42 }
"#;
    let checked = check_text("policy.edict", text);
    let policy = checked.policy.unwrap();
    let critical = &policy.tiers()[0];
    assert_eq!(critical.cpus, Some(Cpus::List(vec![(0, 3), (8, 8)])));
    assert!(critical.exclusive);
    assert_eq!(
        (critical.perf, critical.budget),
        (Some(Ppm(800_000)), Some(Ppm(500_000)))
    );
    assert_eq!(critical.burst.map(|burst| burst.0), Some(20_000_000));
    assert_eq!(policy.tiers()[1].order, Order::Lottery);
    let model = &policy.models()[0];
    assert_eq!(
        model.inputs,
        [Attribute::CpuUtil, Attribute::Load, Attribute::OnBattery]
    );
    assert_eq!((model.budget.0, model.missing), (200_000, Ppm(500_000)));
    let balance = policy.balance().unwrap();
    assert_eq!(
        (balance.max_moves, balance.threshold),
        (Ppm(30_000), Ppm(500_000))
    );
    assert_eq!(balance.model.and_then(|id| policy.model(id)), Some(model));
    let rule = &balance.rules[0];
    assert_eq!((rule.hold.0, rule.within), (40_000_000, Domain::Llc));
    let reward = policy.reward().unwrap();
    assert_eq!(
        (reward.script.as_str(), reward.every.0),
        ("r.rhai", 1_000_000_000)
    );
    let bounds: Vec<_> = reward
        .bounds
        .iter()
        .map(|bound| (bound.tier.0, bound.field.name, bound.low, bound.high))
        .collect();
    assert_eq!(
        bounds,
        [
            (0, "tickets", 400, 1_600),
            (1, "slice", 5_000_000, 40_000_000)
        ]
    );
    let learn = policy.learn().unwrap();
    assert_eq!((learn.min_observations, learn.limit), (3, 1 << 20));
    assert_eq!(learn.min_confidence, Ppm(700_000));
    let lottery = policy.lottery();
    assert_eq!((lottery.compensate, lottery.seed), (false, 42));
    assert_eq!(lottery.refill.0, 1_000_000_000);

    // One error for each block and field, and a note for each in `check`.
    let codes: Vec<&str> = policy.unready().iter().map(|d| d.code.as_str()).collect();
    assert_eq!(codes, ["E0506", "E0507", "E0506", "E0506"]);
    assert!(policy.unready().iter().all(Diagnostic::is_error));
    assert_eq!(checked.diagnostics.len(), 4);
    for diagnostic in &checked.diagnostics {
        assert_eq!(diagnostic.severity, Severity::Note);
    }
}

/// A rule, or a group of what may stand among rules.
#[derive(Debug, Clone)]
enum Piece {
    Rule(usize, usize),
    Group(Vec<Piece>),
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let rule = (0..40_usize, 0..2_usize).prop_map(|(name, tier)| Piece::Rule(name, tier));
    let piece = rule.prop_recursive(3, 24, 4, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(Piece::Group)
    });
    prop::collection::vec(piece, 0..6)
}

/// Writes the pieces as they stand, and the same with groups in other files.
struct Written {
    inline: String,
    grouped: String,
    files: [String; 2],
    groups: usize,
    seen: Vec<usize>,
}

impl Written {
    fn write(&mut self, pieces: &[Piece]) -> String {
        let mut body = String::new();
        for piece in pieces {
            match piece {
                // The same name twice would be a rule that never matches.
                Piece::Rule(name, _) if self.seen.contains(name) => {}
                Piece::Rule(name, tier) => {
                    self.seen.push(*name);
                    let rule = format!("  when comm == \"n{name}\" -> t{tier}\n");
                    self.inline += &rule;
                    body += &rule;
                }
                Piece::Group(inner) => {
                    self.groups += 1;
                    let number = self.groups;
                    let inner = self.write(inner);
                    let group = format!("rules g{number} {{\n{inner}}}\n");
                    match number % 3 {
                        0 => self.grouped += &group,
                        other => self.files[other - 1] += &group,
                    }
                    body += &format!("  use g{number}\n");
                }
            }
        }
        body
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Groups, wherever they are defined, mean what their rules mean in place.
    #[test]
    fn groups_mean_what_their_rules_mean(pieces in pieces()) {
        let head = "language 1\npolicy p { }\ntier t0 { }\ntier t1 { }\n";
        let mut written = Written {
            inline: String::new(),
            grouped: String::new(),
            files: ["language 1\n".to_owned(), "language 1\n".to_owned()],
            groups: 0,
            seen: Vec::new(),
        };
        let body = written.write(&pieces);
        let inline = format!("{head}rules {{\n{}otherwise -> t0\n}}\n", written.inline);
        let grouped = format!(
            "{head}include \"one\"\ninclude \"two\"\n{}rules {{\n{body}otherwise -> t0\n}}\n",
            written.grouped
        );
        let inline = check_text("inline", &inline).policy.unwrap();
        let [one, two] = &written.files;
        let checked = check_texts(&[("grouped", &grouped), ("one", one), ("two", two)]);
        prop_assert!(checked.policy.is_some(), "{:?}", checked.diagnostics);
        let grouped = checked.policy.unwrap();
        for name in 0..40 {
            let task = Task::default().with(Attribute::Comm, format!("n{name}"));
            let (was, is) = (evaluate(&inline, &task), evaluate(&grouped, &task));
            prop_assert_eq!((was.tier, was.rule), (is.tier, is.rule));
        }
        // Each rule says where it stands in its own file.
        for rule in grouped.rules() {
            let text = rule.span.of(checked.files.text(rule.span.file));
            prop_assert!(text.starts_with("when") || text.starts_with("otherwise"));
        }
    }

    /// A field that is overridden, in any file, is as if it had been written so.
    #[test]
    fn an_override_is_as_if_it_had_been_written_so(
        base in (1..1000u32, 1..50u32),
        tickets in prop::option::of(1..1000u32),
        slice in prop::option::of(1..50u32),
        elsewhere in any::<bool>(),
    ) {
        let tier = |tickets: u32, slice: u32| format!("tier a {{ tickets = {tickets} slice = {slice}ms }}\n");
        let change: String = [
            tickets.map(|n| format!("override tier a {{ tickets = {n} }}\n")),
            slice.map(|n| format!("override tier a {{ slice = {n}ms }}\n")),
        ]
        .into_iter()
        .flatten()
        .collect();
        let rest = "rules { otherwise -> a }\n";
        let head = "language 1\npolicy p { }\n";
        let direct = format!(
            "{head}{}{rest}",
            tier(tickets.unwrap_or(base.0), slice.unwrap_or(base.1))
        );
        let (here, there) = match elsewhere {
            true => (String::new(), change),
            false => (change, String::new()),
        };
        let changed = format!("{head}include \"one\"\n{here}{rest}");
        let one = format!("language 1\n{}{there}", tier(base.0, base.1));
        let direct = check_text("direct", &direct).policy.unwrap();
        let checked = check_texts(&[("changed", &changed), ("one", &one)]);
        let changed = checked.policy.unwrap();
        let (was, is) = (&direct.tiers()[0], &changed.tiers()[0]);
        prop_assert_eq!((was.tickets, was.slice), (is.tickets, is.slice));
    }
}
