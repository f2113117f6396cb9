//! The front end as a whole: whatever the text is, it is refused or becomes a
//! policy, in bounded time and stack, always with the same outcome.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

#[path = "support/hostile.rs"]
mod hostile;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use edict::check::{
    Attribute, Between, Checked, Compare, Cond, Order, Test, check_text, check_texts,
};
use edict::diag::{self, Diagnostic, Format, RenderOptions};
use proptest::prelude::*;

/// What holds of every outcome.
fn consistent(checked: &Checked) {
    let refused = checked.diagnostics.iter().any(Diagnostic::is_error);
    assert_eq!(
        checked.policy.is_none(),
        refused,
        "{:?}",
        checked.diagnostics
    );
    for diagnostic in &checked.diagnostics {
        for label in &diagnostic.labels {
            assert!(label.span.start <= label.span.end);
        }
    }
    let Some(policy) = &checked.policy else {
        return;
    };
    let (tiers, rules) = (policy.tiers(), policy.rules());
    assert!((1..=16).contains(&tiers.len()));
    assert!((1..=512).contains(&rules.len()));
    let names: BTreeSet<_> = tiers.iter().map(|tier| &tier.name).collect();
    assert_eq!(names.len(), tiers.len());
    let names: BTreeSet<_> = rules.iter().map(|rule| &rule.name).collect();
    assert_eq!(names.len(), rules.len());
    for (index, rule) in rules.iter().enumerate() {
        assert_eq!(rule.when.is_none(), index + 1 == rules.len());
        assert!(policy.tier(rule.tier).is_some());
    }
    for tier in tiers {
        assert!(
            tier.preempt
                .iter()
                .all(|id| policy.tier(*id).is_some_and(|t| t.name != tier.name))
        );
        assert!(tier.max_wait.is_none_or(|wait| wait >= tier.slice));
    }
    for test in policy.tests() {
        let rule = test.rule.map(|id| &rules[usize::from(id.0)]);
        assert!(rule.is_none_or(|rule| rule.tier == test.tier));
    }
    let notes = checked.diagnostics.iter();
    let notes = notes.filter(|d| matches!(d.code.as_str(), "E0506" | "E0507"));
    assert_eq!(notes.count(), policy.unready().len());
}

fn human(checked: &Checked) -> String {
    let options = RenderOptions::default();
    diag::render(&checked.diagnostics, &checked.files, Format::Human, options)
}

#[test]
fn hostile_texts_are_answered_in_time_on_a_small_stack() {
    let run = || {
        for size in [2_000, 16_000] {
            for (name, text) in hostile::hostile(size) {
                let start = Instant::now();
                let checked = check_text("hostile", &text);
                let took = start.elapsed();
                // What grows without bounds takes minutes. Not optimised, and beside other
                // tests; `cargo bench --bench front` has the real numbers.
                assert!(took < Duration::from_secs(20), "{name}: {took:?}");
                consistent(&checked);
                assert!(checked.diagnostics.len() <= 170, "{name}");
                assert!(human(&checked).len() < 256 << 10, "{name}");
            }
        }
    };
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(run);
    thread.unwrap().join().unwrap();
}

#[test]
fn how_many_are_not_shown_is_said_last() {
    let rules: String = (0..150)
        .map(|n| format!("  when comm == {n} -> a\n"))
        .collect();
    let text = format!(
        "language 1\npolicy p {{ }}\ntier a {{ }}\nrules {{\n{rules}  otherwise -> a\n}}\n"
    );
    let checked = check_text("flood", &text);
    let last = checked.diagnostics.last().unwrap();
    assert_eq!(last.message, "50 more diagnostics are not shown");
}

/// Comparisons for the first rule, and something else for the others.
fn joined(rule: usize, count: usize, one: fn(usize) -> String) -> String {
    if rule > 0 {
        return format!("nice == {}", rule % 20);
    }
    (0..count).map(one).collect::<Vec<_>>().join(" and ")
}

/// Rules whose boxes overlap in as many ways as possible: the analysis gives up
/// rather than take long.
#[test]
fn overlapping_rules_are_answered_in_time_on_a_small_stack() {
    let run = || {
        let kinds: [fn(usize) -> String; 6] = [
            // Many comparisons in one rule.
            |n| joined(n, 4_000, |n| format!("uid != {n}")),
            |n| joined(n, 13_000, |n| format!("exe != \"/{n}\"")),
            |n| {
                joined(n, 500, |n| {
                    format!("exe starts with \"/{}\"", "a".repeat(n))
                })
                .replace(" and ", " or ")
            },
            |n| format!("uid != {n} and wake_rate != {n} and runtime_avg != {n}us"),
            |n| {
                format!(
                    "uid > {} and wake_rate < {} and nice != {}",
                    n * 7 % 500,
                    900 - n,
                    n % 19
                )
            },
            |n| {
                format!(
                    "comm != \"{n}\" and exe != \"/{n}\" and cgroup != \"/{n}\" and uid != {n} and wake_rate != {n}"
                )
            },
        ];
        for (kind, condition) in kinds.into_iter().enumerate() {
            let rules: String = (0..511)
                .map(|n| format!("  when {} -> a\n", condition(n)))
                .collect();
            let text = format!(
                "language 1\npolicy p {{ }}\ntier a {{ }}\nrules {{\n{rules}  otherwise -> a\n}}\n"
            );
            let start = Instant::now();
            consistent(&check_text("rules", &text));
            let took = start.elapsed();
            assert!(took < Duration::from_secs(10), "{kind}: {took:?}");
        }
    };
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(run);
    thread.unwrap().join().unwrap();
}

#[test]
fn a_policy_says_what_was_written() {
    let checked = check_texts(&[
        (
            "policy.edict",
            "language 1
             include \"sets\"
             policy web { version = \"2\" kernel = \"6.12\" }
             const base = 4ms
             tier a { tickets = 8 slice = base / 2 order = fifo preempt = [b] max_wait = base * 250% }
             tier b { }
             rules {
               x: when comm in edge and nice <= -5 -> a
               when not (kthread or runtime_avg > base) and cgroup not in { \"/x\" } -> b
               when exe under \"/usr\" or wake_rate in { 5, 6 } or uid != 0 -> a
               otherwise -> b
             }
             lottery { between = strict }",
        ),
        ("sets", "language 1\nset edge = { \"nginx\", \"envoy\", }"),
    ]);
    assert_eq!(checked.diagnostics, []);
    consistent(&checked);
    let policy = checked.policy.unwrap();
    assert_eq!((policy.name(), policy.version()), ("web", Some("2")));
    assert_eq!(policy.kernel(), Some((6, 12)));
    assert_eq!(policy.lottery().between, Between::Strict);
    let a = &policy.tiers()[0];
    assert_eq!((a.tickets, a.slice.0, a.order), (8, 2_000_000, Order::Fifo));
    assert_eq!(a.max_wait.map(|wait| wait.0), Some(10_000_000));
    assert_eq!(policy.tier(a.preempt[0]).unwrap().name, "b");
    let b = &policy.tiers()[1];
    assert_eq!(
        (b.tickets, b.slice.0, b.order, b.max_wait),
        (100, 5_000_000, Order::Vtime, None)
    );
    let names: Vec<_> = policy
        .rules()
        .iter()
        .map(|rule| rule.name.as_str())
        .collect();
    assert_eq!(names, ["x", "line 9", "line 10", "otherwise"]);
    let lines: Vec<_> = policy.rules().iter().map(|rule| rule.line).collect();
    assert_eq!(lines, [8, 9, 10, 11]);

    let Some(Cond::And(parts)) = &policy.rules()[0].when else {
        panic!("a conjunction")
    };
    let Cond::Test(Test::TextIn(Attribute::Comm, names), span) = &parts[0] else {
        panic!("a test of names")
    };
    assert_eq!(names.iter().collect::<Vec<_>>(), ["envoy", "nginx"]);
    let root = checked.files.root();
    assert_eq!(
        span.of(diag::Files::text(&checked.files, root)),
        "comm in edge"
    );
    assert!(matches!(
        &parts[1],
        Cond::Test(Test::Number(Attribute::Nice, Compare::Le, -5), _)
    ));
    let Some(Cond::Or(parts)) = &policy.rules()[2].when else {
        panic!("alternatives")
    };
    assert!(matches!(
        &parts[0],
        Cond::Test(Test::Under(Attribute::Exe, _), _)
    ));
    assert!(matches!(
        &parts[1],
        Cond::Test(Test::NumberIn(Attribute::WakeRate, _), _)
    ));
    let Cond::Not(inner) = &parts[2] else {
        panic!("a negation")
    };
    assert!(matches!(
        &**inner,
        Cond::Test(Test::Number(Attribute::Uid, Compare::Eq, 0), _)
    ));
}

#[test]
fn the_kernel_keeps_what_the_range_says() {
    let slice = |value: &str| {
        let text = format!(
            "language 1 policy p {{ }} tier a {{ slice = {value} }} rules {{ otherwise -> a }}"
        );
        check_text("p", &text)
            .policy
            .map(|policy| policy.tiers()[0].slice.0)
    };
    assert_eq!(slice("100us"), Some(100_000));
    assert_eq!(slice("99_999ns"), None);
    assert_eq!(slice("100ms"), Some(100_000_000));
    assert_eq!(slice("100ms + 1ns"), None);
    assert_eq!(slice("(1ms + 2ms) * 3 - 500us"), Some(8_500_000));
    assert_eq!(slice("9223372036854775807ns * 2 / 1000000000"), None);
    assert_eq!(slice("-5ms + 10ms"), Some(5_000_000));
    assert_eq!(slice("9ms / 2ms * 1ms"), Some(4_000_000));
}

/// Pieces that policies are made of, and some that they are not.
const PIECES: &[&str] = &[
    "language 1\n",
    "policy p { }\n",
    "tier a { ",
    "tier b { ",
    "}\n",
    "slice = ",
    "tickets = ",
    "max_wait = ",
    "preempt = [a, b] ",
    "order = ",
    "fifo ",
    "const c = ",
    "set s = ",
    "rules { ",
    "when ",
    "otherwise ",
    "-> a\n",
    "-> b\n",
    "x: ",
    "and ",
    "or ",
    "not ",
    "( ",
    ") ",
    "comm ",
    "exe ",
    "nice ",
    "uid ",
    "kthread ",
    "cgroup ",
    "runtime_avg ",
    "wake_rate ",
    "== ",
    "!= ",
    "< ",
    ">= ",
    "in ",
    "not in ",
    "under ",
    "starts with ",
    "{ \"a\", \"b\" } ",
    "{ 1, 2 } ",
    "s ",
    "c ",
    "3 ",
    "-1 ",
    "5ms ",
    "1s ",
    "50% ",
    "\"/a\" ",
    "\"x\" ",
    "true ",
    "+ ",
    "* ",
    "/ ",
    "= ",
    "include \"i\"\n",
    "lottery { between = strict }\n",
    "model m { }\n",
    "# c\n",
    ", ",
    "&& ",
    "é ",
    "\"",
    "99999999999999999999 ",
    "test \"t\" { expect a by x }\n",
    "use g ",
    "when kthread -> a\n",
];

/// Statements that fit, so that many texts get far.
const STATEMENTS: &[&str] = &[
    "const d = 5ms\n",
    "set t = { \"a\", \"b\" }\n",
    "set n = { 1, 2 }\n",
    "tier a { }\n",
    "tier b { slice = 2ms max_wait = 9ms }\n",
    "lottery { }\n",
    "rules { when comm in { \"a\" } -> a when nice > 3 or kthread -> b otherwise -> a }\n",
    "rules { when comm in t -> a when uid in n -> b when runtime_avg < d -> a otherwise -> b }\n",
    "rules { when nice > 3 -> a when nice > 5 -> b otherwise -> a }\n",
    "rules { otherwise -> a }\n",
    "policy p { version = \"1\" }\n",
    "rules g { when nice > 4 -> a when uid == 3 -> b }\n",
    "rules { use g when nice > 3 -> a otherwise -> b }\n",
    "rules h { use g }\n",
    "override tier a { tickets = 3 }\n",
    "override tier b { max_wait = 1ms }\n",
    "model m { file = \"m\" inputs = [nice] }\n",
    "balance { when imbalance > 15% for 40ms -> migrate within llc model = m }\n",
    "reward { script = \"r\" bounds { a.tickets = 1..500 } }\n",
    "learn { limit = 1MiB }\n",
    "test \"t\" { task { nice = 3 } expect a by otherwise }\n",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_soup_of_pieces_is_answered(
        statements in prop::collection::vec(prop::sample::select(STATEMENTS), 0..8),
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40),
    ) {
        let text = format!("language 1\n{}{}", statements.concat(), pieces.concat());
        let checked = check_text("soup", &text);
        consistent(&checked);
        human(&checked);
        let again = check_text("soup", &text);
        prop_assert_eq!(checked.diagnostics, again.diagnostics);
        prop_assert_eq!(checked.policy, again.policy);
    }
}
