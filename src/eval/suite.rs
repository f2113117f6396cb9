//! Runs the tests that a policy brings, and finds what they leave untested.
//!
//! A test passes when its task is sent to the tier that it expects and, where
//! it names one, by that rule. What is covered is counted in two ways. A *rule*
//! is covered when it decided for the task of some test. A *member* of a set is
//! covered when the value of such a task was that member, in the rule that
//! decided; a member of a set that the condition negates keeps tasks out, so
//! it is covered when the rule was tried and did not match.
//!
//! Only sets of two or more members are counted: the one name in `comm == "x"`
//! is covered with its rule.

use std::collections::BTreeMap;

use super::{Task, Truth, Verdict, evaluate, holds, part, parts, truth};
use crate::check::{Attribute, Cond, Policy, RuleId, Test, TestCase};
use crate::diag::Span;

/// What came of one test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome<'a> {
    /// The test.
    pub case: &'a TestCase,
    /// Its task.
    pub task: Task,
    /// What the policy decides for it.
    pub verdict: Verdict,
}

impl Outcome<'_> {
    /// Whether the policy decides what the test expects.
    pub fn passed(&self) -> bool {
        self.verdict.tier == self.case.tier
            && self.case.rule.is_none_or(|rule| rule == self.verdict.rule)
    }
}

/// Runs tests, in their order.
pub fn run<'a>(policy: &Policy, cases: impl IntoIterator<Item = &'a TestCase>) -> Vec<Outcome<'a>> {
    cases
        .into_iter()
        .map(|case| {
            let mut task = Task::default();
            for (attribute, value) in &case.values {
                task.set(*attribute, value.clone());
            }
            let verdict = evaluate(policy, &task);
            Outcome {
                case,
                task,
                verdict,
            }
        })
        .collect()
}

/// What tests have reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// For each rule, how many tests it decided.
    pub rules: Vec<usize>,
    /// The sets in the conditions, in the order of the text.
    pub sets: Vec<Members>,
}

/// One set in the condition of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// The rule.
    pub rule: RuleId,
    /// Where the condition stands.
    pub span: Span,
    /// The attribute that is compared with the set.
    pub attribute: Attribute,
    /// Each member in its order, as it is written, and whether it is covered.
    pub members: BTreeMap<Member, bool>,
}

/// A member of a set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Member {
    /// Of a set of texts.
    Text(String),
    /// Of a set of numbers, durations in nanoseconds, ratios in parts per
    /// million.
    Number(i64),
}

impl Coverage {
    /// How many rules decided for some test.
    pub fn covered(&self) -> usize {
        self.rules.iter().filter(|count| **count > 0).count()
    }

    /// Covered members, and all of them.
    pub fn members(&self) -> (usize, usize) {
        self.sets.iter().fold((0, 0), |(covered, all), set| {
            let hit = set.members.values().filter(|hit| **hit).count();
            (covered + hit, all + set.members.len())
        })
    }
}

/// What the tests that were run have reached.
pub fn coverage(policy: &Policy, outcomes: &[Outcome<'_>]) -> Coverage {
    let mut rules = vec![0; policy.rules().len()];
    for outcome in outcomes {
        if let Some(count) = rules.get_mut(usize::from(outcome.verdict.rule.0)) {
            *count += 1;
        }
    }
    let mut sets = Vec::new();
    for (index, rule) in policy.rules().iter().enumerate() {
        let id = RuleId(u16::try_from(index).unwrap_or(u16::MAX));
        let Some(cond) = &rule.when else { continue };
        // The tasks that a set of this rule can have had to do with.
        let tried: Vec<(&Task, bool)> = outcomes
            .iter()
            .filter(|outcome| id <= outcome.verdict.rule)
            .map(|outcome| (&outcome.task, truth(cond, &outcome.task) == Truth::True))
            .collect();
        each_set(cond, false, &mut |tests, span, negated| {
            let Some(first) = tests.first() else { return };
            let mut members: BTreeMap<Member, bool> = BTreeMap::new();
            for test in tests {
                members.extend(members_of(test).map(|member| (member, false)));
                for (task, _) in tried.iter().filter(|(_, decided)| *decided != negated) {
                    mark(test, task, &mut members);
                }
            }
            sets.push(Members {
                rule: id,
                span,
                attribute: first.attribute(),
                members,
            });
        });
    }
    Coverage { rules, sets }
}

/// Calls for each comparison with a set of two or more members: with its tests (a
/// set of parts or patterns becomes one for each), its place, and whether the
/// condition negates it.
fn each_set(cond: &Cond, negated: bool, found: &mut impl FnMut(&[&Test], Span, bool)) {
    match cond {
        Cond::And(members) | Cond::Or(members) => {
            if let (Some(tests), Some(Cond::Test(_, span))) = (parts(cond), members.first()) {
                found(&tests, *span, negated);
                return;
            }
            for member in members {
                each_set(member, negated, found);
            }
        }
        Cond::Not(inner) => each_set(inner, !negated, found),
        Cond::Test(test, span) => {
            if part(test).is_none() && members_of(test).nth(1).is_some() {
                found(&[test], *span, negated);
            }
        }
        Cond::Model(..) => {}
    }
}

fn members_of(test: &Test) -> impl Iterator<Item = Member> {
    let (texts, numbers) = match test {
        Test::TextIn(_, members) | Test::Under(_, members) => (Some(members), None),
        Test::NumberIn(_, members) => (None, Some(members)),
        _ => (None, None),
    };
    let texts = texts.into_iter().flat_map(|members| members.iter());
    let numbers = numbers.into_iter().flat_map(|members| members.iter());
    let part = part(test).into_iter();
    texts
        .map(String::as_str)
        .chain(part)
        .map(|text| Member::Text(text.to_owned()))
        .chain(numbers.map(|number| Member::Number(*number)))
}

/// Marks the members that the task's value is, is under, or has as a part.
fn mark(test: &Test, task: &Task, members: &mut BTreeMap<Member, bool>) {
    let attribute = test.attribute();
    let mut hit = |member: Member| {
        if let Some(hit) = members.get_mut(&member) {
            *hit = true;
        }
    };
    match (test, task.text(attribute), task.number(attribute)) {
        (Test::TextIn(..), Some(value), _) => hit(Member::Text(value.to_owned())),
        (Test::NumberIn(..), _, Some(value)) => hit(Member::Number(value)),
        (Test::Under(..), Some(value), _) => {
            let mut path = value;
            while !path.is_empty() {
                hit(Member::Text(path.to_owned()));
                path = path.rsplit_once('/').map_or("", |(above, _)| above);
            }
            hit(Member::Text("/".to_owned()));
        }
        _ => {
            if let Some(text) = part(test).filter(|_| holds(test, task) == Truth::True) {
                hit(Member::Text(text.to_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{TierId, Value, check_text};

    const POLICY: &str = "language 1\npolicy p { }\ntier fast { }\ntier slow { }\n\
        set names = { \"a\", \"b\", \"c\" }\n\
        rules {\n\
          named: when comm in names and uid not in { 0, 1 } -> fast\n\
          below: when cgroup under { \"/x\", \"/y/z\" } -> slow\n\
          one:   when comm == \"q\" -> slow\n\
          otherwise -> slow\n\
        }\n";

    fn case(values: &[(Attribute, Value)], tier: u8, rule: Option<u16>) -> TestCase {
        TestCase {
            name: "t".into(),
            values: values.to_vec(),
            tier: TierId(tier),
            rule: rule.map(RuleId),
            span: Span::default(),
            line: 1,
        }
    }

    fn policy() -> Policy {
        check_text("p", POLICY).policy.unwrap()
    }

    #[test]
    fn every_member_above_a_path_is_hit() {
        let text = POLICY.replace(
            "{ \"/x\", \"/y/z\" }",
            "{ \"/\", \"/y\", \"/y/z\", \"/y/zz\" }",
        );
        let policy = check_text("p", &text).policy.unwrap();
        let value = |path: &str| vec![(Attribute::Cgroup, Value::from(path))];
        for (path, expected) in [
            ("/y/z/deep", vec!["/", "/y", "/y/z"]),
            ("/y/zzz", vec!["/", "/y"]),
            ("/", vec!["/"]),
        ] {
            let cases = [case(&value(path), 1, None)];
            let coverage = coverage(&policy, &run(&policy, &cases));
            let set = &coverage.sets[2];
            let hit: Vec<&Member> = set
                .members
                .iter()
                .filter(|(_, h)| **h)
                .map(|(m, _)| m)
                .collect();
            let expected: Vec<Member> = expected
                .into_iter()
                .map(|m| Member::Text(m.into()))
                .collect();
            assert_eq!(hit, expected.iter().collect::<Vec<_>>(), "{path}");
        }
    }

    #[test]
    fn members_of_a_set_of_parts_are_counted() {
        let text = POLICY.replace(
            "comm in names and uid not in { 0, 1 }",
            "comm starts with names and not (exe like { \"*/x\", \"/opt/*\" })",
        );
        let policy = check_text("p", &text).policy.unwrap();
        let task = |comm: &str, exe: &str| {
            vec![
                (Attribute::Comm, Value::from(comm)),
                (Attribute::Exe, Value::from(exe)),
            ]
        };
        let cases = [
            case(&task("bash", "/bin/bash"), 0, Some(0)),
            case(&task("cc1", "/opt/x"), 1, None),
        ];
        let coverage = coverage(&policy, &run(&policy, &cases));
        let hit = |index: usize| -> Vec<bool> {
            coverage.sets[index].members.values().copied().collect()
        };
        assert_eq!(hit(0), [false, true, false], "cc1 was kept out");
        assert_eq!(hit(1), [true, true], "/opt/x is like both");
        assert_eq!(coverage.members(), (3, 7));
    }

    #[test]
    fn a_test_passes_by_tier_and_by_rule() {
        let policy = policy();
        let task = [
            (Attribute::Comm, Value::from("a")),
            (Attribute::Uid, Value::from(5)),
        ];
        let cases = [
            case(&task, 0, None),
            case(&task, 0, Some(0)),
            case(&task, 1, None),
            case(&task, 0, Some(1)),
            case(&task[..1], 1, Some(3)),
        ];
        let passed: Vec<bool> = run(&policy, &cases).iter().map(Outcome::passed).collect();
        assert_eq!(
            passed,
            [true, true, false, false, true],
            "a task without uid is in no tier that asks for uid"
        );
    }

    #[test]
    fn coverage_counts_rules_and_members() {
        let policy = policy();
        let comm = |name: &str| (Attribute::Comm, Value::from(name));
        let uid = |uid: i64| (Attribute::Uid, Value::from(uid));
        let cgroup = |path: &str| (Attribute::Cgroup, Value::from(path));
        let cases = [
            // Decided by `named`: the member a is hit, 0 and 1 are not.
            case(&[comm("a"), uid(5)], 0, None),
            // Kept out by the uid 1; `b` is in a rule that did not decide.
            case(&[comm("b"), uid(1)], 1, None),
            case(&[cgroup("/y/z/deep"), comm("c")], 1, None),
        ];
        let outcomes = run(&policy, &cases);
        let coverage = coverage(&policy, &outcomes);
        assert_eq!(coverage.rules, [1, 1, 0, 1]);
        assert_eq!(coverage.covered(), 3);
        let hit = |index: usize| -> Vec<&Member> {
            let set = &coverage.sets[index];
            let hit = set.members.iter().filter(|(_, hit)| **hit);
            hit.map(|(member, _)| member).collect()
        };
        assert_eq!(coverage.sets.len(), 3, "`comm == \"q\"` is no set");
        assert_eq!(hit(0), [&Member::Text("a".into())]);
        assert_eq!(hit(1), [&Member::Number(1)]);
        assert_eq!(hit(2), [&Member::Text("/y/z".into())]);
        assert_eq!(coverage.members(), (3, 7));
        let text = &POLICY[coverage.sets[2].span.start as usize..];
        assert!(text.starts_with("cgroup under"), "{text}");
    }
}
