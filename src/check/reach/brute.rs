//! The analysis against brute force: conditions over few values, and every task
//! that can be made of values close to them.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;

use super::super::attribute::Attribute;
use super::super::policy::{Compare, Cond, Test};
use super::{Finding, analyse};
use crate::diag::Span;

/// A value, or none for unknown.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Unknown,
    Text(String),
    Number(i64),
    Truth(bool),
}

/// Kleene's logic, as plainly as possible.
fn holds(cond: &Cond, task: &[(Attribute, Value)]) -> Option<bool> {
    match cond {
        Cond::Not(inner) => holds(inner, task).map(|truth| !truth),
        Cond::And(members) => {
            let truths: Vec<_> = members.iter().map(|m| holds(m, task)).collect();
            if truths.contains(&Some(false)) {
                Some(false)
            } else if truths.contains(&None) {
                None
            } else {
                Some(true)
            }
        }
        Cond::Or(members) => {
            let truths: Vec<_> = members.iter().map(|m| holds(m, task)).collect();
            if truths.contains(&Some(true)) {
                Some(true)
            } else if truths.contains(&None) {
                None
            } else {
                Some(false)
            }
        }
        Cond::Model(..) => None,
        Cond::Test(test, _) => {
            let (_, value) = task.iter().find(|(a, _)| *a == test.attribute())?;
            match (test, value) {
                (_, Value::Unknown) => None,
                (Test::TextIn(_, texts), Value::Text(text)) => Some(texts.contains(text)),
                (Test::StartsWith(_, prefix), Value::Text(text)) => Some(text.starts_with(prefix)),
                (Test::Under(_, paths), Value::Text(text)) => Some(paths.iter().any(|path| {
                    path == "/" || text == path || text.starts_with(&format!("{path}/"))
                })),
                (Test::Number(_, compare, bound), Value::Number(number)) => Some(match compare {
                    Compare::Eq => number == bound,
                    Compare::Lt => number < bound,
                    Compare::Le => number <= bound,
                    Compare::Gt => number > bound,
                    Compare::Ge => number >= bound,
                }),
                (Test::NumberIn(_, members), Value::Number(number)) => {
                    Some(members.contains(number))
                }
                (Test::IsTrue(_), Value::Truth(truth)) => Some(*truth),
                (Test::EndsWith(_, end), Value::Text(text)) => Some(text.ends_with(end)),
                (Test::Contains(_, part), Value::Text(text)) => Some(text.contains(part)),
                (Test::Like(_, glob), Value::Text(text)) => Some(like(text, glob)),
                (Test::Matches(_, regex), Value::Text(text)) => {
                    let (_, matches) = REGEXES.iter().find(|(known, _)| **known == **regex)?;
                    Some(matches(text))
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Globs with `*` and `?`, as plainly as possible.
fn like(text: &str, glob: &str) -> bool {
    match glob.chars().next() {
        None => text.is_empty(),
        Some('*') => like(text, &glob[1..]) || (!text.is_empty() && like(&text[1..], glob)),
        Some(c) => {
            text.chars()
                .next()
                .is_some_and(|first| c == '?' || c == first)
                && like(&text[1..], &glob[1..])
        }
    }
}

/// Regular expressions, and what they mean in plain words.
const REGEXES: [(&str, fn(&str) -> bool); 6] = [
    ("^(/|a)*$", |text| {
        text.chars().all(|c| matches!(c, '/' | 'a'))
    }),
    ("b$", |text| text.ends_with('b')),
    ("(?s)a.b", |text| {
        text.as_bytes()
            .windows(3)
            .any(|w| w[0] == b'a' && w[2] == b'b')
    }),
    ("(?s)^.?b", |text| {
        let mut chars = text.chars();
        chars.next() == Some('b') || chars.next() == Some('b')
    }),
    ("z|ba", |text| text.contains('z') || text.contains("ba")),
    ("(?s)^.{2,3}$", |text| matches!(text.len(), 2 | 3)),
];

const FULL: &str = "aaaaaaaaaaaaaaa";

/// Values of an attribute: one of each kind that the conditions can tell apart.
fn values(attribute: Attribute) -> Vec<Value> {
    let texts = |texts: Vec<String>| texts.into_iter().map(Value::Text).collect::<Vec<_>>();
    let numbers = |numbers: &[i64]| {
        numbers
            .iter()
            .map(|n| Value::Number(*n))
            .collect::<Vec<_>>()
    };
    let unknown = |mut all: Vec<Value>| {
        all.push(Value::Unknown);
        all
    };
    match attribute {
        Attribute::Comm | Attribute::ParentComm | Attribute::Cmdline => {
            let mut all = vec![String::new()];
            let mut longest = all.clone();
            for _ in 0..5 {
                longest = longest
                    .iter()
                    .flat_map(|text| ["a", "b", "z", "c"].map(|c| format!("{text}{c}")))
                    .collect();
                all.extend(longest.iter().cloned());
            }
            let ends = ["", "b", "z", "ab", "zb"].map(|end| format!("{}{end}", &FULL[end.len()..]));
            all.extend(ends);
            all.extend([FULL[1..].to_owned(), format!("a{}", &FULL[2..])]);
            if attribute == Attribute::Cmdline {
                let short: Vec<String> = all.iter().filter(|t| t.len() < 5).cloned().collect();
                for stem in [FULL, &FULL[1..]] {
                    all.extend(short.iter().map(|end| format!("{stem}{end}")));
                }
            }
            all.sort();
            all.dedup();
            match attribute {
                Attribute::Cmdline => unknown(texts(all)),
                _ => texts(all),
            }
        }
        Attribute::Exe | Attribute::Cgroup => {
            let mut all = vec!["/".to_owned()];
            let parts = [
                "a", "b", "z", "c", "ab", "ba", "azb", "bz", "za", "aa", "abz", "cb", "zb", "cz",
            ];
            for first in parts {
                all.push(format!("/{first}"));
                for second in parts {
                    all.push(format!("/{first}/{second}"));
                    all.extend(
                        ["a", "b", "z", "ab", "za"]
                            .map(|third| format!("/{first}/{second}/{third}")),
                    );
                }
            }
            unknown(texts(all))
        }
        Attribute::CpuUtil => unknown(numbers(&[
            0, 1, 499_999, 500_000, 500_001, 999_999, 1_000_000,
        ])),
        Attribute::OnBattery => unknown(vec![Value::Truth(true), Value::Truth(false)]),
        Attribute::Nice => numbers(&[-20, -19, -6, -5, -4, -1, 0, 1, 4, 5, 6, 18, 19]),
        Attribute::Uid => numbers(&[0, 1, 5, 6, 4_294_967_295]),
        Attribute::Kthread => vec![Value::Truth(true), Value::Truth(false)],
        Attribute::RuntimeAvg | Attribute::WakeRate => {
            let mut all = numbers(&[0, 1, 4, 5, 6, 1_000_000_000]);
            all.push(Value::Unknown);
            all
        }
        other => panic!("{other}"),
    }
}

fn any_test(attribute: Attribute) -> BoxedStrategy<Test> {
    let set = |from: &'static [&'static str]| {
        prop::collection::btree_set(select(from).prop_map(str::to_owned), 1..4)
            .prop_map(Arc::new)
            .boxed()
    };
    let number = |bounds: &'static [i64]| {
        let compare = select(vec![
            Compare::Eq,
            Compare::Lt,
            Compare::Le,
            Compare::Gt,
            Compare::Ge,
        ]);
        let members = prop::collection::btree_set(select(bounds), 1..3).prop_map(Arc::new);
        prop_oneof![
            3 => (compare, select(bounds)).prop_map(move |(c, n)| Test::Number(attribute, c, n)),
            1 => members.prop_map(move |members: Arc<BTreeSet<i64>>| Test::NumberIn(attribute, members)),
        ]
        .boxed()
    };
    let globs = |all: &'static [&'static str]| {
        select(all).prop_map(move |glob| Test::Like(attribute, glob.into()))
    };
    let regexes = |count: usize| {
        select(REGEXES[..count].to_vec())
            .prop_map(move |(regex, _)| Test::Matches(attribute, regex.into()))
    };
    match attribute {
        Attribute::Comm | Attribute::ParentComm | Attribute::Cmdline => prop_oneof![
            3 => set(&["a", "b", "ab", "ba", "", FULL]).prop_map(move |s| Test::TextIn(attribute, s)),
            2 => select(vec!["a", "b", "ab", "ba", FULL, &FULL[1..]])
                .prop_map(move |p| Test::StartsWith(attribute, p.to_owned())),
            1 => select(vec!["b", "ab", "za"])
                .prop_map(move |p| Test::EndsWith(attribute, p.to_owned())),
            1 => select(vec!["b", "za"])
                .prop_map(move |p| Test::Contains(attribute, p.to_owned())),
            1 => globs(&["a*", "?b*", "*z", "ab", "a?", "*"]),
            1 => regexes(6),
        ]
        .boxed(),
        Attribute::Exe | Attribute::Cgroup => prop_oneof![
            2 => set(&["/a", "/a/b", "/ab", "/"]).prop_map(move |s| Test::TextIn(attribute, s)),
            2 => set(&["/a", "/a/b", "/ab", "/"]).prop_map(move |s| Test::Under(attribute, s)),
            2 => select(vec!["/", "/a", "/a/", "/a/b"])
                .prop_map(move |p| Test::StartsWith(attribute, p.to_owned())),
            1 => select(vec!["b", "/ab", "/"])
                .prop_map(move |p| Test::EndsWith(attribute, p.to_owned())),
            1 => select(vec!["z", "/b"])
                .prop_map(move |p| Test::Contains(attribute, p.to_owned())),
            1 => globs(&["/a*", "/?", "*/z", "/*/*"]),
            1 => regexes(2),
        ]
        .boxed(),
        Attribute::CpuUtil => number(&[0, 500_000, 1_000_000]),
        Attribute::OnBattery => Just(Test::IsTrue(attribute)).boxed(),
        Attribute::Nice => number(&[-20, -5, 0, 5, 19]),
        Attribute::Uid => number(&[0, 5, 4_294_967_295]),
        Attribute::Kthread => Just(Test::IsTrue(attribute)).boxed(),
        Attribute::RuntimeAvg | Attribute::WakeRate => number(&[0, 5]),
        other => panic!("{other}"),
    }
}

/// The values are enough: every combination of tests that a value can have, one
/// of them has.
#[test]
fn every_class_has_one_of_the_values() {
    use super::super::pattern::Patterns;
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for attribute in [Attribute::Comm, Attribute::Cmdline, Attribute::Exe] {
        let values = values(attribute);
        for _ in 0..40 {
            let tests = prop::collection::vec(any_test(attribute), 5);
            let tests = tests.new_tree(&mut runner).unwrap().current();
            let patterns = Patterns::build(&tests.iter().collect::<Vec<_>>()).unwrap();
            let seen: BTreeSet<_> = values
                .iter()
                .filter_map(|value| match value {
                    Value::Text(text) => patterns.class(text),
                    _ => None,
                })
                .collect();
            for (number, class) in patterns.classes().iter().enumerate() {
                let Some(witness) = &class.witness else {
                    continue;
                };
                assert!(seen.contains(&number), "{tests:?}: {witness}");
            }
        }
    }
}

fn any_cond(attributes: [Attribute; 3]) -> impl Strategy<Value = Cond> {
    let [a, b, c] = attributes;
    let leaf = prop_oneof![any_test(a), any_test(b), any_test(c)]
        .prop_map(|test| Cond::Test(test, Span::default()));
    leaf.prop_recursive(3, 8, 3, |inner| {
        let members = || prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            2 => members().prop_map(Cond::And),
            2 => members().prop_map(Cond::Or),
            1 => inner.clone().prop_map(|inner| Cond::Not(Box::new(inner))),
        ]
    })
}

fn any_rules() -> impl Strategy<Value = ([Attribute; 3], Vec<Cond>)> {
    use Attribute::{
        Cgroup, Cmdline, Comm, CpuUtil, Exe, Kthread, Nice, OnBattery, ParentComm, RuntimeAvg, Uid,
        WakeRate,
    };
    let attributes = select(vec![
        [Comm, Nice, Kthread],
        [Exe, WakeRate, Kthread],
        [Cgroup, RuntimeAvg, Nice],
        [Comm, Uid, OnBattery],
        [Cgroup, OnBattery, Kthread],
        [Cmdline, CpuUtil, Kthread],
        [ParentComm, OnBattery, Kthread],
    ]);
    attributes.prop_flat_map(|attributes| {
        let conds = prop::collection::vec(any_cond(attributes), 1..6);
        (Just(attributes), conds)
    })
}

fn collect<'a>(cond: &'a Cond, leaves: &mut Vec<&'a Cond>) {
    match cond {
        Cond::And(members) | Cond::Or(members) => members.iter().for_each(|m| collect(m, leaves)),
        Cond::Not(inner) => collect(inner, leaves),
        Cond::Test(..) => leaves.push(cond),
        Cond::Model(..) => {}
    }
}

/// What brute force finds; of unreachable rules without those above.
fn expected(attributes: [Attribute; 3], conds: &[Cond]) -> Vec<Finding> {
    let mut leaves = Vec::new();
    conds.iter().for_each(|cond| collect(cond, &mut leaves));
    let [a, b, c] = attributes.map(|attribute| {
        // One value of those that no condition tells apart.
        let mut seen = BTreeSet::new();
        values(attribute)
            .into_iter()
            .map(|value| (attribute, value))
            .filter(|value| {
                let task = [value.clone()];
                seen.insert(
                    leaves
                        .iter()
                        .map(|leaf| holds(leaf, &task))
                        .collect::<Vec<_>>(),
                )
            })
            .collect::<Vec<_>>()
    });
    let mut matched = vec![0usize; conds.len()];
    let mut tasks = Vec::new();
    for a in &a {
        for b in &b {
            for c in &c {
                let task = [a.clone(), b.clone(), c.clone()];
                let truths: Vec<bool> = conds
                    .iter()
                    .map(|cond| holds(cond, &task) == Some(true))
                    .collect();
                for (count, truth) in matched.iter_mut().zip(&truths) {
                    *count += usize::from(*truth);
                }
                tasks.push(truths);
            }
        }
    }
    let sound = |index: usize| matched[index] > 0 && matched[index] < tasks.len();
    (0..conds.len())
        .filter_map(|index| {
            let reached = |truths: &&Vec<bool>| {
                truths[index] && !(0..index).any(|above| sound(above) && truths[above])
            };
            if matched[index] == 0 {
                Some(Finding::Never(index))
            } else if matched[index] == tasks.len() {
                Some(Finding::Always(index))
            } else if tasks.iter().any(|truths| reached(&truths)) {
                None
            } else {
                Some(Finding::Unreachable(index, Vec::new(), false))
            }
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn agrees_with_brute_force((attributes, conds) in any_rules()) {
        let mut rules: Vec<Option<&Cond>> = conds.iter().map(Some).collect();
        rules.push(None);
        let found = analyse(&rules);
        let bare: Vec<Finding> = found
            .iter()
            .map(|finding| match finding {
                Finding::Unreachable(index, ..) => Finding::Unreachable(*index, Vec::new(), false),
                other => other.clone(),
            })
            .collect();
        prop_assert_eq!(bare, expected(attributes, &conds));
        // Those that are named really are enough.
        for finding in found {
            let Finding::Unreachable(index, by, _) = finding else { continue };
            let mut few: Vec<Cond> = by.iter().map(|by| conds[*by].clone()).collect();
            few.push(conds[index].clone());
            let last = few.len() - 1;
            let again = expected(attributes, &few);
            prop_assert!(again.contains(&Finding::Unreachable(last, Vec::new(), false)));
        }
    }
}
