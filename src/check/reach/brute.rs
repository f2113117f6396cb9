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
                other => panic!("{other:?}"),
            }
        }
    }
}

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
    match attribute {
        Attribute::Comm => {
            let mut all = vec![String::new()];
            for _ in 0..3 {
                let longer: Vec<String> = all
                    .iter()
                    .flat_map(|text| ["a", "b", "z"].map(|c| format!("{text}{c}")))
                    .collect();
                all.extend(longer);
            }
            all.extend([FULL, &FULL[1..], "aaaaaaaaaaaaaab"].map(str::to_owned));
            all.sort();
            all.dedup();
            texts(all)
        }
        Attribute::Exe | Attribute::Cgroup => {
            let paths = [
                "/", "/a", "/a/b", "/a/b/c", "/a/bc", "/a/z", "/ab", "/ab/c", "/az", "/z",
            ];
            let mut all = texts(paths.map(str::to_owned).to_vec());
            all.push(Value::Unknown);
            all
        }
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
    match attribute {
        Attribute::Comm => prop_oneof![
            set(&["a", "b", "ab", "ba", "", FULL]).prop_map(move |s| Test::TextIn(attribute, s)),
            select(vec!["a", "b", "ab", "ba", FULL, &FULL[1..]])
                .prop_map(move |p| Test::StartsWith(attribute, p.to_owned())),
        ]
        .boxed(),
        Attribute::Exe | Attribute::Cgroup => prop_oneof![
            set(&["/a", "/a/b", "/ab", "/"]).prop_map(move |s| Test::TextIn(attribute, s)),
            set(&["/a", "/a/b", "/ab", "/"]).prop_map(move |s| Test::Under(attribute, s)),
            select(vec!["/", "/a", "/a/", "/a/b"])
                .prop_map(move |p| Test::StartsWith(attribute, p.to_owned())),
        ]
        .boxed(),
        Attribute::Nice => number(&[-20, -5, 0, 5, 19]),
        Attribute::Uid => number(&[0, 5, 4_294_967_295]),
        Attribute::Kthread => Just(Test::IsTrue(attribute)).boxed(),
        Attribute::RuntimeAvg | Attribute::WakeRate => number(&[0, 5]),
        other => panic!("{other}"),
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
    use Attribute::{Cgroup, Comm, Exe, Kthread, Nice, RuntimeAvg, Uid, WakeRate};
    let attributes = select(vec![
        [Comm, Nice, Kthread],
        [Exe, WakeRate, Kthread],
        [Cgroup, RuntimeAvg, Nice],
        [Comm, Exe, Uid],
        [Exe, Cgroup, Kthread],
    ]);
    attributes.prop_flat_map(|attributes| {
        let conds = prop::collection::vec(any_cond(attributes), 1..6);
        (Just(attributes), conds)
    })
}

/// What brute force finds; of unreachable rules without those above.
fn expected(attributes: [Attribute; 3], conds: &[Cond]) -> Vec<Finding> {
    let [a, b, c] = attributes.map(|attribute| {
        values(attribute)
            .into_iter()
            .map(|value| (attribute, value))
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
    #![proptest_config(ProptestConfig::with_cases(400))]

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
